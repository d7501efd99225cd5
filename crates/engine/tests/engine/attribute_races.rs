//! Changes of a version's tags, lock and keys at once: each of them holds afterwards, whichever came first.

use std::sync::{Arc, atomic::Ordering::SeqCst};

use strongroom_engine::{
    Error,
    api::{
        DeleteCondition, GetObject, Mode, ObjectVersion, Retention, RetentionChange, RetentionMode, Tag, UpdateObjectEncryption,
        VersioningStatus,
    },
    rekey::{JobState, RekeyRequest},
};

use super::{
    locks::{HOUR, now},
    version_races::HoldFirst,
};
use crate::common::*;

/// A change of the version that is tested. Each reads the version, and commits later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Tag,
    Retain,
    Hold,
    /// UpdateObjectEncryption, to the other key.
    Update,
    /// A job that brings what is under the key of the version under the default key.
    Rekey,
    /// The version is deleted, if nothing locks it by then.
    Delete,
}

const LASTING: [Change; 5] = [Change::Tag, Change::Retain, Change::Hold, Change::Update, Change::Rekey];

struct Scene {
    rig: Rig,
    named: ObjectVersion,
    until_ms: i64,
}

impl Scene {
    /// A version that is not the latest, in a bucket with Object Lock.
    async fn new(hook: Arc<dyn strongroom_catalog::testing::CatalogHook>) -> Arc<Self> {
        let rig = Rig::with(Plan { catalog_hook: Some(hook), ..Plan::default() }).await;
        rig.engine.set_bucket_versioning(BUCKET, VersioningStatus::Enabled).await.unwrap();
        rig.engine.set_object_lock_configuration(&rig.root, BUCKET, strongroom_engine::api::DefaultLock::default()).await.unwrap();
        let stored = rig.put("object", As::Kms, b"the version").await;
        rig.put("object", As::Store, b"a later version").await;
        let named = ObjectVersion { bucket: BUCKET.into(), key: "object".into(), version_id: stored.version_id };
        Arc::new(Self { rig, named, until_ms: now() / 1000 * 1000 + HOUR })
    }

    fn tags() -> Vec<Tag> {
        vec![("team".into(), "red".into())]
    }

    /// Whether it was made. All can be but a deletion, before which something may have locked the version, and what comes behind a deletion.
    async fn make(&self, change: Change) -> bool {
        let (engine, root, named) = (&self.rig.engine, &self.rig.root, &self.named);
        let result = match change {
            Change::Tag => engine.set_object_tags(root, named, Self::tags()).await.map(drop),
            Change::Retain => {
                let (mode, until_ms) = (Some(RetentionMode::Compliance), Some(self.until_ms));
                engine.change_retention(root, named, &RetentionChange { mode, until_ms, event_hold: None }, false).await
            }
            Change::Hold => engine.set_legal_hold(root, named, true).await,
            Change::Update => {
                let request = UpdateObjectEncryption {
                    bucket: BUCKET.into(),
                    key: "object".into(),
                    version_id: named.version_id.clone(),
                    kms_key_id: OTHER_KEY.into(),
                    bucket_key_enabled: false,
                };
                engine.update_object_encryption(root, request).await.map(drop)
            }
            Change::Rekey => {
                let from_key = Some(KEY.to_owned());
                let job = self.rig.rekey(RekeyRequest { from_key, to_key: Some("default".into()), ..in_bucket() }).await;
                assert_eq!((job.state, job.failed), (JobState::Completed, 0), "{:?}", job.failures);
                Ok(())
            }
            Change::Delete => {
                let id = named.version_id.clone();
                engine.delete_object(root, BUCKET, "object", id, DeleteCondition::default(), true).await.map(drop)
            }
        };
        match result {
            Ok(()) => true,
            Err(Error::ObjectLocked) if change == Change::Delete => false,
            Err(Error::NoSuchVersion) if change != Change::Delete => false,
            Err(error) => panic!("{change:?}: {error:?}"),
        }
    }

