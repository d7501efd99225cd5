//! S3's operations, one file each.

mod acl;
mod buckets;
mod copy;
mod cors;
mod delete;
mod genuine;
mod get;
mod list;
mod lock;
mod multipart;
mod policy;
mod public_access;
mod put;
mod tagging;
mod update_encryption;

pub(crate) use get::{FoundData, check_seen};
