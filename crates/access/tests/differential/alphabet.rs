//! Policies and requests by chance, over an alphabet that is small enough for them to meet.

use std::collections::HashMap;

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};
use strongroom_access::{Action, ConditionKey, Conditions, Identity, MAIN_ACCOUNT, Policy, Principal, Resolved, SecretKey, arn};

use crate::naive;

/// A request, for each of the evaluators.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) action: Action,
    pub(crate) resource: String,
    pub(crate) tag: Option<String>,
    pub(crate) groups: Vec<String>,
    pub(crate) names: Vec<String>,
    pub(crate) prefix: Option<String>,
    pub(crate) max_keys: Option<u32>,
    pub(crate) address: String,
    pub(crate) secure: bool,
}

/// Which part of the language there is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Language {
    All,
    /// What `iam-rs` means the same by: see `main.rs`.
    Common,
}

const ALICE: &str = "arn:aws:iam::000000000000:user/alice";

impl Asked {
    pub(crate) fn identity(&self, document: &Value) -> Identity {
        let policy = Policy::parse(&document.to_string()).unwrap_or_else(|error| panic!("{error}: {document}"));
        Identity::resolved(Resolved {
            name: "alice".to_owned(),
            principal: Principal::User { path: "/".to_owned(), name: "alice".to_owned() },
            account: MAIN_ACCOUNT.to_owned(),
            access_key: "AKALICE".to_owned(),
            secret: SecretKey::new("long enough".to_owned()).expect("it is long enough"),
            user_id: "AIDA".to_owned(),
            tags: self.tag.iter().map(|value| ("t".to_owned(), value.clone())).collect(),
            claims: vec![("jwt:groups".to_owned(), self.groups.clone())],
            source_identity: None,
            token_issued_at: None,
            policies: vec![policy.into()],
            boundary: None,
            session: Vec::new(),
        })
        .expect("alice is an identity")
    }

    pub(crate) fn conditions(&self) -> Conditions {
        Conditions::new(self.secure)
            .with(ConditionKey::SourceIp, self.address.clone())
            .with_some(ConditionKey::Prefix, self.prefix.clone())
            .with_some(ConditionKey::MaxKeys, self.max_keys.map(|keys| keys.to_string()))
            .with_request_tags(self.names.iter().map(|name| (name.clone(), "x".to_owned())).collect())
    }

    /// The same by the names of keys, each for the actions that have it.
    pub(crate) fn naive(&self) -> naive::Request {
        let mut keys = HashMap::from([
            ("aws:username", vec!["alice".to_owned()]),
            ("aws:principalarn", vec![ALICE.to_owned()]),
            ("aws:sourceip", vec![self.address.clone()]),
            ("aws:securetransport", vec![self.secure.to_string()]),
            ("jwt:groups", self.groups.clone()),
        ]);
        keys.extend(self.tag.iter().map(|tag| ("aws:principaltag/t", vec![tag.clone()])));
        match self.action {
            Action::ListBucket => {
                keys.extend(self.prefix.iter().map(|prefix| ("s3:prefix", vec![prefix.clone()])));
                keys.extend(self.max_keys.iter().map(|max_keys| ("s3:max-keys", vec![max_keys.to_string()])));
            }
            Action::PutObject => drop(keys.insert("s3:requestobjecttagkeys", self.names.clone())),
            Action::TagUser => drop(keys.insert("aws:tagkeys", self.names.clone())),
            _ => {}
        }
        let keys = keys.into_iter().filter(|(_, values)| !values.is_empty()).map(|(key, values)| (key.to_owned(), values)).collect();
        naive::Request { action: self.action.as_str().to_owned(), resource: self.resource.clone(), keys }
    }
}

