//! How often the KMS is called, and what its data keys are bound to.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use strongroom_engine::{
    EngineOptions, Error,
    api::{ByteRange, ListObjects, ListParts, ListUploads, SseHeaders},
};
use strongroom_kms::{KeyLifecycle as _, KeyService as _, testing::Fault};

use crate::common::*;

#[tokio::test]
async fn list_and_head_never_call_the_kms() {
    let rig = Rig::new().await;
    for (by, shape) in KMS_MODES.into_iter().zip([Shape::Inline, Shape::Blob, Shape::Multipart, Shape::Multipart]) {
        shape.put(&rig, &format!("{by:?}"), by).await;
    }
    let upload = rig.create_upload("upload", As::Kms).await;
    rig.upload_part(&upload, 1, As::Kms, b"part").await;
    rig.reset_counts();
    rig.kms.fail_all(Fault::Unavailable);

    let query = ListObjects { bucket: BUCKET.into(), limit: 1000, ..ListObjects::default() };
    assert_eq!(rig.engine.list_objects(query).await.unwrap().entries.len(), 4);
    let query = ListUploads { bucket: BUCKET.into(), limit: 1000, ..ListUploads::default() };
    assert_eq!(rig.engine.list_multipart_uploads(query).await.unwrap().entries.len(), 1);
    assert_eq!(rig.engine.list_parts(ListParts { upload, after: 0, limit: 10 }).await.unwrap().parts.len(), 1);
    for by in KMS_MODES {
        let reply = rig.head(&format!("{by:?}"), by).await.unwrap();
        assert_eq!(reply.info.sse.mode, by.mode());
        assert!(reply.body.is_none());
        rig.engine.object_attributes(&rig.root, get_request(&format!("{by:?}"), by.read())).await.unwrap();
    }
    assert_eq!(rig.kms.counts().total(), 0);
    assert_eq!(rig.blobs.counts().opened, 0, "nor do they read data");
}

#[tokio::test]
async fn one_unwrap_per_get() {
    for cached in [false, true] {
        let rig = if cached { Rig::cached().await } else { Rig::new().await };
        for by in KMS_MODES {
            for shape in SHAPES {
                let (data, _) = shape.put(&rig, "object", by).await;
                // Parts unwrapped the key, and other objects share a bucket key.
                rig.keys.clear();
                let unwraps = || rig.backend.counts().unwrap;
                rig.reset_counts();
                assert_eq!(rig.get("object", by).await.unwrap(), data, "{by:?} {shape:?}");
                assert_eq!(unwraps(), 1, "{by:?} {shape:?}");
                assert_eq!(rig.get("object", by).await.unwrap(), data);
                let range = ByteRange::From { first: 10, last: Some(900) };
                assert_eq!(rig.range("object", by, range).await.unwrap(), &data[10..=900]);
                assert_eq!(unwraps(), if cached { 1 } else { 3 }, "{by:?} {shape:?}");
                assert_eq!(rig.kms.counts().unwrap, 3);
                assert_eq!(rig.kms.counts().total(), 3, "and nothing else is asked");
            }
        }
    }
}

#[tokio::test]
async fn objects_without_a_kms_key_never_call_it() {
    let rig = Rig::new().await;
    rig.kms.fail_all(Fault::Unavailable);
    for by in [As::Store, As::Customer(1)] {
        for shape in SHAPES {
            let (data, _) = shape.put(&rig, "object", by).await;
            assert_eq!(rig.get("object", by).await.unwrap(), data);
        }
    }
    assert_eq!(rig.kms.counts().total(), 0);
}

#[tokio::test]
async fn one_generate_per_put_and_per_upload() {
    let rig = Rig::new().await;
    for by in [As::S3, As::Kms, As::Dsse] {
        rig.reset_counts();
        rig.put("object", by, b"data").await;
        assert_eq!((rig.kms.counts().generate, rig.kms.counts().total()), (1, 1), "{by:?}");
        rig.reset_counts();
        rig.multipart("object", by, &[b"one", b"two"]).await;
        let counts = rig.kms.counts();
        assert_eq!((counts.generate, counts.unwrap, counts.total()), (1, 3, 4), "one unwrap for each part, one to complete: {by:?}");
    }
}

