//! Entities, and what refers to what.

use rusqlite::{Connection, OptionalExtension, params};

use super::columns::{Columns, at_most, signed};
use crate::{AccessKeyUse, CatalogError, Entity, EntityChange, EntityKind, EntityName, NewEntity};

macro_rules! entity_columns {
    () => {
        "e.kind, e.account, e.name, e.revision, e.record"
    };
}

pub(super) fn find(connection: &Connection, names: &[EntityName]) -> Result<Vec<Option<Entity>>, CatalogError> {
    let sql = concat!("SELECT ", entity_columns!(), " FROM entities e WHERE e.kind = ?1 AND e.account = ?2 AND e.name = ?3");
    let mut statement = connection.prepare_cached(sql)?;
    let found = names.iter().map(|EntityName { kind, account, name }| {
        let mut rows = statement.query(params![code(*kind), account, name])?;
        rows.next()?.map(|row| read(&mut Columns::new(row))).transpose()
    });
    found.collect()
}

pub(super) fn list(
    connection: &Connection,
    kind: EntityKind,
    account: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<Entity>, CatalogError> {
    let sql = concat!(
        "SELECT ",
        entity_columns!(),
        " FROM entities e WHERE e.kind = ?1 AND e.account = ?2 AND e.name > ?3 ORDER BY e.name LIMIT ?4"
    );
    // No name is empty.
    all(connection, sql, params![code(kind), account, after.unwrap_or_default(), at_most(limit)])
}

pub(super) fn count(connection: &Connection, kind: EntityKind, account: &str) -> Result<u64, CatalogError> {
    one_number(connection, "SELECT count(*) FROM entities WHERE kind = ?1 AND account = ?2", params![code(kind), account])
}

pub(super) fn count_referring(connection: &Connection, to: &EntityName) -> Result<u64, CatalogError> {
    let sql = "SELECT count(*) FROM entity_refs WHERE to_kind = ?1 AND to_account = ?2 AND to_name = ?3";
    one_number(connection, sql, params![code(to.kind), to.account, to.name])
}

pub(super) fn referring(
    connection: &Connection,
    to: &EntityName,
    kind: EntityKind,
    after: Option<&EntityName>,
    limit: usize,
) -> Result<Vec<Entity>, CatalogError> {
    let sql = concat!(
        "SELECT ",
        entity_columns!(),
        " FROM entity_refs r JOIN entities e ON e.kind = r.kind AND e.account = r.account AND e.name = r.name \
         WHERE r.to_kind = ?1 AND r.to_account = ?2 AND r.to_name = ?3 AND r.kind = ?4 AND (r.account, r.name) > (?5, ?6) \
         ORDER BY r.account, r.name LIMIT ?7"
    );
    let (account, name) = after.map_or(("", ""), |after| (&after.account, &after.name));
    let EntityName { kind: to_kind, account: to_account, name: to_name } = to;
    all(connection, sql, params![code(*to_kind), to_account, to_name, code(kind), account, name, at_most(limit)])
}

/// All of the changes, or none. What refers to what is looked at when all of them are made, so that their order does not matter.
pub(super) fn change(transaction: &Connection, changes: &[EntityChange]) -> Result<Vec<u64>, CatalogError> {
    let revisions = changes.iter().map(|change| change_one(transaction, change)).collect::<Result<_, _>>()?;
    for EntityChange { name, becomes, .. } in changes {
        match becomes {
            Some(NewEntity { refers_to, .. }) => refers_to.iter().try_for_each(|to| check_is_there(transaction, to))?,
            None => check_is_unused(transaction, name)?,
        }
    }
    Ok(revisions)
}

fn change_one(transaction: &Connection, change: &EntityChange) -> Result<u64, CatalogError> {
    let EntityName { kind, account, name } = &change.name;
    let kind = code(*kind);
    let found: Option<i64> = transaction
        .prepare_cached("DELETE FROM entities WHERE kind = ?1 AND account = ?2 AND name = ?3 RETURNING revision")?
        .query_row(params![kind, account, name], |row| row.get(0))
        .optional()?;
    if found != change.seen.map(signed).transpose()? {
        return Err(CatalogError::PreconditionFailed);
    }
    let sql = "DELETE FROM entity_refs WHERE kind = ?1 AND account = ?2 AND name = ?3";
    transaction.prepare_cached(sql)?.execute(params![kind, account, name])?;
    let Some(NewEntity { record, refers_to }) = &change.becomes else {
        if change.name.kind == EntityKind::AccessKey {
            transaction.prepare_cached("DELETE FROM access_key_uses WHERE access_key = ?1")?.execute([name])?;
        }
        return Ok(0);
    };
    // A new row, so that its revision is greater than all there ever were.
    let sql = "INSERT INTO entities (kind, account, name, record) VALUES (?1, ?2, ?3, ?4)";
    transaction.prepare_cached(sql)?.execute(params![kind, account, name, record])?;
    let revision = transaction.last_insert_rowid();
    for to in refers_to {
        let sql = "INSERT OR IGNORE INTO entity_refs (to_kind, to_account, to_name, kind, account, name) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        transaction.prepare_cached(sql)?.execute(params![code(to.kind), to.account, to.name, kind, account, name])?;
    }
    u64::try_from(revision).map_err(|_| CatalogError::Damaged("the revision of an entity is negative".to_owned()))
}

fn check_is_there(transaction: &Connection, to: &EntityName) -> Result<(), CatalogError> {
    if to.is_built_in() {
        return Ok(());
    }
    let sql = "SELECT EXISTS (SELECT 1 FROM entities WHERE kind = ?1 AND account = ?2 AND name = ?3)";
    let is_there: bool = transaction.prepare_cached(sql)?.query_row(params![code(to.kind), to.account, to.name], |row| row.get(0))?;
    if is_there { Ok(()) } else { Err(CatalogError::NoSuchEntity(to.clone())) }
}

fn check_is_unused(transaction: &Connection, name: &EntityName) -> Result<(), CatalogError> {
    let sql = "SELECT kind, account, name FROM entity_refs WHERE to_kind = ?1 AND to_account = ?2 AND to_name = ?3 LIMIT 1";
    let mut statement = transaction.prepare_cached(sql)?;
    let mut rows = statement.query(params![code(name.kind), name.account, name.name])?;
    match rows.next()? {
        Some(row) => Err(CatalogError::EntityInUse(read_name(&mut Columns::new(row))?)),
        None => Ok(()),
    }
}

pub(super) fn note_uses(transaction: &Connection, uses: &[AccessKeyUse]) -> Result<(), CatalogError> {
    // A key that was deleted meanwhile is not remembered.
    let sql = "INSERT INTO access_key_uses (access_key, used, service, region) SELECT ?1, ?2, ?3, ?4 \
               WHERE EXISTS (SELECT 1 FROM entities WHERE kind = ?5 AND account = '' AND name = ?1) \
               ON CONFLICT (access_key) DO UPDATE SET used = excluded.used, service = excluded.service, region = excluded.region \
               WHERE excluded.used > used";
    let mut statement = transaction.prepare_cached(sql)?;
    for AccessKeyUse { access_key, used, service, region } in uses {
        statement.execute(params![access_key, used, service, region, code(EntityKind::AccessKey)])?;
    }
    Ok(())
}

pub(super) fn last_use(connection: &Connection, access_key: &str) -> Result<Option<AccessKeyUse>, CatalogError> {
    let mut statement = connection.prepare_cached("SELECT access_key, used, service, region FROM access_key_uses WHERE access_key = ?1")?;
    let mut rows = statement.query([access_key])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let mut columns = Columns::new(row);
    Ok(Some(AccessKeyUse { access_key: columns.text()?, used: columns.integer()?, service: columns.text()?, region: columns.text()? }))
}

fn one_number(connection: &Connection, sql: &str, by: impl rusqlite::Params) -> Result<u64, CatalogError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(by)?;
    let row = rows.next()?.ok_or_else(|| CatalogError::Damaged("a count has no row".to_owned()))?;
    Columns::new(row).unsigned()
}

