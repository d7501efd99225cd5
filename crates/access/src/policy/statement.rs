//! One statement: whom it concerns, and how.

use crate::action::ActionSet;
use crate::arn::{Arn, ArnPattern};
use crate::error::StatementProblem;
use crate::{Action, Conditions, Identity};

use super::condition::Condition;
use super::document::{Effect, OneOrMany, RawStatement};
use super::principal::{Meant, Principals};

/// A compiled statement.
#[derive(Debug)]
pub(crate) struct Statement {
    effect: Effect,
    /// None in the policy of an identity, which is about that identity.
    principals: Option<Principals>,
    actions: ActionSet,
    /// `NotAction`: all but those.
    actions_negated: bool,
    resources: Vec<ArnPattern>,
    /// `NotResource`: all but those.
    resources_negated: bool,
    conditions: Vec<Condition>,
}

impl Statement {
    /// Of the policy of an identity.
    pub(super) fn compile(raw: RawStatement, unmatched_actions: &mut Vec<String>) -> Result<Self, StatementProblem> {
        if raw.principal.is_some() || raw.not_principal.is_some() {
            return Err(StatementProblem::PrincipalOfIdentity);
        }
        Self::compile_for(None, raw, unmatched_actions)
    }

    /// Of the policy of a bucket.
    pub(super) fn compile_of_bucket(
        mut raw: RawStatement,
        bucket: &str,
        unmatched_actions: &mut Vec<String>,
    ) -> Result<Self, StatementProblem> {
        let principals = Principals::compile(raw.principal.take(), raw.not_principal.take())?;
        let compiled = Self::compile_for(Some(principals), raw, unmatched_actions)?;
        if let Some(other) = compiled.resources.iter().find(|pattern| !pattern.reaches_into(bucket)) {
            return Err(StatementProblem::OtherBucket(other.to_string()));
        }
        Ok(compiled)
    }

    fn compile_for(
        principals: Option<Principals>,
        raw: RawStatement,
        unmatched_actions: &mut Vec<String>,
    ) -> Result<Self, StatementProblem> {
        let (action_patterns, actions_negated) = either("Action", raw.action, raw.not_action)?;
        let (resource_patterns, resources_negated) = either("Resource", raw.resource, raw.not_resource)?;
        let mut actions = ActionSet::default();
        for pattern in action_patterns {
            let matching = ActionSet::matching(&pattern)?;
            if matching.is_empty() {
                unmatched_actions.push(pattern);
            }
            actions = actions.union(matching);
        }
        let resources = resource_patterns.iter().map(|pattern| ArnPattern::parse(pattern)).collect::<Result<_, _>>()?;
        let conditions = raw.condition.map(Condition::compile_all).transpose()?.unwrap_or_default();
        Ok(Self { effect: raw.effect, principals, actions, actions_negated, resources, resources_negated, conditions })
    }

    /// Whether the request is one that the statement speaks of.
    pub(crate) fn applies(&self, action: Action, arn: Arn<'_>, conditions: &Conditions) -> bool {
        self.resources.iter().any(|pattern| pattern.matches(arn)) != self.resources_negated && self.speaks_of(action, conditions)
    }

    /// Whether it allows the action on some resource.
    pub(crate) fn allows_somewhere(&self, action: Action, conditions: &Conditions) -> bool {
        self.allows() && self.speaks_of(action, conditions)
    }

    fn speaks_of(&self, action: Action, conditions: &Conditions) -> bool {
        self.actions.contains(action) != self.actions_negated && self.conditions.iter().all(|condition| condition.holds(action, conditions))
    }

    /// How it means the identity.
    pub(crate) fn means(&self, identity: &Identity) -> Meant {
        self.principals.as_ref().map_or(Meant::Directly, |principals| principals.mean(identity))
    }

    /// Whether it lets in people who are not named, by nothing that they would have to be.
    pub(super) fn is_public(&self) -> bool {
        self.allows() && self.principals.as_ref().is_some_and(Principals::are_open) && !self.conditions.iter().any(Condition::confines)
    }

    pub(super) fn needs_existing_tags(&self) -> bool {
        self.conditions.iter().any(Condition::needs_existing_tags)
    }

    pub(super) fn needs_given_attributes(&self) -> bool {
        self.conditions.iter().any(Condition::needs_given_attributes)
    }

    /// Whether it allows what it applies to; else it denies it.
    pub(crate) fn allows(&self) -> bool {
        self.effect == Effect::Allow
    }
}

/// The list that is there, and whether it is the negated one.
fn either(
    field: &'static str,
    plain: Option<OneOrMany<String>>,
    negated: Option<OneOrMany<String>>,
) -> Result<(Vec<String>, bool), StatementProblem> {
    let (list, is_negated) = match (plain, negated) {
        (Some(OneOrMany(list)), None) => (list, false),
        (None, Some(OneOrMany(list))) => (list, true),
        _ => return Err(StatementProblem::EitherOr(field)),
    };
    if list.is_empty() { Err(StatementProblem::Empty(field.to_owned())) } else { Ok((list, is_negated)) }
}
