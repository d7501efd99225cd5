//! An access key.

use std::fmt;

use serde::{Deserialize, Serialize};
use strongroom_catalog::{EntityKind, EntityName, UnixMillis};
use zeroize::Zeroizing;

use super::{Account, secret};
use crate::{IamError, directory::Record, name};

/// An access key and its secret.
#[derive(Clone, Serialize, Deserialize)]
pub struct AccessKey {
    /// `AKIA…`; unique among all accounts.
    pub id: String,
    /// What requests are signed with.
    #[serde(with = "secret")]
    pub secret: Zeroizing<String>,
    /// Of the user.
    pub account: String,
    /// Whose it is, as the name is written; empty of the root of the account.
    pub user: String,
    /// When it was created.
    pub created: UnixMillis,
    /// Whether it works.
    pub status: KeyStatus,
    /// A service account has a policy that only narrows what the user may do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account: Option<ServiceAccount>,
}

/// What an access key has that was made for an application.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceAccount {
    /// For people.
    #[serde(default)]
    pub name: String,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// Bounds what the user's policies allow; none where it may do what the user may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// From this moment on it does not work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<UnixMillis>,
}

/// Whether an access key works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyStatus {
    /// It does.
    Active,
    /// It does not, until it is made active again.
    Inactive,
}

impl KeyStatus {
    /// As clients spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "Active",
            Self::Inactive => "Inactive",
        }
    }

    pub(crate) fn parse(text: &str) -> Result<Self, IamError> {
        match text {
            "Active" => Ok(Self::Active),
            "Inactive" => Ok(Self::Inactive),
            _ => Err(IamError::validation(format!("Status must be Active or Inactive, not {text}."))),
        }
    }
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessKey").field("id", &self.id).field("user", &self.user).field("status", &self.status).finish_non_exhaustive()
    }
}

impl Record for AccessKey {
    const KIND: EntityKind = EntityKind::AccessKey;
    const WHAT: &'static str = "access key";
    const OF_ALL_ACCOUNTS: bool = true;

    fn name(&self) -> String {
        self.id.clone()
    }

    fn refers_to(&self, _account: &str) -> Vec<EntityName> {
        if self.user.is_empty() {
            return vec![Account::entity(&self.account)];
        }
        vec![EntityName { kind: EntityKind::User, account: self.account.clone(), name: name::folded(&self.user) }]
    }
}
