//! What the sweep takes, and what it leaves.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use strongroom_blobs::{
    BlobError, BlobId, BlobReader, BlobScan, BlobStore, BlobWriter, FileBlobs,
    testing::{Fault, FaultyBlobs, Operation},
};
use strongroom_catalog::{
    CatalogError,
    testing::{After, Call, CatalogHook, FaultMoment, Faults, Method},
};
use strongroom_engine::{
    EngineOptions, Error,
    api::{BodyError, PutObject},
};

use crate::common::*;

#[tokio::test]
async fn what_is_overwritten_or_deleted_is_swept() {
    let rig = Rig::new().await;
    Shape::Multipart.put(&rig, "object", As::S3).await;
    assert_eq!(rig.blob_ids().await.len(), 3);
    assert_eq!(rig.engine.sweep_dead().await.unwrap(), 0);
    Shape::Blob.put(&rig, "object", As::S3).await;
    assert_eq!(rig.blob_ids().await.len(), 4, "letting go is not deleting");
    assert_eq!(rig.engine.sweep_dead().await.unwrap(), 3);
    rig.delete("object").await;
    assert_eq!(rig.engine.sweep_dead().await.unwrap(), 1);
    assert!(rig.blob_ids().await.is_empty());
    assert_eq!(rig.engine.sweep_dead().await.unwrap(), 0);
}

#[tokio::test]
async fn a_dead_blob_is_kept_for_the_grace() {
    let options = EngineOptions { dead_blob_grace: std::time::Duration::MAX, ..Plan::default().options };
    let rig = Rig::with(Plan { options, ..Plan::default() }).await;
    Shape::Blob.put(&rig, "object", As::S3).await;
    rig.delete("object").await;
    assert_eq!(rig.engine.sweep_dead().await.unwrap(), 0);
    assert_eq!(rig.engine.sweep_orphans().await.unwrap(), 0, "a dead blob is no orphan");
    assert_eq!(rig.blob_ids().await.len(), 1);
}

#[tokio::test]
async fn more_dead_blobs_than_one_batch_are_swept_in_one_go() {
    let options = EngineOptions { inline_limit_bytes: 0, ..Plan::default().options };
    let rig = Rig::with(Plan { options, ..Plan::default() }).await;
    for number in 0..600 {
        rig.put(&number.to_string(), As::Store, b"x").await;
    }
    for number in 0..600 {
        rig.delete(&number.to_string()).await;
    }
    assert_eq!(rig.engine.sweep_dead().await.unwrap(), 600);
    assert!(rig.blob_ids().await.is_empty());
}

#[tokio::test]
async fn a_blob_that_a_reply_is_reading_outlives_its_object() {
    let rig = Rig::new().await;
    for shape in [Shape::Blob, Shape::Multipart] {
        let (data, _) = shape.put(&rig, "object", As::S3).await;
        let blobs = rig.blob_ids().await;
        let reply = rig.engine.get_object(&rig.root, get_request("object", As::S3.read())).await.unwrap();
        rig.delete("object").await;
        assert_eq!(rig.engine.sweep_dead().await.unwrap(), 0, "all are held");
        assert_eq!(rig.engine.sweep_orphans().await.unwrap(), 0);
        let mut body = reply.body.unwrap();
        let first = body.next().await.unwrap().unwrap();
        assert_eq!(rig.engine.sweep_dead().await.unwrap(), 0);
        let rest: Vec<Bytes> = body.try_collect().await.unwrap();
        assert!([&[first], &rest[..]].concat().concat() == data);
        assert_eq!(rig.engine.sweep_dead().await.unwrap(), blobs.len(), "and go with it");
        assert!(rig.blob_ids().await.is_empty());
    }
}

/// The story: clients begin to read 300 objects that are deleted next, and read on for hours. 300 others are deleted too.
#[tokio::test]
async fn readers_of_deleted_blobs_keep_no_other_blob_from_being_swept() {
    for sqlite in [false, true] {
        let options = EngineOptions { inline_limit_bytes: 0, ..Plan::default().options };
        let rig = Rig::with(Plan { options, sqlite, ..Plan::default() }).await;
        let mut replies = Vec::new();
        for number in 0..600 {
            let key = number.to_string();
            rig.put(&key, As::Store, b"x").await;
            if number % 2 == 0 {
                replies.push(rig.engine.get_object(&rig.root, get_request(&key, As::Store.read())).await.unwrap());
            }
        }
        for number in 0..600 {
            rig.delete(&number.to_string()).await;
        }
        assert_eq!(rig.engine.sweep_dead().await.unwrap(), 300, "sqlite: {sqlite}");
        assert_eq!(rig.blob_ids().await.len(), 300);
        assert_eq!(rig.engine.sweep_dead().await.unwrap(), 0);
        for reply in replies {
            assert_eq!(collect(reply).await.unwrap(), b"x");
        }
        assert_eq!(rig.engine.sweep_dead().await.unwrap(), 300);
        assert!(rig.blob_ids().await.is_empty());
    }
}

