//! The key that signs the log's checkpoints and erasure receipts, and the key that checks them: Ed25519, RFC 8032.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// The DER of a SubjectPublicKeyInfo up to the 32 bytes of the key. Source: RFC 8410, section 4.
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
const PEM_BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const PEM_END: &str = "-----END PUBLIC KEY-----";

/// Why a key could not be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The text is neither 64 hexadecimal digits nor the PEM of an Ed25519 public key.
    #[error("not an Ed25519 public key: give 64 hexadecimal digits, or PEM")]
    Malformed,
    /// The cryptographic library refuses the seed.
    #[error("the cryptographic library refuses the seed of the signing key")]
    BadSeed,
}

/// Signs. Whoever has it can rewrite the log unseen, so the caller keeps its seed sealed.
#[derive(Clone)]
pub struct SigningKey(Arc<Ed25519KeyPair>);

impl SigningKey {
    /// The key pair of a seed: 32 random bytes that the caller keeps.
    #[allow(clippy::needless_pass_by_value, reason = "taking the seed over wipes it here")]
    pub fn from_seed(seed: Zeroizing<[u8; 32]>) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_slice()).map_err(|_| KeyError::BadSeed)?;
        Ok(Self(Arc::new(pair)))
    }

    /// The key that checks what this one signs.
    pub fn public_key(&self) -> PublicKey {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.0.public_key().as_ref());
        PublicKey(bytes)
    }

    /// The signature, in hexadecimal digits.
    pub(crate) fn sign(&self, message: &[u8]) -> String {
        hex::encode(self.0.sign(message))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SigningKey(redacted, public key {})", self.public_key().to_hex())
    }
}

/// Checks signatures. No secret: keep a copy where the log's disk cannot change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// 64 lower-case hexadecimal digits, as they stand in checkpoints and receipts.
    pub fn to_hex(&self) -> String {
        hex::encode(self.0)
    }

    /// A SubjectPublicKeyInfo in PEM, as `openssl pkey -pubin` takes it.
    pub fn to_pem(&self) -> String {
        format!("{PEM_BEGIN}\n{}\n{PEM_END}\n", STANDARD.encode([&SPKI_PREFIX[..], &self.0].concat()))
    }

    /// Reads what [`Self::to_hex`] or [`Self::to_pem`] gave.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        let bytes = match text.strip_prefix(PEM_BEGIN).and_then(|rest| rest.strip_suffix(PEM_END)) {
            None => hex::decode(text).ok(),
            Some(body) => STANDARD.decode(body.split_whitespace().collect::<String>()).ok(),
        };
        let bytes = bytes.as_deref().map(|bytes| bytes.strip_prefix(&SPKI_PREFIX).unwrap_or(bytes));
        bytes.and_then(|bytes| bytes.try_into().ok()).map(Self).ok_or(KeyError::Malformed)
    }

    /// Whether `signature`, in hexadecimal digits, is this key's over `message`.
    pub(crate) fn verifies(&self, message: &[u8], signature: &str) -> bool {
        hex::decode(signature).is_ok_and(|signature| UnparsedPublicKey::new(&ED25519, &self.0).verify(message, &signature).is_ok())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// RFC 8032, section 7.1, test 2.
    #[test]
    fn signatures_are_ed25519() {
        let seed: [u8; 32] = hex::decode("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb").unwrap().try_into().unwrap();
        let key = SigningKey::from_seed(Zeroizing::new(seed)).unwrap();
        assert_eq!(key.public_key().to_hex(), "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
        let signature = key.sign(&[0x72]);
        assert!(signature.starts_with("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"));
        assert!(key.public_key().verifies(&[0x72], &signature));
        assert!(!key.public_key().verifies(&[0x73], &signature));
    }

    #[test]
    fn a_public_key_reads_back_from_hex_and_pem_and_nothing_else() {
        let key = SigningKey::from_seed(Zeroizing::new([7; 32])).unwrap().public_key();
        assert_eq!(PublicKey::parse(&key.to_hex()).unwrap(), key);
        assert_eq!(PublicKey::parse(&key.to_pem()).unwrap(), key);
        assert_eq!(PublicKey::parse(&format!("\n{} \r\n", key.to_hex())).unwrap(), key);
        for text in ["", "00", &key.to_hex()[1..], &format!("{PEM_BEGIN}\nAAAA\n{PEM_END}")] {
            assert!(matches!(PublicKey::parse(text), Err(KeyError::Malformed)), "{text}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let key = SigningKey::from_seed(Zeroizing::new([7; 32])).unwrap();
        assert_eq!(format!("{key:?}"), format!("SigningKey(redacted, public key {})", key.public_key().to_hex()));
    }
}
