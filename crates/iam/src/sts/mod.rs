//! Temporary credentials, and who takes on which role.

pub(crate) mod assume_role;
pub(crate) mod caller;
mod credentials;
mod role;
pub(crate) mod session_token;
mod token;
pub(crate) mod web_identity;

pub(crate) use token::{Session, SessionOf, VouchedBy};