#[tokio::test]
async fn a_reply_lets_go_of_each_part_that_it_has_passed() {
    let rig = Rig::new().await;
    let data = data(600_000, 1);
    rig.multipart("object", As::S3, &[&data[..200_000], &data[200_000..400_000], &data[400_000..]]).await;
    let mut body = rig.engine.get_object(&rig.root, get_request("object", As::S3.read())).await.unwrap().body.unwrap();
    rig.delete("object").await;
    assert_eq!(rig.engine.sweep_dead().await.unwrap(), 0, "all are held");
    let mut read = Vec::new();
    for (until, left) in [(200_001, 2), (400_001, 1), (600_000, 1)] {
        while read.len() < until {
            read.extend_from_slice(&body.next().await.unwrap().unwrap());
        }
        rig.engine.sweep_dead().await.unwrap();
        assert_eq!(rig.blob_ids().await.len(), left, "after {until} bytes");
    }
    assert!(body.next().await.is_none());
    assert!(read == data, "what was swept behind the reply changes nothing of it");
    assert_eq!(rig.engine.sweep_dead().await.unwrap(), 1);
}

#[tokio::test]
async fn a_blob_that_cannot_be_deleted_keeps_no_other_from_being_swept() {
    let (rig, faulty) = rig_with_faulty_blobs(EngineOptions { inline_limit_bytes: 0, ..Plan::default().options }).await;
    for number in 0..600 {
        rig.put(&number.to_string(), As::Store, b"x").await;
    }
    for number in 0..300 {
        rig.delete(&number.to_string()).await;
    }
    faulty.fail(Operation::Delete, 1, Fault::Io);
    assert!(matches!(rig.engine.sweep_dead().await, Err(Error::Internal(_))), "the failure is told");
    assert_eq!(rig.blob_ids().await.len(), 301);
    assert_eq!(rig.engine.sweep_dead().await.unwrap(), 1);
    // Orphans: blobs that no row names.
    for byte in 0..3 {
        rig.memory.create(BlobId([byte; 16])).await.unwrap().finish().await.unwrap();
    }
    faulty.fail(Operation::Delete, 1, Fault::Io);
    assert!(matches!(rig.engine.sweep_orphans().await, Err(Error::Internal(_))));
    assert_eq!(rig.blob_ids().await.len(), 301);
    assert_eq!(rig.engine.sweep_orphans().await.unwrap(), 1);
}

#[tokio::test]
async fn a_range_holds_only_the_blobs_that_it_reads() {
    let rig = Rig::new().await;
    Shape::Multipart.put(&rig, "object", As::S3).await;
    let request = strongroom_engine::api::GetObject { part_number: Some(2), ..get_request("object", As::S3.read()) };
    let reply = rig.engine.get_object(&rig.root, request).await.unwrap();
    rig.delete("object").await;
    assert_eq!(rig.engine.sweep_dead().await.unwrap(), 2);
    assert_eq!(collect(reply).await.unwrap().len(), 65_536);
    assert_eq!(rig.engine.sweep_dead().await.unwrap(), 1);
}

/// A body that waits for its second half until it is told to go on.
fn paused_body(first: Vec<u8>, second: Vec<u8>) -> (strongroom_engine::api::Body, tokio::sync::oneshot::Sender<bool>) {
    let (go_on, wait) = tokio::sync::oneshot::channel();
    let first = futures_util::stream::iter([Ok(Bytes::from(first))]);
    let second = futures_util::stream::once(async move {
        if wait.await.unwrap_or(false) { Ok(Bytes::from(second)) } else { Err(BodyError::Incomplete) }
    });
    let stream = Box::pin(sync_wrapper::SyncStream::new(first.chain(second)));
    (strongroom_engine::api::Body { stream, length: None }, go_on)
}

