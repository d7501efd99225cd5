//! GetObject, HeadObject and GetObjectAttributes.

use std::sync::Arc;

use strongroom_catalog::{Envelope, Version, VersionData, VersionId, VersionSelector};
use strongroom_seal::Manifest;

use crate::{
    Engine, Error,
    api::Bucket,
    api::{ByteRange, Caller, Checksum, GetObject, ObjectInfo, ObjectPart, ObjectReply},
    budget::Held,
    condition::{check_read, range_is_meant},
    egress::{self, Opened},
    ids,
    lifecycle::{Expiry, Subject},
    limits,
    lock::Locked,
    record::{ObjectRecord, VersionBinding, open_part_checksums},
    sse::{CustomerKey, Identified, KeyUse, User, check_customer_key, check_read_headers, mode_of, sse_reply},
};

/// How often a read looks again when what it found was overwritten and swept before it could be held.
const MAX_LOOKS: usize = 3;

/// A stored version, its record open.
pub(crate) struct Found {
    pub(crate) bucket: Bucket,
    pub(crate) version: Version,
    pub(crate) record: ObjectRecord,
}

impl Found {
    pub(crate) fn identified(&self) -> Identified<'_> {
        Identified { bucket: &self.bucket, key: &self.version.key, version_id: self.version.version_id }
    }

    pub(crate) fn locked(&self) -> Locked {
        Locked { lock: self.version.lock, recorded: self.record.lock }
    }
}

/// A stored version with where its bytes lie.
pub(crate) struct FoundData {
    pub(crate) found: Found,
    pub(crate) manifest: Manifest,
    pub(crate) part_record: Vec<u8>,
    pub(crate) inline: Option<Vec<u8>>,
}

/// The bytes that a request means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Extent {
    offset: u64,
    len: u64,
    partial: bool,
}

impl Engine {
    /// GetObject.
    pub async fn get_object(self: &Arc<Self>, caller: &Caller, request: GetObject) -> Result<ObjectReply, Error> {
        let customer = check_read_headers(&request.sse, caller.sse_c_allowed)?;
        let (mut data, mut memory) = self.requested_held(caller, &request).await?;
        for _ in 0..MAX_LOOKS {
            let seen = data.found.version.version_id;
            let error = match self.read(caller, &request, customer.as_ref(), data, memory).await {
                Err(error @ Error::Integrity(_)) => error,
                other => return other,
            };
            // A concurrent overwrite may have let the blobs go between the look-up and the read: look again before crying wolf.
            (data, memory) = self.requested_held(caller, &request).await?;
            if data.found.version.version_id == seen {
                return Err(self.integrity().note(error, &request.bucket, &request.key));
            }
        }
        Err(Error::Busy)
    }

    /// HeadObject: never calls the KMS, and never reads the data. So it answers also while the key is disabled, sealed or gone, and also to
    /// who has no right to it unless the checksum is asked for. Without the right customer key it is refused as GetObject is.
    pub async fn head_object(&self, caller: &Caller, request: GetObject) -> Result<ObjectReply, Error> {
        let customer = check_read_headers(&request.sse, caller.sse_c_allowed)?;
        if request.part_number.is_some() {
            let data = self.requested_data(caller, &request).await?;
            self.check_headed(caller, &request, &data.found, customer.as_ref()).await?;
            let mut described = self.noted(self.described(&request, customer.as_ref(), &data), &data.found)?;
            described.info.expiry = self.expiry_of_found(&data.found).await;
            return Ok(described);
        }
        let owner = caller.expected_owner.as_deref();
        let found = self.find(owner, &request.bucket, &request.key, request.version_id.as_deref()).await?;
        check_seen(caller.seen.object, &found)?;
        self.check_headed(caller, &request, &found, customer.as_ref()).await?;
        check_read(&request.conditions, &found.record.etag.shown, found.version.modified)?;
        let extent = extent(meant_range(&request, &found), None, found.version.size_bytes, None, None)?;
        let mut info = info(&found, customer.as_ref())?;
        info.expiry = self.expiry_of_found(&found).await;
        let checksum = info.checksum.clone().filter(|_| !extent.partial);
        Ok(reply(info, extent, checksum))
    }

