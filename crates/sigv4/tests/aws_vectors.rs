//! The examples that AWS publishes: of the S3 API reference, and of its test suite for Signature Version 4.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Refused, Request, SECRET};
use strongroom_sigv4::{BodyError, Regions, Rules, SignatureError};
use time::{OffsetDateTime, macros::datetime};

const S3_TIME: OffsetDateTime = datetime!(2013-05-24 00:00:00 UTC);
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn s3_example(method: &str, target: &str, payload: &str, headers: &[(&str, &str)], signature: &str) -> Request {
    let mut request =
        Request::new(method, target).header("host", "examplebucket.s3.amazonaws.com").header("x-amz-date", "20130524T000000Z");
    for (name, value) in headers.iter().chain(&[("x-amz-content-sha256", payload)]) {
        request = request.header(name, value);
    }
    let mut names: Vec<&str> = request.headers.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    let credential = "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request";
    let authorization = format!("AWS4-HMAC-SHA256 Credential={credential},SignedHeaders={},Signature={signature}", names.join(";"));
    request.header("authorization", authorization)
}

#[test]
fn the_header_examples_of_the_s3_documentation_are_accepted() {
    let rows = [
        s3_example(
            "GET",
            "/test.txt",
            EMPTY,
            &[("range", "bytes=0-9")],
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        s3_example(
            "PUT",
            "/test$file.text",
            "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
            &[("date", "Fri, 24 May 2013 00:00:00 GMT"), ("x-amz-storage-class", "REDUCED_REDUNDANCY")],
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        )
        .body("Welcome to Amazon S3."),
        s3_example("GET", "/?lifecycle", EMPTY, &[], "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
        s3_example("GET", "/?max-keys=2&prefix=J", EMPTY, &[], "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
    ];
    for row in rows {
        let (body, trailers) = row.accept(S3_TIME, &[]).unwrap();
        assert_eq!((&body, trailers.len()), (&row.body, 0));
        assert_eq!(row.clone().body("something else").accept(S3_TIME, &[]).unwrap_err(), Refused::Body(BodyError::Sha256Mismatch));
        assert_eq!(
            Request { method: "DELETE".to_owned(), ..row }.accept(S3_TIME, &[]).unwrap_err(),
            Refused::Head(SignatureError::Mismatch)
        );
    }
}

#[test]
fn the_presigned_example_is_accepted_until_it_expires() {
    let target = "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request\
                  &X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host\
                  &X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
    let request = Request::new("GET", target).header("host", "examplebucket.s3.amazonaws.com");
    let refusal = |seconds| request.accept(S3_TIME + time::Duration::seconds(seconds), &[]).err();
    for seconds in [-900, 0, 86_400] {
        assert_eq!(refusal(seconds), None, "{seconds}");
    }
    assert_eq!(refusal(86_401), Some(Refused::Head(SignatureError::Expired)));
    assert_eq!(refusal(-901), Some(Refused::Head(SignatureError::NotYetValid)));
}

const CHUNK_SIGNATURES: [&str; 3] = [
    "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
    "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
    "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
];
const TRAILER_CHUNK_SIGNATURES: [&str; 3] = [
    "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
    "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
    "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
];

fn chunks_of_a(signatures: [&str; 3], end: &str) -> Vec<u8> {
    let [first, second, last] = signatures;
    let (long, short) = ("a".repeat(65536), "a".repeat(1024));
    format!("10000;chunk-signature={first}\r\n{long}\r\n400;chunk-signature={second}\r\n{short}\r\n0;chunk-signature={last}\r\n{end}")
        .into_bytes()
}

fn chunked_example(payload: &str, extra: &[(&str, &str)], signature: &str) -> Request {
    let common =
        [("content-encoding", "aws-chunked"), ("x-amz-decoded-content-length", "66560"), ("x-amz-storage-class", "REDUCED_REDUNDANCY")];
    let mut request = s3_example("PUT", "/examplebucket/chunkObject.txt", payload, &[&common, extra].concat(), signature);
    request.headers[0].1 = b"s3.amazonaws.com".to_vec();
    request
}

#[test]
fn the_chunked_example_decodes_to_66560_bytes() {
    let signature = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9";
    let body = chunks_of_a(CHUNK_SIGNATURES, "\r\n");
    assert_eq!(body.len(), 66824);
    let request = chunked_example("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", &[("content-length", "66824")], signature).body(body);
    for pieces in [&[usize::MAX][..], &[1], &[3, 86, 1, 65535, 1, 1, 1, 88]] {
        let (decoded, trailers) = request.accept(S3_TIME, pieces).unwrap();
        assert_eq!((decoded.len(), trailers.len()), (66560, 0));
        assert!(decoded.iter().all(|byte| *byte == b'a'));
    }
}

#[test]
fn the_trailer_example_is_accepted_in_every_framing_that_clients_send() {
    let signature = "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e";
    let request = chunked_example("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", &[("x-amz-trailer", "x-amz-checksum-crc32c")], signature);
    let trailer_signature = "x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435";
    let name = "x-amz-checksum-crc32c:sOO8/Q==";
    let ends = [
        format!("{name}\r\n{trailer_signature}\r\n\r\n"),
        // As the documentation writes it.
        format!("{name}\n\r\n{trailer_signature}"),
        // As MinIO's client sends it.
        format!("{name}\n\r\n{trailer_signature}\r\n\r\n"),
    ];
    for end in ends {
        let request = request.clone().body(chunks_of_a(TRAILER_CHUNK_SIGNATURES, &end));
        for pieces in [&[usize::MAX][..], &[1]] {
            let (decoded, trailers) = request.accept(S3_TIME, pieces).unwrap();
            assert_eq!(decoded.len(), 66560);
            assert_eq!(trailers.into_iter().collect::<Vec<_>>(), [("x-amz-checksum-crc32c".to_owned(), "sOO8/Q==".to_owned())]);
        }
        let altered = end.replace("sOO8", "sOO9");
        let refusal = request.clone().body(chunks_of_a(TRAILER_CHUNK_SIGNATURES, &altered)).accept(S3_TIME, &[]).unwrap_err();
        assert_eq!(refusal, Refused::Body(BodyError::SignatureMismatch));
    }
}

/// Each row of `vectors/aws-suite.jsonl` is a signed request of the suite. Two of them add the session token after signing, which
/// only some services of Amazon allow: an unsigned header counts for nothing here, and an altered query is another one.
#[test]
fn the_test_suite_for_other_services_is_accepted_but_for_unsigned_tokens() {
    const RULES: Rules = Rules { services: &["service"], regions: Regions::Named, ..Rules::S3 };
    let now = datetime!(2015-08-30 12:36:00 UTC);
    let mut rows = 0;
    for line in include_str!("vectors/aws-suite.jsonl").lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| row[name].as_str().unwrap().to_owned();
        let mut request = Request::new(&text("method"), &text("target")).body(text("body"));
        for header in row["headers"].as_array().unwrap() {
            request = request.header(header[0].as_str().unwrap(), header[1].as_str().unwrap());
        }
        let secret = SECRET.replace("G/b", "G+b");
        let verdict = request.verify_head(&RULES, &secret, now).err();
        let expected = match text("name").as_str() {
            "post-sts-header-after header" => Some(Refused::Head(SignatureError::HeaderNotSigned("x-amz-security-token".to_owned()))),
            "post-sts-header-after query" => Some(Refused::Head(SignatureError::Mismatch)),
            _ => None,
        };
        assert_eq!(verdict, expected, "{}", text("name"));
        rows += 1;
    }
    assert_eq!(rows, 60);
}
