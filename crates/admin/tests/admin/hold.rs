//! Holds a call of the engine to its catalog, so that tests do something in between.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use strongroom_catalog::CatalogError;
use strongroom_catalog::testing::{After, Call, CatalogHook, Method};
use tokio::sync::Semaphore;

const LIMIT: std::time::Duration = std::time::Duration::from_secs(30);

/// Lets every call pass but one.
pub(crate) struct Hold {
    /// The method, and how many of its calls pass yet.
    armed: Mutex<Option<(Method, usize)>>,
    reached: Semaphore,
    go: Semaphore,
}

impl Default for Hold {
    fn default() -> Self {
        Self { armed: Mutex::default(), reached: Semaphore::new(0), go: Semaphore::new(0) }
    }
}

impl Hold {
    /// Holds the call of this method that comes after so many others.
    pub(crate) fn arm(&self, method: Method, after: usize) {
        *self.armed.lock().unwrap() = Some((method, after));
    }

    /// Waits until the call is held; fails if nobody makes it.
    pub(crate) async fn reached(&self) {
        let reached = tokio::time::timeout(LIMIT, self.reached.acquire()).await;
        reached.expect("nobody makes the call that is to be held").unwrap().forget();
    }

    /// Lets it go.
    pub(crate) fn release(&self) {
        self.go.add_permits(1);
    }

    fn holds(&self, call: Call) -> bool {
        let mut armed = self.armed.lock().unwrap();
        match &mut *armed {
            Some((method, 0)) if *method == call.method => {
                *armed = None;
                true
            }
            Some((method, left)) if *method == call.method => {
                *left -= 1;
                false
            }
            _ => false,
        }
    }
}

#[async_trait]
impl CatalogHook for Hold {
    async fn before(self: Arc<Self>, call: Call) -> Result<Option<After>, CatalogError> {
        if self.holds(call) {
            self.reached.add_permits(1);
            self.go.acquire().await.unwrap().forget();
        }
        Ok(None)
    }
}
