//! The entries: least recently used out first, wiped whenever they go. No locks, no clock.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use tokio::time::Instant;
use zeroize::Zeroizing;

use super::EntryId;

/// A bounded map with a lifetime per entry. Every entry is in all three maps.
pub(super) struct Store {
    capacity: usize,
    ttl: Duration,
    entries: HashMap<EntryId, Entry>,
    /// Ticks of last use, oldest first.
    by_use: BTreeMap<u64, EntryId>,
    /// Ordered by expiry, so that a purge looks at no other entries.
    by_expiry: BTreeSet<(Instant, EntryId)>,
    last_tick: u64,
    generation: u64,
}

struct Entry {
    key_id: String,
    bytes: Zeroizing<Vec<u8>>,
    expires: Instant,
    used: u64,
}

impl Store {
    pub(super) fn new(capacity: usize, ttl: Duration) -> Self {
        Self { capacity, ttl, entries: HashMap::new(), by_use: BTreeMap::new(), by_expiry: BTreeSet::new(), last_tick: 0, generation: 0 }
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Counts the times that entries were forgotten. An answer asked for under an earlier one is not kept.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// The bytes, if they have not expired; they then count as just used.
    pub(super) fn get(&mut self, id: &EntryId, now: Instant) -> Option<Zeroizing<Vec<u8>>> {
        if self.entries.get(id)?.expires <= now {
            self.remove(id);
            return None;
        }
        let tick = self.next_tick();
        let entry = self.entries.get_mut(id)?;
        self.by_use.remove(&entry.used);
        self.by_use.insert(tick, *id);
        entry.used = tick;
        Some(entry.bytes.clone())
    }

    /// Keeps bytes that came of the key, unless something was forgotten since `generation` was read.
    pub(super) fn insert(&mut self, id: EntryId, key_id: &str, bytes: &[u8], generation: u64, now: Instant) -> bool {
        let Some(expires) = now.checked_add(self.ttl).filter(|expires| *expires > now) else { return false };
        if generation != self.generation || self.capacity == 0 {
            return false;
        }
        self.remove(&id);
        if self.entries.len() >= self.capacity {
            self.remove_oldest();
        }
        let used = self.next_tick();
        self.by_use.insert(used, id);
        self.by_expiry.insert((expires, id));
        let bytes = Zeroizing::new(bytes.to_vec());
        self.entries.insert(id, Entry { key_id: key_id.to_owned(), bytes, expires, used });
        true
    }

    /// Wipes the entries of these keys.
    pub(super) fn forget(&mut self, key_ids: &[&str]) {
        self.generation += 1;
        let of_keys = |(_, entry): &(&EntryId, &Entry)| key_ids.contains(&entry.key_id.as_str());
        let forgotten: Vec<EntryId> = self.entries.iter().filter(of_keys).map(|(id, _)| *id).collect();
        for id in &forgotten {
            self.remove(id);
        }
    }

    /// Wipes all entries.
    pub(super) fn clear(&mut self) {
        self.generation += 1;
        self.entries.clear();
        self.by_use.clear();
        self.by_expiry.clear();
    }

    /// Wipes what has expired, and tells when the next entry does.
    pub(super) fn purge(&mut self, now: Instant) -> Option<Instant> {
        while let Some(&(expires, id)) = self.by_expiry.first() {
            if expires > now {
                return Some(expires);
            }
            self.remove(&id);
        }
        None
    }

    fn remove(&mut self, id: &EntryId) {
        if let Some(entry) = self.entries.remove(id) {
            self.by_use.remove(&entry.used);
            self.by_expiry.remove(&(entry.expires, *id));
        }
    }

    fn remove_oldest(&mut self) {
        if let Some((_, &id)) = self.by_use.first_key_value() {
            self.remove(&id);
        }
    }

    fn next_tick(&mut self) -> u64 {
        self.last_tick += 1;
        self.last_tick
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(10);

    fn store_of(capacity: usize, ids: &[u8], now: Instant) -> Store {
        let mut store = Store::new(capacity, TTL);
        for id in ids {
            store.insert([*id; 32], if id % 2 == 0 { "even" } else { "odd" }, &[*id], 0, now);
        }
        store
    }

    fn present(store: &mut Store, now: Instant) -> Vec<u8> {
        assert_eq!((store.entries.len(), store.entries.len()), (store.by_use.len(), store.by_expiry.len()));
        let ids: Vec<u8> = (0..=9).filter(|id| store.entries.get(&[*id; 32]).is_some_and(|entry| entry.expires > now)).collect();
        ids.into_iter().filter(|id| store.get(&[*id; 32], now).is_some_and(|plaintext| plaintext.as_slice() == [*id])).collect()
    }

    #[test]
    fn the_entry_unused_for_longest_makes_room() {
        let now = Instant::now();
        let mut store = store_of(3, &[1, 2, 3], now);
        assert!(store.get(&[1; 32], now).is_some());
        store.insert([4; 32], "even", &[4], 0, now);
        assert_eq!(present(&mut store, now), [1, 3, 4]);
        assert_eq!(store.len(), 3);
    }

    #[test]
    fn use_does_not_lengthen_a_lifetime() {
        let now = Instant::now();
        let mut store = store_of(3, &[1], now);
        assert!(store.get(&[1; 32], now + TTL - Duration::from_nanos(1)).is_some());
        assert!(store.get(&[1; 32], now + TTL).is_none());
        assert_eq!(store.len(), 0);
    }

    #[test]
    fn forgetting_a_key_wipes_its_entries_alone_and_refuses_answers_asked_for_before() {
        let now = Instant::now();
        let mut store = store_of(9, &[1, 2, 3, 4], now);
        let before = store.generation();
        store.forget(&["odd"]);
        assert_eq!(present(&mut store, now), [2, 4]);
        assert!(!store.insert([5; 32], "odd", &[5], before, now));
        assert!(store.insert([6; 32], "even", &[6], store.generation(), now));
        store.clear();
        assert_eq!(present(&mut store, now), [0_u8; 0]);
    }

    #[test]
    fn a_purge_wipes_what_expired_and_names_the_next_time() {
        let now = Instant::now();
        let mut store = store_of(9, &[1, 2], now);
        let later = now + Duration::from_secs(1);
        store.insert([3; 32], "odd", &[3], 0, later);
        assert_eq!(store.purge(now), Some(now + TTL));
        assert_eq!(store.purge(now + TTL), Some(later + TTL));
        assert_eq!(store.len(), 1);
        assert_eq!(store.purge(later + TTL), None);
    }

    #[test]
    fn a_purge_looks_at_no_entry_whose_turn_has_not_come() {
        let now = Instant::now();
        let mut store = store_of(9, &[1, 2, 3, 4], now);
        // If the purge looked at these entries, they would be gone.
        store.entries.values_mut().for_each(|entry| entry.expires = now);
        assert_eq!(store.purge(now), Some(now + TTL));
        assert_eq!(store.len(), 4);
    }

    #[test]
    fn a_store_without_room_or_lifetime_keeps_nothing() {
        let now = Instant::now();
        assert!(!Store::new(0, TTL).insert([1; 32], "k", &[1], 0, now));
        assert!(!Store::new(1, Duration::ZERO).insert([1; 32], "k", &[1], 0, now));
    }
}
