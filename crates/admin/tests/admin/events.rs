//! The outbox as an operator sees it: what waits, what was given up, and what is done with it.

use serde_json::{Value, json};
use strongroom_engine::events::{EventFailure, Notification, NotificationKind, Notifications, Settled};

use crate::rig::{Rig, allowing, caller, user};

/// A store with dead events of the objects `a` and `b`, and a queued one of `c`.
async fn rig() -> Rig {
    let rig = Rig::new().await;
    let configuration = Notification {
        id: "all".into(),
        kind: NotificationKind::Queue,
        arn: "arn:strongroom:sqs::hook:webhook".into(),
        target: String::new(),
        events: vec!["s3:ObjectCreated:*".into()],
        filter: Vec::new(),
    };
    let configurations = Notifications { configurations: vec![configuration] };
    rig.engine.set_bucket_notifications(&caller(), "photos", configurations, true).await.unwrap();
    for key in ["a", "b"] {
        rig.put(key, None, b"1").await;
    }
    let queued = rig.engine.queued_events("hook", 0, 9).await.unwrap();
    let failure = |at| Some(EventFailure { attempts: 4, reason: "500 Internal Server Error".into(), at });
    let settled = queued.iter().map(|event| Settled { position: event.position, id: event.id, lane: event.lane, failure: failure(7) });
    rig.engine.settle_events("hook", &settled.collect::<Vec<_>>()).await.unwrap();
    rig.put("c", None, b"1").await;
    rig
}

#[tokio::test]
async fn targets_and_dead_events_are_listed_by_pages() {
    let rig = rig().await;
    let targets = rig.ok("GET", "/kms/events", Value::Null).await;
    let [target] = targets["targets"].as_array().unwrap().as_slice() else { panic!("{targets}") };
    assert_eq!((&target["target"], &target["configured"]), (&json!("hook"), &json!(false)), "nobody delivers in this test");
    assert_eq!((&target["queued"], &target["dead"], &target["dropped"]), (&json!(1), &json!(2), &json!(0)));
    assert!(target["oldest"].is_string());

    let first = rig.ok("GET", "/kms/events/dead?limit=1", Value::Null).await;
    let event = &first["events"][0];
    assert_eq!((&event["bucket"], &event["key"], &event["event"]), (&json!("photos"), &json!("a"), &json!("ObjectCreated:Put")));
    assert_eq!((&event["attempts"], &event["reason"]), (&json!(4), &json!("500 Internal Server Error")));
    assert_eq!(event["given_up"], json!("1970-01-01T00:00:00.007Z"));
    let second = rig.ok("GET", &format!("/kms/events/dead?target=hook&after={}", first["next"]), Value::Null).await;
    assert_eq!((second["events"][0]["key"].as_str(), second.get("next")), (Some("b"), None));
    assert_eq!(rig.ok("GET", "/kms/events/dead?target=other", Value::Null).await["events"], json!([]));
}

#[tokio::test]
async fn names_of_objects_are_for_who_may_list_their_bucket() {
    let rig = rig().await;
    let alice = user(&allowing(&["strongroom:GetEvents"]));
    let told = rig.send("GET", "/kms/events/dead", String::new(), alice).await;
    assert_eq!((told.status, told.json["events"].as_array().unwrap().len()), (200, 2));
    assert!(!told.text.contains("photos"), "{}", told.text);
    let alice = user(&allowing(&["strongroom:GetEvents", "s3:ListBucket"]));
    assert!(rig.send("GET", "/kms/events/dead", String::new(), alice).await.text.contains("photos"));
}

#[tokio::test]
async fn dead_events_are_sent_again_or_dropped_and_both_are_recorded() {
    let rig = rig().await;
    let dead = rig.ok("GET", "/kms/events/dead", Value::Null).await;
    let id = dead["events"][0]["event_id"].as_str().unwrap().to_owned();
    assert_eq!(rig.ok("POST", "/kms/events/resend", json!({"event_id": format!("evt_{id}")})).await, json!({"events": 1}));
    let record = rig.record("ResendEvents").await;
    assert_eq!((&record["who"], &record["outcome"], &record["details"]["events"]), (&json!("root"), &json!("ok"), &json!("1")), "{record}");
    rig.refused("POST", "/kms/events/resend", json!({"event_id": id}), 404, "NotFound").await;
    assert_eq!(rig.ok("POST", "/kms/events/drop", json!({"target": "hook"})).await, json!({"events": 1}));
    assert_eq!(rig.record("DropEvents").await["details"]["target"], json!("hook"));
    assert_eq!(rig.ok("POST", "/kms/events/drop", json!({"target": "hook", "queued": true})).await, json!({"events": 2}));
    assert_eq!(rig.ok("GET", "/kms/events", Value::Null).await, json!({"targets": []}), "nobody delivers there, and nothing is left");
}

#[tokio::test]
async fn a_call_that_names_nothing_or_too_much_is_refused() {
    let rig = rig().await;
    for body in [json!({}), json!({"event_id": "0", "target": "hook"})] {
        rig.refused("POST", "/kms/events/resend", body.clone(), 400, "InvalidRequest").await;
        rig.refused("POST", "/kms/events/drop", body, 400, "InvalidRequest").await;
    }
    let one = json!({"event_id": "0".repeat(32), "queued": true});
    rig.refused("POST", "/kms/events/drop", one, 400, "InvalidRequest").await;
    rig.refused("POST", "/kms/events/drop", json!({"event_id": "no-id"}), 404, "NotFound").await;
}
