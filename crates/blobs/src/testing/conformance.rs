//! What every blob store must do: one function a rule, to be run on a store of its own each.
//!
//! `blob_store_conformance!` makes a test of each rule.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use strongroom_seal::{Layers, ObjectKeys, SealedBytes, seal_part};

use crate::{BlobError, BlobId, BlobStore, ListedBlob};

/// Makes a `#[tokio::test]` of every rule. The expression gives a guard, dropped after the test, and a fresh `Arc<dyn BlobStore>`.
#[macro_export]
macro_rules! blob_store_conformance {
    ($fresh:expr) => {
        $crate::blob_store_conformance! { @rules $fresh;
            a_finished_blob_reads_back_exactly
            an_empty_blob_can_be_finished
            an_unfinished_blob_is_missing
            a_dropped_writer_leaves_nothing
            a_read_past_the_end_is_short
            a_blob_never_written_is_missing
            a_deleted_blob_is_missing_and_deleting_twice_is_no_error
            a_reader_outlives_the_deletion
            an_id_is_never_written_twice
            a_scan_finds_each_blob_once_and_leftovers_too
            a_scan_goes_on_while_what_it_found_is_deleted
            a_scan_tells_when_a_blob_was_written
            blobs_written_at_once_do_not_mix
        }
    };
    (@rules $fresh:expr; $($rule:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $rule() {
                let (_guard, store) = $fresh;
                $crate::testing::conformance::$rule(store).await;
            }
        )*
    };
}

/// Sealed bytes of fresh random keys, `len_bytes` of plaintext.
pub fn sealed(len_bytes: usize) -> SealedBytes {
    let (_salt, sealed) = seal_part(&ObjectKeys::generate(Layers::One), 1, &vec![0x5a; len_bytes]).unwrap();
    sealed
}

/// Writes a blob of so many batches of about `batch_bytes` and returns its bytes.
pub async fn write_blob(store: &dyn BlobStore, id: BlobId, batches: usize, batch_bytes: usize) -> Vec<u8> {
    let mut writer = store.create(id).await.unwrap();
    let mut expected = Vec::new();
    for _ in 0..batches {
        let batch = sealed(batch_bytes);
        expected.extend_from_slice(batch.as_slice());
        writer.write(batch).await.unwrap();
    }
    assert_eq!(writer.finish().await.unwrap(), expected.len() as u64);
    expected
}

/// All that one pass finds, in the order of the ids.
pub async fn scan(store: &dyn BlobStore) -> Vec<ListedBlob> {
    let (mut scan, mut found) = (store.scan().await.unwrap(), Vec::new());
    loop {
        let batch = scan.next().await.unwrap();
        if batch.is_empty() {
            found.sort_unstable_by_key(|blob: &ListedBlob| blob.id);
            return found;
        }
        found.extend(batch);
    }
}

/// The ids of it.
pub async fn list(store: &dyn BlobStore) -> Vec<BlobId> {
    scan(store).await.into_iter().map(|blob| blob.id).collect()
}

/// An id that begins with one byte and ends with another.
pub fn id(first: u8, last: u8) -> BlobId {
    let mut id = [0x80; 16];
    (id[0], id[15]) = (first, last);
    BlobId(id)
}

/// Any range of a blob is what was written there.
pub async fn a_finished_blob_reads_back_exactly(store: Arc<dyn BlobStore>) {
    let expected = write_blob(&*store, id(1, 1), 11, 1 << 20).await;
    let len = expected.len();
    assert!(len > 11 << 20);
    let reader = store.open(id(1, 1)).await.unwrap();
    for (start, end) in [(0, len), (0, 1), (len - 1, len), (65_551, 131_103), ((1 << 20) - 7, (2 << 20) + 9), (0, 0), (len, len)] {
        let bytes = reader.read(start as u64, end - start).await.unwrap();
        assert_eq!(bytes.len(), end - start);
        assert!(bytes == expected[start..end], "bytes {start}..{end}");
    }
}

