//! The gate: who signed the request, and its body without the framing of aws-chunked. All that s3s does of the protocol.
//!
//! The service of s3s runs with one route that matches everything and keeps the verified request.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use http::{Extensions, HeaderMap, Method, StatusCode, Uri};
use s3s::{
    Body, S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result, TrailingHeaders,
    auth::{S3Auth, SecretKey},
    config::{S3Config, StaticConfigProvider},
    route::S3Route,
    service::{S3Service, S3ServiceBuilder},
};
use strongroom_access::Identities;

use crate::{headers, query::Query, refusal::Refusal};

/// A chunk of a signed aws-chunked body is held, one for each request, until its signature is verified; clients send 64 KiB to 1 MiB.
const MAX_SIGNED_CHUNK_LEN_BYTES: usize = 2 << 20;

/// Verifies requests.
pub(crate) struct Gate {
    service: S3Service,
    region: String,
}

/// Which regions a request may be signed for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Region {
    /// Any that has a name.
    Named,
    /// That without a name too.
    Any,
}

/// A request whose signature was verified.
pub(crate) struct Admitted {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    /// The decoded bytes.
    pub(crate) body: Body,
    /// What comes behind them.
    pub(crate) trailers: Option<TrailingHeaders>,
    /// Whose signature it is.
    pub(crate) access_key: String,
}

impl Gate {
    /// For requests of these identities. The region is what those are told whose signature names none.
    pub(crate) fn new(identities: Arc<Identities>, region: &str) -> Self {
        let mut config = S3Config::default();
        config.aws_chunked_stream_max_chunk_size = MAX_SIGNED_CHUNK_LEN_BYTES;
        config.custom_route_max_body_size = None;
        config.put_object_max_size = None;
        config.sig_v4_allowed_services = vec!["s3".to_owned()];
        let mut builder = S3ServiceBuilder::new(NoOperations);
        builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
        builder.set_auth(Secrets(identities));
        builder.set_route(Keep);
        Self { service: builder.build(), region: region.to_owned() }
    }

    /// The request as its signer meant it. An anonymous one is refused: nothing here is public.
    pub(crate) async fn admit(&self, mut request: http::Request<Body>, region: Region) -> Result<Admitted, Refusal> {
        // Before s3s looks, which has no answer that names the right region.
        if region == Region::Named && signed_region(request.headers(), request.uri()).is_some_and(|region| !is_region_name(&region)) {
            return Err(Refusal::WrongRegion { expected: self.region.clone() });
        }
        let slot = Slot::default();
        request.extensions_mut().insert(slot.clone());
        let response = self.service.call(request).await;
        let verified = slot.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (verified, response) {
            (Some(S3Request { input, method, uri, headers, credentials: Some(credentials), trailing_headers, .. }), _) => {
                let access_key = credentials.access_key;
                Ok(Admitted { method, uri, headers, body: input, trailers: trailing_headers, access_key })
            }
            (Some(_), _) => Err(Refusal::AccessDenied("Access Denied.".to_owned())),
            (None, Ok(response)) => Err(refused(&response)),
            (None, Err(error)) => Err(Refusal::Engine(strongroom_engine::Error::Internal(error.into_std_error()))),
        }
    }
}

/// The region in the scope of the signature, `AccessKey/date/region/service/aws4_request`. None where there is none to be read: what is
/// wrong then, s3s says.
fn signed_region(headers: &HeaderMap, uri: &Uri) -> Option<String> {
    let scope = match headers::value(headers, "authorization").ok()? {
        Some(authorization) => authorization.split_once("Credential=")?.1.split(',').next()?.trim().to_owned(),
        None => Query::parse(uri.query()?).ok()?.get("X-Amz-Credential").ok()??.to_owned(),
    };
    let mut fields = scope.rsplit('/');
    let (last, _service, region) = (fields.next()?, fields.next()?, fields.next()?);
    (last == "aws4_request" && fields.count() >= 2).then(|| region.to_owned())
}

/// Whether a region can be the name of one. Any such is accepted: the signature covers it, and clients are set up for all sorts of them. What is none
/// ("US" of s3cmd, nothing at all) is answered with the right one, and such clients sign again.
fn is_region_name(region: &str) -> bool {
    !region.is_empty() && region.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// Where the route leaves the verified request.
#[derive(Clone, Default)]
struct Slot(Arc<Mutex<Option<S3Request<Body>>>>);

struct Keep;

#[async_trait]
impl S3Route for Keep {
    fn is_match(&self, _: &Method, _: &Uri, _: &HeaderMap, _: &mut Extensions) -> bool {
        true
    }

    async fn check_access(&self, _: &mut S3Request<Body>) -> S3Result<()> {
        Ok(())
    }

    async fn call(&self, mut request: S3Request<Body>) -> S3Result<S3Response<Body>> {
        let slot = request.extensions.remove::<Slot>().ok_or_else(|| S3Error::new(S3ErrorCode::InternalError))?;
        *slot.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(request);
        Ok(S3Response::new(Body::empty()))
    }
}

/// The service wants operations; the route takes every request before they are asked for.
struct NoOperations;

impl S3 for NoOperations {}

struct Secrets(Arc<Identities>);

#[async_trait]
impl S3Auth for Secrets {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        let identity = self.0.by_access_key(access_key).ok_or_else(|| S3Error::new(S3ErrorCode::InvalidAccessKeyId))?;
        Ok(SecretKey::from(identity.secret.expose()))
    }
}

