//! What a URL of Signature Version 2 may ask for, over the table of operations.
#![allow(clippy::unwrap_used)]
use std::{collections::BTreeSet, fs, path::Path};

use aws_lc_rs::hmac;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use strongroom_access::{Configured, SecretKey};
use strongroom_sigv4::version_two::SIGNED;

use super::{tests::block_on, *};
use crate::{
    headers::hoist_presigned,
    operation::{resolve, tests as operations},
    query::{Plus, Query, encode},
};

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

/// The parameters that are read somewhere and that no URL of version 2 can have, since its signature does not cover them: sizes, beginnings and
/// forms of listings. Added to a link, each would show who holds it something else than what was signed.
const READ_AND_NOT_SIGNED: [&str; 17] = [
    "continuation-token",
    "delimiter",
    "encoding-type",
    "fetch-owner",
    "id",
    "key-marker",
    "list-type",
    "marker",
    "max-buckets",
    "max-keys",
    "max-parts",
    "max-uploads",
    "part-number-marker",
    "prefix",
    "start-after",
    "upload-id-marker",
    "version-id-marker",
];

fn gate() -> Gate {
    let root = Identity::root("AKIDEXAMPLE", SecretKey::new(SECRET.to_owned()).unwrap()).unwrap();
    Gate::new(Arc::new(Configured::new(root, Vec::new()).unwrap()), "us-east-1")
}

/// The signature's own parameters, for a URL of this resource.
fn signed(method: &str, headers: &str, resource: &str) -> String {
    let expires = OffsetDateTime::now_utc().unix_timestamp() + 60;
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, SECRET.as_bytes());
    let tag = hmac::sign(&key, format!("{method}\n\n\n{expires}\n{headers}{resource}").as_bytes());
    let signature = encode(&BASE64_STANDARD.encode(tag)).replace('/', "%2F");
    format!("AWSAccessKeyId=AKIDEXAMPLE&Expires={expires}&Signature={signature}")
}

fn parts(method: &str, target: &str, headers: &[(&str, &str)]) -> Parts {
    let request = http::Request::builder().method(method).uri(target).header("host", "localhost:9000");
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.body(()).unwrap().into_parts().0
}

/// Whether a URL gets in, or why not: `""` or a code.
fn admit(method: &str, target: &str, headers: &[(&str, &str)]) -> String {
    match block_on(gate().admit_url_of_version_two(&parts(method, target, headers), None)) {
        Ok(admitted) => {
            let admitted = admitted.unwrap();
            assert!(admitted.identity.is_root() && !admitted.covers_body);
            String::new()
        }
        Err(refusal) => refusal.verdict(crate::ErrorDialect::Strongroom).code.to_owned(),
    }
}

/// A target without a signature, and with one for what a signer would sign of it.
fn with_signature(method: &str, target: &str) -> String {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut pieces: Vec<&str> = query.split('&').filter(|piece| SIGNED.contains(&piece.split('=').next().unwrap())).collect();
    pieces.sort_unstable();
    let question = if pieces.is_empty() { "" } else { "?" };
    let separator = if query.is_empty() { "?" } else { "&" };
    format!("{target}{separator}{}", signed(method, "", &format!("{path}{question}{}", pieces.join("&"))))
}

/// Every parameter that this crate reads, as the source says it.
fn parameters_that_are_read() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else if !entry.file_stem().unwrap().to_str().unwrap().contains("tests") {
                let text = fs::read_to_string(entry).unwrap();
                // Tests come last.
                found.extend(parameters_of(text.split("#[cfg(test)]").next().unwrap()));
            }
        }
    }
    found
}

fn parameters_of(source: &str) -> BTreeSet<String> {
    let readers =
        ["query.get(\"", "query.get_filled(\"", "query.has(\"", "query.count(\"", "page_size(query, \"", "page_size(&request.query, \""];
    let quoted = |reader: &str| source.split(reader).skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect::<Vec<_>>();
    readers.into_iter().flat_map(quoted).collect()
}

#[test]
fn every_parameter_that_is_read_is_signed_or_refused() {
    let mut read = parameters_that_are_read();
    read.extend(operations::parameters());
    for name in ["versionId", "partNumber", "prefix", "max-keys", "max-parts", "list-type", "acl"] {
        assert!(read.contains(name), "the source is not read: {name}");
    }
    // Of version 4: a URL that has it is none of version 2.
    read.remove("X-Amz-Signature");
    let not_signed: BTreeSet<String> = read.into_iter().filter(|name| !SIGNED.contains(&name.as_str())).collect();
    let subresources = operations::subresources();
    let listed = READ_AND_NOT_SIGNED.iter().filter(|name| **name != "x-id").map(|name| (*name).to_owned());
    let expected: BTreeSet<String> =
        listed.chain(not_signed.iter().filter(|name| subresources.contains(&name.as_str())).cloned()).collect();
    assert_eq!(not_signed, expected);
}

