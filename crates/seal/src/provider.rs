//! The one place in this crate that names the cryptographic library. A build with the feature `fips` uses its validated module.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::{digest, hkdf, hmac, rand};
use zeroize::Zeroizing;

use crate::SealError;

/// Length of every key in bytes.
pub(crate) const KEY_LEN: usize = 32;
/// Length of an AES-GCM tag in bytes.
pub(crate) const TAG_LEN: usize = 16;
/// Length of an AES-GCM nonce in bytes.
pub(crate) const NONCE_LEN: usize = 12;
/// The nonce of keys that seal exactly once.
pub(crate) const ZERO_NONCE: [u8; NONCE_LEN] = [0; NONCE_LEN];

/// Secret bytes of a key, wiped when dropped.
pub(crate) type KeyBytes = Zeroizing<[u8; KEY_LEN]>;

/// `N` bytes from the system's random source, for ids and salts.
///
/// # Panics
/// If the random source fails: nothing that a store does is safe from then on.
pub fn random_array<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill_random(&mut bytes);
    bytes
}

/// A fresh random key, written in place so that no copy of it stays behind.
pub(crate) fn random_key() -> KeyBytes {
    let mut key = KeyBytes::default();
    fill_random(key.as_mut_slice());
    key
}

fn fill_random(bytes: &mut [u8]) {
    rand::fill(bytes).expect("the random source of the system works");
}

/// AES-256-GCM with its key schedule set up.
pub(crate) struct AeadKey(LessSafeKey);

impl AeadKey {
    pub(crate) fn new(key: &KeyBytes) -> Result<Self, SealError> {
        let key = UnboundKey::new(&AES_256_GCM, key.as_slice()).map_err(|_| SealError::Provider)?;
        Ok(Self(LessSafeKey::new(key)))
    }

    /// Encrypts in place and returns the tag. Never call it twice with the same nonce.
    pub(crate) fn seal_in_place(&self, nonce: [u8; NONCE_LEN], aad: &[u8], data: &mut [u8]) -> Result<[u8; TAG_LEN], SealError> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self.0.seal_in_place_separate_tag(nonce, Aad::from(aad), data).map_err(|_| SealError::Provider)?;
        tag.as_ref().try_into().map_err(|_| SealError::Provider)
    }

    /// Decrypts ciphertext and tag in place; none if they are not authentic. The plaintext is the front of the input.
    pub(crate) fn open_in_place<'a>(&self, nonce: [u8; NONCE_LEN], aad: &[u8], sealed: &'a mut [u8]) -> Option<&'a mut [u8]> {
        self.0.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(aad), sealed).ok()
    }
}

/// HKDF-SHA256 (RFC 5869), extract and expand at once.
pub(crate) fn hkdf(ikm: &[u8], salt: &[u8], info: &[u8]) -> Result<KeyBytes, SealError> {
    expand(&hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(ikm), info)
}

/// HKDF-SHA256 after the extract step, for what expands one key many times: the key's part of each HMAC is computed once.
pub(crate) struct Prk(hmac::Key);

impl Prk {
    /// HKDF-Extract, done now: the library's own `extract` would repeat it with every expansion.
    pub(crate) fn extract(ikm: &[u8], salt: &[u8]) -> Result<Self, SealError> {
        let mut prk = KeyBytes::default();
        let key = hmac::Key::new(hmac::HMAC_SHA256, salt);
        hmac::sign_to_buffer(&key, ikm, prk.as_mut_slice()).map_err(|_| SealError::Provider)?;
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, prk.as_slice())))
    }

    /// HKDF-Expand. A key is as long as the hash, so it is the first block (RFC 5869, 2.3): the HMAC of `info` and a byte of 1, which is
    /// appended here.
    pub(crate) fn expand(&self, info: &mut Vec<u8>) -> Result<KeyBytes, SealError> {
        let mut key = KeyBytes::default();
        info.push(1);
        hmac::sign_to_buffer(&self.0, info, key.as_mut_slice()).map_err(|_| SealError::Provider)?;
        Ok(key)
    }
}

fn expand(prk: &hkdf::Prk, info: &[u8]) -> Result<KeyBytes, SealError> {
    let mut key = KeyBytes::default();
    let okm = prk.expand(std::slice::from_ref(&info), hkdf::HKDF_SHA256).map_err(|_| SealError::Provider)?;
    okm.fill(key.as_mut_slice()).map_err(|_| SealError::Provider)?;
    Ok(key)
}

/// SHA-256.
pub(crate) fn sha256(data: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, data).as_ref());
    out
}

/// HMAC-SHA256.
pub(crate) fn hmac_sha256(key: &[u8], data: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data).as_ref());
    out
}
