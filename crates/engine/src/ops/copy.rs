//! CopyObject: a copy, a change of mode, an SSE-C rotation. The stored blob stays and the object keys are sealed anew, unless the number
//! of encryption layers changes or the copy needs a checksum that is not known of the source. S3 gives a copy the checksum of all its bytes,
//! also where that of the source was composite.

use std::{collections::BTreeSet, sync::Arc};

use strongroom_catalog::{BlobUse, VersionId};

use super::get::{FoundData, check_seen};
use crate::{
    Engine, Error,
    api::{
        Attributes, Bucket, Caller, Checksum, ChecksumAlgorithm, ChecksumKind, Copied, CopyObject, CopySource, ObjectHeaders, ReplyStream,
        SseReply, Tag, TagsOfCopy, UploadChecksum,
    },
    budget::Held,
    checksum::{full_object, of_parts},
    commit::{Bytes, Draft, Kept, stored},
    condition::{MAX_ATTEMPTS, check_copy_source},
    egress::{self, Opened},
    etag,
    events::EventName,
    ids,
    ingest::{self, Intake},
    limits, lock,
    record::{Etag, VersionBinding, open_part_checksums},
    sse::{CustomerKey, Decision, Identified, User},
    tags,
};

/// The source of a copy: found, allowed, its keys open.
pub(crate) struct OpenedSource {
    pub(crate) opened: Opened,
    pub(crate) facts: SourceFacts,
    /// For reading the source and sealing it anew, taken at once: nobody waits for one of them holding the other.
    pub(crate) memory: Held,
}

/// What a copy may keep of its source.
pub(crate) struct SourceFacts {
    pub(crate) etag: Etag,
    pub(crate) headers: ObjectHeaders,
    pub(crate) tags: Vec<Tag>,
    /// That of all bytes, or the composite.
    pub(crate) checksum: Option<Checksum>,
    pub(crate) parts_count: Option<u32>,
    pub(crate) part_lens_bytes: Vec<u64>,
    pub(crate) part_checksums: Vec<Option<Checksum>>,
    pub(crate) size_bytes: u64,
    pub(crate) version_id: Option<String>,
    /// The version, by the catalog's id.
    pub(crate) seen: VersionId,
}

impl SourceFacts {
    /// The checksum of all bytes by that algorithm, where it is known without reading them.
    fn full_checksum(&self, wanted: ChecksumAlgorithm) -> Option<Checksum> {
        let kept = self.checksum.as_ref().filter(|checksum| checksum.algorithm == wanted);
        match kept {
            Some(checksum) if checksum.kind == ChecksumKind::FullObject => Some(checksum.clone()),
            Some(_) => self.combined_checksum(wanted),
            None => self.known_md5(wanted),
        }
    }

    /// The CRC of all bytes, from those of the parts.
    fn combined_checksum(&self, wanted: ChecksumAlgorithm) -> Option<Checksum> {
        let of_part = |checksum: &'_ Option<Checksum>| checksum.clone().filter(|checksum| checksum.algorithm == wanted);
        let parts: Vec<_> = self.part_checksums.iter().map(of_part).collect::<Option<_>>()?;
        if !wanted.allows(ChecksumKind::FullObject) || parts.len() != self.part_lens_bytes.len() {
            return None;
        }
        let parts: Vec<_> = parts.iter().zip(self.part_lens_bytes.iter().copied()).collect();
        of_parts(wanted, ChecksumKind::FullObject, &parts).ok()
    }

    /// The checksum MD5, if that is wanted, of an object put whole whose MD5 is known for its ETag.
    pub(crate) fn known_md5(&self, wanted: ChecksumAlgorithm) -> Option<Checksum> {
        let is_md5 = wanted == ChecksumAlgorithm::Md5 && self.parts_count.is_none();
        let md5 = self.etag.md5.as_ref().filter(|_| is_md5)?;
        Some(full_object(wanted, &hex::decode(md5).ok()?))
    }
}

