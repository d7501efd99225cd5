//! From sealed bytes to a reply: the one way out. Only the chunks of the range are read and opened, and no byte leaves
//! before its chunk was authenticated.

use std::{collections::VecDeque, sync::Arc};

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, stream};
use strongroom_blobs::{BlobError, BlobId, BlobReader};
use strongroom_catalog::{VersionId, VersionSelector};
use strongroom_fair::ForTenant;
use strongroom_seal::{BLOB_HEADER_LEN, CHUNK_LEN, Layers, Manifest, ManifestPart, ObjectKeys, PartOpener, PartRange, SealError};
use sync_wrapper::SyncStream;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinHandle,
};

use crate::{
    Engine, Error,
    api::ReplyStream,
    budget::{Budget, Held},
    in_use::Hold,
};

/// The most chunks that one read of a blob fetches.
const MAX_BLOCK_CHUNKS: u64 = 8;
/// What a reader keeps of each part of its object beside the bytes: its line of the manifest, its piece, its hold.
const PART_COST_BYTES: usize = 128;
/// What a part that shares a blob has more: its sealed keys.
const SHARED_COST_BYTES: usize = 256;

/// The memory that reading an object needs: its inline bytes or one chunk, and what is known of its parts.
pub(crate) fn minimum(manifest: &Manifest, inline: Option<&[u8]>) -> usize {
    let chunk = usize::try_from(manifest.total_len()).unwrap_or(usize::MAX).min(CHUNK_LEN) + Layers::Two.overhead_bytes();
    let cost = |part: &ManifestPart| PART_COST_BYTES + if part.shared.is_some() { SHARED_COST_BYTES } else { 0 };
    let parts: usize = manifest.parts().iter().skip(1).map(cost).sum();
    inline.map_or(chunk, |inline| inline.len().max(chunk)) + parts
}

/// An object whose keys are open.
pub(crate) struct Opened {
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) version_id: VersionId,
    pub(crate) keys: ObjectKeys,
    pub(crate) manifest: Manifest,
    /// The sealed bytes of a small object.
    pub(crate) inline: Option<Vec<u8>>,
}

impl Engine {
    /// The plaintext of `len` bytes from `offset`. The first chunk is read and authenticated before this returns, so that damage
    /// there is an error and not a broken reply. Later damage ends the stream with an error, and is counted here.
    ///
    /// `memory` is at least [`minimum`]. Where there is no more than that, a chunk is read when the one before was dropped: whoever
    /// keeps chunks while waiting for the next waits for ever.
    pub(crate) async fn open_stream(self: &Arc<Self>, opened: Opened, offset: u64, len: u64, memory: Held) -> Result<ReplyStream, Error> {
        let hold = self.in_use().hold(blobs_of(&opened.manifest, offset, len));
        let pieces = pieces(&opened.manifest, offset, len);
        if pieces.len() > 1 {
            self.check_still_there(&opened).await?;
        }
        let memory = Memory { budget: self.budget().clone(), minimum: Arc::new(memory), seat: Arc::new(Semaphore::new(1)) };
        let mut reader = ObjectReader { engine: Arc::clone(self), opened, pieces, part: None, memory, hold };
        let first = reader.next().await?;
        let rest = stream::try_unfold(reader, |mut reader| async move {
            match reader.next().await {
                Ok(next) => Ok(next.map(|bytes| (bytes, reader))),
                Err(error) => Err(reader.engine.integrity().note(error, &reader.opened.bucket, &reader.opened.key)),
            }
        });
        let first = stream::iter(first.filter(|bytes| !bytes.is_empty()).map(Ok));
        Ok(Box::pin(SyncStream::new(first.chain(rest))))
    }
}

