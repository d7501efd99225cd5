//! Values to fill a catalog with.

use std::fmt::Debug;

use crate::{
    BlobId, BlobUse, Bucket, BucketId, CatalogError, Envelope, KeyRef, Lock, NewVersion, Part, Upload, UploadId, VersionData, VersionId,
    Versioning,
};

/// An id made of a kind and a number, so that failures can be read.
pub fn id<I: From<[u8; 16]>>(kind: u8, number: u64) -> I {
    let mut id = [kind; 16];
    id[8..].copy_from_slice(&number.to_be_bytes());
    I::from(id)
}

/// A bucket of that name and id.
pub fn bucket(name: &str, bucket_id: BucketId, versioning: Versioning) -> Bucket {
    let owner = format!("owner of {name}");
    Bucket {
        id: bucket_id,
        name: name.to_owned(),
        owner,
        region: "eu-1".to_owned(),
        created: 7,
        versioning,
        revision: 1,
        record: vec![7; 32],
        former: None,
    }
}

/// Sealed keys, under a key of the backend `local` where one is given.
pub fn envelope(key: Option<(&str, u32)>, seed: u8) -> Envelope {
    let key = key.map(|(key_id, version)| KeyRef { backend: "local".to_owned(), key_id: key_id.to_owned(), version });
    let wrapped_key = if key.is_some() { vec![seed; 40] } else { Vec::new() };
    Envelope { mode: seed % 4, key, wrapped_key, sealed_keys: vec![seed; 60] }
}

/// A version of four bytes, inline.
pub fn version(bucket_id: BucketId, key: &str, version_id: VersionId) -> NewVersion {
    let seed = version_id.0[15];
    NewVersion {
        bucket_id,
        key: key.to_owned(),
        version_id,
        size_bytes: 4,
        modified: i64::from(seed),
        lock: Lock::default(),
        envelope: envelope(None, seed),
        record: vec![seed; 9],
        data: VersionData { manifest: vec![seed; 5], part_record: vec![seed; 3], inline: Some(vec![seed; 20]) },
        blobs: Vec::new(),
        upload_id: None,
        event: None,
    }
}

/// The same, in blobs.
pub fn version_in(bucket_id: BucketId, key: &str, version_id: VersionId, blobs: Vec<BlobUse>) -> NewVersion {
    let mut version = version(bucket_id, key, version_id);
    version.data.inline = None;
    version.blobs = blobs;
    version
}

/// A blob of 20 bytes that was just written.
pub fn new_blob(blob: BlobId) -> BlobUse {
    BlobUse::New { id: blob, len_bytes: 20 }
}

/// An upload under no KMS key; its version has the number of its last byte.
pub fn upload(bucket_id: BucketId, key: &str, upload_id: UploadId, initiated: i64) -> Upload {
    let seed = upload_id.0[15];
    let version_id = id(b'V', u64::from(seed));
    let initiator = "someone".to_owned();
    Upload {
        upload_id,
        bucket_id,
        key: key.to_owned(),
        version_id,
        initiated,
        initiator,
        envelope: envelope(None, seed),
        record: vec![seed],
    }
}

/// A part of four bytes.
pub fn part(number: u16, blob: BlobId) -> Part {
    Part { number, blob, blob_len_bytes: 20, size_bytes: 4, modified: 3, record: vec![blob.0[15]; 4] }
}

/// Results compared by what a caller can tell apart: errors by their variant and, but for damage, their text.
pub fn answer<T: Debug>(result: Result<T, CatalogError>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        Err(CatalogError::Damaged(_)) => "Err(Damaged)".to_owned(),
        Err(error) => format!("Err({error:?})"),
    }
}
