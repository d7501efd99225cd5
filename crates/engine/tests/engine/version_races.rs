//! Changes of one version at once: each of them holds afterwards, whichever came first.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::SeqCst},
};

use async_trait::async_trait;
use strongroom_catalog::{
    CatalogError,
    testing::{After, Call, CatalogHook, Method},
};
use strongroom_engine::{
    api::{
        CopyObject, CopySource, DeleteCondition, GetObject, ListEntry, ListObjects, ListVersions, Mode, UpdateObjectEncryption,
        VersioningStatus,
    },
    rekey::{JobState, RekeyRequest},
};
use strongroom_kms::KeyLifecycle as _;
use tokio::sync::Semaphore;

use crate::common::*;

/// A change of the version that is tested. Each reads the version, and commits later. Those of tags and locks: `attribute_races`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    /// UpdateObjectEncryption by version, to the other key.
    Update,
    /// A job that brings what is under the key of the version under the default key.
    Rekey,
    /// CopyObject of the version to its own key, as SSE-S3.
    Copy,
}

const CHANGES: [Change; 3] = [Change::Update, Change::Rekey, Change::Copy];

/// Holds back the first commit of a version until it is told to let it go.
pub struct HoldFirst {
    pub is_armed: AtomicBool,
    pub is_held: AtomicBool,
    pub go: Semaphore,
}

impl Default for HoldFirst {
    fn default() -> Self {
        Self { is_armed: false.into(), is_held: false.into(), go: Semaphore::new(0) }
    }
}

#[async_trait]
impl CatalogHook for HoldFirst {
    async fn before(self: Arc<Self>, call: Call) -> Result<Option<After>, CatalogError> {
        if matches!(call.method, Method::ChangeVersion | Method::PutVersion) && self.is_armed.swap(false, SeqCst) {
            self.is_held.store(true, SeqCst);
            self.go.acquire().await.unwrap().forget();
        }
        Ok(None)
    }
}

/// Which version is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    /// One that is not the latest, by its id, where versioning is on: a copy is a version of its own.
    Noncurrent,
    /// The null version, by its id, where versioning is suspended: a copy takes its place.
    Null,
}

struct Scene {
    rig: Rig,
    target: Target,
    id: String,
    data: Vec<u8>,
}

impl Scene {
    async fn new(target: Target, hook: Arc<dyn CatalogHook>) -> Arc<Self> {
        let rig = Rig::with(Plan { catalog_hook: Some(hook), ..Plan::default() }).await;
        let set = async |status| rig.engine.set_bucket_versioning(BUCKET, status).await.unwrap();
        if target == Target::Noncurrent {
            set(VersioningStatus::Enabled).await;
        }
        let (data, stored) = Shape::Blob.put(&rig, "object", As::Kms).await;
        set(VersioningStatus::Enabled).await;
        rig.put("object", As::Store, b"a later version").await;
        if target == Target::Null {
            set(VersioningStatus::Suspended).await;
        }
        let id = stored.version_id.unwrap_or_else(|| "null".into());
        Arc::new(Self { rig, target, id, data })
    }

    async fn make(&self, change: Change) {
        let (engine, root) = (&self.rig.engine, &self.rig.root);
        match change {
            Change::Update => {
                let request = UpdateObjectEncryption {
                    bucket: BUCKET.into(),
                    key: "object".into(),
                    version_id: Some(self.id.clone()),
                    kms_key_id: OTHER_KEY.into(),
                    bucket_key_enabled: true,
                };
                engine.update_object_encryption(root, request).await.unwrap();
            }
            Change::Rekey => {
                let from_key = Some(KEY.to_owned());
                let job = self.rig.rekey(RekeyRequest { from_key, to_key: Some("default".into()), ..in_bucket() }).await;
                assert_eq!((job.state, job.failed), (JobState::Completed, 0), "{:?}", job.failures);
            }
            Change::Copy => {
                let source = CopySource { version_id: Some(self.id.clone()), ..copy_source("object", As::Kms) };
                let request = CopyObject { source, ..copy_request(("object", As::Kms), ("object", As::S3)) };
                let copied = engine.copy_object(root, request).await.unwrap();
                assert_eq!(copied.source_version_id.as_ref(), Some(&self.id));
                assert_eq!(copied.stored.version_id.as_ref() == Some(&self.id), self.target == Target::Null);
            }
        }
    }

    /// Mode, KMS key and bytes of a version.
    async fn state(&self, id: &str) -> (Mode, Option<String>, Vec<u8>) {
        let request = GetObject { version_id: Some(id.into()), ..get_request("object", As::Store.read()) };
        let reply = self.rig.engine.get_object(&self.rig.root, request).await.unwrap();
        let sse = reply.info.sse.clone();
        assert_eq!(sse.bucket_key_enabled, sse.kms_key_id.as_deref() == Some(OTHER_KEY), "{sse:?}");
        (sse.mode, sse.kms_key_id, collect(reply).await.unwrap())
    }

