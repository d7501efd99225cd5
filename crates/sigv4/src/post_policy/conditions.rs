//! The conditions of a policy.

use std::{fmt, ops::RangeInclusive};

use serde_json::Value;

/// A condition. Names of fields are in lower case and without their dollar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    /// `["eq", "$field", "value"]` or `{"field": "value"}`
    Equals { field: String, value: String },
    /// `["starts-with", "$field", "prefix"]`
    StartsWith { field: String, prefix: String },
    /// `["content-length-range", min, max]`
    LengthRange { min: u64, max: u64 },
}

/// Whether a field needs no condition.
pub(super) fn exempt(name: &str) -> bool {
    matches!(name, "x-amz-signature" | "policy" | "file" | "awsaccesskeyid" | "signature") || name.starts_with("x-ignore-")
}

impl Condition {
    pub(super) fn parse(json: &Value) -> Option<Self> {
        match json {
            Value::Object(pairs) if pairs.len() == 1 => {
                let (name, value) = pairs.iter().next()?;
                Some(Self::Equals { field: name_of(name), value: value.as_str()?.to_owned() })
            }
            Value::Array(items) => {
                let [operator, first, second] = items.as_slice() else { return None };
                Self::of_operator(&operator.as_str()?.to_ascii_lowercase(), first, second)
            }
            _ => None,
        }
    }

    fn of_operator(operator: &str, first: &Value, second: &Value) -> Option<Self> {
        match operator {
            "eq" => Some(Self::Equals { field: name_of(first.as_str()?), value: second.as_str()?.to_owned() }),
            "starts-with" => Some(Self::StartsWith { field: name_of(first.as_str()?), prefix: second.as_str()?.to_owned() }),
            "content-length-range" => Some(Self::LengthRange { min: number(first)?, max: number(second)? }),
            _ => None,
        }
    }

    /// The field it is about.
    pub(super) fn field(&self) -> Option<&str> {
        match self {
            Self::Equals { field, .. } | Self::StartsWith { field, .. } => Some(field),
            Self::LengthRange { .. } => None,
        }
    }

    /// Whether the field may have the value.
    pub(super) fn admits(&self, actual: &str) -> bool {
        match self {
            Self::Equals { value, .. } => actual == value,
            // A list of content types is allowed if each of them is.
            Self::StartsWith { field, prefix } if field == "content-type" => actual.split(',').all(|item| item.trim().starts_with(prefix)),
            Self::StartsWith { prefix, .. } => actual.starts_with(prefix),
            Self::LengthRange { .. } => true,
        }
    }

    /// Whether any value will do, so that the field may be missing as well.
    pub(super) fn admits_anything(&self) -> bool {
        matches!(self, Self::StartsWith { prefix, .. } if prefix.is_empty())
    }

    pub(super) fn length_range(&self) -> Option<RangeInclusive<u64>> {
        match self {
            Self::LengthRange { min, max } => Some(*min..=*max),
            Self::Equals { .. } | Self::StartsWith { .. } => None,
        }
    }
}

/// As Amazon quotes it.
impl fmt::Display for Condition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Equals { field, value } => write!(formatter, "[\"eq\", \"${field}\", {value:?}]"),
            Self::StartsWith { field, prefix } => write!(formatter, "[\"starts-with\", \"${field}\", {prefix:?}]"),
            Self::LengthRange { min, max } => write!(formatter, "[\"content-length-range\", {min}, {max}]"),
        }
    }
}

fn name_of(text: &str) -> String {
    text.strip_prefix('$').unwrap_or(text).to_ascii_lowercase()
}

/// Some signers write numbers as text.
fn number(json: &Value) -> Option<u64> {
    json.as_u64().or_else(|| json.as_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn each_form_is_read() {
        let rows = [
            (json!({"Acl": "private"}), "[\"eq\", \"$acl\", \"private\"]"),
            (json!(["EQ", "$Key", "a"]), "[\"eq\", \"$key\", \"a\"]"),
            (json!(["starts-with", "$key", "user/"]), "[\"starts-with\", \"$key\", \"user/\"]"),
            (json!(["content-length-range", 1, "20"]), "[\"content-length-range\", 1, 20]"),
        ];
        for (json, expected) in rows {
            assert_eq!(Condition::parse(&json).unwrap().to_string(), expected);
        }
    }

    #[test]
    fn what_is_no_condition_is_refused() {
        let rows = [
            json!({}),
            json!({"a": "1", "b": "2"}),
            json!({"a": 1}),
            json!({"a": ["b"]}),
            json!(["eq", "$key"]),
            json!(["eq", "$key", "a", "b"]),
            json!(["eq", 1, "a"]),
            json!(["ends-with", "$key", "a"]),
            json!(["content-length-range", -1, 5]),
            json!(["content-length-range", 1.5, 5]),
            json!("eq"),
            json!(null),
        ];
        for json in rows {
            assert_eq!(Condition::parse(&json), None, "{json}");
        }
    }

    #[test]
    fn a_list_of_content_types_is_checked_item_by_item() {
        let images = Condition::parse(&json!(["starts-with", "$Content-Type", "image/"])).unwrap();
        assert!(images.admits("image/png, image/jpeg"));
        assert!(!images.admits("image/png,text/html"));
        let keys = Condition::parse(&json!(["starts-with", "$key", "a"])).unwrap();
        assert!(keys.admits("a,b"));
    }
}
