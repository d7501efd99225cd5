//! The S3 protocol: HTTP requests in, calls of the engine, HTTP responses out.
//!
//! ```text
//! hyper ─▶ service ─▶ gate (sigv4: who signed it) ─▶ operation ─▶ authorize ─▶ body ─▶ ops ─▶ engine
//!             ▲            │                                                            │
//!             │            └──────▶ admin ─▶ body ─▶ AdminHandler                        │
//!             └────────── reply: headers, request id, access log ◀────── refusal ◀──────┘
//! ```
//!
//! Nothing of a body is read before the signature of the headers holds and the caller may do what the request asks for. A browser's preflight,
//! which nobody signs, is answered by `cors` before the gate.
#![forbid(unsafe_code)]

mod access_log;
mod admin;
mod api;
mod authorize;
mod body;
mod checksum;
mod conditions;
mod cors;
mod encoded_word;
mod error;
mod form;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod gate;
mod headers;
mod iam;
mod limits;
mod lock;
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
mod signing;
mod sse;
mod timestamp;
mod xml;

pub use admin::{AdminBody, AdminHandler, Signer};
pub use limits::LimitCounts;
pub use options::{ConnectionInfo, ErrorDialect, InvalidNetwork, Limits, Network, S3Options, SignatureV2};
pub use pace::Pace;
pub use reply::{ResponseBody, ResponseCut};
pub use service::S3Service;
