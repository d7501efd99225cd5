//! Blobs as files of the local disk.

mod layout;
mod listing;
mod part_file;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;

use crate::blocking::{blocking, failed};
use crate::{BlobError, BlobId, BlobReader, BlobStore, BlobWriter, ListedBlob};
use layout::Layout;
use part_file::PartFile;
use reader::FileReader;
use writer::FileWriter;

/// Blobs as files, each by its id in one of 256 directories: `root/4f/4f…`, and `4f….part` while it is being written.
///
/// A blob is renamed once its last byte is written, and its directory is fsynced after the file: what bears the final
/// name is whole even if the process is killed at any instant, and one journal commit serves both fsyncs. (After a power
/// cut in the middle of [`BlobWriter::finish`] a short file may bear it; nothing refers to that blob yet, and
/// [`BlobStore::list`] finds it, as it finds every `.part`.)
///
/// Directory fsyncs are not grouped here: two blobs rarely share one of 256 directories, and the journal groups them all.
/// Files have mode 0600, directories 0700. Every operation runs on tokio's blocking threads.
#[derive(Clone)]
pub struct FileBlobs {
    layout: Arc<Layout>,
}

impl FileBlobs {
    /// Opens the store under `root`, making the directories that are missing. Blocks; call it at the start.
    pub fn open(root: PathBuf) -> Result<Self, BlobError> {
        Ok(Self { layout: Arc::new(Layout::prepare(root).map_err(failed)?) })
    }
}

#[async_trait]
impl BlobStore for FileBlobs {
    async fn create(&self, id: BlobId) -> Result<Box<dyn BlobWriter>, BlobError> {
        let layout = Arc::clone(&self.layout);
        let part = blocking(move || PartFile::create(&layout, id)).await?;
        Ok(Box::new(FileWriter::new(part)))
    }

    async fn open(&self, id: BlobId) -> Result<Box<dyn BlobReader>, BlobError> {
        let layout = Arc::clone(&self.layout);
        let reader = blocking(move || FileReader::open(&layout, id)).await?;
        Ok(Box::new(reader))
    }

    /// Also removes what a broken write left. The entry's removal is not fsynced: a blob that is back after a power cut
    /// has no reference, and the sweep finds it.
    async fn delete(&self, id: BlobId) -> Result<(), BlobError> {
        let layout = Arc::clone(&self.layout);
        blocking(move || {
            for path in [layout.blob(id), layout.part(id)] {
                match std::fs::remove_file(path) {
                    Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
                    _ => {}
                }
            }
            Ok(())
        })
        .await
    }

    async fn list(&self, after: Option<BlobId>, limit: usize) -> Result<Vec<ListedBlob>, BlobError> {
        let layout = Arc::clone(&self.layout);
        blocking(move || listing::list(&layout, after, limit).map_err(failed)).await
    }
}
