//! The story: something large is deleted in steps, and the process ends between any two of them. Nobody ever sees half of it, no other
//! write waits for more than one step, and in the end every blob is dead and every row gone.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::time::{Duration, Instant};
use strongroom_ids::{UploadId, VersionId};

use rusqlite::Connection;

use super::releases::{self, Pace};
use super::{SqliteCatalog, SqliteOptions, buckets, commit, connection, uploads};
use crate::{
    BlobId, Bucket, BucketId, Catalog, CatalogError, Deletion, DeletionEvents, Envelope, Expect, KeyRef, ListQuery, Lock, NewVersion, Part,
    Scope, ScopePlace, VersionData, VersionSelector, Versioning,
};

const PATIENCE: Duration = Duration::from_mins(1);
const B: BucketId = BucketId([b'K'; 16]);
/// The most rows of a transaction: a full batch, and what a step changes beside the rows that it deletes.
const MOST_ROWS: u64 = 1024 + 4 * releases::STEP_ROWS as u64;

fn bucket(name: &str, id: BucketId) -> Bucket {
    let (owner, region) = (String::new(), String::new());
    Bucket {
        id,
        name: name.to_owned(),
        owner,
        region,
        created: 0,
        versioning: Versioning::Unversioned,
        revision: 1,
        record: Vec::new(),
        former: None,
    }
}

fn key() -> KeyRef {
    KeyRef { backend: "local".to_owned(), key_id: "default".to_owned(), version: 1 }
}

fn version(name: &str, id: u8) -> NewVersion {
    NewVersion {
        bucket_id: B,
        key: name.to_owned(),
        version_id: VersionId([id; 16]),
        size_bytes: 4,
        modified: 0,
        lock: Lock::default(),
        envelope: Envelope { mode: 2, key: Some(key()), wrapped_key: vec![1], sealed_keys: vec![2] },
        record: vec![3],
        data: VersionData { manifest: vec![4], part_record: Vec::new(), inline: Some(vec![5; 4]) },
        blobs: Vec::new(),
        upload_id: None,
        event: None,
    }
}

/// Deletes the latest version, or adds a delete marker.
fn latest(bucket_id: BucketId, key: &str) -> Deletion {
    let (which, marker) = (VersionSelector::Latest, VersionId([9; 16]));
    Deletion {
        bucket_id,
        key: key.to_owned(),
        which,
        expect: Expect::Any,
        seen: None,
        marker,
        modified: 0,
        bypass: false,
        events: DeletionEvents::default(),
    }
}

fn numbered<I: From<[u8; 16]>>(kind: char, number: u64) -> I {
    I::from(format!("{kind}{number:015}").into_bytes().try_into().unwrap())
}

/// A file with the bucket `b`, and in it the object `large` of `blobs` blobs, and `uploads` uploads of `parts` parts each.
fn fill(path: &Path, blobs: u64, uploads: u64, parts: u64) {
    let connection = connection::open_writer(path, &SqliteOptions::default()).unwrap();
    let pace = Pace { now: 0, rows: 1 };
    connection.execute_batch("BEGIN").unwrap();
    buckets::create(&connection, &bucket("b", B)).unwrap();
    if blobs > 0 {
        commit::put(&connection, &version("large", 1), Expect::Any, pace).unwrap();
    }
    if uploads > 0 {
        connection.execute_batch("INSERT OR IGNORE INTO kms_keys VALUES (1, 'local', 'default', 1)").unwrap();
    }
    let rows = format!(
        "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {blobs}) INSERT INTO version_blobs
         SELECT 1, CAST(printf('V%015d', n) AS BLOB) FROM n WHERE {blobs} > 0;
         WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {uploads}) INSERT INTO uploads
         SELECT n, CAST(printf('U%015d', n) AS BLOB), 1, CAST(printf('%07d', n) AS BLOB), zeroblob(16), 0, '', 2, 1, x'01', x'02', x'03'
         FROM n WHERE {uploads} > 0;
         INSERT INTO key_usage SELECT 1, 1, 0, 0, {uploads} WHERE {uploads} > 0
         ON CONFLICT DO UPDATE SET uploads = excluded.uploads;
         WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {parts}) INSERT INTO parts
         SELECT u.id, n, CAST(printf('P%015d', u.id * 100000 + n) AS BLOB), 4, 0, x'05' FROM uploads u, n WHERE {parts} > 0;
         INSERT INTO blobs (id, len_bytes, refs) SELECT blob, 4, 1 FROM version_blobs UNION ALL SELECT blob, 4, 1 FROM parts;"
    );
    connection.execute_batch(&rows).unwrap();
    connection.execute_batch("COMMIT").unwrap();
}

