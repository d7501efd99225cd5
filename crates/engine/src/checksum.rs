//! The arithmetic of S3's checksums: running ones, composites, combinations.

use std::hash::Hasher as _;

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use crc_fast::CrcAlgorithm;
use md5::{Digest as _, Md5};
use twox_hash::{XxHash3_64, XxHash3_128, XxHash64};

use crate::{
    Error,
    api::{Checksum, ChecksumAlgorithm, ChecksumKind},
};

impl ChecksumAlgorithm {
    /// Every algorithm of S3, in the order of their names.
    pub const ALL: [Self; 10] = [
        Self::Crc32,
        Self::Crc32c,
        Self::Crc64Nvme,
        Self::Md5,
        Self::Sha1,
        Self::Sha256,
        Self::Sha512,
        Self::XxHash128,
        Self::XxHash3,
        Self::XxHash64,
    ];

    /// The name of the header that carries its value.
    pub fn header(self) -> &'static str {
        match self {
            Self::Crc32 => "x-amz-checksum-crc32",
            Self::Crc32c => "x-amz-checksum-crc32c",
            Self::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Self::Sha1 => "x-amz-checksum-sha1",
            Self::Sha256 => "x-amz-checksum-sha256",
            Self::Sha512 => "x-amz-checksum-sha512",
            Self::Md5 => "x-amz-checksum-md5",
            Self::XxHash64 => "x-amz-checksum-xxhash64",
            Self::XxHash3 => "x-amz-checksum-xxhash3",
            Self::XxHash128 => "x-amz-checksum-xxhash128",
        }
    }

    /// The name as S3 spells it, also in error texts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Crc32 => "CRC32",
            Self::Crc32c => "CRC32C",
            Self::Crc64Nvme => "CRC64NVME",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
            Self::Sha512 => "SHA512",
            Self::Md5 => "MD5",
            Self::XxHash64 => "XXHASH64",
            Self::XxHash3 => "XXHASH3",
            Self::XxHash128 => "XXHASH128",
        }
    }

    /// The length of a checksum in bytes.
    pub fn len_bytes(self) -> usize {
        match self {
            Self::Crc32 | Self::Crc32c => 4,
            Self::Crc64Nvme | Self::XxHash64 | Self::XxHash3 => 8,
            Self::Md5 | Self::XxHash128 => 16,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }

    /// The checksum of bytes that are at hand.
    pub fn digest(self, bytes: &[u8]) -> Vec<u8> {
        let mut running = Running::new(self);
        running.update(bytes);
        running.finish()
    }

    /// The type of a multipart object's checksum where the client names none. Source: S3 user guide, "Checking object integrity".
    pub fn default_kind(self) -> ChecksumKind {
        if self == Self::Crc64Nvme { ChecksumKind::FullObject } else { ChecksumKind::Composite }
    }

    /// Whether a multipart object can have this type of it: only CRCs combine, and CRC-64/NVME has no composite.
    pub fn allows(self, kind: ChecksumKind) -> bool {
        match kind {
            ChecksumKind::FullObject => self.crc().is_some(),
            ChecksumKind::Composite => self != Self::Crc64Nvme,
        }
    }

    /// Whether it is cheap enough to run beside the encryption: CRCs and XXH3 pass 10 GB/s, XXH64 4; the other hashes do not reach 2.
    pub(crate) fn is_fast(self) -> bool {
        self.crc().is_some() || matches!(self, Self::XxHash64 | Self::XxHash3 | Self::XxHash128)
    }

    fn crc(self) -> Option<CrcAlgorithm> {
        match self {
            Self::Crc32 => Some(CrcAlgorithm::Crc32IsoHdlc),
            Self::Crc32c => Some(CrcAlgorithm::Crc32Iscsi),
            Self::Crc64Nvme => Some(CrcAlgorithm::Crc64Nvme),
            Self::Sha1 | Self::Sha256 | Self::Sha512 | Self::Md5 | Self::XxHash64 | Self::XxHash3 | Self::XxHash128 => None,
        }
    }
}

/// A checksum being computed. What is large lies on the heap: every body's future would have room for the largest.
pub(crate) enum Running {
    /// With the length of the result in bytes.
    Crc(Box<crc_fast::Digest>, usize),
    Sha(digest::Context),
    Md5(Box<Md5>),
    XxHash64(Box<XxHash64>),
    XxHash3(Box<XxHash3_64>),
    XxHash128(Box<XxHash3_128>),
}

