//! Administration: requests verified as those of S3 are, and handed on with who signed them.

use std::{
    pin::Pin,
    sync::{Arc, atomic::AtomicU64},
    time::Instant,
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use hyper::body::{Body, Incoming};
use strongroom_access::{Identities, Identity};
use strongroom_engine::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use zeroize::Zeroizing;

use crate::{
    access_log::AccessRecord,
    body::collect_wiped,
    gate::{Admitted, Gate, Region},
    headers, names,
    options::ConnectionInfo,
    refusal::Refusal,
    reply::{Payload, Reply, ResponseBody, ResponseCut},
    service::{Inner, S3Service, hide_secrets, new_request_id},
};

/// The longest body without a `Content-Length`; it is read before its signature can be verified.
const MAX_CHUNKED_BYTES: usize = 64 << 10;

/// Bodies that may be larger than this are large,
const MAX_SMALL_BYTES: usize = 64 << 10;
/// and so many of them may be in memory at a time; others wait.
const MAX_LARGE_BODIES: usize = 2;

/// Answers what is under the reserved first path segments, and all of the admin port.
#[async_trait]
pub trait AdminHandler: Send + Sync + 'static {
    /// The largest body of such a request in bytes; larger ones are refused.
    fn max_body_bytes(&self, method: &Method, path: &str) -> usize;

    /// The response to a signer who may not make such a request at all, whatever its body says; asked before that is read.
    async fn refusal(&self, method: &Method, path: &str, signer: &Signer) -> Option<http::Response<AdminBody>>;

    /// Answers a verified request. Its body is wiped from memory with the last of its `Bytes`.
    async fn handle(&self, request: http::Request<Bytes>, signer: Signer) -> http::Response<AdminBody>;
}

/// The body of an admin response: whole, or as it comes.
pub type AdminBody = Pin<Box<dyn Body<Data = Bytes, Error = ResponseCut> + Send>>;

/// Who signed an admin request, and how it came.
#[derive(Clone)]
pub struct Signer {
    /// Whose signature it is.
    pub identity: Arc<Identity>,
    /// As the client sees it in `x-amz-request-id`.
    pub request_id: String,
    /// Whether it came over TLS, as far as the server knows or a trusted proxy says.
    pub secure: bool,
    /// Whether key material may travel: over TLS, or where plain HTTP from loopback was chosen for development.
    pub secrets_allowed: bool,
}

/// Whether a request is none for a bucket. Creating a bucket of a reserved name is S3's to refuse.
pub(crate) fn is_reserved(path: &str) -> bool {
    let segments = path.strip_prefix('/').and_then(|path| path.split_once('/'));
    segments.is_some_and(|(first, rest)| names::RESERVED.contains(&first) && !rest.is_empty())
}

impl S3Service {
    /// The same service that hands what is under `/minio/`, `/rustfs/` and `/strongroom/` to `handler`.
    #[must_use]
    pub fn with_admin(self, handler: Arc<dyn AdminHandler>) -> Self {
        Self { admin: Some(handler), ..self }
    }

    /// Answers a request of the admin port, whatever its path. Errors are responses: JSON of `code` and `message`.
    pub async fn call_admin(&self, request: http::Request<Incoming>, connection: ConnectionInfo) -> http::Response<ResponseBody> {
        let begun = Instant::now();
        let request_id = new_request_id();
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let received_bytes = Arc::new(AtomicU64::new(0));
        let request = self.inner.receive(request, &received_bytes);
        let mut identity = String::new();
        let outcome = self.answer_admin(request, connection, &request_id, &mut identity).await;
        let (reply, code) = outcome.unwrap_or_else(|refusal| self.inner.refuse_admin(&refusal, &method, &uri, &request_id));
        let record = AccessRecord {
            request_id,
            method,
            operation: "Admin",
            bucket: String::new(),
            identity,
            status: reply.status,
            code,
            received_bytes,
            begun,
            was_cut: false,
        };
        self.inner.respond(reply, record)
    }

    async fn answer_admin(
        &self,
        request: http::Request<s3s::Body>,
        connection: ConnectionInfo,
        request_id: &str,
        identity: &mut String,
    ) -> Result<(Reply, String), Refusal> {
        let handler = self.admin.as_ref().ok_or_else(|| Refusal::NotImplemented("Administration".to_owned()))?;
        let max_bytes = handler.max_body_bytes(request.method(), request.uri().path());
        let (secure, secrets_allowed) = self.inner.security(request.headers(), connection);
        let (admitted, signed_by) = verify(&self.inner.gate, &self.inner.identities, request, secure, max_bytes).await?;
        let signer = Signer { identity: signed_by, request_id: request_id.to_owned(), secure, secrets_allowed };
        identity.clone_from(&signer.identity.name);
        let response = match take_in(&**handler, admitted, &signer, &self.inner.large_bodies).await? {
            TakenIn::Whole(request) => handler.handle(request, signer).await,
            TakenIn::Refused(response) => response,
        };
        let (parts, body) = response.into_parts();
        Ok((Reply { status: parts.status, headers: parts.headers, payload: Payload::Admin(body) }, String::new()))
    }
}

impl Inner {
    fn refuse_admin(&self, refusal: &Refusal, method: &Method, uri: &Uri, request_id: &str) -> (Reply, String) {
        let verdict = refusal.verdict(self.api.options.error_dialect);
        let status = if is_of_signature(refusal) { StatusCode::UNAUTHORIZED } else { verdict.status };
        if status.is_server_error() {
            tracing::error!(request_id, code = verdict.code, method = method.as_str(), path = uri.path(), "admin request failed");
        }
        let mut reply = Reply { payload: Payload::Whole(error_json(verdict.code, &refusal.message())), ..Reply::empty(status) };
        reply.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        (reply, verdict.code.to_owned())
    }
}

