//! Who may have a session of a role, and which trust policies there are.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use crate::testing::{alice, all, document, identity, on, policy};
use crate::{
    AccessError, Action, BucketPolicy, BucketRules, ConditionKey, Conditions, Decision, Identity, MAIN_ACCOUNT, Policy, Principal,
    Resolved, StatementProblem, TrustPolicy, arn,
};

use Decision::{Allow, ExplicitDeny, ImplicitDeny};

const OTHER: &str = "111122223333";

#[test]
fn a_role_is_assumed_by_whom_it_trusts_and_who_may() {
    let role = arn::role(MAIN_ACCOUNT, "/", "r");
    let trust = |principal: &str| {
        let statement = format!(r#"{{"Effect": "Allow", "Principal": {principal}, "Action": "sts:AssumeRole"}}"#);
        TrustPolicy::parse(&document(&statement)).unwrap()
    };
    let named = trust(r#"{"AWS": ["arn:aws:iam::000000000000:user/alice", "arn:aws:iam::111122223333:user/alice"]}"#);
    let accounts = trust(r#"{"AWS": ["000000000000", "111122223333"]}"#);
    let everybody = trust(r#""*""#);
    let nobody = trust(r#"{"Service": "ec2.amazonaws.com"}"#);
    let may = policy(&on("Allow", "sts:AssumeRole", &role));
    let never = policy(&all("Deny", "sts:*"));
    let narrow = policy(&all("Allow", "s3:*"));
    let of = |account: &str, policies: &[&Arc<Policy>]| {
        identity(Resolved { account: account.to_owned(), policies: policies.iter().map(|policy| Arc::clone(policy)).collect(), ..alice() })
    };
    let limited = identity(Resolved { session: vec![narrow], ..alice() });
    let root = identity(Resolved { name: "root".to_owned(), principal: Principal::Root, ..alice() });
    for (who, identity, of_named, of_accounts, of_everybody) in [
        ("without a right", of(MAIN_ACCOUNT, &[]), Allow, ImplicitDeny, Allow),
        ("with the right", of(MAIN_ACCOUNT, &[&may]), Allow, Allow, Allow),
        ("denied", of(MAIN_ACCOUNT, &[&may, &never]), ExplicitDeny, ExplicitDeny, ExplicitDeny),
        ("another account's without a right", of(OTHER, &[]), ImplicitDeny, ImplicitDeny, ImplicitDeny),
        ("another account's with the right", of(OTHER, &[&may]), Allow, Allow, Allow),
        ("a stranger with the right", of("999999999999", &[&may]), ImplicitDeny, ImplicitDeny, Allow),
        ("a session that may not", limited, ImplicitDeny, ImplicitDeny, ImplicitDeny),
        ("root", root, ImplicitDeny, Allow, Allow),
        ("nobody who is known", Identity::anonymous(), ImplicitDeny, ImplicitDeny, ImplicitDeny),
    ] {
        let assume = |trust: &TrustPolicy| identity.may_assume(&role, trust, Action::AssumeRole, &Conditions::new(true));
        assert_eq!(assume(&named), of_named, "{who}, named");
        assert_eq!(assume(&accounts), of_accounts, "{who}, by account");
        assert_eq!(assume(&everybody), of_everybody, "{who}, everybody");
        assert_ne!(assume(&nobody), Allow, "{who}, nobody");
        let tag = identity.may_assume(&role, &everybody, Action::TagSession, &Conditions::new(true));
        assert_ne!(tag, Allow, "{who}: the trust policy does not speak of it");
    }
}

#[test]
fn a_provider_vouches_for_whom_the_trust_policy_describes() {
    let role = arn::role(MAIN_ACCOUNT, "/", "r");
    let trust = TrustPolicy::parse(&document(
        r#"{"Effect": "Allow", "Principal": {"Federated": "arn:aws:iam::000000000000:oidc-provider/idp.example.org"},
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Condition": {"StringEquals": {"idp.example.org:aud": "store"}, "ForAnyValue:StringLike": {"idp.example.org:groups": "st*"},
                          "StringLike": {"sts:RoleSessionName": "${idp.example.org:sub}"}}},
           {"Effect": "Deny", "Principal": "*", "Action": "sts:*", "Condition": {"StringEquals": {"idp.example.org:sub": "mallory"}}}"#,
    ))
    .unwrap();
    let provider = "arn:aws:iam::000000000000:oidc-provider/idp.example.org";
    let claims = |sub: &str, aud: &str, groups: &[&str]| {
        let text = str::to_owned;
        vec![
            (text("idp.example.org:sub"), vec![text(sub)]),
            (text("idp.example.org:aud"), vec![text(aud)]),
            (text("idp.example.org:groups"), groups.iter().map(|group| text(group)).collect()),
        ]
    };
    let named = Conditions::new(true).with(ConditionKey::RoleSessionName, "bob");
    let everybody = r#"{"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "*"}"#;
    let open = BucketRules {
        account: MAIN_ACCOUNT.to_owned(),
        policy: Some(BucketPolicy::parse("b", &document(everybody)).unwrap()),
        restricts_public: false,
        acl: None,
        prefers_bucket_owner: false,
        ignores_public_acls: false,
    };
    for (provider, claims, action, expected) in [
        (provider, claims("bob", "store", &["x", "staff"]), Action::AssumeRoleWithWebIdentity, Allow),
        (provider, claims("bob", "store", &[]), Action::AssumeRoleWithWebIdentity, ImplicitDeny),
        (provider, claims("bob", "shop", &["staff"]), Action::AssumeRoleWithWebIdentity, ImplicitDeny),
        (provider, claims("eve", "store", &["staff"]), Action::AssumeRoleWithWebIdentity, ImplicitDeny),
        (provider, claims("mallory", "store", &["staff"]), Action::AssumeRoleWithWebIdentity, ExplicitDeny),
        (provider, claims("bob", "store", &["staff"]), Action::AssumeRole, ImplicitDeny),
        ("ldap", claims("bob", "store", &["staff"]), Action::AssumeRoleWithWebIdentity, ImplicitDeny),
    ] {
        let asker = Identity::vouched_for(provider, claims);
        assert_eq!(asker.may_assume(&role, &trust, action, &named), expected, "{provider} {action:?}");
        let get = |rules| asker.may_in(rules, None, Action::GetObject, &arn::object("b", "k"), &Conditions::new(true));
        assert_eq!(get(None), ImplicitDeny);
        assert_eq!(get(Some(&open)), ImplicitDeny, "a provider's word opens no bucket");
    }
}

#[test]
fn what_is_no_trust_policy_is_refused() {
    use StatementProblem::{ActionOfTrust, EitherOr, NoPrincipal, ResourceOfTrust};
    let text = str::to_owned;
    for (statement, expected) in [
        (text(r#"{"Effect": "Allow", "Action": "sts:AssumeRole"}"#), EitherOr("Principal")),
        (text(r#"{"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole", "Resource": "*"}"#), ResourceOfTrust),
        (text(r#"{"Effect": "Deny", "Principal": "*", "Action": "sts:AssumeRole", "NotResource": "*"}"#), ResourceOfTrust),
        (text(r#"{"Effect": "Allow", "Principal": "*", "Action": ["sts:*", "s3:GetObject"]}"#), ActionOfTrust(text("s3:GetObject"))),
        (text(r#"{"Effect": "Allow", "Principal": "*", "Action": "*"}"#), ActionOfTrust(text("*"))),
        (text(r#"{"Effect": "Allow", "Principal": "*", "NotAction": "sts:TagSession"}"#), EitherOr("Action")),
        (text(r#"{"Effect": "Allow", "Principal": {"Federated": "*"}, "Action": "sts:*"}"#), NoPrincipal(text("*"))),
        (
            text(r#"{"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::1:role/r"}, "Action": "sts:*"}"#),
            NoPrincipal(text("arn:aws:iam::1:role/r")),
        ),
    ] {
        match TrustPolicy::parse(&document(&statement)) {
            Err(AccessError::Statement { problem, .. }) => assert_eq!(problem, expected, "{statement}"),
            other => panic!("{statement}: {other:?}"),
        }
    }
}
