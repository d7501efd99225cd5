//! How much one identity may ask for, and how fast somebody may guess secrets.
//!
//! [`Limiter`] bounds the requests and the bytes of each identity. [`Guesses`] tells how long an address has to wait for the answer to one more
//! wrong signature. Both remember a bounded number of names, measure by the monotonic clock, and know nothing of S3.
#![forbid(unsafe_code)]

mod bucket;
mod guesses;
mod limiter;

pub use guesses::{Guesses, Many};
pub use limiter::{Limiter, Limits, Refused, Slot, TooMuch};
