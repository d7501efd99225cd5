//! IAM policy documents, compiled when they are loaded.

mod bucket;
#[cfg(test)]
mod bucket_tests;
mod canned;
mod condition;
mod document;
mod principal;
mod statement;
#[cfg(test)]
mod tests;

use crate::{AccessError, StatementProblem};

pub use bucket::BucketPolicy;
pub use canned::CANNED_POLICIES;
use document::{Document, RawStatement};
pub(crate) use principal::{Meant, is_account};
pub(crate) use statement::Statement;

/// The size of a managed policy of AWS and then some; the size of a bucket policy of S3.
const MAX_POLICY_BYTES: usize = 20 * 1024;
const MAX_STATEMENTS: usize = 128;
const MAX_POLICIES: usize = 16;

/// One policy: an IAM document, or a canned one by its name.
#[derive(Debug)]
pub struct Policy {
    statements: Vec<Statement>,
    unmatched_actions: Vec<String>,
}

impl Policy {
    /// Compiles a policy document (JSON, at the most 20 KiB and 128 statements). What cannot be honoured is refused.
    pub fn parse(json: &str) -> Result<Self, AccessError> {
        let mut unmatched_actions = Vec::new();
        let statements = compile(json, |raw| Statement::compile(raw, &mut unmatched_actions))?;
        Ok(Self { statements, unmatched_actions })
    }

    /// The canned policy of that name, one of [`CANNED_POLICIES`].
    pub fn canned(name: &str) -> Result<Self, AccessError> {
        let document = CANNED_POLICIES.iter().find(|(canned, _)| *canned == name);
        let (_, json) = document.ok_or_else(|| AccessError::UnknownPolicy(name.to_owned()))?;
        Self::parse(json)
    }

    /// Actions that the document names and this server does not have: of AWS, or misspelt. Worth a warning.
    pub fn unmatched_actions(&self) -> &[String] {
        &self.unmatched_actions
    }
}

/// Parses a document, and compiles each of its statements.
fn compile(
    json: &str,
    mut statement: impl FnMut(RawStatement) -> Result<Statement, StatementProblem>,
) -> Result<Vec<Statement>, AccessError> {
    if json.len() > MAX_POLICY_BYTES {
        return Err(AccessError::PolicyTooLarge { len_bytes: json.len(), max_bytes: MAX_POLICY_BYTES });
    }
    let document: Document = serde_json::from_str(json).map_err(AccessError::PolicyMalformed)?;
    let parsed = document.statement.0;
    if parsed.is_empty() || parsed.len() > MAX_STATEMENTS {
        return Err(AccessError::StatementCount { count: parsed.len(), max: MAX_STATEMENTS });
    }
    let compiled = parsed.into_iter().enumerate().map(|(index, raw)| {
        let label = raw.sid.clone().unwrap_or_else(|| (index + 1).to_string());
        statement(raw).map_err(|problem| AccessError::Statement { statement: label, problem })
    });
    compiled.collect()
}

/// The policies of one identity, at the most 16. None allow nothing.
#[derive(Debug, Default)]
pub struct PolicySet(Vec<Policy>);

impl PolicySet {
    /// Of policies that are at hand.
    pub fn new(policies: Vec<Policy>) -> Result<Self, AccessError> {
        if policies.len() > MAX_POLICIES {
            return Err(AccessError::TooManyPolicies { count: policies.len(), max: MAX_POLICIES });
        }
        Ok(Self(policies))
    }

    /// Of names of canned policies, and a document of one's own.
    pub fn from_config(names: &[impl AsRef<str>], document: Option<&str>) -> Result<Self, AccessError> {
        let canned = names.iter().map(|name| Policy::canned(name.as_ref()));
        Self::new(canned.chain(document.map(Policy::parse)).collect::<Result<_, _>>()?)
    }

    /// The policies.
    pub fn policies(&self) -> &[Policy] {
        &self.0
    }

    /// Whether what they say depends on the tags of the object that is there.
    pub(crate) fn needs_existing_tags(&self) -> bool {
        self.statements().any(Statement::needs_existing_tags)
    }

    /// Whether it depends on the tags or the locks that requests give to objects.
    pub(crate) fn needs_given_attributes(&self) -> bool {
        self.statements().any(Statement::needs_given_attributes)
    }

    pub(crate) fn statements(&self) -> impl Iterator<Item = &Statement> {
        self.0.iter().flat_map(|policy| &policy.statements)
    }
}
