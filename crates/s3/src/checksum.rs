//! `Content-MD5` and the additional checksums, in headers, trailers and XML.

use std::collections::BTreeMap;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderName};
use s3s::{
    TrailingHeaders,
    crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Md5, Sha1, Sha256},
};
use strongroom_engine::{
    Error,
    api::{Checksum, ChecksumAlgorithm, ChecksumKind, ExpectedChecksum, UploadChecksum},
};

use crate::{headers, refusal::Refusal, reply::Reply, xml::Xml};

const ALGORITHMS: [ChecksumAlgorithm; 5] =
    [ChecksumAlgorithm::Crc32, ChecksumAlgorithm::Crc32c, ChecksumAlgorithm::Crc64Nvme, ChecksumAlgorithm::Sha1, ChecksumAlgorithm::Sha256];
const PREFIX: &str = "x-amz-checksum-";
/// Begin like a checksum's value and are none.
const NO_VALUES: [&str; 3] = ["x-amz-checksum-algorithm", "x-amz-checksum-type", "x-amz-checksum-mode"];

/// `CRC32`, as headers and XML name it.
pub(crate) const fn name(algorithm: ChecksumAlgorithm) -> &'static str {
    match algorithm {
        ChecksumAlgorithm::Crc32 => "CRC32",
        ChecksumAlgorithm::Crc32c => "CRC32C",
        ChecksumAlgorithm::Crc64Nvme => "CRC64NVME",
        ChecksumAlgorithm::Sha1 => "SHA1",
        ChecksumAlgorithm::Sha256 => "SHA256",
    }
}

/// `x-amz-checksum-crc32`
const fn header_name(algorithm: ChecksumAlgorithm) -> &'static str {
    match algorithm {
        ChecksumAlgorithm::Crc32 => "x-amz-checksum-crc32",
        ChecksumAlgorithm::Crc32c => "x-amz-checksum-crc32c",
        ChecksumAlgorithm::Crc64Nvme => "x-amz-checksum-crc64nvme",
        ChecksumAlgorithm::Sha1 => "x-amz-checksum-sha1",
        ChecksumAlgorithm::Sha256 => "x-amz-checksum-sha256",
    }
}

const fn len_bytes(algorithm: ChecksumAlgorithm) -> usize {
    match algorithm {
        ChecksumAlgorithm::Crc32 | ChecksumAlgorithm::Crc32c => 4,
        ChecksumAlgorithm::Crc64Nvme => 8,
        ChecksumAlgorithm::Sha1 => 20,
        ChecksumAlgorithm::Sha256 => 32,
    }
}

/// `COMPOSITE` or `FULL_OBJECT`
pub(crate) const fn kind_name(kind: ChecksumKind) -> &'static str {
    match kind {
        ChecksumKind::Composite => "COMPOSITE",
        ChecksumKind::FullObject => "FULL_OBJECT",
    }
}

/// The checksum that comes with a body: in a header, in a trailer, or only asked for.
pub(crate) fn upload_checksum(map: &HeaderMap, trailers: Option<TrailingHeaders>) -> Result<UploadChecksum, Refusal> {
    let announced = announced_algorithm(map, "x-amz-sdk-checksum-algorithm")?;
    let header = header_checksum(map)?;
    let trailer = trailer_algorithm(map)?;
    if header.is_some() && trailer.is_some() {
        return Err(several());
    }
    let carried = header.as_ref().map(|(algorithm, _)| *algorithm).or(trailer);
    if let (Some(announced), Some(carried)) = (announced, carried)
        && announced != carried
    {
        return Err(Refusal::InvalidRequest(
            "Value for x-amz-sdk-checksum-algorithm header does not match the checksum that was sent.".to_owned(),
        ));
    }
    let expected = match (header, trailer, trailers) {
        (Some((algorithm, value)), _, _) => {
            check_length(algorithm, &value)?;
            ExpectedChecksum::Header(value)
        }
        (None, Some(_), Some(trailers)) => ExpectedChecksum::Trailer(Box::new(move || received(&trailers))),
        (None, Some(_), None) => return Err(Refusal::InvalidRequest("x-amz-trailer needs a body in chunks with a trailer.".to_owned())),
        (None, None, _) => ExpectedChecksum::None,
    };
    Ok(UploadChecksum { algorithm: carried.or(announced), expected })
}

fn received(trailers: &TrailingHeaders) -> BTreeMap<String, String> {
    let trailers = trailers.take().unwrap_or_default();
    let pairs = trailers.iter().filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())));
    pairs.collect()
}

/// The one checksum that is in a header; its value is not looked at.
pub(crate) fn header_checksum(map: &HeaderMap) -> Result<Option<(ChecksumAlgorithm, String)>, Refusal> {
    let mut names = map.keys().map(HeaderName::as_str).filter(|name| name.starts_with(PREFIX) && !NO_VALUES.contains(name));
    let Some(only) = names.next() else { return Ok(None) };
    if names.next().is_some() {
        return Err(several());
    }
    let algorithm = by_header_name(only)?;
    Ok(headers::value(map, only)?.map(|value| (algorithm, value)))
}

