//! KMS keys that belong to accounts: their policies and grants, kept as entities of the store.
//!
//! A key without such an entity is the store's own. Who may do what with a key is `access`'s to decide; here the rules are kept, found and
//! changed.

mod known;
mod record;
#[cfg(test)]
mod tests;

use std::{fmt::Write, sync::Arc};

use async_trait::async_trait;
use strongroom_access::{IdentityError, KeyPolicy, KeyRules, KeyRulesSource, MAX_KEY_GRANTS};
use strongroom_catalog::{Catalog, Clock};
use strongroom_seal::{StoreKey, random_array};

use crate::{
    Directory, IamError, Seen,
    directory::{Changes, exists, missing},
};
use known::{Cache, Known};
pub use record::{Constraint, Grant, KmsKey, OwnedKey};

const MAX_GRANT_NAME_CHARS: usize = 256;

/// The keys that belong to accounts.
pub struct KmsKeys {
    directory: Directory,
    clock: Clock,
    known: Cache,
}

impl KmsKeys {
    /// Over a catalog, whose records are sealed under the store key.
    pub fn new(catalog: Arc<dyn Catalog>, store_key: Arc<StoreKey>, clock: Clock) -> Arc<Self> {
        Arc::new(Self { directory: Directory::new(catalog, store_key), clock, known: Cache::default() })
    }

    /// The key of that bare id; none where it is the store's own.
    pub async fn find(&self, key_id: &str) -> Result<Option<Seen<KmsKey>>, IamError> {
        self.directory.find::<KmsKey>("", key_id).await
    }

    /// Gives a key to an account, which owns it for good. Without a document it gets the policy that leaves it to the account.
    pub async fn create(&self, backend: &str, key_id: &str, account: &str, policy: Option<&str>) -> Result<KmsKey, IamError> {
        let policy = policy.map_or_else(|| KeyPolicy::default_document(account), str::to_owned);
        KeyPolicy::parse(account, &policy)?;
        self.check_room(account).await?;
        let (key_id, account) = (key_id.to_owned(), account.to_owned());
        let owned = OwnedKey { key_id: key_id.clone() };
        let key = KmsKey { key_id, backend: backend.to_owned(), account, created: self.clock.now(), policy, grants: Vec::new() };
        let changes = Changes::default().create(&self.directory, "", &key)?.create(&self.directory, &key.account, &owned)?;
        match self.directory.commit(changes).await {
            Ok(()) => Ok(key),
            Err(IamError::ConcurrentModification) => Err(exists::<KmsKey>(&key.key_id)),
            Err(error) => Err(error),
        }
    }

    /// Refuses an account that has as many keys as it may have.
    pub async fn check_room(&self, account: &str) -> Result<(), IamError> {
        use crate::Record;
        if self.directory.count::<OwnedKey>(account).await? >= OwnedKey::QUOTA {
            return Err(IamError::LimitExceeded(format!("An account has at the most {} KMS keys.", OwnedKey::QUOTA)));
        }
        Ok(())
    }

    /// Takes back what [`Self::create`] did, where there is no such key after all.
    pub async fn discard(&self, key_id: &str) -> Result<(), IamError> {
        let Some(key) = self.find(key_id).await? else { return Ok(()) };
        let owned = self.directory.find::<OwnedKey>(&key.record.account, key_id).await?;
        let changes = Changes::default().delete(&key);
        let changes = if let Some(owned) = &owned { changes.delete(owned) } else { changes };
        self.directory.commit(changes).await
    }

    /// Replaces the policy of a key as it was seen, when it was decided that this is allowed: [`IamError::ConcurrentModification`] where it
    /// has changed since.
    pub async fn put_policy(&self, mut seen: Seen<KmsKey>, policy: &str) -> Result<(), IamError> {
        KeyPolicy::parse(&seen.record.account, policy)?;
        policy.clone_into(&mut seen.record.policy);
        self.replace(&seen).await
    }