impl Running {
    pub(crate) fn new(algorithm: ChecksumAlgorithm) -> Self {
        let crc = |crc| Self::Crc(Box::new(crc_fast::Digest::new(crc)), algorithm.len_bytes());
        match algorithm {
            ChecksumAlgorithm::Crc32 => crc(CrcAlgorithm::Crc32IsoHdlc),
            ChecksumAlgorithm::Crc32c => crc(CrcAlgorithm::Crc32Iscsi),
            ChecksumAlgorithm::Crc64Nvme => crc(CrcAlgorithm::Crc64Nvme),
            ChecksumAlgorithm::Sha1 => Self::Sha(digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY)),
            ChecksumAlgorithm::Sha256 => Self::Sha(digest::Context::new(&digest::SHA256)),
            ChecksumAlgorithm::Sha512 => Self::Sha(digest::Context::new(&digest::SHA512)),
            ChecksumAlgorithm::Md5 => Self::Md5(Box::default()),
            ChecksumAlgorithm::XxHash64 => Self::XxHash64(Box::default()),
            ChecksumAlgorithm::XxHash3 => Self::XxHash3(Box::default()),
            ChecksumAlgorithm::XxHash128 => Self::XxHash128(Box::default()),
        }
    }

    pub(crate) fn update(&mut self, data: &[u8]) {
        match self {
            Self::Crc(crc, _) => crc.update(data),
            Self::Sha(sha) => sha.update(data),
            Self::Md5(md5) => md5.update(data),
            Self::XxHash64(hash) => hash.write(data),
            Self::XxHash3(hash) => hash.write(data),
            Self::XxHash128(hash) => hash.write(data),
        }
    }

    /// The raw checksum, most significant byte first. That is the canonical form of XXHash, and the one that Amazon's clients send.
    pub(crate) fn finish(self) -> Vec<u8> {
        match self {
            Self::Crc(crc, len) => truncated(crc.finalize(), len),
            Self::Sha(sha) => sha.finish().as_ref().to_vec(),
            Self::Md5(md5) => md5.finalize().to_vec(),
            Self::XxHash64(hash) => hash.finish().to_be_bytes().to_vec(),
            Self::XxHash3(hash) => hash.finish().to_be_bytes().to_vec(),
            Self::XxHash128(hash) => hash.finish_128().to_be_bytes().to_vec(),
        }
    }
}

/// The full-object checksum of bytes, from the raw checksum computed over them.
pub(crate) fn full_object(algorithm: ChecksumAlgorithm, raw: &[u8]) -> Checksum {
    Checksum { algorithm, kind: ChecksumKind::FullObject, value: STANDARD.encode(raw) }
}

/// The checksum of a multipart object from those of its parts: value and length in bytes of each.
pub(crate) fn of_parts(algorithm: ChecksumAlgorithm, kind: ChecksumKind, parts: &[(&Checksum, u64)]) -> Result<Checksum, Error> {
    let mut raw = Vec::with_capacity(parts.len());
    for (part, len_bytes) in parts {
        let value = STANDARD.decode(&part.value).map_err(|_| Error::Integrity("a part's checksum does not parse".into()))?;
        raw.push((value, *len_bytes));
    }
    let value = match kind {
        ChecksumKind::Composite => composite(algorithm, &raw),
        ChecksumKind::FullObject => combined(algorithm, &raw)?,
    };
    Ok(Checksum { algorithm, kind, value })
}

/// The refusal of a type that multipart objects cannot have of the algorithm. Source of the sentence: Amazon S3's answers.
pub(crate) fn not_allowed(algorithm: ChecksumAlgorithm, kind: ChecksumKind) -> Error {
    let kind = if kind == ChecksumKind::Composite { "COMPOSITE" } else { "FULL_OBJECT" };
    let name = algorithm.name().to_lowercase();
    Error::InvalidRequest(format!("The {kind} checksum type cannot be used with the {name} checksum algorithm."))
}

fn composite(algorithm: ChecksumAlgorithm, parts: &[(Vec<u8>, u64)]) -> String {
    let mut running = Running::new(algorithm);
    for (value, _) in parts {
        running.update(value);
    }
    format!("{}-{}", STANDARD.encode(running.finish()), parts.len())
}

fn combined(algorithm: ChecksumAlgorithm, parts: &[(Vec<u8>, u64)]) -> Result<String, Error> {
    let crc = algorithm.crc().ok_or_else(|| not_allowed(algorithm, ChecksumKind::FullObject))?;
    let mut total = 0;
    for (index, (value, len_bytes)) in parts.iter().enumerate() {
        let next = value.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        total = if index == 0 { next } else { crc_fast::checksum_combine(crc, total, next, *len_bytes) };
    }
    Ok(STANDARD.encode(truncated(total, algorithm.len_bytes())))
}

fn truncated(crc: u64, len: usize) -> Vec<u8> {
    crc.to_be_bytes()[8 - len..].to_vec()
}

#[cfg(test)]
#[path = "checksum_tests.rs"]
mod tests;
