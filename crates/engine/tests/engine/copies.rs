//! Copies between modes: what moves, what stays, what is answered.

use strongroom_engine::{
    Error,
    api::{
        Checksum, ChecksumAlgorithm, ChecksumKind, CopyObject, CopySource, ObjectHeaders, PutObject, ReadConditions, SseHeaders, Stored,
        UploadChecksum, UploadPartCopy, UploadRef, WriteCondition,
    },
};
use strongroom_seal::Mode;

use crate::common::*;

fn shows_md5(by: As) -> bool {
    matches!(by.mode(), Mode::Store | Mode::SseS3)
}

/// What etag.rs promises of a copy.
fn check_etag(source: &Stored, data: &[u8], shape: Shape, from: As, to: As, copied: &Stored) {
    let moved = from.mode().layers() != to.mode().layers();
    let (hex, suffix) = copied.etag.split_once('-').map_or((copied.etag.as_str(), None), |(hex, suffix)| (hex, Some(suffix)));
    assert!(hex.len() == 32 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()), "{}", copied.etag);
    let is_single = shape != Shape::Multipart || moved;
    let expected_suffix = match (is_single, shows_md5(to), moved || shows_md5(from)) {
        (false, _, _) => Some("3"),
        (true, true, false) => Some("1"),
        (true, _, _) => None,
    };
    assert_eq!(suffix, expected_suffix);
    if shows_md5(to) && moved {
        assert_eq!(copied.etag, md5_hex(data));
    } else if shows_md5(to) && shows_md5(from) {
        assert_eq!(copied.etag, source.etag);
    } else {
        assert_ne!(copied.etag, source.etag, "an opaque ETag is a new one");
        assert_ne!(hex, md5_hex(data));
    }
}

#[tokio::test]
async fn every_mode_copies_to_every_mode() {
    let rig = Rig::new().await;
    for from in MODES {
        for to in MODES.map(|to| if to == As::Customer(1) { As::Customer(2) } else { to }) {
            for shape in SHAPES {
                copy_one(&rig, from, to, shape).await;
            }
        }
    }
}

async fn copy_one(rig: &Rig, from: As, to: As, shape: Shape) {
    let (data, stored) = shape.put(rig, "source", from).await;
    rig.engine.sweep_dead().await.unwrap();
    let before = rig.blob_ids().await;
    rig.reset_counts();
    let copied = rig.copy(("source", from), ("target", to)).await.unwrap();
    let what = format!("{from:?} to {to:?}, {shape:?}");

    assert_eq!(copied.stored.sse.mode, to.mode(), "{what}");
    assert_eq!(copied.stored.size_bytes, data.len() as u64);
    check_etag(&stored, &data, shape, from, to, &copied.stored);
    let moved = from.mode().layers() != to.mode().layers();
    let counts = rig.blobs.counts();
    let parts = parts_in_blobs(shape);
    if moved {
        assert_eq!((counts.opened, counts.created), (parts, parts.min(1)), "{what}");
    } else {
        assert_eq!((counts.opened, counts.created, counts.bytes_written), (parts, 0, 0), "the blobs are looked at, no data moves: {what}");
        assert_eq!(rig.blob_ids().await, before, "{what}");
    }
    let head = rig.head("target", to).await.unwrap().info;
    assert_eq!(head.parts_count, if shape == Shape::Multipart && !moved { Some(3) } else { None });
    assert_eq!((head.etag, head.modified_ms), (copied.stored.etag, copied.modified_ms));
    assert!(rig.get("target", to).await.unwrap() == data, "{what}");

    rig.delete("source").await;
    rig.engine.sweep_dead().await.unwrap();
    assert!(rig.get("target", to).await.unwrap() == data, "the target keeps its blobs: {what}");
    rig.delete("target").await;
    rig.engine.sweep_dead().await.unwrap();
    assert!(rig.blob_ids().await.is_empty(), "and then they go: {what}");
}