    /// What was made of the version holds, and nothing else was changed.
    async fn check(&self, made: &[Change], what: &str) {
        let (engine, root) = (&self.rig.engine, &self.rig.root);
        let (tags, _) = engine.object_tags(root, &self.named).await.unwrap();
        assert_eq!(tags, if made.contains(&Change::Tag) { Self::tags() } else { Vec::new() }, "{what}");
        let lock = engine.object_lock(root, &self.named).await.unwrap();
        let retention = made.contains(&Change::Retain).then_some(Retention { mode: RetentionMode::Compliance, until_ms: self.until_ms });
        assert_eq!((lock.retention, lock.legal_hold), (retention, made.contains(&Change::Hold).then_some(true)), "{what}");
        let request = GetObject { version_id: self.named.version_id.clone(), ..get_request("object", As::Kms.read()) };
        let reply = engine.get_object(root, request).await.unwrap();
        // The job does not touch what is under the other key already, and the update is of whatever is there.
        let key = match (made.contains(&Change::Update), made.contains(&Change::Rekey)) {
            (true, _) => OTHER_KEY,
            (false, true) => "default",
            (false, false) => KEY,
        };
        assert_eq!((reply.info.sse.mode, reply.info.sse.kms_key_id.as_deref()), (Mode::SseKms, Some(key)), "{what}");
        assert_eq!(collect(reply).await.unwrap(), b"the version", "{what}");
        assert_eq!(engine.integrity_events(), 0, "{what}");
    }

    async fn is_there(&self) -> bool {
        match self.rig.engine.object_tags(&self.rig.root, &self.named).await {
            Ok(_) => true,
            Err(Error::NoSuchVersion) => false,
            Err(error) => panic!("{error:?}"),
        }
    }
}

/// The first has read the version and is about to commit when the second is made from its beginning to its end.
async fn one_amid_another(first: Change, second: Change) -> (Arc<Scene>, Vec<Change>) {
    let hook = Arc::new(HoldFirst::default());
    let scene = Scene::new(Arc::clone(&hook) as _).await;
    hook.is_armed.store(true, SeqCst);
    let other = Arc::clone(&scene);
    let held = tokio::spawn(async move { other.make(first).await });
    while !hook.is_held.load(SeqCst) {
        tokio::task::yield_now().await;
    }
    let second_made = scene.make(second).await;
    hook.go.add_permits(1);
    let first_made = held.await.unwrap();
    let made = [(first, first_made), (second, second_made)].into_iter().filter(|(_, made)| *made).map(|(change, _)| change);
    (scene, made.collect())
}

#[tokio::test]
async fn of_two_changes_of_a_version_s_tags_lock_and_keys_at_once_both_hold() {
    for first in LASTING {
        for second in LASTING.into_iter().filter(|second| *second != first) {
            let (scene, made) = one_amid_another(first, second).await;
            assert_eq!(made.len(), 2, "{first:?}, and {second:?} meanwhile");
            scene.check(&made, &format!("{first:?}, and {second:?} meanwhile")).await;
        }
    }
}

#[tokio::test]
async fn a_version_is_either_deleted_or_locked_whichever_came_first() {
    for first in LASTING {
        // The deletion comes while the change is about to commit: the change finds nothing any more.
        let (scene, made) = one_amid_another(first, Change::Delete).await;
        assert!(!scene.is_there().await, "{first:?}, and a deletion meanwhile");
        // A job passes over what is gone.
        assert_eq!(made.contains(&first), first == Change::Rekey, "{first:?}");
        // The change comes first.
        let scene = Scene::new(Arc::new(HoldFirst::default()) as _).await;
        assert!(scene.make(first).await);
        let locks = [Change::Retain, Change::Hold].contains(&first);
        assert_eq!(scene.make(Change::Delete).await, !locks, "{first:?}");
        assert_eq!(scene.is_there().await, locks, "{first:?}");
    }
}

/// All stand before the catalog at once, and come in any order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_five_changes_of_a_version_at_once_all_hold() {
    for _ in 0..20 {
        let gate = Arc::new(Gate::default());
        let scene = Scene::new(Arc::clone(&gate) as _).await;
        gate.close();
        let changes = LASTING.map(|change| {
            let scene = Arc::clone(&scene);
            tokio::spawn(async move { scene.make(change).await })
        });
        gate.wait_for_writers(LASTING.len()).await;
        gate.open();
        for change in changes {
            assert!(change.await.unwrap());
        }
        scene.check(&LASTING, "all at once").await;
        assert!(!scene.make(Change::Delete).await);
    }
}
