//! Destroying keys: scheduled, taken back, carried out, remembered.

use std::sync::Arc;

use strongroom_kms::{DELETION_WINDOW_DAYS, KeyLifecycle, KeyMetadata, KeyState, KmsError, MayGo, resolve_key_id};
use time::{Duration, OffsetDateTime};

use super::document::{Deletion, DeletionBy, Entry, Versions, refuse_erased, refuse_leaving};
use super::lifecycle::check_not_reserved;
use super::{Ledger, Overlay, run_to_end};

impl<K: KeyLifecycle + ?Sized> Overlay<K> {
    pub(super) async fn schedule(&self, key_id: &str, window_days: u32) -> Result<KeyMetadata, KmsError> {
        if !self.supplied.tombstones {
            return self.inner.schedule_deletion(key_id, window_days).await;
        }
        if !self.supplied.schedule_deletion {
            return self.schedule_by_backend(key_id, window_days).await;
        }
        check_not_reserved(key_id)?;
        if !DELETION_WINDOW_DAYS.contains(&window_days) {
            let (least, most) = (DELETION_WINDOW_DAYS.start(), DELETION_WINDOW_DAYS.end());
            return Err(KmsError::InvalidArgument(format!("the deletion window is {least} to {most} days")));
        }
        let at = OffsetDateTime::now_utc() + Duration::days(window_days.into());
        let set = move |entry: &mut Entry, told: &KeyMetadata| {
            entry.deletion = Some(Deletion { at, by: DeletionBy::Overlay, versions: Versions::of(told) });
        };
        self.change_entry(key_id, refuse_leaving, set).await
    }

    /// The backend schedules; the versions are remembered for the tombstone.
    async fn schedule_by_backend(&self, key_id: &str, window_days: u32) -> Result<KeyMetadata, KmsError> {
        self.check(key_id, refuse_leaving).await?;
        let scheduled = self.inner.schedule_deletion(key_id, window_days).await?;
        if let KeyState::PendingDeletion { at } = scheduled.state {
            let deletion = Deletion { at, by: DeletionBy::Backend, versions: Versions::of(&scheduled) };
            let set = move |entry: &mut Entry| entry.deletion = Some(deletion.clone());
            change(&self.ledger, &scheduled.key_id, set).await?;
        }
        self.laid_over(scheduled).await
    }

    pub(super) async fn cancel(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        if !self.supplied.tombstones {
            return self.inner.cancel_deletion(key_id).await;
        }
        let _alone = self.ledger.lock_deletions().await;
        let (id, entry) = self.look_up(key_id).await?;
        refuse_erased(id, entry.state())?;
        match entry.deletion.as_ref().map(|deletion| deletion.by) {
            Some(DeletionBy::Overlay) => return self.take_back(id).await,
            Some(DeletionBy::OverlayBegun) => {
                let text = format!("the destruction of the key {id} has begun and cannot be taken back; delete it again to finish it");
                return Err(KmsError::Conflict(text));
            }
            Some(DeletionBy::Backend) | None => {}
        }
        if self.supplied.schedule_deletion {
            self.inner.describe_key(key_id).await?;
            return Err(KmsError::InvalidArgument(format!("the key {id} is not pending deletion")));
        }
        let cancelled = self.inner.cancel_deletion(key_id).await?;
        change(&self.ledger, &cancelled.key_id, |entry| entry.deletion = None).await?;
        self.laid_over(cancelled).await
    }

    /// Forgets a deletion, unless the backend knows that the key was destroyed.
    async fn take_back(&self, id: &str) -> Result<KeyMetadata, KmsError> {
        match self.inner.describe_key(id).await {
            Ok(metadata) => {
                let entry = change(&self.ledger, id, |entry| entry.deletion = None).await?;
                Ok(entry.lay_over(metadata))
            }
            Err(KmsError::KeyErased(_)) => {
                bury(&self.ledger, id).await?;
                Err(KmsError::KeyErased(id.to_owned()))
            }
            Err(error) => Err(error),
        }
    }

    pub(super) async fn delete(&self, key_id: &str, echo: &str) -> Result<KeyMetadata, KmsError> {
        if !self.supplied.tombstones || !self.inner.capabilities().delete_now {
            return self.inner.delete_now(key_id, echo).await;
        }
        check_not_reserved(key_id)?;
        let id = resolve_key_id(key_id)?.to_owned();
        self.check(&id, refuse_erased).await?;
        if id != echo {
            return Err(KmsError::InvalidArgument("the echoed key id is not the id of the key to delete".to_owned()));
        }
        let (inner, ledger) = (Arc::clone(&self.inner), Arc::clone(&self.ledger));
        run_to_end(async move {
            let alone = ledger.lock_deletions().await;
            let destroyed = destroy(&*inner, &ledger, &id).await;
            drop(alone);
            destroyed
        })
        .await
    }

