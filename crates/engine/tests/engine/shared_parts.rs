//! UploadPartCopy of a whole blob: the part shares it. What is answered, what is on the disk, and what each of the two objects still
//! needs of the other: nothing.

use std::sync::Arc;

use strongroom_engine::{
    Error,
    api::{
        ByteRange, ChecksumAlgorithm, ChecksumKind, CompleteMultipartUpload, CompletedPart, CopyObject, CreateMultipartUpload, ListParts,
        PutObject, SseHeaders, UploadChecksum, UploadPart, UploadPartCopy, UploadRef, UploadedPart,
    },
    rekey::{JobState, RekeyRequest},
};
use strongroom_kms::KeyLifecycle as _;

use super::bodies::encoded;
use crate::common::*;

const LEN: usize = 150_000;

fn request(upload: &UploadRef, number: i32, from: (&str, As), to: As) -> UploadPartCopy {
    UploadPartCopy {
        upload: upload.clone(),
        part_number: number,
        source: copy_source(from.0, from.1),
        range: None,
        sse: SseHeaders { customer: to.customer(), ..SseHeaders::default() },
    }
}

async fn copied(rig: &Rig, request: UploadPartCopy) -> UploadedPart {
    rig.engine.upload_part_copy(&rig.root, request).await.unwrap().part
}

/// A part that is a copy of all of `from`, and whether the blob store got a new blob for it.
async fn copied_whole(rig: &Rig, upload: &UploadRef, number: i32, from: (&str, As), to: As) -> (CompletedPart, bool) {
    rig.reset_counts();
    let part = copied(rig, request(upload, number, from, to)).await;
    (completed(number, &part), rig.blobs.counts().created > 0)
}

fn shows_md5(by: As) -> bool {
    matches!(by, As::Store | As::S3)
}

/// Whether the MD5 of an object put in this mode is known, and whether a part in that mode needs one.
fn is_shared(from: As, to: As) -> bool {
    from.mode().layers() == to.mode().layers() && (shows_md5(from) || !shows_md5(to))
}

#[tokio::test]
async fn a_part_of_a_whole_object_shares_its_blob_where_the_layers_agree_and_the_etag_is_known() {
    for from in MODES {
        for to in MODES.map(|to| if to == As::Customer(1) { As::Customer(2) } else { to }) {
            let rig = Rig::new().await;
            let data = data(LEN, 1);
            rig.put("source", from, &data).await;
            let before = rig.blob_ids().await;
            let upload = rig.create_upload("target", to).await;
            let own = rig.upload_part(&upload, 1, to, b"own").await;
            let (part, moved) = copied_whole(&rig, &upload, 7, ("source", from), to).await;
            let what = format!("{from:?} to {to:?}");
            assert_eq!(!moved, is_shared(from, to), "{what}");
            assert_eq!(part.etag == md5_hex(&data), shows_md5(to), "{what}");
            assert_eq!(rig.blob_ids().await.len(), before.len() + 1 + usize::from(moved), "{what}");
            rig.complete(&upload, vec![own, part]).await.unwrap();
            let expected = [b"own", &data[..]].concat();
            assert!(rig.get("target", to).await.unwrap() == expected, "{what}");

            // The source goes, and what only it referred to.
            rig.delete("source").await;
            rig.engine.sweep_dead().await.unwrap();
            rig.engine.sweep_orphans().await.unwrap();
            assert_eq!(rig.blob_ids().await.len(), 2, "{what}");
            assert!(rig.get("target", to).await.unwrap() == expected, "{what}");
            assert!(rig.part("target", to, 7).await.unwrap() == data, "{what}");
            for (first, last) in [(0, 2), (2, 3), (3, 70_000), (65_538, 65_539), (65_539, 131_075), (150_002, 150_002)] {
                let range = ByteRange::From { first, last: Some(last) };
                let range_of = |at: u64| usize::try_from(at).unwrap();
                assert!(rig.range("target", to, range).await.unwrap() == expected[range_of(first)..=range_of(last)], "{what}");
            }
            rig.delete("target").await;
            rig.engine.sweep_dead().await.unwrap();
            assert!(rig.blob_ids().await.is_empty(), "{what}");
        }
    }
}

