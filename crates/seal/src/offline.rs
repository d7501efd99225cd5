//! Opening an object without a server: from its sealed keys, its manifest and the external key.

use bytes::{Bytes, BytesMut};

use crate::{ExternalKeys, Manifest, ObjectIdentity, ObjectKeys, PartOpener, SealError, SealedObjectKeys};

/// An object whose keys are open. The caller brings the blobs.
///
/// Chunks, their order and their part are authenticated by the keys alone; that no part is missing or outdated is
/// what [`Manifest::verify`] adds, for who has the sealed record too.
pub struct OfflineObject {
    keys: ObjectKeys,
    manifest: Manifest,
}

impl OfflineObject {
    /// Opens the object keys; `sealed_keys` and `manifest` are the stored bytes.
    pub fn open(
        sealed_keys: &[u8],
        identity: &ObjectIdentity<'_>,
        external_keys: &ExternalKeys,
        manifest: &[u8],
    ) -> Result<Self, SealError> {
        let keys = SealedObjectKeys::parse(sealed_keys)?.open(external_keys, identity)?;
        Ok(Self { keys, manifest: Manifest::decode(manifest)? })
    }

    /// The parts, and the blobs they lie in.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The opener of a part, by its index in the manifest.
    pub fn part(&self, index: usize) -> Result<PartOpener, SealError> {
        let part = self.manifest.parts().get(index).ok_or(SealError::OutOfRange(index as u64))?;
        PartOpener::of(&self.keys, part)
    }

    /// Opens the whole blob of a part, by its index in the manifest; one `Bytes` for each chunk. Bytes behind the last chunk
    /// are refused.
    pub fn open_blob(&self, index: usize, blob: &[u8]) -> Result<Vec<Bytes>, SealError> {
        self.part(index)?.open_blob(BytesMut::from(blob))
    }
}
