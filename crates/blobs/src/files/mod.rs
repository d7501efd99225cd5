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
use std::thread::available_parallelism;

use async_trait::async_trait;
use strongroom_fair::FairSemaphore;

use crate::blocking::{failed, in_turn};
use crate::{BlobError, BlobId, BlobReader, BlobScan, BlobStore, BlobWriter};
use layout::Layout;
use listing::FileScan;
use part_file::PartFile;
use reader::FileReader;
use writer::FileWriter;

/// Blobs as files, each by its id in a directory of two levels: `root/4f/a/4fa3…`, and `4fa3….part` while it is being written.
/// Blobs that an earlier release put into `root/4f/4fa3…` are read and deleted there.
///
/// A blob is renamed once its last byte is written, and its directory is fsynced after the file: what bears the final
/// name is whole even if the process is killed at any instant, and one journal commit serves both fsyncs. (After a power
/// cut in the middle of [`BlobWriter::finish`] a short file may bear it; nothing refers to that blob yet, and
/// [`BlobStore::scan`] finds it, as it finds every `.part`.)
///
/// Directory fsyncs are not grouped here: two blobs rarely share one of 4,096 directories, and the journal groups them all.
/// Files have mode 0600, directories 0700. Every operation runs on tokio's blocking threads.
#[derive(Clone)]
pub struct FileBlobs {
    layout: Arc<Layout>,
    /// Operations of requests, which take turns. Listings, of which there is one at a time, need no permit.
    disk: FairSemaphore,
}

/// How many operations are at the disk at once, for each processor: enough to keep the disk busy where they wait for it, and so few that
/// where they do not, as they copy from the page cache, the threads of the catalog find a processor among them.
const AT_THE_DISK_PER_PROCESSOR: usize = 4;
const LEAST_AT_THE_DISK: usize = 8;

impl FileBlobs {
    /// Opens the store under `root`, making the directories that are missing. Blocks; call it at the start.
    pub fn open(root: PathBuf) -> Result<Self, BlobError> {
        Ok(Self { layout: Arc::new(Layout::prepare(root).map_err(failed)?), disk: FairSemaphore::new(at_the_disk()) })
    }

    /// How many times directories were read since the store was opened.
    #[cfg(any(test, feature = "testing"))]
    pub fn directory_reads(&self) -> u64 {
        self.layout.directory_reads()
    }
}

fn at_the_disk() -> usize {
    let processors = available_parallelism().map_or(1, usize::from);
    LEAST_AT_THE_DISK.max(AT_THE_DISK_PER_PROCESSOR * processors)
}

#[async_trait]
impl BlobStore for FileBlobs {
    async fn create(&self, id: BlobId) -> Result<Box<dyn BlobWriter>, BlobError> {
        let layout = Arc::clone(&self.layout);
        let part = in_turn(&self.disk, move || PartFile::create(layout, id)).await?;
        Ok(Box::new(FileWriter::new(part, self.disk.clone())))
    }

    async fn open(&self, id: BlobId) -> Result<Box<dyn BlobReader>, BlobError> {
        let (layout, disk) = (Arc::clone(&self.layout), self.disk.clone());
        let reader = in_turn(&self.disk, move || FileReader::open(&layout, id, disk)).await?;
        Ok(Box::new(reader))
    }

    /// Also removes what a broken write left. The entry's removal is not fsynced: a blob that is back after a power cut
    /// has no reference, and the sweep finds it.
    async fn delete(&self, id: BlobId) -> Result<(), BlobError> {
        let layout = Arc::clone(&self.layout);
        in_turn(&self.disk, move || {
            for path in [layout.blob(id), layout.part(id), layout.old_blob(id), layout.old_part(id)] {
                match std::fs::remove_file(path) {
                    Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
                    _ => {}
                }
            }
            Ok(())
        })
        .await
    }

    async fn scan(&self) -> Result<Box<dyn BlobScan>, BlobError> {
        Ok(Box::new(FileScan::new(Arc::clone(&self.layout))))
    }
}