impl Engine {
    /// Whether the version still is there, after its blobs are held: then none of them was dead before, and none is swept from now on.
    /// Without this a blob may be gone that the reply comes to much later. Of a single blob the first chunk tells.
    async fn check_still_there(&self, opened: &Opened) -> Result<(), Error> {
        let found = self.catalog().find_version(&opened.bucket, &opened.key, VersionSelector::Id(opened.version_id)).await?;
        let gone = || Error::Integrity("its version was removed while it was being opened".into());
        found.and_then(|(_, version)| version).map(drop).ok_or_else(gone)
    }
}

/// The pieces to open, in order. An empty object has one too: its empty chunk proves that it is empty.
fn pieces(manifest: &Manifest, offset: u64, len: u64) -> VecDeque<PartRange> {
    if manifest.total_len() == 0 && !manifest.parts().is_empty() {
        return VecDeque::from([PartRange { index: 0, offset: 0, len: 0 }]);
    }
    manifest.locate(offset, len).collect()
}

fn blobs_of(manifest: &Manifest, offset: u64, len: u64) -> Vec<BlobId> {
    let parts = pieces(manifest, offset, len).into_iter().map(|piece| &manifest.parts()[piece.index]);
    parts.filter(|part| !part.is_inline()).map(|part| part.blob).collect()
}

/// Reads an object's pieces one after the other.
struct ObjectReader {
    engine: Arc<Engine>,
    opened: Opened,
    pieces: VecDeque<PartRange>,
    part: Option<PartReader>,
    memory: Memory,
    /// Of the blobs of this piece and of those after it, in their order.
    hold: Hold,
}

impl ObjectReader {
    /// The next plaintext bytes, none at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            if let Some(part) = &mut self.part {
                if let Some(bytes) = part.next().await? {
                    return Ok(Some(bytes));
                }
                self.part = None;
                self.hold.release_first();
            }
            match self.pieces.pop_front() {
                Some(piece) => self.part = Some(self.open_part(piece).await?),
                None => return Ok(None),
            }
        }
    }

    async fn open_part(&mut self, piece: PartRange) -> Result<PartReader, Error> {
        let part = &self.opened.manifest.parts()[piece.index];
        let opener = PartOpener::of(&self.opened.keys, part).map_err(damaged)?;
        let blob = (!part.is_inline()).then_some(part.blob);
        let source = self.source(blob).await?;
        PartReader::new(opener, source, piece, self.memory.clone())
    }

    async fn source(&mut self, blob: Option<BlobId>) -> Result<Source, Error> {
        let Some(blob) = blob else {
            let missing = || Error::Integrity("its inline bytes are missing".into());
            return Ok(Source::Inline(self.opened.inline.take().ok_or_else(missing)?));
        };
        Ok(Source::Blob(Arc::from(self.engine.blobs().open(blob).await?)))
    }
}

enum Source {
    Inline(Vec<u8>),
    Blob(Arc<dyn BlobReader>),
}

/// Reads one piece of a part, chunk by chunk.
struct PartReader {
    opener: PartOpener,
    source: Source,
    memory: Memory,
    /// The next chunk to open, and the one after the last.
    next_chunk: u64,
    end_chunk: u64,
    /// The next chunk to read from the blob, and where it begins.
    next_read: u64,
    read_offset: u64,
    block: Block,
    ahead: Option<JoinHandle<Result<Block, BlobError>>>,
    /// The chunk after the first half of the block.
    ahead_from: u64,
    check_header: bool,
    skip: u64,
    take: u64,
}

