//! A group of users.

use serde::{Deserialize, Serialize};
use strongroom_catalog::{EntityKind, EntityName, UnixMillis};

use super::Policies;
use crate::directory::Record;

pub(crate) const MAX_NAME: usize = 128;
pub(crate) const MAX_INLINE_BYTES: usize = 5120;

/// A group: what its members may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Unique in the account, in whatever case.
    pub name: String,
    /// `AGPA…`, never used twice.
    pub id: String,
    /// `/`, or a folder in which the group is listed.
    pub path: String,
    /// When it was created.
    pub created: UnixMillis,
    /// Whether its policies count.
    pub enabled: bool,
    /// Its policies.
    #[serde(flatten)]
    pub policies: Policies,
}

impl Record for Group {
    const KIND: EntityKind = EntityKind::Group;
    const WHAT: &'static str = "group";
    const QUOTA: u64 = 10_000;

    fn name(&self) -> String {
        self.name.clone()
    }

    fn refers_to(&self, account: &str) -> Vec<EntityName> {
        self.policies.entities(account).collect()
    }
}
