//! Request bodies: what hyper receives, without the framing of aws-chunked, checked against the request's signature.
//!
//! ```text
//! hyper ─▶ Received (counted, paced, small pieces gathered) ─▶ Decoded (sigv4) ─▶ the engine, or `collect`
//! ```

mod collect;
mod decoded;
mod received;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use collect::collect;
pub(crate) use decoded::{Decoded, Trailers};
pub(crate) use received::{RawBody, Received};
