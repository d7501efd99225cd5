//! What the two ports serve.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use strongroom_s3::{ConnectionInfo, ResponseBody, S3Service};

use crate::health::{Health, json, text};
use crate::listen::{Arrival, Handler};
use crate::metrics::{Metrics, catalog, disk, events, lifecycle, limits, memory};
use crate::observed::Observed;

/// Source: Prometheus, "Exposition formats".
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Where Prometheus asks; all but the first are MinIO's, for scrape configurations that moved. Each answers everything.
const METRICS: [&str; 5] =
    ["/metrics", "/minio/v2/metrics/cluster", "/minio/v2/metrics/node", "/minio/v2/metrics/bucket", "/minio/v2/metrics/resource"];

/// The calls that stop the use of keys, on both ports and on the admin port alone. With every place taken, they get through.
const SEALS: [&str; 4] =
    ["/strongroom/admin/v1/kms/seal", "/strongroom/admin/v1/kms/keys/seal", "/rustfs/admin/v3/kms/seal", "/rustfs/admin/v3/kms/keys/seal"];
const ADMIN_SEALS: [&str; 2] = ["/kms/seal", "/kms/keys/seal"];

/// What SDKs take as a reason to try again. Source: Amazon S3 API, "Error responses".
const SLOW_DOWN: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
    <Error><Code>SlowDown</Code><Message>Every connection of the server is busy. Please try again.</Message></Error>\n";

/// S3, and health beside it.
pub(crate) struct S3Port {
    pub(crate) s3: S3Service,
    pub(crate) health: Arc<Health>,
    pub(crate) metrics: Arc<Metrics>,
}

impl Handler for S3Port {
    type Body = Either<Full<Bytes>, ResponseBody>;

    async fn handle(&self, request: Request<Incoming>, from: Arrival) -> Response<Self::Body> {
        let response = if let Some(response) = self.health.answer(&request).await {
            response.map(Either::Left)
        } else {
            let connection = ConnectionInfo { secure: from.secure, tls_version: from.tls_version, peer: from.peer };
            self.s3.call(request, connection).await.map(Either::Right)
        };
        self.metrics.answered(response.status());
        response
    }

    fn is_urgent(&self, request: &Request<Incoming>) -> bool {
        Health::is_asked(request) || calls(request, &SEALS)
    }

    fn busy(&self) -> Response<Self::Body> {
        self.metrics.answered(StatusCode::SERVICE_UNAVAILABLE);
        text(StatusCode::SERVICE_UNAVAILABLE, "application/xml", SLOW_DOWN).map(Either::Left)
    }
}

/// Administration, health and metrics.
pub(crate) struct AdminPort {
    pub(crate) s3: S3Service,
    pub(crate) observed: Observed,
    pub(crate) health: Arc<Health>,
    pub(crate) metrics: Arc<Metrics>,
}

impl Handler for AdminPort {
    type Body = Either<Full<Bytes>, ResponseBody>;

    async fn handle(&self, request: Request<Incoming>, from: Arrival) -> Response<Self::Body> {
        if let Some(response) = self.health.answer(&request).await {
            return response.map(Either::Left);
        }
        if METRICS.contains(&request.uri().path()) {
            let (integrity_events, kms) = (self.observed.integrity_events(), self.observed.kms().await);
            let mut metrics = self.metrics.render(integrity_events, self.health.is_ready().await, &kms);
            memory::render(&mut metrics, self.observed.memory());
            limits::render(&mut metrics, self.s3.limit_counts());
            lifecycle::render(&mut metrics, self.observed.lifecycle().await.as_ref());
            events::render(&mut metrics, &self.observed.events().await);
            catalog::render(&mut metrics, self.observed.catalog());
            let space = self.observed.space();
            disk::render(&mut metrics, space.condition(), space.refused(), &space.usage());
            return text(StatusCode::OK, METRICS_TYPE, &metrics).map(Either::Left);
        }
        let connection = ConnectionInfo { secure: from.secure, tls_version: from.tls_version, peer: from.peer };
        self.s3.call_admin(request, connection).await.map(Either::Right)
    }

    /// Metrics are among it, which tell that the port is full.
    fn is_urgent(&self, request: &Request<Incoming>) -> bool {
        let is_metrics = METRICS.contains(&request.uri().path());
        Health::is_asked(request) || is_metrics || calls(request, &ADMIN_SEALS) || calls(request, &SEALS)
    }

    fn busy(&self) -> Response<Self::Body> {
        let body = "{\"code\":\"SlowDown\",\"message\":\"every connection of the admin port is busy; try again\"}\n";
        json(StatusCode::SERVICE_UNAVAILABLE, body).map(Either::Left)
    }
}

fn calls(request: &Request<Incoming>, paths: &[&str]) -> bool {
    request.method() == Method::POST && paths.contains(&request.uri().path())
}
