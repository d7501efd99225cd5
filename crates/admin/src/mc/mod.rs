//! The calls of the unmodified `mc`: `mc admin kms key …`, `mc batch …` with a key rotation job, and identities.
//!
//! Paths, parameters and shapes are those that its client library sends and reads.

mod identities;
mod jobs;
mod keyrotate;
mod kms;
mod metrics;
mod pattern;

pub(crate) use identities::endpoints as identities;
pub(crate) use jobs::{cancel, describe, list, start, status};
pub(crate) use kms::{create_key, key_status, list_keys, service_status};
pub(crate) use metrics::metrics;
