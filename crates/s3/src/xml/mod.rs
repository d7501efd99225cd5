//! XML: request documents in, response documents out.

mod read;
mod write;

pub(crate) use read::{Element, once, read};
pub(crate) use write::{Xml, is_readable};
