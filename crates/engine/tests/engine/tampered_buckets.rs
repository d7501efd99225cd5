//! Whoever can write to the catalog's file: no bucket's row is believed that the engine did not make.

use strongroom_engine::{
    Error,
    api::{
        Attributes, CreateBucket, CreateMultipartUpload, DefaultEncryption, GetObject, ListObjects, ObjectHeaders, SseHeaders,
        VersioningStatus,
    },
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
        attributes: Attributes::default(),
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
    rig.engine.create_bucket(&rig.root, CreateBucket { name: "second".into(), ..CreateBucket::default() }).await.unwrap();
    let keep = "CREATE TEMP TABLE good AS SELECT * FROM buckets WHERE name = CAST('bucket' AS BLOB); \
                CREATE TEMP TABLE second AS SELECT * FROM buckets WHERE name = CAST('second' AS BLOB); \
                DELETE FROM buckets WHERE name = CAST('second' AS BLOB)";
    rows.execute_batch(keep).unwrap();
    for change in [
        "created = created + 1",
        "owner = 'mallory'",
        "region = 'eu-1'",
        "versioning = 1",
        "revision = revision - 1",
        "revision = revision + 1",
        "record = (SELECT record FROM second)",
        "record = zeroblob(length(record))",
        "record = x''",
        // What version 3 of the store kept, without the record that took its place.
        "record = x'', revision = 0, tag = zeroblob(32)",
        "record = x'', revision = 0, tag = zeroblob(32), encryption = 1",
    ] {
        rows.execute_batch(&format!("UPDATE buckets SET {change}")).unwrap();
        is_refused(&rig, change).await;
        let undo = "UPDATE buckets SET (created, owner, region, versioning, revision, record, tag, encryption) = \
                    (SELECT created, owner, region, versioning, revision, record, tag, encryption FROM good)";
        rows.execute_batch(undo).unwrap();
    }
    assert_eq!(rig.engine.bucket_encryption(BUCKET).await.unwrap(), rule.into());
    assert_eq!(rig.get("object", As::Customer(1)).await.unwrap(), b"data");
}

#[tokio::test]
async fn two_buckets_whose_names_were_exchanged_are_both_refused() {
    let rig = Rig::sqlite().await;
    rig.engine.create_bucket(&rig.root, CreateBucket { name: "second".into(), ..CreateBucket::default() }).await.unwrap();
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
        assert_eq!(rig.engine.bucket_encryption(BUCKET).await.unwrap(), rule.into());
    }
    rig.engine.clear_bucket_encryption(BUCKET).await.unwrap();
    assert!(matches!(rig.engine.bucket_encryption(BUCKET).await, Err(Error::BucketEncryptionNotFound)));
}

#[tokio::test]
async fn an_altered_row_is_left_out_of_the_list_of_buckets_and_hides_no_other() {
    let rig = Rig::sqlite().await;
    for name in ["b1", "b2", "b3", "b4", "b5"] {
        rig.engine.create_bucket(&rig.root, CreateBucket { name: name.into(), ..CreateBucket::default() }).await.unwrap();
    }
    let altered = "UPDATE buckets SET owner = 'mallory' WHERE name IN (CAST('b2' AS BLOB), CAST('b3' AS BLOB))";
    assert_eq!(rig.rows().execute(altered, []).unwrap(), 2);
    let list = async |after: Option<&str>, limit: usize| -> Vec<String> {
        let buckets = rig.engine.list_buckets(&rig.root, "b", after, limit).await.unwrap();
        buckets.into_iter().map(|bucket| bucket.name.clone()).collect()
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

/// The story: somebody with the disk puts a document back that was replaced, takes one away, or gives a bucket that of another.
#[tokio::test]
async fn a_document_of_a_bucket_is_the_one_that_was_written_last_or_refused() {
    let rig = Rig::sqlite().await;
    rig.engine.create_bucket(&rig.root, CreateBucket { name: "second".into(), ..CreateBucket::default() }).await.unwrap();
    let tags = |value: &str| vec![("team".to_owned(), value.to_owned())];
    let read = async || rig.engine.bucket_tags(BUCKET).await;
    assert!(matches!(read().await, Err(Error::NoSuchTagSet)));
    rig.engine.set_bucket_tags(BUCKET, tags("one")).await.unwrap();
    let rows = rig.rows();
    rows.execute_batch("CREATE TEMP TABLE first AS SELECT record FROM bucket_documents").unwrap();
    rig.engine.set_bucket_tags(BUCKET, tags("two")).await.unwrap();
    rig.engine.set_bucket_tags("second", tags("of the second")).await.unwrap();
    rows.execute_batch("CREATE TEMP TABLE good AS SELECT * FROM bucket_documents").unwrap();
    for change in [
        "UPDATE bucket_documents SET record = (SELECT record FROM first) WHERE bucket = 1",
        "UPDATE bucket_documents SET record = (SELECT record FROM good WHERE bucket = 2) WHERE bucket = 1",
        "UPDATE bucket_documents SET record = x'' WHERE bucket = 1",
        "DELETE FROM bucket_documents WHERE bucket = 1",
    ] {
        let before = rig.engine.integrity_events();
        rows.execute_batch(change).unwrap();
        assert!(matches!(read().await, Err(Error::Integrity(_))), "{change}");
        assert_eq!(rig.engine.integrity_events(), before + 1, "{change}");
        rows.execute_batch("DELETE FROM bucket_documents; INSERT INTO bucket_documents SELECT * FROM good").unwrap();
        assert_eq!(read().await.unwrap(), tags("two"));
    }
    rig.engine.clear_bucket_tags(BUCKET).await.unwrap();
    assert!(matches!(read().await, Err(Error::NoSuchTagSet)));
    rows.execute_batch("INSERT INTO bucket_documents SELECT * FROM good WHERE bucket = 1").unwrap();
    assert!(matches!(read().await, Err(Error::Integrity(_))), "what was removed does not come back");
}

/// The story: tags, the default encryption and the versioning of one bucket are changed at the same time, again and again.
#[tokio::test(flavor = "multi_thread")]
async fn of_changes_of_one_bucket_at_once_none_is_lost_and_the_bucket_opens() {
    let rig = std::sync::Arc::new(Rig::sqlite().await);
    for round in 0..20 {
        let rule = DefaultEncryption { algorithm: "aws:kms".into(), kms_key_id: Some(format!("key-{round}")), bucket_key_enabled: true };
        let tags = vec![("round".to_owned(), round.to_string())];
        let versioning = if round % 2 == 0 { VersioningStatus::Enabled } else { VersioningStatus::Suspended };
        let (one, two, three) = (rig.clone(), rig.clone(), rig.clone());
        let (set_rule, set_tags) = (rule.clone(), tags.clone());
        let (one, two, three) = tokio::join!(
            tokio::spawn(async move { one.engine.set_bucket_encryption(BUCKET, set_rule).await }),
            tokio::spawn(async move { two.engine.set_bucket_tags(BUCKET, set_tags).await }),
            tokio::spawn(async move { three.engine.set_bucket_versioning(BUCKET, versioning).await }),
        );
        for changed in [one, two, three] {
            changed.unwrap().unwrap();
        }
        assert_eq!(rig.engine.bucket_encryption(BUCKET).await.unwrap(), rule.into());
        assert_eq!(rig.engine.bucket_tags(BUCKET).await.unwrap(), tags);
        assert_eq!(rig.engine.bucket_versioning(BUCKET).await.unwrap(), Some(versioning));
    }
    assert_eq!(rig.engine.integrity_events(), 0);
}
