//! Whether the server lives, and whether it serves.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use strongroom_audit::AuditLog;
use strongroom_catalog::Catalog;
use strongroom_engine::space::{Condition, Space};
use tokio::sync::watch;

use crate::listen::Phase;

/// A catalog that takes longer to answer one small read serves nobody.
const CATALOG_TIMEOUT: Duration = Duration::from_secs(2);

/// Where a load balancer asks whether the server lives; the second is MinIO's, for deployments that moved.
const LIVE: [&str; 2] = ["/health/live", "/minio/health/live"];
/// Where it asks whether the server serves. Source: MinIO, "Healthcheck API".
const READY: [&str; 4] = ["/health/ready", "/minio/health/ready", "/minio/health/cluster", "/minio/health/cluster/read"];

/// Answers [`LIVE`] and [`READY`].
pub(crate) struct Health {
    catalog: Arc<dyn Catalog>,
    audit: Arc<AuditLog>,
    space: Arc<Space>,
    phase: watch::Receiver<Phase>,
}

impl Health {
    pub(crate) fn new(catalog: Arc<dyn Catalog>, audit: Arc<AuditLog>, space: Arc<Space>, phase: watch::Receiver<Phase>) -> Self {
        Self { catalog, audit, space, phase }
    }

    /// Whether the request is for one of the paths. A signed request is one for an object of a bucket named `health` or `minio`.
    pub(crate) fn is_asked<B>(request: &Request<B>) -> bool {
        let path = request.uri().path();
        (LIVE.contains(&path) || READY.contains(&path)) && !is_signed(request)
    }

    /// The answer, if the request is for one of the paths.
    pub(crate) async fn answer<B>(&self, request: &Request<B>) -> Option<Response<Full<Bytes>>> {
        if !Self::is_asked(request) {
            return None;
        }
        let path = request.uri().path();
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Some(method_not_allowed());
        }
        let is_readiness = READY.contains(&path);
        let is_well = !is_readiness || self.is_ready().await;
        let (status, word) = if is_well { (StatusCode::OK, "ok") } else { (StatusCode::SERVICE_UNAVAILABLE, "unavailable") };
        let details = [self.audit_detail().unwrap_or_default(), &self.storage_detail().unwrap_or_default()].concat();
        let details = if is_readiness { details } else { String::new() };
        Some(json(status, &format!("{{\"status\":\"{word}\"{details}}}\n")))
    }

    /// A member that tells of an audit log that refuses or is about to. What needs no key is served all the same.
    fn audit_detail(&self) -> Option<&'static str> {
        match self.audit.health() {
            Err(_) => Some(",\"audit\":\"unwritable\""),
            Ok(()) => self.audit.usage().is_near_quota().then_some(",\"audit\":\"near quota\""),
        }
    }

    /// A member for a disk on which nothing new is stored. Reads go on, and on a full disk deletes do too.
    fn storage_detail(&self) -> Option<String> {
        let condition = self.space.condition();
        (condition != Condition::Open).then(|| format!(",\"storage\":\"{}\"", condition.name()))
    }

    /// Whether requests are served: the server is not stopping, its catalog answers, and there is something left that it can do. Without
    /// room and without an audit log it can neither take uploads nor serve reads of encrypted objects.
    pub(crate) async fn is_ready(&self) -> bool {
        let read = tokio::time::timeout(CATALOG_TIMEOUT, self.catalog.setting("readiness"));
        let is_dead_end = self.space.condition() != Condition::Open && self.audit.health().is_err();
        *self.phase.borrow() == Phase::Serving && matches!(read.await, Ok(Ok(_))) && !is_dead_end
    }
}

fn is_signed<B>(request: &Request<B>) -> bool {
    let query = request.uri().query().unwrap_or_default();
    request.headers().contains_key(AUTHORIZATION) || query.contains("X-Amz-Signature=")
}

/// A small answer that no cache keeps.
pub(crate) fn json(status: StatusCode, body: &str) -> Response<Full<Bytes>> {
    text(status, "application/json", body)
}

/// As [`json`], of any type.
pub(crate) fn text(status: StatusCode, content_type: &'static str, body: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body.to_owned()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn method_not_allowed() -> Response<Full<Bytes>> {
    let mut response = json(StatusCode::METHOD_NOT_ALLOWED, "{\"code\":\"MethodNotAllowed\",\"message\":\"use GET or HEAD\"}\n");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}
