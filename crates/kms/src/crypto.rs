//! The only door to the cryptographic library: randomness, SHA-256, and AES-256-GCM under single-use keys.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::digest::{Context, SHA256};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use aws_lc_rs::rand;
use zeroize::Zeroizing;

use crate::KmsError;

/// Length of every secret key in bytes.
pub(crate) const KEY_LEN: usize = 32;
/// Length of the salt that makes each sealing key fresh, in bytes.
pub(crate) const SALT_LEN: usize = 32;
/// Length of the AES-256-GCM tag in bytes.
pub(crate) const TAG_LEN: usize = 16;

/// A 256-bit secret that is wiped when dropped. On the heap, so that moving it leaves no copy behind.
pub(crate) struct SecretKey(Box<Zeroizing<[u8; KEY_LEN]>>);

impl SecretKey {
    /// A new key from the system's generator.
    pub(crate) fn random() -> Result<Self, KmsError> {
        let mut key = Self(Box::default());
        fill_random(key.0.as_mut_slice())?;
        Ok(key)
    }

    /// The key of these bytes, if there are exactly [`KEY_LEN`] of them.
    pub(crate) fn from_slice(bytes: &[u8]) -> Option<Self> {
        let mut key = Self(Box::default());
        if bytes.len() != KEY_LEN {
            return None;
        }
        key.0.copy_from_slice(bytes);
        Some(key)
    }

