//! Identities: who signs requests, and what they may do.

use std::sync::Arc;

use crate::rights::Rights;
use crate::{AccessError, Policy, PolicySet, SecretKey, arn, key};

/// The name of the identity that may do everything.
pub const ROOT_NAME: &str = "root";

/// The name that requests without a signature go by.
pub const ANONYMOUS_NAME: &str = "anonymous";

/// The account of root, and of every user who is given no other.
pub const MAIN_ACCOUNT: &str = "000000000000";

const ACCESS_KEY_BYTES: std::ops::RangeInclusive<usize> = 3..=128;
const MAX_NAME_BYTES: usize = 64;

/// The most policies of an identity, over all it has: own and attached ones, those of its groups, its boundary and its session.
const MAX_POLICIES: usize = 256;

/// Somebody who signs requests.
pub struct Identity {
    /// Unique among all accounts; in the audit log and of jobs.
    pub name: String,
    /// Who it is within its account.
    pub principal: Principal,
    /// Twelve digits. What lies in the buckets of one account is closed to the users of another, unless a bucket's policy lets them in.
    pub account: String,
    /// Unique; sent with every request.
    pub access_key: String,
    /// What requests are signed with.
    pub secret: SecretKey,
    /// Never given to anybody else, as a name may be; with a session also its name, after a colon.
    pub user_id: String,
    /// Tags of the user, or of the role and the session.
    pub tags: Vec<(String, String)>,
    pub(crate) claims: Vec<(String, Vec<String>)>,
    /// Who the session acts for, as its first one said.
    pub source_identity: Option<String>,
    /// When its temporary credentials were made, in seconds since 1970.
    pub token_issued_at: Option<i64>,
    owner: String,
    pub(crate) rights: Rights,
}

/// Who an identity is within its account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// Root of the account: of the main one, who may everything, or of another one, who may everything in it.
    Root,
    /// A user, also with a session of their own.
    User {
        /// Begins and ends with a slash.
        path: String,
        /// Unique in the account.
        name: String,
    },
    /// A session of a role.
    AssumedRole {
        /// The path of the role, which begins and ends with a slash.
        path: String,
        /// The name of the role.
        role: String,
        /// The name of the session.
        session: String,
    },
    /// Somebody whom another directory knows, without a role.
    FederatedUser {
        /// What the directory calls them.
        name: String,
    },
    /// Somebody whom a provider vouches for, and who asks for a session of a role.
    VouchedFor {
        /// As trust policies name it: the ARN of a provider of OpenID Connect, or the name of a directory.
        provider: String,
    },
    /// Nobody who is known.
    Anonymous,
}

impl Principal {
    /// What `aws:PrincipalType` says.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Root => "Account",
            Self::User { .. } => "User",
            Self::AssumedRole { .. } => "AssumedRole",
            Self::FederatedUser { .. } => "FederatedUser",
            Self::VouchedFor { .. } | Self::Anonymous => "Anonymous",
        }
    }
}

/// Everything about an identity that somebody has looked up.
pub struct Resolved {
    /// Unique among the identities of all accounts. The names `root` and `anonymous` are taken.
    pub name: String,
    /// Who it is.
    pub principal: Principal,
    /// Its account.
    pub account: String,
    /// Its access key.
    pub access_key: String,
    /// What it signs with.
    pub secret: SecretKey,
    /// As [`Identity::user_id`].
    pub user_id: String,
    /// As [`Identity::tags`].
    pub tags: Vec<(String, String)>,
    /// What a provider, directory or certificate said, by the condition keys: `idp.example.org:sub`, `jwt:groups`, `ldap:user`. Names
    /// that are no keys of claims are left out.
    pub claims: Vec<(String, Vec<String>)>,
    /// As [`Identity::source_identity`].
    pub source_identity: Option<String>,
    /// As [`Identity::token_issued_at`].
    pub token_issued_at: Option<i64>,
    /// Own, attached and of groups: one of them must allow.
    pub policies: Vec<Arc<Policy>>,
    /// What must allow besides.
    pub boundary: Option<Arc<Policy>>,
    /// If there are any, one of them must allow besides: those of a session, or of a service account. None mean no limit.
    pub session: Vec<Arc<Policy>>,
}

