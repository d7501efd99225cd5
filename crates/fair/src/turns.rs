//! Running a request step by step.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use crate::{FairSemaphore, Tenant, Ticket};

pin_project_lite::pin_project! {
    /// Runs a future for a tenant. Each step, from a wake-up to the next wait, takes a permit; while the future waits, it holds none.
    /// A future that serves one tenant after the other says so with [`Tenant::take_over`].
    #[derive(Debug)]
    #[must_use = "a future does nothing unless it is awaited"]
    pub struct InTurns<F> {
        ticket: Ticket,
        #[pin]
        future: F,
    }
}

impl<F> InTurns<F> {
    /// `permits` are shared with everything that this future takes turns with.
    pub fn new(permits: &FairSemaphore, tenant: Tenant, future: F) -> Self {
        Self { ticket: permits.ticket(tenant), future }
    }
}

impl<F: Future> Future for InTurns<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        this.ticket.poll_in_turn(context, |context| this.future.poll(context))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::{
        future::poll_fn,
        sync::{
            Arc, Mutex,
            atomic::{AtomicUsize, Ordering},
        },
    };

    use tokio::{
        sync::Semaphore,
        task::{JoinSet, yield_now},
    };

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn no_more_steps_are_under_way_than_there_are_permits_and_all_end() {
        let (permits, running) = (FairSemaphore::new(2), Arc::new(AtomicUsize::new(0)));
        let mut tasks = JoinSet::new();
        for number in 0..64 {
            let running = Arc::clone(&running);
            tasks.spawn(InTurns::new(&permits, Tenant::named(&(number % 5).to_string()), async move {
                for _ in 0..50 {
                    assert!(running.fetch_add(1, Ordering::SeqCst) < 2);
                    assert_eq!(Tenant::current(), Tenant::named(&(number % 5).to_string()));
                    std::thread::yield_now();
                    running.fetch_sub(1, Ordering::SeqCst);
                    yield_now().await;
                }
            }));
        }
        assert_eq!(tasks.join_all().await.len(), 64);
        assert_eq!(permits.waiting(), 0);
    }

    #[tokio::test]
    async fn who_waits_for_something_else_keeps_nobody_waiting() {
        let (permits, gate) = (FairSemaphore::new(1), Arc::new(Semaphore::new(0)));
        let (waiting, mut tasks) = (Arc::new(AtomicUsize::new(0)), JoinSet::new());
        for _ in 0..100 {
            let (gate, waiting) = (Arc::clone(&gate), Arc::clone(&waiting));
            tasks.spawn(InTurns::new(&permits, Tenant::named("hung"), async move {
                waiting.fetch_add(1, Ordering::SeqCst);
                drop(gate.acquire().await.unwrap());
            }));
        }
        while waiting.load(Ordering::SeqCst) < 100 {
            yield_now().await;
        }
        InTurns::new(&permits, Tenant::named("other"), yield_now()).await;
        gate.add_permits(1);
        assert_eq!(tasks.join_all().await.len(), 100);
    }

    #[tokio::test]
    async fn a_task_whose_tenant_took_over_is_served_in_the_turns_of_that_one() {
        let (permits, steps) = (FairSemaphore::new(1), Arc::new(Mutex::new(Vec::new())));
        let mut tasks = JoinSet::new();
        for number in 0..100 {
            let (permits, steps) = (permits.clone(), Arc::clone(&steps));
            let tenant = if number == 99 { "one" } else { "crowd" };
            tasks.spawn(InTurns::new(&permits, Tenant::named("newcomers"), async move {
                Tenant::named(tenant).take_over();
                assert_eq!(Tenant::current(), Tenant::named(tenant));
                for _ in 0..3 {
                    wait().await;
                    assert_eq!(Tenant::current(), Tenant::named(tenant));
                    steps.lock().unwrap().push(tenant);
                }
            }));
        }
        tasks.join_all().await;
        let steps = steps.lock().unwrap();
        let last = steps.iter().rposition(|tenant| *tenant == "one").unwrap();
        // It is the last of the newcomers, by whose end some others have had their steps.
        let first = steps.iter().position(|tenant| *tenant == "one").unwrap();
        assert!(last - first < 10, "{first} to {last}");
        assert_eq!(Tenant::current(), Tenant::SERVER);
    }

    /// Ready at the next step, which is due at once: `yield_now` would be woken only after the runtime has looked for other events.
    async fn wait() {
        let mut is_due = false;
        poll_fn(|context| {
            if std::mem::replace(&mut is_due, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    #[tokio::test]
    async fn a_tenant_with_one_request_is_not_behind_the_hundred_of_another() {
        let (permits, steps) = (FairSemaphore::new(1), Arc::new(Mutex::new(Vec::new())));
        let mut tasks = JoinSet::new();
        let mut spawn = |tenant: &'static str, count: usize| {
            for _ in 0..count {
                let steps = Arc::clone(&steps);
                tasks.spawn(InTurns::new(&permits, Tenant::named(tenant), async move {
                    for _ in 0..3 {
                        steps.lock().unwrap().push(tenant);
                        wait().await;
                    }
                }));
            }
        };
        spawn("crowd", 100);
        spawn("one", 1);
        tasks.join_all().await;
        let steps = steps.lock().unwrap();
        let last = steps.iter().rposition(|tenant| *tenant == "one").unwrap();
        // Without turns the last of its three steps would come after three hundred others.
        assert!(last < 10, "{last}");
    }
}
