//! One statement: whom it concerns, and how.

use crate::action_set::ActionSet;
use crate::arn::{Arn, ArnPattern};
use crate::error::StatementProblem;
use crate::key::{Key, Question, TagKind};
use crate::template::Fit;
use crate::{Action, Identity};

use super::Frame;
use super::condition::Condition;
use super::document::{Effect, OneOrMany, RawStatement};
use super::principal::{Meant, Principals};

/// A compiled statement.
#[derive(Debug)]
pub(crate) struct Statement {
    /// Its Sid, else its place, from 1.
    label: Box<str>,
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
    pub(super) fn compile(raw: RawStatement, frame: &Frame, unmatched_actions: &mut Vec<String>) -> Result<Self, StatementProblem> {
        if raw.principal.is_some() || raw.not_principal.is_some() {
            return Err(StatementProblem::PrincipalOfIdentity);
        }
        Self::compile_for(None, raw, frame, unmatched_actions)
    }

    /// Of the policy of a bucket.
    pub(super) fn compile_of_bucket(
        mut raw: RawStatement,
        bucket: &str,
        frame: &Frame,
        unmatched_actions: &mut Vec<String>,
    ) -> Result<Self, StatementProblem> {
        let principals = Principals::compile(raw.principal.take(), raw.not_principal.take(), None)?;
        let compiled = Self::compile_for(Some(principals), raw, frame, unmatched_actions)?;
        if let Some(other) = compiled.resources.iter().find(|pattern| !pattern.reaches_into(bucket)) {
            return Err(StatementProblem::OtherBucket(other.to_string()));
        }
        Ok(compiled)
    }

    /// Of the trust policy of a role, which is the resource itself.
    pub(super) fn compile_of_role(mut raw: RawStatement, frame: &Frame) -> Result<Self, StatementProblem> {
        if raw.resource.is_some() || raw.not_resource.is_some() {
            return Err(StatementProblem::ResourceOfTrust);
        }
        let OneOrMany(patterns) = raw.action.as_ref().ok_or(StatementProblem::EitherOr("Action"))?;
        let is_of_sts = |pattern: &&String| pattern.split_once(':').is_some_and(|(service, _)| service.eq_ignore_ascii_case("sts"));
        if let Some(other) = patterns.iter().find(|pattern| !is_of_sts(pattern)) {
            return Err(StatementProblem::ActionOfTrust(other.clone()));
        }
        let principals = Principals::compile(raw.principal.take(), raw.not_principal.take(), None)?;
        raw.resource = Some(OneOrMany(vec!["*".to_owned()]));
        Self::compile_for(Some(principals), raw, frame, &mut Vec::new())
    }

    /// Of the policy of a key of an account, which is the resource itself.
    pub(super) fn compile_of_key(
        mut raw: RawStatement,
        account: &str,
        frame: &Frame,
        unmatched_actions: &mut Vec<String>,
    ) -> Result<Self, StatementProblem> {
        let is_all = |OneOrMany(patterns): &OneOrMany<String>| patterns.iter().all(|pattern| pattern == "*") && !patterns.is_empty();
        if raw.not_resource.is_some() || !raw.resource.as_ref().is_some_and(is_all) {
            return Err(StatementProblem::ResourceOfKey);
        }
        let is_of_kms =
            |pattern: &&String| *pattern == "*" || pattern.split_once(':').is_some_and(|(service, _)| service.eq_ignore_ascii_case("kms"));
        let OneOrMany(patterns) = raw.action.as_ref().or(raw.not_action.as_ref()).ok_or(StatementProblem::EitherOr("Action"))?;
        if let Some(other) = patterns.iter().find(|pattern| !is_of_kms(pattern)) {
            return Err(StatementProblem::ActionOfKey(other.clone()));
        }
        let principals = Principals::compile(raw.principal.take(), raw.not_principal.take(), Some(account))?;
        Self::compile_for(Some(principals), raw, frame, unmatched_actions)
    }

    fn compile_for(
        principals: Option<Principals>,
        raw: RawStatement,
        frame: &Frame,
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
            actions = actions.union(&matching);
        }
        let resources =
            resource_patterns.iter().map(|pattern| ArnPattern::parse(pattern, frame.has_variables)).collect::<Result<_, _>>()?;
        let conditions = raw.condition.map(|block| Condition::compile_all(block, frame.has_variables)).transpose()?.unwrap_or_default();
        let label = frame.label.as_str().into();
        Ok(Self { label, effect: raw.effect, principals, actions, actions_negated, resources, resources_negated, conditions })
    }

    /// Whether the request is one that the statement speaks of.
    pub(crate) fn applies(&self, arn: Arn<'_>, question: &Question<'_>) -> bool {
        self.names(question.action) && self.reaches(arn, question) && self.holds(question)
    }

    /// Whether it allows the action on some resource.
    pub(crate) fn allows_somewhere(&self, question: &Question<'_>) -> bool {
        self.allows() && self.names(question.action) && self.holds(question)
    }

    /// Whether it is about the action.
    pub(crate) fn names(&self, action: Action) -> bool {
        self.actions.contains(action) != self.actions_negated
    }

    /// Whether it is about the resource. Where a variable of `NotResource` has no value it is unknown what is excepted: an Allow is
    /// about nothing then, and a Deny about everything.
    fn reaches(&self, arn: Arn<'_>, question: &Question<'_>) -> bool {
        let fit = self.resources.iter().map(|pattern| pattern.fits(arn, question)).max().unwrap_or(Fit::No);
        match fit {
            Fit::Yes => !self.resources_negated,
            Fit::No => self.resources_negated,
            Fit::Unknown => self.resources_negated && !self.allows(),
        }
    }

    fn holds(&self, question: &Question<'_>) -> bool {
        self.conditions.iter().all(|condition| condition.holds(question, self.allows()))
    }

    /// How it means the identity.
    pub(crate) fn means(&self, identity: &Identity) -> Meant {
        self.principals.as_ref().map_or(Meant::Directly, |principals| principals.mean(identity))
    }

    /// Whether it lets in people who are not named, by nothing that they would have to be.
    pub(super) fn is_public(&self) -> bool {
        self.allows() && self.principals.as_ref().is_some_and(Principals::are_open) && !self.conditions.iter().any(Condition::confines)
    }

    /// The keys that its conditions and variables ask for.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.conditions.iter().flat_map(Condition::keys).chain(self.resources.iter().flat_map(ArnPattern::variables))
    }

    pub(super) fn needs_existing_tags(&self) -> bool {
        self.keys().any(|key| matches!(key, Key::Tag(TagKind::ExistingObject, _)))
    }

    pub(super) fn needs_given_attributes(&self) -> bool {
        use crate::ConditionKey::{LockLegalHold, LockMode, LockRemainingDays, LockRetainUntil};
        self.keys().any(|key| {
            matches!(
                key,
                Key::Tag(TagKind::RequestObject, _)
                    | Key::ObjectTagKeys
                    | Key::Of(LockMode | LockRetainUntil | LockRemainingDays | LockLegalHold)
            )
        })
    }

    /// Whether it allows what it applies to; else it denies it.
    pub(crate) fn allows(&self) -> bool {
        self.effect == Effect::Allow
    }

    /// Its Sid, else its place, from 1.
    pub(crate) fn label(&self) -> &str {
        &self.label
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