#[tokio::test]
async fn the_same_source_may_be_every_part_of_an_object_and_that_object_be_copied() {
    for sqlite in [false, true] {
        let rig = if sqlite { Rig::sqlite().await } else { Rig::new().await };
        let data = data(LEN, 1);
        rig.put("source", As::S3, &data).await;
        let blobs = rig.blob_ids().await;
        let upload = rig.create_upload("target", As::Kms).await;
        let mut parts = Vec::new();
        for number in 1..=4 {
            parts.push(copied_whole(&rig, &upload, number, ("source", As::S3), As::Kms).await.0);
        }
        rig.complete(&upload, parts).await.unwrap();
        rig.delete("source").await;
        rig.engine.sweep_dead().await.unwrap();
        assert!(rig.get("target", As::Kms).await.unwrap() == data.repeat(4));
        rig.copy(("target", As::Kms), ("copy", As::Customer(1))).await.unwrap();
        rig.delete("target").await;
        rig.engine.sweep_dead().await.unwrap();
        assert_eq!(rig.blob_ids().await, blobs);
        assert!(rig.get("copy", As::Customer(1)).await.unwrap() == data.repeat(4));
        // Parts of a part that is shared already.
        let upload = rig.create_upload("again", As::Kms).await;
        let range = Some(ByteRange::From { first: 150_000, last: Some(299_999) });
        let of_copy = UploadPartCopy { range, ..request(&upload, 1, ("copy", As::Customer(1)), As::Kms) };
        let part = copied(&rig, of_copy).await;
        rig.complete(&upload, vec![completed(1, &part)]).await.unwrap();
        rig.delete("copy").await;
        rig.engine.sweep_dead().await.unwrap();
        assert_eq!(rig.blob_ids().await, blobs);
        assert!(rig.get("again", As::Kms).await.unwrap() == data);
        // And moved out of the shared blob, into two layers.
        rig.copy(("again", As::Kms), ("moved", As::Dsse)).await.unwrap();
        rig.delete("again").await;
        rig.engine.sweep_dead().await.unwrap();
        assert!(rig.get("moved", As::Dsse).await.unwrap() == data);
        rig.delete("moved").await;
        rig.engine.sweep_dead().await.unwrap();
        assert!(rig.blob_ids().await.is_empty());
    }
}

#[tokio::test]
async fn a_range_that_is_one_whole_part_of_the_source_is_shared_and_any_other_is_moved() {
    let rig = Rig::new().await;
    let (data, _) = Shape::Multipart.put(&rig, "source", As::S3).await;
    let upload = rig.create_upload("target", As::Kms).await;
    for (first, last, is_shared) in [
        (0, 69_999, true),
        (70_000, 135_535, true),
        (135_536, 135_545, true),
        (0, 69_998, false),
        (1, 69_999, false),
        (0, 70_000, false),
        (0, 135_535, false),
        (0, 135_545, false),
    ] {
        rig.reset_counts();
        let range = Some(ByteRange::From { first, last: Some(last) });
        let part = copied(&rig, UploadPartCopy { range, ..request(&upload, 1, ("source", As::S3), As::Kms) }).await;
        assert_eq!(rig.blobs.counts().created == 0, is_shared, "{first}-{last}");
        let listed = rig.engine.list_parts(ListParts { upload: upload.clone(), after: 0, limit: 2 }).await.unwrap().parts;
        assert_eq!((listed[0].etag.as_str(), listed[0].size_bytes), (part.etag.as_str(), last - first + 1));
        rig.engine.sweep_dead().await.unwrap();
        assert_eq!(rig.blob_ids().await.len(), if is_shared { 3 } else { 4 }, "what a part was replaced by is all that it left");
    }
    // The MD5 of one part of a source is not known.
    let plain = rig.create_upload("plain", As::S3).await;
    let range = Some(ByteRange::From { first: 0, last: Some(69_999) });
    rig.reset_counts();
    let part = copied(&rig, UploadPartCopy { range, ..request(&plain, 1, ("source", As::S3), As::S3) }).await;
    assert_eq!((part.etag, rig.blobs.counts().created), (md5_hex(&data[..70_000]), 1));
}

#[tokio::test]
async fn a_small_or_empty_source_is_moved() {
    let rig = Rig::new().await;
    for (key, len) in [("empty", 0), ("inline", 4096)] {
        rig.put(key, As::S3, &data(len, 1)).await;
        let upload = rig.create_upload("target", As::S3).await;
        let (part, moved) = copied_whole(&rig, &upload, 1, (key, As::S3), As::S3).await;
        assert!(moved, "{key}");
        rig.complete(&upload, vec![part]).await.unwrap();
        assert!(rig.get("target", As::S3).await.unwrap() == data(len, 1));
    }
}

