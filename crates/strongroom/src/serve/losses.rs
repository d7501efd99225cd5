//! What a store has lost is never made anew: a start that finds something missing is refused, and says what to put back.
//!
//! A new catalog would have all blobs swept. A new key of an old name would open nothing, and what is written under it
//! would make it impossible to put the old one back.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use strongroom_catalog::Catalog;
use strongroom_engine::{STORE_KEY_ID, STORE_KEY_SETTING};
use strongroom_kms::{KeyLifecycle, KeyService, KmsError, LocalKms};

use super::StartError;
use super::parts::{BLOBS_DIR, CATALOG_FILE};
use crate::config::Settings;
use crate::files::FilesError;

/// Refuses to have a catalog made where there has been one.
pub(super) fn require_catalog(data_dir: &Path) -> Result<(), StartError> {
    let (catalog, blobs) = (data_dir.join(CATALOG_FILE), data_dir.join(BLOBS_DIR));
    let log = data_dir.join(format!("{CATALOG_FILE}-wal"));
    if !is_empty(&catalog)? {
        return Ok(());
    }
    if !is_empty(&log)? {
        return Err(StartError::CatalogSplit { catalog, log });
    }
    refuse_blobs_of_another(catalog, blobs)
}

/// Refuses to go on with a catalog whose store key, or whose whole key directory, is lost.
pub(super) async fn require_keys(settings: &Settings, catalog: &dyn Catalog) -> Result<(), StartError> {
    let (data_dir, key_dir) = (&settings.data_dir, &settings.kms.key_dir);
    if has_store_key(catalog).await? {
        if holds_keys(key_dir)? {
            return Ok(());
        }
        return Err(StartError::KeysMissing { data_dir: data_dir.clone(), key_dir: key_dir.clone() });
    }
    if !catalog.list_buckets("", None, 1).await?.is_empty() {
        return Err(StartError::StoreKeyMissing(data_dir.join(CATALOG_FILE)));
    }
    // A catalog whose log was lost can look like a new one.
    refuse_blobs_of_another(data_dir.join(CATALOG_FILE), data_dir.join(BLOBS_DIR))
}

/// Makes the key that wraps the store key, unless there is a store key that only the lost one opens.
pub(super) async fn ensure_store_key(local: &LocalKms, catalog: &dyn Catalog) -> Result<(), StartError> {
    if !exists(local, STORE_KEY_ID).await? && has_store_key(catalog).await? {
        return Err(lost(local, STORE_KEY_ID));
    }
    local.ensure_key(STORE_KEY_ID, "Wraps the store's own key").await?;
    Ok(())
}

/// Makes a key, unless there are objects or uploads that only the lost one opens.
pub(super) async fn ensure_key(local: &LocalKms, catalog: &dyn Catalog, key_id: &str) -> Result<(), StartError> {
    if !exists(local, key_id).await? && !catalog.key_usage(local.backend(), key_id).await?.is_empty() {
        return Err(lost(local, key_id));
    }
    local.ensure_key(key_id, "Made at the start of the server").await?;
    Ok(())
}

/// A new catalog has no blobs: those that lie there are another's.
fn refuse_blobs_of_another(catalog: PathBuf, blobs: PathBuf) -> Result<(), StartError> {
    match holds_files(&blobs) {
        Ok(false) => Ok(()),
        Ok(true) => Err(StartError::CatalogMissing { catalog, blobs }),
        Err(source) => Err(FilesError::Read { path: blobs, source }.into()),
    }
}

/// Whether the store was ever begun: the store key is made at the first start.
async fn has_store_key(catalog: &dyn Catalog) -> Result<bool, StartError> {
    Ok(catalog.setting(STORE_KEY_SETTING).await?.is_some())
}

/// Whether the key has a file, whatever its state.
async fn exists(local: &LocalKms, key_id: &str) -> Result<bool, StartError> {
    match local.describe_key(key_id).await {
        Err(KmsError::KeyNotFound(_)) => Ok(false),
        described => Ok(described.map(|_| true)?),
    }
}

fn lost(local: &LocalKms, key_id: &str) -> StartError {
    StartError::KeyLost { key_id: key_id.to_owned(), file: local.key_file(key_id) }
}

/// Whether the file has no bytes, or is not there.
fn is_empty(path: &Path) -> Result<bool, FilesError> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(metadata.len() == 0),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
        Err(source) => Err(FilesError::Read { path: path.to_owned(), source }),
    }
}

/// Whether there is a file among the blobs: in the directory, or in one of the two levels below it.
fn holds_files(blobs: &Path) -> io::Result<bool> {
    let in_shelf = |path: &Path| Ok(!path.is_dir());
    let in_first = |path: &Path| if path.is_dir() { any_entry(path, in_shelf) } else { Ok(true) };
    any_entry(blobs, |path| if path.is_dir() { any_entry(path, in_first) } else { Ok(true) })
}

/// Whether a key's file lies there; locks and leftovers do not count.
fn holds_keys(key_dir: &Path) -> Result<bool, FilesError> {
    let found = any_entry(key_dir, |path| Ok(path.extension().is_some_and(|extension| extension == "json")));
    found.map_err(|source| FilesError::Read { path: key_dir.to_owned(), source })
}

/// Whether it holds for an entry of the directory; never where there is no such directory.
fn any_entry(dir: &Path, holds: impl Fn(&Path) -> io::Result<bool>) -> io::Result<bool> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        entries => entries?,
    };
    for entry in entries {
        if holds(&entry?.path())? {
            return Ok(true);
        }
    }
    Ok(false)
}
