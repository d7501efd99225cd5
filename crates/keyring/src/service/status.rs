//! How the service is, for people and programs. No secret is in it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::BreakerState;

/// The answer of `GET /kms/status`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// What the service does.
    pub status: ServiceState,
    /// The type of the backend in force.
    pub backend_type: Option<String>,
    /// Whether the backend in force answers; none while nothing runs.
    pub healthy: Option<bool>,
    /// Why it is not healthy, or in [`ServiceState::Error`].
    pub error: Option<String>,
    /// What is configured; none if nothing is.
    pub config_summary: Option<ConfigSummary>,
    /// Every live backend, the one in force first.
    pub backends: Vec<BackendStatus>,
}

/// What the service does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServiceState {
    /// There is no configuration.
    NotConfigured,
    /// Configured, and not started or stopped.
    Configured,
    /// Started. Whether the backend answers is another matter.
    Running,
    /// Refuses every use and every change of a key until it is unsealed.
    Sealed,
    /// Started, and the backend in force cannot be set up as configured.
    Error,
}

/// What is configured, without secrets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConfigSummary {
    /// The key that is used where none is named.
    pub default_key_id: Option<String>,
    /// The longest a call may take, retries included.
    pub timeout_seconds: u64,
    /// How often a call that found the backend away is tried again.
    pub retry_attempts: u32,
    /// Whether unwrapped data keys are cached.
    pub enable_cache: bool,
    /// The cache's bounds, and what all caches together hold and did.
    pub cache_summary: CacheStatus,
    /// The configuration of the backend in force, secrets redacted.
    pub backend_summary: Value,
}

/// Bounds and doings of the caches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheStatus {
    /// The most data keys cached for one backend.
    pub max_keys: usize,
    /// How long an unwrapped data key is served.
    pub ttl_seconds: u64,
    /// Data keys held now.
    pub entries: usize,
    /// Unwraps answered without the backend, since the last start or change of the configuration.
    pub hits: u64,
    /// Unwraps that went to the backend, since then.
    pub misses: u64,
}

/// How one backend is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackendStatus {
    /// Its instance name.
    pub name: String,
    /// Its type.
    pub backend_type: String,
    /// Whether new data keys come from it.
    pub in_force: bool,
    /// Whether it answers; none while the service does not run.
    pub healthy: Option<bool>,
    /// Why it does not.
    pub error: Option<String>,
    /// Its circuit breaker; none if the backend cannot be set up.
    pub breaker: Option<BreakerState>,
}
