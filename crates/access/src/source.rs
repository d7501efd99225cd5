//! Where identities are found, as they are now.

use std::sync::Arc;

use async_trait::async_trait;

use crate::{AccessError, Identity, SecretKey};

/// Finds identities as they are now: a key that was withdrawn is none with the next request, and what goes on in the background has the rights
/// that its starter has at that moment.
#[async_trait]
pub trait IdentitySource: Send + Sync + 'static {
    /// What whoever has an access key signs with. It is asked for first: nothing else is looked up for who only knows the name of a key.
    async fn secret(&self, access_key: &str, token: Option<&str>) -> Result<SecretKey, IdentityError> {
        let identity = self.by_access_key(access_key, token).await?;
        Ok(SecretKey::new(identity.secret.expose().to_owned())?)
    }

    /// The identity that an access key belongs to, with the session token that came along, once the signature is verified.
    async fn by_access_key(&self, access_key: &str, token: Option<&str>) -> Result<Arc<Identity>, IdentityError>;

    /// The identity of this name, for work in the background; none if there is none any more.
    async fn by_name(&self, name: &str) -> Result<Option<Arc<Identity>>, IdentityError>;

    /// Whether an ACL may name this owner.
    async fn is_owner(&self, owner: &str) -> Result<bool, IdentityError>;

    /// That requests were signed with the access key, for a service and a region. It is noted, if anywhere, where it costs nothing.
    fn note_use(&self, access_key: &str, service: &str, region: &str);
}

/// Why an identity is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// No such access key, or one that does not work now.
    #[error("no identity has this access key")]
    UnknownAccessKey,
    /// A session token that is none of this store, or not for this access key, or was revoked.
    #[error("the session token is not valid")]
    InvalidToken,
    /// A session token whose time is over.
    #[error("the session token has expired")]
    ExpiredToken,
    /// The store is too busy; worth trying again.
    #[error("identities cannot be looked up now")]
    Unavailable,
    /// What is kept of it does not make sense.
    #[error("the identity is damaged")]
    Broken,
}

impl From<AccessError> for IdentityError {
    fn from(error: AccessError) -> Self {
        tracing::error!(%error, "an identity is kept that is none");
        Self::Broken
    }
}
