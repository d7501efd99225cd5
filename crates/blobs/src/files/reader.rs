//! Reads one file at any offset.

use std::fs::File;
use std::io::ErrorKind;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::BytesMut;
use strongroom_fair::FairSemaphore;
use strongroom_files::{FileError, Links};

use crate::blocking::{failed, in_turn};
use crate::sys::read_at;
use crate::{BlobError, BlobId, BlobReader};

use super::layout::Layout;

/// An open file: it stays readable after the blob is deleted.
pub(super) struct FileReader {
    id: BlobId,
    file: Arc<File>,
    disk: FairSemaphore,
}

impl FileReader {
    /// Opens a finished blob. Works on the disk, but never waits for what somebody put in the file's place.
    pub(super) fn open(layout: &Layout, id: BlobId, disk: FairSemaphore) -> Result<Self, BlobError> {
        let opened = match strongroom_files::open(&layout.blob(id), Links::Refuse) {
            Err(FileError::Io(error)) if error.kind() == ErrorKind::NotFound => strongroom_files::open(&layout.old_blob(id), Links::Refuse),
            opened => opened,
        };
        match opened {
            Ok(file) => Ok(Self { id, file: Arc::new(file), disk }),
            Err(FileError::Io(error)) if error.kind() == ErrorKind::NotFound => Err(BlobError::Missing(id)),
            Err(FileError::NotRegular | FileError::Link) => Err(BlobError::NotAFile(id)),
            Err(error) => Err(failed(error.into())),
        }
    }
}

#[async_trait]
impl BlobReader for FileReader {
    async fn read(&self, offset_bytes: u64, len_bytes: usize) -> Result<BytesMut, BlobError> {
        let (id, file) = (self.id, Arc::clone(&self.file));
        in_turn(&self.disk, move || {
            let mut out = BytesMut::new();
            read_at(&file, offset_bytes, len_bytes, &mut out).map_err(failed)?;
            if out.len() == len_bytes {
                return Ok(out);
            }
            let len_bytes = file.metadata().map_err(failed)?.len();
            Err(BlobError::Short { id, len_bytes })
        })
        .await
    }
}