impl Engine {
    /// CopyObject.
    pub async fn copy_object(self: &Arc<Self>, caller: &Caller, request: CopyObject) -> Result<Copied, Error> {
        limits::check_key(&request.key)?;
        limits::check_headers(request.headers.as_ref().unwrap_or(&ObjectHeaders::default()))?;
        let bucket = self.bucket_of(caller.expected_owner.as_deref(), &request.bucket).await?;
        let decision = self.decide(caller, &request.sse, &bucket)?;
        lock::check_given(&request.lock, &bucket, ids::now_ms())?;
        if let Some(acl) = &request.acl {
            self.check_acl(&bucket, acl)?;
            self.check_grantees(acl).await?;
        }
        if let TagsOfCopy::Replace(tags) = &request.tags {
            tags::check(tags, tags::MAX_OBJECT_TAGS)?;
        }
        let customer = CustomerKey::from_copy_source(&request.source.customer, caller.sse_c_allowed)?;
        check_changes_something(&request)?;
        self.space().admit(None)?;
        for _ in 0..MAX_ATTEMPTS {
            let source = self.open_source(caller, &request.source, customer.as_ref()).await?;
            self.check_write_early(&request.condition, &bucket.name, &request.key).await?;
            match self.copy_once(caller, &request, &decision, &bucket, source).await {
                // The source was overwritten while it was being copied, and its blob let go: copy what is there now.
                Err(Error::ConditionalConflict) => {}
                other => return other,
            }
        }
        Err(Error::ConditionalConflict)
    }

    /// The source of CopyObject or UploadPartCopy.
    pub(crate) async fn open_source(
        &self,
        caller: &Caller,
        source: &CopySource,
        customer: Option<&CustomerKey>,
    ) -> Result<OpenedSource, Error> {
        let sealing = |data: &FoundData| ingest::minimum(Some(data.manifest.total_len()), Some(self.options().inline_limit_bytes));
        let named = (source.bucket.as_str(), source.key.as_str(), source.version_id.as_deref());
        let (data, memory) = self.held_data(None, named, sealing).await.map_err(of_source)?;
        check_seen(caller.seen.source, &data.found)?;
        let facts = self.source_facts(&data).map_err(|error| self.integrity().note(error, &source.bucket, &source.key))?;
        check_copy_source(&source.conditions, &facts.etag.shown, data.found.version.modified)?;
        let opened = self.open_found(caller, data, customer).await;
        let opened = opened.map_err(|error| self.integrity().note(error, &source.bucket, &source.key))?;
        Ok(OpenedSource { opened, facts, memory })
    }

    /// The plaintext of a source. [`Error::ConditionalConflict`] where another version has taken its place meanwhile, so that its blobs
    /// may have been swept before they were held.
    pub(crate) async fn open_source_stream(
        self: &Arc<Self>,
        source: &CopySource,
        seen: VersionId,
        opened: Opened,
        offset: u64,
        len: u64,
        memory: Held,
    ) -> Result<ReplyStream, Error> {
        let stream = self.open_stream(opened, offset, len, memory).await;
        self.unless_replaced(source, seen, stream).await
    }

    /// What came of opening a source. That its bytes are not there means damage only if no other version has taken its place.
    pub(crate) async fn unless_replaced<T>(&self, source: &CopySource, seen: VersionId, result: Result<T, Error>) -> Result<T, Error> {
        let error = match result {
            Err(error @ Error::Integrity(_)) => error,
            other => return other,
        };
        let present = self.find(None, &source.bucket, &source.key, source.version_id.as_deref()).await?;
        if present.version.version_id != seen {
            return Err(Error::ConditionalConflict);
        }
        Err(self.integrity().note(error, &source.bucket, &source.key))
    }

