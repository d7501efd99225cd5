//! The model test's listings.

use strongroom_engine::api::{ListEntry, ListObjects, ListVersions};

use super::{model::World, model_ops::BUCKETS, model_state::Entry};

impl World {
    /// Both listings, page by page.
    pub async fn list(&self, bucket: usize, prefix: &str, delimiter: Option<&str>, limit: usize) {
        let model = &self.state.0[bucket];
        let list = ListObjects {
            bucket: BUCKETS[bucket].into(),
            prefix: prefix.into(),
            delimiter: delimiter.map(str::to_owned),
            after: None,
            limit,
        };
        let mut expected = model.objects(prefix, delimiter);
        let mut query = list.clone();
        loop {
            let page = self.rig.engine.list_objects(query.clone()).await.unwrap();
            let shown = page.entries.iter().map(|entry| match entry {
                ListEntry::Item(object) => (object.key.clone(), Some(object.size_bytes)),
                ListEntry::Prefix(prefix) => (prefix.clone(), None),
            });
            let shown: Vec<_> = shown.collect();
            let rest = expected.split_off(limit.min(expected.len()));
            let due = expected.into_iter().map(|entry| match entry {
                Entry::Item(key, _, _, size) => (key, size),
                Entry::Prefix(prefix) => (prefix, None),
            });
            assert_eq!((&shown, page.truncated), (&due.collect(), !rest.is_empty()));
            if rest.is_empty() {
                break;
            }
            (expected, query.after) = (rest, shown.last().map(|(name, _)| name.clone()));
        }
        let mut expected = model.versions(prefix, delimiter);
        let mut query = ListVersions { list, version_id_marker: None };
        loop {
            let page = self.rig.engine.list_versions(query.clone()).await.unwrap();
            let shown = page.entries.into_iter().map(|entry| match entry {
                ListEntry::Item(version) => {
                    let size = version.object.map(|object| object.size_bytes);
                    Entry::Item(version.key, version.version_id, version.is_latest, size)
                }
                ListEntry::Prefix(prefix) => Entry::Prefix(prefix),
            });
            let rest = expected.split_off(limit.min(expected.len()));
            assert_eq!((shown.collect::<Vec<_>>(), page.truncated), (expected.clone(), !rest.is_empty()));
            if rest.is_empty() {
                return;
            }
            (query.list.after, query.version_id_marker) = match expected.pop().unwrap() {
                Entry::Item(key, id, ..) => (Some(key), Some(id)),
                Entry::Prefix(prefix) => (Some(prefix), None),
            };
            expected = rest;
        }
    }
}
