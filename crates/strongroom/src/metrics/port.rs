//! What is counted of one port.

use std::sync::atomic::{AtomicU64, Ordering};

use super::exposition::Family;

/// Why a connection does not get a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shortage {
    /// The port's places are all busy.
    Full,
    /// The address's share of them is.
    Address,
}

/// For what a connection without a request under way was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Eviction {
    /// Another, as the port was full.
    Full,
    /// Another of its address, whose share was used up.
    Address,
    /// Its descriptor, as the process had no more.
    Descriptors,
}

/// What a connection was closed for waiting too long for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    Headers,
    KeepAlive,
}

/// Counters of one port.
#[derive(Default)]
pub(crate) struct PortMetrics {
    limit: AtomicU64,
    open: AtomicU64,
    accepted: AtomicU64,
    refused: [AtomicU64; 2],
    evicted: [AtomicU64; 3],
    timed_out: [AtomicU64; 2],
    handshakes_failed: AtomicU64,
    malformed: AtomicU64,
    accept_failed: AtomicU64,
}

/// What there was too little room for, up to now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shortages {
    pub(crate) refused: u64,
    pub(crate) evicted: u64,
    pub(crate) accept_failed: u64,
}

impl PortMetrics {
    pub(crate) fn set_limit(&self, max_connections: usize) {
        self.limit.store(max_connections as u64, Ordering::Relaxed);
    }

    pub(crate) fn opened(&self) {
        add(&self.accepted);
        add(&self.open);
    }

    pub(crate) fn closed(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn refused(&self, shortage: Shortage) {
        add(&self.refused[shortage as usize]);
    }

    pub(crate) fn evicted(&self, eviction: Eviction) {
        add(&self.evicted[eviction as usize]);
    }

    pub(crate) fn timed_out(&self, wait: Wait) {
        add(&self.timed_out[wait as usize]);
    }

    /// Counts a client that got no further than the handshake.
    pub(crate) fn handshake_failed(&self) {
        add(&self.handshakes_failed);
    }

    /// Counts a request whose head was refused.
    pub(crate) fn malformed(&self) {
        add(&self.malformed);
    }

    /// Counts an attempt to accept a connection that failed for want of a descriptor or of memory.
    pub(crate) fn accept_failed(&self) {
        add(&self.accept_failed);
    }

    pub(crate) fn shortages(&self) -> Shortages {
        let sum = |counters: &[AtomicU64]| counters.iter().map(get).sum();
        Shortages { refused: sum(&self.refused), evicted: sum(&self.evicted), accept_failed: get(&self.accept_failed) }
    }
}

fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// Appends the families of the ports, by name.
pub(super) fn render(text: &mut String, ports: &[(&str, &PortMetrics)]) {
    type Read = fn(&PortMetrics) -> &AtomicU64;
    type ReadMany = fn(&PortMetrics) -> &[AtomicU64];
    let plain: [(&str, &str, &str, Read); 6] = [
        ("strongroom_connections", "gauge", "Open connections", |port| &port.open),
        ("strongroom_connections_limit", "gauge", "Connections served at once", |port| &port.limit),
        ("strongroom_connections_total", "counter", "Connections accepted", |port| &port.accepted),
        ("strongroom_accept_failures_total", "counter", "Connections not accepted for want of descriptors or memory", |port| {
            &port.accept_failed
        }),
        ("strongroom_handshakes_failed_total", "counter", "Connections without a TLS handshake or a first byte", |port| {
            &port.handshakes_failed
        }),
        ("strongroom_malformed_requests_total", "counter", "Requests whose head was refused", |port| &port.malformed),
    ];
    for (name, kind, help, read) in plain {
        let mut family = Family::new(text, name, kind, help);
        for (port, metrics) in ports {
            family.sample(&[("port", port)], get(read(metrics)));
        }
    }
    let labelled: [(&str, &str, &str, &[&str], ReadMany); 3] = [
        (
            "strongroom_connections_refused_total",
            "reason",
            "Connections answered 503 or closed for want of room",
            &["full", "address"],
            |port| &port.refused,
        ),
        (
            "strongroom_connections_evicted_total",
            "reason",
            "Connections without a request under way that were closed to make room",
            &["full", "address", "descriptors"],
            |port| &port.evicted,
        ),
        (
            "strongroom_connections_timed_out_total",
            "wait",
            "Connections closed because the next headers took too long",
            &["headers", "keep_alive"],
            |port| &port.timed_out,
        ),
    ];
    for (name, label, help, values, read) in labelled {
        let mut family = Family::new(text, name, "counter", help);
        for (port, metrics) in ports {
            for (value, counter) in values.iter().zip(read(metrics)) {
                family.sample(&[("port", port), (label, value)], get(counter));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_port_tells_what_it_refused_evicted_and_waited_for_by_reason() {
        let (s3, admin) = (PortMetrics::default(), PortMetrics::default());
        s3.set_limit(1024);
        s3.opened();
        s3.opened();
        s3.closed();
        s3.refused(Shortage::Address);
        admin.evicted(Eviction::Descriptors);
        admin.timed_out(Wait::KeepAlive);
        admin.malformed();
        let mut text = String::new();
        render(&mut text, &[("s3", &s3), ("admin", &admin)]);
        for line in [
            "strongroom_connections{port=\"s3\"} 1",
            "strongroom_connections{port=\"admin\"} 0",
            "strongroom_connections_limit{port=\"s3\"} 1024",
            "strongroom_connections_total{port=\"s3\"} 2",
            "strongroom_connections_refused_total{port=\"s3\",reason=\"full\"} 0",
            "strongroom_connections_refused_total{port=\"s3\",reason=\"address\"} 1",
            "strongroom_connections_evicted_total{port=\"admin\",reason=\"descriptors\"} 1",
            "strongroom_connections_timed_out_total{port=\"admin\",wait=\"keep_alive\"} 1",
            "strongroom_malformed_requests_total{port=\"admin\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing from\n{text}");
        }
    }
}
