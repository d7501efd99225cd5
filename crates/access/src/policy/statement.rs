//! One statement: whom it concerns, and how.

use crate::action::ActionSet;
use crate::arn::{Arn, ArnPattern};
use crate::error::StatementProblem;
use crate::{Action, Conditions};

use super::condition::Condition;
use super::document::{Effect, OneOrMany, RawStatement};

/// A compiled statement.
#[derive(Debug)]
pub(crate) struct Statement {
    effect: Effect,
    actions: ActionSet,
    /// `NotAction`: all but those.
    actions_negated: bool,
    resources: Vec<ArnPattern>,
    /// `NotResource`: all but those.
    resources_negated: bool,
    conditions: Vec<Condition>,
}

impl Statement {
    pub(super) fn compile(raw: RawStatement, unmatched_actions: &mut Vec<String>) -> Result<Self, StatementProblem> {
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
        Ok(Self { effect: raw.effect, actions, actions_negated, resources, resources_negated, conditions })
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
