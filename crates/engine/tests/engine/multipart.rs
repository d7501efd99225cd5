//! Multipart uploads: what completing one checks, and what becomes of its parts.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use strongroom_catalog::{
    CatalogError,
    testing::{FaultMoment, Faults},
};
use strongroom_engine::{
    EngineOptions, Error,
    api::{
        Checksum, ChecksumAlgorithm, ChecksumKind, CompleteMultipartUpload, CompletedPart, CreateMultipartUpload, ListParts,
        UploadChecksum, UploadPart, UploadRef,
    },
};

use super::bodies::{encoded, in_header, raw};
use crate::common::*;

#[tokio::test]
async fn completing_checks_order_presence_and_etags() {
    let rig = Rig::new().await;
    let upload = rig.create_upload("object", As::S3).await;
    let one = rig.upload_part(&upload, 1, As::S3, b"one").await;
    let seven = rig.upload_part(&upload, 7, As::S3, b"seven").await;
    let absent = CompletedPart { number: 3, ..one.clone() };
    let wrong = CompletedPart { etag: seven.etag.clone(), ..one.clone() };
    let no_etag = CompletedPart { etag: String::new(), ..one.clone() };
    for (parts, expected) in [
        (vec![], "MalformedXml"),
        (vec![seven.clone(), one.clone()], "InvalidPartOrder"),
        (vec![one.clone(), one.clone()], "InvalidPartOrder"),
        (vec![one.clone(), absent], "InvalidPart"),
        (vec![wrong], "InvalidPart"),
        (vec![no_etag], "InvalidPart"),
        (vec![CompletedPart { number: -1, ..one.clone() }], "InvalidPart"),
        (vec![CompletedPart { number: 65_537, ..one.clone() }], "InvalidPart"),
    ] {
        let error = rig.complete(&upload, parts).await.unwrap_err();
        assert_eq!(format!("{error:?}").split('(').next(), Some(expected));
    }
    let stored = rig.complete(&upload, vec![one, seven]).await.unwrap();
    assert_eq!(stored.etag, format!("{}-2", md5_hex(&[raw_md5(b"one"), raw_md5(b"seven")].concat())));
    assert_eq!(rig.get("object", As::S3).await.unwrap(), b"oneseven");
    assert_eq!(rig.part("object", As::S3, 7).await.unwrap(), b"seven");
    assert!(matches!(rig.part("object", As::S3, 2).await, Err(Error::InvalidPartNumber)));
}

fn raw_md5(data: &[u8]) -> Vec<u8> {
    hex::decode(md5_hex(data)).unwrap()
}

#[tokio::test]
async fn the_etag_of_parts_shows_no_md5_where_the_mode_forbids_it() {
    let rig = Rig::new().await;
    for by in [As::Kms, As::Dsse, As::Customer(1)] {
        let stored = rig.multipart("object", by, &[b"one", b"two"]).await;
        let md5 = md5_hex(&[raw_md5(b"one"), raw_md5(b"two")].concat());
        assert!(stored.etag.ends_with("-2") && stored.etag.len() == 34 && !stored.etag.starts_with(&md5));
    }
}

#[tokio::test]
async fn all_parts_but_the_last_have_a_least_size() {
    let options = EngineOptions { min_part_bytes: 1000, max_object_bytes: 3000, ..Plan::default().options };
    let rig = Rig::with(Plan { options, ..Plan::default() }).await;
    let upload = rig.create_upload("object", As::S3).await;
    let mut parts = Vec::new();
    for (number, len) in [(1, 1000), (2, 999), (3, 1), (4, 2000)] {
        parts.push(rig.upload_part(&upload, number, As::S3, &data(len, 1)).await);
    }
    let some = |numbers: &[usize]| numbers.iter().map(|number| parts[number - 1].clone()).collect::<Vec<_>>();
    let error = rig.complete(&upload, some(&[1, 2, 3])).await;
    assert!(matches!(error, Err(Error::EntityTooSmall { number: 2, size_bytes: 999 })));
    let error = rig.complete(&upload, some(&[1, 4, 3])).await;
    assert!(matches!(error, Err(Error::InvalidPartOrder)));
    assert_eq!(rig.complete(&upload, some(&[1, 4])).await.unwrap().size_bytes, 3000);

    let upload = rig.create_upload("object", As::S3).await;
    let parts = [rig.upload_part(&upload, 1, As::S3, &data(1001, 1)).await, rig.upload_part(&upload, 2, As::S3, &data(2000, 1)).await];
    assert!(matches!(rig.complete(&upload, parts.to_vec()).await, Err(Error::EntityTooLarge)));
}

