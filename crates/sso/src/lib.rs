//! Single sign-on: what an identity provider says of somebody, verified.
//!
//! - [`Token`]: a JSON Web Token, taken apart and checked.
//! - [`Providers`]: the keys of providers that speak OpenID Connect, fetched and remembered, and the one way to believe a token.
//!
//! Nothing of a token counts before its signature was verified with a key that its provider publishes. This crate knows no roles and no
//! policies. `docs/single-sign-on.md` tells users the same.
#![forbid(unsafe_code)]
// The names of the standards' fields are plain words in these texts.
#![allow(clippy::doc_markdown)]

mod error;
mod jwt;
mod provider;

pub use error::TokenError;
pub use jwt::{Claims, MAX_TOKEN_BYTES, Token, Vouched};
pub use provider::{Asked, ProviderOptions, Providers};
pub use strongroom_outbound::OutboundError as SetupError;
