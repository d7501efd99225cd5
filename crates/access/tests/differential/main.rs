//! The evaluator against two others: one written here over the JSON itself, for the whole language, and `iam-rs` for what both mean the same by.
//!
//! `iam-rs` differs from IAM, or from this server's reading of it, in these points, which its share of the alphabet leaves out: values of
//! variables may have wildcards, a variable without a value is an empty text, conditions have no variables, `ArnEquals` takes no
//! wildcards, ARNs in conditions are compared as wholes, sets have no `IfExists`, a list passes a `Not…` operator if one value does, and a
//! star of a pattern is only a star where the text has one.

mod alphabet;
mod naive;

use alphabet::{Asked, Language, any_asked, any_document};
use iam_rs::{Arn, Context, ContextValue, IAMPolicy, IAMRequest, Principal, PrincipalId, evaluate_policy};
use proptest::prelude::*;
use serde_json::Value;
use strongroom_access::Decision;

fn ours(document: &Value, asked: &Asked) -> Decision {
    asked.identity(document).may(asked.action, &asked.resource, &asked.conditions())
}

fn theirs(document: &Value, asked: &Asked) -> Decision {
    let mut context = Context::new();
    for (key, values) in asked.naive().keys {
        let is_list = ["jwt:groups", "aws:tagkeys", "s3:requestobjecttagkeys"].contains(&key.as_str());
        let value = match (key.as_str(), values.as_slice()) {
            (_, values) if is_list => ContextValue::StringList(values.to_vec()),
            ("aws:securetransport", _) => ContextValue::Boolean(asked.secure),
            (_, [value]) => ContextValue::String(value.clone()),
            (key, values) => panic!("{key}: {values:?}"),
        };
        context.insert(key, value);
    }
    let policy = IAMPolicy::from_json(&document.to_string()).unwrap_or_else(|error| panic!("{error}: {document}"));
    let principal = Principal::Aws(PrincipalId::String("arn:aws:iam::000000000000:user/alice".to_owned()));
    let resource = Arn::parse(&asked.resource).expect("it is an ARN");
    let request = IAMRequest::new_with_context(principal, asked.action.as_str(), resource, context);
    match evaluate_policy(&policy, &request).unwrap_or_else(|error| panic!("{error}: {document}")) {
        iam_rs::Decision::Allow => Decision::Allow,
        iam_rs::Decision::Deny => Decision::ExplicitDeny,
        iam_rs::Decision::NotApplicable => Decision::ImplicitDeny,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_policy_means_what_its_json_says(document in any_document(Language::All), asked in any_asked(Language::All)) {
        prop_assert_eq!(ours(&document, &asked), naive::decide(&document, &asked.naive()), "{}", document);
    }

    #[test]
    fn a_policy_means_what_iam_rs_says(document in any_document(Language::Common), asked in any_asked(Language::Common)) {
        prop_assert_eq!(ours(&document, &asked), theirs(&document, &asked), "{}", document);
    }
}

/// Otherwise they would agree on nothing but refusals.
#[test]
fn the_alphabet_has_allows_and_denies_of_both_kinds() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    for language in [Language::All, Language::Common] {
        let mut counts = [0; 3];
        for _ in 0..1000 {
            let case = (any_document(language), any_asked(language)).new_tree(&mut runner).expect("a case").current();
            counts[ours(&case.0, &case.1) as usize] += 1;
        }
        assert!(counts.iter().all(|count| *count > 100), "{language:?}: {counts:?}");
    }
}
