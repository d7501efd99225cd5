//! The seam between those who act and the log.

use async_trait::async_trait;

use crate::Event;

/// Why an event could not be recorded.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The log cannot be written; the text says why. What was to be recorded must not go on unrecorded.
    #[error("the audit log cannot be used: {0}")]
    Unwritable(String),
}

/// Takes events in order.
#[async_trait]
pub trait AuditSink: Send + Sync + 'static {
    /// Takes an event that is durable soon: for uses of keys, before the operation answers.
    async fn record(&self, event: Event) -> Result<(), AuditError>;

    /// Takes an event that is durable when the call returns: for changes of locks. As [`Self::record`], it takes nothing of what the log
    /// reserves for acts of administration.
    async fn record_durably(&self, event: Event) -> Result<(), AuditError>;
}
