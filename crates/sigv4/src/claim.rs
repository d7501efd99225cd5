//! A request's claim to be signed, and its verification.

use std::{borrow::Cow, fmt};

use http::HeaderMap;
use time::{Duration, OffsetDateTime};

use crate::{
    authorization::{self, Fields, SignedHeaders},
    canonical::{Canonical, PathForm, may_be_raw, string_to_sign},
    error::SignatureError,
    key::{SigningKey, sha256},
    payload::{ChunkSigner, Declared, Payload, Streaming, UNSIGNED},
    presigned::{self, Parameters, Presigned},
    rules::{Head, Placement, Placements, Regions, Rules, is_region_name},
    scope::Scope,
    timestamp::{self, Timestamp},
    verified::Verified,
};

pub(crate) const CONTENT_SHA256: &str = "x-amz-content-sha256";
const DATE: &str = "x-amz-date";
pub(crate) const SECURITY_TOKEN: &str = "x-amz-security-token";

/// What a request says of its signature. Nothing of it is verified yet.
pub struct Claim {
    placement: Placement,
    access_key: String,
    scope: Scope,
    timestamp: Timestamp,
    /// Of presigned URLs.
    expires: Option<Duration>,
    signed_headers: SignedHeaders,
    signature: [u8; 32],
    /// None where `x-amz-content-sha256` did not come.
    declared: Option<Declared>,
    security_token: Option<String>,
}

/// Without the signature and the session token.
impl fmt::Debug for Claim {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { placement, access_key, scope, .. } = self;
        let mut text = formatter.debug_struct("Claim");
        text.field("placement", placement).field("access_key", access_key).field("scope", scope).finish_non_exhaustive()
    }
}

impl Claim {
    /// None where the request is not signed at all.
    pub fn read(head: &Head<'_>) -> Result<Option<Self>, SignatureError> {
        let authorization = header_signature(head.headers)?;
        let parameters = Parameters::find(head.uri.query().unwrap_or_default());
        match (authorization, parameters.has_signature(), parameters.has_version_two()) {
            (None, false, false) => Ok(None),
            (None, false, true) => Err(SignatureError::VersionTwo),
            (None, true, false) => Self::of_query(head.headers, parameters.parse()?).map(Some),
            (Some(value), false, false) => {
                let fields = authorization::parse(value).map_err(|error| undated(error, head.headers))?;
                Self::of_header(head.headers, fields).map(Some)
            }
            (Some(_), _, _) | (None, true, true) => Err(SignatureError::SeveralMechanisms),
        }
    }

    fn of_header(headers: &HeaderMap, fields: Fields) -> Result<Self, SignatureError> {
        single(headers, "host")?;
        let timestamp = single(headers, DATE)?.and_then(Timestamp::parse).ok_or(SignatureError::MissingDate)?;
        let declared = single(headers, CONTENT_SHA256)?.map(Declared::parse).transpose()?;
        let security_token = single(headers, SECURITY_TOKEN)?.map(str::to_owned);
        let Fields { access_key, scope, signed_headers, signature } = fields;
        let placement = Placement::Header;
        Ok(Self { placement, access_key, scope, timestamp, expires: None, signed_headers, signature, declared, security_token })
    }

    fn of_query(headers: &HeaderMap, presigned: Presigned) -> Result<Self, SignatureError> {
        single(headers, "host")?;
        single(headers, DATE)?;
        let Presigned { fields, timestamp, expires, security_token, content_sha256 } = presigned;
        let declared = one_of(content_sha256.as_deref(), single(headers, CONTENT_SHA256)?, "X-Amz-Content-Sha256")?;
        // A client adds the header to a URL that was signed for any body: as at Amazon, it is then signed for none.
        let unsigned = |error| match error {
            SignatureError::InvalidPayload if content_sha256.is_none() => SignatureError::Mismatch,
            error => error,
        };
        let declared = declared.map(Declared::parse).transpose().map_err(unsigned)?;
        if let Some(Declared::Chunks { .. }) = declared {
            return Err(SignatureError::StreamingInQuery);
        }
        let security_token =
            one_of(security_token.as_deref(), single(headers, SECURITY_TOKEN)?, "X-Amz-Security-Token")?.map(str::to_owned);
        let Fields { access_key, scope, signed_headers, signature } = fields;
        let (placement, expires) = (Placement::Query, Some(expires));
        Ok(Self { placement, access_key, scope, timestamp, expires, signed_headers, signature, declared, security_token })
    }

    /// Whose secret the signature must have been made with.
    pub fn access_key(&self) -> &str {
        &self.access_key
    }

    /// What the signature was made for.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Where the signature stands.
    pub fn placement(&self) -> Placement {
        self.placement
    }

