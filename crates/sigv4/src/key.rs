//! Signing keys: derived from a secret, wiped when they are dropped.

use aws_lc_rs::hmac;
use zeroize::Zeroizing;

use crate::scope::{Scope, TERMINATOR};

/// The key that signs for one scope. aws-lc wipes its state when the key is dropped.
#[derive(Clone)]
pub(crate) struct SigningKey(hmac::Key);

impl SigningKey {
    pub(crate) fn derive(secret: &str, scope: &Scope) -> Self {
        let mut seed = Zeroizing::new(Vec::with_capacity(4 + secret.len()));
        seed.extend_from_slice(b"AWS4");
        seed.extend_from_slice(secret.as_bytes());
        let mut key = hmac::Key::new(hmac::HMAC_SHA256, &seed);
        for piece in [scope.date(), scope.region(), scope.service(), TERMINATOR] {
            let next = sign(&key, piece.as_bytes());
            key = hmac::Key::new(hmac::HMAC_SHA256, &*next);
        }
        Self(key)
    }

    /// In constant time.
    pub(crate) fn verify(&self, text: &[u8], signature: &[u8; 32]) -> bool {
        hmac::verify(&self.0, text, signature).is_ok()
    }

    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn sign(&self, text: &[u8]) -> Zeroizing<[u8; 32]> {
        sign(&self.0, text)
    }
}

fn sign(key: &hmac::Key, text: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut tag = Zeroizing::new([0; 32]);
    hmac::sign_to_buffer(key, text, &mut *tag).expect("the buffer is as long as the tag");
    tag
}

/// Whether it is a signature of version 2: the HMAC-SHA1 of the text under the secret itself. In constant time.
pub(crate) fn verify_sha1(secret: &str, text: &[u8], signature: &[u8]) -> bool {
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes()), text, signature).is_ok()
}

/// A signature as clients write it: 64 lower-case hexadecimal digits.
pub(crate) fn parse_signature(text: &[u8]) -> Option<[u8; 32]> {
    let mut signature = [0; 32];
    let is_lower = text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (is_lower && hex::decode_to_slice(text, &mut signature).is_ok()).then_some(signature)
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref());
    hash
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::scope::Credential;

    /// The example of AWS's general reference on deriving a key.
    #[test]
    fn the_key_of_the_documentation_is_derived() {
        let scope = Credential::parse("AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request").unwrap().scope;
        let key = SigningKey::derive("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", &scope);
        let text = "AWS4-HMAC-SHA256\n20150830T123600Z\n20150830/us-east-1/iam/aws4_request\n\
                    f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59";
        let signature = parse_signature(b"5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7").unwrap();
        assert!(key.verify(text.as_bytes(), &signature));
        assert!(!key.verify(&text.as_bytes()[1..], &signature));
    }

    #[test]
    fn a_signature_is_64_lower_case_digits() {
        assert!(parse_signature(&[b'a'; 64]).is_some());
        for text in [&[b'A'; 64][..], &[b'a'; 63], &[b'a'; 66], &[b'g'; 64], b""] {
            assert!(parse_signature(text).is_none());
        }
    }
}
