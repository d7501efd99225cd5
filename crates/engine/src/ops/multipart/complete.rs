//! CompleteMultipartUpload: one commit, no data moved, and one look whether the key can still be used.

use std::sync::Arc;

use aws_lc_rs::digest;
use strongroom_catalog::{Catalog, CatalogError, Envelope, NewVersion, Part, Version, VersionSelector};

use super::create::FoundUpload;
use crate::{
    Engine, Error,
    api::Bucket,
    api::{Caller, Checksum, ChecksumAlgorithm, ChecksumKind, CompleteMultipartUpload, CompletedPart, Stored, UploadFacts, UploadRef},
    checksum,
    commit::{Bytes, Draft, Kept, manifest, stored},
    condition::MAX_ATTEMPTS,
    etag,
    events::EventName,
    ids,
    lifecycle::Subject,
    lock::Locked,
    record::{ObjectRecord, PartRecord, RecordedSse, VersionBinding, manifest_part, open_part_checksums},
    sse::{CustomerKey, Identified, KeyUse, User, check_part_headers, mode_of, sse_reply},
};

/// An upload has at the most so many parts.
pub(crate) const MAX_PARTS: usize = 10_000;

/// A part of the upload that the request names, its record open.
struct Chosen {
    part: Part,
    record: PartRecord,
}

impl Engine {
    /// CompleteMultipartUpload. Repeated after it succeeded, it answers the same again.
    pub async fn complete_multipart_upload(&self, caller: &Caller, request: CompleteMultipartUpload) -> Result<Stored, Error> {
        let customer = CustomerKey::from_headers(&request.sse.customer, caller.sse_c_allowed)?;
        check_order(&request.parts)?;
        for _ in 0..MAX_ATTEMPTS {
            let found = match self.find_upload(caller.expected_owner.as_deref(), &request.upload).await {
                Err(Error::NoSuchUpload) => return self.completed_before(caller, &request, customer.as_ref()).await,
                other => other?,
            };
            let (mode, rules) = (mode_of(&found.upload.envelope)?, self.write_rules(&found.bucket));
            check_part_headers(&request.sse, caller.sse_c_allowed, mode, &found.record.sse, &rules)?;
            let checked = self.check_customer(caller, found.identified(), &found.upload.envelope, &found.record.sse, customer.as_ref());
            self.noted_upload(checked.await, &found)?;
            match self.complete_once(caller, &request, &found, customer.as_ref()).await {
                // A part was uploaded again meanwhile, a conditional write has to look again, or the same request was faster.
                Err(Error::ConditionalConflict | Error::NoSuchUpload) => {}
                // Or it was faster between two of this one's looks, or the commit happened and its answer was lost.
                Err(_) if matches!(self.find_upload(caller.expected_owner.as_deref(), &request.upload).await, Err(Error::NoSuchUpload)) => {
                }
                other => return other,
            }
        }
        Err(Error::ConditionalConflict)
    }

    async fn complete_once(
        &self,
        caller: &Caller,
        request: &CompleteMultipartUpload,
        found: &FoundUpload,
        customer: Option<&CustomerKey>,
    ) -> Result<Stored, Error> {
        let parts = self.all_parts(found).await?;
        let chosen = self.choose(found, &request.parts, parts)?;
        check_sizes(&chosen, self.options().min_part_bytes, request.object_size_bytes, self.options().max_object_bytes)?;
        let draft = self.noted_upload(draft(request, found, &chosen), found)?;
        let lines = chosen.iter().map(|chosen| manifest_part(&chosen.part, &chosen.record)).collect();
        let bytes = Bytes {
            manifest: manifest(self.noted_upload(lines, found)?)?,
            part_checksums: chosen.iter().map(|chosen| chosen.record.checksum.clone()).collect(),
            inline: None,
            blobs: Vec::new(),
            kept: Kept::default(),
        };
        let version = self.noted_upload(self.new_version(caller, &found.bucket.settings, &draft, bytes).await, found)?;
        let version = NewVersion { upload_id: Some(found.upload.upload_id), ..version };
        let (size_bytes, modified) = (version.size_bytes, version.modified);
        let used = chosen.iter().map(|chosen| (chosen.part.number, chosen.part.blob)).collect();
        let expect = self.expectation(&request.condition, &found.bucket.name, &found.upload.key).await?;
        let (upload_id, permits) =
            (found.upload.upload_id, self.admit(User::Caller(caller), found.identified(), [&version.envelope]).await?);
        let event = version.event.clone();
        let commit =
            |catalog: Arc<dyn Catalog>| self.ringing(event, async move { catalog.complete_upload(upload_id, used, version, expect).await });
        let committed = match self.to_the_end(permits, Arc::default(), commit).await? {
            Err(CatalogError::PreconditionFailed) if request.condition.compares_etag() => return Err(Error::ConditionalConflict),
            other => self.settled(other).await?,
        };
        let sse = sse_reply(&found.upload.envelope, &found.record.sse, customer)?;
        let expiry = self.expiry_of_draft(&found.bucket, &draft, size_bytes, modified).await;
        Ok(stored(&draft, sse, size_bytes, committed.is_null, expiry))
    }

