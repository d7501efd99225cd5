//! JSON Web Tokens (RFC 7519), signed (RFC 7515) with a key that its holder publishes (RFC 7517). Nothing else is taken.

mod algorithm;
mod claims;
mod json;
mod key;
mod token;

pub use claims::{Claims, Vouched};
pub(crate) use key::KeySet;
pub(crate) use token::Header;
pub use token::{MAX_TOKEN_BYTES, Token};

#[cfg(test)]
pub(crate) mod testing;
