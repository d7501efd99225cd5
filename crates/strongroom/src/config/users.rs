//! The `[[users]]` of the configuration file.

use std::path::{Path, PathBuf};

use strongroom_s3::Limits as UserLimits;
use toml::Value;
use zeroize::Zeroizing;

use super::ConfigError;
use super::entry::{Entry, entries};
use crate::files;

/// An identity besides the root one. Holds a secret, so there is no `Debug`.
pub(crate) struct User {
    pub(crate) name: String,
    /// Twelve digits; none for the main account.
    pub(crate) account: Option<String>,
    /// Whether it is the root of that account.
    pub(crate) is_account_root: bool,
    pub(crate) access_key: String,
    pub(crate) secret_key: Zeroizing<String>,
    /// Names of built-in policies.
    pub(crate) policies: Vec<String>,
    /// A policy document, JSON.
    pub(crate) policy: Option<String>,
    /// Instead of those that all users have.
    pub(crate) limits: Option<UserLimits>,
}

const KEYS: &[&str] = &[
    "name",
    "account",
    "account_root",
    "access_key",
    "secret_key",
    "secret_key_file",
    "policies",
    "policy",
    LIMITS[0],
    LIMITS[1],
    LIMITS[2],
    LIMITS[3],
];
const LIMITS: [&str; 4] = ["requests_per_second", "requests_at_once", "upload_bytes_per_second", "download_bytes_per_second"];

/// Reads the array of tables `users`.
pub(super) fn from_toml(path: &Path, value: Value) -> Result<Vec<User>, ConfigError> {
    entries(path, "users", value, KEYS)?.into_iter().map(user).collect()
}

fn user(mut entry: Entry<'_>) -> Result<User, ConfigError> {
    Ok(User {
        name: entry.required("name")?,
        account: entry.text("account")?,
        is_account_root: entry.flag("account_root")?.unwrap_or_default(),
        access_key: entry.required("access_key")?,
        secret_key: secret(&mut entry)?.ok_or_else(|| entry.missing("secret_key or secret_key_file"))?,
        policies: entry.texts("policies")?.unwrap_or_default(),
        policy: entry.text("policy")?,
        limits: limits(&mut entry)?,
    })
}

/// One limit is enough to have limits of one's own: the others are then none.
fn limits(entry: &mut Entry<'_>) -> Result<Option<UserLimits>, ConfigError> {
    if !LIMITS.iter().any(|limit| entry.has(limit)) {
        return Ok(None);
    }
    let mut number = |limit| entry.number(limit, 0, 0..=u64::MAX);
    Ok(Some(UserLimits {
        requests_per_second: number(LIMITS[0])?,
        requests_at_once: number(LIMITS[1])?,
        upload_bytes_per_second: number(LIMITS[2])?,
        download_bytes_per_second: number(LIMITS[3])?,
    }))
}

fn secret(entry: &mut Entry<'_>) -> Result<Option<Zeroizing<String>>, ConfigError> {
    if let Some(secret) = entry.text("secret_key")? {
        files::require_private(entry.path)?;
        return Ok(Some(Zeroizing::new(secret)));
    }
    let Some(file) = entry.text("secret_key_file")?.map(PathBuf::from) else { return Ok(None) };
    files::require_private(&file)?;
    let text = files::read_text(&file, files::MAX_SECRET_LEN)?;
    Ok(Some(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned())))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use toml::Table;

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
        assert_eq!(error.to_string(), "s.toml: number 1 of users lacks secret_key or secret_key_file");
    }
}
