//! What the two ports serve.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use strongroom_s3::{ConnectionInfo, ResponseBody, S3Service};

use crate::health::{Health, text};
use crate::listen::{Arrival, Handler};
use crate::metrics::Metrics;
use crate::observed::Observed;

/// Source: Prometheus, "Exposition formats".
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

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
            let connection = ConnectionInfo { secure: from.secure, peer: from.peer };
            self.s3.call(request, connection).await.map(Either::Right)
        };
        self.metrics.answered(response.status());
        response
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
        if request.uri().path() == "/metrics" {
            let (integrity_events, kms) = (self.observed.integrity_events(), self.observed.kms().await);
            let metrics = self.metrics.render(integrity_events, self.health.is_ready().await, &kms);
            return text(StatusCode::OK, METRICS_TYPE, &metrics).map(Either::Left);
        }
        let connection = ConnectionInfo { secure: from.secure, peer: from.peer };
        self.s3.call_admin(request, connection).await.map(Either::Right)
    }
}
