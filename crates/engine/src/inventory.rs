//! The inventory: in which mode and under which version of which key each version of an object lies, and what locks it, page by page.
//!
//! A page is a walk of bounded length through the catalog, in steps that read a few rows each: no transaction outlives a step, and a client
//! may take hours between two pages. Nothing is held for it meanwhile. Each row is opened before it is shown; one that was altered is
//! reported as such. Delete markers hold no data and are not in it.

use strongroom_catalog::{KeyRef, Scope, ScopePlace, ScopedVersion, UnixMillis};
use strongroom_seal::Mode;

use crate::{Engine, Error, api::ObjectLock, ids, lock::Locked, sse::mode_of};

/// The most rows that a page looks at.
pub const MAX_PAGE: usize = 1000;
/// So many rows are read at a time. One of ten thousand parts with checksums brings a megabyte with it.
const STEP: usize = 32;
/// What a page may take: a step's rows, and its own lines.
const PAGE_MEMORY_BYTES: usize = 2 << 20;

/// Which versions. The default is all of them.
#[derive(Clone, Debug, Default)]
pub struct InventoryRequest {
    /// Those of this bucket.
    pub bucket: Option<String>,
    /// Those whose key begins so.
    pub prefix: Option<String>,
    /// Those of this mode.
    pub mode: Option<Mode>,
    /// Those under a key of this backend.
    pub backend: Option<String>,
    /// Those under this key.
    pub key_id: Option<String>,
    /// Those under this version of it.
    pub key_version: Option<u32>,
}

/// A page. It may be empty though more follows.
#[derive(Clone, Debug, Default)]
pub struct InventoryPage {
    /// Versions that are what was stored.
    pub versions: Vec<InventoryVersion>,
    /// Rows that are not.
    pub altered: Vec<AlteredVersion>,
    /// Rows that make so little sense that not even a name can be told of them.
    pub unreadable: u64,
    /// Where the next page begins; none after the last.
    pub next: Option<String>,
}

/// A version, what it is encrypted with, and what locks it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InventoryVersion {
    /// Its bucket.
    pub bucket: String,
    /// Its key: the object's name.
    pub key: String,
    /// Its id; `null` for one that clients see without.
    pub version_id: String,
    /// Whether it is the present one.
    pub is_latest: bool,
    /// Length in bytes, as clients see it.
    pub size_bytes: u64,
    /// Last-Modified.
    pub modified: UnixMillis,
    /// How it is encrypted.
    pub mode: Mode,
    /// The version of the KMS key; none for SSE-C and without encryption.
    pub kms_key: Option<KeyRef>,
    /// Whether it lies under a bucket key.
    pub bucket_key: bool,
    /// What keeps it from being deleted.
    pub lock: ObjectLock,
}

/// A row that was altered, with the names that stand in it now. They may be what was altered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlteredVersion {
    /// The bucket that it is in now.
    pub bucket: String,
    /// The key that it has now.
    pub key: String,
    /// The id that it has now.
    pub version_id: String,
}

impl Engine {
    /// A page of the inventory, which looks at `limit` rows at most. `marker` is where the page before said that this one begins.
    pub async fn inventory(&self, request: &InventoryRequest, marker: Option<&str>, limit: usize) -> Result<InventoryPage, Error> {
        if !(1..=MAX_PAGE).contains(&limit) {
            return Err(Error::InvalidArgument(format!("limit: expected 1 to {MAX_PAGE}")));
        }
        let mut place = Some(marker.map(parse_marker).transpose()?.unwrap_or_default());
        let scope = self.inventory_scope(request).await?;
        let _memory = self.budget().hold(PAGE_MEMORY_BYTES).await?;
        let (mut page, mut left) = (InventoryPage::default(), limit);
        while let Some(after) = place.take_if(|_| left > 0) {
            let step = left.min(STEP);
            let found = self.catalog().versions_in(scope.clone(), after, step).await?;
            for version in found.items {
                self.add_to(&mut page, version)?;
            }
            for _ in 0..found.unreadable {
                let _ = self.integrity().note(Error::Integrity("a row makes no sense".into()), "", "");
            }
            page.unreadable += found.unreadable;
            (place, left) = (found.next, left - step);
        }
        page.next = place.map(|place| shown_marker(&place));
        Ok(page)
    }

    async fn inventory_scope(&self, request: &InventoryRequest) -> Result<Scope, Error> {
        let bucket_id = match &request.bucket {
            Some(bucket) => Some(self.bucket(bucket).await?.id),
            None => None,
        };
        Ok(Scope {
            bucket_id,
            prefix: request.prefix.clone().unwrap_or_default(),
            backend: request.backend.clone(),
            key_id: request.key_id.clone(),
            key_version: request.key_version,
            modes: request.mode.map(Mode::as_u8).into_iter().collect(),
        })
    }

    fn add_to(&self, page: &mut InventoryPage, found: ScopedVersion) -> Result<(), Error> {
        let (bucket, key, version_id) = (found.bucket.name.clone(), found.version.key.clone(), found.version.version_id);
        match self.inventoried(found) {
            Ok(version) => page.versions.push(version),
            Err(Error::Integrity(_)) => page.altered.push(AlteredVersion { bucket, key, version_id: version_id.to_string() }),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn inventoried(&self, found: ScopedVersion) -> Result<InventoryVersion, Error> {
        let (bucket, version) = (self.trusted(found.bucket)?, found.version);
        let record = self.record_of(&bucket, &version)?;
        let envelope = version.envelope.as_ref().ok_or_else(|| Error::Integrity("it has no envelope".into()))?;
        Ok(InventoryVersion {
            version_id: ids::shown(bucket.versioning, &version).unwrap_or_else(|| ids::NULL.into()),
            bucket: bucket.name.clone(),
            is_latest: version.is_latest,
            size_bytes: version.size_bytes,
            modified: version.modified,
            mode: mode_of(envelope)?,
            kms_key: envelope.key.clone(),
            bucket_key: record.sse.bucket_key,
            lock: Locked { lock: version.lock, recorded: record.lock }.shown(),
            key: version.key,
        })
    }
}

/// The position, and in a walk through keys the key, in hexadecimal.
fn shown_marker(place: &ScopePlace) -> String {
    match &place.key {
        Some(key) => format!("{}-{}", place.position, hex::encode(key)),
        None => place.position.to_string(),
    }
}

fn parse_marker(marker: &str) -> Result<ScopePlace, Error> {
    let parsed = || {
        let (position, key) = match marker.split_once('-') {
            Some((position, key)) => (position, Some(String::from_utf8(hex::decode(key).ok()?).ok()?)),
            None => (marker, None),
        };
        Some(ScopePlace { key, position: position.parse().ok()? })
    };
    parsed().ok_or_else(|| Error::InvalidArgument("marker: expected the next_marker of the page before".into()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_is_read_as_it_was_shown() {
        for key in [None, Some(String::new()), Some("a-key/ü\n".to_owned())] {
            let place = ScopePlace { key, position: 7 };
            assert_eq!(parse_marker(&shown_marker(&place)).unwrap(), place);
        }
        for wrong in ["", "x", "7-0", "7-zz", "7-ff", "-", "99999999999999999999"] {
            assert!(matches!(parse_marker(wrong), Err(Error::InvalidArgument(_))), "{wrong}");
        }
    }
}
