//! Whether a caller may use a KMS key: decided before the KMS is called.

use strongroom_access::{Action, Conditions, arn};
use strongroom_catalog::Envelope;
use strongroom_kms::{is_reserved, resolve_key_id};

use super::uses::User;
use crate::{Error, api::Caller};

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

fn check(user: User<'_>, action: Action, key_id: &str) -> Result<(), Error> {
    match user {
        User::Caller(caller) => check_caller(caller, action, key_id),
        User::Job { .. } => Ok(()),
    }
}

fn check_caller(caller: &Caller, action: Action, key_id: &str) -> Result<(), Error> {
    let conditions = Conditions::new(caller.secure);
    let denied = |_| Error::KmsAccessDenied { identity: caller.identity.name.clone(), action: action.as_str(), key_id: key_id.to_owned() };
    caller.identity.authorize(action, &arn::key(key_id), &conditions).map(|_| ()).map_err(denied)
}
