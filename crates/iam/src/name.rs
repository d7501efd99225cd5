//! Names, paths and ids, as IAM has them. Source: "IAM identifiers" and "IAM quotas" in the user guide of IAM.

use strongroom_seal::random_array;

use crate::IamError;

/// The path of what was given none.
pub(crate) const ROOT_PATH: &str = "/";

const MAX_PATH_BYTES: usize = 512;
/// Characters of an id behind its prefix, each of five bits.
const ID_CHARS: usize = 17;
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const SECRET_CHARS: usize = 40;
const BASE62: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// What an id belongs to: its first four characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IdOf {
    User,
    Group,
    Role,
    Policy,
    AccessKey,
    TemporaryKey,
}

impl IdOf {
    fn prefix(self) -> &'static str {
        match self {
            Self::User => "AIDA",
            Self::Group => "AGPA",
            Self::Role => "AROA",
            Self::Policy => "ANPA",
            Self::AccessKey => "AKIA",
            Self::TemporaryKey => "ASIA",
        }
    }
}

/// A new id: 85 random bits, so that no two are ever the same.
pub(crate) fn new_id(of: IdOf) -> String {
    let random = random_array::<ID_CHARS>();
    of.prefix().chars().chain(random.iter().map(|byte| char::from(BASE32[usize::from(byte % 32)]))).collect()
}

/// An id for a new account: twelve digits, the first of which is none of the main account's.
pub(crate) fn new_account_id() -> String {
    let random = u64::from_le_bytes(random_array::<8>());
    (100_000_000_000 + random % 900_000_000_000).to_string()
}

/// A new secret access key: 40 letters and digits, 238 random bits.
pub(crate) fn new_secret() -> String {
    let mut secret = String::with_capacity(SECRET_CHARS);
    while secret.len() < SECRET_CHARS {
        // Bytes above the greatest multiple of 62 would make some characters likelier than others.
        let fair = random_array::<64>().into_iter().filter(|byte| *byte < 248);
        secret.extend(fair.take(SECRET_CHARS - secret.len()).map(|byte| char::from(BASE62[usize::from(byte % 62)])));
    }
    secret
}

/// Refuses what is no name: 1 to `max` letters, digits and `+=,.@_-`. `what` names the parameter.
pub(crate) fn check(what: &'static str, name: &str, max: usize) -> Result<(), IamError> {
    if name.is_empty() || name.len() > max {
        return Err(IamError::validation(format!("{what} must have 1 to {max} characters.")));
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+=,.@_-".contains(&byte);
    if name.bytes().all(allowed) {
        return Ok(());
    }
    Err(IamError::validation(format!(
        "The specified value for {what} is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_-"
    )))
}

/// Refuses what is no path: `/`, or printable ASCII between two slashes, at the most 512 bytes.
pub(crate) fn check_path(what: &'static str, path: &str) -> Result<(), IamError> {
    let is_path = path.starts_with('/') && path.ends_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic());
    if is_path && path.len() <= MAX_PATH_BYTES {
        return Ok(());
    }
    Err(IamError::validation(format!(
        "The specified value for {what} is invalid. It must begin and end with / and contain only printable ASCII characters, at the most {MAX_PATH_BYTES}."
    )))
}

/// As [`check_path`], for what listings are asked for: its end may be anything.
pub(crate) fn check_path_prefix(prefix: &str) -> Result<(), IamError> {
    if prefix.starts_with('/') && prefix.len() <= MAX_PATH_BYTES && prefix.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    Err(IamError::validation(
        "The specified value for pathPrefix is invalid. It must begin with the / character and contain only printable ASCII characters."
            .to_owned(),
    ))
}

/// The name by which the catalog keeps it: names that differ in case only are the same one.
pub(crate) fn folded(name: &str) -> String {
    name.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_tell_what_they_are_of_and_never_come_twice() {
        let ids: BTreeSet<_> = (0..1000).map(|_| new_id(IdOf::User)).collect();
        assert_eq!(ids.len(), 1000);
        for id in &ids {
            assert!(id.starts_with("AIDA") && id.len() == 21 && id.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()));
        }
        assert!(new_id(IdOf::TemporaryKey).starts_with("ASIA"));
    }

    #[test]
    fn a_secret_has_40_letters_and_digits() {
        let secrets: BTreeSet<_> = (0..100).map(|_| new_secret()).collect();
        assert_eq!(secrets.len(), 100);
        assert!(secrets.iter().all(|secret| secret.len() == 40 && secret.bytes().all(|byte| byte.is_ascii_alphanumeric())));
    }

    #[test]
    fn names_and_paths_are_checked() {
        for good in ["a", "A+=,.@_-9", &"n".repeat(64)] {
            assert!(check("userName", good, 64).is_ok(), "{good}");
        }
        for bad in ["", "a b", "a/b", "ü", &"n".repeat(65)] {
            assert!(check("userName", bad, 64).is_err(), "{bad}");
        }
        for good in ["/", "/a/", "/a/b!/", &format!("/{}/", "p".repeat(510))] {
            assert!(check_path("path", good).is_ok(), "{good}");
        }
        for bad in ["", "a/", "/a", "/a b/", "/ü/", &format!("/{}/", "p".repeat(511))] {
            assert!(check_path("path", bad).is_err(), "{bad}");
        }
        assert!(check_path_prefix("/a").is_ok() && check_path_prefix("a").is_err());
    }
}
