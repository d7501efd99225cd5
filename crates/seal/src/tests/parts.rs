use std::collections::HashSet;

use bytes::BytesMut;
use proptest::prelude::*;

use super::plaintext;
use crate::*;

fn layers(two: bool) -> Layers {
    if two { Layers::Two } else { Layers::One }
}

/// Pushes `data` in pieces of `piece_len` and returns the batches.
fn seal_in_pieces(mut sealer: PartSealer, data: &[u8], piece_len: usize) -> Vec<Vec<u8>> {
    let mut batches = Vec::new();
    for mut piece in data.chunks(piece_len) {
        while let Some(batch) = sealer.push(&mut piece).unwrap() {
            batches.push(batch.into_vec());
        }
        assert!(piece.is_empty());
    }
    let (rest, plaintext_len) = sealer.finish().unwrap();
    assert_eq!(plaintext_len, data.len() as u64);
    batches.push(rest.into_vec());
    batches
}

/// Sizes around the edges of chunks and of a batch.
fn edge_len() -> impl Strategy<Value = usize> {
    let chunks = prop_oneof![4 => 0_usize..4, 1 => 15_usize..18, 1 => 31_usize..34];
    (chunks, -2_isize..=2).prop_map(|(chunks, delta)| (chunks * CHUNK_LEN).saturating_add_signed(delta))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_part_opens_as_it_was_sealed_however_it_was_pushed(
        len in edge_len(), piece_len in prop::sample::select(vec![1000, CHUNK_LEN - 1, CHUNK_LEN, CHUNK_LEN + 1, 3 << 20]), two in any::<bool>(),
    ) {
        let keys = ObjectKeys::generate(layers(two));
        let data = plaintext(1, len);
        let salt = PartSalt(random_array());
        let batches = seal_in_pieces(PartSealer::with_salt(&keys, 3, salt).unwrap(), &data, piece_len);
        let whole = seal_in_pieces(PartSealer::with_salt(&keys, 3, salt).unwrap(), &data, len.max(1)).concat();
        let (last, full) = batches.split_last().unwrap();
        for (index, batch) in full.iter().enumerate() {
            let header_len = if index == 0 { BLOB_HEADER_LEN } else { 0 };
            prop_assert_eq!(batch.len(), header_len + 16 * (CHUNK_LEN + keys.layers().overhead_bytes()));
        }
        prop_assert!(!last.is_empty());
        prop_assert_eq!(&batches.concat(), &whole);

        let opener = PartOpener::new(&keys, 3, &salt, len as u64).unwrap();
        prop_assert_eq!(whole.len() as u64, opener.layout().sealed_len());
        prop_assert!(opener.open_blob(whole.as_slice().into()).unwrap().concat() == data);
    }

    #[test]
    fn sealed_bytes_are_the_same_whatever_the_batches(len in edge_len(), sizes in prop::collection::vec(0_usize..20, 1..8), two in any::<bool>()) {
        let keys = ObjectKeys::generate(layers(two));
        let (data, salt) = (plaintext(1, len), PartSalt(random_array()));
        let whole = seal_in_pieces(PartSealer::with_salt(&keys, 3, salt).unwrap(), &data, len.max(1)).concat();
        let mut sealer = PartSealer::with_salt(&keys, 3, salt).unwrap();
        let (mut sizes, mut sealed) = (sizes.iter().cycle(), Vec::new());
        for mut piece in data.chunks(50_000) {
            let size = *sizes.next().unwrap();
            sealer.set_batch_chunks(size);
            while let Some(batch) = sealer.push(&mut piece).unwrap() {
                sealed.extend(batch.into_vec());
            }
        }
        sealed.extend(sealer.finish().unwrap().0.into_vec());
        prop_assert!(sealed == whole);
    }

    #[test]
    fn a_range_opens_to_what_the_plaintext_has_there(
        len in edge_len(), offset in 0..4 * CHUNK_LEN, range_len in 0..3 * CHUNK_LEN, two in any::<bool>(),
    ) {
        let keys = ObjectKeys::generate(layers(two));
        let data = plaintext(2, len);
        let (salt, blob) = seal_part(&keys, 1, &data).unwrap();
        let opener = PartOpener::new(&keys, 1, &salt, len as u64).unwrap();
        let span = opener.layout().span(offset as u64, range_len as u64);
        let [sealed_offset, sealed_len, skip, take] =
            [span.sealed_offset, span.sealed_len, span.skip, span.take].map(|bytes| usize::try_from(bytes).unwrap());

        let mut sealed = BytesMut::from(&blob.as_slice()[sealed_offset..sealed_offset + sealed_len]);
        let opened: Vec<_> = (span.first_chunk..span.first_chunk + span.chunk_count)
            .map(|chunk| opener.open_chunk(chunk, sealed.split_to(opener.layout().sealed_chunk_len(chunk))).unwrap())
            .collect();
        prop_assert!(sealed.is_empty());
        let opened = opened.concat();
        let expected = &data[offset.min(len)..(offset + range_len).min(len)];
        prop_assert!(opened.get(skip..skip + take).unwrap_or_default() == expected);
    }
}

