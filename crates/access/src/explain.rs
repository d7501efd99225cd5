//! Simulation: may she, and which statement says so?

use std::collections::BTreeSet;

use crate::evaluate::{Asked, Own, PolicyKind, Witness};
use crate::key::{Key, Question};
use crate::policy::Statement;
use crate::{Acl, Action, BucketPolicy, BucketRules, Conditions, Decision, Identity, Policy, TrustPolicy};

/// A decision, and what it rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// As [`Identity::may_in`] says.
    pub decision: Decision,
    /// Each statement that applies to the request, in the order in which policies are asked.
    pub statements: Vec<Matched>,
    /// The condition keys that statements about this action ask for and the request lacks, each once, in order.
    pub missing_keys: Vec<String>,
    /// Whether the permission boundary allows it; none where there is none.
    pub allowed_by_boundary: Option<bool>,
    /// Whether the policies of the session allow it; none where there are none.
    pub allowed_by_session: Option<bool>,
}

/// A statement that applies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matched {
    /// Whose it is.
    pub kind: PolicyKind,
    /// The name of its policy; empty of the policies of buckets and roles.
    pub policy: String,
    /// Its Sid, else its place in the policy, from 1.
    pub statement: String,
    /// Whether it allows; else it denies.
    pub allows: bool,
}

impl Witness for Vec<Matched> {
    fn applies(&mut self, kind: PolicyKind, policy: &str, statement: &Statement) {
        let (policy, label) = (policy.to_owned(), statement.label().to_owned());
        self.push(Matched { kind, policy, statement: label, allows: statement.allows() });
    }
}

impl Identity {
    /// What [`Identity::may_in`] decides, and why. It permits nothing.
    pub fn explain(
        &self,
        bucket: Option<&BucketRules>,
        object: Option<&Acl>,
        action: Action,
        resource: &str,
        conditions: &Conditions,
    ) -> Explanation {
        let asked = Asked { bucket, object, action, resource, conditions };
        let mut statements = Vec::new();
        let decided = self.decide(&asked, &mut statements);
        let of_bucket = bucket.and_then(|bucket| bucket.policy.as_ref()).map(BucketPolicy::statements);
        self.explanation(decided, statements, of_bucket.unwrap_or_default(), &self.question(&asked))
    }

    /// What [`Identity::may_assume`] decides, and why. It permits nothing.
    pub fn explain_assuming(&self, role_arn: &str, trust: &TrustPolicy, action: Action, conditions: &Conditions) -> Explanation {
        let mut statements = Vec::new();
        let decided = self.decide_assuming(role_arn, trust, action, conditions, &mut statements);
        let asked = Asked { bucket: None, object: None, action, resource: role_arn, conditions };
        self.explanation(decided, statements, trust.statements(), &self.question(&asked))
    }

    fn explanation(
        &self,
        (decision, own): (Decision, Own),
        statements: Vec<Matched>,
        of_resource: &[Statement],
        question: &Question<'_>,
    ) -> Explanation {
        let asked = self.rights.all().flat_map(Policy::statements).chain(of_resource);
        let keys = asked.filter(|statement| statement.names(question.action)).flat_map(Statement::keys);
        let missing: BTreeSet<_> = keys.filter(|key| question.values(key).is_absent()).map(Key::to_string).collect();
        Explanation {
            decision,
            statements,
            missing_keys: missing.into_iter().collect(),
            allowed_by_boundary: own.in_boundary,
            allowed_by_session: own.in_session,
        }
    }
}
