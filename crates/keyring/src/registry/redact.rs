//! What may be shown of a configuration.

use serde_json::{Map, Value};

/// What stands in the place of a secret where a configuration is shown. Given back, it leaves the secret as it is.
pub const REDACTED: &str = "***redacted***";

/// A copy of a backend's fields in which only the `shown` ones, and what is merely yes or no, have their values.
pub(crate) fn redact(fields: &Map<String, Value>, shown: &[&str]) -> Value {
    redact_object(fields, "", shown)
}

fn redact_object(fields: &Map<String, Value>, path: &str, shown: &[&str]) -> Value {
    let redacted = fields.iter().map(|(name, value)| {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        (name.clone(), redact_value(value, &path, shown))
    });
    Value::Object(redacted.collect())
}

fn redact_value(value: &Value, path: &str, shown: &[&str]) -> Value {
    match value {
        Value::Null | Value::Bool(_) => value.clone(),
        Value::Object(fields) => redact_object(fields, path, shown),
        Value::Array(values) => values.iter().map(|value| redact_value(value, path, shown)).collect(),
        Value::String(text) if shown.contains(&path) => Value::String(without_credentials(text)),
        Value::Number(_) if shown.contains(&path) => value.clone(),
        Value::String(_) | Value::Number(_) => Value::String(REDACTED.to_owned()),
    }
}

/// An address without the user and password that may stand in it.
fn without_credentials(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let authority = rest.split('/').next().unwrap_or_default();
    match authority.rfind('@') {
        Some(at) => format!("{scheme}://{REDACTED}@{}", &rest[at + 1..]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_is_listed_is_shown() {
        let fields = json!({
            "address": "https://root:canary@vault.example:8200/v1/@x",
            "skip_tls_verify": true,
            "port": 1, "pin": 31_415,
            "auth_method": {"approle": {"role_id": "reader", "secret_id": "canary"}},
            "secrets": ["canary", {"address": "canary"}],
            "namespace": null,
        });
        let Value::Object(fields) = fields else { panic!() };
        let shown = redact(&fields, &["address", "port", "auth_method.approle.role_id"]);
        let expected = json!({
            "address": "https://***redacted***@vault.example:8200/v1/@x",
            "skip_tls_verify": true,
            "port": 1, "pin": REDACTED,
            "auth_method": {"approle": {"role_id": "reader", "secret_id": REDACTED}},
            "secrets": [REDACTED, {"address": REDACTED}],
            "namespace": null,
        });
        assert_eq!(shown, expected);
    }
}
