//! The golden store of version 5 of the catalog: the notification configuration of a bucket, and events that wait or are dead, stay readable.

use std::fs;

use serde_json::{Value, json};
use strongroom_engine::events::{EventFailure, FilterEnd, FilterRule, Notification, NotificationKind, Notifications, Settled};

use super::golden_store::{GOLDEN_TARGET, Store, golden_dir, new_store, write_out};
use crate::common::*;

const VERSION: u32 = 5;

async fn write_all(store: &Store) {
    let (engine, root) = (&store.engine, &store.root);
    let configuration = Notification {
        id: "golden".into(),
        kind: NotificationKind::Topic,
        arn: format!("arn:strongroom:sns::{GOLDEN_TARGET}:webhook"),
        target: String::new(),
        events: vec!["s3:ObjectCreated:*".into(), "s3:ObjectRemoved:Delete".into()],
        filter: vec![FilterRule { name: "Prefix".into(), end: FilterEnd::Prefix, value: "told/".into() }],
    };
    let configurations = Notifications { configurations: vec![configuration] };
    engine.set_bucket_notifications(root, BUCKET, configurations, false).await.unwrap();
    for (key, by) in [("told/kms", As::Kms), ("told/customer", As::Customer(1)), ("untold", As::S3)] {
        engine.put_object(root, put_request(key, by.write(), b"golden")).await.unwrap();
    }
    engine.delete_object(root, BUCKET, "told/kms", None, strongroom_engine::api::DeleteCondition::default(), false).await.unwrap();
    // One was delivered, and one was given up.
    let queued = engine.queued_events(GOLDEN_TARGET, 0, 9).await.unwrap();
    let failure = Some(EventFailure { attempts: 7, reason: "500 Internal Server Error".into(), at: 1_000 });
    let settle = |at: usize, failure| Settled { position: queued[at].position, id: queued[at].id, lane: queued[at].lane, failure };
    engine.settle_events(GOLDEN_TARGET, &[settle(0, None), settle(1, failure)]).await.unwrap();
}

/// What the store holds, as its engine tells it.
async fn facts(store: &Store) -> Value {
    let engine = &store.engine;
    let queued = engine.queued_events(GOLDEN_TARGET, 0, 9).await.unwrap();
    let queued: Vec<_> = queued.iter().map(|event| json!([event.position, event.sequence, event.id, event.lane, event.record])).collect();
    let dead = engine.dead_events(None, 0, 9).await.unwrap();
    let dead: Vec<_> = dead.iter().map(|event| json!([event.position, event.id, event.target, event.record, event.failure])).collect();
    let held = engine.outbox().await.unwrap().remove(0);
    json!({
        "configuration": *engine.bucket_notifications(BUCKET).await.unwrap(),
        "queued": queued,
        "dead": dead,
        "held": [held.target, held.queued, held.dead, held.dropped, held.oldest],
    })
}

#[tokio::test]
async fn a_store_of_version_5_holds_its_configuration_and_its_events() {
    let expected: Value = serde_json::from_slice(&fs::read(golden_dir(VERSION).join("expected.json")).unwrap()).unwrap();
    let store = Store::golden(VERSION).await;
    let found = facts(&store).await;
    assert_eq!(found, expected);
    assert_eq!((found["queued"].as_array().unwrap().len(), found["dead"].as_array().unwrap().len()), (2, 1));
    // And the outbox goes on where it was.
    store.engine.put_object(&store.root, put_request("told/more", As::S3.write(), b"more")).await.unwrap();
    let queued = store.engine.queued_events(GOLDEN_TARGET, 0, 9).await.unwrap();
    assert!(queued[2].sequence > queued[1].sequence && queued[2].record.as_ref().unwrap().key == "told/more");
    assert_eq!(store.engine.integrity_events(), 0);
}

/// Made the golden store of version 5, once: `cargo test -p strongroom-engine --test engine -- --ignored write_the_golden_store_of_version_5`.
#[tokio::test]
#[ignore = "writes a golden store, which exists"]
async fn write_the_golden_store_of_version_5() {
    let store = new_store().await;
    store
        .engine
        .create_bucket(&store.root, strongroom_engine::api::CreateBucket { name: BUCKET.into(), ..Default::default() })
        .await
        .unwrap();
    write_all(&store).await;
    let expected = facts(&store).await;
    write_out(store, VERSION, &expected).await;
}
