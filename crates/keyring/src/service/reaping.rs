//! The end of keys whose deletion is due.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use strongroom_kms::{KeyLifecycle, KmsError, MayGo};
use time::OffsetDateTime;

use super::Keyring;
use super::gate::Gate;

/// What [`Keyring::reap_deleted`] did, by backend and key id.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reaped {
    /// Destroyed.
    pub destroyed: Vec<(String, String)>,
    /// Due as well, but they might not go. They are due again the next time.
    pub postponed: BTreeSet<(String, String)>,
}

impl Keyring {
    /// Destroys every key whose deletion is due at `now` and of which `may_go` says yes, told its backend and its id. What fails is logged, and
    /// like what may not go tried again the next time. Also sets up backends that could not be set up before. To be called now and then.
    pub async fn reap_deleted<F>(&self, now: OffsetDateTime, may_go: impl Fn(String, String) -> F + Send + Sync + 'static) -> Reaped
    where
        F: Future<Output = bool> + Send + 'static,
    {
        self.core().mend().await;
        let (snapshot, mut reaped) = (self.core.snapshot(), Reaped::default());
        let may_go = Arc::new(may_go);
        for stack in snapshot.live().filter(|_| snapshot.is_running()) {
            let (backend, ask, refused) = (stack.name.clone(), Arc::clone(&may_go), Refused::default());
            let asked = refused.clone();
            let may_go = MayGo::new(move |key_id| {
                let (answer, refused) = (ask(backend.clone(), key_id.clone()), asked.clone());
                async move { answer.await || refused.add(key_id) }
            });
            match Gate::new(&self.core, stack).reap_deleted(now, &may_go).await {
                Ok(keys) => reaped.destroyed.extend(keys.into_iter().map(|key_id| (stack.name.clone(), key_id))),
                Err(KmsError::Unsupported { .. }) => {}
                Err(error) => tracing::error!(backend = stack.name, %error, "keys whose deletion is due could not be destroyed"),
            }
            reaped.postponed.extend(refused.take().into_iter().map(|key_id| (stack.name.clone(), key_id)));
        }
        self.core.postponed.store(reaped.postponed.len() as u64, Ordering::Relaxed);
        reaped
    }

    /// How many keys [`Self::reap_deleted`] did not destroy the last time though they were due, because they might not go.
    pub fn postponed_deletions(&self) -> u64 {
        self.core.postponed.load(Ordering::Relaxed)
    }
}

/// Keys that may not go.
#[derive(Clone, Default)]
struct Refused(Arc<Mutex<BTreeSet<String>>>);

impl Refused {
    /// False: it may not go.
    fn add(&self, key_id: String) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key_id);
        false
    }

    fn take(&self) -> BTreeSet<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