/// The request as its signer meant it, its body still to be read, and who that is.
async fn verify(
    gate: &Gate,
    identities: &Identities,
    mut request: http::Request<s3s::Body>,
    secure: bool,
    max_bytes: usize,
) -> Result<(Admitted, Arc<Identity>), Refusal> {
    hide_secrets(request.headers_mut());
    if announced_length(request.headers())?.is_some_and(|length| length > max_bytes as u64) {
        return Err(Refusal::MessageTooLong);
    }
    require_signed_body(request.headers(), secure)?;
    let request = with_known_length(request, max_bytes).await?;
    // mc signs what is administration for a region without a name.
    let admitted = gate.admit(request, Region::Any).await?;
    let identity = identities.by_access_key(&admitted.access_key).ok_or(Error::AccessDenied)?;
    Ok((admitted, identity))
}

/// What became of a verified request.
enum TakenIn {
    /// Its body is here.
    Whole(http::Request<Bytes>),
    /// Its signer may not make it; its body was not read.
    Refused(http::Response<AdminBody>),
}

/// Places for large bodies.
pub(crate) fn large_bodies() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(MAX_LARGE_BODIES))
}

/// Reads the body of a request, if its signer may make it. Of the large ones not more at a time than there are places.
async fn take_in(
    handler: &dyn AdminHandler,
    admitted: Admitted,
    signer: &Signer,
    large_bodies: &Arc<Semaphore>,
) -> Result<TakenIn, Refusal> {
    let (method, path) = (&admitted.method, admitted.uri.path());
    if let Some(response) = handler.refusal(method, path, signer).await {
        return Ok(TakenIn::Refused(response));
    }
    let max_bytes = handler.max_body_bytes(method, path);
    let place = if max_bytes > MAX_SMALL_BYTES { Arc::clone(large_bodies).acquire_owned().await.ok() } else { None };
    Ok(TakenIn::Whole(decoded(admitted, max_bytes, place).await?))
}

/// What the client's signature, or the want of one, is to blame for.
fn is_of_signature(refusal: &Refusal) -> bool {
    match refusal {
        Refusal::AccessDenied(_) | Refusal::Engine(Error::AccessDenied) => true,
        Refusal::Protocol { status, .. } => *status == StatusCode::FORBIDDEN,
        _ => false,
    }
}

/// As every error of the admin API.
fn error_json(code: &str, message: &str) -> Bytes {
    Bytes::from(serde_json::json!({ "code": code, "message": message }).to_string())
}

fn announced_length(headers: &HeaderMap) -> Result<Option<u64>, Refusal> {
    let text = headers::filled(headers, header::CONTENT_LENGTH.as_str())?;
    let parsed = text.map(|text| text.parse().map_err(|_| Refusal::InvalidArgument("The header content-length is no length.".to_owned())));
    parsed.transpose()
}

/// Without TLS the signature is all that protects a body, so it must cover it. It never covers that of a presigned URL.
fn require_signed_body(headers: &HeaderMap, secure: bool) -> Result<(), Refusal> {
    if !headers.contains_key(header::AUTHORIZATION) {
        return Err(Refusal::AccessDenied("The request must be signed: AWS Signature Version 4 in the header Authorization.".to_owned()));
    }
    let unsigned = headers.get("x-amz-content-sha256").is_some_and(|value| value.as_bytes().windows(8).any(|part| part == b"UNSIGNED"));
    if unsigned && !secure {
        let message = "Without TLS the signature must cover the body: x-amz-content-sha256 must not be UNSIGNED-PAYLOAD.";
        return Err(Refusal::InvalidRequest(message.to_owned()));
    }
    Ok(())
}

/// Signatures of a whole body are verified over a known length, which clients that send chunks (mc, of an empty body) leave out.
async fn with_known_length(request: http::Request<s3s::Body>, max_bytes: usize) -> Result<http::Request<s3s::Body>, Refusal> {
    let is_framed = headers::value(request.headers(), "x-amz-content-sha256")?.is_some_and(|sha256| sha256.starts_with("STREAMING-"));
    if is_framed || request.headers().contains_key(header::CONTENT_LENGTH) || request.body().is_end_stream() {
        return Ok(request);
    }
    let (parts, body) = request.into_parts();
    let body = collect_wiped(body, max_bytes.min(MAX_CHUNKED_BYTES)).await?;
    Ok(http::Request::from_parts(parts, s3s::Body::from(shared(body, None))))
}

async fn decoded(admitted: Admitted, max_bytes: usize, place: Option<OwnedSemaphorePermit>) -> Result<http::Request<Bytes>, Refusal> {
    let Admitted { method, uri, headers, body, .. } = admitted;
    let mut request = http::Request::new(shared(collect_wiped(body, max_bytes).await?, place));
    (*request.method_mut(), *request.uri_mut(), *request.headers_mut()) = (method, uri, headers);
    Ok(request)
}

/// A body that gives its place free with the last of its `Bytes`.
struct Held {
    bytes: Zeroizing<Vec<u8>>,
    _place: Option<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

fn shared(bytes: Zeroizing<Vec<u8>>, place: Option<OwnedSemaphorePermit>) -> Bytes {
    if bytes.is_empty() { Bytes::new() } else { Bytes::from_owner(Held { bytes, _place: place }) }
}

#[cfg(test)]
#[path = "admin_tests.rs"]
mod tests;