    /// When it says that it was signed.
    pub fn signed_at(&self) -> OffsetDateTime {
        self.timestamp.moment()
    }

    /// The session token that came along.
    pub fn security_token(&self) -> Option<&str> {
        self.security_token.as_deref()
    }

    /// Whether the signature can only be verified with the body, by [`Claim::verify_with_body`]: clients of services other than S3
    /// leave out `x-amz-content-sha256`.
    pub fn needs_body(&self) -> bool {
        self.declared.is_none() && !self.is_s3()
    }

    /// All that can be checked without the secret: services, regions, dates, and that the signature covers what it must.
    /// [`Claim::verify`] does it too; alone it refuses a request before the secret is looked for.
    pub fn check(&self, head: &Head<'_>, now: OffsetDateTime, rules: &Rules) -> Result<(), SignatureError> {
        if self.placement == Placement::Query && rules.placements == Placements::Header {
            return Err(SignatureError::QueryNotAllowed);
        }
        if rules.regions == Regions::Named && !is_region_name(self.scope.region()) {
            return Err(SignatureError::WrongRegion { region: self.scope.region().to_owned() });
        }
        if !rules.services.contains(&self.scope.service()) {
            let what = format!("incorrect service; this endpoint belongs to {}", rules.services.join(", "));
            return Err(self.malformed(what.into()));
        }
        if self.timestamp.day() != self.scope.date() {
            return Err(self.malformed("the date in the credential is not that of the request".into()));
        }
        self.check_time(now, rules)?;
        self.check_coverage(head.headers)?;
        check_host(head)
    }

    fn check_time(&self, now: OffsetDateTime, rules: &Rules) -> Result<(), SignatureError> {
        let age = now - self.timestamp.moment();
        match self.expires {
            None if age.abs() > rules.max_skew => Err(SignatureError::TimeTooSkewed),
            Some(expires) if expires > rules.max_presigned => {
                let what = format!("X-Amz-Expires must be at most {} seconds", rules.max_presigned.whole_seconds());
                Err(SignatureError::MalformedQuery(what.into()))
            }
            Some(_) if age < -rules.max_skew => Err(SignatureError::NotYetValid),
            Some(expires) if age > expires => Err(SignatureError::Expired),
            None | Some(_) => Ok(()),
        }
    }

    /// What is not signed could be anybody's. `x-amz-content-sha256` alone need not be listed, as at Amazon: in a header signature
    /// its value is signed as the payload, and with a presigned URL it can only narrow what body is accepted.
    fn check_coverage(&self, headers: &HeaderMap) -> Result<(), SignatureError> {
        let must_be_signed = |name: &str| name == "host" || (name.starts_with("x-amz-") && name != CONTENT_SHA256);
        let unsigned = |name: &&str| must_be_signed(name) && !self.signed_headers.has(name);
        let names = headers.keys().map(http::HeaderName::as_str).chain(["host"]);
        match names.filter(unsigned).min() {
            Some(name) => Err(SignatureError::HeaderNotSigned(name.to_owned())),
            None => Ok(()),
        }
    }

    /// Verifies the signature of the head. `head` is the one that the claim was read from.
    pub fn verify(self, head: &Head<'_>, secret: &str, now: OffsetDateTime, rules: &Rules) -> Result<Verified, SignatureError> {
        let declared = match self.declared {
            Some(declared) => declared,
            None if self.placement == Placement::Query && self.is_s3() => Declared::Unsigned,
            None => return Err(SignatureError::PayloadNotDeclared),
        };
        self.verify_declared(head, secret, now, rules, declared)
    }

    /// The same where the whole body is there already, which nothing vouches for: the caller must bound what it reads.
    pub fn verify_with_body(
        self,
        head: &Head<'_>,
        secret: &str,
        now: OffsetDateTime,
        rules: &Rules,
        body: &[u8],
    ) -> Result<Verified, SignatureError> {
        match self.declared {
            None if !self.is_s3() => self.verify_declared(head, secret, now, rules, Declared::Sha256(sha256(body))),
            Some(Declared::Sha256(declared)) if declared != sha256(body) => Err(SignatureError::BodyMismatch),
            _ => self.verify(head, secret, now, rules),
        }
    }

