//! The root identity's keys.

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::config::{Origin, RootKeys};
use crate::files::{self, FilesError, Readers};

/// Why there is no root identity.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CredentialsError {
    #[error(transparent)]
    Files(#[from] FilesError),
    #[error("{} does not hold an access_key and a secret_key: restore it, or remove it to have new ones made", .0.display())]
    Malformed(PathBuf),
    #[error("the system has no random numbers")]
    NoRandom,
}

/// The root keys of the file, which is made with new ones where it is missing.
pub(crate) fn load_or_create(path: &Path) -> Result<RootKeys, CredentialsError> {
    if !path.try_exists().map_err(|source| FilesError::Read { path: path.to_owned(), source })? {
        return create(path);
    }
    files::require_private(path)?;
    let text = files::read_text(path, files::MAX_SECRET_LEN)?;
    let value = |key| text.lines().find_map(|line| value_of(line, key));
    let (Some(access_key), Some(secret_key)) = (value("access_key"), value("secret_key")) else {
        return Err(CredentialsError::Malformed(path.to_owned()));
    };
    Ok(RootKeys {
        access_key: access_key.to_owned(),
        secret_key: Zeroizing::new(secret_key.to_owned()),
        origin: Origin::File(path.to_owned()),
    })
}

/// `key = "value"`, as TOML and the printed `sed` commands read it.
fn value_of<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let value = line.strip_prefix(key)?.strip_prefix(" = \"")?.strip_suffix('"')?;
    (!value.is_empty()).then_some(value)
}

fn create(path: &Path) -> Result<RootKeys, CredentialsError> {
    let access_key = random_word(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 20)?;
    // 260 bits. No dashes: mc and others take a word that begins with one for an option.
    let secret_key = random_word(b"abcdefghijklmnopqrstuvwxyz234567", 52)?;
    let text = Zeroizing::new(format!("access_key = \"{}\"\nsecret_key = \"{}\"\n", *access_key, *secret_key));
    files::write_atomically(path, text.as_bytes(), Readers::Owner)?;
    Ok(RootKeys { access_key: access_key.to_string(), secret_key, origin: Origin::File(path.to_owned()) })
}

/// `len` letters, each equally likely: the alphabets have 32 letters, and 32 divides 256.
fn random_word(alphabet: &[u8], len: usize) -> Result<Zeroizing<String>, CredentialsError> {
    let mut bytes = Zeroizing::new(vec![0; len]);
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| CredentialsError::NoRandom)?;
    Ok(Zeroizing::new(bytes.iter().map(|byte| char::from(alphabet[usize::from(*byte) % alphabet.len()])).collect()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;

    #[test]
    fn keys_are_made_once_and_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("root-credentials");
        let made = load_or_create(&path).unwrap();
        let read = load_or_create(&path).unwrap();
        assert_eq!((made.access_key.len(), made.secret_key.len()), (20, 52));
        assert!(made.access_key.bytes().chain(made.secret_key.bytes()).all(|byte| byte.is_ascii_alphanumeric()));
        assert_eq!((&made.access_key, made.secret_key.as_str()), (&read.access_key, read.secret_key.as_str()));
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_file_that_others_may_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("root-credentials");
        load_or_create(&path).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
        assert!(matches!(load_or_create(&path).err().unwrap(), CredentialsError::Files(FilesError::Open { mode: 0o640, .. })));
    }

    #[test]
    fn a_cut_file_is_refused_and_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("root-credentials");
        files::write_atomically(&path, b"access_key = \"AK\"\n", Readers::Owner).unwrap();
        assert!(matches!(load_or_create(&path).err().unwrap(), CredentialsError::Malformed(_)));
        assert_eq!(std::fs::read(&path).unwrap(), b"access_key = \"AK\"\n");
    }
}
