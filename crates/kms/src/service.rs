//! The one joint between the store and a key management service: wrap and unwrap data keys.

use std::collections::BTreeMap;

use async_trait::async_trait;
use zeroize::Zeroizing;

use crate::KmsError;

/// Name/value pairs that a data key is bound to: unwrapping with any other context fails.
///
/// Source: AWS KMS encryption context; Vault Transit `associated_data`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EncryptionContext(pub BTreeMap<String, String>);

impl EncryptionContext {
    /// The bytes that stand for this context in additional authenticated data: for each pair, in the order of
    /// names, the name and the value, each behind its length as a 32-bit big-endian number. No two contexts
    /// share an encoding.
    pub fn canonical(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for text in self.0.iter().flat_map(|(name, value)| [name, value]) {
            // A header cannot carry 4 GiB, and nothing else makes contexts.
            let len = u32::try_from(text.len()).unwrap_or(u32::MAX);
            out.extend_from_slice(&len.to_be_bytes());
            out.extend_from_slice(text.as_bytes());
        }
        out
    }
}

/// How many key bytes one call generates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DataKeySpec {
    /// One AES-256 key, 32 bytes.
    Aes256,
    /// Two independent AES-256 keys in one wrapped blob, 64 bytes: DSSE-KMS, with a single unwrap per read.
    TwoAes256,
}

impl DataKeySpec {
    /// Length of the plaintext in bytes.
    pub const fn len_bytes(self) -> usize {
        match self {
            Self::Aes256 => 32,
            Self::TwoAes256 => 64,
        }
    }
}

/// A data key as the KMS wrapped it: safe to store beside the object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrappedKey {
    /// The backend that wrapped it (`local`, `vault`, …).
    pub backend: String,
    /// The master key, by the KMS's own id.
    pub key_id: String,
    /// The version of the master key, 1 for the first.
    pub key_version: u32,
    /// The backend's ciphertext.
    pub ciphertext: Vec<u8>,
}

/// A fresh data key: plaintext for use now, wrapped for storing.
pub struct DataKey {
    /// The plaintext, [`DataKeySpec::len_bytes`] bytes. Never log it, never store it.
    pub plaintext: Zeroizing<Vec<u8>>,
    /// The same key, wrapped.
    pub wrapped: WrappedKey,
}

/// Generates, unwraps and rewraps data keys. All that reading and writing objects needs of a KMS.
#[async_trait]
pub trait KeyService: Send + Sync + 'static {
    /// The backend's name, as it stands in [`WrappedKey::backend`].
    fn backend(&self) -> &str;

    /// The key's canonical id if the key can be used for encryption now: exists, enabled, not sealed, not waiting for deletion.
    async fn check_usable(&self, key_id: &str) -> Result<String, KmsError>;

    /// A new random data key under the present version of `key_id`, bound to `context`.
    async fn generate_data_key(&self, key_id: &str, spec: DataKeySpec, context: &EncryptionContext) -> Result<DataKey, KmsError>;

    /// The plaintext of a wrapped data key. Fails with [`KmsError::Rejected`] if the context differs or the ciphertext was altered.
    async fn unwrap_data_key(&self, wrapped: &WrappedKey, context: &EncryptionContext) -> Result<Zeroizing<Vec<u8>>, KmsError>;

    /// The same data key wrapped anew under the present version of its master key. The plaintext stays inside
    /// the backend where the backend can do so.
    async fn rewrap_data_key(&self, wrapped: &WrappedKey, context: &EncryptionContext) -> Result<WrappedKey, KmsError>;
}
