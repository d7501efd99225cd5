//! No write is acknowledged under a key that is gone, however little time it took: the key's state is looked at in memory at the commit,
//! and a deletion and a commit never overlap.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::stream;
use strongroom_audit::Outcome;
use strongroom_engine::{
    Error,
    api::{Body, ListParts, PutObject, SseHeaders, UpdateObjectEncryption, UploadPart, UploadPartCopy},
    rekey::{JobState, RekeyRequest},
};
use strongroom_kms::{KeyLifecycle as _, KeyService as _};

use crate::common::*;

/// What may become of a key while a body comes, and the answer to the write.
#[derive(Clone, Copy, Debug)]
enum Change {
    Delete,
    Schedule,
    Disable,
    Seal,
    SealService,
}

const CHANGES: [Change; 5] = [Change::Delete, Change::Schedule, Change::Disable, Change::Seal, Change::SealService];

impl Change {
    async fn make(self, keys: &Cache, key_id: &str) {
        match self {
            Self::Delete => keys.delete_now(key_id, key_id).await.map(drop),
            Self::Schedule => keys.schedule_deletion(key_id, 7).await.map(drop),
            Self::Disable => keys.disable_key(key_id).await.map(drop),
            Self::Seal => keys.seal_key(key_id).await.map(drop),
            Self::SealService => keys.seal_service().await,
        }
        .unwrap();
    }

    fn error(self, key_id: &str) -> String {
        let name = match self {
            Self::Delete => "KmsKeyErased",
            Self::Schedule => "KmsKeyPendingDeletion",
            Self::Disable => "KmsKeyDisabled",
            Self::Seal => "KmsKeySealed",
            Self::SealService => return "KmsSealed".to_owned(),
        };
        format!("{name}({key_id:?})")
    }
}

/// A body of which one half comes, then the change of its key, then the other half. It takes no time.
fn body_around(change: Change, key_id: &'static str, rig: &Rig) -> Body {
    let keys = Arc::clone(&rig.keys);
    let second = async move {
        change.make(&keys, key_id).await;
        Ok(Bytes::from_static(&[7; 5_000]))
    };
    let halves = stream::StreamExt::chain(stream::iter([Ok(Bytes::from_static(&[7; 5_000]))]), stream::once(second));
    Body { stream: Box::pin(sync_wrapper::SyncStream::new(halves)), length: None }
}

#[tokio::test]
async fn a_put_under_a_key_that_changes_at_once_is_refused_with_the_state_of_the_key() {
    for by in KMS_MODES {
        for change in CHANGES {
            for rig in [Rig::new().await, Rig::cached().await] {
                let key_id = by.kms_key().unwrap();
                let request = PutObject { body: body_around(change, key_id, &rig), ..put_request("object", by.write(), b"") };
                let refused = rig.engine.put_object(&rig.root, request).await.unwrap_err();
                assert_eq!(format!("{refused:?}"), change.error(key_id), "{by:?} {change:?}");
                let outcomes: Vec<_> = rig.audit.take().into_iter().map(|event| event.outcome).collect();
                let name = change.error(key_id).chars().take_while(char::is_ascii_alphanumeric).collect();
                assert_eq!(outcomes, [Outcome::Ok, Outcome::Error(name)], "{by:?} {change:?}: the refusal is recorded");
                assert!(matches!(rig.get("object", by).await, Err(Error::NoSuchKey)), "{by:?} {change:?}");
                assert_eq!(rig.usage(key_id).await, [].into());
            }
        }
    }
}

#[tokio::test]
async fn a_part_under_a_key_that_changes_at_once_is_refused_with_the_state_of_the_key() {
    for by in KMS_MODES {
        for change in CHANGES {
            let rig = Rig::new().await;
            let key_id = by.kms_key().unwrap();
            let upload = rig.create_upload("object", by).await;
            let request = UploadPart { body: body_around(change, key_id, &rig), ..part_request(&upload, 1, by, b"") };
            let refused = rig.engine.upload_part(&rig.root, request).await.unwrap_err();
            assert_eq!(format!("{refused:?}"), change.error(key_id), "{by:?} {change:?}");
            let parts = rig.engine.list_parts(ListParts { upload, after: 0, limit: 10 }).await.unwrap().parts;
            assert!(parts.is_empty(), "{by:?} {change:?}: {}", parts.len());
        }
    }
}

