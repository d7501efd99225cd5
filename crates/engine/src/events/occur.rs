//! The events of changes, made before the change is committed, so that they are committed with it.
//!
//! The version id in an event is the one that the bucket's versioning gives as it was read. Where that changes at the same moment, an event may name the id
//! of a version that clients see as "null"; reads find the version by it all the same.

use aws_lc_rs::digest;
use strongroom_catalog::{
    BucketId, CatalogError, DeletionEvents, EventId, LANE_LEN, Lane, NewEvent, NewVersion, UnixMillis, VersionId, VersionSelector,
    Versioning,
};

use super::{EventEncryption, EventName, EventRecord, configuration::Notification};
use crate::{
    Engine, Error,
    api::{Caller, SseReply},
    bucket::{Bucket, Settings},
    commit::Draft,
    ids,
    sse::sse_reply,
};

/// Who does something.
#[derive(Clone, Copy)]
pub(crate) enum Cause<'a> {
    /// A request.
    Caller(&'a Caller),
    /// A lifecycle rule.
    Lifecycle,
}

impl Cause<'_> {
    /// What a deletion of a version is, and what a delete marker.
    fn removals(self) -> (EventName, EventName) {
        match self {
            Self::Caller(_) => (EventName::ObjectRemovedDelete, EventName::ObjectRemovedDeleteMarkerCreated),
            Self::Lifecycle => (EventName::LifecycleExpirationDelete, EventName::LifecycleExpirationDeleteMarkerCreated),
        }
    }
}

/// A version to delete, as the event tells of it.
pub(crate) struct Removal<'a> {
    pub(crate) key: &'a str,
    pub(crate) which: VersionSelector,
    pub(crate) marker: VersionId,
    pub(crate) at: UnixMillis,
}

impl Engine {
    /// The event of a version about to be committed; `settings` are those of its bucket.
    pub(crate) async fn event_of_version(
        &self,
        caller: &Caller,
        settings: &Settings,
        draft: &Draft<'_>,
        version: &NewVersion,
    ) -> Result<Option<NewEvent>, Error> {
        let (bucket, key) = (draft.at.bucket, draft.at.key);
        let Some(found) = self.notifications_of(&bucket.name, bucket.id, settings).await? else { return Ok(None) };
        let Some(configuration) = found.of_event(draft.event, key) else { return Ok(None) };
        let SseReply { mode, kms_key_id, .. } = sse_reply(&draft.envelope, &draft.recorded, None)?;
        let record = EventRecord {
            size_bytes: Some(version.size_bytes),
            etag: Some(draft.etag.shown.clone()),
            version_id: shown(bucket.versioning, version.version_id),
            encryption: Some(EventEncryption::new(mode, kms_key_id)),
            ..self.told_of(Cause::Caller(caller), bucket, draft.event, key, version.modified)
        };
        self.new_event(bucket.id, configuration, record).map(Some)
    }

    /// The events of a deletion: which of them it is, its transaction decides.
    pub(crate) async fn events_of_deletion(
        &self,
        cause: Cause<'_>,
        bucket: &Bucket,
        removal: &Removal<'_>,
    ) -> Result<DeletionEvents, Error> {
        let Some(found) = self.notifications_of(&bucket.name, bucket.id, &bucket.settings).await? else {
            return Ok(DeletionEvents::default());
        };
        let event = |name: EventName, version_id: Option<String>| {
            let configuration = found.of_event(name, removal.key);
            let record = EventRecord { version_id, ..self.told_of(cause, bucket, name, removal.key, removal.at) };
            configuration.map(|configuration| self.new_event(bucket.id, configuration, record)).transpose()
        };
        let (deletion, mark) = cause.removals();
        let named = match removal.which {
            VersionSelector::Id(id) => (bucket.versioning != Versioning::Unversioned).then(|| id.to_string()),
            VersionSelector::Null => Some(ids::NULL.to_owned()),
            VersionSelector::Latest => None,
        };
        let marked = if removal.which == VersionSelector::Latest { event(mark, shown(bucket.versioning, removal.marker))? } else { None };
        Ok(DeletionEvents { removed: event(deletion, named)?, marked })
    }

    /// The event of a change of a version's tags.
    pub(crate) async fn event_of_tags(
        &self,
        caller: &Caller,
        bucket: &Bucket,
        name: EventName,
        version: &strongroom_catalog::Version,
        etag: &str,
    ) -> Result<Option<NewEvent>, Error> {
        let Some(found) = self.notifications_of(&bucket.name, bucket.id, &bucket.settings).await? else { return Ok(None) };
        let Some(configuration) = found.of_event(name, &version.key) else { return Ok(None) };
        let record = EventRecord {
            etag: Some(etag.to_owned()),
            version_id: ids::shown(bucket.versioning, version),
            ..self.told_of(Cause::Caller(caller), bucket, name, &version.key, ids::now_ms())
        };
        self.new_event(bucket.id, configuration, record).map(Some)
    }

    pub(super) fn told_of(
        &self,
        cause: Cause<'_>,
        bucket: &strongroom_catalog::Bucket,
        event: EventName,
        key: &str,
        at: UnixMillis,
    ) -> EventRecord {
        let (who, peer, request_id) = match cause {
            Cause::Caller(caller) => (caller.identity.name.clone(), caller.peer, caller.request_id.clone()),
            Cause::Lifecycle => ("lifecycle".to_owned(), None, String::new()),
        };
        EventRecord {
            event,
            at,
            region: self.targets().region().to_owned(),
            bucket: bucket.name.clone(),
            owner: bucket.owner.clone(),
            configuration: String::new(),
            key: key.to_owned(),
            size_bytes: None,
            etag: None,
            version_id: None,
            who,
            peer,
            request_id,
            encryption: None,
        }
    }

    pub(super) fn new_event(&self, bucket: BucketId, configuration: &Notification, record: EventRecord) -> Result<NewEvent, Error> {
        let record = EventRecord { configuration: configuration.id.clone(), ..record };
        let (id, target) = (EventId(strongroom_seal::random_array()), configuration.target.clone());
        Ok(NewEvent {
            id,
            lane: lane(bucket, &record.key),
            added: record.at,
            max_queued: self.targets().max_queued(&target),
            record: self.seal_event(id, &target, &record)?,
            target,
        })
    }

    /// Runs a commit, and after it wakes who delivers its events.
    pub(crate) fn ringing<T, E, F>(&self, events: E, commit: F) -> impl Future<Output = Result<T, CatalogError>> + Send + use<T, E, F>
    where
        E: IntoIterator<Item = NewEvent>,
        F: Future<Output = Result<T, CatalogError>> + Send,
    {
        let bells: Vec<_> = events.into_iter().filter_map(|event| self.targets().bell(&event.target)).collect();
        async move {
            let result = commit.await;
            if result.is_ok() {
                for bell in bells {
                    bell.notify_one();
                }
            }
            result
        }
    }
}

/// The version id that clients will see.
fn shown(versioning: Versioning, version_id: VersionId) -> Option<String> {
    ids::shown_version(versioning, version_id, versioning != Versioning::Enabled)
}

/// Events of one key wait for each other.
fn lane(bucket: BucketId, key: &str) -> Lane {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(&bucket.0);
    context.update(key.as_bytes());
    let mut lane = [0; LANE_LEN];
    lane.copy_from_slice(&context.finish().as_ref()[..LANE_LEN]);
    lane
}
