//! Administration: requests verified as those of S3 are, and handed on with who signed them.

use std::{
    net::IpAddr,
    pin::Pin,
    sync::{Arc, atomic::AtomicU64},
    time::Instant,
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header, request::Parts};
use hyper::body::{Body, Incoming};
use strongroom_access::{Conditions, Identity, MAIN_ACCOUNT};
use strongroom_engine::{Error, budget::Budget};
use strongroom_fair::Tenant;
use strongroom_limits::Slot;

use crate::{
    access_log::AccessRecord,
    body::{RawBody, collect},
    gate::{Door, Gate},
    limits::Bounds,
    names,
    options::ConnectionInfo,
    refusal::Refusal,
    reply::{Payload, Reply, ResponseBody, ResponseCut},
    service::{Inner, S3Service, circumstances, hide_secrets, new_request_id, report, source_ip},
};

/// Answers what is under the reserved first path segments, and all of the admin port.
#[async_trait]
pub trait AdminHandler: Send + Sync + 'static {
    /// The largest body of such a request in bytes; larger ones are refused.
    fn max_body_bytes(&self, method: &Method, path: &str) -> usize;

    /// Whether users of every account may make such a request, each for the own one; else those of the main account alone.
    fn is_of_every_account(&self, method: &Method, path: &str) -> bool;

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
    /// Where it came from, as far as the server knows.
    pub peer: Option<IpAddr>,
    /// Whether it came over TLS, as far as the server knows or a trusted proxy says.
    pub secure: bool,
    /// What policies' conditions see of it.
    pub conditions: Conditions,
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
        let method = request.method().clone();
        let received_bytes = Arc::new(AtomicU64::new(0));
        let request = self.inner.receive(request, &received_bytes);
        let address = source_ip(request.headers(), connection, &self.inner.api.options);
        let mut known = Known::default();
        let outcome = self.answer_admin(request, connection, &request_id, &mut known).await;
        let (reply, code) = match outcome {
            Ok(answered) => answered,
            Err(refusal) => {
                self.inner.bounds.hold_back(&self.inner.api.engine, &refusal, address, &request_id).await;
                self.inner.refuse_admin(&refusal, &request_id)
            }
        };
        let record = AccessRecord {
            request_id,
            method,
            operation: "Admin",
            bucket: String::new(),
            identity: known.identity,
            status: reply.status,
            code,
            received_bytes,
            begun,
            was_cut: false,
            slot: known.slot,
        };
        self.inner.respond(reply, record)
    }

    async fn answer_admin(
        &self,
        request: http::Request<RawBody>,
        connection: ConnectionInfo,
        request_id: &str,
        known: &mut Known,
    ) -> Result<(Reply, String), Refusal> {
        let handler = self.admin.as_ref().ok_or_else(|| Refusal::NotImplemented("Administration".to_owned()))?;
        let (secure, secrets_allowed) = self.inner.security(request.headers(), connection);
        let (parts, body) = request.into_parts();
        let peer = source_ip(&parts.headers, connection, &self.inner.api.options);
        let conditions = circumstances(&parts.headers, secure, peer, connection);
        let bounds = &self.inner.bounds;
        let visitor = Visitor { parts, body, bounds, peer, secure, secrets_allowed, conditions, request_id };
        let response = admit(&self.inner.gate, &**handler, self.inner.api.engine.budget(), visitor, known).await?;
        let (parts, body) = response.into_parts();
        Ok((Reply { status: parts.status, headers: parts.headers, payload: Payload::Admin(body) }, String::new()))
    }
}

impl Inner {
    fn refuse_admin(&self, refusal: &Refusal, request_id: &str) -> (Reply, String) {
        let verdict = refusal.verdict(self.api.options.error_dialect);
        let status = if is_of_signature(refusal) { StatusCode::UNAUTHORIZED } else { verdict.status };
        if status.is_server_error() {
            report(refusal, request_id, verdict.code);
        }
        let mut reply = Reply { payload: Payload::Whole(error_json(verdict.code, &refusal.message())), ..Reply::empty(status) };
        reply.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        (reply, verdict.code.to_owned())
    }
}

/// A signature that does not cover the body can be used again, with another one.
const UNSIGNED_BODY: &str = "Administration takes signatures that cover the body: x-amz-content-sha256 must be the SHA-256 of the body.";

/// What is known of a request by the time that it is answered.
#[derive(Default)]
struct Known {
    identity: String,
    slot: Option<Arc<Slot>>,
}

/// A request for administration of which nothing is known yet.
struct Visitor<'a> {
    parts: Parts,
    body: RawBody,
    bounds: &'a Bounds,
    peer: Option<IpAddr>,
    secure: bool,
    secrets_allowed: bool,
    conditions: Conditions,
    request_id: &'a str,
}

/// Asks who the visitor is, whether that one may make such a request at all, and only then reads its body.
async fn admit(
    gate: &Gate,
    handler: &dyn AdminHandler,
    budget: &Budget,
    visitor: Visitor<'_>,
    known: &mut Known,
) -> Result<http::Response<AdminBody>, Refusal> {
    let Visitor { mut parts, body, bounds, peer, secure, secrets_allowed, conditions, request_id } = visitor;
    hide_secrets(&mut parts.headers);
    let admitted = gate.admit(&parts, Door::Admin).await?;
    known.identity.clone_from(&admitted.identity.name);
    Tenant::named(&known.identity).take_over();
    // Keys, jobs and the audit log are not of one account alone. Those who run the store have no limits here: they must be able to seal it.
    if admitted.identity.account != MAIN_ACCOUNT {
        if !handler.is_of_every_account(&parts.method, parts.uri.path()) {
            return Err(Refusal::OtherAccount);
        }
        known.slot = bounds.begin(&admitted.identity)?;
    }
    if !admitted.covers_body {
        return Err(Refusal::InvalidRequest(UNSIGNED_BODY.to_owned()));
    }
    let (identity, request_id) = (Arc::clone(&admitted.identity), request_id.to_owned());
    let signer = Signer { identity, request_id, peer, secure, conditions, secrets_allowed };
    if let Some(response) = handler.refusal(&parts.method, parts.uri.path(), &signer).await {
        return Ok(response);
    }
    let max_bytes = handler.max_body_bytes(&parts.method, parts.uri.path());
    let body = collect(admitted.decode(&parts.headers, body)?, max_bytes, budget).await?;
    Ok(handler.handle(http::Request::from_parts(parts, body), signer).await)
}

/// What the client's signature, or the want of one, is to blame for.
fn is_of_signature(refusal: &Refusal) -> bool {
    match refusal {
        Refusal::AccessDenied(_) | Refusal::InvalidAccessKeyId | Refusal::Engine(Error::AccessDenied) => true,
        Refusal::Signature(error) => error.status() == StatusCode::FORBIDDEN,
        _ => false,
    }
}

/// As every error of the admin API.
fn error_json(code: &str, message: &str) -> Bytes {
    Bytes::from(serde_json::json!({ "code": code, "message": message }).to_string())
}

#[cfg(test)]
#[path = "admin_tests.rs"]
mod tests;
