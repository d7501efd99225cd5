//! The story: the server dies between any two instructions while many clients write. When it starts again, whatever it had
//! acknowledged is there, whatever it had not is there wholly or not at all, and every blob has as many references as rows refer to it.
//!
//! The server is this test binary itself, started again to run [`the_child_that_writes`], and killed with SIGKILL.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use strongroom_catalog::testing::samples::{bucket, id, new_blob, part, upload, version, version_in};
use strongroom_catalog::{
    BlobId, Catalog, Deleted, Deletion, DeletionEvents, Expect, NewEvent, NewVersion, SqliteCatalog, SqliteOptions, UploadId, VersionId,
    VersionSelector, Versioning,
};

const KILLS: u64 = 20;
const WRITERS: u64 = 6;
/// Each writer works on so many keys, over and over.
const KEYS: u64 = 7;
/// Each fifth write of a writer deletes the key, which adds a delete marker.
const KINDS: u64 = 5;
const ROUNDS_APART: u64 = 1_000_000;
const DIRECTORY: &str = "STRONGROOM_TEST_CRASH_DIRECTORY";
const ROUND: &str = "STRONGROOM_TEST_CRASH_ROUND";

#[test]
fn a_kill_loses_nothing_acknowledged_and_leaves_every_count_right() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("catalog.db");
    let mut acknowledged: BTreeMap<String, u64> = BTreeMap::new();
    let mut random = 0x2545_F491_4F6C_DD1D_u64;
    for round in 1..=KILLS {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let lines = run_and_kill(home.path(), round, 1 + (random >> 33) % 250);
        assert!(!lines.is_empty());
        for (key, generation) in lines {
            acknowledged.insert(key, generation);
        }
        check(&path, &acknowledged);
    }
    let markers = "SELECT count(*) FROM versions WHERE is_delete_marker = 1";
    let count = |sql: &str| rusqlite::Connection::open(&path).unwrap().query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert!(count(markers) > 0 && count(&format!("{markers} AND is_latest = 0")) > 0, "markers were written, and versions over them");
}

/// Kills the child once it has acknowledged `patience` writes; what it acknowledged, in its order.
fn run_and_kill(home: &Path, round: u64, patience: u64) -> Vec<(String, u64)> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "--test-threads=1", "the_child_that_writes"])
        .env(DIRECTORY, home)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut acknowledged = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        // A line cut off by the kill has no end mark; the test harness prints lines of its own.
        if let Some((key, generation)) = line.strip_prefix("done ").and_then(|line| line.strip_suffix(" .")?.split_once(' ')) {
            acknowledged.push((key.to_owned(), generation.parse().unwrap()));
        }
        if acknowledged.len() as u64 == patience {
            child.kill().unwrap();
        }
    }
    let status = child.wait().unwrap();
    assert!(!status.success(), "the child ended by itself");
    acknowledged
}

