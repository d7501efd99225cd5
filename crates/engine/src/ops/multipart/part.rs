//! UploadPart and UploadPartCopy.

use std::sync::Arc;

use bytes::Bytes;
use futures_core::Stream;
use strongroom_catalog::{Part, Upload};
use strongroom_seal::{Mode, ObjectKeys};

use super::create::FoundUpload;
use crate::{
    Engine, Error,
    api::{ByteRange, Caller, ChecksumAlgorithm, CopiedPart, SseHeaders, UploadChecksum, UploadPart, UploadPartCopy, UploadedPart},
    budget::Held,
    commit::{Kept, Permits},
    condition::MAX_ATTEMPTS,
    egress, etag, ids,
    ingest::{self, Ingested, Intake, Placement},
    ops::{
        copy::{OpenedSource, recomputed},
        get::{ends_within, resolve_range},
    },
    record::{Etag, PartRecord},
    sse::{CustomerKey, User, check_part_headers, mode_of, sse_reply},
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
        let found = self.find_upload(caller.expected_owner.as_deref(), &request.upload).await?;
        let incoming = Incoming { number, sse: &request.sse, content_md5: request.content_md5.as_deref(), checksum: request.checksum };
        self.space().admit(request.body.length)?;
        let memory = self.budget().hold(ingest::minimum(request.body.length, None)).await?;
        let (uploaded, _) = self.take_part(caller, &found, incoming, request.body.stream, request.body.length, memory).await?;
        Ok(uploaded)
    }

    /// UploadPartCopy. Of what is a whole blob no data moves, where all that is answered is known without it.
    pub async fn upload_part_copy(self: &Arc<Self>, caller: &Caller, request: UploadPartCopy) -> Result<CopiedPart, Error> {
        let number = part_number(request.part_number)?;
        let found = self.find_upload(caller.expected_owner.as_deref(), &request.upload).await?;
        let customer = CustomerKey::from_copy_source(&request.source.customer, caller.sse_c_allowed)?;
        for _ in 0..MAX_ATTEMPTS {
            let source = self.open_source(caller, &request.source, customer.as_ref()).await?;
            let source_version_id = source.facts.version_id.clone();
            let range = part_range(request.range, source.facts.size_bytes)?;
            let taken = match self.shareable(&found, &source, range)? {
                Some(shareable) => self.share_part(caller, &found, number, &request, source, shareable).await,
                None => self.move_part(caller, &found, number, &request, source, range).await,
            };
            match taken {
                // The source was overwritten and swept before its data was opened or shared: copy what is there now.
                Err(Error::ConditionalConflict) => {}
                taken => return taken.map(|(part, modified_ms)| CopiedPart { part, modified_ms, source_version_id }),
            }
        }
        Err(Error::ConditionalConflict)
    }

    /// The data opened and sealed anew.
    async fn move_part(
        self: &Arc<Self>,
        caller: &Caller,
        found: &FoundUpload,
        number: u16,
        request: &UploadPartCopy,
        source: OpenedSource,
        (offset, len): (u64, u64),
    ) -> Result<(UploadedPart, i64), Error> {
        let OpenedSource { opened, facts, mut memory } = source;
        let reading = memory.split(egress::minimum(&opened.manifest, opened.inline.as_deref()));
        let plain = self.open_source_stream(&request.source, facts.seen, opened, offset, len, reading).await?;
        self.space().admit(Some(len))?;
        let incoming = Incoming { number, sse: &request.sse, content_md5: None, checksum: UploadChecksum::default() };
        self.take_part(caller, found, incoming, plain, Some(len), memory).await
    }

    async fn take_part<S, E>(
        &self,
        caller: &Caller,
        found: &FoundUpload,
        incoming: Incoming<'_>,
        stream: S,
        length: Option<u64>,
        memory: Held,
    ) -> Result<(UploadedPart, i64), Error>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
        E: Into<Error>,
    {
        let (keys, customer) = self.open_upload(caller, found, incoming.sse).await?;
        let mode = mode_of(&found.upload.envelope)?;
        let intake = Intake {
            keys: &keys,
            part_number: incoming.number,
            md5_etag: etag::is_md5(mode),
            crc64: !etag::is_md5(mode),
            content_md5: incoming.content_md5,
            checksum: part_checksum(incoming.checksum, found.record.checksum.map(|(algorithm, _)| algorithm))?,
            inline_limit_bytes: None,
            max_len_bytes: self.options().max_put_bytes,
            memory,
        };
        let ingested = self.ingest(stream, length, intake).await?;
        let (part, record) = self.part_row(found, incoming.number, mode, &ingested)?;
        let modified = part.modified;
        let (upload_id, kept) = (found.upload.upload_id, kept(ingested));
        let permits = self.admit_part(caller, found).await?;
        let put = self.to_the_end(permits, kept, |catalog| async move { catalog.put_part(upload_id, part).await }).await?;
        self.settled(put).await?;
        let sse = sse_reply(&found.upload.envelope, &found.record.sse, customer.as_ref())?;
        Ok((UploadedPart { etag: record.etag.shown, sse, checksum: record.checksum }, modified))
    }

    /// The object keys of an upload, for a part of it.
    pub(super) async fn open_upload(
        &self,
        caller: &Caller,
        found: &FoundUpload,
        sse: &SseHeaders,
    ) -> Result<(ObjectKeys, Option<CustomerKey>), Error> {
        let (envelope, recorded) = (&found.upload.envelope, &found.record.sse);
        let rules = self.write_rules(&found.bucket);
        let customer = check_part_headers(sse, caller.sse_c_allowed, mode_of(envelope)?, recorded, &rules)?;
        let keys = self.keys_for_reading(User::Caller(caller), found.identified(), envelope, recorded, customer.as_ref()).await;
        let keys = keys.map_err(|error| self.integrity().note(of_part(error), &found.bucket.name, &found.upload.key))?;
        Ok((keys, customer))
    }

    /// A part depends on the key that its upload is under at the end of the part: it may have been re-keyed meanwhile.
    pub(super) async fn admit_part(&self, caller: &Caller, found: &FoundUpload) -> Result<Permits, Error> {
        let Upload { upload_id, key, .. } = &found.upload;
        let (_, present) = self.catalog().find_upload(&found.bucket.name, key, *upload_id).await?.ok_or(Error::NoSuchBucket)?;
        let present = self.opened_upload(found.bucket.clone(), present.ok_or(Error::NoSuchUpload)?)?;
        self.admit(User::Caller(caller), present.identified(), [&present.upload.envelope]).await
    }

    /// A part sent twice, as clients do that saw no answer to the first, has the same ETag both times, also where that is no MD5.
    fn part_etag(&self, found: &FoundUpload, number: u16, mode: Mode, ingested: &Ingested) -> Result<Etag, Error> {
        let md5 = ingested.md5.map(hex::encode);
        if let (Some(shown), true) = (md5.clone(), etag::is_md5(mode)) {
            return Ok(Etag { shown, md5 });
        }
        let (number, size, crc64) =
            (number.to_be_bytes(), ingested.size_bytes.to_be_bytes(), ingested.crc64.as_deref().unwrap_or_default());
        let fingerprint = self.store_key().fingerprint(&[b"part etag", &found.upload.upload_id.0, &number, &size, crc64]);
        let fingerprint = fingerprint.map_err(|error| Error::Internal(error.into()))?;
        Ok(Etag { shown: hex::encode(&fingerprint[..16]), md5 })
    }

    fn part_row(&self, found: &FoundUpload, number: u16, mode: Mode, ingested: &Ingested) -> Result<(Part, PartRecord), Error> {
        let Placement::Blob(blob) = &ingested.placement else {
            return Err(Error::Internal("a part lies inline".into()));
        };
        let modified = ids::now_ms();
        let record = PartRecord {
            etag: self.part_etag(found, number, mode, ingested)?,
            checksum: ingested.checksum.clone(),
            salt: Some(hex::encode(ingested.salt.0)),
            shared: None,
            modified: Some(modified),
        };
        let part = Part {
            number,
            blob: blob.id,
            blob_len_bytes: blob.len_bytes,
            size_bytes: ingested.size_bytes,
            modified,
            record: record.seal(self.store_key(), &found.upload.upload_id, number, ingested.size_bytes, blob.id)?,
        };
        Ok((part, record))
    }
}

fn kept(ingested: Ingested) -> Arc<Kept> {
    let blob = match ingested.placement {
        Placement::Blob(blob) => Some(blob.hold),
        Placement::Inline(_) => None,
    };
    Arc::new(Kept::new(blob, ingested.memory))
}

fn part_number(number: i32) -> Result<u16, Error> {
    let valid = u16::try_from(number).ok().filter(|_| (1..=MAX_PART_NUMBER).contains(&number));
    valid.ok_or_else(|| Error::InvalidArgument("Part number must be an integer between 1 and 10000, inclusive".into()))
}

fn part_range(range: Option<ByteRange>, size_bytes: u64) -> Result<(u64, u64), Error> {
    let Some(range) = range else {
        return Ok((0, size_bytes));
    };
    let resolved = resolve_range(range, size_bytes).filter(|_| ends_within(range, size_bytes));
    resolved.ok_or(Error::InvalidRange { size_bytes })
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
