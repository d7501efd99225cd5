use proptest::prelude::*;
use strongroom_ids::{BucketId, VersionId};

use super::{BUCKET, VERSION, assert_not_impl, external_keys, identity};
use crate::*;

assert_not_impl!(ExternalKey, Clone);
assert_not_impl!(ExternalKey, std::fmt::Debug);
assert_not_impl!(ExternalKeys, Clone);
assert_not_impl!(ExternalKeys, std::fmt::Debug);
assert_not_impl!(ObjectKeys, Clone);
assert_not_impl!(ObjectKeys, std::fmt::Debug);
assert_not_impl!(StoreKey, Clone);
assert_not_impl!(StoreKey, std::fmt::Debug);
assert_not_impl!(PartSealer, std::fmt::Debug);
assert_not_impl!(PartOpener, std::fmt::Debug);
assert_not_impl!(OfflineObject, std::fmt::Debug);

fn key_bytes(keys: &ObjectKeys) -> Vec<[u8; 32]> {
    keys.iter().map(|key| **key).collect()
}

#[test]
fn the_codes_of_the_modes_never_change() {
    let codes = [(Mode::Store, 0), (Mode::SseS3, 1), (Mode::SseKms, 2), (Mode::DsseKms, 3), (Mode::SseC, 4)];
    for (mode, code) in codes {
        assert_eq!(mode.as_u8(), code);
        assert_eq!(Mode::try_from(code), Ok(mode));
        assert_eq!(mode.layers(), if mode == Mode::DsseKms { Layers::Two } else { Layers::One });
    }
    assert_eq!(Mode::try_from(5), Err(SealError::Malformed("mode")));
}

#[test]
fn the_layers_have_independent_keys() {
    let keys = key_bytes(&ObjectKeys::generate(Layers::Two));
    assert_eq!(keys.len(), 2);
    assert_ne!(keys[0], keys[1]);
    assert_ne!(key_bytes(&ObjectKeys::generate(Layers::One)), key_bytes(&ObjectKeys::generate(Layers::One)));
}

#[test]
fn sealed_keys_open_only_for_the_identity_they_were_sealed_for() {
    for mode in Mode::ALL {
        let keys = ObjectKeys::generate(mode.layers());
        let external = external_keys(mode.layers(), 7);
        let sealed = keys.seal(mode, &external, &identity()).unwrap();
        assert_eq!(key_bytes(&sealed.open(&external, &identity()).unwrap()), key_bytes(&keys));

        for wrong in [
            ObjectIdentity { bucket_id: BucketId([1; 16]), ..identity() },
            ObjectIdentity { key: "photos/cat.jp", ..identity() },
            ObjectIdentity { version_id: VersionId([2; 16]), ..identity() },
            ObjectIdentity { bucket_id: BucketId(VERSION.0), version_id: VersionId(BUCKET.0), ..identity() },
        ] {
            assert_eq!(sealed.open(&external, &wrong).err(), Some(SealError::WrongKeyOrIdentity));
        }
        let other_key = external_keys(mode.layers(), 8);
        assert_eq!(sealed.open(&other_key, &identity()).err(), Some(SealError::WrongKeyOrIdentity));
    }
}

#[test]
fn each_of_the_two_external_keys_is_needed() {
    let key = |seed| ExternalKey::from_bytes([seed; 32]);
    let sealed = ObjectKeys::generate(Layers::Two).seal(Mode::DsseKms, &ExternalKeys::double(key(1), key(2)), &identity()).unwrap();
    for (inner, outer) in [(1, 3), (3, 2), (2, 1)] {
        let wrong = ExternalKeys::double(key(inner), key(outer));
        assert_eq!(sealed.open(&wrong, &identity()).err(), Some(SealError::WrongKeyOrIdentity));
    }
    assert_eq!(sealed.open(&ExternalKeys::single(key(1)), &identity()).err(), Some(SealError::LayerMismatch));
}

#[test]
fn every_flipped_byte_of_sealed_keys_is_seen() {
    for mode in Mode::ALL {
        let external = external_keys(mode.layers(), 7);
        let sealed = ObjectKeys::generate(mode.layers()).seal(mode, &external, &identity()).unwrap();
        assert_eq!(sealed.as_bytes().len(), if mode == Mode::DsseKms { 164 } else { 84 });
        for at in 4..sealed.as_bytes().len() {
            let mut bytes = sealed.as_bytes().to_vec();
            bytes[at] ^= 1;
            let broken = SealedObjectKeys::parse(&bytes).unwrap();
            assert_eq!(broken.open(&external, &identity()).err(), Some(SealError::WrongKeyOrIdentity), "byte {at}");
        }
        for other in Mode::ALL.into_iter().filter(|other| *other != mode) {
            let mut bytes = sealed.as_bytes().to_vec();
            bytes[2] = other.as_u8();
            let opened = SealedObjectKeys::parse(&bytes).and_then(|broken| broken.open(&external, &identity()));
            let expected = if other.layers() == mode.layers() { SealError::WrongKeyOrIdentity } else { SealError::LayerMismatch };
            assert_eq!(opened.err(), Some(expected));
        }
    }
}

