//! Barbican's secrets: stored, read, listed, deleted. Source: Key Manager API v1, Secrets.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use reqwest::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use strongroom_kms::{KmsError, RESERVED_PREFIX};
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};
use zeroize::Zeroizing;

use crate::client::{About, Call, Client, secret_json};
use crate::is_uuid;
use crate::material::KEY_LEN;

const BINARY: &str = "application/octet-stream";

/// What Barbican tells of a secret, without its payload.
#[derive(Clone, Deserialize)]
pub(crate) struct Secret {
    #[serde(default)]
    pub(crate) name: Option<String>,
    pub(crate) status: String,
    created: String,
    #[serde(default, rename = "secret_type")]
    kind: String,
    #[serde(default)]
    algorithm: Option<String>,
    #[serde(default)]
    bit_length: Option<u32>,
    #[serde(default)]
    content_types: Option<ContentTypes>,
    #[serde(default, rename = "secret_ref")]
    href: Option<String>,
}

#[derive(Clone, Deserialize)]
struct ContentTypes {
    default: String,
}

#[derive(Serialize)]
struct NewSecret<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    algorithm: &'a str,
    bit_length: u32,
    secret_type: &'a str,
    payload: &'a str,
    payload_content_type: &'a str,
    payload_content_encoding: &'a str,
}

#[derive(Deserialize)]
struct Stored {
    secret_ref: String,
}

/// A page of secrets.
#[derive(Deserialize)]
pub(crate) struct SecretPage {
    pub(crate) secrets: Vec<Secret>,
    /// How many there are on all pages.
    #[serde(default)]
    pub(crate) total: usize,
}

/// The name of every secret that holds a later version of the key. Nobody else gives it, and it is how all of them are found.
pub(crate) fn version_name(key_id: &str) -> String {
    format!("{RESERVED_PREFIX}version-of-{key_id}")
}

impl Client {
    /// What is known of a secret.
    pub(crate) async fn secret(&self, id: &str) -> Result<Secret, KmsError> {
        let about = About { doing: "to read a secret", rule: "secret:get", secret_id: Some(id) };
        self.call(&Call::new(Method::GET, format!("/secrets/{id}"), about), None).await?.json()
    }

    /// A secret's payload, whatever its type.
    pub(crate) async fn payload(&self, id: &str) -> Result<Zeroizing<Vec<u8>>, KmsError> {
        let about = About { doing: "to read the payload of a secret", rule: "secret:decrypt", secret_id: Some(id) };
        let call = Call { accept: BINARY, ..Call::new(Method::GET, format!("/secrets/{id}/payload"), about) };
        Ok(self.call(&call, None).await?.body)
    }

    /// Stores a key as a new secret; its id.
    pub(crate) async fn store(&self, name: Option<&str>, key: &[u8]) -> Result<String, KmsError> {
        let about = About { doing: "to store a secret", rule: "secrets:post", secret_id: None };
        let call = Call { body: Some(new_secret(name, key)?), ..Call::new(Method::POST, "/secrets".to_owned(), about) };
        let stored: Stored = self.call(&call, None).await?.json()?;
        id_in(&stored.secret_ref).ok_or_else(|| KmsError::Unavailable("Barbican's answer names no secret: check endpoint".to_owned()))
    }

    /// Deletes a secret; [`KmsError::KeyNotFound`] if it is gone already.
    pub(crate) async fn delete(&self, id: &str) -> Result<(), KmsError> {
        let about = About { doing: "to delete a secret", rule: "secret:delete", secret_id: Some(id) };
        self.call(&Call::new(Method::DELETE, format!("/secrets/{id}"), about), None).await.map(drop)
    }

    /// Deletes a secret that may be gone already.
    pub(crate) async fn delete_if_there(&self, id: &str) -> Result<(), KmsError> {
        let about = About { doing: "to delete a secret", rule: "secret:delete", secret_id: Some(id) };
        let call = Call::new(Method::DELETE, format!("/secrets/{id}"), about);
        self.call(&call, Some(StatusCode::NOT_FOUND)).await.map(drop)
    }

    /// Some of the project's secrets, the oldest first. `filter` is a query without `limit` and `offset`.
    pub(crate) async fn secrets(&self, filter: &str, limit: usize, offset: usize) -> Result<SecretPage, KmsError> {
        let about = About { doing: "to list secrets", rule: "secrets:get", secret_id: None };
        let path = format!("/secrets?{filter}&sort=created:asc&limit={limit}&offset={offset}");
        self.call(&Call::new(Method::GET, path, about), None).await?.json()
    }
}

impl Secret {
    /// The id, if the answer has a proper one.
    pub(crate) fn id(&self) -> Option<String> {
        self.href.as_deref().and_then(id_in)
    }

    /// Whether it looks like a key: an AES key of 256 bits with a payload.
    pub(crate) fn looks_like_a_key(&self) -> bool {
        let is_aes_256 = self.bit_length == Some(256) && self.algorithm.as_ref().is_some_and(|name| name.eq_ignore_ascii_case("aes"));
        let is_kind = matches!(self.kind.as_str(), "symmetric" | "opaque");
        is_aes_256 && is_kind && self.status == "ACTIVE" && self.has_payload() && !self.is_version()
    }

    /// Whether it holds a later version of another key.
    pub(crate) fn is_version(&self) -> bool {
        self.name.as_ref().is_some_and(|name| name.starts_with(&version_name("")))
    }

    /// When it was stored; Barbican's times are UTC without saying so.
    pub(crate) fn created(&self) -> Result<OffsetDateTime, KmsError> {
        let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second][optional [.[subsecond]]]");
        let text = self.created.trim_end_matches('Z').trim_end_matches("+00:00");
        let time = PrimitiveDateTime::parse(text, &format)
            .map_err(|_| KmsError::Unavailable("Barbican's answer has a strange time".to_owned()))?;
        Ok(time.assume_utc())
    }

    fn has_payload(&self) -> bool {
        self.content_types.as_ref().is_some_and(|types| matches!(types.default.as_str(), BINARY | "text/plain"))
    }
}

fn new_secret(name: Option<&str>, key: &[u8]) -> Result<Bytes, KmsError> {
    let mut payload = Zeroizing::new(String::with_capacity(KEY_LEN * 2));
    BASE64.encode_string(key, &mut payload);
    let secret = NewSecret {
        name,
        algorithm: "aes",
        bit_length: 256,
        secret_type: "symmetric",
        payload: &payload,
        payload_content_type: BINARY,
        payload_content_encoding: "base64",
    };
    secret_json(&secret).map_err(|()| KmsError::Broken("a secret cannot be written as JSON".to_owned()))
}

/// The id at the end of a secret's address.
fn id_in(secret_ref: &str) -> Option<String> {
    secret_ref.trim_end_matches('/').rsplit('/').next().filter(|id| is_uuid(id)).map(str::to_owned)
}
