//! Entities: users, groups, roles, policies, access keys and the rules of KMS keys, as far as the catalog knows them. What they are stands in their sealed records.

use std::fmt;

use crate::UnixMillis;

/// The kinds of entities there are. Names are unique within a kind and an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EntityKind {
    /// An account.
    Account,
    /// A user of an account.
    User,
    /// A group of users.
    Group,
    /// A role.
    Role,
    /// A managed policy.
    Policy,
    /// An access key. Its name is unique among all accounts, so its account is empty.
    AccessKey,
    /// A provider of identities, such as one of OpenID Connect.
    Provider,
    /// What a KMS key says of who may do what with it. Its name is the key's id, unique among all accounts, so its account is empty.
    KmsKey,
    /// That a KMS key belongs to an account.
    OwnedKey,
}

/// Before the account in the names of what the server brings along; no account begins so.
const BUILT_IN: &str = "built-in/";

/// What names an entity. The catalog compares bytes: who wants names that differ in more than their case folds them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntityName {
    /// What it is.
    pub kind: EntityKind,
    /// The account that it belongs to.
    pub account: String,
    /// Its name in that account.
    pub name: String,
}

impl EntityName {
    /// What the server brings along, as an account sees it. It has no row: it is always there, and what refers to it can be found and counted.
    pub fn built_in(kind: EntityKind, account: &str, name: &str) -> Self {
        Self { kind, account: format!("{BUILT_IN}{account}"), name: name.to_owned() }
    }

    pub(crate) fn is_built_in(&self) -> bool {
        self.account.starts_with(BUILT_IN)
    }
}

impl fmt::Display for EntityName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.kind, self.name)
    }
}

/// An entity as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entity {
    /// What names it.
    pub name: EntityName,
    /// Which change made it what it is. No two changes of entities have the same one.
    pub revision: u64,
    /// Sealed: all else.
    pub record: Vec<u8>,
}

/// A change of one entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityChange {
    /// What names it.
    pub name: EntityName,
    /// The revision that the change is for; none where there is no such entity.
    pub seen: Option<u64>,
    /// What it becomes; none where it is deleted.
    pub becomes: Option<NewEntity>,
}

/// What an entity becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEntity {
    /// Sealed: all but its name.
    pub record: Vec<u8>,
    /// What it depends on: these are there as long as it is.
    pub refers_to: Vec<EntityName>,
}

/// When an access key was last used, and for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessKeyUse {
    /// The access key.
    pub access_key: String,
    /// When.
    pub used: UnixMillis,
    /// The service that was asked, such as `s3`.
    pub service: String,
    /// The region that the signature named.
    pub region: String,
}
