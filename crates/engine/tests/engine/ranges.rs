//! Ranges: the right bytes, and no chunk read that is not needed.

use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use strongroom_engine::{
    Error,
    api::{ByteRange, GetObject, IfRange},
};
use strongroom_seal::{BLOB_HEADER_LEN, CHUNK_LEN};

use crate::common::*;

const CHUNK: u64 = CHUNK_LEN as u64;

/// Sealed bytes of the chunks that hold `from..to` of a part, with the header where the first one is among them.
fn sealed_bytes(part_len: u64, from: u64, to: u64, overhead: u64) -> u64 {
    let (first, end) = if part_len == 0 { (0, 1) } else { (from / CHUNK, (to - 1) / CHUNK + 1) };
    let chunks: u64 = (first..end).map(|chunk| (part_len - chunk * CHUNK).min(CHUNK) + overhead).sum();
    chunks + if first == 0 { BLOB_HEADER_LEN as u64 } else { 0 }
}

/// The parts that a range touches: how many, and their sealed bytes.
fn expected(parts: &[u64], from: u64, to: u64, overhead: u64) -> (u64, u64) {
    let (mut start, mut opened, mut bytes) = (0, 0, 0);
    for &len in parts {
        let (a, b) = (from.max(start), to.min(start + len));
        if a < b {
            opened += 1;
            bytes += sealed_bytes(len, a - start, b - start, overhead);
        }
        start += len;
    }
    (opened, bytes)
}

async fn store(rig: &Rig, by: As, parts: &[u64]) -> Vec<u8> {
    let total: u64 = parts.iter().sum();
    let all = data(usize::try_from(total).unwrap(), 9);
    if let [_] = parts {
        rig.put("object", by, &all).await;
        return all;
    }
    let (mut rest, mut pieces) = (all.as_slice(), Vec::new());
    for len in parts {
        let (piece, later) = rest.split_at(usize::try_from(*len).unwrap());
        pieces.push(piece);
        rest = later;
    }
    rig.multipart("object", by, &pieces).await;
    all
}

/// Every byte next to the edge of a chunk or a part.
fn edges(parts: &[u64]) -> Vec<u64> {
    let (mut edges, mut start) = (vec![0], 0);
    for len in parts {
        edges.extend((0..=*len / CHUNK).map(|chunk| start + chunk * CHUNK));
        start += len;
        edges.push(start);
    }
    let around = edges.iter().flat_map(|edge| [edge.checked_sub(1), Some(*edge), Some(edge + 1)]).flatten();
    let mut around: Vec<_> = around.filter(|at| *at < start).collect();
    around.sort_unstable();
    around.dedup();
    around
}

