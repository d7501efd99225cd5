//! The outbox.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::columns::{Columns, at_most, signed};
use crate::{CatalogError, DeadSelector, LANE_LEN, Lane, MAX_DEAD_STEP, NewEvent, OutboxEvent, OutboxTarget, SettledEvent};

/// The columns of an event `e` and its target `t`, for [`read`].
macro_rules! event_columns {
    () => {
        "e.id, coalesce(e.sequence, e.id), e.event_id, t.name, e.lane, e.added, e.record, e.failure"
    };
}

/// Adds an event, or counts it as dropped where its target has too many.
pub(super) fn add(transaction: &Connection, event: &NewEvent) -> Result<(), CatalogError> {
    let Some(target) = place_for(transaction, event)? else { return Ok(()) };
    let sql = "INSERT INTO events (event_id, target, lane, is_dead, added, record) VALUES (?1, ?2, ?3, 0, ?4, ?5)";
    transaction.prepare_cached(sql)?.execute(params![event.id, target, event.lane, event.added, event.record])?;
    Ok(())
}

/// The row of the target, if it has room for one more.
fn place_for(transaction: &Connection, event: &NewEvent) -> Result<Option<i64>, CatalogError> {
    let sql = "INSERT INTO event_targets (name, queued, dead, dropped) VALUES (?1, 1, 0, 0) \
               ON CONFLICT (name) DO UPDATE SET queued = queued + (queued < ?2), dropped = dropped + (queued >= ?2) \
               RETURNING id, queued";
    let before = count_of(transaction, &event.target)?;
    let max_queued = signed(event.max_queued)?.max(1);
    let (row, queued): (i64, i64) =
        transaction.prepare_cached(sql)?.query_row(params![event.target, max_queued], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok((queued > before).then_some(row))
}

fn count_of(transaction: &Connection, target: &str) -> Result<i64, CatalogError> {
    let mut statement = transaction.prepare_cached("SELECT queued FROM event_targets WHERE name = ?1")?;
    Ok(statement.query_row([target], |row| row.get(0)).optional()?.unwrap_or(0))
}

pub(super) fn queued(connection: &Connection, target: &str, after: i64, limit: usize) -> Result<Vec<OutboxEvent>, CatalogError> {
    let sql = concat!(
        "SELECT ",
        event_columns!(),
        " FROM event_targets t JOIN events e INDEXED BY events_queued ON e.target = t.id AND e.is_dead = 0 \
         WHERE t.name = ?1 AND e.id > ?2 ORDER BY e.id LIMIT ?3"
    );
    all(connection, sql, params![target, after, at_most(limit)])
}

pub(super) fn dead(connection: &Connection, target: Option<&str>, after: i64, limit: usize) -> Result<Vec<OutboxEvent>, CatalogError> {
    let of_one = concat!(
        "SELECT ",
        event_columns!(),
        " FROM event_targets t JOIN events e INDEXED BY events_dead ON e.target = t.id AND e.is_dead = 1 \
         WHERE t.name = ?1 AND e.id > ?2 ORDER BY e.id LIMIT ?3"
    );
    let Some(target) = target else { return dead_of_all(connection, after, limit) };
    all(connection, of_one, params![target, after, at_most(limit)])
}

/// The pages of all targets, merged: no index has them in this order, and each is short.
fn dead_of_all(connection: &Connection, after: i64, limit: usize) -> Result<Vec<OutboxEvent>, CatalogError> {
    let mut found = Vec::new();
    for target in targets(connection)? {
        found.extend(dead(connection, Some(&target.target), after, limit)?);
        found.sort_unstable_by_key(|event| event.position);
        found.truncate(limit);
    }
    Ok(found)
}

pub(super) fn settle(
    transaction: &Connection,
    target: &str,
    settled: &[SettledEvent],
    max_dead: u64,
) -> Result<Vec<OutboxEvent>, CatalogError> {
    let Some(target) = row_of(transaction, target)? else { return Ok(Vec::new()) };
    for event in settled {
        match &event.failure {
            None => delivered(transaction, target, event.position)?,
            Some(failure) => lay_aside(transaction, target, event.position, failure, max_dead)?,
        }
    }
    let mut lanes: Vec<Lane> = settled.iter().map(|event| event.lane).collect();
    lanes.sort_unstable();
    lanes.dedup();
    let mut next = Vec::new();
    for lane in lanes {
        next.extend(first_of(transaction, target, lane)?);
    }
    Ok(next)
}

fn delivered(transaction: &Connection, target: i64, position: i64) -> Result<(), CatalogError> {
    let sql = "DELETE FROM events WHERE id = ?1 AND target = ?2 AND is_dead = 0";
    let removed = transaction.prepare_cached(sql)?.execute([position, target])?;
    count(transaction, target, Change { queued: -i64::from(removed == 1), ..Change::default() })
}

fn lay_aside(transaction: &Connection, target: i64, position: i64, failure: &[u8], max_dead: u64) -> Result<(), CatalogError> {
    let sql = "UPDATE events SET is_dead = 1, failure = ?3 WHERE id = ?1 AND target = ?2 AND is_dead = 0";
    let moved = i64::from(transaction.prepare_cached(sql)?.execute(params![position, target, failure])? == 1);
    count(transaction, target, Change { queued: -moved, dead: moved, dropped: 0 })?;
    let sql = "DELETE FROM events WHERE id = (SELECT e.id FROM events e INDEXED BY events_dead WHERE e.target = ?1 AND e.is_dead = 1 \
               ORDER BY e.id LIMIT 1) AND (SELECT dead FROM event_targets WHERE id = ?1) > ?2";
    let forgotten = i64::from(transaction.prepare_cached(sql)?.execute(params![target, signed(max_dead)?])? == 1);
    count(transaction, target, Change { queued: 0, dead: -forgotten, dropped: forgotten })
}

fn first_of(transaction: &Connection, target: i64, lane: Lane) -> Result<Option<OutboxEvent>, CatalogError> {
    let sql = concat!(
        "SELECT ",
        event_columns!(),
        " FROM events e INDEXED BY events_lane JOIN event_targets t ON t.id = e.target \
         WHERE e.target = ?1 AND e.lane = ?2 AND e.is_dead = 0 ORDER BY e.id LIMIT 1"
    );
    Ok(all(transaction, sql, params![target, lane])?.pop())
}

pub(super) fn requeue(transaction: &Connection, which: &DeadSelector) -> Result<usize, CatalogError> {
    let chosen = choose(transaction, which)?;
    for (position, target) in &chosen {
        // A new row, so that it lies behind all that is queued.
        let sql = "INSERT INTO events (event_id, target, lane, sequence, is_dead, added, record) \
                   SELECT event_id, target, lane, coalesce(sequence, id), 0, added, record FROM events WHERE id = ?1";
        transaction.prepare_cached(sql)?.execute([position])?;
        transaction.prepare_cached("DELETE FROM events WHERE id = ?1")?.execute([position])?;
        count(transaction, *target, Change { queued: 1, dead: -1, dropped: 0 })?;
    }
    Ok(chosen.len())
}

pub(super) fn drop_dead(transaction: &Connection, which: &DeadSelector) -> Result<usize, CatalogError> {
    let chosen = choose(transaction, which)?;
    for (position, target) in &chosen {
        transaction.prepare_cached("DELETE FROM events WHERE id = ?1")?.execute([position])?;
        count(transaction, *target, Change { dead: -1, ..Change::default() })?;
    }
    Ok(chosen.len())
}

pub(super) fn drop_queued(transaction: &Connection, target: &str) -> Result<usize, CatalogError> {
    let Some(target) = row_of(transaction, target)? else { return Ok(0) };
    let sql = "DELETE FROM events WHERE id IN (SELECT e.id FROM events e INDEXED BY events_queued \
               WHERE e.target = ?1 AND e.is_dead = 0 ORDER BY e.id LIMIT ?2)";
    let dropped = transaction.prepare_cached(sql)?.execute(params![target, at_most(MAX_DEAD_STEP)])?;
    count(transaction, target, Change { queued: -at_most(dropped), ..Change::default() })?;
    Ok(dropped)
}

/// Rows and targets of the dead events that are meant.
fn choose(transaction: &Connection, which: &DeadSelector) -> Result<Vec<(i64, i64)>, CatalogError> {
    let pair = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let chosen: Result<_, rusqlite::Error> = match which {
        DeadSelector::One(id) => {
            let sql = "SELECT id, target FROM events INDEXED BY events_dead_id WHERE event_id = ?1 AND is_dead = 1";
            transaction.prepare_cached(sql)?.query_map([id], pair)?.collect()
        }
        DeadSelector::OldestOf(target) => {
            let sql = "SELECT e.id, e.target FROM event_targets t JOIN events e INDEXED BY events_dead ON e.target = t.id AND e.is_dead = 1 \
                       WHERE t.name = ?1 ORDER BY e.id LIMIT ?2";
            transaction.prepare_cached(sql)?.query_map(params![target, at_most(MAX_DEAD_STEP)], pair)?.collect()
        }
    };
    Ok(chosen?)
}

pub(super) fn targets(connection: &Connection) -> Result<Vec<OutboxTarget>, CatalogError> {
    let sql = "SELECT t.name, t.queued, t.dead, t.dropped, \
               (SELECT e.added FROM events e INDEXED BY events_queued WHERE e.target = t.id AND e.is_dead = 0 ORDER BY e.id LIMIT 1) \
               FROM event_targets t ORDER BY t.name";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    let mut targets = Vec::new();
    while let Some(row) = rows.next()? {
        let mut columns = Columns::new(row);
        let (target, queued, dead) = (columns.text()?, columns.unsigned()?, columns.unsigned()?);
        targets.push(OutboxTarget { target, queued, dead, dropped: columns.unsigned()?, oldest: columns.optional_integer()? });
    }
    Ok(targets)
}

/// What changes of a target's numbers.
#[derive(Clone, Copy, Default)]
struct Change {
    queued: i64,
    dead: i64,
    dropped: i64,
}

fn count(transaction: &Connection, target: i64, change: Change) -> Result<(), CatalogError> {
    let sql = "UPDATE event_targets SET queued = queued + ?2, dead = dead + ?3, dropped = dropped + ?4 WHERE id = ?1";
    transaction.prepare_cached(sql)?.execute([target, change.queued, change.dead, change.dropped])?;
    Ok(())
}

fn row_of(connection: &Connection, target: &str) -> Result<Option<i64>, CatalogError> {
    let mut statement = connection.prepare_cached("SELECT id FROM event_targets WHERE name = ?1")?;
    Ok(statement.query_row([target], |row| row.get(0)).optional()?)
}

fn all(connection: &Connection, sql: &str, by: impl rusqlite::Params) -> Result<Vec<OutboxEvent>, CatalogError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(by)?;
    let mut events = Vec::new();
    while let Some(row) = rows.next()? {
        events.push(read(&mut Columns::new(row))?);
    }
    Ok(events)
}

fn read(columns: &mut Columns<'_, '_>) -> Result<OutboxEvent, CatalogError> {
    Ok(OutboxEvent {
        position: columns.integer()?,
        sequence: columns.integer()?,
        id: columns.id()?,
        target: columns.text()?,
        lane: lane(columns.bytes()?)?,
        added: columns.integer()?,
        record: columns.bytes()?,
        failure: columns.optional_bytes()?,
    })
}

fn lane(bytes: Vec<u8>) -> Result<Lane, CatalogError> {
    <[u8; LANE_LEN]>::try_from(bytes).map_err(|_| CatalogError::Damaged("the lane of an event is not 16 bytes long".to_owned()))
}
