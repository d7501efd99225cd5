//! What holds for any bytes.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeSet;

use common::{Refused, Request, SECRET, Signer, decode, sha256_hex, target};
use http::{HeaderMap, HeaderValue};
use proptest::{collection::vec, prelude::*, sample::Index};
use strongroom_sigv4::{
    BodyDecoder, BodyError, Claim, Head, Lengths, Payload, Rules, SignatureError, announced_trailers,
    post_policy::{FormClaim, FormError},
};
use time::{Duration, OffsetDateTime, macros::datetime};

const NOW: OffsetDateTime = datetime!(2026-11-26 12:00:00 UTC);
const TRAILERS: [(&str, &str); 2] = [("x-amz-checksum-crc32c", "sOO8/Q=="), ("x-amz-checksum-crc64nvme", "AAAAAAAAAAA=")];

fn path() -> impl Strategy<Value = String> {
    "/[a-zA-Z0-9 +%/._~!$&'()*,;=:@üé€-]{0,24}"
}

fn query() -> impl Strategy<Value = Vec<(String, String)>> {
    vec(("[a-zA-Z0-9 +%/=&ü~-]{1,8}", "[a-zA-Z0-9 +%/=&ü~-]{0,8}"), 0..5)
}

fn put(path: &str, query: &[(String, String)], metadata: &str) -> Request {
    let query: Vec<(&str, &str)> = query.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    Request::new("PUT", &target(path, &query)).header("host", "h:9000").header("x-amz-meta-a", metadata)
}

/// How a body may be sent.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Hashed,
    Presigned,
    SignedChunks,
    SignedChunksTrailer,
    UnsignedChunksTrailer,
}

/// The first says nothing of the body, the last three sign it.
const KINDS: [Kind; 5] = [Kind::Presigned, Kind::UnsignedChunksTrailer, Kind::Hashed, Kind::SignedChunks, Kind::SignedChunksTrailer];

fn send(kind: Kind, mut request: Request, data: &[u8], chunk: usize) -> Request {
    let signer = Signer::s3(NOW);
    match kind {
        Kind::Hashed => {
            request = request.body(data);
            signer.sign_header(&mut request, &sha256_hex(data), &[]);
        }
        Kind::Presigned => {
            request = request.body(data);
            signer.sign_query(&mut request, 60, "UNSIGNED-PAYLOAD", &[]);
        }
        Kind::SignedChunks => signer.sign_chunks(&mut request, data, &[chunk], true, &[]),
        Kind::SignedChunksTrailer => signer.sign_chunks(&mut request, data, &[chunk], true, &TRAILERS),
        Kind::UnsignedChunksTrailer => signer.sign_chunks(&mut request, data, &[chunk], false, &TRAILERS),
    }
    request
}