    /// An error where there is no such object, or where it is a delete marker. Its row is authenticated, its keys are not opened.
    pub async fn check_object(&self, bucket: &str, key: &str, version_id: Option<&str>) -> Result<(), Error> {
        self.find(None, bucket, key, version_id).await.map(drop)
    }

    /// GetObjectAttributes: the object, and its parts where it was a multipart upload.
    pub async fn object_attributes(&self, caller: &Caller, request: GetObject) -> Result<(ObjectInfo, Vec<ObjectPart>), Error> {
        let customer = check_read_headers(&request.sse, caller.sse_c_allowed)?;
        let data = self.requested_data(caller, &request).await?;
        self.check_found(caller, &data.found, customer.as_ref()).await?;
        check_read(&request.conditions, &data.found.record.etag.shown, data.found.version.modified)?;
        let parts = if data.found.record.parts_count.is_some() { self.noted(self.object_parts(&data), &data.found)? } else { Vec::new() };
        Ok((info(&data.found, customer.as_ref())?, parts))
    }

    /// The version that a request names, with its record open, in a bucket of the expected owner. Delete markers are errors.
    pub(crate) async fn find(&self, owner: Option<&str>, bucket: &str, key: &str, version_id: Option<&str>) -> Result<Found, Error> {
        let which = selector(key, version_id)?;
        let found = self.catalog().find_version(bucket, key, which).await;
        let found = found.map_err(|error| self.integrity().note(error.into(), bucket, key))?;
        let (bucket, version) = found.ok_or(Error::NoSuchBucket)?;
        let bucket = self.trusted_of(owner, bucket)?;
        self.opened_record(bucket, version, which)
    }

    /// As [`Engine::find`], with where the bytes lie: the manifest is found to be the record's.
    pub(crate) async fn find_data(
        &self,
        owner: Option<&str>,
        bucket: &str,
        key: &str,
        version_id: Option<&str>,
    ) -> Result<FoundData, Error> {
        let which = selector(key, version_id)?;
        let found = self.catalog().find_version_data(bucket, key, which).await;
        let found = found.map_err(|error| self.integrity().note(error.into(), bucket, key))?;
        let (bucket, found) = found.ok_or(Error::NoSuchBucket)?;
        let bucket = self.trusted_of(owner, bucket)?;
        let (version, data) = found.unzip();
        let found = self.opened_record(bucket, version, which)?;
        let VersionData { manifest, part_record, inline } = data.unwrap_or_default();
        let manifest = verified_manifest(&manifest, &found.record)
            .map_err(|error| self.integrity().note(error, &found.bucket.name, &found.version.key))?;
        Ok(FoundData { found, manifest, part_record, inline })
    }

    async fn requested_data(&self, caller: &Caller, request: &GetObject) -> Result<FoundData, Error> {
        let owner = caller.expected_owner.as_deref();
        let data = self.find_data(owner, &request.bucket, &request.key, request.version_id.as_deref()).await?;
        check_seen(caller.seen.object, &data.found)?;
        Ok(data)
    }

    async fn requested_held(&self, caller: &Caller, request: &GetObject) -> Result<(FoundData, Held), Error> {
        let named = (request.bucket.as_str(), request.key.as_str(), request.version_id.as_deref());
        let (data, held) = self.held_data(caller.expected_owner.as_deref(), named, |_| 0).await?;
        check_seen(caller.seen.object, &data.found)?;
        Ok((data, held))
    }

