//! The function that the fuzzer calls with arbitrary bytes, and what must hold for all of them. `fuzz/` has the target and its corpus.
// A target reports a failure by panicking.
#![allow(clippy::missing_panics_doc)]

use std::sync::Arc;

use crate::{
    Action, BucketPolicy, BucketRules, ConditionKey, Conditions, Decision, Identity, KeyPolicy, KeyRules, MAIN_ACCOUNT, Policy, Principal,
    Resolved, SecretKey, TrustPolicy, arn,
};

/// A policy document of an identity, of a bucket, of a key and of a role. Whatever it says: an explanation says what the decision does, what limits
/// gives nothing, and what a policy denies nobody is allowed.
pub fn policy(document: &[u8]) {
    let Ok(json) = std::str::from_utf8(document) else { return };
    if let Ok(trust) = TrustPolicy::parse(json) {
        check_trust(&trust);
    }
    if let Ok(policy) = KeyPolicy::parse(MAIN_ACCOUNT, json) {
        check_key(policy);
    }
    if let Ok(policy) = BucketPolicy::parse("b", json) {
        check_bucket(policy);
    }
    if let Ok(policy) = Policy::parse(json) {
        check_identity(&Arc::new(policy));
    }
}

fn check_identity(policy: &Arc<Policy>) {
    let everything = everything();
    let of = |policies: &[&Arc<Policy>], limits: &[&Arc<Policy>]| {
        let copy = |policies: &[&Arc<Policy>]| policies.iter().map(|policy| Arc::clone(policy)).collect::<Vec<_>>();
        alice(copy(policies), copy(limits))
    };
    let (given, limited) = (of(&[policy], &[]), of(&[&everything], &[policy]));
    let (only_limited, twice) = (of(&[], &[policy]), of(&[policy], &[policy]));
    for (action, resource) in subjects() {
        let may = |identity: &Identity| identity.may(action, &resource, &conditions());
        let explained = given.explain(None, None, action, &resource, &conditions());
        assert!(explained.decision == may(&given));
        assert!(explained.statements.iter().any(|matched| !matched.allows) == (explained.decision == Decision::ExplicitDeny));
        assert!(may(&given) == may(&limited) && may(&given) == may(&twice));
        assert!(may(&only_limited) != Decision::Allow);
        assert!(may(&given) != Decision::Allow || given.may_somewhere(action, &conditions()));
    }
}

fn check_bucket(policy: BucketPolicy) {
    let rules = BucketRules {
        account: MAIN_ACCOUNT.to_owned(),
        policy: Some(policy),
        restricts_public: false,
        acl: None,
        prefers_bucket_owner: false,
        ignores_public_acls: false,
    };
    let (with_rights, without) = (alice(vec![everything()], Vec::new()), alice(Vec::new(), Vec::new()));
    let limited = alice(vec![everything()], vec![nothing()]);
    for (action, resource) in subjects().into_iter().filter(|(_, resource)| resource.starts_with("arn:aws:s3:::b")) {
        let explained = without.explain(Some(&rules), None, action, &resource, &conditions());
        let may = |identity: &Identity| identity.may_in(Some(&rules), None, action, &resource, &conditions());
        assert!(explained.decision == may(&without));
        assert!((may(&without) == Decision::ExplicitDeny) == (may(&with_rights) == Decision::ExplicitDeny));
        assert!(may(&without) != Decision::Allow || may(&with_rights) == Decision::Allow);
        assert!(may(&limited) != Decision::Allow);
    }
}