    /// Ids, the newest first.
    async fn ids(&self) -> Vec<String> {
        let list = ListObjects { bucket: BUCKET.into(), limit: 1000, ..ListObjects::default() };
        let page = self.rig.engine.list_versions(ListVersions { list, version_id_marker: None }).await.unwrap();
        let items = page.entries.into_iter().map(|entry| match entry {
            ListEntry::Item(version) => version.version_id,
            ListEntry::Prefix(prefix) => panic!("{prefix}"),
        });
        items.collect()
    }

    /// Each version holds its bytes without the key that was left, and nothing is left over when all are deleted.
    async fn end(&self) {
        for id in self.ids().await {
            let (mode, _, data) = self.state(&id).await;
            assert!(if mode == Mode::Store { data == b"a later version" } else { data == self.data }, "{id}");
        }
        assert_eq!(self.rig.usage(KEY).await, [].into());
        self.rig.keys.delete_now(KEY, KEY).await.unwrap();
        self.state(&self.id).await;
        assert_eq!(self.rig.engine.integrity_events(), 0);
        for id in self.ids().await {
            self.rig.engine.delete_object(&self.rig.root, BUCKET, "object", Some(id), DeleteCondition::default(), false).await.unwrap();
        }
        for key in [KEY, OTHER_KEY, "default"] {
            assert_eq!(self.rig.usage(key).await, [].into(), "{key}");
        }
        self.rig.engine.sweep_dead().await.unwrap();
        assert!(self.rig.blob_ids().await.is_empty());
    }
}

/// The first has read the version and is about to commit when the second is made from its beginning to its end.
#[tokio::test]
async fn of_two_changes_of_a_version_at_once_both_hold() {
    let s3 = (Mode::SseS3, Some("default".to_owned()));
    let updated = (Mode::SseKms, Some(OTHER_KEY.to_owned()));
    let under_default = (Mode::SseKms, Some("default".to_owned()));
    for target in [Target::Noncurrent, Target::Null] {
        for first in CHANGES {
            for second in CHANGES.into_iter().filter(|second| *second != first) {
                let hook = Arc::new(HoldFirst::default());
                let scene = Scene::new(target, Arc::clone(&hook) as _).await;
                hook.is_armed.store(true, SeqCst);
                let other = Arc::clone(&scene);
                let held = tokio::spawn(async move { other.make(first).await });
                while !hook.is_held.load(SeqCst) {
                    tokio::task::yield_now().await;
                }
                scene.make(second).await;
                hook.go.add_permits(1);
                held.await.unwrap();

                let what = format!("{first:?}, and {second:?} meanwhile, of {target:?}");
                let (mode, key, _) = scene.state(&scene.id).await;
                let expected = match (target, first, second) {
                    // The copy takes the version's place, changed or not.
                    (Target::Null, Change::Copy, _) | (Target::Null, Change::Rekey, Change::Copy) => &s3,
                    // The job does not touch what is under the other key already, and the update is of whatever is there.
                    (_, Change::Update, _) | (_, _, Change::Update) => &updated,
                    (_, Change::Rekey, _) | (_, _, Change::Rekey) => &under_default,
                    (_, Change::Copy, Change::Copy) => unreachable!("two different ones"),
                };
                assert_eq!((mode, key), *expected, "{what}");
                let is_copied = [first, second].contains(&Change::Copy);
                assert_eq!(scene.ids().await.len(), 2 + usize::from(is_copied && target == Target::Noncurrent), "{what}");
                if is_copied && target == Target::Noncurrent {
                    let (mode, key, data) = scene.state(&scene.ids().await[0]).await;
                    assert!((mode, key) == s3 && data == scene.data, "{what}");
                }
                scene.end().await;
            }
        }
    }
}

/// All three stand before the catalog at once, and come in any order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_three_changes_of_a_version_at_once_none_damages_another() {
    for target in [Target::Noncurrent, Target::Null] {
        for _ in 0..20 {
            let gate = Arc::new(Gate::default());
            let scene = Scene::new(target, Arc::clone(&gate) as _).await;
            gate.close();
            let changes = CHANGES.map(|change| {
                let scene = Arc::clone(&scene);
                tokio::spawn(async move { scene.make(change).await })
            });
            gate.wait_for_writers(3).await;
            gate.open();
            for change in changes {
                change.await.unwrap();
            }
            let (mode, key, _) = scene.state(&scene.id).await;
            let state = (mode, key.as_deref());
            let updated = (Mode::SseKms, Some(OTHER_KEY));
            assert!(state == updated || (target == Target::Null && state == (Mode::SseS3, Some("default"))), "{target:?}: {state:?}");
            scene.end().await;
        }
    }
}
