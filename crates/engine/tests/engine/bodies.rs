//! Bodies: what the client stated of them is verified, whatever their length, and nothing is kept of those that fail.

use std::collections::BTreeMap;

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use strongroom_engine::{
    EngineOptions, Error,
    api::{BodyError, Checksum, ChecksumAlgorithm, ChecksumKind, ExpectedChecksum, ObjectHeaders, PutObject, UploadChecksum},
};

use twox_hash::{XxHash3_64, XxHash3_128, XxHash64};

use crate::common::*;

/// A reflected CRC, bit by bit: slow, and independent of the engine's.
fn crc(polynomial: u64, width: u32, data: &[u8]) -> Vec<u8> {
    let ones = u64::MAX >> (64 - width);
    let mut crc = ones;
    for byte in data {
        crc ^= u64::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ polynomial } else { crc >> 1 };
        }
    }
    (crc ^ ones).to_be_bytes()[8 - width as usize / 8..].to_vec()
}

/// The raw checksum, computed here.
pub fn raw(algorithm: ChecksumAlgorithm, data: &[u8]) -> Vec<u8> {
    match algorithm {
        ChecksumAlgorithm::Crc32 => crc(0xEDB8_8320, 32, data),
        ChecksumAlgorithm::Crc32c => crc(0x82F6_3B78, 32, data),
        ChecksumAlgorithm::Crc64Nvme => crc(0x9A6C_9329_AC4B_C9B5, 64, data),
        ChecksumAlgorithm::Sha1 => digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, data).as_ref().to_vec(),
        ChecksumAlgorithm::Sha256 => digest::digest(&digest::SHA256, data).as_ref().to_vec(),
        ChecksumAlgorithm::Sha512 => digest::digest(&digest::SHA512, data).as_ref().to_vec(),
        ChecksumAlgorithm::Md5 => hex::decode(md5_hex(data)).unwrap(),
        ChecksumAlgorithm::XxHash64 => XxHash64::oneshot(0, data).to_be_bytes().to_vec(),
        ChecksumAlgorithm::XxHash3 => XxHash3_64::oneshot(data).to_be_bytes().to_vec(),
        ChecksumAlgorithm::XxHash128 => XxHash3_128::oneshot(data).to_be_bytes().to_vec(),
    }
}

pub fn encoded(algorithm: ChecksumAlgorithm, data: &[u8]) -> String {
    STANDARD.encode(raw(algorithm, data))
}

pub fn in_header(algorithm: ChecksumAlgorithm, value: &str) -> UploadChecksum {
    UploadChecksum { algorithm: Some(algorithm), expected: ExpectedChecksum::Header(value.into()) }
}

fn in_trailer(algorithm: ChecksumAlgorithm, name: &str, value: &str) -> UploadChecksum {
    let trailers: BTreeMap<_, _> = [(name.to_owned(), value.to_owned())].into();
    UploadChecksum { algorithm: Some(algorithm), expected: ExpectedChecksum::Trailer(Box::new(move || trailers)) }
}

#[test]
fn the_reference_checksums_have_their_check_values() {
    let hex = |algorithm| hex::encode(raw(algorithm, b"123456789"));
    assert_eq!(hex(ChecksumAlgorithm::Crc32), "cbf43926");
    assert_eq!(hex(ChecksumAlgorithm::Crc32c), "e3069283");
    assert_eq!(hex(ChecksumAlgorithm::Crc64Nvme), "ae8b14860a799888");
}

/// A refused write leaves neither an object nor, after the sweep, a blob.
async fn left_nothing(rig: &Rig, what: &str) {
    assert!(matches!(rig.head("object", As::Store).await, Err(Error::NoSuchKey)), "{what}");
    rig.engine.sweep_orphans().await.unwrap();
    assert!(rig.blob_ids().await.is_empty(), "{what}");
}

