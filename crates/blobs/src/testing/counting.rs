//! Counts what passes through a blob store.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::BytesMut;
use strongroom_seal::SealedBytes;

use crate::{BlobError, BlobId, BlobReader, BlobScan, BlobStore, BlobWriter, ListedBlob};

/// What has passed through a [`CountingBlobs`]; only what succeeded counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Blobs begun.
    pub created: u64,
    /// Blobs finished.
    pub finished: u64,
    /// Blobs opened for reading.
    pub opened: u64,
    /// Calls of [`BlobReader::read`].
    pub reads: u64,
    /// Calls of [`BlobStore::delete`].
    pub deleted: u64,
    /// Blobs that scans found.
    pub scanned: u64,
    /// Sealed bytes that were read.
    pub bytes_read: u64,
    /// Sealed bytes that were written.
    pub bytes_written: u64,
}

/// Counts blobs and bytes on their way to and from another store.
#[derive(Clone)]
pub struct CountingBlobs {
    inner: Arc<dyn BlobStore>,
    tally: Arc<Tally>,
}

#[derive(Default)]
struct Tally {
    created: AtomicU64,
    finished: AtomicU64,
    opened: AtomicU64,
    reads: AtomicU64,
    deleted: AtomicU64,
    scanned: AtomicU64,
    bytes_read: AtomicU64,
    bytes_written: AtomicU64,
    opened_ids: Mutex<Vec<BlobId>>,
}

impl CountingBlobs {
    /// Counts what passes to and from `inner`, from zero.
    pub fn new(inner: Arc<dyn BlobStore>) -> Self {
        Self { inner, tally: Arc::default() }
    }

    /// The counts since the start, or since [`CountingBlobs::reset`].
    pub fn counts(&self) -> Counts {
        self.read_all(|counter| counter.load(Relaxed))
    }

    /// The blobs that were opened, in order, one entry for each time.
    pub fn opened_ids(&self) -> Vec<BlobId> {
        self.tally.opened_ids.lock().unwrap().clone()
    }

    /// Returns the counts and begins again at zero.
    pub fn reset(&self) -> Counts {
        self.tally.opened_ids.lock().unwrap().clear();
        self.read_all(|counter| counter.swap(0, Relaxed))
    }

    fn read_all(&self, value: impl Fn(&AtomicU64) -> u64) -> Counts {
        let Tally { created, finished, opened, reads, deleted, scanned, bytes_read, bytes_written, opened_ids: _ } = &*self.tally;
        Counts {
            created: value(created),
            finished: value(finished),
            opened: value(opened),
            reads: value(reads),
            deleted: value(deleted),
            scanned: value(scanned),
            bytes_read: value(bytes_read),
            bytes_written: value(bytes_written),
        }
    }
}

#[async_trait]
impl BlobStore for CountingBlobs {
    async fn create(&self, id: BlobId) -> Result<Box<dyn BlobWriter>, BlobError> {
        let inner = self.inner.create(id).await?;
        self.tally.created.fetch_add(1, Relaxed);
        Ok(Box::new(CountingWriter { inner, tally: Arc::clone(&self.tally) }))
    }

    async fn open(&self, id: BlobId) -> Result<Box<dyn BlobReader>, BlobError> {
        let inner = self.inner.open(id).await?;
        self.tally.opened.fetch_add(1, Relaxed);
        self.tally.opened_ids.lock().unwrap().push(id);
        Ok(Box::new(CountingReader { inner, tally: Arc::clone(&self.tally) }))
    }

    async fn delete(&self, id: BlobId) -> Result<(), BlobError> {
        self.inner.delete(id).await?;
        self.tally.deleted.fetch_add(1, Relaxed);
        Ok(())
    }

    async fn scan(&self) -> Result<Box<dyn BlobScan>, BlobError> {
        let inner = self.inner.scan().await?;
        Ok(Box::new(CountingScan { inner, tally: Arc::clone(&self.tally) }))
    }
}

struct CountingScan {
    inner: Box<dyn BlobScan>,
    tally: Arc<Tally>,
}

#[async_trait]
impl BlobScan for CountingScan {
    async fn next(&mut self) -> Result<Vec<ListedBlob>, BlobError> {
        let found = self.inner.next().await?;
        self.tally.scanned.fetch_add(found.len() as u64, Relaxed);
        Ok(found)
    }
}

struct CountingWriter {
    inner: Box<dyn BlobWriter>,
    tally: Arc<Tally>,
}

#[async_trait]
impl BlobWriter for CountingWriter {
    async fn write(&mut self, sealed: SealedBytes) -> Result<(), BlobError> {
        let len_bytes = sealed.len() as u64;
        self.inner.write(sealed).await?;
        self.tally.bytes_written.fetch_add(len_bytes, Relaxed);
        Ok(())
    }

    async fn finish(self: Box<Self>) -> Result<u64, BlobError> {
        let len_bytes = self.inner.finish().await?;
        self.tally.finished.fetch_add(1, Relaxed);
        Ok(len_bytes)
    }
}

struct CountingReader {
    inner: Box<dyn BlobReader>,
    tally: Arc<Tally>,
}

#[async_trait]
impl BlobReader for CountingReader {
    async fn read(&self, offset_bytes: u64, len_bytes: usize) -> Result<BytesMut, BlobError> {
        let bytes = self.inner.read(offset_bytes, len_bytes).await?;
        self.tally.reads.fetch_add(1, Relaxed);
        self.tally.bytes_read.fetch_add(bytes.len() as u64, Relaxed);
        Ok(bytes)
    }
}
