//! Whether the signer may: by their policies, and by what a key says of itself.

use strongroom_access::{Action, Conditions, MAIN_ACCOUNT, arn};
use strongroom_engine::KeyName;
use strongroom_iam::keys::KmsKey;
use strongroom_kms::resolve_key_id;

use super::{About, ApiError, Call};

/// Whether an action is one on keys, not on the service.
pub(crate) fn is_of_a_key(action: Action) -> bool {
    action.as_str().starts_with("kms:")
}

/// Whether an action is one on the service as a whole.
fn is_of_the_service(action: Action) -> bool {
    action.as_str().starts_with("strongroom:")
}

/// Whether it is on all keys of an account, or on one that is not there yet.
fn is_of_all_keys(action: Action) -> bool {
    matches!(action, Action::CreateKey | Action::ImportKeyMaterial | Action::ListKeys | Action::ListRetirableGrants)
}

impl Call {
    /// Whether the signer is of another account than the main one: administration is open to them for the keys of that account alone.
    pub(crate) fn is_of_a_tenant(&self) -> bool {
        self.signer.identity.account != MAIN_ACCOUNT
    }

    /// Refuses unless every action is allowed. Those of `kms` are on the key, or on all keys where there is none; the others on the service.
    pub(crate) async fn permit(&self, actions: &[Action], about: &About) -> Result<(), ApiError> {
        self.permit_with_service(actions)?;
        for action in actions.iter().copied().filter(|action| is_of_a_key(*action)) {
            if is_of_all_keys(action) {
                self.permit_with_all_keys(action, about)?;
            } else {
                self.permit_with_key(action, about).await?;
            }
        }
        Ok(())
    }

    /// Refuses unless every action is allowed that is on the service.
    pub(crate) fn permit_with_service(&self, actions: &[Action]) -> Result<(), ApiError> {
        for action in actions.iter().copied().filter(|action| is_of_the_service(*action)) {
            let authorized = self.signer.identity.authorize(action, arn::KMS, &self.signer.conditions);
            let _ = authorized.map_err(|denied| ApiError::denied(denied.to_string()))?;
        }
        Ok(())
    }

    fn permit_with_all_keys(&self, action: Action, about: &About) -> Result<(), ApiError> {
        let identity = &self.signer.identity;
        let account = about.owner.as_deref().unwrap_or(&identity.account);
        let key_id = about.key_id.as_deref().map(resolve_key_id).transpose()?.unwrap_or("*");
        let authorized = identity.authorize_with_keys_of(account, action, key_id, &self.conditions(about));
        authorized.map(drop).map_err(|denied| ApiError::denied(denied.to_string()))
    }

    async fn permit_with_key(&self, action: Action, about: &About) -> Result<(), ApiError> {
        let (identity, conditions) = (&self.signer.identity, self.conditions(about));
        let Some(given) = &about.key_id else {
            let authorized = identity.authorize(action, arn::ALL_KEYS, &conditions);
            return authorized.map(drop).map_err(|denied| ApiError::denied(denied.to_string()));
        };
        let key = KeyName { backend: about.backend.as_deref().or(self.backend.as_deref()), key_id: resolve_key_id(given)? };
        let engine = &self.inner.parts.engine;
        // Policies of another account are written by that account: of the store's own keys they say nothing.
        if self.is_of_a_tenant() && engine.key_rules(key.key_id).await?.is_none() {
            return Err(ApiError::denied(format!(
                "{} has no right to the key {}: it is none of this account's.",
                identity.name, key.key_id
            )));
        }
        let permitted = engine.permit_with_key(identity, action, key, &conditions).await?;
        permitted.map_err(|denied| ApiError::denied(denied.to_string()))
    }

    /// As [`Self::permit`], by the rules of a key as they were seen: what is about to change them must be decided by what it changes.
    pub(crate) fn permit_as_seen(&self, action: Action, key: &KmsKey, about: &About) -> Result<(), ApiError> {
        let (rules, conditions) = (key.rules().map_err(ApiError::of_owned_keys)?, self.conditions(about));
        let authorized = self.signer.identity.authorize_with_key(Some(&rules), action, &key.key_id, &conditions);
        authorized.map(drop).map_err(|denied| ApiError::denied(denied.to_string()))
    }

    /// Whether the signer may do this with this very key: for lists, of which a right to list is none to see every entry.
    pub(crate) async fn may(&self, action: Action, key_id: &str) -> Result<bool, ApiError> {
        let (key, conditions) = (KeyName { backend: self.backend.as_deref(), key_id }, self.conditions(&About::default()));
        Ok(self.inner.parts.engine.permit_with_key(&self.signer.identity, action, key, &conditions).await?.is_ok())
    }

    /// What policies see of the request.
    pub(crate) fn conditions(&self, about: &About) -> Conditions {
        let conditions = self.signer.conditions.clone().with_encryption_context(&about.encryption_context);
        about.conditions.iter().fold(conditions, |conditions, (key, value)| conditions.with(*key, value.as_str()))
    }

    /// The same call on the backend that has a key of the signer's account. Which one that is, is the operator's concern.
    pub(crate) async fn on_own_backend(self, about: &About) -> Result<Self, ApiError> {
        if self.backend.is_some() {
            return Err(ApiError::denied("Which backend a key is in is the operator's to say: leave backend out."));
        }
        let Some(given) = &about.key_id else { return Ok(self) };
        let found = self.inner.parts.owned.find(resolve_key_id(given)?).await.map_err(ApiError::of_owned_keys)?;
        Ok(match found {
            Some(key) => self.on_backend(&key.record.backend),
            None => self,
        })
    }
}
