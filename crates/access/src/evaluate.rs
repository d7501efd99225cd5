//! The decision: an explicit Deny beats every Allow, and what nothing allows is denied.

use crate::arn::Arn;
use crate::identity::Rights;
use crate::{Action, Conditions, Identity, PolicySet};

/// What the policies say of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// A statement allows it and none denies it.
    Allow,
    /// A statement denies it.
    ExplicitDeny,
    /// No statement allows it.
    ImplicitDeny,
}

/// The proof that an identity may do an action on a resource. Only [`Identity::authorize`] makes one.
#[derive(Debug)]
#[must_use]
pub struct Authorized {
    action: Action,
    resource: Box<str>,
}

impl Authorized {
    /// What was allowed.
    pub fn action(&self) -> Action {
        self.action
    }

    /// On what, as an ARN.
    pub fn resource(&self) -> &str {
        &self.resource
    }
}

/// An identity may not do what it asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{identity} may not {} on {resource}: {}", action.as_str(), if *explicit { "a policy denies it" } else { "no policy allows it" })]
pub struct Denied {
    /// The name of the identity.
    pub identity: String,
    /// What it asked for.
    pub action: Action,
    /// On what, as an ARN.
    pub resource: String,
    /// Whether a statement denies it; else none allows it.
    pub explicit: bool,
}

impl Identity {
    /// Whether this identity may do the action on the resource, an ARN made by [`crate::arn`]. What is no ARN is denied to all but root.
    pub fn may(&self, action: Action, resource: &str, conditions: &Conditions) -> Decision {
        match &self.rights {
            Rights::Root => Decision::Allow,
            Rights::Policies(policies) => policies.decide(action, resource, conditions),
        }
    }

    /// Whether any statement allows the action on anything at all. It permits nothing: what is done to a resource is decided by
    /// [`Identity::authorize`] on that resource.
    pub fn may_somewhere(&self, action: Action, conditions: &Conditions) -> bool {
        match &self.rights {
            Rights::Root => true,
            Rights::Policies(policies) => policies.statements().any(|statement| statement.allows_somewhere(action, conditions)),
        }
    }

    /// As [`Identity::may`], with the proof.
    pub fn authorize(&self, action: Action, resource: &str, conditions: &Conditions) -> Result<Authorized, Denied> {
        let denied = |explicit| Denied { identity: self.name.clone(), action, resource: resource.to_owned(), explicit };
        match self.may(action, resource, conditions) {
            Decision::Allow => Ok(Authorized { action, resource: resource.into() }),
            Decision::ExplicitDeny => Err(denied(true)),
            Decision::ImplicitDeny => Err(denied(false)),
        }
    }
}

impl PolicySet {
    fn decide(&self, action: Action, resource: &str, conditions: &Conditions) -> Decision {
        let Some(arn) = Arn::parse(resource) else { return Decision::ImplicitDeny };
        let mut decision = Decision::ImplicitDeny;
        for statement in self.statements().filter(|statement| statement.applies(action, arn, conditions)) {
            if !statement.allows() {
                return Decision::ExplicitDeny;
            }
            decision = Decision::Allow;
        }
        decision
    }
}
