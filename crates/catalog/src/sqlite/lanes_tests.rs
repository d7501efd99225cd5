//! Which reads wait for which others.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Duration;
use strongroom_ids::BucketId;

use rusqlite::{Connection, StatementStatus};
use strongroom_fair::{FairSemaphore, InTurns, Tenant};
use tokio::time::timeout;

use super::listing::Objects;
use super::{SqliteCatalog, SqliteOptions, connection};
use crate::{Bucket, Catalog, CatalogError, ListEntry, ListQuery, VersionSelector, Versioning};

const PATIENCE: Duration = Duration::from_secs(20);

/// A catalog with the bucket `b`, which has `keys` keys under each of `prefixes` prefixes.
async fn catalog(path: &Path, options: SqliteOptions, prefixes: u32, keys: u32) -> SqliteCatalog {
    let catalog = SqliteCatalog::open(path, options).unwrap();
    let bucket = Bucket {
        id: BucketId([0; 16]),
        name: "b".to_owned(),
        owner: String::new(),
        region: String::new(),
        created: 0,
        versioning: Versioning::Unversioned,
        revision: 1,
        record: Vec::new(),
        former: None,
    };
    catalog.create_bucket(bucket).await.unwrap();
    let rows = format!(
        "WITH RECURSIVE p(p) AS (SELECT 1 UNION ALL SELECT p + 1 FROM p WHERE p < {prefixes}),
         k(k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM k WHERE k < {keys})
         INSERT INTO versions (bucket, key, version_id, is_latest, is_null, is_delete_marker, size_bytes, modified, record)
         SELECT 1, CAST(printf('%04d/%04d', p, k) AS BLOB), zeroblob(16), 1, 1, 0, 7, 0, x'' FROM p, k;"
    );
    Connection::open(path).unwrap().execute_batch(&rows).unwrap();
    catalog
}

fn all(limit: usize) -> ListQuery {
    ListQuery { limit, ..ListQuery::default() }
}

fn by_prefix(limit: usize) -> ListQuery {
    ListQuery { delimiter: Some("/".to_owned()), limit, ..ListQuery::default() }
}

/// Holds a thread of the scans until something is sent, or the sender is dropped.
async fn hold(catalog: &SqliteCatalog) -> (mpsc::Sender<()>, impl Future<Output = Result<(), CatalogError>>) {
    let (let_go, gone) = mpsc::channel::<()>();
    let (began, holds) = tokio::sync::oneshot::channel();
    let mut holding = Box::pin(catalog.scans.read(move |_| {
        let _ = began.send(());
        let _ = gone.recv();
        Ok(())
    }));
    tokio::select! {
        held = holds => held.unwrap(),
        _ = &mut holding => panic!("it was let go"),
    }
    (let_go, holding)
}

#[tokio::test]
async fn with_every_thread_for_scans_held_a_look_up_is_answered() {
    let home = tempfile::tempdir().unwrap();
    let options = SqliteOptions { scans: 2, ..SqliteOptions::default() };
    let catalog = catalog(&home.path().join("catalog.db"), options, 1, 3).await;
    let held = [hold(&catalog).await, hold(&catalog).await];
    let mut listing = Box::pin(catalog.list_objects(all(10)));
    assert!(timeout(Duration::from_millis(10), &mut listing).await.is_err(), "nothing can list");
    for _ in 0..100 {
        let find = catalog.find_version("b", "0001/0002", VersionSelector::Latest);
        assert!(timeout(PATIENCE, find).await.expect("it is kept waiting").unwrap().unwrap().1.is_some());
        let find = catalog.find_version_data("b", "none", VersionSelector::Latest);
        assert!(timeout(PATIENCE, find).await.expect("it is kept waiting").unwrap().unwrap().1.is_none());
        assert!(timeout(PATIENCE, catalog.bucket("b")).await.expect("it is kept waiting").unwrap().is_some());
    }
    for (let_go, holding) in held {
        drop(let_go);
        holding.await.unwrap();
    }
    assert_eq!(listing.await.unwrap().entries.len(), 3);
}

#[tokio::test]
async fn a_short_listing_overtakes_the_long_ones_before_it() {
    let home = tempfile::tempdir().unwrap();
    let options = SqliteOptions { scans: 1, step_rows: 10, ..SqliteOptions::default() };
    let catalog = Arc::new(catalog(&home.path().join("catalog.db"), options, 10, 90).await);
    let (let_go, holding) = hold(&catalog).await;
    let (ended, mut order) = tokio::sync::mpsc::unbounded_channel();
    // They queue up in this order while the thread is held.
    for (place, (name, limit)) in (2..).zip([("first long", 1000), ("second long", 1000), ("short", 5)]) {
        let (catalog, ended) = (Arc::clone(&catalog), ended.clone());
        let shared = Arc::clone(&catalog);
        tokio::spawn(async move {
            catalog.list_objects(all(limit)).await.unwrap();
            ended.send(name).unwrap();
        });
        while shared.numbers().scans < place {
            tokio::task::yield_now().await;
        }
    }
    drop(let_go);
    holding.await.unwrap();
    let order = [order.recv().await, order.recv().await, order.recv().await];
    assert_eq!(order, ["short", "first long", "second long"].map(Some));
}