fn count(path: &Path, sql: &str) -> i64 {
    Connection::open(path).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
}

/// Waits until nothing is left of what was deleted, and compares every count.
fn settle(path: &Path) {
    let began = Instant::now();
    while count(path, "SELECT count(*) FROM releases") > 0 {
        assert!(began.elapsed() < PATIENCE, "it is never let go of");
        std::thread::sleep(Duration::from_millis(2));
    }
    for orphans in [
        "SELECT count(*) FROM version_data WHERE version NOT IN (SELECT id FROM versions)",
        "SELECT count(*) FROM version_blobs WHERE version NOT IN (SELECT id FROM versions)",
        "SELECT count(*) FROM parts WHERE upload NOT IN (SELECT id FROM uploads)",
        "SELECT count(*) FROM uploads WHERE bucket NOT IN (SELECT id FROM buckets)",
        "SELECT count(*) FROM key_usage WHERE bucket NOT IN (SELECT id FROM buckets)",
        "SELECT count(*) FROM blobs b WHERE refs != (SELECT count(*) FROM version_blobs WHERE blob = b.id)
         + (SELECT count(*) FROM parts WHERE blob = b.id)",
        "SELECT count(*) FROM blobs WHERE (refs = 0) != (died_at IS NOT NULL)",
    ] {
        assert_eq!(count(path, orphans), 0, "{orphans}");
    }
}

fn dead(path: &Path) -> i64 {
    count(path, "SELECT count(*) FROM blobs WHERE refs = 0")
}

fn denied<T: std::fmt::Debug>(result: &Result<T, CatalogError>) -> bool {
    matches!(result, Err(CatalogError::NoSuchUpload))
}

/// Neither the former bucket nor an upload to it can be seen.
async fn sees_no_upload(catalog: &SqliteCatalog, uploads: u64) {
    for number in [1, uploads / 2 + 1, uploads] {
        let (upload, name) = (numbered('U', number), format!("{number:07}"));
        assert_eq!(catalog.list_parts(UploadId(upload), 0, 10).await.unwrap(), []);
        let part = Part { number: 1, blob: numbered('N', number), blob_len_bytes: 1, size_bytes: 1, modified: 0, record: vec![1] };
        assert!(denied(&catalog.put_part(UploadId(upload), part).await));
        assert!(!matches!(catalog.find_upload("b", &name, UploadId(upload)).await.unwrap(), Some((_, Some(_)))));
        let ended = catalog.abort_upload(B, &name, UploadId(upload)).await;
        assert!(matches!(ended, Err(CatalogError::NoSuchUpload | CatalogError::NoSuchBucket)), "{ended:?}");
    }
    assert_eq!(catalog.uploads_in(Scope::default(), ScopePlace::default(), 10).await.unwrap().items, []);
    assert_eq!(catalog.key_usage("local", "default").await.unwrap(), []);
    assert!(!catalog.is_key_in_use("local", "default").await.unwrap());
}

#[tokio::test]
async fn a_bucket_with_thousands_of_uploads_is_gone_at_once_and_let_go_of_in_steps() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("catalog.db");
    fill(&path, 0, 3000, 2);
    let catalog = SqliteCatalog::open(&path, SqliteOptions::default()).unwrap();
    assert_eq!(catalog.key_usage("local", "default").await.unwrap()[0].uploads, 3000);
    catalog.delete_bucket("b").await.unwrap();
    assert!(catalog.bucket("b").await.unwrap().is_none());
    // A new bucket of that name has none of it.
    catalog.create_bucket(bucket("b", B)).await.unwrap();
    sees_no_upload(&catalog, 3000).await;
    let query = ListQuery { bucket_id: B, limit: 10, ..ListQuery::default() };
    assert_eq!(catalog.list_uploads(query, None).await.unwrap().entries, []);
    catalog.put_version(version("k", 7), Expect::Any).await.unwrap();
    settle(&path);
    assert_eq!(dead(&path), 6000);
    assert!(catalog.find_version("b", "k", VersionSelector::Latest).await.unwrap().unwrap().1.is_some());
    assert!(catalog.numbers().most_rows <= MOST_ROWS, "{}", catalog.numbers().most_rows);
}

