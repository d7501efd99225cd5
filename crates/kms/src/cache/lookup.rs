//! The cache as its callers share it: look-ups that coalesce, and the task that wipes expired entries.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use zeroize::Zeroizing;

use super::store::Store;
use super::{CacheConfig, EntryId};

/// What an entry is. Each kind has its own room, so that one does not push out the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The plaintext of a data key.
    DataKey,
    /// The canonical id of a key that could be used.
    Usable,
}

/// What a look-up finds.
pub(super) enum Lookup {
    /// The entry's bytes.
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
    data_keys: Store,
    usable: Store,
    /// One per entry that the backend is asked for: as many as there are requests at most.
    flights: HashMap<EntryId, watch::Receiver<()>>,
    /// Whether a task waits for the next entry to expire.
    sweeping: bool,
}

impl State {
    fn store(&mut self, kind: Kind) -> &mut Store {
        match kind {
            Kind::DataKey => &mut self.data_keys,
            Kind::Usable => &mut self.usable,
        }
    }

    /// Wipes what has expired, and tells when the next entry does.
    fn purge(&mut self, now: Instant) -> Option<Instant> {
        [self.data_keys.purge(now), self.usable.purge(now)].into_iter().flatten().min()
    }
}

/// A call of the backend under way. Dropping it, also when the caller goes away, lets those who wait go on.
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
        let store = || Store::new(capacity, super::ttl(&config));
        let state = State { data_keys: store(), usable: store(), flights: HashMap::new(), sweeping: false };
        Self { config, state: Mutex::new(state) }
    }

    pub(super) fn look_up(self: &Arc<Self>, kind: Kind, id: EntryId) -> Lookup {
        let mut state = self.lock();
        if state.store(kind).capacity() == 0 {
            return Lookup::First(None);
        }
        if let Some(bytes) = state.store(kind).get(&id, Instant::now()) {
            return Lookup::Hit(bytes);
        }
        if let Some(landed) = state.flights.get(&id) {
            return Lookup::Wait(landed.clone());
        }
        let (done, landed) = watch::channel(());
        state.flights.insert(id, landed);
        Lookup::First(Some(Flight { shared: Arc::clone(self), id, _done: done }))
    }

    pub(super) fn get(&self, kind: Kind, id: EntryId) -> Option<Zeroizing<Vec<u8>>> {
        self.lock().store(kind).get(&id, Instant::now())
    }

    /// Read before the backend is asked, and given back with the answer.
    pub(super) fn generation(&self, kind: Kind) -> u64 {
        self.lock().store(kind).generation()
    }

    pub(super) fn insert(self: &Arc<Self>, kind: Kind, id: EntryId, key_id: &str, bytes: &[u8], generation: u64) {
        let mut state = self.lock();
        let inserted = state.store(kind).insert(id, key_id, bytes, generation, Instant::now());
        if inserted && !state.sweeping {
            state.sweeping = true;
            tokio::spawn(sweep(Arc::downgrade(self)));
        }
    }

    /// Wipes the entries of these keys.
    pub(super) fn forget(&self, key_ids: &[&str]) {
        let mut state = self.lock();
        state.data_keys.forget(key_ids);
        state.usable.forget(key_ids);
    }

    pub(super) fn clear(&self) {
        let mut state = self.lock();
        state.data_keys.clear();
        state.usable.clear();
    }

    pub(super) fn len(&self, kind: Kind) -> usize {
        let mut state = self.lock();
        state.purge(Instant::now());
        state.store(kind).len()
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
            let next = state.purge(Instant::now());
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
            shared.insert(Kind::DataKey, ID, "a", &[1], 0);
            tokio::time::sleep(Duration::from_millis(9_999)).await;
            assert_eq!(shared.lock().data_keys.len(), 1, "round {round}");
            tokio::time::sleep(Duration::from_millis(2)).await;
            assert_eq!(shared.lock().data_keys.len(), 0, "round {round}");
            assert!(!shared.lock().sweeping, "nothing is left to wait for");
        }
    }

    #[tokio::test]
    async fn one_caller_flies_and_the_others_wait_until_it_lands() {
        let shared = Arc::new(Shared::new(CacheConfig::default()));
        let Lookup::First(Some(flight)) = shared.look_up(Kind::DataKey, ID) else { panic!("the first must ask") };
        let Lookup::Wait(mut landed) = shared.look_up(Kind::DataKey, ID) else { panic!("the second must wait") };
        assert!(matches!(shared.look_up(Kind::DataKey, [2; 32]), Lookup::First(Some(_))), "another key does not wait");
        drop(flight);
        assert!(landed.changed().await.is_err(), "landing closes the channel");
        assert!(shared.lock().flights.is_empty());
        assert!(matches!(shared.look_up(Kind::DataKey, ID), Lookup::First(Some(_))));
    }
}
