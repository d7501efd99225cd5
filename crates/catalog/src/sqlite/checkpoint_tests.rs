//! How the write-ahead log gets into the database, and that no write waits for it.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::time::timeout;

use super::{LogNumbers, SqliteCatalog, SqliteOptions, connection};
use crate::Catalog;

const PATIENCE: Duration = Duration::from_secs(30);

/// A small log, which behaves as a large one does; and whoever waits for a lock waits longer than the test.
fn options() -> SqliteOptions {
    SqliteOptions {
        checkpoint_pages: 16,
        restart_pages: 64,
        snapshot_patience: Duration::ZERO,
        busy_timeout: Duration::from_hours(1),
        ..SqliteOptions::default()
    }
}

/// Writes values of this length until `is_enough`. Each write must take less time than waiting for a lock would.
async fn write_until(catalog: &SqliteCatalog, len_bytes: usize, what: &str, is_enough: impl Fn(LogNumbers) -> bool) {
    let began = Instant::now();
    let mut present = catalog.setting("s").await.unwrap();
    for number in 0_u64.. {
        let mut value = number.to_be_bytes().to_vec();
        value.resize(len_bytes, 0);
        timeout(PATIENCE, catalog.set_setting("s", present, value.clone())).await.expect("a write is kept waiting").unwrap();
        present = Some(value);
        if is_enough(catalog.numbers().log) {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{what}: {:?}", catalog.numbers());
    }
}

fn log_bytes(path: &Path) -> u64 {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    std::fs::metadata(PathBuf::from(log)).unwrap().len()
}

/// Begins to read a state of the catalog, as a backup does, and stays in it.
fn old_snapshot(path: &Path) -> Connection {
    let reader = connection::open_reader(path, &SqliteOptions::default()).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM settings").unwrap();
    reader
}

#[tokio::test]
async fn while_an_old_snapshot_lives_writes_go_on_and_it_is_told() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("catalog.db");
    // With the server's limits: in an earlier version the writer waited for the snapshot once the log was longer than 64 MiB.
    let options = SqliteOptions { snapshot_patience: Duration::ZERO, busy_timeout: Duration::from_hours(1), ..SqliteOptions::default() };
    let catalog = SqliteCatalog::open(&path, options).unwrap();
    catalog.set_setting("s", None, vec![0]).await.unwrap();
    let snapshot = old_snapshot(&path);
    for number in 0..80 {
        let present = catalog.setting("s").await.unwrap();
        let value = vec![number; 1 << 20];
        timeout(PATIENCE, catalog.set_setting("s", present, value)).await.expect("a write is kept waiting").unwrap();
    }
    assert!(log_bytes(&path) > 64 << 20);
    write_until(&catalog, 4096, "nothing is told", |log| log.held_back > 0).await;
    drop(snapshot);
    write_until(&catalog, 4096, "the log goes on growing", |log| log.pages < 1000).await;
    assert_eq!(catalog.numbers().log.failed, 0);
}

#[tokio::test]
async fn a_log_that_is_written_to_without_a_pause_begins_anew_again_and_again() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("catalog.db");
    let catalog = SqliteCatalog::open(&path, options()).unwrap();
    for round in 0..3 {
        write_until(&catalog, 20_000, "it never gets long", |log| log.pages >= 64).await;
        write_until(&catalog, 20_000, "it never begins anew", |log| log.pages < 16).await;
        assert!(catalog.numbers().log.checkpoints > round);
    }
    assert_eq!(catalog.numbers().log.failed, 0);
}

#[tokio::test]
async fn readers_do_not_keep_a_log_growing() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("catalog.db");
    let catalog = std::sync::Arc::new(SqliteCatalog::open(&path, options()).unwrap());
    let stop = tokio::sync::watch::Sender::new(false);
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let (catalog, stop) = (std::sync::Arc::clone(&catalog), stop.clone());
            tokio::spawn(async move {
                while !*stop.borrow() {
                    catalog.setting("s").await.unwrap();
                    catalog.list_jobs("none", false, 10).await.unwrap();
                }
            })
        })
        .collect();
    for _ in 0..5 {
        write_until(&catalog, 20_000, "it never gets long", |log| log.pages >= 64).await;
        write_until(&catalog, 20_000, "it never begins anew", |log| log.pages < 16).await;
    }
    stop.send_replace(true);
    for reader in readers {
        reader.await.unwrap();
    }
}

#[tokio::test]
async fn what_was_committed_is_there_after_a_restart_wherever_the_log_was() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("catalog.db");
    for round in 0..20 {
        let catalog = SqliteCatalog::open(&path, options()).unwrap();
        for number in 0..round * 3 {
            let name = format!("{round}/{number}");
            catalog.set_setting(&name, None, vec![7; 5000]).await.unwrap();
        }
        for earlier in 0..round {
            for number in 0..earlier * 3 {
                assert!(catalog.setting(&format!("{earlier}/{number}")).await.unwrap().is_some());
            }
        }
    }
}