#[tokio::test]
async fn an_object_of_ten_thousand_parts_that_is_deleted_or_replaced_is_let_go_of_in_steps() {
    for is_replaced in [false, true] {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("catalog.db");
        fill(&path, 10_000, 0, 0);
        let catalog = SqliteCatalog::open(&path, SqliteOptions::default()).unwrap();
        if !is_replaced {
            catalog.delete_version(latest(B, "large")).await.unwrap();
            assert!(catalog.find_version("b", "large", VersionSelector::Latest).await.unwrap().unwrap().1.is_none());
            assert!(!catalog.is_key_in_use("local", "default").await.unwrap());
        }
        // The next object of that name inherits nothing from it.
        catalog.put_version(version("large", 2), Expect::Any).await.unwrap();
        let (_, found) = catalog.find_version_data("b", "large", VersionSelector::Latest).await.unwrap().unwrap();
        assert_eq!(found.unwrap().1.inline, Some(vec![5; 4]));
        settle(&path);
        assert_eq!((dead(&path), count(&path, "SELECT count(*) FROM version_blobs")), (10_000, 0));
        let (_, found) = catalog.find_version_data("b", "large", VersionSelector::Latest).await.unwrap().unwrap();
        assert_eq!(found.unwrap().1.inline, Some(vec![5; 4]));
        assert_eq!(catalog.key_usage("local", "default").await.unwrap()[0].versions, 1);
        assert!(catalog.numbers().most_rows <= MOST_ROWS, "{}", catalog.numbers().most_rows);
    }
}

#[tokio::test]
async fn an_upload_of_ten_thousand_parts_that_is_aborted_is_let_go_of_in_steps() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("catalog.db");
    fill(&path, 0, 1, 10_000);
    let catalog = SqliteCatalog::open(&path, SqliteOptions::default()).unwrap();
    catalog.abort_upload(B, "0000001", numbered('U', 1)).await.unwrap();
    sees_no_upload(&catalog, 1).await;
    settle(&path);
    assert_eq!(dead(&path), 10_000);
    assert!(catalog.numbers().most_rows <= MOST_ROWS, "{}", catalog.numbers().most_rows);
}

#[tokio::test]
async fn of_an_upload_that_is_completed_the_blobs_used_live_and_all_others_die() {
    for used in [2000, 1, 1000] {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("catalog.db");
        fill(&path, 0, 1, 2000);
        let catalog = SqliteCatalog::open(&path, SqliteOptions::default()).unwrap();
        let parts = catalog.list_parts(numbered('U', 1), 0, 10_000).await.unwrap();
        assert_eq!(parts.len(), 2000);
        let used: Vec<(u16, BlobId)> = parts.iter().step_by(2000 / used).map(|part| (part.number, part.blob)).collect();
        let object = NewVersion { data: VersionData { inline: None, ..version("0000001", 1).data }, ..version("0000001", 1) };
        catalog.complete_upload(numbered('U', 1), used.clone(), object, Expect::Any).await.unwrap();
        assert_eq!(catalog.list_parts(numbered('U', 1), 0, 10).await.unwrap(), []);
        settle(&path);
        assert_eq!(dead(&path), 2000 - i64::try_from(used.len()).unwrap());
        assert_eq!(count(&path, "SELECT count(*) FROM version_blobs"), i64::try_from(used.len()).unwrap());
        catalog.delete_version(latest(B, "0000001")).await.unwrap();
        settle(&path);
        assert_eq!(dead(&path), 2000);
    }
}

#[tokio::test]
async fn a_thousand_deletions_at_once_are_no_transaction_that_others_wait_for() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("catalog.db");
    fill(&path, 0, 1000, 60);
    let catalog = std::sync::Arc::new(SqliteCatalog::open(&path, SqliteOptions::default()).unwrap());
    let ends: Vec<_> = (1..=1000)
        .map(|number| {
            let catalog = std::sync::Arc::clone(&catalog);
            tokio::spawn(async move { catalog.abort_upload(B, &format!("{number:07}"), numbered('U', number)).await })
        })
        .collect();
    for end in ends {
        end.await.unwrap().unwrap();
    }
    settle(&path);
    assert_eq!(dead(&path), 60_000);
    assert!(catalog.numbers().most_rows <= MOST_ROWS, "{}", catalog.numbers().most_rows);
}

