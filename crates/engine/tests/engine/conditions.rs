//! Conditional requests, alone and in a crowd.

use std::{sync::Arc, time::Duration};

use strongroom_catalog::{
    CatalogError,
    testing::{FaultMoment, Faults},
};
use strongroom_engine::{
    Error,
    api::{CompleteMultipartUpload, GetObject, PutObject, ReadConditions, Stored, WriteCondition},
};

use crate::common::*;

async fn put_if(rig: &Rig, condition: WriteCondition, data: &[u8]) -> Result<Stored, Error> {
    let request = PutObject { condition, ..put_request("object", As::Kms.write(), data) };
    rig.engine.put_object(&rig.root, request).await
}

#[tokio::test]
async fn a_conditional_write_sees_what_is_there() {
    let rig = Rig::new().await;
    let etag = |etag: &str| WriteCondition::Matches(etag.into());
    assert!(matches!(put_if(&rig, etag("*"), b"0").await, Err(Error::NoSuchKey)));
    assert!(matches!(put_if(&rig, etag("x"), b"0").await, Err(Error::NoSuchKey)));
    let first = put_if(&rig, WriteCondition::Absent, b"1").await.unwrap();
    assert!(matches!(put_if(&rig, WriteCondition::Absent, b"2").await, Err(Error::PreconditionFailed)));
    assert!(matches!(put_if(&rig, etag("x"), b"2").await, Err(Error::PreconditionFailed)));
    let second = put_if(&rig, etag(&first.etag), b"2").await.unwrap();
    assert!(matches!(put_if(&rig, etag(&first.etag), b"3").await, Err(Error::PreconditionFailed)));
    put_if(&rig, etag("*"), b"3").await.unwrap();
    let other_than = |etags: &[&str]| WriteCondition::Differs(etags.iter().map(|etag| (*etag).to_owned()).collect());
    let fourth = put_if(&rig, other_than(&[&first.etag, &second.etag]), b"4").await.unwrap();
    assert!(matches!(put_if(&rig, other_than(&["x", &fourth.etag]), b"5").await, Err(Error::PreconditionFailed)));
    rig.delete("object").await;
    put_if(&rig, other_than(&[&fourth.etag]), b"5").await.unwrap();
    rig.delete("object").await;
    put_if(&rig, WriteCondition::Absent, b"6").await.unwrap();
    assert_eq!(rig.get("object", As::Kms).await.unwrap(), b"6");
}

