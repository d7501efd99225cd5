#![allow(clippy::unwrap_used)]
use std::fmt::Write as _;

use super::*;

/// Every operation.
pub(crate) fn all() -> impl Iterator<Item = &'static Operation> {
    OPERATIONS.iter()
}

/// The operation of that name.
pub(crate) fn named(name: &str) -> &'static Operation {
    all().find(|operation| operation.name == name).unwrap()
}

/// Name, method and target of every operation that only reads.
pub(crate) fn that_read() -> impl Iterator<Item = (&'static str, &'static str, String)> {
    let reads = all().filter(|operation| ["GET", "HEAD"].contains(&operation.method));
    reads.map(|operation| (operation.name, operation.method, request_line(operation).replace("BUCKET", "bucket").replace("KEY", "key")))
}

/// Every parameter that names a part of a resource.
pub(crate) fn subresources() -> Vec<&'static str> {
    OF_BUCKET.into_iter().chain(OF_OBJECT).collect()
}

/// Every parameter that the rows look at.
pub(crate) fn parameters() -> impl Iterator<Item = String> {
    all().flat_map(|operation| {
        let conditions = operation.when.iter().filter_map(|when| match when {
            When::Has(parameter) | When::Is(parameter, _) => Some(*parameter),
            When::Copies | When::Always | When::Form => None,
        });
        operation.subresource.into_iter().chain(conditions).map(str::to_owned).collect::<Vec<_>>()
    })
}

fn operation(method: &str, bucket: &str, key: &str, query: &str, is_copy: bool) -> Result<&'static Operation, Refusal> {
    resolve(&Method::from_bytes(method.as_bytes()).unwrap(), bucket, key, &Query::parse(query).unwrap(), is_copy)
}

#[test]
fn method_resource_and_parameters_name_the_operation() {
    let rows = [
        ("GET", "", "", "", false, "ListBuckets"),
        ("GET", "b", "", "", false, "ListObjects"),
        ("GET", "b", "", "prefix=acl&marker=x", false, "ListObjects"),
        ("GET", "b", "", "list-type=2", false, "ListObjectsV2"),
        ("GET", "b", "", "versions&prefix=a", false, "ListObjectVersions"),
        ("HEAD", "b", "", "", false, "HeadBucket"),
        ("PUT", "b", "", "", false, "CreateBucket"),
        ("DELETE", "b", "", "", false, "DeleteBucket"),
        ("GET", "b", "", "location=", false, "GetBucketLocation"),
        ("GET", "b", "", "versioning", false, "GetBucketVersioning"),
        ("PUT", "b", "", "versioning", false, "PutBucketVersioning"),
        ("GET", "b", "", "encryption", false, "GetBucketEncryption"),
        ("PUT", "b", "", "encryption", false, "PutBucketEncryption"),
        ("DELETE", "b", "", "encryption", false, "DeleteBucketEncryption"),
        ("GET", "b", "", "acl", false, "GetBucketAcl"),
        ("GET", "b", "", "object-lock", false, "GetObjectLockConfiguration"),
        ("PUT", "b", "", "object-lock", false, "PutObjectLockConfiguration"),
        ("GET", "b", "k", "tagging", false, "GetObjectTagging"),
        ("PUT", "b", "k", "tagging", false, "PutObjectTagging"),
        ("DELETE", "b", "k", "tagging", false, "DeleteObjectTagging"),
        ("GET", "b", "k", "retention", false, "GetObjectRetention"),
        ("PUT", "b", "k", "retention&versionId=null", false, "PutObjectRetention"),
        ("GET", "b", "k", "legal-hold", false, "GetObjectLegalHold"),
        ("PUT", "b", "k", "legal-hold", false, "PutObjectLegalHold"),
        ("GET", "b", "", "uploads", false, "ListMultipartUploads"),
        ("POST", "b", "", "delete", false, "DeleteObjects"),
        ("GET", "b", "k", "x-id=GetObject&versionId=null", false, "GetObject"),
        ("GET", "b", "k", "partNumber=1", false, "GetObject"),
        ("HEAD", "b", "k", "", false, "HeadObject"),
        ("PUT", "b", "k", "x-id=PutObject", false, "PutObject"),
        ("PUT", "b", "k", "", true, "CopyObject"),
        ("DELETE", "b", "k", "", false, "DeleteObject"),
        ("GET", "b", "k", "attributes", false, "GetObjectAttributes"),
        ("GET", "b", "k", "acl", false, "GetObjectAcl"),
        ("PUT", "b", "k", "encryption", false, "UpdateObjectEncryption"),
        ("POST", "b", "k", "uploads", false, "CreateMultipartUpload"),
        ("PUT", "b", "k", "uploadId=u&partNumber=1", false, "UploadPart"),
        ("PUT", "b", "k", "uploadId=u&partNumber=1", true, "UploadPartCopy"),
        ("POST", "b", "k", "uploadId=u", false, "CompleteMultipartUpload"),
        ("DELETE", "b", "k", "uploadId=u", false, "AbortMultipartUpload"),
        ("GET", "b", "k", "uploadId=u", false, "ListParts"),
    ];
    for (method, bucket, key, query, is_copy, expected) in rows {
        assert_eq!(operation(method, bucket, key, query, is_copy).unwrap().name, expected, "{method} /{bucket}/{key}?{query}");
    }
}

