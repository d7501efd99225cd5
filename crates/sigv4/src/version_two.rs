//! Presigned URLs of Signature Version 2, for reading alone: old clients still make them.
//!
//! Source: S3 developer guide of 2006-03-01, "Signing and authenticating REST requests".
//!
//! Such a signature is an HMAC-SHA1 under the secret itself. It covers the method, the path with its bucket, `Expires`, `Content-MD5`,
//! `Content-Type`, every `x-amz-` header, and the parameters of [`SIGNED`]. It covers neither the host nor any other parameter: those of
//! listings (`prefix`, `marker`, `max-keys`, `list-type` …) and of newer operations (`attributes`, `retention` …) could be anybody's. So a URL
//! that has any is refused, whether or not something reads it.
//!
//! Values are signed without encoding, so `a=b%26c=d` and `a=b&c=d` have one signature. The first is refused where `c` is a signed name. That the
//! signer meant the second cannot be known: whoever signs a value of somebody else's must keep ampersands out of it.
//!
//! [`VerifiedUrl`] is no [`crate::Verified`]: what takes requests with a body cannot be handed a URL by mistake.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use time::OffsetDateTime;

use crate::{
    claim::{SECURITY_TOKEN, check_host, header_signature, single},
    error::SignatureError,
    key::verify_sha1,
    percent::{Plus, decode},
    presigned::Parameters,
    rules::{Head, Placements, Rules},
};

/// The parameters that a signature covers besides its own: those of Amazon's description, and what botocore signs since. Sorted.
pub const SIGNED: [&str; 33] = [
    "accelerate",
    "acl",
    "analytics",
    "cors",
    "delete",
    "inventory",
    "lifecycle",
    "location",
    "logging",
    "metrics",
    "notification",
    "object-lock",
    "partNumber",
    "policy",
    "replication",
    "requestPayment",
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
    "restore",
    "select",
    "select-type",
    "tagging",
    "torrent",
    "uploadId",
    "uploads",
    "versionId",
    "versioning",
    "versions",
    "website",
];

/// The parameters of the signature itself.
const OWN: [&str; 3] = ["AWSAccessKeyId", "Signature", "Expires"];

/// What a URL says of its signature. Nothing of it is verified yet.
pub struct UrlClaim {
    access_key: String,
    signature: Vec<u8>,
    /// As it is signed.
    expires: String,
    expires_unix_seconds: i64,
    /// The `x-amz-` headers, from the head or from the query, by name.
    amz_headers: BTreeMap<String, Vec<u8>>,
    /// What is signed of the query, behind its question mark; empty where nothing is.
    signed_query: String,
}

/// Without the signature and the headers.
impl fmt::Debug for UrlClaim {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { access_key, expires, .. } = self;
        formatter.debug_struct("UrlClaim").field("access_key", access_key).field("expires", expires).finish_non_exhaustive()
    }
}

/// A URL whose signature was verified: its signer lets anybody who has it read this one thing. Only [`UrlClaim::verify`] makes one.
#[derive(Debug)]
pub struct VerifiedUrl {
    access_key: String,
}

impl VerifiedUrl {
    /// Who signed it.
    pub fn access_key(&self) -> &str {
        &self.access_key
    }
}

impl UrlClaim {
    /// None where the request reads nothing, or where its signature is another: [`crate::Claim::read`] says what becomes of it.
    pub fn read(head: &Head<'_>) -> Result<Option<Self>, SignatureError> {
        let query = head.uri.query().unwrap_or_default();
        let reads = matches!(*head.method, Method::GET | Method::HEAD);
        let parameters = Parameters::find(query);
        if !reads || header_signature(head.headers)?.is_some() || parameters.has_signature() || !parameters.has_version_two() {
            return Ok(None);
        }
        for name in ["host", "content-md5", "content-type"] {
            single(head.headers, name)?;
        }
        let query = UrlQuery::parse(query)?;
        let signed_query = query.signed_text()?;
        let UrlQuery { own: [access_key, signature, expires], amz, .. } = query;
        let missing = || invalid("it needs the query parameters AWSAccessKeyId, Signature and Expires");
        let [access_key, signature, expires] =
            [access_key, signature, expires].map(|own| own.filter(|value| !value.is_empty()).ok_or_else(missing));
        let (access_key, signature, expires) = (access_key?, signature?, expires?);
        let signature = STANDARD.decode(signature).map_err(|_| SignatureError::Mismatch)?;
        let expires_unix_seconds = parse_expires(&expires).ok_or_else(|| invalid("Expires must be a number of seconds since 1970"))?;
        let amz_headers = with_headers(amz, head.headers)?;
        Ok(Some(Self { access_key, signature, expires, expires_unix_seconds, amz_headers, signed_query }))
    }

