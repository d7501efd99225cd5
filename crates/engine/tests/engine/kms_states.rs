//! What each state of a key, of the KMS and of its backend means for each operation.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::stream;
use strongroom_audit::Outcome;
use strongroom_engine::{
    Error,
    api::{Body, PutObject, SseHeaders, UploadPartCopy, UploadRef},
};
use strongroom_kms::{KeyLifecycle as _, testing::Fault};

use crate::common::*;

/// Objects and uploads under `KEY`, under no key of the KMS, and under another one.
struct World {
    rig: Rig,
    by: As,
    upload: UploadRef,
    free_upload: UploadRef,
}

impl World {
    async fn new(by: As, cached: bool) -> Self {
        let rig = if cached { Rig::cached().await } else { Rig::new().await };
        rig.put("object", by, b"protected").await;
        rig.put("plain", As::Store, b"plain").await;
        rig.put("customer", As::Customer(1), b"customer's").await;
        rig.put("large", by, &data(100_000, 1)).await;
        let upload = rig.create_upload("upload", by).await;
        let free_upload = rig.create_upload("free", As::Store).await;
        Self { rig, by, upload, free_upload }
    }

    /// Every operation that needs the key, with how it ended.
    async fn attempts(&self) -> Vec<(&'static str, Option<Error>)> {
        let Self { rig, by, upload, free_upload } = self;
        let by = *by;
        let copied_part = |upload: &UploadRef, source: &str| UploadPartCopy {
            upload: upload.clone(),
            part_number: 2,
            source: copy_source(source, As::Store),
            range: None,
            sse: SseHeaders::default(),
        };
        vec![
            ("put", rig.try_put("new", by, b"new").await.err()),
            ("get", rig.get("object", by).await.err()),
            ("get of a blob", rig.get("large", by).await.err()),
            ("copy source", rig.copy(("object", by), ("new", As::Store)).await.err()),
            ("copy target", rig.copy(("plain", As::Store), ("new", by)).await.err()),
            ("create upload", rig.engine.create_multipart_upload(&rig.root, create_request("new", by.write())).await.err()),
            ("upload part", rig.engine.upload_part(&rig.root, part_request(upload, 1, by, b"part")).await.err()),
            ("upload part copy, target", rig.engine.upload_part_copy(&rig.root, copied_part(upload, "plain")).await.err()),
            ("upload part copy, source", rig.engine.upload_part_copy(&rig.root, copied_part(free_upload, "object")).await.err()),
        ]
    }

    async fn refuses_everything_with(&self, expected: &str) {
        for (operation, error) in self.attempts().await {
            let error = error.unwrap_or_else(|| panic!("{operation} went through"));
            assert_eq!(format!("{error:?}"), expected, "{operation}");
        }
        assert!(matches!(self.rig.get("new", As::Store).await, Err(Error::NoSuchKey)), "a refused write leaves nothing");
        self.answers_head().await;
    }

    /// HeadObject never asks the KMS, so no state of a key is seen there.
    async fn answers_head(&self) {
        let reply = self.rig.head("object", self.by).await.unwrap();
        assert_eq!((reply.info.size_bytes, reply.info.sse.mode), (9, self.by.mode()));
    }

    async fn allows_everything(&self) {
        for (operation, error) in self.attempts().await {
            assert!(error.is_none(), "{operation}: {error:?}");
        }
        assert_eq!(self.rig.get("object", self.by).await.unwrap(), b"protected");
        self.rig.delete("new").await;
    }

    /// What needs no key of the KMS goes on; so does another key, unless the whole KMS is out.
    async fn others_go_on(&self, other_keys: bool) {
        let rig = &self.rig;
        assert_eq!(rig.get("plain", As::Store).await.unwrap(), b"plain");
        assert_eq!(rig.get("customer", As::Customer(1)).await.unwrap(), b"customer's");
        rig.put("free", As::Customer(2), b"free").await;
        rig.copy(("customer", As::Customer(1)), ("plain-copy", As::Store)).await.unwrap();
        if other_keys {
            let sse = SseHeaders { kms_key_id: Some(OTHER_KEY.into()), ..As::Kms.write() };
            rig.engine.put_object(&rig.root, put_request("other", sse, b"other")).await.unwrap();
            assert_eq!(rig.get("other", As::Kms).await.unwrap(), b"other");
        }
    }
}

/// SSE-KMS, with and without a bucket key, and DSSE-KMS, all under `KEY`; with a cold cache and with a hot one.
async fn worlds() -> Vec<World> {
    let mut worlds = Vec::new();
    for by in [As::Kms, As::BucketKey, As::Dsse] {
        for cached in [false, true] {
            let world = World::new(by, cached).await;
            world.allows_everything().await;
            worlds.push(world);
        }
    }
    worlds
}

