//! Backends and what depends on them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use strongroom_catalog::KeyRef;
use strongroom_engine::rekey::KeyVersionUsage;
use utoipa::{IntoParams, ToSchema};

use crate::admin::Inner;
use crate::http::{ApiError, Call, Empty, Path, Query, Subject};
use crate::keys::BucketUsage;
use crate::service::Backend;

const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 500;

/// Every live backend.
#[derive(Serialize, ToSchema)]
pub(crate) struct BackendList {
    backends: Vec<ListedBackend>,
}

/// A backend, and what depends on its keys.
#[derive(Serialize, ToSchema)]
struct ListedBackend {
    #[serde(flatten)]
    backend: Backend,
    #[serde(flatten)]
    usage: BackendUsage,
}

/// What depends on the keys of a backend.
#[derive(Clone, Default, Serialize, ToSchema)]
struct BackendUsage {
    /// Key versions that something depends on.
    keys_in_use: u64,
    objects: u64,
    bytes: u64,
    uploads: u64,
}

/// A backend that was taken away.
#[derive(Serialize, ToSchema)]
pub(crate) struct RemovedBackend {
    success: bool,
    message: String,
    name: String,
}

/// Which page.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct Page {
    /// Those of this backend only.
    backend: Option<String>,
    /// The most entries of a page, 1 to 500.
    limit: Option<usize>,
    /// The `next_marker` of the page before.
    marker: Option<String>,
}

impl Subject for Page {}

/// A page of key versions that something depends on, by backend, key id and version.
#[derive(Serialize, ToSchema)]
pub(crate) struct KeysInUse {
    keys: Vec<KeyInUse>,
    truncated: bool,
    next_marker: Option<String>,
}

/// A version of a key that something depends on.
#[derive(Serialize, ToSchema)]
struct KeyInUse {
    backend: String,
    key_id: String,
    version: u32,
    objects: u64,
    bytes: u64,
    uploads: u64,
    buckets: Vec<BucketUsage>,
}

pub(crate) async fn list(call: Call, _: Empty) -> Result<BackendList, ApiError> {
    let usage = usage_by_backend(&call.inner).await?;
    let backends = call.inner.parts.keyring.status().await.backends.into_iter().map(|status| {
        let usage = usage.get(&status.name).cloned().unwrap_or_default();
        ListedBackend { backend: status.into(), usage }
    });
    Ok(BackendList { backends: backends.collect() })
}

pub(crate) async fn remove(call: Call, Path(name): Path) -> Result<RemovedBackend, ApiError> {
    call.note("name", &name);
    let live = call.inner.parts.keyring.backends();
    if !live.contains(&name) {
        return Err(crate::http::no_such_backend(&name, &live));
    }
    require_unused(&call, &name).await?;
    // What was committed meanwhile is seen at the second look, and nothing is committed after that.
    let _closed = call.inner.parts.keyring.close_backend(&name).await?;
    require_unused(&call, &name).await?;
    call.inner.parts.keyring.remove_backend(&name).await?;
    Ok(RemovedBackend { success: true, message: "backend removed".to_owned(), name })
}

async fn require_unused(call: &Call, name: &str) -> Result<(), ApiError> {
    let Some(usage) = usage_by_backend(&call.inner).await?.remove(name) else { return Ok(()) };
    let message = format!(
        "{} objects of {} bytes and {} uploads depend on keys of {name}: move them with POST /kms/rekey {{\"from_backend\": \"{name}\"}} first.",
        usage.objects, usage.bytes, usage.uploads
    );
    Err(ApiError::conflict("BackendInUse", message))
}

pub(crate) async fn keys_in_use(call: Call, Query(page): Query<Page>) -> Result<KeysInUse, ApiError> {
    let limit = page.limit.unwrap_or(DEFAULT_LIMIT);
    if limit == 0 || limit > MAX_LIMIT {
        return Err(ApiError::invalid(format!("limit: expected 1 to {MAX_LIMIT}")));
    }
    let after = match page.marker.as_deref().filter(|marker| !marker.is_empty()) {
        Some(marker) => Some(parse_marker(marker).ok_or_else(|| ApiError::invalid("marker: expected a next_marker"))?),
        // No id of a key is empty, so this comes before every key of the backend.
        None => page.backend.clone().map(|backend| KeyRef { backend, key_id: String::new(), version: 0 }),
    };
    let mut found = call.inner.parts.engine.keys_in_use(after, limit + 1).await?;
    found.retain(|usage| page.backend.as_ref().is_none_or(|backend| usage.backend == *backend));
    let truncated = found.len() > limit;
    found.truncate(limit);
    let next_marker = found.last().filter(|_| truncated).map(|usage| marker(&key_of(usage)));
    Ok(KeysInUse { keys: found.into_iter().map(KeyInUse::from).collect(), truncated, next_marker })
}

impl From<KeyVersionUsage> for KeyInUse {
    fn from(usage: KeyVersionUsage) -> Self {
        let KeyVersionUsage { backend, key_id, version, objects, bytes, uploads, buckets } = usage;
        let buckets = buckets.into_iter().map(BucketUsage::from).collect();
        Self { backend, key_id, version, objects, bytes, uploads, buckets }
    }
}

async fn usage_by_backend(inner: &Inner) -> Result<BTreeMap<String, BackendUsage>, ApiError> {
    let mut by_backend: BTreeMap<String, BackendUsage> = BTreeMap::new();
    let mut after = None;
    loop {
        let page = inner.parts.engine.keys_in_use(after, MAX_LIMIT).await?;
        for usage in &page {
            let sum = by_backend.entry(usage.backend.clone()).or_default();
            sum.keys_in_use += 1;
            sum.objects += usage.objects;
            sum.bytes += usage.bytes;
            sum.uploads += usage.uploads;
        }
        let Some(last) = page.last() else { return Ok(by_backend) };
        after = Some(key_of(last));
    }
}

fn key_of(usage: &KeyVersionUsage) -> KeyRef {
    KeyRef { backend: usage.backend.clone(), key_id: usage.key_id.clone(), version: usage.version }
}

/// `backend/key id/version`; neither name can hold a slash.
fn marker(key: &KeyRef) -> String {
    format!("{}/{}/{}", key.backend, key.key_id, key.version)
}

fn parse_marker(marker: &str) -> Option<KeyRef> {
    let mut fields = marker.rsplitn(3, '/');
    let (version, key_id, backend) = (fields.next()?, fields.next()?, fields.next()?);
    Some(KeyRef { backend: backend.to_owned(), key_id: key_id.to_owned(), version: version.parse().ok()? })
}
