//! Multipart uploads. Parts are blobs from the start: completing an upload moves no data.

mod complete;
mod create;
mod list;
mod part;
mod share;
