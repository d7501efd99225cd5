//! Listings are read in steps. Each step looks at a bounded number of rows, in a snapshot of its own. So no listing holds a thread for
//! long, or keeps the write-ahead log from being moved into the database.

use rusqlite::{Connection, OptionalExtension, Row, Rows, params};

use super::buckets;
use super::columns::Columns;
use super::entries::{ENTRY_COLUMNS, Keys, entry_columns, read_entry};
use super::keys::envelope_columns;
use super::uploads::{self, upload_columns};
use super::versions;
use crate::listing::{AnyVersion, Listed, Listing, Onward, Resume, Start, next_key};
use crate::{CatalogError, ListEntry, ListPage, ListQuery, MAX_UNREADABLE, UnixMillis, Upload, UploadId, VersionEntry, VersionSelector};

/// How many rows a step reads, which takes about a millisecond. Each scan that it begins counts as a row.
pub(super) const STEP_ROWS: usize = 256;

/// ListObjects under way.
pub(super) struct Objects {
    query: ListQuery,
    listing: Option<Listing<VersionEntry>>,
    keys: Keys,
}

/// ListMultipartUploads under way.
pub(super) struct Uploads {
    query: ListQuery,
    after: Option<UploadId>,
    listing: Option<Listing<Upload>>,
}

impl Objects {
    pub(super) fn new(query: ListQuery) -> Self {
        Self { query, listing: None, keys: Keys::default() }
    }

    /// The page, if it is complete after this step.
    pub(super) fn step(&mut self, connection: &Connection, rows: usize) -> Result<Option<ListPage<VersionEntry>>, CatalogError> {
        let snapshot = connection.unchecked_transaction()?;
        let bucket = buckets::place(&snapshot, self.query.bucket_id)?.row;
        let listing = self.listing.get_or_insert_with(|| Listing::new(&self.query, Resume::PastKey));
        read_on(listing, rows, |listing, rows| scan_objects(&snapshot, bucket, listing, &mut self.keys, rows))?;
        finished(&mut self.listing)
    }
}

impl Uploads {
    pub(super) fn new(query: ListQuery, after: Option<UploadId>) -> Self {
        Self { query, after, listing: None }
    }

    /// The page, if it is complete after this step.
    pub(super) fn step(&mut self, connection: &Connection, rows: usize) -> Result<Option<ListPage<Upload>>, CatalogError> {
        let snapshot = connection.unchecked_transaction()?;
        let bucket = buckets::place(&snapshot, self.query.bucket_id)?.row;
        let listing = match &mut self.listing {
            Some(listing) => listing,
            None => self.listing.insert(Listing::new(&self.query, resume(&snapshot, bucket, &self.query, self.after)?)),
        };
        read_on(listing, rows, |listing, rows| scan_uploads(&snapshot, bucket, listing, rows))?;
        finished(&mut self.listing)
    }
}

/// ListObjectVersions under way.
pub(super) struct Versions {
    query: ListQuery,
    after: Option<VersionSelector>,
    listing: Option<Listing<AnyVersion>>,
    keys: Keys,
}

impl Versions {
    pub(super) fn new(query: ListQuery, after: Option<VersionSelector>) -> Self {
        Self { query, after, listing: None, keys: Keys::default() }
    }

    /// The page, if it is complete after this step.
    pub(super) fn step(&mut self, connection: &Connection, rows: usize) -> Result<Option<ListPage<VersionEntry>>, CatalogError> {
        let snapshot = connection.unchecked_transaction()?;
        let bucket = buckets::place(&snapshot, self.query.bucket_id)?.row;
        let listing = match &mut self.listing {
            Some(listing) => listing,
            None => self.listing.insert(Listing::new(&self.query, resume_versions(&snapshot, bucket, &self.query, self.after)?)),
        };
        read_on(listing, rows, |listing, rows| scan_versions(&snapshot, bucket, listing, &mut self.keys, rows))?;
        Ok(finished(&mut self.listing)?.map(|page| ListPage {
            entries: page.entries.into_iter().map(shown).collect(),
            truncated: page.truncated,
            unreadable: page.unreadable,
        }))
    }
}

fn shown(entry: ListEntry<AnyVersion>) -> ListEntry<VersionEntry> {
    match entry {
        ListEntry::Item(AnyVersion(version)) => ListEntry::Item(version),
        ListEntry::Prefix { prefix, first: AnyVersion(first) } => ListEntry::Prefix { prefix, first },
    }
}

