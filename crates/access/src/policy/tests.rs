//! Documents that are refused, conditions, canned policies, and deny-first against a model.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::{Action, ConditionKey, Conditions, Decision, Identity, SecretKey, StatementProblem, arn};

fn secret() -> SecretKey {
    SecretKey::new("long enough".to_owned()).unwrap()
}

fn user(names: &[&str], document: Option<&str>) -> Identity {
    Identity::user("alice", "AKALICE", secret(), PolicySet::from_config(names, document).unwrap()).unwrap()
}

/// What a policy of these statements says to `PutObject` of b/k.
fn decide(statements: &str, conditions: &Conditions) -> Decision {
    decide_on(Action::PutObject, statements, conditions)
}

fn decide_on(action: Action, statements: &str, conditions: &Conditions) -> Decision {
    user(&[], Some(&document(statements))).may(action, &arn::object("b", "k"), conditions)
}

fn document(statements: &str) -> String {
    format!(r#"{{"Version": "2012-10-17", "Statement": [{statements}]}}"#)
}

fn problem(statement: &str) -> StatementProblem {
    match Policy::parse(&document(statement)) {
        Err(AccessError::Statement { statement, problem }) if statement == "1" => problem,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_document_of_one_statement_or_of_a_list_is_a_policy() {
    let statement = r#"{"Sid": "Read", "Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}"#;
    for text in [
        format!(r#"{{"Version": "2012-10-17", "Statement": {statement}}}"#),
        format!(r#"{{"Version": "2008-10-17", "Id": "x", "Statement": [{statement}, {statement}]}}"#),
        format!(r#"{{"Statement": [{statement}]}}"#),
    ] {
        assert_eq!(user(&[], Some(&text)).may(Action::GetObject, &arn::object("b", "k"), &Conditions::new(true)), Decision::Allow);
    }
}

#[test]
fn what_no_policy_has_is_refused_with_its_name() {
    let statement = r#"{"Effect": "Allow", "Action": "*", "Resource": "*"}"#;
    for (text, named) in [
        ("{".to_owned(), "EOF"),
        (r#"{"Version": "2012-10-17"}"#.to_owned(), "missing field `Statement`"),
        (format!(r#"{{"Version": "2020-01-01", "Statement": {statement}}}"#), "unknown variant `2020-01-01`"),
        (format!(r#"{{"Statement": {statement}, "Statements": []}}"#), "unknown field `Statements`"),
        (format!(r#"{{"Statement": {statement}, "Statement": []}}"#), "duplicate field `Statement`"),
        (format!(r#"{{"Statement": {statement}}} x"#), "trailing characters"),
        (document(r#"{"Effect": "Allow", "Principals": "*", "Action": "*", "Resource": "*"}"#), "unknown field `Principals`"),
        (document(r#"{"Effect": "allow", "Action": "*", "Resource": "*"}"#), "unknown variant `allow`"),
        (document(r#"{"Action": "*", "Resource": "*"}"#), "missing field `Effect`"),
        (document(r#"{"Effect": "Deny", "Action": 7, "Resource": "*"}"#), "expected a string"),
        (document(r#"{"Effect": "Deny", "Action": [["*"]], "Resource": "*"}"#), "expected a string"),
        (condition(r#"{"Bool": {"aws:SecureTransport": 1.5}}"#), "a value or a list of values"),
        (
            condition(r#"{"Bool": {"aws:SecureTransport": "true", "AWS:securetransport": "false"}}"#),
            "duplicate field `AWS:securetransport`",
        ),
        (condition(r#"{"Null": {"s3:prefix": true}, "Null": {"s3:prefix": false}}"#), "duplicate field `Null`"),
    ] {
        match Policy::parse(&text) {
            Err(AccessError::PolicyMalformed(error)) => assert!(error.to_string().contains(named), "{text}: {error}"),
            other => panic!("{text}: {other:?}"),
        }
    }
}

/// A policy that allows everything under a condition.
fn condition(block: &str) -> String {
    document(&allow_if(block))
}

fn allow_if(block: &str) -> String {
    format!(r#"{{"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {block}}}"#)
}

#[test]
fn what_cannot_be_honoured_is_refused() {
    use StatementProblem::{
        EitherOr, Empty, NoAddress, NoArn, NoBool, NoDate, NoKey, NoNumber, PrincipalOfIdentity, UnknownKey, UnknownOperator,
        UnsuitableOperator, VariableForm, VariableOfList,
    };
    let text = str::to_owned;
    for (statement, expected) in [
        (text(r#"{"Effect": "Allow", "Resource": "*"}"#), EitherOr("Action")),
        (text(r#"{"Effect": "Allow", "Action": "*", "NotAction": "s3:*", "Resource": "*"}"#), EitherOr("Action")),
        (text(r#"{"Effect": "Allow", "Action": "*"}"#), EitherOr("Resource")),
        (text(r#"{"Effect": "Allow", "Action": "*", "Resource": "*", "NotResource": "*"}"#), EitherOr("Resource")),
        (text(r#"{"Effect": "Deny", "Action": [], "Resource": "*"}"#), Empty(text("Action"))),
        (text(r#"{"Effect": "Deny", "Action": "*", "NotResource": []}"#), Empty(text("Resource"))),
        (text(r#"{"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}"#), PrincipalOfIdentity),
        (text(r#"{"Effect": "Allow", "NotPrincipal": {"AWS": "*"}, "Action": "*", "Resource": "*"}"#), PrincipalOfIdentity),
        (allow_if(r#"{"StringEquals": {"aws:SourceVpc": "vpc-1"}}"#), UnknownKey(text("aws:SourceVpc"))),
        (allow_if(r#"{"StringEquals": {"s3:ExistingObjectTag/": "a"}}"#), UnknownKey(text("s3:ExistingObjectTag/"))),
        (allow_if(r#"{"IpAddress": {"aws:SourceIp": "10.0.0.0/33"}}"#), NoAddress(text("10.0.0.0/33"))),
        (allow_if(r#"{"NumericLessThan": {"s3:max-keys": "ten"}}"#), NoNumber(text("ten"))),
        (allow_if(r#"{"NumericLessThan": {"s3:TlsVersion": "1.2.3"}}"#), NoNumber(text("1.2.3"))),
        (allow_if(r#"{"NumericLessThan": {"s3:TlsVersion": "1.1234567"}}"#), NoNumber(text("1.1234567"))),
        (allow_if(r#"{"DateLessThan": {"aws:CurrentTime": "tomorrow"}}"#), NoDate(text("tomorrow"))),
        (allow_if(r#"{"NumericLess": {"s3:max-keys": "1"}}"#), UnknownOperator(text("NumericLess"))),
        (
            allow_if(r#"{"StringEquals": {"aws:SourceIp": "10.0.0.1"}}"#),
            UnsuitableOperator { operator: text("StringEquals"), key: text("aws:SourceIp") },
        ),
        (allow_if(r#"{"ForAnyValue:Null": {"s3:prefix": "true"}}"#), UnknownOperator(text("ForAnyValue:Null"))),
        (allow_if(r#"{"ForSomeValues:StringEquals": {"s3:prefix": "a"}}"#), UnknownOperator(text("ForSomeValues:StringEquals"))),
        (allow_if(r#"{"BinaryEquals": {"s3:prefix": "YQ=="}}"#), UnknownOperator(text("BinaryEquals"))),
        (allow_if(r#"{"ArnLike": {"aws:PrincipalArn": "alice"}}"#), NoArn(text("alice"))),
        (allow_if(r#"{"NullIfExists": {"s3:prefix": true}}"#), UnknownOperator(text("NullIfExists"))),
        (allow_if(r#"{"StringEquals": {}}"#), Empty(text("StringEquals"))),
        (allow_if(r#"{"StringEquals": {"s3:prefix": []}}"#), Empty(text("s3:prefix"))),
        (allow_if(r#"{"StringEquals": {"s3:prefix": "${aws:username/"}}"#), VariableForm(text("${aws:username/"))),
        (allow_if(r#"{"StringEquals": {"s3:prefix": "${aws:username, me}"}}"#), VariableForm(text("${aws:username, me}"))),
        (allow_if(r#"{"StringEquals": {"s3:prefix": "${aws:name}"}}"#), UnknownKey(text("aws:name"))),
        (allow_if(r#"{"StringEquals": {"s3:prefix": "${aws:TagKeys}"}}"#), VariableOfList(text("aws:TagKeys"))),
        (allow_if(r#"{"Bool": {"aws:SecureTransport": "yes"}}"#), NoBool(text("yes"))),
        (allow_if(r#"{"Null": {"s3:prefix": ["true", "false"]}}"#), NoBool(text("a list"))),
        (allow_if(r#"{"Bool": {"s3:prefix": "true"}}"#), UnsuitableOperator { operator: text("Bool"), key: text("s3:prefix") }),
        (
            allow_if(r#"{"StringEquals": {"aws:SecureTransport": "true"}}"#),
            UnsuitableOperator { operator: text("StringEquals"), key: text("aws:SecureTransport") },
        ),
        (
            allow_if(r#"{"StringEquals": {"s3:x-amz-server-side-encryption-aws-kms-key-id": "arn:aws:kms:::alias/a"}}"#),
            NoKey(text("arn:aws:kms:::alias/a")),
        ),
    ] {
        assert_eq!(problem(&statement), expected, "{statement}");
    }
}

#[test]
fn size_and_number_are_bounded() {
    let statement = r#"{"Effect":"Allow","Action":"*","Resource":"*"}"#;
    let statements = |count| document(&vec![statement; count].join(","));
    assert!(Policy::parse(&statements(128)).is_ok());
    assert!(matches!(Policy::parse(&statements(129)), Err(AccessError::StatementCount { count: 129, max: 128 })));
    assert!(matches!(Policy::parse(&statements(0)), Err(AccessError::StatementCount { count: 0, .. })));
    let padded = |len| format!("{:len$}", statements(1));
    assert!(Policy::parse(&padded(20_480)).is_ok());
    assert!(matches!(Policy::parse(&padded(20_481)), Err(AccessError::PolicyTooLarge { len_bytes: 20_481, max_bytes: 20_480 })));
    assert!(PolicySet::from_config(&["readonly"; 16], None).is_ok());
    let too_many = PolicySet::from_config(&["readonly"; 16], Some(&statements(1)));
    assert!(matches!(too_many, Err(AccessError::TooManyPolicies { count: 17, max: 16 })));
}

#[test]
fn actions_that_match_nothing_are_reported() {
    let text = document(r#"{"Effect": "Deny", "Action": ["s3:GetObjct", "s3:GetObject", "s3:PutBucketWebsite"], "Resource": "*"}"#);
    assert_eq!(Policy::parse(&text).unwrap().unmatched_actions(), ["s3:GetObjct", "s3:PutBucketWebsite"]);
}

#[test]
fn negated_actions_and_resources_mean_all_others() {
    let conditions = Conditions::new(true);
    let identity = user(&[], Some(&document(r#"{"Effect": "Allow", "NotAction": "s3:Delete*", "NotResource": "arn:aws:s3:::secret/*"}"#)));
    assert_eq!(identity.may(Action::GetObject, &arn::object("b", "k"), &conditions), Decision::Allow);
    assert_eq!(identity.may(Action::DeleteObject, &arn::object("b", "k"), &conditions), Decision::ImplicitDeny);
    assert_eq!(identity.may(Action::GetObject, &arn::object("secret", "k"), &conditions), Decision::ImplicitDeny);
}

/// The matrix of IAM's documentation: operator × (key absent, value matches, value does not match).
#[test]
fn conditions_hold_as_in_iam() {
    let key = ConditionKey::Encryption;
    let requests = [Conditions::new(true), Conditions::new(true).with(key, "aws:kms"), Conditions::new(true).with(key, "AES256")];
    for (operator, values, holds) in [
        ("StringEquals", r#""aws:kms""#, [false, true, false]),
        ("StringEquals", r#"["x", "aws:kms"]"#, [false, true, false]),
        ("StringEquals", r#""aws:*""#, [false, false, false]),
        ("StringEquals", r#""AWS:KMS""#, [false, false, false]),
        ("StringEqualsIfExists", r#""aws:kms""#, [true, true, false]),
        ("StringNotEquals", r#""aws:kms""#, [true, false, true]),
        ("StringNotEquals", r#"["AES256", "aws:kms"]"#, [true, false, false]),
        ("StringNotEqualsIfExists", r#""aws:kms""#, [true, false, true]),
        ("StringLike", r#""aws:?ms*""#, [false, true, false]),
        ("StringLikeIfExists", r#""aws:*""#, [true, true, false]),
        ("StringNotLike", r#""aws:*""#, [true, false, true]),
        ("StringNotLikeIfExists", r#""aws:*""#, [true, false, true]),
        ("Null", "true", [true, false, false]),
        ("Null", r#""false""#, [false, true, true]),
    ] {
        let statement = allow_if(&format!(r#"{{"{operator}": {{"S3:X-amz-server-side-encryption": {values}}}}}"#));
        for (request, holds) in requests.iter().zip(holds) {
            let expected = if holds { Decision::Allow } else { Decision::ImplicitDeny };
            assert_eq!(decide(&statement, request), expected, "{operator} {values}: {request:?}");
        }
    }
}

/// Operators for addresses, numbers and dates, and those in whatever case.
#[test]
fn conditions_compare_by_what_their_values_are() {
    let request = Conditions::new(true)
        .with(ConditionKey::SourceIp, "10.1.2.3")
        .with(ConditionKey::MaxKeys, "100")
        .with(ConditionKey::CurrentTime, "1893499200") // 2030-01-01T12:00:00Z
        .supposing("aws:username", vec!["Alice".to_owned()])
        .and_then(|request| request.supposing("aws:PrincipalArn", vec!["arn:aws:iam::000000000000:user/Alice".to_owned()]))
        .unwrap();
    for (operator, key, value, holds) in [
        ("IpAddress", "aws:SourceIp", "\"10.1.0.0/16\"", true),
        ("IpAddress", "aws:SourceIp", "[\"192.0.2.0/24\", \"10.1.2.3\"]", true),
        ("IpAddress", "aws:SourceIp", "\"10.2.0.0/16\"", false),
        ("IpAddress", "aws:SourceIp", "\"::/0\"", false),
        ("NotIpAddress", "aws:SourceIp", "\"10.2.0.0/16\"", true),
        ("NotIpAddress", "aws:SourceIp", "\"10.1.0.0/16\"", false),
        ("NumericEquals", "s3:max-keys", "100", true),
        ("NumericNotEquals", "s3:max-keys", "\"100\"", false),
        ("NumericLessThan", "s3:max-keys", "100", false),
        ("NumericLessThanEquals", "s3:max-keys", "100", true),
        ("NumericGreaterThan", "s3:max-keys", "99", true),
        ("NumericGreaterThanEquals", "s3:max-keys", "101", false),
        ("DateGreaterThan", "aws:CurrentTime", "\"2030-01-01T11:59:59Z\"", true),
        ("DateLessThan", "aws:CurrentTime", "\"2030-01-01T12:00:00Z\"", false),
        ("DateGreaterThan", "aws:CurrentTime", "\"2030-01-01\"", true),
        ("DateEquals", "aws:CurrentTime", "1893499200", true),
        ("StringEqualsIgnoreCase", "aws:username", "\"aLICE\"", true),
        ("StringNotEqualsIgnoreCase", "aws:username", "\"aLICE\"", false),
        ("ArnLike", "aws:PrincipalArn", "\"arn:aws:iam::*:user/A*\"", true),
        ("ArnEquals", "aws:PrincipalArn", "\"arn:aws:iam::000000000000:user/*\"", true),
        ("ArnNotLike", "aws:PrincipalArn", "\"arn:aws:iam::*:user/A*\"", false),
    ] {
        let statement = allow_if(&format!(r#"{{"{operator}": {{"{key}": {value}}}}}"#));
        let expected = if holds { Decision::Allow } else { Decision::ImplicitDeny };
        assert_eq!(decide_on(Action::ListBucket, &statement, &request), expected, "{operator} {key} {value}");
        // Without the key only the negated ones hold.
        let without = if operator.contains("Not") { Decision::Allow } else { Decision::ImplicitDeny };
        let nothing = Conditions::new(true).supposing(key, Vec::new()).unwrap();
        assert_eq!(decide_on(Action::ListBucket, &statement, &nothing), without, "{operator} {key} {value}");
    }
}

#[test]
fn a_condition_on_a_tag_sees_the_tags_of_the_object_or_of_the_request() {
    let tags = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    let existing = allow_if(r#"{"StringEquals": {"s3:existingobjecttag/Secret": "no"}}"#);
    let given = allow_if(r#"{"StringEquals": {"s3:RequestObjectTag/Secret": "no"}}"#);
    for (name, value, expected) in
        [("Secret", "no", Decision::Allow), ("Secret", "yes", Decision::ImplicitDeny), ("secret", "no", Decision::ImplicitDeny)]
    {
        let on_object = Conditions::new(true).with_existing_tags(tags(name, value));
        assert_eq!(decide_on(Action::GetObject, &existing, &on_object), expected, "{name}={value}");
        assert_eq!(
            decide_on(Action::PutObject, &existing, &on_object),
            Decision::ImplicitDeny,
            "the object that a PUT replaces does not count"
        );
        let in_request = Conditions::new(true).with_request_tags(tags(name, value));
        assert_eq!(decide_on(Action::PutObject, &given, &in_request), expected, "{name}={value}");
        assert_eq!(decide_on(Action::GetObject, &given, &in_request), Decision::ImplicitDeny);
    }
}

#[test]
fn a_condition_on_a_lock_holds_for_the_actions_that_give_it() {
    let request = Conditions::new(true)
        .with(ConditionKey::LockMode, "COMPLIANCE")
        .with(ConditionKey::LockRetainUntil, "1893499200") // 2030-01-01T12:00:00Z
        .with(ConditionKey::LockRemainingDays, "30")
        .with(ConditionKey::LockLegalHold, "ON");
    let retains = &[Action::PutObject, Action::PutObjectRetention, Action::BypassGovernanceRetention][..];
    let holds = &[Action::PutObject, Action::PutObjectLegalHold][..];
    for (condition, actions) in [
        (r#"{"StringEquals": {"s3:object-lock-mode": "COMPLIANCE"}}"#, retains),
        (r#"{"DateLessThan": {"s3:object-lock-retain-until-date": "2030-01-02"}}"#, retains),
        (r#"{"NumericLessThanEquals": {"s3:object-lock-remaining-retention-days": 30}}"#, retains),
        (r#"{"StringLike": {"s3:object-lock-legal-hold": "O?"}}"#, holds),
        (r#"{"StringEquals": {"s3:object-lock-mode": "GOVERNANCE"}}"#, &[]),
        (r#"{"DateGreaterThan": {"s3:object-lock-retain-until-date": "2030-01-02"}}"#, &[]),
        (r#"{"NumericGreaterThan": {"s3:object-lock-remaining-retention-days": "30"}}"#, &[]),
        (r#"{"StringEquals": {"s3:object-lock-legal-hold": "OFF"}}"#, &[]),
    ] {
        for action in Action::ALL {
            let expected = if actions.contains(action) { Decision::Allow } else { Decision::ImplicitDeny };
            assert_eq!(decide_on(*action, &allow_if(condition), &request), expected, "{action:?} {condition}");
        }
    }
}

#[test]
fn a_bool_condition_tells_tls_from_plain() {
    let deny = r#"{"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"Bool": {"aws:SecureTransport": false}}}"#;
    let statements = format!(r#"{{"Effect": "Allow", "Action": "*", "Resource": "*"}}, {deny}"#);
    assert_eq!(decide(&statements, &Conditions::new(true)), Decision::Allow);
    assert_eq!(decide(&statements, &Conditions::new(false)), Decision::ExplicitDeny);
}

#[test]
fn all_conditions_of_a_statement_must_hold() {
    let statement = allow_if(r#"{"Bool": {"aws:SecureTransport": "true"}, "StringEquals": {"s3:prefix": "a/", "s3:delimiter": "/"}}"#);
    let list = |conditions: &Conditions| decide_on(Action::ListBucket, &statement, conditions);
    let both = Conditions::new(true).with(ConditionKey::Prefix, "a/").with(ConditionKey::Delimiter, "/");
    assert_eq!(list(&both), Decision::Allow);
    assert_eq!(list(&both.clone().with(ConditionKey::Delimiter, "x")), Decision::ImplicitDeny);
    assert_eq!(list(&Conditions::new(true).with(ConditionKey::Prefix, "a/")), Decision::ImplicitDeny);
    assert_eq!(list(&both.with(ConditionKey::SecureTransport, "false")), Decision::ImplicitDeny);
}

/// A client adds headers and parameters at will: what an action does not look at must neither open nor close it.
#[test]
fn a_condition_key_counts_for_the_actions_that_amazon_lists_it_for_and_no_others() {
    use Action::{
        AssumeRole, AssumeRoleWithCertificate, AssumeRoleWithLDAPIdentity, AssumeRoleWithWebIdentity, AttachGroupPolicy, AttachRolePolicy,
        AttachUserPolicy, CreateBucket, CreateRole, CreateUser, DeleteObjectVersion, DeleteObjectVersionTagging,
        DeleteRolePermissionsBoundary, DeleteRolePolicy, DeleteUserPermissionsBoundary, DeleteUserPolicy, DetachGroupPolicy,
        DetachRolePolicy, DetachUserPolicy, GetObjectVersion, GetObjectVersionAcl, GetObjectVersionAttributes, GetObjectVersionTagging,
        ListBucket, ListBucketVersions, PutBucketAcl, PutObject, PutObjectAcl, PutObjectVersionAcl, PutObjectVersionTagging,
        PutRolePermissionsBoundary, PutRolePolicy, PutUserPermissionsBoundary, PutUserPolicy, SetSourceIdentity, TagSession,
    };
    let attaching = [AttachGroupPolicy, DetachGroupPolicy, AttachUserPolicy, DetachUserPolicy, AttachRolePolicy, DetachRolePolicy];
    let bounded = [
        CreateUser,
        PutUserPermissionsBoundary,
        DeleteUserPermissionsBoundary,
        AttachUserPolicy,
        DetachUserPolicy,
        PutUserPolicy,
        DeleteUserPolicy,
        CreateRole,
        PutRolePermissionsBoundary,
        DeleteRolePermissionsBoundary,
        AttachRolePolicy,
        DetachRolePolicy,
        PutRolePolicy,
        DeleteRolePolicy,
    ];
    let assuming =
        [AssumeRole, AssumeRoleWithWebIdentity, AssumeRoleWithLDAPIdentity, AssumeRoleWithCertificate, TagSession, SetSourceIdentity];
    let acl = [PutObject, CreateBucket, PutBucketAcl, PutObjectAcl, PutObjectVersionAcl];
    let versioned = [
        GetObjectVersion,
        GetObjectVersionAttributes,
        GetObjectVersionAcl,
        PutObjectVersionAcl,
        GetObjectVersionTagging,
        PutObjectVersionTagging,
        DeleteObjectVersion,
        DeleteObjectVersionTagging,
    ];
    for (key, actions) in [
        (ConditionKey::Encryption, &[PutObject][..]),
        (ConditionKey::EncryptionKeyId, &[PutObject]),
        (ConditionKey::CustomerAlgorithm, &[PutObject]),
        (ConditionKey::CopySource, &[PutObject]),
        (ConditionKey::MetadataDirective, &[PutObject]),
        (ConditionKey::StorageClass, &[PutObject]),
        (ConditionKey::CannedAcl, &acl),
        (ConditionKey::GrantRead, &acl),
        (ConditionKey::GrantWrite, &acl),
        (ConditionKey::GrantReadAcp, &acl),
        (ConditionKey::GrantWriteAcp, &acl),
        (ConditionKey::GrantFullControl, &acl),
        (ConditionKey::VersionId, &versioned),
        (ConditionKey::Prefix, &[ListBucket, ListBucketVersions]),
        (ConditionKey::Delimiter, &[ListBucket, ListBucketVersions]),
        (ConditionKey::PolicyArn, &attaching),
        (ConditionKey::PermissionsBoundary, &bounded),
        (ConditionKey::ExternalId, &[AssumeRole, TagSession, SetSourceIdentity]),
        (ConditionKey::RoleSessionName, &assuming),
        (ConditionKey::SessionSourceIdentity, &assuming),
        (ConditionKey::Referer, Action::ALL),
        (ConditionKey::UserAgent, Action::ALL),
        (ConditionKey::SecureTransport, Action::ALL),
    ] {
        let request = Conditions::new(true).with(key, "true");
        let operator = if key == ConditionKey::SecureTransport { "Bool" } else { "StringLike" };
        let name = key.as_str();
        let allow =
            format!(r#"{{"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {{"{operator}": {{"{name}": "true"}}}}}}"#);
        let deny = format!(
            r#"{{"Effect": "Allow", "Action": "*", "Resource": "*"}},
               {{"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {{"Null": {{"{name}": "false"}}}}}}"#
        );
        for action in Action::ALL {
            let counts = actions.contains(action);
            let (allowed, denied) =
                if counts { (Decision::Allow, Decision::ExplicitDeny) } else { (Decision::ImplicitDeny, Decision::Allow) };
            assert_eq!(decide_on(*action, &allow, &request), allowed, "{action:?} {name}");
            assert_eq!(decide_on(*action, &deny, &request), denied, "{action:?} {name}");
        }
    }
}

#[test]
fn a_key_condition_cannot_be_evaded_by_spelling() {
    let name = ConditionKey::EncryptionKeyId.as_str();
    for written in ["payroll", "arn:aws:kms:::key/payroll", "arn:aws:kms:*:*:key/payroll", "arn:aws:kms:us-east-1:000000000000:key/payroll"]
    {
        let deny = format!(
            r#"{{"Effect": "Allow", "Action": "*", "Resource": "*"}},
               {{"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {{"StringEquals": {{"{name}": "{written}"}}}}}}"#
        );
        for sent in ["payroll", "arn:aws:kms:us-east-1:000000000000:key/payroll", "arn:aws:kms:eu-west-1:1:key/payroll"] {
            let request = Conditions::new(true).with(ConditionKey::EncryptionKeyId, sent);
            assert_eq!(decide(&deny, &request), Decision::ExplicitDeny, "{written} {sent}");
        }
        let request = Conditions::new(true).with(ConditionKey::EncryptionKeyId, "other");
        assert_eq!(decide(&deny, &request), Decision::Allow);
    }
}

#[test]
fn canned_policies_allow_these_actions_and_no_others() {
    use Action::{
        AbortMultipartUpload, Decrypt, GenerateDataKey, GetBucketLocation, GetObject, GetObjectAttributes, GetObjectVersion,
        GetObjectVersionAttributes, PutObject,
    };
    let allowed = |name: &str| {
        let identity = user(&[name], None);
        let resource = |action: Action| match action.as_str().split_once(':') {
            Some(("kms", _)) => arn::key("default"),
            Some(("strongroom", _)) => arn::KMS.to_owned(),
            _ => arn::object("b", "k"),
        };
        let may = |action: &&Action| identity.may(**action, &resource(**action), &Conditions::new(true)) == Decision::Allow;
        Action::ALL.iter().filter(may).copied().collect::<Vec<_>>()
    };
    let readonly = [GetBucketLocation, GetObject, GetObjectVersion, GetObjectAttributes, GetObjectVersionAttributes, Decrypt];
    assert_eq!(allowed("readonly"), readonly);
    assert_eq!(allowed("writeonly"), [PutObject, AbortMultipartUpload, GenerateDataKey, Decrypt]);
    // Not the administration of keys.
    let is_of_objects = |action: &&Action| action.as_str().starts_with("s3:") || [GenerateDataKey, Decrypt].contains(action);
    assert_eq!(allowed("readwrite"), Action::ALL.iter().filter(is_of_objects).copied().collect::<Vec<_>>());
    assert_eq!(CANNED_POLICIES.len(), 3);
    for (name, _) in CANNED_POLICIES {
        assert!(Policy::canned(name).unwrap().unmatched_actions().is_empty());
    }
    assert!(matches!(Policy::canned("ReadOnly"), Err(AccessError::UnknownPolicy(name)) if name == "ReadOnly"));
}

#[test]
fn root_may_everything_and_a_user_without_policies_nothing() {
    let root = Identity::root("admin", secret()).unwrap();
    let nobody = user(&[], None);
    for action in Action::ALL {
        assert_eq!(root.may(*action, arn::ALL_BUCKETS, &Conditions::new(false)), Decision::Allow);
        assert_eq!(nobody.may(*action, arn::ALL_BUCKETS, &Conditions::new(false)), Decision::ImplicitDeny);
    }
}

#[test]
fn a_resource_that_is_no_arn_is_denied() {
    let all = user(&[], Some(&document(r#"{"Effect": "Allow", "Action": "*", "Resource": "*"}"#)));
    for resource in ["", "b/k", "arn:aws:s3:b", "urn:aws:s3:::b"] {
        assert_eq!(all.may(Action::GetObject, resource, &Conditions::new(true)), Decision::ImplicitDeny);
    }
}

#[test]
fn authorize_gives_the_proof_or_says_who_may_not_what() {
    let alice = user(&["readonly"], Some(&document(r#"{"Effect": "Deny", "Action": "*", "Resource": "arn:aws:s3:::b/private/*"}"#)));
    let (open, private) = (arn::object("b", "k"), arn::object("b", "private/k"));
    let conditions = Conditions::new(true);
    let authorized = alice.authorize(Action::GetObject, &open, &conditions).unwrap();
    assert_eq!((authorized.action(), authorized.resource()), (Action::GetObject, "arn:aws:s3:::b/k"));
    let denied = alice.authorize(Action::GetObject, &private, &conditions).unwrap_err();
    assert_eq!(denied.to_string(), "alice may not s3:GetObject on arn:aws:s3:::b/private/k: a policy denies it");
    let denied = alice.authorize(Action::PutObject, &open, &conditions).unwrap_err();
    assert_eq!(denied.to_string(), "alice may not s3:PutObject on arn:aws:s3:::b/k: no policy allows it");
}

/// A statement of the model: what it says, and about what.
#[derive(Clone, Debug)]
struct Said {
    allow: bool,
    not_action: bool,
    actions: Vec<&'static str>,
    not_resource: bool,
    resources: Vec<&'static str>,
    only_if_secure: Option<bool>,
}

impl Said {
    fn json(&self) -> String {
        let not = |not: bool| if not { "Not" } else { "" };
        let condition = self.only_if_secure.map(|secure| format!(r#", "Condition": {{"Bool": {{"aws:SecureTransport": {secure}}}}}"#));
        format!(
            r#"{{"Effect": "{}", "{}Action": {:?}, "{}Resource": {:?}{}}}"#,
            if self.allow { "Allow" } else { "Deny" },
            not(self.not_action),
            self.actions,
            not(self.not_resource),
            self.resources,
            condition.unwrap_or_default(),
        )
    }

    /// Every pattern of the model is a name, or the beginning of names and a star.
    fn applies(&self, action: &str, resource: &str, secure: bool) -> bool {
        let fits = |pattern: &&str, name: &str| pattern.strip_suffix('*').map_or(name == *pattern, |start| name.starts_with(start));
        self.actions.iter().any(|pattern| fits(pattern, action)) != self.not_action
            && self.resources.iter().any(|pattern| fits(pattern, resource)) != self.not_resource
            && self.only_if_secure.is_none_or(|wanted| wanted == secure)
    }
}

fn any_said() -> impl Strategy<Value = Said> {
    let actions = ["*", "s3:*", "s3:Get*", "s3:GetObject", "s3:PutObject", "kms:*", "kms:Decrypt"];
    let resources = [
        "*",
        "arn:aws:s3:::*",
        "arn:aws:s3:::b",
        "arn:aws:s3:::b/*",
        "arn:aws:s3:::b/k",
        "arn:aws:s3:::c*",
        "arn:aws:kms:us-east-1:000000000000:key/*",
        "arn:aws:kms:us-east-1:000000000000:key/k",
    ];
    (
        any::<bool>(),
        proptest::bool::weighted(0.2),
        proptest::sample::subsequence(actions.to_vec(), 1..3),
        proptest::bool::weighted(0.2),
        proptest::sample::subsequence(resources.to_vec(), 1..3),
        proptest::option::weighted(0.3, any::<bool>()),
    )
        .prop_map(|(allow, not_action, actions, not_resource, resources, only_if_secure)| Said {
            allow,
            not_action,
            actions,
            not_resource,
            resources,
            only_if_secure,
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_deny_beats_every_allow_whatever_the_order(said in proptest::collection::vec(any_said(), 1..5), split in 0..5_usize) {
        let (first, second) = said.split_at(split.min(said.len() - 1));
        let parsed = [first, second].into_iter().filter(|part| !part.is_empty()).map(|part| {
            Policy::parse(&document(&part.iter().map(Said::json).collect::<Vec<_>>().join(","))).unwrap()
        });
        let identity = Identity::user("alice", "AKALICE", secret(), PolicySet::new(parsed.collect()).unwrap()).unwrap();
        let resources = [arn::ALL_BUCKETS.to_owned(), arn::bucket("b"), arn::object("b", "k"), arn::object("c", "k"), arn::key("k"), arn::key("l")];
        for action in Action::ALL {
            for resource in &resources {
                for secure in [false, true] {
                    let applying: Vec<_> = said.iter().filter(|said| said.applies(action.as_str(), resource, secure)).collect();
                    let expected = match (applying.iter().any(|said| !said.allow), applying.is_empty()) {
                        (true, _) => Decision::ExplicitDeny,
                        (false, true) => Decision::ImplicitDeny,
                        (false, false) => Decision::Allow,
                    };
                    prop_assert_eq!(identity.may(*action, resource, &Conditions::new(secure)), expected);
                }
            }
        }
    }
}

/// The user's document: its examples are policies, and it names every action and condition key there is.
#[test]
fn the_document_for_users_is_true() {
    let text = include_str!("../../../../docs/access.md");
    let between = |open, close| text.split(open).skip(1).map(move |rest: &str| rest.split(close).next().unwrap());
    let examples: Vec<_> = between("policy = '''", "'''").chain(between("```json", "```")).collect();
    assert_eq!(examples.len(), 5);
    for example in examples {
        if example.contains("Principal\"") {
            assert!(TrustPolicy::parse(example).is_ok(), "{example}");
            continue;
        }
        assert!(Policy::parse(example).unwrap().unmatched_actions().is_empty(), "{example}");
    }
    let names = Action::ALL.iter().map(|action| action.as_str()).chain(CANNED_POLICIES.iter().map(|(name, _)| *name));
    for name in names.map(str::to_owned).chain(crate::key::known_keys()) {
        assert!(text.contains(&format!("`{name}`")), "docs/access.md does not name {name}");
    }
}
