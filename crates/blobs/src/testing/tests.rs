//! The stand-ins keep their word.

use std::sync::Arc;

use super::conformance::{id, list, sealed, write_blob};
use super::{CountingBlobs, Counts, Fault, FaultyBlobs, MemoryBlobs, Operation};
use crate::{BlobError, BlobStore};

mod memory {
    use super::*;
    crate::blob_store_conformance!(((), Arc::new(MemoryBlobs::default()) as Arc<dyn BlobStore>));
}

mod faulty_without_faults {
    use super::*;
    crate::blob_store_conformance!(((), Arc::new(FaultyBlobs::new(Arc::new(MemoryBlobs::default()))) as Arc<dyn BlobStore>));
}

mod counting {
    use super::*;
    crate::blob_store_conformance!(((), Arc::new(CountingBlobs::new(Arc::new(MemoryBlobs::default()))) as Arc<dyn BlobStore>));
}

fn faulty() -> (MemoryBlobs, FaultyBlobs) {
    let memory = MemoryBlobs::default();
    (memory.clone(), FaultyBlobs::new(Arc::new(memory)))
}

#[tokio::test]
async fn the_nth_call_fails_once_and_leaves_nothing() {
    let (memory, store) = faulty();
    store.fail(Operation::Create, 2, Fault::Io);
    store.fail(Operation::Write, 2, Fault::Full);
    store.fail(Operation::Finish, 1, Fault::Full);
    assert_eq!(store.pending(), 3);

    let mut writer = store.create(id(1, 1)).await.unwrap();
    assert!(matches!(store.create(id(1, 2)).await, Err(BlobError::Io(_))));
    writer.write(sealed(10)).await.unwrap();
    assert!(matches!(writer.write(sealed(10)).await, Err(BlobError::Full(_))));
    assert_eq!(list(&memory).await, []);

    let writer = store.create(id(1, 3)).await.unwrap();
    assert!(matches!(writer.finish().await, Err(BlobError::Full(_))));
    assert_eq!(list(&memory).await, []);
    assert_eq!(store.pending(), 0);
    write_blob(&store, id(1, 4), 2, 10).await;
}

#[tokio::test]
async fn a_lasting_fault_goes_on_until_it_is_healed() {
    let (_memory, store) = faulty();
    store.fail_from(Operation::Create, 2, Fault::Full);
    write_blob(&store, id(1, 1), 1, 10).await;
    for _ in 0..3 {
        assert!(matches!(store.create(id(1, 2)).await, Err(BlobError::Full(_))));
    }
    store.heal();
    write_blob(&store, id(1, 2), 1, 10).await;
}

#[tokio::test]
async fn a_torn_write_leaves_a_leftover_that_cannot_be_opened() {
    let (memory, store) = faulty();
    store.fail(Operation::Write, 2, Fault::Torn);
    let mut writer = store.create(id(1, 1)).await.unwrap();
    writer.write(sealed(10)).await.unwrap();
    assert!(matches!(writer.write(sealed(10)).await, Err(BlobError::Io(_))));
    drop(writer);
    assert_eq!(list(&memory).await, [id(1, 1)]);
    assert!(matches!(memory.open(id(1, 1)).await, Err(BlobError::Missing(_))));
}

#[tokio::test]
async fn a_lost_answer_took_effect() {
    let (memory, store) = faulty();
    store.fail(Operation::Finish, 1, Fault::LostAnswer);
    store.fail(Operation::Delete, 1, Fault::LostAnswer);
    let writer = store.create(id(1, 1)).await.unwrap();
    assert!(matches!(writer.finish().await, Err(BlobError::Io(_))));
    assert!(memory.open(id(1, 1)).await.is_ok());
    assert!(matches!(store.delete(id(1, 1)).await, Err(BlobError::Io(_))));
    assert_eq!(list(&memory).await, []);
}

#[tokio::test]
async fn reads_are_cut_and_flipped_on_cue() {
    let (_memory, store) = faulty();
    let mut expected = write_blob(&store, id(1, 1), 1, 100).await;
    let reader = store.open(id(1, 1)).await.unwrap();
    store.fail(Operation::Read, 1, Fault::Cut { keep_bytes: 5 });
    store.fail(Operation::Read, 2, Fault::Flip { at_bytes: 3 });
    store.fail(Operation::Read, 3, Fault::Io);
    assert!(matches!(reader.read(20, 10).await, Err(BlobError::Short { len_bytes: 25, .. })));
    expected[23] ^= 1;
    assert_eq!(reader.read(20, 10).await.unwrap(), expected[20..30]);
    assert!(matches!(reader.read(20, 10).await, Err(BlobError::Io(_))));
    expected[23] ^= 1;
    assert_eq!(reader.read(20, 10).await.unwrap(), expected[20..30]);
}

#[tokio::test]
#[should_panic(expected = "cannot strike")]
async fn a_fault_that_cannot_happen_is_refused() {
    faulty().1.fail(Operation::Open, 1, Fault::Torn);
}

#[tokio::test]
async fn bytes_and_blobs_are_counted() {
    let store = CountingBlobs::new(Arc::new(MemoryBlobs::default()));
    let len = write_blob(&store, id(1, 1), 2, 100).await.len() as u64;
    assert!(len > 200);
    let reader = store.open(id(1, 1)).await.unwrap();
    reader.read(3, 50).await.unwrap();
    reader.read(0, 7).await.unwrap();
    assert!(reader.read(len, 1).await.is_err());
    store.delete(id(1, 1)).await.unwrap();
    let expected = Counts { created: 1, finished: 1, opened: 1, reads: 2, deleted: 1, scanned: 0, bytes_read: 57, bytes_written: len };
    assert_eq!(store.counts(), expected);
    assert_eq!(store.opened_ids(), [id(1, 1)]);
    assert_eq!(store.reset(), expected);
    assert_eq!(store.counts(), Counts::default());
    assert_eq!(store.opened_ids(), []);
}
