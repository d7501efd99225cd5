//! Secret access keys in memory.

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::AccessError;

const MIN_BYTES: usize = 8;
const MAX_BYTES: usize = 128;

/// A secret access key: erased on drop, and without `Debug`, `Display` and `Clone`, so that it cannot end up in a log.
pub struct SecretKey(Zeroizing<String>);

impl SecretKey {
    /// 8 to 128 bytes without control characters (a line end that slipped in from a file is refused, not trimmed).
    pub fn new(secret: impl Into<Zeroizing<String>>) -> Result<Self, AccessError> {
        let secret = secret.into();
        if !(MIN_BYTES..=MAX_BYTES).contains(&secret.len()) {
            return Err(AccessError::SecretKeyLength { min_bytes: MIN_BYTES, max_bytes: MAX_BYTES });
        }
        if secret.chars().any(char::is_control) {
            return Err(AccessError::SecretKeyCharacters);
        }
        Ok(Self(secret))
    }

    /// That of nobody, which signs nothing.
    pub(crate) fn none() -> Self {
        Self(Zeroizing::new(String::new()))
    }

    /// The secret, for computing a signature. Never log it, never copy it into anything that is not erased.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether the candidate is the secret, in time that does not depend on where they differ.
    pub fn matches(&self, candidate: &str) -> bool {
        self.0.as_bytes().ct_eq(candidate.as_bytes()).into()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_has_8_to_128_bytes_and_no_control_characters() {
        for len in [0, 7, 129] {
            assert!(matches!(SecretKey::new("x".repeat(len)), Err(AccessError::SecretKeyLength { min_bytes: 8, max_bytes: 128 })));
        }
        for len in [8, 128] {
            assert_eq!(SecretKey::new("x".repeat(len)).unwrap().expose().len(), len);
        }
        assert!(matches!(SecretKey::new("12345678\n".to_owned()), Err(AccessError::SecretKeyCharacters)));
    }

    #[test]
    fn only_the_secret_matches() {
        let secret = SecretKey::new("correct horse".to_owned()).unwrap();
        assert!(secret.matches("correct horse"));
        assert!(!secret.matches("correct hors") && !secret.matches("correct horsf") && !secret.matches(""));
    }
}