fn one_of(kinds: &'static [Kind]) -> impl Strategy<Value = Kind> {
    prop::sample::select(kinds)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_a_signer_signs_is_accepted_and_decodes_to_the_same_in_any_pieces(
        kind in one_of(&KINDS), path in path(), query in query(), metadata in "[ -~]{0,12}", data in vec(any::<u8>(), 0..30_000),
        chunk in 8192_usize..20_000, pieces in vec(1_usize..9000, 1..6),
    ) {
        let request = send(kind, put(&path, &query, &metadata), &data, chunk);
        let (whole, trailers) = request.accept(NOW, &[usize::MAX]).unwrap();
        prop_assert_eq!(&whole, &data);
        let expected = if matches!(kind, Kind::SignedChunksTrailer | Kind::UnsignedChunksTrailer) { 2 } else { 0 };
        prop_assert_eq!(trailers.len(), expected);
        prop_assert_eq!(request.accept(NOW, &pieces).unwrap(), (whole.clone(), trailers.clone()));
        prop_assert_eq!(request.accept(NOW, &[1]).unwrap(), (whole, trailers));
    }

    #[test]
    fn a_head_with_another_byte_is_refused(
        path in path(), query in query(), presigned in any::<bool>(), at in any::<Index>(), bit in 0_u32..8,
    ) {
        let kind = if presigned { Kind::Presigned } else { Kind::Hashed };
        let request = send(kind, put(&path, &query, "a b"), b"", 1);
        let mut altered = request.clone();
        let mut texts = vec![altered.method.clone().into_bytes(), altered.target.clone().into_bytes()];
        texts.extend(altered.headers.iter().map(|(_, value)| value.clone()));
        let all: usize = texts.iter().map(Vec::len).sum();
        let mut at = at.index(all);
        for text in &mut texts {
            if at < text.len() {
                text[at] ^= 1 << bit;
                break;
            }
            at -= text.len();
        }
        let mut texts = texts.into_iter();
        let (method, target) = (texts.next().unwrap(), texts.next().unwrap());
        // What is no text is no request either.
        let (Ok(method), Ok(target)) = (String::from_utf8(method), String::from_utf8(target)) else { return Ok(()) };
        (altered.method, altered.target) = (method, target);
        altered.headers.iter_mut().zip(texts).for_each(|((_, value), text)| *value = text);
        if altered.accept(NOW, &[]).is_ok() {
            prop_assert_eq!(meaning(&altered), meaning(&request), "{:?}", altered);
        }
    }

    #[test]
    fn a_signed_body_with_another_byte_is_refused(
        kind in one_of(&KINDS[2..]), data in vec(any::<u8>(), 1..20_000), at in any::<Index>(), bit in 0_u32..8,
        pieces in vec(1_usize..9000, 1..4),
    ) {
        let request = send(kind, put("/b/k", &[], ""), &data, 8192);
        let mut altered = request.clone();
        let at = at.index(altered.body.len());
        altered.body[at] ^= 1 << bit;
        // The letters of a size and of a trailer's name have another spelling; so has the space behind a trailer's value.
        if let Ok((decoded, trailers)) = altered.accept(NOW, &pieces) {
            prop_assert_eq!((decoded, trailers), request.accept(NOW, &pieces).unwrap());
            let is_space = request.body[at] == b'\r' && altered.body[at] == b'\t';
            prop_assert!(is_space || altered.body[at].eq_ignore_ascii_case(&request.body[at]));
        }
    }

    #[test]
    fn a_body_that_is_cut_or_goes_on_is_refused(
        kind in one_of(&KINDS[1..]), data in vec(any::<u8>(), 1..20_000), cut in any::<Index>(), more in any::<u8>(),
    ) {
        let request = send(kind, put("/b/k", &[], ""), &data, 8192);
        let mut cut_off = request.clone();
        cut_off.headers.retain(|(name, _)| name != "content-length");
        cut_off.body.truncate(cut.index(request.body.len()));
        let is_only_the_last_line_end = request.body[cut_off.body.len()..].iter().all(|byte| b"\r\n".contains(byte));
        if !is_only_the_last_line_end || matches!(kind, Kind::Hashed) {
            prop_assert!(matches!(cut_off.accept(NOW, &[]), Err(Refused::Body(_))));
        }
        let mut longer = request;
        longer.headers.retain(|(name, _)| name != "content-length");
        longer.body.push(more);
        let is_a_line_end = matches!(kind, Kind::SignedChunksTrailer | Kind::UnsignedChunksTrailer) && b"\r\n".contains(&more);
        prop_assert_eq!(matches!(longer.accept(NOW, &[]), Err(Refused::Body(_))), !is_a_line_end);
    }

    #[test]
    fn no_bytes_make_the_decoder_panic_or_decode_more_than_they_hold(
        kind in one_of(&KINDS),
        wire in vec(prop_oneof![prop::sample::select(&b"01;:\r\n"[..]), any::<u8>()], 0..2000),
        decoded in 0_u64..3000, pieces in vec(1_usize..300, 1..4),
    ) {
        let request = send(kind, put("/b/k", &[], ""), b"data", 8192);
        let verified = request.verify_head(&Rules::S3, SECRET, NOW).unwrap();
        let announced = announced_trailers(&request.parts().unwrap().2).unwrap();
        let decoder = BodyDecoder::new(verified.into_payload(), Lengths { encoded: None, decoded: Some(decoded) }, announced).unwrap();
        // The helper asserts the length.
        if let Ok((body, _)) = decode(decoder, &wire, &pieces) {
            prop_assert!(body.len() as u64 == decoded || matches!(kind, Kind::Presigned));
        }
    }

    #[test]
    fn the_verdict_on_a_mangled_body_does_not_depend_on_its_pieces(
        kind in one_of(&KINDS), data in vec(any::<u8>(), 0..300),
        edits in vec((any::<Index>(), 0_usize..4, prop_oneof!["[\r\n0-9a-f;:]", "[ -~]"]), 1..6),
        pieces in vec(1_usize..90, 1..5),
    ) {
        let mut request = send(kind, put("/b/k", &[], ""), &data, 8192);
        request.headers.retain(|(name, _)| name != "content-length");
        for (at, removed, inserted) in edits {
            let at = at.index(request.body.len() + 1);
            let end = (at + removed).min(request.body.len());
            request.body.splice(at..end, inserted.into_bytes());
        }
        let whole = request.accept(NOW, &[usize::MAX]);
        prop_assert_eq!(&request.accept(NOW, &pieces), &whole);
        prop_assert_eq!(&request.accept(NOW, &[1]), &whole);
    }

    #[test]
    fn unsigned_chunks_of_any_size_decode(
        data in vec(any::<u8>(), 0..3000), chunk in 1_usize..700, pieces in vec(1_usize..50, 1..4),
    ) {
        let request = send(Kind::UnsignedChunksTrailer, put("/b/k", &[], ""), &data, chunk);
        prop_assert_eq!(request.accept(NOW, &pieces).unwrap().0, data);
    }

    #[test]
    fn no_head_makes_the_verifier_panic(
        authorization in "(AWS4-HMAC-SHA256 |AWS )?[ -~]{0,200}", query in "([A-Za-z-]{0,20}=[!-~]{0,60}&?){0,6}", sha256 in "[ -~]{0,70}",
        date in "[0-9TZ]{0,17}", form in vec(("(policy|x-amz-[a-z]{4,10}|[a-z]{0,6})", "[ -~]{0,60}"), 0..8),
    ) {
        let target = format!("/?{query}");
        let request = Request::new("GET", &target).header("host", "h").header("authorization", authorization);
        let request = request.header("x-amz-content-sha256", sha256).header("x-amz-date", date);
        prop_assert!(request.accept(NOW, &[]).is_err());
        let form: Vec<(String, String)> = form;
        if let Ok(Some(claim)) = FormClaim::read(&form, true) {
            prop_assert!(claim.verify(SECRET, NOW, &Rules::S3).is_err());
        }
    }

    #[test]
    fn a_signature_by_another_secret_or_scope_is_refused(kind in one_of(&KINDS), which in 0_usize..4) {
        let mut request = put("/b/k", &[], "");
        let mut signer = Signer::s3(NOW);
        match which {
            0 => signer.secret.push('x'),
            1 => "eu-west-1".clone_into(&mut signer.region),
            2 => signer.at -= Duration::days(1),
            _ => "sts".clone_into(&mut signer.service),
        }
        let claimed = Signer::s3(NOW).scope();
        match kind {
            Kind::Presigned => signer.sign_query(&mut request, 60, "UNSIGNED-PAYLOAD", &[]),
            _ => { signer.sign_header(&mut request, "UNSIGNED-PAYLOAD", &[]); }
        }
        request.target = request.target.replace(&signer.scope().replace('/', "%2F"), &claimed.replace('/', "%2F"));
        let authorization = request.get("authorization").map(|value| value.replace(&signer.scope(), &claimed));
        if let Some(authorization) = authorization {
            request.set("authorization", authorization);
        }
        // A day off, the timestamp no longer is the claimed one's.
        let expected = match (which, kind) {
            (2, Kind::Presigned) => "AuthorizationQueryParametersError",
            (2, _) => "AuthorizationHeaderMalformed",
            _ => "SignatureDoesNotMatch",
        };
        prop_assert_eq!(request.accept(NOW, &[]).unwrap_err().code(), expected);
    }
}

