#![allow(clippy::unwrap_used)]
use std::sync::Arc;

use strongroom_access::{Identity, PolicySet, SecretKey};
use strongroom_engine::api::{ObjectLock, Retention, RetentionMode, SseReply};

use super::*;
use crate::{
    operation::tests::{all, named},
    request::tests::request,
};

/// May write and delete `bucket/key`, and read `other/key`.
const WRITER: &str = r#"{"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": ["s3:PutObject", "s3:DeleteObject"], "Resource": "arn:aws:s3:::bucket/key"},
    {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::other/key"}
]}"#;

fn as_user(policies: &[&str], document: Option<&str>, mut request: Request) -> Request {
    let policies = PolicySet::from_config(policies, document).unwrap();
    let user = Identity::user("user", "user-key", SecretKey::new("not a secret".to_owned()).unwrap(), policies).unwrap();
    request.caller.identity = Arc::new(user);
    request
}

/// May do everything but put objects where the condition holds.
fn denied_where(condition: &str, request: Request) -> Request {
    let document = format!(
        r#"{{"Version": "2012-10-17", "Statement": [
            {{"Effect": "Allow", "Action": "*", "Resource": "*"}},
            {{"Effect": "Deny", "Action": "s3:PutObject", "Resource": "*", "Condition": {condition}}}
        ]}}"#
    );
    as_user(&[], Some(&document), request)
}

fn encryption(mode: Mode, key: Option<&str>) -> UploadFacts {
    let kms_key_id = key.map(str::to_owned);
    let sse = SseReply { mode, kms_key_id, bucket_key_enabled: false, kms_context: None, customer_key_md5: None };
    UploadFacts { sse, lock: ObjectLock::default(), begun_ms: 0 }
}

fn required_of(operation: &str, request: &Request) -> Vec<(Action, String)> {
    let required = named(operation).rights.iter().map(|right| required(*right, request).unwrap());
    required.map(|Required { action, resource, .. }| (action, resource)).collect()
}

fn permit_all(operation: &Operation, request: &Request, upload: Option<&UploadFacts>) -> Result<(), Refusal> {
    let conditions = match upload {
        Some(upload) => conditions_of_upload(request, upload)?,
        None => conditions(request, operation.facts)?,
    };
    super::permit_all(operation, request, &Asked { conditions, object: Object::NotAskedFor, source: Object::NotAskedFor })
}

#[test]
fn a_copy_needs_the_right_to_read_its_source() {
    let request = request("", &[("x-amz-copy-source", "other/secret?versionId=1")]);
    let expected =
        [(Action::PutObject, "arn:aws:s3:::bucket/key".to_owned()), (Action::GetObjectVersion, "arn:aws:s3:::other/secret".to_owned())];
    assert_eq!(required_of("CopyObject", &request), expected);
    assert_eq!(required_of("UploadPartCopy", &request), expected);
}

#[test]
fn a_version_needs_its_own_right() {
    let on_object = |action| [(action, "arn:aws:s3:::bucket/key".to_owned())];
    assert_eq!(required_of("GetObject", &request("", &[])), on_object(Action::GetObject));
    assert_eq!(required_of("GetObject", &request("versionId=1", &[])), on_object(Action::GetObjectVersion));
    assert_eq!(required_of("DeleteObject", &request("versionId=1", &[])), on_object(Action::DeleteObjectVersion));
}

