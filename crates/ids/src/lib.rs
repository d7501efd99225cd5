//! What names things in a store: 16 bytes each, a type for each kind.
//!
//! Ids are made at random by the engine and never used twice. Buckets, versions and uploads show theirs to clients as 32 hexadecimal digits.
#![forbid(unsafe_code)]

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The length of every id.
pub const ID_LEN: usize = 16;

/// The text is no id: not 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseIdError;

impl fmt::Display for ParseIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an id has 32 hexadecimal digits")
    }
}

impl std::error::Error for ParseIdError {}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub [u8; ID_LEN]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                let mut id = [0; ID_LEN];
                hex::decode_to_slice(text, &mut id).map_err(|_| ParseIdError)?;
                Ok(Self(id))
            }
        }

        impl From<[u8; ID_LEN]> for $name {
            fn from(id: [u8; ID_LEN]) -> Self {
                Self(id)
            }
        }

        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }

        #[cfg(feature = "rusqlite")]
        impl rusqlite::ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
                self.0.to_sql()
            }
        }

        #[cfg(feature = "rusqlite")]
        impl rusqlite::types::FromSql for $name {
            fn column_result(value: rusqlite::types::ValueRef<'_>) -> rusqlite::types::FromSqlResult<Self> {
                rusqlite::types::FromSql::column_result(value).map(Self)
            }
        }
    };
}

id! {
    /// Names a bucket for ever; a bucket made again under the same name gets another one.
    BucketId
}
id! {
    /// Names one version of one object.
    VersionId
}
id! {
    /// Names a multipart upload.
    UploadId
}
id! {
    /// Names one immutable blob.
    BlobId
}
id! {
    /// Names work that goes on in the background.
    JobId
}
id! {
    /// Names an event, at every delivery of it.
    EventId
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_shown_as_32_hexadecimal_digits_and_read_back() {
        let id = BucketId([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 255]);
        assert_eq!(id.to_string(), "000102030405060708090a0b0c0d0eff");
        assert_eq!(format!("{id:?}"), id.to_string());
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string().to_uppercase().parse(), Ok(id));
    }

    #[test]
    fn what_is_not_32_hexadecimal_digits_is_no_id() {
        for text in ["", "null", "00", &"0".repeat(31), &"0".repeat(33), &"g".repeat(32), &format!(" {}", "0".repeat(31))] {
            assert_eq!(text.parse::<VersionId>(), Err(ParseIdError), "{text}");
        }
    }
}
