use bytes::BytesMut;
use strongroom_ids::BlobId;

use super::plaintext;
use crate::*;

const LEN: usize = 2 * CHUNK_LEN + 5;

/// A part in a blob of its own, and that blob.
fn sealed(keys: &ObjectKeys, number: u16, seed: u8) -> (ManifestPart, Vec<u8>) {
    let (salt, blob) = seal_part(keys, number, &plaintext(seed, LEN)).unwrap();
    (ManifestPart { number, plaintext_len: LEN as u64, salt, blob: BlobId([seed; 16]), shared: None }, blob.into_vec())
}

fn open(keys: &ObjectKeys, part: &ManifestPart, blob: &[u8]) -> Result<Vec<u8>, SealError> {
    Ok(PartOpener::of(keys, part)?.open_blob(BytesMut::from(blob))?.concat())
}

#[test]
fn a_shared_part_opens_with_the_keys_of_its_object_and_with_no_others() {
    for layers in [Layers::One, Layers::Two] {
        let [source, target, third] = [0; 3].map(|_| ObjectKeys::generate(layers));
        let (part, blob) = sealed(&source, 3, 1);
        let shared = part.share(&source, 7, &target).unwrap();
        assert_eq!((shared.number, shared.plaintext_len, shared.salt, shared.blob), (7, LEN as u64, part.salt, part.blob));
        assert!(open(&target, &shared, &blob).unwrap() == plaintext(1, LEN));
        assert_eq!(open(&source, &shared, &blob), Err(SealError::SharedPart));
        assert_eq!(open(&third, &shared, &blob), Err(SealError::SharedPart));
        // The part that was shared is what it was.
        assert!(open(&source, &part, &blob).unwrap() == plaintext(1, LEN));
        assert_eq!(open(&target, &part, &blob), Err(SealError::Tampered { chunk: 0 }));
    }
}

#[test]
fn a_shared_part_can_be_shared_again() {
    for layers in [Layers::One, Layers::Two] {
        let [first, second, third] = [0; 3].map(|_| ObjectKeys::generate(layers));
        let (part, blob) = sealed(&first, 3, 1);
        let again = part.share(&first, 7, &second).unwrap().share(&second, 1, &third).unwrap();
        assert!(open(&third, &again, &blob).unwrap() == plaintext(1, LEN));
        assert_eq!(ManifestPart::from_bytes(&again.to_bytes()), Ok(again));
    }
}

#[test]
fn one_blob_may_be_two_parts_of_one_object() {
    let (source, target) = (ObjectKeys::generate(Layers::One), ObjectKeys::generate(Layers::One));
    let (part, blob) = sealed(&source, 1, 1);
    let [one, two] = [1, 2].map(|number| part.share(&source, number, &target).unwrap());
    // Sealed under salts of their own: the two keys share no (key, nonce) pair.
    assert_ne!(one.to_bytes()[61..], two.to_bytes()[61..]);
    let manifest = Manifest::decode(&Manifest::new(vec![one, two]).unwrap().encode()).unwrap();
    for part in manifest.parts() {
        assert!(open(&target, part, &blob).unwrap() == plaintext(1, LEN));
    }
    assert_eq!(manifest.total_len(), 2 * LEN as u64);
}

#[test]
fn every_altered_byte_of_a_shared_part_is_noticed() {
    for layers in [Layers::One, Layers::Two] {
        let (source, target) = (ObjectKeys::generate(layers), ObjectKeys::generate(layers));
        let (part, blob) = sealed(&source, 3, 1);
        let bytes = part.share(&source, 7, &target).unwrap().to_bytes();
        for at in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[at] ^= 1;
            let opened = ManifestPart::from_bytes(&altered).and_then(|part| open(&target, &part, &blob));
            assert!(opened.is_err(), "byte {at}");
        }
        for len in 0..bytes.len() {
            assert!(ManifestPart::from_bytes(&bytes[..len]).is_err());
        }
        assert_eq!(ManifestPart::from_bytes(&[&bytes[..], &[0]].concat()), Err(SealError::Malformed("manifest")));
    }
}

