//! Who may do what with a KMS key: by its rules, if it belongs to an account, and by the policies of who asks.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use strongroom_access::{Action, Conditions, Denied, Identity, KeyRules};
use strongroom_kms::KmsError;

use crate::{Engine, Error};

/// At the most so many keys are remembered that belong to no account.
const MAX_UNOWNED: usize = 10_000;

/// A key, as decisions name it.
#[derive(Clone, Copy, Debug)]
pub struct KeyName<'a> {
    /// The backend that has it; none for the one in force.
    pub backend: Option<&'a str>,
    /// The bare id.
    pub key_id: &'a str,
}

/// The keys, with their backends, that were seen to name no owner.
#[derive(Default)]
pub(crate) struct Unowned(Mutex<HashSet<(String, String)>>);

impl Engine {
    /// What the key says of who may do what with it; none where it is the store's own.
    pub async fn key_rules(&self, key_id: &str) -> Result<Option<Arc<KeyRules>>, Error> {
        Ok(self.parts().key_rules.key_rules(key_id).await?)
    }

    /// Whether somebody may do the action with a key. The KMS is not called for whom it is refused.
    pub async fn permit_with_key(
        &self,
        identity: &Identity,
        action: Action,
        key: KeyName<'_>,
        conditions: &Conditions,
    ) -> Result<Result<(), Denied>, Error> {
        let rules = self.key_rules(key.key_id).await?;
        if let Err(denied) = identity.authorize_with_key(rules.as_deref(), action, key.key_id, conditions) {
            return Ok(Err(denied));
        }
        if matches!(action, Action::GenerateDataKey | Action::Decrypt) {
            self.check_has_its_rules(key, rules.is_some()).await?;
        }
        Ok(Ok(()))
    }

    /// Refuses a key that names an owner and has no rules: whoever can write to the catalog's file could have removed them.
    pub(crate) async fn check_has_its_rules(&self, key: KeyName<'_>, has_rules: bool) -> Result<(), Error> {
        let backend = key.backend.map_or_else(|| self.kms().backend_in_force(), str::to_owned);
        let place = (backend, key.key_id.to_owned());
        let mut is_known = self.unowned().contains(&place);
        if has_rules {
            // From here on it is one that must have rules.
            if is_known {
                self.unowned().remove(&place);
            }
            return Ok(());
        }
        if !is_known {
            is_known = match self.kms().owner_of(&place.0, key.key_id).await {
                Ok(owner) => owner.is_none(),
                Err(error @ (KmsError::Unavailable(_) | KmsError::Broken(_))) => return Err(error.into()),
                // A key of which nothing can be known was never given to an account. What else keeps it from being looked at, keeps it from
                // being used.
                Err(_) => return Ok(()),
            };
        }
        if !is_known {
            let text = format!("the key {} belongs to an account and has lost its policy: restore the catalog from a backup", key.key_id);
            return Err(self.integrity().note(Error::Integrity(text), "", ""));
        }
        self.unowned().insert(place);
        Ok(())
    }
}

impl Unowned {
    fn contains(&self, place: &(String, String)) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(place)
    }

    fn remove(&self, place: &(String, String)) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(place);
    }

    fn insert(&self, place: (String, String)) {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if places.len() >= MAX_UNOWNED {
            places.clear();
        }
        places.insert(place);
    }
}