#[tokio::test]
async fn an_md5_that_was_known_shows_again_when_a_copy_comes_back() {
    let rig = Rig::new().await;
    for shape in SHAPES {
        let (_, stored) = shape.put(&rig, "object", As::S3).await;
        rig.copy(("object", As::S3), ("object", As::Kms)).await.unwrap();
        rig.copy(("object", As::Kms), ("object", As::Customer(1))).await.unwrap();
        let back = rig.copy(("object", As::Customer(1)), ("object", As::S3)).await.unwrap();
        assert_eq!(back.stored.etag, stored.etag, "{shape:?}");
    }
}

#[tokio::test]
async fn an_sse_c_key_is_rotated_without_moving_a_byte() {
    let rig = Rig::new().await;
    let (old, new) = (As::Customer(1), As::Customer(2));
    for shape in SHAPES {
        let (data, _) = shape.put(&rig, "object", old).await;
        rig.engine.sweep_dead().await.unwrap();
        let before = rig.blob_ids().await;
        rig.reset_counts();
        let wrong = rig.copy(("object", As::Customer(3)), ("object", new)).await;
        assert!(matches!(wrong, Err(Error::CustomerKeyWrong)));
        rig.copy(("object", old), ("object", new)).await.unwrap();
        assert_eq!((rig.blobs.counts().opened, rig.blobs.counts().created), (parts_in_blobs(shape), 0), "{shape:?}");
        assert!(matches!(rig.get("object", old).await, Err(Error::CustomerKeyWrong)));
        assert!(matches!(rig.head("object", old).await, Err(Error::CustomerKeyWrong)));
        assert!(rig.get("object", new).await.unwrap() == data);
        rig.engine.sweep_dead().await.unwrap();
        assert_eq!(rig.blob_ids().await, before, "{shape:?}");
        assert!(rig.get("object", new).await.unwrap() == data);
    }
}

#[tokio::test]
async fn a_copy_onto_itself_must_change_something() {
    let rig = Rig::new().await;
    rig.put("object", As::Store, b"data").await;
    let nothing = || copy_request(("object", As::Store), ("object", As::Store));
    assert!(matches!(rig.engine.copy_object(&rig.root, nothing()).await, Err(Error::CopyChangesNothing)));
    for request in [
        CopyObject { headers: Some(ObjectHeaders::default()), ..nothing() },
        CopyObject { storage_class: Some("GLACIER".into()), ..nothing() },
        CopyObject { website_redirect_location: Some("/elsewhere".into()), ..nothing() },
        CopyObject { checksum_algorithm: Some(ChecksumAlgorithm::Crc32), ..nothing() },
        CopyObject { sse: As::S3.write(), ..nothing() },
        CopyObject { sse: As::Customer(1).write(), ..nothing() },
    ] {
        rig.put("object", As::Store, b"data").await;
        rig.engine.copy_object(&rig.root, request).await.unwrap();
    }
    rig.put("object", As::Customer(1), b"data").await;
    rig.copy(("object", As::Customer(1)), ("object", As::Store)).await.expect("giving the customer key up is a change of encryption");
    assert_eq!(rig.get("object", As::Store).await.unwrap(), b"data");
}

fn headers() -> ObjectHeaders {
    ObjectHeaders {
        content_type: Some("text/plain".into()),
        cache_control: Some("no-store".into()),
        storage_class: Some("GLACIER".into()),
        website_redirect_location: Some("/there".into()),
        user: [("colour".to_owned(), "red".to_owned())].into(),
        ..ObjectHeaders::default()
    }
}

