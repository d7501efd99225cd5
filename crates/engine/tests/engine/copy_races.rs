//! Reads and copies whose object is replaced under their hands: between the look into the catalog and the data stands the KMS,
//! whose answers these tests hold back.

use std::{future::Future, sync::Arc};

use strongroom_engine::{
    Error,
    api::{GetObject, SseHeaders, UploadPartCopy},
};
use strongroom_kms::testing::Fault;

use crate::common::*;

/// Begins `work`, which calls the KMS; replaces what it works on while the answer is held back; and lets it end.
async fn while_held<T: Send + 'static>(
    rig: &Arc<Rig>,
    work: impl Future<Output = T> + Send + 'static,
    meanwhile: impl Future<Output = ()>,
) -> T {
    rig.kms.hold_answers();
    let work = tokio::spawn(work);
    while rig.kms.held_answers() == 0 {
        tokio::task::yield_now().await;
    }
    meanwhile.await;
    rig.engine.sweep_dead().await.unwrap();
    rig.kms.release_answers();
    work.await.unwrap()
}

async fn overwrite(rig: &Rig) {
    // Needs no KMS, which answers nobody now.
    rig.put("object", As::Store, &data(200_000, 99)).await;
}

#[tokio::test]
async fn a_read_of_an_object_that_is_overwritten_and_swept_answers_the_new_one() {
    for shape in [Shape::Blob, Shape::Multipart] {
        let rig = Arc::new(Rig::new().await);
        shape.put(&rig, "object", As::S3).await;
        let reader = Arc::clone(&rig);
        let read = while_held(&rig, async move { reader.get("object", As::S3).await }, Box::pin(overwrite(&rig))).await;
        assert!(read.unwrap() == data(200_000, 99));
        assert_eq!(rig.engine.integrity_events(), 0, "nothing was damaged");
    }
}

#[tokio::test]
async fn a_read_of_an_object_that_is_deleted_and_swept_answers_that_there_is_none() {
    let rig = Arc::new(Rig::new().await);
    Shape::Blob.put(&rig, "object", As::S3).await;
    let reader = Arc::clone(&rig);
    let read = while_held(&rig, async move { reader.get("object", As::S3).await }, rig.delete("object")).await;
    assert!(matches!(read, Err(Error::NoSuchKey)), "{read:?}");
    assert_eq!(rig.engine.integrity_events(), 0);
}

#[tokio::test]
async fn a_copy_whose_source_is_overwritten_and_swept_copies_the_new_one() {
    for shape in [Shape::Blob, Shape::Multipart] {
        for to in [As::Store, As::Kms, As::Dsse] {
            let rig = Arc::new(Rig::new().await);
            shape.put(&rig, "object", As::S3).await;
            let worker = Arc::clone(&rig);
            let copied =
                while_held(&rig, async move { worker.copy(("object", As::S3), ("copy", to)).await }, Box::pin(overwrite(&rig))).await;
            assert_eq!(copied.unwrap().stored.size_bytes, 200_000, "{shape:?} to {to:?}");
            assert!(rig.get("copy", to).await.unwrap() == data(200_000, 99));
            assert_eq!(rig.engine.integrity_events(), 0);
            rig.delete("copy").await;
            rig.delete("object").await;
            rig.engine.sweep_dead().await.unwrap();
            rig.engine.sweep_orphans().await.unwrap();
            assert!(rig.blob_ids().await.is_empty());
        }
    }
}

#[tokio::test]
async fn a_copy_whose_source_is_deleted_and_swept_answers_that_there_is_none() {
    for to in [As::Kms, As::Dsse] {
        let rig = Arc::new(Rig::new().await);
        Shape::Blob.put(&rig, "object", As::S3).await;
        let worker = Arc::clone(&rig);
        let copied = while_held(&rig, async move { worker.copy(("object", As::S3), ("copy", to)).await }, rig.delete("object")).await;
        assert!(matches!(copied, Err(Error::NoSuchKey)), "{copied:?}");
        assert_eq!(rig.engine.integrity_events(), 0);
    }
}