#[tokio::test]
async fn a_range_read_opens_only_its_chunks() {
    let rig = Rig::new().await;
    for (by, overhead) in [(As::Customer(1), 16), (As::Store, 16), (As::Dsse, 32)] {
        for parts in [&[200_000][..], &[131_072], &[150_000, 65_536, 131_072, 5], &[65_537, 1, 70_000]] {
            let all = store(&rig, by, parts).await;
            let edges = edges(parts);
            for (index, &first) in edges.iter().enumerate() {
                for &last in &edges[index..] {
                    rig.blobs.reset();
                    let range = ByteRange::From { first, last: Some(last) };
                    let read = rig.range("object", by, range).await.unwrap();
                    assert!(read == all[usize::try_from(first).unwrap()..=usize::try_from(last).unwrap()], "{parts:?} {first}-{last}");
                    let counts = rig.blobs.counts();
                    assert_eq!((counts.opened, counts.bytes_read), expected(parts, first, last + 1, overhead), "{parts:?} {first}-{last}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_range_is_passed_over_when_the_object_is_another_than_if_range_says() {
    let rig = Rig::new().await;
    let all = store(&rig, As::Customer(1), &[1000]).await;
    let info = rig.head("object", As::Customer(1)).await.unwrap().info;
    let seconds = info.modified_ms.div_euclid(1000);
    for (if_range, holds) in [
        (IfRange::Etag(info.etag.clone()), true),
        (IfRange::Etag("another".into()), false),
        (IfRange::Etag("*".into()), false),
        (IfRange::Modified(seconds), true),
        (IfRange::Modified(seconds - 1), false),
        (IfRange::Modified(seconds + 1), false),
        (IfRange::Never, false),
    ] {
        let ask =
            |range| GetObject { range: Some(range), if_range: Some(if_range.clone()), ..get_request("object", As::Customer(1).read()) };
        let within = || ask(ByteRange::From { first: 10, last: Some(19) });
        let reply = rig.engine.get_object(&rig.root, within()).await.unwrap();
        assert_eq!(reply.partial, holds, "{if_range:?}");
        assert!(collect(reply).await.unwrap() == if holds { &all[10..20] } else { &all[..] }, "{if_range:?}");
        let head = rig.engine.head_object(&rig.root, within()).await.unwrap();
        assert_eq!((head.partial, head.length), if holds { (true, 10) } else { (false, 1000) }, "{if_range:?}");
        let beyond = rig.engine.get_object(&rig.root, ask(ByteRange::From { first: 1000, last: None })).await;
        assert_eq!(matches!(beyond, Err(Error::InvalidRange { size_bytes: 1000 })), holds, "{if_range:?}");
        assert_eq!(beyond.is_ok(), !holds, "{if_range:?}");
    }
}

#[tokio::test]
async fn open_ranges_suffixes_and_parts_open_only_their_chunks() {
    let rig = Rig::new().await;
    let parts = [150_000_u64, 65_536, 131_072, 5];
    let all = store(&rig, As::Customer(1), &parts).await;
    let total = all.len() as u64;
    for at in edges(&parts) {
        let from = usize::try_from(at).unwrap();
        rig.blobs.reset();
        assert!(rig.range("object", As::Customer(1), ByteRange::From { first: at, last: None }).await.unwrap() == all[from..]);
        assert_eq!((rig.blobs.counts().opened, rig.blobs.counts().bytes_read), expected(&parts, at, total, 16));
        rig.blobs.reset();
        let suffix = ByteRange::Suffix { length: at + 1 };
        assert!(rig.range("object", As::Customer(1), suffix).await.unwrap() == all[all.len() - from - 1..]);
        assert_eq!((rig.blobs.counts().opened, rig.blobs.counts().bytes_read), expected(&parts, total - at - 1, total, 16));
    }
    let mut start = 0;
    for (number, len) in (1..).zip(parts) {
        rig.blobs.reset();
        let part = rig.part("object", As::Customer(1), number).await.unwrap();
        assert!(part == all[start..start + part.len()]);
        assert_eq!((rig.blobs.counts().opened, rig.blobs.counts().bytes_read), (1, sealed_bytes(len, 0, len, 16)));
        start += part.len();
    }
    assert_eq!(start, all.len());
}

#[tokio::test]
async fn a_whole_object_is_read_once() {
    let rig = Rig::new().await;
    for (by, overhead) in [(As::Kms, 16), (As::Dsse, 32)] {
        // More than the 8 chunks of one read, and more than the 16 of one batch.
        for parts in [&[3_000_000_u64][..], &[1_048_576], &[1_048_577, 524_288]] {
            let all = store(&rig, by, parts).await;
            rig.blobs.reset();
            assert!(rig.get("object", by).await.unwrap() == all);
            let (opened, bytes) = expected(parts, 0, all.len() as u64, overhead);
            assert_eq!((rig.blobs.counts().opened, rig.blobs.counts().bytes_read), (opened, bytes));
        }
    }
}

#[tokio::test]
async fn an_inline_object_opens_no_blob() {
    let rig = Rig::new().await;
    for by in MODES {
        let (data, _) = Shape::Inline.put(&rig, "object", by).await;
        rig.blobs.reset();
        assert_eq!(rig.get("object", by).await.unwrap(), data);
        assert_eq!(rig.range("object", by, ByteRange::From { first: 999, last: Some(5000) }).await.unwrap(), &data[999..]);
        assert_eq!(rig.blobs.counts().opened, 0);
        assert!(rig.blob_ids().await.is_empty());
    }
}

#[tokio::test]
async fn an_empty_object_is_proved_empty_by_its_one_chunk() {
    let options = strongroom_engine::EngineOptions { inline_limit_bytes: 0, ..Plan::default().options };
    for options in [options, Plan::default().options] {
        let rig = Rig::with(Plan { options, ..Plan::default() }).await;
        for by in MODES {
            rig.put("inline", by, b"").await;
            rig.multipart("blob", by, &[b""]).await;
            rig.blobs.reset();
            assert_eq!(rig.get("inline", by).await.unwrap(), b"");
            assert_eq!(rig.blobs.counts().bytes_read, 0);
            assert_eq!(rig.get("blob", by).await.unwrap(), b"");
            let overhead = if by == As::Dsse { 32 } else { 16 };
            assert_eq!(rig.blobs.counts().bytes_read, BLOB_HEADER_LEN as u64 + overhead);
            for key in ["inline", "blob"] {
                assert_eq!(rig.part(key, by, 1).await.unwrap(), b"");
                let range = rig.range(key, by, ByteRange::From { first: 0, last: None }).await;
                assert!(matches!(range, Err(Error::InvalidRange { size_bytes: 0 })));
            }
        }
    }
}

#[tokio::test]
async fn an_empty_last_part_is_a_part_like_any_other() {
    let rig = Rig::new().await;
    for by in MODES {
        let stored = rig.multipart("object", by, &[&data(70_000, 1), b""]).await;
        assert_eq!(stored.size_bytes, 70_000);
        assert!(stored.etag.ends_with("-2"));
        assert!(rig.get("object", by).await.unwrap() == data(70_000, 1));
        assert_eq!(rig.part("object", by, 2).await.unwrap(), b"");
        assert_eq!(rig.range("object", by, ByteRange::Suffix { length: 1 }).await.unwrap(), &data(70_000, 1)[69_999..]);
    }
}

#[tokio::test]
async fn what_a_range_cannot_be_is_an_error() {
    let rig = Rig::new().await;
    rig.put("object", As::S3, &data(100, 1)).await;
    for range in [
        ByteRange::From { first: 100, last: None },
        ByteRange::From { first: 100, last: Some(200) },
        ByteRange::From { first: u64::MAX, last: Some(u64::MAX) },
        ByteRange::From { first: 2, last: Some(1) },
        ByteRange::Suffix { length: 0 },
    ] {
        let error = rig.range("object", As::S3, range).await;
        assert!(matches!(error, Err(Error::InvalidRange { size_bytes: 100 })), "{range:?}");
        let head = GetObject { range: Some(range), ..get_request("object", As::S3.read()) };
        assert!(matches!(rig.engine.head_object(&rig.root, head).await, Err(Error::InvalidRange { size_bytes: 100 })));
    }
    let all = rig.range("object", As::S3, ByteRange::From { first: 0, last: Some(u64::MAX) }).await.unwrap();
    assert_eq!(all, data(100, 1));
    assert_eq!(rig.range("object", As::S3, ByteRange::Suffix { length: u64::MAX }).await.unwrap(), data(100, 1));
    assert!(matches!(rig.part("object", As::S3, 2).await, Err(Error::InvalidPartNumber)));
    let both = GetObject { range: Some(ByteRange::Suffix { length: 1 }), part_number: Some(1), ..get_request("object", As::S3.read()) };
    assert!(matches!(rig.engine.get_object(&rig.root, both).await, Err(Error::InvalidRequest(_))));
}

#[tokio::test]
async fn a_reply_says_where_its_bytes_lie() {
    let rig = Rig::new().await;
    rig.multipart("object", As::S3, &[&data(100, 1), &data(50, 2)]).await;
    for (range, part_number, expected) in [
        (None, None, (0, 150, false)),
        (Some(ByteRange::From { first: 10, last: Some(500) }), None, (10, 140, true)),
        (Some(ByteRange::Suffix { length: 20 }), None, (130, 20, true)),
        (None, Some(2), (100, 50, true)),
    ] {
        let request = || GetObject { range, part_number, ..get_request("object", As::S3.read()) };
        for reply in
            [rig.engine.get_object(&rig.root, request()).await.unwrap(), rig.engine.head_object(&rig.root, request()).await.unwrap()]
        {
            assert_eq!((reply.first_byte, reply.length, reply.partial), expected);
            assert_eq!((reply.info.size_bytes, reply.info.parts_count), (150, Some(2)));
        }
    }
}

#[test]
fn random_ranges_are_the_bytes_of_the_model() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (rig, objects) = runtime.block_on(async {
        let rig = Rig::cached().await;
        let mut objects = Vec::new();
        for by in [As::Store, As::S3, As::Kms, As::BucketKey, As::Dsse, As::Customer(1)] {
            for shape in SHAPES {
                let key = format!("{by:?} {shape:?}");
                let (data, _) = shape.put(&rig, &key, by).await;
                objects.push((key, by, data));
            }
        }
        (rig, objects)
    });
    let strategy = (0..objects.len(), any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..4);
    let mut runner = TestRunner::new(Config { cases: 400, failure_persistence: None, ..Config::default() });
    let result = runner.run(&strategy, |(object, a, b, kind)| {
        let (key, by, data) = &objects[object];
        let (a, b) = (a.index(data.len()), b.index(data.len()));
        let (first, last) = (a.min(b), a.max(b));
        let (range, expected) = match kind {
            0 => (ByteRange::From { first: first as u64, last: None }, &data[first..]),
            1 => (ByteRange::Suffix { length: first as u64 + 1 }, &data[data.len() - first - 1..]),
            _ => (ByteRange::From { first: first as u64, last: Some(last as u64) }, &data[first..=last]),
        };
        let read = runtime.block_on(rig.range(key, *by, range)).unwrap();
        prop_assert!(read == expected, "{key} {range:?}");
        Ok(())
    });
    result.unwrap();
}
