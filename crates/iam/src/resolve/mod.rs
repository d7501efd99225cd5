//! From the access key of a request to whom it belongs and what they may do, as it is now.

mod cache;
mod compiled;
mod identity;
mod uses;

use std::sync::Arc;

use async_trait::async_trait;
use strongroom_access::{Identity, IdentityError, IdentitySource, MAIN_ACCOUNT, ROOT_NAME, SecretKey};
use strongroom_catalog::{EntityName, UnixMillis};

use cache::{Cache, Credential, Known};
use compiled::Compiled;
use identity::Parts;
use uses::Uses;

use crate::{
    Iam, IamError,
    model::{AccessKey, Account, KeyStatus, Provider, Role, User},
    name,
    sts::{Session, SessionOf},
};

/// Stands for the access key of who signs nothing.
const UNUSED_KEY: &str = "background";

/// How often an identity is looked at again that changed meanwhile.
const MAX_LOOKS: usize = 16;

/// What is remembered of identities and of uses of access keys.
#[derive(Default)]
pub(crate) struct Memory {
    known: Cache,
    compiled: Compiled,
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

    async fn secret(&self, access_key: &str, token: Option<&str>) -> Result<SecretKey, IdentityError> {
        if self.configured.access_key(access_key).is_some() {
            return self.configured.secret(access_key, token).await;
        }
        if let Some(token) = token {
            return Ok(SecretKey::new(self.open_session(access_key, token)?.secret)?);
        }
        // Nothing has changed since the last request, so nothing need be read. Whoever has not proved anything yet costs one row at the most.
        let known = self.memory.known.get(Credential::Key(access_key));
        if let Some(known) = known.filter(|known| known.generation == self.generation()) {
            return Ok(SecretKey::new(known.identity.secret.expose().to_owned())?);
        }
        let key = self.directory.find::<AccessKey>("", access_key).await.map_err(failed)?.ok_or(IdentityError::UnknownAccessKey)?;
        Ok(SecretKey::new(key.record.secret)?)
    }

    async fn is_owner(&self, owner: &str) -> Result<bool, IdentityError> {
        if self.configured.is_owner(owner).await? {
            return Ok(true);
        }
        if self.directory.find::<Account>("", owner).await.map_err(failed)?.is_some() {
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
        // No user may be called root.
        let user_name = if account != MAIN_ACCOUNT && user_name == ROOT_NAME { "" } else { user_name };
        let Some(mut parts) = self.parts_of_holder(account, user_name).await? else { return Ok(None) };
        // It signs nothing: what it does in the background, it does by its name.
        Ok(Some(Arc::new(parts.identity(UNUSED_KEY, SecretKey::new(name::new_secret())?)?)))
    }
}

impl Iam {
    async fn of_key(&self, access_key: &str) -> Result<Arc<Identity>, IdentityError> {
        let (credential, now) = (Credential::Key(access_key), self.clock.now());
        if let Some(known) = self.remembered(credential, now).await? {
            return Ok(known);
        }
        for _ in 0..MAX_LOOKS {
            let generation = self.generation();
            let built = self.build_of_key(access_key, now).await;
            if let Some(identity) = self.settle(credential, built, generation).await? {
                return Ok(identity);
            }
        }
        Err(IdentityError::Unavailable)
    }

    /// What was built, if nothing that it was made of changed meanwhile: a mix of two states could lack a Deny that both have. None: look again.
    async fn settle(
        &self,
        credential: Credential<'_>,
        built: Result<Known, IdentityError>,
        generation: u64,
    ) -> Result<Option<Arc<Identity>>, IdentityError> {
        match built {
            Ok(known) if self.is_still(&known.made_of, generation).await? => {
                let identity = Arc::clone(&known.identity);
                self.memory.known.insert(credential, Known { generation, ..known });
                Ok(Some(identity))
            }
            Err(error) if self.generation() == generation => Err(error),
            Ok(_) | Err(_) => Ok(None),
        }
    }

    fn generation(&self) -> u64 {
        self.directory.catalog().entity_changes()
    }

    async fn is_still(&self, made_of: &[(EntityName, Option<u64>)], generation: u64) -> Result<bool, IdentityError> {
        if self.generation() == generation {
            return Ok(true);
        }
        let names = made_of.iter().map(|(name, _)| name.clone()).collect();
        let found = self.directory.catalog().entities(names).await.map_err(|error| failed(error.into()))?;
        Ok(found.iter().zip(made_of).all(|(found, (_, revision))| found.as_ref().map(|found| found.revision) == *revision))
    }

