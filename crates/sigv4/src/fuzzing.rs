//! The functions that the fuzzer calls with arbitrary bytes, and what must hold for all of them. `fuzz/` has the targets and corpora.
// A target reports a failure by panicking.
#![allow(clippy::missing_panics_doc)]

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use time::{OffsetDateTime, macros::datetime};

use crate::{
    BodyDecoder, BodyError, Claim, Head, Lengths, Payload, Rules, SignatureError, Streaming,
    key::{SigningKey, sha256},
    payload::ChunkSigner,
    post_policy::FormClaim,
    scope::Credential,
    version_two::UrlClaim,
};

/// The secret of AWS's documentation, with which the corpora are signed.
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const CREDENTIAL: &str = "AKIAIOSFODNN7EXAMPLE/20261126/us-east-1/s3/aws4_request";
const TIMESTAMP: &str = "20261126T224503Z";
const NOW: OffsetDateTime = datetime!(2026-11-26 22:45:03 UTC);

/// A head: `METHOD target`, then lines of `name: value`. What was verified must fail with another secret, and only what has a
/// signature may be verified at all.
pub fn signature(data: &[u8]) {
    let Some((method, uri, headers)) = parse_head(data) else { return };
    let head = Head { method: &method, uri: &uri, headers: &headers };
    url_of_version_two(&head);
    let Ok(Some(claim)) = Claim::read(&head) else { return };
    assert!(headers.contains_key("authorization") || uri.query().is_some());
    let is_checked = claim.check(&head, NOW, &Rules::S3).is_ok();
    if claim.verify(&head, SECRET, NOW, &Rules::S3).is_ok() {
        assert!(is_checked);
        let again = Claim::read(&head).ok().flatten().expect("it was read before");
        assert!(again.verify(&head, "another secret", NOW, &Rules::S3).is_err());
    }
}

/// A URL of version 2 must be no claim of version 4, read only, and fail with another secret or for another bucket.
fn url_of_version_two(head: &Head<'_>) {
    let Ok(Some(claim)) = UrlClaim::read(head) else { return };
    assert!(matches!(Claim::read(head), Err(SignatureError::VersionTwo)));
    assert!(head.method == Method::GET || head.method == Method::HEAD);
    let verify = |bucket, secret| UrlClaim::read(head).ok().flatten()?.verify(head, bucket, secret, NOW, &Rules::S3).ok();
    let is_checked = claim.check(head, NOW, &Rules::S3).is_ok();
    if claim.verify(head, None, SECRET, NOW, &Rules::S3).is_ok() {
        assert!(is_checked && verify(None, "another secret").is_none() && verify(Some("another-bucket"), SECRET).is_none());
    }
}

fn parse_head(data: &[u8]) -> Option<(Method, Uri, HeaderMap)> {
    let mut lines = data.split(|byte| *byte == b'\n');
    let first = lines.next()?;
    let space = first.iter().position(|byte| *byte == b' ')?;
    let (method, target) = (Method::from_bytes(&first[..space]).ok()?, Uri::try_from(&first[space + 1..]).ok()?);
    let mut headers = HeaderMap::new();
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(&line[..colon]).ok()?;
        headers.append(name, HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?);
    }
    Some((method, target, headers))
}

/// One byte that says how the body is signed, one that says how long the pieces are in which it comes, then the body. The verdict
/// must not depend on the pieces, and no more may come out than went in.
pub fn chunked_body(data: &[u8]) {
    let [kind, piece, wire @ ..] = data else { return };
    let whole = decode(*kind, wire, usize::MAX);
    assert_eq!(decode(*kind, wire, usize::from(*piece).max(1)), whole);
    assert_eq!(decode(*kind, wire, 1), whole);
}

type Decoded = Result<(Vec<u8>, BTreeMap<String, String>), BodyError>;

