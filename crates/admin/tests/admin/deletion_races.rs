//! Deletions of keys against writes under them, and against kills between any two steps: what is acknowledged is in the receipt, or can
//! be read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use strongroom_audit::SignedReceipt;
use strongroom_engine::Error;
use strongroom_engine::api::{
    Attributes, Body, CompleteMultipartUpload, CompletedPart, CopyObject, CopySource, CreateMultipartUpload, DeleteCondition,
    ObjectHeaders, ObjectLock, SseHeaders, TagsOfCopy, UploadChecksum, UploadPart, UploadRef, WriteCondition,
};
use time::OffsetDateTime;

use crate::rig::{Rig, caller, sse_kms};

const ROUNDS: u64 = 20;
const WRITERS: u64 = 4;

fn now() -> Value {
    json!({"key_id": "alpha", "force_immediate": true, "confirm_key_id": "alpha"})
}

/// A body in two halves, and what happens between them.
fn in_halves(between: impl Future<Output = ()> + Send + 'static) -> Body {
    let second = stream::once(async move {
        between.await;
        Ok(Bytes::from_static(b"half"))
    });
    let halves = stream::iter([Ok(Bytes::from_static(b"half"))]).chain(second);
    Body { stream: Box::pin(sync_wrapper::SyncStream::new(halves)), length: Some(8) }
}

#[tokio::test]
async fn a_put_is_not_acknowledged_under_a_key_that_is_deleted_between_the_halves_of_its_body() {
    let rig = Arc::new(Rig::new().await);
    let (deleting, (told, receipt)) = (Arc::clone(&rig), tokio::sync::oneshot::channel());
    let body = in_halves(async move {
        let answer = deleting.ok("DELETE", "/kms/keys/delete", now()).await;
        told.send(answer["receipt"].clone()).unwrap();
    });
    let refused = rig.try_put("object", "alpha", body).await.unwrap_err();
    assert!(matches!(&refused, Error::KmsKeyErased(key) if key == "alpha"), "{refused:?}");
    let receipt: SignedReceipt = serde_json::from_value(receipt.await.unwrap()).unwrap();
    assert_eq!((receipt.receipt.objects, receipt.receipt.bytes), (0, 0));
    assert!(matches!(rig.get("object").await, Err(Error::NoSuchKey)), "nothing of it is there");
}

/// Writes until its key is gone; the names that were acknowledged, and how many uploads were begun and not completed.
async fn write_on(rig: Arc<Rig>, number: u64, acknowledged: Arc<AtomicU64>) -> (Vec<String>, u64) {
    let (mut names, mut open) = (Vec::new(), 0);
    for count in 0..10_000 {
        let name = format!("{number}/{count}");
        let written = match number {
            0 => rig.try_put(&name, "alpha", in_halves(tokio::task::yield_now())).await.map(drop),
            1 => rig.try_put(&name, "alpha", in_halves(tokio::time::sleep(Duration::from_millis(2)))).await.map(drop),
            2 => copy(&rig, &name).await,
            _ => upload(&rig, &name, &mut open).await,
        };
        match written {
            Ok(()) => {
                acknowledged.fetch_add(1, Ordering::SeqCst);
                names.push(name);
            }
            Err(Error::KmsKeyErased(_) | Error::KmsKeyPendingDeletion(_)) => return (names, open),
            Err(error) => panic!("{name}: {error:?}"),
        }
    }
    panic!("the key is never deleted");
}

async fn copy(rig: &Rig, name: &str) -> Result<(), Error> {
    let request = CopyObject {
        source: CopySource { bucket: "photos".into(), key: "source".into(), ..CopySource::default() },
        bucket: "photos".into(),
        key: name.into(),
        headers: None,
        storage_class: None,
        website_redirect_location: None,
        tags: TagsOfCopy::Keep { permitted: true },
        acl: None,
        lock: ObjectLock::default(),
        sse: sse_kms("alpha"),
        checksum_algorithm: None,
        condition: WriteCondition::None,
    };
    rig.engine.copy_object(&caller(), request).await.map(drop)
}

