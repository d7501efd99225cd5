//! Audit sinks for tests. Not part of a release.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;

use crate::{AuditError, AuditSink, Event};

/// Forgets every event.
#[derive(Debug, Default)]
pub struct NullAudit;

#[async_trait]
impl AuditSink for NullAudit {
    async fn record(&self, _: Event) -> Result<(), AuditError> {
        Ok(())
    }

    async fn record_durably(&self, _: Event) -> Result<(), AuditError> {
        Ok(())
    }
}

/// Keeps every event in memory, and fails on demand.
#[derive(Debug, Default)]
pub struct MemoryAudit {
    events: Mutex<Vec<Event>>,
    fails: AtomicBool,
}

impl MemoryAudit {
    /// The events since the last call, in order.
    pub fn take(&self) -> Vec<Event> {
        std::mem::take(&mut self.events.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on every event is refused, or taken again.
    pub fn fail(&self, fails: bool) {
        self.fails.store(fails, Ordering::SeqCst);
    }
}

#[async_trait]
impl AuditSink for MemoryAudit {
    async fn record(&self, event: Event) -> Result<(), AuditError> {
        if self.fails.load(Ordering::SeqCst) {
            return Err(AuditError::Unwritable("a test made it fail".to_owned()));
        }
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push(event);
        Ok(())
    }

    async fn record_durably(&self, event: Event) -> Result<(), AuditError> {
        self.record(event).await
    }
}