#[tokio::test]
async fn a_blob_that_is_being_written_is_no_orphan() {
    let rig = Arc::new(Rig::new().await);
    let (first, second) = (data(3 << 20, 1), data(1000, 2));
    for finish in [true, false] {
        let (body, go_on) = paused_body(first.clone(), second.clone());
        let request = PutObject { body, ..put_request("object", As::S3.write(), b"") };
        let writer = Arc::clone(&rig);
        let put = tokio::spawn(async move { writer.engine.put_object(&writer.root, request).await });
        while rig.blobs.counts().bytes_written < 2 << 20 {
            tokio::task::yield_now().await;
        }
        assert_eq!(rig.blob_ids().await.len(), 1);
        assert_eq!(rig.engine.sweep_orphans().await.unwrap(), 0);
        assert_eq!(rig.blob_ids().await.len(), 1);
        go_on.send(finish).unwrap();
        let result = put.await.unwrap();
        if finish {
            assert!(result.is_ok());
            assert_eq!(rig.engine.sweep_orphans().await.unwrap(), 0);
            assert!(rig.get("object", As::S3).await.unwrap() == [&first[..], &second].concat());
            rig.delete("object").await;
            rig.engine.sweep_dead().await.unwrap();
        } else {
            assert!(matches!(result, Err(Error::IncompleteBody)));
            rig.engine.sweep_orphans().await.unwrap();
            assert!(rig.blob_ids().await.is_empty());
        }
        rig.blobs.reset();
    }
}

/// The story: a copy between layers has sealed its blob, and waits for the catalog; the orphan sweep passes by just then.
#[tokio::test]
async fn a_blob_whose_commit_is_under_way_is_no_orphan() {
    for moved in [false, true] {
        let gate = Arc::new(Gate::default());
        let rig = Arc::new(rig_with_gate(&gate).await);
        rig.put("source", As::Store, &data(100_000, 1)).await;
        gate.close();
        let writer = Arc::clone(&rig);
        let write = tokio::spawn(async move {
            if moved {
                writer.copy(("source", As::Store), ("object", As::Dsse)).await.map(|copied| copied.stored)
            } else {
                writer.try_put("object", As::Dsse, &data(100_000, 1)).await
            }
        });
        gate.wait_for_writer().await;
        assert_eq!(rig.blob_ids().await.len(), 2);
        assert_eq!(rig.engine.sweep_orphans().await.unwrap(), 0, "moved: {moved}");
        gate.open();
        write.await.unwrap().unwrap();
        assert!(rig.get("object", As::Dsse).await.unwrap() == data(100_000, 1));
    }
}

/// The story: the client goes away while the commit is under way. The commit happens all the same, so its blob must stay.
#[tokio::test]
async fn a_client_that_leaves_during_the_commit_takes_no_blob_with_it() {
    let gate = Arc::new(Gate::default());
    let rig = Arc::new(rig_with_gate(&gate).await);
    let upload = rig.create_upload("upload", As::Store).await;
    for part in [false, true] {
        gate.close();
        let (writer, upload) = (Arc::clone(&rig), upload.clone());
        let write = tokio::spawn(async move {
            if part {
                writer.upload_part(&upload, 1, As::Store, &data(100_000, 1)).await;
            } else {
                writer.put("object", As::Store, &data(100_000, 1)).await;
            }
        });
        gate.wait_for_writer().await;
        write.abort();
        assert!(write.await.unwrap_err().is_cancelled());
        assert_eq!(rig.engine.sweep_orphans().await.unwrap(), 0);
        gate.open();
        gate.wait_for_commit().await;
    }
    assert!(rig.get("object", As::Store).await.unwrap() == data(100_000, 1));
    assert_eq!(rig.engine.sweep_orphans().await.unwrap(), 0);
    assert_eq!(rig.blob_ids().await.len(), 2);
}

async fn rig_with_gate(gate: &Arc<Gate>) -> Rig {
    Rig::with(Plan { catalog_hook: Some(Arc::clone(gate) as _), ..Plan::default() }).await
}

