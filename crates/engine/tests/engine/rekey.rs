//! What re-keying changes, and what it leaves as it was.

use std::collections::BTreeMap;

use strongroom_engine::api::{ChecksumAlgorithm, ChecksumKind, UploadChecksum};
use strongroom_engine::{
    Error,
    api::{CompleteMultipartUpload, CreateBucket, CreateMultipartUpload, PutObject, UploadRef},
    rekey::{JobState, RekeyMode, RekeyRequest},
};
use strongroom_kms::KeyLifecycle as _;

use crate::common::*;

const ALL: [As; 6] = [As::Store, As::S3, As::Kms, As::BucketKey, As::Dsse, As::Customer(1)];

/// An object of every mode and shape; the multipart ones with checksums of their parts.
async fn fill(rig: &Rig) -> Vec<(String, As)> {
    let mut objects = Vec::new();
    for by in ALL {
        for shape in SHAPES {
            let key = format!("{by:?}/{shape:?}");
            if shape == Shape::Multipart {
                checked_multipart(rig, &key, by).await;
            } else {
                shape.put(rig, &key, by).await;
            }
            objects.push((key, by));
        }
    }
    objects
}

async fn begin(rig: &Rig, key: &str, by: As) -> UploadRef {
    let request = CreateMultipartUpload {
        checksum_algorithm: Some(ChecksumAlgorithm::Sha256),
        checksum_kind: Some(ChecksumKind::Composite),
        ..create_request(key, by.write())
    };
    let created = rig.engine.create_multipart_upload(&rig.root, request).await.unwrap();
    UploadRef { bucket: BUCKET.into(), key: key.into(), upload_id: created.upload_id }
}

async fn checked_multipart(rig: &Rig, key: &str, by: As) {
    let upload = begin(rig, key, by).await;
    let mut parts = Vec::new();
    for number in 1..=2 {
        parts.push(rig.upload_part(&upload, number, by, &data(70_000, 3)).await);
    }
    let request = CompleteMultipartUpload { sse: by.read(), ..complete_request(&upload, parts) };
    rig.engine.complete_multipart_upload(&rig.root, request).await.unwrap();
}

async fn all_seen(rig: &Rig, objects: &[(String, As)]) -> BTreeMap<String, Seen> {
    let mut seen = BTreeMap::new();
    for (key, by) in objects {
        seen.insert(key.clone(), rig.seen(key, *by).await);
    }
    seen
}

#[tokio::test]
async fn re_keying_moves_every_object_to_the_present_version_of_its_key_and_changes_nothing_else() {
    for rig in [Rig::new().await, Rig::sqlite().await] {
        let objects = fill(&rig).await;
        let (before, blobs) = (all_seen(&rig, &objects).await, rig.blob_ids().await);
        rig.keys.rotate_key(KEY).await.unwrap();
        rig.keys.rotate_key("default").await.unwrap();
        rig.reset_counts();
        let job = rig.rekey(RekeyRequest::default()).await;
        // SSE-C objects are looked at and passed over, those without encryption are none of its business.
        assert_eq!((job.state, job.total, counts(&job), job.remaining), (JobState::Completed, 15, (12, 3, 0), 0));
        assert_eq!(job.bytes, 4 * (1000 + 150_000 + 140_000));
        assert_eq!(rig.blobs.counts().reads, 0, "no data is read");
        assert_eq!(all_seen(&rig, &objects).await, before);
        assert_eq!(rig.blob_ids().await, blobs);
        assert_eq!(rig.usage(KEY).await, [(2, (9, 0))].into());
        assert_eq!(rig.usage("default").await, [(2, (3, 0))].into());
        let again = rig.rekey(RekeyRequest::default()).await;
        assert_eq!((again.state, counts(&again)), (JobState::Completed, (0, 15, 0)));
        assert_eq!(rig.engine.integrity_events(), 0);
    }
}

#[tokio::test]
async fn when_nothing_depends_on_a_key_any_more_it_can_be_deleted() {
    for rig in [Rig::new().await, Rig::sqlite().await] {
        let objects = fill(&rig).await;
        let before = all_seen(&rig, &objects).await;
        let mut uploads = Vec::new();
        for by in [As::Kms, As::BucketKey, As::Dsse] {
            let upload = begin(&rig, &format!("open/{by:?}"), by).await;
            let part = rig.upload_part(&upload, 1, by, &data(70_000, 5)).await;
            uploads.push((upload, part, by));
        }
        let job = rig.rekey(RekeyRequest { from_key: Some(KEY.into()), to_key: Some(OTHER_KEY.into()), ..RekeyRequest::default() }).await;
        assert_eq!((job.state, job.total, counts(&job)), (JobState::Completed, 12, (12, 0, 0)));
        assert_eq!(rig.engine.key_usage("local", KEY).await.unwrap(), strongroom_engine::rekey::KeyUsageReport::default());
        assert_eq!(rig.usage(OTHER_KEY).await, [(1, (9, 3))].into());
        rig.keys.delete_now(KEY, KEY).await.unwrap();
        assert_eq!(all_seen(&rig, &objects).await, before);
        for (upload, part, by) in uploads {
            let second = rig.upload_part(&upload, 2, by, &data(10, 6)).await;
            rig.complete(&upload, vec![part, second]).await.unwrap();
            let seen = rig.seen(&upload.key, by).await;
            assert_eq!((seen.data, seen.mode, seen.parts.len()), ([data(70_000, 5), data(10, 6)].concat(), by.mode(), 2));
        }
    }
}

