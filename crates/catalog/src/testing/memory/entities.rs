//! Entities, and what is done to them.

use std::collections::BTreeMap;

use crate::{AccessKeyUse, CatalogError, Entity, EntityChange, EntityKind, EntityName, NewEntity};

#[derive(Clone, Debug, Default)]
pub(super) struct Entities {
    /// Of each the revision that wrote it.
    present: BTreeMap<EntityName, (u64, NewEntity)>,
    last_revision: u64,
    changes: u64,
    uses: BTreeMap<String, AccessKeyUse>,
}

impl Entities {
    pub(super) fn find(&self, name: &EntityName) -> Option<Entity> {
        let (revision, NewEntity { record, .. }) = self.present.get(name)?;
        Some(Entity { name: name.clone(), revision: *revision, record: record.clone() })
    }

    pub(super) fn list(&self, kind: EntityKind, account: &str, after: Option<&str>, limit: usize) -> Vec<Entity> {
        let is_meant =
            |name: &&EntityName| name.kind == kind && name.account == account && after.is_none_or(|after| name.name.as_str() > after);
        self.present.keys().filter(is_meant).take(limit).filter_map(|name| self.find(name)).collect()
    }

    pub(super) fn referring(&self, to: &EntityName, kind: EntityKind, after: Option<&EntityName>, limit: usize) -> Vec<Entity> {
        let comes_later = |name: &EntityName| after.is_none_or(|after| (&name.account, &name.name) > (&after.account, &after.name));
        let referring =
            self.present.iter().filter(|(name, (_, entity))| name.kind == kind && comes_later(name) && entity.refers_to.contains(to));
        referring.take(limit).filter_map(|(name, _)| self.find(name)).collect()
    }

    pub(super) fn count_referring(&self, to: &EntityName) -> u64 {
        self.present.values().filter(|(_, entity)| entity.refers_to.contains(to)).count() as u64
    }

    pub(super) fn change(&mut self, changes: Vec<EntityChange>) -> Result<Vec<u64>, CatalogError> {
        let mut revisions = Vec::new();
        for EntityChange { name, seen, becomes } in changes.clone() {
            if self.present.remove(&name).map(|(revision, _)| revision) != seen {
                return Err(CatalogError::PreconditionFailed);
            }
            revisions.push(if becomes.is_some() { self.last_revision + 1 } else { 0 });
            match becomes {
                Some(entity) => {
                    self.last_revision += 1;
                    self.present.insert(name, (self.last_revision, entity));
                }
                None if name.kind == EntityKind::AccessKey => drop(self.uses.remove(&name.name)),
                None => {}
            }
        }
        for EntityChange { name, becomes, .. } in changes {
            let missing =
                becomes.iter().flat_map(|entity| &entity.refers_to).find(|to| !to.is_built_in() && !self.present.contains_key(to));
            if let Some(missing) = missing {
                return Err(CatalogError::NoSuchEntity(missing.clone()));
            }
            let user = self.present.iter().find(|(_, (_, entity))| entity.refers_to.contains(&name));
            if let (None, Some((user, _))) = (becomes, user) {
                return Err(CatalogError::EntityInUse(user.clone()));
            }
        }
        self.changes += 1;
        Ok(revisions)
    }

    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    pub(super) fn note_use(&mut self, one: AccessKeyUse) {
        let key = EntityName { kind: EntityKind::AccessKey, account: String::new(), name: one.access_key.clone() };
        let is_newer = self.uses.get(&one.access_key).is_none_or(|known| one.used > known.used);
        if self.present.contains_key(&key) && is_newer {
            self.uses.insert(one.access_key.clone(), one);
        }
    }

    pub(super) fn last_use(&self, access_key: &str) -> Option<AccessKeyUse> {
        self.uses.get(access_key).cloned()
    }
}
