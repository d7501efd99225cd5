//! Request headers, and the headers that are stored with an object.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use strongroom_engine::api::{ObjectHeaders, ObjectInfo};
use strongroom_sigv4::is_signature_parameter;

use crate::{checksum, encoded_word, query::Query, refusal::Refusal, reply::Reply, sse::SECRET_HEADERS, timestamp::http_date};

const USER_METADATA_PREFIX: &str = "x-amz-meta-";
const STANDARD: &str = "STANDARD";
const STORAGE_CLASSES: [&str; 11] = [
    STANDARD,
    "REDUCED_REDUNDANCY",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER",
    "GLACIER_IR",
    "DEEP_ARCHIVE",
    "OUTPOSTS",
    "SNOW",
    "EXPRESS_ONEZONE",
];

/// A header's one value. Its bytes are UTF-8 or Latin-1. Given twice it is an error, because then it is open which one is meant.
pub(crate) fn value(headers: &HeaderMap, name: &str) -> Result<Option<String>, Refusal> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(Refusal::InvalidRequest(format!("The header {name} was given more than once.")));
    }
    Ok(first.map(text))
}

/// A header's one value unless it is empty.
pub(crate) fn filled(headers: &HeaderMap, name: &str) -> Result<Option<String>, Refusal> {
    Ok(value(headers, name)?.filter(|value| !value.is_empty()))
}

/// All values of a header as one list.
pub(crate) fn list(headers: &HeaderMap, name: &str) -> Vec<String> {
    let values = headers.get_all(name).iter().map(text);
    values
        .flat_map(|value| value.split(',').map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect::<Vec<_>>())
        .collect()
}

fn text(value: &HeaderValue) -> String {
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => text.to_owned(),
        Err(_) => value.as_bytes().iter().copied().map(char::from).collect(),
    }
}

/// Puts the `x-amz-…` parameters of a presigned URL where headers are looked for: to S3 they mean the same, and both are signed. The checksum of
/// no bytes at all is left out: the JavaScript SDK 3 signs it into every URL for an upload, before it knows the body.
pub(crate) fn hoist_presigned(headers: &mut HeaderMap, query: &Query) -> Result<(), Refusal> {
    // The gate has let the request in, so the signature holds, whichever of the two it is.
    if !["X-Amz-Signature", "Signature"].iter().any(|signature| query.has(signature)) {
        return Ok(());
    }
    for (name, value) in query.iter() {
        let name = name.to_ascii_lowercase();
        if !name.starts_with("x-amz-")
            || is_signature_parameter(&name)
            || headers.contains_key(&name)
            || checksum::is_of_nothing(&name, value)
        {
            continue;
        }
        let invalid = || Refusal::InvalidArgument(format!("The query parameter {name} holds no header value."));
        let mut parsed = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| invalid())?;
        parsed.set_sensitive(SECRET_HEADERS.contains(&name.as_str()));
        headers.insert(HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid())?, parsed);
    }
    Ok(())
}

/// What a PUT, a copy with new metadata, or a new upload stores beside the bytes.
pub(crate) fn object_headers(headers: &HeaderMap) -> Result<ObjectHeaders, Refusal> {
    Ok(ObjectHeaders {
        content_type: filled(headers, "content-type")?,
        content_encoding: content_encoding(headers),
        content_language: filled(headers, "content-language")?,
        content_disposition: filled(headers, "content-disposition")?,
        cache_control: filled(headers, "cache-control")?,
        expires: filled(headers, "expires")?,
        website_redirect_location: filled(headers, "x-amz-website-redirect-location")?,
        storage_class: storage_class(headers)?,
        user: user_metadata(headers),
    })
}

/// `aws-chunked` tells how the body travelled, not what it is.
fn content_encoding(headers: &HeaderMap) -> Option<String> {
    let values: Vec<_> = headers.get_all(header::CONTENT_ENCODING).iter().map(text).collect();
    // The spaces between the others stay, since clients compare what they get with what they sent.
    let encodings = values.iter().flat_map(|value| value.split(','));
    let others: Vec<_> =
        encodings.filter(|encoding| !["", "aws-chunked"].contains(&encoding.trim().to_ascii_lowercase().as_str())).collect();
    (!others.is_empty()).then(|| others.join(",").trim().to_owned())
}

/// The storage class, none for STANDARD.
pub(crate) fn storage_class(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    match filled(headers, "x-amz-storage-class")? {
        Some(class) if !STORAGE_CLASSES.contains(&class.as_str()) => Err(Refusal::InvalidStorageClass),
        class => Ok(class.filter(|class| class != STANDARD)),
    }
}

