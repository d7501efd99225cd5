#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;

use rusqlite::Connection;
use rusqlite::config::DbConfig;
use strongroom_fair::{FairSemaphore, InTurns, Tenant};
use tempfile::TempDir;

use super::checkpoint::Checkpointer;
use super::reserve::Reserve;
use super::writer::Writer;
use super::{SqliteCatalog, SqliteOptions, connection, listing};
use crate::{Catalog, CatalogError};

type Outcome = Result<(), CatalogError>;

/// A writer on a file of its own, and a connection that sees what was committed.
struct Bench {
    writer: Arc<Writer>,
    reader: Connection,
    home: TempDir,
}

impl Bench {
    fn new(prepare: impl FnOnce(&Connection)) -> Self {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("catalog.db");
        let options = SqliteOptions::default();
        let connection = connection::open_writer(&path, &options).unwrap();
        prepare(&connection);
        let own = connection::open_checkpointer(&path, &options).unwrap();
        let log = Checkpointer::start(&connection, own, Arc::new(Reserve::new(&path, options.log_bytes())), &options).unwrap();
        let writer = Arc::new(Writer::start(connection, log, Arc::default(), 16, 16).unwrap());
        Self { writer, reader: connection::open_reader(&path, &options).unwrap(), home }
    }

    fn settings(&self) -> Vec<String> {
        let mut statement = self.reader.prepare("SELECT name FROM settings ORDER BY name").unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    /// Runs the writes as one batch: they line up while its first write holds the writer.
    async fn batch(&self, writes: Vec<fn(&Connection) -> Outcome>) -> Vec<Outcome> {
        let (let_go, gone) = mpsc::channel::<()>();
        let (began, holds) = tokio::sync::oneshot::channel();
        let lane = Arc::clone(&self.writer);
        let holding = tokio::spawn(async move {
            let hold = move |_: &Connection| {
                began.send(()).unwrap();
                gone.recv().unwrap();
                Ok(())
            };
            lane.write(hold).await
        });
        holds.await.unwrap();
        let mut waiting: Vec<_> = writes.into_iter().map(|write| Box::pin(self.writer.write(write))).collect();
        // One poll of each puts it into the queue.
        for write in &mut waiting {
            std::future::poll_fn(|context| {
                assert!(write.as_mut().poll(context).is_pending());
                std::task::Poll::Ready(())
            })
            .await;
        }
        let_go.send(()).unwrap();
        // It is the batch's first write, and fails with it.
        drop(holding.await.unwrap());
        let mut outcomes = Vec::new();
        for write in waiting {
            outcomes.push(write.await);
        }
        outcomes
    }
}

fn log_path(path: &Path) -> PathBuf {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    log.into()
}

fn set(transaction: &Connection, name: &str, len: u32) -> Outcome {
    transaction.prepare_cached("INSERT INTO settings VALUES (?1, zeroblob(?2))")?.execute(rusqlite::params![name, len])?;
    Ok(())
}

#[tokio::test]
async fn a_write_that_fails_is_undone_alone() {
    let bench = Bench::new(|_| {});
    let outcomes = bench
        .batch(vec![
            |transaction| set(transaction, "a", 1),
            |transaction| set(transaction, "b", 1).and(Err(CatalogError::PreconditionFailed)),
            |transaction| {
                set(transaction, "c", 1)?;
                panic!("as a bug would");
            },
            |transaction| set(transaction, "d", 1),
        ])
        .await;
    assert!(
        matches!(&outcomes[..], [Ok(()), Err(CatalogError::PreconditionFailed), Err(CatalogError::Damaged(_)), Ok(())]),
        "{outcomes:?}"
    );
    assert_eq!(bench.settings(), ["a", "d"]);
}

#[tokio::test]
async fn a_commit_that_fails_fails_all_its_writes_and_the_writer_goes_on() {
    // A deferred foreign key is checked at COMMIT.
    let bench = Bench::new(|connection| {
        let tables = "CREATE TABLE parent (id INTEGER PRIMARY KEY);
                      CREATE TABLE child (parent INTEGER REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
                      PRAGMA foreign_keys = ON;";
        connection.execute_batch(tables).unwrap();
    });
    let outcomes = bench
        .batch(vec![
            |transaction| set(transaction, "a", 1),
            |transaction| Ok(transaction.execute("INSERT INTO child VALUES (7)", []).map(drop)?),
            |_| Err(CatalogError::PreconditionFailed),
        ])
        .await;
    for outcome in &outcomes {
        assert!(matches!(outcome, Err(CatalogError::Database(_))), "{outcome:?}");
    }
    assert_eq!(bench.settings(), [""; 0]);
    bench.writer.write(|transaction| set(transaction, "b", 1)).await.unwrap();
    assert_eq!(bench.settings(), ["b"]);
}

#[tokio::test]
async fn a_full_disk_is_reported_as_such_and_the_writer_goes_on() {
    let bench = Bench::new(|connection| {
        connection.query_row("PRAGMA max_page_count = 64", [], |_| Ok(())).unwrap();
    });
    let outcomes = bench.batch(vec![|transaction| set(transaction, "a", 1), |transaction| set(transaction, "large", 1 << 20)]).await;
    assert!(matches!(outcomes[1], Err(CatalogError::Full)), "{outcomes:?}");
    // Whether the first write stays is SQLite's choice; that its answer is true is ours.
    let expected: &[&str] = if outcomes[0].is_ok() { &["a"] } else { &[] };
    assert_eq!(bench.settings(), expected);
    bench.writer.write(|transaction| set(transaction, "b", 1)).await.unwrap();
    assert_eq!(bench.settings().last().unwrap(), "b");
}

#[tokio::test]
async fn a_transaction_that_the_database_rolled_back_fails_the_writes_that_were_in_it() {
    let bench = Bench::new(|_| {});
    let outcomes = bench
        .batch(vec![
            |transaction| set(transaction, "a", 1),
            |transaction| {
                transaction.execute("ROLLBACK", [])?;
                Err(CatalogError::Full)
            },
            |transaction| set(transaction, "b", 1),
        ])
        .await;
    assert!(matches!(&outcomes[..], [Err(CatalogError::Full), Err(CatalogError::Full), Ok(())]), "{outcomes:?}");
    assert_eq!(bench.settings(), ["b"]);
}

#[tokio::test]
async fn after_close_every_call_is_busy_and_no_log_is_left() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("catalog.db");
    let catalog = SqliteCatalog::open(&path, SqliteOptions::default()).unwrap();
    catalog.set_setting("a", None, vec![1]).await.unwrap();
    catalog.close().await;
    assert!(matches!(catalog.set_setting("b", None, vec![1]).await, Err(CatalogError::Busy)));
    assert!(matches!(catalog.setting("a").await, Err(CatalogError::Busy)));
    assert_eq!(std::fs::metadata(log_path(&path)).map_or(0, |log| log.len()), 0);
    drop(catalog);
    let catalog = SqliteCatalog::open(&path, SqliteOptions::default()).unwrap();
    assert_eq!(catalog.setting("a").await.unwrap(), Some(vec![1]));
}

#[test]
fn a_commit_is_on_the_disk_before_it_is_answered() {
    let home = tempfile::tempdir().unwrap();
    let writer = connection::open_writer(&home.path().join("catalog.db"), &SqliteOptions::default()).unwrap();
    let synchronous: i64 = writer.query_row("PRAGMA synchronous", [], |row| row.get(0)).unwrap();
    let journal_mode: String = writer.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
    // 2 is FULL: the log is synced with every commit.
    assert_eq!((synchronous, journal_mode.as_str()), (2, "wal"));
}

/// Somebody who can write to the file, but not into the server, adds what would undo each setting, and a view in a table's place.
#[tokio::test]
async fn what_was_added_to_the_schema_does_not_run() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("catalog.db");
    drop(SqliteCatalog::open(&path, SqliteOptions::default()).unwrap());
    let stranger = Connection::open(&path).unwrap();
    let trigger = "CREATE TRIGGER undo AFTER INSERT ON settings BEGIN DELETE FROM settings WHERE name = new.name; END";
    stranger.execute_batch(trigger).unwrap();
    stranger.execute("INSERT INTO settings VALUES ('of the stranger', x'01')", []).unwrap();
    let rows = |connection: &Connection| connection.query_row("SELECT count(*) FROM settings", [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(rows(&stranger), 0, "the trigger does what it is for");
    let catalog = SqliteCatalog::open(&path, SqliteOptions::default()).unwrap();
    catalog.set_setting("a", None, vec![1]).await.unwrap();
    assert_eq!(catalog.setting("a").await.unwrap(), Some(vec![1]));
    assert_eq!(rows(&stranger), 1);
    drop(catalog);
    let view = "ALTER TABLE settings RENAME TO hidden; CREATE VIEW settings AS SELECT name, x'02' AS value FROM hidden;";
    stranger.execute_batch(view).unwrap();
    let catalog = SqliteCatalog::open(&path, SqliteOptions::default()).unwrap();
    let read = catalog.setting("a").await;
    assert!(matches!(&read, Err(CatalogError::Database(error)) if error.to_string().contains("view")), "{read:?}");
}

#[test]
fn every_connection_distrusts_the_schema() {
    let home = tempfile::tempdir().unwrap();
    let (path, options) = (home.path().join("catalog.db"), SqliteOptions::default());
    let writer = connection::open_writer(&path, &options).unwrap();
    let reader = connection::open_reader(&path, &options).unwrap();
    for connection in [writer, reader] {
        for (setting, expected) in [
            (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
            (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
            (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
            (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
        ] {
            assert_eq!(connection.db_config(setting).unwrap(), expected, "{setting:?}");
        }
    }
}

#[test]
fn a_file_that_is_no_catalog_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("catalog.db");
    std::fs::write(&path, vec![0x5A; 8192]).unwrap();
    let refused = SqliteCatalog::open(&path, SqliteOptions::default()).map(drop);
    assert!(matches!(refused, Err(CatalogError::Damaged(_))), "{refused:?}");
    Connection::open(home.path().join("other.db")).unwrap().execute_batch("CREATE TABLE a (b)").unwrap();
    let refused = SqliteCatalog::open(&home.path().join("other.db"), SqliteOptions::default()).map(drop);
    assert!(matches!(refused, Err(CatalogError::Damaged(_))), "{refused:?}");
}

/// The server was killed between a write of the log and its sync: what would be answered from it can still be lost.
#[test]
fn a_log_that_was_found_is_synced_before_anything_is_read_of_it() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("catalog.db");
    let catalog = SqliteCatalog::open(&path, SqliteOptions::default()).unwrap();
    let log = log_path(&path);
    assert!(log.exists());
    for unsynced in [&log, home.path()] {
        strongroom_files::testing::fail_syncs(unsynced, 1);
        let refused = SqliteCatalog::open(&path, SqliteOptions::default()).map(drop);
        assert!(matches!(refused, Err(CatalogError::Database(_))), "{}: {refused:?}", unsynced.display());
    }
    drop(catalog);
    SqliteCatalog::open(&path, SqliteOptions::default()).unwrap();
}

#[cfg(unix)]
#[test]
fn only_the_owner_may_read_the_file_and_its_log() {
    use std::os::unix::fs::PermissionsExt;
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("catalog.db");
    let _open = SqliteCatalog::open(&path, SqliteOptions::default()).unwrap();
    for file in [path.clone(), log_path(&path)] {
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600, "{}", file.display());
    }
}

/// What `work` returns, if it returns in time.
fn in_time<T: Send + 'static>(what: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (answer, answered) = mpsc::channel();
    std::thread::spawn(move || answer.send(work()));
    answered.recv_timeout(std::time::Duration::from_secs(20)).unwrap_or_else(|_| panic!("{what}: it hangs"))
}

#[test]
fn a_fifo_or_a_link_in_the_place_of_a_file_of_the_database_is_refused_at_once() {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        for with_link in [false, true] {
            let home = tempfile::tempdir().unwrap();
            let path = home.path().join("catalog.db");
            drop(SqliteCatalog::open(&path, SqliteOptions::default()).unwrap());
            let place = home.path().join(format!("catalog.db{suffix}"));
            let _ = std::fs::remove_file(&place);
            let pipe = if with_link { home.path().join("pipe") } else { place.clone() };
            assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
            if with_link {
                std::os::unix::fs::symlink(&pipe, &place).unwrap();
            }
            let opened = in_time(suffix, move || SqliteCatalog::open(&path, SqliteOptions::default()).map(drop));
            assert!(matches!(opened, Err(CatalogError::Database(_))), "{suffix}, a link: {with_link}: {opened:?}");
        }
    }
}

#[test]
fn a_database_that_the_operator_linked_to_another_disk_opens() {
    let home = tempfile::tempdir().unwrap();
    let (path, elsewhere) = (home.path().join("catalog.db"), home.path().join("elsewhere.db"));
    drop(SqliteCatalog::open(&elsewhere, SqliteOptions::default()).unwrap());
    std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
    SqliteCatalog::open(&path, SqliteOptions::default()).unwrap();
}

#[tokio::test]
async fn a_row_that_makes_no_sense_is_left_out_of_a_listing_and_counted() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("catalog.db");
    let catalog = SqliteCatalog::open(&path, SqliteOptions::default()).unwrap();
    let rows = Connection::open(&path).unwrap();
    rows.execute_batch(
        "INSERT INTO buckets (id, bucket_id, name, owner, region, created, versioning, tag, encryption_bucket_key)
         VALUES (1, zeroblob(16), CAST('b' AS BLOB), 'o', '', 0, 0, x'', 0);
         WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 1200)
         INSERT INTO versions (bucket, key, version_id, is_latest, is_null, is_delete_marker, size_bytes, modified, record)
         SELECT 1, CAST(printf('%04d', n) AS BLOB), zeroblob(16), 1, 1, 0, 7, 0, x'' FROM n;
         WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 4)
         INSERT INTO uploads SELECT n, CAST(printf('upload-%d-9012345', n) AS BLOB), 1, CAST('u' AS BLOB), zeroblob(16), 0, '', 0, \
         NULL, x'', x'', x'' FROM n;",
    )
    .unwrap();
    for damage in ["size_bytes = -1", "version_id = x'00'", "key = x'30303032ff'", "kms_key = 7, mode = 1"] {
        rows.execute_batch(&format!("UPDATE versions SET {damage} WHERE id = 2")).unwrap();
        let query = crate::ListQuery { limit: 3, ..crate::ListQuery::default() };
        let page = catalog.list_objects(query).await.unwrap();
        let keys: Vec<_> =
            page.entries.iter().map(|entry| if let crate::ListEntry::Item(version) = entry { &*version.key } else { "" }).collect();
        assert_eq!((keys, page.truncated, page.unreadable), (vec!["0001", "0003", "0004"], true, 1), "{damage}");
        let undo = "UPDATE versions SET size_bytes = 7, version_id = zeroblob(16), key = CAST('0002' AS BLOB), kms_key = NULL, mode = NULL \
                    WHERE id = 2";
        rows.execute_batch(undo).unwrap();
    }
    rows.execute_batch("UPDATE uploads SET upload_id = CAST('upload-2' AS BLOB) WHERE id = 2; UPDATE uploads SET mode = -1 WHERE id = 4")
        .unwrap();
    let query = crate::ListQuery { limit: 1, ..crate::ListQuery::default() };
    let first = catalog.list_uploads(query.clone(), None).await.unwrap();
    assert_eq!((first.entries.len(), first.truncated, first.unreadable), (1, true, 1), "the look ahead comes by the second");
    let crate::ListEntry::Item(upload) = &first.entries[0] else { panic!() };
    let query = crate::ListQuery { after: Some("u".into()), ..query };
    let second = catalog.list_uploads(query, Some(upload.upload_id)).await.unwrap();
    assert_eq!((second.entries.len(), second.truncated, second.unreadable), (1, false, 2));

    rows.execute_batch("UPDATE versions SET size_bytes = -1").unwrap();
    let listed = catalog.list_objects(crate::ListQuery { limit: 3, ..crate::ListQuery::default() }).await;
    assert!(matches!(listed, Err(CatalogError::Damaged(_))), "with so much damage there is no listing: {listed:?}");
}

