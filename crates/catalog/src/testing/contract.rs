//! What every catalog engine promises: one function a sentence, to be run on an engine of its own each.
//!
//! `catalog_contract!` makes a test of each sentence.
#![expect(missing_docs, reason = "each is named after its sentence")]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::samples::{answer, bucket, envelope, id, new_blob, part, upload, version, version_in};
use crate::{
    BlobId, BlobUse, Bucket, BucketChange, BucketId, BucketUsage, Catalog, CatalogError, Clock, Committed, DeadBlob, Deleted, Deletion,
    DeletionEvents, Expect, Job, ListEntry, ListQuery, Lock, MAX_FINISHED_JOBS, NewVersion, Reseal, Scope, ScopePage, ScopePlace,
    ScopeTally, ScopedVersion, Upload, Version, VersionChange, VersionData, VersionId, VersionSelector, Versioning,
};

/// Makes a `#[tokio::test]` of every sentence. The expression opens an engine, given its clock, and returns it as `Arc<dyn Catalog>` behind a
/// guard that is dropped after the test.
#[macro_export]
macro_rules! catalog_contract {
    ($open:expr) => {
        $crate::catalog_contract! { @rules $open;
            an_overwrite_without_versioning_leaves_one_null_version
            versioning_keeps_what_is_overwritten_and_a_delete_adds_a_marker
            when_the_latest_version_is_deleted_the_next_newest_is_the_latest
            suspended_versioning_replaces_the_null_version_only
            a_conditional_write_sees_the_latest_version_of_its_own_transaction
            of_writes_that_all_expect_nothing_there_exactly_one_wins
            a_shared_blob_dies_with_its_last_reference_and_is_never_shared_again
            of_two_reasons_to_refuse_a_version_that_its_id_is_taken_comes_first
            completing_an_upload_passes_the_used_blobs_on_and_lets_go_of_the_others
            parts_may_share_the_blob_of_a_version_and_each_others
            an_upload_that_is_aborted_lets_go_of_a_shared_blob_as_often_as_it_referred_to_it
            a_bucket_with_a_delete_marker_is_not_empty_and_its_uploads_go_with_it
            a_change_moves_a_version_to_another_key_only_if_its_revision_is_the_one_seen
            of_changes_of_one_version_at_once_exactly_one_wins_each_revision
            a_locked_version_is_deleted_and_replaced_by_nobody_until_its_lock_ends
            versions_and_markers_of_a_bucket_come_in_the_order_of_commit
            a_deletion_that_names_a_revision_happens_only_while_the_version_has_it
            of_a_key_the_versions_whose_lock_holds_are_found_those_kept_longest_first
            a_bucket_is_changed_only_if_its_revision_is_the_one_seen
            an_upload_that_was_resealed_completes_only_with_its_present_keys
            a_walk_finds_all_versions_in_its_scope_in_the_order_of_commit_or_with_a_prefix_of_keys
            a_walk_with_a_prefix_looks_at_no_version_without_it
            a_walk_with_a_prefix_that_an_earlier_version_began_goes_on_in_the_order_of_commit
            a_job_is_kept_until_a_thousand_newer_ones_have_ended
            a_setting_is_written_only_over_the_value_that_was_seen
            dead_blobs_can_be_walked_though_none_of_them_is_forgotten
            each_kind_of_change_adds_its_event_and_one_that_is_refused_adds_none
            a_target_with_too_many_events_drops_the_next_counts_it_and_the_change_is_made
            a_settled_event_gives_way_to_the_next_of_its_lane
            events_that_are_given_up_are_kept_up_to_a_number_and_queued_again_behind_all_others
            a_place_in_the_outbox_is_never_given_twice
            an_entity_is_changed_only_if_its_revision_is_the_one_seen_and_no_revision_comes_twice
            changes_of_several_entities_happen_all_or_not_at_all
            what_an_entity_refers_to_is_there_as_long_as_it_is
            what_the_server_brings_along_needs_no_row_to_be_referred_to_and_each_account_has_its_own
            entities_are_listed_in_the_order_of_names_and_those_that_refer_to_one_are_found
            the_last_use_of_an_access_key_is_kept_as_long_as_the_key
        }
    };
    (@rules $open:expr; $($rule:ident)*) => {
        $(
            #[tokio::test]
            async fn $rule() {
                let mut guard = None;
                let fresh = $crate::testing::contract::Fresh::new(|clock| {
                    let (kept, catalog) = $open(clock);
                    guard = Some(kept);
                    catalog
                });
                $crate::testing::contract::$rule(fresh).await;
                drop(guard);
            }
        )*
    };
}