type Meaning = (String, Vec<u8>, Vec<(Vec<u8>, Vec<u8>)>, Vec<(String, Vec<Vec<u8>>)>);

/// What a request means to a server: its method, decoded path and parameters, and its header values without their spaces.
fn meaning(request: &Request) -> Meaning {
    let decode = |text: &str, plus: bool| -> Vec<u8> {
        let bytes = text.as_bytes();
        let (mut out, mut at) = (Vec::new(), 0);
        while at < bytes.len() {
            let escaped =
                (bytes[at] == b'%').then(|| text.get(at + 1..at + 3).and_then(|pair| u8::from_str_radix(pair, 16).ok())).flatten();
            out.push(escaped.unwrap_or(if plus && bytes[at] == b'+' { b' ' } else { bytes[at] }));
            at += if escaped.is_some() { 3 } else { 1 };
        }
        out
    };
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let mut pairs: Vec<_> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decode(name, true), decode(value, true)))
        .collect();
    pairs.sort_unstable();
    let words = |value: &[u8]| value.split(|byte| b" \t".contains(byte)).filter(|word| !word.is_empty()).map(<[u8]>::to_vec).collect();
    let headers = request.headers.iter().map(|(name, value)| (name.clone(), words(value)));
    (request.method.clone(), decode(path, false), pairs, headers.collect())
}

