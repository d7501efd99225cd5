//! What `/metrics` tells of key management: each backend's calls, breaker and cache, re-keying, keys by age, the audit log.

use std::fmt::Write;

use strongroom_audit::Usage;
use strongroom_keyring::{BackendMetrics, BreakerState};

use super::exposition::{Family, label};

/// What is known of key management at one moment.
pub(crate) struct KmsNumbers {
    pub(crate) backends: Vec<BackendMetrics>,
    /// The state that `/kms/status` tells.
    pub(crate) state: &'static str,
    /// Keys that are due to be destroyed, and have to wait.
    pub(crate) postponed_deletions: u64,
    /// Erasure rules, by the name of their state.
    pub(crate) erasure_rules: Vec<(&'static str, u64)>,
    pub(crate) rekey: Vec<RekeyNumbers>,
    pub(crate) keys: Vec<KeyAge>,
    /// Whether the audit log takes records.
    pub(crate) is_audit_writable: bool,
    /// The number of the last durable record.
    pub(crate) audit_records: u64,
    /// How much room it takes.
    pub(crate) audit: Usage,
}

#[cfg(test)]
impl KmsNumbers {
    pub(super) fn none() -> Self {
        let (backends, rekey, keys) = (Vec::new(), Vec::new(), Vec::new());
        Self {
            backends,
            state: "NotConfigured",
            postponed_deletions: 0,
            erasure_rules: Vec::new(),
            rekey,
            keys,
            is_audit_writable: true,
            audit_records: 0,
            audit: Usage::default(),
        }
    }
}

/// A re-key job.
pub(crate) struct RekeyNumbers {
    pub(crate) job_id: String,
    pub(crate) done: u64,
    pub(crate) failed: u64,
    pub(crate) remaining: u64,
}

/// A key, and how old the version is that it wraps with.
pub(crate) struct KeyAge {
    pub(crate) backend: String,
    pub(crate) key_id: String,
    pub(crate) age_seconds: u64,
}

const STATES: [&str; 5] = ["NotConfigured", "Configured", "Running", "Sealed", "Error"];

/// Appends the families.
pub(super) fn render(text: &mut String, numbers: &KmsNumbers) {
    let mut family = Family::new(text, "strongroom_kms_state", "gauge", "1 for the state that the key service is in");
    for state in STATES {
        family.sample(&[("state", state)], u64::from(state == numbers.state));
    }
    render_calls(text, &numbers.backends);
    render_backends(text, &numbers.backends);
    let help = "Keys that are due to be destroyed, and wait because Object Lock may keep versions that depend on them";
    Family::new(text, "strongroom_kms_deletions_postponed", "gauge", help).sample(&[], numbers.postponed_deletions);
    let help = "Erasure rules by state; a blocked one is due, and something else depends on its key, or the key cannot be destroyed";
    let mut family = Family::new(text, "strongroom_kms_erasure_rules", "gauge", help);
    for (state, count) in &numbers.erasure_rules {
        family.sample(&[("state", state)], count);
    }
    render_rekey(text, &numbers.rekey);
    let mut family = Family::new(text, "strongroom_kms_key_version_age_seconds", "gauge", "Age of the version that a key wraps with");
    for key in &numbers.keys {
        family.sample(&[("backend", &key.backend), ("key_id", &key.key_id)], key.age_seconds);
    }
    Family::new(text, "strongroom_audit_writable", "gauge", "1 while the audit log takes records")
        .sample(&[], u64::from(numbers.is_audit_writable));
    Family::new(text, "strongroom_audit_records_total", "counter", "Number of the last durable record").sample(&[], numbers.audit_records);
    render_audit(text, &numbers.audit);
}

fn render_audit(text: &mut String, audit: &Usage) {
    let families = [
        ("strongroom_audit_bytes", "gauge", "Room that the audit log takes", audit.bytes),
        ("strongroom_audit_quota_bytes", "gauge", "At so many bytes uses of keys are refused; 0: none", audit.quota_bytes.unwrap_or(0)),
        ("strongroom_audit_files", "gauge", "Files of the audit log", audit.files),
        ("strongroom_audit_removed_records_total", "counter", "Records that retention removed", audit.removed_records),
        ("strongroom_audit_suspect_files", "gauge", "Damaged or foreign files that stop removal for size", audit.suspect_files),
    ];
    for (name, kind, help, value) in families {
        Family::new(text, name, kind, help).sample(&[], value);
    }
}

fn render_calls(text: &mut String, backends: &[BackendMetrics]) {
    let operations =
        || backends.iter().flat_map(|backend| backend.operations.iter().map(move |operation| (backend.backend.as_str(), operation)));
    let mut family = Family::new(text, "strongroom_kms_calls_total", "counter", "Calls of a KMS backend by how they ended");
    for (backend, operation) in operations() {
        for outcome in &operation.outcomes {
            family.sample(&[("backend", backend), ("operation", &operation.operation), ("outcome", &outcome.outcome)], outcome.count);
        }
    }
    let name = "strongroom_kms_call_duration_seconds";
    Family::new(text, name, "histogram", "How long calls of a KMS backend took, waiting and retries included");
    for (backend, operation) in operations() {
        let labels = format!("backend=\"{}\",operation=\"{}\"", label(backend), label(&operation.operation));
        for (bound, count) in &operation.latency.buckets {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name}_bucket{{{labels},le=\"{bound}\"}} {count}");
        }
        let (count, sum) = (operation.latency.count, operation.latency.sum_seconds);
        let _ =
            writeln!(text, "{name}_bucket{{{labels},le=\"+Inf\"}} {count}\n{name}_sum{{{labels}}} {sum}\n{name}_count{{{labels}}} {count}");
    }
}

fn render_backends(text: &mut String, backends: &[BackendMetrics]) {
    type Read = fn(&BackendMetrics) -> u64;
    let families: [(&str, &str, &str, Read); 8] = [
        ("strongroom_kms_in_force", "gauge", "1 for the backend that new data keys come from", |of| u64::from(of.in_force)),
        ("strongroom_kms_breaker_open", "gauge", "1 while calls are answered without asking the backend", |of| {
            u64::from(of.breaker == BreakerState::Open)
        }),
        ("strongroom_kms_breaker_opened_total", "counter", "How often that began", |of| of.breaker_opened),
        ("strongroom_kms_calls_in_flight", "gauge", "Calls under way, those that wait included", |of| of.in_flight),
        ("strongroom_kms_retries_total", "counter", "Attempts after the first", |of| of.retries),
        ("strongroom_kms_cache_entries", "gauge", "Data keys cached now", |of| of.cache_entries),
        ("strongroom_kms_cache_hits_total", "counter", "Unwraps answered by the cache", |of| of.cache_hits),
        ("strongroom_kms_cache_misses_total", "counter", "Unwraps that went to the backend", |of| of.cache_misses),
    ];
    for (name, kind, help, read) in families {
        let mut family = Family::new(text, name, kind, help);
        for backend in backends {
            family.sample(&[("backend", &backend.backend)], read(backend));
        }
    }
}

fn render_rekey(text: &mut String, jobs: &[RekeyNumbers]) {
    type Read = fn(&RekeyNumbers) -> u64;
    let families: [(&str, &str, Read); 3] = [
        ("strongroom_rekey_done", "Objects that a running re-key job has re-keyed", |job| job.done),
        ("strongroom_rekey_failed", "Objects that it could not re-key", |job| job.failed),
        ("strongroom_rekey_remaining", "Objects that it has not looked at yet", |job| job.remaining),
    ];
    for (name, help, read) in families {
        let mut family = Family::new(text, name, "gauge", help);
        for job in jobs {
            family.sample(&[("job_id", &job.job_id)], read(job));
        }
    }
}

#[cfg(test)]
mod tests {
    use strongroom_keyring::{Histogram, OperationMetrics, OutcomeCount};

