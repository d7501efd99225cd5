//! The key management service: every backend that is configured, the one in force, and what stands before each.
//!
//! ```text
//! engine ──▶ KeySource = Keyring ──┐
//! admin  ──▶ Keyring::kms ─────────┴─▶ gate ─▶ CachedKms ─▶ Overlay ─▶ Guard ─▶ backend
//!                                     sealed?                what the   limits,
//!                                     stopped?               backend    retries,
//!                                                            lacks      breaker
//! ```
//!
//! A [`Keyring`] is configured, started, sealed and switched to another backend while objects are read and written. An [`Overlay`] gives a
//! backend the whole life of a key, a [`Guard`] keeps a slow or absent one from holding callers up. The types of backends are in a
//! [`Registry`]; each outside one is a crate of its own behind a feature of its name. How it behaves for operators: `docs/kms/README.md`.
#![forbid(unsafe_code)]

mod guard;
mod overlay;
mod registry;
mod service;

pub use guard::{BackendMetrics, BreakerConfig, BreakerState, Guard, GuardConfig, Histogram, OperationMetrics, OutcomeCount, Recorder};
pub use overlay::{Ledger, Overlay};
pub use registry::{BackendType, REDACTED, Registry, end_libraries};
pub use service::{
    BackendStatus, CacheStatus, Change, ConfigSummary, Configuration, KeyUsage, Keyring, KeyringParts, Reaped, ServiceState, Status,
};
