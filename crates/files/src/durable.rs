//! Small files and directories that survive a power cut whole. This is the one place that knows in which order to sync.
//!
//! Syncing a file makes its content durable, but not its name. Syncing a directory makes the names in it durable, but not the content of
//! its files. So the content is synced first, under a temporary name. Then the file is renamed, and then the directory is synced.
//!
//! A process that is killed between the rename and the sync leaves a file that the next process finds, though a power cut could still
//! take it away. So a process syncs the directory when it starts, before it uses what it finds: [`create_dir`], [`settle`], [`settle_dir`].

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::OFlags;

use crate::Links;

/// Readable by the owner only.
const PRIVATE: u32 = 0o600;

/// Why a file was not written, and what is under its name now.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// What was there before.
    #[error(transparent)]
    Unchanged(io::Error),
    /// The new file. A power cut may take it away again, so it must not be used.
    #[error(transparent)]
    Unsynced(io::Error),
}

impl From<WriteError> for io::Error {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Unchanged(error) | WriteError::Unsynced(error) => error,
        }
    }
}

/// Creates or replaces the file at `path` with these bytes, durably. After a crash or a power cut there is the former file or the new
/// one, whole. `temp` is a name in the same directory that only this file uses; what an interrupted write left there is removed.
pub fn replace(path: &Path, temp: &Path, bytes: &[u8], mode: u32) -> Result<(), WriteError> {
    let written = remove_if_there(temp).and_then(|()| write_new(temp, bytes, mode));
    written.and_then(|()| fs::rename(temp, path).inspect_err(|_| discard(temp))).map_err(WriteError::Unchanged)?;
    sync_parent(path).map_err(WriteError::Unsynced)
}

/// As [`replace`], but fails with [`ErrorKind::AlreadyExists`] if there is a file already. After an error the new file is not there.
pub fn create_new(path: &Path, temp: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    remove_if_there(temp)?;
    write_new(temp, bytes, mode)?;
    let linked = fs::hard_link(temp, path);
    discard(temp);
    linked?;
    sync_parent(path).inspect_err(|_| discard(path))
}

/// Writes a new file and syncs its content, but not its name. After an error the file is not there.
pub fn write_new(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(path)?;
    let written = file.write_all(bytes).and_then(|()| {
        if mode != PRIVATE {
            // Set here, because the umask would take these bits away from a mode given to `open`.
            file.set_permissions(PermissionsExt::from_mode(mode))?;
        }
        sync(&file, path)
    });
    written.inspect_err(|_| discard(path))
}

/// Removes a file durably. It is no error if the file is gone already.
pub fn remove(path: &Path) -> io::Result<()> {
    remove_if_there(path)?;
    sync_parent(path)
}

/// Makes a directory and its parents with this mode where they are missing, and syncs the directory's own name and the names in it.
pub fn create_dir(path: &Path, mode: u32) -> io::Result<()> {
    let absent: Vec<&Path> = path.ancestors().take_while(|dir| !dir.as_os_str().is_empty() && !dir.exists()).collect();
    // The lowest directory that exists may come from a process that was killed before it synced it into its parent.
    let lowest = absent.last().map_or(path, |highest| parent_of(highest));
    unless_impossible(sync_parent(lowest))?;
    for dir in absent.into_iter().rev() {
        DirBuilder::new().recursive(true).mode(mode).create(dir)?;
        sync_parent(dir)?;
    }
    settle_dir(path)
}

/// Syncs a file that was found, its content and its name. The operator may have put it where nothing can be synced; that is no error.
pub fn settle(path: &Path) -> io::Result<()> {
    unless_impossible(crate::open(path, Links::Follow).map_err(io::Error::from).and_then(|file| sync(&file, path)))?;
    settle_dir(parent_of(path))
}

/// Syncs the names that were found in a directory.
pub fn settle_dir(path: &Path) -> io::Result<()> {
    unless_impossible(sync_dir(path))
}

/// Syncs the name of `path` in its directory.
pub fn sync_parent(path: &Path) -> io::Result<()> {
    sync_dir(parent_of(path))
}

/// Syncs the names in a directory. Anything else than a directory is an error, and is never waited for.
pub fn sync_dir(path: &Path) -> io::Result<()> {
    let flags = OFlags::DIRECTORY | OFlags::NONBLOCK;
    sync(&OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?, path)
}

/// All syncs go through here.
fn sync(file: &File, path: &Path) -> io::Result<()> {
    #[cfg(any(test, feature = "testing"))]
    crate::testing::check(path)?;
    let _ = path;
    file.sync_all()
}

fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        // The root has no name in any directory.
        None => path,
    }
}

/// Passes over errors that mean that there is nothing to sync. A directory that this process may not open was not made by an earlier
/// server, and a file system that is read-only, or cannot sync, holds no unsynced writes of one.
fn unless_impossible(synced: io::Result<()>) -> io::Result<()> {
    let is_impossible = |error: &io::Error| {
        let kinds = [ErrorKind::PermissionDenied, ErrorKind::ReadOnlyFilesystem, ErrorKind::InvalidInput, ErrorKind::Unsupported];
        kinds.contains(&error.kind())
    };
    synced.or_else(|error| if is_impossible(&error) { Ok(()) } else { Err(error) })
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Best effort: the caller gets another error already.
fn discard(path: &Path) {
    let _ = fs::remove_file(path);
}

#[cfg(test)]
#[path = "durable_tests.rs"]
mod tests;