/// The successes, after checking that all others failed as losers do.
async fn race(rig: &Arc<Rig>, condition: WriteCondition) -> Vec<(u8, Stored)> {
    let tasks: Vec<_> = (0..16_u8)
        .map(|number| {
            let (rig, condition) = (Arc::clone(rig), condition.clone());
            tokio::spawn(async move { (number, put_if(&rig, condition, &[number; 10_000]).await) })
        })
        .collect();
    let mut winners = Vec::new();
    for task in tasks {
        match task.await.unwrap() {
            (number, Ok(stored)) => winners.push((number, stored)),
            (_, Err(Error::PreconditionFailed | Error::ConditionalConflict)) => {}
            (_, Err(error)) => panic!("{error:?}"),
        }
    }
    winners
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_sixteen_conditional_writes_one_wins() {
    for sqlite in [false, true] {
        let rig = Arc::new(Rig::with(Plan { sqlite, ..Plan::default() }).await);
        for _ in 0..4 {
            let winners = race(&rig, WriteCondition::Absent).await;
            let [(number, first)] = &winners[..] else { panic!("{} won", winners.len()) };
            assert_eq!(rig.get("object", As::Kms).await.unwrap(), [*number; 10_000]);
            let winners = race(&rig, WriteCondition::Matches(first.etag.clone())).await;
            let [(number, _)] = &winners[..] else { panic!("{} won", winners.len()) };
            assert_eq!(rig.get("object", As::Kms).await.unwrap(), [*number; 10_000]);
            rig.delete("object").await;
            rig.engine.sweep_dead().await.unwrap();
            rig.engine.sweep_orphans().await.unwrap();
            // What a loser wrote is deleted behind its answer.
            let gone = async {
                while !rig.blob_ids().await.is_empty() {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(Duration::from_secs(20), gone).await.expect("losers leave nothing");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_sixteen_conditional_completions_one_wins() {
    let rig = Arc::new(Rig::new().await);
    let mut tasks = Vec::new();
    for number in 0..16 {
        let upload = rig.create_upload("object", As::S3).await;
        let part = rig.upload_part(&upload, 1, As::S3, &[number; 100]).await;
        let request = CompleteMultipartUpload { condition: WriteCondition::Absent, ..complete_request(&upload, vec![part]) };
        let rig = Arc::clone(&rig);
        tasks.push(tokio::spawn(async move { rig.engine.complete_multipart_upload(&rig.root, request).await }));
    }
    let mut won = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => won += 1,
            Err(error) => assert!(matches!(error, Error::PreconditionFailed), "{error:?}"),
        }
    }
    assert_eq!(won, 1);
}

#[tokio::test]
async fn a_matching_write_looks_again_and_gives_up_after_a_while() {
    let faults = Arc::new(Faults::default());
    let rig = Rig::with(Plan { catalog_hook: Some(Arc::clone(&faults) as _), ..Plan::default() }).await;
    rig.put("object", As::Kms, b"old").await;
    let fail = |count| {
        for nth in 1..=count {
            faults.fail_write(nth, FaultMoment::Before, || CatalogError::PreconditionFailed);
        }
    };
    fail(3);
    put_if(&rig, WriteCondition::Matches("*".into()), b"new").await.unwrap();
    assert_eq!(rig.get("object", As::Kms).await.unwrap(), b"new");
    // Also where it is only a certain ETag that must not be there, and nothing is.
    rig.delete("object").await;
    fail(3);
    put_if(&rig, WriteCondition::Differs(vec!["etag".into()]), b"new").await.unwrap();
    fail(4);
    assert!(matches!(put_if(&rig, WriteCondition::Matches("*".into()), b"x").await, Err(Error::ConditionalConflict)));
    assert_eq!(rig.get("object", As::Kms).await.unwrap(), b"new");
}

#[tokio::test]
async fn conditional_reads_follow_rfc_9110() {
    let rig = Rig::new().await;
    let etag = rig.put("object", As::S3, b"data").await.etag;
    let modified = rig.head("object", As::S3).await.unwrap().info.modified_ms.div_euclid(1000);
    let [same, other, any] = [etag.as_str(), "other", "*"].map(|etag| Some(vec![etag.to_owned()]));
    let none = ReadConditions::default;
    for (conditions, expected) in [
        (ReadConditions { if_match: same.clone(), ..none() }, None),
        (ReadConditions { if_match: any.clone(), ..none() }, None),
        (ReadConditions { if_match: other.clone(), ..none() }, Some("PreconditionFailed")),
        (ReadConditions { if_match: same.clone(), if_unmodified_since: Some(modified - 1), ..none() }, None),
        (ReadConditions { if_unmodified_since: Some(modified - 1), ..none() }, Some("PreconditionFailed")),
        (ReadConditions { if_unmodified_since: Some(modified), ..none() }, None),
        (ReadConditions { if_none_match: same.clone(), ..none() }, Some("NotModified")),
        (ReadConditions { if_none_match: any, ..none() }, Some("NotModified")),
        (ReadConditions { if_none_match: other.clone(), ..none() }, None),
        (ReadConditions { if_none_match: other.clone(), if_modified_since: Some(modified), ..none() }, None),
        (ReadConditions { if_modified_since: Some(modified), ..none() }, Some("NotModified")),
        (ReadConditions { if_modified_since: Some(modified - 1), ..none() }, None),
        (ReadConditions { if_match: other, if_none_match: same, ..none() }, Some("PreconditionFailed")),
    ] {
        let request = || GetObject { conditions: conditions.clone(), ..get_request("object", As::S3.read()) };
        for result in [rig.engine.get_object(&rig.root, request()).await.err(), rig.engine.head_object(&rig.root, request()).await.err()] {
            assert_eq!(result.map(|error| format!("{error:?}")).as_deref(), expected, "{conditions:?}");
        }
    }
}
