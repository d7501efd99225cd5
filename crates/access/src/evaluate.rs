//! The decision: an explicit Deny beats every Allow, and what nothing allows is denied.

use crate::acl::is_of_object;
use crate::arn::Arn;
use crate::key::Question;
use crate::policy::{Meant, Statement};
use crate::rights::Said;
use crate::{Acl, Action, BucketPolicy, Conditions, Identity, MAIN_ACCOUNT, Policy, TrustPolicy};

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

/// The proof that an identity may do an action on a resource. Only [`Identity::authorize`] and its like for buckets and keys make one.
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

/// Whose statement it is that applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyKind {
    /// A policy of the identity: its own, an attached one, or one of a group.
    Identity,
    /// Its permission boundary.
    Boundary,
    /// A policy of its session.
    Session,
    /// The policy of the bucket.
    Bucket,
    /// The policy of the key.
    Key,
    /// The trust policy of a role.
    Trust,
}

/// Who is told of each statement that applies, as the decision is made.
pub(crate) trait Witness {
    fn applies(&mut self, kind: PolicyKind, policy: &str, statement: &Statement);
}

/// Nobody.
impl Witness for () {
    fn applies(&mut self, _: PolicyKind, _: &str, _: &Statement) {}
}

/// What the policies of an identity say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Own {
    /// A policy gives the right, or the identity has it by what it is.
    given: bool,
    /// A statement denies it.
    denied: bool,
    /// None where there is no boundary.
    pub(crate) in_boundary: Option<bool>,
    /// None where the session has no policy.
    pub(crate) in_session: Option<bool>,
}

impl Own {
    fn is_within_limits(self) -> bool {
        self.in_boundary.unwrap_or(true) && self.in_session.unwrap_or(true)
    }

    /// Whether a policy gives the right, or the identity has it by what it is.
    pub(crate) fn given(self) -> bool {
        self.given
    }

    pub(crate) fn decision(self) -> Decision {
        self.decision_with(self.given)
    }

    /// The decision where others than its own policies give the right, or do not.
    pub(crate) fn decision_with(self, given: bool) -> Decision {
        match (self.denied, given && self.is_within_limits()) {
            (true, _) => Decision::ExplicitDeny,
            (false, true) => Decision::Allow,
            (false, false) => Decision::ImplicitDeny,
        }
    }
}

impl Identity {
    /// Whether this identity may do the action on the resource, an ARN made by [`crate::arn`]. What is no ARN is denied to all but root.
    /// For what is in no bucket; else see [`Identity::may_in`].
    pub fn may(&self, action: Action, resource: &str, conditions: &Conditions) -> Decision {
        self.may_in(None, None, action, resource, conditions)
    }