    /// As [`Engine::find_data`], with the memory for reading it and for `more`.
    pub(crate) async fn held_data(
        &self,
        owner: Option<&str>,
        (bucket, key, version_id): (&str, &str, Option<&str>),
        more: impl Fn(&FoundData) -> usize,
    ) -> Result<(FoundData, Held), Error> {
        let mut held: Option<Held> = None;
        for _ in 0..MAX_LOOKS {
            let data = self.find_data(owner, bucket, key, version_id).await?;
            let needed = egress::minimum(&data.manifest, data.inline.as_deref()) + more(&data);
            if let Some(held) = held.take().filter(|held| held.bytes() >= needed).or_else(|| self.budget().try_hold(needed)) {
                return Ok((data, held));
            }
            // Rows that wait would be memory outside of the budget: this one goes, and is looked up again when its turn has come.
            drop(data);
            held = Some(self.budget().hold(needed).await?);
        }
        Err(Error::Busy)
    }

    /// The open object of a caller who may read it. At the most one call of the KMS.
    pub(crate) async fn open_found(&self, caller: &Caller, data: FoundData, customer: Option<&CustomerKey>) -> Result<Opened, Error> {
        let FoundData { found, manifest, inline, .. } = data;
        let envelope = envelope_of(&found)?;
        let keys = self.keys_for_reading(User::Caller(caller), found.identified(), envelope, &found.record.sse, customer).await?;
        let version_id = found.version.version_id;
        Ok(Opened { bucket: found.bucket.name.clone(), key: found.version.key, version_id, keys, manifest, inline })
    }

    /// Whether the caller may read, where the object is not opened.
    async fn check_found(&self, caller: &Caller, found: &Found, customer: Option<&CustomerKey>) -> Result<(), Error> {
        let (envelope, user) = (envelope_of(found)?, User::Caller(caller));
        let checked = self.check_readable(user, found.identified(), envelope, &found.record.sse, customer).await;
        self.recorded_found(user, found, envelope, customer, checked).await
    }

    /// Amazon asks for `kms:Decrypt` to head an object only where its checksum is wanted.
    async fn check_headed(&self, caller: &Caller, request: &GetObject, found: &Found, customer: Option<&CustomerKey>) -> Result<(), Error> {
        if request.checksum_mode {
            return self.check_found(caller, found, customer).await;
        }
        let envelope = envelope_of(found)?;
        let checked = check_customer_key(envelope, &found.record.sse, customer);
        self.recorded_found(User::Caller(caller), found, envelope, customer, checked).await
    }

    async fn recorded_found(
        &self,
        user: User<'_>,
        found: &Found,
        envelope: &Envelope,
        customer: Option<&CustomerKey>,
        checked: Result<(), Error>,
    ) -> Result<(), Error> {
        let key_use = KeyUse::of(user, found.identified(), mode_of(envelope)?);
        let recorded = self.recorded_check(key_use, envelope, customer, checked).await;
        self.noted(recorded, found)
    }

    async fn read(
        self: &Arc<Self>,
        caller: &Caller,
        request: &GetObject,
        customer: Option<&CustomerKey>,
        data: FoundData,
        memory: Held,
    ) -> Result<ObjectReply, Error> {
        // Who may not read learns nothing from conditions either. That it may not is recorded with the use that does not take place.
        let (found, user) = (&data.found, User::Caller(caller));
        let checked = self.check_readable(user, found.identified(), envelope_of(found)?, &found.record.sse, customer).await;
        if checked.is_err() {
            return self.open_found(caller, data, customer).await.and(Err(Error::AccessDenied));
        }
        let mut described = self.described(request, customer, &data)?;
        described.info.expiry = self.expiry_of_found(&data.found).await;
        let opened = self.open_found(caller, data, customer).await?;
        let body = self.open_stream(opened, described.first_byte, described.length, memory).await?;
        Ok(ObjectReply { body: Some(body), ..described })
    }

