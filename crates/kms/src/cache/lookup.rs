//! The cache as its callers share it: look-ups that coalesce, and the task that wipes expired entries.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use zeroize::Zeroizing;

use super::store::Store;
use super::{CacheConfig, EntryId};

/// What a look-up finds.
pub(super) enum Lookup {
    /// The plaintext.
    Hit(Zeroizing<Vec<u8>>),
    /// Nothing: the caller asks the backend, and others wait until this is dropped.
    First(Option<Flight>),
    /// Another caller is asking already; closed when it has an answer or gave up.
    Wait(watch::Receiver<()>),
}

pub(super) struct Shared {
    pub(super) config: CacheConfig,
    state: Mutex<State>,
}

struct State {
    store: Store,
    /// One per wrapped key that is being unwrapped: as many as there are requests at most.
    flights: HashMap<EntryId, watch::Receiver<()>>,
    /// Whether a task waits for the next entry to expire.
    sweeping: bool,
}

/// An unwrap under way. Dropping it, also when the caller goes away, lets those who wait go on.
pub(super) struct Flight {
    shared: Arc<Shared>,
    id: EntryId,
    _done: watch::Sender<()>,
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.shared.lock().flights.remove(&self.id);
    }
}

impl Shared {
    pub(super) fn new(config: CacheConfig) -> Self {
        let capacity = if config.enabled { config.max_keys } else { 0 };
        let store = Store::new(capacity, super::ttl(&config));
        Self { config, state: Mutex::new(State { store, flights: HashMap::new(), sweeping: false }) }
    }

    pub(super) fn look_up(self: &Arc<Self>, id: EntryId) -> Lookup {
        let mut state = self.lock();
        if state.store.capacity() == 0 {
            return Lookup::First(None);
        }
        if let Some(plaintext) = state.store.get(&id, Instant::now()) {
            return Lookup::Hit(plaintext);
        }
        if let Some(landed) = state.flights.get(&id) {
            return Lookup::Wait(landed.clone());
        }
        let (done, landed) = watch::channel(());
        state.flights.insert(id, landed);
        Lookup::First(Some(Flight { shared: Arc::clone(self), id, _done: done }))
    }

    pub(super) fn get(&self, id: EntryId) -> Option<Zeroizing<Vec<u8>>> {
        self.lock().store.get(&id, Instant::now())
    }

    /// Read before the backend is asked, and given back with the answer.
    pub(super) fn generation(&self) -> u64 {
        self.lock().store.generation()
    }

    pub(super) fn insert(self: &Arc<Self>, id: EntryId, key_id: &str, plaintext: &[u8], generation: u64) {
        let mut state = self.lock();
        let inserted = state.store.insert(id, key_id, plaintext, generation, Instant::now());
        if inserted && !state.sweeping {
            state.sweeping = true;
            tokio::spawn(sweep(Arc::downgrade(self)));
        }
    }

    /// Wipes the entries of these keys.
    pub(super) fn forget(&self, key_ids: &[&str]) {
        self.lock().store.forget(key_ids);
    }

    pub(super) fn clear(&self) {
        self.lock().store.clear();
    }

    pub(super) fn len(&self) -> usize {
        let mut state = self.lock();
        state.store.purge(Instant::now());
        state.store.len()
    }

    /// Poisoning is no concern: nothing under the lock calls out.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wipes entries when they expire, also on an idle server. Ends with the last entry, or with the cache.
async fn sweep(shared: Weak<Shared>) {
    loop {
        let next = {
            let Some(shared) = shared.upgrade() else { return };
            let mut state = shared.lock();
            let next = state.store.purge(Instant::now());
            state.sweeping = next.is_some();
            next
        };
        let Some(at) = next else { return };
        sleep_until(at).await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const ID: EntryId = [1; 32];

    #[tokio::test(start_paused = true)]
    async fn an_idle_cache_is_wiped_when_its_entries_expire() {
        let shared = Arc::new(Shared::new(CacheConfig { ttl_seconds: 10, ..CacheConfig::default() }));
        for round in 0..2 {
            shared.insert(ID, "a", &[1], 0);
            tokio::time::sleep(Duration::from_millis(9_999)).await;
            assert_eq!(shared.lock().store.len(), 1, "round {round}");
            tokio::time::sleep(Duration::from_millis(2)).await;
            assert_eq!(shared.lock().store.len(), 0, "round {round}");
            assert!(!shared.lock().sweeping, "nothing is left to wait for");
        }
    }

    #[tokio::test]
    async fn one_caller_flies_and_the_others_wait_until_it_lands() {
        let shared = Arc::new(Shared::new(CacheConfig::default()));
        let Lookup::First(Some(flight)) = shared.look_up(ID) else { panic!("the first must ask") };
        let Lookup::Wait(mut landed) = shared.look_up(ID) else { panic!("the second must wait") };
        assert!(matches!(shared.look_up([2; 32]), Lookup::First(Some(_))), "another key does not wait");
        drop(flight);
        assert!(landed.changed().await.is_err(), "landing closes the channel");
        assert!(shared.lock().flights.is_empty());
        assert!(matches!(shared.look_up(ID), Lookup::First(Some(_))));
    }
}
