//! A managed policy and its versions.

use serde::{Deserialize, Serialize};
use strongroom_access::Policy;
use strongroom_catalog::{EntityKind, EntityName, UnixMillis};

use super::{PolicyRef, Tags, policies::bytes_that_count};
use crate::{IamError, directory::Record};

pub(crate) const MAX_NAME: usize = 128;
const MAX_BYTES: usize = 6144;
const MAX_VERSIONS: usize = 5;

/// A policy with a name of its own, which users, groups and roles refer to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagedPolicy {
    /// Unique in the account, in whatever case.
    pub name: String,
    /// `ANPA…`, never used twice.
    pub id: String,
    /// `/`, or a folder in which the policy is listed.
    pub path: String,
    /// When it was created.
    pub created: UnixMillis,
    /// When a version of it was added, or made the one that counts.
    pub updated: UnixMillis,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// Its tags.
    #[serde(default)]
    pub tags: Tags,
    /// One to five, the oldest first.
    pub versions: Vec<PolicyVersion>,
    /// The number of the version that counts.
    pub default_version: u32,
    /// The number of the last version there was.
    pub last_version: u32,
}

/// A version of a managed policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyVersion {
    /// From 1; none is used twice.
    pub number: u32,
    /// When it was added.
    pub created: UnixMillis,
    /// What it says.
    pub document: String,
}

impl PolicyVersion {
    /// As clients name it: `v1`, `v2`, …
    pub fn id(&self) -> String {
        format!("v{}", self.number)
    }
}

impl ManagedPolicy {
    /// What holders refer to it by.
    pub(crate) fn reference(&self) -> PolicyRef {
        PolicyRef::OfAccount(format!("{}{}", self.path, self.name))
    }

    /// The version that counts. There always is one; a record without it allows nothing.
    pub fn default(&self) -> Option<&PolicyVersion> {
        self.versions.iter().find(|version| version.number == self.default_version)
    }

    /// Adds a version.
    pub(crate) fn add(&mut self, document: &str, is_default: bool, now: UnixMillis) -> Result<&PolicyVersion, IamError> {
        check_document(document)?;
        if self.versions.len() >= MAX_VERSIONS {
            return Err(IamError::LimitExceeded(
                "A managed policy can have up to 5 versions. Before you create a new version, you must delete an existing version."
                    .to_owned(),
            ));
        }
        self.last_version += 1;
        if is_default {
            self.default_version = self.last_version;
        }
        self.updated = now;
        let at = self.versions.len();
        self.versions.push(PolicyVersion { number: self.last_version, created: now, document: document.to_owned() });
        Ok(&self.versions[at])
    }

    /// The version that a client names.
    pub(crate) fn version(&self, id: &str) -> Result<&PolicyVersion, IamError> {
        let found = self.versions.iter().find(|version| version.id() == id);
        found.ok_or_else(|| IamError::NoSuchEntity(format!("Policy {} does not have a version {id}.", self.name)))
    }

    pub(crate) fn remove(&mut self, id: &str) -> Result<(), IamError> {
        let number = self.version(id)?.number;
        if number == self.default_version {
            return Err(IamError::DeleteConflict("Cannot delete the default version of a policy.".to_owned()));
        }
        self.versions.retain(|version| version.number != number);
        Ok(())
    }
}

/// Refuses a document that is no policy, or longer than a managed one may be.
pub(crate) fn check_document(document: &str) -> Result<(), IamError> {
    if bytes_that_count(document) > MAX_BYTES {
        return Err(IamError::LimitExceeded(format!("Cannot exceed quota for PolicySize: {MAX_BYTES}")));
    }
    Policy::parse(document)?.check_sids()?;
    Ok(())
}

impl Record for ManagedPolicy {
    const KIND: EntityKind = EntityKind::Policy;
    const WHAT: &'static str = "policy";
    const QUOTA: u64 = 10_000;

    fn name(&self) -> String {
        self.name.clone()
    }

    fn refers_to(&self, _account: &str) -> Vec<EntityName> {
        Vec::new()
    }
}
