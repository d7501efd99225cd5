//! The types of backends there are, and how each is made of its configuration.

mod local;
mod outside;
mod redact;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use strongroom_kms::{Kms, KmsError};

pub(crate) use self::local::{LOCAL, LocalType};
pub use self::outside::end_libraries;
pub use self::redact::REDACTED;
pub(crate) use self::redact::redact;

/// Makes backends of one type.
#[async_trait]
pub trait BackendType: Send + Sync + 'static {
    /// The `backend_type`.
    fn name(&self) -> &'static str;

    /// The fields that may be shown, nested ones joined by dots. Every other text and number is redacted, so that a field that is
    /// forgotten here is hidden.
    fn shown_fields(&self) -> &'static [&'static str];

    /// The fields that decide whom the backend talks to, and with that whom its credentials are sent to.
    fn destination_fields(&self) -> &'static [&'static str];

    /// The fields that name a file that is read, a library that is run, or a directory that is written: all of them, so that nobody
    /// over HTTP learns what lies on this machine, or has its files used.
    fn path_fields(&self) -> &'static [&'static str];

    /// Those of [`Self::path_fields`] that have a default: where they are left out of the object that they belong to, a file is read
    /// nevertheless.
    fn default_path_fields(&self) -> &'static [&'static str] {
        &[]
    }

    /// Whether a backend of these fields would show its server credentials of the machine: those of the environment, of a role.
    fn uses_machine_credentials(&self, _fields: &Map<String, Value>) -> bool {
        false
    }

    /// A backend of the instance name `name`. Checks `fields` and does not need the outside service to be up;
    /// [`KmsError::InvalidArgument`] names the field, never its value.
    async fn build(&self, name: &str, fields: &Map<String, Value>) -> Result<Arc<dyn Kms>, KmsError>;
}

/// The types of backends by name. The local one is added by the [`Keyring`](crate::Keyring), which holds the server's own key directory.
#[derive(Clone)]
pub struct Registry(BTreeMap<&'static str, Arc<dyn BackendType>>);

impl Default for Registry {
    /// What was built in.
    fn default() -> Self {
        let none = Self(BTreeMap::new());
        outside::built_in().into_iter().fold(none, Self::with)
    }
}

impl Registry {
    /// Adds a type, in the place of one of the same name.
    #[must_use]
    pub fn with(mut self, backend_type: Arc<dyn BackendType>) -> Self {
        self.0.insert(backend_type.name(), backend_type);
        self
    }

    /// The type of this name, or what to do to have it.
    pub(crate) fn get(&self, name: &str) -> Result<&Arc<dyn BackendType>, KmsError> {
        self.0.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.0.keys().copied().collect();
            KmsError::InvalidArgument(match outside::ALL.iter().find(|all| **all == name) {
                Some(all) => format!("the backend_type {all} is not built in: build the server with the feature {all}"),
                None => format!("there is no such backend_type; there are: {}", known.join(", ")),
            })
        })
    }
}

/// Reads a backend's configuration. The error names the field and what is wrong with it, but no value: it may be secret.
pub(crate) fn parse<C: DeserializeOwned>(fields: &Map<String, Value>) -> Result<C, KmsError> {
    let parsed = serde_path_to_error::deserialize(fields);
    parsed.map_err(|error: serde_path_to_error::Error<serde_json::Error>| {
        let (path, text) = (error.path().to_string(), error.inner().to_string());
        // These two name fields and quote no value.
        let of_a_name = ["unknown field `", "missing field `"].iter().any(|start| text.starts_with(start));
        KmsError::InvalidArgument(match path.as_str() {
            _ if of_a_name => text,
            "." => "the configuration of the backend is malformed".to_owned(),
            path => format!("the field {path} of the backend's configuration is malformed"),
        })
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde::Deserialize;
    use serde_json::json;
    use strongroom_kms::Secret;

    use super::*;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only read by serde")]
    struct Config {
        address: String,
        auth: Auth,
        port: Option<u16>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "snake_case")]
    #[allow(dead_code, reason = "only read by serde")]
    enum Auth {
        Token { token: Secret },
    }

    fn error_of(fields: Value) -> String {
        let Value::Object(fields) = fields else { panic!() };
        match parse::<Config>(&fields) {
            Err(KmsError::InvalidArgument(text)) => text,
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("parsed"),
        }
    }

    #[test]
    fn a_malformed_field_is_named_and_its_value_is_not() {
        let auth = json!({"token": {"token": "t"}});
        let text = error_of(json!({"address": "a", "auth": auth, "port": "canary"}));
        assert_eq!(text, "the field port of the backend's configuration is malformed");
        let text = error_of(json!({"address": "a", "auth": {"token": {"token": 271_828}}}));
        assert_eq!(text, "the field auth.token.token of the backend's configuration is malformed");
        let text = error_of(json!({"address": "a", "auth": {"canary": {}}}));
        assert!(!text.contains("canary") || text.contains("auth"), "{text}");
        assert_eq!(error_of(json!({"auth": auth})), "missing field `address`");
        assert!(error_of(json!({"address": "a", "auth": auth, "adress": "canary"})).starts_with("unknown field `adress`, expected"));
    }

    #[test]
    fn an_unknown_type_names_the_known_ones_and_a_left_out_one_its_feature() {
        let text = |name: &str| Registry(BTreeMap::new()).get(name).err().unwrap().to_string();
        assert_eq!(text("kmip"), "the backend_type kmip is not built in: build the server with the feature kmip");
        assert!(text("gcp").starts_with("there is no such backend_type; there are:"));
    }
}
