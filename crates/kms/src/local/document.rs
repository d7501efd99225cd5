//! The bytes of a key file: an outer JSON that anyone may read, and in it the sealed record.

use std::io::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::record::KeyRecord;
use crate::crypto::{self, SALT_LEN, SecretKey};
use crate::{KmsError, resolve_key_id};

/// Tells a key file from any other JSON.
const FORMAT: &str = "strongroom-local-key";
/// The only version so far; files of a later one are left alone.
const VERSION: u32 = 1;
const KEY_FILE_DOMAIN: &[u8] = b"strongroom/kms/local/key-file/v1";
const MASTER_ID_DOMAIN: &[u8] = b"strongroom/kms/local/master-id/v1";

/// Why a key file could not be opened.
#[derive(Debug)]
pub(super) enum Defect {
    /// A later version of Strongroom wrote it.
    LaterVersion(u32),
    /// It says that it is sealed under another master key.
    OtherMaster,
    /// Anything else, in words for the operator.
    Damaged(&'static str),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Outer {
    format: String,
    version: u32,
    key_id: String,
    master_id: String,
    salt: String,
    sealed: String,
}

/// The two fields that every version has.
#[derive(Deserialize)]
struct Header {
    format: String,
    version: u32,
}

/// Seals the record of `key_id` into the bytes of its file.
pub(super) fn seal(master: &SecretKey, key_id: &str, record: &KeyRecord) -> Result<Vec<u8>, KmsError> {
    let plaintext = to_wiped_json(record)?;
    let sealed = crypto::seal(master, &[KEY_FILE_DOMAIN, key_id.as_bytes()], &aad(key_id), &plaintext)?;
    let outer = Outer {
        format: FORMAT.to_owned(),
        version: VERSION,
        key_id: key_id.to_owned(),
        master_id: master_id(master)?,
        salt: STANDARD.encode(sealed.salt),
        sealed: STANDARD.encode(sealed.ciphertext),
    };
    let mut file = serde_json::to_vec_pretty(&outer).map_err(|_| not_json())?;
    file.push(b'\n');
    Ok(file)
}

/// Opens the bytes of the file that is named after `key_id`.
pub(super) fn open(master: &SecretKey, key_id: &str, file: &[u8]) -> Result<KeyRecord, Defect> {
    let header: Header = serde_json::from_slice(file).map_err(|_| Defect::Damaged("it is cut short or no key file"))?;
    if header.format != FORMAT {
        return Err(Defect::Damaged("another program wrote it"));
    }
    if header.version > VERSION {
        return Err(Defect::LaterVersion(header.version));
    }
    if header.version != VERSION {
        return Err(Defect::Damaged("there is no such format version"));
    }
    let outer: Outer = serde_json::from_slice(file).map_err(|_| Defect::Damaged("its fields are not those of a key file"))?;
    if outer.key_id != key_id || resolve_key_id(key_id).ok() != Some(key_id) {
        return Err(Defect::Damaged("it holds another key than its name says"));
    }
    let (salt, ciphertext) = decode(&outer).ok_or(Defect::Damaged("its base64 is malformed"))?;
    let Some(plaintext) = crypto::open(master, &salt, &[KEY_FILE_DOMAIN, key_id.as_bytes()], &aad(key_id), &ciphertext) else {
        let same_master = master_id(master).is_ok_and(|id| id == outer.master_id);
        return Err(if same_master { Defect::Damaged("it was altered") } else { Defect::OtherMaster });
    };
    let record: KeyRecord = serde_json::from_slice(&plaintext).map_err(|_| Defect::Damaged("its sealed document is malformed"))?;
    if record.is_consistent() { Ok(record) } else { Err(Defect::Damaged("its sealed document contradicts itself")) }
}

/// A public fingerprint of the master key: tells a wrong master key from a damaged file.
pub(super) fn master_id(master: &SecretKey) -> Result<String, KmsError> {
    Ok(STANDARD.encode(&master.derive(&[], &[MASTER_ID_DOMAIN])?.expose()[..12]))
}

fn aad(key_id: &str) -> Vec<u8> {
    [KEY_FILE_DOMAIN, &VERSION.to_be_bytes(), key_id.as_bytes()].concat()
}

fn decode(outer: &Outer) -> Option<([u8; SALT_LEN], Vec<u8>)> {
    let salt = STANDARD.decode(&outer.salt).ok()?.try_into().ok()?;
    Some((salt, STANDARD.decode(&outer.sealed).ok()?))
}

/// JSON in one buffer of the right size from the start: a growing one would leave copies behind unwiped.
pub(super) fn to_wiped_json<T: Serialize>(value: &T) -> Result<Zeroizing<Vec<u8>>, KmsError> {
    let mut len = ByteCount(0);
    serde_json::to_writer(&mut len, value).map_err(|_| not_json())?;
    let mut buffer = Zeroizing::new(Vec::with_capacity(len.0));
    serde_json::to_writer(&mut *buffer, value).map_err(|_| not_json())?;
    Ok(buffer)
}

struct ByteCount(usize);

impl Write for ByteCount {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn not_json() -> KmsError {
    KmsError::Broken("a key could not be written as JSON".to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{KeyState, NewKey};
    use time::macros::datetime;

    fn sealed_file(master: &SecretKey) -> Vec<u8> {
        let record = KeyRecord::new(NewKey::default(), SecretKey::from_slice(&[0x5a; 32]).unwrap()).unwrap();
        seal(master, "a-key", &record).unwrap()
    }

    #[test]
    fn a_key_file_opens_to_what_was_sealed() {
        let master = SecretKey::random().unwrap();
        let record = open(&master, "a-key", &sealed_file(&master)).unwrap_or_else(|defect| panic!("{defect:?}"));
        assert_eq!(record.material(1).unwrap().expose(), [0x5a; 32]);
    }

    /// Made with Python's `cryptography` from `docs/kms/local.md` alone. Must open for ever.
    const GOLDEN: &[u8] = include_bytes!("../../vectors/golden.key.json");

    #[test]
    fn a_key_file_written_by_another_implementation_opens() {
        let bytes: Vec<u8> = (0..32).collect();
        let master = SecretKey::from_slice(&bytes).unwrap();
        let record = open(&master, "golden", GOLDEN).unwrap_or_else(|defect| panic!("{defect:?}"));
        let metadata = record.metadata("golden");
        assert_eq!((metadata.description.as_str(), metadata.tags["team"].as_str()), ("Schlüssel №1", "a"));
        assert_eq!((metadata.state, metadata.current_version), (KeyState::Sealed, 2));
        assert_eq!(metadata.created, datetime!(2025-01-02 03:04:05 UTC));
        assert_eq!(metadata.versions[1].created, datetime!(2025-02-03 04:05:06.789 UTC));
        assert_eq!(record.material(1).unwrap().expose(), [0x11; 32]);
        assert_eq!(record.material(2).unwrap().expose(), [0x22; 32]);
        let other = SecretKey::from_slice(&[9; 32]).unwrap();
        assert!(matches!(open(&other, "golden", GOLDEN), Err(Defect::OtherMaster)));
        assert!(String::from_utf8_lossy(GOLDEN).contains(&master_id(&master).unwrap()));
    }

    #[test]
    fn a_key_file_shows_neither_material_nor_state_in_clear() {
        let file = String::from_utf8(sealed_file(&SecretKey::random().unwrap())).unwrap();
        for secret in ["enabled", "material", STANDARD.encode([0x5a; 32]).as_str(), "ZZZZ"] {
            assert!(!file.contains(secret), "{secret}");
        }
    }

    #[test]
    fn no_byte_of_a_key_file_can_be_altered() {
        let master = SecretKey::random().unwrap();
        let file = sealed_file(&master);
        let original: serde_json::Value = serde_json::from_slice(&file).unwrap();
        for at in 0..file.len() {
            let mut altered = file.clone();
            altered[at] ^= 1;
            // White space between the fields carries nothing, and the master's fingerprint only words the error.
            let same = |value: serde_json::Value| {
                value
                    .as_object()
                    .is_some_and(|fields| fields.iter().all(|(name, field)| name == "master_id" || original.get(name) == Some(field)))
            };
            let harmless = serde_json::from_slice(&altered).is_ok_and(same);
            assert_eq!(open(&master, "a-key", &altered).is_ok(), harmless, "byte {at}");
        }
    }

    #[test]
    fn a_file_that_is_cut_renamed_or_later_is_told_apart_from_one_of_another_master() {
        let master = SecretKey::random().unwrap();
        let file = sealed_file(&master);
        for len in 0..file.len() - 2 {
            assert!(matches!(open(&master, "a-key", &file[..len]), Err(Defect::Damaged(_))), "{len}");
        }
        assert!(matches!(open(&master, "b-key", &file), Err(Defect::Damaged(_))));
        assert!(matches!(open(&SecretKey::random().unwrap(), "a-key", &file), Err(Defect::OtherMaster)));
        let later = String::from_utf8(file.clone()).unwrap().replace("\"version\": 1", "\"version\": 2");
        assert!(matches!(open(&master, "a-key", later.as_bytes()), Err(Defect::LaterVersion(2))));
        let renamed = String::from_utf8(file).unwrap().replace("a-key", "b-key");
        assert!(matches!(open(&master, "b-key", renamed.as_bytes()), Err(Defect::Damaged("it was altered"))));
    }
}