fn check(path: &Path, acknowledged: &BTreeMap<String, u64>) {
    let catalog = SqliteCatalog::open(path, SqliteOptions::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for (key, &generation) in acknowledged {
        let found = runtime.block_on(catalog.find_version_data("bucket", key, VersionSelector::Latest)).unwrap().unwrap().1;
        let (version, data) = found.unwrap_or_else(|| panic!("{key} is gone, acknowledged in generation {generation}"));
        let present = u64::try_from(version.modified).unwrap();
        // The write after the acknowledged one may have been committed too, and its round may have ended before it could say so.
        assert!(present >= generation, "{key} is of generation {present}, acknowledged was {generation}");
        let unique = present * WRITERS + writer_of(key);
        if version.is_delete_marker {
            assert_eq!((version.version_id, data.manifest.len()), (id(b'M', unique), 0), "{key}");
        } else {
            assert_eq!((version.version_id, data.manifest), (id(b'V', unique), manifest(key, present)), "{key}");
        }
        assert_eq!(version.is_delete_marker, is_deletion(present), "{key}");
    }
    drop(catalog);
    let connection = rusqlite::Connection::open(path).unwrap();
    let count = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(connection.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0)).unwrap(), "ok");
    // Parts whose blobs passed to a version refer to them no longer.
    let wrong_counts = "SELECT count(*) FROM blobs b WHERE refs != (SELECT count(*) FROM version_blobs WHERE blob = b.id) \
                        + (SELECT count(*) FROM parts WHERE blob = b.id AND upload NOT IN (SELECT row FROM releases WHERE kind = 3))";
    assert_eq!(count(wrong_counts), 0);
    assert_eq!(count(common::WRONG_USAGES), 0);
    let lost =
        "SELECT count(*) FROM (SELECT blob FROM version_blobs UNION ALL SELECT blob FROM parts) WHERE blob NOT IN (SELECT id FROM blobs)";
    assert_eq!(count(lost), 0);
    let ownerless = "SELECT count(*) FROM version_data WHERE version NOT IN (SELECT id FROM versions) \
                     AND version NOT IN (SELECT row FROM releases WHERE kind = 4)";
    assert_eq!(count(ownerless), 0);
    assert_eq!(count("SELECT count(*) FROM versions WHERE (id IN (SELECT version FROM version_data)) = is_delete_marker"), 0);
    let not_the_newest = "SELECT 1 FROM versions GROUP BY bucket, key HAVING sum(is_latest) != 1 OR max(id) != sum(id * is_latest)";
    assert_eq!(count(&format!("SELECT count(*) FROM ({not_the_newest})")), 0);
    assert!(count("SELECT count(*) FROM version_blobs") > 0);
    check_events(&count);
}

/// Every version, marker and removal has its event, and no event is of what was not committed.
fn check_events(count: &dyn Fn(&str) -> i64) {
    assert_eq!(count("SELECT count(*) FROM versions WHERE version_id NOT IN (SELECT record FROM events)"), 0);
    let made_up = "SELECT count(*) FROM events WHERE length(record) = 16 AND record NOT IN (SELECT version_id FROM versions) \
                   AND CAST(x'00' || record AS BLOB) NOT IN (SELECT record FROM events)";
    assert_eq!(count(made_up), 0);
    let removed_and_there = "SELECT count(*) FROM versions WHERE CAST(x'00' || version_id AS BLOB) IN (SELECT record FROM events)";
    assert_eq!(count(removed_and_there), 0);
    assert_eq!(count("SELECT (SELECT sum(queued) FROM event_targets) - (SELECT count(*) FROM events)"), 0);
}

fn event(unique: u64, record: &[u8]) -> NewEvent {
    let (id, target) = (id(b'E', unique), "hook".to_owned());
    NewEvent { id, target, lane: [0; 16], added: 0, max_queued: 1 << 40, record: record.to_vec() }
}

fn is_deletion(generation: u64) -> bool {
    generation % ROUNDS_APART % KINDS == KINDS - 1
}

fn writer_of(key: &str) -> u64 {
    key.strip_prefix("writer-").and_then(|rest| rest.split_once('/')?.0.parse().ok()).unwrap()
}

fn manifest(key: &str, generation: u64) -> Vec<u8> {
    format!("{key} in generation {generation}").into_bytes()
}

#[test]
#[ignore = "the child of the crash test: it writes until it is killed"]
fn the_child_that_writes() {
    let Some(home) = std::env::var_os(DIRECTORY) else { return };
    let round: u64 = std::env::var(ROUND).unwrap().parse().unwrap();
    let path = PathBuf::from(home).join("catalog.db");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    // In steps of one row, so that there is much to kill it between.
    let options = SqliteOptions { release_rows: 1, checkpoint_pages: 64, restart_pages: 256, ..SqliteOptions::default() };
    let catalog = Arc::new(SqliteCatalog::open(&path, options).unwrap());
    runtime.block_on(async {
        if round == 1 {
            catalog.create_bucket(bucket("bucket", id(b'K', 1), Versioning::Enabled)).await.unwrap();
        }
        let writers: Vec<_> = (0..WRITERS).map(|writer| tokio::spawn(write(Arc::clone(&catalog), writer, round))).collect();
        for writer in writers {
            writer.await.unwrap();
        }
    });
}

