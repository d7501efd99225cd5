//! Committing a version: the last step of PutObject, CopyObject and CompleteMultipartUpload.

use strongroom_catalog::{BlobUse, Bucket, Envelope, NewVersion, VersionData};
use strongroom_seal::{Manifest, ManifestPart};

use crate::{
    Engine, Error,
    api::{Checksum, ObjectHeaders, SseReply, Stored},
    ids,
    ingest::{Ingested, Placement},
    record::{Etag, ObjectRecord, RecordedSse, VersionBinding, seal_part_checksums},
    sse::Identified,
};

/// All of a version but its bytes.
pub(crate) struct Draft<'a> {
    pub(crate) at: Identified<'a>,
    pub(crate) envelope: Envelope,
    pub(crate) recorded: RecordedSse,
    pub(crate) headers: ObjectHeaders,
    pub(crate) etag: Etag,
    pub(crate) checksum: Option<Checksum>,
    pub(crate) parts_count: Option<u32>,
}

/// The bytes of a version.
pub(crate) struct Bytes {
    pub(crate) manifest: Manifest,
    /// Checksums in the order of the manifest's parts.
    pub(crate) part_checksums: Vec<Option<Checksum>>,
    pub(crate) inline: Option<Vec<u8>>,
    pub(crate) blobs: Vec<BlobUse>,
}

impl Bytes {
    /// The bytes of one body that was just taken in, as part `number`.
    pub(crate) fn of_body(ingested: &mut Ingested, number: u16) -> Result<Self, Error> {
        let manifest = manifest(vec![ingested.manifest_part(number)])?;
        let (inline, blobs) = match &mut ingested.placement {
            Placement::Inline(sealed) => (Some(std::mem::take(sealed)), Vec::new()),
            Placement::Blob(blob) => (None, vec![BlobUse::New { id: blob.id, len_bytes: blob.len_bytes }]),
        };
        Ok(Self { manifest, part_checksums: Vec::new(), inline, blobs })
    }
}

/// A manifest of parts that this server made: that the format refuses it would be a defect.
pub(crate) fn manifest(parts: Vec<ManifestPart>) -> Result<Manifest, Error> {
    Manifest::new(parts).map_err(|error| Error::Internal(error.into()))
}

impl Engine {
    /// The catalog's row for a draft and its bytes.
    pub(crate) fn new_version(&self, draft: &Draft<'_>, bytes: Bytes) -> Result<NewVersion, Error> {
        let Identified { bucket, key, version_id } = draft.at;
        let (size_bytes, modified) = (bytes.manifest.total_len(), ids::now_ms());
        let binding = VersionBinding { bucket_id: &bucket.id, key, version_id, size_bytes, modified, mode: draft.envelope.mode };
        let record = ObjectRecord {
            etag: draft.etag.clone(),
            headers: draft.headers.clone(),
            checksum: draft.checksum.clone(),
            parts_count: draft.parts_count,
            sse: draft.recorded.clone(),
            manifest_sha256: hex::encode(bytes.manifest.digest()),
        };
        Ok(NewVersion {
            bucket_id: bucket.id,
            key: key.to_owned(),
            version_id: *version_id,
            size_bytes,
            modified,
            envelope: draft.envelope.clone(),
            record: record.seal(self.store_key(), &binding)?,
            data: VersionData {
                manifest: bytes.manifest.encode(),
                part_record: seal_part_checksums(self.store_key(), &binding, &bytes.part_checksums)?,
                inline: bytes.inline,
            },
            blobs: bytes.blobs,
            upload_id: None,
        })
    }
}

/// The answer to a write.
pub(crate) fn stored(draft: &Draft<'_>, sse: SseReply, size_bytes: u64, is_null: bool) -> Stored {
    Stored {
        etag: draft.etag.shown.clone(),
        version_id: shown(draft.at.bucket, draft.at.version_id, is_null),
        sse,
        checksum: draft.checksum.clone(),
        size_bytes,
    }
}

fn shown(bucket: &Bucket, version_id: &[u8; 16], is_null: bool) -> Option<String> {
    ids::shown_version(bucket.versioning, version_id, is_null)
}