#[tokio::test]
async fn every_checksum_is_verified_in_header_and_trailer_and_stored() {
    let rig = Rig::new().await;
    for algorithm in ChecksumAlgorithm::ALL {
        for len in [0, 9, 100_000, 1_200_000] {
            let data = data(len, 1);
            let right = encoded(algorithm, &data);
            let wrong = encoded(algorithm, b"other");
            let request = |checksum| PutObject { checksum, ..put_request("object", As::S3.write(), &data) };
            for checksum in [in_header(algorithm, &wrong), in_trailer(algorithm, algorithm.header(), &wrong), in_header(algorithm, "")] {
                let error = rig.engine.put_object(&rig.root, request(checksum)).await.unwrap_err();
                assert!(matches!(error, Error::BadDigest(name) if name == algorithm.name()));
                left_nothing(&rig, algorithm.name()).await;
            }
            let missing = rig.engine.put_object(&rig.root, request(in_trailer(algorithm, "x-amz-checksum-other", &right))).await;
            assert!(matches!(missing, Err(Error::InvalidRequest(_))));
            left_nothing(&rig, algorithm.name()).await;
            let computed = UploadChecksum { algorithm: Some(algorithm), expected: ExpectedChecksum::None };
            for checksum in [in_header(algorithm, &right), in_trailer(algorithm, algorithm.header(), &right), computed] {
                let stored = rig.engine.put_object(&rig.root, request(checksum)).await.unwrap();
                let expected = Checksum { algorithm, kind: ChecksumKind::FullObject, value: right.clone() };
                assert_eq!(stored.checksum.as_ref(), Some(&expected), "{len}");
                assert_eq!(stored.etag, md5_hex(&data));
                assert_eq!(rig.head("object", As::S3).await.unwrap().info.checksum, Some(expected));
                rig.delete("object").await;
                rig.engine.sweep_dead().await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn content_md5_is_verified_in_every_mode() {
    let rig = Rig::new().await;
    for by in MODES {
        for len in [10, 1_200_000] {
            let data = data(len, 1);
            let request = |md5: String| PutObject { content_md5: Some(md5), ..put_request("object", by.write(), &data) };
            let of = |bytes: &[u8]| STANDARD.encode(hex::decode(md5_hex(bytes)).unwrap());
            let wrong = rig.engine.put_object(&rig.root, request(of(b"other"))).await;
            assert!(matches!(wrong, Err(Error::BadDigest("Content-MD5"))));
            for invalid in ["", "not base64!", "AAAA"] {
                let invalid = rig.engine.put_object(&rig.root, request(invalid.into())).await;
                assert!(matches!(invalid, Err(Error::InvalidDigest)));
            }
            left_nothing(&rig, "a wrong Content-MD5").await;
            rig.engine.put_object(&rig.root, request(of(&data))).await.unwrap();
            rig.delete("object").await;
            rig.engine.sweep_dead().await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_body_that_is_not_as_long_as_declared_is_refused() {
    let rig = Rig::new().await;
    for len in [100, 100_000, 2_100_000] {
        let data = data(len, 1);
        for declared in [0, len - 1, len + 1] {
            let body = strongroom_engine::api::Body { length: Some(declared as u64), ..body(&data) };
            let error = rig.engine.put_object(&rig.root, PutObject { body, ..put_request("object", As::S3.write(), b"") }).await;
            assert!(matches!(error, Err(Error::IncompleteBody)), "{declared} declared, {len} sent");
            left_nothing(&rig, "a body of another length").await;
        }
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_refused_with_its_reason() {
    let rig = Rig::new().await;
    for (error, expected) in [
        (BodyError::Incomplete, "IncompleteBody"),
        (BodyError::TooLarge, "EntityTooLarge"),
        (BodyError::Sha256Mismatch, "Body(Sha256Mismatch)"),
        (BodyError::SignatureMismatch, "Body(SignatureMismatch)"),
        (BodyError::Malformed, "Body(Malformed)"),
        (BodyError::Timeout, "Body(Timeout)"),
    ] {
        let body = body_of(vec![Ok(Bytes::from(data(2_000_000, 1))), Err(error)]);
        let error = rig.engine.put_object(&rig.root, PutObject { body, ..put_request("object", As::S3.write(), b"") }).await;
        assert_eq!(format!("{:?}", error.unwrap_err()), expected);
        left_nothing(&rig, expected).await;
    }
}

#[tokio::test]
async fn a_body_longer_than_allowed_is_refused_whether_declared_or_not() {
    let options = EngineOptions { max_put_bytes: 100_000, ..Plan::default().options };
    let rig = Rig::with(Plan { options, ..Plan::default() }).await;
    for declared in [false, true] {
        let request = |len: usize| {
            let mut request = put_request("object", As::S3.write(), &data(len, 1));
            request.body.length = request.body.length.filter(|_| declared);
            request
        };
        let error = rig.engine.put_object(&rig.root, request(100_001)).await;
        assert!(matches!(error, Err(Error::EntityTooLarge)));
        left_nothing(&rig, "a body too long").await;
        rig.engine.put_object(&rig.root, request(100_000)).await.unwrap();
        rig.delete("object").await;
        rig.engine.sweep_dead().await.unwrap();
    }
}

#[tokio::test]
async fn bodies_of_every_length_come_back_as_they_went_in() {
    let rig = Rig::new().await;
    let limit = Plan::default().options.inline_limit_bytes;
    let edges = [0, 1, limit, 65_536, 2 * 65_536, 1 << 20, 2 << 20];
    let lens = edges.into_iter().flat_map(|edge| [edge.saturating_sub(1), edge, edge + 1]);
    for len in lens.chain([5_000_000]) {
        for by in [As::S3, As::Dsse, As::Customer(1)] {
            let data = data(len, 7);
            let stored = rig.put("object", by, &data).await;
            assert_eq!(stored.size_bytes, len as u64);
            if by == As::S3 {
                assert_eq!(stored.etag, md5_hex(&data), "{len}");
            } else {
                assert!(stored.etag.len() == 32 && stored.etag != md5_hex(&data), "{len}");
            }
            rig.engine.sweep_dead().await.unwrap();
            assert_eq!(rig.blob_ids().await.len(), usize::from(len > limit), "inline up to the limit: {len}");
            assert!(rig.get("object", by).await.unwrap() == data, "{len} {by:?}");
        }
    }
}

#[tokio::test]
async fn the_pieces_of_a_body_do_not_matter() {
    let rig = Rig::new().await;
    let data = data(700_000, 3);
    for size in [1, 65_535, 65_536, 65_537, 524_287, 700_000] {
        let mut pieces: Vec<_> = data.chunks(size).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        pieces.insert(0, Ok(Bytes::new()));
        pieces.push(Ok(Bytes::new()));
        let request = PutObject { body: body_of(pieces), ..put_request("object", As::S3.write(), b"") };
        assert_eq!(rig.engine.put_object(&rig.root, request).await.unwrap().etag, md5_hex(&data), "{size}");
        assert!(rig.get("object", As::S3).await.unwrap() == data);
    }
}

#[tokio::test]
async fn what_lies_on_the_disk_never_has_the_plaintext() {
    let rig = Rig::sqlite().await;
    let secret = b"the very secret text ".repeat(4);
    for (number, by) in MODES.into_iter().enumerate() {
        let mut headers = ObjectHeaders { content_type: Some("secret/content-type".into()), ..ObjectHeaders::default() };
        headers.user.insert("name".into(), "secret-metadata".into());
        let request = PutObject { headers: headers.clone(), ..put_request(&format!("inline-{number}"), by.write(), &secret) };
        rig.engine.put_object(&rig.root, request).await.unwrap();
        rig.put(&format!("blob-{number}"), by, &secret.repeat(100)).await;
        assert_eq!(rig.head(&format!("inline-{number}"), by).await.unwrap().info.headers, headers);
    }
    let mut haystacks =
        vec![std::fs::read(rig.dir.path().join("catalog.db")).unwrap(), std::fs::read(rig.dir.path().join("catalog.db-wal")).unwrap()];
    for id in rig.blob_ids().await {
        haystacks.push(rig.memory.bytes(id).unwrap().to_vec());
    }
    assert_eq!(haystacks.len(), 2 + MODES.len());
    let contains = |needle: &[u8]| haystacks.iter().any(|hay| hay.windows(needle.len()).any(|window| window == needle));
    assert!(contains(b"inline-0"), "the names of objects do show");
    for needle in [&b"very secret"[..], b"secret/content-type", b"secret-metadata", md5_hex(&secret).as_bytes()] {
        assert!(!contains(needle), "{}", String::from_utf8_lossy(needle));
    }
}

#[tokio::test]
async fn keys_and_headers_have_their_limits() {
    let rig = Rig::new().await;
    rig.put(&"k".repeat(1024), As::Store, b"").await;
    assert!(matches!(rig.try_put(&"k".repeat(1025), As::Store, b"").await, Err(Error::KeyTooLong)));
    assert!(matches!(rig.try_put("", As::Store, b"").await, Err(Error::InvalidArgument(_))));
    for (len, fits) in [(2044, true), (2045, false)] {
        let headers = ObjectHeaders { user: [("name".to_owned(), "v".repeat(len))].into(), ..ObjectHeaders::default() };
        let result = rig.engine.put_object(&rig.root, PutObject { headers, ..put_request("k", As::Store.write(), b"") }).await;
        assert!(if fits { result.is_ok() } else { matches!(result, Err(Error::MetadataTooLarge)) }, "{len}");
    }
}
