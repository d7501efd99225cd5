//! Server-side encryption: the one decision, and the keys that follow from it.

mod bucket_key;
mod context;
mod customer;
mod decide;
mod keys;
pub(crate) mod rights;
mod rules;
#[cfg(test)]
mod tests;
mod uses;

pub(crate) use bucket_key::BucketKeys;
pub(crate) use customer::CustomerKey;
pub(crate) use decide::{Decision, KmsChoice, check_encryption_rule, check_part_headers, check_read_headers, decide};
pub(crate) use keys::{Identified, WriteKeys, check_customer_key, mode_of, sse_reply};
pub use rules::{EncryptionType, MinimumMode};
pub(crate) use uses::{KeyUse, User};
