//! What an operator asks for: fields to set, all of them optional.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The body of `POST /kms/configure` and `POST /kms/reconfigure`: what is given is set.
///
/// A `backend_type` or a `name` puts a backend of that type and name in force, and makes it if there is none; the others stay live, so
/// that what they wrapped remains readable. The default name of a backend is its type.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The backend that is meant, by its instance name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `local`, `vault`, `barbican`, `aws`, `pkcs11` or `kmip`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend_type: Option<String>,
    /// The key that is used where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_key_id: Option<String>,
    /// The longest a call may take, retries included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u64>,
    /// How often a call that found the backend away is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_attempts: Option<u32>,
    /// How many calls may be under way to one backend; more of them wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_concurrent_calls: Option<usize>,
    /// Whether unwrapped data keys are cached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enable_cache: Option<bool>,
    /// The most data keys cached for one backend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_cached_keys: Option<usize>,
    /// How long an unwrapped data key is served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_ttl_seconds: Option<u64>,
    /// The fields of the backend's own configuration. Those that are not given keep their values, and so do secrets given as
    /// [`REDACTED`](crate::REDACTED); `null` removes a field.
    #[serde(flatten)]
    pub backend: Map<String, Value>,
}

impl fmt::Debug for Change {
    /// The names of the backend's fields without their values, which may be secret.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            backend_type,
            default_key_id,
            timeout_seconds,
            retry_attempts,
            max_concurrent_calls,
            enable_cache,
            max_cached_keys,
            cache_ttl_seconds,
            backend,
        } = self;
        formatter
            .debug_struct("Change")
            .field("name", name)
            .field("backend_type", backend_type)
            .field("default_key_id", default_key_id)
            .field("timeout_seconds", timeout_seconds)
            .field("retry_attempts", retry_attempts)
            .field("max_concurrent_calls", max_concurrent_calls)
            .field("enable_cache", enable_cache)
            .field("max_cached_keys", max_cached_keys)
            .field("cache_ttl_seconds", cache_ttl_seconds)
            .field("backend", &backend.keys().collect::<Vec<_>>())
            .finish()
    }
}