#[tokio::test]
async fn a_disabled_key_refuses_everything_at_once_until_it_is_enabled() {
    for world in worlds().await {
        world.rig.keys.disable_key(KEY).await.unwrap();
        world.refuses_everything_with(r#"KmsKeyDisabled("alpha")"#).await;
        world.others_go_on(true).await;
        world.rig.keys.enable_key(KEY).await.unwrap();
        world.allows_everything().await;
    }
}

#[tokio::test]
async fn a_key_pending_deletion_refuses_everything_at_once_until_the_deletion_is_taken_back() {
    for world in worlds().await {
        world.rig.keys.schedule_deletion(KEY, 7).await.unwrap();
        world.refuses_everything_with(r#"KmsKeyPendingDeletion("alpha")"#).await;
        world.others_go_on(true).await;
        world.rig.keys.cancel_deletion(KEY).await.unwrap();
        world.rig.keys.enable_key(KEY).await.unwrap();
        world.allows_everything().await;
    }
}

#[tokio::test]
async fn a_sealed_key_refuses_everything_at_once_until_it_is_unsealed() {
    for world in worlds().await {
        world.rig.keys.seal_key(KEY).await.unwrap();
        world.refuses_everything_with(r#"KmsKeySealed("alpha")"#).await;
        world.others_go_on(true).await;
        world.rig.keys.unseal_key(KEY).await.unwrap();
        world.allows_everything().await;
    }
}

#[tokio::test]
async fn a_sealed_kms_refuses_everything_at_once_until_it_is_unsealed() {
    for world in worlds().await {
        world.rig.keys.seal_service().await.unwrap();
        world.refuses_everything_with("KmsSealed").await;
        world.others_go_on(false).await;
        world.rig.keys.unseal_service().await.unwrap();
        world.allows_everything().await;
    }
}

#[tokio::test]
async fn a_deleted_key_answers_that_the_object_cannot_be_recovered() {
    for world in worlds().await {
        world.rig.keys.delete_now(KEY, KEY).await.unwrap();
        world.refuses_everything_with(r#"KmsKeyErased("alpha")"#).await;
        world.others_go_on(true).await;
    }
}

/// A body that takes a second, in which `key_id` is deleted.
fn body_that_outlives(key_id: &'static str, rig: &Rig, data: &'static [u8]) -> Body {
    let keys = Arc::clone(&rig.keys);
    let pieces = stream::once(async move {
        keys.delete_now(key_id, key_id).await.unwrap();
        tokio::time::advance(Duration::from_secs(1)).await;
        Ok(Bytes::from_static(data))
    });
    Body { stream: Box::pin(sync_wrapper::SyncStream::new(pieces)), length: None }
}

#[tokio::test(start_paused = true)]
async fn a_put_whose_key_is_deleted_while_its_body_comes_is_refused() {
    for by in KMS_MODES {
        for rig in [Rig::new().await, Rig::cached().await] {
            let key_id = by.kms_key().unwrap();
            let request = PutObject { body: body_that_outlives(key_id, &rig, &[7; 10_000]), ..put_request("object", by.write(), b"") };
            let refused = rig.engine.put_object(&rig.root, request).await.unwrap_err();
            assert_eq!(format!("{refused:?}"), format!("KmsKeyErased({key_id:?})"), "{by:?}");
            let outcomes: Vec<_> = rig.audit.take().into_iter().map(|event| event.outcome).collect();
            assert_eq!(outcomes, [Outcome::Ok, Outcome::Error("KmsKeyErased".to_owned())], "{by:?}");
            assert!(matches!(rig.get("object", by).await, Err(Error::NoSuchKey)), "{by:?}");
            assert_eq!(rig.usage(key_id).await, [].into());
            while !rig.blob_ids().await.is_empty() {
                tokio::task::yield_now().await;
            }
        }
    }
}

#[tokio::test]
async fn an_upload_whose_key_was_deleted_is_not_completed() {
    for by in KMS_MODES {
        for rig in [Rig::new().await, Rig::cached().await] {
            let key_id = by.kms_key().unwrap();
            let (first, second) = (rig.create_upload("first", by).await, rig.create_upload("second", by).await);
            let parts = [rig.upload_part(&first, 1, by, b"part").await, rig.upload_part(&second, 1, by, b"part").await];
            let [of_first, of_second] = parts.map(|part| vec![part]);
            rig.keys.disable_key(key_id).await.unwrap();
            assert!(matches!(rig.complete(&first, of_first.clone()).await, Err(Error::KmsKeyDisabled(_))), "{by:?}");
            rig.keys.enable_key(key_id).await.unwrap();
            rig.complete(&first, of_first.clone()).await.unwrap();
            assert_eq!(rig.get("first", by).await.unwrap(), b"part");
            rig.keys.delete_now(key_id, key_id).await.unwrap();
            assert!(matches!(rig.complete(&second, of_second).await, Err(Error::KmsKeyErased(_))), "{by:?}");
            assert!(matches!(rig.get("second", by).await, Err(Error::NoSuchKey)), "{by:?}");
            rig.complete(&first, of_first).await.expect("that it was completed is still answered");
        }
    }
}

#[tokio::test]
async fn sse_s3_follows_the_state_of_the_default_key() {
    let world = World::new(As::S3, true).await;
    world.allows_everything().await;
    world.rig.keys.disable_key("default").await.unwrap();
    world.refuses_everything_with(r#"KmsKeyDisabled("default")"#).await;
    world.others_go_on(true).await;
    world.rig.keys.enable_key("default").await.unwrap();
    world.allows_everything().await;
}

#[tokio::test]
async fn every_fault_of_the_backend_has_its_error() {
    for (fault, expected) in [
        (Fault::KeyNotFound, r#"KmsKeyNotFound("alpha")"#),
        (Fault::KeyErased, r#"KmsKeyErased("alpha")"#),
        (Fault::KeyDisabled, r#"KmsKeyDisabled("alpha")"#),
        (Fault::KeyPendingDeletion, r#"KmsKeyPendingDeletion("alpha")"#),
        (Fault::KeySealed, r#"KmsKeySealed("alpha")"#),
        (Fault::ServiceSealed, "KmsSealed"),
        (Fault::Denied, r#"KmsUnavailable(Denied("injected by a test"))"#),
        (Fault::Unavailable, r#"KmsUnavailable(Unavailable("injected by a test"))"#),
        (Fault::Broken, r#"KmsUnavailable(Broken("injected by a test"))"#),
    ] {
        let world = World::new(As::Kms, false).await;
        world.rig.backend.fail_all(fault);
        world.refuses_everything_with(expected).await;
        world.others_go_on(false).await;
        assert_eq!(world.rig.engine.integrity_events(), 0, "{fault:?} is no damage");
        world.rig.backend.heal();
        world.allows_everything().await;
    }
}

#[tokio::test]
async fn a_wrapped_key_that_the_kms_rejects_is_an_integrity_event() {
    let world = World::new(As::Kms, false).await;
    world.rig.backend.fail_all(Fault::Rejected);
    assert!(matches!(world.rig.get("object", As::Kms).await, Err(Error::Integrity(_))));
    assert_eq!(world.rig.engine.integrity_events(), 1);
}

#[tokio::test]
async fn what_the_cache_holds_is_read_while_the_backend_is_away() {
    let world = World::new(As::Kms, true).await;
    assert_eq!(world.rig.get("object", As::Kms).await.unwrap(), b"protected");
    world.rig.backend.fail_all(Fault::Unavailable);
    assert_eq!(world.rig.get("object", As::Kms).await.unwrap(), b"protected");
    assert!(matches!(world.rig.get("large", As::Kms).await, Err(Error::KmsUnavailable(_))));
    assert!(matches!(world.rig.try_put("new", As::Kms, b"").await, Err(Error::KmsUnavailable(_))));
}

#[tokio::test]
async fn a_key_that_does_not_exist_is_named_by_the_error() {
    let rig = Rig::new().await;
    rig.put("plain", As::Store, b"plain").await;
    for (id, named) in [("no-such", "no-such"), ("arn:aws:kms:eu:1:key/no-such", "no-such"), ("alias/x", "alias/x"), ("a\r\nb", "ab")] {
        let sse = || SseHeaders { kms_key_id: Some(id.into()), ..As::Kms.write() };
        let copy = strongroom_engine::api::CopyObject { sse: sse(), ..copy_request(("plain", As::Store), ("new", As::Store)) };
        for error in [
            rig.engine.put_object(&rig.root, put_request("new", sse(), b"")).await.err(),
            rig.engine.copy_object(&rig.root, copy).await.err(),
            rig.engine.create_multipart_upload(&rig.root, create_request("new", sse())).await.err(),
        ] {
            assert_eq!(format!("{:?}", error.unwrap()), format!("KmsKeyNotFound({named:?})"));
        }
    }
}

#[tokio::test]
async fn without_a_kms_only_its_modes_are_refused() {
    let rig = Rig::with(Plan { with_kms: false, ..Plan::default() }).await;
    for by in KMS_MODES {
        assert!(matches!(rig.try_put("object", by, b"").await, Err(Error::KmsNotConfigured)), "{by:?}");
    }
    for by in [As::Store, As::Customer(1)] {
        rig.put("object", by, b"data").await;
        assert_eq!(rig.get("object", by).await.unwrap(), b"data", "{by:?}");
    }
}