#[tokio::test]
async fn the_stated_size_of_the_object_is_checked() {
    let rig = Rig::new().await;
    let upload = rig.create_upload("object", As::S3).await;
    let part = rig.upload_part(&upload, 1, As::S3, b"four").await;
    let request = |size| CompleteMultipartUpload { object_size_bytes: Some(size), ..complete_request(&upload, vec![part.clone()]) };
    assert!(matches!(rig.engine.complete_multipart_upload(&rig.root, request(5)).await, Err(Error::InvalidRequest(_))));
    assert_eq!(rig.engine.complete_multipart_upload(&rig.root, request(4)).await.unwrap().size_bytes, 4);
}

async fn upload_with(rig: &Rig, algorithm: ChecksumAlgorithm, kind: Option<ChecksumKind>) -> Result<UploadRef, Error> {
    let request =
        CreateMultipartUpload { checksum_algorithm: Some(algorithm), checksum_kind: kind, ..create_request("object", As::Kms.write()) };
    let created = rig.engine.create_multipart_upload(&rig.root, request).await?;
    assert!(created.checksum.is_some_and(|(stated, _)| stated == algorithm));
    Ok(UploadRef { bucket: BUCKET.into(), key: "object".into(), upload_id: created.upload_id })
}

#[tokio::test]
async fn the_checksum_of_parts_is_what_a_client_computes() {
    let rig = Rig::new().await;
    let contents = [data(70_000, 1), data(65_536, 2), b"tail".to_vec()];
    let all = contents.concat();
    for algorithm in ChecksumAlgorithm::ALL {
        for kind in [ChecksumKind::Composite, ChecksumKind::FullObject] {
            let allowed = match kind {
                ChecksumKind::Composite => algorithm != ChecksumAlgorithm::Crc64Nvme,
                ChecksumKind::FullObject => algorithm.name().starts_with("CRC"),
            };
            if !allowed {
                assert!(matches!(upload_with(&rig, algorithm, Some(kind)).await, Err(Error::InvalidRequest(_))), "{algorithm:?} {kind:?}");
                continue;
            }
            let of_parts: Vec<_> = contents.iter().flat_map(|content| raw(algorithm, content)).collect();
            let value = match kind {
                ChecksumKind::Composite => format!("{}-3", encoded(algorithm, &of_parts)),
                ChecksumKind::FullObject => encoded(algorithm, &all),
            };
            let expected = Checksum { algorithm, kind, value: value.clone() };
            for (stated, accepted) in [
                (None, true),
                (Some(value.clone()), true),
                (value.strip_suffix("-3").map(str::to_owned), true),
                (Some(encoded(algorithm, b"other")), false),
            ] {
                let upload = upload_with(&rig, algorithm, Some(kind)).await.unwrap();
                let mut parts = Vec::new();
                for (number, content) in (1..).zip(&contents) {
                    let checksum = if number == 2 { UploadChecksum::default() } else { in_header(algorithm, &encoded(algorithm, content)) };
                    let request = UploadPart { checksum, ..part_request(&upload, number, As::Kms, content) };
                    let part = rig.engine.upload_part(&rig.root, request).await.unwrap();
                    assert_eq!(part.checksum.as_ref().unwrap().value, encoded(algorithm, content), "computed also where not sent");
                    parts.push(CompletedPart { checksum: Some((algorithm, encoded(algorithm, content))), ..completed(number, &part) });
                }
                let request =
                    CompleteMultipartUpload { checksum: stated.map(|value| (algorithm, value)), ..complete_request(&upload, parts) };
                let result = rig.engine.complete_multipart_upload(&rig.root, request).await;
                if accepted {
                    assert_eq!(result.unwrap().checksum.as_ref(), Some(&expected));
                    let (info, parts) = rig.engine.object_attributes(&rig.root, get_request("object", As::Kms.read())).await.unwrap();
                    assert_eq!(info.checksum.as_ref(), Some(&expected));
                    let values: Vec<_> = parts.iter().map(|part| (part.number, part.checksum.clone().unwrap().value)).collect();
                    let wanted: Vec<_> = (1..).zip(contents.iter().map(|content| encoded(algorithm, content))).collect();
                    assert_eq!(values, wanted);
                } else {
                    assert!(matches!(result, Err(Error::BadDigest(name)) if name == algorithm.name()));
                }
            }
        }
    }
}

