//! CreateMultipartUpload and AbortMultipartUpload, and how the other operations find an upload.

use std::sync::Arc;

use strongroom_catalog::{Upload, UploadId};

use crate::{
    Engine, Error,
    api::Bucket,
    api::{Attributes, Caller, ChecksumAlgorithm, ChecksumKind, CreateMultipartUpload, CreatedUpload, UploadRef},
    checksum::not_allowed,
    ids, limits, lock,
    record::UploadRecord,
    sse::{Identified, User},
};

/// An upload under way, its record open.
pub(crate) struct FoundUpload {
    pub(crate) bucket: Bucket,
    pub(crate) upload: Upload,
    pub(crate) record: UploadRecord,
}

impl FoundUpload {
    pub(crate) fn identified(&self) -> Identified<'_> {
        identified(&self.bucket, &self.upload)
    }
}

fn identified<'a>(bucket: &'a Bucket, upload: &'a Upload) -> Identified<'a> {
    Identified { bucket, key: &upload.key, version_id: upload.version_id }
}

impl Engine {
    /// CreateMultipartUpload. The object keys are made and sealed here, bound to the version that the upload will end in.
    pub async fn create_multipart_upload(&self, caller: &Caller, request: CreateMultipartUpload) -> Result<CreatedUpload, Error> {
        limits::check_key(&request.key)?;
        limits::check_headers(&request.headers)?;
        let checksum = checksum_choice(request.checksum_algorithm, request.checksum_kind)?;
        let bucket = self.bucket_of(caller.expected_owner.as_deref(), &request.bucket).await?;
        request.attributes.check(&bucket)?;
        if let Some(acl) = &request.attributes.acl {
            self.check_acl(&bucket, acl)?;
            self.check_grantees(acl).await?;
        }
        let lock = lock::of_new_upload(request.attributes.lock, &bucket);
        let attributes = Attributes { lock, ..request.attributes };
        let decision = self.decide(caller, &request.sse, &bucket)?;
        self.space().admit(None)?;
        let now = self.lifecycle_clock().now();
        let (upload_id, version_id) = (UploadId(strongroom_seal::random_array()), ids::new_version_id(now));
        let at = Identified { bucket: &bucket, key: &request.key, version_id };
        let keys = self.keys_for_writing(User::Caller(caller), &decision, at, None).await?;
        let record = UploadRecord { headers: request.headers, checksum, attributes, sse: keys.recorded };
        let mut upload = Upload {
            upload_id,
            bucket_id: bucket.id,
            key: request.key,
            version_id,
            initiated: now,
            initiator: caller.identity.name.clone(),
            envelope: keys.envelope,
            record: Vec::new(),
        };
        upload.record = record.seal(self.store_key(), &upload)?;
        let abort = self.abort_of(&bucket, &upload.key, now).await;
        let permits = self.admit(User::Caller(caller), identified(&bucket, &upload), [&upload.envelope]).await?;
        let created = self.to_the_end(permits, Arc::default(), |catalog| async move { catalog.create_upload(upload).await }).await?;
        self.settled(created).await?;
        Ok(CreatedUpload { upload_id: upload_id.to_string(), sse: keys.reply, checksum, abort })
    }

    /// AbortMultipartUpload.
    pub async fn abort_multipart_upload(&self, upload: &UploadRef) -> Result<(), Error> {
        let bucket = self.bucket(&upload.bucket).await?;
        let upload_id = ids::parse_upload(&upload.upload_id)?;
        self.settled(self.making_room(|| self.catalog().abort_upload(bucket.id, &upload.key, upload_id)).await).await
    }

    pub(crate) async fn find_upload(&self, expected_owner: Option<&str>, upload: &UploadRef) -> Result<FoundUpload, Error> {
        let upload_id = match ids::parse_upload(&upload.upload_id) {
            Ok(upload_id) => upload_id,
            // The bucket's absence comes first, as S3 has it.
            Err(error) => return Err(self.bucket_of(expected_owner, &upload.bucket).await.err().unwrap_or(error)),
        };
        let (bucket, found) = self.catalog().find_upload(&upload.bucket, &upload.key, upload_id).await?.ok_or(Error::NoSuchBucket)?;
        let bucket = self.trusted_of(expected_owner, bucket)?;
        self.opened_upload(bucket, found.ok_or(Error::NoSuchUpload)?)
    }

    /// An upload with its record, which vouches for what is known of it.
    pub(crate) fn opened_upload(&self, bucket: Bucket, upload: Upload) -> Result<FoundUpload, Error> {
        let record = UploadRecord::open(self.store_key(), &upload);
        let record = record.map_err(|error| self.integrity().note(error, &bucket.name, &upload.key))?;
        Ok(FoundUpload { bucket, upload, record })
    }
}

fn checksum_choice(
    algorithm: Option<ChecksumAlgorithm>,
    kind: Option<ChecksumKind>,
) -> Result<Option<(ChecksumAlgorithm, ChecksumKind)>, Error> {
    let Some(algorithm) = algorithm else {
        return match kind {
            Some(_) => Err(Error::InvalidRequest(
                "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.".into(),
            )),
            None => Ok(None),
        };
    };
    let kind = kind.unwrap_or_else(|| algorithm.default_kind());
    if algorithm.allows(kind) {
        return Ok(Some((algorithm, kind)));
    }
    Err(not_allowed(algorithm, kind))
}
