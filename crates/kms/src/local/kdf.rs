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
/// The most that is accepted: room for a later release to ask for more, and no more than a few seconds and 256 MiB for a file that was
/// made to cost. No release so far wrote anything but the values above.
const MAX_MEMORY_KIB: u32 = 256 << 10;
const MAX_ITERATIONS: u32 = 6;
const MAX_PARALLELISM: u32 = 8;

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
        self.check_cost()?;
        let salt = STANDARD.decode(&self.salt).ok().filter(|salt| salt.len() == SALT_LEN);
        let salt = salt.ok_or_else(|| invalid(&format!("the Argon2id salt is malformed: it has {SALT_LEN} bytes, in base64")))?;
        let params = Params::new(self.memory_kib, self.iterations, self.parallelism, Some(KEY_LEN)).map_err(|_| failed())?;
        let mut memory = Zeroizing::new(vec![Block::default(); params.block_count()]);
        let mut key = Zeroizing::new([0; KEY_LEN]);
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let done = argon2.hash_password_into_with_memory(passphrase.as_bytes(), &salt, key.as_mut_slice(), memory.as_mut_slice());
        done.ok().and_then(|()| SecretKey::from_slice(key.as_slice())).ok_or_else(failed)
    }

    /// Before any memory is taken.
    fn check_cost(&self) -> Result<(), KmsError> {
        for (name, found, least, most) in [
            ("memory_kib", self.memory_kib, MEMORY_KIB, MAX_MEMORY_KIB),
            ("iterations", self.iterations, ITERATIONS, MAX_ITERATIONS),
            ("parallelism", self.parallelism, 1, MAX_PARALLELISM),
        ] {
            if !(least..=most).contains(&found) {
                let text = format!("the Argon2id parameter {name} is {found}, and must be from {least} to {most}: the file was altered");
                return Err(KmsError::InvalidArgument(text));
            }
        }
        Ok(())
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
    fn weak_and_costly_parameters_are_refused_by_name_before_any_memory_is_taken() {
        let parameters = [
            (Argon2id { memory_kib: 65_535, ..fixed() }, "memory_kib is 65535, and must be from 65536 to 262144"),
            (Argon2id { memory_kib: 262_145, ..fixed() }, "memory_kib is 262145, and must be from 65536 to 262144"),
            (Argon2id { memory_kib: 4 << 20, ..fixed() }, "memory_kib is 4194304, and must be from 65536 to 262144"),
            (Argon2id { memory_kib: u32::MAX, ..fixed() }, "memory_kib is 4294967295, and must be from 65536 to 262144"),
            (Argon2id { iterations: 2, ..fixed() }, "iterations is 2, and must be from 3 to 6"),
            (Argon2id { iterations: 7, ..fixed() }, "iterations is 7, and must be from 3 to 6"),
            (Argon2id { parallelism: 0, ..fixed() }, "parallelism is 0, and must be from 1 to 8"),
            (Argon2id { parallelism: 9, ..fixed() }, "parallelism is 9, and must be from 1 to 8"),
        ];
        for (parameters, expected) in parameters {
            let Err(KmsError::InvalidArgument(text)) = parameters.derive("correct horse battery staple") else { panic!("{expected}") };
            assert_eq!(text, format!("the Argon2id parameter {expected}: the file was altered"));
        }
    }

    #[test]
    fn a_malformed_salt_is_refused() {
        for salt in [STANDARD.encode([7; 31]), "?".to_owned()] {
            let Err(KmsError::InvalidArgument(text)) = (Argon2id { salt, ..fixed() }).derive("correct horse battery staple") else {
                panic!()
            };
            assert_eq!(text, "the Argon2id salt is malformed: it has 32 bytes, in base64");
        }
    }
}
