//! What keeps the destruction of a key and the commits under it apart: nothing is committed under a key that is gone, and who counts
//! what a key protects counts all of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::KmsError;

/// The commits under way under each key, and the keys that are closed to them. In memory alone: after a crash there is no commit under
/// way, and whatever closed a key has to close it again.
#[derive(Clone, Default)]
pub struct Fence(Arc<Shared>);

#[derive(Default)]
struct Shared {
    entries: Mutex<Entries>,
    /// Told whenever a commit ends under a key that is closed.
    ended: Notify,
}

/// By backend and key id. There is an entry only while something is under way or closed.
type Entries = HashMap<String, HashMap<String, Entry>>;

#[derive(Default)]
struct Entry {
    commits: usize,
    closed: usize,
}

/// Stands for all keys of a backend; no key has an empty id.
const ALL_KEYS: &str = "";

/// A commit under way. The key is not destroyed before this is dropped, so keep it until the catalog has answered.
#[must_use]
pub struct CommitPermit(Place);

/// A key, or every key of a backend, under which no commit begins until this is dropped.
#[must_use]
pub struct Closed(Place);

struct Place {
    fence: Fence,
    backend: String,
    key_id: String,
}

impl Fence {
    /// Begins a commit under a key, by its canonical id. [`KmsError::KeyPendingDeletion`] while the key is closed.
    ///
    /// Look at the key's state after this, not before: what destroys the key waits from here on.
    pub fn enter(&self, backend: &str, key_id: &str) -> Result<CommitPermit, KmsError> {
        let mut entries = self.entries();
        check(&entries, backend, key_id)?;
        for id in [ALL_KEYS, key_id] {
            entry(&mut entries, backend, id).commits += 1;
        }
        Ok(CommitPermit(self.place(backend, key_id)))
    }

    /// Refuses a key that is closed.
    pub fn check(&self, backend: &str, key_id: &str) -> Result<(), KmsError> {
        check(&self.entries(), backend, key_id)
    }

    /// Closes a key, by its canonical id. It opens when every [`Closed`] of it is dropped.
    pub fn close_key(&self, backend: &str, key_id: &str) -> Closed {
        entry(&mut self.entries(), backend, key_id).closed += 1;
        Closed(self.place(backend, key_id))
    }

    /// Closes every key of a backend.
    pub fn close_backend(&self, backend: &str) -> Closed {
        self.close_key(backend, ALL_KEYS)
    }

    fn place(&self, backend: &str, key_id: &str) -> Place {
        Place { fence: self.clone(), backend: backend.to_owned(), key_id: key_id.to_owned() }
    }

    /// Poisoning is no concern: nothing under the lock can panic.
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Closed {
    /// Waits until no commit is under way. [`KmsError::Conflict`] if that takes longer than `limit`.
    pub async fn drained(&self, limit: Duration) -> Result<(), KmsError> {
        let (Place { fence, backend, key_id }, until) = (&self.0, Instant::now() + limit);
        loop {
            let mut ended = std::pin::pin!(fence.0.ended.notified());
            // Before the look, so that no end falls between the two.
            ended.as_mut().enable();
            if commits(&fence.entries(), backend, key_id) == 0 {
                return Ok(());
            }
            if timeout_at(until, ended).await.is_err() {
                let seconds = limit.as_secs();
                let text = format!("writes under way did not end within {seconds} seconds, so nothing was deleted; try again");
                return Err(KmsError::Conflict(text));
            }
        }
    }
}

impl Drop for CommitPermit {
    fn drop(&mut self) {
        let Place { fence, backend, key_id } = &self.0;
        let mut entries = fence.entries();
        let mut was_closed = false;
        for id in [ALL_KEYS, key_id] {
            was_closed |= leave(&mut entries, backend, id, |entry| entry.commits -= 1);
        }
        drop(entries);
        if was_closed {
            fence.0.ended.notify_waiters();
        }
    }
}

impl Drop for Closed {
    fn drop(&mut self) {
        let Place { fence, backend, key_id } = &self.0;
        leave(&mut fence.entries(), backend, key_id, |entry| entry.closed -= 1);
    }
}

fn entry<'a>(entries: &'a mut Entries, backend: &str, key_id: &str) -> &'a mut Entry {
    entries.entry(backend.to_owned()).or_default().entry(key_id.to_owned()).or_default()
}

