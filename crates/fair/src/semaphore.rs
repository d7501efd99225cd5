//! A semaphore whose permits go to tenants in turn.

use std::{
    collections::HashMap,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker, ready},
};

use crate::{FairQueue, Tenant};

/// A fixed number of permits. Clones share them.
#[derive(Clone, Debug)]
pub struct FairSemaphore(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    permits: usize,
    free: usize,
    waiting: FairQueue<Arc<Waiter>>,
    /// How many tickets each tenant has; never 0.
    tickets: HashMap<Tenant, usize>,
    /// The sum of these.
    tasks: usize,
}

/// Locked after the semaphore's state or alone, never before it: the order of locks is always the same.
#[derive(Debug)]
struct Waiter(Mutex<Phase>);

#[derive(Debug)]
enum Phase {
    Waiting(Waker),
    Granted,
    /// Its ticket was dropped.
    Gone,
}

/// A permit. Dropping it gives it back.
#[derive(Debug)]
pub struct Permit(Arc<Shared>);

/// Lets one task of a tenant get one permit after the other. A ticket that is dropped while it waits gives up its place.
#[derive(Debug)]
pub struct Ticket {
    shared: Arc<Shared>,
    tenant: Tenant,
    waiter: Option<Arc<Waiter>>,
}

impl FairSemaphore {
    /// A semaphore with this many permits, at least one.
    pub fn new(permits: usize) -> Self {
        let permits = permits.max(1);
        let state = State { permits, free: permits, waiting: FairQueue::default(), tickets: HashMap::new(), tasks: 0 };
        Self(Arc::new(Shared { state: Mutex::new(state) }))
    }

    /// A ticket for a task of this tenant.
    pub fn ticket(&self, tenant: Tenant) -> Ticket {
        self.0.lock().count(&tenant);
        Ticket { shared: Arc::clone(&self.0), tenant, waiter: None }
    }

    /// Waits for a permit for the current tenant.
    pub fn acquire(&self) -> Acquire {
        Acquire(self.ticket(Tenant::current()))
    }

    /// How many permits are held, or granted and not fetched yet.
    pub fn held(&self) -> usize {
        let state = self.0.lock();
        state.permits - state.free
    }

    /// How many wait. Those that gave up still count until their turn would have come.
    pub fn waiting(&self) -> usize {
        self.0.lock().waiting.len()
    }
}

impl Ticket {
    /// A permit, once it is this tenant's turn. Until then it is pending, and the task is woken when the turn comes.
    pub fn poll_permit(&mut self, context: &Context<'_>) -> Poll<Permit> {
        self.poll(context, |_| false)
    }

    /// The same for permits that represent the threads that run the tasks. A running task would always find a permit free, however many
    /// tasks the runtime has queued around it. So when tenants compete, a task first lines up, and comes back after all others that can
    /// run now have lined up too.
    fn poll_turn(&mut self, context: &Context<'_>) -> Poll<Permit> {
        self.poll(context, State::is_contended)
    }

    /// Runs a step for this tenant, once it is its turn. The step may hand the task to another tenant ([`Tenant::take_over`]).
    pub(crate) fn poll_in_turn<T>(&mut self, context: &mut Context<'_>, step: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        let _permit = ready!(self.poll_turn(context));
        let (outcome, tenant) = self.tenant.scope_of_task(|| step(context));
        if tenant != self.tenant {
            self.pass_to(tenant);
        }
        outcome
    }

    fn pass_to(&mut self, tenant: Tenant) {
        let mut state = self.shared.lock();
        state.count(&tenant);
        state.forget(&self.tenant);
        drop(state);
        self.tenant = tenant;
    }

    fn poll(&mut self, context: &Context<'_>, must_line_up: impl FnOnce(&State) -> bool) -> Poll<Permit> {
        let mut state = self.shared.lock();
        let woken = if let Some(waiter) = &self.waiter {
            if let Phase::Waiting(waker) = &mut *waiter.lock() {
                waker.clone_from(context.waker());
            }
            state.grant_free(waiter)
        } else if state.free > 0 && state.waiting.is_empty() && !must_line_up(&state) {
            state.free -= 1;
            return Poll::Ready(Permit(Arc::clone(&self.shared)));
        } else {
            let waiter = Arc::new(Waiter(Mutex::new(Phase::Waiting(context.waker().clone()))));
            state.waiting.push(&self.tenant, Arc::clone(&waiter));
            self.waiter = Some(waiter);
            // A permit that is held will be passed on. If one is free, wake this task at once, so that it comes back for it.
            (state.free > 0).then(|| vec![context.waker().clone()])
        };
        drop(state);
        woken.into_iter().flatten().for_each(Waker::wake);
        if self.waiter.as_ref().is_some_and(|waiter| matches!(*waiter.lock(), Phase::Granted)) {
            self.waiter = None;
            return Poll::Ready(Permit(Arc::clone(&self.shared)));
        }
        Poll::Pending
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.forget(&self.tenant);
        let was = self.waiter.take().map(|waiter| std::mem::replace(&mut *waiter.lock(), Phase::Gone));
        drop(state);
        if let Some(Phase::Granted) = was {
            self.shared.release();
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.release();
    }
}

impl State {
    /// Whether there are more tasks than permits, from more than one tenant.
    fn is_contended(&self) -> bool {
        self.tickets.len() > 1 && self.tasks > self.permits
    }

