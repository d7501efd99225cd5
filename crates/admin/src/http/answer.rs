//! What an endpoint answers.

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;
use zeroize::Zeroizing;

use super::ApiError;

/// A status and a body.
pub(crate) struct Answer {
    status: StatusCode,
    content_type: Option<&'static str>,
    body: Body,
}

impl Answer {
    /// JSON, in memory that is wiped once it is sent.
    pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Result<Self, ApiError> {
        Ok(Self { status, content_type: Some("application/json"), body: Body::from(json_bytes(value)?) })
    }

    /// Nothing but the status.
    pub(crate) fn empty(status: StatusCode) -> Self {
        Self { status, content_type: None, body: Body::empty() }
    }

    /// Text of another type than JSON.
    pub(crate) fn text(content_type: &'static str, text: String) -> Self {
        Self { status: StatusCode::OK, content_type: Some(content_type), body: Body::from(text) }
    }

    /// Bytes that were encrypted.
    pub(crate) fn bytes(content_type: &'static str, bytes: Vec<u8>) -> Self {
        Self { status: StatusCode::OK, content_type: Some(content_type), body: Body::from(bytes) }
    }

    /// JSON documents one after the other, as they come.
    pub(crate) fn stream(body: Body) -> Self {
        Self { status: StatusCode::OK, content_type: Some("application/json"), body }
    }

    pub(crate) fn into_response(self) -> Response<Body> {
        let mut response = Response::new(self.body);
        *response.status_mut() = self.status;
        if let Some(content_type) = self.content_type {
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

/// JSON in memory that is wiped.
pub(crate) fn json_bytes(value: &impl Serialize) -> Result<Bytes, ApiError> {
    // First to nowhere, so that the buffer never grows and leaves a copy behind.
    let mut counter = Counter(0);
    serde_json::to_writer(&mut counter, value).map_err(|error| ApiError::internal(&error))?;
    let mut json = Zeroizing::new(Vec::with_capacity(counter.0));
    serde_json::to_writer(&mut *json, value).map_err(|error| ApiError::internal(&error))?;
    Ok(Bytes::from_owner(json))
}

struct Counter(usize);

impl std::io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