#[test]
fn lengths_and_announcements_are_read_strictly() {
    let lengths = |name: &'static str, values: &[&'static str]| {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name, HeaderValue::from_static(value));
        }
        Lengths::read(&headers)
    };
    assert_eq!(lengths("content-length", &["12"]), Ok(Lengths { encoded: Some(12), decoded: None }));
    assert_eq!(lengths("x-amz-decoded-content-length", &["0"]), Ok(Lengths { encoded: None, decoded: Some(0) }));
    for values in [&["1", "1"][..], &[""], &["+1"], &["-1"], &["0x1"], &["1,1"], &["18446744073709551616"]] {
        for name in ["content-length", "x-amz-decoded-content-length"] {
            assert_eq!(lengths(name, values), Err(BodyError::InvalidLength(name)), "{values:?}");
        }
    }
    let announced = |value: &str| {
        let mut headers = HeaderMap::new();
        headers.append("x-amz-trailer", HeaderValue::from_str(value).unwrap());
        announced_trailers(&headers)
    };
    assert_eq!(announced("X-Amz-A, x-amz-b,,").unwrap().into_iter().collect::<Vec<_>>(), ["x-amz-a", "x-amz-b"]);
    assert_eq!(announced("a b"), Err(BodyError::InvalidAnnouncement));
    let many: Vec<String> = (0..17).map(|number| format!("t{number}")).collect();
    assert_eq!(announced(&many.join(",")), Err(BodyError::InvalidAnnouncement));
}

#[test]
fn a_body_must_have_the_length_that_was_announced() {
    let decoder = |encoded| BodyDecoder::new(Payload::Unsigned, Lengths { encoded, decoded: None }, BTreeSet::new()).unwrap();
    assert_eq!(decode(decoder(Some(4)), b"body", &[1]).unwrap().0, b"body");
    assert_eq!(decode(decoder(None), b"body", &[1]).unwrap().0, b"body");
    assert_eq!(decode(decoder(Some(5)), b"body", &[1]), Err(BodyError::Incomplete));
    assert_eq!(decode(decoder(Some(3)), b"body", &[1]), Err(BodyError::TooLong));
    assert_eq!(decode(decoder(Some(3)), b"body", &[4]), Err(BodyError::TooLong));
}

#[test]
fn a_claim_without_a_hash_is_verified_with_the_body_for_other_services_only() {
    const RULES: Rules = Rules { services: &["s3", "sts"], ..Rules::S3 };
    let verify = |service: &str, body: &[u8]| {
        let mut request = Request::new("POST", "/").header("host", "h").body("Action=AssumeRole");
        Signer { service: service.to_owned(), ..Signer::s3(NOW) }.sign_header(&mut request, "", &[]);
        let (method, uri, headers) = request.parts().unwrap();
        let head = Head { method: &method, uri: &uri, headers: &headers };
        let claim = || Claim::read(&head).unwrap().unwrap();
        assert_eq!(claim().needs_body(), service == "sts");
        assert_eq!(claim().verify(&head, SECRET, NOW, &RULES).unwrap_err(), SignatureError::PayloadNotDeclared);
        claim().verify_with_body(&head, SECRET, NOW, &RULES, body).map(|verified| verified.covers_body())
    };
    assert_eq!(verify("sts", b"Action=AssumeRole"), Ok(true));
    assert_eq!(verify("sts", b"Action=AssumeRoot"), Err(SignatureError::Mismatch));
    assert_eq!(verify("s3", b"Action=AssumeRole"), Err(SignatureError::PayloadNotDeclared));
}

#[test]
fn a_request_line_with_another_host_is_refused() {
    let request = send(Kind::Hashed, put("/b/k", &[], ""), b"", 1);
    let with_target = |target: &str| Request { target: target.to_owned(), ..request.clone() }.accept(NOW, &[]);
    assert!(with_target("http://h:9000/b/k").is_ok());
    for target in ["http://other:9000/b/k", "http://h/b/k", "http://user@h:9000/b/k", "https://b.h:9000/b/k"] {
        assert_eq!(with_target(target), Err(Refused::Head(SignatureError::HostMismatch)), "{target}");
    }
    let root = send(Kind::Hashed, put("/", &[], ""), b"", 1);
    let refusal = Request { target: ".".to_owned(), ..root }.accept(NOW, &[]);
    assert_eq!(refusal, Err(Refused::Head(SignatureError::HostMismatch)));
}

