//! Counting what refers to each blob. A blob that nothing refers to is dead for good: it is never shared again.

use rusqlite::{Connection, OptionalExtension, params};

use super::columns::{Columns, at_most, signed};
use crate::{BlobId, BlobUse, CatalogError, DeadBlob, UnixMillis};

/// Adds a reference.
pub(super) fn retain(transaction: &Connection, blob: BlobUse) -> Result<(), CatalogError> {
    match blob {
        BlobUse::New { id, len_bytes } => add(transaction, &id, len_bytes),
        BlobUse::Shared { id } => {
            let sql = "UPDATE blobs SET refs = refs + 1 WHERE id = ?1 AND refs > 0";
            let shared = transaction.prepare_cached(sql)?.execute([id])?;
            if shared == 1 { Ok(()) } else { Err(CatalogError::BlobGone) }
        }
    }
}

/// Takes a reference away; with the last one the blob dies.
pub(super) fn release(transaction: &Connection, blob: &BlobId, now: UnixMillis) -> Result<(), CatalogError> {
    let sql = "UPDATE blobs SET died_at = CASE refs WHEN 1 THEN ?2 END, refs = refs - 1 WHERE id = ?1 AND refs > 0";
    match transaction.prepare_cached(sql)?.execute(params![blob, now])? {
        1 => Ok(()),
        _ => Err(CatalogError::Damaged("a blob has fewer references than there are rows that refer to it".to_owned())),
    }
}

pub(super) fn dead(
    connection: &Connection,
    died_before: UnixMillis,
    after: Option<DeadBlob>,
    limit: usize,
) -> Result<Vec<DeadBlob>, CatalogError> {
    let sql = "SELECT died_at, id FROM blobs WHERE refs = 0 AND died_at < ?1 AND (died_at, id) > (?2, ?3) ORDER BY died_at, id LIMIT ?4";
    let mut statement = connection.prepare_cached(sql)?;
    // No id is as small as no bytes, so this is before every blob.
    let (died_at, id) = after.as_ref().map_or((UnixMillis::MIN, &[][..]), |after| (after.died_at, after.id.as_ref()));
    let mut rows = statement.query(params![died_before, died_at, id, at_most(limit)])?;
    let mut dead = Vec::new();
    while let Some(row) = rows.next()? {
        let mut columns = Columns::new(row);
        dead.push(DeadBlob { died_at: columns.integer()?, id: columns.id()? });
    }
    Ok(dead)
}

pub(super) fn forget(transaction: &Connection, blobs: &[BlobId]) -> Result<(), CatalogError> {
    let mut statement = transaction.prepare_cached("DELETE FROM blobs WHERE id = ?1 AND refs = 0")?;
    for blob in blobs {
        statement.execute([blob])?;
    }
    Ok(())
}

pub(super) fn known(connection: &Connection, blobs: &[BlobId]) -> Result<Vec<bool>, CatalogError> {
    let mut statement = connection.prepare_cached("SELECT 1 FROM blobs WHERE id = ?1")?;
    blobs.iter().map(|blob| Ok(statement.query_row([blob], |_| Ok(())).optional()?.is_some())).collect()
}

fn add(transaction: &Connection, id: &BlobId, len_bytes: u64) -> Result<(), CatalogError> {
    let sql = "INSERT INTO blobs (id, len_bytes, refs) VALUES (?1, ?2, 1) ON CONFLICT DO NOTHING";
    match transaction.prepare_cached(sql)?.execute(params![id, signed(len_bytes)?])? {
        1 => Ok(()),
        _ => Err(CatalogError::Damaged("a new blob has the id of another".to_owned())),
    }
}
