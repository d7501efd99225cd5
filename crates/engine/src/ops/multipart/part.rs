//! UploadPart and UploadPartCopy.

use std::sync::Arc;

use bytes::Bytes;
use futures_core::Stream;
use strongroom_catalog::Part;
use strongroom_seal::Mode;

use super::create::FoundUpload;
use crate::{
    Engine, Error,
    api::{Caller, ChecksumAlgorithm, CopiedPart, SseHeaders, UploadChecksum, UploadPart, UploadPartCopy, UploadedPart},
    etag, ids,
    ingest::{Ingested, Intake, Placement},
    ops::{copy::recomputed, get::resolve_range},
    record::PartRecord,
    sse::{CustomerKey, check_read_headers, mode_of, sse_reply},
};

/// The parts of S3 are numbered 1 to this.
const MAX_PART_NUMBER: i32 = 10_000;

/// A part that is being taken in.
struct Incoming<'a> {
    number: u16,
    sse: &'a SseHeaders,
    content_md5: Option<&'a str>,
    checksum: UploadChecksum,
}

impl Engine {
    /// UploadPart. A part uploaded again gets a fresh salt, so that no key and nonce ever meet twice.
    pub async fn upload_part(&self, caller: &Caller, request: UploadPart) -> Result<UploadedPart, Error> {
        let number = part_number(request.part_number)?;
        let found = self.find_upload(&request.upload).await?;
        let incoming = Incoming { number, sse: &request.sse, content_md5: request.content_md5.as_deref(), checksum: request.checksum };
        let (uploaded, _) = self.take_part(caller, &found, incoming, request.body.stream, request.body.length).await?;
        Ok(uploaded)
    }

    /// UploadPartCopy.
    pub async fn upload_part_copy(self: &Arc<Self>, caller: &Caller, request: UploadPartCopy) -> Result<CopiedPart, Error> {
        let number = part_number(request.part_number)?;
        let found = self.find_upload(&request.upload).await?;
        let customer = CustomerKey::from_copy_source(&request.source.customer, caller.secure)?;
        let source = self.open_source(caller, &request.source, customer.as_ref()).await?;
        let size_bytes = source.facts.size_bytes;
        let (offset, len) = match request.range {
            Some(range) => resolve_range(range, size_bytes)
                .filter(|_| crate::ops::get::ends_within(range, size_bytes))
                .ok_or(Error::InvalidRange { size_bytes })?,
            None => (0, size_bytes),
        };
        let plain = self.open_stream(source.opened, offset, len).await?;
        let incoming = Incoming { number, sse: &request.sse, content_md5: None, checksum: UploadChecksum::default() };
        let (part, modified_ms) = self.take_part(caller, &found, incoming, plain, Some(len)).await?;
        Ok(CopiedPart { part, modified_ms, source_version_id: source.facts.version_id })
    }

    async fn take_part<S, E>(
        &self,
        caller: &Caller,
        found: &FoundUpload,
        incoming: Incoming<'_>,
        stream: S,
        length: Option<u64>,
    ) -> Result<(UploadedPart, i64), Error>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
        E: Into<Error>,
    {
        let customer = check_read_headers(incoming.sse, caller.secure)?;
        let (envelope, recorded) = (&found.upload.envelope, &found.record.sse);
        let keys = self.keys_for_reading(caller, found.identified(), envelope, recorded, customer.as_ref()).await;
        let keys = keys.map_err(|error| self.integrity().note(of_part(error), &found.bucket.name, &found.upload.key))?;
        let mode = mode_of(envelope)?;
        let intake = Intake {
            keys: &keys,
            part_number: incoming.number,
            md5_etag: etag::is_md5(mode),
            content_md5: incoming.content_md5,
            checksum: part_checksum(incoming.checksum, found.record.checksum.map(|(algorithm, _)| algorithm))?,
            inline_limit_bytes: 0,
            max_len_bytes: self.options().max_put_bytes,
        };
        let ingested = self.ingest(stream, length, intake).await?;
        let (part, record) = self.part_row(found, incoming.number, mode, &ingested)?;
        let modified = part.modified;
        self.catalog().put_part(found.upload.upload_id, part).await?;
        let sse = sse_reply(envelope, recorded, customer.as_ref())?;
        Ok((UploadedPart { etag: record.etag.shown, sse, checksum: record.checksum }, modified))
    }

    fn part_row(&self, found: &FoundUpload, number: u16, mode: Mode, ingested: &Ingested) -> Result<(Part, PartRecord), Error> {
        let Placement::Blob(blob) = &ingested.placement else {
            return Err(Error::Internal("a part lies inline".into()));
        };
        let record = PartRecord {
            etag: etag::of_part(mode, ingested.md5.map(hex::encode)),
            checksum: ingested.checksum.clone(),
            salt: hex::encode(ingested.salt.0),
        };
        let part = Part {
            number,
            blob: blob.id,
            blob_len_bytes: blob.len_bytes,
            size_bytes: ingested.size_bytes,
            modified: ids::now_ms(),
            record: record.seal(self.store_key(), &found.upload.upload_id, number, ingested.size_bytes, &blob.id)?,
        };
        Ok((part, record))
    }
}

fn part_number(number: i32) -> Result<u16, Error> {
    let valid = u16::try_from(number).ok().filter(|_| (1..=MAX_PART_NUMBER).contains(&number));
    valid.ok_or_else(|| Error::InvalidArgument("Part number must be an integer between 1 and 10000, inclusive".into()))
}

/// A part carries the upload's algorithm, or none: then it is computed all the same.
fn part_checksum(sent: UploadChecksum, upload: Option<ChecksumAlgorithm>) -> Result<UploadChecksum, Error> {
    match (sent.algorithm, upload) {
        (Some(sent), Some(upload)) if sent != upload => Err(Error::InvalidRequest(format!(
            "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
            upload.name().to_lowercase(),
            sent.name().to_lowercase()
        ))),
        (None, upload) => Ok(recomputed(upload)),
        (Some(_), _) => Ok(sent),
    }
}

/// The situations of an object's key, as S3 words them for a part.
fn of_part(error: Error) -> Error {
    match error {
        Error::CustomerKeyRequired => Error::PartKeyRequired,
        Error::CustomerKeyWrong => Error::PartKeyWrong,
        other => other,
    }
}
