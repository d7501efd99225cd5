//! What `mc` encrypts with the secret key of who signs, and reads so encrypted: identities and their secrets.
//!
//! ```text
//! salt (32) ‖ kind (1) ‖ nonce (8) ‖ chunks of 16 KiB, each with a tag of 16 bytes
//! ```
//!
//! The key comes of secret and salt. The nonce of a chunk is the one in the head and the chunk's number from 1, as 32 bits in little endian; what is
//! authenticated with it is a byte, 0x80 in the last chunk and 0 before, and the tag of nothing under the nonce of the number 0.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use aws_lc_rs::aead::{AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::pbkdf2;
use zeroize::Zeroizing;

const SALT_BYTES: usize = 32;
const NONCE_BYTES: usize = 8;
const HEAD_BYTES: usize = SALT_BYTES + 1 + NONCE_BYTES;
const CHUNK_BYTES: usize = 16 << 10;
const TAG_BYTES: usize = 16;
const LAST: u8 = 0x80;

/// How the key comes of the secret: one pass over 64 MiB in four lanes.
const ARGON2_KIB: u32 = 64 << 10;
const ARGON2_PASSES: u32 = 1;
const ARGON2_LANES: u32 = 4;
/// Of clients in FIPS mode.
const PBKDF2_ROUNDS: std::num::NonZeroU32 = std::num::NonZeroU32::new(8192).unwrap();

/// What was sent is not what this secret encrypted.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotAuthentic;

/// Opens what a client sent. Derives a key: not on an async worker.
pub(super) fn open(secret: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, NotAuthentic> {
    let (head, mut rest) = sealed.split_at_checked(HEAD_BYTES).ok_or(NotAuthentic)?;
    let (salt, kind, nonce) = (&head[..SALT_BYTES], Kind::of(head[SALT_BYTES])?, &head[SALT_BYTES + 1..]);
    let stream = Stream::new(kind, secret, salt, nonce)?;
    let mut plain = Zeroizing::new(Vec::with_capacity(rest.len()));
    let mut number = 1;
    loop {
        let (chunk, after) = rest.split_at(rest.len().min(CHUNK_BYTES + TAG_BYTES));
        let mut chunk = Zeroizing::new(chunk.to_vec());
        let opened = stream.key.open_in_place(stream.nonce(number), Aad::from(stream.bound(after.is_empty())), &mut chunk);
        plain.extend_from_slice(opened.map_err(|_| NotAuthentic)?);
        if after.is_empty() {
            return Ok(plain);
        }
        (rest, number) = (after, number + 1);
    }
}

/// Seals what a client is to read, with a salt and a nonce of their own. Derives a key: not on an async worker.
pub(super) fn seal(secret: &str, plain: &[u8]) -> Result<Vec<u8>, NotAuthentic> {
    let (salt, nonce): ([u8; SALT_BYTES], [u8; NONCE_BYTES]) = (strongroom_seal::random_array(), strongroom_seal::random_array());
    let kind = Kind::Argon2Aes;
    let stream = Stream::new(kind, secret, &salt, &nonce)?;
    let mut sealed = [&salt[..], &[kind.byte()], &nonce].concat();
    let (mut rest, mut number) = (plain, 1);
    loop {
        let (chunk, after) = rest.split_at(rest.len().min(CHUNK_BYTES));
        let mut chunk = Zeroizing::new(chunk.to_vec());
        let tag = stream.key.seal_in_place_separate_tag(stream.nonce(number), Aad::from(stream.bound(after.is_empty())), &mut chunk);
        sealed.extend_from_slice(&chunk);
        sealed.extend_from_slice(tag.map_err(|_| NotAuthentic)?.as_ref());
        if after.is_empty() {
            return Ok(sealed);
        }
        (rest, number) = (after, number + 1);
    }
}

/// Which derivation and which cipher, as the head says.
#[derive(Clone, Copy)]
enum Kind {
    Argon2Aes,
    Argon2ChaCha,
    Pbkdf2Aes,
}

impl Kind {
    fn of(byte: u8) -> Result<Self, NotAuthentic> {
        match byte {
            0 => Ok(Self::Argon2Aes),
            1 => Ok(Self::Argon2ChaCha),
            2 => Ok(Self::Pbkdf2Aes),
            _ => Err(NotAuthentic),
        }
    }

    fn byte(self) -> u8 {
        match self {
            Self::Argon2Aes => 0,
            Self::Argon2ChaCha => 1,
            Self::Pbkdf2Aes => 2,
        }
    }

    fn derive(self, secret: &str, salt: &[u8]) -> Result<Zeroizing<[u8; 32]>, NotAuthentic> {
        let mut key = Zeroizing::new([0; 32]);
        match self {
            Self::Argon2Aes | Self::Argon2ChaCha => {
                let params = Params::new(ARGON2_KIB, ARGON2_PASSES, ARGON2_LANES, Some(32)).map_err(|_| NotAuthentic)?;
                let mut memory = Zeroizing::new(vec![Block::default(); params.block_count()]);
                let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
                let done = argon2.hash_password_into_with_memory(secret.as_bytes(), salt, key.as_mut_slice(), memory.as_mut_slice());
                done.map_err(|_| NotAuthentic)?;
            }
            Self::Pbkdf2Aes => pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, PBKDF2_ROUNDS, salt, secret.as_bytes(), key.as_mut_slice()),
        }
        Ok(key)
    }
}

/// The key of a message, and what binds its chunks together.
struct Stream {
    key: LessSafeKey,
    nonce: [u8; NONCE_BYTES],
    of_nothing: [u8; TAG_BYTES],
}