pub(crate) fn any_asked(language: Language) -> impl Strategy<Value = Asked> {
    let mut subjects = vec![
        (Action::GetObject, arn::object("b", "alice/k")),
        (Action::PutObject, arn::object("c", "k")),
        (Action::ListBucket, arn::bucket("b")),
        (Action::Decrypt, arn::key("k")),
        (Action::TagUser, arn::user(MAIN_ACCOUNT, "/", "bob")),
    ];
    let mut prefixes = vec!["", "alice/", "bob"];
    let mut tags = vec!["a", "A", "alice", "bob"];
    // A literal star is what values are not to be taken for: only for evaluators that take care of it.
    if language == Language::All {
        subjects.push((Action::GetObject, arn::object("b", "*/k")));
        prefixes.push("a*");
        tags.extend(["*", "?", "7", ""]);
    }
    let tag = select(tags).prop_map(str::to_owned);
    let tag = if language == Language::All { proptest::option::of(tag).boxed() } else { tag.prop_map(Some).boxed() };
    let names = || proptest::sample::subsequence(vec!["a".to_owned(), "b".to_owned(), "team".to_owned()], 0..=3);
    let prefix = proptest::option::of(select(prefixes).prop_map(str::to_owned));
    let address = select(vec!["10.0.0.1", "10.1.2.3", "192.0.2.1"]).prop_map(str::to_owned);
    (select(subjects), tag, names(), names(), prefix, proptest::option::of(select(vec![0_u32, 9, 10, 1000])), address, any::<bool>())
        .prop_map(|((action, resource), tag, groups, names, prefix, max_keys, address, secure)| Asked {
            action,
            resource,
            tag,
            groups,
            names,
            prefix,
            max_keys,
            address,
            secure,
        })
}

pub(crate) fn any_document(language: Language) -> impl Strategy<Value = Value> {
    proptest::collection::vec(any_statement(language), 1..5)
        .prop_map(|statements| json!({"Version": "2012-10-17", "Statement": statements}))
}

fn any_statement(language: Language) -> impl Strategy<Value = Value> {
    let actions = ["*", "s3:*", "S3:get*", "s3:?etObject", "s3:PutObject", "s3:ListBucket", "kms:*", "iam:Tag*", "s3:NoSuchThing"];
    let mut resources = vec![
        "*",
        "arn:aws:s3:::*",
        "arn:aws:s3:::b",
        "arn:aws:s3:::b/*",
        "arn:aws:s3:::?/*k",
        "arn:aws:s3:::b/${aws:username}/*",
        "arn:aws:s3:::b/${aws:PrincipalTag/t}/k",
        "arn:aws:kms:us-east-1:000000000000:key/*",
        "arn:aws:iam::000000000000:user/*",
        "arn:aws:iam::*:user/${aws:PrincipalTag/t}",
        "arn:aws:iam::111122223333:*",
    ];
    if language == Language::All {
        resources.extend([
            "arn:aws:s3:::b/${*}/k",
            "arn:aws:s3:::b/${s3:prefix, 'alice/'}k",
            "arn:aws:s3:::*${aws:PrincipalTag/t}*",
            "arn:aws:s3:::?${jwt:groups}*",
            "arn:aws:s3:::c/${aws:PrincipalTag/t, 'k'}",
        ]);
    }
    let negated = || proptest::bool::weighted(0.25);
    let some = |of: Vec<&'static str>| proptest::sample::subsequence(of, 1..3);
    let conditions = proptest::collection::vec(any_condition(language), 0..3);
    (any::<bool>(), negated(), some(actions.to_vec()), negated(), some(resources), conditions).prop_map(
        |(allow, not_action, actions, not_resource, resources, conditions)| {
            let mut statement = Map::new();
            statement.insert("Effect".to_owned(), json!(if allow { "Allow" } else { "Deny" }));
            statement.insert(if not_action { "NotAction" } else { "Action" }.to_owned(), json!(actions));
            statement.insert(if not_resource { "NotResource" } else { "Resource" }.to_owned(), json!(resources));
            let mut block = Map::new();
            for (operator, key, values) in conditions {
                let keys = block.entry(operator).or_insert_with(|| json!({}));
                keys.as_object_mut().expect("it was made an object").insert(key, values);
            }
            if !block.is_empty() {
                statement.insert("Condition".to_owned(), block.into());
            }
            statement.into()
        },
    )
}

/// An operator, a key and its values.
fn any_condition(language: Language) -> BoxedStrategy<(String, String, Value)> {
    let kinds = vec![(6, text(language)), (1, null()), (1, bool()), (1, address()), (1, number(language)), (1, principal(language))];
    proptest::strategy::Union::new_weighted(kinds).boxed()
}

