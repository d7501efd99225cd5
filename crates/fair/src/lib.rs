//! Fair shares between tenants of what all of them use: the processors, the threads of the disk, those of the catalog.
//!
//! A [`Tenant`] is an identity, whatever the number of its connections. Where there is less than is asked for, tenants are served in
//! turn, and each of them first come, first served ([`FairQueue`]). [`FairSemaphore`] hands out permits so, and [`InTurns`] runs a
//! connection step by step, each step under a permit, so that it holds none while it waits for its client, the disk or a KMS.
//!
//! What serves requests in places of its own asks [`Tenant::current`] for whom it works; a task that a request spawns is told by
//! [`ForTenant`].
#![forbid(unsafe_code)]

mod for_tenant;
mod queue;
mod semaphore;
mod tenant;
mod turns;

pub use for_tenant::ForTenant;
pub use queue::FairQueue;
pub use semaphore::{Acquire, FairSemaphore, Permit, Ticket};
pub use tenant::Tenant;
pub use turns::InTurns;
