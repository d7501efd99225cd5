//! AWS Signature Version 4 as a server verifies it, for any service. No I/O.
//!
//! A request passes through three types. [`Claim::read`] parses what a request says of its signature; nothing is verified yet, but
//! the claim names the access key whose secret the caller must find. [`Claim::verify`] checks services, region, dates and what the
//! signature covers, then the signature itself, and is the only maker of [`Verified`]. [`BodyDecoder`] checks the body as it comes
//! against the [`Payload`] that was signed, and takes the framing of `aws-chunked` off it.
//!
//! [`post_policy`] verifies browser forms, and [`version_two`] presigned URLs of Signature Version 2. Their proof types are others, so that
//! neither counts as a signed request.
//!
//! ```
//! use http::{HeaderMap, Method, Uri};
//! use strongroom_sigv4::{Claim, Head, Rules, SignatureError};
//! use time::OffsetDateTime;
//!
//! fn signer(method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<Option<String>, SignatureError> {
//!     let head = Head { method, uri, headers };
//!     let Some(claim) = Claim::read(&head)? else { return Ok(None) };
//!     let secret = "the secret of claim.access_key()";
//!     let verified = claim.verify(&head, secret, OffsetDateTime::now_utc(), &Rules::S3)?;
//!     Ok(Some(verified.access_key().to_owned()))
//! }
//! # assert!(matches!(signer(&Method::GET, &Uri::from_static("/"), &HeaderMap::new()), Ok(None)));
//! ```
#![forbid(unsafe_code)]

mod authorization;
mod body;
mod canonical;
mod claim;
mod error;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod key;
mod payload;
pub mod percent;
pub mod post_policy;
mod presigned;
mod query;
mod rules;
mod scope;
mod timestamp;
mod trailer;
mod verified;
pub mod version_two;

pub use body::{BodyDecoder, Lengths, announced_trailers};
pub use claim::Claim;
pub use error::{BodyError, SignatureError};
pub use payload::{Payload, Streaming};
pub use presigned::is_signature_parameter;
pub use rules::{Head, Placement, Placements, Regions, Rules};
pub use scope::Scope;
pub use verified::Verified;