/// A blob without bytes is a blob.
pub async fn an_empty_blob_can_be_finished(store: Arc<dyn BlobStore>) {
    assert_eq!(store.create(id(1, 1)).await.unwrap().finish().await.unwrap(), 0);
    let reader = store.open(id(1, 1)).await.unwrap();
    assert_eq!(reader.read(0, 0).await.unwrap().len(), 0);
    assert!(matches!(reader.read(0, 1).await, Err(BlobError::Short { len_bytes: 0, .. })));
    assert_eq!(list(&*store).await, [id(1, 1)]);
}

/// Until `finish` returns there is nothing to open.
pub async fn an_unfinished_blob_is_missing(store: Arc<dyn BlobStore>) {
    let mut writer = store.create(id(1, 1)).await.unwrap();
    assert!(matches!(store.open(id(1, 1)).await, Err(BlobError::Missing(missing)) if missing == id(1, 1)));
    writer.write(sealed(100_000)).await.unwrap();
    writer.write(sealed(100_000)).await.unwrap();
    assert!(matches!(store.open(id(1, 1)).await, Err(BlobError::Missing(_))));
    writer.finish().await.unwrap();
    assert!(store.open(id(1, 1)).await.is_ok());
}

/// A client that goes away mid-upload leaves no file.
pub async fn a_dropped_writer_leaves_nothing(store: Arc<dyn BlobStore>) {
    let mut writer = store.create(id(1, 1)).await.unwrap();
    writer.write(sealed(4 << 20)).await.unwrap();
    assert_eq!(list(&*store).await, [id(1, 1)]);
    drop(writer);
    // The removal happens behind the caller's back, on another thread.
    let deadline = Instant::now() + Duration::from_secs(30);
    while !list(&*store).await.is_empty() {
        assert!(Instant::now() < deadline, "the leftover of a dropped writer stays");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(matches!(store.open(id(1, 1)).await, Err(BlobError::Missing(_))));
}

/// A blob that was cut answers with its length, never with fewer bytes.
pub async fn a_read_past_the_end_is_short(store: Arc<dyn BlobStore>) {
    let expected = write_blob(&*store, id(1, 1), 1, 100_000).await;
    let len = expected.len() as u64;
    let reader = store.open(id(1, 1)).await.unwrap();
    for (offset, count) in [(0, expected.len() + 1), (len - 1, 2), (len, 1), (len + 1_000_000, 1)] {
        let result = reader.read(offset, count).await;
        assert!(matches!(result, Err(BlobError::Short { id: short, len_bytes }) if short == id(1, 1) && len_bytes == len));
    }
}

/// An id that nobody wrote names nothing.
pub async fn a_blob_never_written_is_missing(store: Arc<dyn BlobStore>) {
    assert!(matches!(store.open(id(1, 1)).await, Err(BlobError::Missing(missing)) if missing == id(1, 1)));
    store.delete(id(1, 1)).await.unwrap();
    assert_eq!(list(&*store).await, []);
}

/// Deleting is idempotent, and takes the blob meant only.
pub async fn a_deleted_blob_is_missing_and_deleting_twice_is_no_error(store: Arc<dyn BlobStore>) {
    write_blob(&*store, id(1, 1), 1, 10).await;
    write_blob(&*store, id(1, 2), 1, 10).await;
    store.delete(id(1, 1)).await.unwrap();
    store.delete(id(1, 1)).await.unwrap();
    assert!(matches!(store.open(id(1, 1)).await, Err(BlobError::Missing(_))));
    assert_eq!(list(&*store).await, [id(1, 2)]);
    assert!(store.open(id(1, 2)).await.is_ok());
}

/// A download goes on although the object is deleted meanwhile.
pub async fn a_reader_outlives_the_deletion(store: Arc<dyn BlobStore>) {
    let expected = write_blob(&*store, id(1, 1), 2, 100_000).await;
    let reader = store.open(id(1, 1)).await.unwrap();
    store.delete(id(1, 1)).await.unwrap();
    assert!(reader.read(0, expected.len()).await.unwrap() == expected);
}

/// A blob is immutable: a second writer of its id is refused, finished or not, and disturbs nothing.
pub async fn an_id_is_never_written_twice(store: Arc<dyn BlobStore>) {
    let mut writer = store.create(id(1, 1)).await.unwrap();
    let batch = sealed(1000);
    let expected = batch.as_slice().to_vec();
    writer.write(batch).await.unwrap();
    assert!(matches!(store.create(id(1, 1)).await, Err(BlobError::Io(_))));
    writer.finish().await.unwrap();
    assert!(matches!(store.create(id(1, 1)).await, Err(BlobError::Io(_))));
    let reader = store.open(id(1, 1)).await.unwrap();
    assert!(reader.read(0, expected.len()).await.unwrap() == expected);
}

/// Finished and unfinished blobs alike, in however many batches.
pub async fn a_scan_finds_each_blob_once_and_leftovers_too(store: Arc<dyn BlobStore>) {
    let mut expected = Vec::new();
    for (first, last) in [(0xff, 2), (0, 9), (7, 3), (7, 1), (0xff, 1), (7, 2), (0x10, 0)] {
        write_blob(&*store, id(first, last), 1, 10).await;
        expected.push(id(first, last));
    }
    let unfinished = store.create(id(7, 4)).await.unwrap();
    expected.push(id(7, 4));
    expected.sort_unstable();
    assert_eq!(list(&*store).await, expected);
    assert_eq!(list(&*store).await, expected, "each pass begins anew");
    drop(unfinished);
}

/// A sweep deletes as it goes, and must miss none of the others.
pub async fn a_scan_goes_on_while_what_it_found_is_deleted(store: Arc<dyn BlobStore>) {
    let mut expected = Vec::new();
    for number in 0..700_u16 {
        let mut id = [7; 16];
        id[14..].copy_from_slice(&number.to_be_bytes());
        store.create(BlobId(id)).await.unwrap().finish().await.unwrap();
        expected.push(BlobId(id));
    }
    let (mut scan, mut found) = (store.scan().await.unwrap(), Vec::new());
    loop {
        let batch = scan.next().await.unwrap();
        if batch.is_empty() {
            break;
        }
        for blob in batch {
            store.delete(blob.id).await.unwrap();
            found.push(blob.id);
        }
    }
    found.sort_unstable();
    assert_eq!(found, expected);
    assert_eq!(list(&*store).await, []);
}

/// A sweep leaves alone what is young, finished or not: it must be told so.
pub async fn a_scan_tells_when_a_blob_was_written(store: Arc<dyn BlobStore>) {
    // A store may count whole seconds, and a file system's clock lags by some milliseconds.
    const COARSENESS: Duration = Duration::from_secs(1);
    let before = SystemTime::now() - COARSENESS;
    write_blob(&*store, id(1, 1), 1, 10).await;
    let mut unfinished = store.create(id(1, 2)).await.unwrap();
    unfinished.write(sealed(10)).await.unwrap();
    let after = SystemTime::now() + COARSENESS;
    let listed = scan(&*store).await;
    assert_eq!(listed.len(), 2);
    for blob in listed {
        assert!((before..=after).contains(&blob.modified), "{blob:?}");
    }
    drop(unfinished);
}

/// Writers at work at once do not see each other.
pub async fn blobs_written_at_once_do_not_mix(store: Arc<dyn BlobStore>) {
    let writers: Vec<_> = (0..16)
        .map(|n| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { (id(n % 3, n), write_blob(&*store, id(n % 3, n), 3, 50_000).await) })
        })
        .collect();
    for writer in writers {
        let (id, expected) = writer.await.unwrap();
        let reader = store.open(id).await.unwrap();
        assert!(reader.read(0, expected.len()).await.unwrap() == expected);
    }
    assert_eq!(list(&*store).await.len(), 16);
}
