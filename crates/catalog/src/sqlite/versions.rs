//! Finding object versions.

use rusqlite::{Connection, Row, ToSql, params};

use super::buckets::{self, bucket_columns};
use super::columns::{Columns, read_lock};
use super::keys::{self, envelope_columns};
use crate::{Bucket, BucketId, CatalogError, UploadId, Version, VersionData, VersionId, VersionSelector};

/// The columns of a version `v` and its key `k`, for [`read`].
macro_rules! version_columns {
    () => {
        concat!(
            "v.key, v.version_id, v.is_latest, v.is_null, v.is_delete_marker, v.size_bytes, v.modified, v.revision, v.lock, v.retain_until, \
             v.record, ",
            envelope_columns!("v")
        )
    };
}
pub(super) use version_columns;

/// The row of the latest version of `key` in `bucket`; two look-ups only where the first finds nothing.
macro_rules! latest_row {
    ($bucket:literal, $key:literal) => {
        concat!(
            "coalesce((SELECT id FROM versions WHERE bucket = ",
            $bucket,
            " AND key = ",
            $key,
            " AND is_latest = 1 AND is_delete_marker = 0), (SELECT id FROM versions WHERE bucket = ",
            $bucket,
            " AND key = ",
            $key,
            " AND is_latest = 1 AND is_delete_marker = 1))"
        )
    };
}
pub(super) use latest_row;

/// The row of the version that is latest, or else older, for which `$that` holds.
macro_rules! matching_row {
    ($that:literal) => {
        concat!(
            "coalesce((SELECT id FROM versions WHERE bucket = b.id AND key = ?2 AND is_latest = 1 AND is_delete_marker = 0 AND ",
            $that,
            "), (SELECT id FROM versions WHERE bucket = b.id AND key = ?2 AND is_latest = 1 AND is_delete_marker = 1 AND ",
            $that,
            "), (SELECT id FROM versions WHERE bucket = b.id AND key = ?2 AND is_latest = 0 AND ",
            $that,
            "))"
        )
    };
}

macro_rules! find_sql {
    ($row:expr) => {
        concat!(
            "SELECT ",
            bucket_columns!(),
            ", ",
            version_columns!(),
            " FROM buckets b LEFT JOIN versions v ON v.id = ",
            $row,
            " LEFT JOIN kms_keys k ON k.id = v.kms_key WHERE b.name = ?1"
        )
    };
}

macro_rules! find_data_sql {
    ($row:expr) => {
        concat!(
            "SELECT ",
            bucket_columns!(),
            ", d.manifest, d.part_record, d.inline, ",
            version_columns!(),
            " FROM buckets b LEFT JOIN versions v ON v.id = ",
            $row,
            " LEFT JOIN kms_keys k ON k.id = v.kms_key LEFT JOIN version_data d ON d.version = v.id WHERE b.name = ?1"
        )
    };
}

pub(super) type Found<T> = Option<(Bucket, Option<T>)>;

pub(super) fn find(connection: &Connection, bucket: &str, key: &str, which: VersionSelector) -> Result<Found<Version>, CatalogError> {
    let sql = match which {
        VersionSelector::Latest => find_sql!(latest_row!("b.id", "?2")),
        VersionSelector::Null => find_sql!(matching_row!("is_null = 1")),
        VersionSelector::Id(_) => find_sql!(matching_row!("version_id = ?3")),
    };
    query(connection, sql, bucket, key, which, |row| {
        let mut columns = Columns::new(row);
        Ok((buckets::read(&mut columns)?, read_joined(&mut columns)?))
    })
}

pub(super) fn find_data(
    connection: &Connection,
    bucket: &str,
    key: &str,
    which: VersionSelector,
) -> Result<Found<(Version, VersionData)>, CatalogError> {
    let sql = match which {
        VersionSelector::Latest => find_data_sql!(latest_row!("b.id", "?2")),
        VersionSelector::Null => find_data_sql!(matching_row!("is_null = 1")),
        VersionSelector::Id(_) => find_data_sql!(matching_row!("version_id = ?3")),
    };
    query(connection, sql, bucket, key, which, |row| {
        let mut columns = Columns::new(row);
        let bucket = buckets::read(&mut columns)?;
        let data = read_data(&mut columns)?;
        let Some(version) = read_joined(&mut columns)? else { return Ok((bucket, None)) };
        match data {
            Some(data) => Ok((bucket, Some((version, data)))),
            None if version.is_delete_marker => Ok((bucket, Some((version, VersionData::default())))),
            None => Err(CatalogError::Damaged("a version has no data".to_owned())),
        }
    })
}

