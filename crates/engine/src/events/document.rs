//! The notification configuration as a document of the bucket.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use strongroom_catalog::BucketId;

use super::{Cause, EventName, Notifications};
use crate::{
    Engine, Error,
    api::Caller,
    bucket::{Bucket, Changed, DocumentKind, Settings},
    ids,
};

/// The configurations of so many buckets are remembered: of 64 KiB of XML each at the most, so some megabytes in all.
const MAX_KNOWN: usize = 64;

/// Configurations that were read, with the revision of the bucket that wrote them.
#[derive(Default)]
pub(crate) struct Known(Mutex<HashMap<BucketId, (u64, Arc<Notifications>)>>);

impl Known {
    fn get(&self, bucket: BucketId, revision: u64) -> Option<Arc<Notifications>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&bucket).filter(|(of, _)| *of == revision).map(|(_, found)| Arc::clone(found))
    }

    fn remember(&self, bucket: BucketId, revision: u64, found: &Arc<Notifications>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_KNOWN && !known.contains_key(&bucket) {
            // Any one will do: it costs one look-up to know it again.
            let some = known.keys().next().copied();
            some.map(|id| known.remove(&id));
        }
        known.insert(bucket, (revision, Arc::clone(found)));
    }
}

impl Engine {
    /// GetBucketNotificationConfiguration: nothing where nothing is configured.
    pub async fn bucket_notifications(&self, name: &str) -> Result<Arc<Notifications>, Error> {
        let bucket = self.bucket(name).await?;
        Ok(self.notifications_of(&bucket.name, bucket.id, &bucket.settings).await?.unwrap_or_default())
    }

    /// PutBucketNotificationConfiguration: takes the place of the whole configuration. Each target gets a test event with it, unless `quietly`.
    pub async fn set_bucket_notifications(
        &self,
        caller: &Caller,
        name: &str,
        notifications: Notifications,
        quietly: bool,
    ) -> Result<(), Error> {
        let notifications = notifications.checked(self.targets(), name)?;
        self.space().admit(None)?;
        let content = serde_json::to_vec(&notifications).map_err(|error| Error::Internal(error.into()))?;
        let kept = Some(content).filter(|_| !notifications.configurations.is_empty());
        self.change_bucket(name, |bucket| {
            let events = if quietly { Vec::new() } else { self.test_events(caller, bucket, &notifications)? };
            Ok(Changed { documents: vec![(DocumentKind::Notification, kept.clone())], events, ..Changed::from(bucket) })
        })
        .await
    }

    fn test_events(
        &self,
        caller: &Caller,
        bucket: &Bucket,
        notifications: &Notifications,
    ) -> Result<Vec<strongroom_catalog::NewEvent>, Error> {
        let mut told: Vec<&str> = Vec::new();
        let mut events = Vec::new();
        for configuration in &notifications.configurations {
            if told.contains(&configuration.target.as_str()) {
                continue;
            }
            told.push(&configuration.target);
            let record = self.told_of(Cause::Caller(caller), bucket, EventName::TestEvent, "", ids::now_ms());
            events.push(self.new_event(bucket.id, configuration, record)?);
        }
        Ok(events)
    }

    /// The configuration of a bucket; none where it has none, which costs nothing.
    pub(super) async fn notifications_of(
        &self,
        name: &str,
        id: BucketId,
        settings: &Settings,
    ) -> Result<Option<Arc<Notifications>>, Error> {
        let Some(revision) = settings.revision_of(DocumentKind::Notification) else { return Ok(None) };
        if let Some(known) = self.targets().known.get(id, revision) {
            return Ok(Some(known));
        }
        let (present, found) = self.bucket_document::<Notifications>(name, DocumentKind::Notification).await?;
        if present.id != id {
            return Err(Error::NoSuchBucket);
        }
        let found = found.map(Arc::new);
        if let (Some(found), Some(revision)) = (&found, present.settings.revision_of(DocumentKind::Notification)) {
            self.targets().known.remember(id, revision, found);
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configurations_are_remembered_by_revision_and_up_to_a_bound() {
        let (known, id) = (Known::default(), |number: u8| BucketId([number; 16]));
        known.remember(id(0), 7, &Arc::default());
        assert!(known.get(id(0), 7).is_some() && known.get(id(0), 8).is_none());
        (0..=u8::MAX).for_each(|number| known.remember(id(number), 1, &Arc::default()));
        assert_eq!((0..=u8::MAX).filter(|number| known.get(id(*number), 1).is_some()).count(), MAX_KNOWN);
        assert!(known.get(id(u8::MAX), 1).is_some(), "the last one is among them");
    }
}