fn decode(kind: u8, wire: &[u8], piece_bytes: usize) -> Decoded {
    let scope = Credential::parse(CREDENTIAL).expect("it is well-formed").scope;
    let signer = || Some(Box::new(ChunkSigner::new(SigningKey::derive(SECRET, &scope), TIMESTAMP, &scope, [0; 32])));
    let (payload, has_trailer) = match kind % 5 {
        0 => (Payload::Streaming(Streaming { signer: None, trailer: true }), true),
        1 => (Payload::Streaming(Streaming { signer: signer(), trailer: false }), false),
        2 => (Payload::Streaming(Streaming { signer: signer(), trailer: true }), true),
        3 => (Payload::Sha256(sha256(b"data")), false),
        _ => (Payload::Unsigned, false),
    };
    let announced: BTreeSet<String> = has_trailer.then(|| "x-amz-checksum-crc32c".to_owned()).into_iter().collect();
    // The high bits are the decoded length that was announced.
    let lengths = Lengths { encoded: (kind >= 240).then_some(wire.len() as u64), decoded: Some(u64::from(kind / 5)) };
    let mut decoder = BodyDecoder::new(payload, lengths, announced)?;
    let (mut body, mut left) = (Vec::new(), Bytes::copy_from_slice(wire));
    while !left.is_empty() {
        let mut piece = left.split_to(piece_bytes.min(left.len()));
        loop {
            match decoder.decode(&mut piece) {
                Ok(Some(bytes)) => body.extend_from_slice(&bytes),
                Ok(None) => break,
                Err(error) => {
                    assert!(decoder.decode(&mut piece).is_err(), "after an error every call is one");
                    return Err(error);
                }
            }
        }
        assert!(piece.is_empty() && body.len() <= wire.len());
    }
    Ok((body, decoder.finish()?))
}

/// Lines of `name=value`; the policy is written as JSON and signed here, so that the fuzzer gets past the signature. A form that was
/// allowed must not be when it has one more field, nor for another bucket where a condition names the bucket.
pub fn form(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let pairs = text.split('\n').filter_map(|line| line.split_once('='));
    let mut fields: Vec<(String, String)> = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    sign(&mut fields);
    let Ok(Some(claim)) = FormClaim::read(&fields, true) else { return };
    let Ok(policy) = claim.verify(SECRET, NOW, &Rules::S3) else { return };
    assert!(policy.expiration() > NOW);
    let range = policy.length_range();
    assert_eq!(policy.check_length(*range.start()).is_ok(), range.start() <= range.end());
    if policy.check_fields(&fields, "bucket").is_ok() {
        fields.push(("x-nobody-named-it".to_owned(), String::new()));
        let is_named = text.to_ascii_lowercase().contains("x-nobody-named-it");
        assert!(policy.check_fields(&fields, "bucket").is_err() || is_named);
    }
}

fn sign(fields: &mut [(String, String)]) {
    let Some((_, policy)) = fields.iter_mut().find(|(name, _)| name.eq_ignore_ascii_case("policy")) else { return };
    if policy.starts_with('{') {
        *policy = BASE64_STANDARD.encode(policy.as_bytes());
    }
    let scope = Credential::parse(CREDENTIAL).expect("it is well-formed").scope;
    let signature = SigningKey::derive(SECRET, &scope).sign(policy.as_bytes());
    if let Some((_, value)) = fields.iter_mut().find(|(name, _)| name.eq_ignore_ascii_case("x-amz-signature")) {
        *value = hex::encode(signature);
    }
}

#[cfg(test)]
mod tests {
    use super::{chunked_body, form, replay::replay, signature};

    #[test]
    fn the_corpus_of_signatures_holds() {
        replay("signature", signature);
    }

    #[test]
    fn the_corpus_of_chunked_bodies_holds() {
        replay("chunked_body", chunked_body);
    }

    #[test]
    fn the_corpus_of_forms_holds() {
        replay("form", form);
    }
}

#[cfg(test)]
#[path = "../../../fuzz/replay.rs"]
mod replay;