/// A client uploads part 1, is cut off, and uploads the very same bytes again under the same object keys. If the two
/// uploads shared a content key, their chunk counters would repeat every nonce.
#[test]
fn a_part_uploaded_twice_never_repeats_a_nonce() {
    for layers in [Layers::One, Layers::Two] {
        let keys = ObjectKeys::generate(layers);
        let data = vec![0; 2 * CHUNK_LEN + 5];
        let stride = CHUNK_LEN + layers.overhead_bytes();
        let (mut salts, mut nonces, mut chunks) = (HashSet::new(), HashSet::new(), HashSet::new());
        for _ in 0..4 {
            let (salt, blob) = seal_part(&keys, 1, &data).unwrap();
            salts.insert(salt);
            for (number, chunk) in (0..).zip(blob.as_slice()[BLOB_HEADER_LEN..].chunks(stride)) {
                nonces.insert((salt, crate::content::chunk_nonce(number, number == 2)));
                // Plaintext and nonce are the same in every upload, so only another key makes another keystream.
                chunks.insert(chunk[..5].to_vec());
            }
        }
        assert_eq!((salts.len(), nonces.len(), chunks.len()), (4, 12, 12));
    }
}

#[test]
fn every_flipped_byte_of_a_blob_is_seen() {
    for layers in [Layers::One, Layers::Two] {
        let keys = ObjectKeys::generate(layers);
        let (salt, blob) = seal_part(&keys, 1, b"a few bytes").unwrap();
        let opener = PartOpener::new(&keys, 1, &salt, 11).unwrap();
        for at in 0..blob.len() {
            let mut broken = BytesMut::from(blob.as_slice());
            broken[at] ^= 0x10;
            let expected = match at {
                0..10 => SealError::Malformed("blob magic"),
                10 => SealError::UnsupportedVersion(0x11),
                11 => SealError::UnsupportedSuite(0x11),
                12 => SealError::Malformed("layer count"),
                13 => SealError::Malformed("chunk size"),
                14..BLOB_HEADER_LEN => SealError::WrongPart,
                _ => SealError::Tampered { chunk: 0 },
            };
            assert_eq!(opener.open_blob(broken).err(), Some(expected), "byte {at}");
        }
    }
}

#[test]
fn a_chunk_opens_only_in_its_own_place() {
    let keys = ObjectKeys::generate(Layers::One);
    let (salt, blob) = seal_part(&keys, 1, &vec![0; 3 * CHUNK_LEN]).unwrap();
    let opener = PartOpener::new(&keys, 1, &salt, 3 * CHUNK_LEN as u64).unwrap();
    for (from, sealed) in (0..).zip(blob.as_slice()[BLOB_HEADER_LEN..].chunks(CHUNK_LEN + 16)) {
        for to in 0..3 {
            let plain_len = opener.open_chunk(to, sealed.into()).map(|plain| plain.len());
            assert_eq!(plain_len, if from == to { Ok(CHUNK_LEN) } else { Err(SealError::Tampered { chunk: to }) });
        }
    }
    assert_eq!(opener.open_chunk(3, BytesMut::new()), Err(SealError::OutOfRange(3)));
    assert_eq!(opener.open_chunk(u64::MAX, BytesMut::new()), Err(SealError::OutOfRange(u64::MAX)));
    assert_eq!(opener.open_chunk(1, BytesMut::zeroed(CHUNK_LEN + 15)), Err(SealError::Tampered { chunk: 1 }));
}

