//! What a bucket and the store refuse of what is written: blocked types of encryption, and what is weaker than the store's minimum.

use strongroom_engine::{
    EncryptionType, EngineOptions, Error, MinimumMode,
    api::{DefaultEncryption, EncryptionRule, SseHeaders, UpdateObjectEncryption, UploadPartCopy, UploadRef},
};

use crate::common::*;

const C: As = As::Customer(1);

fn types(name: &str) -> EncryptionRule {
    EncryptionRule { default: None, blocked: Some(vec![name.into()]) }
}

async fn block(rig: &Rig, name: &str) {
    rig.engine.set_bucket_encryption(BUCKET, types(name)).await.unwrap();
}

/// A store that blocks SSE-C unless a bucket says otherwise.
async fn blocking_store() -> Rig {
    let options = EngineOptions { blocked_encryption_types: vec![EncryptionType::SseC], ..Plan::default().options };
    Rig::with(Plan { options, ..Plan::default() }).await
}

async fn copy_part(rig: &Rig, upload: &UploadRef, from: (&str, As), to: As) -> Result<(), Error> {
    let sse = SseHeaders { customer: to.customer(), ..SseHeaders::default() };
    let source = copy_source(from.0, from.1);
    let request = UploadPartCopy { upload: upload.clone(), part_number: 2, source, range: None, sse };
    rig.engine.upload_part_copy(&rig.root, request).await.map(drop)
}

fn is_blocked<T>(result: &Result<T, Error>) -> bool {
    matches!(result, Err(Error::CustomerKeysBlocked))
}

#[tokio::test]
async fn where_sse_c_is_blocked_no_operation_writes_under_a_customer_key_and_reads_go_on() {
    for shape in SHAPES {
        let rig = Rig::new().await;
        let (data, _) = shape.put(&rig, "before", C).await;
        rig.put("plain", As::S3, b"plain").await;
        let upload = rig.create_upload("upload", C).await;
        let part = rig.upload_part(&upload, 1, C, b"part").await;
        block(&rig, "SSE-C").await;

        assert!(is_blocked(&rig.try_put("object", C, b"data").await));
        assert!(is_blocked(&rig.copy(("plain", As::S3), ("object", C)).await));
        assert!(is_blocked(&rig.copy(("before", C), ("before", As::Customer(2))).await), "nor is a rotation to another key");
        assert!(is_blocked(&rig.engine.create_multipart_upload(&rig.root, create_request("object", C.write())).await));
        assert!(matches!(rig.head("object", C).await, Err(Error::NoSuchKey)));
        // An upload begun before is no way around it.
        assert!(is_blocked(&rig.engine.upload_part(&rig.root, part_request(&upload, 2, C, b"more")).await));
        assert!(is_blocked(&copy_part(&rig, &upload, ("before", C), C).await));
        assert!(is_blocked(&copy_part(&rig, &upload, ("plain", As::S3), C).await));
        assert!(is_blocked(&rig.complete(&upload, vec![part.clone()]).await));

        assert_eq!(rig.get("before", C).await.unwrap(), data);
        assert!(rig.head("before", C).await.is_ok());
        rig.copy(("before", C), ("away", As::S3)).await.unwrap();
        assert_eq!(rig.get("away", As::S3).await.unwrap(), data, "what is there can be copied to another mode");
        for by in [As::Store, As::S3, As::Kms, As::Dsse] {
            rig.put("object", by, b"data").await;
        }

        block(&rig, "NONE").await;
        rig.put("object", C, b"data").await;
        rig.complete(&upload, vec![part]).await.unwrap();
        assert_eq!(rig.get("upload", C).await.unwrap(), b"part");
    }
}

#[tokio::test]
async fn an_upload_repeated_after_it_was_completed_is_answered_again_whatever_is_blocked_since() {
    let rig = Rig::new().await;
    let upload = rig.create_upload("object", C).await;
    let part = rig.upload_part(&upload, 1, C, b"part").await;
    let first = rig.complete(&upload, vec![part.clone()]).await.unwrap();
    block(&rig, "SSE-C").await;
    assert_eq!(rig.complete(&upload, vec![part]).await.unwrap().etag, first.etag);
}

