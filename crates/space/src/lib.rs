//! The room on a disk: how much there is, and how some of it is kept for when there is none.
//!
//! Space is kept in two ways. [`hold`] gives a file blocks beyond its end: no other process can take them, and a write into them
//! does not fail on a full disk. [`Spares`] are small files that are removed when something else needs blocks or a file of its own,
//! as a start does; they are made again when there is room. [`look`] and [`probe`] say how a file system is.
#![forbid(unsafe_code)]

mod hold;
mod spares;
mod volume;

pub use hold::{Kept, hold, let_go};
pub use spares::Spares;
pub use volume::{Free, WriteFault, look, probe};
