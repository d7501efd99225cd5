//! Rules that end a bucket, or a prefix of one, on a date: its key is destroyed, and the receipt is the proof.
//!
//! - [`document`]: the rules, kept in one sealed document.
//! - [`calls`]: adding, showing and removing them.
//! - [`obstacles`]: what keeps a key from being destroyed: whatever else depends on it.
//! - [`work`]: carrying out those that are due.
//!
//! A rule has no steps of its own that could be left half done. Each round looks at the key: while it is there, the rule is still to be carried out;
//! when it is gone, its receipt is found or written, and then the rule is done.

mod calls;
mod document;
mod obstacles;
mod standing;
mod work;

pub(crate) use calls::{add, describe, list, remove};
pub(crate) use document::Rule;
pub(crate) use standing::{AtWork, numbers};
pub(crate) use work::{carry_out, refuse_due};