/// The attack: whoever may list under a prefix, or write encrypted, adds the parameter or the header to any request.
#[test]
fn a_condition_opens_no_operation_that_does_not_look_at_its_key() {
    let sent = || {
        let headers = [
            ("x-amz-copy-source", "other/key"),
            ("x-amz-server-side-encryption", "aws:kms"),
            ("x-amz-server-side-encryption-aws-kms-key-id", "alpha"),
            ("x-amz-server-side-encryption-customer-algorithm", "AES256"),
        ];
        request("prefix=home/me/&delimiter=/", &headers)
    };
    let encrypted = ["PutObject", "PostObject", "CreateMultipartUpload"];
    for (condition, operations) in [
        (r#"{"StringLike": {"s3:prefix": "home/me/*"}}"#, &["ListObjects", "ListObjectsV2", "ListObjectVersions"][..]),
        (r#"{"StringEquals": {"s3:delimiter": "/"}}"#, &["ListObjects", "ListObjectsV2", "ListObjectVersions"]),
        (r#"{"StringEquals": {"s3:x-amz-server-side-encryption": "aws:kms"}}"#, &encrypted),
        (r#"{"StringEquals": {"s3:x-amz-server-side-encryption-aws-kms-key-id": "alpha"}}"#, &encrypted),
        (r#"{"StringEquals": {"s3:x-amz-server-side-encryption-customer-algorithm": "AES256"}}"#, &encrypted),
    ] {
        for operation in all().filter(|operation| operation.facts != Facts::Upload && !operation.rights.is_empty()) {
            let permitted = permit_all(operation, &allowed_where(condition, sent()), None).is_ok();
            assert_eq!(permitted, operations.contains(&operation.name), "{operation:?} {condition}");
        }
        assert!(authorize_delete(&allowed_where(condition, sent()), "key", None, false).is_err(), "DeleteObjects {condition}");
        let missing = hide_missing(&allowed_where(condition, sent()), "bucket", Error::NoSuchKey);
        assert!(matches!(missing, Refusal::Engine(Error::AccessDenied)), "a missing key is not told {condition}");
    }
}

#[test]
fn a_reader_may_read_and_not_write() {
    let reader = as_user(&["readonly"], None, request("", &[]));
    assert!(permit_all(named("GetObject"), &reader, None).is_ok());
    assert!(matches!(permit_all(named("PutObject"), &reader, None), Err(Refusal::AccessDenied(_))));
    assert!(matches!(authorize_delete(&reader, "key", None, false), Err(Refusal::AccessDenied(_))));
}

#[test]
fn a_denied_kms_key_is_denied_however_it_is_spelled() {
    const ID: &str = "x-amz-server-side-encryption-aws-kms-key-id";
    let condition = format!(r#"{{"StringEquals": {{"s3:{ID}": "secretkey"}}}}"#);
    for spelled in [
        "secretkey",
        "key/secretkey",
        "arn:aws:kms:secretkey",
        "arn:aws:kms:us-east-1:000000000000:secretkey",
        "arn:aws:kms:us-east-1:000000000000:key/secretkey",
        "arn:aws:kms:a:b:c:d:key/secretkey",
        "arn:aws-cn:kms:::key/secretkey",
    ] {
        let by_name = denied_where(&condition, request("", &[(ID, spelled)]));
        assert!(matches!(permit_all(named("PutObject"), &by_name, None), Err(Refusal::AccessDenied(_))), "{spelled}");
        let part = denied_where(&condition, request("", &[]));
        let upload = encryption(Mode::SseKms, Some(spelled));
        assert!(matches!(permit_all(named("UploadPart"), &part, Some(&upload)), Err(Refusal::AccessDenied(_))), "{spelled}");
    }
    for other in ["otherkey", "key/otherkey", "arn:aws:kms:::key/otherkey", "no key at all"] {
        assert!(permit_all(named("PutObject"), &denied_where(&condition, request("", &[(ID, other)])), None).is_ok(), "{other}");
    }
}

#[test]
fn a_part_has_the_conditions_of_its_upload() {
    let unless_kms = r#"{"StringNotEquals": {"s3:x-amz-server-side-encryption": "aws:kms"}}"#;
    let unless_customer = r#"{"Null": {"s3:x-amz-server-side-encryption-customer-algorithm": "true"}}"#;
    for (condition, allowed) in [(unless_kms, Mode::SseKms), (unless_customer, Mode::SseC)] {
        for mode in [Mode::Store, Mode::SseS3, Mode::SseKms, Mode::DsseKms, Mode::SseC] {
            for operation in [named("UploadPart"), named("CompleteMultipartUpload")] {
                let verdict = permit_all(operation, &denied_where(condition, request("", &[])), Some(&encryption(mode, None)));
                assert_eq!(verdict.is_ok(), mode == allowed, "{operation:?} {mode:?} {condition}");
            }
        }
    }
    let any_key = r#"{"Null": {"s3:x-amz-server-side-encryption-aws-kms-key-id": "false"}}"#;
    let part = |mode| permit_all(named("UploadPart"), &denied_where(any_key, request("", &[])), Some(&encryption(mode, Some("default"))));
    assert!(part(Mode::SseKms).is_err());
    assert!(part(Mode::SseS3).is_ok(), "nobody names the key of SSE-S3");
}

/// May do everything with S3 where the condition holds.
fn allowed_where(condition: &str, request: Request) -> Request {
    let document = format!(
        r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", "Action": "s3:*", "Resource": "*", "Condition": {condition}}}}}"#
    );
    as_user(&[], Some(&document), request)
}

const FAR_MS: i64 = 3_786_912_000_000;

fn retained(mode: RetentionMode) -> ObjectLock {
    ObjectLock { retention: Some(Retention { mode, until_ms: FAR_MS }), ..ObjectLock::default() }
}

/// The attack: whoever may set one lock says so in the headers, and sets another in the body.
#[test]
fn a_condition_on_a_lock_sees_the_headers_of_a_write_and_the_body_of_a_change() {
    let sent = [("x-amz-object-lock-mode", "GOVERNANCE"), ("x-amz-object-lock-retain-until-date", "2090-01-01T00:00:00Z")];
    let governance = r#"{"StringEquals": {"s3:object-lock-mode": "GOVERNANCE"}}"#;
    let until = r#"{"DateLessThanEquals": {"s3:object-lock-retain-until-date": "2090-01-01T00:00:00Z"}}"#;
    let days = r#"{"NumericGreaterThan": {"s3:object-lock-remaining-retention-days": 1000}}"#;
    for condition in [governance, until, days] {
        for operation in all().filter(|operation| operation.facts != Facts::Upload && !operation.rights.is_empty()) {
            let permitted = permit_all(operation, &allowed_where(condition, request("", &sent)), None).is_ok();
            // What the bodies of the others say is not known yet: they ask again.
            let expected = ["PutObject", "PostObject", "CreateMultipartUpload"];
            let in_body = ["PutObjectRetention", "PutObjectLegalHold", "PutObjectTagging"];
            let expected = expected.iter().chain(&in_body).any(|name| *name == operation.name);
            assert_eq!(permitted, expected, "{operation:?} {condition}");
        }
    }
    for headers in [&sent[..], &[]] {
        for (mode, allowed) in [(RetentionMode::Governance, true), (RetentionMode::Compliance, false)] {
            let asked = allowed_where(governance, request("", headers));
            let said = lock::Said::from(&retained(mode));
            assert_eq!(authorize_locking(&asked, Action::PutObjectRetention, &said).is_ok(), allowed, "{mode:?} {headers:?}");
            assert!(authorize_locking(&asked, Action::PutObjectLegalHold, &said).is_err());
        }
    }
    let hold =
        allowed_where(r#"{"StringEquals": {"s3:object-lock-legal-hold": "ON"}}"#, request("", &[("x-amz-object-lock-legal-hold", "ON")]));
    assert!(authorize_locking(&hold, Action::PutObjectLegalHold, &lock::Said::of_legal_hold(true)).is_ok());
    assert!(authorize_locking(&hold, Action::PutObjectLegalHold, &lock::Said::of_legal_hold(false)).is_err());
}

#[test]
fn a_bypass_may_depend_on_the_retention_that_it_leads_to() {
    let asked = allowed_where(
        r#"{"NumericGreaterThanEquals": {"s3:object-lock-remaining-retention-days": 30}}"#,
        request("", &[("x-amz-bypass-governance-retention", "true")]),
    );
    let said = |days: i64| {
        let until_ms = now_ms() + days * 86_400_000;
        lock::Said::from(&ObjectLock { retention: Some(Retention { mode: RetentionMode::Governance, until_ms }), ..ObjectLock::default() })
    };
    for (said, allowed) in [(said(31), true), (said(7), false), (lock::Said::default(), false)] {
        assert_eq!(bypasses_governance(&asked, "key", &said).unwrap(), allowed, "{said:?}");
    }
}

#[test]
fn parts_are_locked_as_their_upload_is_and_its_days_do_not_run_out() {
    let begun_ms = FAR_MS - 30 * 86_400_000;
    let upload = |lock| UploadFacts { lock, begun_ms, ..encryption(Mode::SseS3, None) };
    let unless_compliance = r#"{"StringNotEquals": {"s3:object-lock-mode": "COMPLIANCE"}}"#;
    let unless_a_month = r#"{"NumericNotEquals": {"s3:object-lock-remaining-retention-days": 30}}"#;
    for operation in [named("UploadPart"), named("CompleteMultipartUpload")] {
        for (condition, lock, allowed) in [
            (unless_compliance, retained(RetentionMode::Compliance), true),
            (unless_compliance, retained(RetentionMode::Governance), false),
            (unless_compliance, ObjectLock::default(), false),
            (unless_a_month, retained(RetentionMode::Governance), true),
            (unless_a_month, ObjectLock::default(), false),
        ] {
            let verdict = permit_all(operation, &denied_where(condition, request("", &[])), Some(&upload(lock)));
            assert_eq!(verdict.is_ok(), allowed, "{operation:?} {condition} {lock:?}");
        }
    }
}

#[test]
fn a_write_by_etag_needs_the_right_to_read() {
    let operations = [named("PutObject"), named("CopyObject"), named("CompleteMultipartUpload"), named("DeleteObject")];
    for operation in operations {
        for etag in ["\"etag\"", "*"] {
            let headers = [("if-match", etag), ("x-amz-copy-source", "other/key")];
            let refused = permit_all(operation, &as_user(&[], Some(WRITER), request("", &headers)), None).unwrap_err();
            assert!(refused.message().contains("s3:GetObject on arn:aws:s3:::bucket/key"), "{operation:?}: {}", refused.message());
            assert!(permit_all(operation, &as_user(&["readonly"], Some(WRITER), request("", &headers)), None).is_ok(), "{operation:?}");
        }
        let headers = [("if-none-match", "*"), ("x-amz-copy-source", "other/key")];
        assert!(permit_all(operation, &as_user(&[], Some(WRITER), request("", &headers)), None).is_ok(), "{operation:?}");
    }
    let delete = |policies, compares| authorize_delete(&as_user(policies, Some(WRITER), request("", &[])), "key", None, compares);
    assert!(delete(&[], false).is_ok());
    assert!(matches!(delete(&[], true), Err(Refusal::AccessDenied(_))));
    assert!(delete(&["readonly"], true).is_ok());
}

/// The attack: who may delete and not read learns an object's size, date or ETag by asking whether it is this one.
#[test]
fn whatever_a_write_or_a_delete_compares_needs_the_right_to_read() {
    for (name, value) in [
        ("x-amz-if-match-size", "1"),
        ("x-amz-if-match-last-modified-time", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("if-none-match", "\"etag\""),
    ] {
        let refused = permit_all(named("DeleteObject"), &as_user(&[], Some(WRITER), request("", &[(name, value)])), None).unwrap_err();
        assert!(refused.message().contains("s3:GetObject on arn:aws:s3:::bucket/key"), "{name}: {}", refused.message());
    }
    let put = permit_all(named("PutObject"), &as_user(&[], Some(WRITER), request("", &[("if-none-match", "\"etag\"")])), None);
    assert!(matches!(put, Err(Refusal::AccessDenied(_))));
}

#[test]
fn comparing_a_version_needs_the_right_to_read_versions() {
    let with = |read: &str| {
        format!(
            r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", "Action": ["s3:DeleteObjectVersion", "{read}"], "Resource": "*"}}}}"#
        )
    };
    for (read, allowed) in [("s3:GetObject", false), ("s3:GetObjectVersion", true)] {
        let one = as_user(&[], Some(&with(read)), request("versionId=1", &[("x-amz-if-match-size", "1")]));
        assert_eq!(permit_all(named("DeleteObject"), &one, None).is_ok(), allowed, "{read}");
        let many = as_user(&[], Some(&with(read)), request("", &[]));
        assert_eq!(authorize_delete(&many, "key", Some("1"), true).is_ok(), allowed, "{read}");
    }
}

#[test]
fn who_may_not_list_does_not_learn_what_is_missing() {
    let nobody = as_user(&[], None, request("", &[]));
    assert!(matches!(hide_missing(&nobody, "bucket", Error::NoSuchKey), Refusal::Engine(Error::AccessDenied)));
    assert!(matches!(hide_missing(&nobody, "bucket", Error::NoSuchBucket), Refusal::Engine(Error::NoSuchBucket)));
    assert!(matches!(hide_missing(&request("", &[]), "bucket", Error::NoSuchKey), Refusal::Engine(Error::NoSuchKey)));
}
