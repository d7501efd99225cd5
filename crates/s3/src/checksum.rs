//! `Content-MD5` and the additional checksums, in headers, trailers and XML.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderName};
use md5::{Digest as _, Md5};
use strongroom_engine::{
    Error,
    api::{Checksum, ChecksumAlgorithm, ChecksumKind, ExpectedChecksum, UploadChecksum},
};

use crate::{body::Trailers, headers, refusal::Refusal, reply::Reply, xml::Xml};

const PREFIX: &str = "x-amz-checksum-";
/// Begin like a checksum's value and are none.
const NO_VALUES: [&str; 3] = ["x-amz-checksum-algorithm", "x-amz-checksum-type", "x-amz-checksum-mode"];

/// `COMPOSITE` or `FULL_OBJECT`
pub(crate) const fn kind_name(kind: ChecksumKind) -> &'static str {
    match kind {
        ChecksumKind::Composite => "COMPOSITE",
        ChecksumKind::FullObject => "FULL_OBJECT",
    }
}

/// The checksum that comes with a body: in a header, in a trailer, or only asked for.
pub(crate) fn upload_checksum(map: &HeaderMap, trailers: Trailers) -> Result<UploadChecksum, Refusal> {
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
    let expected = match (header, trailer) {
        (Some((algorithm, value)), _) => {
            check_length(algorithm, &value)?;
            ExpectedChecksum::Header(value)
        }
        (None, Some(_)) => ExpectedChecksum::Trailer(Box::new(move || trailers.take())),
        (None, None) => ExpectedChecksum::None,
    };
    Ok(UploadChecksum { algorithm: carried.or(announced), expected })
}