#[tokio::test]
async fn a_part_whose_upload_is_re_keyed_while_its_body_comes_outlives_the_former_key() {
    let rig = Rig::new().await;
    let upload = rig.create_upload("object", As::Kms).await;
    let (engine, keys) = (Arc::clone(&rig.engine), Arc::clone(&rig.keys));
    let root = root(true);
    let second = async move {
        let request = RekeyRequest { from_key: Some(KEY.into()), to_key: Some(OTHER_KEY.into()), ..RekeyRequest::default() };
        let job = engine.start_rekey(request, starter(&root)).await.unwrap();
        while engine.rekey_job(&job.job_id).await.unwrap().state == JobState::Running {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        keys.delete_now(KEY, KEY).await.unwrap();
        Ok(Bytes::from_static(b"part"))
    };
    let body = Body { stream: Box::pin(sync_wrapper::SyncStream::new(stream::once(second))), length: None };
    let part = rig.engine.upload_part(&rig.root, UploadPart { body, ..part_request(&upload, 1, As::Kms, b"") }).await.unwrap();
    rig.complete(&upload, vec![completed(1, &part)]).await.unwrap();
    assert_eq!(rig.get("object", As::Kms).await.unwrap(), b"part");
}

/// The key is closed to commits, and can be used in every other way: what is refused now is refused at the commit.
#[tokio::test]
async fn nothing_is_committed_under_a_key_that_is_closed() {
    for by in [As::Kms, As::BucketKey, As::Dsse] {
        let rig = Rig::new().await;
        rig.put("plain", As::Store, b"plain").await;
        rig.put("sse-s3", As::S3, b"data").await;
        rig.put("under it", by, b"data").await;
        let (upload, whole) = (rig.create_upload("upload", by).await, rig.create_upload("whole", by).await);
        let part = rig.upload_part(&whole, 1, by, b"part").await;
        let before = rig.usage(KEY).await;
        let closed = rig.source.fence.close_key("local", KEY);
        rig.source.check_usable(KEY).await.expect("it is as usable as ever");
        let copied = UploadPartCopy {
            upload: upload.clone(),
            part_number: 2,
            source: copy_source("plain", As::Store),
            range: None,
            sse: SseHeaders::default(),
        };
        let update = |key: &str, to: &str| UpdateObjectEncryption {
            bucket: BUCKET.into(),
            key: key.into(),
            version_id: None,
            kms_key_id: format!("arn:aws:kms:::key/{to}"),
            bucket_key_enabled: false,
        };
        let mut refused = vec![
            ("PutObject", rig.try_put("new", by, b"new").await.err()),
            ("PutObject of a blob", rig.try_put("new", by, &data(10_000, 1)).await.err()),
            ("CopyObject", rig.copy(("plain", As::Store), ("new", by)).await.err()),
            ("CreateMultipartUpload", rig.engine.create_multipart_upload(&rig.root, create_request("new", by.write())).await.err()),
            ("UploadPart", rig.engine.upload_part(&rig.root, part_request(&upload, 1, by, b"part")).await.err()),
            ("UploadPartCopy", rig.engine.upload_part_copy(&rig.root, copied).await.err()),
            ("CompleteMultipartUpload", rig.complete(&whole, vec![part.clone()]).await.err()),
            ("UpdateObjectEncryption to it", rig.engine.update_object_encryption(&rig.root, update("sse-s3", KEY)).await.err()),
        ];
        if by != As::Dsse {
            let away = rig.engine.update_object_encryption(&rig.root, update("under it", OTHER_KEY)).await.err();
            refused.push(("UpdateObjectEncryption away from it", away));
        }
        for (operation, error) in refused {
            let error = error.unwrap_or_else(|| panic!("{operation} by {by:?} went through"));
            assert_eq!(format!("{error:?}"), r#"KmsKeyPendingDeletion("alpha")"#, "{operation} by {by:?}");
        }
        let job = |from: &str, to: &str| RekeyRequest { from_key: Some(from.into()), to_key: Some(to.into()), ..RekeyRequest::default() };
        for (request, count) in [(job("default", KEY), 1), (job(KEY, OTHER_KEY), 3)] {
            let job = rig.rekey(request).await;
            assert_eq!((job.state, counts(&job)), (JobState::CompletedWithErrors, (0, 0, count)), "{by:?}");
            assert_eq!(job.failures[0].reason, "The KMS key alpha is pending deletion.");
        }
        assert_eq!(rig.usage(KEY).await, before, "{by:?}: what depends on the key is what did before");
        drop(closed);
        rig.put("new", by, b"new").await;
        rig.complete(&whole, vec![part]).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_commit_whose_client_went_away_is_waited_for_and_counted() {
    let gate = Arc::new(Gate::default());
    let rig = Arc::new(Rig::with(Plan { catalog_hook: Some(Arc::clone(&gate) as _), ..Plan::default() }).await);
    gate.close();
    let writer = Arc::clone(&rig);
    let request = tokio::spawn(async move { writer.try_put("object", As::Kms, b"data").await });
    gate.wait_for_writer().await;
    request.abort();
    assert!(request.await.unwrap_err().is_cancelled());
    let closed = rig.source.fence.close_key("local", KEY);
    assert!(closed.drained(Duration::from_secs(10)).await.is_err(), "it is under way");
    gate.open();
    closed.drained(Duration::from_secs(10)).await.unwrap();
    assert_eq!(rig.usage(KEY).await, [(1, (1, 0))].into());
}
