//! Content keys and the STREAM construction: how one chunk is sealed and opened.

use crate::encoding::Fields;
use crate::header::BlobHeader;
use crate::provider::{self, AeadKey, KeyBytes, NONCE_LEN};
use crate::{ObjectKeys, SealError};

const CONTENT_DOMAIN: &str = "strongroom v1 content";

/// The salt of one upload of a part: random, public, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PartSalt(pub [u8; 32]);

/// The keys of one upload of one part, one for each layer.
pub(crate) struct ContentKeys {
    inner: AeadKey,
    outer: Option<AeadKey>,
}

/// The content keys of a part that its object's own keys give, from the innermost layer outwards.
pub(crate) fn derive_keys(object_keys: &ObjectKeys, header: &BlobHeader) -> impl Iterator<Item = Result<KeyBytes, SealError>> {
    (0..).zip(object_keys.iter()).map(|(layer, key)| content_key(key, layer, header))
}

impl ContentKeys {
    pub(crate) fn derive(object_keys: &ObjectKeys, header: &BlobHeader) -> Result<Self, SealError> {
        Self::set_up(derive_keys(object_keys, header))
    }

    /// Of these keys, from the innermost layer outwards.
    pub(crate) fn set_up(keys: impl Iterator<Item = Result<KeyBytes, SealError>>) -> Result<Self, SealError> {
        let mut keys = keys.map(|key| AeadKey::new(&key?));
        let inner = keys.next().ok_or(SealError::LayerMismatch)??;
        let outer = keys.next().transpose()?;
        Ok(Self { inner, outer })
    }

    /// Seals, in place, the plaintext that `buffer` ends with from `start` on, and appends a tag for each layer.
    pub(crate) fn seal_chunk(&self, chunk: u32, last: bool, buffer: &mut Vec<u8>, start: usize) -> Result<(), SealError> {
        let nonce = chunk_nonce(chunk, last);
        for key in std::iter::once(&self.inner).chain(&self.outer) {
            let tag = key.seal_in_place(nonce, &[], &mut buffer[start..])?;
            buffer.extend_from_slice(&tag);
        }
        Ok(())
    }

    /// Opens a chunk in place and returns the length of the plaintext at its front; none if it is not authentic.
    pub(crate) fn open_chunk(&self, chunk: u32, last: bool, sealed: &mut [u8]) -> Option<usize> {
        let nonce = chunk_nonce(chunk, last);
        let sealed = match &self.outer {
            Some(outer) => outer.open_in_place(nonce, &[], sealed)?,
            None => sealed,
        };
        Some(self.inner.open_in_place(nonce, &[], sealed)?.len())
    }
}

fn content_key(object_key: &KeyBytes, layer: u8, header: &BlobHeader) -> Result<KeyBytes, SealError> {
    let info = Fields::new(CONTENT_DOMAIN).with(&[layer]).with(&header.fixed_fields());
    provider::hkdf(object_key.as_slice(), &header.salt().0, info.as_slice())
}

pub(crate) fn chunk_nonce(chunk: u32, last: bool) -> [u8; NONCE_LEN] {
    let mut nonce = [0; NONCE_LEN];
    nonce[7..11].copy_from_slice(&chunk.to_be_bytes());
    nonce[11] = u8::from(last);
    nonce
}