/// Whether a header of that name and value is the checksum of no bytes.
pub(crate) fn is_of_nothing(name: &str, value: &str) -> bool {
    by_header_name(name).is_ok_and(|algorithm| BASE64_STANDARD.encode(algorithm.digest(b"")) == value)
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

/// The algorithm whose value the XML element holds, `ChecksumCRC32` or another.
pub(crate) fn by_element_name(element: &str) -> Option<ChecksumAlgorithm> {
    let name = element.strip_prefix("Checksum")?;
    ChecksumAlgorithm::ALL.into_iter().find(|algorithm| algorithm.name() == name)
}

/// The algorithm that `x-amz-checksum-algorithm` or `x-amz-sdk-checksum-algorithm` names.
pub(crate) fn announced_algorithm(map: &HeaderMap, header: &str) -> Result<Option<ChecksumAlgorithm>, Refusal> {
    let Some(value) = headers::filled(map, header)? else { return Ok(None) };
    let known = ChecksumAlgorithm::ALL.into_iter().find(|algorithm| algorithm.name().eq_ignore_ascii_case(&value));
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
    ChecksumAlgorithm::ALL.into_iter().find(|algorithm| algorithm.header() == header).ok_or_else(unknown)
}

fn unknown() -> Refusal {
    let names = ChecksumAlgorithm::ALL.map(ChecksumAlgorithm::name).join(", ");
    Refusal::InvalidRequest(format!("Checksum algorithm provided is unsupported. Please try again with any of the valid types: [{names}]"))
}

fn several() -> Refusal {
    Refusal::InvalidRequest("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.".to_owned())
}

fn check_length(algorithm: ChecksumAlgorithm, value: &str) -> Result<(), Refusal> {
    match BASE64_STANDARD.decode(value) {
        Ok(raw) if raw.len() == algorithm.len_bytes() => Ok(()),
        _ => Err(Refusal::InvalidRequest(format!("Value for {} header is invalid.", algorithm.header()))),
    }
}

/// Verifies the MD5 of a body that was read whole, where it was sent.
pub(crate) fn verify_md5(map: &HeaderMap, body: &[u8]) -> Result<(), Refusal> {
    let Some(md5) = headers::value(map, "content-md5")? else { return Ok(()) };
    let expected = BASE64_STANDARD.decode(md5).ok().filter(|raw| raw.len() == 16).ok_or(Error::InvalidDigest)?;
    if Md5::digest(body)[..] == expected[..] { Ok(()) } else { Err(Error::BadDigest("Content-MD5").into()) }
}

/// Verifies the checksum of a body that was read whole, where it was sent.
pub(crate) fn verify_whole(map: &HeaderMap, trailers: Trailers, body: &[u8]) -> Result<(), Refusal> {
    let checksum = upload_checksum(map, trailers)?;
    let Some(algorithm) = checksum.algorithm else { return Ok(()) };
    let expected = match checksum.expected {
        ExpectedChecksum::None => return Ok(()),
        ExpectedChecksum::Header(value) => Some(value),
        ExpectedChecksum::Trailer(trailers) => trailers().remove(algorithm.header()),
    };
    if expected.as_deref() == Some(BASE64_STANDARD.encode(algorithm.digest(body)).as_str()) {
        Ok(())
    } else {
        Err(Error::BadDigest(algorithm.name()).into())
    }
}

/// The checksum as a response header.
pub(crate) fn answer_value(reply: &mut Reply, checksum: Option<&Checksum>) -> Result<(), Refusal> {
    let Some(checksum) = checksum else { return Ok(()) };
    reply.header(HeaderName::from_static(checksum.algorithm.header()), &checksum.value)
}

/// The checksum and its type as response headers.
pub(crate) fn answer(reply: &mut Reply, checksum: Option<&Checksum>) -> Result<(), Refusal> {
    answer_value(reply, checksum)?;
    reply.optional_header(HeaderName::from_static("x-amz-checksum-type"), checksum.map(|checksum| kind_name(checksum.kind)))
}

/// The checksum as an XML element, `ChecksumCRC32` or another.
pub(crate) fn write_value(xml: &mut Xml, checksum: Option<&Checksum>) {
    if let Some(checksum) = checksum {
        xml.text(&format!("Checksum{}", checksum.algorithm.name()), &checksum.value);
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
    use std::fmt::Write as _;

    use http::HeaderValue;

    use super::*;

    fn map(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())).collect()
    }

    fn refused(pairs: &[(&'static str, &str)]) -> bool {
        matches!(upload_checksum(&map(pairs), Trailers::default()), Err(Refusal::InvalidRequest(_)))
    }

    #[test]
    fn a_checksum_in_a_header_is_taken() {
        let checksum =
            upload_checksum(&map(&[("x-amz-checksum-crc32", "AAAAAA=="), ("x-amz-sdk-checksum-algorithm", "CRC32")]), Trailers::default())
                .unwrap();
        assert_eq!(checksum.algorithm, Some(ChecksumAlgorithm::Crc32));
        assert!(matches!(checksum.expected, ExpectedChecksum::Header(value) if value == "AAAAAA=="));
    }

    #[test]
    fn an_algorithm_alone_is_asked_for() {
        let checksum = upload_checksum(&map(&[("x-amz-sdk-checksum-algorithm", "sha256")]), Trailers::default()).unwrap();
        assert_eq!(checksum.algorithm, Some(ChecksumAlgorithm::Sha256));
        assert!(matches!(checksum.expected, ExpectedChecksum::None));
        assert!(upload_checksum(&map(&[("x-amz-checksum-mode", "ENABLED")]), Trailers::default()).unwrap().algorithm.is_none());
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
        assert!(refused(&[("x-amz-checksum-xxhash32", "AAAAAA==")]));
        assert!(refused(&[("x-amz-trailer", "x-amz-checksum-crc32, x-amz-checksum-crc32c")]));
    }

    #[test]
    fn the_document_for_users_is_true_of_checksums() {
        let mut table = "| algorithm | header | types of a multipart object |\n| --- | --- | --- |\n".to_owned();
        for algorithm in ChecksumAlgorithm::ALL {
            let kinds = [ChecksumKind::Composite, ChecksumKind::FullObject].into_iter().filter(|kind| algorithm.allows(*kind));
            let kinds: Vec<_> = kinds.map(|kind| format!("`{}`", kind_name(kind))).collect();
            assert!(kinds.len() == 1 || algorithm.default_kind() == ChecksumKind::Composite, "{algorithm:?}");
            writeln!(table, "| `{}` | `{}` | {} |", algorithm.name(), algorithm.header(), kinds.join(", ")).unwrap();
        }
        let document = include_str!("../../../docs/s3-operations.md");
        assert!(document.contains(&table), "docs/s3-operations.md must have this table:\n{table}");
    }

    #[test]
    fn the_body_of_an_xml_request_is_verified() {
        let body = b"<Delete/>";
        let md5 = BASE64_STANDARD.encode(Md5::digest(body));
        assert!(verify_md5(&map(&[("content-md5", &md5)]), body).is_ok());
        assert!(matches!(verify_md5(&map(&[("content-md5", &md5)]), b"<Delete />"), Err(Refusal::Engine(Error::BadDigest("Content-MD5")))));
        assert!(matches!(verify_md5(&map(&[("content-md5", "AAAA")]), body), Err(Refusal::Engine(Error::InvalidDigest))));
        for algorithm in ChecksumAlgorithm::ALL {
            let value = BASE64_STANDARD.encode(algorithm.digest(body));
            let headers = map(&[(algorithm.header(), &value)]);
            assert!(verify_whole(&headers, Trailers::default(), body).is_ok(), "{algorithm:?}");
            assert!(matches!(verify_whole(&headers, Trailers::default(), b""), Err(Refusal::Engine(Error::BadDigest(_)))), "{algorithm:?}");
        }
    }
}
