//! Keys from passphrases: Argon2id, RFC 9106.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::KmsError;
use crate::crypto::{self, KEY_LEN, SecretKey};

/// Shortest passphrase, in characters.
pub const MIN_PASSPHRASE_CHARS: usize = 12;
/// Longest passphrase, in bytes.
const MAX_PASSPHRASE_LEN: usize = 1024;
const SALT_LEN: usize = 32;
/// What new keys are derived with, and the least that is accepted. Source: RFC 9106, section 4, second recommended option.
const MEMORY_KIB: u32 = 64 << 10;
const ITERATIONS: u32 = 3;
const PARALLELISM: u32 = 4;
/// The most that is accepted, so that a file from elsewhere cannot take the machine down.
const MAX_MEMORY_KIB: u32 = 1 << 20;
const MAX_ITERATIONS: u32 = 20;
const MAX_PARALLELISM: u32 = 64;

/// How a key is derived from a passphrase. Nothing in it is secret.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Argon2id {
    memory_kib: u32,
    iterations: u32,
    parallelism: u32,
    /// In base64.
    salt: String,
}

impl Argon2id {
    /// With a salt of its own.
    pub(super) fn fresh() -> Result<Self, KmsError> {
        let salt = STANDARD.encode(crypto::random_bytes::<SALT_LEN>()?);
        Ok(Self { memory_kib: MEMORY_KIB, iterations: ITERATIONS, parallelism: PARALLELISM, salt })
    }

    /// The key. Takes some tenths of a second and 64 MiB: never on an async worker. [`KmsError::InvalidArgument`] if the passphrase or
    /// the parameters are not acceptable.
    pub(super) fn derive(&self, passphrase: &str) -> Result<SecretKey, KmsError> {
        check_passphrase(passphrase)?;
        let salt = STANDARD.decode(&self.salt).ok().filter(|salt| salt.len() == SALT_LEN && self.is_acceptable());
        let salt = salt.ok_or_else(|| invalid("the Argon2id parameters are malformed, too weak or too costly"))?;
        let params = Params::new(self.memory_kib, self.iterations, self.parallelism, Some(KEY_LEN)).map_err(|_| failed())?;
        let mut memory = Zeroizing::new(vec![Block::default(); params.block_count()]);
        let mut key = Zeroizing::new([0; KEY_LEN]);
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let done = argon2.hash_password_into_with_memory(passphrase.as_bytes(), &salt, key.as_mut_slice(), memory.as_mut_slice());
        done.ok().and_then(|()| SecretKey::from_slice(key.as_slice())).ok_or_else(failed)
    }

    fn is_acceptable(&self) -> bool {
        (MEMORY_KIB..=MAX_MEMORY_KIB).contains(&self.memory_kib)
            && (ITERATIONS..=MAX_ITERATIONS).contains(&self.iterations)
            && (1..=MAX_PARALLELISM).contains(&self.parallelism)
    }
}

/// Refuses passphrases that are easy to try out.
pub(super) fn check_passphrase(passphrase: &str) -> Result<(), KmsError> {
    if passphrase.chars().count() < MIN_PASSPHRASE_CHARS {
        return Err(KmsError::InvalidArgument(format!("a passphrase has at least {MIN_PASSPHRASE_CHARS} characters")));
    }
    if passphrase.len() > MAX_PASSPHRASE_LEN {
        return Err(KmsError::InvalidArgument(format!("a passphrase has at most {MAX_PASSPHRASE_LEN} bytes")));
    }
    Ok(())
}

fn invalid(text: &str) -> KmsError {
    KmsError::InvalidArgument(text.to_owned())
}

fn failed() -> KmsError {
    KmsError::Broken("Argon2id failed; this machine cannot derive a key from a passphrase".to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn fixed() -> Argon2id {
        Argon2id { memory_kib: 65_536, iterations: 3, parallelism: 4, salt: STANDARD.encode([7; 32]) }
    }

    /// The expected key comes from the Argon2id of OpenSSL, by Python's `cryptography`.
    #[test]
    fn derivation_is_argon2id_with_the_second_recommended_option_of_rfc_9106() {
        let key = fixed().derive("correct horse battery staple").unwrap();
        assert_eq!(STANDARD.encode(key.expose()), "2kMQd7QZwDuKCkVJLTY4QKmoRAF5m4+4RGDiIWDg1FI=");
        let Argon2id { memory_kib, iterations, parallelism, .. } = Argon2id::fresh().unwrap();
        assert_eq!((memory_kib, iterations, parallelism), (64 * 1024, 3, 4));
    }

    #[test]
    fn short_and_endless_passphrases_are_refused() {
        for passphrase in ["", "elevenchars", "ünïcödé-11c", &"x".repeat(1025)] {
            assert!(matches!(fixed().derive(passphrase), Err(KmsError::InvalidArgument(_))), "{passphrase}");
        }
        check_passphrase("ünïcödé-12ch").unwrap();
    }

    #[test]
    fn weak_costly_and_malformed_parameters_are_refused() {
        let parameters = [
            Argon2id { memory_kib: 65_535, ..fixed() },
            Argon2id { memory_kib: u32::MAX, ..fixed() },
            Argon2id { iterations: 2, ..fixed() },
            Argon2id { iterations: 21, ..fixed() },
            Argon2id { parallelism: 0, ..fixed() },
            Argon2id { parallelism: 65, ..fixed() },
            Argon2id { salt: STANDARD.encode([7; 31]), ..fixed() },
            Argon2id { salt: "?".to_owned(), ..fixed() },
        ];
        for parameters in parameters {
            let answer = parameters.derive("correct horse battery staple");
            assert!(matches!(answer, Err(KmsError::InvalidArgument(text)) if text.contains("Argon2id")));
        }
    }
}
