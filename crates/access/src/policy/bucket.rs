//! The policy of a bucket: as that of an identity, but it says whom it is about.

use crate::AccessError;

use super::statement::Statement;

/// A compiled policy of a bucket (S3 `PutBucketPolicy`).
#[derive(Debug)]
pub struct BucketPolicy {
    statements: Vec<Statement>,
    is_public: bool,
    needs_existing_tags: bool,
    needs_given_attributes: bool,
}

impl BucketPolicy {
    /// Compiles the policy document of a bucket (JSON, at the most 20 KiB and 128 statements). What cannot be honoured is refused.
    pub fn parse(bucket: &str, json: &str) -> Result<Self, AccessError> {
        // Actions that match nothing here are those of Amazon, which policies name at will.
        let mut unmatched_actions = Vec::new();
        let statements = super::compile(json, |raw, frame| Statement::compile_of_bucket(raw, bucket, frame, &mut unmatched_actions))?;
        Ok(Self {
            is_public: statements.iter().any(Statement::is_public),
            needs_existing_tags: statements.iter().any(Statement::needs_existing_tags),
            needs_given_attributes: statements.iter().any(Statement::needs_given_attributes),
            statements,
        })
    }

    /// Whether it lets in people whom it does not name, by nothing that they would have to be. Source: "The meaning of public" in the user
    /// guide of S3.
    pub fn is_public(&self) -> bool {
        self.is_public
    }

    pub(crate) fn needs_existing_tags(&self) -> bool {
        self.needs_existing_tags
    }

    pub(crate) fn needs_given_attributes(&self) -> bool {
        self.needs_given_attributes
    }

    pub(crate) fn statements(&self) -> &[Statement] {
        &self.statements
    }
}
