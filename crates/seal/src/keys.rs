//! External keys, and what an object's keys are bound to.

use strongroom_ids::{BucketId, VersionId};
use subtle::ConstantTimeEq as _;

use crate::encoding::Fields;
use crate::provider::{self, KEY_LEN, KeyBytes};
use crate::{Layers, Mode, SealError};

const KEK_DOMAIN: &str = "strongroom v1 kek";
const BUCKET_KEY_DOMAIN: &str = "strongroom v1 bucket key";
const KEY_CHECK_DOMAIN: &str = "strongroom v1 key check";

/// EK: 32 bytes from outside this crate (the client's key, or a data key of the KMS). Lives in memory only.
pub struct ExternalKey(KeyBytes);

impl ExternalKey {
    /// Takes over the key.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(KeyBytes::new(bytes))
    }

    /// Copies the key; it must have 32 bytes.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, SealError> {
        Ok(Self(key_from_slice(bytes)?))
    }

    /// The EK of one object version, derived from a bucket-level data key of 32 bytes.
    pub fn from_bucket_key(bucket_key: &[u8], version_id: VersionId) -> Result<Self, SealError> {
        let bucket_key = key_from_slice(bucket_key)?;
        provider::hkdf(bucket_key.as_slice(), &version_id.0, Fields::new(BUCKET_KEY_DOMAIN).as_slice()).map(Self)
    }
}

/// The external keys of an object, one for each layer.
pub struct ExternalKeys {
    inner: ExternalKey,
    outer: Option<ExternalKey>,
}

impl ExternalKeys {
    /// The key of a mode with one layer.
    pub fn single(key: ExternalKey) -> Self {
        Self { inner: key, outer: None }
    }

    /// The keys of DSSE-KMS. They must be independent of each other: two layers under one key are worth one.
    pub(crate) fn double(inner: ExternalKey, outer: ExternalKey) -> Self {
        Self { inner, outer: Some(outer) }
    }

    /// Cuts a data key of the KMS: 32 bytes for one layer, 64 for two.
    pub fn from_data_key(mode: Mode, data_key: &[u8]) -> Result<Self, SealError> {
        let expected_bytes = KEY_LEN * usize::from(mode.layers().count());
        if data_key.len() != expected_bytes {
            return Err(SealError::KeyLength { expected_bytes, actual_bytes: data_key.len() });
        }
        let (inner, outer) = data_key.split_at(KEY_LEN);
        let inner = ExternalKey::from_slice(inner)?;
        Ok(if outer.is_empty() { Self::single(inner) } else { Self::double(inner, ExternalKey::from_slice(outer)?) })
    }

    /// How many keys there are.
    pub fn layers(&self) -> Layers {
        if self.outer.is_some() { Layers::Two } else { Layers::One }
    }

    /// The keys from the innermost layer outwards.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &ExternalKey> {
        std::iter::once(&self.inner).chain(&self.outer)
    }
}

/// Names one version of one object: what its keys are bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectIdentity<'a> {
    /// The bucket's id, not its name.
    pub bucket_id: BucketId,
    /// The object key.
    pub key: &'a str,
    /// The version's id.
    pub version_id: VersionId,
}

/// KEK of one layer. With a fresh random `salt` it seals exactly once.
pub(crate) fn key_encryption_key(
    external_key: &ExternalKey,
    salt: &[u8; 32],
    layer: u8,
    mode: Mode,
    identity: &ObjectIdentity<'_>,
) -> Result<KeyBytes, SealError> {
    let info = Fields::new(KEK_DOMAIN)
        .with(&[layer])
        .with(&[mode.as_u8()])
        .with(&identity.bucket_id.0)
        .with(identity.key.as_bytes())
        .with(&identity.version_id.0);
    provider::hkdf(external_key.0.as_slice(), salt, info.as_slice())
}

/// A fingerprint of an SSE-C key that tells nothing about it: kept in the sealed record, it tells a wrong key from a
/// damaged object. `salt` is random, one for each object.
pub fn key_check(salt: &[u8; 16], key: &[u8; 32]) -> [u8; 32] {
    provider::hmac_sha256(key, Fields::new(KEY_CHECK_DOMAIN).with(salt).as_slice())
}

/// Whether `check` is the [`key_check`] of this key. Takes the same time wherever they differ.
pub fn verify_key_check(salt: &[u8; 16], key: &[u8; 32], check: &[u8; 32]) -> bool {
    key_check(salt, key).ct_eq(check).into()
}

/// Copies 32 key bytes without leaving another copy behind.
pub(crate) fn key_from_slice(bytes: &[u8]) -> Result<KeyBytes, SealError> {
    if bytes.len() != KEY_LEN {
        return Err(SealError::KeyLength { expected_bytes: KEY_LEN, actual_bytes: bytes.len() });
    }
    let mut key = KeyBytes::default();
    key.copy_from_slice(bytes);
    Ok(key)
}
