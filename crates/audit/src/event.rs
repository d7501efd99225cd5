//! What is recorded.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One use of a key, or one act of administration. Never holds key material, credentials or signatures.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The request's id, as the client saw it; `job:<id>` for background work.
    pub request_id: String,
    /// The identity's name.
    pub who: String,
    /// S3's or the admin API's name of the operation: `GetObject`, `RotateKey`, …
    pub operation: String,
    /// The bucket, where there is one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub bucket: String,
    /// The object key.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// The object's version id.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// The encryption mode: `SSE-S3`, `SSE-KMS`, `DSSE-KMS`, `SSE-C`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub mode: String,
    /// The KMS backend.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub backend: String,
    /// The KMS key.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub key_id: String,
    /// The version of the KMS key; 0 where none is known.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub key_version: u32,
    /// How it ended.
    pub outcome: Outcome,
    /// What else is worth knowing, such as what a deletion lost.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub details: BTreeMap<String, String>,
}

/// How an operation ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was done.
    #[default]
    Ok,
    /// It was not; the error's code.
    Error(String),
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}
