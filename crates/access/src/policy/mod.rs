//! IAM policy documents, compiled when they are loaded.

mod bucket;
#[cfg(test)]
mod bucket_tests;
mod canned;
mod condition;
mod document;
mod key;
#[cfg(test)]
mod layer_tests;
mod principal;
mod statement;
#[cfg(test)]
mod tests;
mod trust;
#[cfg(test)]
mod trust_tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::{AccessError, StatementProblem};

pub use bucket::BucketPolicy;
pub use canned::CANNED_POLICIES;
use document::{Document, RawStatement};
pub use key::KeyPolicy;
pub(crate) use principal::{Meant, Whom};
pub(crate) use statement::Statement;
pub use trust::TrustPolicy;

/// The size of a managed policy of AWS and then some; the size of a bucket policy of S3.
const MAX_POLICY_BYTES: usize = 20 * 1024;
const MAX_STATEMENTS: usize = 128;
const MAX_POLICIES: usize = 16;

/// One policy: an IAM document, or a canned one by its name.
#[derive(Debug)]
pub struct Policy {
    name: String,
    statements: Vec<Statement>,
    unmatched_actions: Vec<String>,
    needs_existing_tags: bool,
    needs_given_attributes: bool,
}

impl Policy {
    /// Compiles a policy document (JSON, at the most 20 KiB and 128 statements). What cannot be honoured is refused.
    pub fn parse(json: &str) -> Result<Self, AccessError> {
        let mut unmatched_actions = Vec::new();
        let statements = compile(json, |raw, frame| Statement::compile(raw, frame, &mut unmatched_actions))?;
        Ok(Self {
            name: "policy".to_owned(),
            needs_existing_tags: statements.iter().any(Statement::needs_existing_tags),
            needs_given_attributes: statements.iter().any(Statement::needs_given_attributes),
            statements,
            unmatched_actions,
        })
    }

    /// The canned policy of that name, one of [`CANNED_POLICIES`].
    pub fn canned(name: &str) -> Result<Self, AccessError> {
        let document = CANNED_POLICIES.iter().find(|(canned, _)| *canned == name);
        let (_, json) = document.ok_or_else(|| AccessError::UnknownPolicy(name.to_owned()))?;
        Ok(Self::parse(json)?.named(name))
    }

    /// The same under a name, by which [`crate::Identity::explain`] speaks of it.
    #[must_use]
    pub fn named(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Refuses a document of which two statements have one `Sid`: IAM takes none.
    pub fn check_sids(&self) -> Result<(), AccessError> {
        let mut labels: Vec<&str> = self.statements.iter().map(Statement::label).collect();
        labels.sort_unstable();
        match labels.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(AccessError::Statement { statement: pair[0].to_owned(), problem: StatementProblem::RepeatedSid }),
            None => Ok(()),
        }
    }

    /// Actions that the document names and this server does not have: of AWS, or misspelt. Worth a warning.
    pub fn unmatched_actions(&self) -> &[String] {
        &self.unmatched_actions
    }

    /// The condition keys that it asks for, each once, in order.
    pub fn condition_keys(&self) -> Vec<String> {
        let keys: BTreeSet<_> = self.statements.iter().flat_map(Statement::keys).map(ToString::to_string).collect();
        keys.into_iter().collect()
    }

    /// Whether what it says depends on the tags of the object that is there.
    pub(crate) fn needs_existing_tags(&self) -> bool {
        self.needs_existing_tags
    }

    /// Whether it depends on the tags that requests give to objects.
    pub(crate) fn needs_given_attributes(&self) -> bool {
        self.needs_given_attributes
    }

    pub(crate) fn statements(&self) -> &[Statement] {
        &self.statements
    }
}

/// What of a document concerns its statements.
pub(crate) struct Frame {
    /// The Sid of the statement, else its place, from 1.
    pub(crate) label: String,
    /// Whether `${…}` is a variable.
    pub(crate) has_variables: bool,
}

/// Parses a document, and compiles each of its statements.
fn compile(
    json: &str,
    statement: impl FnMut(RawStatement, &Frame) -> Result<Statement, StatementProblem>,
) -> Result<Vec<Statement>, AccessError> {
    compile_up_to(MAX_POLICY_BYTES, json, statement)
}

fn compile_up_to(
    max_bytes: usize,
    json: &str,
    mut statement: impl FnMut(RawStatement, &Frame) -> Result<Statement, StatementProblem>,
) -> Result<Vec<Statement>, AccessError> {
    if json.len() > max_bytes {
        return Err(AccessError::PolicyTooLarge { len_bytes: json.len(), max_bytes });
    }
    let document: Document = serde_json::from_str(json).map_err(AccessError::PolicyMalformed)?;
    let has_variables = document.has_variables();
    let parsed = document.statement.0;
    if parsed.is_empty() || parsed.len() > MAX_STATEMENTS {
        return Err(AccessError::StatementCount { count: parsed.len(), max: MAX_STATEMENTS });
    }
    let compiled = parsed.into_iter().enumerate().map(|(index, raw)| {
        let frame = Frame { label: raw.sid.clone().unwrap_or_else(|| (index + 1).to_string()), has_variables };
        statement(raw, &frame).map_err(|problem| AccessError::Statement { statement: frame.label, problem })
    });
    compiled.collect()
}

/// The policies of a user of the configuration file, at the most 16. None allow nothing.
#[derive(Debug, Default)]
pub struct PolicySet(Vec<Arc<Policy>>);

impl PolicySet {
    /// Of policies that are at hand.
    pub fn new(policies: Vec<Policy>) -> Result<Self, AccessError> {
        if policies.len() > MAX_POLICIES {
            return Err(AccessError::TooManyPolicies { count: policies.len(), max: MAX_POLICIES });
        }
        Ok(Self(policies.into_iter().map(Arc::new).collect()))
    }

    /// Of names of canned policies, and a document of one's own.
    pub fn from_config(names: &[impl AsRef<str>], document: Option<&str>) -> Result<Self, AccessError> {
        let canned = names.iter().map(|name| Policy::canned(name.as_ref()));
        Self::new(canned.chain(document.map(Policy::parse)).collect::<Result<_, _>>()?)
    }

    /// The policies.
    pub fn policies(&self) -> &[Arc<Policy>] {
        &self.0
    }

    pub(crate) fn into_policies(self) -> Vec<Arc<Policy>> {
        self.0
    }
}
