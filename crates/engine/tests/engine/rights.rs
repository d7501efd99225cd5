//! Rights on KMS keys: decided before the KMS is called.

use strongroom_engine::{
    Error,
    api::{Caller, DefaultEncryption, DeleteCondition, GetObject, SseHeaders, UploadRef},
};

use crate::common::*;

/// May use `beta` in every way, and `alpha` in none.
fn beta_only() -> Caller {
    user(
        r#"{"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::*"},
            {"Effect": "Allow", "Action": ["kms:GenerateDataKey", "kms:Decrypt"], "Resource": "arn:aws:kms:::key/beta"}
        ]}"#,
    )
}

fn denied(error: Option<Error>, action: &str) {
    let expected = format!(r#"KmsAccessDenied {{ identity: "alice", action: "{action}", key_id: "alpha" }}"#);
    assert_eq!(format!("{:?}", error.unwrap()), expected);
}

#[tokio::test]
async fn a_caller_without_the_right_is_denied_before_the_kms_is_called() {
    let rig = Rig::new().await;
    let alice = beta_only();
    for by in [As::Kms, As::BucketKey, As::Dsse] {
        rig.put("object", by, b"secret").await;
        let upload = rig.create_upload("upload", by).await;
        rig.reset_counts();
        denied(rig.engine.put_object(&alice, put_request("new", by.write(), b"")).await.err(), "kms:GenerateDataKey");
        denied(rig.engine.create_multipart_upload(&alice, create_request("new", by.write())).await.err(), "kms:GenerateDataKey");
        denied(rig.engine.get_object(&alice, get_request("object", by.read())).await.err(), "kms:Decrypt");
        rig.engine.head_object(&alice, get_request("object", by.read())).await.expect("the key protects the data, and its checksum");
        let with_checksum = GetObject { checksum_mode: true, ..get_request("object", by.read()) };
        denied(rig.engine.head_object(&alice, with_checksum).await.err(), "kms:Decrypt");
        denied(rig.engine.object_attributes(&alice, get_request("object", by.read())).await.err(), "kms:Decrypt");
        denied(rig.engine.copy_object(&alice, copy_request(("object", by), ("new", As::Store))).await.err(), "kms:Decrypt");
        denied(rig.engine.upload_part(&alice, part_request(&upload, 1, by, b"")).await.err(), "kms:Decrypt");
        assert_eq!(rig.kms.counts().total(), 0, "{by:?}");
    }
}

#[tokio::test]
async fn an_object_is_headed_without_a_right_to_its_key_as_long_as_its_checksum_is_not_asked_for() {
    let rig = Rig::new().await;
    let alice = beta_only();
    for by in [As::Kms, As::BucketKey, As::Dsse] {
        rig.put("object", by, b"secret").await;
        rig.multipart("parts", by, &[b"secret"]).await;
        let head = rig.engine.head_object(&alice, get_request("object", by.read())).await.unwrap();
        assert_eq!((head.info.size_bytes, head.info.sse.mode), (6, by.mode()), "{by:?}");
        let part = |checksum_mode| GetObject { part_number: Some(1), checksum_mode, ..get_request("parts", by.read()) };
        assert_eq!(rig.engine.head_object(&alice, part(false)).await.unwrap().length, 6, "{by:?}");
        denied(rig.engine.head_object(&alice, part(true)).await.err(), "kms:Decrypt");
    }
}

#[tokio::test]
async fn the_bucket_must_be_the_expected_owners() {
    let rig = Rig::new().await;
    rig.put("object", As::S3, b"data").await;
    let upload = rig.create_upload("upload", As::S3).await;
    let whose = |owner: &str| Caller { expected_owner: Some(owner.into()), ..rig.root.clone() };
    let (right, wrong) = (whose("root"), whose("somebody"));
    let read = || get_request("object", SseHeaders::default());
    let refused = |error: Option<Error>| assert!(matches!(error, Some(Error::BucketOwnerMismatch)), "{error:?}");
    refused(rig.engine.put_object(&wrong, put_request("object", As::S3.write(), b"altered")).await.err());
    refused(rig.engine.get_object(&wrong, read()).await.err());
    refused(rig.engine.get_object(&wrong, get_request("nothing", SseHeaders::default())).await.err());
    refused(rig.engine.head_object(&wrong, read()).await.err());
    refused(rig.engine.object_attributes(&wrong, read()).await.err());
    refused(rig.engine.copy_object(&wrong, copy_request(("object", As::S3), ("new", As::S3))).await.err());
    refused(rig.engine.delete_object(&wrong, BUCKET, "object", None, DeleteCondition::default(), false).await.err());
    refused(rig.engine.create_multipart_upload(&wrong, create_request("new", As::S3.write())).await.err());
    refused(rig.engine.upload_part(&wrong, part_request(&upload, 1, As::S3, b"part")).await.err());
    let part = rig.upload_part(&upload, 1, As::S3, b"part").await;
    let completion = || complete_request(&upload, vec![part.clone()]);
    refused(rig.engine.complete_multipart_upload(&wrong, completion()).await.err());
    rig.engine.complete_multipart_upload(&right, completion()).await.unwrap();
    refused(rig.engine.complete_multipart_upload(&wrong, completion()).await.err());
    assert_eq!(collect(rig.engine.get_object(&right, read()).await.unwrap()).await.unwrap(), b"data");
}

#[tokio::test]
async fn customer_keys_over_plain_http_make_nothing_else_secure() {
    let rig = Rig::new().await;
    let only_secure = user(
        r#"{"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "*", "Resource": "*"},
            {"Effect": "Deny", "Action": "kms:*", "Resource": "*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}
        ]}"#,
    );
    let on_loopback = Caller { secure: false, sse_c_allowed: true, ..only_secure.clone() };
    rig.engine.put_object(&on_loopback, put_request("object", As::Customer(1).write(), b"data")).await.unwrap();
    let reply = rig.engine.get_object(&on_loopback, get_request("object", As::Customer(1).read())).await.unwrap();
    assert_eq!(collect(reply).await.unwrap(), b"data");
    denied(rig.engine.put_object(&on_loopback, put_request("new", As::Kms.write(), b"")).await.err(), "kms:GenerateDataKey");
    rig.engine.put_object(&only_secure, put_request("new", As::Kms.write(), b"")).await.unwrap();
}

