//! The `[[users]]` of the configuration file.

use std::path::{Path, PathBuf};

use toml::{Table, Value};
use zeroize::Zeroizing;

use super::ConfigError;
use super::options::nearest;
use crate::files;

/// An identity besides the root one. Holds a secret, so there is no `Debug`.
pub(crate) struct User {
    pub(crate) name: String,
    /// Twelve digits; none for the main account.
    pub(crate) account: Option<String>,
    pub(crate) access_key: String,
    pub(crate) secret_key: Zeroizing<String>,
    /// Names of built-in policies.
    pub(crate) policies: Vec<String>,
    /// A policy document, JSON.
    pub(crate) policy: Option<String>,
}

const KEYS: &[&str] = &["name", "account", "access_key", "secret_key", "secret_key_file", "policies", "policy"];

/// Reads the array of tables `users`.
pub(super) fn from_toml(path: &Path, value: Value) -> Result<Vec<User>, ConfigError> {
    let Value::Array(entries) = value else { return Err(wrong_type(path, "users")) };
    entries.into_iter().enumerate().map(|(index, entry)| user(path, index, entry)).collect()
}

fn user(path: &Path, index: usize, entry: Value) -> Result<User, ConfigError> {
    let Value::Table(mut entry) = entry else { return Err(wrong_type(path, "users")) };
    if let Some(key) = entry.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(ConfigError::UnknownKey {
            path: path.to_owned(),
            key: format!("users.{key}"),
            nearest: format!("users.{}", nearest(key, KEYS.iter().copied())),
        });
    }
    let missing = |key: &str| ConfigError::MissingInUser { path: path.to_owned(), number: index + 1, key: key.to_owned() };
    Ok(User {
        name: take_text(path, &mut entry, "name")?.ok_or_else(|| missing("name"))?,
        account: take_text(path, &mut entry, "account")?,
        access_key: take_text(path, &mut entry, "access_key")?.ok_or_else(|| missing("access_key"))?,
        secret_key: secret(path, &mut entry)?.ok_or_else(|| missing("secret_key or secret_key_file"))?,
        policies: take_list(path, &mut entry, "policies")?,
        policy: take_text(path, &mut entry, "policy")?,
    })
}

fn secret(path: &Path, entry: &mut Table) -> Result<Option<Zeroizing<String>>, ConfigError> {
    if let Some(secret) = take_text(path, entry, "secret_key")? {
        files::require_private(path)?;
        return Ok(Some(Zeroizing::new(secret)));
    }
    let Some(file) = take_text(path, entry, "secret_key_file")? else { return Ok(None) };
    let file = PathBuf::from(file);
    files::require_private(&file)?;
    let text = files::read_text(&file, files::MAX_SECRET_LEN)?;
    Ok(Some(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned())))
}

fn take_text(path: &Path, entry: &mut Table, key: &str) -> Result<Option<String>, ConfigError> {
    match entry.remove(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(wrong_type(path, &format!("users.{key}"))),
    }
}

fn take_list(path: &Path, entry: &mut Table, key: &str) -> Result<Vec<String>, ConfigError> {
    let Some(value) = entry.remove(key) else { return Ok(Vec::new()) };
    let Value::Array(items) = value else { return Err(wrong_type(path, &format!("users.{key}"))) };
    let texts = items.into_iter().map(|item| if let Value::String(text) = item { Some(text) } else { None });
    texts.collect::<Option<_>>().ok_or_else(|| wrong_type(path, &format!("users.{key}")))
}

fn wrong_type(path: &Path, key: &str) -> ConfigError {
    ConfigError::WrongType { path: path.to_owned(), key: key.to_owned() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn users(text: &str) -> Result<Vec<User>, ConfigError> {
        from_toml(Path::new("s.toml"), text.parse::<Table>().unwrap().remove("users").unwrap())
    }

    #[test]
    fn a_user_may_keep_the_secret_in_a_file_of_its_own() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "from-the-file\n").unwrap();
        let text = format!("[[users]]\nname='a'\naccess_key='AK'\nsecret_key_file='{}'\npolicies=['readonly']", file.path().display());
        let users = users(&text).unwrap();
        assert_eq!(users[0].secret_key.as_str(), "from-the-file");
        assert_eq!(users[0].policies, ["readonly"]);
    }

    #[test]
    fn a_misspelt_or_missing_key_of_a_user_is_named() {
        let error = users("[[users]]\nname='a'\nacces_key='x'").err().unwrap();
        assert_eq!(error.to_string(), "s.toml: users.acces_key is not an option; did you mean users.access_key?");
        let error = users("[[users]]\nname='a'\naccess_key='x'").err().unwrap();
        assert_eq!(error.to_string(), "s.toml: user number 1 lacks secret_key or secret_key_file");
    }
}