fn check(entries: &Entries, backend: &str, key_id: &str) -> Result<(), KmsError> {
    let Some(keys) = entries.get(backend) else { return Ok(()) };
    let is_closed = |id: &str| keys.get(id).is_some_and(|entry| entry.closed > 0);
    if is_closed(key_id) {
        return Err(KmsError::KeyPendingDeletion(key_id.to_owned()));
    }
    if is_closed(ALL_KEYS) {
        return Err(KmsError::Unavailable(format!("the backend {backend} is being removed")));
    }
    Ok(())
}

fn commits(entries: &Entries, backend: &str, key_id: &str) -> usize {
    entries.get(backend).and_then(|keys| keys.get(key_id)).map_or(0, |entry| entry.commits)
}

/// Changes an entry, and drops it when nothing is left in it. Whether it is closed.
fn leave(entries: &mut Entries, backend: &str, key_id: &str, change: impl FnOnce(&mut Entry)) -> bool {
    let Some(keys) = entries.get_mut(backend) else { return false };
    let Some(entry) = keys.get_mut(key_id) else { return false };
    change(entry);
    let is_closed = entry.closed > 0;
    if entry.commits == 0 && !is_closed {
        keys.remove(key_id);
    }
    if keys.is_empty() {
        entries.remove(backend);
    }
    is_closed
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn a_closed_key_waits_for_the_commits_under_way_and_lets_none_begin() {
        let fence = Fence::default();
        let (first, second) = (fence.enter("local", "a").unwrap(), fence.enter("local", "a").unwrap());
        let closed = fence.close_key("local", "a");
        assert!(matches!(fence.enter("local", "a"), Err(KmsError::KeyPendingDeletion(id)) if id == "a"));
        assert!(fence.enter("local", "b").is_ok() && fence.enter("other", "a").is_ok(), "other keys go on");
        let waiting = tokio::spawn(async move { closed.drained(LIMIT).await.map(|()| closed) });
        for permit in [first, second] {
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert!(!waiting.is_finished());
            drop(permit);
        }
        let closed = waiting.await.unwrap().unwrap();
        assert!(fence.enter("local", "a").is_err(), "it stays closed until that ends");
        drop(closed);
        drop(fence.enter("local", "a").unwrap());
        assert!(fence.entries().is_empty(), "nothing is left of it");
    }

    #[tokio::test(start_paused = true)]
    async fn a_commit_that_does_not_end_is_not_waited_for_longer_than_the_limit() {
        let fence = Fence::default();
        let _stuck = fence.enter("local", "a").unwrap();
        let closed = fence.close_key("local", "a");
        let begun = Instant::now();
        let refused = closed.drained(LIMIT).await.unwrap_err();
        assert_eq!(refused.to_string(), "writes under way did not end within 10 seconds, so nothing was deleted; try again");
        assert_eq!(begun.elapsed(), LIMIT);
        drop(closed);
        assert!(fence.enter("local", "a").is_ok(), "the key is open again");
    }

    #[tokio::test]
    async fn a_key_closed_twice_opens_when_both_are_done() {
        let fence = Fence::default();
        let (outer, inner) = (fence.close_key("local", "a"), fence.close_key("local", "a"));
        drop(inner);
        assert!(fence.check("local", "a").is_err());
        drop(outer);
        assert!(fence.check("local", "a").is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_closed_backend_waits_for_commits_under_all_of_its_keys() {
        let fence = Fence::default();
        let permit = fence.enter("vault", "a").unwrap();
        let closed = fence.close_backend("vault");
        assert!(matches!(fence.enter("vault", "b"), Err(KmsError::Unavailable(_))));
        assert!(fence.enter("local", "b").is_ok());
        assert!(closed.drained(LIMIT).await.is_err());
        drop(permit);
        closed.drained(LIMIT).await.unwrap();
    }
}