    /// The customer key is optional here; where it is given, it must be the upload's.
    async fn check_customer(
        &self,
        caller: &Caller,
        at: Identified<'_>,
        envelope: &Envelope,
        recorded: &RecordedSse,
        customer: Option<&CustomerKey>,
    ) -> Result<(), Error> {
        if customer.is_none() {
            return Ok(());
        }
        let user = User::Caller(caller);
        let checked = self.check_readable(user, at, envelope, recorded, customer).await.map_err(|error| match error {
            Error::CustomerKeyWrong => Error::PartKeyWrong,
            other => other,
        });
        self.recorded_check(KeyUse::of(user, at, mode_of(envelope)?), envelope, customer, checked).await
    }

    async fn all_parts(&self, found: &FoundUpload) -> Result<Vec<Part>, Error> {
        Ok(self.catalog().list_parts(found.upload.upload_id, 0, MAX_PARTS).await?)
    }

    fn noted_upload<T>(&self, result: Result<T, Error>, found: &FoundUpload) -> Result<T, Error> {
        result.map_err(|error| self.integrity().note(error, &found.bucket.name, &found.upload.key))
    }

    fn choose(&self, found: &FoundUpload, named: &[CompletedPart], parts: Vec<Part>) -> Result<Vec<Chosen>, Error> {
        let mut parts = parts.into_iter();
        named
            .iter()
            .map(|named| {
                let part = parts.find(|part| i32::from(part.number) == named.number).ok_or(Error::InvalidPart)?;
                let record = self.noted_upload(PartRecord::open(self.store_key(), &found.upload.upload_id, &part), found)?;
                if named.etag != record.etag.shown || !same_checksum(named.checksum.as_ref(), record.checksum.as_ref()) {
                    return Err(Error::InvalidPart);
                }
                Ok(Chosen { part, record })
            })
            .collect()
    }

    async fn completed_before(
        &self,
        caller: &Caller,
        request: &CompleteMultipartUpload,
        customer: Option<&CustomerKey>,
    ) -> Result<Stored, Error> {
        let (bucket, version, record) = self.find_completed(caller.expected_owner.as_deref(), &request.upload).await?;
        if !is_repeated(request, version.size_bytes, &record) || !self.has_checksums(&bucket, &version, &request.parts).await? {
            return Err(Error::NoSuchUpload);
        }
        let envelope = version.envelope.as_ref().ok_or_else(|| Error::Integrity("it has no envelope".into()))?;
        let at = Identified { bucket: &bucket, key: &version.key, version_id: version.version_id };
        self.check_customer(caller, at, envelope, &record.sse, customer).await?;
        let subject = Subject { key: &version.key, size_bytes: version.size_bytes, tags: &record.tags };
        let expiry = if version.is_latest { self.expiry_of(&bucket, subject, version.modified).await } else { None };
        Ok(Stored {
            expiry,
            version_id: ids::shown(bucket.versioning, &version),
            sse: sse_reply(envelope, &record.sse, customer)?,
            etag: record.etag.shown,
            checksum: record.checksum,
            size_bytes: version.size_bytes,
        })
    }

