//! The decision about keys, case by case.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use super::*;
use crate::testing::{alice, all, document, identity, policy, session};
use crate::{AccessError, ConditionKey, Policy, Principal, Resolved, SecretKey, StatementProblem};

const A: &str = "111122223333";
const B: &str = "444455556666";

fn user(account: &str, statements: Option<&str>) -> Identity {
    let name = if account == MAIN_ACCOUNT { "alice".to_owned() } else { format!("{account}:alice") };
    identity(Resolved { account: account.to_owned(), name, policies: statements.map(policy).into_iter().collect(), ..alice() })
}

fn root(account: &str) -> Identity {
    let secret = SecretKey::new("long enough".to_owned()).unwrap();
    if account == MAIN_ACCOUNT { Identity::root("root-key", secret) } else { Identity::account_root("boss", "boss-key", secret, account) }
        .unwrap()
}

fn rules(account: &str, statements: &str) -> KeyRules {
    KeyRules { account: account.to_owned(), policy: KeyPolicy::parse(account, &document(statements)).unwrap(), grants: Vec::new() }
}

fn to(effect: &str, principal: &str, action: &str) -> String {
    format!(r#"{{"Effect": "{effect}", "Principal": {{"AWS": "{principal}"}}, "Action": "{action}", "Resource": "*"}}"#)
}

fn account(account: &str) -> String {
    format!("arn:aws:iam::{account}:root")
}

fn may(who: &Identity, rules: &KeyRules, action: Action) -> Decision {
    who.may_with_key(Some(rules), action, "k", &Conditions::new(true))
}

const ALLOW: Decision = Decision::Allow;
const IMPLICIT: Decision = Decision::ImplicitDeny;
const EXPLICIT: Decision = Decision::ExplicitDeny;

#[test]
fn policies_of_identities_count_only_where_the_key_s_policy_leaves_it_to_the_account() {
    let (with, without) = (user(A, Some(&all("Allow", "kms:*"))), user(A, None));
    let delegating = rules(A, &to("Allow", &account(A), "kms:*"));
    assert_eq!((may(&with, &delegating, Action::Decrypt), may(&without, &delegating, Action::Decrypt)), (ALLOW, IMPLICIT));
    let closed = rules(A, &to("Allow", &format!("arn:aws:iam::{A}:role/other"), "kms:*"));
    assert_eq!((may(&with, &closed, Action::Decrypt), may(&without, &closed, Action::Decrypt)), (IMPLICIT, IMPLICIT));
    let naming = rules(A, &to("Allow", &format!("arn:aws:iam::{A}:user/alice"), "kms:Decrypt"));
    assert_eq!((may(&without, &naming, Action::Decrypt), may(&without, &naming, Action::GenerateDataKey)), (ALLOW, IMPLICIT));
}

#[test]
fn root_of_the_account_has_what_the_policy_leaves_to_the_account_and_no_more() {
    let delegating =
        KeyRules { policy: KeyPolicy::parse(A, &KeyPolicy::default_document(A)).unwrap(), ..rules(A, &to("Deny", "*", "kms:*")) };
    for action in [Action::Decrypt, Action::GenerateDataKey, Action::PutKeyPolicy, Action::CreateGrant, Action::DeleteKeyNow] {
        assert_eq!(may(&root(A), &delegating, action), ALLOW, "{action:?}");
        assert_eq!(may(&root(B), &delegating, action), IMPLICIT, "{action:?}");
    }
    assert_eq!(may(&root(A), &rules(A, &to("Allow", &account(B), "kms:*")), Action::Decrypt), IMPLICIT);
    assert_eq!(may(&root(A), &delegating, Action::DeleteLockedKey), IMPLICIT, "a lock is not the account's to break");
}

#[test]
fn another_account_needs_both() {
    let (with, without) = (user(B, Some(&all("Allow", "kms:*"))), user(B, None));
    for principal in [account(B), format!("arn:aws:iam::{B}:user/alice"), "*".to_owned()] {
        let opened = rules(A, &to("Allow", &principal, "kms:Decrypt"));
        assert_eq!((may(&with, &opened, Action::Decrypt), may(&without, &opened, Action::Decrypt)), (ALLOW, IMPLICIT), "{principal}");
    }
    let closed = rules(A, &to("Allow", &account(A), "kms:Decrypt"));
    assert_eq!((may(&with, &closed, Action::Decrypt), may(&without, &closed, Action::Decrypt)), (IMPLICIT, IMPLICIT));
}

#[test]
fn an_explicit_deny_of_either_side_beats_everything() {
    let allows = to("Allow", &account(A), "kms:*");
    let denies = |principal: &str| rules(A, &format!("{allows}, {}", to("Deny", principal, "kms:Decrypt")));
    let with = user(A, Some(&all("Allow", "kms:*")));
    for principal in ["*".to_owned(), account(A), format!("arn:aws:iam::{A}:user/alice")] {
        assert_eq!(may(&with, &denies(&principal), Action::Decrypt), EXPLICIT, "{principal}");
        assert_eq!(may(&with, &denies(&principal), Action::GenerateDataKey), ALLOW);
    }
    assert_eq!(may(&root(A), &denies("*"), Action::Decrypt), EXPLICIT);
    let own = user(A, Some(&format!("{}, {}", all("Allow", "kms:*"), all("Deny", "kms:Decrypt"))));
    assert_eq!(may(&own, &rules(A, &allows), Action::Decrypt), EXPLICIT);
    let granted = KeyRules { grants: vec![KeyGrant::new(A, &account(A), None, &["Decrypt"], None).unwrap()], ..denies("*") };
    assert_eq!(may(&with, &granted, Action::Decrypt), EXPLICIT);
}

#[test]
fn the_store_s_root_administers_a_key_of_another_account_and_does_not_use_it() {
    let shut = rules(A, &format!("{}, {}", to("Allow", &account(A), "kms:*"), to("Deny", "*", "kms:*")));
    let root = root(MAIN_ACCOUNT);
    for action in Action::ALL.iter().filter(|action| action.as_str().starts_with("kms:")) {
        let expected = if ADMINISTRATIVE.contains(action) { ALLOW } else { EXPLICIT };
        assert_eq!(may(&root, &shut, *action), expected, "{action:?}");
    }
    let delegating = rules(A, &to("Allow", &account(A), "kms:*"));
    for action in [Action::Decrypt, Action::GenerateDataKey, Action::PutKeyPolicy, Action::CreateGrant, Action::RevokeGrant] {
        assert_eq!(may(&root, &delegating, action), IMPLICIT, "{action:?}");
        let admin = user(MAIN_ACCOUNT, Some(&all("Allow", "*")));
        assert_eq!(may(&admin, &delegating, action), IMPLICIT, "{action:?}");
    }
    let opened = rules(A, &to("Allow", &account(MAIN_ACCOUNT), "kms:Decrypt"));
    assert_eq!(may(&root, &opened, Action::Decrypt), ALLOW, "the owner may open it");
}

#[test]
fn root_has_no_use_of_a_key_of_the_main_account_whose_policy_does_not_leave_it_to_the_account() {
    let of_alice = rules(MAIN_ACCOUNT, &to("Allow", "arn:aws:iam:::user/alice", "kms:Decrypt"));
    assert_eq!(
        (may(&root(MAIN_ACCOUNT), &of_alice, Action::Decrypt), may(&user(MAIN_ACCOUNT, None), &of_alice, Action::Decrypt)),
        (IMPLICIT, ALLOW)
    );
}

#[test]
fn a_name_without_an_account_is_one_of_the_key_s_account() {
    let of_alice = rules(A, &to("Allow", "arn:aws:iam:::user/alice", "kms:Decrypt"));
    assert_eq!(may(&user(A, None), &of_alice, Action::Decrypt), ALLOW);
    assert_eq!(may(&user(MAIN_ACCOUNT, Some(&all("Allow", "kms:*"))), &of_alice, Action::Decrypt), IMPLICIT);
    let of_root = rules(A, &to("Allow", "arn:aws:iam:::root", "kms:Decrypt"));
    assert_eq!((may(&root(A), &of_root, Action::Decrypt), may(&root(MAIN_ACCOUNT), &of_root, Action::Decrypt)), (ALLOW, IMPLICIT));
}

#[test]
fn boundary_and_session_narrow_what_a_key_gives() {
    let naming = rules(A, &to("Allow", "*", "kms:*"));
    let bounded =
        identity(Resolved { account: A.to_owned(), name: format!("{A}:alice"), boundary: Some(policy(&all("Allow", "s3:*"))), ..alice() });
    assert_eq!(may(&bounded, &naming, Action::Decrypt), IMPLICIT);
    let narrowed = identity(Resolved { session: vec![policy(&all("Allow", "kms:Decrypt"))], ..session(A, "role", "s") });
    assert_eq!((may(&narrowed, &naming, Action::Decrypt), may(&narrowed, &naming, Action::GenerateDataKey)), (ALLOW, IMPLICIT));
    let root =
        identity(Resolved { name: "root".to_owned(), principal: Principal::Root, session: vec![policy(&all("Allow", "s3:*"))], ..alice() });
    assert_eq!(may(&root, &naming, Action::DisableKey), IMPLICIT, "a session of root that may not administer does not");
}

#[test]
fn nobody_uses_a_key_without_a_signature() {
    let open = rules(A, &to("Allow", "*", "kms:*"));
    let vouched = Identity::vouched_for("idp.example.org", Vec::new());
    for who in [Identity::anonymous(), vouched] {
        assert_eq!(may(&who, &open, Action::Decrypt), IMPLICIT);
    }
}

#[test]
fn conditions_of_a_key_policy_see_the_encryption_context_and_the_service() {
    let conditional = |condition: &str| {
        let statement = format!(r#"{{"Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*", "Condition": {condition}}}"#);
        rules(A, &statement)
    };
    let context: BTreeMap<_, _> = [("team".to_owned(), "a".to_owned()), ("aws:s3:arn".to_owned(), "arn:aws:s3:::b/k".to_owned())].into();
    let via_s3 = Conditions::new(true).with_encryption_context(&context).with(ConditionKey::ViaService, VIA_S3);
    let direct = Conditions::new(true);
    let who = user(A, None);
    for (condition, action, by_s3, by_itself) in [
        (r#"{"StringEquals": {"kms:EncryptionContext:team": "a"}}"#, Action::Decrypt, ALLOW, IMPLICIT),
        (r#"{"StringEquals": {"kms:EncryptionContext:team": "b"}}"#, Action::Decrypt, IMPLICIT, IMPLICIT),
        (r#"{"StringLike": {"kms:EncryptionContext:aws:s3:arn": "arn:aws:s3:::b/*"}}"#, Action::Decrypt, ALLOW, IMPLICIT),
        (r#"{"ForAnyValue:StringEquals": {"kms:EncryptionContextKeys": "team"}}"#, Action::GenerateDataKey, ALLOW, IMPLICIT),
        (r#"{"StringEquals": {"kms:ViaService": "s3.us-east-1.amazonaws.com"}}"#, Action::Decrypt, ALLOW, IMPLICIT),
        (r#"{"StringEquals": {"kms:ViaService": "s3.us-east-1.amazonaws.com"}}"#, Action::PutKeyPolicy, IMPLICIT, IMPLICIT),
        (r#"{"StringEquals": {"kms:CallerAccount": "111122223333"}}"#, Action::Decrypt, ALLOW, ALLOW),
        (r#"{"StringEquals": {"kms:CallerAccount": "000000000000"}}"#, Action::Decrypt, IMPLICIT, IMPLICIT),
        (r#"{"StringEquals": {"aws:ResourceAccount": "111122223333"}}"#, Action::Decrypt, ALLOW, ALLOW),
    ] {
        let decided = |conditions| who.may_with_key(Some(&conditional(condition)), action, "k", conditions);
        assert_eq!((decided(&via_s3), decided(&direct)), (by_s3, by_itself), "{condition}");
    }
}

#[test]
fn a_key_without_rules_is_decided_about_by_the_policies_of_who_asks() {
    let with = user(MAIN_ACCOUNT, Some(&all("Allow", "kms:Decrypt")));
    for who in [&with, &user(MAIN_ACCOUNT, None), &root(MAIN_ACCOUNT), &root(A)] {
        let as_before = who.may(Action::Decrypt, &arn::key("k"), &Conditions::new(true));
        assert_eq!(who.may_with_key(None, Action::Decrypt, "k", &Conditions::new(true)), as_before);
    }
}

#[test]
fn the_account_of_a_key_stands_in_its_arn() {
    let of = |resource: &str| user(A, Some(&crate::testing::on("Allow", "kms:*", resource)));
    let delegating = rules(A, &to("Allow", &account(A), "kms:*"));
    for (resource, expected) in [
        ("arn:aws:kms:::key/k", ALLOW),
        ("arn:aws:kms:us-east-1:111122223333:key/k", ALLOW),
        ("arn:aws:kms:us-east-1:*:key/*", ALLOW),
        ("arn:aws:kms:us-east-1:000000000000:key/k", IMPLICIT),
        ("arn:aws:kms:::key/other", IMPLICIT),
    ] {
        assert_eq!(may(&of(resource), &delegating, Action::Decrypt), expected, "{resource}");
    }
}

#[test]
fn keys_are_made_for_one_s_own_account_or_by_the_main_one() {
    let may = |who: &Identity, account: &str| who.authorize_with_keys_of(account, Action::CreateKey, "*", &Conditions::new(true)).is_ok();
    let with = Some(all("Allow", "kms:CreateKey"));
    for (who, expected) in [
        (root(MAIN_ACCOUNT), [true, true]),
        (user(MAIN_ACCOUNT, with.as_deref()), [true, true]),
        (user(MAIN_ACCOUNT, None), [false, false]),
        (root(A), [true, false]),
        (user(A, with.as_deref()), [true, false]),
        (user(A, None), [false, false]),
        (root(B), [false, false]),
    ] {
        assert_eq!([may(&who, A), may(&who, MAIN_ACCOUNT)], expected, "{}", who.name);
    }
}

#[test]
fn what_is_no_key_policy_is_refused() {
    let refused = |statement: &str| match KeyPolicy::parse(A, &document(statement)) {
        Err(AccessError::Statement { problem, .. }) => problem,
        other => panic!("{statement}: {other:?}"),
    };
    let with = |rest: &str| format!(r#"{{"Effect": "Allow", {rest}}}"#);
    assert_eq!(
        refused(&with(r#""Principal": "*", "Action": "kms:*", "Resource": "arn:aws:kms:::key/k""#)),
        StatementProblem::ResourceOfKey
    );
    assert_eq!(refused(&with(r#""Principal": "*", "Action": "kms:*""#)), StatementProblem::ResourceOfKey);
    assert_eq!(refused(&with(r#""Principal": "*", "Action": "kms:*", "NotResource": "*""#)), StatementProblem::ResourceOfKey);
    let foreign = refused(&with(r#""Principal": "*", "Action": "s3:GetObject", "Resource": "*""#));
    assert_eq!(foreign, StatementProblem::ActionOfKey("s3:GetObject".to_owned()));
    assert_eq!(refused(&with(r#""Action": "kms:*", "Resource": "*""#)), StatementProblem::EitherOr("Principal"));
    let long = format!("{} ", document(&to("Allow", "*", "kms:*"))).repeat(1) + &" ".repeat(32 * 1024);
    assert!(matches!(KeyPolicy::parse(A, &long), Err(AccessError::PolicyTooLarge { max_bytes: 32_768, .. })));
    assert!(Policy::parse(&document(&to("Allow", "*", "kms:*"))).is_err(), "an identity's policy has no principal");
}