#[tokio::test]
async fn a_part_with_another_checksum_than_the_uploads_is_refused() {
    let rig = Rig::new().await;
    let upload = upload_with(&rig, ChecksumAlgorithm::Sha256, None).await.unwrap();
    let part = |checksum| UploadPart { checksum, ..part_request(&upload, 1, As::Kms, b"data") };
    let other = part(in_header(ChecksumAlgorithm::Crc32, &encoded(ChecksumAlgorithm::Crc32, b"data")));
    assert!(matches!(rig.engine.upload_part(&rig.root, other).await, Err(Error::InvalidRequest(_))));
    let wrong = part(in_header(ChecksumAlgorithm::Sha256, &STANDARD.encode([0; 32])));
    assert!(matches!(rig.engine.upload_part(&rig.root, wrong).await, Err(Error::BadDigest("SHA256"))));
    let right = rig.upload_part(&upload, 1, As::Kms, b"data").await;
    let lie = CompletedPart { checksum: Some((ChecksumAlgorithm::Sha256, STANDARD.encode([0; 32]))), ..right };
    assert!(matches!(rig.complete(&upload, vec![lie]).await, Err(Error::InvalidPart)));
    let kind_without_algorithm =
        CreateMultipartUpload { checksum_kind: Some(ChecksumKind::Composite), ..create_request("object", As::Kms.write()) };
    assert!(matches!(rig.engine.create_multipart_upload(&rig.root, kind_without_algorithm).await, Err(Error::InvalidRequest(_))));
}

#[tokio::test]
async fn completing_again_answers_the_same_until_the_object_is_gone() {
    let rig = Rig::new().await;
    for by in MODES {
        let upload = rig.create_upload("object", by).await;
        let part = rig.upload_part(&upload, 1, by, b"data").await;
        let request = |by: As| CompleteMultipartUpload { sse: by.read(), ..complete_request(&upload, vec![part.clone()]) };
        let first = rig.engine.complete_multipart_upload(&rig.root, request(by)).await.unwrap();
        let again = rig.engine.complete_multipart_upload(&rig.root, request(by)).await.unwrap();
        assert_eq!(format!("{first:?}"), format!("{again:?}"));
        if by == As::Customer(1) {
            let wrong = rig.engine.complete_multipart_upload(&rig.root, request(As::Customer(2))).await;
            assert!(matches!(wrong, Err(Error::PartKeyWrong)));
        }
        rig.put("object", by, b"new").await;
        assert!(matches!(rig.engine.complete_multipart_upload(&rig.root, request(by)).await, Err(Error::NoSuchUpload)));
        assert_eq!(rig.get("object", by).await.unwrap(), b"new");
    }
}