    /// The raw key, for sealing it into a key file. Never log it.
    pub(crate) fn expose(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// HKDF-SHA256 of this key: 32 bytes bound to `salt` and `info`.
    pub(crate) fn derive(&self, salt: &[u8], info: &[&[u8]]) -> Result<Self, KmsError> {
        let mut derived = Self(Box::default());
        let prk = Salt::new(HKDF_SHA256, salt).extract(self.expose());
        let okm = prk.expand(info, HKDF_SHA256).map_err(|_| failed("key derivation"))?;
        okm.fill(derived.0.as_mut_slice()).map_err(|_| failed("key derivation"))?;
        Ok(derived)
    }
}

/// A ciphertext with the salt of the key it was sealed under.
pub(crate) struct Sealed {
    /// Random, drawn for this ciphertext alone.
    pub(crate) salt: [u8; SALT_LEN],
    /// As long as the plaintext, and the tag.
    pub(crate) ciphertext: Vec<u8>,
}

/// Seals `plaintext` under HKDF(`key`, fresh random salt, `info`).
///
/// The salt is drawn here and nowhere else, so a derived key seals one plaintext in its life and the
/// all-zero nonce never repeats under a key.
pub(crate) fn seal(key: &SecretKey, info: &[&[u8]], aad: &[u8], plaintext: &[u8]) -> Result<Sealed, KmsError> {
    let salt = random_bytes::<SALT_LEN>()?;
    let cipher = cipher(&key.derive(&salt, info)?)?;
    let mut buffer = Zeroizing::new(Vec::with_capacity(plaintext.len() + TAG_LEN));
    buffer.extend_from_slice(plaintext);
    cipher.seal_in_place_append_tag(zero_nonce(), Aad::from(aad), &mut *buffer).map_err(|_| failed("encryption"))?;
    Ok(Sealed { salt, ciphertext: std::mem::take(&mut *buffer) })
}

/// What [`seal`] sealed, or nothing if any of the arguments differs.
pub(crate) fn open(key: &SecretKey, salt: &[u8], info: &[&[u8]], aad: &[u8], ciphertext: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let cipher = cipher(&key.derive(salt, info).ok()?).ok()?;
    let mut buffer = Zeroizing::new(ciphertext.to_vec());
    let len = cipher.open_in_place(zero_nonce(), Aad::from(aad), &mut buffer).ok()?.len();
    buffer.truncate(len);
    Some(buffer)
}

/// `N` bytes from the system's generator.
pub(crate) fn random_bytes<const N: usize>() -> Result<[u8; N], KmsError> {
    let mut bytes = [0; N];
    fill_random(&mut bytes)?;
    Ok(bytes)
}

/// Fills a buffer from the system's generator.
pub(crate) fn fill_random(buffer: &mut [u8]) -> Result<(), KmsError> {
    rand::fill(buffer).map_err(|_| failed("the random number generator"))
}

/// SHA-256 over the parts, each behind its length, so that no two lists of parts share a digest.
pub(crate) fn sha256_framed(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

fn cipher(key: &SecretKey) -> Result<LessSafeKey, KmsError> {
    UnboundKey::new(&AES_256_GCM, key.expose()).map(LessSafeKey::new).map_err(|_| failed("AES-256-GCM"))
}

/// Safe only because every derived key seals once: see [`seal`].
fn zero_nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

fn failed(what: &str) -> KmsError {
    KmsError::Broken(format!("{what} of the cryptographic library failed; this machine cannot run the KMS"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn derivation_is_hkdf_sha256() {
        // The RFC's own vectors have keys of 22 and 80 bytes; this value comes from another HMAC-SHA256.
        let key = SecretKey::from_slice(&[0x0b; 32]).unwrap();
        let derived = key.derive(&[1; 32], &[b"in", b"fo"]).unwrap();
        assert_eq!(derived.expose(), key.derive(&[1; 32], &[b"info"]).unwrap().expose());
        assert_eq!(hex(derived.expose()), EXPECTED_OKM);
    }

    const EXPECTED_OKM: &str = "cf686f2e5f3478646ae2541c11eb44cfb19fb4a91415ff44c3146fec0c4f596f";

    #[test]
    fn two_sealings_of_one_plaintext_share_neither_salt_nor_ciphertext() {
        let key = SecretKey::random().unwrap();
        let (a, b) = (seal(&key, &[b"i"], b"", &[7; 32]).unwrap(), seal(&key, &[b"i"], b"", &[7; 32]).unwrap());
        assert_ne!(a.salt, b.salt);
        assert_ne!(a.ciphertext, b.ciphertext);
        assert_eq!(open(&key, &a.salt, &[b"i"], b"", &a.ciphertext).unwrap().as_slice(), [7; 32]);
    }

    #[test]
    fn a_sealed_text_opens_only_with_its_own_key_salt_info_and_aad() {
        let key = SecretKey::random().unwrap();
        let sealed = seal(&key, &[b"info"], b"aad", b"text").unwrap();
        let other = SecretKey::random().unwrap();
        assert!(open(&key, &sealed.salt, &[b"info"], b"aad", &sealed.ciphertext).is_some());
        assert!(open(&other, &sealed.salt, &[b"info"], b"aad", &sealed.ciphertext).is_none());
        assert!(open(&key, &[0; SALT_LEN], &[b"info"], b"aad", &sealed.ciphertext).is_none());
        assert!(open(&key, &sealed.salt, &[b"inf"], b"aad", &sealed.ciphertext).is_none());
        assert!(open(&key, &sealed.salt, &[b"info"], b"", &sealed.ciphertext).is_none());
        assert!(open(&key, &sealed.salt, &[b"info"], b"aad", &sealed.ciphertext[1..]).is_none());
        assert!(open(&key, &sealed.salt, &[b"info"], b"aad", b"").is_none());
    }

    #[test]
    fn moving_a_byte_between_parts_changes_the_digest() {
        assert_ne!(sha256_framed(&[b"ab", b"c"]), sha256_framed(&[b"a", b"bc"]));
        assert_ne!(sha256_framed(&[b"ab"]), sha256_framed(&[b"ab", b""]));
    }

    fn hex(bytes: &[u8]) -> String {
        use std::fmt::Write;
        bytes.iter().fold(String::new(), |mut out, byte| {
            write!(out, "{byte:02x}").unwrap();
            out
        })
    }
}