impl Identity {
    /// The identity that may do everything.
    pub fn root(access_key: impl Into<String>, secret: SecretKey) -> Result<Self, AccessError> {
        let bare = Self::bare(ROOT_NAME, Principal::Root, access_key.into(), secret);
        Self::checked(Self { user_id: MAIN_ACCOUNT.to_owned(), ..bare })
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
        let principal = Principal::User { path: "/".to_owned(), name: name.clone() };
        let rights = Rights { policies: policies.into_policies(), ..Rights::default() };
        Self::checked(Self { rights, ..Self::bare(&name, principal, access_key.into(), secret) })
    }

    /// The same user in another account than the main one.
    pub fn in_account(self, account: impl Into<String>) -> Result<Self, AccessError> {
        let account = account.into();
        if is_account(&account) { Ok(Self { account, ..self }) } else { Err(AccessError::InvalidAccount(account)) }
    }

    /// The root of another account than the main one, under a name that is unique among all accounts: who may do everything in the account.
    pub fn account_root(
        name: impl Into<String>,
        access_key: impl Into<String>,
        secret: SecretKey,
        account: impl Into<String>,
    ) -> Result<Self, AccessError> {
        let (name, account) = (name.into(), account.into());
        if account == MAIN_ACCOUNT || !is_account(&account) {
            return Err(AccessError::InvalidRootAccount(account));
        }
        if !Self::is_user_name(&name) {
            return Err(AccessError::InvalidName(name));
        }
        let bare = Self::bare(&name, Principal::Root, access_key.into(), secret);
        Self::checked(Self { user_id: account.clone(), owner: account.clone(), account, ..bare })
    }

    /// An identity as it was looked up, with at the most 256 policies.
    pub fn resolved(resolved: Resolved) -> Result<Self, AccessError> {
        let Resolved { name, principal, account, access_key, secret, user_id, tags, claims, source_identity, token_issued_at, .. } =
            resolved;
        let rights = Rights { policies: resolved.policies, boundary: resolved.boundary, session: resolved.session };
        let is_unknown = matches!(principal, Principal::Anonymous | Principal::VouchedFor { .. });
        let is_main_root = principal == Principal::Root && account == MAIN_ACCOUNT;
        if is_unknown || name.is_empty() || name == ANONYMOUS_NAME || (name == ROOT_NAME) != is_main_root {
            return Err(AccessError::InvalidName(name));
        }
        if rights.count() > MAX_POLICIES {
            return Err(AccessError::TooManyPolicies { count: rights.count(), max: MAX_POLICIES });
        }
        let claims = named_claims(claims);
        let bare = Self::bare(&name, principal, access_key, secret);
        let owner = if account == MAIN_ACCOUNT { ROOT_NAME.to_owned() } else { account.clone() };
        Self::checked(Self { user_id, tags, claims, source_identity, token_issued_at, owner, rights, ..bare })?.in_account(account)
    }

    /// Somebody whom a provider vouches for, and who asks for a session of a role: see [`Identity::may_assume`]. They have no secret.
    pub fn vouched_for(provider: impl Into<String>, claims: Vec<(String, Vec<String>)>) -> Self {
        let principal = Principal::VouchedFor { provider: provider.into() };
        Self { account: String::new(), claims: named_claims(claims), ..Self::bare("", principal, String::new(), SecretKey::none()) }
    }

    /// Who sends a request without a signature. It has no secret that anybody could sign with.
    pub fn anonymous() -> Self {
        let bare = Self::bare(ANONYMOUS_NAME, Principal::Anonymous, String::new(), SecretKey::none());
        Self { account: String::new(), user_id: String::new(), ..bare }
    }

