//! The policies of an identity, and what they say together.

use std::sync::Arc;

use crate::Policy;
use crate::arn::Arn;
use crate::evaluate::{PolicyKind, Witness};
use crate::key::Question;

/// What an identity is given, and what limits it.
#[derive(Default)]
pub(crate) struct Rights {
    /// One of them must allow.
    pub(crate) policies: Vec<Arc<Policy>>,
    /// Must allow besides.
    pub(crate) boundary: Option<Arc<Policy>>,
    /// If there are any, one of them must allow besides.
    pub(crate) session: Vec<Arc<Policy>>,
}

/// What statements say together of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) allows: bool,
    pub(crate) denies: bool,
}

impl Rights {
    /// How many policies there are.
    pub(crate) fn count(&self) -> usize {
        self.all().count()
    }

    /// Whether there is a boundary, or a policy of a session.
    pub(crate) fn have_limits(&self) -> bool {
        self.boundary.is_some() || !self.session.is_empty()
    }

    /// What it is given.
    pub(crate) fn given(&self, question: &Question<'_>, arn: Arn<'_>, witness: &mut impl Witness) -> Said {
        ask(PolicyKind::Identity, &self.policies, question, arn, witness)
    }

    /// What the boundary says; none where there is none.
    pub(crate) fn within_boundary(&self, question: &Question<'_>, arn: Arn<'_>, witness: &mut impl Witness) -> Option<Said> {
        self.boundary.as_ref().map(|boundary| ask(PolicyKind::Boundary, std::slice::from_ref(boundary), question, arn, witness))
    }

    /// What the policies of the session say; none where there are none.
    pub(crate) fn within_session(&self, question: &Question<'_>, arn: Arn<'_>, witness: &mut impl Witness) -> Option<Said> {
        (!self.session.is_empty()).then(|| ask(PolicyKind::Session, &self.session, question, arn, witness))
    }

    /// Whether each limit allows the action on some resource.
    pub(crate) fn limits_allow_somewhere(&self, question: &Question<'_>) -> bool {
        let boundary = self.boundary.as_ref().is_none_or(|boundary| allow_somewhere(std::slice::from_ref(boundary), question));
        boundary && (self.session.is_empty() || allow_somewhere(&self.session, question))
    }

    /// Whether a policy that gives rights allows the action on some resource.
    pub(crate) fn give_somewhere(&self, question: &Question<'_>) -> bool {
        allow_somewhere(&self.policies, question)
    }

    /// Every policy, whatever it is for.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Policy> {
        self.policies.iter().chain(&self.boundary).chain(&self.session).map(Arc::as_ref)
    }
}

fn allow_somewhere(policies: &[Arc<Policy>], question: &Question<'_>) -> bool {
    policies.iter().flat_map(|policy| policy.statements()).any(|statement| statement.allows_somewhere(question))
}

fn ask(kind: PolicyKind, policies: &[Arc<Policy>], question: &Question<'_>, arn: Arn<'_>, witness: &mut impl Witness) -> Said {
    let mut said = Said::default();
    for policy in policies {
        for statement in policy.statements().iter().filter(|statement| statement.applies(arn, question)) {
            said.allows |= statement.allows();
            said.denies |= !statement.allows();
            witness.applies(kind, policy.name(), statement);
        }
    }
    said
}
