//! One server per data directory.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use strongroom_files::Links;

/// Why the data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LockError {
    #[error("the data directory {} is in use by another server{}", data_dir.display(), process.as_ref().map(|id| format!(" (process {id})")).unwrap_or_default())]
    InUse { data_dir: PathBuf, process: Option<String> },
    #[error("cannot lock {}", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Holds the data directory until it is dropped, or the process ends in whatever way.
#[derive(Debug)]
pub(crate) struct DataDirLock {
    _file: File,
}

impl DataDirLock {
    /// Takes the exclusive lock on `DATA_DIR/lock` and writes the process id into it.
    pub(crate) fn acquire(data_dir: &Path) -> Result<Self, LockError> {
        let path = data_dir.join("lock");
        let io_error = |source| LockError::Io { path: path.clone(), source };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let opened = strongroom_files::open_with(&mut options, &path, Links::Refuse);
        let mut file = opened.map_err(|error| io_error(error.into()))?;
        if !strongroom_files::lock(&file).map_err(io_error)? {
            return Err(LockError::InUse { data_dir: data_dir.to_owned(), process: holder(&mut file) });
        }
        // The number only helps people who look at the file; a full or read-only disk is no reason not to serve.
        let _ = note_process(&mut file);
        Ok(Self { _file: file })
    }
}

fn note_process(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

fn holder(file: &mut File) -> Option<String> {
    let mut text = String::new();
    file.take(20).read_to_string(&mut text).ok()?;
    text.trim().parse::<u32>().ok().map(|id| id.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_held_directory_is_refused_by_the_holders_process_id_and_free_after_it() {
        let dir = tempfile::tempdir().unwrap();
        let lock = DataDirLock::acquire(dir.path()).unwrap();
        let error = DataDirLock::acquire(dir.path()).unwrap_err();
        let expected = std::process::id().to_string();
        assert!(matches!(&error, LockError::InUse { process: Some(id), .. } if *id == expected), "{error}");
        drop(lock);
        DataDirLock::acquire(dir.path()).unwrap();
    }

    #[test]
    fn a_link_or_a_fifo_in_the_locks_place_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (lock, elsewhere) = (dir.path().join("lock"), dir.path().join("elsewhere"));
        std::fs::write(&elsewhere, "kept").unwrap();
        std::os::unix::fs::symlink(&elsewhere, &lock).unwrap();
        assert!(matches!(DataDirLock::acquire(dir.path()), Err(LockError::Io { .. })));
        assert_eq!(std::fs::read(&elsewhere).unwrap(), b"kept");
        std::fs::remove_file(&lock).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&lock).status().unwrap().success());
        assert!(matches!(DataDirLock::acquire(dir.path()), Err(LockError::Io { .. })));
    }
}