mod aged;
mod entities;
mod locks;
mod outbox;

pub use aged::*;
pub use entities::*;
pub use locks::*;
pub use outbox::*;

const B: BucketId = BucketId([b'K'; 16]);

/// A catalog that nothing was done to yet, and the hand on its clock.
pub struct Fresh {
    catalog: Arc<dyn Catalog>,
    time: Arc<AtomicI64>,
}

impl Fresh {
    /// Opens a catalog with a clock that the rule sets.
    pub fn new(open: impl FnOnce(Clock) -> Arc<dyn Catalog>) -> Self {
        let time = Arc::new(AtomicI64::new(1000));
        let shared = Arc::clone(&time);
        Self { catalog: open(Clock::new(move || shared.load(Ordering::Relaxed))), time }
    }

    async fn with_bucket(self, versioning: Versioning) -> Scene {
        self.catalog.create_bucket(bucket("b", B, versioning)).await.unwrap();
        Scene { catalog: self.catalog, time: self.time }
    }
}

/// A catalog with the bucket `b`.
struct Scene {
    catalog: Arc<dyn Catalog>,
    time: Arc<AtomicI64>,
}

impl Scene {
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
        self.catalog.delete_version(deletion(key, which, marker)).await.unwrap()
    }

    async fn dead(&self) -> Vec<BlobId> {
        self.catalog.dead_blobs(i64::MAX, None, 100).await.unwrap().into_iter().map(|dead| dead.id).collect()
    }

    async fn keys(&self) -> Vec<String> {
        let page = self.catalog.list_objects(ListQuery { bucket_id: B, limit: 100, ..ListQuery::default() }).await.unwrap();
        let keys = page.entries.into_iter().map(|entry| match entry {
            ListEntry::Item(version) => version.key,
            ListEntry::Prefix { prefix, .. } => prefix,
        });
        keys.collect()
    }
}

fn deletion(key: &str, which: VersionSelector, marker: u64) -> Deletion {
    Deletion {
        bucket_id: B,
        key: key.to_owned(),
        which,
        expect: Expect::Any,
        seen: None,
        marker: v(marker),
        modified: 5,
        bypass: false,
        events: DeletionEvents::default(),
    }
}

fn v(number: u64) -> VersionId {
    id(b'V', number)
}

fn blob(number: u64) -> BlobId {
    id(b'B', number)
}

pub async fn an_overwrite_without_versioning_leaves_one_null_version(fresh: Fresh) {
    let scene = fresh.with_bucket(Versioning::Unversioned).await;
    assert!(scene.put("k", 1).await.is_null);
    assert!(scene.put("k", 2).await.is_null);
    assert_eq!(scene.find("k", VersionSelector::Id(v(1))).await, None);
    let present = scene.find("k", VersionSelector::Latest).await.unwrap();
    assert_eq!((present.version_id, present.is_null, present.is_latest), (v(2), true, true));
    let deleted = scene.delete("k", VersionSelector::Latest, 9).await;
    assert_eq!(deleted, Deleted::Removed { version_id: v(2), was_delete_marker: false, is_null: true });
    assert_eq!(scene.delete("k", VersionSelector::Latest, 9).await, Deleted::Nothing);
}

