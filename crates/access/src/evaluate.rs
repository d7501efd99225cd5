//! The decision: an explicit Deny beats every Allow, and what nothing allows is denied.

use crate::acl::is_of_object;
use crate::arn::Arn;
use crate::identity::Rights;
use crate::policy::Meant;
use crate::{Acl, Action, BucketPolicy, Conditions, Identity, PolicySet};

/// What a bucket itself says of who may do what with it and in it.
#[derive(Debug)]
pub struct BucketRules {
    /// The account that it belongs to.
    pub account: String,
    /// Its policy.
    pub policy: Option<BucketPolicy>,
    /// Whether a public policy gives nothing to who is not of the account (`RestrictPublicBuckets`).
    pub restricts_public: bool,
    /// Its owner, and what it grants to others; where ACLs count in it at all.
    pub acl: Option<Acl>,
    /// Whether an object that grants everything to the bucket's owner is theirs.
    pub prefers_bucket_owner: bool,
    /// Whether grants to the public do not count (`IgnorePublicAcls`).
    pub ignores_public_acls: bool,
}

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

/// The proof that an identity may do an action on a resource. Only [`Identity::authorize`] and [`Identity::authorize_in`] make one.
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
    /// For what is in no bucket; else see [`Identity::may_in`].
    pub fn may(&self, action: Action, resource: &str, conditions: &Conditions) -> Decision {
        match &self.rights {
            Rights::Root => Decision::Allow,
            Rights::Policies(policies) => policies.decide(action, resource, conditions),
            Rights::Anonymous => Decision::ImplicitDeny,
        }
    }

    /// Whether this identity may do the action on the resource, which is the bucket of these rules or something in it; none where there is no
    /// such bucket. Source: "Policy evaluation logic" of IAM.
    ///
    /// - A Deny of the identity's policies or of the bucket's beats everything. It binds root too, except that root may always read, replace
    ///   and delete the bucket's policy.
    /// - Within an account the one or the other must allow. Across accounts both must; root counts as one of every account.
    /// - An anonymous request has the bucket's policy alone.
    /// - An ACL that counts allows as the bucket's policy does: the bucket's own, or that of `object` for what is done to an object.
    pub fn may_in(
        &self,
        bucket: Option<&BucketRules>,
        object: Option<&Acl>,
        action: Action,
        resource: &str,
        conditions: &Conditions,
    ) -> Decision {
        let own = self.may(action, resource, conditions);
        let Some(bucket) = bucket else { return own };
        let is_of_account = !self.is_anonymous() && (self.is_root() || self.account == bucket.account);
        let said = match bucket.decide(self, is_of_account, action, resource, conditions) {
            Decision::ImplicitDeny if bucket.acl_allows(self, is_of_account, object, action) => Decision::Allow,
            said => said,
        };
        let cannot_be_shut_out = self.is_root() && OF_THE_POLICY.contains(&action);
        match (own, said) {
            (Decision::Allow, Decision::ExplicitDeny) if cannot_be_shut_out => Decision::Allow,
            (Decision::ExplicitDeny, _) | (_, Decision::ExplicitDeny) => Decision::ExplicitDeny,
            (Decision::Allow, Decision::Allow) => Decision::Allow,
            (Decision::Allow, Decision::ImplicitDeny) if is_of_account => Decision::Allow,
            (Decision::ImplicitDeny, Decision::Allow) if is_of_account || self.is_anonymous() => Decision::Allow,
            _ => Decision::ImplicitDeny,
        }
    }

    /// Whether what policies say of this identity's requests for the bucket depends on the tags of objects that are there.
    pub fn needs_existing_tags(&self, bucket: Option<&BucketRules>) -> bool {
        let own = match &self.rights {
            Rights::Policies(policies) => policies.needs_existing_tags(),
            Rights::Root | Rights::Anonymous => false,
        };
        own || bucket.and_then(|bucket| bucket.policy.as_ref()).is_some_and(BucketPolicy::needs_existing_tags)
    }

    /// Whether it depends on the tags or the locks that requests give to objects.
    pub fn needs_given_attributes(&self, bucket: Option<&BucketRules>) -> bool {
        let own = match &self.rights {
            Rights::Policies(policies) => policies.needs_given_attributes(),
            Rights::Root | Rights::Anonymous => false,
        };
        own || bucket.and_then(|bucket| bucket.policy.as_ref()).is_some_and(BucketPolicy::needs_given_attributes)
    }

    /// Whether any statement allows the action on anything at all. It permits nothing: what is done to a resource is decided by
    /// [`Identity::authorize`] on that resource.
    pub fn may_somewhere(&self, action: Action, conditions: &Conditions) -> bool {
        match &self.rights {
            Rights::Root => true,
            Rights::Policies(policies) => policies.statements().any(|statement| statement.allows_somewhere(action, conditions)),
            Rights::Anonymous => false,
        }
    }

    /// As [`Identity::may`], with the proof.
    pub fn authorize(&self, action: Action, resource: &str, conditions: &Conditions) -> Result<Authorized, Denied> {
        self.authorize_in(None, None, action, resource, conditions)
    }

    /// As [`Identity::may_in`], with the proof.
    pub fn authorize_in(
        &self,
        bucket: Option<&BucketRules>,
        object: Option<&Acl>,
        action: Action,
        resource: &str,
        conditions: &Conditions,
    ) -> Result<Authorized, Denied> {
        let denied = |explicit| Denied { identity: self.name.clone(), action, resource: resource.to_owned(), explicit };
        match self.may_in(bucket, object, action, resource, conditions) {
            Decision::Allow => Ok(Authorized { action, resource: resource.into() }),
            Decision::ExplicitDeny => Err(denied(true)),
            Decision::ImplicitDeny => Err(denied(false)),
        }
    }
}

/// What root needs to open a bucket again whose policy shuts everybody out.
const OF_THE_POLICY: [Action; 3] = [Action::GetBucketPolicy, Action::PutBucketPolicy, Action::DeleteBucketPolicy];

impl BucketRules {
    /// Whether anybody could be let in who does not sign.
    pub fn may_let_in_the_public(&self) -> bool {
        self.policy.is_some() || (self.acl.is_some() && !self.ignores_public_acls)
    }

    fn acl_allows(&self, identity: &Identity, is_of_account: bool, object: Option<&Acl>, action: Action) -> bool {
        let Some(acl) = &self.acl else { return false };
        let acl = if is_of_object(action) { object } else { Some(acl) };
        acl.is_some_and(|acl| acl.allows(identity, is_of_account, action, self.ignores_public_acls))
    }

    /// What the policy says of a request. An Allow for an account is none within that account: its users have what their policies say.
    fn decide(&self, identity: &Identity, is_of_account: bool, action: Action, resource: &str, conditions: &Conditions) -> Decision {
        let (Some(policy), Some(arn)) = (&self.policy, Arn::parse(resource)) else { return Decision::ImplicitDeny };
        let is_shut = self.restricts_public && policy.is_public() && !is_of_account;
        let mut decision = Decision::ImplicitDeny;
        for statement in policy.statements().iter().filter(|statement| statement.applies(action, arn, conditions)) {
            match (statement.means(identity), statement.allows()) {
                (Meant::Not, _) => {}
                (_, false) => return Decision::ExplicitDeny,
                (Meant::AsOfAccount, true) if is_of_account => {}
                (_, true) if is_shut => {}
                (_, true) => decision = Decision::Allow,
            }
        }
        decision
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
