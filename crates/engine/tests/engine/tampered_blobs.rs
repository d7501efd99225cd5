//! Whoever can write to the disk of the blobs: never a wrong byte goes out.

use strongroom_blobs::{BlobId, BlobStore as _};
use strongroom_engine::{
    Error,
    api::{ByteRange, SseHeaders, UploadPartCopy, UploadRef, UploadedPart},
};

use crate::common::*;

const HEADER: usize = 48;

/// Reads an object whose damage shows before the first byte goes out.
async fn is_refused(rig: &Rig, by: As, what: &str) {
    let before = rig.engine.integrity_events();
    let error = rig.engine.get_object(&rig.root, get_request("object", by.read())).await.err();
    assert!(matches!(error, Some(Error::Integrity(_))), "{what}: {error:?}");
    assert_eq!(rig.engine.integrity_events(), before + 1, "counted once: {what}");
}

/// Reads an object whose damage shows after `good` bytes.
async fn breaks_off(rig: &Rig, by: As, data: &[u8], good: usize, what: &str) {
    if good == 0 {
        return is_refused(rig, by, what).await;
    }
    let before = rig.engine.integrity_events();
    let reply = rig.engine.get_object(&rig.root, get_request("object", by.read())).await.unwrap();
    let (read, error) = drain(reply).await;
    assert!(matches!(error, Some(Error::Integrity(_))), "{what}: {error:?}");
    assert!(read == data[..good], "only authentic bytes, and all of them: {what}: {} of {good}", read.len());
    assert_eq!(rig.engine.integrity_events(), before + 1, "counted once: {what}");
}

async fn blob_of(rig: &Rig, by: As, len: usize) -> (BlobId, Vec<u8>, Vec<u8>) {
    rig.delete("object").await;
    rig.engine.sweep_dead().await.unwrap();
    let before = rig.blob_ids().await;
    let data = data(len, 5);
    rig.put("object", by, &data).await;
    let id = rig.new_blob(&before).await;
    (id, data, rig.memory.bytes(id).unwrap().to_vec())
}

#[tokio::test]
async fn a_changed_byte_anywhere_in_a_blob_is_noticed_before_its_chunk_goes_out() {
    let rig = Rig::new().await;
    for (by, overhead) in [(As::Store, 16), (As::S3, 16), (As::Kms, 16), (As::BucketKey, 16), (As::Dsse, 32), (As::Customer(1), 16)] {
        let (id, data, good) = blob_of(&rig, by, 3 * 65_536 + 100).await;
        let chunk = 65_536 + overhead;
        assert_eq!(good.len(), HEADER + 3 * chunk + 100 + overhead);
        let in_chunks = (0..4).flat_map(|number| {
            let (start, len) = (HEADER + number * chunk, if number == 3 { 100 + overhead } else { chunk });
            [0, 1, len / 2, len - overhead - 1, len - overhead, len - 1].map(|at| (start + at, number * 65_536))
        });
        for (at, sound) in (0..HEADER).map(|at| (at, 0)).chain(in_chunks) {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            rig.memory.tamper(id, bad);
            breaks_off(&rig, by, &data, sound, &format!("{by:?}, byte {at}")).await;
        }
        rig.memory.tamper(id, good);
        assert!(rig.get("object", by).await.unwrap() == data);
    }
}

#[tokio::test]
async fn a_range_beside_the_damage_is_still_answered() {
    let rig = Rig::new().await;
    let (id, data, mut bad) = blob_of(&rig, As::S3, 200_000).await;
    bad[HEADER + 65_552 + 5] ^= 1;
    rig.memory.tamper(id, bad);
    let sound = ByteRange::From { first: 131_072, last: None };
    assert!(rig.range("object", As::S3, sound).await.unwrap() == data[131_072..]);
    assert_eq!(rig.engine.integrity_events(), 0);
    let damaged = rig.range("object", As::S3, ByteRange::From { first: 131_071, last: None }).await;
    assert!(matches!(damaged, Err(Error::Integrity(_))));
    assert_eq!(rig.engine.integrity_events(), 1);
}

