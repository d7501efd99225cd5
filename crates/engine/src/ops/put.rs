//! PutObject.

use strongroom_catalog::{CatalogError, Committed, NewVersion};

use crate::{
    Engine, Error,
    api::{Caller, PutObject, Stored, WriteCondition},
    commit::{Bytes, Draft, stored},
    condition::MAX_ATTEMPTS,
    etag, ids,
    ingest::Intake,
    limits,
    sse::{Identified, decide},
};

impl Engine {
    /// PutObject. Nothing is visible before the whole body was verified, sealed and made durable.
    pub async fn put_object(&self, caller: &Caller, request: PutObject) -> Result<Stored, Error> {
        limits::check_key(&request.key)?;
        limits::check_headers(&request.headers)?;
        let bucket = self.bucket(&request.bucket).await?;
        let decision = decide(&request.sse, caller.secure, bucket.encryption.as_ref(), self.options().encrypt_by_default)?;
        self.check_write_early(&request.condition, &bucket.name, &request.key).await?;

        let version_id = ids::new_version_id(ids::now_ms());
        let at = Identified { bucket: &bucket, key: &request.key, version_id: &version_id };
        let keys = self.keys_for_writing(caller, &decision, at, None).await?;
        let intake = Intake {
            keys: &keys.object,
            part_number: 1,
            md5_etag: etag::is_md5(decision.mode()),
            content_md5: request.content_md5.as_deref(),
            checksum: request.checksum,
            inline_limit_bytes: self.options().inline_limit_bytes,
            max_len_bytes: self.options().max_put_bytes,
        };
        let mut ingested = self.ingest(request.body.stream, request.body.length, intake).await?;
        let draft = Draft {
            at,
            envelope: keys.envelope,
            recorded: keys.recorded,
            headers: request.headers,
            etag: etag::whole(decision.mode(), ingested.md5.map(hex::encode)),
            checksum: ingested.checksum.take(),
            parts_count: None,
        };
        let version = self.new_version(&draft, Bytes::of_body(&mut ingested, 1)?)?;
        let committed = self.commit(version, &request.condition, &bucket.name).await?;
        Ok(stored(&draft, keys.reply, ingested.size_bytes, committed.is_null))
    }

    /// Commits a version under a condition, looking again where another write came between looking and committing.
    pub(crate) async fn commit(&self, version: NewVersion, condition: &WriteCondition, bucket: &str) -> Result<Committed, Error> {
        if !matches!(condition, WriteCondition::Matches(_)) {
            let expect = self.expectation(condition, bucket, &version.key).await?;
            return Ok(self.catalog().put_version(version, expect).await?);
        }
        for _ in 0..MAX_ATTEMPTS {
            let expect = self.expectation(condition, bucket, &version.key).await?;
            match self.catalog().put_version(version.clone(), expect).await {
                Err(CatalogError::PreconditionFailed) => {}
                other => return Ok(other?),
            }
        }
        Err(Error::ConditionalConflict)
    }
}
