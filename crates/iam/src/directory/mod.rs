//! Entities as typed records: sealed and opened here, read and changed in the catalog.

mod change;

use std::sync::Arc;

use serde::{Serialize, de::DeserializeOwned};
use strongroom_catalog::{AccessKeyUse, Catalog, Entity, EntityKind, EntityName};
use strongroom_seal::{RecordKind, StoreKey};
use zeroize::Zeroizing;

use crate::{IamError, name};

pub(crate) use change::{Changes, exists};

/// An entity of a kind.
pub trait Record: Serialize + DeserializeOwned + Send + 'static {
    /// Its kind.
    const KIND: EntityKind;
    /// What it is called in messages.
    const WHAT: &'static str;
    /// Whether its name is unique among all accounts.
    const OF_ALL_ACCOUNTS: bool = false;
    /// So many of them an account may have; creations at the same moment may go beyond it by one each.
    const QUOTA: u64 = u64::MAX;

    /// Its name, as it is written.
    fn name(&self) -> String;

    /// What must be there as long as it is.
    fn refers_to(&self, account: &str) -> Vec<EntityName>;
}

/// A record as it was read.
#[derive(Clone, Debug)]
pub struct Seen<R> {
    /// What it says.
    pub record: R,
    pub(crate) name: EntityName,
    pub(crate) revision: u64,
}

/// All entities there are.
pub struct Directory {
    catalog: Arc<dyn Catalog>,
    store_key: Arc<StoreKey>,
}

impl Directory {
    /// The entities of a catalog, whose records are sealed under the store key.
    pub fn new(catalog: Arc<dyn Catalog>, store_key: Arc<StoreKey>) -> Self {
        Self { catalog, store_key }
    }

    /// The entity of that name.
    pub async fn find<R: Record>(&self, account: &str, name: &str) -> Result<Option<Seen<R>>, IamError> {
        let found = self.catalog.entities(vec![entity_name::<R>(account, name)]).await?.pop().flatten();
        found.map(|entity| self.open(entity)).transpose()
    }

    /// Entities of one kind as they were at one moment, in the order of these names.
    pub async fn find_all<R: Record>(&self, account: &str, names: &[String]) -> Result<Vec<Option<Seen<R>>>, IamError> {
        let names = names.iter().map(|name| entity_name::<R>(account, name)).collect();
        let found = self.catalog.entities(names).await?;
        found.into_iter().map(|entity| entity.map(|entity| self.open(entity)).transpose()).collect()
    }

    /// As [`Directory::find`]; that there is none is an error.
    pub async fn get<R: Record>(&self, account: &str, name: &str) -> Result<Seen<R>, IamError> {
        self.find(account, name).await?.ok_or_else(|| missing::<R>(name))
    }

    /// Entities of an account in the order of names, greater than `after`, at the most `limit`.
    pub async fn list<R: Record>(&self, account: &str, after: Option<&str>, limit: usize) -> Result<Vec<Seen<R>>, IamError> {
        let account = if R::OF_ALL_ACCOUNTS { "" } else { account };
        let after = after.map(|after| entity_name::<R>(account, after).name);
        let found = self.catalog.list_entities(R::KIND, account, after.as_deref(), limit).await?;
        found.into_iter().map(|entity| self.open(entity)).collect()
    }

    /// How many entities of a kind an account has.
    pub async fn count<R: Record>(&self, account: &str) -> Result<u64, IamError> {
        Ok(self.catalog.count_entities(R::KIND, if R::OF_ALL_ACCOUNTS { "" } else { account }).await?)
    }

    /// Entities that refer to one, in the order of names, greater than `after`, at the most `limit`.
    pub async fn referring<To: Record, R: Record>(
        &self,
        account: &str,
        to: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Seen<R>>, IamError> {
        self.referring_to(entity_name::<To>(account, to), account, after, limit).await
    }

    /// The same of what is named by hand.
    pub(crate) async fn referring_to<R: Record>(
        &self,
        to: EntityName,
        account: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Seen<R>>, IamError> {
        let after = after.map(|after| entity_name::<R>(account, after));
        let found = self.catalog.referring_entities(to, R::KIND, after, limit).await?;
        found.into_iter().map(|entity| self.open(entity)).collect()
    }

    /// How many entities refer to one.
    pub(crate) async fn count_referring(&self, to: EntityName) -> Result<u64, IamError> {
        Ok(self.catalog.count_referring(to).await?)
    }

    /// When an access key was used last.
    pub async fn last_use(&self, access_key: &str) -> Result<Option<AccessKeyUse>, IamError> {
        Ok(self.catalog.access_key_use(access_key).await?)
    }

    pub(crate) fn catalog(&self) -> &Arc<dyn Catalog> {
        &self.catalog
    }

    pub(crate) fn store_key(&self) -> &StoreKey {
        &self.store_key
    }

    fn open<R: Record>(&self, entity: Entity) -> Result<Seen<R>, IamError> {
        let Entity { name, revision, record } = entity;
        let damaged = |error: Box<dyn std::error::Error + Send + Sync>| {
            tracing::error!(entity = %name, %error, "the record of an entity was altered: restore the catalog from a backup");
            IamError::Internal(error)
        };
        let opened = self.store_key.open_record(RecordKind::Document, &bound_to(&name), &record).map_err(|error| damaged(error.into()))?;
        let opened = Zeroizing::new(opened);
        let record = serde_json::from_slice(&opened).map_err(|error| damaged(error.into()))?;
        Ok(Seen { record, name, revision })
    }

    fn seal<R: Record>(&self, name: &EntityName, record: &R) -> Result<Vec<u8>, IamError> {
        let plain = serde_json::to_vec(record).map_err(|error| IamError::Internal(error.into()))?;
        Ok(self.store_key.seal_record(RecordKind::Document, &bound_to(name), &Zeroizing::new(plain))?)
    }
}

/// What the catalog calls an entity.
fn entity_name<R: Record>(account: &str, name: &str) -> EntityName {
    let (account, name) = match R::KIND {
        // The keys of requests, and those of the KMS, are compared as they are.
        EntityKind::AccessKey | EntityKind::KmsKey => ("", name.to_owned()),
        EntityKind::OwnedKey => (account, name.to_owned()),
        _ if R::OF_ALL_ACCOUNTS => ("", name::folded(name)),
        _ => (account, name::folded(name)),
    };
    EntityName { kind: R::KIND, account: account.to_owned(), name }
}

pub(crate) fn missing<R: Record>(name: &str) -> IamError {
    IamError::NoSuchEntity(format!("The {} with name {name} cannot be found.", R::WHAT))
}

/// What a record is bound to, so that no row can take the place of another.
fn bound_to(name: &EntityName) -> [&[u8]; 4] {
    let kind: &[u8] = match name.kind {
        EntityKind::Account => b"account",
        EntityKind::User => b"user",
        EntityKind::Group => b"group",
        EntityKind::Role => b"role",
        EntityKind::Policy => b"policy",
        EntityKind::AccessKey => b"access key",
        EntityKind::Provider => b"provider",
        EntityKind::KmsKey => b"kms key",
        EntityKind::OwnedKey => b"owned key",
    };
    [b"entity", kind, name.account.as_bytes(), name.name.as_bytes()]
}