fn checksum(algorithm: ChecksumAlgorithm) -> UploadChecksum {
    UploadChecksum { algorithm: Some(algorithm), ..UploadChecksum::default() }
}

async fn begin(rig: &Rig, key: &str, by: As, algorithm: ChecksumAlgorithm, kind: ChecksumKind) -> UploadRef {
    let request =
        CreateMultipartUpload { checksum_algorithm: Some(algorithm), checksum_kind: Some(kind), ..create_request(key, by.write()) };
    let upload_id = rig.engine.create_multipart_upload(&rig.root, request).await.unwrap().upload_id;
    UploadRef { bucket: BUCKET.into(), key: key.into(), upload_id }
}

#[tokio::test]
async fn a_checksum_that_the_source_has_is_kept_and_one_that_it_lacks_is_computed_from_its_data() {
    let rig = Rig::new().await;
    let data = data(LEN, 1);
    let sha256 = ChecksumAlgorithm::Sha256;
    for (stored, is_shared) in [(Some(sha256), true), (Some(ChecksumAlgorithm::Crc32), false), (None, false)] {
        let put = PutObject { checksum: stored.map(checksum).unwrap_or_default(), ..put_request("source", As::S3.write(), &data) };
        let source = rig.engine.put_object(&rig.root, put).await.unwrap();
        let upload = begin(&rig, "target", As::Kms, sha256, ChecksumKind::Composite).await;
        rig.reset_counts();
        let part = copied(&rig, request(&upload, 1, ("source", As::S3), As::Kms)).await;
        assert_eq!(rig.blobs.counts().created == 0, is_shared, "{stored:?}");
        let of_part = part.checksum.clone().unwrap();
        assert_eq!((of_part.algorithm, of_part.kind), (sha256, ChecksumKind::FullObject));
        if is_shared {
            assert_eq!(Some(of_part.clone()), source.checksum);
        }
        let parts = vec![CompletedPart { checksum: Some((sha256, of_part.value)), ..completed(1, &part) }];
        let whole = rig.complete(&upload, parts).await.unwrap().checksum.unwrap();
        assert_eq!(whole.kind, ChecksumKind::Composite);
        let info = rig.engine.object_attributes(&rig.root, get_request("target", SseHeaders::default())).await.unwrap();
        assert_eq!(info.1[0].checksum, part.checksum);
        // A part of that object, whose checksum is kept with it.
        let again = begin(&rig, "again", As::Kms, sha256, ChecksumKind::Composite).await;
        rig.reset_counts();
        let shared = copied(&rig, request(&again, 1, ("target", As::Kms), As::Kms)).await;
        assert_eq!((rig.blobs.counts().created, shared.checksum), (0, part.checksum));
    }
}

#[tokio::test]
async fn the_md5_that_is_known_for_the_etag_is_the_checksum_md5_of_copies_and_parts() {
    let (rig, data) = (Rig::new().await, data(LEN, 1));
    let md5 = ChecksumAlgorithm::Md5;
    // Of objects under SSE-KMS no MD5 is known, so the data is read.
    for (by, is_known) in [(As::S3, true), (As::Kms, false)] {
        rig.put("source", by, &data).await;
        rig.reset_counts();
        let copy = CopyObject { checksum_algorithm: Some(md5), ..copy_request(("source", by), ("copy", As::Kms)) };
        let copied_whole = rig.engine.copy_object(&rig.root, copy).await.unwrap().stored.checksum.unwrap();
        let upload = begin(&rig, "target", As::Kms, md5, ChecksumKind::Composite).await;
        let part = copied(&rig, request(&upload, 1, ("source", by), As::Kms)).await.checksum.unwrap();
        assert_eq!(rig.blobs.counts().created, if is_known { 0 } else { 2 }, "{by:?}");
        for checksum in [copied_whole, part] {
            assert_eq!((checksum.algorithm, checksum.kind), (md5, ChecksumKind::FullObject));
            assert_eq!(checksum.value, encoded(md5, &data));
        }
    }
    // The MD5 of a multipart object's ETag is none of its bytes.
    rig.multipart("parts", As::S3, &[&data]).await;
    let copy = CopyObject { checksum_algorithm: Some(md5), ..copy_request(("parts", As::S3), ("copy", As::S3)) };
    assert_eq!(rig.engine.copy_object(&rig.root, copy).await.unwrap().stored.checksum.unwrap().value, encoded(md5, &data));
}

