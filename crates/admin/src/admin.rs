//! What administration is made of, and how it begins.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{RawPathParams, Request};
use axum::routing::{MethodFilter, on};
use bytes::Bytes;
use http::{Method, Response, StatusCode};
use strongroom_access::{Conditions, Identity};
use strongroom_audit::{AuditLog, AuditSink, Event};
use strongroom_engine::Engine;
use strongroom_iam::{Iam, KmsKeys};
use strongroom_keyring::Keyring;
use strongroom_kms::StateStore;
use strongroom_notify::Deliveries;
use time::OffsetDateTime;
use tokio::task::JoinHandle;
use tower::ServiceExt;

use crate::http::{ApiError, Endpoint, MAX_BODY_BYTES, Received};
use crate::{erasure, iam, openapi, rotation, routes};

/// How often scheduled deletions and rotations are looked at.
const TICK: Duration = Duration::from_mins(1);

/// What [`Admin`] works with.
pub struct AdminParts {
    /// Key management.
    pub keyring: Arc<Keyring>,
    /// The objects that depend on keys.
    pub engine: Arc<Engine>,
    /// Takes a record of every change, and signs erasure receipts.
    pub audit: Arc<AuditLog>,
    /// Keeps rotation schedules, deletions under way and erasure receipts.
    pub state: Arc<dyn StateStore>,
    /// The deliveries of events.
    pub deliveries: Arc<Deliveries>,
    /// Users, groups, roles and policies.
    pub iam: Arc<Iam>,
    /// The keys that belong to accounts.
    pub owned: Arc<KmsKeys>,
}

/// Who signed a request, and how it came.
#[derive(Clone)]
pub struct Signer {
    /// Whose signature was verified.
    pub identity: Arc<Identity>,
    /// The request's id, as the client sees it.
    pub request_id: String,
    /// Where it came from, as far as the server knows.
    pub peer: Option<IpAddr>,
    /// Whether it came over TLS.
    pub secure: bool,
    /// What policies' conditions see of it.
    pub conditions: Conditions,
    /// Whether key material may travel: over TLS, or where plain HTTP was chosen for development.
    pub secrets_allowed: bool,
}

/// The admin API.
pub struct Admin {
    inner: Arc<Inner>,
    router: Router,
    endpoints: Arc<[Arc<Mounted>]>,
}

pub(crate) struct Inner {
    pub(crate) parts: AdminParts,
    pub(crate) started: OffsetDateTime,
    /// Backends and ids of the keys that were due and not destroyed the last time, for they may be needed: each is told once.
    pub(crate) postponed: Mutex<BTreeSet<(String, String)>>,
    /// Held while the end of a key is told, so that it is told once.
    pub(crate) concluding: tokio::sync::Mutex<()>,
    /// The erasure rules that are being carried out.
    pub(crate) at_work: erasure::rules::AtWork,
}

/// An endpoint under a path.
struct Mounted {
    path: String,
    endpoint: Arc<Endpoint>,
}

impl Mounted {
    /// Whether the path is one of these, whatever stands for its parameters.
    fn means(&self, path: &str) -> bool {
        let fits = |(pattern, given): (&str, &str)| pattern == given || (pattern.starts_with('{') && !given.is_empty());
        self.path.split('/').count() == path.split('/').count() && self.path.split('/').zip(path.split('/')).all(fits)
    }
}

impl Admin {
    /// The API over these parts.
    pub fn new(parts: AdminParts) -> Arc<Self> {
        let inner = Arc::new(Inner {
            parts,
            started: OffsetDateTime::now_utc(),
            postponed: Mutex::default(),
            concluding: tokio::sync::Mutex::default(),
            at_work: erasure::rules::AtWork::default(),
        });
        let endpoints: Arc<[_]> = mounted().into_iter().map(Arc::new).collect();
        let router = endpoints.iter().fold(Router::new(), |router, mounted| router.route(&mounted.path, serve(&inner, mounted)));
        let router = router.fallback(not_found).method_not_allowed_fallback(method_not_allowed);
        Arc::new(Self { inner, router, endpoints })
    }

    /// Answers a verified request. A change that is under way is finished and recorded though the client goes away.
    pub async fn call(&self, request: http::Request<Bytes>, signer: Signer) -> Response<Body> {
        let mut request = request.map(Body::from);
        request.extensions_mut().insert(signer);
        let answering = tokio::spawn(self.router.clone().oneshot(request));
        match answering.await {
            Ok(Ok(response)) => response,
            Ok(Err(never)) => match never {},
            Err(error) => ApiError::internal(&error).into_response(),
        }
    }

    /// The largest body of such a request in bytes.
    pub fn max_body_bytes(&self, method: &Method, path: &str) -> usize {
        self.endpoint(method, path).map_or(MAX_BODY_BYTES, |endpoint| endpoint.max_body_bytes)
    }

    /// The answer to a signer who lacks a right to the service as a whole that such a request needs: before its body is read. Rights to keys
    /// are checked by [`Self::call`], when it is known which key is meant.
    pub async fn refusal(&self, method: &Method, path: &str, signer: Signer) -> Option<Response<Body>> {
        self.endpoint(method, path)?.refusal(Arc::clone(&self.inner), signer).await
    }

    /// Whether users of every account may make such a request, each for the own one.
    pub fn is_of_every_account(&self, method: &Method, path: &str) -> bool {
        let is_meant = |mounted: &Mounted| mounted.endpoint.method == *method && mounted.means(path);
        let found =
            self.endpoint(method, path).or_else(|| self.endpoints.iter().find(|mounted| is_meant(mounted)).map(|found| &*found.endpoint));
        found.is_some_and(|endpoint| endpoint.of_every_account)
    }

