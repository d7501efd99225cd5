//! What the store must hold, in few lines: buckets, the versions of their keys, and what a listing shows of them.

use std::{collections::BTreeMap, sync::Arc};

use strongroom_engine::api::{Retention, RetentionMode, Tag};

use super::model_ops::{BUCKETS, KEYS, Pick, Place};
use crate::common::*;

/// The id of a version that was written while its bucket was not versioned, or suspended.
pub const NULL: &str = "null";

/// An object. What else a version may have belongs here, and `World::is_stored` compares it.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    pub by: As,
    pub kms_key: Option<String>,
    pub data: Arc<Vec<u8>>,
    pub attributes: Attributes,
}

/// Tags and lock. Retentions end long after the test, but the catalog's clock runs ahead of them now and then.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attributes {
    pub tags: Vec<Tag>,
    pub retention: Option<Retention>,
    pub hold: bool,
}

impl Attributes {
    /// Whether they keep a version from being deleted at that time.
    pub fn lock(&self, bypass: bool, now_ms: i64) -> bool {
        let retains = |retention: Retention| now_ms < retention.until_ms && !(bypass && retention.mode == RetentionMode::Governance);
        self.hold || self.retention.is_some_and(retains)
    }
}

impl Object {
    pub fn new(by: As, data: Arc<Vec<u8>>) -> Self {
        Self { by, kms_key: by.kms_key().map(str::to_owned), data, attributes: Attributes::default() }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Version {
    /// As clients see it in a listing.
    pub id: String,
    /// None: a delete marker.
    pub object: Option<Object>,
}

/// What a request does to the versions of a key.
#[derive(Clone, Debug)]
pub enum Change {
    /// A new version, or a delete marker.
    Add(Option<Object>),
    /// Another object in the place of the version of that id, which stays where it is.
    Replace(String, Object),
    Remove(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Versioning {
    Unversioned,
    Enabled,
    Suspended,
}

/// Versions of a key, the oldest first.
pub type History = Vec<Version>;

pub struct Bucket {
    pub versioning: Versioning,
    pub keys: [History; KEYS.len()],
}

/// An entry of a listing of versions: key, id, whether it is the latest, and the length of the object if it is one. Or a common prefix.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    Item(String, String, bool, Option<u64>),
    Prefix(String),
}

impl Bucket {
    pub fn new(versioning: Versioning) -> Self {
        Self { versioning, keys: Default::default() }
    }

    /// The `versionId` of a request, if it has one.
    pub fn pick(&self, key: usize, pick: Pick) -> Option<String> {
        let history = &self.keys[key];
        match pick {
            Pick::Latest => None,
            Pick::Null => Some(NULL.into()),
            Pick::Nth(nth) if !history.is_empty() => Some(nth.get(history).id.clone()),
            Pick::Nth(_) | Pick::Unknown => Some("0".repeat(32)),
        }
    }

    pub fn find(&self, key: usize, version_id: Option<&str>) -> Option<&Version> {
        let mut history = self.keys[key].iter();
        match version_id {
            None => history.next_back(),
            Some(id) => history.find(|version| version.id == id),
        }
    }

    /// What DeleteObject does.
    pub fn deletion(&self, version_id: Option<&str>) -> Change {
        match (version_id, self.versioning) {
            (Some(id), _) => Change::Remove(id.to_owned()),
            (None, Versioning::Unversioned) => Change::Remove(NULL.into()),
            (None, Versioning::Enabled | Versioning::Suspended) => Change::Add(None),
        }
    }

    /// The versions of a key after a change; `id` is that of a new version where the bucket gives it one.
    pub fn after(&self, key: usize, change: &Change, id: &str) -> History {
        let mut history = self.keys[key].clone();
        match change {
            Change::Remove(id) => history.retain(|version| version.id != *id),
            Change::Replace(id, object) => {
                if let Some(version) = history.iter_mut().find(|version| version.id == *id) {
                    version.object = Some(object.clone());
                }
            }
            Change::Add(object) => {
                let id = if self.versioning == Versioning::Enabled { id } else { NULL };
                history.retain(|version| version.id != id);
                history.push(Version { id: id.to_owned(), object: object.clone() });
            }
        }
        history
    }

    /// All versions in the order of a listing, those of one key the newest first.
    pub fn versions(&self, prefix: &str, delimiter: Option<&str>) -> Vec<Entry> {
        let mut items = Vec::new();
        for (key, history) in KEYS.iter().zip(&self.keys) {
            for (age, version) in history.iter().rev().enumerate() {
                let size = version.object.as_ref().map(|object| object.data.len() as u64);
                items.push(Entry::Item((*key).to_owned(), version.id.clone(), age == 0, size));
            }
        }
        rolled_up(items, prefix, delimiter)
    }

    /// The latest versions that are no delete markers.
    pub fn objects(&self, prefix: &str, delimiter: Option<&str>) -> Vec<Entry> {
        let mut items = self.versions("", None);
        items.retain(|entry| matches!(entry, Entry::Item(_, _, true, Some(_))));
        rolled_up(items, prefix, delimiter)
    }
}

fn rolled_up(items: Vec<Entry>, prefix: &str, delimiter: Option<&str>) -> Vec<Entry> {
    let entries = items.into_iter().filter_map(|item| {
        let Entry::Item(key, ..) = &item else { return Some(item) };
        let rest = key.strip_prefix(prefix)?;
        let common = delimiter.and_then(|delimiter| Some(rest.find(delimiter)? + delimiter.len()));
        Some(common.map_or_else(|| item.clone(), |len| Entry::Prefix(key[..prefix.len() + len].to_owned())))
    });
    let mut entries: Vec<_> = entries.collect();
    entries.dedup_by(|a, b| matches!((a, b), (Entry::Prefix(a), Entry::Prefix(b)) if a == b));
    entries
}

/// All buckets.
pub struct State(pub [Bucket; BUCKETS.len()]);

impl State {
    pub fn new() -> Self {
        let unversioned = || Bucket::new(Versioning::Unversioned);
        Self([unversioned(), unversioned(), Bucket::new(Versioning::Enabled)])
    }

    pub fn of(&self, at: Place) -> &Bucket {
        &self.0[at.bucket]
    }

    pub fn history(&mut self, at: Place) -> &mut History {
        &mut self.0[at.bucket].keys[at.key]
    }

    /// How many objects depend on each KMS key.
    pub fn usage(&self) -> BTreeMap<String, u64> {
        let mut usage = BTreeMap::new();
        for version in self.0.iter().flat_map(|bucket| &bucket.keys).flatten() {
            if let Some(key) = version.object.as_ref().and_then(|object| object.kms_key.clone()) {
                *usage.entry(key).or_default() += 1;
            }
        }
        usage
    }
}