#[tokio::test]
async fn an_upload_without_checksums_takes_none_of_its_source() {
    let rig = Rig::new().await;
    let put = PutObject { checksum: checksum(ChecksumAlgorithm::Sha256), ..put_request("source", As::S3.write(), &data(LEN, 1)) };
    rig.engine.put_object(&rig.root, put).await.unwrap();
    let upload = rig.create_upload("target", As::S3).await;
    rig.reset_counts();
    let part = copied(&rig, request(&upload, 1, ("source", As::S3), As::S3)).await;
    assert_eq!((part.checksum, rig.blobs.counts().created), (None, 0));
    assert_eq!(rig.complete(&upload, vec![CompletedPart { number: 1, etag: part.etag, checksum: None }]).await.unwrap().checksum, None);
}

#[tokio::test]
async fn the_same_blob_copied_twice_has_the_same_etag_which_is_no_digest_of_its_data() {
    let rig = Rig::new().await;
    let data = data(LEN, 1);
    rig.put("source", As::S3, &data).await;
    for by in [As::Kms, As::Customer(1)] {
        let (first, second) = (rig.create_upload("target", by).await, rig.create_upload("target", by).await);
        let etag = async |upload, number| copied_whole(&rig, upload, number, ("source", As::S3), by).await.0.etag;
        let once = etag(&first, 1).await;
        assert_eq!(etag(&first, 1).await, once);
        assert_ne!(once, md5_hex(&data));
        assert_ne!(etag(&first, 2).await, once);
        assert_ne!(etag(&second, 1).await, once);
    }
    // An MD5 that is known shows again in an object that comes back to a mode of MD5s.
    let upload = rig.create_upload("target", As::Kms).await;
    let part = copied_whole(&rig, &upload, 1, ("source", As::S3), As::Kms).await.0;
    rig.complete(&upload, vec![part]).await.unwrap();
    let plain = rig.create_upload("plain", As::S3).await;
    let part = rig.upload_part(&plain, 1, As::S3, &data).await;
    let expected = rig.complete(&plain, vec![part]).await.unwrap().etag;
    assert_eq!(rig.copy(("target", As::Kms), ("back", As::S3)).await.unwrap().stored.etag, expected);
}

#[tokio::test]
async fn deleting_a_key_takes_the_objects_that_are_under_it_and_no_others() {
    for (from, to) in [(As::S3, As::Kms), (As::Kms, As::Customer(1)), (As::Customer(1), As::Kms), (As::Kms, As::BucketKey)] {
        for source_goes in [true, false] {
            let rig = Rig::new().await;
            let data = data(LEN, 1);
            rig.put("source", from, &data).await;
            let mut sse = to.write();
            sse.kms_key_id = sse.kms_key_id.map(|_| OTHER_KEY.into());
            let upload_id = rig.engine.create_multipart_upload(&rig.root, create_request("target", sse)).await.unwrap().upload_id;
            let upload = UploadRef { bucket: BUCKET.into(), key: "target".into(), upload_id };
            let (part, moved) = copied_whole(&rig, &upload, 1, ("source", from), to).await;
            assert!(!moved);
            rig.complete(&upload, vec![part]).await.unwrap();
            let key_of = |by: As, named| by.kms_key().map(|key| if key == KEY { named } else { key });
            let gone = if source_goes { key_of(from, KEY) } else { key_of(to, OTHER_KEY) };
            let Some(gone) = gone else { continue };
            rig.keys.delete_now(gone, gone).await.unwrap();
            let (lost, kept) = if source_goes { (("source", from), ("target", to)) } else { (("target", to), ("source", from)) };
            assert!(matches!(rig.get(lost.0, lost.1).await, Err(Error::KmsKeyErased(_))), "{from:?} to {to:?}, {lost:?}");
            assert!(rig.get(kept.0, kept.1).await.unwrap() == data, "{from:?} to {to:?}, {kept:?}");
        }
    }
}

