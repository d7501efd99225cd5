use proptest::prelude::*;
use strongroom_ids::BlobId;

use crate::*;

fn part(number: u16, plaintext_len: u64) -> ManifestPart {
    ManifestPart { number, plaintext_len, salt: PartSalt([number.to_be_bytes()[1]; 32]), blob: BlobId([9; 16]), shared: None }
}

#[test]
fn a_manifest_has_the_bytes_of_the_format() {
    let manifest = Manifest::new(vec![part(0x0102, 0x0304)]).unwrap();
    let expected = format!("0100010102{}{}{}", "0000000000000304", "02".repeat(32), "09".repeat(16));
    assert_eq!(hex::encode(manifest.encode()), expected);
    assert_eq!(manifest.digest(), provider::sha256(&manifest.encode()));
}

#[test]
fn ten_thousand_parts_are_the_most() {
    let parts: Vec<_> = (1..=10_000).map(|number| part(number, 5 << 30)).collect();
    let manifest = Manifest::new(parts.clone()).unwrap();
    assert_eq!(manifest.total_len(), 50_000 << 30);
    assert_eq!(Manifest::decode(&manifest.encode()), Ok(manifest));
    let more = parts.into_iter().chain([part(10_001, 1)]).collect();
    assert_eq!(Manifest::new(more), Err(SealError::Malformed("number of parts")));
    assert_eq!(Manifest::new(vec![]), Err(SealError::Malformed("number of parts")));
}

#[test]
fn parts_are_in_strictly_ascending_order_of_lawful_numbers() {
    let numbers = |numbers: &[u16]| Manifest::new(numbers.iter().map(|number| part(*number, 1)).collect()).err();
    assert_eq!(numbers(&[1, 2, 10_000]), None);
    assert_eq!(numbers(&[2, 1]), Some(SealError::Malformed("order of parts")));
    assert_eq!(numbers(&[1, 1]), Some(SealError::Malformed("order of parts")));
    assert_eq!(numbers(&[0, 1]), Some(SealError::PartNumber(0)));
    assert_eq!(numbers(&[1, 10_001]), Some(SealError::PartNumber(10_001)));
}

#[test]
fn only_a_sole_part_lies_inline() {
    let inline = ManifestPart { blob: BlobId([0; 16]), ..part(1, 1) };
    assert!(Manifest::new(vec![inline.clone()]).unwrap().parts()[0].is_inline());
    assert_eq!(Manifest::new(vec![inline, part(2, 1)]), Err(SealError::Malformed("inline part beside others")));
}

#[test]
fn a_digest_vouches_for_every_byte() {
    let manifest = Manifest::new(vec![part(1, 5), part(2, 6)]).unwrap();
    let digest = manifest.digest();
    assert_eq!(manifest.verify(&digest), Ok(()));
    for at in 3..manifest.encode().len() {
        let mut bytes = manifest.encode();
        bytes[at] ^= 1;
        let verified = Manifest::decode(&bytes).and_then(|manifest| manifest.verify(&digest));
        assert!(verified.is_err(), "byte {at}");
    }
}

#[test]
fn an_object_without_bytes_has_no_piece() {
    let manifest = Manifest::new(vec![part(1, 0)]).unwrap();
    assert_eq!(manifest.locate(0, u64::MAX).count(), 0);
    assert_eq!(manifest.total_len(), 0);
}

proptest! {
    #[test]
    fn a_range_is_cut_into_pieces_at_the_part_boundaries(
        lens in prop::collection::vec(0_u64..20, 1..12), offset in 0_u64..200, len in 0_u64..200,
    ) {
        let parts = (1..).zip(&lens).map(|(number, len)| part(number, *len)).collect();
        let manifest = Manifest::new(parts).unwrap();
        // The model lists every byte of the object as (part index, offset in part).
        let all: Vec<_> = lens.iter().enumerate().flat_map(|(index, len)| (0..*len).map(move |at| (index, at))).collect();
        let expected: Vec<_> = all.iter().copied().skip(usize::try_from(offset).unwrap()).take(usize::try_from(len).unwrap()).collect();
        let pieces: Vec<_> = manifest.locate(offset, len).collect();
        let located: Vec<_> = pieces.iter().flat_map(|p| (p.offset..p.offset + p.len).map(|at| (p.index, at))).collect();
        prop_assert_eq!(located, expected);
        prop_assert!(pieces.is_sorted_by(|a, b| a.index < b.index));
        prop_assert_eq!(manifest.total_len(), all.len() as u64);
    }

    #[test]
    fn any_bytes_of_a_sharing_manifest_decode_to_one_that_encodes_to_them_or_to_an_error(
        own in any::<bool>(), layers in 0_u8..4, origin in 0_u16..3, cut in 0_usize..3, tail in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        // An own part, where there is one, then one that says that it is shared.
        let mut bytes = vec![3, 0, 1 + u8::from(own)];
        if own {
            bytes.extend([[0, 1].as_slice(), &[0; 8], &[7; 48], &[0]].concat());
        }
        bytes.extend([[0, 2].as_slice(), &[0; 8], &[7; 48], &[layers], &origin.to_be_bytes(), &[5; 32], &[6; 48]].concat());
        bytes.extend(vec![4; if layers == 2 { 48 - cut } else { cut }]);
        let decoded = Manifest::decode(&bytes);
        prop_assert_eq!(decoded.is_ok(), (1..3).contains(&layers) && origin > 0 && cut == 0, "{:?}", decoded);
        if let Ok(manifest) = decoded {
            prop_assert_eq!(manifest.encode(), bytes);
        }
        let mut bytes = vec![3, 0, 2];
        bytes.extend(tail);
        if let Ok(manifest) = Manifest::decode(&bytes) {
            prop_assert_eq!(manifest.encode(), bytes);
        }
    }

    #[test]
    fn any_bytes_decode_to_a_manifest_that_encodes_to_them_or_to_an_error(tail in prop::collection::vec(any::<u8>(), 0..240)) {
        let mut bytes = vec![1, 0, u8::try_from(tail.len() / 58).unwrap()];
        bytes.extend(tail);
        if let Ok(manifest) = Manifest::decode(&bytes) {
            prop_assert_eq!(manifest.encode(), bytes);
        }
    }
}
