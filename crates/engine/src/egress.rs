//! From sealed bytes to a reply: the one way out. Only the chunks of the range are read and opened, and no byte leaves
//! before its chunk was authenticated.

use std::{collections::VecDeque, sync::Arc};

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, stream};
use strongroom_blobs::{BlobError, BlobId, BlobReader};
use strongroom_seal::{BLOB_HEADER_LEN, Manifest, ManifestPart, ObjectKeys, PartOpener, PartRange, SealError};
use sync_wrapper::SyncStream;
use tokio::task::JoinHandle;

use crate::{Engine, Error, api::ReplyStream, in_use::Hold};

/// How many chunks one read of a blob fetches. One such block is sent while the next is being read.
const CHUNKS_PER_READ: u64 = 8;

/// An object whose keys are open.
pub(crate) struct Opened {
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) keys: ObjectKeys,
    pub(crate) manifest: Manifest,
    /// The sealed bytes of a small object.
    pub(crate) inline: Option<Vec<u8>>,
}

impl Engine {
    /// The plaintext of `len` bytes from `offset`. The first chunk is read and authenticated before this returns, so that damage
    /// there is an error and not a broken reply. Later damage ends the stream with an error, and is counted here.
    pub(crate) async fn open_stream(self: &Arc<Self>, opened: Opened, offset: u64, len: u64) -> Result<ReplyStream, Error> {
        let hold = self.in_use().hold(blobs_of(&opened.manifest, offset, len));
        let pieces = pieces(&opened.manifest, offset, len);
        let mut reader = ObjectReader { engine: Arc::clone(self), opened, pieces, part: None, _hold: hold };
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

/// The pieces to open, in order. An empty object has one too: its empty chunk proves that it is empty.
fn pieces(manifest: &Manifest, offset: u64, len: u64) -> VecDeque<PartRange> {
    if manifest.total_len() == 0 && !manifest.parts().is_empty() {
        return VecDeque::from([PartRange { index: 0, offset: 0, len: 0 }]);
    }
    manifest.locate(offset, len).collect()
}

fn blobs_of(manifest: &Manifest, offset: u64, len: u64) -> Vec<[u8; 16]> {
    let parts = pieces(manifest, offset, len).into_iter().map(|piece| &manifest.parts()[piece.index]);
    parts.filter(|part| !part.is_inline()).map(|part| part.blob).collect()
}

/// Reads an object's pieces one after the other.
struct ObjectReader {
    engine: Arc<Engine>,
    opened: Opened,
    pieces: VecDeque<PartRange>,
    part: Option<PartReader>,
    _hold: Hold,
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
            }
            match self.pieces.pop_front() {
                Some(piece) => self.part = Some(self.open_part(piece).await?),
                None => return Ok(None),
            }
        }
    }

    async fn open_part(&mut self, piece: PartRange) -> Result<PartReader, Error> {
        let part = self.opened.manifest.parts()[piece.index];
        let opener = PartOpener::new(&self.opened.keys, part.number, &part.salt, part.plaintext_len).map_err(damaged)?;
        let source = self.source(&part).await?;
        PartReader::new(opener, source, piece)
    }

    async fn source(&mut self, part: &ManifestPart) -> Result<Source, Error> {
        if part.is_inline() {
            let missing = || Error::Integrity("its inline bytes are missing".into());
            return Ok(Source::Inline(self.opened.inline.take().ok_or_else(missing)?));
        }
        Ok(Source::Blob(Arc::from(self.engine.blobs().open(BlobId(part.blob)).await?)))
    }
}

enum Source {
    Inline(Vec<u8>),
    Blob(Arc<dyn BlobReader>),
}

/// Reads one piece of a part, chunk by chunk, a block ahead.
struct PartReader {
    opener: PartOpener,
    source: Source,
    /// The next chunk to open, and the one after the last.
    next_chunk: u64,
    end_chunk: u64,
    /// The next chunk to read from the blob, and where it begins.
    next_read: u64,
    read_offset: u64,
    /// Sealed bytes read and not opened yet.
    sealed: BytesMut,
    ahead: Option<JoinHandle<Result<BytesMut, BlobError>>>,
    check_header: bool,
    skip: u64,
    take: u64,
}

impl PartReader {
    fn new(opener: PartOpener, source: Source, piece: PartRange) -> Result<Self, Error> {
        let span = opener.layout().span(piece.offset, piece.len);
        let mut reader = Self {
            source,
            next_chunk: span.first_chunk,
            end_chunk: span.first_chunk + span.chunk_count,
            next_read: span.first_chunk,
            read_offset: span.sealed_offset,
            sealed: BytesMut::new(),
            ahead: None,
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
        reader.read_ahead();
        Ok(reader)
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        if self.next_chunk == self.end_chunk {
            return Ok(None);
        }
        if self.sealed.is_empty() {
            self.fill().await?;
        }
        let chunk = self.next_chunk;
        let sealed_len = self.opener.layout().sealed_chunk_len(chunk);
        if self.sealed.len() < sealed_len {
            return Err(Error::Integrity(format!("chunk {chunk} is cut")));
        }
        let mut plain = self.opener.open_chunk(chunk, self.sealed.split_to(sealed_len)).map_err(damaged)?;
        self.next_chunk += 1;
        let skip = std::mem::take(&mut self.skip).min(plain.len() as u64);
        let take = self.take.min(plain.len() as u64 - skip);
        self.take -= take;
        // Both are within the chunk's length.
        let (skip, take) = (usize::try_from(skip).unwrap_or(0), usize::try_from(take).unwrap_or(0));
        plain = plain.slice(skip..skip + take);
        Ok(Some(plain))
    }

    /// Waits for the block being read, and begins the next one.
    async fn fill(&mut self) -> Result<(), Error> {
        let Some(ahead) = self.ahead.take() else {
            return Err(Error::Integrity(format!("chunk {} is missing", self.next_chunk)));
        };
        self.sealed = ahead.await.map_err(|error| Error::Internal(error.into()))??;
        if std::mem::take(&mut self.check_header) {
            let header = self.sealed.split_to(BLOB_HEADER_LEN);
            self.opener.check_header(&header).map_err(damaged)?;
        }
        self.read_ahead();
        Ok(())
    }

    fn read_ahead(&mut self) {
        let Source::Blob(blob) = &self.source else {
            return;
        };
        if self.next_read == self.end_chunk {
            return;
        }
        let end = self.end_chunk.min(self.next_read + CHUNKS_PER_READ);
        let chunks_len: usize = (self.next_read..end).map(|chunk| self.opener.layout().sealed_chunk_len(chunk)).sum();
        let header_len = if self.check_header { BLOB_HEADER_LEN } else { 0 };
        let (blob, offset, len) = (Arc::clone(blob), self.read_offset, header_len + chunks_len);
        self.ahead = Some(tokio::spawn(async move { blob.read(offset, len).await }));
        self.next_read = end;
        self.read_offset += len as u64;
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
        self.sealed = sealed;
        Ok(())
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
fn damaged(error: SealError) -> Error {
    Error::Integrity(error.to_string())
}
