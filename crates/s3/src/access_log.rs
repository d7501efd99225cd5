//! One line for every request: what it was, how it ended, how long it took. No header, no query, no signature.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use http::{Method, StatusCode};
use strongroom_limits::Slot;

// Texts are recorded as strings, never with `%`: log writers escape them, so that no client breaks out of its line.

/// What the line says.
pub(crate) struct AccessRecord {
    pub(crate) request_id: String,
    pub(crate) method: Method,
    pub(crate) operation: &'static str,
    pub(crate) bucket: String,
    pub(crate) identity: String,
    pub(crate) status: StatusCode,
    /// S3's error code; empty where the request succeeded.
    pub(crate) code: String,
    pub(crate) received_bytes: Arc<AtomicU64>,
    pub(crate) begun: Instant,
    pub(crate) was_cut: bool,
    /// The request is under way until its line is written.
    pub(crate) slot: Option<Arc<Slot>>,
}

impl AccessRecord {
    /// Notes that the body broke off, with a line of its own that says why.
    pub(crate) fn cut(&mut self, reason: &dyn fmt::Display) {
        self.was_cut = true;
        let (request_id, bucket, reason) = (self.request_id.as_str(), self.bucket.as_str(), reason.to_string());
        tracing::error!(request_id, operation = self.operation, bucket, reason, "response cut");
    }

    pub(crate) fn write(self, sent_bytes: u64, complete: bool) {
        tracing::info!(
            request_id = self.request_id.as_str(),
            method = self.method.as_str(),
            operation = self.operation,
            bucket = self.bucket.as_str(),
            identity = self.identity.as_str(),
            status = self.status.as_u16(),
            code = self.code.as_str(),
            received_bytes = self.received_bytes.load(Ordering::Relaxed),
            sent_bytes,
            complete = complete && !self.was_cut,
            duration_us = u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX),
            "request"
        );
    }
}
