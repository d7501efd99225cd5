//! The situations a catalog call can end in.

use crate::{EntityName, Lock};

/// Why a catalog call failed. A failed call changed nothing; only of a write that failed with [`CatalogError::Full`] or
/// [`CatalogError::Database`] it is open whether it was committed, since the commit itself may have failed half-way.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// No bucket of that name or id.
    #[error("no such bucket")]
    NoSuchBucket,
    /// A bucket of that name exists.
    #[error("the bucket exists and belongs to {owner}")]
    BucketExists {
        /// Whose it is.
        owner: String,
    },
    /// The bucket holds versions or delete markers.
    #[error("the bucket is not empty")]
    BucketNotEmpty,
    /// No version of that id.
    #[error("no such version")]
    NoSuchVersion,
    /// No upload of that id: it was completed, aborted, or never begun.
    #[error("no such upload")]
    NoSuchUpload,
    /// A change would have an entity refer to one that is not there.
    #[error("no such entity: {0}")]
    NoSuchEntity(EntityName),
    /// An entity that is to be deleted is referred to by another one.
    #[error("the entity is in use by {0}")]
    EntityInUse(EntityName),
    /// What the caller expected of the present state does not hold.
    #[error("the present state is not the expected one")]
    PreconditionFailed,
    /// The version must not be deleted yet.
    #[error("the version is locked")]
    Locked(Lock),
    /// A part was replaced while the upload was being completed.
    #[error("part {0} was replaced meanwhile")]
    PartChanged(u16),
    /// An upload was re-keyed while it was being completed.
    #[error("the upload was re-keyed meanwhile")]
    UploadResealed,
    /// A blob to be shared has been let go of meanwhile.
    #[error("the blob to share is gone")]
    BlobGone,
    /// The disk or the quota is full.
    #[error("the catalog's disk is full: free space")]
    Full,
    /// The catalog was written by a newer version of Strongroom.
    #[error("the data directory has catalog version {found}, this program knows up to {known}: run a newer version of Strongroom")]
    TooNew {
        /// The version that the data has.
        found: u32,
        /// The newest one this program knows.
        known: u32,
    },
    /// The catalog is shutting down, or a lock was not to be had in time. Nothing changed; worth trying again.
    #[error("the catalog is too busy")]
    Busy,
    /// Stored rows do not make sense, or a new id is one that is taken.
    #[error("the catalog is damaged: {0}")]
    Damaged(String),
    /// Any other failure of the database.
    #[error("the catalog failed")]
    Database(#[source] Box<dyn std::error::Error + Send + Sync>),
}
