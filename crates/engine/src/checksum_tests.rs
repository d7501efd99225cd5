use super::*;

/// Longer than what XXH3 has special cases for, so that all of its loops run.
fn long() -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..4).flat_map(|_| 0..=u8::MAX).collect();
    bytes.extend_from_slice(b"tail");
    bytes
}

/// The check values of the catalogue of CRC algorithms, of FIPS 180-4, RFC 1321 and xxHash's own tests; `Hello world` and the long
/// ones are what Amazon's client library computes and sends.
#[test]
fn checksums_are_computed_as_everybody_else_does() {
    use ChecksumAlgorithm::{Crc32, Crc32c, Crc64Nvme, Md5, Sha1, Sha256, Sha512, XxHash3, XxHash64, XxHash128};
    let sha512_of_abc = "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                         2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";
    let long = long();
    for (algorithm, bytes, expected) in [
        (Crc32, &b"123456789"[..], "cbf43926"),
        (Crc32c, b"123456789", "e3069283"),
        (Crc64Nvme, b"123456789", "ae8b14860a799888"),
        (Md5, b"", "d41d8cd98f00b204e9800998ecf8427e"),
        (Md5, b"abc", "900150983cd24fb0d6963f7d28e17f72"),
        (Sha1, b"abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
        (Sha256, b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (Sha512, b"abc", sha512_of_abc),
        (XxHash64, b"", "ef46db3751d8e999"),
        (XxHash64, b"abc", "44bc2cf5ad770999"),
        (XxHash64, b"Hello world", "c500b0c912b376d8"),
        (XxHash64, &long, "d45352830e83df92"),
        (XxHash3, b"", "2d06800538d394c2"),
        (XxHash3, b"Hello world", "b6acb9d84a38ff74"),
        (XxHash3, &long, "ec9cc4392168da4e"),
        (XxHash128, b"", "99aa06d3014798d86001c324468d497f"),
        (XxHash128, b"Hello world", "7351f89812f97382b91d05b31e04dd7f"),
        (XxHash128, &long, "1f75f9755d31dffaec9cc4392168da4e"),
    ] {
        let digest = algorithm.digest(bytes);
        assert_eq!(hex::encode(&digest), expected, "{algorithm:?} of {} bytes", bytes.len());
        assert_eq!(digest.len(), algorithm.len_bytes(), "{algorithm:?}");
    }
}

#[test]
fn a_checksum_does_not_depend_on_the_pieces_it_was_computed_from() {
    let bytes = long().repeat(3);
    for algorithm in ChecksumAlgorithm::ALL {
        for piece_len in [1, 7, 63, 256, 1025] {
            let mut running = Running::new(algorithm);
            bytes.chunks(piece_len).for_each(|piece| running.update(piece));
            assert_eq!(running.finish(), algorithm.digest(&bytes), "{algorithm:?} by {piece_len}");
        }
    }
}

#[test]
fn every_algorithm_is_listed_once_under_the_name_that_s3_and_the_records_have() {
    for (index, algorithm) in ChecksumAlgorithm::ALL.into_iter().enumerate() {
        assert!(ChecksumAlgorithm::ALL[..index].iter().all(|other| other.name() < algorithm.name()), "{algorithm:?}");
        assert_eq!(serde_json::to_string(&algorithm).ok(), Some(format!("\"{}\"", algorithm.name())));
        assert_eq!(algorithm.header(), format!("x-amz-checksum-{}", algorithm.name().to_lowercase()));
    }
}

#[test]
fn only_crcs_have_a_full_object_checksum_of_parts_and_all_but_one_a_composite() {
    for algorithm in ChecksumAlgorithm::ALL {
        let is_crc = algorithm.name().starts_with("CRC");
        assert_eq!(algorithm.allows(ChecksumKind::FullObject), is_crc, "{algorithm:?}");
        assert_eq!(algorithm.allows(ChecksumKind::Composite), algorithm != ChecksumAlgorithm::Crc64Nvme, "{algorithm:?}");
        assert!(algorithm.allows(algorithm.default_kind()), "{algorithm:?}");
        let parts: Vec<_> = [&b"first"[..], b"second"].map(|part| (full_object(algorithm, &algorithm.digest(part)), part)).into();
        let parts: Vec<_> = parts.iter().map(|(checksum, part)| (checksum, part.len() as u64)).collect();
        let whole = of_parts(algorithm, ChecksumKind::FullObject, &parts).map(|checksum| checksum.value).ok();
        assert_eq!(whole, is_crc.then(|| STANDARD.encode(algorithm.digest(b"firstsecond"))), "{algorithm:?}");
        let joined = [algorithm.digest(b"first"), algorithm.digest(b"second")].concat();
        let composite = of_parts(algorithm, ChecksumKind::Composite, &parts).map(|checksum| checksum.value).ok();
        assert_eq!(composite, Some(format!("{}-2", STANDARD.encode(algorithm.digest(&joined)))), "{algorithm:?}");
    }
}
