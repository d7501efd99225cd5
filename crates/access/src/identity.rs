//! Identities: who signs requests, and what they may do.

use crate::{AccessError, PolicySet, SecretKey};

/// The name of the identity that may do everything.
pub const ROOT_NAME: &str = "root";

/// The name that requests without a signature go by.
pub const ANONYMOUS_NAME: &str = "anonymous";

/// The account of root, and of every user who is given no other.
pub const MAIN_ACCOUNT: &str = "000000000000";

const ACCESS_KEY_BYTES: std::ops::RangeInclusive<usize> = 3..=128;
const MAX_NAME_BYTES: usize = 64;

/// Somebody who signs requests.
pub struct Identity {
    /// Unique among all accounts; owns the buckets that it creates.
    pub name: String,
    /// Twelve digits. What lies in the buckets of one account is closed to the users of another, unless a bucket's policy lets them in.
    pub account: String,
    /// Unique; sent with every request.
    pub access_key: String,
    /// What requests are signed with.
    pub secret: SecretKey,
    pub(crate) rights: Rights,
}

/// What an identity may do.
pub(crate) enum Rights {
    /// Everything.
    Root,
    /// What the policies say.
    Policies(PolicySet),
    /// Nothing but what a bucket opens to everybody.
    Anonymous,
}

impl Identity {
    /// The identity that may do everything.
    pub fn root(access_key: impl Into<String>, secret: SecretKey) -> Result<Self, AccessError> {
        Self::checked(ROOT_NAME.to_owned(), access_key.into(), secret, Rights::Root)
    }

    /// A user, who may do what the policies allow; nothing without one.
    pub fn user(
        name: impl Into<String>,
        access_key: impl Into<String>,
        secret: SecretKey,
        policies: PolicySet,
    ) -> Result<Self, AccessError> {
        let name = name.into();
        if !Self::is_user_name(&name) {
            return Err(AccessError::InvalidName(name));
        }
        Self::checked(name, access_key.into(), secret, Rights::Policies(policies))
    }

    /// The same user in another account than the main one.
    pub fn in_account(self, account: impl Into<String>) -> Result<Self, AccessError> {
        let account = account.into();
        if is_account(&account) { Ok(Self { account, ..self }) } else { Err(AccessError::InvalidAccount(account)) }
    }

    /// Who sends a request without a signature. It has no secret that anybody could sign with.
    pub fn anonymous() -> Self {
        Self {
            name: ANONYMOUS_NAME.to_owned(),
            account: String::new(),
            access_key: String::new(),
            secret: SecretKey::none(),
            rights: Rights::Anonymous,
        }
    }

    /// Whether a user may have the name.
    pub(crate) fn is_user_name(name: &str) -> bool {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+=,.@_-".contains(&byte);
        (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(allowed) && ![ROOT_NAME, ANONYMOUS_NAME].contains(&name)
    }

    /// Whether the request had no signature.
    pub fn is_anonymous(&self) -> bool {
        matches!(self.rights, Rights::Anonymous)
    }

    /// Its ARN; none of an anonymous request.
    pub fn arn(&self) -> Option<String> {
        let arn = || if self.is_root() { crate::arn::root(&self.account) } else { crate::arn::user(&self.account, "/", &self.name) };
        (!self.is_anonymous()).then(arn)
    }

    /// Who owns the buckets that it creates, as ACLs and answers name the owner.
    pub fn owner(&self) -> &str {
        &self.name
    }

    /// Whether this is root.
    pub fn is_root(&self) -> bool {
        matches!(self.rights, Rights::Root)
    }

    fn checked(name: String, access_key: String, secret: SecretKey, rights: Rights) -> Result<Self, AccessError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+.@_-".contains(&byte);
        if ACCESS_KEY_BYTES.contains(&access_key.len()) && access_key.bytes().all(allowed) {
            return Ok(Self { name, account: MAIN_ACCOUNT.to_owned(), access_key, secret, rights });
        }
        Err(AccessError::InvalidAccessKey { name, min_bytes: *ACCESS_KEY_BYTES.start(), max_bytes: *ACCESS_KEY_BYTES.end() })
    }
}

/// Whether the text has the form of an account.
pub(crate) fn is_account(text: &str) -> bool {
    text.len() == MAIN_ACCOUNT.len() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn secret() -> SecretKey {
        SecretKey::new("long enough".to_owned()).unwrap()
    }

    fn user(name: &str, access_key: &str) -> Result<Identity, AccessError> {
        Identity::user(name, access_key, secret(), PolicySet::default())
    }

    #[test]
    fn names_and_access_keys_are_checked() {
        for access_key in ["", "ab", "a/b/c", "a,b", "a=b", "with space", &"x".repeat(129)] {
            assert!(matches!(user("alice", access_key), Err(AccessError::InvalidAccessKey { .. })), "{access_key}");
        }
        assert!(user("alice", "abc").is_ok() && user("alice", &"x".repeat(128)).is_ok());
        for name in ["", "root", "anonymous", "with space", "sl/ash", &"x".repeat(65)] {
            assert!(matches!(user(name, "abc"), Err(AccessError::InvalidName(_))), "{name}");
        }
    }
}
