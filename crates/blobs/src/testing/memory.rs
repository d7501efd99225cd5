//! The model: blobs in memory.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use strongroom_seal::SealedBytes;

use crate::{BlobError, BlobId, BlobReader, BlobScan, BlobStore, BlobWriter, ListedBlob};

/// Blobs in memory, with the visibility rules of the real ones and no durability.
#[derive(Clone, Default)]
pub struct MemoryBlobs {
    blobs: Arc<Mutex<BTreeMap<BlobId, Entry>>>,
}

struct Entry {
    /// `None` is a blob that is being written, or the leftover of one.
    bytes: Option<Bytes>,
    modified: SystemTime,
}

impl Entry {
    fn now(bytes: Option<Bytes>) -> Self {
        Self { bytes, modified: SystemTime::now() }
    }
}

impl MemoryBlobs {
    /// The bytes of a finished blob.
    pub fn bytes(&self, id: BlobId) -> Option<Bytes> {
        self.lock().get(&id)?.bytes.clone()
    }

    /// Replaces the bytes of a finished blob, as somebody with access to the disk could.
    pub fn tamper(&self, id: BlobId, bytes: impl Into<Bytes>) {
        let before = self.lock().insert(id, Entry::now(Some(bytes.into())));
        assert!(before.is_some_and(|before| before.bytes.is_some()), "only a finished blob can be tampered with");
    }

    /// Has a blob, or the leftover of one, have been written at another time.
    pub fn set_modified(&self, id: BlobId, modified: SystemTime) {
        self.lock().get_mut(&id).expect("there is such a blob").modified = modified;
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<BlobId, Entry>> {
        self.blobs.lock().unwrap()
    }
}

#[async_trait]
impl BlobStore for MemoryBlobs {
    async fn create(&self, id: BlobId) -> Result<Box<dyn BlobWriter>, BlobError> {
        let mut blobs = self.lock();
        if blobs.contains_key(&id) {
            return Err(BlobError::Io(ErrorKind::AlreadyExists.into()));
        }
        blobs.insert(id, Entry::now(None));
        Ok(Box::new(MemoryWriter { store: self.clone(), id, written: BytesMut::new(), finished: false }))
    }

    async fn open(&self, id: BlobId) -> Result<Box<dyn BlobReader>, BlobError> {
        let bytes = self.bytes(id).ok_or(BlobError::Missing(id))?;
        Ok(Box::new(MemoryReader { id, bytes }))
    }

    async fn delete(&self, id: BlobId) -> Result<(), BlobError> {
        self.lock().remove(&id);
        Ok(())
    }

    async fn scan(&self) -> Result<Box<dyn BlobScan>, BlobError> {
        Ok(Box::new(MemoryScan { store: self.clone(), after: Bound::Unbounded }))
    }
}

/// Blobs of one batch.
const BATCH: usize = 256;

struct MemoryScan {
    store: MemoryBlobs,
    after: Bound<BlobId>,
}

#[async_trait]
impl BlobScan for MemoryScan {
    async fn next(&mut self) -> Result<Vec<ListedBlob>, BlobError> {
        let batch: Vec<ListedBlob> = {
            let blobs = self.store.lock();
            let left = blobs.range((self.after, Bound::Unbounded)).take(BATCH);
            left.map(|(id, entry)| ListedBlob { id: *id, modified: entry.modified }).collect()
        };
        self.after = batch.last().map_or(self.after, |last| Bound::Excluded(last.id));
        Ok(batch)
    }
}

struct MemoryWriter {
    store: MemoryBlobs,
    id: BlobId,
    written: BytesMut,
    finished: bool,
}

#[async_trait]
impl BlobWriter for MemoryWriter {
    async fn write(&mut self, sealed: SealedBytes) -> Result<(), BlobError> {
        self.written.extend_from_slice(sealed.as_slice());
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<u64, BlobError> {
        let bytes = std::mem::take(&mut self.written).freeze();
        let len_bytes = bytes.len() as u64;
        match self.store.lock().get_mut(&self.id) {
            Some(entry) => *entry = Entry::now(Some(bytes)),
            None => return Err(BlobError::Io(io::Error::from(ErrorKind::NotFound))),
        }
        self.finished = true;
        Ok(len_bytes)
    }
}

impl Drop for MemoryWriter {
    fn drop(&mut self) {
        if !self.finished {
            self.store.lock().remove(&self.id);
        }
    }
}

struct MemoryReader {
    id: BlobId,
    bytes: Bytes,
}

#[async_trait]
impl BlobReader for MemoryReader {
    async fn read(&self, offset_bytes: u64, len_bytes: usize) -> Result<BytesMut, BlobError> {
        let start = usize::try_from(offset_bytes).unwrap_or(usize::MAX);
        let range = start..start.saturating_add(len_bytes);
        match self.bytes.get(range) {
            Some(bytes) => Ok(bytes.into()),
            None if len_bytes == 0 => Ok(BytesMut::new()),
            None => Err(BlobError::Short { id: self.id, len_bytes: self.bytes.len() as u64 }),
        }
    }
}
