//! What every engine promises, as sentences; each runs on SQLite and on the model.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use common::{answer, bucket, envelope, id, new_blob, part, upload, version, version_in};
use strongroom_catalog::{
    BlobUse, BucketId, Catalog, CatalogError, Clock, Committed, Deleted, Expect, FaultMoment, FaultyCatalog, ListEntry, ListQuery,
    MemoryCatalog, SqliteCatalog, SqliteOptions, Version, VersionId, VersionSelector, Versioning,
};

const B: BucketId = [b'K'; 16];

/// A catalog with the bucket `b`, and the hand on its clock.
struct Scene {
    catalog: Arc<dyn Catalog>,
    time: Arc<AtomicI64>,
    _home: tempfile::TempDir,
}

impl Scene {
    async fn each(versioning: Versioning) -> [Self; 2] {
        let sqlite =
            Self::new(|path, clock| Arc::new(SqliteCatalog::open(path, SqliteOptions { clock, ..SqliteOptions::default() }).unwrap()));
        let scenes = [sqlite, Self::new(|_, clock| Arc::new(MemoryCatalog::new(clock)))];
        for scene in &scenes {
            scene.catalog.create_bucket(bucket("b", B, versioning)).await.unwrap();
        }
        scenes
    }

    fn new(open: impl FnOnce(&std::path::Path, Clock) -> Arc<dyn Catalog>) -> Self {
        let home = tempfile::tempdir().unwrap();
        let time = Arc::new(AtomicI64::new(1000));
        let shared = Arc::clone(&time);
        let catalog = open(&home.path().join("catalog.db"), Clock::new(move || shared.load(Ordering::Relaxed)));
        Self { catalog, time, _home: home }
    }

    async fn put(&self, key: &str, number: u64) -> Committed {
        self.catalog.put_version(version(B, key, v(number)), Expect::Any).await.unwrap()
    }

    async fn find(&self, key: &str, which: VersionSelector) -> Option<Version> {
        self.catalog.find_version("b", key, which).await.unwrap().unwrap().1
    }

    async fn latest(&self, key: &str) -> Option<VersionId> {
        self.find(key, VersionSelector::Latest).await.map(|version| version.version_id)
    }

    async fn delete(&self, key: &str, which: VersionSelector, marker: u64) -> Deleted {
        self.catalog.delete_version(B, key, which, Expect::Any, v(marker), 5).await.unwrap()
    }

    async fn dead(&self) -> Vec<[u8; 16]> {
        self.catalog.dead_blobs(i64::MAX, 100).await.unwrap()
    }

    async fn keys(&self) -> Vec<String> {
        let page = self.catalog.list_objects(ListQuery { bucket_id: B, limit: 100, ..ListQuery::default() }).await.unwrap();
        let keys = page.entries.into_iter().map(|entry| match entry {
            ListEntry::Item(version) => version.key,
            ListEntry::Prefix(prefix) => prefix,
        });
        keys.collect()
    }
}

fn v(number: u64) -> VersionId {
    id(b'V', number)
}

fn blob(number: u64) -> [u8; 16] {
    id(b'B', number)
}

#[tokio::test]
async fn an_overwrite_without_versioning_leaves_one_null_version() {
    for scene in Scene::each(Versioning::Unversioned).await {
        assert!(scene.put("k", 1).await.is_null);
        assert!(scene.put("k", 2).await.is_null);
        assert_eq!(scene.find("k", VersionSelector::Id(v(1))).await, None);
        let present = scene.find("k", VersionSelector::Latest).await.unwrap();
        assert_eq!((present.version_id, present.is_null, present.is_latest), (v(2), true, true));
        let deleted = scene.delete("k", VersionSelector::Latest, 9).await;
        assert_eq!(deleted, Deleted::Removed { version_id: v(2), was_delete_marker: false, is_null: true });
        assert_eq!(scene.delete("k", VersionSelector::Latest, 9).await, Deleted::Nothing);
    }
}

#[tokio::test]
async fn versioning_keeps_what_is_overwritten_and_a_delete_adds_a_marker() {
    for scene in Scene::each(Versioning::Enabled).await {
        assert!(!scene.put("k", 1).await.is_null);
        scene.put("k", 2).await;
        let older = scene.find("k", VersionSelector::Id(v(1))).await.unwrap();
        assert!(!older.is_latest && !older.is_null);
        assert_eq!(scene.delete("k", VersionSelector::Latest, 3).await, Deleted::MarkerAdded { version_id: v(3), is_null: false });
        let marker = scene.find("k", VersionSelector::Latest).await.unwrap();
        assert_eq!((marker.version_id, marker.is_delete_marker, marker.modified, marker.envelope), (v(3), true, 5, None));
        assert_eq!(scene.keys().await, [""; 0]);
        assert_eq!(scene.delete("none", VersionSelector::Latest, 4).await, Deleted::MarkerAdded { version_id: v(4), is_null: false });
    }
}

