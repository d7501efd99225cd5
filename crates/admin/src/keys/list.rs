//! Looking at keys.

use serde::{Deserialize, Serialize};
use strongroom_access::Action;
use strongroom_kms::KmsError;
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};

use super::Metadata;
use crate::http::{About, ApiError, Call, KeyPath, Query, Subject};
use crate::rotation;

/// So many keys a page has where nothing is asked for.
const DEFAULT_LIMIT: usize = 100;

/// Which page.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct Page {
    /// The most keys of a page, 1 to 1000.
    limit: Option<usize>,
    /// The `next_marker` of the page before.
    marker: Option<String>,
}

impl Subject for Page {}

/// A page of keys in the order of their ids. Those that a policy denies to the caller are left out, so that a page may be short.
#[derive(Serialize, ToSchema)]
pub(crate) struct KeyList {
    keys: Vec<ListedKey>,
    /// Whether there are more.
    truncated: bool,
    /// Where the next page begins.
    next_marker: Option<String>,
}

/// What a list tells of a key.
#[derive(Serialize, ToSchema)]
struct ListedKey {
    key_id: String,
    description: String,
    enabled: bool,
    key_state: &'static str,
    #[serde(with = "time::serde::rfc3339")]
    creation_date: OffsetDateTime,
    current_version: u32,
}

/// One key.
#[derive(Serialize, ToSchema)]
pub(crate) struct DescribedKey {
    key_metadata: Metadata,
}

/// Which key.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyName {
    /// The key's id, or an ARN that ends in it.
    #[serde(alias = "keyId", alias = "key-id", alias = "key")]
    key_id: String,
}

impl Subject for KeyName {
    fn key_id(&self) -> Option<&str> {
        Some(&self.key_id)
    }
}

pub(crate) async fn list(call: Call, Query(page): Query<Page>) -> Result<KeyList, ApiError> {
    let marker = page.marker.as_deref().filter(|marker| !marker.is_empty());
    let limit = page.limit.unwrap_or(DEFAULT_LIMIT);
    if call.is_of_a_tenant() {
        return list_own(&call, marker, limit).await;
    }
    let (backend, kms) = call.kms()?;
    let (found, mut keys) = (kms.list_keys(marker, limit).await?, Vec::new());
    for key in found.keys {
        if call.may(Action::ListKeys, &key.key_id).await? {
            keys.push(ListedKey::from(Metadata::new(&backend, key, None)));
        }
    }
    Ok(KeyList { keys, truncated: found.next.is_some(), next_marker: found.next })
}

/// The keys of the signer's account, wherever they are.
async fn list_own(call: &Call, marker: Option<&str>, limit: usize) -> Result<KeyList, ApiError> {
    if limit == 0 {
        return Err(ApiError::invalid("limit: expected at least 1"));
    }
    let (owned, keyring, limit) = (&call.inner.parts.owned, &call.inner.parts.keyring, limit.min(DEFAULT_LIMIT));
    let ids = owned.of_account(&call.signer.identity.account, marker, limit + 1).await.map_err(ApiError::of_owned_keys)?;
    let (truncated, mut keys) = (ids.len() > limit, Vec::new());
    let next_marker = if truncated { ids.get(limit - 1).cloned() } else { None };
    for key_id in ids.iter().take(limit) {
        // One that was destroyed meanwhile is no more to be seen.
        let Some(key) = owned.find(key_id).await.map_err(ApiError::of_owned_keys)? else { continue };
        if call.permit_as_seen(Action::ListKeys, &key.record, &About::default()).is_err() {
            continue;
        }
        let backend = &key.record.backend;
        match keyring.kms(Some(backend))?.describe_key(key_id).await {
            Ok(described) => keys.push(ListedKey::from(Metadata::new(backend, described, None))),
            Err(KmsError::KeyNotFound(_) | KmsError::KeyErased(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(KeyList { keys, truncated, next_marker })
}

pub(crate) async fn describe(call: Call, KeyPath(key_id): KeyPath) -> Result<DescribedKey, ApiError> {
    describe_key(&call, &key_id).await
}

pub(crate) async fn describe_by_query(call: Call, Query(KeyName { key_id }): Query<KeyName>) -> Result<DescribedKey, ApiError> {
    describe_key(&call, &key_id).await
}

async fn describe_key(call: &Call, given: &str) -> Result<DescribedKey, ApiError> {
    let (backend, kms) = call.kms()?;
    let key = kms.describe_key(call.key_id(given)?).await?;
    let schedule = rotation::schedule_of(&call.inner, &backend, &key.key_id).await?;
    Ok(DescribedKey { key_metadata: Metadata::new(&backend, key, schedule.as_ref()) })
}

impl From<Metadata> for ListedKey {
    fn from(key: Metadata) -> Self {
        let Metadata { key_id, description, enabled, key_state, creation_date, current_version, .. } = key;
        Self { key_id, description, enabled, key_state, creation_date, current_version }
    }
}
