//! OEKs, and their sealed form: the only bytes that change when an object is copied, rotated or re-keyed.

use crate::error::{check_suite, check_version};
use crate::keys::key_encryption_key;
use crate::provider::{AeadKey, KEY_LEN, KeyBytes, TAG_LEN, ZERO_NONCE, random_key};
use crate::{ExternalKeys, FORMAT_VERSION, Layers, Mode, ObjectIdentity, SUITE, SealError, random_array};

const HEADER_LEN: usize = 4;
const SALT_LEN: usize = 32;
const LAYER_LEN: usize = SALT_LEN + KEY_LEN + TAG_LEN;

/// OEK: one random key for each layer, from which the content keys of an object's parts derive.
pub struct ObjectKeys {
    inner: KeyBytes,
    outer: Option<KeyBytes>,
}

impl ObjectKeys {
    /// Fresh random keys.
    pub fn generate(layers: Layers) -> Self {
        Self { inner: random_key(), outer: (layers == Layers::Two).then(random_key) }
    }

    /// For how many layers there are keys.
    pub fn layers(&self) -> Layers {
        if self.outer.is_some() { Layers::Two } else { Layers::One }
    }

    /// Seals the keys under the external keys, for this object and no other. To re-seal, open with the old external
    /// keys and identity and seal with the new: the data stays as it is. The mode must have as many layers as these keys.
    pub fn seal(&self, mode: Mode, external_keys: &ExternalKeys, identity: &ObjectIdentity<'_>) -> Result<SealedObjectKeys, SealError> {
        self.seal_with_salts(mode, external_keys, identity, &[random_array(), random_array()])
    }

    /// Never call this with salts that were used before: the same KEK would seal twice under one nonce.
    pub(crate) fn seal_with_salts(
        &self,
        mode: Mode,
        external_keys: &ExternalKeys,
        identity: &ObjectIdentity<'_>,
        salts: &[[u8; SALT_LEN]; 2],
    ) -> Result<SealedObjectKeys, SealError> {
        if mode.layers() != self.layers() || external_keys.layers() != self.layers() {
            return Err(SealError::LayerMismatch);
        }
        let mut out = Vec::with_capacity(sealed_len(self.layers()));
        out.extend_from_slice(&[FORMAT_VERSION, SUITE, mode.as_u8(), self.layers().count()]);
        for (layer, ((object_key, external_key), salt)) in (0..).zip(self.iter().zip(external_keys.iter()).zip(salts)) {
            out.extend_from_slice(salt);
            let kek = AeadKey::new(&key_encryption_key(external_key, salt, layer, mode, identity)?)?;
            let mut sealed = object_key.clone();
            let tag = kek.seal_in_place(ZERO_NONCE, &out, sealed.as_mut_slice())?;
            out.extend_from_slice(sealed.as_slice());
            out.extend_from_slice(&tag);
        }
        Ok(SealedObjectKeys { bytes: out, mode })
    }

    /// The keys from the innermost layer outwards.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &KeyBytes> {
        std::iter::once(&self.inner).chain(&self.outer)
    }

    /// Given keys, for the published vectors.
    #[cfg(test)]
    pub(crate) fn from_bytes(inner: [u8; KEY_LEN], outer: Option<[u8; KEY_LEN]>) -> Self {
        Self { inner: KeyBytes::new(inner), outer: outer.map(KeyBytes::new) }
    }
}

/// Object keys as they are stored: 84 bytes for one layer, 164 for two (`docs/format.md`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedObjectKeys {
    bytes: Vec<u8>,
    mode: Mode,
}

impl SealedObjectKeys {
    /// Reads the stored form. Nothing is authenticated until [`open`](Self::open).
    pub fn parse(bytes: &[u8]) -> Result<Self, SealError> {
        let Some((&[version, suite, mode, layers], _)) = bytes.split_first_chunk::<HEADER_LEN>() else {
            return Err(SealError::Malformed("sealed object keys"));
        };
        check_version(version)?;
        check_suite(suite)?;
        let (mode, layers) = (Mode::try_from(mode)?, Layers::try_from(layers)?);
        if mode.layers() != layers {
            return Err(SealError::LayerMismatch);
        }
        if bytes.len() != sealed_len(layers) {
            return Err(SealError::Malformed("sealed object keys"));
        }
        Ok(Self { bytes: bytes.to_vec(), mode })
    }

    /// The stored form.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The mode that they were sealed in.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Opens the keys with the external keys and the identity that they were sealed for.
    pub fn open(&self, external_keys: &ExternalKeys, identity: &ObjectIdentity<'_>) -> Result<ObjectKeys, SealError> {
        if external_keys.layers() != self.mode.layers() {
            return Err(SealError::LayerMismatch);
        }
        let mut keys = (0..).zip(external_keys.iter()).map(|(layer, external_key)| {
            let (aad, sealed) = self.layer(layer);
            let salt = aad.last_chunk().ok_or(SealError::Malformed("sealed object keys"))?;
            let kek = key_encryption_key(external_key, salt, layer, self.mode, identity)?;
            open_key(&AeadKey::new(&kek)?, aad, sealed)
        });
        let inner = keys.next().ok_or(SealError::LayerMismatch)??;
        let outer = keys.next().transpose()?;
        Ok(ObjectKeys { inner, outer })
    }

    /// What stands before a layer's ciphertext, up to and with its salt; and the ciphertext.
    fn layer(&self, layer: u8) -> (&[u8], &[u8]) {
        let start = HEADER_LEN + usize::from(layer) * LAYER_LEN;
        self.bytes[..start + LAYER_LEN].split_at(start + SALT_LEN)
    }
}

/// Opens one sealed key.
pub(crate) fn open_key(kek: &AeadKey, aad: &[u8], sealed: &[u8]) -> Result<KeyBytes, SealError> {
    let mut buffer = zeroize::Zeroizing::new([0; KEY_LEN + TAG_LEN]);
    buffer.copy_from_slice(sealed);
    let opened = kek.open_in_place(ZERO_NONCE, aad, buffer.as_mut_slice()).ok_or(SealError::WrongKeyOrIdentity)?;
    crate::keys::key_from_slice(opened)
}

const fn sealed_len(layers: Layers) -> usize {
    HEADER_LEN + layers.count() as usize * LAYER_LEN
}
