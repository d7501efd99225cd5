//! Tokens: where they come from, how they are kept alive, when they are replaced.

mod keeper;
mod lease;
mod login;
mod session;
mod token_file;

pub(crate) use session::Session;
