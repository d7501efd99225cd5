use proptest::prelude::*;

use super::identity;
use crate::*;

const FIELDS: [&[u8]; 3] = [b"bucket", b"key", b"version"];
const KINDS: [RecordKind; 4] = [RecordKind::Version, RecordKind::Upload, RecordKind::Part, RecordKind::Document];

#[test]
fn a_record_opens_only_as_its_kind_in_its_row_under_its_store_key() {
    let key = StoreKey::generate().unwrap();
    for kind in KINDS {
        let sealed = key.seal_record(kind, &FIELDS, b"etag").unwrap();
        assert_eq!(sealed.len(), 1 + 32 + 4 + 16);
        assert_eq!(key.open_record(kind, &FIELDS, &sealed), Ok(b"etag".to_vec()));
        let rejected = Err(SealError::RecordRejected);
        for other in KINDS.into_iter().filter(|other| *other != kind) {
            assert_eq!(key.open_record(other, &FIELDS, &sealed), rejected);
        }
        let rows: [&[&[u8]]; 5] =
            [&[], &FIELDS[..2], &[b"bucket", b"version", b"key"], &[b"bucke", b"tkey", b"version"], &[b"bucket", b"key", b"version", b""]];
        for row in rows {
            assert_eq!(key.open_record(kind, row, &sealed), rejected);
        }
        assert_eq!(StoreKey::generate().unwrap().open_record(kind, &FIELDS, &sealed), rejected);
    }
}

#[test]
fn every_flipped_byte_of_a_record_is_seen() {
    let key = StoreKey::generate().unwrap();
    let sealed = key.seal_record(RecordKind::Version, &FIELDS, b"etag").unwrap();
    for at in 0..sealed.len() {
        let mut broken = sealed.clone();
        broken[at] ^= 0x80;
        let expected = if at == 0 { SealError::UnsupportedVersion(0x81) } else { SealError::RecordRejected };
        assert_eq!(key.open_record(RecordKind::Version, &FIELDS, &broken), Err(expected));
    }
    for len in 0..sealed.len() {
        let expected = if len < 33 { SealError::Malformed("record") } else { SealError::RecordRejected };
        assert_eq!(key.open_record(RecordKind::Version, &FIELDS, &sealed[..len]), Err(expected));
    }
}

#[test]
fn the_same_record_sealed_twice_has_another_key_and_ciphertext() {
    let key = StoreKey::generate().unwrap();
    let [a, b] = [(); 2].map(|()| key.seal_record(RecordKind::Part, &FIELDS, b"etag").unwrap());
    assert_ne!(a[1..33], b[1..33]);
    assert_ne!(a[33..], b[33..]);
}

#[test]
fn a_store_key_from_the_kms_opens_what_it_sealed() {
    let key = StoreKey::generate().unwrap();
    let again = StoreKey::from_slice(key.expose()).unwrap();
    let object_keys = ObjectKeys::generate(Layers::One);
    let sealed = object_keys.seal(Mode::Store, &key.external_keys(), &identity()).unwrap();
    assert!(sealed.open(&again.external_keys(), &identity()).is_ok());
    let record = key.seal_record(RecordKind::Version, &[], &[]).unwrap();
    assert_eq!(again.open_record(RecordKind::Version, &[], &record), Ok(vec![]));
}

#[test]
fn the_store_key_itself_is_no_external_key() {
    let key = StoreKey::generate().unwrap();
    let sealed = ObjectKeys::generate(Layers::One).seal(Mode::Store, &key.external_keys(), &identity()).unwrap();
    let itself = ExternalKeys::single(ExternalKey::from_slice(key.expose()).unwrap());
    assert_eq!(sealed.open(&itself, &identity()).err(), Some(SealError::WrongKeyOrIdentity));
}

proptest! {
    #[test]
    fn a_record_of_any_size_comes_back(plaintext in prop::collection::vec(any::<u8>(), 0..5000), field in prop::collection::vec(any::<u8>(), 0..1024)) {
        let key = StoreKey::generate().unwrap();
        let sealed = key.seal_record(RecordKind::Upload, &[&field], &plaintext).unwrap();
        prop_assert_eq!(key.open_record(RecordKind::Upload, &[&field], &sealed), Ok(plaintext));
    }
}