    fn source_facts(&self, data: &FoundData) -> Result<SourceFacts, Error> {
        let found = &data.found;
        let binding = VersionBinding::of(found.bucket.id, &found.version);
        Ok(SourceFacts {
            etag: found.record.etag.clone(),
            headers: found.record.headers.clone(),
            tags: found.record.tags.clone(),
            checksum: found.record.checksum.clone(),
            parts_count: found.record.parts_count,
            part_lens_bytes: data.manifest.parts().iter().map(|part| part.plaintext_len).collect(),
            part_checksums: open_part_checksums(self.store_key(), &binding, &data.part_record)?,
            size_bytes: found.version.size_bytes,
            version_id: ids::shown(found.bucket.versioning, &found.version),
            seen: found.version.version_id,
        })
    }

    async fn copy_once(
        self: &Arc<Self>,
        caller: &Caller,
        request: &CopyObject,
        decision: &Decision,
        bucket: &Bucket,
        mut source: OpenedSource,
    ) -> Result<Copied, Error> {
        let at = Identified { bucket, key: &request.key, version_id: ids::new_version_id(ids::now_ms()) };
        let source_version_id = source.facts.version_id.clone();
        let same_layers = source.opened.keys.layers() == decision.mode().layers();
        let wanted = request.checksum_algorithm.or(source.facts.checksum.as_ref().map(|checksum| checksum.algorithm));
        let known = wanted.map(|wanted| source.facts.full_checksum(wanted));
        let lacks_checksum = matches!(known, Some(None));
        let (draft, mut bytes, reply) = if same_layers && !lacks_checksum {
            source.facts.checksum = known.flatten();
            self.share(caller, request, decision, at, source).await?
        } else {
            self.move_data(caller, request, decision, at, source).await?
        };
        let kept = std::mem::take(&mut bytes.kept);
        let version = self.new_version(caller, &bucket.settings, &draft, bytes).await?;
        let (size_bytes, modified_ms) = (version.size_bytes, version.modified);
        let committed = self.commit(caller, at, version, kept, &request.condition).await?;
        let expiry = self.expiry_of_draft(bucket, &draft, size_bytes, modified_ms).await;
        Ok(Copied { stored: stored(&draft, reply, size_bytes, committed.is_null, expiry), modified_ms, source_version_id })
    }