#[tokio::test]
async fn completing_an_upload_asks_the_backend_nothing_while_its_key_is_cached() {
    let rig = Rig::cached().await;
    for by in KMS_MODES {
        let upload = rig.create_upload("object", by).await;
        let part = rig.upload_part(&upload, 1, by, b"part").await;
        rig.reset_counts();
        rig.complete(&upload, vec![part]).await.unwrap();
        assert_eq!((rig.kms.counts().unwrap, rig.backend.counts().total()), (1, 0), "{by:?}");
    }
}

#[tokio::test]
async fn a_bucket_key_asked_for_before_a_rotation_does_not_serve_after_it() {
    let rig = Arc::new(Rig::cached().await);
    rig.keys.check_usable(KEY).await.unwrap();
    rig.reset_counts();
    rig.backend.hold_answers();
    let writer = Arc::clone(&rig);
    let put = tokio::spawn(async move { writer.try_put("before", As::BucketKey, b"data").await });
    while rig.backend.held_answers() == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(rig.backend.counts().generate, 1, "its answer is the one held back");
    rig.keys.rotate_key(KEY).await.unwrap();
    rig.engine.forget_bucket_keys();
    rig.backend.release_answers();
    put.await.unwrap().unwrap();
    assert_eq!(rig.usage(KEY).await, [(1, (1, 0))].into());
    rig.put("after", As::BucketKey, b"data").await;
    assert_eq!(rig.usage(KEY).await, [(1, (1, 0)), (2, (1, 0))].into());
}

#[tokio::test]
async fn a_bucket_key_serves_many_objects_with_one_data_key() {
    let rig = Rig::new().await;
    rig.reset_counts();
    for number in 0..20 {
        let stored = rig.put(&format!("object-{number}"), As::BucketKey, &data(5000, number)).await;
        assert!(stored.sse.bucket_key_enabled);
    }
    assert_eq!(rig.kms.counts().generate, 1);
    for number in 0..20 {
        let key = format!("object-{number}");
        assert_eq!(rig.get(&key, As::BucketKey).await.unwrap(), data(5000, number));
        assert!(rig.head(&key, As::BucketKey).await.unwrap().info.sse.bucket_key_enabled);
    }
}

#[tokio::test]
async fn a_bucket_key_is_replaced_when_its_lifetime_ends() {
    let options = EngineOptions { bucket_key_lifetime: Duration::ZERO, ..Plan::default().options };
    let rig = Rig::with(Plan { options, ..Plan::default() }).await;
    rig.reset_counts();
    for number in 0..3_u64 {
        rig.put(&number.to_string(), As::BucketKey, &data(100, number)).await;
        assert_eq!(rig.kms.counts().generate, number + 1);
    }
    for number in 0..3_u64 {
        assert_eq!(rig.get(&number.to_string(), As::BucketKey).await.unwrap(), data(100, number));
    }
}

