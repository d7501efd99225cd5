//! What this process was told last of keys whose states a backend keeps by itself, for those who may not ask it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use strongroom_kms::{KeyMetadata, KeyState, KmsError};

use crate::overlay::refuse;

/// The keys of one backend that a change made unusable, until a later use shows otherwise.
#[derive(Default)]
pub(super) struct Known(Mutex<State>);

#[derive(Default)]
struct State {
    /// Counts the changes.
    changes: u64,
    /// The state that a change left a key in, and which change.
    unusable: HashMap<String, (u64, KeyState)>,
}

impl Known {
    /// A change ended with this.
    pub(super) fn changed(&self, key: &KeyMetadata) {
        let mut state = self.state();
        state.changes += 1;
        let change = state.changes;
        if key.state == KeyState::Enabled {
            state.unusable.remove(&key.key_id);
        } else {
            state.unusable.insert(key.key_id.clone(), (change, key.state));
        }
    }

    /// To be read before a use, and given back when it succeeded.
    pub(super) fn changes(&self) -> u64 {
        self.state().changes
    }

    /// A use that began after so many changes succeeded: the key was made usable past this server.
    pub(super) fn used(&self, key_id: &str, changes: u64) {
        let mut state = self.state();
        if state.unusable.get(key_id).is_some_and(|(change, _)| *change <= changes) {
            state.unusable.remove(key_id);
        }
    }

    /// Refuses a key that is known to be unusable.
    pub(super) fn check(&self, key_id: &str) -> Result<(), KmsError> {
        self.state().unusable.get(key_id).map_or(Ok(()), |(_, state)| refuse(key_id, *state))
    }

    /// Poisoning is no concern: nothing under the lock can panic.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;

    fn key(state: KeyState) -> KeyMetadata {
        let (created, versions, tags) = (OffsetDateTime::UNIX_EPOCH, Vec::new(), std::collections::BTreeMap::new());
        KeyMetadata { key_id: "k".to_owned(), description: String::new(), tags, state, created, versions, current_version: 1 }
    }

    #[test]
    fn a_use_that_began_before_a_change_says_nothing_about_it() {
        let known = Known::default();
        let before = known.changes();
        known.changed(&key(KeyState::Disabled));
        known.used("k", before);
        assert!(matches!(known.check("k"), Err(KmsError::KeyDisabled(id)) if id == "k"));
        known.used("k", known.changes());
        assert!(known.check("k").is_ok(), "it was enabled elsewhere");
    }

    #[test]
    fn a_change_that_makes_a_key_usable_is_known_at_once() {
        let known = Known::default();
        known.changed(&key(KeyState::Sealed));
        assert!(matches!(known.check("k"), Err(KmsError::KeySealed(_))));
        assert!(known.check("other").is_ok());
        known.changed(&key(KeyState::Enabled));
        assert!(known.check("k").is_ok());
    }
}
