//! S3's limits on keys and headers.

use crate::{Error, api::ObjectHeaders};

/// Source: S3 user guide, "Naming Amazon S3 objects".
const MAX_KEY_LEN_BYTES: usize = 1024;
/// Names and values of user metadata together. Source: S3 user guide, "Working with object metadata".
const MAX_USER_METADATA_LEN_BYTES: usize = 2 * 1024;

pub(crate) fn check_key(key: &str) -> Result<(), Error> {
    match key.len() {
        0 => Err(Error::InvalidArgument("The object key must not be empty.".into())),
        len if len > MAX_KEY_LEN_BYTES => Err(Error::KeyTooLong),
        _ => Ok(()),
    }
}

pub(crate) fn check_headers(headers: &ObjectHeaders) -> Result<(), Error> {
    let user_len: usize = headers.user.iter().map(|(name, value)| name.len() + value.len()).sum();
    if user_len > MAX_USER_METADATA_LEN_BYTES { Err(Error::MetadataTooLarge) } else { Ok(()) }
}
