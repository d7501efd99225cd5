//! Whom work is done for.

use std::{cell::RefCell, fmt, sync::Arc};

/// An identity that gets a fair share. Clones are cheap.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Tenant(Option<Arc<str>>);

thread_local! {
    /// None outside of every scope.
    static CURRENT: RefCell<Option<Tenant>> = const { RefCell::new(None) };
}

impl Tenant {
    /// The server itself: its sweeps, its jobs, and everything else that no request asked for.
    pub const SERVER: Self = Self(None);

    /// The tenant of this name.
    pub fn named(name: &str) -> Self {
        Self(Some(Arc::from(name)))
    }

    /// The tenant that this thread works for now: within [`crate::InTurns`] its tenant, elsewhere the server.
    pub fn current() -> Self {
        CURRENT.with_borrow(Clone::clone).unwrap_or(Self::SERVER)
    }

    /// Hands the task that runs within [`crate::InTurns`] to this tenant from here on: a connection, once a request has said whose it is.
    /// Outside of a task this does nothing.
    pub fn take_over(self) {
        CURRENT.with_borrow_mut(|current| {
            if let Some(current) = current {
                *current = self;
            }
        });
    }

    /// Runs `work` for this tenant.
    pub fn scope<T>(&self, work: impl FnOnce() -> T) -> T {
        self.scope_of_task(work).0
    }

    /// Also returns for whom `work` worked in the end.
    pub(crate) fn scope_of_task<T>(&self, work: impl FnOnce() -> T) -> (T, Self) {
        // Restores the former tenant even if `work` panics.
        struct Restore(Option<Tenant>);
        impl Drop for Restore {
            fn drop(&mut self) {
                CURRENT.set(self.0.take());
            }
        }
        let _restore = Restore(CURRENT.replace(Some(self.clone())));
        (work(), Self::current())
    }
}

impl fmt::Debug for Tenant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0.as_deref().unwrap_or("(the server)"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_scope_ends_with_its_work_even_if_that_panics() {
        let (one, other) = (Tenant::named("one"), Tenant::named("other"));
        assert_eq!(Tenant::current(), Tenant::SERVER);
        one.scope(|| {
            assert_eq!(Tenant::current(), one);
            other.scope(|| assert_eq!(Tenant::current(), other));
            assert!(std::panic::catch_unwind(|| other.scope(|| panic!("expected by the test"))).is_err());
            assert_eq!(Tenant::current(), one);
        });
        assert_eq!(Tenant::current(), Tenant::SERVER);
    }

    #[test]
    fn nobody_takes_over_where_no_task_runs() {
        Tenant::named("one").take_over();
        assert_eq!(Tenant::current(), Tenant::SERVER);
    }
}
