//! Whether a caller may use a KMS key: decided before the KMS is called.

use strongroom_access::{Action, Conditions, Identity, arn};
use strongroom_catalog::Envelope;
use strongroom_kms::{is_reserved, resolve_key_id};

use super::uses::User;
use crate::Error;

/// `kms:GenerateDataKey`, for writing under a key that a client or a bucket's default names.
pub(crate) fn may_generate(user: User<'_>, given: &str) -> Result<(), Error> {
    let key_id = resolve_key_id(given)?;
    if is_reserved(key_id) {
        return Err(Error::KmsKeyNotFound(key_id.to_owned()));
    }
    check(user, Action::GenerateDataKey, key_id)
}

/// `kms:Decrypt`, for reading what a key protects.
pub(crate) fn may_decrypt(user: User<'_>, envelope: &Envelope) -> Result<(), Error> {
    let key = envelope.key.as_ref().ok_or_else(|| Error::Integrity("its envelope names no KMS key".into()))?;
    check(user, Action::Decrypt, &key.key_id)
}

/// Whether an identity may do something with a key.
pub(crate) fn check_identity(identity: &Identity, secure: bool, action: Action, key_id: &str) -> Result<(), Error> {
    let authorized = identity.authorize(action, &arn::key(key_id), &Conditions::new(secure));
    authorized.map(|_| ()).map_err(|_| denied(&identity.name, action, key_id))
}

pub(crate) fn denied(identity: &str, action: Action, key_id: &str) -> Error {
    Error::KmsAccessDenied { identity: identity.to_owned(), action: action.as_str(), key_id: key_id.to_owned() }
}

fn check(user: User<'_>, action: Action, key_id: &str) -> Result<(), Error> {
    match user {
        User::Caller(caller) => check_identity(&caller.identity, caller.secure, action, key_id),
        User::Job { who, secure, identity, .. } => match identity {
            Some(identity) => check_identity(identity, secure, action, key_id),
            None => Err(denied(&format!("{who}, which does not exist any more,"), action, key_id)),
        },
    }
}
