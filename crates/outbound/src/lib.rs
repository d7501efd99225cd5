//! Connections to the services around the store: one way to trust a server and to show it who we are.
//!
//! rustls over AWS-LC, the system's roots or the operator's own CA, an own client certificate, no redirects, bounded answers.
#![forbid(unsafe_code)]

mod address;
mod body;
mod client;
mod tls;

pub use address::{is_private_address, is_public, public_http_client};
pub use body::{BodyError, read_bounded, read_json};
pub use client::http_client;
pub use tls::{FILE_REFUSED, OutboundError, TlsOptions, tls_config};
