//! A part whose blob was sealed for another object: the content keys of that blob, sealed under this object's keys.
//!
//! The object that the blob was sealed for is not needed to read the part, nor are its keys.

use crate::content::derive_keys;
use crate::encoding::{Fields, take};
use crate::header::{BlobHeader, check_part_number};
use crate::object_keys::open_key;
use crate::provider::{self, AeadKey, KEY_LEN, KeyBytes, TAG_LEN, ZERO_NONCE};
use crate::{Layers, ManifestPart, ObjectKeys, SealError, random_array};

const SHARED_DOMAIN: &str = "strongroom v3 shared part";
const SALT_LEN: usize = 32;
const SEALED_KEY_LEN: usize = KEY_LEN + TAG_LEN;

/// The content keys of a shared part, as its manifest has them (`docs/format.md`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedKeys {
    layers: Layers,
    /// The part number in the blob's header: that of the part which the blob was sealed as.
    origin: u16,
    salt: [u8; SALT_LEN],
    /// A key for each layer, the inner one first.
    sealed: Vec<u8>,
}

impl ManifestPart {
    /// This part of the object whose keys are `from`, as part `number` of the object whose keys are `to`. The blob stays as it is, and
    /// both may go on without the other. Both objects must have as many layers, and the part must lie in a blob.
    pub fn share(&self, from: &ObjectKeys, number: u16, to: &ObjectKeys) -> Result<Self, SealError> {
        self.share_with_salt(from, number, to, random_array())
    }

    /// Never call this with a salt that was used before: the same key would seal twice under one nonce.
    pub(crate) fn share_with_salt(&self, from: &ObjectKeys, number: u16, to: &ObjectKeys, salt: [u8; SALT_LEN]) -> Result<Self, SealError> {
        if from.layers() != to.layers() {
            return Err(SealError::LayerMismatch);
        }
        let front = SharedKeys { layers: to.layers(), origin: self.origin(), salt, sealed: Vec::new() };
        let mut bytes = Self { number, shared: Some(Box::new(front)), ..self.clone() }.to_bytes();
        let keys = self.content_keys(from)?;
        for (layer, (mut key, object_key)) in (0..).zip(keys.into_iter().zip(to.iter())) {
            let tag = sealing_key(object_key, &salt, layer)?.seal_in_place(ZERO_NONCE, &bytes, key.as_mut_slice())?;
            bytes.extend_from_slice(key.as_slice());
            bytes.extend_from_slice(&tag);
        }
        Self::from_bytes(&bytes)
    }

    /// The header of the part's blob.
    pub(crate) fn header(&self, layers: Layers) -> Result<BlobHeader, SealError> {
        BlobHeader::new(layers, self.origin(), self.salt)
    }

    /// The part number in the blob's header.
    fn origin(&self) -> u16 {
        self.shared.as_ref().map_or(self.number, |shared| shared.origin)
    }

    fn content_keys(&self, object_keys: &ObjectKeys) -> Result<Vec<KeyBytes>, SealError> {
        match &self.shared {
            None => derive_keys(object_keys, &self.header(object_keys.layers())?).collect(),
            Some(shared) => shared.open(self, object_keys),
        }
    }
}

impl SharedKeys {
    /// The content keys, from the innermost layer outwards. `part` is the line of the manifest that has these.
    pub(crate) fn open(&self, part: &ManifestPart, object_keys: &ObjectKeys) -> Result<Vec<KeyBytes>, SealError> {
        if object_keys.layers() != self.layers {
            return Err(SealError::LayerMismatch);
        }
        let bytes = part.to_bytes();
        let front_len = bytes.len() - self.sealed.len();
        let keys = (0..).zip(object_keys.iter().zip(self.sealed.chunks_exact(SEALED_KEY_LEN)));
        keys.map(|(layer, (object_key, sealed))| {
            let aad = &bytes[..front_len + usize::from(layer) * SEALED_KEY_LEN];
            open_key(&sealing_key(object_key, &self.salt, layer)?, aad, sealed).map_err(|_| SealError::SharedPart)
        })
        .collect()
    }

    pub(crate) fn check(&self) -> Result<(), SealError> {
        check_part_number(self.origin)
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.push(self.layers.count());
        out.extend_from_slice(&self.origin.to_be_bytes());
        out.extend_from_slice(&self.salt);
        out.extend_from_slice(&self.sealed);
    }

    /// What follows the number of layers.
    pub(crate) fn read(layers: Layers, bytes: &mut &[u8]) -> Option<Self> {
        let origin = u16::from_be_bytes(take(bytes)?);
        let salt = take(bytes)?;
        let (sealed, rest) = bytes.split_at_checked(usize::from(layers.count()) * SEALED_KEY_LEN)?;
        *bytes = rest;
        Some(Self { layers, origin, salt, sealed: sealed.to_vec() })
    }
}

/// What seals the content key of one layer. With a fresh random `salt` it seals exactly once.
fn sealing_key(object_key: &KeyBytes, salt: &[u8; SALT_LEN], layer: u8) -> Result<AeadKey, SealError> {
    let info = Fields::new(SHARED_DOMAIN).with(&[layer]);
    AeadKey::new(&provider::hkdf(object_key.as_slice(), salt, info.as_slice())?)
}