    /// Only current versions expire by their age.
    async fn expiry_of_found(&self, Found { bucket, version, record }: &Found) -> Option<Expiry> {
        let subject = Subject { key: &version.key, size_bytes: version.size_bytes, tags: &record.tags };
        if version.is_latest { self.expiry_of(bucket, subject, version.modified).await } else { None }
    }

    /// The reply to a read without its bytes.
    fn described(&self, request: &GetObject, customer: Option<&CustomerKey>, data: &FoundData) -> Result<ObjectReply, Error> {
        let Found { version, record, .. } = &data.found;
        check_read(&request.conditions, &record.etag.shown, version.modified)?;
        let range = meant_range(request, &data.found);
        let extent = extent(range, request.part_number, version.size_bytes, Some(&data.manifest), record.parts_count)?;
        let info = info(&data.found, customer)?;
        let checksum = match (range, request.part_number, record.parts_count) {
            (None, Some(number), Some(_)) => self.part_checksum(data, number)?,
            (None, _, _) => info.checksum.clone(),
            (Some(_), _, _) => None,
        };
        Ok(reply(info, extent, checksum))
    }

    /// The checksum of one part, said to be of the object's type, as S3 has it.
    fn part_checksum(&self, data: &FoundData, number: u32) -> Result<Option<Checksum>, Error> {
        let Some(kind) = data.found.record.checksum.as_ref().map(|checksum| checksum.kind) else {
            return Ok(None);
        };
        let part = self.object_parts(data)?.into_iter().find(|part| part.number == number);
        Ok(part.and_then(|part| part.checksum).map(|checksum| Checksum { kind, ..checksum }))
    }

    fn opened_record(&self, bucket: Bucket, version: Option<Version>, which: VersionSelector) -> Result<Found, Error> {
        let latest = which == VersionSelector::Latest;
        let version = version.ok_or(if latest { Error::NoSuchKey } else { Error::NoSuchVersion })?;
        if version.is_delete_marker {
            return Err(ids::delete_marker(&bucket, &version, which));
        }
        let record = self.record_of(&bucket, &version)?;
        Ok(Found { bucket, version, record })
    }

    fn noted<T>(&self, result: Result<T, Error>, found: &Found) -> Result<T, Error> {
        result.map_err(|error| self.integrity().note(error, &found.bucket.name, &found.version.key))
    }

    fn object_parts(&self, data: &FoundData) -> Result<Vec<ObjectPart>, Error> {
        let binding = VersionBinding::of(data.found.bucket.id, &data.found.version);
        let checksums = open_part_checksums(self.store_key(), &binding, &data.part_record)?;
        // Where the object has a checksum, each part has one.
        if checksums.is_empty() && data.found.record.checksum.is_some() {
            return Err(Error::Integrity("the checksums of its parts are missing".into()));
        }
        let parts = data.manifest.parts().iter().enumerate().map(|(index, part)| ObjectPart {
            number: part.number.into(),
            size_bytes: part.plaintext_len,
            checksum: checksums.get(index).cloned().flatten(),
        });
        Ok(parts.collect())
    }
}

/// Refuses what took the place of the version that the request was decided by. The client asks again, and it is decided anew.
pub(crate) fn check_seen(seen: Option<VersionId>, found: &Found) -> Result<(), Error> {
    if seen.is_none_or(|seen| seen == found.version.version_id) { Ok(()) } else { Err(Error::Busy) }
}

fn selector(key: &str, version_id: Option<&str>) -> Result<VersionSelector, Error> {
    limits::check_key(key)?;
    ids::parse_version(version_id)
}

fn envelope_of(found: &Found) -> Result<&Envelope, Error> {
    found.version.envelope.as_ref().ok_or_else(|| Error::Integrity("it has no envelope".into()))
}

fn meant_range(request: &GetObject, found: &Found) -> Option<ByteRange> {
    let meant = range_is_meant(request.if_range.as_ref(), &found.record.etag.shown, found.version.modified);
    request.range.filter(|_| meant)
}

