//! What depends on a KMS key.

use serde::{Deserialize, Serialize};
use strongroom_catalog::{KeyRef, KeyUsage};
use strongroom_kms::resolve_key_id;

use crate::{Engine, Error};

/// At the most so many key versions on a page.
const MAX_ENTRIES: usize = 1000;

/// What depends on a key: what would be lost with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyUsageReport {
    /// By version of the key, the first version first; those that nothing depends on are left out.
    pub versions: Vec<KeyVersionUsage>,
    /// Object versions, all together.
    pub objects: u64,
    /// Their plaintext bytes.
    pub bytes: u64,
    /// Unfinished multipart uploads.
    pub uploads: u64,
}

/// What depends on one version of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyVersionUsage {
    /// The backend.
    pub backend: String,
    /// The key.
    pub key_id: String,
    /// The version of the key.
    pub version: u32,
    /// Object versions.
    pub objects: u64,
    /// Their plaintext bytes.
    pub bytes: u64,
    /// Unfinished multipart uploads.
    pub uploads: u64,
    /// The object versions by bucket, in the order of names.
    pub buckets: Vec<KeyBucketUsage>,
}

/// What of a bucket depends on one version of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyBucketUsage {
    /// The bucket.
    pub bucket: String,
    /// Object versions.
    pub objects: u64,
    /// Their plaintext bytes.
    pub bytes: u64,
}

impl Engine {
    /// What depends on a key of a backend; nothing does on one that is not known.
    pub async fn key_usage(&self, backend: &str, key_id: &str) -> Result<KeyUsageReport, Error> {
        let usages = self.catalog().key_usage(backend, resolve_key_id(key_id)?).await?;
        let versions: Vec<KeyVersionUsage> = usages.into_iter().map(shown).collect();
        let sum = |of: fn(&KeyVersionUsage) -> u64| versions.iter().map(of).sum();
        let (objects, bytes, uploads) = (sum(|usage| usage.objects), sum(|usage| usage.bytes), sum(|usage| usage.uploads));
        Ok(KeyUsageReport { versions, objects, bytes, uploads })
    }

    /// The key versions of all backends that something depends on, in the order of backend, key and version, greater than `after`. At the
    /// most `limit`, and 1,000.
    pub async fn keys_in_use(&self, after: Option<KeyRef>, limit: usize) -> Result<Vec<KeyVersionUsage>, Error> {
        let usages = self.catalog().keys_in_use(after, limit.min(MAX_ENTRIES)).await?;
        Ok(usages.into_iter().map(shown).collect())
    }
}

fn shown(usage: KeyUsage) -> KeyVersionUsage {
    let buckets = usage.buckets.into_iter();
    KeyVersionUsage {
        backend: usage.key.backend,
        key_id: usage.key.key_id,
        version: usage.key.version,
        objects: usage.versions,
        bytes: usage.bytes,
        uploads: usage.uploads,
        buckets: buckets.map(|of| KeyBucketUsage { bucket: of.bucket, objects: of.versions, bytes: of.bytes }).collect(),
    }
}