impl PartReader {
    fn new(opener: PartOpener, source: Source, piece: PartRange, memory: Memory) -> Result<Self, Error> {
        let span = opener.layout().span(piece.offset, piece.len);
        let mut reader = Self {
            source,
            block: Block { sealed: BytesMut::new(), lease: memory.minimum() },
            memory,
            next_chunk: span.first_chunk,
            end_chunk: span.first_chunk + span.chunk_count,
            next_read: span.first_chunk,
            read_offset: span.sealed_offset,
            ahead: None,
            ahead_from: span.first_chunk,
            // The header lies before the first chunk: it is checked whenever that is read, at no cost.
            check_header: span.first_chunk == 0,
            skip: span.skip,
            take: span.take,
            opener,
        };
        if reader.check_header {
            reader.read_offset -= BLOB_HEADER_LEN as u64;
        }
        reader.take_inline()?;
        Ok(reader)
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        if self.next_chunk == self.end_chunk {
            return Ok(None);
        }
        if self.block.sealed.is_empty() {
            self.fill().await?;
        }
        let chunk = self.next_chunk;
        let sealed_len = self.opener.layout().sealed_chunk_len(chunk);
        if self.block.sealed.len() < sealed_len {
            return Err(Error::Integrity(format!("chunk {chunk} is cut")));
        }
        let mut plain = self.opener.open_chunk(chunk, self.block.sealed.split_to(sealed_len)).map_err(damaged)?;
        self.next_chunk += 1;
        self.read_ahead();
        let skip = std::mem::take(&mut self.skip).min(plain.len() as u64);
        let take = self.take.min(plain.len() as u64 - skip);
        self.take -= take;
        // Both are within the chunk's length.
        let (skip, take) = (usize::try_from(skip).unwrap_or(0), usize::try_from(take).unwrap_or(0));
        plain = plain.slice(skip..skip + take);
        Ok(Some(self.block.lease.attach(plain)))
    }

    /// Gets the next block: the one that was read ahead, or as much as there is memory for now.
    async fn fill(&mut self) -> Result<(), Error> {
        let Source::Blob(blob) = &self.source else {
            return Err(Error::Integrity(format!("chunk {} is missing", self.next_chunk)));
        };
        let blob = Arc::clone(blob);
        // The block before goes first: it may be what the next one waits for.
        self.block = Block::default();
        self.block = if let Some(ahead) = self.ahead.take() {
            ahead.await.map_err(|error| Error::Internal(error.into()))??
        } else {
            let (chunks, lease) = match self.memory.spare(self.end_chunk - self.next_read) {
                Some(spare) => spare,
                None => (1, self.memory.seat().await?),
            };
            let (offset, len) = self.next_extent(chunks);
            Block { sealed: blob.read(offset, len).await?, lease }
        };
        if std::mem::take(&mut self.check_header) {
            let header = self.block.sealed.split_to(BLOB_HEADER_LEN);
            self.opener.check_header(&header).map_err(damaged)?;
        }
        self.ahead_from = self.next_chunk + (self.next_read - self.next_chunk).div_ceil(2);
        Ok(())
    }

    /// Begins to read the next block once half of the present one was taken, if the budget can spare it: for a peer that takes nothing
    /// nothing is read.
    fn read_ahead(&mut self) {
        let Source::Blob(blob) = &self.source else { return };
        if self.ahead.is_some() || self.next_read == self.end_chunk || self.next_chunk < self.ahead_from {
            return;
        }
        let Some((chunks, lease)) = self.memory.spare(self.end_chunk - self.next_read) else { return };
        let blob = Arc::clone(blob);
        let (offset, len) = self.next_extent(chunks);
        self.ahead = Some(tokio::spawn(ForTenant::current(async move { Ok(Block { sealed: blob.read(offset, len).await?, lease }) })));
    }

    /// Offset and length of the next chunks, which are going to be read.
    fn next_extent(&mut self, chunks: u64) -> (u64, usize) {
        let end = self.end_chunk.min(self.next_read + chunks);
        let chunks_len: usize = (self.next_read..end).map(|chunk| self.opener.layout().sealed_chunk_len(chunk)).sum();
        let header_len = if self.check_header { BLOB_HEADER_LEN } else { 0 };
        let (offset, len) = (self.read_offset, header_len + chunks_len);
        self.next_read = end;
        self.read_offset += len as u64;
        (offset, len)
    }