    /// Whether the object's parts have the checksums that the request names.
    async fn has_checksums(&self, bucket: &Bucket, version: &Version, named: &[CompletedPart]) -> Result<bool, Error> {
        if named.iter().all(|part| part.checksum.is_none()) {
            return Ok(true);
        }
        let which = VersionSelector::Id(version.version_id);
        let found = self.catalog().find_version_data(&bucket.name, &version.key, which).await?;
        let (present, data) = found.and_then(|(_, found)| found).ok_or(Error::NoSuchUpload)?;
        let binding = VersionBinding::of(bucket.id, &present);
        let stored = open_part_checksums(self.store_key(), &binding, &data.part_record);
        let stored = stored.map_err(|error| self.integrity().note(error, &bucket.name, &version.key))?;
        let stored = stored.iter().map(Option::as_ref).chain(std::iter::repeat(None));
        Ok(named.iter().zip(stored).all(|(named, stored)| same_checksum(named.checksum.as_ref(), stored)))
    }

    /// How what an upload brings is encrypted and locked: of an upload under way, or of the object that it became.
    pub async fn upload_facts(&self, upload: &UploadRef) -> Result<UploadFacts, Error> {
        match self.find_upload(None, upload).await {
            Ok(found) => Ok(UploadFacts {
                sse: sse_reply(&found.upload.envelope, &found.record.sse, None)?,
                lock: found.record.attributes.lock,
                begun_ms: found.upload.initiated,
            }),
            Err(Error::NoSuchUpload) => {
                let (_, version, record) = self.find_completed(None, upload).await?;
                let envelope = version.envelope.as_ref().ok_or_else(|| Error::Integrity("it has no envelope".into()))?;
                let lock = Locked { lock: version.lock, recorded: record.lock }.shown();
                Ok(UploadFacts { sse: sse_reply(envelope, &record.sse, None)?, lock, begun_ms: version.modified })
            }
            Err(error) => Err(error),
        }
    }

    /// The object that an upload became.
    async fn find_completed(&self, expected_owner: Option<&str>, upload: &UploadRef) -> Result<(Bucket, Version, ObjectRecord), Error> {
        let bucket = self.bucket_of(expected_owner, &upload.bucket).await?;
        let upload_id = ids::parse_upload(&upload.upload_id)?;
        let version = self.catalog().find_completed(bucket.id, &upload.key, upload_id).await?.ok_or(Error::NoSuchUpload)?;
        let record = self.record_of(&bucket, &version)?;
        Ok((bucket, version, record))
    }
}

/// Whether this repeats the request that completed the object: the same parts, and no other checksum or size.
fn is_repeated(request: &CompleteMultipartUpload, size_bytes: u64, record: &ObjectRecord) -> bool {
    let same_parts = match &record.completed_with {
        Some(digest) => *digest == digest_of(&request.parts),
        // The record is of an earlier version, which kept no more than the MD5. If that proves nothing, it counts as another request.
        None => record.etag.shown_is_md5() && record.etag.md5 == md5_of(&request.parts),
    };
    let same_checksum = request.checksum.as_ref().is_none_or(|(algorithm, value)| {
        let is_meant = |kept: &Checksum| kept.algorithm == *algorithm && says(value, kept, request.parts.len());
        record.checksum.as_ref().is_some_and(is_meant)
    });
    let kept_kind = record.checksum.as_ref().map(|checksum| checksum.kind);
    same_parts
        && same_checksum
        && request.checksum_kind.is_none_or(|kind| kept_kind == Some(kind))
        && request.object_size_bytes.is_none_or(|stated| stated == size_bytes)
}

/// SHA-256, hex, of each part's number in four bytes, the length of its ETag in eight, and the ETag.
fn digest_of(named: &[CompletedPart]) -> String {
    let mut digest = digest::Context::new(&digest::SHA256);
    for part in named {
        digest.update(&part.number.to_be_bytes());
        digest.update(&(part.etag.len() as u64).to_be_bytes());
        digest.update(part.etag.as_bytes());
    }
    hex::encode(digest.finish())
}

fn md5_of(named: &[CompletedPart]) -> Option<String> {
    etag::md5_of_parts(named.iter().map(|part| Some(part.etag.as_str())))
}

