//! Committing a version: the last step of PutObject, CopyObject and CompleteMultipartUpload.

use std::{sync::Arc, time::Duration};

use strongroom_catalog::{BlobUse, Bucket, Catalog, CatalogError, Committed, Envelope, Expect, NewVersion, VersionData, VersionId};
use strongroom_fair::ForTenant;
use strongroom_kms::CommitPermit;
use strongroom_seal::{Manifest, ManifestPart};
use tokio::time::Instant;

use crate::{
    Engine, Error,
    api::{Attributes, Caller, Checksum, ObjectHeaders, SseReply, Stored, WriteCondition},
    bucket::Settings,
    budget::Held,
    condition::MAX_ATTEMPTS,
    events::EventName,
    ids,
    in_use::Hold,
    ingest::{Ingested, Placement},
    lifecycle::{Expiry, Subject},
    lock,
    record::{Etag, ObjectRecord, RecordedSse, VersionBinding, seal_part_checksums},
    sse::{Identified, KeyUse, User, mode_of},
    tags,
};

/// For so long a write believes what it read of its bucket: rules and default locks that were set before that hold for it.
const BELIEVED: Duration = Duration::from_secs(1);

/// All of a version but its bytes.
pub(crate) struct Draft<'a> {
    pub(crate) at: Identified<'a>,
    /// What the commit is, to those who are told of it.
    pub(crate) event: EventName,
    pub(crate) envelope: Envelope,
    pub(crate) recorded: RecordedSse,
    /// When the data key was handed out; none where that was in an earlier request.
    pub(crate) keys_since: Option<Instant>,
    pub(crate) headers: ObjectHeaders,
    pub(crate) attributes: Attributes,
    pub(crate) etag: Etag,
    pub(crate) checksum: Option<Checksum>,
    pub(crate) parts_count: Option<u32>,
    /// Set for a completed upload, so that a repeated request can be recognised.
    pub(crate) completed_with: Option<String>,
}

/// The bytes of a version.
pub(crate) struct Bytes {
    pub(crate) manifest: Manifest,
    /// Checksums in the order of the manifest's parts.
    pub(crate) part_checksums: Vec<Option<Checksum>>,
    pub(crate) inline: Option<Vec<u8>>,
    pub(crate) blobs: Vec<BlobUse>,
    pub(crate) kept: Kept,
}

/// What is kept until a commit has ended, also where its caller has gone.
#[derive(Default)]
pub(crate) struct Kept {
    /// Keeps a new blob from the sweep.
    blob: Option<Hold>,
    /// That of the row, which waits for its turn.
    _memory: Option<Held>,
}

impl Kept {
    pub(crate) fn new(blob: Option<Hold>, memory: Held) -> Self {
        Self { blob, _memory: Some(memory) }
    }
}

impl Bytes {
    /// The bytes of one body that was just taken in, as part `number`.
    pub(crate) fn of_body(ingested: Ingested, number: u16) -> Result<Self, Error> {
        let manifest = manifest(vec![ingested.manifest_part(number)])?;
        let (inline, blobs, blob) = match ingested.placement {
            Placement::Inline(sealed) => (Some(sealed), Vec::new(), None),
            Placement::Blob(blob) => (None, vec![BlobUse::New { id: blob.id, len_bytes: blob.len_bytes }], Some(blob.hold)),
        };
        let kept = Kept::new(blob, ingested.memory);
        Ok(Self { manifest, part_checksums: Vec::new(), inline, blobs, kept })
    }
}

/// What [`Engine::admit`] gives and [`Engine::to_the_end`] takes: no row that depends on a KMS key is committed without.
#[must_use]
pub(crate) struct Permits {
    _permits: Vec<CommitPermit>,
}

impl Permits {
    pub(crate) fn of(permit: CommitPermit) -> Self {
        Self { _permits: vec![permit] }
    }

    /// For a change that makes and ends no dependence on a KMS key.
    pub(crate) fn of_no_key() -> Self {
        Self { _permits: Vec::new() }
    }
}

/// A manifest of parts that this server made: that the format refuses it would be a defect.
pub(crate) fn manifest(parts: Vec<ManifestPart>) -> Result<Manifest, Error> {
    Manifest::new(parts).map_err(|error| Error::Internal(error.into()))
}

impl Engine {
    /// Commits a version under a condition, looking again where another write came between looking and committing.
    pub(crate) async fn commit(
        &self,
        caller: &Caller,
        at: Identified<'_>,
        version: NewVersion,
        kept: Kept,
        condition: &WriteCondition,
    ) -> Result<Committed, Error> {
        let (kept, user, bucket) = (Arc::new(kept), User::Caller(caller), at.bucket.name.as_str());
        if !condition.compares_etag() {
            let expect = self.expectation(condition, bucket, &version.key).await?;
            let permits = self.admit(user, at, [&version.envelope]).await?;
            let committed = self.to_the_end(permits, kept, |catalog| self.put_version(catalog, version, expect)).await?;
            return self.settled(committed).await;
        }
        for _ in 0..MAX_ATTEMPTS {
            let expect = self.expectation(condition, bucket, &version.key).await?;
            let permits = self.admit(user, at, [&version.envelope]).await?;
            let (kept, attempt) = (Arc::clone(&kept), version.clone());
            match self.to_the_end(permits, kept, |catalog| self.put_version(catalog, attempt, expect)).await? {
                Err(CatalogError::PreconditionFailed) => {}
                other => return self.settled(other).await,
            }
        }
        Err(Error::ConditionalConflict)
    }

    fn put_version(
        &self,
        catalog: Arc<dyn Catalog>,
        version: NewVersion,
        expect: Expect,
    ) -> impl Future<Output = Result<Committed, CatalogError>> + Send + use<> {
        let event = version.event.clone();
        self.ringing(event, async move { catalog.put_version(version, expect).await })
    }

