//! What the two ports serve.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use strongroom_engine::Engine;
use strongroom_s3::{ConnectionInfo, ResponseBody, S3Service};

use crate::health::{Health, json, text};
use crate::listen::{Arrival, Handler};
use crate::metrics::Metrics;

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

/// Health and metrics.
pub(crate) struct AdminPort {
    pub(crate) engine: Arc<Engine>,
    pub(crate) health: Arc<Health>,
    pub(crate) metrics: Arc<Metrics>,
}

impl Handler for AdminPort {
    type Body = Full<Bytes>;

    async fn handle(&self, request: Request<Incoming>, _from: Arrival) -> Response<Self::Body> {
        if let Some(response) = self.health.answer(&request).await {
            return response;
        }
        match request.uri().path() {
            "/metrics" => {
                let metrics = self.metrics.render(self.engine.integrity_events(), self.health.is_ready().await);
                text(StatusCode::OK, METRICS_TYPE, &metrics)
            }
            _ => {
                json(StatusCode::NOT_FOUND, "{\"code\":\"NotFound\",\"message\":\"there are /health/live, /health/ready and /metrics\"}\n")
            }
        }
    }
}