pub(super) fn find_completed(
    connection: &Connection,
    bucket: BucketId,
    key: &str,
    upload_id: UploadId,
) -> Result<Option<Version>, CatalogError> {
    let sql = concat!(
        "SELECT ",
        version_columns!(),
        " FROM versions v LEFT JOIN kms_keys k ON k.id = v.kms_key WHERE v.upload_id = ?1 AND v.key = ?2 \
         AND v.bucket = (SELECT id FROM buckets WHERE bucket_id = ?3) ORDER BY v.id DESC LIMIT 1"
    );
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![upload_id, key.as_bytes(), bucket])?;
    rows.next()?.map(|row| read(&mut Columns::new(row))).transpose()
}

/// The row of the version of that id.
pub(super) fn row_of_id(connection: &Connection, bucket: i64, key: &str, id: VersionId) -> Result<Option<i64>, CatalogError> {
    let sql = concat!("SELECT ", matching_row!("version_id = ?3"), " FROM (SELECT ?1 AS id) b");
    let mut statement = connection.prepare_cached(sql)?;
    Ok(statement.query_row(params![bucket, key.as_bytes(), id], |row| row.get(0))?)
}

/// The row of the version that is meant.
pub(super) fn row_of(connection: &Connection, bucket: i64, key: &str, which: VersionSelector) -> Result<Option<i64>, CatalogError> {
    let sql = match which {
        VersionSelector::Id(id) => return row_of_id(connection, bucket, key, id),
        VersionSelector::Null => concat!("SELECT ", matching_row!("is_null = 1"), " FROM (SELECT ?1 AS id) b"),
        VersionSelector::Latest => concat!("SELECT ", latest_row!("b.id", "?2"), " FROM (SELECT ?1 AS id) b"),
    };
    Ok(connection.prepare_cached(sql)?.query_row(params![bucket, key.as_bytes()], |row| row.get(0))?)
}

/// Reads [`version_columns`].
pub(super) fn read(columns: &mut Columns<'_, '_>) -> Result<Version, CatalogError> {
    Ok(Version {
        key: columns.key()?,
        version_id: columns.id()?,
        is_latest: columns.flag()?,
        is_null: columns.flag()?,
        is_delete_marker: columns.flag()?,
        size_bytes: columns.unsigned()?,
        modified: columns.integer()?,
        revision: columns.unsigned()?,
        lock: read_lock(columns)?,
        record: columns.bytes()?,
        envelope: keys::read_envelope(columns)?,
    })
}

fn query<T>(
    connection: &Connection,
    sql: &str,
    bucket: &str,
    key: &str,
    which: VersionSelector,
    read: impl FnOnce(&Row<'_>) -> Result<T, CatalogError>,
) -> Result<Option<T>, CatalogError> {
    let (bucket, key) = (bucket.as_bytes(), key.as_bytes());
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = match &which {
        VersionSelector::Id(id) => statement.query::<&[&dyn ToSql]>(&[&bucket, &key, id])?,
        VersionSelector::Latest | VersionSelector::Null => statement.query([bucket, key])?,
    };
    rows.next()?.map(read).transpose()
}

fn read_joined(columns: &mut Columns<'_, '_>) -> Result<Option<Version>, CatalogError> {
    if columns.at_null()? { Ok(None) } else { read(columns).map(Some) }
}

fn read_data(columns: &mut Columns<'_, '_>) -> Result<Option<VersionData>, CatalogError> {
    if columns.at_null()? {
        columns.skip(3);
        return Ok(None);
    }
    Ok(Some(VersionData { manifest: columns.bytes()?, part_record: columns.bytes()?, inline: columns.optional_bytes()? }))
}
