//! Buckets, object versions, uploads, blob references, which key each object depends on, and who there is.
//!
//! [`Catalog`] is the seam; [`SqliteCatalog`] is the engine for one machine. The feature `testing` adds the contract that
//! every engine must keep, a catalog in memory that is simple enough to serve as the model of the others, and hooks around any engine's calls.
//!
//! ```no_run
//! # async fn example() -> Result<(), strongroom_catalog::CatalogError> {
//! use strongroom_catalog::{Catalog, SqliteCatalog, SqliteOptions};
//!
//! let catalog = SqliteCatalog::open("data/catalog.db".as_ref(), SqliteOptions::default())?;
//! catalog.set_setting("store-key", None, b"wrapped".to_vec()).await?;
//! catalog.close().await;
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]
// S3's operation names and headers are plain words in these texts.
#![allow(clippy::doc_markdown)]

mod catalog;
mod clock;
mod committed;
mod entity;
mod entry;
mod error;
mod event;
mod listing;
mod model;
mod sqlite;
#[cfg(feature = "testing")]
pub mod testing;

pub use catalog::{Catalog, MAX_DEAD_STEP, MAX_FINISHED_JOBS, MAX_UNREADABLE};
pub use clock::Clock;
pub use committed::CommittedRow;
pub use entity::{AccessKeyUse, Entity, EntityChange, EntityKind, EntityName, NewEntity};
pub use entry::VersionEntry;
pub use error::CatalogError;
pub use event::{DeadSelector, DeletionEvents, LANE_LEN, Lane, NewEvent, OutboxEvent, OutboxTarget, SettledEvent};
pub use model::{
    BlobUse, Bucket, BucketChange, BucketEncryption, BucketEncryptionAlgorithm, BucketUsage, Committed, DeadBlob, Deleted, Deletion,
    Envelope, Expect, FormerBucket, Job, KeyRef, KeyUsage, ListEntry, ListPage, ListQuery, Lock, LockedVersion, NewVersion, Part, Reseal,
    Retention, RetentionMode, Scope, ScopePage, ScopePlace, ScopeTally, ScopedUpload, ScopedVersion, UnixMillis, Upload, Version,
    VersionChange, VersionData, VersionSelector, Versioning,
};
pub use sqlite::{CatalogNumbers, LogNumbers, SqliteCatalog, SqliteOptions};
pub use strongroom_ids::{BlobId, BucketId, EventId, JobId, UploadId, VersionId};
