//! Identities that are remembered, up to a number.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use strongroom_access::Identity;
use strongroom_catalog::{EntityName, UnixMillis};

const MAX_KNOWN: usize = 4096;
/// Of all of them together, as [`Known::weight_bytes`] tells it; the last one is kept whatever it weighs.
const MAX_KNOWN_BYTES: usize = 64 << 20;

/// An identity as it was resolved.
#[derive(Clone)]
pub(super) struct Known {
    pub(super) identity: Arc<Identity>,
    /// The entities that it was made of, with their revisions; none for those that were not there.
    pub(super) made_of: Arc<[(EntityName, Option<u64>)]>,
    /// The number of changes of entities, asked for before these were read.
    pub(super) generation: u64,
    pub(super) expires: Option<UnixMillis>,
    /// About as much memory as its policies take, though others may have the same ones.
    pub(super) weight_bytes: usize,
}

/// What a request is signed with. The access key of a session is worth nothing without its token.
#[derive(Clone, Copy)]
pub(super) enum Credential<'a> {
    Key(&'a str),
    Session(&'a str),
}

impl Credential<'_> {
    fn owned(self) -> (bool, String) {
        match self {
            Self::Key(access_key) => (false, access_key.to_owned()),
            Self::Session(access_key) => (true, access_key.to_owned()),
        }
    }
}

/// Those that were resolved last.
#[derive(Default)]
pub(super) struct Cache(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    known: HashMap<(bool, String), Known>,
    /// In the order in which they came.
    order: VecDeque<(bool, String)>,
    weight_bytes: usize,
}

impl Cache {
    pub(super) fn get(&self, credential: Credential<'_>) -> Option<Known> {
        self.entries().known.get(&credential.owned()).cloned()
    }

    pub(super) fn insert(&self, credential: Credential<'_>, known: Known) {
        let mut entries = self.entries();
        entries.weight_bytes += known.weight_bytes;
        match entries.known.insert(credential.owned(), known) {
            Some(former) => entries.weight_bytes -= former.weight_bytes,
            None => entries.order.push_back(credential.owned()),
        }
        while entries.order.len() > MAX_KNOWN || (entries.weight_bytes > MAX_KNOWN_BYTES && entries.order.len() > 1) {
            let Some(oldest) = entries.order.pop_front() else { return };
            let former = entries.known.remove(&oldest).map_or(0, |known| known.weight_bytes);
            entries.weight_bytes -= former;
        }
    }

    pub(super) fn forget(&self, credential: Credential<'_>) {
        let (mut entries, credential) = (self.entries(), credential.owned());
        if let Some(known) = entries.known.remove(&credential) {
            entries.weight_bytes -= known.weight_bytes;
            entries.order.retain(|other| *other != credential);
        }
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
