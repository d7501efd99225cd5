//! Buckets.

use rusqlite::{Connection, OptionalExtension, params};

use super::columns::{Columns, signed};
use super::outbox;
use super::releases::{self, Pace, Remains, Table};
use super::versions::Found;
use crate::listing::{end_of, next_key};
use crate::{Bucket, BucketChange, BucketEncryption, BucketEncryptionAlgorithm, BucketId, CatalogError, FormerBucket, Versioning};

/// The columns of a bucket `b`, for [`read`].
macro_rules! bucket_columns {
    () => {
        "b.bucket_id, b.name, b.owner, b.region, b.created, b.versioning, b.revision, b.record, \
         b.tag, b.encryption, b.encryption_key, b.encryption_bucket_key"
    };
}
pub(super) use bucket_columns;

/// What a write needs to know of its bucket.
pub(super) struct Place {
    /// The row.
    pub(super) row: i64,
    pub(super) versioning: Versioning,
}

pub(super) fn create(transaction: &Connection, bucket: &Bucket) -> Result<(), CatalogError> {
    if let Some(present) = find(transaction, &bucket.name)? {
        return Err(CatalogError::BucketExists { owner: present.owner });
    }
    let sql = "INSERT INTO buckets (id, bucket_id, name, owner, region, created, versioning, revision, record, tag, encryption_bucket_key) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, x'', 0) ON CONFLICT DO NOTHING";
    let added = transaction.prepare_cached(sql)?.execute(params![
        releases::next_row(transaction, Table::Buckets)?,
        bucket.id,
        bucket.name.as_bytes(),
        bucket.owner,
        bucket.region,
        bucket.created,
        versioning_code(bucket.versioning),
        signed(bucket.revision)?,
        bucket.record,
    ])?;
    if added == 1 { Ok(()) } else { Err(CatalogError::Damaged("a new bucket has the id of another".to_owned())) }
}

pub(super) fn find(connection: &Connection, name: &str) -> Result<Option<Bucket>, CatalogError> {
    let sql = concat!("SELECT ", bucket_columns!(), " FROM buckets b WHERE b.name = ?1");
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([name.as_bytes()])?;
    rows.next()?.map(|row| read(&mut Columns::new(row))).transpose()
}

/// ListBuckets under way.
pub(super) struct Names {
    prefix: String,
    first: Vec<u8>,
    limit: usize,
    listed: Vec<Bucket>,
}

impl Names {
    pub(super) fn new(prefix: &str, after: Option<&str>, limit: usize) -> Self {
        let first = after.map(|after| next_key(after.as_bytes().to_vec())).unwrap_or_default();
        Self { prefix: prefix.to_owned(), first: first.max(prefix.as_bytes().to_vec()), limit, listed: Vec::new() }
    }

    /// The buckets, if this step of at most `rows` rows completes them.
    pub(super) fn step(&mut self, connection: &Connection, rows: usize) -> Result<Option<Vec<Bucket>>, CatalogError> {
        let sql = concat!("SELECT ", bucket_columns!(), " FROM buckets b WHERE b.name >= ?1 AND b.name < ?2 ORDER BY b.name");
        let mut statement = connection.prepare_cached(sql)?;
        let mut found = statement.query(params![self.first, end_of(self.prefix.as_bytes())])?;
        for _ in 0..rows.min(self.limit - self.listed.len()) {
            let Some(row) = found.next()? else { return Ok(Some(std::mem::take(&mut self.listed))) };
            let bucket = read(&mut Columns::new(row))?;
            self.first = next_key(bucket.name.clone().into_bytes());
            self.listed.push(bucket);
        }
        Ok((self.listed.len() == self.limit).then(|| std::mem::take(&mut self.listed)))
    }
}