    /// Begins a commit that makes, or ends, a dependence on the KMS keys of these envelopes: each key can be used at this moment as far
    /// as this process knows, and is not destroyed before the commit has ended. Asks no backend. A refusal is recorded.
    pub(crate) async fn admit<'e>(
        &self,
        user: User<'_>,
        at: Identified<'_>,
        envelopes: impl IntoIterator<Item = &'e Envelope>,
    ) -> Result<Permits, Error> {
        let mut permits = Vec::new();
        for envelope in envelopes {
            let Some(key) = &envelope.key else { continue };
            match self.kms().begin_commit(&key.backend, &key.key_id).await {
                Ok(permit) => permits.push(permit),
                Err(error) => {
                    let refused = KeyUse::of(user, at, mode_of(envelope)?);
                    return self.recorded(refused, Some(key).into(), Err(error.into())).await;
                }
            }
        }
        Ok(Permits { _permits: permits })
    }

    /// Runs a commit to its end even if the client goes away meanwhile: a commit may still happen after its caller was dropped, and
    /// until it has ended the sweep must not take the blob, nor a deletion the key.
    pub(crate) async fn to_the_end<T, F>(
        &self,
        permits: Permits,
        kept: Arc<Kept>,
        commit: impl FnOnce(Arc<dyn Catalog>) -> F,
    ) -> Result<Result<T, CatalogError>, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, CatalogError>> + Send + 'static,
    {
        let commit = commit(self.shared_catalog());
        let task = tokio::spawn(ForTenant::current(async move {
            let result = commit.await;
            drop(permits);
            if let Some(hold) = &kept.blob {
                hold.after_commit(&result);
            }
            result
        }));
        task.await.map_err(|error| Error::Internal(error.into()))
    }

    /// The catalog's row for a draft and its bytes, ready to commit: its key can still be used. `settings` are those of its bucket.
    pub(crate) async fn new_version(
        &self,
        caller: &Caller,
        settings: &Settings,
        draft: &Draft<'_>,
        bytes: Bytes,
    ) -> Result<NewVersion, Error> {
        let user = User::Caller(caller);
        self.check_still_opens(user, draft.at, &draft.envelope, &draft.recorded, draft.keys_since).await?;
        let changed =
            if draft.keys_since.is_some_and(|since| since.elapsed() > BELIEVED) { Some(self.still_permitted(draft).await?) } else { None };
        let settings = changed.as_ref().map_or(settings, |bucket| &*bucket.settings);
        let Identified { bucket, key, version_id } = draft.at;
        let (size_bytes, modified) = (bytes.manifest.total_len(), self.lifecycle_clock().now());
        let locked = lock::of_new_version(&draft.attributes.lock, settings.object_lock.as_ref(), modified)?;
        let binding = VersionBinding {
            bucket_id: bucket.id,
            key,
            version_id,
            size_bytes,
            modified,
            mode: draft.envelope.mode,
            kms_key: draft.envelope.key.as_ref(),
            lock: locked.lock,
        };
        let record = ObjectRecord {
            etag: draft.etag.clone(),
            headers: draft.headers.clone(),
            checksum: draft.checksum.clone(),
            parts_count: draft.parts_count,
            completed_with: draft.completed_with.clone(),
            tags: tags::in_order(draft.attributes.tags.clone()),
            acl: draft.attributes.acl.clone(),
            lock: locked.recorded,
            sse: draft.recorded.clone(),
            manifest_sha256: hex::encode(bytes.manifest.digest()),
        };
        let mut version = NewVersion {
            bucket_id: bucket.id,
            key: key.to_owned(),
            version_id,
            size_bytes,
            modified,
            lock: binding.lock,
            envelope: draft.envelope.clone(),
            record: record.seal(self.store_key(), &binding)?,
            data: VersionData {
                manifest: bytes.manifest.encode(),
                part_record: seal_part_checksums(self.store_key(), &binding, &bytes.part_checksums)?,
                inline: bytes.inline,
            },
            blobs: bytes.blobs,
            upload_id: None,
            event: None,
        };
        version.event = self.event_of_version(caller, settings, draft, &version).await?;
        Ok(version)
    }
}

impl Engine {
    /// When what was just written expires.
    pub(crate) async fn expiry_of_draft(
        &self,
        bucket: &crate::api::Bucket,
        draft: &Draft<'_>,
        size_bytes: u64,
        modified: i64,
    ) -> Option<Expiry> {
        self.expiry_of(bucket, Subject { key: draft.at.key, size_bytes, tags: &draft.attributes.tags }, modified).await
    }

    /// The bucket as it is by now, whose rules still allow the write: they may have changed while its body came.
    async fn still_permitted(&self, draft: &Draft<'_>) -> Result<crate::api::Bucket, Error> {
        let bucket = self.bucket(&draft.at.bucket.name).await?;
        if bucket.id != draft.at.bucket.id {
            return Err(Error::NoSuchBucket);
        }
        self.write_rules(&bucket).permit(mode_of(&draft.envelope)?)?;
        Ok(bucket)
    }
}

/// The answer to a write.
pub(crate) fn stored(draft: &Draft<'_>, sse: SseReply, size_bytes: u64, is_null: bool, expiry: Option<Expiry>) -> Stored {
    Stored {
        expiry,
        etag: draft.etag.shown.clone(),
        version_id: shown(draft.at.bucket, draft.at.version_id, is_null),
        sse,
        checksum: draft.checksum.clone(),
        size_bytes,
    }
}

fn shown(bucket: &Bucket, version_id: VersionId, is_null: bool) -> Option<String> {
    ids::shown_version(bucket.versioning, version_id, is_null)
}