#[tokio::test]
async fn when_the_latest_version_is_deleted_the_next_newest_is_the_latest() {
    for scene in Scene::each(Versioning::Enabled).await {
        // Ids that do not sort in the order of commits.
        for number in [7, 3, 5] {
            scene.put("k", number).await;
        }
        scene.delete("k", VersionSelector::Latest, 4).await;
        for (deleted, next) in [(4, Some(5)), (5, Some(3)), (3, Some(7)), (7, None)] {
            let removed = Deleted::Removed { version_id: v(deleted), was_delete_marker: deleted == 4, is_null: false };
            assert_eq!(scene.delete("k", VersionSelector::Id(v(deleted)), 9).await, removed);
            assert_eq!(scene.latest("k").await, next.map(v));
        }
        assert_eq!(scene.keys().await, [""; 0]);
    }
}

#[tokio::test]
async fn suspended_versioning_replaces_the_null_version_only() {
    for scene in Scene::each(Versioning::Suspended).await {
        assert!(scene.put("k", 1).await.is_null);
        assert_eq!(scene.delete("k", VersionSelector::Latest, 2).await, Deleted::MarkerAdded { version_id: v(2), is_null: true });
        assert_eq!(scene.find("k", VersionSelector::Id(v(1))).await, None);
        assert!(scene.put("k", 3).await.is_null);
        assert_eq!(scene.find("k", VersionSelector::Null).await.unwrap().version_id, v(3));
        assert_eq!(scene.find("k", VersionSelector::Id(v(2))).await, None);
    }
}

#[tokio::test]
async fn a_conditional_write_sees_the_latest_version_of_its_own_transaction() {
    for scene in Scene::each(Versioning::Enabled).await {
        let put = |number, expect| scene.catalog.put_version(version(B, "k", v(number)), expect);
        assert_eq!(answer(put(1, Expect::Latest(v(1))).await), "Err(PreconditionFailed)");
        put(1, Expect::Absent).await.unwrap();
        assert_eq!(answer(put(2, Expect::Absent).await), "Err(PreconditionFailed)");
        put(2, Expect::Latest(v(1))).await.unwrap();
        assert_eq!(answer(put(3, Expect::Latest(v(1))).await), "Err(PreconditionFailed)");
        scene.delete("k", VersionSelector::Latest, 4).await;
        put(5, Expect::Absent).await.unwrap();
        assert_eq!(scene.latest("k").await, Some(v(5)));
    }
}

#[tokio::test]
async fn of_writes_that_all_expect_nothing_there_exactly_one_wins() {
    for scene in Scene::each(Versioning::Unversioned).await {
        let writers = (1..=16).map(|number| {
            let catalog = Arc::clone(&scene.catalog);
            tokio::spawn(async move { catalog.put_version(version(B, "k", v(number)), Expect::Absent).await })
        });
        let mut won = 0;
        for writer in writers.collect::<Vec<_>>() {
            match writer.await.unwrap() {
                Ok(_) => won += 1,
                Err(error) => assert!(matches!(error, CatalogError::PreconditionFailed), "{error:?}"),
            }
        }
        assert_eq!(won, 1);
    }
}

#[tokio::test]
async fn a_shared_blob_dies_with_its_last_reference_and_is_never_shared_again() {
    for scene in Scene::each(Versioning::Unversioned).await {
        let share = |key, number| version_in(B, key, v(number), vec![BlobUse::Shared { id: blob(1) }]);
        let put = |version| scene.catalog.put_version(version, Expect::Any);
        put(version_in(B, "a", v(1), vec![new_blob(blob(1))])).await.unwrap();
        put(share("b", 2)).await.unwrap();
        scene.delete("a", VersionSelector::Latest, 9).await;
        // A version that is replaced by one of the same blob does not let it die.
        put(share("b", 3)).await.unwrap();
        assert_eq!(scene.dead().await, [[0; 16]; 0]);
        scene.time.store(2000, Ordering::Relaxed);
        scene.delete("b", VersionSelector::Latest, 9).await;
        assert_eq!(scene.dead().await, [blob(1)]);
        assert_eq!(scene.catalog.dead_blobs(2000, 10).await.unwrap(), [[0; 16]; 0]);
        assert_eq!(scene.catalog.dead_blobs(2001, 10).await.unwrap(), [blob(1)]);
        assert_eq!(answer(put(share("c", 4)).await), "Err(BlobGone)");
        assert_eq!(scene.latest("c").await, None);
        scene.catalog.forget_blobs(vec![blob(1), blob(2)]).await.unwrap();
        assert_eq!(scene.catalog.known_blobs(vec![blob(1)]).await.unwrap(), [false]);
    }
}