#[test]
fn a_body_is_covered_only_by_a_hash_that_is_signed() {
    let covers_body = |request: &Request| request.verify_head(&Rules::S3, SECRET, NOW).unwrap().covers_body();
    let expected = [false, false, true, true, true];
    for (kind, expected) in KINDS.into_iter().zip(expected) {
        assert_eq!(covers_body(&send(kind, put("/b/k", &[], ""), b"data", 8192)), expected, "{kind:?}");
    }
    let unsigned = {
        let mut request = put("/b/k", &[], "").body("data");
        Signer::s3(NOW).sign_header(&mut request, "UNSIGNED-PAYLOAD", &[]);
        request
    };
    assert!(!covers_body(&unsigned));
    // Presigned: the hash in a header that is signed, in one that is not, signed as the payload, and in the query.
    let hash = sha256_hex(b"data");
    let presigned = |in_query: bool, payload: &str, except: &[&str]| {
        let target = if in_query { format!("/b/k?X-Amz-Content-Sha256={hash}") } else { "/b/k".to_owned() };
        let mut request = Request::new("PUT", &target).header("host", "h").body("data");
        if !in_query {
            request.set("x-amz-content-sha256", &hash);
        }
        Signer::s3(NOW).sign_query(&mut request, 60, payload, except);
        assert_eq!(request.clone().body("other").accept(NOW, &[]), Err(Refused::Body(BodyError::Sha256Mismatch)));
        covers_body(&request)
    };
    assert!(presigned(false, "UNSIGNED-PAYLOAD", &[]));
    assert!(!presigned(false, "UNSIGNED-PAYLOAD", &["x-amz-content-sha256"]));
    assert!(presigned(false, &hash, &["x-amz-content-sha256"]));
    assert!(presigned(true, "UNSIGNED-PAYLOAD", &[]));
    assert!(presigned(true, &hash, &[]));
}

#[test]
fn a_hash_that_is_none_beside_a_presigned_url_breaks_its_signature() {
    let presigned = |target: &str| {
        let mut request = Request::new("PUT", target).header("host", "h").body("data");
        Signer::s3(NOW).sign_query(&mut request, 60, "UNSIGNED-PAYLOAD", &[]);
        request
    };
    let refusal = |request: &Request| request.verify_head(&Rules::S3, SECRET, NOW).unwrap_err();
    let mut beside = presigned("/b/k");
    beside.verify_head(&Rules::S3, SECRET, NOW).unwrap();
    beside.set("x-amz-content-sha256", "none");
    assert_eq!(refusal(&beside), Refused::Head(SignatureError::Mismatch));
    // In the URL the signer said so.
    assert_eq!(refusal(&presigned("/b/k?X-Amz-Content-Sha256=none")), Refused::Head(SignatureError::InvalidPayload));
}

#[test]
fn the_rules_decide_on_regions_placements_and_services() {
    const ANY: Rules = Rules { regions: strongroom_sigv4::Regions::Any, placements: strongroom_sigv4::Placements::Header, ..Rules::S3 };
    let signed = |region: &str| {
        let mut request = put("/b/k", &[], "");
        Signer { region: region.to_owned(), ..Signer::s3(NOW) }.sign_header(&mut request, "UNSIGNED-PAYLOAD", &[]);
        request
    };
    for region in ["", "US", "eu_west"] {
        let expected = SignatureError::WrongRegion { region: region.to_owned() };
        assert_eq!(signed(region).accept(NOW, &[]), Err(Refused::Head(expected)), "{region}");
        assert!(signed(region).accept_by(&ANY, SECRET, NOW, &[]).is_ok(), "{region}");
    }
    let presigned = send(Kind::Presigned, put("/b/k", &[], ""), b"", 1);
    assert!(presigned.accept(NOW, &[]).is_ok());
    assert_eq!(presigned.accept_by(&ANY, SECRET, NOW, &[]), Err(Refused::Head(SignatureError::QueryNotAllowed)));
}

#[test]
fn a_form_s_fields_are_no_request_and_a_request_s_signature_is_no_form() {
    let request = send(Kind::Hashed, put("/b/k", &[], ""), b"", 1);
    assert!(FormClaim::read(&[], true).unwrap().is_none());
    let fields: Vec<(String, String)> = [
        ("policy", "AWS4-HMAC-SHA256"),
        ("x-amz-algorithm", "AWS4-HMAC-SHA256"),
        ("x-amz-credential", "AKIAIOSFODNN7EXAMPLE/20261126/us-east-1/s3/aws4_request"),
        ("x-amz-date", "20261126T120000Z"),
        ("x-amz-signature", request.get("authorization").unwrap().rsplit('=').next().unwrap()),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec();
    let refusal = FormClaim::read(&fields, false).unwrap().unwrap().verify(SECRET, NOW, &Rules::S3).unwrap_err();
    assert_eq!(refusal, FormError::Signature(SignatureError::Mismatch));
}
