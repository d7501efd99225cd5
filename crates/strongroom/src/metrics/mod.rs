//! What `/metrics` tells, in Prometheus' text format.

pub(crate) mod catalog;
pub(crate) mod disk;
pub(crate) mod events;
mod exposition;
mod kms;
pub(crate) mod lifecycle;
pub(crate) mod limits;
pub(crate) mod memory;
mod port;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use http::StatusCode;

use exposition::Family;
pub(crate) use kms::{KeyAge, KmsNumbers, RekeyNumbers};
pub(crate) use port::{Eviction, PortMetrics, Shortage, Shortages, Wait};

/// Counters of this process.
pub(crate) struct Metrics {
    started: SystemTime,
    /// Answers by the first digit of their status, from 1 to 5.
    answers: [AtomicU64; 5],
    pub(crate) s3_port: Arc<PortMetrics>,
    pub(crate) admin_port: Arc<PortMetrics>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self { started: SystemTime::now(), answers: Default::default(), s3_port: Arc::default(), admin_port: Arc::default() }
    }
}

impl Metrics {
    /// Counts an answer of the S3 port.
    pub(crate) fn answered(&self, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100);
        if let Some(counter) = self.answers.get(class.wrapping_sub(1)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The text, with what the engine and key management count and whether the server is ready.
    pub(crate) fn render(&self, integrity_events: u64, is_ready: bool, kms: &KmsNumbers) -> String {
        let started = self.started.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut text = String::with_capacity(8192);
        let mut family = Family::new(&mut text, "strongroom_http_requests_total", "counter", "Answers of the S3 port by class of status");
        for (class, counter) in ["1xx", "2xx", "3xx", "4xx", "5xx"].iter().zip(&self.answers) {
            family.sample(&[("code", class)], read(counter));
        }
        let plain = [
            ("process_start_time_seconds", "gauge", "When the process started, seconds since 1970", started),
            ("strongroom_integrity_events_total", "counter", "Stored bytes found altered, cut or exchanged", integrity_events),
            ("strongroom_ready", "gauge", "1 while requests are served, else 0", u64::from(is_ready)),
        ];
        for (name, kind, help, value) in plain {
            Family::new(&mut text, name, kind, help).sample(&[], value);
        }
        port::render(&mut text, &[("s3", &self.s3_port), ("admin", &self.admin_port)]);
        kms::render(&mut text, kms);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_by_class() {
        let metrics = Metrics::default();
        metrics.answered(StatusCode::OK);
        metrics.answered(StatusCode::NO_CONTENT);
        metrics.answered(StatusCode::NOT_FOUND);
        let text = metrics.render(3, true, &KmsNumbers::none());
        for line in [
            "strongroom_http_requests_total{code=\"2xx\"} 2",
            "strongroom_http_requests_total{code=\"4xx\"} 1",
            "strongroom_http_requests_total{code=\"5xx\"} 0",
            "strongroom_connections{port=\"s3\"} 0",
            "strongroom_connections{port=\"admin\"} 0",
            "strongroom_integrity_events_total 3",
            "strongroom_ready 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert!(metrics.render(0, false, &KmsNumbers::none()).contains("\nstrongroom_ready 0\n"));
    }
}