#[tokio::test]
async fn a_client_sees_the_new_key_and_keeps_its_context() {
    let rig = Rig::new().await;
    let mut sse = As::Kms.write();
    sse.kms_context = Some("eyJ0ZWFtIjoicmVkIn0=".into());
    rig.engine.put_object(&rig.root, put_request("object", sse, b"data")).await.unwrap();
    let arn = format!("arn:aws:kms:eu:1:key/{OTHER_KEY}");
    rig.rekey(RekeyRequest { to_key: Some(arn.clone()), ..RekeyRequest::default() }).await;
    let info = rig.head("object", As::Kms).await.unwrap().info;
    assert_eq!(info.sse.kms_key_id, Some(arn));
    assert_eq!(info.sse.kms_context.as_deref(), Some("eyJ0ZWFtIjoicmVkIn0="));
    assert_eq!(rig.get("object", As::Kms).await.unwrap(), b"data");
}

#[tokio::test]
async fn plain_objects_become_sse_s3_where_that_is_asked_for() {
    let rig = Rig::sqlite().await;
    let mut objects = Vec::new();
    for shape in SHAPES {
        let key = format!("{shape:?}");
        shape.put(&rig, &key, As::Store).await;
        objects.push((key, As::Store));
    }
    let open = begin(&rig, "open", As::Store).await;
    let part = rig.upload_part(&open, 1, As::Store, b"part").await;
    let (before, blobs) = (all_seen(&rig, &objects).await, rig.blob_ids().await);
    let request = RekeyRequest { encrypt_plain: true, mode: Some(RekeyMode::None), ..in_bucket() };
    let job = rig.rekey(request.clone()).await;
    assert_eq!((job.state, counts(&job)), (JobState::Completed, (4, 0, 0)));
    let mut expected = before;
    for seen in expected.values_mut() {
        seen.mode = As::S3.mode();
    }
    assert_eq!(all_seen(&rig, &objects).await, expected, "the ETag is the MD5 it was");
    assert_eq!(rig.blob_ids().await, blobs);
    assert_eq!(rig.usage("default").await, [(1, (3, 1))].into());
    rig.complete(&open, vec![part]).await.unwrap();
    assert_eq!(rig.seen("open", As::S3).await.mode, As::S3.mode());
    let named = RekeyRequest { to_key: Some(KEY.into()), encrypt_plain: true, ..in_bucket() };
    rig.put("plain", As::Store, b"plain").await;
    rig.rekey(named).await;
    assert_eq!(rig.usage(KEY).await, [(1, (5, 0))].into(), "SSE-S3 goes to the key that was named, too");
}

#[tokio::test]
async fn a_dry_run_counts_and_changes_nothing() {
    let rig = Rig::sqlite().await;
    fill(&rig).await;
    rig.keys.rotate_key(KEY).await.unwrap();
    let rows = |rig: &Rig| -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
        let connection = rig.rows();
        let mut statement = connection.prepare("SELECT record, sealed_keys FROM versions ORDER BY id").unwrap();
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
    };
    let before = rows(&rig);
    rig.reset_counts();
    let job = rig.rekey(RekeyRequest { dry_run: true, ..RekeyRequest::default() }).await;
    assert_eq!((job.state, counts(&job), job.bytes), (JobState::Completed, (9, 6, 0), 3 * 291_000));
    assert_eq!(rig.kms.counts().unwrap, 0, "no key is opened");
    assert_eq!(rows(&rig), before);
    assert_eq!(rig.usage(KEY).await, [(1, (9, 0))].into());
}