    /// The endpoint of exactly this path; none for those with parameters in it, whose bodies are small.
    fn endpoint(&self, method: &Method, path: &str) -> Option<&Endpoint> {
        let found = self.endpoints.iter().find(|mounted| mounted.endpoint.method == *method && mounted.path == path);
        found.map(|mounted| &*mounted.endpoint)
    }

    /// The OpenAPI document, as `GET /kms/openapi.json` answers it.
    pub fn openapi() -> String {
        openapi::document()
    }

    /// Destroys keys whose window has passed, writes receipts, rotates keys that are due, and carries out erasure rules: every minute until it
    /// is aborted. A rule that has much to count holds up nothing else.
    pub fn start_background(self: &Arc<Self>) -> JoinHandle<()> {
        let inner = Arc::clone(&self.inner);
        tokio::spawn(async move {
            let keys = each(TICK, || inner.look_at_keys(OffsetDateTime::now_utc()));
            let rules = each(rule_tick(inner.parts.engine.rule_day()), || erasure::rules::carry_out(&inner));
            tokio::join!(keys, rules);
        })
    }

    /// One round of [`Self::start_background`], as if it were `now`. Erasure rules have a clock of their own, the engine's.
    pub async fn tick(&self, now: OffsetDateTime) {
        self.inner.look_at_keys(now).await;
        erasure::rules::carry_out(&self.inner).await;
    }

    /// How many erasure rules there are in each state, by the states' names.
    pub async fn erasure_rules(&self) -> Vec<(&'static str, u64)> {
        erasure::rules::numbers(&self.inner).await
    }
}

impl Inner {
    async fn look_at_keys(&self, now: OffsetDateTime) {
        erasure::reap(self, now).await;
        rotation::run_due(self, now).await;
    }

    pub(crate) async fn record_durably(&self, event: &Event) -> Result<(), ApiError> {
        self.parts.audit.append(event).await.map(drop).map_err(ApiError::from)
    }

    /// For what anybody can cause: it may not use what the log reserves for acts of administration.
    pub(crate) async fn record_within_quota(&self, event: &Event) -> Result<(), ApiError> {
        self.parts.audit.append_within_quota(event).await.map(drop).map_err(ApiError::from)
    }

    pub(crate) async fn record(&self, event: Event) -> Result<(), ApiError> {
        self.parts.audit.record(event).await.map_err(ApiError::from)
    }
}

/// Does this again and again.
async fn each<F: Future<Output = ()>>(interval: Duration, work: impl Fn() -> F) {
    let mut ticks = tokio::time::interval(interval);
    loop {
        ticks.tick().await;
        work().await;
    }
}

/// Tests, whose days are seconds, wait for no more than a quarter of a day of theirs.
fn rule_tick(day: Duration) -> Duration {
    TICK.min(day / 4).max(Duration::from_millis(10))
}

/// Every endpoint under every prefix.
fn mounted() -> Vec<Mounted> {
    let under =
        |prefix: &str, endpoint: &Arc<Endpoint>| Mounted { path: format!("{prefix}{}", endpoint.path), endpoint: Arc::clone(endpoint) };
    let kms: Vec<_> = routes::kms().into_iter().map(Arc::new).collect();
    let prefixed = routes::KMS_PREFIXES.iter().flat_map(|prefix| kms.iter().map(|endpoint| under(prefix, endpoint)));
    let identities: Vec<_> = iam::endpoints().into_iter().map(Arc::new).collect();
    let identities = iam::PREFIXES.iter().flat_map(|prefix| identities.iter().map(|endpoint| under(prefix, endpoint)));
    let mc = routes::mc().into_iter().map(Arc::new);
    prefixed.chain(identities).chain(mc.map(|endpoint| under("", &endpoint))).collect()
}

fn serve(inner: &Arc<Inner>, mounted: &Mounted) -> axum::routing::MethodRouter {
    let (inner, endpoint) = (Arc::clone(inner), Arc::clone(&mounted.endpoint));
    // Only methods that the table has come here.
    let filter = MethodFilter::try_from(endpoint.method.clone()).unwrap_or(MethodFilter::TRACE);
    on(filter, move |path: RawPathParams, request: Request| async move { run(endpoint, inner, &path, request).await })
}

async fn run(endpoint: Arc<Endpoint>, inner: Arc<Inner>, path: &RawPathParams, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let Some(signer) = parts.extensions.get::<Signer>().cloned() else {
        return ApiError::new(StatusCode::UNAUTHORIZED, "AccessDenied", "The request must be signed.").into_response();
    };
    let path = path.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let received = async {
        let query = serde_urlencoded::from_str(parts.uri.query().unwrap_or_default());
        let query = query.map_err(|_| ApiError::invalid("The query does not parse."))?;
        let body = axum::body::to_bytes(body, endpoint.max_body_bytes).await;
        let body = body.map_err(|_| ApiError::invalid(format!("The body is larger than {} bytes.", endpoint.max_body_bytes)))?;
        Ok(Received { path, query, body })
    };
    match received.await {
        Ok(received) => endpoint.run(inner, signer, received).await,
        Err(error) => ApiError::into_response(error),
    }
}

async fn not_found() -> Response<Body> {
    ApiError::not_found("There is no such call. GET /kms/openapi.json lists those there are.").into_response()
}

async fn method_not_allowed() -> Response<Body> {
    let message = "The call does not take this method. GET /kms/openapi.json lists those there are.";
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message).into_response()
}
