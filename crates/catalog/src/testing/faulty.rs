//! A hook that fails on command.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::hooked::{After, Call, CatalogHook};
use crate::CatalogError;

/// When a write fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultMoment {
    /// Before it took effect.
    Before,
    /// After it took effect: the answer is lost. A write that was refused anyway keeps its own answer.
    After,
}

type MakeError = Box<dyn FnOnce() -> CatalogError + Send>;

/// Lets calls pass, but for the writes that it was told to fail.
#[derive(Default)]
pub struct Faults {
    plan: Mutex<Plan>,
}

#[derive(Default)]
struct Plan {
    writes: u64,
    faults: Vec<Fault>,
}

struct Fault {
    /// The count of writes at which it strikes.
    at: u64,
    moment: FaultMoment,
    error: MakeError,
}

impl Faults {
    /// Fails the `nth` write from now (1 is the next one) with `error`. May be called for several writes.
    pub fn fail_write(&self, nth: u64, moment: FaultMoment, error: impl FnOnce() -> CatalogError + Send + 'static) {
        let mut plan = self.plan();
        let at = plan.writes + nth;
        plan.faults.push(Fault { at, moment, error: Box::new(error) });
    }

    /// Writes so far, failed ones too.
    pub fn writes(&self) -> u64 {
        self.plan().writes
    }

    /// Faults that have not struck yet.
    pub fn pending(&self) -> usize {
        self.plan().faults.len()
    }

    /// Forgets the faults that have not struck.
    pub fn heal(&self) {
        self.plan().faults.clear();
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Plan {
    fn strike(&mut self) -> Option<Fault> {
        self.writes += 1;
        let found = self.faults.iter().position(|fault| fault.at == self.writes)?;
        Some(self.faults.swap_remove(found))
    }
}

#[async_trait]
impl CatalogHook for Faults {
    async fn before(self: Arc<Self>, call: Call) -> Result<Option<After>, CatalogError> {
        if !call.writes {
            return Ok(None);
        }
        match self.plan().strike() {
            None => Ok(None),
            Some(Fault { moment: FaultMoment::Before, error, .. }) => Err(error()),
            Some(Fault { moment: FaultMoment::After, error, .. }) => Ok(Some(Box::new(|_| Err(error())))),
        }
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faults").field("writes", &self.writes()).finish_non_exhaustive()
    }
}
