//! The signature in the query: presigned URLs.

use std::borrow::Cow;

use time::Duration;

use crate::{
    authorization::{Fields, SignedHeaders, known_algorithm},
    error::SignatureError,
    key::parse_signature,
    percent::{Plus, decode},
    query::{pairs, position},
    scope::Credential,
    timestamp::Timestamp,
};

pub(crate) const SIGNATURE: &str = "X-Amz-Signature";
const ALGORITHM: usize = 0;
const CREDENTIAL: usize = 1;
const DATE: usize = 2;
const EXPIRES: usize = 3;
const SIGNED_HEADERS: usize = 4;
const SIGNATURE_AT: usize = 5;
const SECURITY_TOKEN: usize = 6;
const CONTENT_SHA256: usize = 7;
const OF_VERSION_FOUR: usize = 8;
const NAMES: [&str; 10] = [
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    SIGNATURE,
    "X-Amz-Security-Token",
    "X-Amz-Content-Sha256",
    // Of version 2.
    "AWSAccessKeyId",
    "Signature",
];

/// Whether a parameter is one of the signature itself, and not, as `X-Amz-Security-Token` or any `X-Amz-…` header may be, something
/// that is signed. Names in any case.
pub fn is_signature_parameter(name: &str) -> bool {
    NAMES[..SECURITY_TOKEN].iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// The parameters of a query that belong to a signature, as they came.
#[derive(Default)]
pub(crate) struct Parameters<'a> {
    values: [Option<&'a [u8]>; OF_VERSION_FOUR],
    repeated: Option<&'static str>,
    has_version_two: bool,
}

/// A signature in the query.
pub(crate) struct Presigned {
    pub(crate) fields: Fields,
    pub(crate) timestamp: Timestamp,
    pub(crate) expires: Duration,
    pub(crate) security_token: Option<String>,
    pub(crate) content_sha256: Option<String>,
}

impl<'a> Parameters<'a> {
    pub(crate) fn find(query: &'a str) -> Self {
        let mut parameters = Self::default();
        for (raw, value) in pairs(query) {
            let Some(at) = position(raw, &NAMES) else { continue };
            let Some(slot) = parameters.values.get_mut(at) else {
                parameters.has_version_two = true;
                continue;
            };
            if slot.replace(value).is_some() {
                parameters.repeated = Some(NAMES[at]);
            }
        }
        parameters
    }

    /// Whether the query means to hold a signature of version 4.
    pub(crate) fn has_signature(&self) -> bool {
        self.values[SIGNATURE_AT].is_some() || self.values[ALGORITHM].is_some()
    }

    /// Whether it means to hold one of version 2.
    pub(crate) fn has_version_two(&self) -> bool {
        self.has_version_two
    }

    pub(crate) fn parse(&self) -> Result<Presigned, SignatureError> {
        if let Some(name) = self.repeated {
            return Err(SignatureError::RepeatedParameter(Cow::Borrowed(name)));
        }
        known_algorithm(&self.required(ALGORITHM)?)?;
        let Credential { access_key, scope } = Credential::parse(&self.required(CREDENTIAL)?).map_err(malformed)?;
        let timestamp = Timestamp::parse(&self.required(DATE)?)
            .ok_or_else(|| malformed("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\""))?;
        let expires = parse_seconds(&self.required(EXPIRES)?).ok_or_else(|| malformed("X-Amz-Expires should be a number"))?;
        let signed_headers = SignedHeaders::parse(&self.required(SIGNED_HEADERS)?).map_err(malformed)?;
        let signature = parse_signature(self.required(SIGNATURE_AT)?.as_bytes())
            .ok_or_else(|| malformed("X-Amz-Signature must be 64 lower-case hexadecimal digits"))?;
        let fields = Fields { access_key, scope, signed_headers, signature };
        let (security_token, content_sha256) = (self.optional(SECURITY_TOKEN)?, self.optional(CONTENT_SHA256)?);
        Ok(Presigned { fields, timestamp, expires, security_token, content_sha256 })
    }

    fn required(&self, at: usize) -> Result<String, SignatureError> {
        self.optional(at)?.ok_or_else(|| SignatureError::MalformedQuery(Cow::Owned(format!("{} is missing", NAMES[at]))))
    }

    fn optional(&self, at: usize) -> Result<Option<String>, SignatureError> {
        let Some(raw) = self.values[at] else { return Ok(None) };
        decode(raw, Plus::IsSpace).map(Some).ok_or_else(|| SignatureError::MalformedQuery(Cow::Owned(format!("{} is no text", NAMES[at]))))
    }
}

/// A number of seconds from 0 up.
fn parse_seconds(text: &str) -> Option<Duration> {
    let seconds: u32 = text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())??;
    Some(Duration::seconds(i64::from(seconds)))
}

fn malformed(what: &'static str) -> SignatureError {
    SignatureError::MalformedQuery(Cow::Borrowed(what))
}