/// Scans until the listing is complete or `rows` rows have been read.
fn read_on<T: Listed>(
    listing: &mut Listing<T>,
    rows: usize,
    mut scan: impl FnMut(&mut Listing<T>, &mut usize) -> Result<(), CatalogError>,
) -> Result<(), CatalogError> {
    // At least one for the scan and one for a row, so that each step makes progress.
    let mut rows = rows.max(2);
    while listing.next().is_some() && rows > 0 {
        rows -= 1;
        scan(listing, &mut rows)?;
    }
    Ok(())
}

/// The page, if it is finished; an error if too many rows were unreadable.
fn finished<T: Listed>(listing: &mut Option<Listing<T>>) -> Result<Option<ListPage<T>>, CatalogError> {
    let Some(listing) = listing.take_if(|listing| listing.next().is_none()) else { return Ok(None) };
    let page = listing.into_page();
    if page.unreadable > MAX_UNREADABLE {
        return Err(CatalogError::Damaged(format!("more than {MAX_UNREADABLE} rows of the bucket make no sense")));
    }
    Ok(Some(page))
}

/// No statement here has a LIMIT: a scan mostly ends before it, and SQLite would prepare the statement again for each value.
pub(super) const OBJECTS: &str = concat!(
    "SELECT ",
    entry_columns!(),
    " FROM versions v INDEXED BY versions_live WHERE v.bucket = ?1 AND v.key >= ?2 AND v.key < ?3 AND v.is_latest = 1 AND v.is_delete_marker = 0 ORDER BY v.key"
);

fn scan_objects(
    connection: &Connection,
    bucket: i64,
    listing: &mut Listing<VersionEntry>,
    keys: &mut Keys,
    rows: &mut usize,
) -> Result<(), CatalogError> {
    let Some((start, end)) = listing.next() else { return Ok(()) };
    let start = match start {
        Start::At(key) => key.clone(),
        Start::After(key, ()) => next_key(key.clone()),
    };
    let mut statement = connection.prepare_cached(OBJECTS)?;
    let found = statement.query(params![bucket, start, end])?;
    if take_rows(found, listing, rows, |_| Ok(()), |columns| read_entry(columns, connection, keys))? {
        listing.end();
    }
    Ok(())
}

/// All rows of a range of keys, merged from three indexes: none of them is sorted, and a scan that stops early read no more than it gave.
pub(super) const VERSIONS: &str = concat!(
    "SELECT ",
    entry_columns!(),
    ", v.id AS id FROM versions v INDEXED BY versions_live WHERE v.bucket = ?1 AND v.key >= ?2 AND v.key < ?3 AND v.is_latest = 1 AND v.is_delete_marker = 0 UNION ALL SELECT ",
    entry_columns!(),
    ", v.id FROM versions v INDEXED BY versions_marker WHERE v.bucket = ?1 AND v.key >= ?2 AND v.key < ?3 AND v.is_latest = 1 AND v.is_delete_marker = 1 UNION ALL SELECT ",
    entry_columns!(),
    ", v.id FROM versions v INDEXED BY versions_older_newest WHERE v.bucket = ?1 AND v.key >= ?2 AND v.key < ?3 AND v.is_latest = 0 ORDER BY 1, id DESC"
);

/// The versions of one key that are older than one of them: the latest is not among these.
pub(super) const OLDER_VERSIONS: &str = concat!(
    "SELECT ",
    entry_columns!(),
    ", v.id AS id FROM versions v INDEXED BY versions_older_newest WHERE v.bucket = ?1 AND v.key = ?2 AND v.id < ?3 AND v.is_latest = 0 ORDER BY v.id DESC"
);

fn scan_versions(
    connection: &Connection,
    bucket: i64,
    listing: &mut Listing<AnyVersion>,
    keys: &mut Keys,
    rows: &mut usize,
) -> Result<(), CatalogError> {
    // By its number: a name is looked for among all columns, in each row.
    let place = |row: &Row<'_>| Ok(row.get(ENTRY_COLUMNS)?);
    let read = |columns: &mut Columns<'_, '_>| read_entry(columns, connection, keys).map(AnyVersion);
    let Some((start, end)) = listing.next() else { return Ok(()) };
    match start.clone() {
        Start::At(key) => {
            let mut statement = connection.prepare_cached(VERSIONS)?;
            let end = end.to_vec();
            let found = statement.query(params![bucket, key, end])?;
            if take_rows(found, listing, rows, place, read)? {
                listing.end();
            }
        }
        Start::After(key, id) => {
            let mut statement = connection.prepare_cached(OLDER_VERSIONS)?;
            let found = statement.query(params![bucket, key, id])?;
            if take_rows(found, listing, rows, place, read)? {
                listing.end_key(&key);
            }
        }
    }
    Ok(())
}