#[tokio::test]
async fn a_cut_blob_is_never_a_short_object() {
    let rig = Rig::new().await;
    for by in [As::S3, As::Dsse] {
        let (id, data, good) = blob_of(&rig, by, 12 * 65_536 + 7).await;
        let chunk = if by == As::Dsse { 65_568 } else { 65_552 };
        // One read fetches 8 chunks: what is missing of a read shows with it.
        let (first, second) = (HEADER + 8 * chunk, 8 * 65_536);
        for len in [0, 1, HEADER - 1, HEADER, HEADER + 1, HEADER + chunk, first - 1] {
            rig.memory.tamper(id, good[..len].to_vec());
            is_refused(&rig, by, &format!("{len} bytes")).await;
        }
        for len in [first, first + 1, first + chunk, good.len() - 17, good.len() - 1] {
            rig.memory.tamper(id, good[..len].to_vec());
            breaks_off(&rig, by, &data, second, &format!("{len} bytes")).await;
        }
    }
}

#[tokio::test]
async fn bytes_added_to_a_blob_change_nothing() {
    let rig = Rig::new().await;
    let (id, data, mut good) = blob_of(&rig, As::S3, 70_000).await;
    good.extend(vec![0; 70_000]);
    rig.memory.tamper(id, good);
    assert!(rig.get("object", As::S3).await.unwrap() == data);
}

#[tokio::test]
async fn chunks_that_change_places_are_noticed() {
    let rig = Rig::new().await;
    let (id, data, good) = blob_of(&rig, As::S3, 4 * 65_536).await;
    let chunk = |number: usize| HEADER + number * 65_552..HEADER + (number + 1) * 65_552;
    for (a, b) in [(0, 1), (1, 2), (1, 3), (0, 3)] {
        let mut bad = good.clone();
        bad[chunk(a)].copy_from_slice(&good[chunk(b)]);
        rig.memory.tamper(id, bad.clone());
        breaks_off(&rig, As::S3, &data, a * 65_536, &format!("{b} in place of {a}")).await;
        bad[chunk(b)].copy_from_slice(&good[chunk(a)]);
        rig.memory.tamper(id, bad);
        breaks_off(&rig, As::S3, &data, a * 65_536, &format!("{a} and {b} swapped")).await;
    }
}

#[tokio::test]
async fn blobs_that_change_places_are_noticed() {
    let rig = Rig::new().await;
    for by in MODES {
        let (id, _, good) = blob_of(&rig, by, 70_000).await;
        let before = rig.blob_ids().await;
        rig.put("other", by, &data(70_000, 6)).await;
        let other = rig.new_blob(&before).await;
        let other_good = rig.memory.bytes(other).unwrap();
        rig.memory.tamper(id, other_good.clone());
        is_refused(&rig, by, "another object's blob").await;
        // Nor does it help to keep the header.
        rig.memory.tamper(id, [&good[..HEADER], &other_good[HEADER..]].concat());
        is_refused(&rig, by, "another object's chunks").await;
        let events = rig.engine.integrity_events();
        let range = rig.range("object", by, ByteRange::From { first: 65_536, last: None }).await;
        assert!(matches!(range, Err(Error::Integrity(_))), "a range that reads no header");
        assert_eq!(rig.engine.integrity_events(), events + 1);
    }
}

#[tokio::test]
async fn parts_that_change_places_are_noticed() {
    let rig = Rig::new().await;
    let (one, two) = (data(70_000, 1), data(70_000, 2));
    let upload = rig.create_upload("object", As::S3).await;
    let first = rig.upload_part(&upload, 1, As::S3, &one).await;
    let first_id = rig.new_blob(&[].into()).await;
    let old = rig.memory.bytes(first_id).unwrap();
    let second = rig.upload_part(&upload, 2, As::S3, &two).await;
    let second_id = rig.new_blob(&[first_id].into()).await;
    let second_good = rig.memory.bytes(second_id).unwrap();
    rig.complete(&upload, vec![first, second]).await.unwrap();
    let all = [one, two].concat();

    rig.memory.tamper(first_id, second_good.clone());
    is_refused(&rig, As::S3, "part 2 in place of part 1").await;
    rig.memory.tamper(first_id, old.clone());
    rig.memory.tamper(second_id, old);
    breaks_off(&rig, As::S3, &all, 70_000, "part 1 in place of part 2").await;
    rig.memory.tamper(second_id, second_good);
    rig.memory.delete(second_id).await.unwrap();
    breaks_off(&rig, As::S3, &all, 70_000, "part 2 gone").await;
}