#[test]
fn a_shared_part_has_no_other_blob_place_or_length() {
    let (source, target) = (ObjectKeys::generate(Layers::One), ObjectKeys::generate(Layers::One));
    let ((part, blob), (other, other_blob)) = (sealed(&source, 1, 1), sealed(&source, 1, 2));
    let shared = part.share(&source, 1, &target).unwrap();
    let other = other.share(&source, 1, &target).unwrap();
    // Blobs of the same object, number and length.
    assert_eq!(open(&target, &shared, &other_blob), Err(SealError::WrongPart));
    let headed = [&blob[..BLOB_HEADER_LEN], &other_blob[BLOB_HEADER_LEN..]].concat();
    assert_eq!(open(&target, &shared, &headed), Err(SealError::Tampered { chunk: 0 }));
    for altered in [
        ManifestPart { number: 2, ..shared.clone() },
        ManifestPart { plaintext_len: 5, ..shared.clone() },
        ManifestPart { blob: other.blob, ..shared.clone() },
        ManifestPart { salt: other.salt, ..shared.clone() },
        ManifestPart { shared: other.shared.clone(), ..shared.clone() },
    ] {
        assert_eq!(open(&target, &altered, &blob), Err(SealError::SharedPart));
    }
    // That it is shared cannot be taken away either.
    assert_eq!(open(&target, &ManifestPart { shared: None, ..shared.clone() }, &blob), Err(SealError::Tampered { chunk: 0 }));
    assert_eq!(open(&target, &shared, &blob[..blob.len() - CHUNK_LEN]).unwrap_err(), {
        let (expected_bytes, actual_bytes) = (blob.len() as u64, (blob.len() - CHUNK_LEN) as u64);
        SealError::BlobLength { expected_bytes, actual_bytes }
    });
}

#[test]
fn only_a_blob_of_as_many_layers_is_shared() {
    let (one, two) = (ObjectKeys::generate(Layers::One), ObjectKeys::generate(Layers::Two));
    let (part, _) = sealed(&one, 1, 1);
    assert_eq!(part.share(&one, 1, &two), Err(SealError::LayerMismatch));
    assert_eq!(sealed(&two, 1, 1).0.share(&two, 1, &one), Err(SealError::LayerMismatch));
    let shared = part.share(&one, 1, &ObjectKeys::generate(Layers::One)).unwrap();
    assert_eq!(PartOpener::of(&two, &shared).err(), Some(SealError::LayerMismatch));
    let inline = ManifestPart { blob: BlobId([0; 16]), ..part.clone() };
    assert_eq!(inline.share(&one, 1, &one), Err(SealError::Malformed("inline part that is shared")));
    for number in [0, 10_001] {
        assert_eq!(part.share(&one, number, &one), Err(SealError::PartNumber(number)));
    }
}

#[test]
fn a_manifest_has_the_version_that_its_parts_need() {
    let (source, target) = (ObjectKeys::generate(Layers::One), ObjectKeys::generate(Layers::One));
    let (own, shared) = (sealed(&target, 1, 1).0, sealed(&source, 1, 2).0.share(&source, 2, &target).unwrap());
    assert_eq!(Manifest::new(vec![own.clone()]).unwrap().encode()[0], 1);
    let sharing = Manifest::new(vec![own, shared]).unwrap();
    let bytes = sharing.encode();
    assert_eq!((bytes[0], bytes.len()), (3, 3 + 59 + 141));
    assert_eq!(Manifest::decode(&bytes).as_ref(), Ok(&sharing));
    let digest = sharing.digest();
    for at in 0..bytes.len() {
        let mut altered = bytes.clone();
        altered[at] ^= 1;
        let verified = Manifest::decode(&altered).and_then(|manifest| manifest.verify(&digest));
        assert!(verified.is_err(), "byte {at}");
    }
}