async fn upload(rig: &Rig, name: &str, open: &mut u64) -> Result<(), Error> {
    let request = CreateMultipartUpload {
        bucket: "photos".into(),
        key: name.into(),
        headers: ObjectHeaders::default(),
        attributes: Attributes::default(),
        sse: sse_kms("alpha"),
        checksum_algorithm: None,
        checksum_kind: None,
    };
    let upload_id = rig.engine.create_multipart_upload(&caller(), request).await?.upload_id;
    *open += 1;
    let upload = UploadRef { bucket: "photos".into(), key: name.into(), upload_id };
    let part = UploadPart {
        upload: upload.clone(),
        part_number: 1,
        sse: SseHeaders::default(),
        content_md5: None,
        checksum: UploadChecksum::default(),
        body: in_halves(tokio::task::yield_now()),
    };
    let etag = rig.engine.upload_part(&caller(), part).await?.etag;
    let request = CompleteMultipartUpload {
        upload,
        parts: vec![CompletedPart { number: 1, etag, checksum: None }],
        sse: SseHeaders::default(),
        checksum: None,
        checksum_kind: None,
        object_size_bytes: None,
        condition: WriteCondition::None,
    };
    rig.engine.complete_multipart_upload(&caller(), request).await?;
    *open -= 1;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn in_twenty_rounds_of_four_writers_the_receipt_states_exactly_what_is_lost() {
    let mut lost_in_all = 0;
    for round in 0..ROUNDS {
        let rig = Arc::new(Rig::new().await);
        rig.put("source", None, b"halfhalf").await;
        let acknowledged = Arc::new(AtomicU64::new(0));
        let writers: Vec<_> =
            (0..WRITERS).map(|number| tokio::spawn(write_on(Arc::clone(&rig), number, Arc::clone(&acknowledged)))).collect();
        while acknowledged.load(Ordering::SeqCst) < 3 * round {
            tokio::task::yield_now().await;
        }
        let answer = rig.ok("DELETE", "/kms/keys/delete", now()).await;
        let (mut lost, mut open) = (0, 0);
        for writer in writers {
            let (names, left_open) = writer.await.unwrap();
            open += left_open;
            for name in names {
                match rig.get(&name).await {
                    Err(Error::KmsKeyErased(_)) => lost += 1,
                    other => panic!("round {round}, {name}: {other:?}"),
                }
            }
        }
        let receipt: SignedReceipt = serde_json::from_value(answer["receipt"].clone()).unwrap();
        assert_eq!((receipt.receipt.objects, receipt.receipt.bytes), (lost, 8 * lost), "round {round}");
        assert_eq!(rig.get("source").await.unwrap(), b"halfhalf");
        let usage = rig.ok("GET", "/kms/keys/alpha/usage", Value::Null).await;
        assert_eq!((usage["objects"].as_u64(), usage["uploads"].as_u64()), (Some(lost), Some(open)), "round {round}");
        assert_eq!((answer["usage"]["objects"].as_u64(), answer["usage"]["uploads"].as_u64()), (Some(lost), Some(open)), "round {round}");
        lost_in_all += lost;
    }
    assert!(lost_in_all > 100, "the writers were busy: {lost_in_all}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_a_job_moves_to_or_from_a_key_while_it_is_deleted_is_in_the_receipt_or_can_be_read() {
    for round in 0..10_u64 {
        let rig = Arc::new(Rig::new().await);
        for number in 0..40 {
            rig.put(&format!("alpha/{number}"), Some("alpha"), b"halfhalf").await;
            rig.put(&format!("beta/{number}"), Some("beta"), b"halfhalf").await;
        }
        for (prefix, from, to) in [("alpha/", "alpha", "beta"), ("beta/", "beta", "alpha")] {
            rig.ok("POST", "/kms/rekey", json!({"bucket": "photos", "prefix": prefix, "from_key": from, "to_key": to})).await;
        }
        tokio::time::sleep(Duration::from_millis(round)).await;
        let answer = rig.ok("DELETE", "/kms/keys/delete", now()).await;
        while rig.engine.rekey_jobs().await.unwrap().iter().any(|job| job.finished.is_none()) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let mut lost = 0;
        for name in (0..40).flat_map(|number| [format!("alpha/{number}"), format!("beta/{number}")]) {
            match rig.get(&name).await {
                Ok(data) => assert_eq!(data, b"halfhalf"),
                Err(Error::KmsKeyErased(_)) => lost += 1,
                Err(error) => panic!("round {round}, {name}: {error:?}"),
            }
        }
        assert_eq!(answer["receipt"]["receipt"]["objects"].as_u64(), Some(lost), "round {round}");
    }
}

#[tokio::test]
async fn a_scheduled_deletion_states_what_was_acknowledged_before_it_and_lets_nothing_follow() {
    let rig = Arc::new(Rig::new().await);
    rig.put("before", Some("alpha"), b"halfhalf").await;
    let deleting = Arc::clone(&rig);
    let body = in_halves(async move {
        let answer = deleting.ok("DELETE", "/kms/keys/delete", json!({"key_id": "alpha", "pending_window_in_days": 7})).await;
        assert_eq!(answer["usage"]["objects"], 1);
    });
    let refused = rig.try_put("during", "alpha", body).await.unwrap_err();
    assert!(matches!(refused, Error::KmsKeyPendingDeletion(_)), "{refused:?}");
    rig.admin.tick(OffsetDateTime::now_utc() + time::Duration::days(8)).await;
    let receipts = rig.ok("GET", "/kms/receipts?key_id=alpha", Value::Null).await;
    assert_eq!((receipts["receipts"].as_array().unwrap().len(), &receipts["receipts"][0]["receipt"]["objects"]), (1, &json!(1)));
}

/// What is intended with `alpha`, as the state store has it.
async fn intend(rig: &Rig, lost: Option<Value>) {
    let mut intent = json!({"backend": "local", "key_id": "alpha", "who": "root", "request_id": "REQUEST1", "due": "2026-01-01T00:00:00Z"});
    if let Some(lost) = lost {
        intent["lost"] = lost;
    }
    rig.state.save("kms-erasures", None, json!([intent]).to_string().as_bytes()).await.unwrap();
}

async fn intents(rig: &Rig) -> Value {
    let stored = rig.state.load("kms-erasures").await.unwrap();
    stored.map_or_else(|| json!([]), |bytes| serde_json::from_slice(&bytes).unwrap())
}

#[tokio::test]
async fn a_kill_before_the_key_is_destroyed_leaves_it_as_it_was() {
    let rig = Rig::new().await;
    rig.put("object", Some("alpha"), b"halfhalf").await;
    // Closed, counted and noted; then the process was killed.
    std::mem::forget(rig.keyring.close_key("local", "alpha").await.unwrap());
    intend(&rig, Some(json!({"objects": 1, "bytes": 8, "uploads": 0}))).await;
    let rig = rig.after_a_kill().await;
    assert_eq!(rig.get("object").await.unwrap(), b"halfhalf");
    rig.put("another", Some("alpha"), b"halfhalf").await;
    rig.admin.tick(OffsetDateTime::now_utc()).await;
    assert_eq!(rig.ok("GET", "/kms/receipts", Value::Null).await["receipts"], json!([]));
    assert_eq!(intents(&rig).await, json!([]), "nobody waits for it any more");
    let answer = rig.ok("DELETE", "/kms/keys/delete", now()).await;
    assert_eq!(answer["receipt"]["receipt"]["objects"], 2, "a later deletion counts anew");
}

#[tokio::test]
async fn a_kill_after_the_key_is_destroyed_leaves_a_receipt_of_what_was_lost_by_then() {
    for (lost, expected) in [(Some(json!({"objects": 2, "bytes": 16, "uploads": 0})), (2, 16)), (None, (1, 8))] {
        let rig = Rig::new().await;
        rig.put("first", Some("alpha"), b"halfhalf").await;
        rig.put("second", Some("alpha"), b"halfhalf").await;
        // The last release noted no numbers: what is left is counted then.
        intend(&rig, lost).await;
        rig.keyring.kms(None).unwrap().delete_now("alpha", "alpha").await.unwrap();
        let rig = rig.after_a_kill().await;
        rig.engine.delete_object(&caller(), "photos", "first", None, DeleteCondition::default(), false).await.unwrap();
        rig.admin.tick(OffsetDateTime::now_utc()).await;
        let receipts = rig.ok("GET", "/kms/receipts", Value::Null).await;
        let receipt = &receipts["receipts"][0]["receipt"];
        assert_eq!((receipt["objects"].as_u64(), receipt["bytes"].as_u64()), (Some(expected.0), Some(expected.1)));
        assert_eq!((&receipt["requested_by"], receipts["receipts"].as_array().unwrap().len()), (&json!("root"), 1));
        assert_eq!(intents(&rig).await, json!([]));
    }
}

#[tokio::test]
async fn a_deletion_that_fails_opens_the_key_again_and_leaves_nothing_waiting() {
    let rig = Rig::new().await;
    rig.put("object", Some("alpha"), b"halfhalf").await;
    // The file of the key cannot be replaced by its tombstone.
    let file = rig.dir.path().join("keys/alpha.key.json");
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir_all(file.join("in the way")).unwrap();
    rig.refused("DELETE", "/kms/keys/delete", now(), 503, "KmsUnavailable").await;
    assert_eq!(rig.get("object").await.unwrap(), b"halfhalf");
    rig.put("another", Some("alpha"), b"halfhalf").await;
    assert_eq!(intents(&rig).await, json!([]));
    assert_eq!(rig.ok("GET", "/kms/receipts", Value::Null).await["receipts"], json!([]));
    std::fs::remove_dir_all(&file).unwrap();
    let answer = rig.ok("DELETE", "/kms/keys/delete", now()).await;
    assert_eq!(answer["receipt"]["receipt"]["objects"], 2);
}

#[tokio::test]
async fn a_commit_that_does_not_end_is_not_waited_for_for_ever_and_nothing_is_deleted() {
    let rig = Rig::new().await;
    let permit = strongroom_kms::KeySource::begin_commit(&*rig.keyring, "local", "alpha").await.unwrap();
    tokio::time::pause();
    let message = rig.refused("DELETE", "/kms/keys/delete", now(), 409, "Conflict").await;
    tokio::time::resume();
    assert_eq!(message, "writes under way did not end within 10 seconds, so nothing was deleted; try again");
    assert_eq!(intents(&rig).await, json!([]));
    rig.put("object", Some("alpha"), b"halfhalf").await;
    drop(permit);
    let answer = rig.ok("DELETE", "/kms/keys/delete", now()).await;
    assert_eq!(answer["receipt"]["receipt"]["objects"], 1);
}
