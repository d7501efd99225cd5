#![allow(clippy::unwrap_used)]

use super::*;
use crate::{
    api::{ObjectHeaders, SseHeaders, WriteCondition},
    record::{Etag, RecordedLock},
};

const MD5: &str = "0123456789abcdef0123456789abcdef";
const OTHER_MD5: &str = "fedcba9876543210fedcba9876543210";

fn request(named: &[(i32, &str)]) -> CompleteMultipartUpload {
    let parts = named.iter().map(|(number, etag)| CompletedPart { number: *number, etag: (*etag).to_owned(), checksum: None });
    CompleteMultipartUpload {
        upload: UploadRef { bucket: "b".to_owned(), key: "k".to_owned(), upload_id: String::new() },
        parts: parts.collect(),
        sse: SseHeaders::default(),
        checksum: None,
        checksum_kind: None,
        object_size_bytes: None,
        condition: WriteCondition::None,
    }
}

fn record(shown: &str, md5: Option<String>) -> ObjectRecord {
    ObjectRecord {
        etag: Etag { shown: shown.to_owned(), md5 },
        headers: ObjectHeaders::default(),
        checksum: None,
        parts_count: Some(2),
        completed_with: None,
        tags: Vec::new(),
        lock: RecordedLock::default(),
        acl: None,
        sse: RecordedSse::default(),
        manifest_sha256: String::new(),
    }
}

#[test]
fn of_an_object_that_an_earlier_version_completed_only_the_md5_proves_which_request_it_was() {
    let (same, other) = (request(&[(1, MD5), (2, MD5)]), request(&[(1, MD5), (2, OTHER_MD5)]));
    let md5 = md5_of(&same.parts).unwrap();
    let known = record(&md5, Some(md5.clone()));
    assert!(is_repeated(&same, 4, &known));
    assert!(!is_repeated(&other, 4, &known));
    // Under the KMS modes an earlier version could not tell two parts from two others.
    let hidden = record(&format!("{OTHER_MD5}-2"), None);
    assert!(!is_repeated(&same, 4, &hidden));
}

#[test]
fn the_digest_of_parts_tells_where_a_number_ends_and_an_etag_begins() {
    let digests = [
        &[(1, MD5), (2, MD5)][..],
        &[(1, MD5), (3, MD5)],
        &[(1, MD5)],
        &[(1, MD5), (2, OTHER_MD5)],
        &[(1, "ab"), (2, "c")],
        &[(1, "a"), (2, "bc")],
    ];
    let distinct: std::collections::BTreeSet<_> = digests.iter().map(|named| digest_of(&request(named).parts)).collect();
    assert_eq!(distinct.len(), digests.len());
    assert_eq!(digest_of(&request(&[(1, "a")]).parts), hex::encode(digest::digest(&digest::SHA256, b"\0\0\0\x01\0\0\0\0\0\0\0\x01a")));
}
