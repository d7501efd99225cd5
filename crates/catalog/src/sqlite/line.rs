//! The way from requests to the threads of the catalog: bounded, and in turns.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use strongroom_fair::{FairQueue, FairSemaphore, Permit, Tenant};

use crate::CatalogError;

/// What waits for a thread. Tenants take turns, for places in the line as for what the threads take from it.
pub(super) struct Line<T> {
    state: Mutex<State<T>>,
    ready: Condvar,
    places: FairSemaphore,
}

struct State<T> {
    items: FairQueue<Placed<T>>,
    is_closed: bool,
}

/// What waits, in its place. Who takes it decides how long it keeps that.
pub(super) struct Placed<T> {
    pub(super) item: T,
    place: Option<Permit>,
}

impl<T> Line<T> {
    pub(super) fn new(places: usize) -> Self {
        let state = State { items: FairQueue::default(), is_closed: false };
        Self { state: Mutex::new(state), ready: Condvar::new(), places: FairSemaphore::new(places) }
    }

    /// Lines up for the present tenant. Waits for a place. [`CatalogError::Busy`] once the line is closed.
    pub(super) async fn push(&self, item: T) -> Result<(), CatalogError> {
        let place = Some(self.places.acquire().await);
        self.put(&Tenant::current(), Placed { item, place })
    }

    /// Lines up without a place: for the few threads of the catalog itself, which wait for the answer.
    pub(super) fn push_now(&self, item: T) -> Result<(), CatalogError> {
        self.put(&Tenant::current(), Placed { item, place: None })
    }

    /// Lines up again, in the place that it has: also after the line was closed.
    pub(super) fn push_again(&self, tenant: &Tenant, placed: Placed<T>) {
        self.lock().items.push(tenant, placed);
        self.ready.notify_one();
    }

    /// Waits for what is next. None when the line is closed and empty.
    pub(super) fn pop(&self) -> Option<(Tenant, Placed<T>)> {
        let mut state = self.lock();
        loop {
            if let Some(next) = state.items.pop() {
                return Some(next);
            }
            if state.is_closed {
                return None;
            }
            state = self.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// What is next, if anything waits.
    pub(super) fn try_pop(&self) -> Option<(Tenant, Placed<T>)> {
        self.lock().items.pop()
    }

    /// Takes no more; what is in the line is still served. Who waits for a place is told so when there is one.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.ready.notify_all();
    }

    /// How many places are taken.
    pub(super) fn taken(&self) -> usize {
        self.places.held()
    }

    /// How many wait for a place.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.places.waiting()
    }

    fn put(&self, tenant: &Tenant, placed: Placed<T>) -> Result<(), CatalogError> {
        let mut state = self.lock();
        if state.is_closed {
            return Err(CatalogError::Busy);
        }
        state.items.push(tenant, placed);
        drop(state);
        self.ready.notify_one();
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Placed<T> {
    /// Gives the place to the next.
    pub(super) fn leave(self) -> T {
        drop(self.place);
        self.item
    }
}