#[tokio::test]
async fn what_the_store_blocks_holds_where_a_bucket_says_nothing_and_shows() {
    let rig = blocking_store().await;
    assert_eq!(rig.engine.bucket_encryption(BUCKET).await.unwrap(), types("SSE-C"));
    assert!(is_blocked(&rig.try_put("object", C, b"data").await));

    let default = DefaultEncryption { algorithm: "AES256".into(), kms_key_id: None, bucket_key_enabled: false };
    rig.engine.set_bucket_encryption(BUCKET, default.clone()).await.unwrap();
    assert!(is_blocked(&rig.try_put("object", C, b"data").await), "a default alone says nothing of blocks");
    let both = EncryptionRule { default: Some(default), ..types("SSE-C") };
    assert_eq!(rig.engine.bucket_encryption(BUCKET).await.unwrap(), both);

    block(&rig, "NONE").await;
    rig.put("object", C, b"data").await;
    assert_eq!(rig.engine.bucket_encryption(BUCKET).await.unwrap().blocked, Some(vec!["NONE".into()]));
    rig.engine.clear_bucket_encryption(BUCKET).await.unwrap();
    assert!(is_blocked(&rig.try_put("object", C, b"data").await));
    assert_eq!(rig.engine.bucket_encryption(BUCKET).await.unwrap(), types("SSE-C"));
}

#[tokio::test]
async fn a_rule_leaves_what_it_does_not_name_as_it_is() {
    let rig = Rig::new().await;
    let default = DefaultEncryption { algorithm: "aws:kms".into(), kms_key_id: Some(KEY.into()), bucket_key_enabled: true };
    rig.engine.set_bucket_encryption(BUCKET, default.clone()).await.unwrap();
    assert_eq!(rig.engine.bucket_encryption(BUCKET).await.unwrap().blocked, None);
    block(&rig, "SSE-C").await;
    let both = EncryptionRule { default: Some(default), ..types("SSE-C") };
    assert_eq!(rig.engine.bucket_encryption(BUCKET).await.unwrap(), both);

    // A client that knows nothing of blocks sets another default.
    let other = DefaultEncryption { algorithm: "AES256".into(), kms_key_id: None, bucket_key_enabled: false };
    rig.engine.set_bucket_encryption(BUCKET, other).await.unwrap();
    assert!(is_blocked(&rig.try_put("object", C, b"data").await));
    rig.engine.clear_bucket_encryption(BUCKET).await.unwrap();
    assert!(matches!(rig.engine.bucket_encryption(BUCKET).await, Err(Error::BucketEncryptionNotFound)));
    rig.put("object", C, b"data").await;
}

#[tokio::test]
async fn a_block_outlives_a_restart_and_cannot_be_edited_away() {
    let rig = Rig::sqlite().await;
    block(&rig, "SSE-C").await;
    let rows = rig.rows();
    let record: Vec<u8> = rows.query_row("SELECT record FROM buckets", [], |row| row.get(0)).unwrap();
    let rig = Rig::with(Plan { sqlite: true, home: Some(rig.into_home()), ..Plan::default() }).await;
    assert!(is_blocked(&rig.try_put("object", C, b"data").await));
    block(&rig, "NONE").await;
    rig.put("object", C, b"data").await;
    // The record of before, in the row of now.
    rows.execute("UPDATE buckets SET record = ?1", [record]).unwrap();
    assert!(matches!(rig.try_put("object", C, b"data").await, Err(Error::Integrity(_))));
}

/// The same store with another minimum.
async fn with_minimum(rig: Rig, minimum_mode: MinimumMode, encrypt_by_default: bool) -> Rig {
    let options = EngineOptions { minimum_mode, encrypt_by_default, ..Plan::default().options };
    Rig::with(Plan { options, sqlite: true, home: Some(rig.into_home()), ..Plan::default() }).await
}

fn is_weaker<T>(result: &Result<T, Error>) -> bool {
    matches!(result, Err(Error::EncryptionBelowMinimum { .. }))
}

