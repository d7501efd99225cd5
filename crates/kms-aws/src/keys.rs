//! How AWS names and describes keys.

use std::collections::BTreeMap;

use aws_sdk_kms::types::{self, KeyManagerType, KeySpec, KeyUsageType};
use aws_smithy_types::DateTime;
use strongroom_kms::{KeyMetadata, KeyState, KeyVersionInfo, KmsError, resolve_key_id};
use time::OffsetDateTime;

use crate::AwsKms;
use crate::fault::{Call, Fault};

/// AWS rotates material behind the key and does not tell which was used: there is one version to see.
pub(crate) const VERSION: u32 = 1;

/// The id in a key's ARN, or a bare id. Anything but the ids that AWS gives is no key.
pub(crate) fn canonical_id(given: &str) -> Result<&str, KmsError> {
    let id = resolve_key_id(given)?;
    if is_aws_id(id) { Ok(id) } else { Err(KmsError::KeyNotFound(id.to_owned())) }
}

/// A UUID, or `mrk-` and 32 hexadecimal digits for a multi-region key. Source: AWS KMS `KeyId`.
fn is_aws_id(id: &str) -> bool {
    // In one spelling only: permissions and states go by the id as it is given.
    let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    if let Some(rest) = id.strip_prefix("mrk-") {
        return rest.len() == 32 && is_hex(rest);
    }
    let parts: Vec<_> = id.split('-').collect();
    parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12]) && parts.iter().all(|part| is_hex(part))
}

impl AwsKms {
    /// The key as AWS describes it.
    pub(crate) async fn description(&self, key_id: &str) -> Result<types::KeyMetadata, KmsError> {
        let call = Call { action: "kms:DescribeKey", key_id };
        let answer = self.connection.send(call, |aws| aws.describe_key().key_id(key_id).send()).await;
        let answer = answer.map_err(|fault| fault.into_error(call))?;
        answer.key_metadata.ok_or_else(|| malformed("describes no key"))
    }

    /// The error behind a fault of a call that the key's state may have refused.
    pub(crate) async fn error_of(&self, call: Call<'_>, fault: Fault) -> KmsError {
        if !matches!(fault, Fault::State) {
            return fault.into_error(call);
        }
        match self.description(call.key_id).await {
            Ok(key) => check_state(&key).err().unwrap_or_else(|| fault.into_error(call)),
            Err(error) => error,
        }
    }
}

/// Whether the key can be used now.
pub(crate) fn check_state(key: &types::KeyMetadata) -> Result<(), KmsError> {
    match key.key_state() {
        Some(types::KeyState::Enabled) => Ok(()),
        Some(types::KeyState::Disabled | types::KeyState::PendingImport) => Err(KmsError::KeyDisabled(key.key_id.clone())),
        Some(types::KeyState::PendingDeletion | types::KeyState::PendingReplicaDeletion) => {
            Err(KmsError::KeyPendingDeletion(key.key_id.clone()))
        }
        state => {
            let state = state.map_or("unknown", types::KeyState::as_str);
            Err(KmsError::Unavailable(format!("the key {} is in the state {state}", key.key_id)))
        }
    }
}

/// Whether the key is for encrypting with: symmetric, and neither for signing nor for message authentication.
pub(crate) fn encrypts(key: &types::KeyMetadata) -> bool {
    key.key_spec == Some(KeySpec::SymmetricDefault) && key.key_usage == Some(KeyUsageType::EncryptDecrypt)
}

/// Whether it is the customer's own and not one of AWS's services.
pub(crate) fn is_customers(key: &types::KeyMetadata) -> bool {
    key.key_manager == Some(KeyManagerType::Customer)
}

pub(crate) fn metadata(key: &types::KeyMetadata, tags: BTreeMap<String, String>) -> KeyMetadata {
    let created = key.creation_date.and_then(|date| time_of(&date)).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    KeyMetadata {
        key_id: key.key_id.clone(),
        description: key.description.clone().unwrap_or_default(),
        tags,
        state: state(key),
        created,
        versions: vec![KeyVersionInfo { version: VERSION, created }],
        current_version: VERSION,
    }
}

/// What cannot be used shows as disabled, for want of a better word: without material, or its store away.
fn state(key: &types::KeyMetadata) -> KeyState {
    match key.key_state() {
        Some(types::KeyState::Enabled) => KeyState::Enabled,
        Some(types::KeyState::PendingDeletion | types::KeyState::PendingReplicaDeletion) => {
            let at = key.deletion_date.and_then(|date| time_of(&date)).unwrap_or_else(OffsetDateTime::now_utc);
            KeyState::PendingDeletion { at }
        }
        _ => KeyState::Disabled,
    }
}

fn time_of(date: &DateTime) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(date.secs()).ok()?.replace_nanosecond(date.subsec_nanos()).ok()
}

/// An answer that says less than AWS promises.
pub(crate) fn malformed(what: &str) -> KmsError {
    KmsError::Broken(format!("AWS KMS answered what it should not: it {what}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_aws_gives_are_keys_in_every_form() {
        let (uuid, multi) = ("1234abcd-12ab-34cd-56ef-1234567890ab", "mrk-1234abcd12ab34cd56ef1234567890ab");
        for (form, id) in [
            (uuid.to_owned(), uuid),
            (format!("key/{uuid}"), uuid),
            (format!("arn:aws:kms:eu-central-1:111122223333:key/{uuid}"), uuid),
            (format!("arn:aws-us-gov:kms:us-gov-west-1:111122223333:key/{multi}"), multi),
        ] {
            assert_eq!(canonical_id(&form).unwrap(), id);
        }
    }

    #[test]
    fn aliases_and_other_names_are_no_keys() {
        let long = format!("mrk-{}", "a".repeat(33));
        for form in [
            "alias/photos",
            "arn:aws:kms:eu-central-1:111122223333:alias/photos",
            "photos",
            "1234abcd-12ab-34cd-56ef-1234567890a",
            "1234abcd12ab34cd56ef1234567890ab",
            "1234abcd-12ab-34cd-56ef-1234567890ag",
            &long,
        ] {
            assert!(matches!(canonical_id(form), Err(KmsError::KeyNotFound(_))), "{form}");
        }
    }
}