#[test]
fn sealing_the_same_keys_twice_shares_no_byte_of_ciphertext() {
    let keys = ObjectKeys::generate(Layers::One);
    let [a, b] = [(); 2].map(|()| keys.seal(Mode::SseC, &external_keys(Layers::One, 7), &identity()).unwrap());
    assert_ne!(a.as_bytes()[4..36], b.as_bytes()[4..36]);
    assert_ne!(a.as_bytes()[36..], b.as_bytes()[36..]);
}

#[test]
fn one_layer_cannot_be_resealed_as_two() {
    let (one, two) = (ObjectKeys::generate(Layers::One), ObjectKeys::generate(Layers::Two));
    let seal = |keys: &ObjectKeys, mode, layers| keys.seal(mode, &external_keys(layers, 1), &identity()).err();
    assert_eq!(seal(&one, Mode::DsseKms, Layers::Two), Some(SealError::LayerMismatch));
    assert_eq!(seal(&two, Mode::SseKms, Layers::One), Some(SealError::LayerMismatch));
    assert_eq!(seal(&two, Mode::SseKms, Layers::Two), Some(SealError::LayerMismatch));
    assert_eq!(seal(&one, Mode::SseKms, Layers::Two), Some(SealError::LayerMismatch));
}

#[test]
fn a_data_key_must_have_the_length_that_the_mode_demands() {
    let len = |mode, len| ExternalKeys::from_data_key(mode, &vec![1; len]).map(|keys| keys.layers());
    assert_eq!(len(Mode::SseKms, 32), Ok(Layers::One));
    assert_eq!(len(Mode::DsseKms, 64), Ok(Layers::Two));
    for (mode, expected_bytes, actual_bytes) in [(Mode::SseKms, 32, 64), (Mode::DsseKms, 64, 32), (Mode::SseC, 32, 0)] {
        assert_eq!(len(mode, actual_bytes), Err(SealError::KeyLength { expected_bytes, actual_bytes }));
    }
    let short = SealError::KeyLength { expected_bytes: 32, actual_bytes: 31 };
    assert_eq!(ExternalKey::from_slice(&[0; 31]).err(), Some(short.clone()));
    assert_eq!(StoreKey::from_slice(&[0; 31]).err(), Some(short));
}

#[test]
fn a_key_check_tells_one_key_from_another() {
    let check = key_check(&[1; 16], &[2; 32]);
    assert!(verify_key_check(&[1; 16], &[2; 32], &check));
    assert!(!verify_key_check(&[1; 16], &[3; 32], &check));
    assert!(!verify_key_check(&[2; 16], &[2; 32], &check));
}

#[test]
fn hkdf_is_that_of_rfc_5869() {
    let (ikm, salt, info) = ([0x0b; 22], hex::decode("000102030405060708090a0b0c").unwrap(), hex::decode("f0f1f2f3f4f5f6f7f8f9").unwrap());
    let okm = "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf";
    assert_eq!(hex::encode(*provider::hkdf(&ikm, &salt, &info).unwrap()), okm);
    assert_eq!(hex::encode(*provider::Prk::extract(&ikm, &salt).unwrap().expand(&mut info.clone()).unwrap()), okm);
}

#[test]
fn random_bytes_do_not_repeat() {
    assert_ne!(random_array::<16>(), random_array::<16>());
}

fn any_mode() -> impl Strategy<Value = Mode> {
    prop::sample::select(Mode::ALL.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_reseal_opens_the_same_data_under_the_new_key_and_no_longer_under_the_old(
        from in any_mode(),
        to in any_mode(),
        old_key in "[a-z/é]{1,40}",
        new_key in "[a-z/é]{1,40}",
        new_version in any::<[u8; 16]>(),
    ) {
        let old = ObjectIdentity { key: &old_key, ..identity() };
        let new = ObjectIdentity { key: &new_key, version_id: VersionId(new_version), ..identity() };
        let (old_external, new_external) = (external_keys(from.layers(), 1), external_keys(to.layers(), 2));
        let keys = ObjectKeys::generate(from.layers());
        let (salt, blob) = seal_part(&keys, 1, b"the data").unwrap();
        let opened = keys.seal(from, &old_external, &old).unwrap().open(&old_external, &old).unwrap();

        let resealed = opened.seal(to, &new_external, &new);
        if from.layers() != to.layers() {
            prop_assert_eq!(resealed.err(), Some(SealError::LayerMismatch));
            return Ok(());
        }
        let resealed = SealedObjectKeys::parse(resealed.unwrap().as_bytes()).unwrap();
        prop_assert_eq!(resealed.mode(), to);
        prop_assert_eq!(resealed.open(&old_external, &new).err(), Some(SealError::WrongKeyOrIdentity));
        prop_assert_eq!(resealed.open(&new_external, &old).err(), Some(SealError::WrongKeyOrIdentity));
        let reopened = resealed.open(&new_external, &new).unwrap();
        let opener = PartOpener::new(&reopened, 1, &salt, 8).unwrap();
        prop_assert_eq!(opener.open_blob(blob.as_slice().into()).unwrap().concat(), b"the data");
    }
}