    async fn build_of_key(&self, access_key: &str, now: UnixMillis) -> Result<Known, IdentityError> {
        let unknown = IdentityError::UnknownAccessKey;
        let key = self.directory.find::<AccessKey>("", access_key).await.map_err(failed)?.ok_or(unknown)?;
        let expires = key.record.service_account.as_ref().and_then(|of| of.expires);
        if key.record.status == KeyStatus::Inactive || expires.is_some_and(|expires| expires <= now) {
            return Err(IdentityError::UnknownAccessKey);
        }
        let AccessKey { account, user, secret, service_account, .. } = &key.record;
        let mut parts = self.parts_of_holder(account, user).await?.ok_or(IdentityError::UnknownAccessKey)?;
        parts.made_of.push((key.name.clone(), Some(key.revision)));
        if let Some(document) = service_account.as_ref().and_then(|of| of.policy.as_deref()) {
            parts.bound_session(document)?;
        }
        let identity = Arc::new(parts.identity(access_key, SecretKey::new(secret.clone())?)?);
        Ok(Known { identity, made_of: parts.made_of.into(), generation: 0, expires, weight_bytes: parts.weight_bytes })
    }

    /// Of the user whose key it is, if it is enabled, or of the root of the account.
    async fn parts_of_holder(&self, account: &str, user: &str) -> Result<Option<Parts>, IdentityError> {
        if user.is_empty() {
            return Ok(self.directory.find::<Account>("", account).await.map_err(failed)?.map(Parts::of_root));
        }
        let user = self.directory.find::<User>(account, user).await.map_err(failed)?;
        let Some(user) = user.filter(|user| user.record.enabled) else { return Ok(None) };
        Parts::of_user(&self.directory, &self.memory.compiled, account, user).await.map(Some).map_err(failed)
    }

    fn open_session(&self, access_key: &str, token: &str) -> Result<Session, IdentityError> {
        let session = Session::open(self.directory.store_key(), access_key, token).ok_or(IdentityError::InvalidToken)?;
        if session.expires <= self.clock.now() { Err(IdentityError::ExpiredToken) } else { Ok(session) }
    }

    async fn of_session(&self, access_key: &str, token: &str) -> Result<Arc<Identity>, IdentityError> {
        let session = self.open_session(access_key, token)?;
        let credential = Credential::Session(access_key);
        if let Some(known) = self.remembered(credential, self.clock.now()).await? {
            return Ok(known);
        }
        for _ in 0..MAX_LOOKS {
            let generation = self.generation();
            let built = self.build_of_session(access_key, &session).await;
            if let Some(identity) = self.settle(credential, built, generation).await? {
                return Ok(identity);
            }
        }
        Err(IdentityError::Unavailable)
    }

    async fn build_of_session(&self, access_key: &str, session: &Session) -> Result<Known, IdentityError> {
        let (account, invalid) = (session.account.as_str(), IdentityError::InvalidToken);
        let (mut parts, sessions_from) = match &session.of {
            SessionOf::User { name, id, key } => {
                let user = self.directory.find::<User>(account, name).await.map_err(failed)?;
                let user = user.filter(|user| user.record.id == *id && user.record.enabled).ok_or(invalid)?;
                let sessions_from = user.record.sessions_from;
                let mut parts = Parts::of_user(&self.directory, &self.memory.compiled, account, user).await.map_err(failed)?;
                if let Some(key) = key {
                    let key = self.directory.find::<AccessKey>("", key).await.map_err(failed)?;
                    let key = key.filter(|key| key.record.status == KeyStatus::Active).ok_or(IdentityError::InvalidToken)?;
                    parts.made_of.push((key.name, Some(key.revision)));
                }
                (parts, sessions_from)
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
                (Parts::of_role(&self.directory, &self.memory.compiled, account, role, session).await.map_err(failed)?, sessions_from)
            }
        };
        if session.issued < sessions_from {
            return Err(IdentityError::InvalidToken);
        }
        if let Some(by) = &session.vouched_by {
            let provider = self.directory.find::<Provider>(account, &by.provider).await.map_err(failed)?;
            let provider = provider.filter(|provider| provider.record.created == by.created).ok_or(IdentityError::InvalidToken)?;
            parts.made_of.push((provider.name, Some(provider.revision)));
        }
        parts.of_session(session)?;
        let identity = Arc::new(parts.identity(access_key, SecretKey::new(session.secret.clone())?)?);
        let expires = Some(session.expires);
        Ok(Known { identity, made_of: parts.made_of.into(), generation: 0, expires, weight_bytes: parts.weight_bytes })
    }

    /// What is remembered, if it still is so. Where something changed meanwhile, the revisions tell whether it was one of those that count here.
    async fn remembered(&self, credential: Credential<'_>, now: UnixMillis) -> Result<Option<Arc<Identity>>, IdentityError> {
        let Some(known) = self.memory.known.get(credential) else { return Ok(None) };
        if known.expires.is_some_and(|expires| expires <= now) {
            self.memory.known.forget(credential);
            return Ok(None);
        }
        let generation = self.generation();
        if !self.is_still(&known.made_of, known.generation).await? {
            self.memory.known.forget(credential);
            return Ok(None);
        }
        if known.generation == generation {
            return Ok(Some(known.identity));
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