#[tokio::test]
async fn open_uploads_and_objects_with_shared_parts_are_re_keyed_as_others() {
    for by in [As::S3, As::Kms, As::Dsse] {
        let rig = Rig::sqlite().await;
        let from = if by == As::Dsse { As::Dsse } else { As::S3 };
        let data = data(LEN, 1);
        rig.put("source", from, &data).await;
        let (open, done) = (rig.create_upload("open", by).await, rig.create_upload("done", by).await);
        let open_part = copied_whole(&rig, &open, 2, ("source", from), by).await;
        let done_part = copied_whole(&rig, &done, 2, ("source", from), by).await;
        assert!(!open_part.1 && !done_part.1);
        rig.complete(&done, vec![done_part.0]).await.unwrap();
        let blobs = rig.blob_ids().await;
        let job = rig.rekey(RekeyRequest { to_key: Some(OTHER_KEY.into()), ..RekeyRequest::default() }).await;
        assert_eq!((job.state, job.done), (JobState::Completed, 3));
        rig.complete(&open, vec![open_part.0]).await.unwrap();
        let old = by.kms_key().unwrap();
        rig.keys.delete_now(old, old).await.unwrap();
        if from.kms_key() != by.kms_key() {
            let old = from.kms_key().unwrap();
            rig.keys.delete_now(old, old).await.unwrap();
        }
        for key in ["open", "done"] {
            assert!(rig.get(key, by).await.unwrap() == data, "{by:?}, {key}");
        }
        assert_eq!(rig.blob_ids().await, blobs);
    }
}

#[tokio::test]
async fn an_object_may_be_a_part_of_what_takes_its_place() {
    for by in [As::S3, As::Kms, As::Dsse, As::Customer(1)] {
        let rig = Rig::sqlite().await;
        let data = data(LEN, 1);
        rig.put("object", by, &data).await;
        let blobs = rig.blob_ids().await;
        let upload = rig.create_upload("object", by).await;
        let (first, moved) = copied_whole(&rig, &upload, 1, ("object", by), by).await;
        assert!(!moved);
        let second = rig.upload_part(&upload, 2, by, b"more").await;
        let request = CompleteMultipartUpload { sse: by.read(), ..complete_request(&upload, vec![first, second]) };
        rig.engine.complete_multipart_upload(&rig.root, request).await.unwrap();
        rig.engine.sweep_dead().await.unwrap();
        rig.engine.sweep_orphans().await.unwrap();
        assert!(rig.blob_ids().await.is_superset(&blobs));
        assert!(rig.get("object", by).await.unwrap() == [&data[..], b"more"].concat(), "{by:?}");
    }
}

#[tokio::test]
async fn an_abort_and_a_part_put_again_let_go_of_the_blob_and_no_more() {
    let rig = Rig::sqlite().await;
    let data = data(LEN, 1);
    rig.put("source", As::S3, &data).await;
    let blobs = rig.blob_ids().await;
    let upload = rig.create_upload("target", As::S3).await;
    for number in [1, 1, 2] {
        copied_whole(&rig, &upload, number, ("source", As::S3), As::S3).await;
    }
    rig.upload_part(&upload, 2, As::S3, b"other").await;
    rig.engine.sweep_dead().await.unwrap();
    assert_eq!(rig.blob_ids().await.len(), 2);
    rig.engine.abort_multipart_upload(&upload).await.unwrap();
    rig.engine.sweep_dead().await.unwrap();
    assert_eq!(rig.blob_ids().await, blobs);
    assert!(rig.get("source", As::S3).await.unwrap() == data);
    rig.delete("source").await;
    rig.engine.sweep_dead().await.unwrap();
    assert!(rig.blob_ids().await.is_empty());
}

/// The other way round: the source goes first, and the parts under way keep its blob.
#[tokio::test]
async fn a_part_under_way_keeps_the_blob_of_a_source_that_was_deleted() {
    let rig = Rig::sqlite().await;
    let data = data(LEN, 1);
    rig.put("source", As::S3, &data).await;
    let upload = rig.create_upload("target", As::S3).await;
    let (part, _) = copied_whole(&rig, &upload, 1, ("source", As::S3), As::S3).await;
    rig.delete("source").await;
    rig.engine.sweep_dead().await.unwrap();
    rig.complete(&upload, vec![part]).await.unwrap();
    assert!(rig.get("target", As::S3).await.unwrap() == data);
}

