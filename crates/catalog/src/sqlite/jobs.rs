//! Jobs.

use rusqlite::{Connection, params};

use super::columns::{Columns, at_most};
use crate::{CatalogError, Job, JobId, MAX_FINISHED_JOBS};

pub(super) fn put(transaction: &Connection, job: &Job) -> Result<(), CatalogError> {
    let sql = "INSERT INTO jobs (job_id, kind, is_active, started, record) VALUES (?1, ?2, ?3, ?4, ?5) \
               ON CONFLICT (job_id) DO UPDATE SET is_active = excluded.is_active, record = excluded.record";
    let columns = params![job.id, job.kind, job.is_active, job.started, job.record];
    transaction.prepare_cached(sql)?.execute(columns)?;
    if job.is_active { Ok(()) } else { forget_old(transaction, &job.kind) }
}

pub(super) fn find(connection: &Connection, id: JobId) -> Result<Option<Job>, CatalogError> {
    let mut statement = connection.prepare_cached("SELECT job_id, kind, is_active, started, record FROM jobs WHERE job_id = ?1")?;
    let mut rows = statement.query([id])?;
    rows.next()?.map(|row| read(&mut Columns::new(row))).transpose()
}

pub(super) fn list(connection: &Connection, kind: &str, only_active: bool, limit: usize) -> Result<Vec<Job>, CatalogError> {
    let sql = "SELECT job_id, kind, is_active, started, record FROM jobs WHERE kind = ?1 AND is_active >= ?2 \
               ORDER BY started DESC, id DESC LIMIT ?3";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![kind, only_active, at_most(limit)])?;
    let mut jobs = Vec::new();
    while let Some(row) = rows.next()? {
        jobs.push(read(&mut Columns::new(row))?);
    }
    Ok(jobs)
}

fn read(columns: &mut Columns<'_, '_>) -> Result<Job, CatalogError> {
    Ok(Job { id: columns.id()?, kind: columns.text()?, is_active: columns.flag()?, started: columns.integer()?, record: columns.bytes()? })
}

fn forget_old(transaction: &Connection, kind: &str) -> Result<(), CatalogError> {
    let sql = "DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE kind = ?1 AND is_active = 0 \
               ORDER BY started DESC, id DESC LIMIT -1 OFFSET ?2)";
    transaction.prepare_cached(sql)?.execute(params![kind, at_most(MAX_FINISHED_JOBS)])?;
    Ok(())
}