#[tokio::test]
async fn a_copy_keeps_the_headers_or_replaces_them() {
    let rig = Rig::new().await;
    for (from, to) in [(As::S3, As::Kms), (As::S3, As::Dsse)] {
        let request = PutObject { headers: headers(), ..put_request("object", from.write(), b"data") };
        rig.engine.put_object(&rig.root, request).await.unwrap();
        rig.copy(("object", from), ("copy", to)).await.unwrap();
        let kept = ObjectHeaders { storage_class: None, website_redirect_location: None, ..headers() };
        assert_eq!(rig.head("copy", to).await.unwrap().info.headers, kept, "these two are not metadata");

        let new = ObjectHeaders { content_language: Some("de".into()), ..ObjectHeaders::default() };
        let request = CopyObject {
            headers: Some(new.clone()),
            storage_class: Some("STANDARD_IA".into()),
            ..copy_request(("object", from), ("copy", to))
        };
        rig.engine.copy_object(&rig.root, request).await.unwrap();
        let replaced = ObjectHeaders { storage_class: Some("STANDARD_IA".into()), ..new };
        assert_eq!(rig.head("copy", to).await.unwrap().info.headers, replaced);
    }
}

#[tokio::test]
async fn a_copy_keeps_its_checksum_or_computes_the_one_asked_for() {
    let rig = Rig::new().await;
    let put = |algorithm| PutObject {
        checksum: UploadChecksum { algorithm, ..UploadChecksum::default() },
        ..put_request("object", As::S3.write(), b"123456789")
    };
    let sha1 =
        Checksum { algorithm: ChecksumAlgorithm::Sha1, kind: ChecksumKind::FullObject, value: "98O8HYCOBHMq32eZZczDTKeuNEE=".into() };
    let crc = Checksum { algorithm: ChecksumAlgorithm::Crc32, kind: ChecksumKind::FullObject, value: "y/Q5Jg==".into() };
    for to in [As::Kms, As::Dsse] {
        rig.engine.put_object(&rig.root, put(Some(ChecksumAlgorithm::Sha1))).await.unwrap();
        let kept = rig.copy(("object", As::S3), ("copy", to)).await.unwrap();
        assert_eq!(kept.stored.checksum.as_ref(), Some(&sha1));
        assert_eq!(rig.head("copy", to).await.unwrap().info.checksum.as_ref(), Some(&sha1));
        for (present, asked, expected) in [
            (Some(ChecksumAlgorithm::Sha1), ChecksumAlgorithm::Sha1, &sha1),
            (Some(ChecksumAlgorithm::Sha1), ChecksumAlgorithm::Crc32, &crc),
            (None, ChecksumAlgorithm::Crc32, &crc),
        ] {
            rig.engine.put_object(&rig.root, put(present)).await.unwrap();
            let request = CopyObject { checksum_algorithm: Some(asked), ..copy_request(("object", As::S3), ("copy", to)) };
            let copied = rig.engine.copy_object(&rig.root, request).await.unwrap();
            assert_eq!(copied.stored.checksum.as_ref(), Some(expected), "{to:?}");
        }
    }
}

#[tokio::test]
async fn the_conditions_of_a_copy_are_checked_on_both_ends() {
    let rig = Rig::new().await;
    let etag = rig.put("object", As::S3, b"data").await.etag;
    let with = |conditions| CopyObject {
        source: CopySource { conditions, ..copy_source("object", As::S3) },
        ..copy_request(("object", As::S3), ("copy", As::Kms))
    };
    for conditions in [
        ReadConditions { if_match: Some(vec!["other".into()]), ..ReadConditions::default() },
        ReadConditions { if_none_match: Some(vec![etag.clone()]), ..ReadConditions::default() },
        ReadConditions { if_modified_since: Some(i64::MAX), ..ReadConditions::default() },
        ReadConditions { if_unmodified_since: Some(0), ..ReadConditions::default() },
    ] {
        let error = rig.engine.copy_object(&rig.root, with(conditions.clone())).await;
        assert!(matches!(error, Err(Error::PreconditionFailed)), "{conditions:?}");
    }
    let holds = ReadConditions { if_match: Some(vec![etag]), if_unmodified_since: Some(0), ..ReadConditions::default() };
    rig.engine.copy_object(&rig.root, with(holds)).await.unwrap();
    let absent = CopyObject { condition: WriteCondition::Absent, ..with(ReadConditions::default()) };
    assert!(matches!(rig.engine.copy_object(&rig.root, absent).await, Err(Error::PreconditionFailed)));
}

