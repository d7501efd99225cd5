//! Files of earlier versions, and of later ones.
#![allow(clippy::unwrap_used)]

use rusqlite::Connection;

use super::{SqliteCatalog, SqliteOptions};
use crate::{
    Bucket, BucketChange, BucketEncryption, BucketEncryptionAlgorithm, BucketId, Catalog, CatalogError, FormerBucket, Lock,
    VersionSelector, Versioning,
};

/// The file as an earlier version made it.
fn downgrade(path: &std::path::Path, version: u32) {
    let to_5 = "DROP TABLE entities; DROP TABLE entity_refs; DROP TABLE access_key_uses; PRAGMA user_version = 5;";
    let to_4 = "DROP TABLE events; DROP TABLE event_targets; PRAGMA user_version = 4;";
    let to_3 = "DROP TABLE bucket_documents; ALTER TABLE buckets DROP COLUMN revision; ALTER TABLE buckets DROP COLUMN record;
                DROP INDEX versions_locked; DROP INDEX versions_older_newest; ALTER TABLE versions DROP COLUMN retain_until; ALTER TABLE versions DROP COLUMN lock;
                ALTER TABLE versions DROP COLUMN revision; PRAGMA user_version = 3;";
    let to_2 = "DROP TABLE key_usage; DROP TABLE releases;
                CREATE INDEX versions_kms_key ON versions (kms_key, bucket, size_bytes) WHERE kms_key IS NOT NULL; PRAGMA user_version = 2;";
    let to_1 = "DROP TABLE jobs; DROP INDEX versions_kms_key; DROP INDEX versions_by_kms_key; DROP INDEX versions_by_bucket;
                CREATE INDEX versions_kms_key ON versions (kms_key, size_bytes) WHERE kms_key IS NOT NULL; PRAGMA user_version = 1;";
    let file = Connection::open(path).unwrap();
    for (below, script) in [(6, to_5), (5, to_4), (4, to_3), (3, to_2), (2, to_1)] {
        if version < below {
            file.execute_batch(script).unwrap();
        }
    }
    // Nor could the first ones shrink.
    file.execute_batch("PRAGMA journal_mode = DELETE; PRAGMA auto_vacuum = NONE; VACUUM").unwrap();
}

fn schema_of(path: &std::path::Path) -> (i64, Vec<(String, Option<String>)>) {
    let file = Connection::open(path).unwrap();
    let version = file.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    let mut statement = file.prepare("SELECT name, sql FROM sqlite_schema ORDER BY name").unwrap();
    let tables = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect();
    (version, tables)
}

#[tokio::test]
async fn a_file_of_an_earlier_version_becomes_what_this_one_makes_anew_and_keeps_its_rows() {
    for version in [1, 2, 3, 4, 5] {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("catalog.db");
        let catalog = SqliteCatalog::open(&path, SqliteOptions::default()).unwrap();
        catalog.set_setting("a", None, vec![1]).await.unwrap();
        drop(catalog);
        let new = schema_of(&path);
        downgrade(&path, version);
        assert_eq!(schema_of(&path).0, i64::from(version));
        let catalog = SqliteCatalog::open(&path, SqliteOptions::default()).unwrap();
        assert_eq!(catalog.setting("a").await.unwrap(), Some(vec![1]));
        assert_eq!(catalog.list_jobs("rekey", false, 1).await.unwrap(), []);
        drop(catalog);
        assert_eq!(schema_of(&path), new, "version {version}");
        let can_shrink: i64 = Connection::open(&path).unwrap().query_row("PRAGMA auto_vacuum", [], |row| row.get(0)).unwrap();
        assert_eq!(can_shrink, 2, "version {version}");
    }
}