fn scan_uploads(connection: &Connection, bucket: i64, listing: &mut Listing<Upload>, rows: &mut usize) -> Result<(), CatalogError> {
    let sql = concat!(
        "SELECT ",
        upload_columns!(),
        " FROM uploads u INDEXED BY uploads_order JOIN buckets b ON b.id = u.bucket LEFT JOIN kms_keys k ON k.id = u.kms_key \
         WHERE u.bucket = ?1 AND (u.key, u.initiated, u.upload_id) > (?2, ?3, ?4) AND u.key < ?5 \
         ORDER BY u.key, u.initiated, u.upload_id"
    );
    let Some((start, end)) = listing.next() else { return Ok(()) };
    // No upload id is as small as no bytes, so the bound `At` includes all of its key.
    let (key, initiated, id) = match start {
        Start::At(key) => (key, UnixMillis::MIN, &[][..]),
        Start::After(key, (initiated, id)) => (key, *initiated, &id[..]),
    };
    let mut statement = connection.prepare_cached(sql)?;
    let found = statement.query(params![bucket, key, initiated, id, end])?;
    if take_rows(found, listing, rows, |row| Ok((row.get("initiated")?, stored_bytes(row, "upload_id")?)), uploads::read)? {
        listing.end();
    }
    Ok(())
}

/// Every row that is listed begins with its key.
const KEY_COLUMN: usize = 0;

/// Hands rows to the listing until it has enough of this scan, or `rows` have been read. True if no row is left of the scan.
fn take_rows<T: Listed>(
    mut found: Rows<'_>,
    listing: &mut Listing<T>,
    rows: &mut usize,
    place: impl Fn(&Row<'_>) -> Result<T::Place, CatalogError>,
    mut read: impl FnMut(&mut Columns<'_, '_>) -> Result<T, CatalogError>,
) -> Result<bool, CatalogError> {
    while *rows > 0 {
        let Some(row) = found.next()? else { return Ok(true) };
        *rows -= 1;
        let sensible = || match read(&mut Columns::new(row)) {
            Ok(read) => Ok(Some(read)),
            Err(CatalogError::Damaged(_)) => Ok(None),
            Err(error) => Err(error),
        };
        if listing.take(row.get_ref(KEY_COLUMN)?.as_blob()?, || place(row), sensible)? == Onward::Seek {
            return Ok(false);
        }
    }
    Ok(false)
}

/// Which rows of the key `query.after` itself must still be listed.
fn resume(
    connection: &Connection,
    bucket: i64,
    query: &ListQuery,
    after: Option<UploadId>,
) -> Result<Resume<(UnixMillis, Vec<u8>)>, CatalogError> {
    let (Some(key), Some(after)) = (&query.after, after) else { return Ok(Resume::PastKey) };
    let sql = "SELECT initiated FROM uploads WHERE upload_id = ?1 AND bucket = ?2 AND key = ?3";
    let mut statement = connection.prepare_cached(sql)?;
    let initiated = statement.query_row(params![after, bucket, key.as_bytes()], |row| row.get(0)).optional()?;
    Ok(initiated.map_or(Resume::WholeKey, |initiated| Resume::Within((initiated, after.0.to_vec()))))
}

/// As [`resume`], of a listing of versions.
fn resume_versions(
    connection: &Connection,
    bucket: i64,
    query: &ListQuery,
    after: Option<VersionSelector>,
) -> Result<Resume<i64>, CatalogError> {
    let (Some(key), Some(after)) = (&query.after, after) else { return Ok(Resume::PastKey) };
    let row = versions::row_of(connection, bucket, key, after)?;
    Ok(row.map_or(Resume::WholeKey, Resume::Within))
}

fn stored_bytes(row: &Row<'_>, column: &str) -> Result<Vec<u8>, CatalogError> {
    Ok(row.get_ref(column)?.as_blob()?.to_vec())
}