#[tokio::test]
async fn a_missing_blob_is_an_integrity_event() {
    let rig = Rig::new().await;
    let (id, ..) = blob_of(&rig, As::S3, 70_000).await;
    rig.memory.delete(id).await.unwrap();
    is_refused(&rig, As::S3, "no blob").await;
}

#[tokio::test]
async fn a_copy_of_damaged_data_is_refused_counted_once_and_leaves_nothing() {
    let rig = Rig::new().await;
    let upload = rig.create_upload("target", As::Dsse).await;
    for at in [HEADER, HEADER + 65_552 * 2, HEADER + 65_552 * 9] {
        let (id, _, mut bad) = blob_of(&rig, As::S3, 10 * 65_536).await;
        bad[at] ^= 1;
        rig.memory.tamper(id, bad);
        let before = rig.blob_ids().await;
        let events = rig.engine.integrity_events();
        assert!(matches!(rig.copy(("object", As::S3), ("copy", As::Dsse)).await, Err(Error::Integrity(_))));
        assert_eq!(rig.engine.integrity_events(), events + 1, "byte {at}");
        let request = UploadPartCopy {
            upload: upload.clone(),
            part_number: 1,
            source: copy_source("object", As::S3),
            range: None,
            sse: SseHeaders::default(),
        };
        assert!(matches!(rig.engine.upload_part_copy(&rig.root, request).await, Err(Error::Integrity(_))));
        assert_eq!(rig.engine.integrity_events(), events + 2, "byte {at}");
        rig.engine.sweep_orphans().await.unwrap();
        assert_eq!(rig.blob_ids().await, before);
        assert!(matches!(rig.get("copy", As::Dsse).await, Err(Error::NoSuchKey)));
    }
}

#[tokio::test]
async fn a_part_uploaded_twice_never_repeats_a_nonce() {
    let rig = Rig::new().await;
    for by in MODES {
        let upload = rig.create_upload("object", by).await;
        let data = data(200_000, 1);
        let mut blobs = Vec::new();
        let mut parts = Vec::new();
        for _ in 0..2 {
            let before = rig.blob_ids().await;
            parts.push(rig.upload_part(&upload, 1, by, &data).await);
            blobs.push(rig.memory.bytes(rig.new_blob(&before).await).unwrap());
        }
        assert_eq!(blobs[0][..16], blobs[1][..16], "the fixed fields of the header are the same");
        assert_ne!(blobs[0][16..HEADER], blobs[1][16..HEADER], "the salts differ");
        let chunk = 65_536 + if by == As::Dsse { 32 } else { 16 };
        let chunks = |blob: usize| blobs[blob][HEADER..].chunks(chunk).map(<[u8]>::to_vec).collect::<Vec<_>>();
        assert_eq!(chunks(0).len(), 4);
        for (first, second) in chunks(0).iter().zip(&chunks(1)) {
            assert!(first[..32] != second[..32] && first[first.len() - 16..] != second[second.len() - 16..], "{by:?}");
            // Under one key and nonce the exclusive or of equal plaintexts would be zero throughout.
            let equal = first.iter().zip(second).filter(|(a, b)| a == b).count();
            assert!(equal < first.len() / 100, "{equal} equal bytes");
        }
        rig.complete(&upload, vec![parts.pop().unwrap()]).await.unwrap();
        assert!(rig.get("object", by).await.unwrap() == data);
    }
}

async fn copied_part(rig: &Rig, upload: &UploadRef, number: i32, from: As, to: As) -> Result<UploadedPart, Error> {
    let request =
        UploadPartCopy { upload: upload.clone(), part_number: number, source: copy_source("object", from), range: None, sse: to.read() };
    Ok(rig.engine.upload_part_copy(&rig.root, request).await?.part)
}