#[tokio::test]
async fn a_part_whose_source_is_overwritten_and_swept_copies_the_new_one() {
    let rig = Arc::new(Rig::new().await);
    Shape::Blob.put(&rig, "object", As::S3).await;
    let upload = rig.create_upload("target", As::Store).await;
    let request = UploadPartCopy {
        upload: upload.clone(),
        part_number: 1,
        source: copy_source("object", As::S3),
        range: None,
        sse: SseHeaders::default(),
    };
    let worker = Arc::clone(&rig);
    let work = async move { worker.engine.upload_part_copy(&worker.root, request).await };
    let copied = while_held(&rig, work, Box::pin(overwrite(&rig))).await.unwrap();
    rig.complete(&upload, vec![completed(1, &copied.part)]).await.unwrap();
    assert!(rig.get("target", As::Store).await.unwrap() == data(200_000, 99));
    assert_eq!(rig.engine.integrity_events(), 0);
}

/// Where the source is under no key of the KMS, what is held back are the keys of the upload: the blob was looked at already, and goes
/// before the part refers to it.
#[tokio::test]
async fn a_part_whose_source_goes_before_it_is_shared_copies_the_new_one_or_answers_that_there_is_none() {
    for (from, to) in [(As::S3, As::Store), (As::Store, As::Kms), (As::Kms, As::Kms)] {
        for overwritten in [true, false] {
            let rig = Arc::new(Rig::new().await);
            Shape::Blob.put(&rig, "object", from).await;
            let upload = rig.create_upload("target", to).await;
            let request = UploadPartCopy {
                upload: upload.clone(),
                part_number: 1,
                source: copy_source("object", from),
                range: None,
                sse: SseHeaders::default(),
            };
            let worker = Arc::clone(&rig);
            let work = async move { worker.engine.upload_part_copy(&worker.root, request).await };
            let meanwhile = async { if overwritten { overwrite(&rig).await } else { rig.delete("object").await } };
            let copied = while_held(&rig, work, Box::pin(meanwhile)).await;
            let what = format!("{from:?} to {to:?}");
            if overwritten {
                rig.complete(&upload, vec![completed(1, &copied.unwrap().part)]).await.unwrap();
                assert!(rig.get("target", to).await.unwrap() == data(200_000, 99), "{what}");
            } else {
                assert!(matches!(copied, Err(Error::NoSuchKey)), "{what}: {copied:?}");
                rig.engine.abort_multipart_upload(&upload).await.unwrap();
            }
            assert_eq!(rig.engine.integrity_events(), 0, "{what}");
            rig.delete("object").await;
            rig.delete("target").await;
            rig.engine.sweep_dead().await.unwrap();
            assert!(rig.blob_ids().await.is_empty(), "{what}");
        }
    }
}

#[tokio::test]
async fn a_copy_that_fails_at_its_target_leaves_nothing() {
    let rig = Rig::new().await;
    Shape::Blob.put(&rig, "object", As::Store).await;
    let before = rig.blob_ids().await;
    for to in [As::Kms, As::Dsse] {
        rig.kms.fail_all(Fault::Unavailable);
        assert!(matches!(rig.copy(("object", As::Store), ("copy", to)).await, Err(Error::KmsUnavailable(_))));
        rig.kms.heal();
        assert!(matches!(rig.get("copy", to).await, Err(Error::NoSuchKey)));
        assert_eq!(rig.blob_ids().await, before);
    }
}

/// The story: a reader has looked a multipart object up and waits for the KMS. The object is deleted, and the sweep takes its
/// parts but for the first, which another reply is reading. The reader could begin, and would break off in the middle.
#[tokio::test]
async fn a_read_whose_later_parts_were_swept_before_they_were_held_does_not_begin() {
    for overwritten in [false, true] {
        let rig = Arc::new(Rig::new().await);
        Shape::Multipart.put(&rig, "object", As::S3).await;
        let request = GetObject { part_number: Some(1), ..get_request("object", As::S3.read()) };
        let first_part = rig.engine.get_object(&rig.root, request).await.unwrap();
        let reader = Arc::clone(&rig);
        let read = async move { reader.engine.get_object(&reader.root, get_request("object", As::S3.read())).await };
        let meanwhile = async { if overwritten { overwrite(&rig).await } else { rig.delete("object").await } };
        let read = while_held(&rig, read, Box::pin(meanwhile)).await;
        if overwritten {
            assert!(collect(read.unwrap()).await.unwrap() == data(200_000, 99));
        } else {
            assert!(matches!(read.err(), Some(Error::NoSuchKey)));
        }
        assert_eq!(collect(first_part).await.unwrap().len(), 70_000, "the part that is held is read to its end");
        assert_eq!(rig.engine.integrity_events(), 0, "nothing was damaged");
    }
}