    /// Whose secret the signature must have been made with.
    pub fn access_key(&self) -> &str {
        &self.access_key
    }

    /// Whether a session token came along.
    pub fn has_security_token(&self) -> bool {
        self.amz_headers.contains_key(SECURITY_TOKEN)
    }

    /// All that can be checked without the secret. [`UrlClaim::verify`] does it too; alone it refuses a request before the secret is looked for.
    ///
    /// When it was signed is not known, so `max_presigned` bounds what is left of its life.
    pub fn check(&self, head: &Head<'_>, now: OffsetDateTime, rules: &Rules) -> Result<(), SignatureError> {
        if rules.placements == Placements::Header {
            return Err(SignatureError::QueryNotAllowed);
        }
        let left_seconds = self.expires_unix_seconds.saturating_sub(now.unix_timestamp());
        if left_seconds < 0 {
            return Err(SignatureError::Expired);
        }
        if left_seconds > (rules.max_presigned + rules.max_skew).whole_seconds() {
            let most = rules.max_presigned.whole_seconds();
            return Err(SignatureError::InvalidVersionTwo(Cow::Owned(format!("Expires may be at most {most} seconds from now"))));
        }
        check_host(head)
    }

    /// Verifies the signature. `head` is the one that the claim was read from; `bucket_of_host` is the bucket that its host names, which the
    /// signature covers as the beginning of the path.
    pub fn verify(
        self,
        head: &Head<'_>,
        bucket_of_host: Option<&str>,
        secret: &str,
        now: OffsetDateTime,
        rules: &Rules,
    ) -> Result<VerifiedUrl, SignatureError> {
        self.check(head, now, rules)?;
        for path in paths(head.uri.path(), bucket_of_host) {
            if verify_sha1(secret, &self.string_to_sign(head, &path)?, &self.signature) {
                return Ok(VerifiedUrl { access_key: self.access_key });
            }
        }
        Err(SignatureError::Mismatch)
    }

    fn string_to_sign(&self, head: &Head<'_>, path: &str) -> Result<Vec<u8>, SignatureError> {
        let header = |name| single(head.headers, name).map(|value| value.unwrap_or_default().trim());
        let (md5, media_type) = (header("content-md5")?, header("content-type")?);
        let mut out = format!("{}\n{md5}\n{media_type}\n{}\n", head.method, self.expires).into_bytes();
        for (name, value) in &self.amz_headers {
            out.extend_from_slice(name.as_bytes());
            out.push(b':');
            out.extend_from_slice(value);
            out.push(b'\n');
        }
        out.extend_from_slice(path.as_bytes());
        if !self.signed_query.is_empty() {
            out.push(b'?');
            out.extend_from_slice(self.signed_query.as_bytes());
        }
        Ok(out)
    }
}

/// The parameters of a URL, decoded as what the request means is.
#[derive(Default)]
struct UrlQuery {
    own: [Option<String>; 3],
    /// With the value where there is an equals sign.
    signed: BTreeMap<String, Option<String>>,
    amz: BTreeMap<String, String>,
}

impl UrlQuery {
    fn parse(query: &str) -> Result<Self, SignatureError> {
        let mut parsed = Self::default();
        for piece in query.split('&').filter(|piece| !piece.is_empty()) {
            let (name, value) = piece.split_once('=').map_or((piece, None), |(name, value)| (name, Some(value)));
            parsed.add(decoded(name, Plus::IsSpace)?, value)?;
        }
        Ok(parsed)
    }

    fn add(&mut self, name: String, value: Option<&str>) -> Result<(), SignatureError> {
        let in_lower_case = name.to_ascii_lowercase();
        let is_repeated = if let Some(at) = OWN.iter().position(|own| *own == name) {
            // Old clients leave the plus signs of base64 as they are.
            self.own[at].replace(decoded(value.unwrap_or_default(), Plus::IsPlus)?).is_some()
        } else if SIGNED.contains(&name.as_str()) {
            let value = value.map(|value| decoded(value, Plus::IsSpace)).transpose()?;
            self.signed.insert(name.clone(), value).is_some()
        } else if in_lower_case.starts_with("x-amz-") {
            let value = decoded(value.unwrap_or_default(), Plus::IsSpace)?;
            // A colon in the name or a line end in the value would make another header of the string to sign.
            if HeaderName::from_bytes(name.as_bytes()).is_err() || HeaderValue::from_bytes(value.as_bytes()).is_err() {
                return Err(invalid("a parameter x-amz-… is no header"));
            }
            self.amz.insert(in_lower_case, value).is_some()
        } else {
            return Err(SignatureError::ParameterNotSigned(name));
        };
        if is_repeated { Err(SignatureError::RepeatedParameter(Cow::Owned(name))) } else { Ok(()) }
    }

