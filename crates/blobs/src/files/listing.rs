//! One pass over the directories of a store. Each directory is read once.
#![expect(clippy::similar_names, reason = "a shelf is not self")]

use std::fs::{ReadDir, read_dir, symlink_metadata};
use std::io::{self, ErrorKind};
use std::mem;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;

use super::layout::{Layout, Name, Shelf};
use crate::blocking::{blocking, failed};
use crate::{BlobError, BlobScan, ListedBlob};

/// Blobs in one batch.
const BATCH: usize = 256;

/// Hands the walk to a blocking thread and back.
pub(super) struct FileScan {
    /// None after a batch failed or was abandoned.
    walk: Option<Walk>,
}

impl FileScan {
    pub(super) fn new(layout: Arc<Layout>) -> Self {
        Self { walk: Some(Walk { layout, firsts: 0..=u8::MAX, shelves: Vec::new(), open: None }) }
    }
}

#[async_trait]
impl BlobScan for FileScan {
    async fn next(&mut self) -> Result<Vec<ListedBlob>, BlobError> {
        let Some(mut walk) = self.walk.take() else { return Err(BlobError::Io(io::Error::other("the scan is spent"))) };
        let (walk, batch) = blocking(move || {
            let batch = walk.batch().map_err(failed)?;
            Ok((walk, batch))
        })
        .await?;
        self.walk = Some(walk);
        Ok(batch)
    }
}

/// The position of a pass.
struct Walk {
    layout: Arc<Layout>,
    /// The directories of the first level that are still to come.
    firsts: RangeInclusive<u8>,
    /// The shelves of the current one that are still to come: 16 at most.
    shelves: Vec<Shelf>,
    open: Option<(Place, ReadDir)>,
}

/// The directory that is being read.
#[derive(Clone, Copy)]
enum Place {
    /// A directory of the first level, with blobs of earlier releases, and the shelves.
    First(u8),
    Shelf(Shelf),
}

impl Walk {
    fn batch(&mut self) -> io::Result<Vec<ListedBlob>> {
        let mut batch = Vec::with_capacity(BATCH);
        while batch.len() < BATCH {
            let Some((place, entries)) = &mut self.open else {
                if self.open_next()? {
                    continue;
                }
                break;
            };
            let Some(entry) = entries.next().transpose()? else {
                self.open = None;
                continue;
            };
            let (place, name) = (*place, entry.file_name());
            match (place, name.to_str().and_then(Name::parse)) {
                (Place::First(first), Some(Name::Shelf(second))) => self.shelves.push(Shelf { first, second }),
                (_, Some(Name::Blob(id))) if place.holds(Shelf::of(id)) => {
                    // If the blob has another file, too, the newer of the two counts.
                    let own = symlink_metadata(entry.path());
                    let other = symlink_metadata(entry.path().with_file_name(Name::other_of(id, &name)));
                    if let Some(modified) = newest(own)?.max(newest(other)?) {
                        batch.push(ListedBlob { id, modified });
                    }
                }
                _ => {}
            }
        }
        Ok(batch)
    }

    /// Opens the next directory. False if there is none.
    fn open_next(&mut self) -> io::Result<bool> {
        let shelves = mem::take(&mut self.shelves);
        let (next, rest) = match shelves.split_last() {
            Some((shelf, rest)) => (Some(Place::Shelf(*shelf)), rest.to_vec()),
            None => (self.firsts.next().map(Place::First), Vec::new()),
        };
        self.shelves = rest;
        let Some(place) = next else { return Ok(false) };
        let directory = match place {
            Place::First(first) => self.layout.first(first),
            Place::Shelf(shelf) => self.layout.shelf(shelf),
        };
        #[cfg(any(test, feature = "testing"))]
        self.layout.count_directory_read();
        self.open = match (read_dir(directory), place) {
            // Anything that is no directory is not the server's. A shelf may have been removed meanwhile.
            (Err(error), Place::Shelf(_)) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => None,
            (entries, _) => Some((place, entries?)),
        };
        Ok(true)
    }
}

impl Place {
    /// Whether a blob of that shelf belongs here. A file in another place is not the server's.
    fn holds(self, shelf: Shelf) -> bool {
        match self {
            Self::First(first) => shelf.first == first,
            Self::Shelf(own) => shelf == own,
        }
    }
}

/// None for a file that has gone meanwhile.
fn newest(metadata: io::Result<std::fs::Metadata>) -> io::Result<Option<SystemTime>> {
    match metadata.and_then(|metadata| metadata.modified()) {
        Ok(modified) => Ok(Some(modified)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
