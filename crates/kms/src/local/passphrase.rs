//! A master key that is remembered by people: a passphrase, and beside the keys a file that tells how the key comes of it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::dir::{self, KeyDir};
use super::document::master_id;
use super::kdf::{Argon2id, check_passphrase};
use crate::KmsError;
use crate::crypto::SecretKey;

/// In the key directory.
pub(super) const FILE_NAME: &str = "master.argon2.json";
const MAX_FILE_LEN: u64 = 4096;
const FORMAT: &str = "strongroom-local-master";
const VERSION: u32 = 1;

/// The file: nothing in it is secret, and all of it is needed.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    format: String,
    version: u32,
    argon2id: Argon2id,
    /// Tells a wrong passphrase before any key is tried.
    master_id: String,
}

/// The master key of a directory. The file is made only if there is no key that another one must have sealed.
pub(super) fn load(passphrase: &str, keys: &KeyDir, key_count: usize) -> Result<SecretKey, KmsError> {
    check_passphrase(passphrase)?;
    let path = keys.path().join(FILE_NAME);
    match path.try_exists().map_err(|error| dir::io_error("read", &path, &error))? {
        true => open(passphrase, &path),
        false if key_count == 0 => create(passphrase, &path),
        false => Err(missing(&path, key_count)),
    }
}

/// A master key of this passphrase with a salt of its own, and the bytes of the file.
pub(super) fn fresh(passphrase: &str) -> Result<(SecretKey, Vec<u8>), KmsError> {
    let argon2id = Argon2id::fresh()?;
    let master = argon2id.derive(passphrase)?;
    let document = Document { format: FORMAT.to_owned(), version: VERSION, argon2id, master_id: master_id(&master)? };
    let mut file = serde_json::to_vec_pretty(&document).map_err(|_| KmsError::Broken("parameters are no JSON".to_owned()))?;
    file.push(b'\n');
    Ok((master, file))
}

fn open(passphrase: &str, path: &Path) -> Result<SecretKey, KmsError> {
    dir::check_private_file(path)?;
    let file = dir::read_bounded(path, MAX_FILE_LEN).map_err(|error| dir::io_error("read", path, &error))?;
    let document: Document = serde_json::from_slice(&file).map_err(|_| unreadable(path, "it is damaged; restore it from your copy"))?;
    if document.format != FORMAT || document.version != VERSION {
        return Err(unreadable(path, "another program or a later Strongroom wrote it"));
    }
    let master = document.argon2id.derive(passphrase).map_err(|error| unreadable(path, &error.to_string()))?;
    if master_id(&master)? == document.master_id { Ok(master) } else { Err(wrong(path)) }
}

/// Written under another name first, so that it is there whole or not at all.
fn create(passphrase: &str, path: &Path) -> Result<SecretKey, KmsError> {
    let (master, file) = fresh(passphrase)?;
    strongroom_files::create_new(path, &temp_path(path), &file, dir::PRIVATE).map_err(|error| dir::io_error("create", path, &error))?;
    tracing::info!(file = %path.display(), "the master key comes of a passphrase and this file; keep a copy of the file");
    Ok(master)
}

/// Removed when the directory is opened, should it stay behind.
fn temp_path(path: &Path) -> PathBuf {
    path.with_file_name(format!(".tmp-{FILE_NAME}"))
}

fn wrong(path: &Path) -> KmsError {
    KmsError::Broken(format!("the passphrase is wrong: it is not the one that {} was made with", path.display()))
}

fn unreadable(path: &Path, why: &str) -> KmsError {
    KmsError::Broken(format!("cannot derive the master key by {}: {why}", path.display()))
}

fn missing(path: &Path, key_count: usize) -> KmsError {
    let path = path.display();
    KmsError::Broken(format!(
        "{path} is missing, without which no passphrase opens the {key_count} keys beside it; restore it from your copy"
    ))
}