#[tokio::test]
async fn a_completion_that_names_other_parts_another_checksum_or_another_size_repeats_none() {
    let rig = Rig::new().await;
    let sha256 = |data: &[u8]| (ChecksumAlgorithm::Sha256, encoded(ChecksumAlgorithm::Sha256, data));
    for by in MODES {
        let algorithm = Some(ChecksumAlgorithm::Sha256);
        let request = CreateMultipartUpload { checksum_algorithm: algorithm, ..create_request("object", by.write()) };
        let created = rig.engine.create_multipart_upload(&rig.root, request).await.unwrap();
        let upload = UploadRef { bucket: BUCKET.into(), key: "object".into(), upload_id: created.upload_id };
        // Three parts, of which the first and the second become the object; the third is one that a client may have meant.
        let [one, two, three] = [(1, "one"), (2, "two"), (3, "six")].map(|(number, data)| (number, data.as_bytes()));
        let mut parts = Vec::new();
        for (number, data) in [one, two, three] {
            parts.push(rig.upload_part(&upload, number, by, data).await);
        }
        let complete = |parts: Vec<CompletedPart>| CompleteMultipartUpload { sse: by.read(), ..complete_request(&upload, parts) };
        let named = vec![parts[0].clone(), parts[1].clone()];
        let first = rig.engine.complete_multipart_upload(&rig.root, complete(named.clone())).await.unwrap();
        let checksum = first.checksum.clone().unwrap();
        let with_checksums = |one: &[u8]| {
            let checksums = [sha256(one), sha256(b"two")].map(Some);
            named.iter().cloned().zip(checksums).map(|(part, checksum)| CompletedPart { checksum, ..part }).collect::<Vec<_>>()
        };
        for same in [
            complete(named.clone()),
            complete(with_checksums(b"one")),
            CompleteMultipartUpload { object_size_bytes: Some(6), ..complete(named.clone()) },
            CompleteMultipartUpload { checksum: Some((checksum.algorithm, checksum.value.clone())), ..complete(named.clone()) },
            CompleteMultipartUpload { checksum_kind: Some(ChecksumKind::Composite), ..complete(named.clone()) },
        ] {
            let again = rig.engine.complete_multipart_upload(&rig.root, same).await.unwrap();
            assert_eq!(format!("{again:?}"), format!("{first:?}"), "{by:?}");
        }
        let other_etag = CompletedPart { etag: parts[2].etag.clone(), ..parts[1].clone() };
        let other_number = CompletedPart { number: 3, ..parts[1].clone() };
        for (what, other) in [
            ("another part", complete(vec![parts[0].clone(), parts[2].clone()])),
            ("another ETag", complete(vec![parts[0].clone(), other_etag])),
            ("another number", complete(vec![parts[0].clone(), other_number])),
            ("one part less", complete(vec![parts[0].clone()])),
            ("one part more", complete(parts.clone())),
            ("another checksum of a part", complete(with_checksums(b"six"))),
            ("another size", CompleteMultipartUpload { object_size_bytes: Some(7), ..complete(named.clone()) }),
            ("another checksum", CompleteMultipartUpload { checksum: Some(sha256(b"other")), ..complete(named.clone()) }),
            (
                "another algorithm",
                CompleteMultipartUpload { checksum: Some((ChecksumAlgorithm::Sha1, checksum.value.clone())), ..complete(named.clone()) },
            ),
            ("another type", CompleteMultipartUpload { checksum_kind: Some(ChecksumKind::FullObject), ..complete(named.clone()) }),
        ] {
            let refused = rig.engine.complete_multipart_upload(&rig.root, other).await;
            assert!(matches!(refused, Err(Error::NoSuchUpload)), "{by:?}, {what}: {refused:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_completions_at_the_same_time_all_answer_the_same() {
    let rig = Arc::new(Rig::new().await);
    for _ in 0..20 {
        let upload = rig.create_upload("object", As::S3).await;
        let part = rig.upload_part(&upload, 1, As::S3, b"data").await;
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let (rig, upload, part) = (Arc::clone(&rig), upload.clone(), part.clone());
                tokio::spawn(async move { rig.complete(&upload, vec![part]).await.unwrap().etag })
            })
            .collect();
        for task in tasks {
            assert_eq!(task.await.unwrap(), format!("{}-1", md5_hex(&raw_md5(b"data"))));
        }
    }
}

async fn faulty_rig() -> (Rig, Arc<Faults>) {
    let faults = Arc::new(Faults::default());
    let rig = Rig::with(Plan { catalog_hook: Some(Arc::clone(&faults) as _), ..Plan::default() }).await;
    (rig, faults)
}

#[tokio::test]
async fn a_part_replaced_during_completion_is_looked_at_again() {
    let (rig, faulty) = faulty_rig().await;
    let upload = rig.create_upload("object", As::S3).await;
    let part = rig.upload_part(&upload, 1, As::S3, b"data").await;
    let fail = |count| {
        for nth in 1..=count {
            faulty.fail_write(nth, FaultMoment::Before, || CatalogError::PartChanged(1));
        }
    };
    fail(4);
    assert!(matches!(rig.complete(&upload, vec![part.clone()]).await, Err(Error::ConditionalConflict)));
    fail(3);
    rig.complete(&upload, vec![part]).await.unwrap();
    assert_eq!(rig.get("object", As::S3).await.unwrap(), b"data");

    let upload = rig.create_upload("object", As::S3).await;
    let old = rig.upload_part(&upload, 1, As::S3, b"old part").await;
    let new = rig.upload_part(&upload, 1, As::S3, b"new part").await;
    assert!(matches!(rig.complete(&upload, vec![old]).await, Err(Error::InvalidPart)));
    rig.complete(&upload, vec![new]).await.unwrap();
    assert_eq!(rig.get("object", As::S3).await.unwrap(), b"new part");
}

#[tokio::test]
async fn a_completion_whose_commit_answers_nothing_is_found_to_have_happened() {
    let (rig, faulty) = faulty_rig().await;
    let upload = rig.create_upload("object", As::S3).await;
    let part = rig.upload_part(&upload, 1, As::S3, b"data").await;
    faulty.fail_write(1, FaultMoment::After, || CatalogError::Busy);
    let first = rig.complete(&upload, vec![part.clone()]).await.unwrap();
    assert_eq!(faulty.pending(), 0);
    let again = rig.complete(&upload, vec![part]).await.unwrap();
    assert_eq!(format!("{first:?}"), format!("{again:?}"));
    assert_eq!(rig.head("object", As::S3).await.unwrap().info.etag, first.etag);
}

#[tokio::test]
async fn an_aborted_upload_lets_go_of_its_parts_and_is_gone() {
    let rig = Rig::new().await;
    let upload = rig.create_upload("object", As::S3).await;
    let part = rig.upload_part(&upload, 1, As::S3, b"data").await;
    rig.upload_part(&upload, 1, As::S3, b"again").await;
    assert_eq!(rig.engine.sweep_dead().await.unwrap(), 1, "the part that was replaced");
    rig.engine.abort_multipart_upload(&upload).await.unwrap();
    assert_eq!(rig.engine.sweep_dead().await.unwrap(), 1);
    assert!(rig.blob_ids().await.is_empty());
    assert!(matches!(rig.engine.abort_multipart_upload(&upload).await, Err(Error::NoSuchUpload)));
    assert!(matches!(rig.complete(&upload, vec![part]).await, Err(Error::NoSuchUpload)));
    let part = rig.engine.upload_part(&rig.root, part_request(&upload, 2, As::S3, b"x")).await;
    assert!(matches!(part, Err(Error::NoSuchUpload)));
    let listed = rig.engine.list_parts(ListParts { upload: upload.clone(), after: 0, limit: 10 }).await;
    assert!(matches!(listed, Err(Error::NoSuchUpload)));
    for (bucket, upload_id, no_bucket) in
        [(BUCKET, "nonsense", false), ("none", "nonsense", true), ("none", upload.upload_id.as_str(), true)]
    {
        let upload = UploadRef { bucket: bucket.into(), key: "object".into(), upload_id: upload_id.into() };
        let error = rig.engine.upload_part(&rig.root, part_request(&upload, 1, As::S3, b"x")).await.unwrap_err();
        assert!(if no_bucket { matches!(error, Error::NoSuchBucket) } else { matches!(error, Error::NoSuchUpload) });
    }
}

#[tokio::test]
async fn completing_lets_go_of_the_parts_that_are_not_named() {
    let rig = Rig::new().await;
    let upload = rig.create_upload("object", As::S3).await;
    let mut parts = Vec::new();
    for number in 1..=4 {
        parts.push(rig.upload_part(&upload, number, As::S3, &data(100, 1)).await);
    }
    rig.complete(&upload, vec![parts[1].clone(), parts[3].clone()]).await.unwrap();
    assert_eq!(rig.engine.sweep_dead().await.unwrap(), 2);
    assert_eq!(rig.get("object", As::S3).await.unwrap(), data(100, 1).repeat(2));
}

#[tokio::test]
async fn the_customer_key_is_optional_at_completion_but_checked_where_given() {
    let rig = Rig::new().await;
    for (given, expected) in [
        (As::Store.read(), None),
        (As::Customer(1).read(), None),
        (As::Customer(2).read(), Some("PartKeyWrong")),
        (As::S3.write(), Some("SseHeaderNotAllowed")),
    ] {
        let upload = rig.create_upload("object", As::Customer(1)).await;
        let part = rig.upload_part(&upload, 1, As::Customer(1), b"data").await;
        let request = CompleteMultipartUpload { sse: given, ..complete_request(&upload, vec![part]) };
        let error = rig.engine.complete_multipart_upload(&rig.root, request).await.err();
        assert_eq!(error.map(|error| format!("{error:?}")).as_deref(), expected);
    }
    assert_eq!(rig.get("object", As::Customer(1)).await.unwrap(), b"data");
}

#[tokio::test]
async fn parts_are_numbered_1_to_10000() {
    let rig = Rig::new().await;
    let upload = rig.create_upload("object", As::S3).await;
    for number in [i32::MIN, -1, 0, 10_001, 65_537, i32::MAX] {
        let error = rig.engine.upload_part(&rig.root, part_request(&upload, number, As::S3, b"")).await;
        assert!(matches!(error, Err(Error::InvalidArgument(_))), "{number}");
    }
    let last = rig.upload_part(&upload, 10_000, As::S3, b"last").await;
    rig.complete(&upload, vec![last]).await.unwrap();
    assert_eq!(rig.part("object", As::S3, 10_000).await.unwrap(), b"last");
}

#[tokio::test]
async fn parts_are_listed_in_pages() {
    let rig = Rig::new().await;
    let upload = rig.create_upload("object", As::S3).await;
    for number in [5, 3, 9] {
        rig.upload_part(&upload, number, As::S3, &data(usize::try_from(number).unwrap(), 1)).await;
    }
    let page = async |after, limit| {
        let page = rig.engine.list_parts(ListParts { upload: upload.clone(), after, limit }).await.unwrap();
        let parts: Vec<_> = page.parts.iter().map(|part| (part.number, part.size_bytes)).collect();
        for part in &page.parts {
            assert_eq!(part.etag, md5_hex(&data(part.number.into(), 1)));
        }
        (parts, page.truncated)
    };
    assert_eq!(page(0, 10).await, (vec![(3, 3), (5, 5), (9, 9)], false));
    assert_eq!(page(0, 2).await, (vec![(3, 3), (5, 5)], true));
    assert_eq!(page(5, 2).await, (vec![(9, 9)], false));
    assert_eq!(page(3, 0).await, (vec![], false), "a page of none has nothing to go on from");
}
