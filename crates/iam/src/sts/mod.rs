//! Temporary credentials, and who takes on which role.

pub(crate) mod assume_role;
pub(crate) mod caller;
mod credentials;
pub(crate) mod session_token;
mod token;

pub(crate) use token::{Session, SessionOf};