#[tokio::test]
async fn below_the_minimum_no_operation_writes_and_what_was_there_before_is_read() {
    for (minimum, by, met) in [
        (MinimumMode::SseS3, As::Store, As::S3),
        (MinimumMode::SseS3, As::Store, C),
        (MinimumMode::SseKms, As::S3, As::Kms),
        (MinimumMode::SseKms, C, As::BucketKey),
        (MinimumMode::DsseKms, As::Kms, As::Dsse),
        (MinimumMode::DsseKms, C, As::Dsse),
    ] {
        let rig = Rig::sqlite().await;
        rig.put("before", by, b"before").await;
        let upload = rig.create_upload("upload", by).await;
        let part = rig.upload_part(&upload, 1, by, b"part").await;
        let rig = with_minimum(rig, minimum, false).await;

        assert!(is_weaker(&rig.try_put("object", by, b"data").await), "{minimum:?} {by:?}");
        assert!(is_weaker(&rig.copy(("before", by), ("object", by)).await));
        assert!(is_weaker(&rig.engine.create_multipart_upload(&rig.root, create_request("object", by.write())).await));
        assert!(is_weaker(&rig.engine.upload_part(&rig.root, part_request(&upload, 2, by, b"more")).await));
        assert!(is_weaker(&copy_part(&rig, &upload, ("before", by), by).await));
        assert!(is_weaker(&rig.complete(&upload, vec![part]).await), "an upload of before is no way around it");
        assert!(matches!(rig.head("object", by).await, Err(Error::NoSuchKey)));

        assert_eq!(rig.get("before", by).await.unwrap(), b"before");
        rig.copy(("before", by), ("after", met)).await.unwrap();
        assert_eq!(rig.get("after", met).await.unwrap(), b"before");
        rig.multipart("object", met, &[b"parts"]).await;
        assert_eq!(rig.get("object", met).await.unwrap(), b"parts");
    }
}

#[tokio::test]
async fn a_default_of_before_the_minimum_is_refused_and_where_there_is_none_the_minimum_is_taken() {
    for (minimum, by) in [(MinimumMode::SseS3, As::S3), (MinimumMode::SseKms, As::Kms), (MinimumMode::DsseKms, As::Dsse)] {
        let rig = with_minimum(Rig::sqlite().await, minimum, true).await;
        rig.put("object", As::Store, b"data").await;
        let sse = rig.head("object", As::Store).await.unwrap().info.sse;
        assert_eq!((sse.mode, sse.kms_key_id.as_deref().unwrap_or("default")), (by.mode(), "default"));
    }
    let rig = Rig::sqlite().await;
    let default = |algorithm: &str| DefaultEncryption { algorithm: algorithm.into(), kms_key_id: None, bucket_key_enabled: false };
    rig.engine.set_bucket_encryption(BUCKET, default("AES256")).await.unwrap();
    let rig = with_minimum(rig, MinimumMode::SseKms, true).await;
    assert!(is_weaker(&rig.try_put("object", As::Store, b"data").await));
    assert!(is_weaker(&rig.engine.set_bucket_encryption(BUCKET, default("AES256")).await));
    rig.engine.set_bucket_encryption(BUCKET, default("aws:kms")).await.unwrap();
    rig.put("object", As::Store, b"data").await;
}

#[tokio::test]
async fn another_key_for_an_object_is_refused_where_sse_kms_is_too_weak() {
    let rig = Rig::sqlite().await;
    rig.put("object", As::Kms, b"data").await;
    let request = || UpdateObjectEncryption {
        bucket: BUCKET.into(),
        key: "object".into(),
        version_id: None,
        kms_key_id: OTHER_KEY.into(),
        bucket_key_enabled: false,
    };
    let rig = with_minimum(rig, MinimumMode::DsseKms, true).await;
    assert!(is_weaker(&rig.engine.update_object_encryption(&rig.root, request()).await));
    let rig = with_minimum(rig, MinimumMode::SseKms, true).await;
    rig.engine.update_object_encryption(&rig.root, request()).await.unwrap();
}
