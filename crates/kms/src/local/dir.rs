//! The key directory: who may read it, what lies in it, and files that appear whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use strongroom_files::{Links, WriteError};
use zeroize::Zeroizing;

use super::{MAX_KEYS, passphrase};
use crate::KmsError;

const KEY_SUFFIX: &str = ".key.json";
const TEMP_PREFIX: &str = ".tmp-";
const LOCK_FILE: &str = ".lock";
const SEALED_MARKER: &str = ".service-sealed";
/// The mode of every file here.
pub(super) const PRIVATE: u32 = 0o600;
/// The longest a key file can be, with every bound of a key reached, rounded up.
const MAX_KEY_FILE_LEN: u64 = 1 << 20;

/// A locked directory of key files. One process at a time.
pub(super) struct KeyDir {
    path: PathBuf,
    /// Held for its lock, which ends with it.
    _lock: File,
}

impl KeyDir {
    /// Creates the directory if it is missing, refuses loose permissions, locks it, and syncs what a killed server may have left unsynced:
    /// no key is used before it is durable.
    pub(super) fn open(path: &Path) -> Result<Self, KmsError> {
        create_private_dir(path)?;
        let found = fs::metadata(path).map_err(|error| io_error("read", path, &error))?;
        if !found.is_dir() {
            return Err(KmsError::Broken(format!("the key directory {} is not a directory", path.display())));
        }
        check_private(path, found.permissions().mode(), "700")?;
        let dir = Self { path: path.to_owned(), _lock: lock(path)? };
        dir.sync()?;
        Ok(dir)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The ids of all key files. Removes what an interrupted write left, and refuses files that are no keys,
    /// but for `master_key` itself.
    pub(super) fn scan(&self, master_key: Option<&Path>) -> Result<Vec<String>, KmsError> {
        let mut key_ids = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(|error| io_error("list", &self.path, &error))? {
            let path = entry.map_err(|error| io_error("list", &self.path, &error))?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.starts_with(TEMP_PREFIX) {
                remove_leftover(&path)?;
            } else if let Some(key_id) = name.strip_suffix(KEY_SUFFIX).filter(|_| !name.starts_with('.')) {
                check_private_file(&path)?;
                key_ids.push(key_id.to_owned());
            } else if !is_tolerated(name) && !is_same_file(&path, master_key) {
                return Err(foreign(&path, &self.path));
            }
            if key_ids.len() > MAX_KEYS {
                return Err(KmsError::Broken(format!("{} holds more than {MAX_KEYS} key files", self.path.display())));
            }
        }
        Ok(key_ids)
    }

    /// Where the file of a key lies.
    pub(super) fn key_file(&self, key_id: &str) -> PathBuf {
        self.path.join(format!("{key_id}{KEY_SUFFIX}"))
    }

    /// The bytes of a key's file.
    pub(super) fn read(&self, key_id: &str) -> Result<Vec<u8>, KmsError> {
        let path = self.key_file(key_id);
        read_bounded(&path, MAX_KEY_FILE_LEN).map(|mut bytes| std::mem::take(&mut *bytes)).map_err(|error| io_error("read", &path, &error))
    }

    /// Writes `bytes` to a key's file durably, new or not: after a crash it is the old file or the new one.
    ///
    /// The former file's blocks are overwritten by [`Replaced::scrub`] only.
    pub(super) fn replace(&self, key_id: &str, bytes: &[u8]) -> Result<Replaced, NotReplaced> {
        let path = self.key_file(key_id);
        // Absent for a new key; and a file made read-only is replaced all the same, only not overwritten.
        let former = open_former(&path);
        let temp = self.path.join(format!("{TEMP_PREFIX}{key_id}"));
        strongroom_files::replace(&path, &temp, bytes, PRIVATE).map_err(|error| NotReplaced {
            is_named: matches!(error, WriteError::Unsynced(_)),
            error: KmsError::Unavailable(format!("cannot write the key file {}: {error}", path.display())),
        })?;
        Ok(Replaced(former))
    }

    /// Removes a key's file durably.
    pub(super) fn remove(&self, key_id: &str) -> Result<(), KmsError> {
        let path = self.key_file(key_id);
        strongroom_files::remove(&path).map_err(|error| io_error("remove", &path, &error))
    }

    /// Makes renames and removals durable.
    pub(super) fn sync(&self) -> Result<(), KmsError> {
        strongroom_files::sync_dir(&self.path)
            .map_err(|error| KmsError::Unavailable(format!("cannot sync {}: {error}", self.path.display())))
    }

    /// Whether the whole service was sealed when it stopped.
    pub(super) fn is_service_sealed(&self) -> Result<bool, KmsError> {
        let path = self.path.join(SEALED_MARKER);
        path.try_exists().map_err(|error| io_error("read", &path, &error))
    }

    /// Remembers durably whether the whole service is sealed.
    pub(super) fn set_service_sealed(&self, sealed: bool) -> Result<(), KmsError> {
        let path = self.path.join(SEALED_MARKER);
        let done = match (sealed, path.try_exists()) {
            (true, Ok(false)) => strongroom_files::write_new(&path, b"", PRIVATE),
            (false, Ok(true)) => fs::remove_file(&path),
            (_, Ok(_)) => Ok(()),
            (_, Err(error)) => Err(error),
        };
        done.map_err(|error| KmsError::Unavailable(format!("cannot write {}: {error}", path.display())))?;
        self.sync()
    }
}

/// Why a key's file was not replaced.
pub(super) struct NotReplaced {
    pub(super) error: KmsError,
    /// Whether the new file has the name all the same. A power cut may take it away.
    pub(super) is_named: bool,
}

/// The file that a replacement took the name of, if there was one.
pub(super) struct Replaced(Option<File>);

impl Replaced {
    /// Of the file that had the name, opened for writing.
    pub(super) fn new(former: Option<File>) -> Self {
        Self(former)
    }

