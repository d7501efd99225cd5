//! Grants, one by one.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use super::*;
use crate::testing::{alice, identity, session};
use crate::{MAIN_ACCOUNT, Resolved};

const ALICE: &str = "arn:aws:iam::000000000000:user/team/alice";

fn grant(grantee: &str, operations: &[&str], constraint: Option<GrantConstraint>) -> Result<KeyGrant, GrantProblem> {
    KeyGrant::new(MAIN_ACCOUNT, grantee, None, operations, constraint)
}

fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn what_is_no_grant_is_refused() {
    let some = Some(GrantConstraint::Subset(pairs(&[("team", "a")])));
    assert_eq!(grant("alice", &["Decrypt"], None).unwrap_err(), GrantProblem::NoPrincipal("alice".to_owned()));
    assert_eq!(grant("*", &["Decrypt"], None).unwrap_err(), GrantProblem::NoPrincipal("*".to_owned()));
    assert_eq!(grant(ALICE, &["CreateGrant"], None).unwrap_err(), GrantProblem::NoOperation("CreateGrant".to_owned()));
    assert_eq!(grant(ALICE, &["decrypt"], None).unwrap_err(), GrantProblem::NoOperation("decrypt".to_owned()));
    assert_eq!(grant(ALICE, &[], None).unwrap_err(), GrantProblem::NoOperations);
    assert_eq!(grant(ALICE, &["DescribeKey"], some).unwrap_err(), GrantProblem::ConstraintOfNothing);
    let empty = Some(GrantConstraint::Equals(BTreeMap::new()));
    assert_eq!(grant(ALICE, &["Decrypt"], empty).unwrap_err(), GrantProblem::ConstraintSize);
    let many: Vec<String> = (0..9).map(|number| number.to_string()).collect();
    let many = many.iter().map(|name| (name.clone(), "x".to_owned())).collect();
    assert_eq!(grant(ALICE, &["Decrypt"], Some(GrantConstraint::Subset(many))).unwrap_err(), GrantProblem::ConstraintSize);
}

#[test]
fn a_grant_gives_its_operations_to_whom_it_names() {
    let (alice, bob) = (identity(alice()), identity(Resolved { name: "bob".to_owned(), ..session(MAIN_ACCOUNT, "bob", "s") }));
    let conditions = Conditions::new(true);
    let to_alice = grant(ALICE, &["Decrypt"], None).unwrap();
    assert_eq!(to_alice.gives(&alice, Action::Decrypt, &conditions), Meant::Directly);
    assert_eq!(to_alice.gives(&alice, Action::GenerateDataKey, &conditions), Meant::Not);
    assert_eq!(to_alice.gives(&bob, Action::Decrypt, &conditions), Meant::Not);
    let to_account = grant("arn:aws:iam::000000000000:root", &["Decrypt"], None).unwrap();
    assert_eq!(to_account.gives(&bob, Action::Decrypt, &conditions), Meant::AsOfAccount);
    let to_name = grant("arn:aws:iam:::user/alice", &["Decrypt"], None).unwrap();
    assert_eq!(to_name.gives(&alice, Action::Decrypt, &conditions), Meant::Directly);
    let elsewhere = KeyGrant::new("111122223333", "arn:aws:iam:::user/alice", None, &["Decrypt"], None).unwrap();
    assert_eq!(elsewhere.gives(&alice, Action::Decrypt, &conditions), Meant::Not, "the name is one of the key's account");
}

#[test]
fn a_constraint_is_about_the_encryption_context() {
    let alice = identity(alice());
    let asked = |context: &[(&str, &str)]| Conditions::new(true).with_encryption_context(&pairs(context));
    let subset = grant(ALICE, &["Decrypt", "DescribeKey"], Some(GrantConstraint::Subset(pairs(&[("team", "a")])))).unwrap();
    let equal = grant(ALICE, &["Decrypt"], Some(GrantConstraint::Equals(pairs(&[("team", "a")])))).unwrap();
    for (context, by_subset, by_equal) in [
        (&[("team", "a")][..], Meant::Directly, Meant::Directly),
        (&[("team", "a"), ("aws:s3:arn", "x")], Meant::Directly, Meant::Not),
        (&[("team", "b")], Meant::Not, Meant::Not),
        (&[("Team", "a")], Meant::Not, Meant::Not),
        (&[], Meant::Not, Meant::Not),
    ] {
        assert_eq!(subset.gives(&alice, Action::Decrypt, &asked(context)), by_subset, "{context:?}");
        assert_eq!(equal.gives(&alice, Action::Decrypt, &asked(context)), by_equal, "{context:?}");
    }
    assert_eq!(subset.gives(&alice, Action::DescribeKey, &asked(&[])), Meant::Directly, "what has no context is not constrained");
}

#[test]
fn a_grant_is_retired_by_whom_it_names_for_that() {
    let (alice, session) = (identity(alice()), identity(session(MAIN_ACCOUNT, "jobs", "nightly")));
    let jobs = "arn:aws:iam::000000000000:role/jobs/jobs";
    let named = KeyGrant::new(MAIN_ACCOUNT, ALICE, Some(jobs), &["Decrypt"], None).unwrap();
    assert!(named.may_be_retired_by(&session) && !named.may_be_retired_by(&alice));
    let own = grant(ALICE, &["Decrypt", "RetireGrant"], None).unwrap();
    assert!(own.may_be_retired_by(&alice) && !own.may_be_retired_by(&session));
}
