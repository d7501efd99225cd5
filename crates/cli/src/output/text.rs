//! Any JSON, indented for people.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::table::cell;

/// One `name: value` a line; what is nested is indented below its name.
pub(super) fn of(value: &Value) -> String {
    let mut text = String::new();
    write(&mut text, value, 0);
    text
}

fn write(text: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(fields) => write_fields(text, fields, depth),
        Value::Array(items) => items.iter().for_each(|item| write_item(text, item, depth)),
        plain => line(text, depth, &cell(plain)),
    }
}

fn write_fields(text: &mut String, fields: &Map<String, Value>, depth: usize) {
    for (name, value) in fields {
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                line(text, depth, &format!("{name}:"));
                write(text, value, depth + 1);
            }
            Value::Array(items) if !items.is_empty() => {
                line(text, depth, &format!("{name}:"));
                write(text, value, depth + 1);
            }
            Value::Object(_) | Value::Array(_) => line(text, depth, &format!("{name}: -")),
            plain => line(text, depth, &format!("{name}: {}", cell(plain))),
        }
    }
}

/// An item of a list, behind a dash.
fn write_item(text: &mut String, item: &Value, depth: usize) {
    let mut inner = String::new();
    write(&mut inner, item, depth + 1);
    // The item's own indent takes the dash.
    let at = 2 * depth;
    if inner.as_bytes().get(at) == Some(&b' ') {
        inner.replace_range(at..=at, "-");
    }
    text.push_str(&inner);
}

fn line(text: &mut String, depth: usize, content: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{:width$}{content}", "", width = 2 * depth);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nested_values_are_indented_below_their_names() {
        let value = json!({"a": 1, "b": {"c": "x"}, "d": [{"e": true, "f": null}, "y"], "g": []});
        assert_eq!(of(&value), "a: 1\nb:\n  c: x\nd:\n  - e: true\n    f: -\n  - y\ng: -\n");
    }
}
