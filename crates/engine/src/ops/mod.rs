//! S3's operations, one file each.

mod buckets;
mod copy;
mod delete;
mod genuine;
mod get;
mod list;
mod multipart;
mod put;
mod update_encryption;
