//! The scans that listings are folded over. A page is read from one snapshot.

use rusqlite::{Connection, OptionalExtension, Params, Row, params};

use super::buckets;
use super::columns::{Columns, at_most};
use super::keys::envelope_columns;
use super::uploads::{self, upload_columns};
use super::versions::{self, version_columns};
use crate::listing::{Listed, Resume, Scan, Scanned, Start, list, next_key};
use crate::{CatalogError, ListPage, ListQuery, MAX_UNREADABLE, UnixMillis, Upload, UploadId, Version};

pub(super) fn objects(connection: &Connection, query: &ListQuery) -> Result<ListPage<Version>, CatalogError> {
    let snapshot = connection.unchecked_transaction()?;
    let bucket = buckets::place(&snapshot, query.bucket_id)?.row;
    checked(list(query, Resume::PastKey, |scan| scan_objects(&snapshot, bucket, scan))?)
}

pub(super) fn all_uploads(connection: &Connection, query: &ListQuery, after: Option<UploadId>) -> Result<ListPage<Upload>, CatalogError> {
    let snapshot = connection.unchecked_transaction()?;
    let bucket = buckets::place(&snapshot, query.bucket_id)?.row;
    let resume = match (&query.after, after) {
        (Some(key), Some(after)) => {
            initiated(&snapshot, bucket, key, after)?.map_or(Resume::WholeKey, |at| Resume::Within((at, after.to_vec())))
        }
        _ => Resume::PastKey,
    };
    checked(list(query, resume, |scan| scan_uploads(&snapshot, bucket, scan))?)
}

/// The page, if it is whole.
fn checked<T>(page: ListPage<T>) -> Result<ListPage<T>, CatalogError> {
    if page.unreadable > MAX_UNREADABLE {
        return Err(CatalogError::Damaged(format!("more than {MAX_UNREADABLE} rows of the bucket make no sense")));
    }
    Ok(page)
}

fn scan_objects(connection: &Connection, bucket: i64, scan: &Scan<()>) -> Result<Vec<Scanned<Version>>, CatalogError> {
    let sql = concat!(
        "SELECT ",
        version_columns!(),
        " FROM versions v LEFT JOIN kms_keys k ON k.id = v.kms_key WHERE v.bucket = ?1 AND v.key >= ?2 AND v.key < ?3 \
         AND v.is_latest = 1 AND v.is_delete_marker = 0 ORDER BY v.key LIMIT ?4"
    );
    let start = match &scan.start {
        Start::At(key) => key.clone(),
        Start::After(key, ()) => next_key(key.clone()),
    };
    let bounds = params![bucket, start, scan.end, at_most(scan.limit)];
    rows(connection, sql, bounds, versions::read, |row| Ok((stored_bytes(row, "key")?, ())))
}

fn scan_uploads(connection: &Connection, bucket: i64, scan: &Scan<(UnixMillis, Vec<u8>)>) -> Result<Vec<Scanned<Upload>>, CatalogError> {
    let sql = concat!(
        "SELECT ",
        upload_columns!(),
        " FROM uploads u JOIN buckets b ON b.id = u.bucket LEFT JOIN kms_keys k ON k.id = u.kms_key \
         WHERE u.bucket = ?1 AND (u.key, u.initiated, u.upload_id) > (?2, ?3, ?4) AND u.key < ?5 \
         ORDER BY u.key, u.initiated, u.upload_id LIMIT ?6"
    );
    // No upload id is as small as no bytes, so the bound `At` includes all of its key.
    let (key, initiated, id) = match &scan.start {
        Start::At(key) => (key, UnixMillis::MIN, &[][..]),
        Start::After(key, (initiated, id)) => (key, *initiated, &id[..]),
    };
    let bounds = params![bucket, key, initiated, id, scan.end, at_most(scan.limit)];
    rows(connection, sql, bounds, uploads::read, |row| {
        Ok((stored_bytes(row, "key")?, (row.get("initiated")?, stored_bytes(row, "upload_id")?)))
    })
}

fn initiated(connection: &Connection, bucket: i64, key: &str, id: UploadId) -> Result<Option<UnixMillis>, CatalogError> {
    let sql = "SELECT initiated FROM uploads WHERE upload_id = ?1 AND bucket = ?2 AND key = ?3";
    let mut statement = connection.prepare_cached(sql)?;
    Ok(statement.query_row(params![id, bucket, key.as_bytes()], |row| row.get(0)).optional()?)
}

fn stored_bytes(row: &Row<'_>, column: &str) -> Result<Vec<u8>, CatalogError> {
    Ok(row.get_ref(column)?.as_blob()?.to_vec())
}

fn rows<T: Listed>(
    connection: &Connection,
    sql: &str,
    by: impl Params,
    read: impl Fn(&mut Columns<'_, '_>) -> Result<T, CatalogError>,
    place: impl Fn(&Row<'_>) -> Result<(Vec<u8>, T::Place), CatalogError>,
) -> Result<Vec<Scanned<T>>, CatalogError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(by)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let (key, place) = place(row)?;
        let row = match read(&mut Columns::new(row)) {
            Ok(row) => Some(row),
            Err(CatalogError::Damaged(_)) => None,
            Err(error) => return Err(error),
        };
        found.push(Scanned { key, place, row });
    }
    Ok(found)
}
