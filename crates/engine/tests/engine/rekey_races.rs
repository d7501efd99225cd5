//! Re-keying while clients go on writing, deleting, completing and re-keying.

use std::sync::Arc;

use strongroom_engine::{
    Error,
    api::DeleteCondition,
    rekey::{JobState, RekeyJob, RekeyRequest},
};
use strongroom_kms::KeyLifecycle as _;

use crate::common::*;

fn to_other() -> RekeyRequest {
    RekeyRequest { from_key: Some(KEY.into()), to_key: Some(OTHER_KEY.into()), ..RekeyRequest::default() }
}

/// A job that has found what to re-key, and waits for the KMS, when `meanwhile` happens.
async fn while_waiting(rig: &Rig, meanwhile: impl Future<Output = ()>) -> RekeyJob {
    rig.keys.rotate_key(KEY).await.unwrap();
    rig.kms.hold_answers();
    let job = rig.start(RekeyRequest { from_key: Some(KEY.into()), from_version: Some(1), ..RekeyRequest::default() }).await;
    while rig.kms.held_answers() == 0 {
        tokio::task::yield_now().await;
    }
    meanwhile.await;
    rig.kms.release_answers();
    rig.ended(&job.job_id).await
}

#[tokio::test]
async fn an_object_that_is_overwritten_meanwhile_is_the_new_one() {
    let rig = Rig::new().await;
    rig.put("object", As::Kms, b"old").await;
    let overwriting = Box::pin(async {
        rig.put("object", As::Store, b"new").await;
    });
    let job = while_waiting(&rig, overwriting).await;
    assert_eq!((job.state, counts(&job)), (JobState::Completed, (0, 1, 0)));
    assert_eq!(rig.get("object", As::Store).await.unwrap(), b"new");
    assert_eq!(rig.usage(KEY).await, [].into());
}

#[tokio::test]
async fn an_object_that_is_deleted_meanwhile_stays_deleted() {
    let rig = Rig::new().await;
    rig.put("object", As::Kms, b"old").await;
    let job = while_waiting(&rig, rig.delete("object")).await;
    assert_eq!((job.state, counts(&job)), (JobState::Completed, (0, 1, 0)));
    assert!(matches!(rig.get("object", As::Kms).await, Err(Error::NoSuchKey)));
}

#[tokio::test]
async fn an_upload_that_completes_while_it_is_re_keyed_ends_under_the_new_key() {
    for _ in 0..20 {
        let gate = Arc::new(Gate::default());
        let rig = Arc::new(Rig::with(Plan { catalog_hook: Some(Arc::clone(&gate) as _), ..Plan::default() }).await);
        let upload = rig.create_upload("object", As::Kms).await;
        let part = rig.upload_part(&upload, 1, As::Kms, b"part").await;
        gate.close();
        let (completing, at) = (Arc::clone(&rig), upload.clone());
        let complete = tokio::spawn(async move { completing.complete(&at, vec![part]).await });
        let job = rig.start(to_other()).await;
        // Both have read the old keys, and either may be first.
        gate.wait_for_writers(2).await;
        gate.open();
        complete.await.unwrap().unwrap();
        assert_eq!(rig.ended(&job.job_id).await.state, JobState::Completed);
        assert_eq!(rig.usage(KEY).await, [].into());
        assert_eq!(rig.usage(OTHER_KEY).await, [(1, (1, 0))].into());
        assert_eq!(rig.get("object", As::Kms).await.unwrap(), b"part");
    }
}

#[tokio::test]
async fn an_object_is_re_keyed_to_the_present_version_also_where_a_bucket_key_of_an_earlier_one_is_at_hand() {
    let gate = Arc::new(Gate::default());
    let rig = Rig::with(Plan { catalog_hook: Some(Arc::clone(&gate) as _), ..Plan::default() }).await;
    rig.put("object", As::BucketKey, b"data").await;
    rig.create_upload("upload", As::S3).await;
    rig.keys.rotate_key("default").await.unwrap();
    gate.close();
    let job = rig.start(RekeyRequest::default()).await;
    // The job, which forgot the bucket keys at its start, is at the upload, and comes to the object later.
    gate.wait_for_writer().await;
    let other = rig.create_upload("other", As::BucketKey).await;
    rig.engine.abort_multipart_upload(&other).await.unwrap();
    // In the backend itself, so that nobody tells the engine.
    rig.keys.rotate_key(KEY).await.unwrap();
    gate.open();
    let job = rig.ended(&job.job_id).await;
    assert_eq!((job.state, counts(&job)), (JobState::Completed, (2, 0, 0)));
    assert_eq!(rig.usage(KEY).await, [(2, (1, 0))].into());
    assert_eq!(rig.get("object", As::BucketKey).await.unwrap(), b"data");
}

/// Clients that write, copy and delete, and several jobs over the same objects, all at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_every_object_stays_readable_and_in_the_end_nothing_is_left_under_the_old_key() {
    for sqlite in [false, true] {
        let rig = Arc::new(Rig::with(Plan { sqlite, ..Plan::default() }).await);
        for number in 0..60 {
            rig.put(&format!("{number}"), KMS_MODES[number % 4], format!("{number}").as_bytes()).await;
        }
        let mut clients = Vec::new();
        for client in 0..3_usize {
            let rig = Arc::clone(&rig);
            clients.push(tokio::spawn(async move {
                for round in 0..40 {
                    let number = (round * 7 + client * 20) % 60;
                    let (key, by) = (format!("{number}"), KMS_MODES[number % 4]);
                    match round % 4 {
                        0 => drop(rig.try_put(&key, by, key.as_bytes()).await.unwrap()),
                        1 => drop(rig.copy((&key, by), (&format!("copy of {key}"), by)).await),
                        2 => drop(
                            rig.engine
                                .delete_object(&rig.root, BUCKET, &format!("copy of {key}"), None, DeleteCondition::default(), false)
                                .await,
                        ),
                        _ => assert_eq!(rig.get(&key, by).await.unwrap(), key.as_bytes()),
                    }
                }
            }));
        }
        let mut jobs = Vec::new();
        for request in [to_other(), to_other(), RekeyRequest::default()] {
            rig.keys.rotate_key(KEY).await.unwrap();
            jobs.push(rig.start(request).await.job_id);
        }
        for client in clients {
            client.await.unwrap();
        }
        for job in jobs {
            let job = rig.ended(&job).await;
            assert_eq!((job.state, job.failed), (JobState::Completed, 0), "{:?}", job.failures);
        }
        let last = rig.rekey(RekeyRequest { to_key: Some(OTHER_KEY.into()), ..RekeyRequest::default() }).await;
        assert_eq!((last.state, last.failed, last.done + last.skipped), (JobState::Completed, 0, last.total));
        for key in [KEY, "default"] {
            assert_eq!(rig.usage(key).await, [].into());
            rig.keys.delete_now(key, key).await.unwrap();
        }
        for number in 0..60 {
            let key = format!("{number}");
            assert_eq!(rig.get(&key, KMS_MODES[number % 4]).await.unwrap(), key.as_bytes());
        }
        assert_eq!(rig.engine.integrity_events(), 0);
    }
}
