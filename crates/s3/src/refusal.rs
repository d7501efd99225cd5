//! Why a request is refused, and how the client hears of it.

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use strongroom_engine::Error;
use strongroom_limits::{Refused, TooMuch};
use strongroom_sigv4::{BodyError, SignatureError, post_policy::FormError};

use crate::{
    error::{Verdict, verdict},
    form::PostError,
    options::ErrorDialect,
    reply::{Payload, Reply},
    timestamp::http_date,
    xml::{Xml, is_readable},
};

/// Every way a request ends without success: the engine's situations, and the protocol's own.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The engine's situations.
    Engine(Error),
    /// The request's signature, or what it says of it.
    Signature(SignatureError),
    /// How the request describes its body.
    Body(BodyError),
    /// A form's signature, its policy, or what it breaks of that.
    Form(FormError),
    /// How a form is built.
    Post(PostError),
    /// Nobody has the access key that it is signed with.
    InvalidAccessKeyId,
    /// It carries a session token that does not go with its access key.
    InvalidToken,
    /// The session token's time is over.
    ExpiredToken,
    /// The signature is for what is no region's name. Clients read which one is the server's and sign again.
    WrongRegion { expected: String },
    /// S3 has it, this store does not.
    NotImplemented(String),
    /// `If-None-Match` or `If-Modified-Since`: the client has it. The validators are repeated.
    NotModified { etag: String, modified_ms: i64 },
    /// An argument is wrong; says which and why.
    InvalidArgument(String),
    /// The request makes no sense; says why.
    InvalidRequest(String),
    /// The caller may not; says what where that helps.
    AccessDenied(String),
    /// A grant to an e-mail address.
    UnresolvableGrant,
    /// Administration by a user of another account than the main one.
    OtherAccount,
    /// An XML body that is none, or of another shape.
    MalformedXml,
    /// An XML body beyond the bound.
    MessageTooLong,
    /// The path or the query is no UTF-8.
    InvalidUri,
    /// The bucket has no configuration of that kind: S3's code and sentence for it.
    NotConfigured(&'static str, &'static str),
    /// `x-amz-storage-class` is none of S3's.
    InvalidStorageClass,
    /// A location constraint that is no region's name.
    InvalidLocationConstraint,
    /// A preflight that says too little; says what.
    BadRequest(String),
    /// A preflight that the bucket does not let in: S3's sentence, and the method it was for.
    CorsForbidden { message: &'static str, method: String },
    /// The method is not one of the resource's.
    MethodNotAllowed,
    /// The identity asks for more than its limits allow.
    TooMuch(Refused),
}

impl From<SignatureError> for Refusal {
    fn from(error: SignatureError) -> Self {
        Self::Signature(error)
    }
}

impl From<FormError> for Refusal {
    fn from(error: FormError) -> Self {
        Self::Form(error)
    }
}

impl From<PostError> for Refusal {
    fn from(error: PostError) -> Self {
        Self::Post(error)
    }
}

impl From<BodyError> for Refusal {
    fn from(error: BodyError) -> Self {
        Self::Body(error)
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Engine(error)
    }
}

/// A document that S3 would not take, and what it lacks.
pub(crate) fn malformed(what: &str) -> Refusal {
    Refusal::Engine(Error::MalformedXml(what.to_owned()))
}

