//! UploadPartCopy of a whole blob: the part shares it, with the blob's content keys sealed under the upload's object keys.

use std::sync::Arc;

use strongroom_catalog::Part;
use strongroom_seal::{Layout, ManifestPart, Mode};

use super::create::FoundUpload;
use crate::{
    Engine, Error,
    api::{Caller, Checksum, ChecksumKind, UploadPartCopy, UploadedPart},
    commit::Kept,
    egress::damaged,
    etag, ids,
    ops::copy::{OpenedSource, SourceFacts},
    record::{Etag, PartRecord},
    sse::{mode_of, sse_reply},
};

/// A part of the source that is all of what is to be copied, and what would otherwise be computed from its data.
pub(super) struct Shareable {
    line: ManifestPart,
    md5: Option<String>,
    checksum: Option<Checksum>,
}

impl Engine {
    /// What a part of the upload can share of its source. None where data has to move: it is no whole blob, it has another number of
    /// layers, or an MD5 or a checksum is to be answered that is not known.
    pub(super) fn shareable(
        &self,
        found: &FoundUpload,
        source: &OpenedSource,
        (offset, len): (u64, u64),
    ) -> Result<Option<Shareable>, Error> {
        let mode = mode_of(&found.upload.envelope)?;
        let OpenedSource { opened, facts, .. } = source;
        let mut pieces = opened.manifest.locate(offset, len);
        let (Some(piece), None) = (pieces.next(), pieces.next()) else { return Ok(None) };
        let line = &opened.manifest.parts()[piece.index];
        let is_whole = piece.len == line.plaintext_len;
        if !is_whole || line.is_inline() || mode.layers() != opened.keys.layers() || len > self.options().max_put_bytes {
            return Ok(None);
        }
        let md5 = facts.etag.md5.clone().filter(|_| facts.parts_count.is_none());
        let wanted = found.record.checksum.map(|(algorithm, _)| algorithm);
        let checksum = wanted.and_then(|wanted| {
            let kept = known_checksum(facts, piece.index).filter(|known| known.algorithm == wanted).cloned();
            kept.or_else(|| facts.known_md5(wanted))
        });
        let is_known = (md5.is_some() || !etag::is_md5(mode)) && (checksum.is_some() || wanted.is_none());
        Ok(is_known.then(|| Shareable { line: line.clone(), md5, checksum }))
    }

    /// The part refers to the blob of the source. That it is there is looked at first. [`Error::ConditionalConflict`] where the source
    /// was replaced or deleted meanwhile.
    pub(super) async fn share_part(
        &self,
        caller: &Caller,
        found: &FoundUpload,
        number: u16,
        request: &UploadPartCopy,
        source: OpenedSource,
        shareable: Shareable,
    ) -> Result<(UploadedPart, i64), Error> {
        let OpenedSource { opened, facts, memory } = source;
        let intact = self.check_part(&opened, &shareable.line).await;
        self.unless_replaced(&request.source, facts.seen, intact).await?;
        self.space().admit(None)?;
        let (keys, customer) = self.open_upload(caller, found, &request.sse).await?;
        let line = shareable.line.share(&opened.keys, number, &keys).map_err(damaged)?;
        let mode = mode_of(&found.upload.envelope)?;
        let record = PartRecord {
            etag: self.shared_etag(found, mode, &line, shareable.md5)?,
            checksum: shareable.checksum,
            salt: None,
            shared: Some(hex::encode(line.to_bytes())),
            modified: Some(ids::now_ms()),
        };
        let part = self.shared_row(found, mode, &line, &record)?;
        let (upload_id, modified) = (found.upload.upload_id, part.modified);
        let kept = Arc::new(Kept::new(None, memory));
        let permits = self.admit_part(caller, found).await?;
        let put = self.to_the_end(permits, kept, |catalog| async move { catalog.share_part(upload_id, part).await }).await?;
        self.settled(put).await?;
        let sse = sse_reply(&found.upload.envelope, &found.record.sse, customer.as_ref())?;
        Ok((UploadedPart { etag: record.etag.shown, sse, checksum: record.checksum }, modified))
    }

    fn shared_row(&self, found: &FoundUpload, mode: Mode, line: &ManifestPart, record: &PartRecord) -> Result<Part, Error> {
        Ok(Part {
            number: line.number,
            blob: line.blob,
            blob_len_bytes: Layout::new(mode.layers(), line.plaintext_len).map_err(damaged)?.sealed_len(),
            size_bytes: line.plaintext_len,
            modified: record.modified.unwrap_or_default(),
            record: record.seal(self.store_key(), &found.upload.upload_id, line.number, line.plaintext_len, line.blob)?,
        })
    }

    /// Where it is no MD5, the same blob copied twice has the same ETag both times.
    fn shared_etag(&self, found: &FoundUpload, mode: Mode, line: &ManifestPart, md5: Option<String>) -> Result<Etag, Error> {
        if let (Some(shown), true) = (md5.clone(), etag::is_md5(mode)) {
            return Ok(Etag { shown, md5 });
        }
        let (number, size) = (line.number.to_be_bytes(), line.plaintext_len.to_be_bytes());
        let fields: [&[u8]; 5] = [b"shared part etag", &found.upload.upload_id.0, &number, &size, &line.salt.0];
        let fingerprint = self.store_key().fingerprint(&fields).map_err(|error| Error::Internal(error.into()))?;
        Ok(Etag { shown: hex::encode(&fingerprint[..16]), md5 })
    }
}

/// The checksum of a part's data, where the source has one.
fn known_checksum(facts: &SourceFacts, index: usize) -> Option<&Checksum> {
    let known = match facts.parts_count {
        Some(_) => facts.part_checksums.get(index)?.as_ref(),
        None => facts.checksum.as_ref(),
    };
    known.filter(|checksum| checksum.kind == ChecksumKind::FullObject)
}
