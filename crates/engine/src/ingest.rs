//! From a request body to sealed bytes: the one way in, for PutObject, UploadPart and copies that move data.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures_core::Stream;
use futures_util::StreamExt;
use strongroom_blobs::{BlobId, BlobWriter};
use strongroom_seal::{CHUNK_LEN, MAX_BATCH_CHUNKS, ManifestPart, ObjectKeys, PartSalt, PartSealer, SealError, SealedBytes};

use crate::{
    Engine, Error,
    api::{Checksum, ChecksumAlgorithm, ExpectedChecksum, UploadChecksum},
    budget::{Budget, Held},
    checksum::full_object,
    digests::{DigestPlan, DigestResults, Digests},
    in_use::Hold,
};

/// What sealing adds to a batch of [`MAX_BATCH_CHUNKS`], header and tags, and some room.
const BATCH_OVERHEAD_BYTES: usize = 1024;

/// The memory that a body needs: one chunk being filled and one being written, or the whole where it may lie inline.
pub(crate) fn minimum(length: Option<u64>, inline_limit_bytes: Option<usize>) -> usize {
    let inline = inline_limit_bytes.unwrap_or(0).min(MAX_BATCH_CHUNKS * CHUNK_LEN);
    let length = length.and_then(|length| usize::try_from(length).ok()).unwrap_or(usize::MAX);
    let at_once = if length <= inline || length == usize::MAX { inline.max(2 * CHUNK_LEN) } else { 2 * CHUNK_LEN };
    length.min(at_once) + BATCH_OVERHEAD_BYTES
}

/// How a body is to be taken in.
pub(crate) struct Intake<'a> {
    pub(crate) keys: &'a ObjectKeys,
    pub(crate) part_number: u16,
    /// Whether the mode's ETag is an MD5.
    pub(crate) md5_etag: bool,
    /// Whether a CRC-64 of the bytes is wanted.
    pub(crate) crc64: bool,
    /// `Content-MD5`, base64.
    pub(crate) content_md5: Option<&'a str>,
    pub(crate) checksum: UploadChecksum,
    /// Up to so many bytes may lie in the catalog's row; none where only a blob will do.
    pub(crate) inline_limit_bytes: Option<usize>,
    pub(crate) max_len_bytes: u64,
    /// At least [`minimum`].
    pub(crate) memory: Held,
}

/// A body, sealed and durable.
pub(crate) struct Ingested {
    pub(crate) size_bytes: u64,
    pub(crate) salt: PartSalt,
    pub(crate) placement: Placement,
    pub(crate) md5: Option<[u8; 16]>,
    pub(crate) checksum: Option<Checksum>,
    pub(crate) crc64: Option<Vec<u8>>,
    /// To be held until the commit, which the bytes of an inline body wait for.
    pub(crate) memory: Held,
}

/// Where the sealed bytes lie.
pub(crate) enum Placement {
    Inline(Vec<u8>),
    Blob(StoredBlob),
}

/// A durable blob that no row of the catalog names yet. It is kept from the sweep until the hold is dropped; if no row names it
/// by then, the sweep removes it.
pub(crate) struct StoredBlob {
    pub(crate) id: BlobId,
    pub(crate) len_bytes: u64,
    pub(crate) hold: Hold,
}

impl Ingested {
    /// The manifest's line for these bytes.
    pub(crate) fn manifest_part(&self, number: u16) -> ManifestPart {
        let blob = match &self.placement {
            Placement::Inline(_) => ManifestPart::INLINE,
            Placement::Blob(blob) => blob.id,
        };
        ManifestPart { number, plaintext_len: self.size_bytes, salt: self.salt, blob, shared: None }
    }
}

impl Engine {
    /// Reads `stream` to its end, which is after `length` bytes where that is known, seals it, verifies every digest that the client
    /// sent along, and makes it durable. On any error nothing is kept.
    pub(crate) async fn ingest<S, E>(&self, stream: S, length: Option<u64>, intake: Intake<'_>) -> Result<Ingested, Error>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
        E: Into<Error>,
    {
        let ingested = self.ingest_all(stream, length, intake).await;
        self.settled(ingested).await
    }

    async fn ingest_all<S, E>(&self, mut stream: S, length: Option<u64>, intake: Intake<'_>) -> Result<Ingested, Error>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
        E: Into<Error>,
    {
        let expected_md5 = intake.content_md5.map(parse_content_md5).transpose()?;
        if length.is_some_and(|length| length > intake.max_len_bytes) {
            return Err(Error::EntityTooLarge);
        }
        let plan = DigestPlan { md5: intake.md5_etag || expected_md5.is_some(), checksum: intake.checksum.algorithm, crc64: intake.crc64 };
        let mut digests = Digests::new(plan, self.budget());
        let mut sealing = Sealing::new(self, &intake, length)?;
        let mut received = 0_u64;
        while let Some(bytes) = stream.next().await {
            let bytes = bytes.map_err(Into::into)?;
            received += bytes.len() as u64;
            if received > intake.max_len_bytes {
                return Err(Error::EntityTooLarge);
            }
            // Both copy what they need: the piece may be one byte that keeps a whole read buffer in memory.
            digests.update(&bytes).await?;
            sealing.push(&bytes).await?;
        }
        if length.is_some_and(|length| length != received) {
            return Err(Error::IncompleteBody);
        }
        let digests = digests.finish().await?;
        let checksum = verify(&digests, expected_md5, intake.checksum)?;
        let salt = sealing.salt();
        let placement = sealing.finish(intake.inline_limit_bytes).await?;
        Ok(Ingested { size_bytes: received, salt, placement, md5: digests.md5, checksum, crc64: digests.crc64, memory: intake.memory })
    }
}

/// Seals a body, and begins a blob once it is clear that it will not lie inline.
struct Sealing<'a> {
    sealer: PartSealer,
    output: Output<'a>,
    batches: Batches<'a>,
}

/// The memory of batches that are larger than the minimum: of the one being filled, and of the one being written.
struct Batches<'a> {
    budget: &'a Budget,
    filling: Option<Held>,
    writing: Option<Held>,
    /// What is still to come of the body, if that is known.
    left_bytes: u64,
}