async fn rig_with_faulty_blobs(options: EngineOptions) -> (Rig, FaultyBlobs) {
    let faulty = Arc::new(std::sync::OnceLock::new());
    let slot = Arc::clone(&faulty);
    let wrap: Wrap<dyn BlobStore> = Box::new(move |blobs| {
        let faulty = FaultyBlobs::new(blobs);
        slot.set(faulty.clone()).ok().unwrap();
        Arc::new(faulty)
    });
    let rig = Rig::with(Plan { options, wrap_blobs: Some(wrap), ..Plan::default() }).await;
    let faulty = faulty.get().unwrap().clone();
    (rig, faulty)
}

#[tokio::test]
async fn what_a_broken_write_leaves_is_swept() {
    let (rig, faulty) = rig_with_faulty_blobs(Plan::default().options).await;
    for (operation, fault, full) in [
        (Operation::Create, Fault::Full, true),
        (Operation::Create, Fault::Io, false),
        (Operation::Write, Fault::Full, true),
        (Operation::Write, Fault::Torn, false),
        (Operation::Finish, Fault::Full, true),
        (Operation::Finish, Fault::Torn, false),
        (Operation::Finish, Fault::LostAnswer, false),
    ] {
        faulty.fail(operation, 1, fault);
        let error = rig.try_put("object", As::S3, &data(100_000, 1)).await.unwrap_err();
        assert_eq!(faulty.pending(), 0);
        assert!(if full { matches!(error, Error::StorageFull) } else { matches!(error, Error::Internal(_)) }, "{error:?}");
        assert!(matches!(rig.get("object", As::S3).await, Err(Error::NoSuchKey)));
        rig.engine.sweep_orphans().await.unwrap();
        assert!(rig.blob_ids().await.is_empty(), "{operation:?} {fault:?}");
    }
}

/// The story: an operator puts back an older catalog. It does not know the blobs written since, and they must still lie there
/// when the right catalog is put back.
#[tokio::test]
async fn an_orphan_is_swept_only_when_it_is_older_than_the_age() {
    let age = Duration::from_hours(1);
    let rig = Rig::with(Plan { options: EngineOptions { orphan_age: age, ..Plan::default().options }, ..Plan::default() }).await;
    let (content, _) = Shape::Blob.put(&rig, "object", As::S3).await;
    let [known] = rig.blob_ids().await.into_iter().collect::<Vec<_>>()[..] else { panic!("one blob") };
    let minute = Duration::from_mins(1);
    let (young, old) = (SystemTime::now() - age + minute, SystemTime::now() - age - minute);
    let mut kept = BTreeSet::from([known]);
    let of_a_fast_clock = SystemTime::now() + age;
    let orphans = [(young, true), (young, false), (old, true), (old, false), (of_a_fast_clock, true)];
    for (number, (modified, finished)) in (1..).zip(orphans) {
        let id = BlobId([number; 16]);
        let writer = rig.memory.create(id).await.unwrap();
        if finished {
            writer.finish().await.unwrap();
        } else {
            // A killed process runs no destructors.
            std::mem::forget(writer);
        }
        rig.memory.set_modified(id, modified);
        kept.extend((modified != old).then_some(id));
    }
    rig.memory.set_modified(known, old);
    assert_eq!(rig.engine.sweep_orphans().await.unwrap(), 2);
    assert_eq!(rig.blob_ids().await, kept);
    assert!(rig.get("object", As::S3).await.unwrap() == content);
}