    /// Overwrites the blocks of the former file. Best effort: file systems that copy on write, and flash, keep
    /// old blocks all the same.
    pub(super) fn scrub(self) -> io::Result<()> {
        let Some(mut file) = self.0 else { return Ok(()) };
        let len = file.metadata()?.len().min(MAX_KEY_FILE_LEN);
        file.seek(SeekFrom::Start(0))?;
        io::copy(&mut io::repeat(0).take(len), &mut file)?;
        file.sync_all()
    }
}

/// The file that is about to be replaced, to be overwritten afterwards; none where there is none that can be.
pub(super) fn open_former(path: &Path) -> Option<File> {
    strongroom_files::open_with(OpenOptions::new().write(true), path, Links::Refuse).ok()
}

/// Refuses a file that others may read, or that is no regular file.
pub(super) fn check_private_file(path: &Path) -> Result<(), KmsError> {
    let found = fs::symlink_metadata(path).map_err(|error| io_error("read", path, &error))?;
    if !found.is_file() {
        return Err(KmsError::Broken(format!("{} is not a regular file; put the file itself there", path.display())));
    }
    check_private(path, found.permissions().mode(), "600")
}

/// Creates a directory of mode 0700 and its parents where they are missing, and syncs it and the names in it.
pub(super) fn create_private_dir(path: &Path) -> Result<(), KmsError> {
    strongroom_files::create_dir(path, 0o700).map_err(|error| io_error("create or sync", path, &error))
}

/// A whole file in a buffer that is wiped, refused if it is longer than `max_len`.
pub(super) fn read_bounded(path: &Path, max_len: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    Ok(strongroom_files::read(path, Links::Refuse, max_len)?)
}

/// An I/O error that names the path.
pub(super) fn io_error(verb: &str, path: &Path, error: &io::Error) -> KmsError {
    KmsError::Broken(format!("cannot {verb} {}: {error}", path.display()))
}

fn check_private(path: &Path, mode: u32, wanted: &str) -> Result<(), KmsError> {
    let (mode, others) = (mode & 0o7777, mode & 0o077);
    if others == 0 {
        return Ok(());
    }
    let path = path.display();
    Err(KmsError::Broken(format!("{path} is open to other users (mode {mode:04o}); run: chmod {wanted} '{path}'")))
}

fn lock(dir: &Path) -> Result<File, KmsError> {
    let path = dir.join(LOCK_FILE);
    let mut options = OpenOptions::new();
    let opened = strongroom_files::open_with(options.write(true).create(true).truncate(false).mode(0o600), &path, Links::Refuse);
    let file = opened.map_err(|error| io_error("open", &path, &error.into()))?;
    if strongroom_files::lock(&file).map_err(|error| io_error("lock", &path, &error))? {
        Ok(file)
    } else {
        Err(KmsError::Broken(format!("the key directory {} is in use by another server; stop that one first", dir.display())))
    }
}

fn remove_leftover(path: &Path) -> Result<(), KmsError> {
    tracing::warn!(file = %path.display(), "removing what an interrupted write of a key file left");
    fs::remove_file(path).map_err(|error| io_error("remove", path, &error))
}

/// Hidden files, the lock and the marker among them, what a passphrase needs, and what file systems put into their root.
fn is_tolerated(name: &str) -> bool {
    name.starts_with('.') || name == passphrase::FILE_NAME || name == "lost+found"
}

fn is_same_file(path: &Path, other: Option<&Path>) -> bool {
    other.is_some_and(|other| path == other || matches!((path.canonicalize(), other.canonicalize()), (Ok(a), Ok(b)) if a == b))
}

fn foreign(path: &Path, dir: &Path) -> KmsError {
    KmsError::Broken(format!(
        "{} is no Strongroom key file; move it out of the key directory, or name another directory than {}",
        path.display(),
        dir.display()
    ))
}