    use super::*;

    #[test]
    fn calls_breaker_cache_keys_and_jobs_are_told_by_name() {
        let operation = OperationMetrics {
            operation: "unwrap_data_key".to_owned(),
            outcomes: vec![OutcomeCount { outcome: "ok".to_owned(), count: 2 }],
            latency: Histogram { buckets: vec![(0.01, 1), (0.1, 2)], count: 2, sum_seconds: 0.05 },
        };
        let backend = BackendMetrics {
            backend: "vault".to_owned(),
            backend_type: "vault".to_owned(),
            in_force: true,
            breaker: BreakerState::Open,
            breaker_opened: 3,
            in_flight: 1,
            retries: 4,
            operations: vec![operation],
            cache_entries: 5,
            cache_hits: 6,
            cache_misses: 7,
        };
        let numbers = KmsNumbers {
            backends: vec![backend],
            state: "Running",
            postponed_deletions: 15,
            erasure_rules: vec![("Scheduled", 16), ("Blocked", 17)],
            rekey: vec![RekeyNumbers { job_id: "j1".to_owned(), done: 1, failed: 2, remaining: 3 }],
            keys: vec![KeyAge { backend: "vault".to_owned(), key_id: "k".to_owned(), age_seconds: 86_400 }],
            is_audit_writable: true,
            audit_records: 9,
            audit: Usage { bytes: 10, files: 11, quota_bytes: Some(12), removed_records: 13, suspect_files: 14, ..Usage::default() },
        };
        let mut text = String::new();
        render(&mut text, &numbers);
        for line in [
            "strongroom_kms_state{state=\"Running\"} 1",
            "strongroom_kms_state{state=\"Sealed\"} 0",
            "strongroom_kms_calls_total{backend=\"vault\",operation=\"unwrap_data_key\",outcome=\"ok\"} 2",
            "strongroom_kms_call_duration_seconds_bucket{backend=\"vault\",operation=\"unwrap_data_key\",le=\"0.1\"} 2",
            "strongroom_kms_call_duration_seconds_bucket{backend=\"vault\",operation=\"unwrap_data_key\",le=\"+Inf\"} 2",
            "strongroom_kms_breaker_open{backend=\"vault\"} 1",
            "strongroom_kms_cache_hits_total{backend=\"vault\"} 6",
            "strongroom_kms_deletions_postponed 15",
            "strongroom_kms_erasure_rules{state=\"Blocked\"} 17",
            "strongroom_rekey_remaining{job_id=\"j1\"} 3",
            "strongroom_kms_key_version_age_seconds{backend=\"vault\",key_id=\"k\"} 86400",
            "strongroom_audit_writable 1",
            "strongroom_audit_records_total 9",
            "strongroom_audit_bytes 10",
            "strongroom_audit_files 11",
            "strongroom_audit_quota_bytes 12",
            "strongroom_audit_removed_records_total 13",
            "strongroom_audit_suspect_files 14",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing from\n{text}");
        }
    }
}