    /// Refused where it could be read as other parameters than these.
    fn signed_text(&self) -> Result<String, SignatureError> {
        let pieces = self.signed.iter().map(|(name, value)| match value {
            Some(value) => format!("{name}={value}"),
            None => name.clone(),
        });
        let text = pieces.collect::<Vec<_>>().join("&");
        let names = text.split('&').map(|piece| piece.split_once('=').map_or(piece, |(name, _)| name));
        if names.filter(|name| SIGNED.contains(name)).count() == self.signed.len() {
            Ok(text)
        } else {
            Err(invalid("a value of its query holds another parameter"))
        }
    }
}

/// The `x-amz-` parameters with the headers, which mean the same. What is in both must be the same.
fn with_headers(amz: BTreeMap<String, String>, headers: &HeaderMap) -> Result<BTreeMap<String, Vec<u8>>, SignatureError> {
    let mut all: BTreeMap<String, Vec<u8>> = amz.into_iter().map(|(name, value)| (name, value.into_bytes())).collect();
    for name in headers.keys().map(HeaderName::as_str).filter(|name| name.starts_with("x-amz-")) {
        let values: Vec<&[u8]> = headers.get_all(name).iter().map(|value| value.as_bytes().trim_ascii()).collect();
        let value = values.join(&b',');
        if all.get(name).is_some_and(|other| *other != value) {
            return Err(SignatureError::RepeatedParameter(Cow::Owned(name.to_owned())));
        }
        all.insert(name.to_owned(), value);
    }
    Ok(all)
}

/// How the path may have been signed: as it came, behind the bucket of the host. A bucket's own path ends in a slash for botocore, whatever it sends.
fn paths(path: &str, bucket_of_host: Option<&str>) -> Vec<String> {
    match bucket_of_host {
        Some(bucket) => vec![format!("/{bucket}{path}")],
        None if is_of_bucket(path) => vec![path.to_owned(), format!("{path}/")],
        None => vec![path.to_owned()],
    }
}

/// Whether the path is a bucket's. One with an escape is not: it could be a slash.
fn is_of_bucket(path: &str) -> bool {
    path.strip_prefix('/').is_some_and(|bucket| !bucket.is_empty() && !bucket.contains(['/', '%']))
}

fn parse_expires(text: &str) -> Option<i64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn decoded(raw: &str, plus: Plus) -> Result<String, SignatureError> {
    decode(raw.as_bytes(), plus).ok_or_else(|| invalid("its query is no text"))
}

fn invalid(what: &'static str) -> SignatureError {
    SignatureError::InvalidVersionTwo(Cow::Borrowed(what))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_signed_parameters_are_no_parameters_of_the_signature_and_stand_there_once() {
        for (at, name) in SIGNED.iter().enumerate() {
            assert!(!SIGNED[..at].contains(name) && !OWN.contains(name) && !name.starts_with("x-amz-"), "{name}");
        }
    }

    #[test]
    fn the_bucket_of_the_host_begins_the_path() {
        assert_eq!(paths("/photos/puppy.jpg", Some("johnsmith")), ["/johnsmith/photos/puppy.jpg"]);
        assert_eq!(paths("/", Some("johnsmith")), ["/johnsmith/"]);
        assert_eq!(paths("/johnsmith/a%2fb", None), ["/johnsmith/a%2fb"]);
        assert_eq!(paths("/johnsmith", None), ["/johnsmith", "/johnsmith/"]);
        assert_eq!(paths("/johnsmith/", None), ["/johnsmith/"]);
        assert_eq!(paths("/johnsmith%2fa", None), ["/johnsmith%2fa"]);
        assert_eq!(paths("/", None), ["/"]);
    }

    #[test]
    fn a_time_is_digits_alone() {
        assert_eq!(parse_expires("1175139620"), Some(1_175_139_620));
        for text in ["", "-1", "+1", "1.5", " 1", "1e9", "\u{663}", "99999999999999999999"] {
            assert_eq!(parse_expires(text), None, "{text}");
        }
    }

    #[test]
    fn a_query_that_could_be_read_as_other_parameters_is_refused() {
        let text = |query: &str| UrlQuery::parse(query).and_then(|query| query.signed_text());
        assert_eq!(text("versionId=v&acl&response-expires=a%20b+c%2B").unwrap(), "acl&response-expires=a b c+&versionId=v");
        assert_eq!(text("acl=").unwrap(), "acl=");
        assert_eq!(text("response-content-disposition=Tom%20%26%20Jerry").unwrap(), "response-content-disposition=Tom & Jerry");
        for query in ["response-expires=a%26versionId%3Dv", "response-expires=a%26acl", "acl=%26policy%26", "acl=a%26policy=&policy"] {
            assert_eq!(text(query).unwrap_err(), invalid("a value of its query holds another parameter"), "{query}");
        }
    }
}
