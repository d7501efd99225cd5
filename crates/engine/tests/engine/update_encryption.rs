//! UpdateObjectEncryption: another key for one object, in place.

use strongroom_engine::{
    Error,
    api::{Caller, UpdateObjectEncryption},
};
use strongroom_kms::KeyLifecycle as _;

use crate::common::*;

fn update(key: &str, kms_key_id: &str) -> UpdateObjectEncryption {
    UpdateObjectEncryption {
        bucket: BUCKET.into(),
        key: key.into(),
        version_id: None,
        kms_key_id: kms_key_id.into(),
        bucket_key_enabled: false,
    }
}

#[tokio::test]
async fn an_object_gets_another_key_and_nothing_else_of_it_changes() {
    for rig in [Rig::new().await, Rig::sqlite().await] {
        for by in [As::S3, As::Kms, As::BucketKey] {
            for shape in SHAPES {
                for bucket_key_enabled in [false, true] {
                    shape.put(&rig, "object", by).await;
                    let before = rig.seen("object", by).await;
                    let request = UpdateObjectEncryption { bucket_key_enabled, ..update("object", "arn:aws:kms:eu:1:key/beta") };
                    rig.engine.update_object_encryption(&rig.root, request).await.unwrap();
                    let after = rig.seen("object", by).await;
                    assert_eq!(after, Seen { mode: As::Kms.mode(), bucket_key: bucket_key_enabled, ..before });
                    let sse = rig.head("object", As::Kms).await.unwrap().info.sse;
                    assert_eq!(sse.kms_key_id.as_deref(), Some("arn:aws:kms:eu:1:key/beta"));
                    assert_eq!(rig.usage(OTHER_KEY).await, [(1, (1, 0))].into());
                    assert_eq!(rig.usage(KEY).await, [].into());
                }
            }
        }
        rig.keys.delete_now(KEY, KEY).await.unwrap();
        assert!(rig.get("object", As::Kms).await.is_ok());
    }
}

#[tokio::test]
async fn only_sse_s3_and_sse_kms_can_be_updated() {
    let rig = Rig::new().await;
    for (by, says) in [
        (As::Store, "doesn't support unencrypted source objects."),
        (As::Dsse, "with the encryption type DSSE-KMS or SSE-C."),
        (As::Customer(1), "with the encryption type DSSE-KMS or SSE-C."),
    ] {
        rig.put("object", by, b"data").await;
        let refused = rig.engine.update_object_encryption(&rig.root, update("object", OTHER_KEY)).await;
        let Err(Error::InvalidRequest(text)) = refused else { panic!("{by:?}: {refused:?}") };
        assert!(text.contains(says), "{text}");
        assert_eq!(rig.get("object", by).await.unwrap(), b"data");
    }
}

#[tokio::test]
async fn the_right_to_both_keys_is_needed() {
    let rig = Rig::new().await;
    rig.put("kms", As::Kms, b"data").await;
    rig.put("s3", As::S3, b"data").await;
    let may = |statements: &str| user(&format!(r#"{{"Version": "2012-10-17", "Statement": [{statements}]}}"#));
    let allow =
        |action: &str, key: &str| format!(r#"{{"Effect": "Allow", "Action": "{action}", "Resource": "arn:aws:kms:*:*:key/{key}"}}"#);
    let (decrypt, generate) = (allow("kms:Decrypt", KEY), allow("kms:GenerateDataKey", OTHER_KEY));
    let attempt = |caller: Caller, key: &'static str| {
        let engine = rig.engine.clone();
        async move { engine.update_object_encryption(&caller, update(key, OTHER_KEY)).await }
    };
    for (caller, lacks) in [(may(&decrypt), "kms:GenerateDataKey"), (may(&generate), "kms:Decrypt")] {
        let refused = attempt(caller, "kms").await;
        assert!(matches!(&refused, Err(Error::KmsAccessDenied { action, .. }) if *action == lacks), "{refused:?}");
    }
    attempt(may(&generate), "s3").await.unwrap();
    attempt(may(&format!("{decrypt},{generate}")), "kms").await.unwrap();
}

#[tokio::test]
async fn what_is_not_there_cannot_be_updated() {
    let rig = Rig::new().await;
    let attempt = |request| rig.engine.update_object_encryption(&rig.root, request);
    rig.put("object", As::Kms, b"data").await;
    assert!(matches!(attempt(update("no-such", OTHER_KEY)).await, Err(Error::NoSuchKey)));
    let bucket = UpdateObjectEncryption { bucket: "no-such".into(), ..update("object", OTHER_KEY) };
    assert!(matches!(attempt(bucket).await, Err(Error::NoSuchBucket)));
    let version = UpdateObjectEncryption { version_id: Some("0".repeat(32)), ..update("object", OTHER_KEY) };
    assert!(matches!(attempt(version).await, Err(Error::NoSuchVersion)));
    assert!(matches!(attempt(update("object", "no-such")).await, Err(Error::KmsKeyNotFound(_))));
    let owner = Caller { expected_owner: Some("stranger".into()), ..rig.root.clone() };
    let refused = rig.engine.update_object_encryption(&owner, update("object", OTHER_KEY)).await;
    assert!(matches!(refused, Err(Error::BucketOwnerMismatch)));
    let named = UpdateObjectEncryption { version_id: Some("null".into()), ..update("object", OTHER_KEY) };
    attempt(named).await.unwrap();
    assert_eq!(rig.get("object", As::Kms).await.unwrap(), b"data");
}
