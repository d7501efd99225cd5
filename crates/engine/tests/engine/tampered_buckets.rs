//! Whoever can write to the catalog's file: no bucket's row is believed that the engine did not make.

use strongroom_engine::{
    Error,
    api::{CreateBucket, CreateMultipartUpload, DefaultEncryption, GetObject, ListObjects, ObjectHeaders, SseHeaders},
};

use crate::common::*;

/// Every operation on the bucket answers that its row was altered, and nothing is written.
async fn is_refused(rig: &Rig, what: &str) {
    let before = rig.engine.integrity_events();
    let blobs = rig.blob_ids().await;
    let listed = rig.engine.list_objects(ListObjects { bucket: BUCKET.into(), limit: 10, ..ListObjects::default() }).await.err();
    let put = rig.try_put("new", As::S3, b"data").await.err();
    let get = rig.get("object", As::Customer(1)).await.err();
    let upload = CreateMultipartUpload {
        bucket: BUCKET.into(),
        key: "parts".into(),
        headers: ObjectHeaders::default(),
        sse: SseHeaders::default(),
        checksum_algorithm: None,
        checksum_kind: None,
    };
    let upload = rig.engine.create_multipart_upload(&rig.root, upload).await.err();
    let head = rig.engine.bucket(BUCKET).await.err();
    for (operation, error) in [("list", listed), ("put", put), ("get", get), ("upload", upload), ("head", head)] {
        assert!(matches!(error, Some(Error::Integrity(_))), "{what}: {operation}: {error:?}");
    }
    assert_eq!(rig.engine.integrity_events(), before + 5, "each counted once: {what}");
    assert_eq!(rig.blob_ids().await, blobs);
}

#[tokio::test]
async fn an_altered_row_of_a_bucket_is_refused_by_every_operation() {
    let rig = Rig::sqlite().await;
    let rule = DefaultEncryption { algorithm: "aws:kms".into(), kms_key_id: Some(KEY.into()), bucket_key_enabled: true };
    rig.engine.set_bucket_encryption(BUCKET, rule.clone()).await.unwrap();
    rig.put("object", As::Customer(1), b"data").await;
    let rows = rig.rows();
    rows.execute_batch("CREATE TEMP TABLE good AS SELECT * FROM buckets").unwrap();
    for change in [
        "created = created + 1",
        "owner = 'mallory'",
        "region = 'eu-1'",
        "versioning = 1",
        "encryption = NULL",
        "encryption = 1",
        "encryption_key = 'beta'",
        "encryption_key = NULL",
        "encryption_bucket_key = 0",
        "tag = zeroblob(32)",
        "tag = x''",
    ] {
        rows.execute_batch(&format!("UPDATE buckets SET {change}")).unwrap();
        is_refused(&rig, change).await;
        let undo = "UPDATE buckets SET (created, owner, region, versioning, encryption, encryption_key, encryption_bucket_key, tag) = \
                    (SELECT created, owner, region, versioning, encryption, encryption_key, encryption_bucket_key, tag FROM good)";
        rows.execute_batch(undo).unwrap();
    }
    assert_eq!(rig.engine.bucket_encryption(BUCKET).await.unwrap(), rule);
    assert_eq!(rig.get("object", As::Customer(1)).await.unwrap(), b"data");
}

#[tokio::test]
async fn two_buckets_whose_names_were_exchanged_are_both_refused() {
    let rig = Rig::sqlite().await;
    rig.engine.create_bucket(&rig.root, CreateBucket { name: "second".into(), region: String::new() }).await.unwrap();
    rig.put("object", As::Store, b"of the first").await;
    let exchange = "UPDATE buckets SET name = CAST('third' AS BLOB) WHERE name = CAST('second' AS BLOB); \
                    UPDATE buckets SET name = CAST('second' AS BLOB) WHERE name = CAST('bucket' AS BLOB); \
                    UPDATE buckets SET name = CAST('bucket' AS BLOB) WHERE name = CAST('third' AS BLOB)";
    rig.rows().execute_batch(exchange).unwrap();
    for bucket in [BUCKET, "second"] {
        let request = GetObject { bucket: bucket.into(), key: "object".into(), ..GetObject::default() };
        assert!(matches!(rig.engine.get_object(&rig.root, request).await.err(), Some(Error::Integrity(_))), "{bucket}");
    }
}

#[tokio::test]
async fn a_default_encryption_that_is_changed_holds() {
    let rig = Rig::sqlite().await;
    for algorithm in ["AES256", "aws:kms", "aws:kms:dsse"] {
        let rule = DefaultEncryption { algorithm: algorithm.into(), kms_key_id: None, bucket_key_enabled: false };
        rig.engine.set_bucket_encryption(BUCKET, rule.clone()).await.unwrap();
        assert_eq!(rig.engine.bucket_encryption(BUCKET).await.unwrap(), rule);
    }
    rig.engine.clear_bucket_encryption(BUCKET).await.unwrap();
    assert!(matches!(rig.engine.bucket_encryption(BUCKET).await, Err(Error::BucketEncryptionNotFound)));
}

#[tokio::test]
async fn an_altered_row_is_left_out_of_the_list_of_buckets_and_hides_no_other() {
    let rig = Rig::sqlite().await;
    for name in ["b1", "b2", "b3", "b4", "b5"] {
        rig.engine.create_bucket(&rig.root, CreateBucket { name: name.into(), region: String::new() }).await.unwrap();
    }
    let altered = "UPDATE buckets SET owner = 'mallory' WHERE name IN (CAST('b2' AS BLOB), CAST('b3' AS BLOB))";
    assert_eq!(rig.rows().execute(altered, []).unwrap(), 2);
    let list = async |after: Option<&str>, limit: usize| -> Vec<String> {
        let buckets = rig.engine.list_buckets("b", after, limit).await.unwrap();
        buckets.into_iter().map(|bucket| bucket.name).collect()
    };
    assert_eq!(list(None, 100).await, ["b1", "b4", "b5", BUCKET]);
    assert_eq!(rig.engine.integrity_events(), 2, "each row counts once");
    assert_eq!(list(None, 2).await, ["b1", "b4"], "a page is as long as the caller asks while more follow");
    assert_eq!(list(Some("b1"), 2).await, ["b4", "b5"]);
    assert_eq!(list(Some("b4"), 2).await, ["b5", BUCKET]);
    assert_eq!(list(Some("b5"), 2).await, [BUCKET]);
    assert_eq!(rig.engine.integrity_events(), 6, "and once more each time that it is read");
    assert_eq!(list(None, 0).await, [""; 0]);
}