/// Writes its keys in turn: inline, in a new blob, in a shared one, by an upload; deletes an older version now and then, and the key.
async fn write(catalog: Arc<SqliteCatalog>, writer: u64, round: u64) {
    for step in 0..ROUNDS_APART {
        let generation = round * ROUNDS_APART + step;
        let unique = generation * WRITERS + writer;
        let key = format!("writer-{writer}/key-{}", step % KEYS);
        let (version_id, blob) = (id(b'V', unique), id(b'B', unique));
        match step % KINDS {
            0 => put(&catalog, stamped(version(id(b'K', 1), &key, version_id), generation)).await,
            1 => put(&catalog, stamped(version_in(id(b'K', 1), &key, version_id, vec![new_blob(BlobId(blob))]), generation)).await,
            2 => upload_and_complete(&catalog, &key, unique, generation).await,
            3 => replace(&catalog, &key, unique, generation).await,
            _ => mark_deleted(&catalog, &key, unique, generation).await,
        }
        let mut out = std::io::stdout().lock();
        writeln!(out, "done {key} {generation} .").unwrap();
    }
}

fn stamped(mut version: NewVersion, generation: u64) -> NewVersion {
    version.modified = i64::try_from(generation).unwrap();
    version.data.manifest = manifest(&version.key, generation);
    version.event = Some(event(generation, &version.version_id.0));
    version
}

async fn put(catalog: &SqliteCatalog, version: NewVersion) {
    catalog.put_version(version, Expect::Any).await.unwrap();
}

async fn upload_and_complete(catalog: &SqliteCatalog, key: &str, unique: u64, generation: u64) {
    let upload_id = id(b'U', unique);
    catalog.create_upload(upload(id(b'K', 1), key, upload_id, 0)).await.unwrap();
    for number in [1, 2, 2, 3] {
        let blob = id(b'0' + u8::try_from(number).unwrap(), unique);
        let mut part = part(number, BlobId(blob));
        if catalog.list_parts(UploadId(upload_id.0), number - 1, 1).await.unwrap().first().is_some_and(|present| present.number == number) {
            part.blob = id(b'r', unique);
        }
        catalog.put_part(UploadId(upload_id.0), part).await.unwrap();
    }
    let used = vec![(1, id(b'1', unique)), (2, id(b'r', unique))];
    let version = stamped(version_in(id(b'K', 1), key, id(b'V', unique), Vec::new()), generation);
    catalog.complete_upload(upload_id, used, version, Expect::Any).await.unwrap();
}

/// Commits a version, and deletes the one that was the latest before.
async fn replace(catalog: &SqliteCatalog, key: &str, unique: u64, generation: u64) {
    let present = catalog.find_version("bucket", key, VersionSelector::Latest).await.unwrap().unwrap().1;
    let version = version_in(id(b'K', 1), key, id(b'V', unique), vec![new_blob(id(b'B', unique))]);
    put(catalog, stamped(version, generation)).await;
    if let Some(present) = present {
        let which = VersionSelector::Id(present.version_id);
        let (bucket_id, key, marker) = (id(b'K', 1), key.to_owned(), id(b'M', unique));
        let deletion = Deletion {
            bucket_id,
            key,
            which,
            expect: Expect::Any,
            seen: None,
            marker,
            modified: 0,
            bypass: false,
            events: DeletionEvents { removed: Some(event(unique, &[&[0], present.version_id.0.as_slice()].concat())), marked: None },
        };
        catalog.delete_version(deletion).await.unwrap();
    }
}

async fn mark_deleted(catalog: &SqliteCatalog, key: &str, unique: u64, generation: u64) {
    let (marker, modified) = (VersionId(id(b'M', unique)), i64::try_from(generation).unwrap());
    let (bucket_id, key, which) = (id(b'K', 1), key.to_owned(), VersionSelector::Latest);
    let deleted = catalog
        .delete_version(Deletion {
            bucket_id,
            key,
            which,
            expect: Expect::Any,
            seen: None,
            marker,
            modified,
            bypass: false,
            events: DeletionEvents { removed: None, marked: Some(event(unique, &marker.0)) },
        })
        .await
        .unwrap();
    assert!(matches!(deleted, Deleted::MarkerAdded { version_id, .. } if version_id == marker));
}
