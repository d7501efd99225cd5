//! The bytes of a backup: every key of a directory, sealed as one. Specified in `docs/kms/local.md`.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::MAX_KEYS;
use super::document::to_wiped_json;
use super::kdf::Argon2id;
use super::record::KeyRecord;
use crate::crypto::{self, KEY_LEN, SALT_LEN, SecretKey};
use crate::key_id::check_well_formed;
use crate::{KmsError, Secret};

/// Longest bundle in bytes.
pub const MAX_BUNDLE_LEN: usize = 128 << 20;
const MAX_HEADER_LEN: usize = 1024;
const FORMAT: &str = "strongroom-key-bundle";
const VERSION: u32 = 1;
const DOMAIN: &[u8] = b"strongroom/kms/local/bundle/v1";

/// What a bundle is sealed under. Never the master key itself: a bundle is kept elsewhere.
pub enum BundleKey {
    /// At least 12 characters; each bundle has a salt of its own.
    Passphrase(Secret),
    /// 32 random bytes.
    Key(Zeroizing<[u8; KEY_LEN]>),
}

/// The first line of a bundle.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: String,
    version: u32,
    #[serde(with = "time::serde::rfc3339")]
    created: OffsetDateTime,
    /// None if the bundle is sealed under a key.
    argon2id: Option<Argon2id>,
}

/// The two members that every version has.
#[derive(Deserialize)]
struct AnyHeader {
    format: String,
    version: u32,
}

/// Every key by its id.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    keys: BTreeMap<String, KeyRecord>,
}

#[derive(Serialize)]
struct ContentRef<'a> {
    keys: BTreeMap<&'a str, &'a KeyRecord>,
}

/// Seals keys. Derives from a passphrase, so never on an async worker.
pub(super) fn seal(key: &BundleKey, keys: BTreeMap<&str, &KeyRecord>) -> Result<Vec<u8>, KmsError> {
    let argon2id = match key {
        BundleKey::Passphrase(_) => Some(Argon2id::fresh()?),
        BundleKey::Key(_) => None,
    };
    let header = Header { format: FORMAT.to_owned(), version: VERSION, created: OffsetDateTime::now_utc(), argon2id };
    let key = key.derive(header.argon2id.as_ref())?;
    let header = serde_json::to_vec(&header).map_err(|_| KmsError::Broken("the bundle's header is no JSON".to_owned()))?;
    let content = to_wiped_json(&ContentRef { keys })?;
    if content.len() + 2 * MAX_HEADER_LEN > MAX_BUNDLE_LEN {
        return Err(KmsError::InvalidArgument(format!("the keys make a bundle of more than {MAX_BUNDLE_LEN} bytes")));
    }
    let sealed = crypto::seal(&key, &[DOMAIN], &aad(&header), &content)?;
    Ok([&header, &b"\n"[..], &sealed.salt, &sealed.ciphertext].concat())
}

/// Opens a bundle. Derives from a passphrase, so never on an async worker.
pub(super) fn open(key: &BundleKey, bundle: &[u8]) -> Result<BTreeMap<String, KeyRecord>, KmsError> {
    if bundle.len() > MAX_BUNDLE_LEN {
        return Err(invalid("it is longer than any bundle"));
    }
    let end = bundle.iter().take(MAX_HEADER_LEN).position(|byte| *byte == b'\n').ok_or_else(not_a_bundle)?;
    let (line, rest) = (&bundle[..end], &bundle[end + 1..]);
    let header = read_header(line)?;
    let (salt, ciphertext) = rest.split_at_checked(SALT_LEN).ok_or_else(|| invalid("it is cut short"))?;
    let key = key.derive(header.argon2id.as_ref())?;
    let content = crypto::open(&key, salt, &[DOMAIN], &aad(line), ciphertext);
    let content = content.ok_or_else(|| invalid("the passphrase or key is wrong, or it was altered"))?;
    let content: Content = serde_json::from_slice(&content).map_err(|_| invalid("its content is malformed"))?;
    let is_sound = |(key_id, record): (&String, &KeyRecord)| check_well_formed(key_id).is_ok() && record.is_consistent();
    if content.keys.len() > MAX_KEYS || !content.keys.iter().all(is_sound) {
        return Err(invalid("its content contradicts itself"));
    }
    Ok(content.keys)
}

impl BundleKey {
    fn derive(&self, argon2id: Option<&Argon2id>) -> Result<SecretKey, KmsError> {
        match (self, argon2id) {
            (Self::Passphrase(passphrase), Some(argon2id)) => argon2id.derive(passphrase.expose()),
            (Self::Key(key), None) => SecretKey::from_slice(key.as_slice()).ok_or_else(|| invalid("the key must have 32 bytes")),
            (Self::Passphrase(_), None) => Err(invalid("it is sealed under a key, not a passphrase")),
            (Self::Key(_), Some(_)) => Err(invalid("it is sealed under a passphrase, not a key")),
        }
    }

    /// The key in base64, or nothing if it is no key of 32 bytes.
    pub fn from_base64(text: &Secret) -> Option<Self> {
        let bytes = Zeroizing::new(STANDARD.decode(text.expose().trim()).ok()?);
        let mut key = Zeroizing::new([0; KEY_LEN]);
        if bytes.len() != KEY_LEN {
            return None;
        }
        key.copy_from_slice(&bytes);
        Some(Self::Key(key))
    }
}

fn read_header(line: &[u8]) -> Result<Header, KmsError> {
    let any: AnyHeader = serde_json::from_slice(line).map_err(|_| not_a_bundle())?;
    if any.format != FORMAT {
        return Err(not_a_bundle());
    }
    if any.version != VERSION {
        return Err(invalid(&format!("it has format {}; use the newer Strongroom that wrote it", any.version)));
    }
    serde_json::from_slice(line).map_err(|_| invalid("its header is malformed"))
}

fn aad(header: &[u8]) -> Vec<u8> {
    [DOMAIN, header].concat()
}

fn not_a_bundle() -> KmsError {
    invalid("it is no key bundle")
}

fn invalid(why: &str) -> KmsError {
    KmsError::InvalidArgument(format!("the bundle cannot be opened: {why}"))
}
