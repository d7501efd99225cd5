//! Opens files without ever hanging on what lies in their place, and writes small ones that survive a power cut whole.
//!
//! Opening a FIFO waits for its other end, opening a device may do anything, and a file may never end. So every file
//! that the server reads is opened here: [`open`] and [`open_with`] give regular files only and never block, [`read`]
//! and [`read_text`] read a bounded file whole. Where the server wrote the file itself, in a directory of its own,
//! a symbolic link is refused as well: [`Links`].
//!
//! A file is durable once its content is synced, and then the directory that names it. [`replace`] and [`create_new`] do
//! both before they return, so that nobody uses what a power cut could still take away. [`create_dir`] does it for directories.
//!
//! ```no_run
//! use std::path::Path;
//! use strongroom_files::{Links, read_text};
//!
//! let token = read_text(Path::new("/var/run/secrets/token"), Links::Follow, 64 << 10)?;
//! # Ok::<(), strongroom_files::FileError>(())
//! ```
#![forbid(unsafe_code)]

mod durable;
mod lock;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;
use zeroize::Zeroizing;

pub use self::durable::{WriteError, create_dir, create_new, remove, replace, settle, settle_dir, sync_dir, sync_parent, write_new};
pub use self::lock::lock;

/// Whether the last component of a path may be a symbolic link. Those before it always may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// For files that the operator names: certificates and secrets are often mounted as links.
    Follow,
    /// For files that the server makes itself: a link there is somebody else's work.
    Refuse,
}

/// Why a file was not opened or read. No variant names the path; callers do.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// A FIFO, a socket, a device or a directory lies there.
    #[error("it is no regular file")]
    NotRegular,
    /// A symbolic link lies where none is followed.
    #[error("it is a symbolic link")]
    Link,
    /// The file is longer than the caller takes.
    #[error("it is longer than {max_len_bytes} bytes")]
    TooLong {
        /// The most that the caller takes.
        max_len_bytes: u64,
    },
    /// The file is not UTF-8.
    #[error("it is not text in UTF-8")]
    NotText,
    /// The system failed, or there is no such file.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Opens a regular file for reading, and never blocks.
pub fn open(path: &Path, links: Links) -> Result<File, FileError> {
    open_with(OpenOptions::new().read(true), path, links)
}

/// Opens a regular file as `options` say, and never blocks. With `create` there need be no file yet.
///
/// Sets the custom flags of `options`.
pub fn open_with(options: &mut OpenOptions, path: &Path, links: Links) -> Result<File, FileError> {
    look_first(path, links)?;
    let mut flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    if links == Links::Refuse {
        flags |= OFlags::NOFOLLOW;
    }
    let file = options.custom_flags(flags.bits().cast_signed()).open(path).map_err(of_opening)?;
    // Again, for what was opened: something else may have taken its place since.
    check_regular(&file.metadata()?)?;
    Ok(file)
}

/// A whole file of at most `max_len_bytes` bytes, in a buffer that is wiped.
pub fn read(path: &Path, links: Links, max_len_bytes: u64) -> Result<Zeroizing<Vec<u8>>, FileError> {
    read_rest(&open(path, links)?, max_len_bytes)
}

/// As [`read`], for text.
pub fn read_text(path: &Path, links: Links, max_len_bytes: u64) -> Result<Zeroizing<String>, FileError> {
    text_of(read(path, links, max_len_bytes)?)
}

/// The rest of an open file, if that is at most `max_len_bytes` bytes, in a buffer that is wiped.
pub fn read_rest(file: &File, max_len_bytes: u64) -> Result<Zeroizing<Vec<u8>>, FileError> {
    // Room for the whole from the start, so that no copy stays behind when the buffer grows.
    let capacity = usize::try_from(file.metadata()?.len().min(max_len_bytes)).unwrap_or_default() + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(capacity));
    let len = file.take(max_len_bytes.saturating_add(1)).read_to_end(&mut bytes)?;
    if len as u64 > max_len_bytes { Err(FileError::TooLong { max_len_bytes }) } else { Ok(bytes) }
}

/// Text out of bytes; those that are none are wiped.
pub fn text_of(mut bytes: Zeroizing<Vec<u8>>) -> Result<Zeroizing<String>, FileError> {
    match String::from_utf8(std::mem::take(&mut *bytes)) {
        Ok(text) => Ok(Zeroizing::new(text)),
        Err(error) => {
            drop(Zeroizing::new(error.into_bytes()));
            Err(FileError::NotText)
        }
    }
}

impl From<FileError> for io::Error {
    fn from(error: FileError) -> Self {
        match error {
            FileError::Io(error) => error,
            FileError::NotRegular | FileError::Link => Self::new(io::ErrorKind::InvalidInput, error),
            FileError::TooLong { .. } | FileError::NotText => Self::new(io::ErrorKind::InvalidData, error),
        }
    }
}

/// Looks before it is opened: opening alone sets some devices off, such as a watchdog.
fn look_first(path: &Path, links: Links) -> Result<(), FileError> {
    let found = match links {
        Links::Follow => path.metadata(),
        Links::Refuse => path.symlink_metadata(),
    };
    match found {
        Ok(found) => check_regular(&found),
        // It may be about to be created; else opening it fails in the same way.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn check_regular(found: &Metadata) -> Result<(), FileError> {
    match found.file_type() {
        kind if kind.is_symlink() => Err(FileError::Link),
        kind if kind.is_file() => Ok(()),
        _ => Err(FileError::NotRegular),
    }
}

/// What took the file's place between the look and the opening shows in the error.
fn of_opening(error: io::Error) -> FileError {
    match Errno::from_io_error(&error) {
        Some(Errno::LOOP) => FileError::Link,
        Some(Errno::NXIO | Errno::ISDIR) => FileError::NotRegular,
        _ => FileError::Io(error),
    }
}
