//! Policies of buckets: whom they mean, how they go with the caller's own, what is public, and what is refused.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use crate::{
    AccessError, Action, BucketPolicy, BucketRules, ConditionKey, Conditions, Decision, Identity, PolicySet, SecretKey, StatementProblem,
    arn,
};

const OTHER: &str = "111122223333";
const EVERYTHING: &str = r#"{"Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}}"#;

fn secret() -> SecretKey {
    SecretKey::new("long enough".to_owned()).unwrap()
}

fn user(name: &str, document: Option<&str>) -> Identity {
    Identity::user(name, format!("AK{name}"), secret(), PolicySet::from_config(&[] as &[&str], document).unwrap()).unwrap()
}

fn foreigner(document: Option<&str>) -> Identity {
    user("eve", document).in_account(OTHER).unwrap()
}

fn document(statements: &str) -> String {
    format!(r#"{{"Version": "2012-10-17", "Statement": [{statements}]}}"#)
}

fn rules(statements: &str) -> BucketRules {
    let policy = (!statements.is_empty()).then(|| BucketPolicy::parse("b", &document(statements)).unwrap());
    BucketRules {
        account: crate::MAIN_ACCOUNT.to_owned(),
        policy,
        restricts_public: false,
        acl: None,
        prefers_bucket_owner: false,
        ignores_public_acls: false,
    }
}

fn statement(effect: &str, principal: &str, action: &str) -> String {
    format!(r#"{{"Effect": "{effect}", {principal}, "Action": "{action}", "Resource": ["arn:aws:s3:::b", "arn:aws:s3:::b/*"]}}"#)
}

fn get(identity: &Identity, rules: &BucketRules) -> Decision {
    identity.may_in(Some(rules), None, Action::GetObject, &arn::object("b", "k"), &Conditions::new(true))
}

#[test]
fn within_an_account_either_policy_allows_and_across_accounts_both_must() {
    use Decision::{Allow, ExplicitDeny, ImplicitDeny};
    let open = statement("Allow", r#""Principal": "*""#, "s3:GetObject");
    let shut = statement("Deny", r#""Principal": "*""#, "s3:GetObject");
    let root = Identity::root("admin", secret()).unwrap();
    let denied = r#"{"Statement": {"Effect": "Deny", "Action": "s3:*", "Resource": "*"}}"#;
    for (who, identity, of_nothing, of_open, of_shut) in [
        ("root", root, Allow, Allow, ExplicitDeny),
        ("a user with the right", user("alice", Some(EVERYTHING)), Allow, Allow, ExplicitDeny),
        ("a user without any", user("alice", None), ImplicitDeny, Allow, ExplicitDeny),
        ("a user who is denied it", user("alice", Some(denied)), ExplicitDeny, ExplicitDeny, ExplicitDeny),
        ("another account's user with the right", foreigner(Some(EVERYTHING)), ImplicitDeny, Allow, ExplicitDeny),
        ("another account's user without any", foreigner(None), ImplicitDeny, ImplicitDeny, ExplicitDeny),
        ("nobody who is known", Identity::anonymous(), ImplicitDeny, Allow, ExplicitDeny),
    ] {
        assert_eq!(get(&identity, &rules("")), of_nothing, "{who}, no policy");
        assert_eq!(get(&identity, &rules(&open)), of_open, "{who}, open");
        assert_eq!(get(&identity, &rules(&format!("{open}, {shut}"))), of_shut, "{who}, shut");
    }
}

#[test]
fn a_principal_means_a_user_an_account_or_everybody() {
    let (alice, bob, eve) = (user("alice", None), user("bob", None), foreigner(Some(EVERYTHING)));
    let (root, anonymous) = (Identity::root("admin", secret()).unwrap(), Identity::anonymous());
    for (principal, allows) in [
        (r#""Principal": "*""#, [true, true, true, true]),
        (r#""Principal": {"AWS": "*"}"#, [true, true, true, true]),
        (r#""Principal": {"AWS": "arn:aws:iam::000000000000:user/alice"}"#, [true, false, false, false]),
        (r#""Principal": {"AWS": "arn:aws:iam::000000000000:user/team/alice"}"#, [true, false, false, false]),
        (r#""Principal": {"AWS": ["arn:aws:iam:::user/alice", "arn:aws:iam::111122223333:user/bob"]}"#, [true, false, false, false]),
        (r#""Principal": {"CanonicalUser": "bob"}"#, [false, true, false, false]),
        // The account decides itself what its users may.
        (r#""Principal": {"AWS": "000000000000"}"#, [false, false, false, false]),
        (r#""Principal": {"AWS": "arn:aws:iam::111122223333:root"}"#, [false, false, true, false]),
        (r#""Principal": {"AWS": "111122223333"}"#, [false, false, true, false]),
        (r#""Principal": {"Service": "logging.s3.amazonaws.com"}"#, [false, false, false, false]),
        (r#""NotPrincipal": {"AWS": "arn:aws:iam:::user/alice"}"#, [false, true, true, true]),
    ] {
        let rules = rules(&statement("Allow", principal, "s3:GetObject"));
        for (identity, allows) in [&alice, &bob, &eve, &anonymous].into_iter().zip(allows) {
            assert_eq!(get(identity, &rules) == Decision::Allow, allows, "{principal}: {}", identity.name);
        }
    }
    for (principal, denied) in [
        (r#""Principal": {"AWS": "000000000000"}"#, [true, true, false, true]),
        (r#""Principal": {"AWS": "arn:aws:iam::000000000000:root"}"#, [true, true, false, true]),
        (
            r#""NotPrincipal": {"AWS": ["111122223333", "arn:aws:iam:::user/alice", "arn:aws:iam::000000000000:user/bob"]}"#,
            [false, false, false, true],
        ),
    ] {
        let rules = rules(&statement("Deny", principal, "s3:GetObject"));
        for (identity, denied) in [&alice, &bob, &eve, &root].into_iter().zip(denied) {
            assert_eq!(get(identity, &rules) == Decision::ExplicitDeny, denied, "{principal}: {}", identity.name);
        }
    }
}

#[test]
fn root_is_never_shut_out_of_a_buckets_policy() {
    let rules = rules(&statement("Deny", r#""Principal": "*""#, "s3:*"));
    let root = Identity::root("admin", secret()).unwrap();
    let alice = user("alice", Some(EVERYTHING));
    for action in Action::ALL.iter().filter(|action| action.as_str().starts_with("s3:")) {
        let decide = |identity: &Identity| identity.may_in(Some(&rules), None, *action, &arn::bucket("b"), &Conditions::new(true));
        let is_of_the_policy = [Action::GetBucketPolicy, Action::PutBucketPolicy, Action::DeleteBucketPolicy].contains(action);
        assert_eq!(decide(&root), if is_of_the_policy { Decision::Allow } else { Decision::ExplicitDeny }, "{action:?}");
        assert_eq!(decide(&alice), Decision::ExplicitDeny, "{action:?}");
    }
}

#[test]
fn a_policy_is_public_that_lets_in_whom_it_does_not_name() {
    let everybody = r#""Principal": "*""#;
    let with = |principal: &str, condition: &str| {
        format!(r#"{{"Effect": "Allow", {principal}, "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*", "Condition": {condition}}}"#)
    };
    for (statements, is_public) in [
        (statement("Allow", everybody, "s3:GetObject"), true),
        (statement("Deny", everybody, "s3:GetObject"), false),
        (statement("Allow", r#""Principal": {"AWS": ["111122223333", "*"]}"#, "s3:GetObject"), true),
        (statement("Allow", r#""Principal": {"AWS": "111122223333"}"#, "s3:GetObject"), false),
        (statement("Allow", r#""NotPrincipal": {"AWS": "111122223333"}"#, "s3:GetObject"), true),
        (with(everybody, r#"{"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}"#), false),
        (with(everybody, r#"{"IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "0.0.0.0/1"]}}"#), true),
        (with(everybody, r#"{"IpAddress": {"aws:SourceIp": "2001:db8::/31"}}"#), true),
        (with(everybody, r#"{"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}"#), true),
        (with(everybody, r#"{"IpAddressIfExists": {"aws:SourceIp": "10.0.0.0/8"}}"#), true),
        (with(everybody, r#"{"StringEquals": {"aws:username": "alice"}}"#), false),
        (with(everybody, r#"{"StringLike": {"aws:username": "a*"}}"#), true),
        // What a client says of itself confines nobody.
        (with(everybody, r#"{"StringEquals": {"aws:Referer": "https://example.org/"}}"#), true),
        (with(everybody, r#"{"Bool": {"aws:SecureTransport": true}}"#), true),
    ] {
        assert_eq!(BucketPolicy::parse("b", &document(&statements)).unwrap().is_public(), is_public, "{statements}");
    }
}

#[test]
fn a_public_policy_gives_the_public_nothing_where_public_access_is_restricted() {
    let statements = statement("Allow", r#""Principal": "*""#, "s3:GetObject");
    let restricted = BucketRules { restricts_public: true, ..rules(&statements) };
    assert_eq!(get(&user("alice", None), &restricted), Decision::Allow);
    assert_eq!(get(&foreigner(Some(EVERYTHING)), &restricted), Decision::ImplicitDeny);
    assert_eq!(get(&Identity::anonymous(), &restricted), Decision::ImplicitDeny);
    // A Deny counts all the same, and so does a policy that is not public.
    let shut =
        BucketRules { restricts_public: true, ..rules(&format!("{statements}, {}", statement("Deny", r#""Principal": "*""#, "s3:*"))) };
    assert_eq!(get(&user("alice", Some(EVERYTHING)), &shut), Decision::ExplicitDeny);
    let named =
        BucketRules { restricts_public: true, ..rules(&statement("Allow", r#""Principal": {"AWS": "111122223333"}"#, "s3:GetObject")) };
    assert_eq!(get(&foreigner(Some(EVERYTHING)), &named), Decision::Allow);
}

#[test]
fn what_is_no_policy_of_the_bucket_is_refused() {
    use StatementProblem::{EitherOr, ForeignResource, NoPrincipal, OtherBucket};
    let text = str::to_owned;
    let principal =
        |principal: &str| format!(r#"{{"Effect": "Allow", "Principal": {principal}, "Action": "s3:*", "Resource": "arn:aws:s3:::b"}}"#);
    let resource = |resource: &str| format!(r#"{{"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "{resource}"}}"#);
    for (statement, expected) in [
        (text(r#"{"Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::b"}"#), EitherOr("Principal")),
        (principal(r#""alice""#), NoPrincipal(text("alice"))),
        (principal(r#"{"AWS": "alice"}"#), NoPrincipal(text("alice"))),
        (principal(r#"{"AWS": "12345"}"#), NoPrincipal(text("12345"))),
        (principal(r#"{"AWS": "arn:aws:iam::12345:root"}"#), NoPrincipal(text("arn:aws:iam::12345:root"))),
        (principal(r#"{"AWS": "arn:aws:iam::111122223333:user/*"}"#), NoPrincipal(text("arn:aws:iam::111122223333:user/*"))),
        (principal(r#"{"Everybody": "*"}"#), NoPrincipal(text("*"))),
        (resource("arn:aws:s3:::c/*"), OtherBucket(text("arn:aws:s3:::c/*"))),
        (resource("arn:aws:s3:::bb"), OtherBucket(text("arn:aws:s3:::bb"))),
        (resource("arn:aws:s3:::c*"), OtherBucket(text("arn:aws:s3:::c*"))),
        (resource("arn:aws:kms:::key/k"), OtherBucket(text("arn:aws:kms:::key/k"))),
        (resource("arn:aws:s3:eu-west-1::b"), ForeignResource(text("arn:aws:s3:eu-west-1::b"))),
    ] {
        match BucketPolicy::parse("b", &document(&statement)) {
            Err(AccessError::Statement { problem, .. }) => assert_eq!(problem, expected, "{statement}"),
            other => panic!("{statement}: {other:?}"),
        }
    }
    for pattern in ["arn:aws:s3:::b", "arn:aws:s3:::b/*", "arn:aws:s3:::b*", "arn:aws:s3:::*", "arn:aws:s3:::?/k", "*"] {
        assert!(BucketPolicy::parse("b", &document(&resource(pattern))).is_ok(), "{pattern}");
    }
    assert!(matches!(BucketPolicy::parse("b", "{"), Err(AccessError::PolicyMalformed(_))));
}

#[test]
fn a_buckets_policy_needs_tags_and_locks_only_where_it_asks_for_them() {
    let asks = |key: &str| {
        format!(
            r#"{{"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "*", "Condition": {{"StringEquals": {{"{key}": "x"}}}}}}"#
        )
    };
    let alice = user("alice", None);
    for (statements, existing, given) in [
        (asks("aws:username"), false, false),
        (asks("s3:ExistingObjectTag/a"), true, false),
        (asks("s3:RequestObjectTag/a"), false, true),
        (asks("s3:object-lock-mode"), false, true),
        (asks("s3:object-lock-legal-hold"), false, true),
    ] {
        let rules = rules(&statements);
        assert_eq!(alice.needs_existing_tags(Some(&rules)), existing, "{statements}");
        assert_eq!(alice.needs_given_attributes(Some(&rules)), given, "{statements}");
    }
}

/// A statement by chance.
fn any_statement() -> impl Strategy<Value = (bool, String)> {
    let principals = [
        r#""Principal": "*""#,
        r#""Principal": {"AWS": "000000000000"}"#,
        r#""Principal": {"AWS": "111122223333"}"#,
        r#""Principal": {"AWS": "arn:aws:iam:::user/alice"}"#,
        r#""NotPrincipal": {"CanonicalUser": "eve"}"#,
    ];
    let actions = ["s3:*", "s3:Get*", "s3:PutObject", "s3:ListBucket"];
    let conditions = [
        "",
        r#", "Condition": {"Bool": {"aws:SecureTransport": true}}"#,
        r#", "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}"#,
    ];
    (any::<bool>(), 0..principals.len(), 0..actions.len(), 0..conditions.len()).prop_map(move |(allow, principal, action, condition)| {
        let effect = if allow { "Allow" } else { "Deny" };
        let resources = r#"["arn:aws:s3:::b", "arn:aws:s3:::b/*"]"#;
        let text = format!(
            r#"{{"Effect": "{effect}", {}, "Action": "{}", "Resource": {resources}{}}}"#,
            principals[principal], actions[action], conditions[condition]
        );
        (allow, text)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn one_more_deny_or_one_allow_less_never_allows_more(
        statements in proptest::collection::vec(any_statement(), 1..6),
        restricts_public in any::<bool>(),
        out in any::<prop::sample::Index>(),
    ) {
        let of = |statements: &[(bool, String)]| {
            let texts: Vec<_> = statements.iter().map(|(_, text)| text.as_str()).collect();
            BucketRules { restricts_public, ..rules(&texts.join(",")) }
        };
        let at = out.index(statements.len());
        let mut less = statements.clone();
        let (is_allow, _) = less.remove(at);
        // With the Deny there are more of them, without the Allow fewer: the first must never allow what the second does not.
        let (strict, loose) = if is_allow { (of(&less), of(&statements)) } else { (of(&statements), of(&less)) };
        let people = [user("alice", None), user("bob", Some(EVERYTHING)), foreigner(Some(EVERYTHING)), Identity::anonymous(), Identity::root("admin", secret()).unwrap()];
        for identity in &people {
            for action in [Action::GetObject, Action::PutObject, Action::ListBucket, Action::PutBucketPolicy] {
                for address in ["10.0.0.1", "192.0.2.1"] {
                    let conditions = Conditions::new(true).with(ConditionKey::SourceIp, address);
                    let may = |rules: &BucketRules| identity.may_in(Some(rules), None, action, &arn::object("b", "k"), &conditions) == Decision::Allow;
                    // What is public is a property of all statements: with one Allow less a policy may be public no more, and then is not restricted.
                    let same_kind = strict.policy.as_ref().map(BucketPolicy::is_public) == loose.policy.as_ref().map(BucketPolicy::is_public);
                    prop_assert!(!may(&strict) || may(&loose) || (restricts_public && !same_kind), "{} {action:?}", identity.name);
                }
            }
        }
    }
}
