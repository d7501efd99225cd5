//! Stand-ins for a blob store in tests, and the suite that every store must pass.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc)]

pub mod conformance;
mod counting;
mod faulty;
mod memory;
#[cfg(test)]
mod tests;

pub use counting::{CountingBlobs, Counts};
pub use faulty::{Fault, FaultyBlobs, Operation};
pub use memory::MemoryBlobs;
