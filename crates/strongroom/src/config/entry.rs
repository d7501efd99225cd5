//! An entry of a list of the configuration file, such as `[[users]]`, read key by key.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::ConfigError;
use super::options::nearest;

/// An entry, and where it stands. Holds secrets, so there is no `Debug`.
pub(super) struct Entry<'p> {
    pub(super) path: &'p Path,
    list: &'static str,
    /// Counted from 1.
    number: usize,
    table: Table,
}

/// The entries of an array of tables. A key that is not among `keys` is an error.
pub(super) fn entries<'p>(path: &'p Path, list: &'static str, value: Value, keys: &[&str]) -> Result<Vec<Entry<'p>>, ConfigError> {
    let wrong = || ConfigError::WrongType { path: path.to_owned(), key: list.to_owned() };
    let Value::Array(values) = value else { return Err(wrong()) };
    let read = |(index, value)| {
        let Value::Table(table) = value else { return Err(wrong()) };
        if let Some(key) = table.keys().find(|key| !keys.contains(&key.as_str())) {
            return Err(ConfigError::UnknownKey {
                path: path.to_owned(),
                key: format!("{list}.{key}"),
                nearest: format!("{list}.{}", nearest(key, keys.iter().copied())),
            });
        }
        Ok(Entry { path, list, number: index + 1, table })
    };
    values.into_iter().enumerate().map(read).collect()
}

impl Entry<'_> {
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    pub(super) fn text(&mut self, key: &str) -> Result<Option<String>, ConfigError> {
        match self.table.remove(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.wrong_type(key)),
        }
    }

    pub(super) fn flag(&mut self, key: &str) -> Result<Option<bool>, ConfigError> {
        match self.table.remove(key) {
            None => Ok(None),
            Some(Value::Boolean(flag)) => Ok(Some(flag)),
            Some(_) => Err(self.wrong_type(key)),
        }
    }

    pub(super) fn required(&mut self, key: &str) -> Result<String, ConfigError> {
        self.text(key)?.ok_or_else(|| self.missing(key))
    }

    /// Absolute.
    pub(super) fn file(&mut self, key: &str) -> Result<Option<PathBuf>, ConfigError> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        std::path::absolute(text).map(Some).map_err(|_| self.wrong_type(key))
    }

    pub(super) fn texts(&mut self, key: &str) -> Result<Option<Vec<String>>, ConfigError> {
        let Some(value) = self.table.remove(key) else { return Ok(None) };
        let Value::Array(items) = value else { return Err(self.wrong_type(key)) };
        let texts = items.into_iter().map(|item| if let Value::String(text) = item { Some(text) } else { None });
        texts.collect::<Option<_>>().map(Some).ok_or_else(|| self.wrong_type(key))
    }

    pub(super) fn number(&mut self, key: &str, default: u64, range: RangeInclusive<u64>) -> Result<u64, ConfigError> {
        let number = match self.table.remove(key) {
            None => return Ok(default),
            Some(Value::Integer(number)) => u64::try_from(number).ok(),
            Some(_) => None,
        };
        number.filter(|number| range.contains(number)).ok_or_else(|| ConfigError::InvalidValue {
            key: format!("{}.{key}", self.list),
            origin: self.path.display().to_string(),
            expected: format!("takes a whole number from {} to {}", range.start(), range.end()),
        })
    }

    pub(super) fn missing(&self, key: &str) -> ConfigError {
        ConfigError::MissingInEntry { path: self.path.to_owned(), list: self.list, number: self.number, key: key.to_owned() }
    }

    pub(super) fn invalid(&self, key: &str, expected: &str) -> ConfigError {
        let (key, origin) = (format!("{}.{key}", self.list), self.path.display().to_string());
        ConfigError::InvalidValue { key, origin, expected: expected.to_owned() }
    }

    fn wrong_type(&self, key: &str) -> ConfigError {
        ConfigError::WrongType { path: self.path.to_owned(), key: format!("{}.{key}", self.list) }
    }
}
