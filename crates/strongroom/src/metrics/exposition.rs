//! Prometheus' text format.

use std::fmt::{Display, Write};

/// One metric, its samples following its head.
pub(super) struct Family<'a> {
    text: &'a mut String,
    name: &'a str,
}

impl<'a> Family<'a> {
    pub(super) fn new(text: &'a mut String, name: &'a str, kind: &str, help: &str) -> Self {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "# HELP {name} {help}.\n# TYPE {name} {kind}");
        Self { text, name }
    }

    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", label(value))).collect();
        let braces = if pairs.is_empty() { String::new() } else { format!("{{{}}}", pairs.join(",")) };
        let _ = writeln!(self.text, "{}{braces} {value}", self.name);
    }
}

/// A label's value as it stands between quotes.
pub(super) fn label(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_cannot_break_out_of_its_quotes() {
        let mut text = String::new();
        Family::new(&mut text, "m", "gauge", "Help").sample(&[("a", "x\"} 1\n\\")], 2);
        assert_eq!(text, "# HELP m Help.\n# TYPE m gauge\nm{a=\"x\\\"} 1\\n\\\\\"} 2\n");
    }
}