    /// Destroys what is due and may go, and takes note of what the backend destroyed by itself. A key that cannot be destroyed now is due again.
    pub(super) async fn reap(&self, now: OffsetDateTime, may_go: &MayGo) -> Result<Vec<String>, KmsError> {
        if !self.supplied.tombstones {
            return self.inner.reap_deleted(now, may_go).await;
        }
        let mut erased = self.reaped_by_backend(now, may_go).await?;
        let mut failed = None;
        for (key_id, by) in self.ledger.read().await?.due(now) {
            match self.reap_one(&key_id, by, now, may_go).await {
                Ok(true) => erased.push(key_id),
                Ok(false) => {}
                Err(error) => {
                    tracing::error!(key_id, %error, "a key whose deletion is due could not be destroyed");
                    failed = failed.or(Some(error));
                }
            }
        }
        failed.filter(|_| erased.is_empty()).map_or(Ok(erased), Err)
    }

    async fn reaped_by_backend(&self, now: OffsetDateTime, may_go: &MayGo) -> Result<Vec<String>, KmsError> {
        if self.supplied.schedule_deletion || !self.inner.capabilities().schedule_deletion {
            return Ok(Vec::new());
        }
        let erased = self.inner.reap_deleted(now, may_go).await?;
        for key_id in &erased {
            bury(&self.ledger, key_id).await?;
        }
        Ok(erased)
    }

    /// Whether the key is destroyed now and was not before.
    async fn reap_one(&self, key_id: &str, by: DeletionBy, now: OffsetDateTime, may_go: &MayGo) -> Result<bool, KmsError> {
        let _alone = self.ledger.lock_deletions().await;
        if !self.ledger.read().await?.due(now).iter().any(|(due, _)| due == key_id) {
            return Ok(false);
        }
        match by {
            DeletionBy::Overlay if !may_go.ask(key_id).await => Ok(false),
            // What has begun is not asked about: the backend may have destroyed the key already.
            DeletionBy::Overlay | DeletionBy::OverlayBegun => destroy(&*self.inner, &self.ledger, key_id).await.map(|_| true),
            DeletionBy::Backend => match self.inner.describe_key(key_id).await {
                Err(KmsError::KeyNotFound(_) | KmsError::KeyErased(_)) => bury(&self.ledger, key_id).await.map(|()| true),
                described => described.map(|_| false),
            },
        }
    }
}

/// Destroys a key. Before the backend is asked the key is refused, and it stays so if nobody knows what the backend did; once it is
/// known that the key is gone there is a tombstone. The caller holds the lock of deletions.
async fn destroy<K: KeyLifecycle + ?Sized>(inner: &K, ledger: &Arc<Ledger>, id: &str) -> Result<KeyMetadata, KmsError> {
    let before = ledger.read().await?.entry(id).cloned().unwrap_or_default();
    refuse_erased(id, before.state())?;
    let began = begin(inner, ledger, id, &before).await?;
    match inner.delete_now(id, id).await {
        Ok(_) | Err(KmsError::KeyNotFound(_) | KmsError::KeyErased(_)) => {
            bury(ledger, id).await?;
            let entry = ledger.read().await?.entry(id).cloned().unwrap_or(began);
            entry.buried(id).ok_or_else(|| KmsError::KeyErased(id.to_owned()))
        }
        Err(KmsError::Unavailable(text)) => {
            let text = format!("{text}; the key {id} is refused from now on, and destroyed when the backend answers");
            Err(KmsError::Unavailable(text))
        }
        Err(refused) => {
            change(ledger, id, move |entry| entry.deletion.clone_from(&before.deletion)).await?;
            Err(refused)
        }
    }
}

/// Notes that the key is being destroyed. One that the backend does not know is no proof that it was destroyed: it may be hidden, or the
/// backend another one. Only where the backend was asked to destroy it before does it count so.
async fn begin<K: KeyLifecycle + ?Sized>(inner: &K, ledger: &Arc<Ledger>, id: &str, before: &Entry) -> Result<Entry, KmsError> {
    let now = OffsetDateTime::now_utc();
    let deletion = match (&before.deletion, inner.describe_key(id).await) {
        (_, Ok(metadata)) => Deletion { at: now, by: DeletionBy::OverlayBegun, versions: Versions::of(&metadata) },
        (Some(earlier), Err(KmsError::KeyErased(_))) => Deletion { by: DeletionBy::OverlayBegun, ..earlier.clone() },
        (Some(earlier), Err(KmsError::KeyNotFound(_))) if earlier.by == DeletionBy::OverlayBegun => earlier.clone(),
        (_, Err(error)) => return Err(error),
    };
    change(ledger, id, move |entry| entry.deletion = Some(deletion.clone())).await
}

/// Makes the entry of a key a tombstone.
async fn bury(ledger: &Arc<Ledger>, id: &str) -> Result<(), KmsError> {
    change(ledger, id, |entry| {
        entry.bury(OffsetDateTime::now_utc());
    })
    .await
    .map(drop)
}

/// Changes the entry of a key, and answers with it.
async fn change(ledger: &Arc<Ledger>, id: &str, change: impl Fn(&mut Entry) + Send + Sync + 'static) -> Result<Entry, KmsError> {
    let id = id.to_owned();
    let changed = ledger.update(move |document| {
        Ok(document.change(&id, |entry| {
            change(entry);
            entry.clone()
        }))
    });
    changed.await
}