#[tokio::test]
async fn completing_an_upload_passes_the_used_blobs_on_and_lets_go_of_the_others() {
    for scene in Scene::each(Versioning::Unversioned).await {
        let (catalog, upload_id) = (&scene.catalog, id(b'U', 1));
        catalog.create_upload(upload(B, "k", upload_id, 1)).await.unwrap();
        for (number, part_blob) in [(1, 1), (2, 2), (2, 3), (3, 4)] {
            catalog.put_part(upload_id, part(number, blob(part_blob))).await.unwrap();
        }
        assert_eq!(scene.dead().await, [blob(2)]);
        let complete = |used| catalog.complete_upload(upload_id, used, version_in(B, "k", v(1), Vec::new()), Expect::Any);
        assert_eq!(answer(complete(vec![(1, blob(1)), (2, blob(2))]).await), "Err(PartChanged(2))");
        assert_eq!(answer(complete(vec![(1, blob(1)), (1, blob(1))]).await), "Err(PartChanged(1))");
        complete(vec![(1, blob(1)), (2, blob(3))]).await.unwrap();
        assert_eq!(scene.dead().await, [blob(2), blob(4)]);
        assert_eq!(answer(complete(vec![(1, blob(1))]).await), "Err(NoSuchUpload)");
        let completed = catalog.find_completed(B, "k", upload_id).await.unwrap().unwrap();
        assert_eq!((completed.version_id, completed.is_latest), (v(1), true));
        scene.delete("k", VersionSelector::Latest, 9).await;
        assert_eq!(scene.dead().await, [blob(1), blob(2), blob(3), blob(4)]);
    }
}

#[tokio::test]
async fn a_bucket_with_a_delete_marker_is_not_empty_and_its_uploads_go_with_it() {
    for scene in Scene::each(Versioning::Enabled).await {
        let catalog = &scene.catalog;
        scene.delete("k", VersionSelector::Latest, 1).await;
        catalog.create_upload(upload(B, "k", id(b'U', 1), 1)).await.unwrap();
        catalog.put_part(id(b'U', 1), part(1, blob(1))).await.unwrap();
        assert_eq!(answer(catalog.delete_bucket("b").await), "Err(BucketNotEmpty)");
        scene.delete("k", VersionSelector::Id(v(1)), 2).await;
        catalog.delete_bucket("b").await.unwrap();
        assert_eq!(scene.dead().await, [blob(1)]);
        assert_eq!(answer(catalog.put_part(id(b'U', 1), part(2, blob(2))).await), "Err(NoSuchUpload)");
        assert_eq!(answer(catalog.delete_bucket("b").await), "Err(NoSuchBucket)");
    }
}

#[tokio::test]
async fn resealing_moves_a_version_to_another_key_only_if_its_keys_are_the_expected_ones() {
    for scene in Scene::each(Versioning::Unversioned).await {
        let catalog = &scene.catalog;
        let mut old = version(B, "k", v(1));
        old.envelope = envelope(Some(("default", 1)), 1);
        catalog.put_version(old.clone(), Expect::Any).await.unwrap();
        let reseal = |present: Vec<u8>| async move {
            catalog.reseal_version(B, "k", v(1), &present, envelope(Some(("default", 2)), 2), vec![8]).await
        };
        assert_eq!(answer(reseal(vec![0]).await), "Err(PreconditionFailed)");
        reseal(old.envelope.sealed_keys.clone()).await.unwrap();
        let (version, data) = catalog.find_version_data("b", "k", VersionSelector::Latest).await.unwrap().unwrap().1.unwrap();
        assert_eq!((version.envelope, version.record), (Some(envelope(Some(("default", 2)), 2)), vec![8]));
        assert_eq!((data, version.modified, version.size_bytes), (old.data, old.modified, 4));
        let usage = catalog.key_usage("local", "default").await.unwrap();
        assert_eq!((usage.len(), usage[0].key.version, usage[0].versions, usage[0].bytes, usage[0].uploads), (1, 2, 1, 4, 0));
    }
}

#[tokio::test]
async fn a_setting_is_written_only_over_the_value_that_was_seen() {
    for scene in Scene::each(Versioning::Unversioned).await {
        let set = |present, value| scene.catalog.set_setting("s", present, value);
        assert_eq!(answer(set(Some(vec![1]), vec![2]).await), "Err(PreconditionFailed)");
        set(None, vec![1]).await.unwrap();
        assert_eq!(answer(set(None, vec![2]).await), "Err(PreconditionFailed)");
        set(Some(vec![1]), vec![2]).await.unwrap();
        assert_eq!(scene.catalog.setting("s").await.unwrap(), Some(vec![2]));
    }
}

#[tokio::test]
async fn a_faulty_catalog_fails_the_write_it_was_told_to_before_or_after_it_took_effect() {
    for scene in Scene::each(Versioning::Unversioned).await {
        let faulty = FaultyCatalog::new(Arc::clone(&scene.catalog));
        faulty.fail_write(2, FaultMoment::Before, || CatalogError::Full);
        faulty.fail_write(3, FaultMoment::After, || CatalogError::Busy);
        let mut answers = Vec::new();
        for (number, key) in [(1, "a"), (2, "b"), (3, "c"), (4, "d")] {
            answers.push(answer(faulty.put_version(version(B, key, v(number)), Expect::Any).await));
            assert!(faulty.find_version("b", key, VersionSelector::Latest).await.is_ok());
        }
        let done = "Committed { is_null: true }";
        assert_eq!(answers, [done, "Err(Full)", "Err(Busy)", done]);
        assert_eq!(scene.keys().await, ["a", "c", "d"]);
        assert_eq!((faulty.writes(), faulty.pending_faults()), (4, 0));
    }
}
