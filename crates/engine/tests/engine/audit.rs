//! One event for each use of a key, whoever answers for it; none that tells a secret; and no use without one.

use strongroom_audit::{Event, Outcome};
use strongroom_engine::{Error, api::Caller, rekey::RekeyRequest};
use strongroom_kms::{KeyLifecycle as _, testing::Fault};

use crate::common::*;

fn as_operation(rig: &Rig, operation: &'static str) -> Caller {
    Caller { operation, request_id: "request-7".into(), ..rig.root.clone() }
}

/// What an event says of mode, key and outcome.
fn said(event: &Event) -> (&str, &str, &str, u32, &Outcome) {
    (&event.mode, &event.backend, &event.key_id, event.key_version, &event.outcome)
}

fn failed(name: &str) -> Outcome {
    Outcome::Error(name.to_owned())
}

#[tokio::test]
async fn every_write_and_read_under_a_key_is_one_event() {
    for rig in [Rig::new().await, Rig::cached().await] {
        for (by, mode, key_id) in [
            (As::S3, "SSE-S3", "default"),
            (As::Kms, "SSE-KMS", KEY),
            (As::BucketKey, "SSE-KMS", KEY),
            (As::Dsse, "DSSE-KMS", KEY),
            (As::Customer(1), "SSE-C", ""),
        ] {
            rig.engine.put_object(&as_operation(&rig, "PutObject"), put_request("object", by.write(), b"data")).await.unwrap();
            for _ in 0..2 {
                let reply = rig.engine.get_object(&as_operation(&rig, "GetObject"), get_request("object", by.read())).await;
                collect(reply.unwrap()).await.unwrap();
            }
            let events = rig.audit.take();
            let operations: Vec<_> = events.iter().map(|event| event.operation.as_str()).collect();
            assert_eq!(operations, ["PutObject", "GetObject", "GetObject"], "{by:?}: also where the cache answered");
            let (backend, version) = if key_id.is_empty() { ("", 0) } else { ("local", 1) };
            for event in &events {
                assert_eq!(said(event), (mode, backend, key_id, version, &Outcome::Ok));
                assert_eq!((event.who.as_str(), event.request_id.as_str()), ("root", "request-7"));
                assert_eq!((event.bucket.as_str(), event.key.as_str(), event.version.len()), (BUCKET, "object", 32));
                assert_eq!(event.version, events[0].version);
            }
        }
        rig.put("plain", As::Store, b"data").await;
        rig.get("plain", As::Store).await.unwrap();
        assert_eq!(rig.audit.take(), [], "the store key's uses are not recorded");
    }
}

#[tokio::test]
async fn copies_parts_and_heads_with_a_customers_key_are_events() {
    let rig = Rig::new().await;
    rig.put("source", As::Kms, b"data").await;
    rig.audit.take();
    rig.copy(("source", As::Kms), ("target", As::Customer(1))).await.unwrap();
    let modes: Vec<_> = rig.audit.take().iter().map(|event| (event.key.clone(), event.mode.clone())).collect();
    assert_eq!(modes, [("source".to_owned(), "SSE-KMS".to_owned()), ("target".to_owned(), "SSE-C".to_owned())]);
    rig.head("target", As::Customer(1)).await.unwrap();
    assert_eq!(said(&rig.audit.take()[..][0]), ("SSE-C", "", "", 0, &Outcome::Ok));
    rig.head("source", As::Kms).await.unwrap();
    assert_eq!(rig.audit.take(), [], "to head an object under a KMS key uses no key");
    rig.multipart("large", As::Kms, &[b"one", b"two"]).await;
    assert_eq!(rig.audit.take().len(), 3, "one for the upload, one for each part");
}

