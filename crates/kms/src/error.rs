//! The situations a KMS call can end in.

/// Why a KMS call failed. No variant carries key material or credentials.
#[derive(Debug, thiserror::Error)]
pub enum KmsError {
    /// No key of that id was ever seen.
    #[error("the key {0} does not exist in the KMS")]
    KeyNotFound(String),
    /// The key was deleted for good; what it protected cannot be recovered.
    #[error("the key {0} was deleted; what it protects cannot be recovered")]
    KeyErased(String),
    /// The key is disabled.
    #[error("the key {0} is disabled")]
    KeyDisabled(String),
    /// The key waits for its deletion.
    #[error("the key {0} is pending deletion")]
    KeyPendingDeletion(String),
    /// The key is sealed.
    #[error("the key {0} is sealed")]
    KeySealed(String),
    /// The whole service is sealed.
    #[error("the KMS is sealed")]
    ServiceSealed,
    /// A key of that id exists already.
    #[error("the key {0} already exists")]
    KeyExists(String),
    /// The id, name or argument is not acceptable; the text says what is.
    #[error("{0}")]
    InvalidArgument(String),
    /// The key or the service is in a state that does not allow this; the text says which and what to do.
    #[error("{0}")]
    Conflict(String),
    /// No KMS is configured.
    #[error("no KMS is configured: POST /kms/configure, or set kms.backend")]
    NotConfigured,
    /// The ciphertext was altered, or belongs to another context or key.
    #[error("the KMS rejected the wrapped data key: it was altered or belongs to another context")]
    Rejected,
    /// The backend refuses the server's own credentials.
    #[error("the KMS backend denied access: {0}")]
    Denied(String),
    /// The backend is away, timed out, or its token expired. Worth trying again.
    #[error("the KMS backend is unavailable: {0}")]
    Unavailable(String),
    /// The backend cannot do this at all.
    #[error("the KMS backend {backend} cannot {operation}")]
    Unsupported {
        /// The backend's name.
        backend: String,
        /// What was asked, as a verb: `rotate`, `delete`, …
        operation: &'static str,
    },
    /// Files or state of the backend are damaged or unsafe; the text says which and what to do.
    #[error("{0}")]
    Broken(String),
}
