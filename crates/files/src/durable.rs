//! Small files and directories that a power cut leaves whole: the one place that knows in which order to sync.
//!
//! A sync of a file makes its content last, not its name; a sync of a directory makes the names in it last, not what they stand for. So
//! the content goes first, under a name that nobody looks for, then the name, then the directory.
//!
//! A process that is killed between the name and the sync leaves a file that the next process finds and that a power cut may still take.
//! So whoever looks for files at its start settles the directory first: [`create_dir`], [`settle`], [`settle_dir`].

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::OFlags;

use crate::Links;

/// What only its owner may read.
const PRIVATE: u32 = 0o600;

/// Why a whole file was not written, and what its name stands for now.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// What it stood for before.
    #[error(transparent)]
    Unchanged(io::Error),
    /// The new file, which a power cut may take away again: it must not be used.
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

/// Puts a file of these bytes in the place of `path`, or where nothing was, durably. After a crash or a power cut it is the former file
/// or the new one, whole. `temp` is a name in the same directory, for this file alone; what an interrupted write left there is removed.
pub fn replace(path: &Path, temp: &Path, bytes: &[u8], mode: u32) -> Result<(), WriteError> {
    let written = remove_if_there(temp).and_then(|()| write_new(temp, bytes, mode));
    written.and_then(|()| fs::rename(temp, path).inspect_err(|_| discard(temp))).map_err(WriteError::Unchanged)?;
    sync_parent(path).map_err(WriteError::Unsynced)
}

/// As [`replace`], but fails with [`ErrorKind::AlreadyExists`] if there is a file already. After an error there is none of these bytes.
pub fn create_new(path: &Path, temp: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    remove_if_there(temp)?;
    write_new(temp, bytes, mode)?;
    let linked = fs::hard_link(temp, path);
    discard(temp);
    linked?;
    sync_parent(path).inspect_err(|_| discard(path))
}

/// Writes a new file and syncs its content, not its name. After an error there is none.
pub fn write_new(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(path)?;
    let written = file.write_all(bytes).and_then(|()| {
        if mode != PRIVATE {
            // After the umask, which would take the bits away again.
            file.set_permissions(PermissionsExt::from_mode(mode))?;
        }
        sync(&file, path)
    });
    written.inspect_err(|_| discard(path))
}

/// Removes a file durably; it may be gone already.
pub fn remove(path: &Path) -> io::Result<()> {
    remove_if_there(path)?;
    sync_parent(path)
}

/// Makes a directory, and those above it, with this mode where they are missing, and makes the directory itself and what lies in it last.
pub fn create_dir(path: &Path, mode: u32) -> io::Result<()> {
    let absent: Vec<&Path> = path.ancestors().take_while(|dir| !dir.as_os_str().is_empty() && !dir.exists()).collect();
    // A process that was killed may have made the lowest one that is there, and not have synced it into its parent.
    let lowest = absent.last().map_or(path, |highest| parent_of(highest));
    unless_impossible(sync_parent(lowest))?;
    for dir in absent.into_iter().rev() {
        DirBuilder::new().recursive(true).mode(mode).create(dir)?;
        sync_parent(dir)?;
    }
    settle_dir(path)
}

/// Makes a file that was found last: its content and its name. Where the operator put it, it may lie where nothing can be synced.
pub fn settle(path: &Path) -> io::Result<()> {
    unless_impossible(crate::open(path, Links::Follow).map_err(io::Error::from).and_then(|file| sync(&file, path)))?;
    settle_dir(parent_of(path))
}

/// Makes the names that were found in a directory last.
pub fn settle_dir(path: &Path) -> io::Result<()> {
    unless_impossible(sync_dir(path))
}

/// Makes the entry of `path` in its directory durable.
pub fn sync_parent(path: &Path) -> io::Result<()> {
    sync_dir(parent_of(path))
}

/// Makes the entries of a directory durable. What is no directory is an error, and is not waited for.
pub fn sync_dir(path: &Path) -> io::Result<()> {
    let flags = OFlags::DIRECTORY | OFlags::NONBLOCK;
    sync(&OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?, path)
}

/// The one call that syncs.
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
        // The root has no entry anywhere.
        None => path,
    }
}

/// A directory that this process may not open was not made by one like it; a file system that is read-only, or does not know how to sync,
/// holds nothing that waits for it.
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

/// Best effort: an error is on its way to the caller already.
fn discard(path: &Path) {
    let _ = fs::remove_file(path);
}

#[cfg(test)]
#[path = "durable_tests.rs"]
mod tests;