#[tokio::test]
async fn what_is_refused_is_an_event_with_the_errors_name() {
    let rig = Rig::new().await;
    rig.put("kms", As::Kms, b"data").await;
    rig.put("customer", As::Customer(1), b"data").await;
    rig.audit.take();
    let stranger = user(r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}"#);
    assert!(rig.engine.get_object(&stranger, get_request("kms", As::Kms.read())).await.is_err());
    assert!(rig.engine.put_object(&stranger, put_request("new", As::Kms.write(), b"")).await.is_err());
    let events = rig.audit.take();
    assert_eq!(said(&events[0]), ("SSE-KMS", "local", KEY, 1, &failed("KmsAccessDenied")));
    assert_eq!(said(&events[1]), ("SSE-KMS", "local", KEY, 0, &failed("KmsAccessDenied")));
    assert_eq!((events.len(), events[0].who.as_str()), (2, "alice"));
    let wrong = As::Customer(2);
    for is_head in [false, true] {
        let refused = if is_head { rig.head("customer", wrong).await.map(drop) } else { rig.get("customer", wrong).await.map(drop) };
        assert!(matches!(refused, Err(Error::CustomerKeyWrong)));
        let events = rig.audit.take();
        assert_eq!((events.len(), said(&events[0])), (1, ("SSE-C", "", "", 0, &failed("CustomerKeyWrong"))));
    }
    rig.keys.disable_key(KEY).await.unwrap();
    assert!(rig.get("kms", As::Kms).await.is_err());
    assert_eq!(said(&rig.audit.take()[..][0]), ("SSE-KMS", "local", KEY, 1, &failed("KmsKeyDisabled")));
    rig.keys.enable_key(KEY).await.unwrap();
    rig.kms.fail_all(Fault::Unavailable);
    assert!(rig.try_put("new", As::S3, b"").await.is_err());
    assert_eq!(said(&rig.audit.take()[..][0]), ("SSE-S3", "local", "default", 0, &failed("KmsUnavailable")));
}

#[tokio::test]
async fn no_event_tells_a_key_or_its_md5() {
    let rig = Rig::new().await;
    rig.put("object", As::Customer(7), b"data").await;
    rig.get("object", As::Customer(7)).await.unwrap();
    let _ = rig.get("object", As::Customer(8)).await;
    let text = format!("{:?}", rig.audit.take());
    for byte in [7, 8] {
        let headers = customer_headers([byte; 32]);
        for secret in [headers.key.unwrap().to_string(), headers.key_md5.unwrap(), hex::encode([byte; 32])] {
            assert!(!text.contains(&secret));
        }
    }
}

#[tokio::test]
async fn without_a_record_no_key_is_used() {
    let rig = Rig::new().await;
    for by in [As::S3, As::Kms, As::BucketKey, As::Dsse, As::Customer(1)] {
        rig.put("object", by, b"data").await;
        rig.audit.fail(true);
        assert!(matches!(rig.try_put("new", by, b"data").await, Err(Error::AuditUnavailable(_))), "{by:?}");
        assert!(matches!(rig.get("object", by).await, Err(Error::AuditUnavailable(_))), "{by:?}");
        assert!(matches!(rig.copy(("object", by), ("new", by)).await, Err(Error::AuditUnavailable(_))), "{by:?}");
        assert!(matches!(rig.get("new", by).await, Err(Error::NoSuchKey)));
        rig.put("plain", As::Store, b"data").await;
        rig.audit.fail(false);
        assert_eq!(rig.get("object", by).await.unwrap(), b"data");
    }
    assert_eq!(rig.blob_ids().await.len(), 0, "nothing was left behind");
}

#[tokio::test]
async fn a_re_keying_is_recorded_as_its_jobs() {
    let rig = Rig::new().await;
    rig.put("object", As::Kms, b"data").await;
    rig.audit.take();
    let job = rig.rekey(RekeyRequest { to_key: Some(OTHER_KEY.into()), ..RekeyRequest::default() }).await;
    let events = rig.audit.take();
    assert!(events.iter().all(|event| event.operation == "Rekey" && event.who == "root"));
    assert!(events.iter().all(|event| event.request_id == format!("job:{}", job.job_id)));
    let of_object: Vec<_> = events.iter().filter(|event| event.key == "object").map(said).collect();
    assert_eq!(of_object, [("SSE-KMS", "local", KEY, 1, &Outcome::Ok), ("SSE-KMS", "local", OTHER_KEY, 1, &Outcome::Ok)]);
}

#[tokio::test]
async fn a_data_key_that_the_kms_cannot_make_is_no_damage() {
    let rig = Rig::new().await;
    for by in KMS_MODES {
        rig.backend.fail_all(Fault::Rejected);
        assert!(matches!(rig.try_put("object", by, b"data").await, Err(Error::KmsUnavailable(_))), "{by:?}");
        rig.backend.heal();
    }
    assert_eq!(rig.engine.integrity_events(), 0);
}