    /// Whether this identity may do the action on the resource, which is the bucket of these rules or something in it; none where there is no
    /// such bucket. Source: "Policy evaluation logic" of IAM.
    ///
    /// - A Deny of the identity's policies or of the bucket's beats everything. It binds root too, except that root may always read, replace
    ///   and delete the bucket's policy.
    /// - Within an account the one or the other must allow. Across accounts both must; root counts as one of every account.
    /// - Whoever allows it, the identity's boundary and its session must allow it too.
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
        self.decide(&Asked { bucket, object, action, resource, conditions }, &mut ()).0
    }

    /// The one decision, of which `witness` hears each statement that counts.
    pub(crate) fn decide(&self, asked: &Asked<'_>, witness: &mut impl Witness) -> (Decision, Own) {
        let question = self.question(asked);
        let arn = Arn::parse(asked.resource);
        let own = self.own(&question, arn, witness);
        let Some(bucket) = asked.bucket else { return (own.decision(), own) };
        let is_of_account = self.is_of_account(&bucket.account);
        let said = bucket.say(&question, arn, is_of_account, witness);
        let opened = said.allows || bucket.acl_allows(self, is_of_account, asked.object, asked.action);
        let is_root_of_it = self.is_root_of(MAIN_ACCOUNT) || self.is_root_of(&bucket.account);
        let cannot_be_shut_out = is_root_of_it && OF_THE_POLICY.contains(&asked.action) && own.decision() == Decision::Allow;
        let decision = if said.denies && !cannot_be_shut_out {
            Decision::ExplicitDeny
        } else if self.is_anonymous() {
            own.decision_with(opened)
        } else if is_of_account {
            own.decision_with(own.given || opened)
        } else {
            own.decision_with(own.given && opened)
        };
        (decision, own)
    }

    /// What conditions and variables see.
    pub(crate) fn question<'a>(&'a self, asked: &Asked<'a>) -> Question<'a> {
        let of_name = || Arn::parse(asked.resource).map(|arn| arn.account).filter(|account| !account.is_empty());
        let resource_account = asked.bucket.map(|bucket| bucket.account.as_str()).or_else(of_name);
        Question { identity: self, action: asked.action, conditions: asked.conditions, resource_account }
    }

    pub(crate) fn own(&self, question: &Question<'_>, arn: Option<Arn<'_>>, witness: &mut impl Witness) -> Own {
        let Some(arn) = arn else {
            return Own { given: self.is_root(), denied: false, in_boundary: None, in_session: None };
        };
        let given = self.rights.given(question, arn, witness);
        let boundary = self.rights.within_boundary(question, arn, witness);
        let session = self.rights.within_session(question, arn, witness);
        let denies = |said: Option<Said>| said.is_some_and(|said| said.denies);
        Own {
            given: (given.allows && self.may_reach(question.action, arn)) || self.has_by_nature(question.action, Some(arn)),
            denied: given.denies || denies(boundary) || denies(session),
            in_boundary: boundary.map(|said| said.allows),
            in_session: session.map(|said| said.allows),
        }
    }

    /// Whether a policy of its own could give it the right: an account administers its own identities. The policies of the account `aws` are
    /// everybody's.
    fn may_reach(&self, action: Action, arn: Arn<'_>) -> bool {
        action.service() != "iam" || arn.service != "iam" || [self.account.as_str(), "aws"].contains(&arn.account)
    }

    /// What root has without a policy: that of the main account everything, that of another one all of its buckets and identities, but
    /// neither keys nor administration.
    fn has_by_nature(&self, action: Action, arn: Option<Arn<'_>>) -> bool {
        if self.is_root_of(MAIN_ACCOUNT) {
            return true;
        }
        let is_of_account = matches!(action.service(), "s3" | "iam" | "sts") && arn.is_none_or(|arn| self.may_reach(action, arn));
        self.is_root_of(&self.account) && is_of_account
    }

    /// Whether what policies say of this identity's requests for the bucket depends on the tags of objects that are there.
    pub fn needs_existing_tags(&self, bucket: Option<&BucketRules>) -> bool {
        let of_bucket = bucket.and_then(|bucket| bucket.policy.as_ref());
        self.rights.all().any(Policy::needs_existing_tags) || of_bucket.is_some_and(BucketPolicy::needs_existing_tags)
    }

    /// Whether it depends on the tags or the locks that requests give to objects.
    pub fn needs_given_attributes(&self, bucket: Option<&BucketRules>) -> bool {
        let of_bucket = bucket.and_then(|bucket| bucket.policy.as_ref());
        self.rights.all().any(Policy::needs_given_attributes) || of_bucket.is_some_and(BucketPolicy::needs_given_attributes)
    }

    /// Whether any statement allows the action on anything at all. It permits nothing: what is done to a resource is decided by
    /// [`Identity::authorize`] on that resource.
    pub fn may_somewhere(&self, action: Action, conditions: &Conditions) -> bool {
        let question = Question { identity: self, action, conditions, resource_account: None };
        let given = self.has_by_nature(action, None) || self.rights.give_somewhere(&question);
        given && self.rights.limits_allow_somewhere(&question)
    }

    /// Whether this identity may have a session of the role by that action of `sts`. Source: "Policy evaluation logic" of IAM, and how trust
    /// policies differ from those of other resources.
    ///
    /// - The trust policy must allow it, to the identity or to its account.
    /// - Where it allows it to the account alone, or the role is of another account, the identity's own policies must allow it too.
    /// - Root has no right to a role but by its trust policy.
    pub fn may_assume(&self, role_arn: &str, trust: &TrustPolicy, action: Action, conditions: &Conditions) -> Decision {
        self.decide_assuming(role_arn, trust, action, conditions, &mut ()).0
    }

    pub(crate) fn decide_assuming(
        &self,
        role_arn: &str,
        trust: &TrustPolicy,
        action: Action,
        conditions: &Conditions,
        witness: &mut impl Witness,
    ) -> (Decision, Own) {
        let question = self.question(&Asked { bucket: None, object: None, action, resource: role_arn, conditions });
        let arn = Arn::parse(role_arn);
        let own = self.own(&question, arn, witness);
        let (Some(arn), false) = (arn, self.is_anonymous()) else { return (Decision::ImplicitDeny, own) };
        let trusted = trust.say(&question, arn, witness);
        let is_vouched_for = matches!(self.principal, crate::Principal::VouchedFor { .. });
        let alone = is_vouched_for || (trusted.meant == Meant::Directly && self.account == arn.account);
        let decision =
            if trusted.denies { Decision::ExplicitDeny } else { own.decision_with(trusted.meant != Meant::Not && (alone || own.given)) };
        (decision, own)
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
        self.proven(self.may_in(bucket, object, action, resource, conditions), action, resource)
    }

    /// The proof of a decision.
    pub(crate) fn proven(&self, decision: Decision, action: Action, resource: &str) -> Result<Authorized, Denied> {
        let denied = |explicit| Denied { identity: self.name.clone(), action, resource: resource.to_owned(), explicit };
        match decision {
            Decision::Allow => Ok(Authorized { action, resource: resource.into() }),
            Decision::ExplicitDeny => Err(denied(true)),
            Decision::ImplicitDeny => Err(denied(false)),
        }
    }
}

/// All that a decision is about, but for who asks.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) bucket: Option<&'a BucketRules>,
    pub(crate) object: Option<&'a Acl>,
    pub(crate) action: Action,
    pub(crate) resource: &'a str,
    pub(crate) conditions: &'a Conditions,
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
    fn say(&self, question: &Question<'_>, arn: Option<Arn<'_>>, is_of_account: bool, witness: &mut impl Witness) -> Said {
        let mut said = Said::default();
        let (Some(policy), Some(arn)) = (&self.policy, arn) else { return said };
        let is_shut = self.restricts_public && policy.is_public() && !is_of_account;
        for statement in policy.statements().iter().filter(|statement| statement.applies(arn, question)) {
            let counts = match (statement.means(question.identity), statement.allows()) {
                (Meant::Not, _) => false,
                (_, false) => true,
                (Meant::AsOfAccount, true) => !is_of_account && !is_shut,
                (Meant::Directly, true) => !is_shut,
            };
            if counts {
                said.allows |= statement.allows();
                said.denies |= !statement.allows();
                witness.applies(PolicyKind::Bucket, "", statement);
            }
        }
        said
    }
}
