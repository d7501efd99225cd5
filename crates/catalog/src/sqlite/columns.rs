//! Rows read column by column.

use rusqlite::Row;
use rusqlite::types::ValueRef;
use strongroom_ids::ID_LEN;

use crate::{CatalogError, Lock, Retention, RetentionMode, UnixMillis};

/// The column `lock` of a version: two bits for the retention's mode, one for each hold; 0 where nothing keeps it.
const RETENTION: i64 = 0b0011;
const GOVERNANCE: i64 = 0b0001;
const COMPLIANCE: i64 = 0b0010;
const LEGAL_HOLD: i64 = 0b0100;
const EVENT_HOLD: i64 = 0b1000;
/// The holds, which have no end.
pub(super) const HOLDS: i64 = LEGAL_HOLD | EVENT_HOLD;

/// Takes the columns of a row in their order; a column of another type than the one asked for is damage.
pub(super) struct Columns<'r, 's> {
    row: &'r Row<'s>,
    next: usize,
}

impl<'r, 's> Columns<'r, 's> {
    pub(super) fn new(row: &'r Row<'s>) -> Self {
        Self { row, next: 0 }
    }

    /// Whether the next column is NULL: of an outer join, that there is no row.
    pub(super) fn at_null(&self) -> Result<bool, CatalogError> {
        Ok(self.row.get_ref(self.next)? == ValueRef::Null)
    }

    pub(super) fn skip(&mut self, columns: usize) {
        self.next += columns;
    }

    pub(super) fn integer(&mut self) -> Result<i64, CatalogError> {
        Ok(self.value()?.as_i64()?)
    }

    pub(super) fn optional_integer(&mut self) -> Result<Option<i64>, CatalogError> {
        Ok(self.value()?.as_i64_or_null()?)
    }

    pub(super) fn unsigned<T: TryFrom<i64>>(&mut self) -> Result<T, CatalogError> {
        T::try_from(self.integer()?).map_err(|_| CatalogError::Damaged("a number is out of range".to_owned()))
    }

    pub(super) fn flag(&mut self) -> Result<bool, CatalogError> {
        Ok(self.integer()? != 0)
    }

    pub(super) fn text(&mut self) -> Result<String, CatalogError> {
        Ok(self.value()?.as_str()?.to_owned())
    }

    pub(super) fn optional_text(&mut self) -> Result<Option<String>, CatalogError> {
        Ok(self.value()?.as_str_or_null()?.map(str::to_owned))
    }

    /// A name or key: text that is stored as bytes.
    pub(super) fn key(&mut self) -> Result<String, CatalogError> {
        String::from_utf8(self.bytes()?).map_err(|_| CatalogError::Damaged("a key is not UTF-8".to_owned()))
    }

    pub(super) fn bytes(&mut self) -> Result<Vec<u8>, CatalogError> {
        Ok(self.value()?.as_blob()?.to_vec())
    }

    pub(super) fn optional_bytes(&mut self) -> Result<Option<Vec<u8>>, CatalogError> {
        Ok(self.value()?.as_blob_or_null()?.map(<[u8]>::to_vec))
    }

    pub(super) fn id<I: From<[u8; ID_LEN]>>(&mut self) -> Result<I, CatalogError> {
        let bytes = <[u8; ID_LEN]>::try_from(self.value()?.as_blob()?);
        bytes.map(I::from).map_err(|_| CatalogError::Damaged("an id is not 16 bytes long".to_owned()))
    }

    fn value(&mut self) -> Result<ValueRef<'r>, CatalogError> {
        let value = self.row.get_ref(self.next)?;
        self.next += 1;
        Ok(value)
    }
}

/// Reads `lock` and `retain_until` of a version.
pub(super) fn read_lock(columns: &mut Columns<'_, '_>) -> Result<Lock, CatalogError> {
    let code = columns.integer()?;
    if code == 0 {
        columns.skip(1);
        return Ok(Lock::default());
    }
    let until = columns.integer()?;
    let mode = match code & RETENTION {
        0 => None,
        GOVERNANCE => Some(RetentionMode::Governance),
        COMPLIANCE => Some(RetentionMode::Compliance),
        _ => return Err(CatalogError::Damaged("a version has an unknown lock".to_owned())),
    };
    if code & !(RETENTION | LEGAL_HOLD | EVENT_HOLD) != 0 {
        return Err(CatalogError::Damaged("a version has an unknown lock".to_owned()));
    }
    let retention = mode.map(|mode| Retention { mode, until });
    Ok(Lock { retention, legal_hold: code & LEGAL_HOLD != 0, event_hold: code & EVENT_HOLD != 0 })
}

/// The reverse of [`read_lock`].
pub(super) fn lock_columns(lock: &Lock) -> (i64, UnixMillis) {
    let retention = match lock.retention.map(|retention| retention.mode) {
        None => 0,
        Some(RetentionMode::Governance) => GOVERNANCE,
        Some(RetentionMode::Compliance) => COMPLIANCE,
    };
    let hold = |is_on, code| if is_on { code } else { 0 };
    let code = retention | hold(lock.legal_hold, LEGAL_HOLD) | hold(lock.event_hold, EVENT_HOLD);
    (code, lock.retention.map_or(0, |retention| retention.until))
}

/// A length as SQLite stores it.
pub(super) fn signed(len_bytes: u64) -> Result<i64, CatalogError> {
    i64::try_from(len_bytes).map_err(|_| CatalogError::Damaged("a length is out of range".to_owned()))
}

/// A limit as SQLite takes it.
pub(super) fn at_most(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
