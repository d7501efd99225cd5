//! What must hold of decisions about keys, whatever the documents say.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::testing::{alice, document, identity, policy};
use crate::{Resolved, SecretKey};

const ACCOUNTS: [&str; 3] = [MAIN_ACCOUNT, "111122223333", "444455556666"];
const ACTIONS: [Action; 5] = [Action::Decrypt, Action::GenerateDataKey, Action::DescribeKey, Action::PutKeyPolicy, Action::DisableKey];

/// A statement, with or without the principals that the policy of a key has.
fn any_statement(effect: &'static str, with_principal: bool) -> impl Strategy<Value = String> {
    let principals = [
        "*",
        "arn:aws:iam::000000000000:root",
        "arn:aws:iam::111122223333:root",
        "arn:aws:iam::111122223333:user/alice",
        "arn:aws:iam::444455556666:user/alice",
    ];
    let actions = ["kms:*", "kms:Decrypt", "kms:GenerateDataKey", "kms:D*", "*"];
    (select(principals.to_vec()), select(actions.to_vec())).prop_map(move |(principal, action)| {
        let principal = if with_principal { format!(r#""Principal": {{"AWS": "{principal}"}}, "#) } else { String::new() };
        format!(r#"{{"Effect": "{effect}", {principal}"Action": "{action}", "Resource": "*"}}"#)
    })
}

fn any_statements(with_principal: bool) -> impl Strategy<Value = Vec<String>> {
    let one = prop_oneof![3 => any_statement("Allow", with_principal), 1 => any_statement("Deny", with_principal)];
    prop::collection::vec(one, 1..4)
}

#[derive(Clone, Debug)]
struct Case {
    owner: &'static str,
    of_key: Vec<String>,
    grantees: Vec<&'static str>,
    account: &'static str,
    is_root: bool,
    of_identity: Vec<String>,
    boundary: Option<Vec<String>>,
    action: Action,
}

fn any_case() -> impl Strategy<Value = Case> {
    let grantees = ["arn:aws:iam::111122223333:user/alice", "arn:aws:iam::444455556666:root"];
    let of_key = (select(&ACCOUNTS[..]), any_statements(true), prop::collection::vec(select(grantees.to_vec()), 0..2));
    let of_caller = (select(&ACCOUNTS[..]), any::<bool>(), any_statements(false), prop::option::weighted(0.2, any_statements(false)));
    (of_key, of_caller, select(&ACTIONS[..])).prop_map(|((owner, of_key, grantees), (account, is_root, of_identity, boundary), action)| {
        Case { owner, of_key, grantees, account, is_root, of_identity, boundary, action }
    })
}

impl Case {
    fn rules(&self) -> KeyRules {
        let policy = KeyPolicy::parse(self.owner, &document(&self.of_key.join(","))).unwrap();
        let grant = |grantee: &&str| KeyGrant::new(self.owner, grantee, None, &["Decrypt", "DescribeKey"], None).unwrap();
        KeyRules { account: self.owner.to_owned(), policy, grants: self.grantees.iter().map(grant).collect() }
    }

    fn who(&self) -> Identity {
        if self.is_root {
            let secret = SecretKey::new("long enough".to_owned()).unwrap();
            let root = if self.account == MAIN_ACCOUNT {
                Identity::root("key", secret)
            } else {
                Identity::account_root("boss", "key", secret, self.account)
            };
            return root.unwrap();
        }
        identity(Resolved {
            name: format!("{}:alice", self.account),
            account: self.account.to_owned(),
            policies: vec![policy(&self.of_identity.join(","))],
            boundary: self.boundary.as_ref().map(|statements| policy(&statements.join(","))),
            ..alice()
        })
    }

    fn decide(&self) -> Decision {
        self.who().may_with_key(Some(&self.rules()), self.action, "k", &Conditions::new(true))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_further_deny_never_allows_more(case in any_case(), of_key in any_statement("Deny", true), of_identity in any_statement("Deny", false)) {
        let before = case.decide();
        let mut stricter = case.clone();
        stricter.of_key.push(of_key);
        prop_assert!(before == Decision::Allow || stricter.decide() != Decision::Allow);
        let mut stricter = case;
        stricter.of_identity.push(of_identity);
        prop_assert!(before == Decision::Allow || stricter.decide() != Decision::Allow);
    }

    #[test]
    fn a_further_allow_or_grant_never_allows_less(case in any_case(), of_key in any_statement("Allow", true), of_identity in any_statement("Allow", false)) {
        let before = case.decide();
        for change in [
            (|case: &mut Case, of_key: &str, _: &str| case.of_key.push(of_key.to_owned())) as fn(&mut Case, &str, &str),
            |case, _, of_identity| case.of_identity.push(of_identity.to_owned()),
            |case, _, _| case.grantees.push("arn:aws:iam::111122223333:user/alice"),
        ] {
            let mut opener = case.clone();
            change(&mut opener, &of_key, &of_identity);
            prop_assert!(before != Decision::Allow || opener.decide() == Decision::Allow);
        }
    }

    #[test]
    fn nobody_uses_a_key_that_neither_its_policy_nor_a_grant_opens(mut case in any_case()) {
        case.of_key.retain(|statement| statement.contains("Deny"));
        case.of_key.push(r#"{"Effect": "Allow", "Principal": {"AWS": "999999999999"}, "Action": "kms:*", "Resource": "*"}"#.to_owned());
        case.grantees.clear();
        let is_administration = case.is_root && case.account == MAIN_ACCOUNT && ADMINISTRATIVE.contains(&case.action);
        prop_assert!(is_administration || case.decide() != Decision::Allow);
    }

    #[test]
    fn another_account_without_a_right_of_its_own_gets_nothing(mut case in any_case()) {
        case.is_root = false;
        case.owner = ACCOUNTS[usize::from(case.account == ACCOUNTS[0])];
        case.of_identity = vec![r#"{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}"#.to_owned()];
        prop_assert_ne!(case.decide(), Decision::Allow);
    }
}