pub async fn versioning_keeps_what_is_overwritten_and_a_delete_adds_a_marker(fresh: Fresh) {
    let scene = fresh.with_bucket(Versioning::Enabled).await;
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

pub async fn when_the_latest_version_is_deleted_the_next_newest_is_the_latest(fresh: Fresh) {
    let scene = fresh.with_bucket(Versioning::Enabled).await;
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

pub async fn suspended_versioning_replaces_the_null_version_only(fresh: Fresh) {
    let scene = fresh.with_bucket(Versioning::Suspended).await;
    assert!(scene.put("k", 1).await.is_null);
    assert_eq!(scene.delete("k", VersionSelector::Latest, 2).await, Deleted::MarkerAdded { version_id: v(2), is_null: true });
    assert_eq!(scene.find("k", VersionSelector::Id(v(1))).await, None);
    assert!(scene.put("k", 3).await.is_null);
    assert_eq!(scene.find("k", VersionSelector::Null).await.unwrap().version_id, v(3));
    assert_eq!(scene.find("k", VersionSelector::Id(v(2))).await, None);
}

pub async fn a_conditional_write_sees_the_latest_version_of_its_own_transaction(fresh: Fresh) {
    let scene = fresh.with_bucket(Versioning::Enabled).await;
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

pub async fn of_writes_that_all_expect_nothing_there_exactly_one_wins(fresh: Fresh) {
    let scene = fresh.with_bucket(Versioning::Unversioned).await;
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

pub async fn a_shared_blob_dies_with_its_last_reference_and_is_never_shared_again(fresh: Fresh) {
    let scene = fresh.with_bucket(Versioning::Unversioned).await;
    let share = |key, number| version_in(B, key, v(number), vec![BlobUse::Shared { id: blob(1) }]);
    let put = |version| scene.catalog.put_version(version, Expect::Any);
    put(version_in(B, "a", v(1), vec![new_blob(blob(1))])).await.unwrap();
    put(share("b", 2)).await.unwrap();
    scene.delete("a", VersionSelector::Latest, 9).await;
    // A version that is replaced by one of the same blob does not let it die.
    put(share("b", 3)).await.unwrap();
    assert_eq!(scene.dead().await, [BlobId([0; 16]); 0]);
    scene.time.store(2000, Ordering::Relaxed);
    scene.delete("b", VersionSelector::Latest, 9).await;
    assert_eq!(scene.dead().await, [blob(1)]);
    assert_eq!(scene.catalog.dead_blobs(2000, None, 10).await.unwrap(), []);
    let dead = DeadBlob { died_at: 2000, id: blob(1) };
    assert_eq!(scene.catalog.dead_blobs(2001, None, 10).await.unwrap(), [dead]);
    assert_eq!(scene.catalog.dead_blobs(2001, Some(dead), 10).await.unwrap(), []);
    assert_eq!(answer(put(share("c", 4)).await), "Err(BlobGone)");
    assert_eq!(scene.latest("c").await, None);
    scene.catalog.forget_blobs(vec![blob(1), blob(2)]).await.unwrap();
    assert_eq!(scene.catalog.known_blobs(vec![blob(1)]).await.unwrap(), [false]);
}

pub async fn of_two_reasons_to_refuse_a_version_that_its_id_is_taken_comes_first(fresh: Fresh) {
    let scene = fresh.with_bucket(Versioning::Enabled).await;
    scene.put("k", 1).await;
    let gone = version_in(B, "k", v(1), vec![BlobUse::Shared { id: blob(1) }]);
    assert_eq!(answer(scene.catalog.put_version(gone, Expect::Any).await), "Err(Damaged)");
    let gone = version_in(B, "k", v(2), vec![BlobUse::Shared { id: blob(1) }]);
    assert_eq!(answer(scene.catalog.put_version(gone.clone(), Expect::Any).await), "Err(BlobGone)");
    assert_eq!(answer(scene.catalog.put_version(gone, Expect::Absent).await), "Err(PreconditionFailed)");
}

pub async fn completing_an_upload_passes_the_used_blobs_on_and_lets_go_of_the_others(fresh: Fresh) {
    let scene = fresh.with_bucket(Versioning::Unversioned).await;
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

pub async fn parts_may_share_the_blob_of_a_version_and_each_others(fresh: Fresh) {
    let scene = fresh.with_bucket(Versioning::Unversioned).await;
    let (catalog, upload_id) = (&scene.catalog, id(b'U', 1));
    let share = |number, shared| catalog.share_part(upload_id, part(number, blob(shared)));
    assert_eq!(answer(share(1, 1).await), "Err(NoSuchUpload)");
    catalog.create_upload(upload(B, "k", upload_id, 1)).await.unwrap();
    assert_eq!(answer(share(1, 1).await), "Err(BlobGone)");
    catalog.put_version(version_in(B, "a", v(2), vec![new_blob(blob(1))]), Expect::Any).await.unwrap();
    // Four parts of one blob, one of them put twice, and one that is replaced by a part of another blob.
    for number in [1, 2, 2, 3, 4, 5] {
        share(number, 1).await.unwrap();
    }
    catalog.put_part(upload_id, part(5, blob(2))).await.unwrap();
    assert_eq!(catalog.list_parts(upload_id, 1, 1).await.unwrap(), [part(2, blob(1))]);
    scene.delete("a", VersionSelector::Latest, 9).await;
    assert_eq!(scene.dead().await, [BlobId([0; 16]); 0]);
    let used = vec![(1, blob(1)), (2, blob(1)), (3, blob(1)), (5, blob(2))];
    catalog.complete_upload(upload_id, used, version_in(B, "k", v(1), Vec::new()), Expect::Any).await.unwrap();
    assert_eq!(scene.dead().await, [BlobId([0; 16]); 0]);
    // The version refers to the blob once, and so does a copy of it.
    let copy = version_in(B, "copy", v(3), vec![BlobUse::Shared { id: blob(1) }, BlobUse::Shared { id: blob(2) }]);
    catalog.put_version(copy, Expect::Any).await.unwrap();
    scene.delete("k", VersionSelector::Latest, 9).await;
    assert_eq!(scene.dead().await, [BlobId([0; 16]); 0]);
    scene.delete("copy", VersionSelector::Latest, 9).await;
    assert_eq!(scene.dead().await, [blob(1), blob(2)]);
}

pub async fn an_upload_that_is_aborted_lets_go_of_a_shared_blob_as_often_as_it_referred_to_it(fresh: Fresh) {
    let scene = fresh.with_bucket(Versioning::Unversioned).await;
    let (catalog, upload_id) = (&scene.catalog, id(b'U', 1));
    catalog.put_version(version_in(B, "a", v(1), vec![new_blob(blob(1))]), Expect::Any).await.unwrap();
    catalog.create_upload(upload(B, "k", upload_id, 1)).await.unwrap();
    for number in 1..=3 {
        catalog.share_part(upload_id, part(number, blob(1))).await.unwrap();
    }
    catalog.abort_upload(B, "k", upload_id).await.unwrap();
    assert_eq!(scene.dead().await, [BlobId([0; 16]); 0]);
    scene.delete("a", VersionSelector::Latest, 9).await;
    assert_eq!(scene.dead().await, [blob(1)]);
    catalog.create_upload(upload(B, "k", id(b'U', 2), 1)).await.unwrap();
    assert_eq!(answer(catalog.share_part(id(b'U', 2), part(1, blob(1))).await), "Err(BlobGone)");
}

pub async fn a_bucket_with_a_delete_marker_is_not_empty_and_its_uploads_go_with_it(fresh: Fresh) {
    let scene = fresh.with_bucket(Versioning::Enabled).await;
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

fn reseal(key: &str, present: Vec<u8>) -> Reseal {
    Reseal { bucket_id: B, key: key.to_owned(), present, envelope: envelope(Some(("default", 2)), 2), record: vec![8] }
}

fn change_of(key: &str, number: u64, seen: u64) -> VersionChange {
    let envelope = envelope(Some(("default", 2)), 2);
    let (key, lock) = (key.to_owned(), Lock::default());
    VersionChange { bucket_id: B, key, version_id: v(number), seen, lock, envelope, record: vec![8], part_record: vec![7], event: None }
}

pub async fn a_change_moves_a_version_to_another_key_only_if_its_revision_is_the_one_seen(fresh: Fresh) {
    let scene = fresh.with_bucket(Versioning::Unversioned).await;
    let catalog = &scene.catalog;
    let mut old = version(B, "k", v(1));
    old.envelope = envelope(Some(("default", 1)), 1);
    catalog.put_version(old.clone(), Expect::Any).await.unwrap();
    assert_eq!(answer(catalog.change_version(change_of("k", 1, 1)).await), "Err(PreconditionFailed)");
    assert_eq!(answer(catalog.change_version(change_of("k", 2, 0)).await), "Err(NoSuchVersion)");
    catalog.change_version(change_of("k", 1, 0)).await.unwrap();
    assert_eq!(answer(catalog.change_version(change_of("k", 1, 0)).await), "Err(PreconditionFailed)");
    let (version, data) = catalog.find_version_data("b", "k", VersionSelector::Latest).await.unwrap().unwrap().1.unwrap();
    assert_eq!((version.envelope, version.record), (Some(envelope(Some(("default", 2)), 2)), vec![8]));
    assert_eq!((version.revision, version.modified, version.size_bytes), (1, old.modified, 4));
    assert_eq!(data, VersionData { part_record: vec![7], ..old.data });
    let [usage] = &catalog.key_usage("local", "default").await.unwrap()[..] else { panic!("one version of the key is in use") };
    assert_eq!((usage.key.version, usage.versions, usage.bytes, usage.uploads), (2, 1, 4, 0));
    assert_eq!(usage.buckets, [BucketUsage { bucket: "b".to_owned(), versions: 1, bytes: 4 }]);
    assert_eq!(catalog.keys_in_use(None, 10).await.unwrap(), catalog.key_usage("local", "default").await.unwrap());
}

pub async fn of_changes_of_one_version_at_once_exactly_one_wins_each_revision(fresh: Fresh) {
    let scene = fresh.with_bucket(Versioning::Enabled).await;
    scene.put("k", 1).await;
    for seen in 0..4 {
        let writers = (0..8).map(|_| {
            let catalog = Arc::clone(&scene.catalog);
            tokio::spawn(async move { catalog.change_version(change_of("k", 1, seen)).await })
        });
        let mut won = 0;
        for writer in writers.collect::<Vec<_>>() {
            match writer.await.unwrap() {
                Ok(()) => won += 1,
                Err(error) => assert!(matches!(error, CatalogError::PreconditionFailed), "{error:?}"),
            }
        }
        assert_eq!((won, scene.find("k", VersionSelector::Latest).await.unwrap().revision), (1, seen + 1));
    }
}

pub async fn a_bucket_is_changed_only_if_its_revision_is_the_one_seen(fresh: Fresh) {
    let scene = fresh.with_bucket(Versioning::Unversioned).await;
    let catalog = &scene.catalog;
    let policy = |document: Option<u8>| vec![("policy".to_owned(), document.map(|byte| vec![byte]))];
    let change = |seen, versioning, documents| {
        catalog.change_bucket(B, seen, BucketChange { versioning, record: vec![9], documents, events: Vec::new() })
    };
    assert_eq!(answer(change(2, Versioning::Enabled, policy(Some(1))).await), "Err(PreconditionFailed)");
    assert_eq!(catalog.bucket_document("b", "policy").await.unwrap(), Some((bucket("b", B, Versioning::Unversioned), None)));
    change(1, Versioning::Enabled, policy(Some(1))).await.unwrap();
    assert_eq!(answer(change(1, Versioning::Suspended, policy(None)).await), "Err(PreconditionFailed)");
    let changed = |revision| Bucket { revision, record: vec![9], ..bucket("b", B, Versioning::Enabled) };
    assert_eq!(catalog.bucket_document("b", "policy").await.unwrap(), Some((changed(2), Some(vec![1]))));
    assert_eq!(catalog.bucket_document("b", "lifecycle").await.unwrap(), Some((changed(2), None)));
    // What a change does not name stays.
    let both = [vec![("lifecycle".to_owned(), Some(vec![2]))], policy(Some(3))].concat();
    change(2, Versioning::Enabled, both).await.unwrap();
    change(3, Versioning::Enabled, policy(None)).await.unwrap();
    assert_eq!(catalog.bucket_document("b", "policy").await.unwrap(), Some((changed(4), None)));
    assert_eq!(catalog.bucket_document("b", "lifecycle").await.unwrap(), Some((changed(4), Some(vec![2]))));
    assert_eq!(catalog.bucket("b").await.unwrap(), Some(changed(4)));
    assert!(!scene.put("k", 1).await.is_null, "versions are kept from now on");
    scene.delete("k", VersionSelector::Id(v(1)), 9).await;
    // A bucket made anew under the same name and id has none of it.
    catalog.delete_bucket("b").await.unwrap();
    assert_eq!(answer(change(4, Versioning::Enabled, Vec::new()).await), "Err(NoSuchBucket)");
    catalog.create_bucket(bucket("b", B, Versioning::Unversioned)).await.unwrap();
    assert_eq!(catalog.bucket_document("b", "lifecycle").await.unwrap(), Some((bucket("b", B, Versioning::Unversioned), None)));
    assert_eq!(catalog.bucket_document("c", "lifecycle").await.unwrap(), None);
}

pub async fn an_upload_that_was_resealed_completes_only_with_its_present_keys(fresh: Fresh) {
    let scene = fresh.with_bucket(Versioning::Unversioned).await;
    let (catalog, upload_id) = (&scene.catalog, id(b'U', 1));
    let new = upload(B, "k", upload_id, 1);
    catalog.create_upload(new.clone()).await.unwrap();
    assert_eq!(answer(catalog.reseal_upload(upload_id, reseal("k", vec![0])).await), "Err(PreconditionFailed)");
    assert_eq!(answer(catalog.reseal_upload(upload_id, reseal("other", vec![0])).await), "Err(NoSuchUpload)");
    catalog.reseal_upload(upload_id, reseal("k", new.envelope.sealed_keys.clone())).await.unwrap();
    let (_, found) = catalog.find_upload("b", "k", upload_id).await.unwrap().unwrap();
    let resealed = envelope(Some(("default", 2)), 2);
    assert_eq!(found, Some(Upload { envelope: resealed.clone(), record: vec![8], ..new }));
    let mut version = version_in(B, "k", v(1), Vec::new());
    let stale = catalog.complete_upload(upload_id, Vec::new(), version.clone(), Expect::Any);
    assert_eq!(answer(stale.await), "Err(UploadResealed)");
    version.envelope = resealed;
    catalog.complete_upload(upload_id, Vec::new(), version, Expect::Any).await.unwrap();
}

pub async fn a_walk_finds_all_versions_in_its_scope_in_the_order_of_commit_or_with_a_prefix_of_keys(fresh: Fresh) {
    let scene = fresh.with_bucket(Versioning::Enabled).await;
    let catalog = &scene.catalog;
    for (number, (key, kms_key)) in (1..).zip([
        ("a/1", Some(("default", 1))),
        ("a/2", None),
        ("a/1", Some(("default", 2))),
        ("b", Some(("default", 1))),
        ("a/0", Some(("other", 1))),
        ("a/0", Some(("default", 1))),
    ]) {
        let new = NewVersion { envelope: envelope(kms_key, number), ..version(B, key, v(number.into())) };
        catalog.put_version(new, Expect::Any).await.unwrap();
    }
    scene.delete("a/1", VersionSelector::Latest, 9).await;
    let under = |key_id: &str, key_version| Scope { key_id: Some(key_id.to_owned()), key_version, ..Scope::default() };
    for (scope, expected) in [
        (Scope::default(), &[1, 2, 3, 4, 5, 6][..]),
        (Scope { bucket_id: Some(B), prefix: "a/".to_owned(), ..Scope::default() }, &[5, 6, 1, 3, 2]),
        (Scope { bucket_id: Some(B), prefix: "a/1".to_owned(), ..under("default", None) }, &[1, 3]),
        (Scope { bucket_id: Some(B), prefix: "c".to_owned(), ..Scope::default() }, &[]),
        (Scope { modes: vec![1, 2], ..Scope::default() }, &[1, 2, 5, 6]),
        (under("default", None), &[1, 3, 4, 6]),
        (under("default", Some(1)), &[1, 4, 6]),
        (Scope { prefix: "a/".to_owned(), ..under("default", Some(1)) }, &[1, 6]),
        (Scope { backend: Some("local".to_owned()), ..Scope::default() }, &[1, 3, 4, 5, 6]),
        (Scope { backend: Some("vault".to_owned()), ..Scope::default() }, &[]),
        (Scope { bucket_id: Some(id(b'?', 0)), ..under("default", None) }, &[]),
    ] {
        for limit in [1, 2, 100] {
            let (mut found, mut tally, mut after) = (Vec::new(), ScopeTally::default(), ScopePlace::default());
            loop {
                let page = catalog.versions_in(scope.clone(), after.clone(), limit).await.unwrap();
                let counted = catalog.tally_in(scope.clone(), after, limit).await.unwrap();
                assert_eq!((counted.versions, &counted.next), (page.items.len() as u64, &page.next));
                tally = ScopeTally { versions: tally.versions + counted.versions, bytes: tally.bytes + counted.bytes, next: None };
                assert!(page.items.iter().all(|item| item.part_record == [item.version.version_id.0[15]; 3]));
                found.extend(page.items.into_iter().map(|item| item.version.version_id));
                let Some(next) = page.next else { break };
                after = next;
            }
            assert_eq!(found, expected.iter().map(|number| v(*number)).collect::<Vec<_>>(), "{scope:?}");
            assert_eq!((tally.versions, tally.bytes), (expected.len() as u64, 4 * expected.len() as u64));
        }
    }
    assert!(catalog.last_position().await.unwrap() >= 7);
}

pub async fn a_walk_with_a_prefix_looks_at_no_version_without_it(fresh: Fresh) {
    let scene = fresh.with_bucket(Versioning::Enabled).await;
    for number in 1..=40 {
        scene.put(&format!("{}/{number}", if number % 13 == 0 { "few" } else { "many" }), number).await;
    }
    // One that was overwritten, and one that was deleted: both are older versions now.
    scene.put("few/13", 41).await;
    scene.delete("few/26", VersionSelector::Latest, 42).await;
    let scope = Scope { bucket_id: Some(B), prefix: "few/".to_owned(), ..Scope::default() };
    let first = scene.catalog.versions_in(scope.clone(), ScopePlace::default(), 3).await.unwrap();
    let ids = |page: &ScopePage<ScopedVersion>| page.items.iter().map(|item| item.version.version_id).collect::<Vec<_>>();
    assert_eq!(ids(&first), [13, 41, 26].map(v));
    let second = scene.catalog.versions_in(scope, first.next.unwrap(), 3).await.unwrap();
    assert_eq!((ids(&second), second.next), (vec![v(39)], None));
}

pub async fn a_walk_with_a_prefix_that_an_earlier_version_began_goes_on_in_the_order_of_commit(fresh: Fresh) {
    let scene = fresh.with_bucket(Versioning::Enabled).await;
    for (number, key) in (1..).zip(["a/3", "a/2", "b", "a/1", "a/0"]) {
        scene.put(key, number).await;
    }
    let everything = scene.catalog.versions_in(Scope::default(), ScopePlace::default(), 100).await.unwrap();
    // It had got to the second version, and kept no more than that.
    let mut after = ScopePlace { key: None, position: everything.items[1].position };
    let scope = Scope { bucket_id: Some(B), prefix: "a/".to_owned(), ..Scope::default() };
    let mut found = Vec::new();
    loop {
        let page = scene.catalog.versions_in(scope.clone(), after, 2).await.unwrap();
        found.extend(page.items.iter().map(|item| item.version.version_id));
        let Some(next) = page.next else { break };
        after = next;
    }
    assert_eq!(found, [4, 5].map(v));
}

pub async fn a_job_is_kept_until_a_thousand_newer_ones_have_ended(fresh: Fresh) {
    let scene = fresh.with_bucket(Versioning::Unversioned).await;
    let catalog = &scene.catalog;
    let job = |number: u64, is_active| {
        let started = i64::try_from(number).unwrap();
        Job { id: id(b'J', number), kind: "rekey".to_owned(), is_active, started, record: vec![1] }
    };
    let running = job(0, true);
    catalog.put_job(running.clone()).await.unwrap();
    for number in 1..=MAX_FINISHED_JOBS as u64 + 1 {
        catalog.put_job(job(number, false)).await.unwrap();
    }
    catalog.put_job(Job { kind: "other".to_owned(), ..job(5000, false) }).await.unwrap();
    assert_eq!(catalog.job(id(b'J', 1)).await.unwrap(), None);
    assert_eq!(catalog.job(id(b'J', 2)).await.unwrap(), Some(job(2, false)));
    assert_eq!(catalog.list_jobs("rekey", true, 10).await.unwrap(), std::slice::from_ref(&running));
    let newest = catalog.list_jobs("rekey", false, 2).await.unwrap();
    assert_eq!(newest, [job(1001, false), job(1000, false)]);
    catalog.put_job(Job { is_active: false, record: vec![2], ..running }).await.unwrap();
    assert_eq!(catalog.job(id(b'J', 0)).await.unwrap(), None, "it is the oldest of those that have ended");
}

pub async fn a_setting_is_written_only_over_the_value_that_was_seen(fresh: Fresh) {
    let scene = fresh.with_bucket(Versioning::Unversioned).await;
    let set = |present, value| scene.catalog.set_setting("s", present, value);
    assert_eq!(answer(set(Some(vec![1]), vec![2]).await), "Err(PreconditionFailed)");
    set(None, vec![1]).await.unwrap();
    assert_eq!(answer(set(None, vec![2]).await), "Err(PreconditionFailed)");
    set(Some(vec![1]), vec![2]).await.unwrap();
    assert_eq!(scene.catalog.setting("s").await.unwrap(), Some(vec![2]));
}

pub async fn dead_blobs_can_be_walked_though_none_of_them_is_forgotten(fresh: Fresh) {
    let scene = fresh.with_bucket(Versioning::Unversioned).await;
    // Seven that died at three times, so that a page ends between two of one time.
    for number in 0..7 {
        let key = number.to_string();
        scene.catalog.put_version(version_in(B, &key, v(number), vec![new_blob(blob(10 - number))]), Expect::Any).await.unwrap();
        scene.time.store(1000 + i64::try_from(number).unwrap() / 3, Ordering::Relaxed);
        scene.delete(&key, VersionSelector::Latest, 9).await;
    }
    let all = scene.catalog.dead_blobs(i64::MAX, None, 100).await.unwrap();
    assert_eq!(all.iter().map(|dead| dead.id).collect::<Vec<_>>(), [8, 9, 10, 5, 6, 7, 4].map(blob));
    for limit in 1..9 {
        let (mut walked, mut after) = (Vec::new(), None);
        loop {
            let page = scene.catalog.dead_blobs(i64::MAX, after, limit).await.unwrap();
            after = page.last().copied();
            walked.extend_from_slice(&page);
            if page.len() < limit {
                break;
            }
        }
        assert_eq!(walked, all, "{limit}");
    }
}
