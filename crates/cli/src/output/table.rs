//! Rows under headings.

use serde_json::Value;

/// The named fields of each row, a column each.
pub(super) fn of(rows: &[Value], columns: &[&str]) -> String {
    let headings: Vec<String> = columns.iter().map(|name| name.to_uppercase().replace('_', " ")).collect();
    let cells: Vec<Vec<String>> = rows.iter().map(|row| columns.iter().map(|name| cell(&row[*name])).collect()).collect();
    let width = |column: usize| cells.iter().chain([&headings]).map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let padded: Vec<String> = row.iter().zip(&widths).map(|(text, width)| format!("{text:<width$}")).collect();
        padded.join("  ").trim_end().to_owned() + "\n"
    };
    [&headings].into_iter().chain(&cells).map(line).collect()
}

/// One line, whatever is in it: a description may hold anything.
pub(super) fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [json!({"key_id": "a", "description": "x\ny"}), json!({"key_id": "longer"})];
        assert_eq!(of(&rows, &["key_id", "description"]), "KEY ID  DESCRIPTION\na       x y\nlonger  -\n");
    }
}
