//! Re-keying: what is sealed under one KMS key is sealed under another, or under a later version of the same one. No data moves.
//!
//! A job walks through the uploads and then the versions in its scope, in the order of commit. Of each it opens the object keys with
//! the old key, seals them under a fresh EK of the new one, and replaces them in the catalog if nobody else did meanwhile: ETag,
//! Last-Modified, checksums, version ids, blobs and metadata stay as they are, a bucket-key object stays one, and DSSE-KMS keeps its two
//! layers. SSE-C objects are passed over: only their owner has the key.
//!
//! - **Concurrent requests.** Who loses the race for an object looks at it again; an overwritten or deleted one is passed over. Two
//!   jobs over the same objects do each other no harm, so scopes may overlap; [`MAX_RUNNING`] jobs run at a time.
//! - **Rights.** A job does what its starter could do by requests: each object needs the starter's `kms:Decrypt` on the key that it is
//!   under and `kms:GenerateDataKey` on the one that it gets, by the policies of that moment. A refusal is a failure of the object.
//! - **Crashes.** Progress is saved after a page of objects, at the most once a second. After a kill [`crate::Engine::resume_rekeys`] goes on
//!   from there: what was re-keyed after the last save is found to be there already, or out of the scope, and counts as skipped. Nothing
//!   counts twice.
//! - **Outages.** While the KMS is away, sealed or not configured, or the audit log or the catalog cannot be written, the job waits and
//!   tries again; after [`crate::EngineOptions::job_outage_limit`] it has failed, and can be started again.
//! - **What is left.** What is written under the old key after the job began may stay under it: a client may name it, and an upload
//!   of one object that was under way keeps the data key it began with. [`crate::Engine::key_usage`] tells, and the job can be run again.

mod control;
mod item;
mod job;
mod permit;
mod plan;
mod progress;
mod runner;
mod scope;
mod usage;

pub use crate::jobs::JobState;
pub use control::MAX_RUNNING;
pub use job::{MAX_FAILURES, RekeyFailure, RekeyJob, RekeyMode, RekeyRequest};
pub use permit::Starter;
pub use usage::{KeyBucketUsage, KeyUsageReport, KeyVersionUsage};

pub(crate) use item::{Item, Resealed};
pub(crate) use runner::Rekey;