/// Rights of one's own never give less, and limits never more, than the policy of the key says.
fn check_key(policy: KeyPolicy) {
    let rules = KeyRules { account: MAIN_ACCOUNT.to_owned(), policy, grants: Vec::new() };
    let (with_rights, without) = (alice(vec![everything()], Vec::new()), alice(Vec::new(), Vec::new()));
    let limited = alice(vec![everything()], vec![nothing()]);
    for action in Action::ALL.iter().copied().filter(|action| action.as_str().starts_with("kms:")) {
        let may = |identity: &Identity| identity.may_with_key(Some(&rules), action, "k", &conditions());
        assert!((may(&without) == Decision::ExplicitDeny) == (may(&with_rights) == Decision::ExplicitDeny));
        assert!(may(&without) != Decision::Allow || may(&with_rights) == Decision::Allow);
        assert!(may(&limited) != Decision::Allow);
        assert!(may(&Identity::anonymous()) == Decision::ImplicitDeny);
    }
}

fn check_trust(trust: &TrustPolicy) {
    let role = arn::role(MAIN_ACCOUNT, "/", "r");
    let (with_rights, without) = (alice(vec![everything()], Vec::new()), alice(Vec::new(), Vec::new()));
    let provider = Identity::vouched_for("idp.example.org", vec![("idp.example.org:sub".to_owned(), vec!["alice".to_owned()])]);
    for action in [Action::AssumeRole, Action::AssumeRoleWithWebIdentity, Action::TagSession] {
        let may = |identity: &Identity| identity.may_assume(&role, trust, action, &conditions());
        assert!(may(&without) != Decision::Allow || may(&with_rights) == Decision::Allow);
        assert!(may(&Identity::anonymous()) == Decision::ImplicitDeny);
        let explained = provider.explain_assuming(&role, trust, action, &conditions());
        assert!(explained.decision == may(&provider));
    }
}

fn alice(policies: Vec<Arc<Policy>>, session: Vec<Arc<Policy>>) -> Identity {
    let resolved = Resolved {
        name: "alice".to_owned(),
        principal: Principal::User { path: "/".to_owned(), name: "alice".to_owned() },
        account: MAIN_ACCOUNT.to_owned(),
        access_key: "AKALICE".to_owned(),
        secret: SecretKey::new("long enough".to_owned()).expect("it is long enough"),
        user_id: "AIDA".to_owned(),
        tags: vec![("team".to_owned(), "r?d*".to_owned())],
        claims: vec![("jwt:groups".to_owned(), vec!["a".to_owned(), "b".to_owned()])],
        source_identity: None,
        token_issued_at: None,
        policies,
        boundary: None,
        session,
    };
    Identity::resolved(resolved).expect("alice is an identity")
}

fn everything() -> Arc<Policy> {
    Arc::new(Policy::parse(r#"{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}"#).expect("it is a policy"))
}

/// Denies nothing either.
fn nothing() -> Arc<Policy> {
    Arc::new(Policy::parse(r#"{"Statement": {"Effect": "Allow", "Action": "s3:NoSuchThing", "Resource": "*"}}"#).expect("it is a policy"))
}

fn conditions() -> Conditions {
    Conditions::new(true)
        .with(ConditionKey::SourceIp, "10.0.0.1")
        .with(ConditionKey::CurrentTime, "1893499200")
        .with(ConditionKey::Prefix, "alice/")
        .with(ConditionKey::MaxKeys, "10")
        .with(ConditionKey::Encryption, "aws:kms")
        .with(ConditionKey::EncryptionKeyId, "k")
        .with_request_tags(vec![("a".to_owned(), "x".to_owned())])
}

fn subjects() -> Vec<(Action, String)> {
    vec![
        (Action::GetObject, arn::object("b", "alice/k")),
        (Action::PutObject, arn::object("b", "r?d*/k")),
        (Action::ListBucket, arn::bucket("b")),
        (Action::Decrypt, arn::key("k")),
        (Action::TagUser, arn::user(MAIN_ACCOUNT, "/", "bob")),
        (Action::ReadAudit, arn::KMS.to_owned()),
    ]
}

#[cfg(test)]
mod tests {
    use super::{policy, replay::replay};

    #[test]
    fn the_corpus_of_policy_holds() {
        replay("policy", policy);
    }
}

#[cfg(test)]
#[path = "../../../fuzz/replay.rs"]
mod replay;