impl Refusal {
    /// Code, status and advice, for all of them.
    pub(crate) fn verdict(&self, dialect: ErrorDialect) -> Verdict<'_> {
        match self {
            Self::Engine(error) => verdict(error, dialect),
            Self::Signature(error) => Verdict::new(error.code(), error.status()),
            Self::Body(error) => Verdict::new(error.code(), error.status()),
            Self::Form(error) => Verdict::new(error.code(), error.status()),
            Self::Post(error) => Verdict::new(error.verdict().0, error.verdict().1),
            Self::InvalidAccessKeyId => Verdict::new("InvalidAccessKeyId", StatusCode::FORBIDDEN),
            Self::ExpiredToken => Verdict::new("ExpiredToken", StatusCode::BAD_REQUEST),
            Self::InvalidToken => Verdict::new("InvalidToken", StatusCode::BAD_REQUEST),
            Self::WrongRegion { .. } => Verdict::new("AuthorizationHeaderMalformed", StatusCode::BAD_REQUEST),
            Self::NotImplemented(_) => Verdict::new("NotImplemented", StatusCode::NOT_IMPLEMENTED),
            Self::NotModified { .. } => Verdict::new("NotModified", StatusCode::NOT_MODIFIED),
            Self::InvalidArgument(_) => Verdict::new("InvalidArgument", StatusCode::BAD_REQUEST),
            Self::InvalidRequest(_) => Verdict::new("InvalidRequest", StatusCode::BAD_REQUEST),
            Self::AccessDenied(_) | Self::OtherAccount => Verdict::new("AccessDenied", StatusCode::FORBIDDEN),
            Self::UnresolvableGrant => Verdict::new("UnresolvableGrantByEmailAddress", StatusCode::BAD_REQUEST),
            Self::MalformedXml => Verdict::new("MalformedXML", StatusCode::BAD_REQUEST),
            Self::MessageTooLong => Verdict::new("MaxMessageLengthExceeded", StatusCode::BAD_REQUEST),
            Self::InvalidUri => Verdict::new("InvalidURI", StatusCode::BAD_REQUEST),
            Self::NotConfigured(code, _) => Verdict::new(code, StatusCode::NOT_FOUND),
            Self::InvalidStorageClass => Verdict::new("InvalidStorageClass", StatusCode::BAD_REQUEST),
            Self::InvalidLocationConstraint => Verdict::new("InvalidLocationConstraint", StatusCode::BAD_REQUEST),
            Self::BadRequest(_) => Verdict::new("BadRequest", StatusCode::BAD_REQUEST),
            Self::CorsForbidden { .. } => Verdict::new("AccessForbidden", StatusCode::FORBIDDEN),
            Self::MethodNotAllowed => Verdict::new("MethodNotAllowed", StatusCode::METHOD_NOT_ALLOWED),
            Self::TooMuch(Refused { retry_after, .. }) => {
                let seconds = u16::try_from(retry_after.as_millis().div_ceil(1000)).unwrap_or(u16::MAX);
                Verdict { retry_after_seconds: Some(seconds.max(1)), ..Verdict::new("SlowDown", StatusCode::SERVICE_UNAVAILABLE) }
            }
        }
    }

    /// The sentence for the client.
    pub(crate) fn message(&self) -> String {
        match self {
            Self::Engine(error) => error.to_string(),
            Self::NotImplemented(what) => format!("{what} is not implemented."),
            Self::WrongRegion { expected } => format!("The authorization header is malformed; the region is wrong; expecting '{expected}'"),
            Self::Signature(error) => error.to_string(),
            Self::Body(error) => error.to_string(),
            Self::Form(error) => error.to_string(),
            Self::Post(error) => error.message().to_owned(),
            Self::InvalidAccessKeyId => "The AWS Access Key Id you provided does not exist in our records.".to_owned(),
            Self::ExpiredToken => "The provided token has expired.".to_owned(),
            Self::InvalidToken => "The provided token is malformed or otherwise invalid.".to_owned(),
            Self::InvalidArgument(message) | Self::InvalidRequest(message) | Self::AccessDenied(message) | Self::BadRequest(message) => {
                message.clone()
            }
            Self::UnresolvableGrant => "Identities have no e-mail address here: name grantees by id or by uri.".to_owned(),
            Self::OtherAccount => "Administration is for users of the main account.".to_owned(),
            Self::NotModified { .. } => "Not Modified".to_owned(),
            Self::MalformedXml => "The XML you provided was not well-formed or did not validate against our published schema.".to_owned(),
            Self::MessageTooLong => "Your request was too big.".to_owned(),
            Self::InvalidUri => "Couldn't parse the specified URI.".to_owned(),
            Self::NotConfigured(_, message) | Self::CorsForbidden { message, .. } => (*message).to_owned(),
            Self::InvalidStorageClass => "The storage class you specified is not valid.".to_owned(),
            Self::InvalidLocationConstraint => "The specified location-constraint is not valid.".to_owned(),
            Self::MethodNotAllowed => "The specified method is not allowed against this resource.".to_owned(),
            Self::TooMuch(Refused { what: TooMuch::Rate, .. }) => "Please reduce your request rate.".to_owned(),
            Self::TooMuch(Refused { what: TooMuch::AtOnce, .. }) => "Please send fewer requests at once.".to_owned(),
        }
    }
}