#[tokio::test]
async fn the_encryption_of_an_upload_is_known_until_and_after_it_is_completed() {
    let rig = Rig::new().await;
    for by in [As::Store, As::S3, As::Kms, As::BucketKey, As::Dsse, As::Customer(1)] {
        let upload = rig.create_upload("upload", by).await;
        let part = rig.upload_part(&upload, 1, by, b"part").await;
        let under_way = rig.engine.upload_facts(&upload).await.unwrap().sse;
        assert_eq!((under_way.mode, under_way.kms_key_id.as_deref()), (by.mode(), by.kms_key()), "{by:?}");
        rig.complete(&upload, vec![part]).await.unwrap();
        assert_eq!(rig.engine.upload_facts(&upload).await.unwrap().sse, under_way, "{by:?}");
    }
    let aborted = rig.create_upload("upload", As::Kms).await;
    rig.engine.abort_multipart_upload(&aborted).await.unwrap();
    assert!(matches!(rig.engine.upload_facts(&aborted).await, Err(Error::NoSuchUpload)));
}

#[tokio::test]
async fn a_right_to_one_key_is_a_right_to_no_other() {
    let rig = Rig::new().await;
    let alice = beta_only();
    for id in [OTHER_KEY, "key/beta", "arn:aws:kms:eu-central-1:111122223333:key/beta"] {
        let sse = SseHeaders { kms_key_id: Some(id.into()), ..As::Kms.write() };
        let stored = rig.engine.put_object(&alice, put_request("object", sse, b"hers")).await.unwrap();
        assert_eq!(stored.sse.kms_key_id.as_deref(), Some(id), "the id is answered as it was given");
        let reply = rig.engine.get_object(&alice, get_request("object", SseHeaders::default())).await.unwrap();
        assert_eq!(reply.info.sse.kms_key_id.as_deref(), Some(id));
        assert_eq!(collect(reply).await.unwrap(), b"hers");
    }
}

#[tokio::test]
async fn the_default_of_a_bucket_gives_no_right_to_its_key() {
    let rig = Rig::new().await;
    let rule = DefaultEncryption { algorithm: "aws:kms".into(), kms_key_id: Some(KEY.into()), bucket_key_enabled: false };
    rig.engine.set_bucket_encryption(BUCKET, rule).await.unwrap();
    denied(rig.engine.put_object(&beta_only(), put_request("new", SseHeaders::default(), b"")).await.err(), "kms:GenerateDataKey");
    let stored = rig.engine.put_object(&rig.root, put_request("new", SseHeaders::default(), b"")).await.unwrap();
    assert_eq!(stored.sse.kms_key_id.as_deref(), Some(KEY));
}