    /// The same bytes under the same object keys, sealed for the target. That they are there is looked at first.
    async fn share<'a>(
        &self,
        caller: &Caller,
        request: &CopyObject,
        decision: &Decision,
        at: Identified<'a>,
        source: OpenedSource,
    ) -> Result<(Draft<'a>, Bytes, SseReply), Error> {
        let OpenedSource { opened, facts, memory } = source;
        let intact = self.check_intact(&opened).await;
        self.unless_replaced(&request.source, facts.seen, intact).await?;
        let keys = self.keys_for_writing(User::Caller(caller), decision, at, Some(opened.keys)).await?;
        // Several parts may be of one blob.
        let ids: BTreeSet<_> = opened.manifest.parts().iter().filter(|part| !part.is_inline()).map(|part| part.blob).collect();
        let blobs = ids.into_iter().map(|id| BlobUse::Shared { id }).collect();
        let draft = Draft {
            at,
            event: EventName::ObjectCreatedCopy,
            envelope: keys.envelope,
            recorded: keys.recorded,
            keys_since: Some(keys.since),
            headers: target_headers(request, facts.headers),
            attributes: target_attributes(request, facts.tags)?,
            etag: etag::of_copy(&facts.etag, facts.parts_count, decision.mode()),
            checksum: facts.checksum,
            parts_count: facts.parts_count,
            completed_with: None,
        };
        let kept = Kept::new(None, memory);
        let bytes = Bytes { manifest: opened.manifest, part_checksums: facts.part_checksums, inline: opened.inline, blobs, kept };
        Ok((draft, bytes, keys.reply))
    }

    /// The data opened and sealed anew, as one part.
    async fn move_data<'a>(
        self: &Arc<Self>,
        caller: &Caller,
        request: &CopyObject,
        decision: &Decision,
        at: Identified<'a>,
        source: OpenedSource,
    ) -> Result<(Draft<'a>, Bytes, SseReply), Error> {
        let OpenedSource { opened, facts, mut memory } = source;
        self.space().admit(Some(facts.size_bytes))?;
        let keys = self.keys_for_writing(User::Caller(caller), decision, at, None).await?;
        let reading = memory.split(egress::minimum(&opened.manifest, opened.inline.as_deref()));
        let intake = Intake {
            keys: &keys.object,
            part_number: 1,
            md5_etag: etag::is_md5(decision.mode()),
            crc64: false,
            content_md5: None,
            checksum: recomputed(request.checksum_algorithm.or(facts.checksum.map(|checksum| checksum.algorithm))),
            inline_limit_bytes: Some(self.options().inline_limit_bytes),
            max_len_bytes: self.options().max_object_bytes,
            memory,
        };
        let plain = self.open_source_stream(&request.source, facts.seen, opened, 0, facts.size_bytes, reading).await?;
        let mut ingested = self.ingest(plain, Some(facts.size_bytes), intake).await?;
        let kept_md5 = if facts.parts_count.is_none() { facts.etag.md5 } else { None };
        let draft = Draft {
            at,
            event: EventName::ObjectCreatedCopy,
            envelope: keys.envelope,
            recorded: keys.recorded,
            keys_since: Some(keys.since),
            headers: target_headers(request, facts.headers),
            attributes: target_attributes(request, facts.tags)?,
            etag: etag::whole(decision.mode(), ingested.md5.map(hex::encode).or(kept_md5)),
            checksum: ingested.checksum.take(),
            parts_count: None,
            completed_with: None,
        };
        let bytes = Bytes::of_body(ingested, 1)?;
        Ok((draft, bytes, keys.reply))
    }
}

/// A checksum that the client gives no value of.
pub(crate) fn recomputed(algorithm: Option<ChecksumAlgorithm>) -> UploadChecksum {
    UploadChecksum { algorithm, ..UploadChecksum::default() }
}

fn target_headers(request: &CopyObject, source: ObjectHeaders) -> ObjectHeaders {
    let mut headers = request.headers.clone().unwrap_or(source);
    // Neither of these is metadata to S3: they are the request's own, whatever the directive.
    headers.storage_class.clone_from(&request.storage_class);
    headers.website_redirect_location.clone_from(&request.website_redirect_location);
    headers
}

fn target_attributes(request: &CopyObject, source: Vec<Tag>) -> Result<Attributes, Error> {
    let tags = match &request.tags {
        TagsOfCopy::Replace(tags) => tags.clone(),
        TagsOfCopy::Keep { permitted } if *permitted || source.is_empty() => source,
        TagsOfCopy::Keep { .. } => return Err(Error::AccessDenied),
    };
    Ok(Attributes { tags, lock: request.lock, acl: request.acl.clone() })
}

/// S3 refuses a copy onto itself that changes nothing.
fn check_changes_something(request: &CopyObject) -> Result<(), Error> {
    let onto_itself = request.source.bucket == request.bucket && request.source.key == request.key && request.source.version_id.is_none();
    let changes = request.headers.is_some()
        || request.storage_class.is_some()
        || request.website_redirect_location.is_some()
        || request.checksum_algorithm.is_some()
        || request.sse.algorithm.is_some()
        || request.sse.customer.any()
        // The source is under a customer key, and the target will not be.
        || request.source.customer.any();
    if onto_itself && !changes { Err(Error::CopyChangesNothing) } else { Ok(()) }
}

/// A delete marker as the source is no missing object if its version was named.
fn of_source(error: Error) -> Error {
    let refers_to_marker = matches!(error, Error::DeleteMarker { named: true, .. });
    if !refers_to_marker {
        return error;
    }
    Error::InvalidRequest("The source of a copy request may not specifically refer to a delete marker by version id.".into())
}