#[tokio::test]
async fn a_blob_that_cannot_be_deleted_is_tried_again_and_keeps_no_other_from_being_swept() {
    let (rig, faulty) = rig_with_faulty_blobs(Plan::default().options).await;
    Shape::Multipart.put(&rig, "object", As::S3).await;
    rig.delete("object").await;
    faulty.fail(Operation::Delete, 1, Fault::Io);
    assert!(rig.engine.sweep_dead().await.is_err());
    assert_eq!(rig.blob_ids().await.len(), 1, "the others are gone");
    assert_eq!(rig.engine.sweep_dead().await.unwrap(), 1);
    assert!(rig.blob_ids().await.is_empty());
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_whole() {
    let faulty = Arc::new(Faults::default());
    let rig = Rig::with(Plan { catalog_hook: Some(Arc::clone(&faulty) as _), ..Plan::default() }).await;
    faulty.fail_write(1, FaultMoment::After, || CatalogError::Busy);
    assert!(matches!(rig.try_put("object", As::S3, &data(100_000, 1)).await, Err(Error::Busy)));
    rig.engine.sweep_orphans().await.unwrap();
    assert!(rig.get("object", As::S3).await.unwrap() == data(100_000, 1));
    faulty.fail_write(1, FaultMoment::Before, || CatalogError::Full);
    assert!(matches!(rig.try_put("object", As::S3, &data(100_000, 2)).await, Err(Error::StorageFull)));
    assert_eq!(rig.engine.sweep_orphans().await.unwrap(), 1);
    assert!(rig.get("object", As::S3).await.unwrap() == data(100_000, 1));
}

/// How many blobs the catalog was asked about.
#[derive(Default)]
struct Questions(AtomicUsize);

#[async_trait]
impl CatalogHook for Questions {
    async fn before(self: Arc<Self>, call: Call) -> Result<Option<After>, CatalogError> {
        if call.method == Method::KnownBlobs {
            self.0.fetch_add(call.blobs, Ordering::SeqCst);
        }
        Ok(None)
    }
}

/// 500 blobs of one directory, and then ten times as many: the catalog is asked for each once, and no directory is read again.
#[tokio::test]
async fn a_pass_for_orphans_costs_each_blob_one_question_and_each_directory_one_reading() {
    let home = tempfile::tempdir().unwrap();
    let files = FileBlobs::open(home.path().join("blobs")).unwrap();
    let (store, questions) = (files.clone(), Arc::new(Questions::default()));
    let wrap_blobs: Wrap<dyn BlobStore> = Box::new(move |_| Arc::new(store));
    let rig = Rig::with(Plan { catalog_hook: Some(Arc::clone(&questions) as _), wrap_blobs: Some(wrap_blobs), ..Plan::default() }).await;
    Shape::Blob.put(&rig, "object", As::S3).await;
    for blobs in [500_u16, 5000] {
        for number in 0..blobs {
            let mut id = [1; 16];
            id[14..].copy_from_slice(&number.to_be_bytes());
            files.create(BlobId(id)).await.unwrap().finish().await.unwrap();
        }
        let (asked, read) = (questions.0.load(Ordering::SeqCst), files.directory_reads());
        assert_eq!(rig.engine.sweep_orphans().await.unwrap(), usize::from(blobs));
        assert_eq!(questions.0.load(Ordering::SeqCst) - asked, usize::from(blobs) + 1, "and the object's own");
        // 256 directories and, in them, the shelves that the two ids need.
        assert!((257..=258).contains(&(files.directory_reads() - read)), "{blobs}: {}", files.directory_reads() - read);
    }
}

/// Passes calls on; a scan never answers.
struct HangingScan(Arc<dyn BlobStore>);

#[async_trait::async_trait]
impl BlobStore for HangingScan {
    async fn create(&self, id: BlobId) -> Result<Box<dyn BlobWriter>, BlobError> {
        self.0.create(id).await
    }

    async fn open(&self, id: BlobId) -> Result<Box<dyn BlobReader>, BlobError> {
        self.0.open(id).await
    }

    async fn delete(&self, id: BlobId) -> Result<(), BlobError> {
        self.0.delete(id).await
    }

    async fn scan(&self) -> Result<Box<dyn BlobScan>, BlobError> {
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_pass_for_orphans_that_takes_for_ever_keeps_no_dead_blob_from_being_swept() {
    let options = EngineOptions { sweep_interval: Duration::from_millis(1), ..Plan::default().options };
    let wrap: Wrap<dyn BlobStore> = Box::new(|blobs| Arc::new(HangingScan(blobs)));
    let rig = Rig::with(Plan { options, wrap_blobs: Some(wrap), ..Plan::default() }).await;
    let sweepers = [rig.engine.start_orphan_sweeper(), rig.engine.start_sweeper()];
    for _ in 0..3 {
        Shape::Blob.put(&rig, "object", As::S3).await;
        rig.delete("object").await;
        let swept = async {
            while !rig.blob_ids().await.is_empty() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), swept).await.unwrap();
    }
    sweepers.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn the_sweeper_sweeps_by_itself() {
    let options = EngineOptions { sweep_interval: std::time::Duration::from_millis(1), ..Plan::default().options };
    let rig = Rig::with(Plan { options, ..Plan::default() }).await;
    let sweeper = rig.engine.start_sweeper();
    Shape::Blob.put(&rig, "object", As::S3).await;
    rig.delete("object").await;
    let swept = async {
        while !rig.blob_ids().await.is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), swept).await.unwrap();
    sweeper.abort();
}
