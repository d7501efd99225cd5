//! Grants: rights to a key that are given to one principal, besides its policy.

use std::collections::BTreeMap;

use crate::policy::{Meant, Whom};
use crate::{Action, Conditions, Identity};

/// What a grant may allow. Source: "Grant operations" of AWS KMS, as far as this server has them; passing rights on is not among them.
pub const GRANT_OPERATIONS: [Action; 4] = [Action::Decrypt, Action::GenerateDataKey, Action::DescribeKey, Action::RetireGrant];

const MAX_PAIRS: usize = 8;
const MAX_PAIR_CHARS: usize = 384;

/// Somebody whom a grant names, by ARN.
#[derive(Debug)]
pub struct GrantPrincipal {
    arn: String,
    named: Whom,
}

/// What the encryption context must be for the grant to count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GrantConstraint {
    /// It has these pairs, and may have more.
    Subset(BTreeMap<String, String>),
    /// It has these pairs and no others.
    Equals(BTreeMap<String, String>),
}

/// A grant.
#[derive(Debug)]
pub struct KeyGrant {
    /// Who it is for.
    pub grantee: GrantPrincipal,
    /// Who else may give it up.
    pub retiring: Option<GrantPrincipal>,
    /// What it allows, of [`GRANT_OPERATIONS`].
    pub operations: Vec<Action>,
    /// For which encryption contexts.
    pub constraint: Option<GrantConstraint>,
}

/// Why a grant is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrantProblem {
    /// Nobody that could use a key.
    #[error(
        "{0:?} is no principal of a grant: write arn:aws:iam::ACCOUNT:user/NAME, …:role/NAME or …:root, or \
         arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION"
    )]
    NoPrincipal(String),
    /// Not one of [`GRANT_OPERATIONS`].
    #[error("{0:?} is no operation of a grant: Decrypt, GenerateDataKey, DescribeKey and RetireGrant are")]
    NoOperation(String),
    /// A grant of nothing.
    #[error("a grant must have an operation")]
    NoOperations,
    /// A constraint that says nothing, or too much.
    #[error("a constraint has 1 to {MAX_PAIRS} pairs, of 1 to {MAX_PAIR_CHARS} characters each")]
    ConstraintSize,
    /// A constraint on what has no encryption context.
    #[error("constraints go with Decrypt and GenerateDataKey: nothing else has an encryption context")]
    ConstraintOfNothing,
}

impl GrantPrincipal {
    /// The principal of that ARN. Names without an account are of the account `home`.
    pub fn parse(home: &str, arn: &str) -> Result<Self, GrantProblem> {
        let refused = || GrantProblem::NoPrincipal(arn.to_owned());
        let named = Whom::of_arn(arn, Some(home)).ok_or_else(refused)?;
        Ok(Self { arn: arn.to_owned(), named })
    }

    /// As it was written.
    pub fn arn(&self) -> &str {
        &self.arn
    }

    /// Whether the identity is meant itself.
    pub fn is(&self, identity: &Identity) -> bool {
        self.named.is(identity) == Meant::Directly || (identity.is_account_root() && self.named.is(identity) == Meant::AsOfAccount)
    }
}

/// The operation of that name, such as `Decrypt`.
fn operation(name: &str) -> Result<Action, GrantProblem> {
    let found = GRANT_OPERATIONS.into_iter().find(|action| action.as_str().split_once(':').is_some_and(|(_, known)| known == name));
    found.ok_or_else(|| GrantProblem::NoOperation(name.to_owned()))
}

impl KeyGrant {
    /// A grant of a key of the account `home`, checked.
    pub fn new(
        home: &str,
        grantee: &str,
        retiring: Option<&str>,
        operations: &[impl AsRef<str>],
        constraint: Option<GrantConstraint>,
    ) -> Result<Self, GrantProblem> {
        let (grantee, retiring) =
            (GrantPrincipal::parse(home, grantee)?, retiring.map(|arn| GrantPrincipal::parse(home, arn)).transpose()?);
        let operations: Vec<Action> = operations.iter().map(|name| operation(name.as_ref())).collect::<Result<_, _>>()?;
        if operations.is_empty() {
            return Err(GrantProblem::NoOperations);
        }
        if let Some(GrantConstraint::Subset(pairs) | GrantConstraint::Equals(pairs)) = &constraint {
            let is_long = |text: &String| text.is_empty() || text.chars().count() > MAX_PAIR_CHARS;
            if pairs.is_empty() || pairs.len() > MAX_PAIRS || pairs.iter().any(|(name, value)| is_long(name) || is_long(value)) {
                return Err(GrantProblem::ConstraintSize);
            }
            if !operations.iter().any(|action| action.has_encryption_context()) {
                return Err(GrantProblem::ConstraintOfNothing);
            }
        }
        Ok(Self { grantee, retiring, operations, constraint })
    }

    /// How it allows the action to the identity.
    pub(super) fn gives(&self, identity: &Identity, action: Action, conditions: &Conditions) -> Meant {
        // Giving up is a matter of this very grant: see [`Self::may_be_retired_by`].
        if action != Action::RetireGrant
            && self.operations.contains(&action)
            && (!action.has_encryption_context() || self.suits(conditions))
        {
            self.grantee.named.is(identity)
        } else {
            Meant::Not
        }
    }

    /// Whether the identity may give it up without a right to the key: who it names for that, and who it is for where it allows them to.
    pub fn may_be_retired_by(&self, identity: &Identity) -> bool {
        let by_grantee = self.operations.contains(&Action::RetireGrant) && self.grantee.is(identity);
        by_grantee || self.retiring.as_ref().is_some_and(|retiring| retiring.is(identity))
    }

    fn suits(&self, conditions: &Conditions) -> bool {
        let context = conditions.encryption_context();
        let has = |pairs: &BTreeMap<String, String>| pairs.iter().all(|(name, value)| context.iter().any(|(n, v)| n == name && v == value));
        match &self.constraint {
            None => true,
            Some(GrantConstraint::Subset(pairs)) => has(pairs),
            Some(GrantConstraint::Equals(pairs)) => context.len() == pairs.len() && has(pairs),
        }
    }
}