/// Code, message and status of an error response of s3s.
fn refused(response: &http::Response<Body>) -> Refusal {
    let body = response.body().bytes().unwrap_or_default();
    let document = String::from_utf8_lossy(&body);
    let code = content_of(&document, "Code").unwrap_or_else(|| "InternalError".to_owned());
    let message = content_of(&document, "Message").unwrap_or_default();
    let status = response.status();
    Refusal::Protocol { code, message, status: if status.is_success() { StatusCode::INTERNAL_SERVER_ERROR } else { status } }
}

fn content_of(document: &str, element: &str) -> Option<String> {
    let (_, rest) = document.split_once(&format!("<{element}>"))?;
    let (content, _) = rest.split_once(&format!("</{element}>"))?;
    // `&amp;` last, so that nothing is unescaped twice.
    Some(
        [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")]
            .iter()
            .fold(content.to_owned(), |text, (from, to)| text.replace(from, to)),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use strongroom_access::{Identity, SecretKey as Secret};

    use super::*;

    fn gate() -> Gate {
        let root = Identity::root("AKIDEXAMPLE", Secret::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned()).unwrap()).unwrap();
        Gate::new(Arc::new(Identities::new(root, Vec::new()).unwrap()), "us-east-1")
    }

    async fn refusal(uri: &str, headers: &[(&str, &str)]) -> (String, u16) {
        let mut request = http::Request::builder().uri(uri).header("host", "localhost:9000");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let refusal = gate().admit(request.body(Body::empty()).unwrap(), Region::Named).await.err().unwrap();
        let verdict = refusal.verdict(crate::ErrorDialect::Strongroom);
        (verdict.code.to_owned(), verdict.status.as_u16())
    }

    fn now() -> (String, String) {
        let now = time::OffsetDateTime::now_utc();
        let day = now.format(time::macros::format_description!("[year][month][day]")).unwrap();
        let time = now.format(time::macros::format_description!("[hour][minute][second]")).unwrap();
        (day.clone(), format!("{day}T{time}Z"))
    }

    fn signed_by(access_key: &str, day: &str) -> String {
        format!(
            "AWS4-HMAC-SHA256 Credential={access_key}/{day}/us-east-1/s3/aws4_request, SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature={}",
            "0".repeat(64)
        )
    }

    #[tokio::test]
    async fn an_unsigned_request_is_denied() {
        assert_eq!(refusal("/bucket/key", &[]).await, ("AccessDenied".to_owned(), 403));
    }

    #[tokio::test]
    async fn a_wrong_signature_and_an_unknown_key_have_the_codes_of_s3() {
        let (day, time) = now();
        let headers = |authorization: &'static str| [("authorization", authorization), ("x-amz-content-sha256", "UNSIGNED-PAYLOAD")];
        let wrong = signed_by("AKIDEXAMPLE", &day).leak();
        let [a, b] = headers(wrong);
        assert_eq!(refusal("/", &[a, b, ("x-amz-date", &time)]).await, ("SignatureDoesNotMatch".to_owned(), 403));
        let unknown = signed_by("SOMEBODYELSE", &day).leak();
        let [a, b] = headers(unknown);
        assert_eq!(refusal("/", &[a, b, ("x-amz-date", &time)]).await, ("InvalidAccessKeyId".to_owned(), 403));
    }

    #[tokio::test]
    async fn an_old_request_is_too_skewed_and_an_old_url_expired() {
        let authorization = signed_by("AKIDEXAMPLE", "20150830");
        let headers =
            [("authorization", authorization.as_str()), ("x-amz-content-sha256", "UNSIGNED-PAYLOAD"), ("x-amz-date", "20150830T123600Z")];
        assert_eq!(refusal("/", &headers).await, ("RequestTimeTooSkewed".to_owned(), 403));
        let url = format!(
            "/b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20150830%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20150830T123600Z\
             &X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature={}",
            "0".repeat(64)
        );
        assert_eq!(refusal(&url, &[]).await, ("AccessDenied".to_owned(), 403));
    }

    #[tokio::test]
    async fn a_signature_for_what_is_no_region_is_told_the_right_one() {
        let (day, time) = now();
        for region in ["US", "eu_west", ""] {
            let authorization = signed_by("AKIDEXAMPLE", &day).replace("us-east-1", region);
            let headers = [("authorization", authorization.as_str()), ("x-amz-content-sha256", "UNSIGNED-PAYLOAD"), ("x-amz-date", &time)];
            assert_eq!(refusal("/", &headers).await, ("AuthorizationHeaderMalformed".to_owned(), 400), "{region}");
            let url = format!(
                "/b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F{day}%2F{region}%2Fs3%2Faws4_request&X-Amz-Date={time}\
                 &X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature={}",
                "0".repeat(64)
            );
            assert_eq!(refusal(&url, &[]).await, ("AuthorizationHeaderMalformed".to_owned(), 400), "{region}");
        }
    }

    #[test]
    fn the_errors_of_s3s_are_read_back() {
        let response = S3Error::with_message(S3ErrorCode::InvalidArgument, "a < b & \"c\" &lt;").to_http_response().unwrap();
        let Refusal::Protocol { code, message, status } = refused(&response) else { panic!("a protocol error") };
        assert_eq!((code.as_str(), message.as_str(), status.as_u16()), ("InvalidArgument", "a < b & \"c\" &lt;", 400));
    }
}
