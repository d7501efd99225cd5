//! Administration over HTTP: key management, keys, re-keying, identities, and the calls of `mc`.
//!
//! ```text
//! S3 port, admin port ─▶ (signature verified) ─▶ Admin::call ─▶ routes ─▶ permission ─▶ handler ─▶ keyring, engine
//!                                                                              │
//!                                                                              └─▶ audit log, before the answer
//! ```
//!
//! [`routes`] is the one table of what there is: method, path, operation, permission, shapes. The router, the OpenAPI document and the
//! tests of permissions are made of it. Calls of identity management are rows of the table of [`strongroom_iam`], under `/iam`. The same calls stand under `/kms`, `/strongroom/admin/v1/kms` and `/rustfs/admin/v3/kms`.
//! `docs/admin-api.md` is the reference.
#![forbid(unsafe_code)]

mod admin;
mod backends;
mod backup;
mod data_keys;
mod document;
mod erasure;
mod events;
mod http;
mod iam;
mod inventory;
mod keys;
mod lifecycle;
mod mc;
mod openapi;
mod rekey;
mod rotation;
mod routes;
mod service;

pub use admin::{Admin, AdminParts, Signer};
