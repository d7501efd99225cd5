//! An account.

use serde::{Deserialize, Serialize};
use strongroom_catalog::{EntityKind, EntityName, UnixMillis};

use crate::directory::Record;

pub(crate) const MAX_NAME: usize = 64;

/// An account: users, groups, roles and policies of one owner, closed to all others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Twelve digits.
    pub id: String,
    /// For people.
    pub name: String,
    /// When it was created.
    pub created: UnixMillis,
}

impl Account {
    /// What names the account of that id.
    pub(crate) fn entity(id: &str) -> EntityName {
        EntityName { kind: EntityKind::Account, account: String::new(), name: id.to_owned() }
    }
}

impl Record for Account {
    const KIND: EntityKind = EntityKind::Account;
    const WHAT: &'static str = "account";
    const OF_ALL_ACCOUNTS: bool = true;
    const QUOTA: u64 = 100_000;

    fn name(&self) -> String {
        self.id.clone()
    }

    fn refers_to(&self, _account: &str) -> Vec<EntityName> {
        Vec::new()
    }
}
