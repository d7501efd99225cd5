//! The tables, and which version of them a file has.

use rusqlite::Connection;

use crate::CatalogError;

/// The version that this program writes (`user_version`).
const VERSION: u32 = 6;

/// Names and keys are BLOBs, so that their order is that of UTF-8 bytes and a prefix ends at an exact bound.
///
/// - `versions.id` is the commit order: SQLite gives a new row the greatest id plus one. Of the rows of one key exactly one is
///   the latest, the one with the greatest id. The two indexes of latest versions are disjoint, so that a listing never walks over
///   delete markers and a write touches one of them; the indexes of older versions are empty where versioning is off.
/// - `versions_older_newest` is for listings of versions, which show the newest of a key first.
/// - `versions.lock` and `retain_until` keep a version from being deleted; `versions_locked` finds the locked versions that depend on a key.
/// - `versions_by_kms_key` and `versions_by_bucket` are for walks in the order of ids, and the former tells whether anything depends on a key.
/// - `key_usage` counts what depends on a key in a bucket. It changes in the same transaction as what it counts.
/// - `releases` names what is still to be deleted after a deletion (`releases.rs`).
/// - `version_data` stands apart so that listings never read it.
/// - `version_blobs` and `parts` are what `blobs.refs` counts. There are no foreign keys: each would be one more look-up for every
///   row, and the tests compare the counts instead.
const TABLES: &str = "
CREATE TABLE buckets (
    id INTEGER PRIMARY KEY,
    bucket_id BLOB NOT NULL UNIQUE,
    name BLOB NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    region TEXT NOT NULL,
    created INTEGER NOT NULL,
    versioning INTEGER NOT NULL,
    tag BLOB NOT NULL,
    encryption INTEGER,
    encryption_key TEXT,
    encryption_bucket_key INTEGER NOT NULL
) STRICT;

CREATE TABLE kms_keys (
    id INTEGER PRIMARY KEY,
    backend TEXT NOT NULL,
    key_id TEXT NOT NULL,
    version INTEGER NOT NULL,
    UNIQUE (backend, key_id, version)
) STRICT;