#[tokio::test]
async fn sse_s3_and_sse_c_need_no_right_to_a_key() {
    let rig = Rig::new().await;
    let alice = beta_only();
    for by in [As::Store, As::S3, As::Customer(1)] {
        rig.engine.put_object(&alice, put_request("object", by.write(), b"data")).await.unwrap();
        let reply = rig.engine.get_object(&alice, get_request("object", by.read())).await.unwrap();
        assert_eq!(collect(reply).await.unwrap(), b"data", "{by:?}");
    }
}

#[tokio::test]
async fn the_stores_own_keys_do_not_exist_for_anyone() {
    let rig = Rig::new().await;
    for id in ["strongroom-store", "key/strongroom-store", "arn:aws:kms:eu:1:key/strongroom-store"] {
        let sse = SseHeaders { kms_key_id: Some(id.into()), ..As::Kms.write() };
        let error = rig.engine.put_object(&rig.root, put_request("new", sse, b"")).await.unwrap_err();
        assert!(matches!(error, Error::KmsKeyNotFound(id) if id == "strongroom-store"));
    }
}

#[tokio::test]
async fn an_sse_c_object_opens_with_its_key_and_with_nothing_else() {
    let rig = Rig::new().await;
    let plain = root(false);
    rig.put("object", As::Customer(1), b"data").await;
    rig.put("plain", As::Store, b"data").await;
    let upload = rig.create_upload("upload", As::Customer(1)).await;
    for (sse, expected) in
        [(As::Store.read(), "CustomerKeyRequired"), (As::Customer(2).read(), "CustomerKeyWrong"), (As::S3.write(), "SseHeaderNotAllowed")]
    {
        let request =
            || get_request("object", SseHeaders { customer: clone(&sse), algorithm: sse.algorithm.clone(), ..SseHeaders::default() });
        assert_eq!(format!("{:?}", rig.engine.get_object(&rig.root, request()).await.err().unwrap()), expected);
        assert_eq!(format!("{:?}", rig.engine.head_object(&rig.root, request()).await.err().unwrap()), expected);
        assert_eq!(format!("{:?}", rig.engine.object_attributes(&rig.root, request()).await.err().unwrap()), expected);
    }
    let insecure = || get_request("object", As::Customer(1).read());
    assert!(matches!(rig.engine.get_object(&plain, insecure()).await, Err(Error::CustomerKeyInsecure)));
    assert!(matches!(rig.engine.head_object(&plain, insecure()).await, Err(Error::CustomerKeyInsecure)));
    let copy = copy_request(("object", As::Customer(1)), ("new", As::Store));
    assert!(matches!(rig.engine.copy_object(&plain, copy).await, Err(Error::CustomerKeyInsecure)));
    assert!(matches!(rig.get("plain", As::Customer(1)).await, Err(Error::CustomerKeyNotApplicable)));
    assert!(matches!(rig.head("plain", As::Customer(1)).await, Err(Error::CustomerKeyNotApplicable)));
    assert!(matches!(rig.copy(("plain", As::Customer(1)), ("new", As::Store)).await, Err(Error::CustomerKeyNotApplicable)));
    assert!(matches!(rig.copy(("object", As::Store), ("new", As::Store)).await, Err(Error::CustomerKeyRequired)));
    let part = |upload: &UploadRef, by| rig.engine.upload_part(&rig.root, part_request(upload, 1, by, b""));
    assert!(matches!(part(&upload, As::Store).await, Err(Error::PartKeyRequired)));
    assert!(matches!(part(&upload, As::Customer(2)).await, Err(Error::PartKeyWrong)));
    let managed = strongroom_engine::api::UploadPart { sse: As::S3.write(), ..part_request(&upload, 1, As::Store, b"") };
    assert!(matches!(rig.engine.upload_part(&rig.root, managed).await, Err(Error::SseHeaderNotAllowed)));
    assert_eq!(rig.engine.integrity_events(), 0);
}

fn clone(sse: &SseHeaders) -> strongroom_engine::api::CustomerKeyHeaders {
    let customer = &sse.customer;
    strongroom_engine::api::CustomerKeyHeaders {
        algorithm: customer.algorithm.clone(),
        key: customer.key.clone(),
        key_md5: customer.key_md5.clone(),
    }
}