    fn take_inline(&mut self) -> Result<(), Error> {
        let Source::Inline(sealed) = &mut self.source else {
            return Ok(());
        };
        if sealed.len() as u64 != self.opener.layout().sealed_len() {
            return Err(Error::Integrity("its inline bytes are cut".into()));
        }
        let mut sealed = BytesMut::from(Bytes::from(std::mem::take(sealed)));
        self.opener.check_header(&sealed[..BLOB_HEADER_LEN]).map_err(damaged)?;
        drop(sealed.split_to(BLOB_HEADER_LEN));
        for chunk in 0..self.next_chunk {
            drop(sealed.split_to(self.opener.layout().sealed_chunk_len(chunk)));
        }
        self.check_header = false;
        self.block.sealed = sealed;
        Ok(())
    }
}

/// Sealed bytes read and not opened yet, and the memory that they and the chunks opened of them take.
#[derive(Default)]
struct Block {
    sealed: BytesMut,
    lease: Lease,
}

/// What a reader may take of the budget.
#[derive(Clone)]
struct Memory {
    budget: Budget,
    minimum: Arc<Held>,
    /// Taken while the one chunk lives that the minimum is for.
    seat: Arc<Semaphore>,
}

impl Memory {
    /// The minimum, for the bytes that are there from the start.
    fn minimum(&self) -> Lease {
        Lease { held: Some(Arc::clone(&self.minimum)), seat: None }
    }

    /// Memory for a block of up to `chunks`, and how many it is for. A single chunk fits the minimum as well, if that is free.
    fn spare(&self, chunks: u64) -> Option<(u64, Lease)> {
        let mut chunks = chunks.min(MAX_BLOCK_CHUNKS);
        if chunks == 1
            && let Ok(seat) = Arc::clone(&self.seat).try_acquire_owned()
        {
            return Some((1, Lease { held: Some(Arc::clone(&self.minimum)), seat: Some(seat) }));
        }
        while chunks > 0 {
            if let Some(held) = self.budget.spare(block_len(chunks)) {
                return Some((chunks, Lease { held: Some(Arc::new(held)), seat: None }));
            }
            chunks /= 2;
        }
        None
    }

    /// The minimum, once the chunk before was dropped.
    async fn seat(&self) -> Result<Lease, Error> {
        let seat = Arc::clone(&self.seat).acquire_owned().await.map_err(|error| Error::Internal(error.into()))?;
        Ok(Lease { held: Some(Arc::clone(&self.minimum)), seat: Some(seat) })
    }
}

fn block_len(chunks: u64) -> usize {
    let chunk_len = CHUNK_LEN + Layers::Two.overhead_bytes();
    usize::try_from(chunks).unwrap_or(usize::MAX).saturating_mul(chunk_len) + BLOB_HEADER_LEN
}

/// The memory of a block, held until the block and all chunks of it are gone.
#[derive(Default)]
struct Lease {
    held: Option<Arc<Held>>,
    seat: Option<OwnedSemaphorePermit>,
}

impl Lease {
    /// The chunk, which holds the memory for as long as somebody has it: it may wait long for a slow peer.
    fn attach(&mut self, chunk: Bytes) -> Bytes {
        Bytes::from_owner(LeasedChunk { chunk, _lease: Self { held: self.held.clone(), seat: self.seat.take() } })
    }
}

struct LeasedChunk {
    chunk: Bytes,
    _lease: Lease,
}

impl AsRef<[u8]> for LeasedChunk {
    fn as_ref(&self) -> &[u8] {
        &self.chunk
    }
}

impl Drop for PartReader {
    fn drop(&mut self) {
        if let Some(ahead) = &self.ahead {
            ahead.abort();
        }
    }
}

// By value, so that it fits map_err.
#[allow(clippy::needless_pass_by_value)]
pub(crate) fn damaged(error: SealError) -> Error {
    Error::Integrity(error.to_string())
}
