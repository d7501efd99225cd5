//! The fields of a backend's configuration: merged, and wiped when dropped.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use zeroize::Zeroize;

use crate::registry::REDACTED;

/// Fields as they were given. Some are secret, so the texts are wiped when dropped, and `Debug` is not implemented.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    /// Takes what was given alone. `null` and [`REDACTED`] stand for nothing given.
    pub(super) fn new(given: &Map<String, Value>) -> Self {
        Self::default().merged(given, false)
    }

    /// These fields with the given ones in place of those of the same name. `null` removes a field, and [`REDACTED`] leaves it.
    ///
    /// Where both hold an object, `deep` merges these in the same manner: what is not given again stays. Otherwise the given one takes
    /// the place of the whole.
    pub(super) fn merged(&self, given: &Map<String, Value>, deep: bool) -> Self {
        let mut merged = self.clone();
        merge(&mut merged.0, given, deep);
        merged
    }

    pub(super) fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }
}

impl Drop for Fields {
    fn drop(&mut self) {
        self.0.values_mut().for_each(wipe);
    }
}

fn merge(into: &mut Map<String, Value>, given: &Map<String, Value>, deep: bool) {
    for (name, value) in given {
        match (into.get_mut(name), value) {
            (_, Value::Null) => {
                if let Some(mut removed) = into.remove(name) {
                    wipe(&mut removed);
                }
            }
            (_, Value::String(text)) if text == REDACTED => {}
            (Some(Value::Object(into)), Value::Object(given)) if deep => merge(into, given, deep),
            (earlier, Value::Object(given)) => {
                let mut fresh = Map::new();
                merge(&mut fresh, given, deep);
                // A secret given as redacted is the earlier one, whatever else changed around it.
                if let Some(Value::Object(earlier)) = &earlier {
                    keep_redacted(&mut fresh, earlier, given);
                }
                put(into, name, Value::Object(fresh));
            }
            (_, value) => put(into, name, value.clone()),
        }
    }
}

fn keep_redacted(fresh: &mut Map<String, Value>, earlier: &Map<String, Value>, given: &Map<String, Value>) {
    for (name, value) in given {
        match (value, earlier.get(name)) {
            (Value::String(text), Some(earlier)) if text == REDACTED => put(fresh, name, earlier.clone()),
            (Value::Object(given), Some(Value::Object(earlier))) => {
                if let Some(Value::Object(fresh)) = fresh.get_mut(name) {
                    keep_redacted(fresh, earlier, given);
                }
            }
            _ => {}
        }
    }
}

fn put(into: &mut Map<String, Value>, name: &str, value: Value) {
    if let Some(mut replaced) = into.insert(name.to_owned(), value) {
        wipe(&mut replaced);
    }
}

fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(values) => values.iter_mut().for_each(wipe),
        Value::Object(fields) => fields.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(value: Value) -> Map<String, Value> {
        let Value::Object(map) = value else { panic!("not an object") };
        map
    }

    fn merged(given: Value, deep: bool) -> Value {
        let earlier = json!({"address": "a", "token": "secret", "auth": {"approle": {"role_id": "r", "secret_id": "s"}}});
        Value::Object(Fields::new(&map(earlier)).merged(&map(given), deep).as_map().clone())
    }

    #[test]
    fn what_is_not_given_stays_and_null_removes() {
        let auth = json!({"approle": {"role_id": "r", "secret_id": "s"}});
        assert_eq!(merged(json!({"address": "b"}), true), json!({"address": "b", "token": "secret", "auth": auth}));
        assert_eq!(merged(json!({"token": null}), true), json!({"address": "a", "auth": auth}));
        assert_eq!(merged(json!({"token": REDACTED}), true), json!({"address": "a", "token": "secret", "auth": auth}));
    }

    #[test]
    fn nested_secrets_stay_when_merged_deeply_or_given_as_redacted() {
        let changed = json!({"address": "a", "token": "secret", "auth": {"approle": {"role_id": "x", "secret_id": "s"}}});
        assert_eq!(merged(json!({"auth": {"approle": {"role_id": "x"}}}), true), changed);
        assert_eq!(merged(json!({"auth": {"approle": {"role_id": "x", "secret_id": REDACTED}}}), false), changed);
        let replaced = json!({"address": "a", "token": "secret", "auth": {"approle": {"role_id": "x"}}});
        assert_eq!(merged(json!({"auth": {"approle": {"role_id": "x"}}}), false), replaced);
    }
}
