#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::mpsc;

use rusqlite::Connection;
use rusqlite::config::DbConfig;
use tempfile::TempDir;

use super::writer::Writer;
use super::{SqliteCatalog, SqliteOptions, connection, log_path};
use crate::{Catalog, CatalogError};

type Outcome = Result<(), CatalogError>;

/// A writer on a file of its own, and a connection that sees what was committed.
struct Bench {
    writer: Arc<Writer>,
    reader: Connection,
    _home: TempDir,
}

impl Bench {
    fn new(prepare: impl FnOnce(&Connection)) -> Self {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("catalog.db");
        let options = SqliteOptions::default();
        let connection = connection::open_writer(&path, &options).unwrap();
        prepare(&connection);
        let writer = Arc::new(Writer::start(connection, log_path(&path), 16, 16).unwrap());
        Self { writer, reader: connection::open_reader(&path, &options).unwrap(), _home: home }
    }

    fn settings(&self) -> Vec<String> {
        let mut statement = self.reader.prepare("SELECT name FROM settings ORDER BY name").unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    /// Runs the writes as one batch: they queue up while the writer is held.
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
        holding.await.unwrap().unwrap();
        let mut outcomes = Vec::new();
        for write in waiting {
            outcomes.push(write.await);
        }
        outcomes
    }
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

/// The file as version 1 made it.
fn downgrade(path: &std::path::Path) {
    let script = "DROP TABLE jobs; DROP INDEX versions_kms_key; DROP INDEX versions_by_kms_key; DROP INDEX versions_by_bucket;
                  CREATE INDEX versions_kms_key ON versions (kms_key, size_bytes) WHERE kms_key IS NOT NULL; PRAGMA user_version = 1;";
    Connection::open(path).unwrap().execute_batch(script).unwrap();
}

fn schema_of(path: &std::path::Path) -> (i64, Vec<(String, Option<String>)>) {
    let file = Connection::open(path).unwrap();
    let version = file.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    let mut statement = file.prepare("SELECT name, sql FROM sqlite_schema ORDER BY name").unwrap();
    let tables = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect();
    (version, tables)
}

#[tokio::test]
async fn a_file_of_version_1_becomes_what_version_2_makes_anew_and_keeps_its_rows() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("catalog.db");
    let catalog = SqliteCatalog::open(&path, SqliteOptions::default()).unwrap();
    catalog.set_setting("a", None, vec![1]).await.unwrap();
    drop(catalog);
    let new = schema_of(&path);
    downgrade(&path);
    let catalog = SqliteCatalog::open(&path, SqliteOptions::default()).unwrap();
    assert_eq!(catalog.setting("a").await.unwrap(), Some(vec![1]));
    assert_eq!(catalog.list_jobs("rekey", false, 1).await.unwrap(), []);
    drop(catalog);
    assert_eq!(schema_of(&path), new);
}

#[test]
fn a_migration_that_fails_leaves_version_1_as_it_was() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("catalog.db");
    drop(SqliteCatalog::open(&path, SqliteOptions::default()).unwrap());
    downgrade(&path);
    // The last step of the migration finds its name taken.
    Connection::open(&path).unwrap().execute_batch("CREATE INDEX jobs_order ON settings (value)").unwrap();
    let before = schema_of(&path);
    let refused = SqliteCatalog::open(&path, SqliteOptions::default()).map(drop);
    assert!(matches!(refused, Err(CatalogError::Database(_))), "{refused:?}");
    assert_eq!(schema_of(&path), before);
}

#[test]
fn a_newer_schema_is_refused_and_left_alone() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("catalog.db");
    drop(SqliteCatalog::open(&path, SqliteOptions::default()).unwrap());
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 9).unwrap();
    let before = std::fs::read(&path).unwrap();
    let refused = SqliteCatalog::open(&path, SqliteOptions::default()).map(drop);
    assert!(matches!(refused, Err(CatalogError::TooNew { found: 9, known: 2 })), "{refused:?}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
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