fn draft<'a>(request: &CompleteMultipartUpload, found: &'a FoundUpload, chosen: &[Chosen]) -> Result<Draft<'a>, Error> {
    let etags: Vec<_> = chosen.iter().map(|chosen| &chosen.record.etag).collect();
    Ok(Draft {
        at: found.identified(),
        event: EventName::ObjectCreatedCompleteMultipartUpload,
        envelope: found.upload.envelope.clone(),
        recorded: found.record.sse.clone(),
        keys_since: None,
        headers: found.record.headers.clone(),
        attributes: found.record.attributes.clone(),
        etag: etag::of_parts(mode_of(&found.upload.envelope)?, &etags),
        checksum: object_checksum(request, found.record.checksum, chosen)?,
        parts_count: Some(u32::try_from(chosen.len()).map_err(|_| Error::InvalidPart)?),
        completed_with: Some(digest_of(&request.parts)),
    })
}

fn check_order(parts: &[CompletedPart]) -> Result<(), Error> {
    if parts.is_empty() {
        return Err(Error::MalformedXml("CompleteMultipartUpload must name a part".into()));
    }
    if parts.len() > MAX_PARTS {
        return Err(Error::InvalidArgument("An upload has at the most 10,000 parts.".into()));
    }
    if parts.windows(2).all(|pair| pair[0].number < pair[1].number) { Ok(()) } else { Err(Error::InvalidPartOrder) }
}

fn check_sizes(chosen: &[Chosen], min_bytes: u64, stated_bytes: Option<u64>, max_bytes: u64) -> Result<(), Error> {
    let all_but_last = chosen.len().saturating_sub(1);
    if let Some(small) = chosen[..all_but_last].iter().find(|chosen| chosen.part.size_bytes < min_bytes) {
        return Err(Error::EntityTooSmall { number: small.part.number, size_bytes: small.part.size_bytes });
    }
    let total: u64 = chosen.iter().map(|chosen| chosen.part.size_bytes).sum();
    if total > max_bytes {
        return Err(Error::EntityTooLarge);
    }
    if stated_bytes.is_some_and(|stated| stated != total) {
        return Err(Error::InvalidRequest(format!("x-amz-mp-object-size is not the size of the parts, which is {total}.")));
    }
    Ok(())
}

fn same_checksum(named: Option<&(ChecksumAlgorithm, String)>, stored: Option<&Checksum>) -> bool {
    match (named, stored) {
        (Some((algorithm, value)), Some(stored)) => stored.algorithm == *algorithm && stored.value == *value,
        (Some(_), None) => false,
        (None, _) => true,
    }
}

/// The object's checksum: of the type that the upload was begun with, else of the one that this request states.
fn object_checksum(
    request: &CompleteMultipartUpload,
    upload: Option<(ChecksumAlgorithm, ChecksumKind)>,
    chosen: &[Chosen],
) -> Result<Option<Checksum>, Error> {
    let stated = request.checksum.as_ref();
    let choice = upload.or_else(|| {
        let (algorithm, value) = stated?;
        let kind = if value.contains('-') { ChecksumKind::Composite } else { ChecksumKind::FullObject };
        Some((*algorithm, request.checksum_kind.unwrap_or(kind)))
    });
    let Some((algorithm, kind)) = choice else {
        return Ok(None);
    };
    if request.checksum_kind.is_some_and(|stated| stated != kind) {
        return Err(Error::InvalidRequest("x-amz-checksum-type is not the one that the upload was begun with.".into()));
    }
    let lacks = || Error::InvalidRequest(format!("The upload has parts without a {} checksum.", algorithm.name()));
    let parts = chosen.iter().map(|chosen| {
        let checksum = chosen.record.checksum.as_ref().filter(|checksum| checksum.algorithm == algorithm).ok_or_else(lacks)?;
        Ok((checksum, chosen.part.size_bytes))
    });
    let computed = checksum::of_parts(algorithm, kind, &parts.collect::<Result<Vec<_>, Error>>()?)?;
    match stated {
        Some((stated, value)) if *stated != algorithm || !says(value, &computed, chosen.len()) => Err(Error::BadDigest(algorithm.name())),
        _ => Ok(Some(computed)),
    }
}

/// Clients may leave the `-N` of a composite checksum out.
fn says(stated: &str, computed: &Checksum, parts: usize) -> bool {
    stated == computed.value || computed.value.strip_suffix(&format!("-{parts}")) == Some(stated)
}

#[cfg(test)]
#[path = "complete_tests.rs"]
mod tests;
