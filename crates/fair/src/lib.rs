//! Shares what all tenants use, such as processors and the catalog's threads, fairly between them.
//!
//! A [`Tenant`] is an identity, however many connections it has, or an address of which nothing more is known. When demand exceeds supply,
//! tenants take turns, and each tenant's own requests are served first come, first served ([`FairQueue`]). [`FairSemaphore`] hands out
//! permits this way. [`InTurns`] runs a connection step by step, each step under a permit, so a connection holds none while it waits for
//! its client, the disk or a KMS.
//!
//! Code that queues requests in a place of its own asks [`Tenant::current`] for whom it works. A task that a request spawns keeps its
//! tenant with [`ForTenant`].
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
