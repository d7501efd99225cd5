//! What depends on a key: what would be lost with it.

use serde::{Deserialize, Serialize};
use strongroom_engine::rekey::KeyBucketUsage;
use utoipa::ToSchema;

use crate::admin::Inner;
use crate::http::{ApiError, Call, KeyPath};

/// What depends on a key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = KeyUsageReport)]
pub(crate) struct Usage {
    pub(crate) backend: String,
    pub(crate) key_id: String,
    /// Object versions.
    pub(crate) objects: u64,
    /// Their bytes, as clients see them.
    pub(crate) bytes: u64,
    /// Uploads in parts that are under way.
    pub(crate) uploads: u64,
    /// By version of the key.
    pub(crate) versions: Vec<VersionUsage>,
}

/// What depends on one version of a key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct VersionUsage {
    pub(crate) version: u32,
    pub(crate) objects: u64,
    pub(crate) bytes: u64,
    pub(crate) uploads: u64,
    pub(crate) buckets: Vec<BucketUsage>,
}

/// What of a bucket depends on it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct BucketUsage {
    pub(crate) bucket: String,
    pub(crate) objects: u64,
    pub(crate) bytes: u64,
}

impl From<KeyBucketUsage> for BucketUsage {
    fn from(usage: KeyBucketUsage) -> Self {
        let KeyBucketUsage { bucket, objects, bytes } = usage;
        Self { bucket, objects, bytes }
    }
}

impl Usage {
    pub(crate) fn is_nothing(&self) -> bool {
        self.objects == 0 && self.uploads == 0
    }

    /// The names of the buckets, each once, in order.
    pub(crate) fn buckets(&self) -> Vec<String> {
        let names = self.versions.iter().flat_map(|version| version.buckets.iter().map(|bucket| bucket.bucket.clone()));
        names.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
    }
}

pub(crate) async fn usage(call: Call, KeyPath(given): KeyPath) -> Result<Usage, ApiError> {
    let backend = call.backend_name()?;
    usage_of(&call.inner, &backend, call.key_id(&given)?).await
}

pub(crate) async fn usage_of(inner: &Inner, backend: &str, key_id: &str) -> Result<Usage, ApiError> {
    let report = inner.parts.engine.key_usage(backend, key_id).await?;
    let versions = report.versions.into_iter().map(|version| VersionUsage {
        version: version.version,
        objects: version.objects,
        bytes: version.bytes,
        uploads: version.uploads,
        buckets: version.buckets.into_iter().map(BucketUsage::from).collect(),
    });
    Ok(Usage {
        backend: backend.to_owned(),
        key_id: key_id.to_owned(),
        versions: versions.collect(),
        objects: report.objects,
        bytes: report.bytes,
        uploads: report.uploads,
    })
}