CREATE TABLE versions (
    id INTEGER PRIMARY KEY,
    bucket INTEGER NOT NULL,
    key BLOB NOT NULL,
    version_id BLOB NOT NULL,
    is_latest INTEGER NOT NULL,
    is_null INTEGER NOT NULL,
    is_delete_marker INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL,
    modified INTEGER NOT NULL,
    mode INTEGER,
    kms_key INTEGER,
    upload_id BLOB,
    wrapped_key BLOB,
    sealed_keys BLOB,
    record BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX versions_live ON versions (bucket, key) WHERE is_latest = 1 AND is_delete_marker = 0;
CREATE UNIQUE INDEX versions_marker ON versions (bucket, key) WHERE is_latest = 1 AND is_delete_marker = 1;
CREATE INDEX versions_older ON versions (bucket, key) WHERE is_latest = 0;
CREATE UNIQUE INDEX versions_older_id ON versions (bucket, key, version_id) WHERE is_latest = 0;
CREATE UNIQUE INDEX versions_older_null ON versions (bucket, key) WHERE is_latest = 0 AND is_null = 1;
CREATE INDEX versions_upload ON versions (upload_id) WHERE upload_id IS NOT NULL;

CREATE TABLE version_data (
    version INTEGER PRIMARY KEY,
    manifest BLOB NOT NULL,
    part_record BLOB NOT NULL,
    inline BLOB
) STRICT;

CREATE TABLE version_blobs (
    version INTEGER NOT NULL,
    blob BLOB NOT NULL,
    PRIMARY KEY (version, blob)
) STRICT, WITHOUT ROWID;

CREATE TABLE uploads (
    id INTEGER PRIMARY KEY,
    upload_id BLOB NOT NULL UNIQUE,
    bucket INTEGER NOT NULL,
    key BLOB NOT NULL,
    version_id BLOB NOT NULL,
    initiated INTEGER NOT NULL,
    initiator TEXT NOT NULL,
    mode INTEGER NOT NULL,
    kms_key INTEGER,
    wrapped_key BLOB NOT NULL,
    sealed_keys BLOB NOT NULL,
    record BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX uploads_order ON uploads (bucket, key, initiated, upload_id);
CREATE INDEX uploads_kms_key ON uploads (kms_key) WHERE kms_key IS NOT NULL;

CREATE TABLE parts (
    upload INTEGER NOT NULL,
    number INTEGER NOT NULL,
    blob BLOB NOT NULL,
    size_bytes INTEGER NOT NULL,
    modified INTEGER NOT NULL,
    record BLOB NOT NULL,
    PRIMARY KEY (upload, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE blobs (
    id BLOB PRIMARY KEY,
    len_bytes INTEGER NOT NULL,
    refs INTEGER NOT NULL CHECK (refs >= 0),
    died_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX blobs_dead ON blobs (died_at) WHERE refs = 0;

CREATE TABLE settings (
    name TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
";

/// What version 2 has beside the rest of version 1.
const ADDED_IN_2: &str = "
CREATE INDEX versions_kms_key ON versions (kms_key, bucket, size_bytes) WHERE kms_key IS NOT NULL;
CREATE INDEX versions_by_kms_key ON versions (kms_key) WHERE kms_key IS NOT NULL;
CREATE INDEX versions_by_bucket ON versions (bucket);

CREATE TABLE jobs (
    id INTEGER PRIMARY KEY,
    job_id BLOB NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    is_active INTEGER NOT NULL,
    started INTEGER NOT NULL,
    record BLOB NOT NULL
) STRICT;
CREATE INDEX jobs_order ON jobs (kind, started);
";

/// What version 3 adds to version 2, and what it drops.
const ADDED_IN_3: &str = "
DROP INDEX versions_kms_key;

CREATE TABLE key_usage (
    kms_key INTEGER NOT NULL,
    bucket INTEGER NOT NULL,
    versions INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    uploads INTEGER NOT NULL,
    PRIMARY KEY (kms_key, bucket)
) STRICT, WITHOUT ROWID;
INSERT INTO key_usage (kms_key, bucket, versions, bytes, uploads)
SELECT kms_key, bucket, sum(versions), sum(bytes), sum(uploads) FROM (
    SELECT kms_key, bucket, count(*) AS versions, sum(size_bytes) AS bytes, 0 AS uploads FROM versions
    WHERE kms_key IS NOT NULL GROUP BY kms_key, bucket
    UNION ALL
    SELECT kms_key, bucket, 0, 0, count(*) FROM uploads WHERE kms_key IS NOT NULL GROUP BY kms_key, bucket
) GROUP BY kms_key, bucket;

CREATE TABLE releases (
    kind INTEGER NOT NULL,
    row INTEGER NOT NULL,
    PRIMARY KEY (kind, row)
) STRICT, WITHOUT ROWID;
";

/// What version 4 has beside version 3. Of a bucket that version 3 wrote, the columns `tag` and `encryption…` count until the engine has sealed a
/// record; after that they are empty. `versions.lock` is read by [`columns`](super::columns).
const ADDED_IN_4: &str = "
ALTER TABLE buckets ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
ALTER TABLE buckets ADD COLUMN record BLOB NOT NULL DEFAULT x'';

CREATE TABLE bucket_documents (
    bucket INTEGER NOT NULL,
    kind TEXT NOT NULL,
    record BLOB NOT NULL,
    PRIMARY KEY (bucket, kind)
) STRICT, WITHOUT ROWID;

ALTER TABLE versions ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
ALTER TABLE versions ADD COLUMN lock INTEGER NOT NULL DEFAULT 0;
ALTER TABLE versions ADD COLUMN retain_until INTEGER NOT NULL DEFAULT 0;
CREATE INDEX versions_older_newest ON versions (bucket, key, id DESC) WHERE is_latest = 0;
CREATE INDEX versions_locked ON versions (kms_key, retain_until) WHERE lock <> 0;
";

/// What version 5 has beside version 4: the outbox. A target has a row of its own with the numbers of its events, which change in the same
/// transaction as these. `events.id` is never used twice, also after all events are gone: it tells which of two events of an object was later.
const ADDED_IN_5: &str = "
CREATE TABLE event_targets (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    queued INTEGER NOT NULL,
    dead INTEGER NOT NULL,
    dropped INTEGER NOT NULL
) STRICT;

CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id BLOB NOT NULL,
    target INTEGER NOT NULL,
    lane BLOB NOT NULL,
    sequence INTEGER,
    is_dead INTEGER NOT NULL,
    added INTEGER NOT NULL,
    record BLOB NOT NULL,
    failure BLOB
) STRICT;
CREATE INDEX events_queued ON events (target, id) WHERE is_dead = 0;
CREATE INDEX events_lane ON events (target, lane, id) WHERE is_dead = 0;
CREATE INDEX events_dead ON events (target, id) WHERE is_dead = 1;
CREATE UNIQUE INDEX events_dead_id ON events (event_id) WHERE is_dead = 1;
";

/// What version 6 has beside version 5: entities, and what refers to what. A change gives an entity a new row, so that no revision is ever used
/// twice, not even by an entity of the same name that comes after it.
const ADDED_IN_6: &str = "
CREATE TABLE entities (
    revision INTEGER PRIMARY KEY AUTOINCREMENT,
    kind INTEGER NOT NULL,
    account TEXT NOT NULL,
    name TEXT NOT NULL,
    record BLOB NOT NULL,
    UNIQUE (kind, account, name)
) STRICT;

CREATE TABLE entity_refs (
    to_kind INTEGER NOT NULL,
    to_account TEXT NOT NULL,
    to_name TEXT NOT NULL,
    kind INTEGER NOT NULL,
    account TEXT NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (to_kind, to_account, to_name, kind, account, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX entity_refs_from ON entity_refs (kind, account, name);

CREATE TABLE access_key_uses (
    access_key TEXT PRIMARY KEY,
    used INTEGER NOT NULL,
    service TEXT NOT NULL,
    region TEXT NOT NULL
) STRICT, WITHOUT ROWID;
";

/// Makes the tables in a new file, and brings those of an older version up to date.
pub(super) fn prepare(connection: &Connection) -> Result<(), CatalogError> {
    let first = match version(connection)? {
        VERSION => return Ok(()),
        0 => return create(connection),
        found if found > VERSION => return Err(CatalogError::TooNew { found, known: VERSION }),
        found => found,
    };
    // What version 1 had beside the rest of what it had.
    let former = if first == 1 { "DROP INDEX versions_kms_key;" } else { "" };
    migrate(connection, &format!("{former} {}", added_after(first)))
}

/// What brings a file of that version up to date.
fn added_after(version: u32) -> String {
    let added = [(2, ADDED_IN_2), (3, ADDED_IN_3), (4, ADDED_IN_4), (5, ADDED_IN_5), (6, ADDED_IN_6)];
    added.into_iter().filter(|(since, _)| *since > version).map(|(_, script)| script).collect()
}

/// The schema version of the file, checked before anything is written to it.
pub(super) fn check(connection: &Connection) -> Result<(), CatalogError> {
    match version(connection)? {
        found if found > VERSION => Err(CatalogError::TooNew { found, known: VERSION }),
        _ => Ok(()),
    }
}

fn version(connection: &Connection) -> Result<u32, CatalogError> {
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    u32::try_from(version).map_err(|_| CatalogError::Damaged("its schema version is negative".to_owned()))
}

fn create(connection: &Connection) -> Result<(), CatalogError> {
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if tables != 0 {
        return Err(CatalogError::Damaged("the file has tables but no schema version".to_owned()));
    }
    migrate(connection, &format!("{TABLES} {}", added_after(1)))
}

/// In one transaction, so that a file always has one version wholly.
fn migrate(connection: &Connection, script: &str) -> Result<(), CatalogError> {
    Ok(connection.execute_batch(&format!("BEGIN IMMEDIATE; {script} PRAGMA user_version = {VERSION}; COMMIT;"))?)
}