#[tokio::test]
async fn concurrent_copies_of_one_source_into_one_upload_all_share_its_blob() {
    let rig = Arc::new(Rig::sqlite().await);
    let data = data(LEN, 1);
    rig.put("source", As::S3, &data).await;
    let blobs = rig.blob_ids().await;
    let upload = rig.create_upload("target", As::S3).await;
    let tasks = (1..=8).map(|number| {
        let (rig, request) = (Arc::clone(&rig), request(&upload, number, ("source", As::S3), As::S3));
        tokio::spawn(async move { completed(number, &rig.engine.upload_part_copy(&rig.root, request).await.unwrap().part) })
    });
    let parts = futures_util::future::try_join_all(tasks).await.unwrap();
    rig.complete(&upload, parts).await.unwrap();
    assert!(rig.get("target", As::S3).await.unwrap() == data.repeat(8));
    assert_eq!(rig.blob_ids().await, blobs);
}

#[tokio::test]
async fn a_shared_part_that_was_altered_in_its_row_is_not_completed() {
    let rig = Rig::sqlite().await;
    rig.put("source", As::S3, &data(LEN, 1)).await;
    rig.put("other", As::S3, &data(LEN, 2)).await;
    for sql in [
        "UPDATE parts SET blob = (SELECT blob FROM parts WHERE number = 2) WHERE number = 1",
        "UPDATE parts SET record = (SELECT record FROM parts WHERE number = 2) WHERE number = 1",
        "UPDATE parts SET size_bytes = size_bytes - 1 WHERE number = 1",
    ] {
        let upload = rig.create_upload("target", As::S3).await;
        let (one, _) = copied_whole(&rig, &upload, 1, ("source", As::S3), As::S3).await;
        let (two, _) = copied_whole(&rig, &upload, 2, ("other", As::S3), As::S3).await;
        rig.rows().execute(sql, []).unwrap();
        assert!(matches!(rig.complete(&upload, vec![one, two]).await, Err(Error::Integrity(_))), "{sql}");
        rig.rows().execute_batch("DELETE FROM parts; DELETE FROM uploads").unwrap();
    }
}

#[tokio::test]
async fn a_copy_has_the_checksum_of_all_bytes_also_where_that_of_the_source_is_composite() {
    let rig = Rig::new().await;
    let contents = [data(LEN, 1), data(LEN + 7, 2), b"tail".to_vec()];
    for algorithm in ChecksumAlgorithm::ALL.into_iter().filter(|algorithm| algorithm.allows(ChecksumKind::Composite)) {
        let upload = begin(&rig, "source", As::Kms, algorithm, ChecksumKind::Composite).await;
        let mut parts = Vec::new();
        for (number, content) in (1..).zip(&contents) {
            let part = UploadPart { checksum: checksum(algorithm), ..part_request(&upload, number, As::Kms, content) };
            let part = rig.engine.upload_part(&rig.root, part).await.unwrap();
            parts.push(CompletedPart { checksum: part.checksum.clone().map(|own| (algorithm, own.value)), ..completed(number, &part) });
        }
        let source = rig.complete(&upload, parts).await.unwrap().checksum.unwrap();
        assert_eq!(source.kind, ChecksumKind::Composite);
        // Asked for by name or kept from the source; then of the copy, whose checksum is known.
        for asked in [None, Some(algorithm)] {
            rig.reset_counts();
            let copy = CopyObject { checksum_algorithm: asked, ..copy_request(("source", As::Kms), ("copy", As::Kms)) };
            let copied = rig.engine.copy_object(&rig.root, copy).await.unwrap().stored.checksum.unwrap();
            assert_eq!((copied.algorithm, copied.kind), (algorithm, ChecksumKind::FullObject));
            assert_eq!(copied.value, encoded(algorithm, &contents.concat()), "{algorithm:?}");
            let combines = algorithm.allows(ChecksumKind::FullObject);
            assert_eq!(
                rig.blobs.counts().created,
                u64::from(!combines),
                "the CRCs of parts combine, other checksums are computed: {algorithm:?}"
            );
            assert_eq!(rig.get("copy", As::Kms).await.unwrap(), contents.concat());
            rig.reset_counts();
            let again = rig.copy(("copy", As::Kms), ("again", As::Customer(1))).await.unwrap().stored.checksum;
            assert_eq!((again, rig.blobs.counts().created), (Some(copied), 0), "{algorithm:?}");
        }
    }
}