/// Names without the prefix; values decoded (RFC 2047), as S3 stores them.
fn user_metadata(headers: &HeaderMap) -> BTreeMap<String, String> {
    let mut metadata: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in headers {
        let Some(name) = name.as_str().strip_prefix(USER_METADATA_PREFIX).filter(|name| !name.is_empty()) else { continue };
        let joined = metadata.entry(name.to_owned()).or_default();
        if !joined.is_empty() {
            joined.push(',');
        }
        let value = text(value);
        joined.push_str(&encoded_word::decode(&value));
    }
    metadata
}

/// The storage class as listings show it.
pub(crate) fn shown_class(class: Option<&str>) -> &str {
    class.unwrap_or(STANDARD)
}

/// Refuses what this store would have to ignore: appends, and MinIO's deletion of all versions of all that a prefix has. Whoever asks
/// for that must not believe it done.
pub(crate) fn refuse_unsupported(headers: &HeaderMap) -> Result<(), Refusal> {
    const NOT_IMPLEMENTED: [&str; 2] = ["x-amz-write-offset-bytes", "x-minio-force-delete"];
    for name in NOT_IMPLEMENTED {
        if filled(headers, name)?.is_some() {
            return Err(Refusal::NotImplemented(format!("The header {name}")));
        }
    }
    Ok(())
}

/// The stored headers of an object, as GET and HEAD answer them, with the overrides of the query.
pub(crate) fn describe(reply: &mut Reply, info: &ObjectInfo, query: &Query) -> Result<(), Refusal> {
    let headers = &info.headers;
    let overridable = [
        (header::CONTENT_TYPE, "response-content-type", Some(headers.content_type.as_deref().unwrap_or("binary/octet-stream"))),
        (header::CONTENT_ENCODING, "response-content-encoding", headers.content_encoding.as_deref()),
        (header::CONTENT_LANGUAGE, "response-content-language", headers.content_language.as_deref()),
        (header::CONTENT_DISPOSITION, "response-content-disposition", headers.content_disposition.as_deref()),
        (header::CACHE_CONTROL, "response-cache-control", headers.cache_control.as_deref()),
        (header::EXPIRES, "response-expires", headers.expires.as_deref()),
    ];
    for (name, parameter, stored) in overridable {
        reply.optional_header(name, query.get_filled(parameter)?.or(stored))?;
    }
    for (name, value) in &headers.user {
        if let Ok(name) = HeaderName::from_bytes(format!("{USER_METADATA_PREFIX}{name}").as_bytes()) {
            reply.header(name, &encoded_word::encode(value))?;
        }
    }
    reply.optional_header(HeaderName::from_static("x-amz-website-redirect-location"), headers.website_redirect_location.as_deref())?;
    reply.optional_header(HeaderName::from_static("x-amz-storage-class"), headers.storage_class.as_deref())?;
    reply.optional_header(HeaderName::from_static("x-amz-version-id"), info.version_id.as_deref())?;
    reply.header(header::LAST_MODIFIED, &http_date(info.modified_ms))?;
    reply.header(header::ETAG, &quoted(&info.etag))
}

