//! The use of KMS keys: whether a caller may, decided before the KMS is called, and the calls that take the proof of it.

use strongroom_access::{Action, ConditionKey, Conditions, Identity, VIA_S3};
use strongroom_catalog::{Bucket, Envelope};
use strongroom_kms::{DataKey, DataKeySpec, EncryptionContext, WrappedKey, is_reserved, resolve_key_id};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::{bucket_key::BucketKey, uses::User};
use crate::{Engine, Error, api::Caller, convert::of_generating, key_rights::KeyName};

/// Whose right it takes to use a key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// The caller's.
    Callers,
    /// The server's own, for whoever writes or reads, as with SSE-S3; unless the key belongs to an account.
    Servers,
}

/// A use of a key that is asked for.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) action: Action,
    /// The backend that wrapped the data key; none where one is to be made.
    pub(crate) backend: Option<&'a str>,
    /// The bare id.
    pub(crate) key_id: &'a str,
    pub(crate) need: Need,
    /// What the data key is bound to.
    pub(crate) context: &'a EncryptionContext,
}

/// The proof that somebody may use a key. Only [`Engine::may_use`] makes one, and without one the engine does not call the KMS.
pub(crate) struct MayUse<'a> {
    user: User<'a>,
    asked: Asked<'a>,
}

impl<'a> Asked<'a> {
    /// `kms:GenerateDataKey` on a key that a client, a bucket's default or the configuration names.
    pub(crate) fn generating(given: &'a str, need: Need, context: &'a EncryptionContext) -> Result<Self, Error> {
        let key_id = match need {
            Need::Callers => named(given)?,
            // Where there is no default key, the KMS says what to do.
            Need::Servers => resolve_key_id(given).unwrap_or(given),
        };
        Ok(Self { action: Action::GenerateDataKey, backend: None, key_id, need, context })
    }

    /// A use of the key that wrapped a data key.
    pub(crate) fn of_envelope(action: Action, envelope: &'a Envelope, need: Need, context: &'a EncryptionContext) -> Result<Self, Error> {
        let key = envelope.key.as_ref().ok_or_else(|| Error::Integrity("its envelope names no KMS key".into()))?;
        Ok(Self { action, backend: Some(&key.backend), key_id: &key.key_id, need, context })
    }
}

impl MayUse<'_> {
    pub(crate) fn key_id(&self) -> &str {
        self.asked.key_id
    }
}

/// The bare id of a key that may be named; the store's own may not.
pub(crate) fn named(given: &str) -> Result<&str, Error> {
    let key_id = resolve_key_id(given)?;
    if is_reserved(key_id) { Err(Error::KmsKeyNotFound(key_id.to_owned())) } else { Ok(key_id) }
}

impl Engine {
    /// Whether the user may use the key so.
    pub(crate) async fn may_use<'a>(&self, user: User<'a>, asked: Asked<'a>) -> Result<MayUse<'a>, Error> {
        let Asked { action, backend, key_id, need, context } = asked;
        let rules = self.key_rules(key_id).await?;
        if need == Need::Callers || rules.is_some() {
            let name = user_name(user);
            let identity = user_identity(user).ok_or_else(|| denied(&format!("{name}, which does not exist any more,"), action, key_id))?;
            let conditions = user_conditions(user).with_encryption_context(&context.0);
            let authorized = identity.authorize_with_key(rules.as_deref(), action, key_id, &conditions);
            let _ = authorized.map_err(|_| denied(name, action, key_id))?;
        }
        self.check_has_its_rules(KeyName { backend, key_id }, rules.is_some()).await?;
        Ok(MayUse { user, asked })
    }

    /// A fresh data key.
    pub(crate) async fn generate(&self, may: &MayUse<'_>, spec: DataKeySpec) -> Result<DataKey, Error> {
        self.generate_in(may, spec, may.asked.context).await
    }

    /// A fresh data key of another context, to be thrown away.
    pub(crate) async fn generate_in(&self, may: &MayUse<'_>, spec: DataKeySpec, context: &EncryptionContext) -> Result<DataKey, Error> {
        let made = self.kms().generate_data_key(may.key_id(), spec, context).await.map_err(of_generating)?;
        self.check_is_the_same(may, &made.wrapped).await?;
        Ok(made)
    }

    /// The bucket's present data key.
    pub(crate) async fn bucket_key(&self, may: &MayUse<'_>, bucket: &Bucket) -> Result<BucketKey, Error> {
        let key = self.bucket_keys().get(self.kms(), bucket, may.key_id(), may.asked.context).await?;
        self.check_is_the_same(may, &key.wrapped).await?;
        Ok(key)
    }

    /// What a data key was wrapped from.
    pub(crate) async fn unwrap(&self, may: &MayUse<'_>, wrapped: &WrappedKey) -> Result<Zeroizing<Vec<u8>>, Error> {
        Ok(self.kms().unwrap_data_key(wrapped, may.asked.context).await?)
    }

    /// A key that a backend knows by more than one id is the one of the id that it wraps under: that one's rules count too.
    async fn check_is_the_same(&self, may: &MayUse<'_>, wrapped: &WrappedKey) -> Result<(), Error> {
        if wrapped.key_id == may.key_id() {
            return Ok(());
        }
        let asked = Asked { key_id: &wrapped.key_id, backend: Some(&wrapped.backend), ..may.asked };
        self.may_use(may.user, asked).await.map(drop)
    }

    /// Whether an identity may do something with a key, whatever the data key is bound to: before a job is started.
    pub(crate) async fn check_identity(&self, identity: &Identity, secure: bool, action: Action, key_id: &str) -> Result<(), Error> {
        let conditions = Conditions::new(secure).with(ConditionKey::ViaService, VIA_S3).with(ConditionKey::CurrentTime, now());
        let rules = self.key_rules(key_id).await?;
        let authorized = identity.authorize_with_key(rules.as_deref(), action, key_id, &conditions);
        authorized.map(|_| ()).map_err(|_| denied(&identity.name, action, key_id))
    }
}

pub(crate) fn denied(identity: &str, action: Action, key_id: &str) -> Error {
    Error::KmsAccessDenied { identity: identity.to_owned(), action: action.as_str(), key_id: key_id.to_owned() }
}

fn user_name(user: User<'_>) -> &str {
    match user {
        User::Caller(caller) => &caller.identity.name,
        User::Job { who, .. } => who,
    }
}

/// None where who started a job is gone.
fn user_identity(user: User<'_>) -> Option<&Identity> {
    match user {
        User::Caller(caller) => Some(&caller.identity),
        User::Job { identity, .. } => identity,
    }
}

/// What policies see of the request.
fn user_conditions(user: User<'_>) -> Conditions {
    let conditions = match user {
        User::Caller(Caller { secure, peer, .. }) => {
            Conditions::new(*secure).with_some(ConditionKey::SourceIp, peer.map(|peer| peer.to_string()))
        }
        User::Job { secure, .. } => Conditions::new(secure),
    };
    conditions.with(ConditionKey::ViaService, VIA_S3).with(ConditionKey::CurrentTime, now())
}

fn now() -> String {
    OffsetDateTime::now_utc().unix_timestamp().to_string()
}