/// What the file system keeps for a file beyond its end.
fn kept_beyond(path: &std::path::Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let found = path.metadata().unwrap();
    (found.blocks() * 512).saturating_sub(found.len())
}

#[tokio::test]
async fn room_is_kept_for_the_log_and_the_database_and_taken_again_when_a_checkpoint_lets_go_of_it() {
    const LOG: u32 = 1 << 20;
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("catalog.db");
    let catalog = SqliteCatalog::open(&path, SqliteOptions { log_bytes: LOG, ..SqliteOptions::default() }).unwrap();
    assert!(kept_beyond(&path) < 64 << 10, "nothing is kept before it is asked for");
    let kept = catalog.keep_room().unwrap();
    assert!(kept.is_whole() && kept.wanted_bytes >= 2 * u64::from(LOG), "{kept:?}");
    // Three times the length at which the log is copied into the database, which cuts the database to its length.
    for number in 0..200 {
        catalog.set_setting(&number.to_string(), None, vec![7; 8000]).await.unwrap();
        let log = log_path(&path);
        assert!(kept_beyond(&log) + log.metadata().unwrap().len() >= u64::from(LOG) - (128 << 10));
        // The writer takes it again right after it has answered.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while kept_beyond(&path) < u64::from(LOG) - (128 << 10) {
            assert!(std::time::Instant::now() < deadline, "{} bytes are kept for the database after write {number}", kept_beyond(&path));
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }
    assert!(path.metadata().unwrap().len() > 1 << 20, "the log was copied");
    catalog.close().await;
    drop(catalog);
    let catalog = SqliteCatalog::open(&path, SqliteOptions::default()).unwrap();
    assert_eq!(catalog.setting("199").await.unwrap(), Some(vec![7; 8000]));
}