pub(super) fn delete(transaction: &Connection, name: &str, pace: Pace) -> Result<(), CatalogError> {
    let sql = "SELECT b.id, EXISTS (SELECT 1 FROM versions v INDEXED BY versions_live \
               WHERE v.bucket = b.id AND v.is_latest = 1 AND v.is_delete_marker = 0) \
               OR EXISTS (SELECT 1 FROM versions v INDEXED BY versions_marker \
               WHERE v.bucket = b.id AND v.is_latest = 1 AND v.is_delete_marker = 1) \
               FROM buckets b WHERE b.name = ?1";
    let mut statement = transaction.prepare_cached(sql)?;
    let found = statement.query_row([name.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let (row, has_versions): (i64, bool) = found.ok_or(CatalogError::NoSuchBucket)?;
    if has_versions {
        return Err(CatalogError::BucketNotEmpty);
    }
    transaction.prepare_cached("DELETE FROM buckets WHERE id = ?1")?.execute([row])?;
    transaction.prepare_cached("DELETE FROM bucket_documents WHERE bucket = ?1")?.execute([row])?;
    releases::release(transaction, Remains::Bucket(row), pace)
}

pub(super) fn change(transaction: &Connection, id: BucketId, seen: u64, change: &BucketChange) -> Result<(), CatalogError> {
    let row = place(transaction, id)?.row;
    let sql = "UPDATE buckets SET revision = revision + 1, versioning = ?3, record = ?4, \
               tag = x'', encryption = NULL, encryption_key = NULL, encryption_bucket_key = 0 WHERE id = ?1 AND revision = ?2";
    let columns = params![row, signed(seen)?, versioning_code(change.versioning), change.record];
    if transaction.prepare_cached(sql)?.execute(columns)? == 0 {
        return Err(CatalogError::PreconditionFailed);
    }
    for (kind, document) in &change.documents {
        transaction.prepare_cached("DELETE FROM bucket_documents WHERE bucket = ?1 AND kind = ?2")?.execute(params![row, kind])?;
        if let Some(record) = document {
            let sql = "INSERT INTO bucket_documents (bucket, kind, record) VALUES (?1, ?2, ?3)";
            transaction.prepare_cached(sql)?.execute(params![row, kind, record])?;
        }
    }
    change.events.iter().try_for_each(|event| outbox::add(transaction, event))
}

pub(super) fn document(connection: &Connection, name: &str, kind: &str) -> Result<Found<Vec<u8>>, CatalogError> {
    let sql = concat!(
        "SELECT ",
        bucket_columns!(),
        ", d.record FROM buckets b LEFT JOIN bucket_documents d ON d.bucket = b.id AND d.kind = ?2 WHERE b.name = ?1"
    );
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![name.as_bytes(), kind])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let mut columns = Columns::new(row);
    Ok(Some((read(&mut columns)?, columns.optional_bytes()?)))
}

/// The row of the bucket of that id.
pub(super) fn place(connection: &Connection, id: BucketId) -> Result<Place, CatalogError> {
    let mut statement = connection.prepare_cached("SELECT id, versioning FROM buckets WHERE bucket_id = ?1")?;
    let mut rows = statement.query([id])?;
    let mut columns = Columns::new(rows.next()?.ok_or(CatalogError::NoSuchBucket)?);
    Ok(Place { row: columns.integer()?, versioning: versioning(columns.integer()?)? })
}

/// Reads [`bucket_columns`].
pub(super) fn read(columns: &mut Columns<'_, '_>) -> Result<Bucket, CatalogError> {
    Ok(Bucket {
        id: columns.id()?,
        name: columns.key()?,
        owner: columns.text()?,
        region: columns.text()?,
        created: columns.integer()?,
        versioning: versioning(columns.integer()?)?,
        revision: columns.unsigned()?,
        record: columns.bytes()?,
        former: read_former(columns)?,
    })
}

fn read_former(columns: &mut Columns<'_, '_>) -> Result<Option<FormerBucket>, CatalogError> {
    let (tag, encryption) = (columns.bytes()?, read_encryption(columns)?);
    Ok(Some(FormerBucket { encryption, tag }).filter(|former| !former.tag.is_empty()))
}

fn read_encryption(columns: &mut Columns<'_, '_>) -> Result<Option<BucketEncryption>, CatalogError> {
    if columns.at_null()? {
        columns.skip(3);
        return Ok(None);
    }
    let algorithm = algorithm(columns.integer()?)?;
    Ok(Some(BucketEncryption { algorithm, kms_key_id: columns.optional_text()?, bucket_key_enabled: columns.flag()? }))
}

fn versioning_code(versioning: Versioning) -> i64 {
    match versioning {
        Versioning::Unversioned => 0,
        Versioning::Enabled => 1,
        Versioning::Suspended => 2,
    }
}

fn versioning(code: i64) -> Result<Versioning, CatalogError> {
    match code {
        0 => Ok(Versioning::Unversioned),
        1 => Ok(Versioning::Enabled),
        2 => Ok(Versioning::Suspended),
        _ => Err(CatalogError::Damaged("a bucket has an unknown versioning state".to_owned())),
    }
}

fn algorithm(code: i64) -> Result<BucketEncryptionAlgorithm, CatalogError> {
    match code {
        1 => Ok(BucketEncryptionAlgorithm::SseS3),
        2 => Ok(BucketEncryptionAlgorithm::SseKms),
        3 => Ok(BucketEncryptionAlgorithm::DsseKms),
        _ => Err(CatalogError::Damaged("a bucket has an unknown default encryption".to_owned())),
    }
}
