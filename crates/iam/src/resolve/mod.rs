//! From the access key of a request to whom it belongs and what they may do, as it is now.

mod cache;
mod identity;
mod uses;

use std::sync::Arc;

use async_trait::async_trait;
use strongroom_access::{Identity, IdentityError, IdentitySource, SecretKey};
use strongroom_catalog::UnixMillis;

use cache::{Cache, Credential, Known};
use identity::Parts;
use uses::Uses;

use crate::{
    Iam, IamError,
    model::{AccessKey, KeyStatus, Role, User},
    name,
    sts::{Session, SessionOf},
};

/// Stands for the access key of who signs nothing.
const UNUSED_KEY: &str = "background";

/// What is remembered of identities and of uses of access keys.
#[derive(Default)]
pub(crate) struct Memory {
    known: Cache,
    pub(crate) uses: Uses,
}

#[async_trait]
impl IdentitySource for Iam {
    async fn by_access_key(&self, access_key: &str, token: Option<&str>) -> Result<Arc<Identity>, IdentityError> {
        if self.configured.access_key(access_key).is_some() {
            return self.configured.by_access_key(access_key, token).await;
        }
        match token {
            Some(token) => self.of_session(access_key, token).await,
            None => self.of_key(access_key).await,
        }
    }

    async fn is_owner(&self, owner: &str) -> Result<bool, IdentityError> {
        if self.configured.is_owner(owner).await? {
            return Ok(true);
        }
        // An account owns what its users create, once it has any.
        Ok(!self.directory.list::<User>(owner, None, 1).await.map_err(failed)?.is_empty())
    }

    fn note_use(&self, access_key: &str, service: &str, region: &str) {
        if self.configured.access_key(access_key).is_none() {
            self.memory.uses.note(access_key, self.clock.now(), service, region);
        }
    }

    async fn by_name(&self, name: &str) -> Result<Option<Arc<Identity>>, IdentityError> {
        if let Some(identity) = self.configured.name(name) {
            return Ok(Some(identity));
        }
        // Who has less than the user goes by the access key as well, which a service account has as long as it is there.
        if let Some((_, access_key)) = name.rsplit_once('/') {
            let found = self.of_key(access_key).await;
            return match found {
                Ok(identity) => Ok(Some(identity).filter(|identity| identity.name == name)),
                Err(IdentityError::UnknownAccessKey) => Ok(None),
                Err(error) => Err(error),
            };
        }
        let (account, user_name) = identity::user_of(name);
        let Some(user) = self.directory.find::<User>(account, user_name).await.map_err(failed)?.filter(|user| user.record.enabled) else {
            return Ok(None);
        };
        let mut parts = Parts::of_user(&self.directory, account, user).await.map_err(failed)?;
        // It signs nothing: what it does in the background, it does by its name.
        Ok(Some(Arc::new(parts.identity(UNUSED_KEY, SecretKey::new(name::new_secret())?)?)))
    }
}

impl Iam {
    async fn of_key(&self, access_key: &str) -> Result<Arc<Identity>, IdentityError> {
        let now = self.clock.now();
        if let Some(known) = self.remembered(Credential::Key(access_key), now).await? {
            return Ok(known);
        }
        let generation = self.directory.catalog().entity_changes();
        let unknown = IdentityError::UnknownAccessKey;
        let key = self.directory.find::<AccessKey>("", access_key).await.map_err(failed)?.ok_or(unknown)?;
        let expires = key.record.service_account.as_ref().and_then(|of| of.expires);
        if key.record.status == KeyStatus::Inactive || expires.is_some_and(|expires| expires <= now) {
            return Err(IdentityError::UnknownAccessKey);
        }
        let AccessKey { account, user, secret, service_account, .. } = &key.record;
        let user = self.directory.find::<User>(account, user).await.map_err(failed)?.ok_or(IdentityError::UnknownAccessKey)?;
        if !user.record.enabled {
            return Err(IdentityError::UnknownAccessKey);
        }
        let mut parts = Parts::of_user(&self.directory, account, user).await.map_err(failed)?;
        parts.made_of.push((key.name.clone(), Some(key.revision)));
        if let Some(document) = service_account.as_ref().and_then(|of| of.policy.as_deref()) {
            parts.bound_session(document)?;
        }
        let identity = Arc::new(parts.identity(access_key, SecretKey::new(secret.clone())?)?);
        self.memory
            .known
            .insert(Credential::Key(access_key), Known { identity: Arc::clone(&identity), made_of: parts.made_of, generation, expires });
        Ok(identity)
    }