/// Runs a deletion step by step, one row a step, with a copy of the files as they are after each, as a crash would leave them.
fn at_each_step(blobs: u64, uploads: u64, parts: u64, delete: impl Fn(&Connection, Pace), check: impl Fn(&Path, &tokio::runtime::Runtime)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("catalog.db");
    fill(&path, blobs, uploads, parts);
    let writer = connection::open_writer(&path, &SqliteOptions::default()).unwrap();
    let pace = Pace { now: 5, rows: 1 };
    let transaction = |work: &dyn Fn() -> bool| {
        writer.execute_batch("BEGIN").unwrap();
        let is_more = work();
        writer.execute_batch("COMMIT").unwrap();
        is_more
    };
    transaction(&|| {
        delete(&writer, pace);
        true
    });
    for step in 0.. {
        let image = tempfile::tempdir().unwrap();
        for file in ["catalog.db", "catalog.db-wal"] {
            std::fs::copy(home.path().join(file), image.path().join(file)).unwrap();
        }
        check(&image.path().join("catalog.db"), &runtime);
        if !transaction(&|| releases::step(&writer, pace).unwrap()) {
            assert!(step > 3, "it took no steps");
            return;
        }
    }
}

fn one_row_a_step() -> SqliteOptions {
    SqliteOptions { release_rows: 1, ..SqliteOptions::default() }
}

#[test]
fn a_kill_between_any_two_steps_of_a_bucket_s_deletion_leaves_nothing_to_see_and_nothing_behind() {
    let delete = |writer: &Connection, pace| buckets::delete(writer, "b", pace).unwrap();
    at_each_step(0, 3, 2, delete, |path, runtime| {
        let catalog = SqliteCatalog::open(path, one_row_a_step()).unwrap();
        runtime.block_on(async {
            assert!(catalog.bucket("b").await.unwrap().is_none());
            sees_no_upload(&catalog, 3).await;
            catalog.create_bucket(bucket("b", B)).await.unwrap();
            sees_no_upload(&catalog, 3).await;
        });
        settle(path);
        assert_eq!((dead(path), count(path, "SELECT count(*) FROM uploads")), (6, 0));
    });
}

#[test]
fn a_kill_between_any_two_steps_of_an_object_s_deletion_leaves_nothing_to_see_and_nothing_behind() {
    let delete = |writer: &Connection, pace| {
        let delete = latest(B, "large");
        commit::delete(writer, &delete, pace).unwrap();
    };
    at_each_step(7, 0, 0, delete, |path, runtime| {
        let catalog = SqliteCatalog::open(path, one_row_a_step()).unwrap();
        runtime.block_on(async {
            for which in [VersionSelector::Latest, VersionSelector::Null, VersionSelector::Id(VersionId([1; 16]))] {
                assert_eq!(catalog.find_version_data("b", "large", which).await.unwrap().unwrap().1, None);
            }
            assert!(!catalog.is_key_in_use("local", "default").await.unwrap());
            catalog.put_version(version("large", 2), Expect::Absent).await.unwrap();
        });
        settle(path);
        assert_eq!((dead(path), count(path, "SELECT count(*) FROM version_data")), (7, 1));
    });
}

/// Completes the upload with its first four parts, whose blobs have these numbers.
fn complete_with(blobs: [u64; 4], writer: &Connection, pace: Pace) {
    let used: Vec<(u16, BlobId)> = (1..).zip(blobs.map(|blob| numbered('P', 100_000 + blob))).collect();
    let mut object = NewVersion { data: VersionData { inline: None, ..version("0000001", 1).data }, ..version("0000001", 1) };
    uploads::complete(writer, numbered('U', 1), &used, &mut object, Expect::Any, pace).unwrap();
}