/// An ETag in quotes.
pub(crate) fn quoted(etag: &str) -> String {
    format!("\"{etag}\"")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use strongroom_engine::api::{Mode, ObjectLock, SseReply};

    use super::*;

    fn map(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap())).collect()
    }

    #[test]
    fn aws_chunked_is_not_stored_and_the_rest_of_a_content_encoding_is_kept_as_sent() {
        for (sent, kept) in [
            ("aws-chunked", None),
            ("AWS-chunked, aws-chunked", None),
            ("aws-chunked,gzip", Some("gzip")),
            ("gzip , aws-chunked", Some("gzip")),
            ("deflate, gzip,aws-chunked", Some("deflate, gzip")),
            ("deflate,gzip", Some("deflate,gzip")),
            (" , ", None),
        ] {
            assert_eq!(object_headers(&map(&[("content-encoding", sent)])).unwrap().content_encoding.as_deref(), kept, "{sent}");
        }
        let two = map(&[("content-encoding", "deflate"), ("content-encoding", "aws-chunked")]);
        assert_eq!(object_headers(&two).unwrap().content_encoding.as_deref(), Some("deflate"));
    }

    #[test]
    fn user_metadata_is_kept_whatever_its_bytes() {
        let headers = map(&[("x-amz-meta-name", "Zoë"), ("x-amz-meta-", "nameless"), ("x-amz-metadata-directive", "COPY")]);
        assert_eq!(object_headers(&headers).unwrap().user, BTreeMap::from([("name".to_owned(), "Zoë".to_owned())]));
        let latin = HeaderMap::from_iter([(HeaderName::from_static("x-amz-meta-name"), HeaderValue::from_bytes(b"Zo\xeb").unwrap())]);
        assert_eq!(object_headers(&latin).unwrap().user["name"], "Zoë");
    }

    #[test]
    fn user_metadata_beyond_ascii_travels_encoded() {
        let encoded = map(&[("x-amz-meta-name", "=?UTF-8?B?Wm/Dqw==?=")]);
        let stored = object_headers(&encoded).unwrap();
        assert_eq!(stored.user["name"], "Zoë");
        let info = ObjectInfo {
            key: String::new(),
            etag: String::new(),
            version_id: None,
            size_bytes: 0,
            modified_ms: 0,
            headers: stored,
            sse: SseReply { mode: Mode::Store, kms_key_id: None, bucket_key_enabled: false, kms_context: None, customer_key_md5: None },
            checksum: None,
            parts_count: None,
            tag_count: 0,
            lock: ObjectLock::default(),
            expiry: None,
        };
        let mut reply = Reply::ok();
        describe(&mut reply, &info, &Query::default()).unwrap();
        let answered = reply.headers["x-amz-meta-name"].to_str().unwrap();
        assert_eq!(encoded_word::decode(answered), "Zoë");
        assert!(answered.is_ascii());
    }

    #[test]
    fn storage_classes_are_those_of_s3() {
        assert_eq!(storage_class(&map(&[("x-amz-storage-class", "STANDARD")])).unwrap(), None);
        assert_eq!(storage_class(&map(&[("x-amz-storage-class", "GLACIER")])).unwrap().as_deref(), Some("GLACIER"));
        assert!(matches!(storage_class(&map(&[("x-amz-storage-class", "HOT")])), Err(Refusal::InvalidStorageClass)));
    }

    #[test]
    fn what_cannot_be_honoured_is_refused_and_not_dropped() {
        for header in [("x-amz-write-offset-bytes", "0"), ("x-minio-force-delete", "true")] {
            assert!(matches!(refuse_unsupported(&map(&[header])), Err(Refusal::NotImplemented(_))));
        }
        assert!(refuse_unsupported(&map(&[("x-amz-acl", "private")])).is_ok());
    }

    #[test]
    fn a_presigned_url_carries_headers_in_its_query() {
        let query = Query::parse("X-Amz-Signature=1&X-Amz-Date=2&x-amz-server-side-encryption=AES256&x-amz-acl=private").unwrap();
        let mut headers = map(&[("x-amz-acl", "public-read")]);
        hoist_presigned(&mut headers, &query).unwrap();
        assert_eq!(headers["x-amz-server-side-encryption"], "AES256");
        assert_eq!(headers["x-amz-acl"], "public-read");
        assert_eq!(headers.len(), 2);
        let mut unsigned = HeaderMap::new();
        hoist_presigned(&mut unsigned, &Query::parse("x-amz-acl=private").unwrap()).unwrap();
        assert!(unsigned.is_empty());
    }

    #[test]
    fn a_customer_key_that_a_url_carries_is_hidden_from_debug() {
        for signature in ["X-Amz-Signature", "Signature"] {
            let query = format!("{signature}=1&x-amz-server-side-encryption-customer-key=shown&x-amz-checksum-mode=ENABLED");
            let mut headers = HeaderMap::new();
            hoist_presigned(&mut headers, &Query::parse(&query).unwrap()).unwrap();
            let text = format!("{headers:?}");
            assert!(!text.contains("shown") && text.contains("ENABLED"), "{text}");
        }
    }

    #[test]
    fn a_presigned_url_carries_a_checksum_unless_it_is_that_of_nothing() {
        let carried = |query: &str| {
            let mut headers = HeaderMap::new();
            hoist_presigned(&mut headers, &Query::parse(&format!("X-Amz-Signature=1&{query}")).unwrap()).unwrap();
            headers
        };
        let of_nothing = carried("x-amz-checksum-crc32=AAAAAA%3D%3D&x-amz-sdk-checksum-algorithm=CRC32");
        assert_eq!(of_nothing, map(&[("x-amz-sdk-checksum-algorithm", "CRC32")]));
        assert!(carried("x-amz-checksum-sha1=2jmj7l5rSw0yVb%2FvlWAYkK%2FYBwk%3D").is_empty());
        assert_eq!(carried("x-amz-checksum-crc32=AAAAAQ%3D%3D"), map(&[("x-amz-checksum-crc32", "AAAAAQ==")]));
        assert_eq!(carried("x-amz-checksum-mode=ENABLED"), map(&[("x-amz-checksum-mode", "ENABLED")]));
    }
}