/// While its first write holds the writer, ten of a crowd line up, then one of another. Answers who was written, in that order, and how
/// many were committed when the last one of the crowd ran.
async fn crowd_and(other: &'static str) -> (Vec<&'static str>, i64) {
    let bench = Bench::new(|_| {});
    let path = bench.home.path().join("catalog.db");
    let outsider = connection::open_reader(&path, &SqliteOptions::default()).unwrap();
    let (let_go, gone) = mpsc::channel::<()>();
    let (began, holds) = tokio::sync::oneshot::channel();
    let (tell, told) = mpsc::channel();
    let task = |tenant, write: Box<dyn FnOnce(&Connection) -> Outcome + Send>| {
        let (writer, permits) = (Arc::clone(&bench.writer), FairSemaphore::new(1));
        tokio::spawn(InTurns::new(&permits, Tenant::named(tenant), async move { writer.write(write).await.unwrap() }))
    };
    let mut tasks = vec![task(
        "crowd",
        Box::new(move |transaction| {
            set(transaction, "first", 1)?;
            began.send(()).unwrap();
            gone.recv().unwrap();
            Ok(())
        }),
    )];
    holds.await.unwrap();
    for number in 0..9 {
        let tell = tell.clone();
        tasks.push(task(
            "crowd",
            Box::new(move |transaction| {
                tell.send(("crowd", 0)).unwrap();
                set(transaction, &format!("crowd {number}"), 1)
            }),
        ));
    }
    let last = tell.clone();
    tasks.push(task(
        "crowd",
        Box::new(move |_| {
            let committed = outsider.query_row("SELECT count(*) FROM settings", [], |row| row.get(0))?;
            last.send(("crowd", committed)).unwrap();
            Ok(())
        }),
    ));
    tokio::task::yield_now().await;
    tasks.push(task(other, Box::new(move |_| tell.send((other, 0)).map_err(|_| CatalogError::Busy))));
    tokio::task::yield_now().await;
    // Longer than a commit takes.
    std::thread::sleep(std::time::Duration::from_secs(1));
    let_go.send(()).unwrap();
    for task in tasks {
        task.await.unwrap();
    }
    let told: Vec<(&str, i64)> = told.iter().collect();
    (told.iter().map(|(tenant, _)| *tenant).collect(), told.iter().map(|(_, committed)| *committed).max().unwrap())
}

