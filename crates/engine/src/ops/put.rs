//! PutObject.

use crate::{
    Engine, Error,
    api::{Caller, PutObject, Stored},
    commit::{Bytes, Draft, stored},
    etag,
    events::EventName,
    ids,
    ingest::{self, Intake},
    limits,
    sse::{Identified, User},
};

impl Engine {
    /// PutObject. Nothing is visible before the whole body was verified, sealed and made durable.
    pub async fn put_object(&self, caller: &Caller, request: PutObject) -> Result<Stored, Error> {
        limits::check_key(&request.key)?;
        limits::check_headers(&request.headers)?;
        let bucket = self.bucket_of(caller.expected_owner.as_deref(), &request.bucket).await?;
        request.attributes.check(&bucket)?;
        if let Some(acl) = &request.attributes.acl {
            self.check_acl(&bucket, acl)?;
            self.check_grantees(acl).await?;
        }
        let decision = self.decide(caller, &request.sse, &bucket)?;
        self.check_write_early(&request.condition, &bucket.name, &request.key).await?;
        self.space().admit(request.body.length)?;

        let memory = self.budget().hold(ingest::minimum(request.body.length, Some(self.options().inline_limit_bytes))).await?;
        let version_id = ids::new_version_id(ids::now_ms());
        let at = Identified { bucket: &bucket, key: &request.key, version_id };
        let keys = self.keys_for_writing(User::Caller(caller), &decision, at, None).await?;
        let intake = Intake {
            keys: &keys.object,
            part_number: 1,
            md5_etag: etag::is_md5(decision.mode()),
            crc64: false,
            content_md5: request.content_md5.as_deref(),
            checksum: request.checksum,
            inline_limit_bytes: Some(self.options().inline_limit_bytes),
            max_len_bytes: self.options().max_put_bytes,
            memory,
        };
        let mut ingested = self.ingest(request.body.stream, request.body.length, intake).await?;
        let draft = Draft {
            at,
            event: if request.by_form { EventName::ObjectCreatedPost } else { EventName::ObjectCreatedPut },
            envelope: keys.envelope,
            recorded: keys.recorded,
            keys_since: Some(keys.since),
            headers: request.headers,
            attributes: request.attributes,
            etag: etag::whole(decision.mode(), ingested.md5.map(hex::encode)),
            checksum: ingested.checksum.take(),
            parts_count: None,
            completed_with: None,
        };
        let mut bytes = Bytes::of_body(ingested, 1)?;
        let kept = std::mem::take(&mut bytes.kept);
        let version = self.new_version(caller, &bucket.settings, &draft, bytes).await?;
        let (size_bytes, modified) = (version.size_bytes, version.modified);
        let committed = self.commit(caller, at, version, kept, &request.condition).await?;
        let expiry = self.expiry_of_draft(&bucket, &draft, size_bytes, modified).await;
        Ok(stored(&draft, keys.reply, size_bytes, committed.is_null, expiry))
    }
}