fn pick(names: &[&'static str]) -> BoxedStrategy<&'static str> {
    select(names.to_vec()).boxed()
}

fn text(language: Language) -> BoxedStrategy<(String, String, Value)> {
    let keys = ["aws:username", "aws:PrincipalTag/t", "s3:prefix", "aws:TagKeys", "s3:RequestObjectTagKeys", "jwt:groups"];
    let operators = ["Equals", "NotEquals", "EqualsIgnoreCase", "NotEqualsIgnoreCase", "Like", "NotLike"];
    let mut values = vec!["a", "ALICE", "alice", "a*", "*", "?", "b", "te?m", "alice/"];
    if language == Language::All {
        values.extend([
            "${aws:username}",
            "${aws:PrincipalTag/t}",
            "${aws:PrincipalTag/t}*",
            "${s3:prefix, 'a'}",
            "${*}",
            "${aws:username}${?}",
        ]);
    }
    let values = proptest::sample::subsequence(values, 1..3);
    (pick(&keys), pick(&operators), pick(&["", "ForAllValues:", "ForAnyValue:"]), any::<bool>(), values)
        .prop_filter_map("iam-rs means something else", move |(key, operator, set, if_exists, values)| {
            let is_list = matches!(key, "aws:TagKeys" | "s3:RequestObjectTagKeys" | "jwt:groups");
            // It has no such operators, and takes a list for one of its values where none must match.
            let differs = (!set.is_empty() && if_exists) || (set.is_empty() && is_list && operator.contains("Not"));
            let if_exists = if if_exists { "IfExists" } else { "" };
            let operator = format!("{set}String{operator}{if_exists}");
            (language == Language::All || !differs).then(|| (operator, key.to_owned(), json!(values)))
        })
        .boxed()
}

fn null() -> BoxedStrategy<(String, String, Value)> {
    (pick(&["s3:prefix", "aws:PrincipalTag/t", "jwt:groups", "aws:TagKeys", "aws:username"]), any::<bool>())
        .prop_map(|(key, absent)| ("Null".to_owned(), key.to_owned(), json!(absent)))
        .boxed()
}

fn bool() -> BoxedStrategy<(String, String, Value)> {
    any::<bool>().prop_map(|secure| ("Bool".to_owned(), "aws:SecureTransport".to_owned(), json!(secure))).boxed()
}

fn address() -> BoxedStrategy<(String, String, Value)> {
    let blocks = proptest::sample::subsequence(vec!["10.0.0.0/8", "10.1.0.0/16", "192.0.2.1", "0.0.0.0/0"], 1..3);
    (pick(&["IpAddress", "NotIpAddress", "IpAddressIfExists"]), blocks)
        .prop_map(|(operator, blocks)| (operator.to_owned(), "aws:SourceIp".to_owned(), json!(blocks)))
        .boxed()
}

fn number(language: Language) -> BoxedStrategy<(String, String, Value)> {
    let orders = ["Equals", "NotEquals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals"];
    let keys: &[&str] = if language == Language::All { &["s3:max-keys", "aws:PrincipalTag/t"] } else { &["s3:max-keys"] };
    (pick(&orders), pick(keys), select(vec![7, 10, 1000]))
        .prop_map(|(order, key, bound)| (format!("Numeric{order}"), key.to_owned(), json!(bound)))
        .boxed()
}

/// Operators for ARNs: with a pattern whose stars could reach over no colon anyway, as `iam-rs` compares the whole.
fn principal(language: Language) -> BoxedStrategy<(String, String, Value)> {
    let operators: &[&str] = if language == Language::All {
        &["ArnEquals", "ArnNotEquals", "ArnLike", "ArnNotLikeIfExists"]
    } else {
        &["ArnLike", "ArnNotLike"]
    };
    let mut patterns = vec!["arn:aws:iam::*:user/*", ALICE, "arn:aws:iam::111122223333:user/alice", "arn:aws:iam::000000000000:user/?lice"];
    if language == Language::All {
        patterns.extend(["*", "arn:aws:iam::000000000000:user/${aws:PrincipalTag/t}", "arn:*:*:*:*:*"]);
    }
    (pick(operators), proptest::sample::subsequence(patterns, 1..3))
        .prop_map(|(operator, patterns)| (operator.to_owned(), "aws:PrincipalArn".to_owned(), json!(patterns)))
        .boxed()
}
