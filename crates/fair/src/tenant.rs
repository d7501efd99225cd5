//! For whom work is done.

use std::{cell::RefCell, fmt, sync::Arc};

/// An identity among which what there is, is shared. Clones are cheap.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Tenant(Option<Arc<str>>);

thread_local! {
    static CURRENT: RefCell<Tenant> = const { RefCell::new(Tenant::SERVER) };
}

impl Tenant {
    /// The server itself: its sweeps, its jobs, and whatever no request asked for.
    pub const SERVER: Self = Self(None);

    /// The tenant of this name.
    pub fn named(name: &str) -> Self {
        Self(Some(Arc::from(name)))
    }

    /// For whom this thread works at present: within [`crate::InTurns`] its tenant, elsewhere the server.
    pub fn current() -> Self {
        CURRENT.with_borrow(Clone::clone)
    }

    /// Runs `work` for this tenant.
    pub fn scope<T>(&self, work: impl FnOnce() -> T) -> T {
        // Restored also when `work` panics.
        struct Restore(Tenant);
        impl Drop for Restore {
            fn drop(&mut self) {
                CURRENT.set(self.0.clone());
            }
        }
        let _restore = Restore(CURRENT.replace(self.clone()));
        work()
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
}