/// Opens the catalog, which goes on with what is left of the upload until it is dropped, and finds the object.
#[must_use]
fn open_completed(path: &Path, runtime: &tokio::runtime::Runtime) -> SqliteCatalog {
    let catalog = SqliteCatalog::open(path, one_row_a_step()).unwrap();
    runtime.block_on(async {
        assert_eq!(catalog.list_parts(numbered('U', 1), 0, 10).await.unwrap(), []);
        assert!(catalog.find_completed(B, "0000001", numbered('U', 1)).await.unwrap().is_some());
    });
    catalog
}

#[test]
fn a_kill_between_any_two_steps_of_an_upload_s_end_leaves_the_object_whole() {
    let complete = |writer: &Connection, pace| complete_with([1, 2, 3, 4], writer, pace);
    at_each_step(0, 1, 9, complete, |path, runtime| {
        let _catalog = open_completed(path, runtime);
        settle(path);
        let alive = "SELECT count(*) FROM blobs WHERE refs = 1 AND id IN (SELECT blob FROM version_blobs)";
        assert_eq!((dead(path), count(path, alive)), (5, 4));
    });
}

#[test]
fn a_kill_between_any_two_steps_of_an_upload_s_end_leaves_a_blob_that_parts_share_the_references_it_has() {
    let complete = |writer: &Connection, pace| {
        // The blob of part 1 is that of parts 2, 3 and 7 too, and that of another object.
        let share = "UPDATE parts SET blob = CAST(printf('P%015d', 100001) AS BLOB) WHERE number IN (2, 3, 7);
                     DELETE FROM blobs WHERE id NOT IN (SELECT blob FROM parts);
                     INSERT INTO version_blobs SELECT 99, blob FROM parts WHERE number = 1;
                     INSERT INTO versions (id, bucket, key, version_id, is_latest, is_null, is_delete_marker, size_bytes, modified, record)
                     VALUES (99, 1, x'6f', zeroblob(16), 1, 1, 1, 0, 0, x'');
                     UPDATE blobs SET refs = (SELECT count(*) FROM parts WHERE blob = id) + (SELECT count(*) FROM version_blobs WHERE blob = id)";
        writer.execute_batch(share).unwrap();
        complete_with([1, 1, 1, 4], writer, pace);
    };
    at_each_step(0, 1, 9, complete, |path, runtime| {
        let _catalog = open_completed(path, runtime);
        settle(path);
        // Parts 5, 6, 8 and 9 were not used; what part 7 shared is still the object's and the other one's.
        let refs = |number: u16| count(path, &format!("SELECT refs FROM blobs WHERE id = CAST(printf('P%015d', 1000{number:02}) AS BLOB)"));
        assert_eq!((dead(path), refs(1), refs(4)), (4, 2, 1));
    });
}

#[tokio::test]
async fn room_that_is_free_goes_back_to_the_file_system_in_steps() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("catalog.db");
    let options = SqliteOptions {
        free_pages: 16,
        vacuum_pages: 8,
        vacuum_interval: Duration::ZERO,
        checkpoint_pages: 16,
        restart_pages: 64,
        ..SqliteOptions::default()
    };
    let catalog = SqliteCatalog::open(&path, options).unwrap();
    catalog.create_bucket(bucket("b", B)).await.unwrap();
    let put = |number: u8| {
        let mut object = version(&number.to_string(), number);
        object.data.inline = Some(vec![number; 100_000]);
        catalog.put_version(object, Expect::Any)
    };
    let mut generation = 0_u8;
    for number in 0..100 {
        put(number).await.unwrap();
    }
    for number in 1..100_u8 {
        catalog.delete_version(latest(B, &number.to_string())).await.unwrap();
    }
    let began = Instant::now();
    // Ten megabytes were written, and a tenth of one is in use. The file is cut when the log is moved.
    while std::fs::metadata(&path).unwrap().len() > 1 << 20 {
        // The log is moved by what is written.
        generation = generation.wrapping_add(1);
        catalog.put_version(NewVersion { version_id: VersionId([generation; 16]), ..version("again", 200) }, Expect::Any).await.unwrap();
        assert!(began.elapsed() < PATIENCE, "{} bytes", std::fs::metadata(&path).unwrap().len());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (_, found) = catalog.find_version_data("b", "0", VersionSelector::Latest).await.unwrap().unwrap();
    assert_eq!(found.unwrap().1.inline, Some(vec![0; 100_000]));
    assert_eq!(Connection::open(&path).unwrap().query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0)).unwrap(), "ok");
}