    /// Adds a grant to a key as it was seen, and says its id; the same one under the same name is there once.
    pub async fn add_grant(&self, mut seen: Seen<KmsKey>, grant: Grant) -> Result<String, IamError> {
        let _ = grant.compiled(&seen.record.account)?;
        if grant.name.as_ref().is_some_and(|name| name.is_empty() || name.chars().count() > MAX_GRANT_NAME_CHARS) {
            return Err(IamError::validation(format!("The name of a grant has 1 to {MAX_GRANT_NAME_CHARS} characters.")));
        }
        if let Some(there) = seen.record.grants.iter().find(|there| there.is_the_same(&grant)) {
            return Ok(there.id.clone());
        }
        if seen.record.grants.len() >= MAX_KEY_GRANTS {
            return Err(IamError::LimitExceeded(format!("A key has at the most {MAX_KEY_GRANTS} grants: revoke or retire some.")));
        }
        let id = random_array::<32>().iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        seen.record.grants.push(Grant { id: id.clone(), created: self.clock.now(), ..grant });
        self.replace(&seen).await?;
        Ok(id)
    }

    /// Removes a grant of a key as it was seen.
    pub async fn remove_grant(&self, mut seen: Seen<KmsKey>, grant_id: &str) -> Result<(), IamError> {
        let before = seen.record.grants.len();
        seen.record.grants.retain(|grant| grant.id != grant_id);
        if seen.record.grants.len() == before {
            return Err(IamError::NoSuchEntity(format!("The key {} has no grant {grant_id}.", seen.record.key_id)));
        }
        self.replace(&seen).await
    }

    /// The ids of an account's keys in their order, greater than `after`, at the most `limit`.
    pub async fn of_account(&self, account: &str, after: Option<&str>, limit: usize) -> Result<Vec<String>, IamError> {
        let found = self.directory.list::<OwnedKey>(account, after, limit).await?;
        Ok(found.into_iter().map(|owned| owned.record.key_id).collect())
    }

    /// The rules that a key of that account would have with a policy.
    pub fn rules_with(account: &str, policy: &str, grants: &[Grant]) -> Result<KeyRules, IamError> {
        let (account, policy, grants) = (account.to_owned(), policy.to_owned(), grants.to_vec());
        KmsKey { key_id: String::new(), backend: String::new(), account, created: 0, policy, grants }.rules()
    }

    /// The key of that id, which must belong to an account.
    pub async fn get(&self, key_id: &str) -> Result<Seen<KmsKey>, IamError> {
        self.find(key_id).await?.ok_or_else(|| missing::<KmsKey>(key_id))
    }

    async fn replace(&self, seen: &Seen<KmsKey>) -> Result<(), IamError> {
        self.directory.commit(Changes::default().replace(&self.directory, "", seen)?).await
    }

    async fn look_up(&self, key_id: &str) -> Result<Option<Arc<KeyRules>>, IamError> {
        // Before the look: what changes meanwhile is looked up again.
        let generation = self.directory.catalog().entity_changes();
        if let Some(known) = self.known.get(key_id, generation) {
            return Ok(known.rules);
        }
        let found = self.find(key_id).await?;
        let rules = found.as_ref().map(|key| key.record.rules()).transpose()?.map(Arc::new);
        let weight_bytes = found.map_or(0, |key| key.record.weight_bytes());
        self.known.insert(key_id, Known { generation, rules: rules.clone(), weight_bytes });
        Ok(rules)
    }
}

#[async_trait]
impl KeyRulesSource for KmsKeys {
    async fn key_rules(&self, key_id: &str) -> Result<Option<Arc<KeyRules>>, IdentityError> {
        self.look_up(key_id).await.map_err(|error| match error {
            IamError::Unavailable(_) | IamError::ConcurrentModification => IdentityError::Unavailable,
            error => {
                tracing::error!(%error, key_id, "the rules of a key could not be read");
                IdentityError::Broken
            }
        })
    }
}