    /// Grants a free permit to the next waiter, and returns that waiter and its waker. None if no permit is free or nobody waits.
    fn grant(&mut self) -> Option<(Arc<Waiter>, Waker)> {
        while self.free > 0 {
            let (_, waiter) = self.waiting.pop()?;
            let was = std::mem::replace(&mut *waiter.lock(), Phase::Granted);
            if let Phase::Waiting(waker) = was {
                self.free -= 1;
                return Some((waiter, waker));
            }
        }
        None
    }

    /// Grants all free permits. Returns the wakers of those granted, except the one that asks.
    fn grant_free(&mut self, asking: &Arc<Waiter>) -> Option<Vec<Waker>> {
        let mut others = None;
        while let Some((waiter, waker)) = self.grant() {
            if !Arc::ptr_eq(&waiter, asking) {
                others.get_or_insert_with(Vec::new).push(waker);
            }
        }
        others
    }

    fn count(&mut self, tenant: &Tenant) {
        self.tasks += 1;
        *self.tickets.entry(tenant.clone()).or_default() += 1;
    }

    fn forget(&mut self, tenant: &Tenant) {
        self.tasks -= 1;
        if let Some(tickets) = self.tickets.get_mut(tenant) {
            *tickets -= 1;
            if *tickets == 0 {
                self.tickets.remove(tenant);
            }
        }
    }
}

impl Shared {
    /// Passes a permit on to the next waiter, or keeps it if there is none.
    fn release(&self) {
        let mut state = self.lock();
        state.free += 1;
        let next = state.grant();
        drop(state);
        // Unlocked by now: a waker may do anything, even come back here.
        if let Some((_, waker)) = next {
            waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiter {
    fn lock(&self) -> MutexGuard<'_, Phase> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for a permit. See [`FairSemaphore::acquire`].
#[derive(Debug)]
#[must_use = "a future does nothing unless it is awaited"]
pub struct Acquire(Ticket);

impl Future for Acquire {
    type Output = Permit;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Permit> {
        self.0.poll_permit(context)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Wake;

    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[derive(Default)]
    struct Woken(Mutex<bool>);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        }
    }

    fn poll(ticket: &mut Ticket) -> Option<Permit> {
        match ticket.poll_permit(&Context::from_waker(Waker::noop())) {
            Poll::Ready(permit) => Some(permit),
            Poll::Pending => None,
        }
    }

    #[test]
    fn a_permit_goes_to_the_tenant_that_had_none_before_the_one_that_had() {
        let semaphore = FairSemaphore::new(1);
        let (busy, quiet) = (Tenant::named("busy"), Tenant::named("quiet"));
        let held = poll(&mut semaphore.ticket(busy.clone()));
        let mut crowd: Vec<_> = (0..100).map(|_| semaphore.ticket(busy.clone())).collect();
        assert!(crowd.iter_mut().all(|ticket| poll(ticket).is_none()));
        let mut one = semaphore.ticket(quiet);
        assert!(poll(&mut one).is_none());
        drop(held);
        let first = poll(&mut crowd[0]);
        assert!(first.is_some() && poll(&mut one).is_none());
        drop(first);
        assert!(poll(&mut crowd[1]).is_none() && poll(&mut one).is_some());
    }

    #[test]
    fn who_gives_up_passes_on_what_was_granted_and_wakes_the_next() {
        let semaphore = FairSemaphore::new(1);
        let held = poll(&mut semaphore.ticket(Tenant::SERVER));
        let (mut first, mut gone, mut last) =
            (semaphore.ticket(Tenant::SERVER), semaphore.ticket(Tenant::SERVER), semaphore.ticket(Tenant::SERVER));
        let woken = Arc::new(Woken::default());
        assert!(poll(&mut first).is_none() && poll(&mut gone).is_none());
        assert!(last.poll_permit(&Context::from_waker(&Arc::clone(&woken).into())).is_pending());
        drop(gone);
        drop(held);
        // `first` was granted the permit, and never fetches it.
        assert!(!*woken.0.lock().unwrap_or_else(PoisonError::into_inner));
        drop(first);
        assert!(*woken.0.lock().unwrap_or_else(PoisonError::into_inner));
        assert!(poll(&mut last).is_some());
        assert_eq!(semaphore.waiting(), 0);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Poll(usize),
        Release(usize),
        GiveUp(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        let number = 0_usize..8;
        prop_oneof![number.clone().prop_map(Step::Poll), number.clone().prop_map(Step::Release), number.prop_map(Step::GiveUp)]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn never_more_permits_than_there_are_and_none_is_lost(permits in 1_usize..4, steps in vec(step(), 0..200)) {
            let semaphore = FairSemaphore::new(permits);
            let tenants = [Tenant::SERVER, Tenant::named("a"), Tenant::named("b")];
            let mut tasks: Vec<(Ticket, Option<Permit>)> =
                (0..8).map(|number| (semaphore.ticket(tenants[number % 3].clone()), None)).collect();
            for step in steps {
                match step {
                    Step::Poll(at) if tasks[at].1.is_none() => tasks[at].1 = poll(&mut tasks[at].0),
                    Step::Poll(_) => {}
                    Step::Release(at) => tasks[at].1 = None,
                    Step::GiveUp(at) => tasks[at].0 = semaphore.ticket(tenants[at % 3].clone()),
                }
                prop_assert!(tasks.iter().filter(|(_, permit)| permit.is_some()).count() <= permits);
            }
            drop(tasks);
            let mut all: Vec<_> = (0..permits).map(|_| semaphore.ticket(Tenant::SERVER)).collect();
            let held: Vec<_> = all.iter_mut().map(poll).collect();
            prop_assert!(held.iter().all(Option::is_some));
        }
    }
}
