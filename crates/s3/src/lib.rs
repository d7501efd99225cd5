//! The S3 protocol: HTTP requests in, calls of the engine, HTTP responses out.
//!
//! ```text
//! hyper ─▶ service ─▶ gate (s3s: signature, aws-chunked) ─▶ operation ─▶ authorize ─▶ ops ─▶ engine
//!             ▲                                                                        │
//!             │                        └──────▶ admin ─▶ AdminHandler                   │
//!             └────────── reply: headers, request id, access log ◀────── refusal ◀─────┘
//! ```
//!
//! `s3s` verifies signatures, decodes request bodies and parses XML; nothing of it is seen outside this crate. Which
//! operation a request means is decided here rather than by its `S3` trait, because that trait hands over parsed XML (a
//! `Content-MD5` of it could not be verified any more) and refuses header values that S3 ignores.
#![forbid(unsafe_code)]

mod access_log;
mod admin;
mod authorize;
mod body;
mod checksum;
mod conditions;
mod error;
mod gate;
mod headers;
mod names;
mod operation;
mod ops;
mod options;
mod pace;
mod query;
mod refusal;
mod reply;
mod request;
mod service;
mod sse;
mod timestamp;
mod xml;

pub use admin::{AdminBody, AdminHandler, Signer};
pub use options::{ConnectionInfo, ErrorDialect, InvalidNetwork, Network, S3Options};
pub use pace::Pace;
pub use reply::{ResponseBody, ResponseCut};
pub use service::S3Service;
