//! What `/metrics` tells, in Prometheus' text format.

mod exposition;
mod kms;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use http::StatusCode;

use exposition::Family;
pub(crate) use kms::{KeyAge, KmsNumbers, RekeyNumbers};

/// Counters of this process.
pub(crate) struct Metrics {
    started: SystemTime,
    /// Answers by the first digit of their status, from 1 to 5.
    answers: [AtomicU64; 5],
    connections_accepted: AtomicU64,
    connections_open: AtomicU64,
    handshakes_failed: AtomicU64,
}

impl Default for Metrics {
    fn default() -> Self {
        let zero = AtomicU64::default;
        Self {
            started: SystemTime::now(),
            answers: Default::default(),
            connections_accepted: zero(),
            connections_open: zero(),
            handshakes_failed: zero(),
        }
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

    /// Counts a connection of the S3 port until the guard is dropped.
    pub(crate) fn connected(&self) -> OpenConnection<'_> {
        self.connections_accepted.fetch_add(1, Ordering::Relaxed);
        self.connections_open.fetch_add(1, Ordering::Relaxed);
        OpenConnection(self)
    }

    /// Counts a client that got no further than the handshake.
    pub(crate) fn handshake_failed(&self) {
        self.handshakes_failed.fetch_add(1, Ordering::Relaxed);
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
            ("strongroom_connections", "gauge", "Open connections of the S3 port", read(&self.connections_open)),
            ("strongroom_connections_total", "counter", "Connections that the S3 port accepted", read(&self.connections_accepted)),
            (
                "strongroom_handshakes_failed_total",
                "counter",
                "Connections without a TLS handshake or a first byte",
                read(&self.handshakes_failed),
            ),
            ("strongroom_integrity_events_total", "counter", "Stored bytes found altered, cut or exchanged", integrity_events),
            ("strongroom_ready", "gauge", "1 while requests are served, else 0", u64::from(is_ready)),
        ];
        for (name, kind, help, value) in plain {
            Family::new(&mut text, name, kind, help).sample(&[], value);
        }
        kms::render(&mut text, kms);
        text
    }
}

/// Ends the counting of one connection when dropped.
pub(crate) struct OpenConnection<'a>(&'a Metrics);

impl Drop for OpenConnection<'_> {
    fn drop(&mut self) {
        self.0.connections_open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_by_class_and_connections_while_they_are_open() {
        let metrics = Metrics::default();
        metrics.answered(StatusCode::OK);
        metrics.answered(StatusCode::NO_CONTENT);
        metrics.answered(StatusCode::NOT_FOUND);
        let open = metrics.connected();
        drop(metrics.connected());
        let text = metrics.render(3, true, &KmsNumbers::none());
        for line in [
            "strongroom_http_requests_total{code=\"2xx\"} 2",
            "strongroom_http_requests_total{code=\"4xx\"} 1",
            "strongroom_http_requests_total{code=\"5xx\"} 0",
            "strongroom_connections 1",
            "strongroom_connections_total 2",
            "strongroom_integrity_events_total 3",
            "strongroom_ready 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        drop(open);
        assert!(metrics.render(0, false, &KmsNumbers::none()).contains("\nstrongroom_connections 0\n"));
    }
}
