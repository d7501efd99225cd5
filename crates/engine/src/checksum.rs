//! The arithmetic of S3's checksums: running ones, composites, combinations.

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use crc_fast::CrcAlgorithm;

use crate::{
    Error,
    api::{Checksum, ChecksumAlgorithm, ChecksumKind},
};

impl ChecksumAlgorithm {
    /// The name of its header, as error texts state it.
    pub fn header(self) -> &'static str {
        match self {
            Self::Crc32 => "x-amz-checksum-crc32",
            Self::Crc32c => "x-amz-checksum-crc32c",
            Self::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Self::Sha1 => "x-amz-checksum-sha1",
            Self::Sha256 => "x-amz-checksum-sha256",
        }
    }

    /// The name as S3 spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Crc32 => "CRC32",
            Self::Crc32c => "CRC32C",
            Self::Crc64Nvme => "CRC64NVME",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
        }
    }

    /// The length of a checksum in bytes.
    pub fn len_bytes(self) -> usize {
        match self {
            Self::Crc32 | Self::Crc32c => 4,
            Self::Crc64Nvme => 8,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }

    /// The checksum of bytes that are at hand.
    pub fn digest(self, bytes: &[u8]) -> Vec<u8> {
        let mut running = Running::new(self);
        running.update(bytes);
        running.finish()
    }

    /// The type of a multipart object's checksum where the client names none. Source: S3 user guide, "Checking object integrity".
    pub(crate) fn default_kind(self) -> ChecksumKind {
        match self {
            Self::Crc64Nvme => ChecksumKind::FullObject,
            Self::Crc32 | Self::Crc32c | Self::Sha1 | Self::Sha256 => ChecksumKind::Composite,
        }
    }

    /// Whether a multipart object can have this type of it: only CRCs combine, and CRC-64/NVME has no composite.
    pub(crate) fn allows(self, kind: ChecksumKind) -> bool {
        match kind {
            ChecksumKind::FullObject => matches!(self, Self::Crc32 | Self::Crc32c | Self::Crc64Nvme),
            ChecksumKind::Composite => !matches!(self, Self::Crc64Nvme),
        }
    }

    /// Whether it is cheap enough to run beside the encryption: CRCs pass 100 GB/s, hashes do not reach 2.
    pub(crate) fn is_fast(self) -> bool {
        self.crc().is_some()
    }

    fn crc(self) -> Option<(CrcAlgorithm, usize)> {
        match self {
            Self::Crc32 => Some((CrcAlgorithm::Crc32IsoHdlc, 4)),
            Self::Crc32c => Some((CrcAlgorithm::Crc32Iscsi, 4)),
            Self::Crc64Nvme => Some((CrcAlgorithm::Crc64Nvme, 8)),
            Self::Sha1 | Self::Sha256 => None,
        }
    }
}

/// A checksum being computed.
pub(crate) enum Running {
    /// With the length of the result in bytes.
    Crc(Box<crc_fast::Digest>, usize),
    Hash(digest::Context),
}

impl Running {
    pub(crate) fn new(algorithm: ChecksumAlgorithm) -> Self {
        if let Some((crc, len)) = algorithm.crc() {
            return Self::Crc(Box::new(crc_fast::Digest::new(crc)), len);
        }
        let hash = if algorithm == ChecksumAlgorithm::Sha1 { &digest::SHA1_FOR_LEGACY_USE_ONLY } else { &digest::SHA256 };
        Self::Hash(digest::Context::new(hash))
    }

    pub(crate) fn update(&mut self, data: &[u8]) {
        match self {
            Self::Crc(crc, _) => crc.update(data),
            Self::Hash(hash) => hash.update(data),
        }
    }

    /// The raw checksum, most significant byte first.
    pub(crate) fn finish(self) -> Vec<u8> {
        match self {
            Self::Crc(crc, len) => truncated(crc.finalize(), len),
            Self::Hash(hash) => hash.finish().as_ref().to_vec(),
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

fn composite(algorithm: ChecksumAlgorithm, parts: &[(Vec<u8>, u64)]) -> String {
    let mut running = Running::new(algorithm);
    for (value, _) in parts {
        running.update(value);
    }
    format!("{}-{}", STANDARD.encode(running.finish()), parts.len())
}

fn combined(algorithm: ChecksumAlgorithm, parts: &[(Vec<u8>, u64)]) -> Result<String, Error> {
    let (crc, len) = algorithm.crc().ok_or_else(|| {
        Error::InvalidRequest(format!("The FULL_OBJECT type cannot be used with the {} checksum algorithm.", algorithm.name()))
    })?;
    let mut total = 0;
    for (index, (value, len_bytes)) in parts.iter().enumerate() {
        let next = value.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        total = if index == 0 { next } else { crc_fast::checksum_combine(crc, total, next, *len_bytes) };
    }
    Ok(STANDARD.encode(truncated(total, len)))
}

fn truncated(crc: u64, len: usize) -> Vec<u8> {
    crc.to_be_bytes()[8 - len..].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check values of the catalogue of CRC algorithms and of FIPS 180-4.
    #[test]
    fn checksums_are_computed_as_everybody_else_does() {
        for (algorithm, bytes, expected) in [
            (ChecksumAlgorithm::Crc32, "123456789", "cbf43926"),
            (ChecksumAlgorithm::Crc32c, "123456789", "e3069283"),
            (ChecksumAlgorithm::Crc64Nvme, "123456789", "ae8b14860a799888"),
            (ChecksumAlgorithm::Sha1, "abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
            (ChecksumAlgorithm::Sha256, "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        ] {
            let digest = algorithm.digest(bytes.as_bytes());
            assert_eq!(hex(&digest), expected, "{algorithm:?}");
            assert_eq!(digest.len(), algorithm.len_bytes(), "{algorithm:?}");
        }
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
    }
}
