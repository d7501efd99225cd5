//! What is kept of a KMS key that belongs to an account.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use strongroom_access::{GrantConstraint, KeyGrant, KeyPolicy, KeyRules};
use strongroom_catalog::{EntityKind, EntityName, UnixMillis};

use crate::{IamError, directory::Record};

/// The owner, the policy and the grants of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KmsKey {
    /// The bare id, unique among all accounts.
    pub key_id: String,
    /// The backend that it was in when it was given to the account.
    pub backend: String,
    /// The account that it belongs to, for good.
    pub account: String,
    /// Since when.
    pub created: UnixMillis,
    /// The document.
    pub policy: String,
    /// The oldest first.
    #[serde(default)]
    pub grants: Vec<Grant>,
}

/// A grant as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// 64 hexadecimal digits, never used twice.
    pub id: String,
    /// What its maker calls it; the same grant under the same name is made once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// When it was made.
    pub created: UnixMillis,
    /// Who made it, by ARN.
    pub issuer: String,
    /// Who it is for, by ARN.
    pub grantee: String,
    /// Who may give it up, by ARN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retiring: Option<String>,
    /// What it allows, such as `Decrypt`.
    pub operations: Vec<String>,
    /// For which encryption contexts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constraint: Option<Constraint>,
}

/// For which encryption contexts a grant counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Constraint {
    /// Those that have these pairs.
    Subset(BTreeMap<String, String>),
    /// Those that have these pairs and no others.
    Equals(BTreeMap<String, String>),
}

impl Grant {
    /// As decisions use it; refuses what is no grant.
    pub fn compiled(&self, account: &str) -> Result<KeyGrant, IamError> {
        let constraint = self.constraint.clone().map(|constraint| match constraint {
            Constraint::Subset(pairs) => GrantConstraint::Subset(pairs),
            Constraint::Equals(pairs) => GrantConstraint::Equals(pairs),
        });
        Ok(KeyGrant::new(account, &self.grantee, self.retiring.as_deref(), &self.operations, constraint)?)
    }

    /// Whether another one gives the same to the same.
    pub(super) fn is_the_same(&self, other: &Self) -> bool {
        let said = |grant: &Self| {
            let Self { name, grantee, retiring, operations, constraint, .. } = grant.clone();
            (name, grantee, retiring, operations, constraint)
        };
        self.name.is_some() && said(self) == said(other)
    }
}

impl KmsKey {
    /// As decisions use it.
    pub fn rules(&self) -> Result<KeyRules, IamError> {
        let policy = KeyPolicy::parse(&self.account, &self.policy)?;
        let grants = self.grants.iter().map(|grant| grant.compiled(&self.account)).collect::<Result<_, _>>()?;
        Ok(KeyRules { account: self.account.clone(), policy, grants })
    }

    /// About as much memory as its rules take.
    pub(super) fn weight_bytes(&self) -> usize {
        const EACH: usize = 1 << 10;
        EACH + 4 * self.policy.len() + EACH * self.grants.len()
    }
}

impl Record for KmsKey {
    const KIND: EntityKind = EntityKind::KmsKey;
    const WHAT: &'static str = "KMS key";
    const OF_ALL_ACCOUNTS: bool = true;

    fn name(&self) -> String {
        self.key_id.clone()
    }

    fn refers_to(&self, _account: &str) -> Vec<EntityName> {
        Vec::new()
    }
}

/// That a key belongs to an account: by it the keys of an account are listed and counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnedKey {
    /// The bare id.
    pub key_id: String,
}

impl Record for OwnedKey {
    const KIND: EntityKind = EntityKind::OwnedKey;
    const WHAT: &'static str = "KMS key";
    /// Source: the quotas of AWS KMS are of this order.
    const QUOTA: u64 = 1000;

    fn name(&self) -> String {
        self.key_id.clone()
    }

    fn refers_to(&self, _account: &str) -> Vec<EntityName> {
        vec![EntityName { kind: EntityKind::KmsKey, account: String::new(), name: self.key_id.clone() }]
    }
}
