//! Changes of entities: all of a call, or none.

use std::collections::BTreeSet;

use strongroom_access::MAIN_ACCOUNT;
use strongroom_catalog::{CatalogError, EntityChange, EntityKind, EntityName, NewEntity};

use super::{Directory, Record, Seen, entity_name, missing};
use crate::{IamError, model::Account};

/// How often a change is tried again that found another one made meanwhile.
const MAX_ATTEMPTS: usize = 16;

/// What a call changes, to be committed at once.
#[derive(Default)]
pub(crate) struct Changes(Vec<EntityChange>);

impl Changes {
    /// What has no name yet.
    pub(crate) fn create<R: Record>(mut self, directory: &Directory, account: &str, record: &R) -> Result<Self, IamError> {
        let name = entity_name::<R>(account, &record.name());
        self.0.push(directory.becoming(name, None, account, record)?);
        Ok(self)
    }

    /// What stands under the same name, or another one.
    pub(crate) fn replace<R: Record>(mut self, directory: &Directory, account: &str, seen: &Seen<R>) -> Result<Self, IamError> {
        let name = entity_name::<R>(account, &seen.record.name());
        if name == seen.name {
            self.0.push(directory.becoming(name, Some(seen.revision), account, &seen.record)?);
            return Ok(self);
        }
        self.0.push(directory.becoming(name, None, account, &seen.record)?);
        Ok(self.delete(seen))
    }

    pub(crate) fn delete<R: Record>(mut self, seen: &Seen<R>) -> Self {
        self.0.push(EntityChange { name: seen.name.clone(), seen: Some(seen.revision), becomes: None });
        self
    }
}

impl Directory {
    fn becoming<R: Record>(&self, name: EntityName, seen: Option<u64>, account: &str, record: &R) -> Result<EntityChange, IamError> {
        let becomes = Some(NewEntity { record: self.seal(&name, record)?, refers_to: record.refers_to(account) });
        Ok(EntityChange { name, seen, becomes })
    }

    /// Commits changes. That one of them lost against another change is [`IamError::ConcurrentModification`].
    pub(crate) async fn commit(&self, mut changes: Changes) -> Result<(), IamError> {
        self.hold_accounts(&mut changes).await?;
        match self.catalog.change_entities(changes.0).await {
            Ok(_) => Ok(()),
            Err(CatalogError::NoSuchEntity(EntityName { kind, name, .. })) => {
                Err(IamError::NoSuchEntity(format!("The {} with name {name} cannot be found.", spell(kind))))
            }
            Err(CatalogError::EntityInUse(by)) => Err(conflict(&by)),
            Err(error) => Err(error.into()),
        }
    }

    /// What is in an account of the store keeps it from being deleted. Accounts of the configuration have no entity.
    async fn hold_accounts(&self, Changes(changes): &mut Changes) -> Result<(), IamError> {
        let account = |change: &EntityChange| change.name.account.clone();
        let accounts: BTreeSet<String> = changes
            .iter()
            .filter(|change| change.becomes.is_some())
            .map(account)
            .filter(|id| !id.is_empty() && id != MAIN_ACCOUNT)
            .collect();
        if accounts.is_empty() {
            return Ok(());
        }
        let names: Vec<EntityName> = accounts.iter().map(|id| Account::entity(id)).collect();
        for entity in self.catalog.entities(names).await?.into_iter().flatten() {
            for change in changes.iter_mut().filter(|change| change.name.account == entity.name.name) {
                if let Some(becomes) = &mut change.becomes {
                    becomes.refers_to.push(entity.name.clone());
                }
            }
        }
        Ok(())
    }

    /// Adds an entity; that there is one of its name is an error.
    pub(crate) async fn create<R: Record>(&self, account: &str, record: &R) -> Result<(), IamError> {
        if R::QUOTA < u64::MAX && self.count::<R>(account).await? >= R::QUOTA {
            return Err(IamError::LimitExceeded(format!("An account has at the most {} of the kind {}.", R::QUOTA, R::WHAT)));
        }
        match self.commit(Changes::default().create(self, account, record)?).await {
            Err(IamError::ConcurrentModification) => Err(exists::<R>(&record.name())),
            other => other,
        }
    }

    /// Reads an entity, changes it, and writes it: again, where another change was faster.
    pub(crate) async fn change<R: Record, T>(
        &self,
        account: &str,
        name: &str,
        mut change: impl FnMut(&mut R) -> Result<T, IamError>,
    ) -> Result<T, IamError> {
        for _ in 0..MAX_ATTEMPTS {
            let mut seen = self.get::<R>(account, name).await?;
            let done = change(&mut seen.record)?;
            match self.commit(Changes::default().replace(self, account, &seen)?).await {
                Err(IamError::ConcurrentModification) => {}
                other => return other.map(|()| done),
            }
        }
        Err(IamError::ConcurrentModification)
    }

    /// Deletes an entity that nothing refers to, if `check` allows it.
    pub(crate) async fn delete<R: Record>(
        &self,
        account: &str,
        name: &str,
        check: impl Fn(&R) -> Result<(), IamError>,
    ) -> Result<(), IamError> {
        for _ in 0..MAX_ATTEMPTS {
            let seen = self.find::<R>(account, name).await?.ok_or_else(|| missing::<R>(name))?;
            check(&seen.record)?;
            match self.commit(Changes::default().delete(&seen)).await {
                Err(IamError::ConcurrentModification) => {}
                other => return other,
            }
        }
        Err(IamError::ConcurrentModification)
    }
}

pub(crate) fn exists<R: Record>(name: &str) -> IamError {
    IamError::EntityAlreadyExists(format!("The {} with name {name} already exists.", R::WHAT))
}

fn conflict(by: &EntityName) -> IamError {
    let message = match by.kind {
        EntityKind::AccessKey => "Cannot delete entity, must delete access keys first.".to_owned(),
        EntityKind::User => format!("Cannot delete entity, the user {} refers to it.", by.name),
        kind => format!("Cannot delete entity, the {} {} refers to it.", spell(kind), by.name),
    };
    IamError::DeleteConflict(message)
}

fn spell(kind: EntityKind) -> &'static str {
    match kind {
        EntityKind::Account => "account",
        EntityKind::User => "user",
        EntityKind::Group => "group",
        EntityKind::Role => "role",
        EntityKind::Policy => "policy",
        EntityKind::AccessKey => "access key",
        EntityKind::Provider => "OpenID Connect provider",
        EntityKind::KmsKey | EntityKind::OwnedKey => "KMS key",
    }
}
