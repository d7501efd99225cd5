//! A user.

use serde::{Deserialize, Serialize};
use strongroom_catalog::{EntityKind, EntityName, UnixMillis};

use super::{Policies, PolicyRef, Tags};
use crate::{IamError, directory::Record, name};

const MAX_GROUPS: usize = 10;
pub(crate) const MAX_NAME: usize = 64;
pub(crate) const MAX_INLINE_BYTES: usize = 2048;

/// A user of an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Unique in the account, in whatever case.
    pub name: String,
    /// `AIDA…`, never used twice.
    pub id: String,
    /// `/`, or a folder in which the user is listed.
    pub path: String,
    /// When it was created.
    pub created: UnixMillis,
    /// Whether its access keys work.
    pub enabled: bool,
    /// Its tags.
    #[serde(default)]
    pub tags: Tags,
    /// The groups that it is a member of, as their names are written.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Its policies.
    #[serde(flatten)]
    pub policies: Policies,
    /// The policy that bounds what all others may allow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boundary: Option<PolicyRef>,
    /// Temporary credentials that were given before this moment are worth nothing.
    #[serde(default)]
    pub sessions_from: UnixMillis,
}

impl User {
    /// Makes it a member of a group. It may be one already.
    pub(crate) fn join(&mut self, group: &str) -> Result<(), IamError> {
        if self.is_in(group) {
            return Ok(());
        }
        if self.groups.len() >= MAX_GROUPS {
            return Err(IamError::LimitExceeded(format!("Cannot exceed quota for GroupsPerUser: {MAX_GROUPS}")));
        }
        self.groups.push(group.to_owned());
        Ok(())
    }

    pub(crate) fn leave(&mut self, group: &str) {
        self.groups.retain(|other| !other.eq_ignore_ascii_case(group));
    }

    pub(crate) fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|other| other.eq_ignore_ascii_case(group))
    }
}

impl Record for User {
    const KIND: EntityKind = EntityKind::User;
    const WHAT: &'static str = "user";
    const QUOTA: u64 = 100_000;

    fn name(&self) -> String {
        self.name.clone()
    }

    fn refers_to(&self, account: &str) -> Vec<EntityName> {
        let group = |name: &String| EntityName { kind: EntityKind::Group, account: account.to_owned(), name: name::folded(name) };
        let boundary = self.boundary.iter().map(|policy| policy.entity(account));
        self.groups.iter().map(group).chain(self.policies.entities(account)).chain(boundary).collect()
    }
}
