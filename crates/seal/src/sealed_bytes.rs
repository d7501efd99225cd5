//! The proof, carried by a type, that bytes are ciphertext.

/// Bytes that a sealer of this crate produced: a piece of a sealed part.
///
/// Nothing outside this crate can make one, and the blob writer takes nothing else, so plaintext cannot
/// reach the disk by mistake.
#[derive(Debug, Default)]
pub struct SealedBytes(Vec<u8>);

impl SealedBytes {
    /// Never call this with bytes that did not come out of the AEAD (or are not a blob header).
    pub(crate) fn new(ciphertext: Vec<u8>) -> Self {
        Self(ciphertext)
    }

    /// The ciphertext.
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }

    /// Length of the ciphertext in bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no byte in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Gives the ciphertext up, for storing it inline.
    pub fn into_vec(self) -> Vec<u8> {
        self.0
    }
}