/// The target of a copy that must not come about, and what must be as before.
async fn copy_is_refused(rig: &Rig, from: As, to: (&str, As), what: &str) {
    let (before, blobs) = (rig.engine.integrity_events(), rig.blob_ids().await);
    let copied = rig.copy(("object", from), to).await;
    assert!(matches!(copied, Err(Error::Integrity(_))), "{what}: {copied:?}");
    assert_eq!(rig.engine.integrity_events(), before + 1, "counted once: {what}");
    assert_eq!(rig.blob_ids().await, blobs, "{what}");
    let upload = rig.create_upload("parts", to.1).await;
    let copied = copied_part(rig, &upload, 1, from, to.1).await;
    assert!(matches!(copied, Err(Error::Integrity(_))), "as a part, {what}: {copied:?}");
    assert_eq!(rig.engine.integrity_events(), before + 2, "counted once: {what}");
    assert_eq!(rig.blob_ids().await, blobs, "{what}");
    rig.engine.abort_multipart_upload(&upload).await.unwrap();
    if to.0 != "object" {
        assert!(matches!(rig.get(to.0, to.1).await, Err(Error::NoSuchKey)), "{what}");
    }
}

/// The story: `mv` copies an object whose blob is not what was stored, sees 200, and deletes the source.
#[tokio::test]
async fn a_copy_that_shares_a_blob_which_is_gone_cut_or_exchanged_is_refused() {
    let rig = Rig::new().await;
    for (from, to) in [(As::S3, As::S3), (As::Store, As::Kms), (As::Customer(1), As::Customer(2)), (As::Dsse, As::Dsse)] {
        let len = 10 * 65_536 + 77;
        let (id, data, good) = blob_of(&rig, from, len).await;
        let before = rig.blob_ids().await;
        rig.put("other", from, &data).await;
        let other = rig.memory.bytes(rig.new_blob(&before).await).unwrap().to_vec();
        let flipped = |at: usize| {
            let mut bad = good.clone();
            bad[at] ^= 1;
            bad
        };
        let damages = [
            ("cut at the end", good[..good.len() - 1].to_vec()),
            ("cut in the middle", good[..good.len() / 2].to_vec()),
            ("cut in the first chunk", good[..HEADER + 100].to_vec()),
            ("cut in the header", good[..HEADER - 1].to_vec()),
            ("emptied", Vec::new()),
            ("exchanged", other.clone()),
            ("exchanged but for its header", [&good[..HEADER], &other[HEADER..]].concat()),
            ("a byte of the header", flipped(20)),
            ("a byte of the first chunk", flipped(HEADER)),
            ("a byte of the last chunk", flipped(good.len() - 40)),
            ("the last tag", flipped(good.len() - 1)),
        ];
        for (what, bad) in damages {
            rig.memory.tamper(id, bad);
            copy_is_refused(&rig, from, ("copy", to), &format!("{from:?} to {to:?}, {what}")).await;
            // A rotation in place would replace the only keys that there are.
            if from != to {
                copy_is_refused(&rig, from, ("object", to), &format!("in place, {from:?} to {to:?}, {what}")).await;
            }
        }
        rig.memory.tamper(id, good);
        rig.copy(("object", from), ("copy", to)).await.unwrap();
        assert!(rig.get("copy", to).await.unwrap() == data);
        rig.delete("copy").await;
        rig.delete("other").await;
        rig.memory.delete(id).await.unwrap();
        copy_is_refused(&rig, from, ("copy", to), "gone").await;
    }
}

#[tokio::test]
async fn a_copy_looks_at_every_part() {
    let rig = Rig::new().await;
    let parts: Vec<Vec<u8>> = (1..=9).map(|seed| data(140_000, seed)).collect();
    let before = rig.blob_ids().await;
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    rig.multipart("object", As::S3, &parts).await;
    let blobs: Vec<_> = rig.blob_ids().await.difference(&before).copied().collect();
    assert_eq!(blobs.len(), 9);
    for (index, id) in blobs.iter().enumerate() {
        let good = rig.memory.bytes(*id).unwrap().to_vec();
        let mut bad = good.clone();
        *bad.last_mut().unwrap() ^= 1;
        for (what, bad) in [
            ("damaged", bad),
            ("cut", good[..good.len() - 1].to_vec()),
            ("another part", rig.memory.bytes(blobs[(index + 1) % 9]).unwrap().to_vec()),
        ] {
            rig.memory.tamper(*id, bad);
            copy_is_refused(&rig, As::S3, ("copy", As::Kms), &format!("part at {index}, {what}")).await;
        }
        rig.memory.tamper(*id, good);
    }
    rig.copy(("object", As::S3), ("copy", As::Kms)).await.unwrap();
    assert!(rig.get("copy", As::Kms).await.unwrap() == parts.concat());
}