#[tokio::test]
async fn only_what_is_in_the_scope_is_re_keyed() {
    let rig = Rig::new().await;
    rig.engine.create_bucket(&rig.root, CreateBucket { name: "other".into(), ..CreateBucket::default() }).await.unwrap();
    for (key, by) in [("a/kms", As::Kms), ("a/s3", As::S3), ("b/kms", As::Kms), ("b/dsse", As::Dsse)] {
        rig.put(key, by, key.as_bytes()).await;
        let request = PutObject { bucket: "other".into(), ..put_request(key, by.write(), key.as_bytes()) };
        rig.engine.put_object(&rig.root, request).await.unwrap();
    }
    let to = |request: RekeyRequest| RekeyRequest { to_key: Some(OTHER_KEY.into()), dry_run: true, ..request };
    let prefix = |prefix: &str| Some(prefix.to_owned());
    for (request, expected) in [
        (RekeyRequest::default(), 8),
        (in_bucket(), 4),
        (RekeyRequest { prefix: prefix("a/"), ..in_bucket() }, 2),
        (RekeyRequest { prefix: prefix("a/"), ..RekeyRequest::default() }, 4),
        (RekeyRequest { mode: Some(RekeyMode::SseKms), ..in_bucket() }, 2),
        (RekeyRequest { mode: Some(RekeyMode::DsseKms), ..RekeyRequest::default() }, 2),
        (RekeyRequest { from_key: Some("arn:aws:kms:::key/alpha".into()), ..RekeyRequest::default() }, 6),
        (RekeyRequest { from_key: Some(KEY.into()), from_version: Some(1), ..in_bucket() }, 3),
        (RekeyRequest { from_key: Some(KEY.into()), from_version: Some(2), ..in_bucket() }, 0),
        (RekeyRequest { from_backend: Some("local".into()), ..in_bucket() }, 4),
        (RekeyRequest { from_backend: Some("vault".into()), ..in_bucket() }, 0),
    ] {
        let job = rig.rekey(to(request.clone())).await;
        assert_eq!((job.total, counts(&job)), (expected, (expected, 0, 0)), "{request:?}");
    }
}

#[tokio::test]
async fn requests_that_make_no_sense_are_refused() {
    let rig = Rig::new().await;
    let start = |request| rig.engine.start_rekey(request, starter(&rig.root));
    for request in [
        RekeyRequest { from_version: Some(1), ..RekeyRequest::default() },
        RekeyRequest { max_objects_per_second: Some(0), ..RekeyRequest::default() },
        RekeyRequest { mode: Some(RekeyMode::None), ..RekeyRequest::default() },
        RekeyRequest { mode: Some(RekeyMode::SseS3), encrypt_plain: true, ..RekeyRequest::default() },
        RekeyRequest { from_key: Some(KEY.into()), encrypt_plain: true, ..RekeyRequest::default() },
    ] {
        assert!(matches!(start(request.clone()).await, Err(Error::InvalidArgument(_))), "{request:?}");
    }
    for key in ["no-such", "strongroom-store", "alias/x"] {
        let refused = start(RekeyRequest { to_key: Some(key.into()), ..RekeyRequest::default() }).await;
        assert!(matches!(refused, Err(Error::KmsKeyNotFound(_))), "{key}: {refused:?}");
    }
    let refused = start(RekeyRequest { bucket: Some("no-such".into()), ..RekeyRequest::default() }).await;
    assert!(matches!(refused, Err(Error::NoSuchBucket)));
    rig.keys.disable_key(OTHER_KEY).await.unwrap();
    let refused = start(RekeyRequest { to_key: Some(OTHER_KEY.into()), ..RekeyRequest::default() }).await;
    assert!(matches!(refused, Err(Error::KmsKeyDisabled(_))));
    assert_eq!(rig.engine.rekey_jobs().await.unwrap(), []);
    let without = Rig::with(Plan { with_kms: false, ..Plan::default() }).await;
    let refused = without.engine.start_rekey(RekeyRequest::default(), starter(&rig.root)).await;
    assert!(matches!(refused, Err(Error::KmsNotConfigured)));
}

#[tokio::test]
async fn part_checksums_still_verify_after_a_change_of_key() {
    let rig = Rig::sqlite().await;
    checked_multipart(&rig, "object", As::Kms).await;
    let before = rig.seen("object", As::Kms).await;
    assert!(before.parts.iter().all(|(_, _, checksum)| checksum.is_some()));
    rig.rekey(RekeyRequest { to_key: Some(OTHER_KEY.into()), ..RekeyRequest::default() }).await;
    assert_eq!(rig.seen("object", As::Kms).await, before);
    let checked = PutObject {
        checksum: UploadChecksum { algorithm: Some(ChecksumAlgorithm::Crc32), ..UploadChecksum::default() },
        ..put_request("whole", As::Dsse.write(), b"whole")
    };
    rig.engine.put_object(&rig.root, checked).await.unwrap();
    let before = rig.seen("whole", As::Dsse).await;
    rig.rekey(RekeyRequest { to_key: Some(OTHER_KEY.into()), ..RekeyRequest::default() }).await;
    assert_eq!(rig.seen("whole", As::Dsse).await, before);
}