/// What an error response says of the request it answers.
pub(crate) struct Circumstances<'a> {
    pub(crate) method: &'a Method,
    pub(crate) path: &'a str,
    pub(crate) bucket: &'a str,
    pub(crate) key: &'a str,
    pub(crate) request_id: &'a str,
    pub(crate) host_id: &'a str,
    pub(crate) dialect: ErrorDialect,
}

/// The response to a refused request: S3's error XML, or headers alone where no body may be.
pub(crate) fn refuse(refusal: &Refusal, circumstances: &Circumstances<'_>) -> Reply {
    let verdict = refusal.verdict(circumstances.dialect);
    let mut headers = advice(&verdict);
    if let Refusal::NotModified { etag, modified_ms } = refusal {
        insert(&mut headers, header::ETAG, &format!("\"{etag}\""));
        insert(&mut headers, header::LAST_MODIFIED, &http_date(*modified_ms));
    }
    if let Refusal::Engine(Error::DeleteMarker { version_id, modified_ms, .. }) = refusal {
        insert(&mut headers, HeaderName::from_static("x-amz-delete-marker"), "true");
        insert(&mut headers, HeaderName::from_static("x-amz-version-id"), version_id);
        insert(&mut headers, header::LAST_MODIFIED, &http_date(*modified_ms));
    }
    if let Refusal::WrongRegion { expected } = refusal {
        insert(&mut headers, HeaderName::from_static("x-amz-bucket-region"), expected);
    }
    if *circumstances.method == Method::HEAD || verdict.status == StatusCode::NOT_MODIFIED {
        return Reply { status: verdict.status, headers, payload: Payload::Empty };
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    let document = error_document(refusal, verdict.code, circumstances);
    Reply { status: verdict.status, headers, payload: Payload::Whole(document.into_bytes()) }
}

fn advice(verdict: &Verdict<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Some(seconds) = verdict.retry_after_seconds {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some(size_bytes) = verdict.unsatisfied_size_bytes {
        insert(&mut headers, header::CONTENT_RANGE, &format!("bytes */{size_bytes}"));
    }
    headers
}

fn error_document(refusal: &Refusal, code: &str, circumstances: &Circumstances<'_>) -> Xml {
    let mut xml = Xml::new();
    xml.element("Error", |xml| {
        xml.text("Code", code);
        xml.prose("Message", &refusal.message());
        if let Refusal::WrongRegion { expected } = refusal {
            xml.text("Region", expected);
        }
        if let Refusal::CorsForbidden { method, .. } = refusal {
            xml.text("Method", method);
            xml.text("ResourceType", if circumstances.key.is_empty() { "BUCKET" } else { "OBJECT" });
        }
        // The code matters more: a name that strict parsers refuse is left out, and `Resource` has it percent-encoded.
        for (name, text) in [("BucketName", circumstances.bucket), ("Key", circumstances.key)] {
            if !text.is_empty() && is_readable(text) {
                xml.text(name, text);
            }
        }
        xml.text("Resource", circumstances.path);
        xml.text("RequestId", circumstances.request_id);
        xml.text("HostId", circumstances.host_id);
    });
    xml
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use strongroom_kms::KmsError;

    use super::*;

    fn circumstances(method: &Method) -> Circumstances<'_> {
        Circumstances {
            method,
            path: "/photos/a&b",
            bucket: "photos",
            key: "a&b",
            request_id: "0123",
            host_id: "4567",
            dialect: ErrorDialect::Strongroom,
        }
    }

    #[test]
    fn an_error_names_code_message_resource_and_request() {
        let reply = refuse(&Refusal::Engine(Error::NoSuchKey), &circumstances(&Method::GET));
        assert_eq!(reply.status, 404);
        assert_eq!(reply.headers[header::CONTENT_TYPE], "application/xml");
        let Payload::Whole(body) = reply.payload else { panic!("an error has a body") };
        assert_eq!(
            std::str::from_utf8(&body).unwrap(),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message>\
             <BucketName>photos</BucketName><Key>a&amp;b</Key><Resource>/photos/a&amp;b</Resource><RequestId>0123</RequestId><HostId>4567</HostId></Error>"
        );
    }

    struct KmsRow {
        error: Error,
        answered: (&'static str, u16),
        /// Where Amazon answers otherwise.
        by_amazon: Option<(&'static str, u16)>,
        retry_after: Option<&'static str>,
        says: &'static [&'static str],
    }

    fn kms_row(error: Error, code: &'static str, status: u16, says: &'static [&'static str]) -> KmsRow {
        KmsRow { error, answered: (code, status), by_amazon: None, retry_after: None, says }
    }

    fn kms_rows() -> Vec<KmsRow> {
        let key = || "key-1".to_owned();
        let away = Error::KmsUnavailable(KmsError::Unavailable("token s.0123 expired".to_owned()));
        let lacks = |action| Error::KmsAccessDenied { identity: "ann".to_owned(), action, key_id: key() };
        vec![
            KmsRow {
                by_amazon: Some(("KMS.NotFoundException", 400)),
                ..kms_row(Error::KmsKeyNotFound(key()), "NotFound", 404, &["key-1", "GET /kms/keys"])
            },
            kms_row(Error::KmsKeyDisabled(key()), "KMS.DisabledException", 400, &["key-1", "disabled"]),
            kms_row(Error::KmsKeyPendingDeletion(key()), "KMS.KMSInvalidStateException", 400, &["key-1", "pending deletion"]),
            kms_row(Error::KmsKeySealed(key()), "KMS.KMSInvalidStateException", 403, &["key-1", "sealed"]),
            kms_row(Error::KmsSealed, "KMS.KMSInvalidStateException", 403, &["sealed"]),
            kms_row(Error::KmsKeyErased(key()), "KMS.NotFoundException", 410, &["key-1", "cannot be recovered"]),
            KmsRow {
                by_amazon: Some(("ServiceUnavailable", 503)),
                retry_after: Some("5"),
                ..kms_row(away, "InternalError", 503, &["/kms/status"])
            },
            // How to configure one.
            kms_row(Error::KmsNotConfigured, "NotImplemented", 501, &["kms.backend", "docs/configuration.md"]),
            kms_row(lacks("kms:GenerateDataKey"), "AccessDenied", 403, &["ann", "kms:GenerateDataKey", "key-1"]),
            kms_row(lacks("kms:Decrypt"), "AccessDenied", 403, &["ann", "kms:Decrypt", "key-1"]),
            kms_row(Error::KmsUnsupported("rotation".to_owned()), "NotImplemented", 501, &["rotation"]),
        ]
    }

    #[test]
    fn every_row_of_the_kms_reaches_the_client_in_both_dialects() {
        for dialect in [ErrorDialect::Strongroom, ErrorDialect::Aws] {
            for KmsRow { error, answered, by_amazon, retry_after, says } in kms_rows() {
                let (code, status) = by_amazon.filter(|_| dialect == ErrorDialect::Aws).unwrap_or(answered);
                let situation = format!("{error:?} {dialect:?}");
                let reply = refuse(&Refusal::Engine(error), &Circumstances { dialect, ..circumstances(&Method::GET) });
                assert_eq!(reply.status.as_u16(), status, "{situation}");
                let advised = reply.headers.get(header::RETRY_AFTER).map(|seconds| seconds.to_str().unwrap());
                assert_eq!(advised, retry_after, "{situation}");
                let Payload::Whole(body) = reply.payload else { panic!("an error has a body") };
                let body = std::str::from_utf8(&body).unwrap();
                assert!(body.contains(&format!("<Code>{code}</Code>")), "{situation}: {body}");
                let (_, message) = body.split_once("<Message>").unwrap();
                let (message, _) = message.split_once("</Message>").unwrap();
                for word in says {
                    assert!(message.contains(word), "{situation}: {message}");
                }
                assert!(!body.contains("s.0123"), "what the backend said stays here: {body}");
            }
        }
    }

    #[test]
    fn a_key_that_no_xml_can_hold_does_not_make_the_error_unreadable() {
        let circumstances = Circumstances { key: "a\u{1}", path: "/photos/a%01", ..circumstances(&Method::GET) };
        let Payload::Whole(body) = refuse(&Refusal::Engine(Error::NoSuchKey), &circumstances).payload else {
            panic!("an error has a body")
        };
        let body = std::str::from_utf8(&body).unwrap();
        assert!(body.contains("<BucketName>photos</BucketName><Resource>/photos/a%01</Resource>"), "{body}");
    }

    #[test]
    fn a_head_request_is_refused_without_a_body() {
        let reply = refuse(&Refusal::Engine(Error::NoSuchKey), &circumstances(&Method::HEAD));
        assert_eq!(reply.status, 404);
        assert!(matches!(reply.payload, Payload::Empty));
    }

    #[test]
    fn not_modified_repeats_the_validators_and_has_no_body() {
        let refusal = Refusal::NotModified { etag: "abc".to_owned(), modified_ms: 1_445_412_480_000 };
        let reply = refuse(&refusal, &circumstances(&Method::GET));
        assert_eq!(reply.status, 304);
        assert_eq!(reply.headers[header::ETAG], "\"abc\"");
        assert_eq!(reply.headers[header::LAST_MODIFIED], "Wed, 21 Oct 2015 07:28:00 GMT");
        assert!(matches!(reply.payload, Payload::Empty));
    }

    #[test]
    fn a_wrong_region_is_told_the_right_one() {
        let refusal = || Refusal::WrongRegion { expected: "eu-1".to_owned() };
        let reply = refuse(&refusal(), &circumstances(&Method::PUT));
        assert_eq!(reply.status, 400);
        let Payload::Whole(body) = reply.payload else { panic!("an error has a body") };
        let body = std::str::from_utf8(&body).unwrap();
        assert!(body.contains("<Code>AuthorizationHeaderMalformed</Code>") && body.contains("<Region>eu-1</Region>"), "{body}");
        assert_eq!(refuse(&refusal(), &circumstances(&Method::HEAD)).headers["x-amz-bucket-region"], "eu-1");
    }

    #[test]
    fn an_unsatisfiable_range_tells_the_size() {
        let reply = refuse(&Refusal::Engine(Error::InvalidRange { size_bytes: 5 }), &circumstances(&Method::GET));
        assert_eq!(reply.status, 416);
        assert_eq!(reply.headers[header::CONTENT_RANGE], "bytes */5");
    }

    #[test]
    fn every_refusal_of_the_protocol_has_its_code_and_status() {
        let rows = [
            (Refusal::NotImplemented("GetBucketPolicy".to_owned()), "NotImplemented", 501),
            (Refusal::NotModified { etag: String::new(), modified_ms: 0 }, "NotModified", 304),
            (Refusal::WrongRegion { expected: "eu-1".to_owned() }, "AuthorizationHeaderMalformed", 400),
            (Refusal::InvalidArgument(String::new()), "InvalidArgument", 400),
            (Refusal::InvalidRequest(String::new()), "InvalidRequest", 400),
            (Refusal::AccessDenied(String::new()), "AccessDenied", 403),
            (Refusal::UnresolvableGrant, "UnresolvableGrantByEmailAddress", 400),
            (Refusal::OtherAccount, "AccessDenied", 403),
            (Refusal::MalformedXml, "MalformedXML", 400),
            (Refusal::MessageTooLong, "MaxMessageLengthExceeded", 400),
            (Refusal::InvalidUri, "InvalidURI", 400),
            (Refusal::InvalidStorageClass, "InvalidStorageClass", 400),
            (Refusal::InvalidLocationConstraint, "InvalidLocationConstraint", 400),
            (Refusal::MethodNotAllowed, "MethodNotAllowed", 405),
            (Refusal::Signature(SignatureError::Mismatch), "SignatureDoesNotMatch", 403),
            (Refusal::Body(BodyError::DecodedLengthMissing), "MissingContentLength", 411),
            (Refusal::InvalidAccessKeyId, "InvalidAccessKeyId", 403),
            (Refusal::InvalidToken, "InvalidToken", 400),
            (Refusal::ExpiredToken, "ExpiredToken", 400),
        ];
        for (refusal, code, status) in rows {
            let verdict = refusal.verdict(ErrorDialect::Strongroom);
            assert_eq!((verdict.code, verdict.status.as_u16()), (code, status));
        }
    }
}
