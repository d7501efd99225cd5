//! What s3s answered to each request of `vectors/s3s.jsonl`, and where this crate answers otherwise on purpose.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeSet;

use common::{Refused, Request, SECRET};
use serde_json::Value;
use strongroom_sigv4::{Regions, Rules};
use time::{OffsetDateTime, PrimitiveDateTime, macros::format_description};

/// The reason, our verdict, and the requests.
type Difference = (&'static str, &'static str, &'static [&'static str]);

const REFUSED: &[Difference] = &[
    ("a signature covers the host, or it would be good for another bucket", "AccessDenied", &["header: host not signed"]),
    (
        "two signatures leave open whose request it is; so at Amazon",
        "InvalidArgument",
        &["authorization: beside a presigned URL", "authorization: another scheme beside a presigned URL"],
    ),
    (
        "a body without its last chunk was cut",
        "IncompleteBody",
        &["signed chunks and trailer: no last chunk", "unsigned chunks and trailer: no last chunk"],
    ),
    ("an unsigned trailer without its line end was cut", "IncompleteBody", &["unsigned chunks and trailer: no last line end"]),
    (
        "the size of a chunk is hexadecimal digits",
        "IncompleteBody",
        &["signed chunks and trailer: a size with a space", "unsigned chunks and trailer: a size with a space"],
    ),
    (
        "a length is digits",
        "InvalidArgument",
        &["signed chunks and trailer: decoded length signed", "unsigned chunks and trailer: decoded length signed"],
    ),
    (
        "signed chunks before the last have 8 KiB at Amazon",
        "InvalidChunkSizeError",
        &["signed chunks and trailer: small chunks", "signed chunks and trailer: a small chunk, then a large one"],
    ),
    (
        "what x-amz-trailer announces must come",
        "InvalidRequest",
        &["signed chunks and trailer: no trailer", "unsigned chunks and trailer: no trailer"],
    ),
    (
        "only what x-amz-trailer announces may come, and once",
        "MalformedTrailerError",
        &["unsigned chunks and trailer: a trailer nobody announced", "unsigned chunks and trailer: a trailer twice"],
    ),
];

const ACCEPTED: &[Difference] = &[
    (
        "zeros before a size change nothing",
        "accepted",
        &["signed chunks and trailer: a size with more zeros", "unsigned chunks and trailer: a size with more zeros"],
    ),
    ("the order of the fields means nothing", "accepted", &["authorization: with fields in another order"]),
    (
        "what is signed is sorted, in whatever order it is listed",
        "accepted",
        &["authorization: with signed headers in another order", "header: a parameter given several times, sorted by value"],
    ),
    ("bytes are signed, not text", "accepted", &["header: bytes that are no text"]),
    ("these rules allow any region", "accepted", &["authorization: signed for a region that is none"]),
    (
        "the SDKs sign the hash that they send with a presigned URL",
        "accepted",
        &[
            "presigned: hash of the body signed as the payload, listed",
            "presigned: hash of the body signed as the payload, not listed",
            "presigned: X-Amz-Content-Sha256 in the query, 230d",
        ],
    ),
    ("and then it holds", "XAmzContentSHA256Mismatch", &["presigned: X-Amz-Content-Sha256 in the query, d929"]),
];