#[tokio::test]
async fn a_copy_takes_the_default_encryption_of_the_target_bucket() {
    let rig = Rig::new().await;
    rig.put("object", As::Customer(1), b"data").await;
    let rule =
        strongroom_engine::api::DefaultEncryption { algorithm: "aws:kms".into(), kms_key_id: Some(KEY.into()), bucket_key_enabled: true };
    rig.engine.set_bucket_encryption(BUCKET, rule).await.unwrap();
    let copied = rig.copy(("object", As::Customer(1)), ("copy", As::Store)).await.unwrap();
    assert_eq!((copied.stored.sse.mode, copied.stored.sse.bucket_key_enabled), (Mode::SseKms, true));
    assert_eq!(rig.get("copy", As::Kms).await.unwrap(), b"data");
}

#[tokio::test]
async fn a_copy_of_nothing_is_an_error() {
    let rig = Rig::new().await;
    assert!(matches!(rig.copy(("none", As::Store), ("copy", As::S3)).await, Err(Error::NoSuchKey)));
    let source = CopySource { bucket: "none".into(), ..copy_source("object", As::Store) };
    let request = CopyObject { source, ..copy_request(("object", As::Store), ("copy", As::S3)) };
    assert!(matches!(rig.engine.copy_object(&rig.root, request).await, Err(Error::NoSuchBucket)));
}

#[tokio::test]
async fn parts_are_copied_from_every_mode_into_every_mode() {
    let rig = Rig::new().await;
    for from in MODES {
        let (data, _) = Shape::Multipart.put(&rig, "source", from).await;
        for to in MODES {
            let upload = rig.create_upload("target", to).await;
            let first = copied_part(&rig, &upload, 1, from, to, None).await.unwrap();
            let second = copied_part(&rig, &upload, 2, from, to, Some((69_999, 70_001))).await.unwrap();
            rig.complete(&upload, vec![first, second]).await.unwrap();
            let expected = [&data[..], &data[69_999..=70_001]].concat();
            assert!(rig.get("target", to).await.unwrap() == expected, "{from:?} to {to:?}");
        }
    }
}

async fn copied_part(
    rig: &Rig,
    upload: &UploadRef,
    number: i32,
    from: As,
    to: As,
    range: Option<(u64, u64)>,
) -> Result<strongroom_engine::api::CompletedPart, Error> {
    let request = UploadPartCopy {
        upload: upload.clone(),
        part_number: number,
        source: copy_source("source", from),
        range: range.map(|(first, last)| strongroom_engine::api::ByteRange::From { first, last: Some(last) }),
        sse: SseHeaders { customer: to.customer(), ..SseHeaders::default() },
    };
    Ok(completed(number, &rig.engine.upload_part_copy(&rig.root, request).await?.part))
}

#[tokio::test]
async fn a_copied_parts_range_must_lie_within_the_source() {
    let rig = Rig::new().await;
    rig.put("source", As::S3, &data(100, 1)).await;
    let upload = rig.create_upload("target", As::S3).await;
    for (first, last) in [(0, 100), (100, 100), (5, 4), (50, u64::MAX)] {
        let error = copied_part(&rig, &upload, 1, As::S3, As::S3, Some((first, last))).await;
        assert!(matches!(error, Err(Error::InvalidRange { size_bytes: 100 })), "{first}-{last}");
    }
    copied_part(&rig, &upload, 1, As::S3, As::S3, Some((99, 99))).await.unwrap();
    assert_eq!(rig.blob_ids().await.len(), 1);
}

fn parts_in_blobs(shape: Shape) -> u64 {
    match shape {
        Shape::Inline => 0,
        Shape::Blob => 1,
        Shape::Multipart => 3,
    }
}
