//! A role.

use serde::{Deserialize, Serialize};
use strongroom_catalog::{EntityKind, EntityName, UnixMillis};

use super::{Policies, PolicyRef, Tags};
use crate::directory::Record;

pub(crate) const MAX_NAME: usize = 64;
pub(crate) const MAX_INLINE_BYTES: usize = 10_240;
/// Of a trust policy, without white space.
pub(crate) const MAX_TRUST_BYTES: usize = 4096;

/// A role, which those whom it trusts take on for a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    /// Unique in the account, in whatever case.
    pub name: String,
    /// `AROA…`, never used twice.
    pub id: String,
    /// `/`, or a folder in which the role is listed.
    pub path: String,
    /// When it was created.
    pub created: UnixMillis,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// The longest session in seconds.
    pub max_session_seconds: u32,
    /// Who may take it on: a policy document.
    pub trust: String,
    /// Its tags.
    #[serde(default)]
    pub tags: Tags,
    /// Its policies.
    #[serde(flatten)]
    pub policies: Policies,
    /// The policy that bounds what all others may allow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boundary: Option<PolicyRef>,
    /// Sessions that began before this moment are worth nothing.
    #[serde(default)]
    pub sessions_from: UnixMillis,
}

impl Record for Role {
    const KIND: EntityKind = EntityKind::Role;
    const WHAT: &'static str = "role";
    const QUOTA: u64 = 10_000;

    fn name(&self) -> String {
        self.name.clone()
    }

    fn refers_to(&self, account: &str) -> Vec<EntityName> {
        let boundary = self.boundary.iter().map(|policy| policy.entity(account));
        self.policies.entities(account).chain(boundary).collect()
    }
}