/// Refused by both; the code is Amazon's.
const CODES: &[Difference] = &[
    (
        "version 4 that is incomplete",
        "AuthorizationQueryParametersError",
        &["presigned: parameter names in lower case", "presigned: no signature"],
    ),
    (
        "two mechanisms",
        "InvalidArgument",
        &["get: signature of version 2 too", "put: signature of version 2 too", "presigned: signature of version 2 too"],
    ),
    ("version 2", "InvalidRequest", &["presigned: version 2", "presigned: only a parameter named Signature"]),
    ("a header given twice is no missing one", "InvalidRequest", &["authorization: given twice"]),
    (
        "an unknown scheme",
        "InvalidArgument",
        &[
            "authorization: of version 2 without a signature",
            "authorization: basic",
            "authorization: of another algorithm",
            "authorization: in lower case",
        ],
    ),
    ("an empty header is none", "AccessDenied", &["authorization: empty"]),
    ("a missing or broken date", "AccessDenied", &["header: x-amz-date altered to 20130524", "header: no x-amz-date"]),
    (
        "a malformed header",
        "AuthorizationHeaderMalformed",
        &[
            "authorization: of nobody",
            "authorization: without a signature",
            "authorization: without signed headers",
            "authorization: with an extra field",
            "authorization: with the wrong terminator",
            "authorization: with a date that is none",
            "authorization: with no signed header",
            "authorization: with an upper-case signed header",
            "authorization: with a signed header named twice",
        ],
    ),
    (
        "a scope for another day or service",
        "AuthorizationHeaderMalformed",
        &[
            "header: x-amz-date altered to 20130524T000000Z",
            "authorization: with another date",
            "authorization: with the service iam",
            "authorization: signed for the service sts",
            "authorization: signed for no service",
        ],
    ),
    (
        "malformed parameters",
        "AuthorizationQueryParametersError",
        &[
            "presigned: another algorithm",
            "presigned: another service",
            "presigned: life with a sign",
            "presigned: upper-case signed header",
            "presigned: date altered",
            "presigned: host not signed",
        ],
    ),
    ("not yet valid", "AccessDenied", &["presigned: 16 minutes ahead"]),
    ("no hash", "InvalidArgument", &["header: hash in upper case", "header: no hash", "header: hash in base64"]),
    (
        "no length",
        "InvalidArgument",
        &["signed chunks and trailer: decoded length no number", "unsigned chunks and trailer: decoded length no number"],
    ),
    (
        "framing that is broken, before anything is verified",
        "IncompleteBody",
        &[
            "signed chunks and trailer: a huge size",
            "signed chunks and trailer: a size of 17 digits",
            "signed chunks and trailer: a size with 0x",
            "signed chunks and trailer: a signature in upper case",
            "unsigned chunks and trailer: a signature nobody asked for",
        ],
    ),
    ("a chunk is verified at its end", "SignatureDoesNotMatch", &["signed chunks and trailer: a size altered"]),
    (
        "a broken trailer",
        "MalformedTrailerError",
        &[
            "signed chunks and trailer: a trailer without a colon",
            "signed chunks and trailer: a trailer nobody announced",
            "signed chunks and trailer: a trailer twice",
            "unsigned chunks and trailer: a trailer without a colon",
        ],
    ),
];

#[test]
fn each_request_is_answered_as_s3s_did_but_where_the_table_says_why_not() {
    const RULES: Rules = Rules { regions: Regions::Any, ..Rules::S3 };
    let differences: Vec<&Difference> = REFUSED.iter().chain(ACCEPTED).chain(CODES).collect();
    let mut left: BTreeSet<&str> = differences.iter().flat_map(|(_, _, names)| names.iter().copied()).collect();
    let (mut rows, mut accepted) = (0, 0);
    for line in include_str!("vectors/s3s.jsonl").lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let (name, theirs) = (row["name"].as_str().unwrap(), row["s3s"].as_str().unwrap());
        for pieces in [&[usize::MAX][..], &[1], &[7, 8192, 1]] {
            let outcome = request(&row).accept_by(&RULES, SECRET, now(&row), pieces);
            let ours = outcome.as_ref().map_or_else(Refused::code, |_| "accepted");
            let difference = differences.iter().find(|(_, _, names)| names.contains(&name));
            assert_eq!(ours, difference.map_or(theirs, |(_, ours, _)| ours), "{name}: {outcome:?}");
            assert!(difference.is_none() || ours != theirs, "{name} is no difference");
            accepted += usize::from(ours == "accepted");
        }
        left.remove(name);
        rows += 1;
    }
    assert!(left.is_empty(), "{left:?}");
    assert!(rows > 250 && accepted > 150, "{rows} {accepted}");
}

fn now(row: &Value) -> OffsetDateTime {
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    PrimitiveDateTime::parse(row["now"].as_str().unwrap(), format).unwrap().assume_utc()
}

fn request(row: &Value) -> Request {
    let mut request = Request::new(row["method"].as_str().unwrap(), row["target"].as_str().unwrap());
    for header in row["headers"].as_array().unwrap() {
        request = request.header(header[0].as_str().unwrap(), bytes(&header[1]));
    }
    for piece in row["body"].as_array().unwrap() {
        match piece {
            Value::Array(run) => request.body.extend(bytes(&run[0]).repeat(usize::try_from(run[1].as_u64().unwrap()).unwrap())),
            text => request.body.extend(bytes(text)),
        }
    }
    request
}

fn bytes(text: &Value) -> Vec<u8> {
    text.as_str().unwrap().chars().map(|letter| u8::try_from(u32::from(letter)).unwrap()).collect()
}
