//! Work on a task of its own, for whoever asked for it.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use crate::Tenant;

pin_project_lite::pin_project! {
    /// A future that works for one tenant, whatever task or thread it runs on. It takes no turns itself.
    #[derive(Debug)]
    #[must_use = "a future does nothing unless it is awaited"]
    pub struct ForTenant<F> {
        tenant: Tenant,
        #[pin]
        future: F,
    }
}

impl<F> ForTenant<F> {
    /// Works for the tenant that this thread works for now, so that a task which a request spawns takes that request's turns.
    pub fn current(future: F) -> Self {
        Self { tenant: Tenant::current(), future }
    }
}

impl<F: Future> Future for ForTenant<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        this.tenant.scope(|| this.future.poll(context))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tokio::task::yield_now;

    use super::*;

    #[tokio::test]
    async fn a_task_works_for_whoever_spawned_it() {
        let one = Tenant::named("one");
        let spawned = one.scope(|| {
            tokio::spawn(ForTenant::current(async {
                yield_now().await;
                Tenant::current()
            }))
        });
        assert_eq!(spawned.await.unwrap(), one);
        assert_eq!(Tenant::current(), Tenant::SERVER);
    }
}
