//! The policies of a user, a group or a role: those that stand in it, and those that it refers to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use strongroom_access::{Policy, arn};
use strongroom_catalog::{EntityKind, EntityName};

use crate::{IamError, builtin, name};

/// With ten groups of as many policies an identity has at the most 221, of 256 that the evaluator takes.
const MAX_INLINE: usize = 10;
const MAX_ATTACHED: usize = 10;
const MAX_NAME: usize = 128;

/// A managed policy by its ARN.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PolicyRef {
    /// One of this server, by its name: `arn:aws:iam::aws:policy/…`.
    BuiltIn(String),
    /// One of the account, by its path and its name, such as `/team/reader`.
    OfAccount(String),
}

impl PolicyRef {
    /// The policy that an ARN names, as the account sees it.
    pub(crate) fn parse(arn: &str, account: &str) -> Result<Self, IamError> {
        let malformed = || IamError::InvalidInput(format!("ARN {arn} is not valid."));
        let rest = arn.strip_prefix("arn:aws:iam::").ok_or_else(malformed)?;
        let (owner, path) = rest.split_once(":policy/").ok_or_else(malformed)?;
        let (folder, name) = path.rsplit_once('/').map_or(("/".to_owned(), path), |(folder, name)| (format!("/{folder}/"), name));
        name::check("policyArn", name, MAX_NAME)?;
        name::check_path("policyArn", &folder)?;
        match owner {
            "aws" if folder == "/" && builtin::find(name).is_some() => Ok(Self::BuiltIn(name.to_owned())),
            _ if owner == account => Ok(Self::OfAccount(format!("{folder}{name}"))),
            _ => Err(IamError::NoSuchEntity(format!("Policy {arn} does not exist or is not attachable."))),
        }
    }

    /// Its name without the path.
    pub fn name(&self) -> &str {
        let (Self::BuiltIn(path) | Self::OfAccount(path)) = self;
        path.rsplit('/').next().unwrap_or_default()
    }

    /// Its ARN, as the account sees it.
    pub fn arn(&self, account: &str) -> String {
        match self {
            Self::BuiltIn(name) => arn::policy("aws", "/", name),
            Self::OfAccount(path) => arn::policy(account, path, ""),
        }
    }

    /// The entity that must be there as long as it is referred to.
    pub(crate) fn entity(&self, account: &str) -> EntityName {
        let (kind, name) = (EntityKind::Policy, name::folded(self.name()));
        match self {
            Self::BuiltIn(_) => EntityName::built_in(kind, account, &name),
            Self::OfAccount(_) => EntityName { kind, account: account.to_owned(), name },
        }
    }
}

/// The policies of a user, a group or a role.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Policies {
    /// Documents by the names of inline policies.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub inline: BTreeMap<String, String>,
    /// Managed policies, in the order in which they were attached.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attached: Vec<PolicyRef>,
}

impl Policies {
    /// Adds an inline policy or replaces it. All of them together have at the most `max_bytes`, without white space.
    pub(crate) fn put(&mut self, policy_name: &str, document: &str, max_bytes: usize) -> Result<(), IamError> {
        name::check("policyName", policy_name, MAX_NAME)?;
        Policy::parse(document)?.check_sids()?;
        self.inline.insert(policy_name.to_owned(), document.to_owned());
        if self.inline.len() > MAX_INLINE {
            return Err(IamError::LimitExceeded(format!("Cannot exceed quota for inline policies: {MAX_INLINE}")));
        }
        let bytes: usize = self.inline.values().map(|document| bytes_that_count(document)).sum();
        if bytes > max_bytes {
            return Err(IamError::LimitExceeded(format!("Maximum policy size of {max_bytes} bytes exceeded.")));
        }
        Ok(())
    }

    /// The document of an inline policy.
    pub(crate) fn inline(&self, policy_name: &str, of: &str) -> Result<&str, IamError> {
        let document = self.inline.get(policy_name).map(String::as_str);
        document.ok_or_else(|| IamError::NoSuchEntity(format!("The policy with name {policy_name} cannot be found for {of}.")))
    }

    pub(crate) fn remove(&mut self, policy_name: &str, of: &str) -> Result<(), IamError> {
        self.inline(policy_name, of)?;
        self.inline.remove(policy_name);
        Ok(())
    }

    /// Attaches a managed policy. One that is attached already stays where it is.
    pub(crate) fn attach(&mut self, policy: PolicyRef) -> Result<(), IamError> {
        if self.attached.contains(&policy) {
            return Ok(());
        }
        if self.attached.len() >= MAX_ATTACHED {
            return Err(IamError::LimitExceeded(format!("Cannot exceed quota for attached policies: {MAX_ATTACHED}")));
        }
        self.attached.push(policy);
        Ok(())
    }

    pub(crate) fn detach(&mut self, policy: &PolicyRef, arn: &str) -> Result<(), IamError> {
        let at = self.attached.iter().position(|attached| attached == policy);
        let at = at.ok_or_else(|| IamError::NoSuchEntity(format!("Policy {arn} was not found.")))?;
        self.attached.remove(at);
        Ok(())
    }

    pub(crate) fn entities(&self, account: &str) -> impl Iterator<Item = EntityName> {
        self.attached.iter().map(|policy| policy.entity(account))
    }

    /// Refuses to delete what still has policies.
    pub(crate) fn check_none(&self) -> Result<(), IamError> {
        if !self.inline.is_empty() {
            return Err(IamError::DeleteConflict("Cannot delete entity, must delete policies first.".to_owned()));
        }
        if !self.attached.is_empty() {
            return Err(IamError::DeleteConflict("Cannot delete entity, must detach all policies first.".to_owned()));
        }
        Ok(())
    }
}

/// White space does not count against the limits of policies.
pub(crate) fn bytes_that_count(document: &str) -> usize {
    document.chars().filter(|one| !one.is_whitespace()).map(char::len_utf8).sum()
}
