//! Stand-ins for a catalog in tests, and the contract that every engine must keep.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc)]

pub mod contract;
mod faulty;
mod hooked;
mod memory;
pub mod samples;

pub use faulty::{FaultMoment, Faults};
pub use hooked::{After, Call, CatalogHook, HookedCatalog, Method};
pub use memory::MemoryCatalog;