#[tokio::test]
async fn what_depends_on_each_key_is_counted_when_an_earlier_version_is_opened() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("catalog.db");
    drop(SqliteCatalog::open(&path, SqliteOptions::default()).unwrap());
    let rows = "INSERT INTO kms_keys VALUES (1, 'local', 'a', 1), (2, 'local', 'a', 2), (3, 'local', 'unused', 1);
                INSERT INTO buckets (id, bucket_id, name, owner, region, created, versioning, tag, encryption_bucket_key)
                VALUES (1, x'01', CAST('b' AS BLOB), 'o', '', 0, 0, x'', 0), (2, x'02', CAST('c' AS BLOB), 'o', '', 0, 0, x'', 0);
                INSERT INTO versions (bucket, key, version_id, is_latest, is_null, is_delete_marker, size_bytes, modified, kms_key, record)
                VALUES (1, x'61', x'01', 1, 1, 0, 7, 0, 1, x''), (1, x'62', x'02', 1, 1, 0, 5, 0, 1, x''), (2, x'61', x'03', 1, 1, 0, 3, 0, 1, x''),
                       (1, x'63', x'04', 1, 1, 0, 2, 0, NULL, x'');
                INSERT INTO uploads VALUES (1, x'01', 2, x'61', x'05', 0, '', 2, 2, x'', x'', x''), (2, x'02', 2, x'62', x'06', 0, '', 2, 1, x'', x'', x'');";
    Connection::open(&path).unwrap().execute_batch(rows).unwrap();
    downgrade(&path, 2);
    let catalog = SqliteCatalog::open(&path, SqliteOptions::default()).unwrap();
    let usages = catalog.key_usage("local", "a").await.unwrap();
    let counted: Vec<_> = usages.iter().map(|usage| (usage.key.version, usage.versions, usage.bytes, usage.uploads)).collect();
    assert_eq!(counted, [(1, 3, 15, 1), (2, 0, 0, 1)]);
    let buckets: Vec<_> = usages[0].buckets.iter().map(|of| (of.bucket.as_str(), of.versions, of.bytes)).collect();
    assert_eq!(buckets, [("b", 2, 12), ("c", 1, 3)]);
    assert_eq!(catalog.key_usage("local", "unused").await.unwrap(), []);
    assert!(catalog.is_key_in_use("local", "a").await.unwrap());
    assert!(!catalog.is_key_in_use("local", "unused").await.unwrap());
}

/// The story: a store of version 3 has a bucket with a default encryption. It is read as it was, until the engine has sealed a record of it.
#[tokio::test]
async fn a_bucket_of_version_3_is_read_with_its_tag_until_it_has_a_record() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("catalog.db");
    drop(SqliteCatalog::open(&path, SqliteOptions::default()).unwrap());
    downgrade(&path, 3);
    let rows = "INSERT INTO buckets VALUES (1, zeroblob(16), CAST('b' AS BLOB), 'o', 'r', 5, 1, x'0102', 2, 'a-key', 1);
                INSERT INTO versions (bucket, key, version_id, is_latest, is_null, is_delete_marker, size_bytes, modified, record)
                VALUES (1, x'61', zeroblob(16), 1, 0, 1, 0, 0, x'');";
    Connection::open(&path).unwrap().execute_batch(rows).unwrap();
    let catalog = SqliteCatalog::open(&path, SqliteOptions::default()).unwrap();
    let encryption =
        BucketEncryption { algorithm: BucketEncryptionAlgorithm::SseKms, kms_key_id: Some("a-key".to_owned()), bucket_key_enabled: true };
    let former = Bucket {
        id: BucketId([0; 16]),
        name: "b".to_owned(),
        owner: "o".to_owned(),
        region: "r".to_owned(),
        created: 5,
        versioning: Versioning::Enabled,
        revision: 0,
        record: Vec::new(),
        former: Some(FormerBucket { encryption: Some(encryption), tag: vec![1, 2] }),
    };
    assert_eq!(catalog.bucket("b").await.unwrap(), Some(former.clone()));
    let found = catalog.find_version("b", "a", VersionSelector::Latest).await.unwrap().unwrap().1.unwrap();
    assert_eq!((found.revision, found.lock), (0, Lock::default()));
    let change = BucketChange { versioning: Versioning::Enabled, record: vec![7], documents: Vec::new(), events: Vec::new() };
    catalog.change_bucket(former.id, 0, change.clone()).await.unwrap();
    assert_eq!(catalog.bucket("b").await.unwrap(), Some(Bucket { revision: 1, record: vec![7], former: None, ..former.clone() }));
    let again = catalog.change_bucket(former.id, 0, change).await;
    assert!(matches!(again, Err(CatalogError::PreconditionFailed)), "{again:?}");
}

#[test]
fn a_migration_that_fails_leaves_the_file_as_it_was() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("catalog.db");
    drop(SqliteCatalog::open(&path, SqliteOptions::default()).unwrap());
    downgrade(&path, 1);
    // The last step of the migration finds its name taken.
    Connection::open(&path).unwrap().execute_batch("CREATE INDEX releases ON settings (value)").unwrap();
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
    assert!(matches!(refused, Err(CatalogError::TooNew { found: 9, known: 6 })), "{refused:?}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}