fn all(connection: &Connection, sql: &str, by: impl rusqlite::Params) -> Result<Vec<Entity>, CatalogError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(by)?;
    let mut entities = Vec::new();
    while let Some(row) = rows.next()? {
        entities.push(read(&mut Columns::new(row))?);
    }
    Ok(entities)
}

/// Reads [`entity_columns`].
fn read(columns: &mut Columns<'_, '_>) -> Result<Entity, CatalogError> {
    Ok(Entity { name: read_name(columns)?, revision: columns.unsigned()?, record: columns.bytes()? })
}

fn read_name(columns: &mut Columns<'_, '_>) -> Result<EntityName, CatalogError> {
    Ok(EntityName { kind: kind(columns.integer()?)?, account: columns.text()?, name: columns.text()? })
}

const KINDS: [EntityKind; 9] = [
    EntityKind::Account,
    EntityKind::User,
    EntityKind::Group,
    EntityKind::Role,
    EntityKind::Policy,
    EntityKind::AccessKey,
    EntityKind::Provider,
    EntityKind::KmsKey,
    EntityKind::OwnedKey,
];

fn code(kind: EntityKind) -> i64 {
    match kind {
        EntityKind::Account => 0,
        EntityKind::User => 1,
        EntityKind::Group => 2,
        EntityKind::Role => 3,
        EntityKind::Policy => 4,
        EntityKind::AccessKey => 5,
        EntityKind::Provider => 6,
        EntityKind::KmsKey => 7,
        EntityKind::OwnedKey => 8,
    }
}

fn kind(found: i64) -> Result<EntityKind, CatalogError> {
    let kind = KINDS.into_iter().find(|kind| code(*kind) == found);
    kind.ok_or_else(|| CatalogError::Damaged("an entity is of an unknown kind".to_owned()))
}