#[tokio::test]
async fn keys_contexts_and_buckets_share_no_bucket_key() {
    let rig = Rig::new().await;
    let bucket = strongroom_engine::api::CreateBucket { name: "second".into(), ..Default::default() };
    rig.engine.create_bucket(&rig.root, bucket).await.unwrap();
    rig.reset_counts();
    let variants = [
        (BUCKET, KEY, None),
        (BUCKET, OTHER_KEY, None),
        (BUCKET, KEY, Some(context(r#"{"a":"b"}"#))),
        (BUCKET, KEY, Some(context(r#"{"a":"c"}"#))),
        ("second", KEY, None),
    ];
    for _ in 0..2 {
        for (bucket, key_id, context) in &variants {
            let sse = SseHeaders { kms_key_id: Some((*key_id).into()), kms_context: context.clone(), ..As::BucketKey.write() };
            let request = strongroom_engine::api::PutObject { bucket: (*bucket).into(), ..put_request("object", sse, b"data") };
            rig.engine.put_object(&rig.root, request).await.unwrap();
        }
    }
    assert_eq!(rig.kms.counts().generate, 5);
}

#[tokio::test]
async fn a_disabled_key_refuses_writes_at_once_also_with_a_bucket_key_at_hand() {
    let rig = Rig::new().await;
    rig.put("object", As::BucketKey, b"data").await;
    rig.keys.disable_key(KEY).await.unwrap();
    assert!(matches!(rig.try_put("object", As::BucketKey, b"new").await, Err(Error::KmsKeyDisabled(_))));
    rig.keys.enable_key(KEY).await.unwrap();
    assert_eq!(rig.get("object", As::BucketKey).await.unwrap(), b"data");
}

#[tokio::test]
async fn objects_of_every_key_version_stay_readable_after_rotation() {
    let rig = Rig::cached().await;
    for by in [As::Kms, As::BucketKey, As::Dsse] {
        rig.put(&format!("old {by:?}"), by, b"old").await;
    }
    rig.keys.rotate_key(KEY).await.unwrap();
    for by in [As::Kms, As::BucketKey, As::Dsse] {
        rig.put(&format!("new {by:?}"), by, b"new").await;
        assert_eq!(rig.get(&format!("old {by:?}"), by).await.unwrap(), b"old");
        assert_eq!(rig.get(&format!("new {by:?}"), by).await.unwrap(), b"new");
    }
}

fn context(json: &str) -> String {
    STANDARD.encode(json)
}

#[tokio::test]
async fn the_context_of_a_client_is_answered_to_writes_and_bound_to_the_data_key() {
    let rig = Rig::sqlite().await;
    let rows = rig.rows();
    let wrapped_key = || -> Vec<u8> { rows.query_row("SELECT wrapped_key FROM versions", [], |row| row.get(0)).unwrap() };
    for by in [As::Kms, As::BucketKey, As::Dsse] {
        let mut before: Option<Vec<u8>> = None;
        for given in [Some(context(r#"{"team":"red"}"#)), None, Some(context(r#"{"team":"blue"}"#))] {
            let sse = SseHeaders { kms_context: given.clone(), ..by.write() };
            let stored = rig.engine.put_object(&rig.root, put_request("object", sse, b"data")).await.unwrap();
            assert_eq!(stored.sse.kms_context, given);
            assert_eq!(rig.get("object", by).await.unwrap(), b"data");
            // Were the context not bound, the KMS would unwrap the data key of another one, and only the object keys would not open.
            let own = wrapped_key();
            if let Some(other) = before.replace(own) {
                rows.execute("UPDATE versions SET wrapped_key = ?1", [other]).unwrap();
                let events = rig.engine.integrity_events();
                let error = rig.get("object", by).await.unwrap_err();
                assert!(error.to_string().contains("the KMS rejects its wrapped data key"), "{error}");
                assert_eq!(rig.engine.integrity_events(), events + 1);
            }
        }
    }
}

#[tokio::test]
async fn a_context_survives_multipart_uploads_and_copies_begin_their_own() {
    let rig = Rig::new().await;
    let sse = || SseHeaders { kms_context: Some(context(r#"{"team":"red"}"#)), ..As::Kms.write() };
    let created = rig.engine.create_multipart_upload(&rig.root, create_request("object", sse())).await.unwrap();
    assert_eq!(created.sse.kms_context, sse().kms_context);
    let upload = strongroom_engine::api::UploadRef { bucket: BUCKET.into(), key: "object".into(), upload_id: created.upload_id };
    let part = rig.upload_part(&upload, 1, As::Kms, b"data").await;
    assert_eq!(rig.complete(&upload, vec![part]).await.unwrap().sse.kms_context, sse().kms_context);
    assert_eq!(rig.get("object", As::Kms).await.unwrap(), b"data");
    let copied = rig.copy(("object", As::Kms), ("copy", As::Kms)).await.unwrap();
    assert_eq!(copied.stored.sse.kms_context, None);
    assert_eq!(rig.get("copy", As::Kms).await.unwrap(), b"data");
}