/// What clients learn of an object.
fn info(found: &Found, customer: Option<&CustomerKey>) -> Result<ObjectInfo, Error> {
    let Found { bucket, version, record } = found;
    let envelope = envelope_of(found)?;
    Ok(ObjectInfo {
        key: version.key.clone(),
        etag: record.etag.shown.clone(),
        version_id: ids::shown(bucket.versioning, version),
        size_bytes: version.size_bytes,
        modified_ms: version.modified,
        headers: record.headers.clone(),
        sse: sse_reply(envelope, &record.sse, customer)?,
        checksum: record.checksum.clone(),
        parts_count: record.parts_count,
        tag_count: record.tags.len(),
        lock: found.locked().shown(),
        expiry: None,
    })
}

fn verified_manifest(encoded: &[u8], record: &ObjectRecord) -> Result<Manifest, Error> {
    let manifest = Manifest::decode(encoded).map_err(|error| Error::Integrity(format!("its manifest: {error}")))?;
    let mut digest = [0; 32];
    hex::decode_to_slice(&record.manifest_sha256, &mut digest).map_err(|_| Error::Integrity("its record names no manifest".into()))?;
    manifest.verify(&digest).map_err(|error| Error::Integrity(error.to_string()))?;
    Ok(manifest)
}

fn reply(info: ObjectInfo, extent: Extent, checksum: Option<Checksum>) -> ObjectReply {
    ObjectReply { checksum, info, first_byte: extent.offset, length: extent.len, partial: extent.partial, body: None }
}

fn extent(
    range: Option<ByteRange>,
    part_number: Option<u32>,
    size: u64,
    manifest: Option<&Manifest>,
    parts_count: Option<u32>,
) -> Result<Extent, Error> {
    match (range, part_number) {
        (Some(_), Some(_)) => Err(Error::InvalidRequest("Cannot specify both Range header and partNumber query parameter.".into())),
        (Some(range), None) => range_extent(range, size),
        (None, Some(number)) => part_extent(number, size, manifest, parts_count),
        (None, None) => Ok(Extent { offset: 0, len: size, partial: false }),
    }
}

/// RFC 9110, section 14.1.2: a range that begins beyond the end, or an empty suffix, cannot be satisfied.
pub(crate) fn resolve_range(range: ByteRange, size: u64) -> Option<(u64, u64)> {
    match range {
        ByteRange::From { first, last } if first < size && last.is_none_or(|last| last >= first) => {
            let end = last.map_or(size, |last| last.saturating_add(1).min(size));
            Some((first, end - first))
        }
        ByteRange::Suffix { length } if length > 0 && size > 0 => {
            let len = length.min(size);
            Some((size - len, len))
        }
        ByteRange::From { .. } | ByteRange::Suffix { .. } => None,
    }
}

fn range_extent(range: ByteRange, size: u64) -> Result<Extent, Error> {
    let (offset, len) = resolve_range(range, size).ok_or(Error::InvalidRange { size_bytes: size })?;
    Ok(Extent { offset, len, partial: true })
}

/// An object put whole has one part, number 1.
fn part_extent(number: u32, size: u64, manifest: Option<&Manifest>, parts_count: Option<u32>) -> Result<Extent, Error> {
    let Some(manifest) = manifest.filter(|_| parts_count.is_some()) else {
        return if number == 1 { Ok(Extent { offset: 0, len: size, partial: true }) } else { Err(Error::InvalidPartNumber) };
    };
    let mut offset = 0;
    for part in manifest.parts() {
        if u32::from(part.number) == number {
            return Ok(Extent { offset, len: part.plaintext_len, partial: true });
        }
        offset += part.plaintext_len;
    }
    Err(Error::InvalidPartNumber)
}

/// Whether the last byte a range names is there: copies take no range that reaches beyond the end.
pub(crate) fn ends_within(range: ByteRange, size: u64) -> bool {
    matches!(range, ByteRange::From { last: Some(last), .. } if last < size)
}