#[test]
fn what_makes_a_version_takes_no_version_id() {
    for (method, query, is_copy) in [
        ("PUT", "", false),
        ("PUT", "", true),
        ("POST", "uploads&", false),
        ("PUT", "uploadId=u&partNumber=1&", false),
        ("PUT", "uploadId=u&partNumber=1&", true),
        ("POST", "uploadId=u&", false),
        ("DELETE", "uploadId=u&", false),
        ("GET", "uploadId=u&", false),
    ] {
        for version in ["versionId=null", "versionId="] {
            let refused = operation(method, "b", "k", &format!("{query}{version}"), is_copy);
            assert!(matches!(refused, Err(Refusal::InvalidArgument(_))), "{method} ?{query}{version}");
        }
    }
    for (method, query) in [("GET", ""), ("HEAD", ""), ("GET", "attributes&"), ("GET", "acl&"), ("PUT", "encryption&"), ("DELETE", "")] {
        assert!(operation(method, "b", "k", &format!("{query}versionId=null"), false).is_ok(), "{method} ?{query}");
    }
}

#[test]
fn what_s3_has_and_this_store_has_not_is_not_implemented() {
    for (method, key, query) in
        [("PUT", "", "website"), ("DELETE", "", "website"), ("GET", "k", "encryption"), ("POST", "k", "restore"), ("GET", "k", "torrent")]
    {
        assert!(matches!(operation(method, "b", key, query, false), Err(Refusal::NotImplemented(_))), "{method} {key}?{query}");
    }
}

#[test]
fn a_method_that_the_resource_has_not_is_not_allowed() {
    for (method, bucket, key) in [("PUT", "", ""), ("POST", "", ""), ("POST", "b", "k"), ("PATCH", "b", "k"), ("OPTIONS", "b", "")] {
        assert!(matches!(operation(method, bucket, key, "", false), Err(Refusal::MethodNotAllowed)), "{method} /{bucket}/{key}");
    }
}

#[test]
fn every_operation_has_its_own_name_and_says_what_it_takes() {
    for operation in all() {
        assert_eq!(all().filter(|other| other.name == operation.name).count(), 1, "{operation:?}");
        assert!(!operation.rights.is_empty() || operation.name == "DeleteObjects", "{operation:?} needs no right");
        assert!(operation.on == Resource::Object || !operation.takes_version, "{operation:?}");
        let is_write = ["PUT", "POST"].contains(&operation.method);
        assert!(is_write || !operation.takes_body, "{operation:?} reads a body");
    }
}

/// The table of `docs/s3-operations.md`, as the rows say it.
fn documented() -> String {
    let mut table = "| operation | request | actions | body | version | `If-Match` |\n| --- | --- | --- | --- | --- | --- |\n".to_owned();
    for operation in all() {
        let Operation { name, method, .. } = operation;
        let mark = |holds: bool| if holds { "yes" } else { "" };
        let (body, version, by_etag) = (mark(operation.takes_body), mark(operation.takes_version), mark(operation.compares_etag));
        let request = request_line(operation);
        let actions = actions(operation);
        writeln!(table, "| {name} | `{method} {request}` | {actions} | {body} | {version} | {by_etag} |").unwrap();
    }
    table
}

fn request_line(operation: &Operation) -> String {
    let path = match operation.on {
        Resource::Service => "/",
        Resource::Bucket => "/BUCKET",
        Resource::Object => "/BUCKET/KEY",
    };
    let conditions = operation.when.iter().filter_map(|when| match when {
        When::Has(parameter) => Some((*parameter).to_owned()),
        When::Is(parameter, value) => Some(format!("{parameter}={value}")),
        When::Copies | When::Always | When::Form => None,
    });
    let parameters: Vec<_> = operation.subresource.map(str::to_owned).into_iter().chain(conditions).collect();
    let query = if parameters.is_empty() { String::new() } else { format!("?{}", parameters.join("&")) };
    let copies = if operation.when.contains(&When::Copies) { " with x-amz-copy-source" } else { "" };
    let form = if operation.when.contains(&When::Form) { " with a form" } else { "" };
    format!("{path}{query}{copies}{form}")
}

fn actions(operation: &Operation) -> String {
    let mut actions: Vec<_> = operation
        .rights
        .iter()
        .map(|right| {
            let versioned = if right.of_version == right.action { String::new() } else { format!(" (`{}`)", right.of_version.as_str()) };
            let on_source = if right.on == Target::CopySource { " on the source" } else { "" };
            format!("`{}`{versioned}{on_source}", right.action.as_str())
        })
        .collect();
    let mut of_headers: Vec<_> = operation.header_rights.iter().map(|header| header.right.action.as_str()).collect();
    of_headers.dedup();
    actions.extend(of_headers.iter().map(|action| format!("`{action}` if headers ask for it")));
    if actions.is_empty() {
        actions.push("`s3:DeleteObject` (`s3:DeleteObjectVersion`) on each key".to_owned());
    }
    actions.join(", ")
}

#[test]
fn the_document_for_users_is_true() {
    let document = include_str!("../../../../docs/s3-operations.md");
    let expected = documented();
    assert!(document.contains(&expected), "docs/s3-operations.md must have this table:\n{expected}");
}