    fn verify_declared(
        self,
        head: &Head<'_>,
        secret: &str,
        now: OffsetDateTime,
        rules: &Rules,
        declared: Declared,
    ) -> Result<Verified, SignatureError> {
        self.check(head, now, rules)?;
        let key = SigningKey::derive(secret, &self.scope);
        let covers_body = self.check_signature(head, &key, declared)?;
        let payload = match declared {
            Declared::Unsigned => Payload::Unsigned,
            Declared::Sha256(hash) => Payload::Sha256(hash),
            Declared::Chunks { signed, trailer } => {
                let signer = signed.then(|| Box::new(ChunkSigner::new(key, self.timestamp.text(), &self.scope, self.signature)));
                Payload::Streaming(Streaming { signer, trailer })
            }
        };
        let Self { placement, access_key, scope, security_token, timestamp, .. } = self;
        Ok(Verified { access_key, placement, scope, security_token, signed_at: timestamp.moment(), covers_body, payload })
    }

    /// The signature is good if it is over any form in which clients sign this request. Whether that form covers the body.
    fn check_signature(&self, head: &Head<'_>, key: &SigningKey, declared: Declared) -> Result<bool, SignatureError> {
        let without = (self.placement == Placement::Query).then_some(presigned::SIGNATURE);
        for path_form in self.path_forms(head.uri.path()) {
            let canonical = Canonical { head, signed_headers: &self.signed_headers, path_form: *path_form, without };
            for payload in self.payload_forms(declared) {
                let text = string_to_sign(self.timestamp.text(), &self.scope, &canonical.request(&payload)?);
                if key.verify(text.as_bytes(), &self.signature) {
                    let is_declared = payload == declared.text() || self.declares_signed_hash(head);
                    return Ok(is_declared && declared.covers_body());
                }
            }
        }
        Err(SignatureError::Mismatch)
    }

    fn path_forms(&self, path: &str) -> &'static [PathForm] {
        match (self.is_s3(), may_be_raw(path)) {
            (true, false) => &[PathForm::Once],
            (true, true) => &[PathForm::Once, PathForm::Raw],
            (false, _) => &[PathForm::Twice],
        }
    }

    /// Presigned URLs of S3 are signed for any body. Clients that know the hash all the same sign it, or only send it.
    fn payload_forms(&self, declared: Declared) -> Vec<Cow<'static, str>> {
        let mut forms = vec![declared.text()];
        if self.placement == Placement::Query && self.is_s3() && declared != Declared::Unsigned {
            forms.push(Cow::Borrowed(UNSIGNED));
        }
        forms
    }

    /// Whether the hash is signed as a header or a parameter, where it is not signed as the payload.
    fn declares_signed_hash(&self, head: &Head<'_>) -> bool {
        self.signed_headers.has(CONTENT_SHA256) || !head.headers.contains_key(CONTENT_SHA256)
    }

    fn is_s3(&self) -> bool {
        self.scope.service() == "s3"
    }

    fn malformed(&self, what: Cow<'static, str>) -> SignatureError {
        match self.placement {
            Placement::Header => SignatureError::MalformedHeader(what),
            Placement::Query => SignatureError::MalformedQuery(what),
        }
    }
}

/// `Authorization`. An empty one is none.
pub(crate) fn header_signature(headers: &HeaderMap) -> Result<Option<&str>, SignatureError> {
    Ok(single(headers, "authorization")?.map(str::trim).filter(|value| !value.is_empty()))
}

/// An absolute request line says again what `Host` says, or the host that is signed is not the one that counts.
pub(crate) fn check_host(head: &Head<'_>) -> Result<(), SignatureError> {
    match (head.uri.authority(), head.headers.get("host")) {
        (Some(authority), Some(host)) if !authority.as_str().as_bytes().eq_ignore_ascii_case(host.as_bytes()) => {
            Err(SignatureError::HostMismatch)
        }
        _ => Ok(()),
    }
}

/// A request of version 2 that states no usable date is refused for that first, as at Amazon.
fn undated(error: SignatureError, headers: &HeaderMap) -> SignatureError {
    let date = headers.get(DATE).or_else(|| headers.get("date")).and_then(|value| value.to_str().ok());
    match error {
        SignatureError::VersionTwo if !date.is_some_and(timestamp::is_http_date) => SignatureError::MissingDate,
        error => error,
    }
}

/// The one value of a header. Given twice it would be open which one was signed and which one counts.
pub(crate) fn single<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a str>, SignatureError> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(SignatureError::RepeatedHeader(name));
    }
    let Some(value) = first else { return Ok(None) };
    // What is no text is none of the values that these headers may have.
    Ok(Some(value.to_str().unwrap_or("\u{fffd}")))
}

/// What may stand in the query or in a header; in both it must be the same.
fn one_of<'a>(in_query: Option<&'a str>, in_header: Option<&'a str>, name: &'static str) -> Result<Option<&'a str>, SignatureError> {
    match (in_query, in_header) {
        (Some(one), Some(other)) if one != other => Err(SignatureError::RepeatedParameter(Cow::Borrowed(name))),
        (one, other) => Ok(one.or(other)),
    }
}
