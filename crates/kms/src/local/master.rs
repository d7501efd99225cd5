//! The master key that seals every key file.

use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::dir::{self, KeyDir};
use super::{material, passphrase};
use crate::KmsError;
use crate::crypto::SecretKey;

/// Longest master key file in bytes: base64, and room for white space around it.
const MAX_FILE_LEN: u64 = 256;

/// Where the master key comes from.
pub enum MasterKeySource {
    /// A file of mode 0600 that holds 32 bytes, raw or in base64. Created at the first start, when neither it
    /// nor any key exists.
    File(PathBuf),
    /// The key itself, from wherever the caller keeps it.
    Value(Zeroizing<[u8; 32]>),
    /// A passphrase of at least 12 characters, from which Argon2id makes the key. Salt and parameters lie beside the keys.
    Passphrase(Zeroizing<String>),
}

impl fmt::Debug for MasterKeySource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => formatter.debug_tuple("File").field(path).finish(),
            Self::Value(_) => formatter.write_str("Value(redacted)"),
            Self::Passphrase(_) => formatter.write_str("Passphrase(redacted)"),
        }
    }
}

impl MasterKeySource {
    /// The file, if it is one.
    pub(super) fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Value(_) | Self::Passphrase(_) => None,
        }
    }

    /// A master key to change to, and the file that it needs in the key directory. A missing master key file is made.
    pub(super) fn replacement(&self) -> Result<(SecretKey, Option<Vec<u8>>), KmsError> {
        let key = match self {
            Self::Passphrase(passphrase) => return passphrase::fresh(passphrase).map(|(key, file)| (key, Some(file))),
            Self::Value(value) => SecretKey::from_slice(value.as_slice()).ok_or_else(malformed_value),
            Self::File(path) if path.try_exists().map_err(|error| dir::io_error("read", path, &error))? => read(path),
            Self::File(path) => create(path),
        };
        Ok((key?, None))
    }

    /// The master key. A missing file is made only if there is no key that another one must have sealed.
    pub(super) fn load(&self, keys: &KeyDir, key_count: usize) -> Result<SecretKey, KmsError> {
        let path = match self {
            Self::Value(value) => return SecretKey::from_slice(value.as_slice()).ok_or_else(malformed_value),
            Self::Passphrase(passphrase) => return passphrase::load(passphrase, keys, key_count),
            Self::File(path) => path,
        };
        match path.try_exists().map_err(|error| dir::io_error("read", path, &error))? {
            true => read(path),
            false if key_count == 0 => create(path),
            false => Err(missing(path, keys.path(), key_count)),
        }
    }
}

/// Reads the master key after syncing it: whoever made the file may have been killed, or never have synced it.
fn read(path: &Path) -> Result<SecretKey, KmsError> {
    dir::check_private_file(path)?;
    strongroom_files::settle(path).map_err(|error| dir::io_error("sync", path, &error))?;
    let bytes = dir::read_bounded(path, MAX_FILE_LEN).map_err(|error| dir::io_error("read", path, &error))?;
    SecretKey::from_slice(&bytes).or_else(|| material::decode(bytes.trim_ascii())).ok_or_else(|| {
        KmsError::Broken(format!("the master key file {} does not hold 32 bytes, raw or in base64; restore it", path.display()))
    })
}

/// Makes a new master key. Another server's file is never overwritten.
fn create(path: &Path) -> Result<SecretKey, KmsError> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.map_or(Ok(()), dir::create_private_dir)?;
    let key = SecretKey::random()?;
    let mut line = Zeroizing::new(String::with_capacity(64));
    STANDARD.encode_string(key.expose(), &mut line);
    line.push('\n');
    let created = strongroom_files::create_new(path, &temp_path(path), line.as_bytes(), dir::PRIVATE);
    created.map_err(|error| dir::io_error("create", path, &error))?;
    tracing::info!(file = %path.display(), "created a new master key; keep a copy of it apart from the key directory");
    Ok(key)
}

fn temp_path(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".tmp-");
    name.push(path.file_name().unwrap_or_default());
    path.with_file_name(name)
}

fn missing(path: &Path, key_dir: &Path, key_count: usize) -> KmsError {
    KmsError::Broken(format!(
        "the master key file {} is missing, but {} holds {key_count} keys sealed under it; restore the file from your copy",
        path.display(),
        key_dir.display()
    ))
}

fn malformed_value() -> KmsError {
    KmsError::Broken("the master key must have 32 bytes".to_owned())
}
