//! What is known of an event, sealed: nobody with the disk reads it, makes one up, or has one sent to another target.

use std::net::IpAddr;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use strongroom_catalog::{EventId, OutboxEvent, UnixMillis};
use strongroom_seal::{Mode, RecordKind};

use super::EventName;
use crate::{Engine, Error};

/// What is known of an event. Never a key of any kind, nor user metadata, nor tags.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventRecord {
    /// What happened.
    pub event: EventName,
    /// When, in milliseconds since 1970.
    pub at: UnixMillis,
    /// The region of the store.
    pub region: String,
    /// The bucket.
    pub bucket: String,
    /// Whose it is.
    pub owner: String,
    /// The configuration that sent it.
    pub configuration: String,
    /// The object key; empty of a test.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// Length of the object in bytes, where it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// Without quotes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// As clients see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
    /// The identity that did it, or `lifecycle`.
    pub who: String,
    /// Where the request came from; none of what the store does by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<IpAddr>,
    /// The request; empty of what the store does by itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub request_id: String,
    /// How the object is encrypted, where it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<EventEncryption>,
}

/// How an object is encrypted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventEncryption {
    /// `SSE-S3`, `SSE-KMS`, `DSSE-KMS`, `SSE-C` or `none`.
    pub mode: String,
    /// The key, as responses name it; none of SSE-C and of what has no key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kms_key_id: Option<String>,
}

impl EventEncryption {
    pub(crate) fn new(mode: Mode, kms_key_id: Option<String>) -> Self {
        let name = match mode {
            Mode::Store => "none",
            Mode::SseS3 => "SSE-S3",
            Mode::SseKms => "SSE-KMS",
            Mode::DsseKms => "DSSE-KMS",
            Mode::SseC => "SSE-C",
        };
        Self { mode: name.to_owned(), kms_key_id }
    }
}

/// Why an event is dead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventFailure {
    /// How often its delivery was tried.
    pub attempts: u32,
    /// What came of the last attempt.
    pub reason: String,
    /// When it was given up, in milliseconds since 1970.
    pub at: UnixMillis,
}

impl Engine {
    pub(super) fn seal_event(&self, id: EventId, target: &str, record: &EventRecord) -> Result<Vec<u8>, Error> {
        self.seal_with(&[b"event", &id.0, target.as_bytes()], record)
    }

    /// The record of an event; none where it was altered, which is counted.
    pub(super) fn open_event(&self, event: &OutboxEvent) -> Option<EventRecord> {
        self.open_with(&[b"event", &event.id.0, event.target.as_bytes()], &event.record)
    }

    pub(super) fn seal_failure(&self, id: EventId, failure: &EventFailure) -> Result<Vec<u8>, Error> {
        self.seal_with(&[b"event failure", &id.0], failure)
    }

    pub(super) fn open_failure(&self, event: &OutboxEvent) -> Option<EventFailure> {
        self.open_with(&[b"event failure", &event.id.0], event.failure.as_deref()?)
    }

    fn seal_with(&self, fields: &[&[u8]], content: &impl Serialize) -> Result<Vec<u8>, Error> {
        let content = serde_json::to_vec(content).map_err(|error| Error::Internal(error.into()))?;
        self.store_key().seal_record(RecordKind::Document, fields, &content).map_err(|error| Error::Internal(error.into()))
    }

    fn open_with<T: DeserializeOwned>(&self, fields: &[&[u8]], sealed: &[u8]) -> Option<T> {
        let opened = self.store_key().open_record(RecordKind::Document, fields, sealed).ok();
        let parsed = opened.and_then(|content| serde_json::from_slice(&content).ok());
        if parsed.is_none() {
            let _counted = self.integrity().note(Error::Integrity("an event of the outbox was altered".into()), "", "");
        }
        parsed
    }
}
