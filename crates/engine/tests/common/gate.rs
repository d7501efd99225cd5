//! A gate at which commits wait.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use async_trait::async_trait;
use strongroom_catalog::{
    CatalogError,
    testing::{After, Call, CatalogHook, Method},
};
use tokio::sync::watch;

/// Open at first.
pub struct Gate {
    closed: watch::Sender<bool>,
    waiting: AtomicUsize,
    passed: AtomicUsize,
}

impl Default for Gate {
    fn default() -> Self {
        Self { closed: watch::Sender::new(false), waiting: AtomicUsize::new(0), passed: AtomicUsize::new(0) }
    }
}

impl Gate {
    pub fn close(&self) {
        self.passed.store(0, SeqCst);
        self.closed.send_replace(true);
    }

    pub fn open(&self) {
        self.closed.send_replace(false);
    }

    /// Until a commit stands before the gate.
    pub async fn wait_for_writer(&self) {
        self.wait_for_writers(1).await;
    }

    /// Until so many commits stand before the gate.
    pub async fn wait_for_writers(&self, count: usize) {
        while self.waiting.load(SeqCst) < count {
            tokio::task::yield_now().await;
        }
    }

    /// Until a commit that stood there has happened.
    pub async fn wait_for_commit(&self) {
        while self.passed.load(SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
    }
}

/// The commits of objects, parts and keys.
const COMMITS: [Method; 6] =
    [Method::PutVersion, Method::ChangeVersion, Method::PutPart, Method::SharePart, Method::CompleteUpload, Method::ResealUpload];

#[async_trait]
impl CatalogHook for Gate {
    async fn before(self: Arc<Self>, call: Call) -> Result<Option<After>, CatalogError> {
        if !COMMITS.contains(&call.method) {
            return Ok(None);
        }
        self.waiting.fetch_add(1, SeqCst);
        let _ = self.closed.subscribe().wait_for(|closed| !closed).await;
        self.waiting.fetch_sub(1, SeqCst);
        Ok(Some(Box::new(move |_| {
            self.passed.fetch_add(1, SeqCst);
            Ok(())
        })))
    }
}
