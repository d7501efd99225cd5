//! The space on a disk: how much is free, and how to keep some in reserve for the time when nothing is.
//!
//! There are two kinds of reserve. [`hold`] gives a file blocks beyond its end: no other process can take them, and a write into them
//! succeeds on a full disk. [`Spares`] are small files. They are removed when something else, such as a start, needs blocks or a file
//! of its own, and made again when there is room. [`look`] and [`probe`] tell the state of a file system.
#![forbid(unsafe_code)]

mod hold;
mod spares;
mod volume;

pub use hold::{Kept, hold, let_go};
pub use spares::Spares;
pub use volume::{Free, WriteFault, look, probe};
