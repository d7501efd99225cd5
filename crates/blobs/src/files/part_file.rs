//! One blob while it is written: the file, and the duty to remove it. All of this blocks.

use std::fs::{File, remove_file, rename};
use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;
use std::sync::Arc;

use strongroom_files::sync_dir;

use crate::blocking::failed;
use crate::sys::start_write_back;
use crate::{BlobError, BlobId};

use super::layout::{Layout, Shelf};

/// So much is written between two starts of write-back: the final fsync of a large blob finds little left to do.
const WRITE_BACK_STEP_BYTES: u64 = 8 << 20;

/// The file of a blob that is being written. It is removed on the first error, and on drop unless it was kept.
pub(super) struct PartFile {
    id: BlobId,
    file: File,
    /// Where the file lies now, and where it goes.
    path: PathBuf,
    blob_path: PathBuf,
    directory: PathBuf,
    layout: Arc<Layout>,
    len_bytes: u64,
    written_back_bytes: u64,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Writing,
    Kept,
    Removed,
}

impl PartFile {
    /// Creates the file; it must exist neither in part nor finished, since ids are never used twice.
    pub(super) fn create(layout: Arc<Layout>, id: BlobId) -> Result<Self, BlobError> {
        let (path, blob_path) = (layout.part(id), layout.blob(id));
        if [&blob_path, &layout.old_blob(id), &layout.old_part(id)].iter().any(|path| path.symlink_metadata().is_ok()) {
            return Err(BlobError::Io(ErrorKind::AlreadyExists.into()));
        }
        let file = layout.create_part(id).map_err(failed)?;
        let directory = layout.shelf(Shelf::of(id));
        Ok(Self { id, file, path, blob_path, directory, layout, len_bytes: 0, written_back_bytes: 0, state: State::Writing })
    }

    /// Appends; on an error everything of the blob is removed.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), BlobError> {
        self.guarded(|part| {
            part.file.write_all(bytes)?;
            part.len_bytes += bytes.len() as u64;
            let fresh_bytes = part.len_bytes - part.written_back_bytes;
            if fresh_bytes >= WRITE_BACK_STEP_BYTES {
                start_write_back(&part.file, part.written_back_bytes, fresh_bytes);
                part.written_back_bytes = part.len_bytes;
            }
            Ok(())
        })
    }

    /// Gives the file its final name, makes data and entry durable, and returns the length in bytes. The file is still
    /// removed on drop until [`PartFile::keep`].
    pub(super) fn publish(&mut self) -> Result<u64, BlobError> {
        self.guarded(|part| {
            rename(&part.path, &part.blob_path)?;
            part.path.clone_from(&part.blob_path);
            part.file.sync_data()?;
            sync_dir(&part.directory)?;
            part.layout.sync_shelf(Shelf::of(part.id))?;
            Ok(part.len_bytes)
        })
    }

    /// From here on the file stays.
    pub(super) fn keep(&mut self) {
        if self.state == State::Writing {
            self.state = State::Kept;
        }
    }

    /// Removes the file, unless it was kept. What cannot be removed is left for the sweep.
    pub(super) fn remove(&mut self) {
        if self.state != State::Writing {
            return;
        }
        self.state = State::Removed;
        if let Err(error) = remove_file(&self.path)
            && error.kind() != ErrorKind::NotFound
        {
            tracing::warn!(blob = %self.id, %error, "an unfinished blob could not be removed; the sweep will find it");
        }
    }

    fn guarded<T>(&mut self, work: impl FnOnce(&mut Self) -> io::Result<T>) -> Result<T, BlobError> {
        if self.state != State::Writing {
            return Err(BlobError::Io(io::Error::other("the blob writer is spent")));
        }
        work(self).map_err(|error| {
            self.remove();
            failed(error)
        })
    }
}

impl Drop for PartFile {
    fn drop(&mut self) {
        self.remove();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn no_space_left_is_full_and_leaves_nothing() {
        let root = tempfile::tempdir().unwrap();
        let layout = Arc::new(Layout::prepare(root.path().join("blobs")).unwrap());
        let id = BlobId([7; 16]);
        let mut part = PartFile::create(Arc::clone(&layout), id).unwrap();
        assert!(layout.part(id).exists());

        // The device answers every write with ENOSPC, as a full disk does.
        part.file = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        assert!(matches!(part.append(b"sealed"), Err(BlobError::Full(error)) if error.raw_os_error() == Some(libc::ENOSPC)));
        assert!(!layout.part(id).exists());

        assert!(matches!(part.append(b"more"), Err(BlobError::Io(_))), "a writer is spent after an error");
        assert!(matches!(part.publish(), Err(BlobError::Io(_))));
        assert!(!layout.blob(id).exists());
    }

    #[test]
    fn a_failing_fsync_removes_the_renamed_file() {
        let root = tempfile::tempdir().unwrap();
        let layout = Arc::new(Layout::prepare(root.path().join("blobs")).unwrap());
        let id = BlobId([8; 16]);
        let mut part = PartFile::create(Arc::clone(&layout), id).unwrap();
        part.append(b"sealed").unwrap();
        part.directory = root.path().join("gone");
        assert!(matches!(part.publish(), Err(BlobError::Io(_))));
        assert!(!layout.part(id).exists());
        assert!(!layout.blob(id).exists());
    }

    #[test]
    fn a_part_published_but_not_kept_is_removed() {
        let root = tempfile::tempdir().unwrap();
        let layout = Arc::new(Layout::prepare(root.path().join("blobs")).unwrap());
        let id = BlobId([9; 16]);
        let mut part = PartFile::create(Arc::clone(&layout), id).unwrap();
        part.append(b"sealed").unwrap();
        assert_eq!(part.publish().unwrap(), 6);
        assert!(layout.blob(id).exists());
        drop(part);
        assert!(!layout.blob(id).exists());
    }
}
