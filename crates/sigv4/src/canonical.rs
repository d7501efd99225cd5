//! The canonical request, and the string to sign.

use http::{HeaderMap, HeaderName};

use crate::{
    authorization::{ALGORITHM, SignedHeaders},
    error::SignatureError,
    key::sha256,
    percent::{Plus, Slash, is_unreserved, push_canonical, push_encoded_all},
    query::push_canonical_query,
    rules::Head,
    scope::Scope,
};

/// How the path of a request is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PathForm {
    /// S3: decoded, then encoded once; dots and empty segments stay.
    Once,
    /// S3, by clients that do not encode what they send: as it came. Both forms name the same object.
    Raw,
    /// Other services: normalized, and encoded on top of the encoding that it came with.
    Twice,
}

/// Whether clients may have signed the path as it came: only where encoding it would change it.
pub(crate) fn may_be_raw(path: &str) -> bool {
    !path.bytes().all(|byte| is_unreserved(byte) || matches!(byte, b'/' | b'%'))
}

/// What a request is signed as, but for its payload.
pub(crate) struct Canonical<'a> {
    pub(crate) head: &'a Head<'a>,
    pub(crate) signed_headers: &'a SignedHeaders,
    pub(crate) path_form: PathForm,
    /// The query parameter that holds the signature.
    pub(crate) without: Option<&'static str>,
}

impl Canonical<'_> {
    /// The canonical request; its hash is what is signed.
    pub(crate) fn request(&self, payload: &str) -> Result<Vec<u8>, SignatureError> {
        let mut out = Vec::with_capacity(1024);
        out.extend_from_slice(self.head.method.as_str().as_bytes());
        out.push(b'\n');
        push_path(&mut out, self.head.uri.path(), self.path_form);
        out.push(b'\n');
        push_canonical_query(&mut out, self.head.uri.query().unwrap_or_default(), self.without);
        out.push(b'\n');
        for name in self.signed_headers.names() {
            push_header(&mut out, self.head.headers, name)?;
        }
        out.push(b'\n');
        out.extend_from_slice(self.signed_headers.text().as_bytes());
        out.push(b'\n');
        out.extend_from_slice(payload.as_bytes());
        Ok(out)
    }
}

/// The text that the signature is over.
pub(crate) fn string_to_sign(timestamp: &str, scope: &Scope, canonical_request: &[u8]) -> String {
    format!("{ALGORITHM}\n{timestamp}\n{scope}\n{}", hex::encode(sha256(canonical_request)))
}

fn push_path(out: &mut Vec<u8>, path: &str, form: PathForm) {
    let path = if path.is_empty() { "/" } else { path };
    match form {
        PathForm::Once => push_canonical(out, path.as_bytes(), Plus::IsPlus, Slash::Kept),
        PathForm::Raw => out.extend_from_slice(path.as_bytes()),
        PathForm::Twice => push_encoded_all(out, normalized(path).as_bytes(), Slash::Kept),
    }
}

/// Without dots and empty segments, as RFC 3986 removes them.
fn normalized(path: &str) -> String {
    let mut segments = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            other => segments.push(other),
        }
    }
    let is_directory = path.ends_with('/') || path.ends_with("/.") || path.ends_with("/..");
    let slash = if is_directory && !segments.is_empty() { "/" } else { "" };
    format!("/{}{slash}", segments.join("/"))
}

/// `name:value,value`, each value trimmed and the spaces in it folded.
fn push_header(out: &mut Vec<u8>, headers: &HeaderMap, name: &str) -> Result<(), SignatureError> {
    let missing = || SignatureError::SignedHeaderMissing(name.to_owned());
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| missing())?;
    let mut values = headers.get_all(&name).iter();
    let first = values.next().ok_or_else(missing)?;
    out.extend_from_slice(name.as_str().as_bytes());
    out.push(b':');
    push_folded(out, first.as_bytes());
    for value in values {
        out.push(b',');
        push_folded(out, value.as_bytes());
    }
    out.push(b'\n');
    Ok(())
}

fn push_folded(out: &mut Vec<u8>, value: &[u8]) {
    let words = value.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty());
    for (index, word) in words.enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(word);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use http::{HeaderValue, Method, Uri};

    use super::*;

    fn path(raw: &str, form: PathForm) -> String {
        let mut out = Vec::new();
        push_path(&mut out, raw, form);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_path_of_s3_is_not_normalized() {
        assert_eq!(path("/b/../a//./c%20d/", PathForm::Once), "/b/../a//./c%20d/");
        assert_eq!(path("", PathForm::Once), "/");
        assert_eq!(path("/a+b=c", PathForm::Raw), "/a+b=c");
        assert!(may_be_raw("/a+b") && !may_be_raw("/a%2Bb/c"));
    }

    /// The facts of AWS's test suite for Signature Version 4.
    #[test]
    fn the_path_of_other_services_is_normalized_and_encoded_once_more() {
        let rows = [
            ("/", "/"),
            ("//", "/"),
            ("/./", "/"),
            ("/example/..", "/"),
            ("/example1/example2/../..", "/"),
            ("/./example", "/example"),
            ("//example//", "/example/"),
            ("/example space/", "/example%20space/"),
            ("/a%20b", "/a%2520b"),
            ("/../a", "/a"),
        ];
        for (raw, expected) in rows {
            assert_eq!(path(raw, PathForm::Twice), expected, "{raw}");
        }
    }

    #[test]
    fn header_values_are_trimmed_folded_and_joined() {
        let mut headers = HeaderMap::new();
        headers.append("my-header", HeaderValue::from_static("  a   b \t c "));
        headers.append("my-header", HeaderValue::from_static(""));
        headers.append("my-header", HeaderValue::from_bytes("\"ü  x\"".as_bytes()).unwrap());
        headers.append("host", HeaderValue::from_static("h"));
        let (method, uri) = (Method::GET, Uri::from_static("/?b&a=1"));
        let head = Head { method: &method, uri: &uri, headers: &headers };
        let signed_headers = SignedHeaders::parse("my-header;host").unwrap();
        let canonical = Canonical { head: &head, signed_headers: &signed_headers, path_form: PathForm::Once, without: None };
        let expected = "GET\n/\na=1&b=\nhost:h\nmy-header:a b c,,\"ü x\"\n\nhost;my-header\nUNSIGNED-PAYLOAD";
        assert_eq!(canonical.request("UNSIGNED-PAYLOAD").unwrap(), expected.as_bytes());
    }

    #[test]
    fn a_signed_header_that_did_not_come_is_named() {
        let (method, uri, headers) = (Method::GET, Uri::from_static("/"), HeaderMap::new());
        let head = Head { method: &method, uri: &uri, headers: &headers };
        let signed_headers = SignedHeaders::parse("x-amz-acl").unwrap();
        let canonical = Canonical { head: &head, signed_headers: &signed_headers, path_form: PathForm::Once, without: None };
        assert_eq!(canonical.request("").unwrap_err(), SignatureError::SignedHeaderMissing("x-amz-acl".to_owned()));
    }
}
