//! Which key ids are acceptable, and the forms under which clients name a key.

use crate::{KmsError, crypto};

/// Ids that begin so belong to the store itself. No client or operator may create, use or delete them.
pub const RESERVED_PREFIX: &str = "strongroom-";

/// The name of the tag by which a key says of itself to which account it belongs.
pub const OWNER_TAG: &str = "strongroom:owner";

/// Longest key id in bytes.
const MAX_ID_LEN: usize = 128;

/// Whether `key_id`, in any of the forms [`resolve_key_id`] takes, is one of the store's own.
pub fn is_reserved(key_id: &str) -> bool {
    bare_id(key_id).is_some_and(|id| id.starts_with(RESERVED_PREFIX))
}

/// The bare id behind the forms in which clients name a key: `<id>`, `key/<id>`, and an ARN that ends in
/// either (`arn:aws:kms:eu-central-1:111122223333:key/<id>`, or the short `arn:aws:kms:<id>`).
///
/// Anything else, aliases included, answers [`KmsError::KeyNotFound`]: no key can have such an id.
/// Source: AWS KMS key identifiers; `MinIO`'s short ARN.
pub fn resolve_key_id(given: &str) -> Result<&str, KmsError> {
    bare_id(given).filter(|id| is_well_formed(id)).ok_or_else(|| KmsError::KeyNotFound(printable(given)))
}

/// Whether a caller may give a new key this id; [`KmsError::InvalidArgument`] says what ids are like.
pub fn check_new_key_id(name: &str) -> Result<(), KmsError> {
    check_well_formed(name)?;
    check_not_reserved(name)
}

/// Whether this can be the bare id of a key, one of the store's own included.
pub(crate) fn check_well_formed(key_id: &str) -> Result<(), KmsError> {
    if !is_well_formed(key_id) {
        let rule = "a key id begins with a letter or digit and goes on with up to 127 letters, digits, '_', '.' and '-'";
        return Err(KmsError::InvalidArgument(rule.to_owned()));
    }
    Ok(())
}

/// Refuses the store's own keys.
pub(crate) fn check_not_reserved(key_id: &str) -> Result<(), KmsError> {
    if is_reserved(key_id) {
        return Err(KmsError::InvalidArgument(format!("key ids beginning with {RESERVED_PREFIX} belong to the store itself")));
    }
    Ok(())
}

/// A random id in the form of a UUID of version 4. Source: RFC 9562.
pub fn random_key_id() -> Result<String, KmsError> {
    let random = u128::from_be_bytes(crypto::random_bytes::<16>()?);
    let version_and_variant = (4_u128 << 76) | (2_u128 << 62);
    let bits = random & !((0xf_u128 << 76) | (3_u128 << 62)) | version_and_variant;
    let hex = format!("{bits:032x}");
    Ok(format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]))
}

/// The id without ARN and `key/`, unchecked.
fn bare_id(given: &str) -> Option<&str> {
    let resource = match given.strip_prefix("arn:") {
        None => given,
        Some(rest) => {
            let (partition, rest) = rest.split_once(':')?;
            let rest = rest.strip_prefix("kms:")?;
            rest.rsplit(':').next().filter(|_| !partition.is_empty())?
        }
    };
    Some(resource.strip_prefix("key/").unwrap_or(resource))
}

fn is_well_formed(id: &str) -> bool {
    id.len() <= MAX_ID_LEN
        && id.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric)
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

/// What may be echoed in an error of an id that is none.
fn printable(given: &str) -> String {
    given.chars().filter(|c| !c.is_control()).take(MAX_ID_LEN).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_form_of_a_key_id_resolves_to_the_bare_id() {
        for form in [
            "my-key_1.a",
            "key/my-key_1.a",
            "arn:aws:kms:eu-central-1:111122223333:key/my-key_1.a",
            "arn:aws-cn:kms:::key/my-key_1.a",
            "arn:aws:kms:my-key_1.a",
        ] {
            assert_eq!(resolve_key_id(form).unwrap(), "my-key_1.a", "{form}");
        }
    }

    #[test]
    fn what_cannot_be_a_key_id_is_not_found() {
        let long = "a".repeat(129);
        for form in [
            "",
            ".hidden",
            "-x",
            "_x",
            "a/b",
            "../a",
            "a b",
            "a\0b",
            "schlüssel",
            "alias/aws/s3",
            "key/",
            "key/key/a",
            "arn:aws:kms:eu:1:alias/a",
            "arn:aws:s3:::key/a",
            "arn::kms:::key/a",
            "arn:aws:kms",
            &long,
        ] {
            assert!(matches!(resolve_key_id(form), Err(KmsError::KeyNotFound(_))), "{form}");
        }
        assert_eq!(resolve_key_id(&long[1..]).unwrap().len(), 128);
    }

    #[test]
    fn an_error_echoes_neither_control_characters_nor_endless_ids() {
        let Err(KmsError::KeyNotFound(echo)) = resolve_key_id(&format!("a\r\n{}", "x".repeat(5000))) else { panic!() };
        assert_eq!(echo, format!("a{}", "x".repeat(127)));
    }

    #[test]
    fn reserved_ids_are_known_in_every_form() {
        for form in ["strongroom-store", "key/strongroom-store", "arn:aws:kms:eu:1:key/strongroom-store", "arn:aws:kms:strongroom-x"] {
            assert!(is_reserved(form), "{form}");
        }
        assert!(!is_reserved("strongroom"));
        assert!(!is_reserved("my-strongroom-key"));
        assert!(matches!(check_new_key_id("strongroom-x"), Err(KmsError::InvalidArgument(_))));
    }

    #[test]
    fn a_random_key_id_is_a_well_formed_uuid_of_version_4() {
        let id = random_key_id().unwrap();
        assert_eq!(id.len(), 36);
        assert_eq!(&id[14..15], "4");
        assert!("89ab".contains(&id[19..20]));
        assert!(is_well_formed(&id));
        assert_ne!(id, random_key_id().unwrap());
    }
}