impl Stream {
    fn new(kind: Kind, secret: &str, salt: &[u8], nonce: &[u8]) -> Result<Self, NotAuthentic> {
        let algorithm = match kind {
            Kind::Argon2Aes | Kind::Pbkdf2Aes => &AES_256_GCM,
            Kind::Argon2ChaCha => &CHACHA20_POLY1305,
        };
        let key = UnboundKey::new(algorithm, &*kind.derive(secret, salt)?).map_err(|_| NotAuthentic)?;
        let nonce = nonce.try_into().map_err(|_| NotAuthentic)?;
        let mut stream = Self { key: LessSafeKey::new(key), nonce, of_nothing: [0; TAG_BYTES] };
        let tag = stream.key.seal_in_place_separate_tag(stream.nonce(0), Aad::empty(), &mut []);
        stream.of_nothing.copy_from_slice(tag.map_err(|_| NotAuthentic)?.as_ref());
        Ok(stream)
    }

    fn nonce(&self, number: u32) -> Nonce {
        let mut nonce = [0; NONCE_BYTES + 4];
        nonce[..NONCE_BYTES].copy_from_slice(&self.nonce);
        nonce[NONCE_BYTES..].copy_from_slice(&number.to_le_bytes());
        Nonce::assume_unique_for_key(nonce)
    }

    fn bound(&self, is_last: bool) -> [u8; 1 + TAG_BYTES] {
        let mut bound = [0; 1 + TAG_BYTES];
        bound[0] = if is_last { LAST } else { 0 };
        bound[1..].copy_from_slice(&self.of_nothing);
        bound
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::STANDARD};

    use super::*;

    const SECRET: &str = "a secret of tests";

    #[test]
    fn what_is_sealed_opens_with_the_same_secret_alone() {
        for length in [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES] {
            let plain: Vec<u8> = (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect();
            let sealed = seal(SECRET, &plain).unwrap();
            assert_eq!(sealed.len(), HEAD_BYTES + length + TAG_BYTES * length.div_ceil(CHUNK_BYTES).max(1));
            assert_eq!(*open(SECRET, &sealed).unwrap(), plain);
            assert_eq!(open("another secret", &sealed), Err(NotAuthentic));
        }
    }

    #[test]
    fn nothing_that_was_altered_cut_or_moved_opens() {
        let sealed = seal(SECRET, &vec![7; 2 * CHUNK_BYTES + 5]).unwrap();
        let chunk = CHUNK_BYTES + TAG_BYTES;
        for at in [0, SALT_BYTES, SALT_BYTES + 1, HEAD_BYTES, HEAD_BYTES + chunk, sealed.len() - 1] {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            assert_eq!(open(SECRET, &altered), Err(NotAuthentic), "{at}");
        }
        for length in [0, HEAD_BYTES - 1, HEAD_BYTES, HEAD_BYTES + chunk, HEAD_BYTES + 2 * chunk, sealed.len() - 1] {
            assert_eq!(open(SECRET, &sealed[..length]), Err(NotAuthentic), "{length}");
        }
        let moved =
            [&sealed[..HEAD_BYTES], &sealed[HEAD_BYTES + chunk..HEAD_BYTES + 2 * chunk], &sealed[HEAD_BYTES..HEAD_BYTES + chunk]].concat();
        assert_eq!(open(SECRET, &[&moved[..], &sealed[HEAD_BYTES + 2 * chunk..]].concat()), Err(NotAuthentic));
        assert_eq!(open(SECRET, &[&sealed[..], &[0]].concat()), Err(NotAuthentic));
    }

    /// Made with another implementation (cryptography of Python), one of each kind.
    #[test]
    fn what_another_implementation_sealed_opens() {
        for (sealed, plain) in VECTORS {
            assert_eq!(open(SECRET, &STANDARD.decode(sealed).unwrap()).unwrap().as_slice(), plain.as_bytes());
        }
    }

    const VECTORS: [(&str, &str); 3] = [
        (
            "K8mQBZRzRI5uvUQqoWv6oFZ6wD3QlIdr2x/YNKvkLB4AZI+OGToGwwe3JoDANzqJa7E3X9Y/XDLkoi1ZFPh2r4iSdVGAckP+0XGdQZE7RBeojl7AMAqusVIg0ep1kRczSpD20g==",
            r#"{"policies":["readonly"],"user":"somebody"}"#,
        ),
        (
            "3JDPB96QfMxkY2zt2zjlUqGg2YR0Ox82pEe3OHcBLDkBCngAlZFyLMiAxrrLUgDhGY2Q1pFpPjLCvtAi2e9xY5wrQDVS3SVeCdseT1tQjkw2q0vVlvZ+tj4/2gXKLwVrm4fdZKn4WOqlR/iNMkI=",
            r#"{"secretKey":"secret-of-somebody","status":"enabled"}"#,
        ),
        (
            "28RXmuKzqykyE/QruFJwbqmVw7XDmH+KqfquUASss88CYm4eO2k1xmrhi/jljNk3aPIolE8GuP9nLdhZcBv8vla4IiEHT4Lx8gHzaeFg8qAEUK+zNP3TnDKlu/Audkmj2oZ86aKGZbwb5/S/N3dDUIfD+AgJUMMpXqBw/LCZ3K+/cKPiKCsykCQU",
            r#"{"accessKey":"SOMEBODY","secretKey":"secret-of-somebody","targetUser":"somebody"}"#,
        ),
    ];
}