#[test]
fn a_part_never_opens_as_another_part_even_with_its_salt() {
    let keys = ObjectKeys::generate(Layers::One);
    let (salt, blob) = seal_part(&keys, 1, b"data").unwrap();
    let chunk = || BytesMut::from(&blob.as_slice()[BLOB_HEADER_LEN..]);
    assert!(PartOpener::new(&keys, 1, &salt, 4).unwrap().open_chunk(0, chunk()).is_ok());
    let opener = PartOpener::new(&keys, 2, &salt, 4).unwrap();
    assert_eq!(opener.open_chunk(0, chunk()), Err(SealError::Tampered { chunk: 0 }));
    for number in [0, 10_001] {
        assert_eq!(PartOpener::new(&keys, number, &salt, 4).err(), Some(SealError::PartNumber(number)));
        assert_eq!(PartSealer::new(&keys, number).err(), Some(SealError::PartNumber(number)));
    }
}

#[test]
fn the_outer_layer_alone_does_not_open_the_data() {
    let keys = ObjectKeys::generate(Layers::Two);
    let (salt, blob) = seal_part(&keys, 1, b"data").unwrap();
    let [inner, outer]: [[u8; 32]; 2] = keys.iter().map(|key| **key).collect::<Vec<_>>().try_into().unwrap();
    for (a, b) in [(outer, inner), (inner, inner), (outer, outer)] {
        let wrong = ObjectKeys::from_bytes(a, Some(b));
        let opener = PartOpener::new(&wrong, 1, &salt, 4).unwrap();
        assert_eq!(opener.open_blob(blob.as_slice().into()).err(), Some(SealError::Tampered { chunk: 0 }));
    }
}

#[test]
fn a_small_part_costs_one_allocation_of_its_own_size() {
    let keys = ObjectKeys::generate(Layers::Two);
    let (_, blob) = seal_part(&keys, 1, &[0; 4096]).unwrap();
    let len = blob.len();
    assert_eq!((len, blob.into_vec().capacity()), (48 + 4096 + 32, len));
}

#[test]
fn a_batch_never_outgrows_a_mebibyte_of_plaintext() {
    let keys = ObjectKeys::generate(Layers::Two);
    let batches = seal_in_pieces(PartSealer::new(&keys, 1).unwrap(), &plaintext(0, 3 << 20), 5000);
    assert_eq!(batches.len(), 3);
    for batch in batches {
        assert!(batch.capacity() <= BLOB_HEADER_LEN + 16 * (CHUNK_LEN + 32));
    }
}

#[test]
fn an_opened_chunk_lies_where_the_sealed_one_lay() {
    let keys = ObjectKeys::generate(Layers::Two);
    let (salt, blob) = seal_part(&keys, 1, b"data").unwrap();
    let mut sealed = BytesMut::from(blob.as_slice());
    let chunk = sealed.split_off(BLOB_HEADER_LEN);
    let address = chunk.as_ptr();
    let opened = PartOpener::new(&keys, 1, &salt, 4).unwrap().open_chunk(0, chunk).unwrap();
    assert_eq!((opened.as_ref(), opened.as_ptr()), (b"data".as_slice(), address));
}

#[test]
fn sealer_and_opener_cross_threads() {
    fn crosses<T: Send + Sync>() {}
    crosses::<PartSealer>();
    crosses::<PartOpener>();
    crosses::<StoreKey>();
    crosses::<ExternalKeys>();
    crosses::<OfflineObject>();
}
