//! `mc admin kms key create | list | status`.

use std::collections::BTreeMap;

use http::StatusCode;
use serde::{Deserialize, Serialize};
use strongroom_access::Action;
use strongroom_kms::{
    DataKeySpec, EncryptionContext, KeyMetadata, KeySource, Kms, KmsError, MAX_PAGE_KEYS, NewKey, is_reserved, resolve_key_id,
};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};

use super::pattern::matches;
use crate::http::{About, ApiError, Call, Done, Empty, Query, Subject};
use crate::keys::refuse_lost;

/// The most keys that are looked at for a list.
const MAX_LISTED_KEYS: usize = 10_000;

/// Which key.
#[derive(Deserialize, IntoParams)]
pub(crate) struct KeyName {
    /// The key's id; empty means the default key.
    #[serde(default, rename = "key-id")]
    key_id: String,
}

impl Subject for KeyName {
    fn key_id(&self) -> Option<&str> {
        Some(self.key_id.as_str()).filter(|key_id| resolve_key_id(key_id).is_ok_and(|id| id == *key_id))
    }
}

/// Which keys.
#[derive(Deserialize, IntoParams)]
pub(crate) struct Pattern {
    /// `*` stands for any characters, `?` for one.
    #[serde(default)]
    pattern: String,
}

impl Subject for Pattern {}

/// What `mc` reads of a key.
#[derive(Serialize, ToSchema)]
#[schema(as = McKey)]
pub(crate) struct Key {
    name: String,
    #[serde(rename = "createdAt", with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(rename = "createdBy")]
    created_by: &'static str,
}

/// Whether a key encrypts and decrypts; what is left out works.
#[derive(Default, Serialize, ToSchema)]
#[schema(as = McKeyStatus)]
pub(crate) struct KeyStatus {
    #[serde(rename = "key-id")]
    key_id: String,
    #[serde(rename = "encryption-error", skip_serializing_if = "Option::is_none")]
    encryption_error: Option<String>,
    #[serde(rename = "decryption-error", skip_serializing_if = "Option::is_none")]
    decryption_error: Option<String>,
}

/// What `mc` reads of the service.
#[derive(Serialize, ToSchema)]
#[schema(as = McKmsStatus)]
pub(crate) struct ServiceStatus {
    name: String,
    #[serde(rename = "default-key-id")]
    default_key_id: String,
    /// Each backend by name: `online` or `offline`.
    endpoints: BTreeMap<String, &'static str>,
    state: State,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
struct State {
    version: &'static str,
    key_store_reachable: bool,
    #[serde(rename = "KeystoreAvailable")]
    key_store_available: bool,
    /// Nanoseconds.
    up_time: u64,
}

pub(crate) async fn create_key(call: Call, Query(KeyName { key_id }): Query<KeyName>) -> Result<Done, ApiError> {
    if key_id.is_empty() {
        return Err(ApiError::invalid("key-id: expected the id of the new key"));
    }
    let (backend, kms) = call.kms()?;
    refuse_lost(&call, &*kms, &backend, &key_id).await?;
    match kms.create_key(NewKey { name: Some(key_id), ..NewKey::default() }).await {
        Ok(key) => {
            call.about_key(&key.key_id, key.current_version);
            Ok(Done)
        }
        Err(error @ KmsError::KeyExists(_)) => Err(ApiError::new(StatusCode::CONFLICT, "kms:KeyAlreadyExists", error.to_string())),
        Err(error) => Err(error.into()),
    }
}

pub(crate) async fn list_keys(call: Call, Query(Pattern { pattern }): Query<Pattern>) -> Result<Vec<Key>, ApiError> {
    let (_, kms) = call.kms()?;
    let (mut keys, mut after, mut seen) = (Vec::new(), None, 0);
    loop {
        let page = kms.list_keys(after.as_deref(), MAX_PAGE_KEYS).await?;
        seen += page.keys.len();
        let is_wanted = |key: &KeyMetadata| !is_reserved(&key.key_id) && (pattern.is_empty() || matches(&pattern, &key.key_id));
        for key in page.keys.into_iter().filter(is_wanted) {
            if call.may(Action::ListKeys, &key.key_id).await? {
                keys.push(Key { name: key.key_id, created_at: key.created, created_by: "strongroom" });
            }
        }
        match page.next {
            Some(next) if seen < MAX_LISTED_KEYS => after = Some(next),
            _ => return Ok(keys),
        }
    }
}

/// Makes a data key and opens it again.
pub(crate) async fn key_status(call: Call, Query(KeyName { key_id }): Query<KeyName>) -> Result<KeyStatus, ApiError> {
    let key_id = if key_id.is_empty() { call.inner.parts.keyring.default_key_id() } else { key_id };
    let key_id = call.key_id(&key_id)?;
    // The default key was no part of what the table checked.
    let about = About { key_id: Some(key_id.to_owned()), ..About::default() };
    call.permit(&[Action::DescribeKey, Action::GenerateDataKey, Action::Decrypt], &about).await?;
    let (_, kms) = call.kms()?;
    if is_reserved(key_id) {
        return Err(KmsError::KeyNotFound(key_id.to_owned()).into());
    }
    Ok(tried(&*kms, key_id.to_owned()).await)
}

async fn tried(kms: &dyn Kms, key_id: String) -> KeyStatus {
    let context = EncryptionContext::default();
    match kms.generate_data_key(&key_id, DataKeySpec::Aes256, &context).await {
        Err(error) => KeyStatus { key_id, encryption_error: Some(error.to_string()), ..KeyStatus::default() },
        Ok(data_key) => {
            let opened = kms.unwrap_data_key(&data_key.wrapped, &context).await;
            KeyStatus { key_id, decryption_error: opened.err().map(|error| error.to_string()), ..KeyStatus::default() }
        }
    }
}

pub(crate) async fn service_status(call: Call, _: Empty) -> Result<ServiceStatus, ApiError> {
    let keyring = &call.inner.parts.keyring;
    let status = keyring.status().await;
    let healthy = status.healthy.unwrap_or(false);
    let uptime = OffsetDateTime::now_utc() - call.inner.started;
    let endpoint = |healthy: Option<bool>| if healthy == Some(true) { "online" } else { "offline" };
    Ok(ServiceStatus {
        name: status.backend_type.unwrap_or_default(),
        default_key_id: keyring.default_key_id(),
        endpoints: status.backends.into_iter().map(|backend| (backend.name, endpoint(backend.healthy))).collect(),
        state: State {
            version: env!("CARGO_PKG_VERSION"),
            key_store_reachable: healthy,
            key_store_available: healthy,
            up_time: u64::try_from(uptime.whole_nanoseconds()).unwrap_or_default(),
        },
    })
}