impl Batches<'_> {
    /// The chunks of the next batch: as many as the budget can spare and the body needs.
    fn next(&mut self) -> usize {
        self.writing = self.filling.take();
        let needed = usize::try_from(self.left_bytes.div_ceil(CHUNK_LEN as u64)).unwrap_or(usize::MAX);
        let mut chunks = needed.min(MAX_BATCH_CHUNKS);
        while chunks > 1 {
            self.filling = self.budget.spare(chunks * CHUNK_LEN + BATCH_OVERHEAD_BYTES);
            if self.filling.is_some() {
                break;
            }
            chunks /= 2;
        }
        let chunks = chunks.max(1);
        self.left_bytes = self.left_bytes.saturating_sub((chunks * CHUNK_LEN) as u64);
        chunks
    }
}

struct Output<'a> {
    engine: &'a Engine,
    blob: Option<(BlobId, Box<dyn BlobWriter>, Hold)>,
}

impl<'a> Sealing<'a> {
    fn new(engine: &'a Engine, intake: &Intake<'_>, length: Option<u64>) -> Result<Self, Error> {
        let mut sealer = PartSealer::new(intake.keys, intake.part_number).map_err(internal)?;
        let mut batches = Batches { budget: engine.budget(), filling: None, writing: None, left_bytes: length.unwrap_or(u64::MAX) };
        // What may lie inline stays in one batch, for which there is memory.
        let inline = intake.inline_limit_bytes.filter(|limit| length.is_none_or(|length| length <= *limit as u64));
        sealer.set_batch_chunks(inline.map_or_else(|| batches.next(), |limit| limit.div_ceil(CHUNK_LEN)));
        Ok(Self { sealer, output: Output { engine, blob: None }, batches })
    }

    fn salt(&self) -> PartSalt {
        self.sealer.salt()
    }

    async fn push(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        while let Some(batch) = self.sealer.push(&mut bytes).map_err(internal)? {
            // The batch before is written when this returns, and its memory free.
            self.output.write(batch).await?;
            self.sealer.set_batch_chunks(self.batches.next());
        }
        Ok(())
    }

    async fn finish(self, inline_limit_bytes: Option<usize>) -> Result<Placement, Error> {
        let Self { sealer, mut output, batches: _batches } = self;
        let (last, plain_len) = sealer.finish().map_err(internal)?;
        if output.blob.is_none() && inline_limit_bytes.is_some_and(|limit| plain_len <= limit as u64) {
            return Ok(Placement::Inline(last.into_vec()));
        }
        output.write(last).await?;
        output.finish().await
    }
}

impl Output<'_> {
    async fn write(&mut self, batch: SealedBytes) -> Result<(), Error> {
        let (_, writer, _) = match &mut self.blob {
            Some(blob) => blob,
            none => {
                let id = strongroom_seal::random_array();
                let hold = self.engine.in_use().hold(vec![BlobId(id)]);
                none.insert((BlobId(id), self.engine.blobs().create(BlobId(id)).await?, hold))
            }
        };
        Ok(writer.write(batch).await?)
    }

    async fn finish(self) -> Result<Placement, Error> {
        let (id, writer, hold) = self.blob.ok_or_else(|| Error::Internal("a blob was finished before it was begun".into()))?;
        let len_bytes = writer.finish().await?;
        let hold = hold.until_claimed(self.engine.shared_blobs());
        Ok(Placement::Blob(StoredBlob { id, len_bytes, hold }))
    }
}

fn parse_content_md5(encoded: &str) -> Result<[u8; 16], Error> {
    let decoded = STANDARD.decode(encoded).map_err(|_| Error::InvalidDigest)?;
    decoded.try_into().map_err(|_| Error::InvalidDigest)
}

/// Compares what was computed with what the client stated, in headers or, now that the body has ended, in trailers.
fn verify(digests: &DigestResults, expected_md5: Option<[u8; 16]>, checksum: UploadChecksum) -> Result<Option<Checksum>, Error> {
    if expected_md5.is_some() && expected_md5 != digests.md5 {
        return Err(Error::BadDigest("Content-MD5"));
    }
    let (Some(algorithm), Some(raw)) = (checksum.algorithm, &digests.checksum) else {
        return Ok(None);
    };
    let computed = full_object(algorithm, raw);
    let stated = match checksum.expected {
        ExpectedChecksum::None => None,
        ExpectedChecksum::Header(value) => Some(value),
        ExpectedChecksum::Trailer(read) => Some(trailer(algorithm, read())?),
    };
    if stated.is_some_and(|value| value != computed.value) {
        return Err(Error::BadDigest(algorithm.name()));
    }
    Ok(Some(computed))
}

fn trailer(algorithm: ChecksumAlgorithm, mut trailers: std::collections::BTreeMap<String, String>) -> Result<String, Error> {
    let missing = || Error::InvalidRequest(format!("The trailer {} that x-amz-trailer announces is missing.", algorithm.header()));
    trailers.remove(algorithm.header()).ok_or_else(missing)
}

fn internal(error: SealError) -> Error {
    Error::Internal(error.into())
}