#[tokio::test]
async fn a_copy_of_damaged_inline_bytes_is_refused() {
    let rig = Rig::sqlite().await;
    let data = data(1000, 1);
    rig.put("object", As::S3, &data).await;
    let rows = rig.rows();
    let good: Vec<u8> = rows.query_row("SELECT inline FROM version_data", [], |row| row.get(0)).unwrap();
    let mut flipped = good.clone();
    flipped[HEADER + 10] ^= 1;
    for (what, bad) in [
        ("damaged", Some(flipped)),
        ("cut", Some(good[..good.len() - 1].to_vec())),
        ("longer", Some([&good[..], &[0]].concat())),
        ("emptied", Some(Vec::new())),
        ("gone", None),
    ] {
        rows.execute("UPDATE version_data SET inline = ?1", [bad]).unwrap();
        copy_is_refused(&rig, As::S3, ("copy", As::S3), what).await;
    }
    rows.execute("UPDATE version_data SET inline = ?1", [good]).unwrap();
    rig.copy(("object", As::S3), ("copy", As::S3)).await.unwrap();
    assert_eq!(rig.get("copy", As::S3).await.unwrap(), data);
}

#[tokio::test]
async fn a_copy_reads_the_ends_of_each_part_and_no_more() {
    let rig = Rig::new().await;
    let whole = data(20 * 65_536, 1);
    rig.multipart("object", As::S3, &[&whole[..10 * 65_536], &whole[10 * 65_536..]]).await;
    rig.put("empty", As::S3, b"").await;
    rig.reset_counts();
    rig.copy(("object", As::S3), ("copy", As::Kms)).await.unwrap();
    let counts = rig.blobs.counts();
    assert_eq!(counts.bytes_read, 2 * (HEADER as u64 + 2 * 65_552));
    assert_eq!(counts.bytes_written, 0);
    rig.copy(("empty", As::S3), ("copy", As::Kms)).await.unwrap();
    assert_eq!(rig.get("copy", As::Kms).await.unwrap(), b"");
    rig.put("object", As::S3, &whole).await;
    let upload = rig.create_upload("parts", As::Kms).await;
    rig.reset_counts();
    copied_part(&rig, &upload, 1, As::S3, As::Kms).await.unwrap();
    let counts = rig.blobs.counts();
    assert_eq!((counts.bytes_read, counts.bytes_written), (HEADER as u64 + 2 * 65_552, 0), "a part that shares its blob");
}

#[tokio::test]
async fn of_a_shared_part_no_byte_is_read_that_is_not_its_own() {
    for by in [As::S3, As::Dsse] {
        let rig = Rig::new().await;
        let (id, data, good) = blob_of(&rig, by, 3 * 65_536 + 9).await;
        let before = rig.blob_ids().await;
        rig.put("other", by, &data).await;
        let other = rig.memory.bytes(rig.new_blob(&before).await).unwrap().to_vec();
        let upload = rig.create_upload("target", by).await;
        let parts = [1, 2].map(|number| copied_part(&rig, &upload, number, by, by));
        let parts = futures_util::future::try_join_all(parts).await.unwrap();
        rig.complete(&upload, vec![completed(1, &parts[0]), completed(2, &parts[1])]).await.unwrap();
        assert!(rig.get("target", by).await.unwrap() == [&data[..], &data].concat());
        let stride = 65_536 + if by == As::Dsse { 32 } else { 16 };
        let mut swapped = good.clone();
        swapped[HEADER..HEADER + stride].copy_from_slice(&good[HEADER + stride..HEADER + 2 * stride]);
        let mut flipped = good.clone();
        flipped[HEADER] ^= 1;
        for (what, bad) in [
            ("another blob of the same data", other),
            ("chunks in another order", swapped),
            ("a byte", flipped),
            ("cut", good[..HEADER].to_vec()),
        ] {
            rig.memory.tamper(id, bad);
            let before = rig.engine.integrity_events();
            assert!(matches!(rig.get("target", by).await, Err(Error::Integrity(_))), "{what}");
            assert_eq!(rig.engine.integrity_events(), before + 1, "{what}");
        }
        rig.memory.tamper(id, good);
        assert!(rig.get("target", by).await.unwrap() == [&data[..], &data].concat());
    }
}