#[test]
fn no_parameter_that_is_added_to_a_url_gets_past_the_gate() {
    let unknown = ["x-id", "anything"];
    let names: BTreeSet<&str> = READ_AND_NOT_SIGNED.into_iter().chain(operations::subresources()).chain(SIGNED).chain(unknown).collect();
    let mut tried = 0;
    for (name, method, target) in operations::that_read() {
        let url = with_signature(method, &target);
        if !admit(method, &url, &[]).is_empty() {
            continue;
        }
        for added in &names {
            for more in [format!("&{added}"), format!("&{added}=x"), format!("&%{:02x}{}=x", added.as_bytes()[0], &added[1..])] {
                let code = admit(method, &(url.clone() + &more), &[]);
                let is_there = target.contains(&format!("?{added}"));
                let expected = match (is_there, SIGNED.contains(added)) {
                    (true, _) => "AuthorizationQueryParametersError",
                    (false, true) => "SignatureDoesNotMatch",
                    (false, false) => "AccessDenied",
                };
                assert_eq!(code, expected, "{name}: {target} with {more}");
                tried += 1;
            }
        }
        for header in
            ["x-amz-expected-bucket-owner", "x-amz-server-side-encryption-customer-key", "x-amz-checksum-mode", "x-amz-copy-source"]
        {
            assert_eq!(admit(method, &url, &[(header, "x")]), "SignatureDoesNotMatch", "{name} with {header}");
            assert_eq!(admit(method, &format!("{url}&{header}=x"), &[]), "SignatureDoesNotMatch", "{name} with {header}");
        }
        for other in ["PUT", "POST", "DELETE"] {
            let parts = parts(other, &url, &[]);
            assert!(block_on(gate().admit_url_of_version_two(&parts, None)).unwrap().is_none(), "{other} {target}");
            assert!(
                matches!(block_on(gate().admit(&parts, Door::S3)), Err(Refusal::Signature(SignatureError::VersionTwo))),
                "{other} {target}"
            );
        }
    }
    assert!(tried > 2000, "{tried}");
}

#[test]
fn these_operations_can_be_reached_by_a_url_of_version_two_and_no_others() {
    let reached: Vec<&str> = operations::that_read()
        .filter(|(_, method, target)| admit(method, &with_signature(method, target), &[]).is_empty())
        .map(|(name, ..)| name)
        .collect();
    let expected = [
        "ListBuckets",
        "HeadBucket",
        "GetBucketLocation",
        "GetBucketVersioning",
        "GetBucketTagging",
        "GetBucketLifecycleConfiguration",
        "GetBucketCors",
        "GetBucketNotificationConfiguration",
        "GetObjectLockConfiguration",
        "GetBucketAcl",
        "GetBucketAccelerateConfiguration",
        "GetBucketRequestPayment",
        "GetBucketLogging",
        "GetBucketWebsite",
        "GetBucketPolicy",
        "GetBucketReplication",
        "GetBucketAnalyticsConfiguration",
        "GetBucketInventoryConfiguration",
        "GetBucketMetricsConfiguration",
        "ListObjects",
        "ListObjectVersions",
        "ListMultipartUploads",
        "GetObject",
        "HeadObject",
        "GetObjectAcl",
        "GetObjectTagging",
        "ListParts",
    ];
    assert_eq!(reached, expected);
}

/// What the gate let in means what was signed: nothing of the query but signed parameters is left to name an operation.
#[test]
fn a_url_that_is_let_in_means_the_operation_that_was_signed() {
    for (name, method, target) in operations::that_read() {
        let url = with_signature(method, &target);
        if admit(method, &url, &[]).is_empty() {
            let parts = parts(method, &url, &[]);
            let query = Query::parse(parts.uri.query().unwrap()).unwrap();
            let path = crate::query::decode(parts.uri.path(), Plus::IsPlus).unwrap();
            let (bucket, key) = path[1..].split_once('/').unwrap_or((&path[1..], ""));
            assert_eq!(resolve(&parts.method, bucket, key, &query, false).unwrap().name, name);
        }
    }
}

#[test]
fn a_header_that_a_url_carries_counts() {
    let own = signed("GET", "x-amz-checksum-mode:ENABLED\n", "/bucket/key");
    let url = format!("/bucket/key?x-amz-checksum-mode=ENABLED&{own}");
    assert_eq!(admit("GET", &url, &[]), "");
    let mut parts = parts("GET", &url, &[]);
    hoist_presigned(&mut parts.headers, &Query::parse(parts.uri.query().unwrap()).unwrap()).unwrap();
    assert_eq!(parts.headers["x-amz-checksum-mode"], "ENABLED");
}

#[test]
fn the_bucket_of_the_host_is_signed() {
    let url = format!("/key?{}", signed("GET", "", "/bucket/key"));
    let parts = parts("GET", &url, &[]);
    assert!(block_on(gate().admit_url_of_version_two(&parts, Some("bucket"))).unwrap().is_some());
    for other in [Some("other"), None] {
        let refused = block_on(gate().admit_url_of_version_two(&parts, other));
        assert!(matches!(refused, Err(Refusal::Signature(SignatureError::Mismatch))), "{other:?}");
    }
}

#[test]
fn a_stranger_s_url_and_a_token_have_the_codes_of_s3() {
    let url = with_signature("GET", "/bucket/key");
    assert_eq!(admit("GET", &url.replace("AKIDEXAMPLE", "SOMEBODYELSE"), &[]), "InvalidAccessKeyId");
    let own = signed("GET", "x-amz-security-token:t\n", "/bucket/key");
    assert_eq!(admit("GET", &format!("/bucket/key?{own}"), &[("x-amz-security-token", "t")]), "InvalidToken");
    assert_eq!(admit("GET", &format!("/bucket/key?x-amz-security-token=t&{own}"), &[]), "InvalidToken");
}

#[test]
fn administration_takes_no_url_of_version_two() {
    let parts = parts("GET", &with_signature("GET", "/kms/keys"), &[]);
    assert!(matches!(block_on(gate().admit(&parts, Door::Admin)), Err(Refusal::AccessDenied(_))));
}