fn trailer_algorithm(map: &HeaderMap) -> Result<Option<ChecksumAlgorithm>, Refusal> {
    let announced = headers::list(map, "x-amz-trailer").into_iter().map(|name| name.to_ascii_lowercase());
    let mut checksums = announced.filter(|name| name.starts_with(PREFIX));
    let Some(only) = checksums.next() else { return Ok(None) };
    if checksums.next().is_some() {
        return Err(several());
    }
    by_header_name(&only).map(Some)
}

/// The algorithm that `x-amz-checksum-algorithm` or `x-amz-sdk-checksum-algorithm` names.
pub(crate) fn announced_algorithm(map: &HeaderMap, header: &str) -> Result<Option<ChecksumAlgorithm>, Refusal> {
    let Some(value) = headers::filled(map, header)? else { return Ok(None) };
    let known = ALGORITHMS.into_iter().find(|algorithm| name(*algorithm).eq_ignore_ascii_case(&value));
    known.map(Some).ok_or_else(unknown)
}

/// `x-amz-checksum-type`
pub(crate) fn announced_kind(map: &HeaderMap) -> Result<Option<ChecksumKind>, Refusal> {
    match headers::filled(map, "x-amz-checksum-type")?.as_deref() {
        None => Ok(None),
        Some("COMPOSITE") => Ok(Some(ChecksumKind::Composite)),
        Some("FULL_OBJECT") => Ok(Some(ChecksumKind::FullObject)),
        Some(_) => Err(Refusal::InvalidRequest("Value for x-amz-checksum-type header is invalid.".to_owned())),
    }
}

fn by_header_name(header: &str) -> Result<ChecksumAlgorithm, Refusal> {
    ALGORITHMS.into_iter().find(|algorithm| header_name(*algorithm) == header).ok_or_else(unknown)
}

fn unknown() -> Refusal {
    Refusal::InvalidRequest(
        "Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]".to_owned(),
    )
}

fn several() -> Refusal {
    Refusal::InvalidRequest("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.".to_owned())
}

fn check_length(algorithm: ChecksumAlgorithm, value: &str) -> Result<(), Refusal> {
    match BASE64_STANDARD.decode(value) {
        Ok(raw) if raw.len() == len_bytes(algorithm) => Ok(()),
        _ => Err(Refusal::InvalidRequest(format!("Value for {} header is invalid.", header_name(algorithm)))),
    }
}

/// Verifies the MD5 of a body that was read whole, where it was sent.
pub(crate) fn verify_md5(map: &HeaderMap, body: &[u8]) -> Result<(), Refusal> {
    let Some(md5) = headers::value(map, "content-md5")? else { return Ok(()) };
    let expected = BASE64_STANDARD.decode(md5).ok().filter(|raw| raw.len() == 16).ok_or(Error::InvalidDigest)?;
    if Md5::checksum(body)[..] == expected[..] { Ok(()) } else { Err(Error::BadDigest("Content-MD5").into()) }
}

/// Verifies the checksum of a body that was read whole, where it was sent.
pub(crate) fn verify_whole(map: &HeaderMap, trailers: Option<TrailingHeaders>, body: &[u8]) -> Result<(), Refusal> {
    let checksum = upload_checksum(map, trailers)?;
    let Some(algorithm) = checksum.algorithm else { return Ok(()) };
    let expected = match checksum.expected {
        ExpectedChecksum::None => return Ok(()),
        ExpectedChecksum::Header(value) => Some(value),
        ExpectedChecksum::Trailer(trailers) => trailers().remove(header_name(algorithm)),
    };
    if expected.as_deref() == Some(BASE64_STANDARD.encode(compute(algorithm, body)).as_str()) {
        Ok(())
    } else {
        Err(Error::BadDigest(header_name(algorithm)).into())
    }
}

fn compute(algorithm: ChecksumAlgorithm, body: &[u8]) -> Vec<u8> {
    match algorithm {
        ChecksumAlgorithm::Crc32 => Crc32::checksum(body).to_vec(),
        ChecksumAlgorithm::Crc32c => Crc32c::checksum(body).to_vec(),
        ChecksumAlgorithm::Crc64Nvme => Crc64Nvme::checksum(body).to_vec(),
        ChecksumAlgorithm::Sha1 => Sha1::checksum(body).to_vec(),
        ChecksumAlgorithm::Sha256 => Sha256::checksum(body).to_vec(),
    }
}

/// The checksum as a response header.
pub(crate) fn answer_value(reply: &mut Reply, checksum: Option<&Checksum>) -> Result<(), Refusal> {
    let Some(checksum) = checksum else { return Ok(()) };
    reply.header(HeaderName::from_static(header_name(checksum.algorithm)), &checksum.value)
}

/// The checksum and its type as response headers.
pub(crate) fn answer(reply: &mut Reply, checksum: Option<&Checksum>) -> Result<(), Refusal> {
    answer_value(reply, checksum)?;
    reply.optional_header(HeaderName::from_static("x-amz-checksum-type"), checksum.map(|checksum| kind_name(checksum.kind)))
}