/// Also where so many wait that most of them have no place in the lane yet.
#[tokio::test]
async fn one_look_up_of_a_tenant_is_behind_one_of_another_and_not_behind_all_of_them() {
    let home = tempfile::tempdir().unwrap();
    let options = SqliteOptions { lookups: 1, read_queue: 8, ..SqliteOptions::default() };
    let catalog = Arc::new(catalog(&home.path().join("catalog.db"), options, 1, 1).await);
    let (let_go, gone) = mpsc::channel::<()>();
    let blocked = Arc::clone(&catalog);
    let holding = tokio::spawn(async move { blocked.lookups.read(move |_| gone.recv().map_or(Ok(()), Ok)).await });
    let (ended, mut order) = tokio::sync::mpsc::unbounded_channel();
    let permits = FairSemaphore::new(1);
    for tenant in std::iter::repeat_n("crowd", 100).chain(["one"]) {
        let (catalog, ended) = (Arc::clone(&catalog), ended.clone());
        tokio::spawn(InTurns::new(&permits, Tenant::named(tenant), async move {
            catalog.lookups.read(move |_| ended.send(tenant).map_err(|_| CatalogError::Busy)).await.unwrap();
        }));
    }
    while catalog.lookups.waiting() < 93 {
        tokio::task::yield_now().await;
    }
    drop(let_go);
    holding.await.unwrap().unwrap();
    let mut before = 0;
    while order.recv().await.unwrap() == "crowd" {
        before += 1;
    }
    // Those that had places before it came, and one more.
    assert!(before <= 9, "{before}");
}

#[tokio::test]
async fn more_scans_than_the_lane_takes_wait_for_a_place_and_are_all_answered() {
    let home = tempfile::tempdir().unwrap();
    let options = SqliteOptions { scans: 1, step_rows: 3, read_queue: 2, ..SqliteOptions::default() };
    let catalog = Arc::new(catalog(&home.path().join("catalog.db"), options, 5, 5).await);
    let (let_go, holding) = hold(&catalog).await;
    let listings: Vec<_> = (0..20)
        .map(|_| {
            let catalog = Arc::clone(&catalog);
            tokio::spawn(async move { catalog.list_objects(all(100)).await.unwrap().entries.len() })
        })
        .collect();
    while catalog.scans.waiting() < 18 {
        tokio::task::yield_now().await;
    }
    assert_eq!(catalog.numbers().scans, 3, "one under way and two that wait");
    drop(let_go);
    holding.await.unwrap();
    for listing in listings {
        assert_eq!(listing.await.unwrap(), 25);
    }
    // A place is free a moment after the answer.
    while catalog.numbers().scans + catalog.numbers().lookups > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_listing_holds_no_snapshot_between_its_steps() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("catalog.db");
    let catalog = catalog(&path, SqliteOptions::default(), 1, 50).await;
    let reader = connection::open_reader(&path, &SqliteOptions::default()).unwrap();
    let mut objects = Objects::new(all(1000));
    let mut steps = 0;
    let page = loop {
        steps += 1;
        if let Some(page) = objects.step(&reader, 10).unwrap() {
            break page;
        }
        assert!(reader.is_autocommit());
        // A snapshot that was held would keep a part of the log where it is.
        catalog.set_setting(&steps.to_string(), None, vec![0; 10]).await.unwrap();
        let writer = Connection::open(&path).unwrap();
        let moved = writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)));
        assert_eq!(moved.unwrap(), (0, 0), "step {steps}");
    };
    assert!(steps >= 5, "{steps}");
    assert_eq!((page.entries.len(), page.truncated), (50, false));
}

#[tokio::test]
async fn a_listing_in_steps_of_any_size_is_the_same() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("catalog.db");
    let _catalog = catalog(&path, SqliteOptions::default(), 7, 9).await;
    let reader = connection::open_reader(&path, &SqliteOptions::default()).unwrap();
    for query in [all(1000), all(20), by_prefix(1000), by_prefix(3)] {
        let in_steps = |rows| {
            let mut objects = Objects::new(query.clone());
            loop {
                if let Some(page) = objects.step(&reader, rows).unwrap() {
                    break page;
                }
            }
        };
        let whole = in_steps(10_000);
        assert!(whole.entries.len() == query.limit || whole.entries.len() == if query.delimiter.is_some() { 7 } else { 63 });
        for rows in 1..20 {
            assert_eq!(in_steps(rows), whole, "{query:?} in steps of {rows}");
        }
    }
}

#[tokio::test]
async fn no_listing_has_its_statement_prepared_anew() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("catalog.db");
    let _catalog = catalog(&path, SqliteOptions::default(), 100, 3).await;
    let reader = connection::open_reader(&path, &SqliteOptions::default()).unwrap();
    for limit in [1000, 7, 1] {
        let mut objects = Objects::new(by_prefix(limit));
        let page = loop {
            if let Some(page) = objects.step(&reader, 50).unwrap() {
                break page;
            }
        };
        assert!(page.entries.iter().all(|entry| matches!(entry, ListEntry::Prefix { .. })));
    }
    // This statement comes out of the cache.
    let statement = reader.prepare_cached(super::listing::OBJECTS).unwrap();
    assert!(statement.get_status(StatementStatus::Run) >= 100, "this is the statement");
    assert_eq!(statement.get_status(StatementStatus::RePrepare), 0);
}

/// `.cargo/config.toml` sees to it. Without the first option SQLite counts each allocation under one lock shared by all connections. With
/// the second it would keep the pages of all connections in one cache under one lock.
#[test]
fn connections_share_no_lock_for_memory() {
    let connection = Connection::open_in_memory().unwrap();
    let mut statement = connection.prepare("SELECT compile_options FROM pragma_compile_options").unwrap();
    let options: Vec<String> = statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert!(options.iter().any(|option| option == "DEFAULT_MEMSTATUS=0"), "{options:?}");
    assert!(!options.iter().any(|option| option == "ENABLE_MEMORY_MANAGEMENT"), "{options:?}");
}
