//! What requests keep in memory: within the budget, little where there is little, and nothing afterwards.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use strongroom_engine::{
    EngineOptions, Error,
    api::{Body, ChecksumAlgorithm, PutObject},
};

use super::bodies::{encoded, in_header};
use crate::common::*;

const CHUNK: usize = 65_536;

/// A rig whose budget has room for the minimum of a few requests, and nothing to spare for larger blocks.
async fn tight() -> Rig {
    let options = EngineOptions { memory_budget_bytes: 256 << 10, ..Plan::default().options };
    Rig::with(Plan { options, ..Plan::default() }).await
}

fn used(rig: &Rig) -> usize {
    rig.engine.budget().usage().used_bytes
}

#[tokio::test]
async fn a_peer_that_takes_nothing_keeps_one_chunk_in_a_tight_budget() {
    let rig = tight().await;
    let data = data(10 * CHUNK, 1);
    rig.put("object", As::Kms, &data).await;
    let reply = rig.engine.get_object(&rig.root, get_request("object", As::Kms.read())).await.unwrap();
    let mut stream = reply.body.unwrap();
    let first = stream.next().await.unwrap().unwrap();
    let read_bytes = rig.blobs.counts().bytes_read;
    for _ in 0..3 {
        assert!(stream.next().now_or_never().is_none(), "the next chunk waits until this one is gone");
        tokio::task::yield_now().await;
    }
    assert_eq!(rig.blobs.counts().bytes_read, read_bytes, "and is not read before");
    assert!(used(&rig) <= CHUNK + 2048, "{}", used(&rig));
    let mut all = first.to_vec();
    drop(first);
    while let Some(piece) = stream.next().await {
        all.extend_from_slice(&piece.unwrap());
        assert!(used(&rig) <= CHUNK + 2048);
    }
    assert!(all == data);
    drop(stream);
    assert_eq!(used(&rig), 0);
}

#[tokio::test]
async fn a_chunk_on_its_way_keeps_its_memory_when_its_stream_is_gone() {
    let rig = tight().await;
    rig.put("object", As::Store, &data(2 * CHUNK, 1)).await;
    let reply = rig.engine.get_object(&rig.root, get_request("object", As::Store.read())).await.unwrap();
    let mut stream = reply.body.unwrap();
    let chunk = stream.next().await.unwrap().unwrap();
    drop(stream);
    assert!(used(&rig) >= CHUNK);
    drop(chunk);
    assert_eq!(used(&rig), 0);
}

#[tokio::test]
async fn everything_works_in_a_tight_budget_and_leaves_none_of_it_taken() {
    let rig = tight().await;
    for by in MODES {
        for shape in SHAPES {
            let (data, _) = shape.put(&rig, "object", by).await;
            assert_eq!(rig.get("object", by).await.unwrap(), data);
            // To another number of layers, so that the data moves: read and sealed out of one budget.
            let other = if by == As::Dsse { As::Store } else { As::Dsse };
            rig.copy(("object", by), ("copy", other)).await.unwrap();
            assert_eq!(rig.get("copy", other).await.unwrap(), data);
            assert_eq!(used(&rig), 0, "{by:?} {shape:?}");
        }
    }
    let large = data(40 * CHUNK + 1, 5);
    let checksum = in_header(ChecksumAlgorithm::Sha256, &encoded(ChecksumAlgorithm::Sha256, &large));
    let stored = rig.engine.put_object(&rig.root, PutObject { checksum, ..put_request("large", As::S3.write(), &large) }).await.unwrap();
    assert_eq!(stored.etag, md5_hex(&large));
    assert!(rig.get("large", As::S3).await.unwrap() == large);
    assert_eq!(used(&rig), 0);
}

#[tokio::test]
async fn many_requests_at_once_take_turns_within_the_budget() {
    let rig = Arc::new(tight().await);
    let tasks = (0..32_u64).map(|number| {
        let rig = Arc::clone(&rig);
        async move {
            let (key, data) = (format!("object-{number}"), data(5 * CHUNK, number));
            rig.put(&key, As::Kms, &data).await;
            assert!(rig.get(&key, As::Kms).await.unwrap() == data);
            rig.copy((&key, As::Kms), (&key, As::Dsse)).await.unwrap();
            assert!(used(&rig) <= 256 << 10);
        }
    });
    stream::iter(tasks).buffer_unordered(32).collect::<Vec<_>>().await;
    assert_eq!((used(&rig), rig.engine.budget().usage().refused), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_gets_no_memory_is_told_to_slow_down() {
    let rig = tight().await;
    rig.put("object", As::Store, b"small").await;
    let all = rig.engine.budget().hold(256 << 10).await.unwrap();
    assert!(matches!(rig.try_put("other", As::Store, b"x").await, Err(Error::Busy)));
    assert!(matches!(rig.get("object", As::Store).await, Err(Error::Busy)));
    assert!(matches!(rig.copy(("object", As::Store), ("other", As::Store)).await, Err(Error::Busy)));
    assert_eq!(rig.engine.budget().usage().refused, 3);
    assert!(rig.head("object", As::Store).await.is_ok(), "what needs none is answered");
    drop(all);
    assert_eq!(rig.get("object", As::Store).await.unwrap(), b"small");
    assert!(matches!(rig.get("other", As::Store).await, Err(Error::NoSuchKey)));
}

/// A read buffer of which one byte is used.
struct ReadBuffer(Vec<u8>, Arc<AtomicUsize>);

impl AsRef<[u8]> for ReadBuffer {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for ReadBuffer {
    fn drop(&mut self) {
        self.1.fetch_sub(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn pieces_of_one_byte_keep_no_read_buffer_in_memory() {
    let rig = Rig::new().await;
    let (alive, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let data = data(20_000, 1);
    let pieces = data.clone().into_iter().map({
        let (alive, most) = (Arc::clone(&alive), Arc::clone(&most));
        move |byte| {
            most.fetch_max(alive.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            Ok(Bytes::from_owner(ReadBuffer(vec![byte; 64], Arc::clone(&alive))).slice(..1))
        }
    });
    let body = Body { stream: Box::pin(stream::iter(pieces)), length: Some(data.len() as u64) };
    let checksum = in_header(ChecksumAlgorithm::Sha256, &encoded(ChecksumAlgorithm::Sha256, &data));
    let request = PutObject { checksum, body, ..put_request("object", As::S3.write(), b"") };
    assert_eq!(rig.engine.put_object(&rig.root, request).await.unwrap().etag, md5_hex(&data));
    assert!(most.load(Ordering::Relaxed) <= 2, "{} buffers at a time", most.load(Ordering::Relaxed));
    assert_eq!(alive.load(Ordering::Relaxed), 0);
}