    /// Whether a user may have the name.
    pub(crate) fn is_user_name(name: &str) -> bool {
        is_name(name) && ![ROOT_NAME, ANONYMOUS_NAME].contains(&name)
    }

    /// Whether the request had no signature.
    pub fn is_anonymous(&self) -> bool {
        self.principal == Principal::Anonymous
    }

    /// Its ARN; none of who has no signature. That of a session names the session.
    pub fn arn(&self) -> Option<String> {
        match &self.principal {
            Principal::AssumedRole { role, session, .. } => Some(arn::assumed_role(&self.account, role, session)),
            _ => self.principal_arn(),
        }
    }

    /// What `aws:PrincipalArn` says: as its ARN, but of a session it is that of the role.
    pub(crate) fn principal_arn(&self) -> Option<String> {
        match &self.principal {
            Principal::Root => Some(arn::root(&self.account)),
            Principal::User { path, name } => Some(arn::user(&self.account, path, name)),
            Principal::AssumedRole { path, role, .. } => Some(arn::role(&self.account, path, role)),
            Principal::FederatedUser { name } => Some(arn::federated_user(&self.account, name)),
            Principal::VouchedFor { .. } | Principal::Anonymous => None,
        }
    }

    /// Who owns the buckets that it creates, as ACLs and answers name the owner: a user of the configuration file themselves; else the account,
    /// which is root in the main one.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// Whether this is root of its account, also of another one than the main one.
    pub fn is_account_root(&self) -> bool {
        self.principal == Principal::Root
    }

    /// Its name within the account, where it is a user.
    pub fn user_name(&self) -> Option<&str> {
        if let Principal::User { name, .. } = &self.principal { Some(name) } else { None }
    }

    /// Whether its credentials are temporary.
    pub fn is_temporary(&self) -> bool {
        self.token_issued_at.is_some()
    }

    /// Whether this is root of the main account, whom no policy of its own limits.
    pub fn is_root(&self) -> bool {
        self.is_root_of(MAIN_ACCOUNT) && !self.rights.have_limits()
    }

    /// Whether this is root of that account, also with limits.
    pub(crate) fn is_root_of(&self, account: &str) -> bool {
        self.principal == Principal::Root && self.account == account
    }

    /// Whether it counts as one of the account: root of the main one does in every account.
    pub fn is_of_account(&self, account: &str) -> bool {
        self.is_root_of(MAIN_ACCOUNT) || (!self.account.is_empty() && self.account == account)
    }

    fn bare(name: &str, principal: Principal, access_key: String, secret: SecretKey) -> Self {
        Self {
            name: name.to_owned(),
            principal,
            account: MAIN_ACCOUNT.to_owned(),
            access_key,
            secret,
            user_id: name.to_owned(),
            tags: Vec::new(),
            claims: Vec::new(),
            source_identity: None,
            token_issued_at: None,
            owner: name.to_owned(),
            rights: Rights::default(),
        }
    }

    fn checked(self) -> Result<Self, AccessError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+.@_-".contains(&byte);
        if ACCESS_KEY_BYTES.contains(&self.access_key.len()) && self.access_key.bytes().all(allowed) {
            return Ok(self);
        }
        Err(AccessError::InvalidAccessKey { name: self.name, min_bytes: *ACCESS_KEY_BYTES.start(), max_bytes: *ACCESS_KEY_BYTES.end() })
    }
}

fn named_claims(claims: Vec<(String, Vec<String>)>) -> Vec<(String, Vec<String>)> {
    claims.into_iter().filter_map(|(name, values)| Some((key::claim(&name)?, values))).collect()
}

/// Whether a user, a role or a session may have the name.
pub(crate) fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+=,.@_-".contains(&byte);
    (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(allowed)
}

/// Whether the text has the form of an account.
pub fn is_account(text: &str) -> bool {
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