    async fn of_session(&self, access_key: &str, token: &str) -> Result<Arc<Identity>, IdentityError> {
        let session = Session::open(self.directory.store_key(), access_key, token).ok_or(IdentityError::InvalidToken)?;
        let now = self.clock.now();
        if session.expires <= now {
            return Err(IdentityError::ExpiredToken);
        }
        if let Some(known) = self.remembered(Credential::Session(access_key), now).await? {
            return Ok(known);
        }
        let generation = self.directory.catalog().entity_changes();
        let (account, invalid) = (session.account.as_str(), IdentityError::InvalidToken);
        let (mut parts, sessions_from) = match &session.of {
            SessionOf::User { name, id } => {
                let user = self.directory.find::<User>(account, name).await.map_err(failed)?;
                let user = user.filter(|user| user.record.id == *id && user.record.enabled).ok_or(invalid)?;
                let sessions_from = user.record.sessions_from;
                (Parts::of_user(&self.directory, account, user).await.map_err(failed)?, sessions_from)
            }
            SessionOf::Role { name, id, session } => {
                let role = self
                    .directory
                    .find::<Role>(account, name)
                    .await
                    .map_err(failed)?
                    .filter(|role| role.record.id == *id)
                    .ok_or(invalid)?;
                let sessions_from = role.record.sessions_from;
                (Parts::of_role(&self.directory, account, role, session).await.map_err(failed)?, sessions_from)
            }
        };
        if session.issued < sessions_from {
            return Err(IdentityError::InvalidToken);
        }
        parts.of_session(&session)?;
        let identity = Arc::new(parts.identity(access_key, SecretKey::new(session.secret.clone())?)?);
        let expires = Some(session.expires);
        self.memory.known.insert(
            Credential::Session(access_key),
            Known { identity: Arc::clone(&identity), made_of: parts.made_of, generation, expires },
        );
        Ok(identity)
    }

    /// What is remembered, if it still is so. Where something changed meanwhile, the revisions tell whether it was one of those that count here.
    async fn remembered(&self, credential: Credential<'_>, now: UnixMillis) -> Result<Option<Arc<Identity>>, IdentityError> {
        let Some(known) = self.memory.known.get(credential) else { return Ok(None) };
        if known.expires.is_some_and(|expires| expires <= now) {
            self.memory.known.forget(credential);
            return Ok(None);
        }
        let generation = self.directory.catalog().entity_changes();
        if known.generation == generation {
            return Ok(Some(known.identity));
        }
        let names = known.made_of.iter().map(|(name, _)| name.clone()).collect();
        let found = self.directory.catalog().entities(names).await.map_err(|error| failed(error.into()))?;
        let is_same =
            found.iter().zip(&known.made_of).all(|(found, (_, revision))| found.as_ref().map(|found| found.revision) == *revision);
        if !is_same {
            self.memory.known.forget(credential);
            return Ok(None);
        }
        let identity = Arc::clone(&known.identity);
        self.memory.known.insert(credential, Known { generation, ..known });
        Ok(Some(identity))
    }
}

fn failed(error: IamError) -> IdentityError {
    match error {
        IamError::Unavailable(_) | IamError::ConcurrentModification => IdentityError::Unavailable,
        error => {
            tracing::error!(%error, "an identity could not be resolved");
            IdentityError::Broken
        }
    }
}
