//! S3's additional checksums.

use std::collections::BTreeMap;

/// The checksum algorithms of S3 that the store verifies, stores and returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum ChecksumAlgorithm {
    /// CRC-32 (ISO-HDLC)
    #[serde(rename = "CRC32")]
    Crc32,
    /// CRC-32C (Castagnoli)
    #[serde(rename = "CRC32C")]
    Crc32c,
    /// CRC-64/NVME
    #[serde(rename = "CRC64NVME")]
    Crc64Nvme,
    /// SHA-1
    #[serde(rename = "SHA1")]
    Sha1,
    /// SHA-256
    #[serde(rename = "SHA256")]
    Sha256,
    /// SHA-512
    #[serde(rename = "SHA512")]
    Sha512,
    /// MD5, as a checksum of its own beside `Content-MD5` and ETag.
    #[serde(rename = "MD5")]
    Md5,
    /// XXH64 with seed 0
    #[serde(rename = "XXHASH64")]
    XxHash64,
    /// XXH3 with 64 bits and seed 0
    #[serde(rename = "XXHASH3")]
    XxHash3,
    /// XXH3 with 128 bits and seed 0
    #[serde(rename = "XXHASH128")]
    XxHash128,
}

/// Whether a checksum is of the whole object or of its parts' checksums (`x-amz-checksum-type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum ChecksumKind {
    /// Of all bytes.
    #[serde(rename = "FULL_OBJECT")]
    FullObject,
    /// Of the concatenated checksums of the parts; the value ends in `-N`.
    #[serde(rename = "COMPOSITE")]
    Composite,
}

/// A checksum of an object or a part.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Checksum {
    /// The algorithm.
    pub algorithm: ChecksumAlgorithm,
    /// What it is of.
    pub kind: ChecksumKind,
    /// Base64, with `-N` behind it where composite: as the header carries it.
    pub value: String,
}

/// The checksum a client sends along with a body.
#[derive(Default)]
pub struct UploadChecksum {
    /// The algorithm, from the header or trailer that carries the value or from `x-amz-sdk-checksum-algorithm`.
    pub algorithm: Option<ChecksumAlgorithm>,
    /// Where its value is.
    pub expected: ExpectedChecksum,
}

/// Where the value of a client's checksum comes from.
#[derive(Default)]
pub enum ExpectedChecksum {
    /// Nowhere: the server computes one and has nothing to compare it with.
    #[default]
    None,
    /// A header: base64.
    Header(String),
    /// A trailer behind the body. The function is called once, after the body's last byte, and gives the trailers by lowercase name.
    Trailer(Box<dyn FnOnce() -> BTreeMap<String, String> + Send + Sync>),
}
