//! What an identity has when layers limit it, by what it is, and why.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use proptest::prelude::*;

use crate::testing::{alice, all, document, identity, on, policy, session};
use crate::{
    AccessError, Action, BucketPolicy, BucketRules, Conditions, Decision, Identity, MAIN_ACCOUNT, Matched, Policy, PolicyKind, Principal,
    Resolved, TrustPolicy, arn,
};

use Decision::{Allow, ExplicitDeny, ImplicitDeny};

const OTHER: &str = "111122223333";

fn get(identity: &Identity) -> Decision {
    identity.may(Action::GetObject, &arn::object("b", "k"), &Conditions::new(true))
}

fn rules(account: &str, statements: &str) -> BucketRules {
    BucketRules {
        account: account.to_owned(),
        policy: Some(BucketPolicy::parse("b", &document(statements)).unwrap()),
        restricts_public: false,
        acl: None,
        prefers_bucket_owner: false,
        ignores_public_acls: false,
    }
}

fn open_to(principal: &str) -> String {
    format!(r#"{{"Effect": "Allow", "Principal": {principal}, "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*"}}"#)
}

fn get_in(identity: &Identity, rules: &BucketRules) -> Decision {
    identity.may_in(Some(rules), None, Action::GetObject, &arn::object("b", "k"), &Conditions::new(true))
}

#[test]
fn each_layer_that_is_there_must_allow_and_any_may_deny() {
    let (gives, denies) = (policy(&all("Allow", "s3:Get*")), policy(&all("Deny", "s3:GetObject")));
    let other = policy(&all("Allow", "s3:PutObject"));
    let of = |policies: &[&Arc<Policy>], boundary: Option<&Arc<Policy>>, session: &[&Arc<Policy>]| {
        let copy = |policies: &[&Arc<Policy>]| policies.iter().map(|policy| Arc::clone(policy)).collect();
        identity(Resolved { policies: copy(policies), boundary: boundary.cloned(), session: copy(session), ..alice() })
    };
    for (policies, boundary, session, expected) in [
        (vec![&gives], None, vec![], Allow),
        (vec![&gives], Some(&gives), vec![], Allow),
        (vec![&gives], Some(&other), vec![], ImplicitDeny),
        (vec![&gives], None, vec![&gives], Allow),
        (vec![&gives], None, vec![&other], ImplicitDeny),
        // One of a session's policies is enough.
        (vec![&gives], None, vec![&other, &gives], Allow),
        (vec![&gives], Some(&gives), vec![&other], ImplicitDeny),
        // What limits gives nothing.
        (vec![], Some(&gives), vec![&gives], ImplicitDeny),
        (vec![&other], Some(&gives), vec![], ImplicitDeny),
        (vec![&gives, &denies], None, vec![], ExplicitDeny),
        (vec![&gives], Some(&denies), vec![], ExplicitDeny),
        (vec![&gives], None, vec![&gives, &denies], ExplicitDeny),
    ] {
        assert_eq!(get(&of(&policies, boundary, &session)), expected, "{policies:?} {boundary:?} {session:?}");
        // Where a Deny is one of several it takes nothing from somewhere else.
        let somewhere = of(&policies, boundary, &session).may_somewhere(Action::GetObject, &Conditions::new(true));
        let only_denies = boundary.is_some_and(|boundary| Arc::ptr_eq(boundary, &denies));
        assert_eq!(somewhere, expected != ImplicitDeny && !only_denies, "{policies:?} {boundary:?} {session:?}");
    }
}

#[test]
fn a_bucket_lets_nobody_in_beyond_boundary_and_session() {
    let (reads, writes) = (policy(&all("Allow", "s3:GetObject")), policy(&all("Allow", "s3:PutObject")));
    let rules = rules(MAIN_ACCOUNT, &open_to("\"*\""));
    for (limit, expected) in [(&reads, Allow), (&writes, ImplicitDeny)] {
        assert_eq!(get_in(&identity(Resolved { boundary: Some(Arc::clone(limit)), ..alice() }), &rules), expected);
        assert_eq!(get_in(&identity(Resolved { session: vec![Arc::clone(limit)], ..alice() }), &rules), expected);
        let foreign = Resolved { account: OTHER.to_owned(), policies: vec![Arc::clone(&reads)], ..alice() };
        assert_eq!(get_in(&identity(Resolved { session: vec![Arc::clone(limit)], ..foreign }), &rules), expected);
    }
}

#[test]
fn a_bucket_means_roles_and_sessions_by_their_names() {
    let reads = vec![policy(&all("Allow", "s3:*"))];
    let is_let_in = |resolved: Resolved, principal: &str| {
        let identity = identity(Resolved { policies: reads.clone(), ..resolved });
        get_in(&identity, &rules("999999999999", &open_to(principal))) == Allow
    };
    for (principal, batch, other_session, other_role, other_account) in [
        (r#"{"AWS": "arn:aws:iam::111122223333:role/batch"}"#, true, true, false, false),
        (r#"{"AWS": "arn:aws:iam::111122223333:role/jobs/batch"}"#, true, true, false, false),
        (r#"{"AWS": "arn:aws:sts::111122223333:assumed-role/batch/night"}"#, true, false, false, false),
        (r#"{"AWS": "111122223333"}"#, true, true, true, false),
        (r#"{"AWS": "arn:aws:iam::111122223333:user/batch"}"#, false, false, false, false),
        (r#"{"CanonicalUser": "batch"}"#, false, false, false, false),
        (r#"{"Federated": "batch"}"#, false, false, false, false),
        (r#""*""#, true, true, true, true),
    ] {
        assert_eq!(is_let_in(session(OTHER, "batch", "night"), principal), batch, "{principal}");
        assert_eq!(is_let_in(session(OTHER, "batch", "day"), principal), other_session, "{principal}");
        assert_eq!(is_let_in(session(OTHER, "backup", "night"), principal), other_role, "{principal}");
        assert_eq!(is_let_in(session(MAIN_ACCOUNT, "batch", "night"), principal), other_account, "{principal}");
    }
    // Of two users of one name in two accounts the policy means that of the account it names.
    let carol = |account: &str, name: &str| Resolved {
        name: name.to_owned(),
        principal: Principal::User { path: "/".to_owned(), name: "carol".to_owned() },
        account: account.to_owned(),
        ..alice()
    };
    for (principal, of_main, of_other) in [
        (r#"{"AWS": "arn:aws:iam::111122223333:user/carol"}"#, false, true),
        (r#"{"AWS": "arn:aws:iam::000000000000:user/x/carol"}"#, true, false),
        // Without an account it is the name that is unique among all of them.
        (r#"{"AWS": "arn:aws:iam:::user/carol"}"#, true, false),
        // Users of the store go by their account.
        (r#"{"CanonicalUser": "carol"}"#, false, false),
        (r#"{"CanonicalUser": "root"}"#, true, false),
        (r#"{"CanonicalUser": "111122223333"}"#, false, true),
    ] {
        assert_eq!(is_let_in(carol(MAIN_ACCOUNT, "carol"), principal), of_main, "{principal}");
        assert_eq!(is_let_in(carol(OTHER, "carol.1111"), principal), of_other, "{principal}");
    }
    assert!(is_let_in(carol(MAIN_ACCOUNT, "carol/ASIA1"), r#"{"AWS": "arn:aws:iam:::user/carol"}"#));
    let federated = Resolved { principal: Principal::FederatedUser { name: "bob".to_owned() }, account: OTHER.to_owned(), ..alice() };
    assert!(is_let_in(federated, r#"{"AWS": "arn:aws:sts::111122223333:federated-user/bob"}"#));
}

#[test]
fn a_policy_sees_the_caller_as_it_is() {
    let token_issued_at = Some(1_893_499_200); // 2030-01-01T12:00:00Z
    let tags = vec![("team".to_owned(), "red".to_owned())];
    let claims = vec![
        ("IDP.example.org/A:sub".to_owned(), vec!["s-1".to_owned()]),
        ("jwt:groups".to_owned(), vec!["staff".to_owned(), "ops".to_owned()]),
        ("no claim".to_owned(), vec!["x".to_owned()]),
    ];
    let of_alice = Resolved { tags: tags.clone(), source_identity: Some("boss".to_owned()), token_issued_at, ..alice() };
    let of_session = Resolved { tags, claims, ..session(OTHER, "batch", "night") };
    let of_root = Resolved { name: "root-1".to_owned(), principal: Principal::Root, account: OTHER.to_owned(), ..alice() };
    let people = [identity(of_alice), identity(of_session), identity(of_root), Identity::anonymous()];
    for (condition, expected) in [
        (r#"{"StringEquals": {"aws:username": "alice"}}"#, [true, false, false, false]),
        (r#"{"Null": {"aws:username": "true"}}"#, [false, true, true, true]),
        (r#"{"StringEquals": {"aws:userid": ["AIDA1", "AROA1:night"]}}"#, [true, true, true, false]),
        (r#"{"ArnEquals": {"aws:PrincipalArn": "arn:aws:iam::000000000000:user/team/alice"}}"#, [true, false, false, false]),
        (r#"{"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/*"}}"#, [false, true, false, false]),
        (r#"{"ArnLike": {"aws:PrincipalArn": "arn:*:*:*:*:user/*"}}"#, [true, false, false, false]),
        (r#"{"ArnEquals": {"aws:PrincipalArn": "arn:aws:iam::${aws:PrincipalAccount}:root"}}"#, [false, false, true, false]),
        (r#"{"ArnLike": {"aws:PrincipalArn": "*"}}"#, [true, true, true, false]),
        (r#"{"StringEquals": {"aws:PrincipalAccount": "111122223333"}}"#, [false, true, true, false]),
        (r#"{"StringEquals": {"aws:PrincipalType": ["User", "Anonymous"]}}"#, [true, false, false, true]),
        (r#"{"StringEquals": {"aws:PrincipalType": ["AssumedRole", "Account"]}}"#, [false, true, true, false]),
        (r#"{"StringEquals": {"aws:PrincipalTag/team": "red"}}"#, [true, true, false, false]),
        // Tags of identities are the same in whatever case.
        (r#"{"StringEquals": {"aws:PrincipalTag/Team": "red"}}"#, [true, true, false, false]),
        (r#"{"StringEquals": {"aws:SourceIdentity": "boss"}}"#, [true, false, false, false]),
        (r#"{"DateGreaterThan": {"aws:TokenIssueTime": "2030-01-01T11:00:00Z"}}"#, [true, false, false, false]),
        (r#"{"Null": {"aws:MultiFactorAuthPresent": "true"}}"#, [true, true, true, true]),
        (r#"{"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}}"#, [true, true, true, true]),
        (r#"{"Bool": {"aws:MultiFactorAuthPresent": "false"}}"#, [false, false, false, false]),
        (r#"{"StringEquals": {"idp.example.org/A:sub": "s-1"}}"#, [false, true, false, false]),
        (r#"{"StringEquals": {"idp.example.org/a:sub": "s-1"}}"#, [false, false, false, false]),
        (r#"{"StringEquals": {"jwt:groups": "ops"}}"#, [false, true, false, false]),
        (r#"{"StringNotEquals": {"jwt:groups": "ops"}}"#, [true, false, true, true]),
        (r#"{"ForAnyValue:StringEquals": {"jwt:groups": ["ops", "x"]}}"#, [false, true, false, false]),
        (r#"{"ForAnyValue:StringNotEquals": {"jwt:groups": "ops"}}"#, [false, true, false, false]),
        (r#"{"ForAllValues:StringLike": {"jwt:groups": ["ops", "st*"]}}"#, [true, true, true, true]),
        (r#"{"ForAllValues:StringLike": {"jwt:groups": "ops"}}"#, [true, false, true, true]),
        (r#"{"ForAllValues:StringNotEquals": {"jwt:groups": "ops"}}"#, [true, false, true, true]),
        (r#"{"ForAnyValue:StringEqualsIfExists": {"jwt:groups": "x"}}"#, [true, false, true, true]),
        (r#"{"NumericLessThan": {"aws:PrincipalTag/team": "7"}}"#, [false, false, false, false]),
    ] {
        let statement = format!(
            r#"{{"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*", "Condition": {condition}}}"#
        );
        let rules = rules("999999999999", &statement);
        for (person, expected) in people.iter().zip(expected) {
            let said = person.explain(Some(&rules), None, Action::GetObject, &arn::object("b", "k"), &Conditions::new(true)).statements;
            assert_eq!(!said.is_empty(), expected, "{condition} {}", person.name);
        }
    }
}

#[test]
fn an_arn_is_compared_field_by_field() {
    for (value, pattern, fits) in [
        ("arn:aws:s3:::a:b:c", "arn:aws:*:*:*:a:b:c", true),
        ("arn:aws:s3:::a:b:c", "arn:aws:*:a:*:*", false),
        ("arn:aws:s3:::a:b:c", "arn:aws:s3:::*", true),
        ("arn:aws:s3:::a", "*", true),
        ("a", "*", true),
        ("a", "*:*:*:*:*:*", false),
    ] {
        let statement = format!(
            r#"{{"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {{"ArnEquals": {{"aws:PrincipalTag/v": "{pattern}"}}}}}}"#
        );
        let tags = vec![("v".to_owned(), value.to_owned())];
        let tagged = identity(Resolved { tags, policies: vec![policy(&statement)], ..alice() });
        assert_eq!(get(&tagged) == Allow, fits, "{value} {pattern}");
    }
}

#[test]
fn tags_of_a_request_and_of_its_resource_count_for_identities() {
    let with = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), "x".to_owned())).collect::<Vec<_>>();
    let decide = |condition: &str, action: Action, conditions: &Conditions| {
        let allow = format!(r#"{{"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {condition}}}"#);
        let identity = identity(Resolved { policies: vec![policy(&allow)], ..alice() });
        identity.may(action, &arn::user(MAIN_ACCOUNT, "/", "bob"), conditions) == Allow
    };
    let request = Conditions::new(true).with_request_tags(with(&["a", "b"])).with_existing_tags(with(&["c"]));
    for (condition, tagging, deleting, putting) in [
        (r#"{"StringEquals": {"aws:RequestTag/a": "x"}}"#, true, false, false),
        (r#"{"StringEquals": {"aws:RequestTag/c": "x"}}"#, false, false, false),
        (r#"{"ForAllValues:StringEquals": {"aws:TagKeys": ["a", "b", "z"]}, "Null": {"aws:TagKeys": "false"}}"#, true, false, false),
        (r#"{"ForAllValues:StringEquals": {"aws:TagKeys": ["a"]}, "Null": {"aws:TagKeys": "false"}}"#, false, false, false),
        (r#"{"ForAnyValue:StringEquals": {"aws:TagKeys": ["a", "z"]}}"#, true, false, false),
        (r#"{"StringEquals": {"aws:ResourceTag/c": "x"}}"#, true, true, false),
        (r#"{"StringEquals": {"iam:ResourceTag/c": "x"}}"#, true, true, false),
        (r#"{"StringEquals": {"s3:RequestObjectTag/a": "x"}}"#, false, false, true),
        (
            r#"{"ForAllValues:StringLike": {"s3:RequestObjectTagKeys": "?"}, "Null": {"s3:RequestObjectTagKeys": false}}"#,
            false,
            false,
            true,
        ),
        (r#"{"StringEquals": {"aws:ResourceAccount": "000000000000"}}"#, true, true, true),
        (r#"{"StringEquals": {"s3:ResourceAccount": "111122223333"}}"#, false, false, false),
    ] {
        assert_eq!(decide(condition, Action::TagUser, &request), tagging, "{condition}");
        assert_eq!(decide(condition, Action::DeleteUser, &request), deleting, "{condition}");
        assert_eq!(decide(condition, Action::PutObject, &request), putting, "{condition}");
    }
}

#[test]
fn a_variable_without_a_value_opens_nothing_even_where_it_is_negated() {
    let deny_or_allow = |effect: &str, rest: &str| {
        let statement = format!(r#"{{"Effect": "{effect}", "Action": "s3:GetObject", {rest}}}"#);
        let statements = if effect == "Deny" { format!("{}, {statement}", all("Allow", "s3:*")) } else { statement };
        get(&identity(Resolved { policies: vec![policy(&statements)], ..alice() }))
    };
    for (rest, of_allow, of_deny) in [
        (r#""Resource": "arn:aws:s3:::b/${aws:PrincipalTag/v}""#, ImplicitDeny, Allow),
        (r#""NotResource": "arn:aws:s3:::b/${aws:PrincipalTag/v}""#, ImplicitDeny, ExplicitDeny),
        (r#""NotResource": ["arn:aws:s3:::b/${aws:PrincipalTag/v}", "arn:aws:s3:::b/*"]"#, ImplicitDeny, Allow),
        (r#""Resource": "*", "Condition": {"StringNotEquals": {"aws:username": "${aws:PrincipalTag/v}"}}"#, ImplicitDeny, ExplicitDeny),
        (r#""Resource": "*", "Condition": {"StringNotLike": {"aws:username": "${aws:PrincipalTag/v}*"}}"#, ImplicitDeny, ExplicitDeny),
        (r#""Resource": "*", "Condition": {"StringEquals": {"aws:username": "${aws:PrincipalTag/v}"}}"#, ImplicitDeny, Allow),
        (r#""Resource": "*", "Condition": {"StringEquals": {"aws:username": ["${aws:PrincipalTag/v}", "alice"]}}"#, Allow, ExplicitDeny),
        (r#""Resource": "*", "Condition": {"StringEquals": {"aws:username": "${aws:PrincipalTag/v, 'alice'}"}}"#, Allow, ExplicitDeny),
    ] {
        assert_eq!(deny_or_allow("Allow", rest), of_allow, "{rest}");
        assert_eq!(deny_or_allow("Deny", rest), of_deny, "{rest}");
    }
}

#[test]
fn a_variable_asks_for_tags_as_a_condition_does() {
    for (resource, existing, given) in [
        ("arn:aws:s3:::b/${aws:username}", false, false),
        ("arn:aws:s3:::b/${s3:ExistingObjectTag/a}", true, false),
        ("arn:aws:s3:::b/${s3:RequestObjectTag/a}", false, true),
    ] {
        for limit in [false, true] {
            let said = policy(&on("Allow", "s3:*", resource));
            let resolved = if limit { Resolved { boundary: Some(said), ..alice() } } else { Resolved { policies: vec![said], ..alice() } };
            let identity = identity(resolved);
            assert_eq!(identity.needs_existing_tags(None), existing, "{resource}");
            assert_eq!(identity.needs_given_attributes(None), given, "{resource}");
        }
    }
    let text = r#"{"Effect": "Deny", "Action": "s3:*", "Resource": "*", "Condition": {"ForAnyValue:StringEquals": {"s3:RequestObjectTagKeys": "a"}}}"#;
    assert!(identity(Resolved { policies: vec![policy(text)], ..alice() }).needs_given_attributes(None));
    let read = Policy::parse(&document(&on("Allow", "s3:*", "arn:aws:s3:::b/${AWS:username}/${s3:prefix}"))).unwrap();
    assert_eq!(read.condition_keys(), ["aws:username", "s3:prefix"]);
}

#[test]
fn root_of_an_account_may_everything_in_it_and_nothing_beside_it() {
    let root = || Resolved { name: "root-1".to_owned(), principal: Principal::Root, account: OTHER.to_owned(), ..alice() };
    let of_account = identity(root());
    assert!(!of_account.is_root() && of_account.is_of_account(OTHER) && !of_account.is_of_account(MAIN_ACCOUNT));
    for action in Action::ALL {
        let (service, _) = action.as_str().split_once(':').unwrap();
        let expected = if ["s3", "iam", "sts"].contains(&service) { Allow } else { ImplicitDeny };
        assert_eq!(of_account.may(*action, &arn::user(OTHER, "/", "bob"), &Conditions::new(true)), expected, "{action:?}");
        assert_eq!(of_account.may_somewhere(*action, &Conditions::new(true)), expected == Allow, "{action:?}");
    }
    assert_eq!(of_account.may(Action::CreateUser, &arn::user(MAIN_ACCOUNT, "/", "bob"), &Conditions::new(true)), ImplicitDeny);
    let shut = r#"{"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": ["arn:aws:s3:::b", "arn:aws:s3:::b/*"]}"#;
    let put_policy = |identity: &Identity, rules: &BucketRules| {
        identity.may_in(Some(rules), None, Action::PutBucketPolicy, &arn::bucket("b"), &Conditions::new(true))
    };
    assert_eq!(get_in(&of_account, &rules(OTHER, &open_to(r#"{"AWS": "999999999999"}"#))), Allow);
    assert_eq!(get_in(&of_account, &rules(MAIN_ACCOUNT, &open_to(r#"{"AWS": "999999999999"}"#))), ImplicitDeny);
    assert_eq!(get_in(&of_account, &rules(MAIN_ACCOUNT, &open_to(r#"{"AWS": "111122223333"}"#))), Allow);
    assert_eq!(get_in(&of_account, &rules(OTHER, shut)), ExplicitDeny);
    assert_eq!(put_policy(&of_account, &rules(OTHER, shut)), Allow);
    assert_eq!(put_policy(&of_account, &rules(MAIN_ACCOUNT, shut)), ExplicitDeny);
    // Keys are a matter of policies.
    let with_keys = identity(Resolved { policies: vec![policy(&all("Allow", "kms:Decrypt"))], ..root() });
    assert_eq!(with_keys.may(Action::Decrypt, &arn::key("k"), &Conditions::new(true)), Allow);
    // A session of root has no more than its policy says, and cannot open a bucket again by itself.
    let limited = identity(Resolved { session: vec![policy(&all("Allow", "s3:GetObject"))], ..root() });
    assert_eq!(get(&limited), Allow);
    assert_eq!(put_policy(&limited, &rules(OTHER, shut)), ExplicitDeny);
}

#[test]
fn a_session_of_root_is_limited_by_its_policies() {
    let root = || Resolved { name: "root".to_owned(), principal: Principal::Root, ..alice() };
    assert!(identity(root()).is_root());
    let limited = identity(Resolved { session: vec![policy(&all("Allow", "s3:GetObject"))], ..root() });
    assert!(!limited.is_root() && limited.is_of_account(OTHER));
    assert_eq!(get(&limited), Allow);
    assert_eq!(limited.may(Action::PutObject, &arn::object("b", "k"), &Conditions::new(true)), ImplicitDeny);
    assert_eq!(limited.may(Action::BackupKeys, arn::KMS, &Conditions::new(true)), ImplicitDeny);
    assert_eq!(limited.may(Action::GetObject, "no arn", &Conditions::new(true)), ImplicitDeny);
    assert!(!limited.may_somewhere(Action::Decrypt, &Conditions::new(true)));
}

#[test]
fn an_account_administers_its_own_identities_alone() {
    let admin = |account: &str| identity(Resolved { account: account.to_owned(), policies: vec![policy(&all("Allow", "*"))], ..alice() });
    let create =
        |identity: &Identity, account: &str| identity.may(Action::CreateUser, &arn::user(account, "/", "bob"), &Conditions::new(true));
    assert_eq!(create(&admin(OTHER), OTHER), Allow);
    assert_eq!(create(&admin(OTHER), MAIN_ACCOUNT), ImplicitDeny);
    assert_eq!(create(&admin(MAIN_ACCOUNT), OTHER), ImplicitDeny);
    let read = |account: &str| admin(OTHER).may(Action::GetPolicy, &arn::policy(account, "/", "p"), &Conditions::new(true));
    assert_eq!((read("aws"), read(MAIN_ACCOUNT)), (Allow, ImplicitDeny));
    // A role may be another account's: its trust policy decides.
    assert_eq!(admin(OTHER).may(Action::AssumeRole, &arn::role(MAIN_ACCOUNT, "/", "r"), &Conditions::new(true)), Allow);
}

#[test]
fn what_is_no_identity_is_refused() {
    let refused = |resolved: Resolved| Identity::resolved(resolved).err().unwrap();
    assert!(matches!(refused(Resolved { name: "anonymous".to_owned(), ..alice() }), AccessError::InvalidName(_)));
    assert!(matches!(refused(Resolved { name: String::new(), ..alice() }), AccessError::InvalidName(_)));
    assert!(matches!(refused(Resolved { name: "root".to_owned(), ..alice() }), AccessError::InvalidName(_)));
    assert!(matches!(refused(Resolved { principal: Principal::Root, ..alice() }), AccessError::InvalidName(_)));
    assert!(matches!(refused(Resolved { principal: Principal::Anonymous, ..alice() }), AccessError::InvalidName(_)));
    assert!(matches!(refused(Resolved { account: "1".to_owned(), ..alice() }), AccessError::InvalidAccount(_)));
    assert!(matches!(refused(Resolved { access_key: "a/b".to_owned(), ..alice() }), AccessError::InvalidAccessKey { .. }));
    let some = policy(&all("Allow", "s3:*"));
    let of = |count: usize| Resolved { policies: vec![Arc::clone(&some); count], session: vec![Arc::clone(&some)], ..alice() };
    assert!(Identity::resolved(of(255)).is_ok());
    assert!(matches!(refused(of(256)), AccessError::TooManyPolicies { count: 257, max: 256 }));
}

#[test]
fn an_explanation_names_each_statement_that_applies_and_what_the_request_lacks() {
    let own = r#"{"Sid": "Read", "Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"},
        {"Effect": "Allow", "Action": "s3:PutObject", "Resource": "*", "Condition": {"StringEquals": {"s3:x-amz-acl": "private"}}},
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/${aws:PrincipalTag/team}/*",
         "Condition": {"StringEquals": {"s3:ExistingObjectTag/a": "x"}}}"#;
    let limit = Arc::new(Policy::parse(&document(&on("Deny", "s3:*", "arn:aws:s3:::b/k"))).unwrap().named("limit"));
    let own = Arc::new(Policy::parse(&document(own)).unwrap().named("own"));
    let alice = identity(Resolved { policies: vec![own], boundary: Some(limit), ..alice() });
    let rules = rules(MAIN_ACCOUNT, &open_to("\"*\""));
    let explained = alice.explain(Some(&rules), None, Action::GetObject, &arn::object("b", "k"), &Conditions::new(true));
    let matched =
        |kind, policy: &str, statement: &str, allows| Matched { kind, policy: policy.to_owned(), statement: statement.to_owned(), allows };
    assert_eq!(explained.decision, ExplicitDeny);
    assert_eq!(
        explained.statements,
        [
            matched(PolicyKind::Identity, "own", "Read", true),
            matched(PolicyKind::Boundary, "limit", "1", false),
            matched(PolicyKind::Bucket, "", "1", true)
        ]
    );
    assert_eq!(explained.missing_keys, ["aws:PrincipalTag/team", "s3:ExistingObjectTag/a"]);
    assert_eq!((explained.allowed_by_boundary, explained.allowed_by_session), (Some(false), None));
    // What a simulation supposes is there.
    let supposed = Conditions::new(true).supposing("aws:PrincipalTag/team", vec!["red".to_owned()]).unwrap();
    let supposed = supposed.supposing("s3:existingobjecttag/a", vec!["x".to_owned()]).unwrap();
    let explained = alice.explain(None, None, Action::GetObject, &arn::object("b", "red/k"), &supposed);
    let labels: Vec<_> = explained.statements.iter().map(|matched| matched.statement.as_str()).collect();
    assert_eq!((labels, explained.missing_keys.len()), (vec!["Read", "3"], 0));
    assert!(Conditions::new(true).supposing("aws:nothing", Vec::new()).is_none());
    // Of a role.
    let trust = TrustPolicy::parse(&document(
        r#"{"Sid": "Mine", "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::000000000000:user/alice"}, "Action": "sts:AssumeRole",
            "Condition": {"StringEqualsIfExists": {"sts:ExternalId": "x"}}}"#,
    ))
    .unwrap();
    let free = identity(crate::testing::alice());
    let explained = free.explain_assuming(&arn::role(MAIN_ACCOUNT, "/", "r"), &trust, Action::AssumeRole, &Conditions::new(true));
    assert_eq!((explained.decision, explained.statements), (Allow, vec![matched(PolicyKind::Trust, "", "Mine", true)]));
    assert_eq!(explained.missing_keys, ["sts:ExternalId"]);
}

/// A statement by chance.
fn any_statement() -> impl Strategy<Value = (bool, String)> {
    let actions = ["s3:*", "s3:Get*", "s3:PutObject", "*", "kms:Decrypt"];
    let resources = ["*", "arn:aws:s3:::b/*", "arn:aws:s3:::${aws:PrincipalTag/v}/*", "arn:aws:s3:::b/${aws:username}", "arn:aws:s3:::c*"];
    let conditions = [
        "",
        r#", "Condition": {"StringLike": {"aws:PrincipalTag/v": "${aws:username, '*'}*"}}"#,
        r#", "Condition": {"StringNotEquals": {"aws:PrincipalTag/v": "${aws:SourceIdentity}"}}"#,
        r#", "Condition": {"ForAllValues:StringEquals": {"jwt:groups": ["a", "b"]}}"#,
        r#", "Condition": {"Bool": {"aws:SecureTransport": true}}"#,
    ];
    (any::<bool>(), any::<bool>(), 0..actions.len(), 0..resources.len(), 0..conditions.len()).prop_map(
        move |(allow, negated, action, resource, condition)| {
            let effect = if allow { "Allow" } else { "Deny" };
            let not = if negated { "Not" } else { "" };
            let (action, resource, condition) = (actions[action], resources[resource], conditions[condition]);
            (allow, format!(r#"{{"Effect": "{effect}", "Action": "{action}", "{not}Resource": "{resource}"{condition}}}"#))
        },
    )
}

fn any_statements() -> impl Strategy<Value = Vec<(bool, String)>> {
    proptest::collection::vec(any_statement(), 1..5)
}

fn of_statements(statements: &[(bool, String)]) -> Option<Arc<Policy>> {
    let texts: Vec<_> = statements.iter().map(|(_, text)| text.as_str()).collect();
    (!texts.is_empty()).then(|| policy(&texts.join(",")))
}

/// Requests that tell such policies apart.
fn requests() -> Vec<(Action, String, Conditions)> {
    let mut requests = Vec::new();
    for (action, resource) in [
        (Action::GetObject, arn::object("b", "alice")),
        (Action::GetObject, arn::object("b", "k")),
        (Action::PutObject, arn::object("c", "k")),
        (Action::ListBucket, arn::bucket("b")),
        (Action::Decrypt, arn::key("k")),
    ] {
        for secure in [false, true] {
            requests.push((action, resource.clone(), Conditions::new(secure)));
        }
    }
    requests
}

fn tags_and_claims(tag: Option<&str>, groups: &[&str]) -> Resolved {
    let tags = tag.map(|value| ("v".to_owned(), value.to_owned())).into_iter().collect();
    let groups = groups.iter().map(|group| (*group).to_owned()).collect();
    Resolved { tags, claims: vec![("jwt:groups".to_owned(), groups)], ..alice() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn one_more_deny_or_one_allow_less_in_any_layer_never_allows_more(
        layers in [any_statements(), any_statements(), any_statements()],
        has_limits in [any::<bool>(), any::<bool>()],
        layer in 0..3_usize,
        at in any::<prop::sample::Index>(),
        tag in proptest::option::of(prop_oneof!["b", "c", "\\*", "alice"]),
    ) {
        let of = |layers: &[Vec<(bool, String)>; 3]| {
            let session = of_statements(&layers[2]).filter(|_| has_limits[1]).into_iter().collect();
            identity(Resolved {
                policies: of_statements(&layers[0]).into_iter().collect(),
                boundary: of_statements(&layers[1]).filter(|_| has_limits[0]),
                session,
                ..tags_and_claims(tag.as_deref(), &["a"])
            })
        };
        let at = at.index(layers[layer].len());
        let mut less = layers.clone();
        // Without its last statement a limit would be none.
        prop_assume!(layer == 0 || less[layer].len() > 1);
        let (is_allow, _) = less[layer].remove(at);
        let (strict, loose) = if is_allow { (of(&less), of(&layers)) } else { (of(&layers), of(&less)) };
        for (action, resource, conditions) in requests() {
            let may = |identity: &Identity| identity.may(action, &resource, &conditions) == Allow;
            prop_assert!(!may(&strict) || may(&loose), "{action:?} {resource}");
        }
    }

    #[test]
    fn a_session_never_has_more_than_its_role_nor_a_bounded_one_more_than_its_boundary(
        role in any_statements(),
        limit in any_statements(),
        bucket in proptest::option::of(prop_oneof![r#""\*""#, r#"\{"AWS": "111122223333"\}"#]),
        tag in proptest::option::of(prop_oneof!["b", "c", "\\*"]),
    ) {
        let base = || Resolved { policies: of_statements(&role).into_iter().collect(), ..tags_and_claims(tag.as_deref(), &["a", "c"]) };
        let limit = of_statements(&limit).unwrap();
        let free = identity(base());
        let within = identity(Resolved { policies: vec![Arc::clone(&limit)], ..tags_and_claims(tag.as_deref(), &["a", "c"]) });
        let rules = bucket.map(|principal| rules(MAIN_ACCOUNT, &open_to(&principal)));
        for limited in [
            identity(Resolved { session: vec![Arc::clone(&limit)], ..base() }),
            identity(Resolved { boundary: Some(Arc::clone(&limit)), ..base() }),
        ] {
            for (action, resource, conditions) in requests() {
                let in_bucket = rules.as_ref().filter(|_| resource.starts_with("arn:aws:s3:::b"));
                let may = |identity: &Identity| identity.may_in(in_bucket, None, action, &resource, &conditions);
                prop_assert!(may(&limited) != Allow || may(&free) == Allow, "{action:?} {resource}");
                prop_assert!(may(&limited) != Allow || within.may(action, &resource, &conditions) == Allow, "{action:?} {resource}");
                let explained = limited.explain(in_bucket, None, action, &resource, &conditions);
                prop_assert_eq!(explained.decision, may(&limited));
                let denies = explained.statements.iter().any(|matched| !matched.allows);
                prop_assert_eq!(denies, explained.decision == ExplicitDeny);
            }
        }
    }
}