#[tokio::test]
async fn a_tenant_s_write_is_in_the_batch_under_way_and_ends_that_batch_where_another_tenant_fills_it() {
    let (order, committed) = crowd_and("one").await;
    assert_eq!(order.iter().position(|tenant| *tenant == "one"), Some(1), "{order:?}");
    assert_eq!(order.len(), 11);
    assert!(committed > 0, "the rest of the crowd's is another batch");
}

#[tokio::test]
async fn what_one_tenant_writes_is_committed_together() {
    let (order, committed) = crowd_and("crowd").await;
    assert_eq!((order.len(), committed), (11, 0));
}

/// The story: a page of versions is asked for, of a bucket with millions. What SQLite sorts itself it reads to the end first.
#[test]
fn no_listing_sorts_what_it_reads() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("catalog.db");
    drop(SqliteCatalog::open(&path, SqliteOptions::default()).unwrap());
    let file = Connection::open(&path).unwrap();
    for sql in [listing::OBJECTS, listing::VERSIONS, listing::OLDER_VERSIONS] {
        let mut statement = file.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let columns = vec![rusqlite::types::Value::Null; statement.parameter_count()];
        let plan = statement.query_map(rusqlite::params_from_iter(columns), |row| row.get::<_, String>(3)).unwrap();
        let plan: Vec<_> = plan.map(Result::unwrap).collect();
        assert!(!plan.iter().any(|step| step.contains("TEMP B-TREE") || step.starts_with("SCAN v")), "{plan:#?}");
    }
}