/// The checksum as an XML element, `ChecksumCRC32` or another.
pub(crate) fn write_value(xml: &mut Xml, checksum: Option<&Checksum>) {
    if let Some(checksum) = checksum {
        xml.text(&format!("Checksum{}", name(checksum.algorithm)), &checksum.value);
    }
}

/// The checksum and its type as XML elements.
pub(crate) fn write_typed(xml: &mut Xml, checksum: Option<&Checksum>) {
    write_value(xml, checksum);
    if let Some(checksum) = checksum {
        xml.text("ChecksumType", kind_name(checksum.kind));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use http::HeaderValue;

    use super::*;

    fn map(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())).collect()
    }

    fn refused(pairs: &[(&'static str, &str)]) -> bool {
        matches!(upload_checksum(&map(pairs), None), Err(Refusal::InvalidRequest(_)))
    }

    #[test]
    fn a_checksum_in_a_header_is_taken() {
        let checksum =
            upload_checksum(&map(&[("x-amz-checksum-crc32", "AAAAAA=="), ("x-amz-sdk-checksum-algorithm", "CRC32")]), None).unwrap();
        assert_eq!(checksum.algorithm, Some(ChecksumAlgorithm::Crc32));
        assert!(matches!(checksum.expected, ExpectedChecksum::Header(value) if value == "AAAAAA=="));
    }

    #[test]
    fn an_algorithm_alone_is_asked_for() {
        let checksum = upload_checksum(&map(&[("x-amz-sdk-checksum-algorithm", "sha256")]), None).unwrap();
        assert_eq!(checksum.algorithm, Some(ChecksumAlgorithm::Sha256));
        assert!(matches!(checksum.expected, ExpectedChecksum::None));
        assert!(upload_checksum(&map(&[("x-amz-checksum-mode", "ENABLED")]), None).unwrap().algorithm.is_none());
    }

    #[test]
    fn a_checksum_that_makes_no_sense_is_refused() {
        assert!(refused(&[("x-amz-checksum-crc32", "AAAAAA=="), ("x-amz-checksum-sha1", "2jmj7l5rSw0yVb/vlWAYkK/YBwk=")]));
        assert!(refused(&[("x-amz-checksum-crc32", "AAAAAA=="), ("x-amz-trailer", "x-amz-checksum-crc32")]));
        assert!(refused(&[("x-amz-checksum-crc32", "AAAA")]));
        assert!(refused(&[("x-amz-checksum-crc32", "no base64")]));
        assert!(refused(&[("x-amz-checksum-crc32", "AAAAAA=="), ("x-amz-sdk-checksum-algorithm", "SHA256")]));
        assert!(refused(&[("x-amz-sdk-checksum-algorithm", "CRC128")]));
        assert!(refused(&[("x-amz-checksum-xxhash3", "AAAAAA==")]));
        assert!(refused(&[("x-amz-trailer", "x-amz-checksum-crc32, x-amz-checksum-crc32c")]));
        assert!(refused(&[("x-amz-trailer", "x-amz-checksum-crc32")]), "there is no trailer to come");
    }

    #[test]
    fn the_body_of_an_xml_request_is_verified() {
        let body = b"<Delete/>";
        let md5 = BASE64_STANDARD.encode(Md5::checksum(body));
        assert!(verify_md5(&map(&[("content-md5", &md5)]), body).is_ok());
        assert!(matches!(verify_md5(&map(&[("content-md5", &md5)]), b"<Delete />"), Err(Refusal::Engine(Error::BadDigest("Content-MD5")))));
        assert!(matches!(verify_md5(&map(&[("content-md5", "AAAA")]), body), Err(Refusal::Engine(Error::InvalidDigest))));
        for algorithm in ALGORITHMS {
            let value = BASE64_STANDARD.encode(compute(algorithm, body));
            let headers = map(&[(header_name(algorithm), &value)]);
            assert!(verify_whole(&headers, None, body).is_ok(), "{algorithm:?}");
            assert!(matches!(verify_whole(&headers, None, b""), Err(Refusal::Engine(Error::BadDigest(_)))), "{algorithm:?}");
        }
    }

    #[test]
    fn checksums_are_computed_as_everybody_else_does() {
        // The check values of the catalogue of CRC algorithms and of FIPS 180-4.
        assert_eq!(hex::encode(compute(ChecksumAlgorithm::Crc32, b"123456789")), "cbf43926");
        assert_eq!(hex::encode(compute(ChecksumAlgorithm::Crc32c, b"123456789")), "e3069283");
        assert_eq!(hex::encode(compute(ChecksumAlgorithm::Crc64Nvme, b"123456789")), "ae8b14860a799888");
        assert_eq!(hex::encode(compute(ChecksumAlgorithm::Sha1, b"abc")), "a9993e364706816aba3e25717850c26c9cd0d89d");
    }
}
