//! Erasure rules whose server is killed between any two of their steps, and those that meet removals and writes.

use std::sync::Arc;

use serde_json::{Value, json};
use strongroom_catalog::testing::Method;
use strongroom_engine::Error;
use strongroom_engine::api::Body;
use time::OffsetDateTime;

use crate::erasure_rules::{RULES, Timed, of_photos};

/// How far a rule had come when the server was killed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Killed {
    /// The deletion was noted.
    Noted,
    /// The key was destroyed.
    Destroyed,
    /// The receipt was kept.
    Receipted,
}

impl Timed {
    async fn after_a_kill(self) -> Self {
        let Self { rig, clock } = self;
        Self { rig: rig.after_a_kill().await, clock }
    }

    /// What the rule does up to there, by the parts that do it.
    async fn up_to(&self, id: &str, killed: Killed) {
        let lost = json!({"objects": 1, "bytes": 4, "uploads": 0});
        let due = OffsetDateTime::now_utc().format(&time::format_description::well_known::Rfc3339).unwrap();
        let request_id = format!("erasure-rule:{id}");
        let intent = json!({"backend": "local", "key_id": "alpha", "who": "root", "request_id": request_id, "due": due, "lost": lost});
        self.rig.state.save("kms-erasures", None, json!([intent]).to_string().as_bytes()).await.unwrap();
        if killed != Killed::Noted {
            self.rig.keyring.kms(None).unwrap().delete_now("alpha", "alpha").await.unwrap();
        }
        if killed == Killed::Receipted {
            // The clock of rules has not come so far yet, so this sees to receipts alone.
            self.round().await;
        }
    }
}

#[tokio::test]
async fn wherever_a_kill_cut_a_rule_short_the_next_round_ends_in_the_same_state_with_one_receipt() {
    for killed in [Killed::Noted, Killed::Destroyed, Killed::Receipted] {
        let timed = Timed::new().await;
        timed.rig.put("a", Some("alpha"), b"data").await;
        let id = timed.rule(of_photos(7)).await;
        timed.up_to(&id, killed).await;
        let timed = timed.after_a_kill().await;
        assert_eq!(timed.rig.get("a").await.is_ok(), killed == Killed::Noted, "{killed:?}");
        timed.days_pass(7).await;
        for _ in 0..2 {
            let done = timed.shown(&id).await;
            assert_eq!(done["state"], "Done", "{killed:?}");
            let receipts = timed.rig.ok("GET", "/kms/receipts", Value::Null).await["receipts"].clone();
            assert_eq!(receipts, json!([done["receipt"]]), "{killed:?}");
            let receipt = &receipts[0]["receipt"];
            assert_eq!((&receipt["objects"], &receipt["bytes"]), (&json!(1), &json!(4)), "{killed:?}");
            assert_eq!(receipt["request_id"], format!("erasure-rule:{id}"), "{killed:?}");
            timed.round().await;
        }
        let intents = timed.rig.state.load("kms-erasures").await.unwrap().unwrap();
        assert_eq!(&**intents, b"[]", "{killed:?}");
        assert!(matches!(timed.rig.get("a").await, Err(Error::KmsKeyErased(_))), "{killed:?}");
    }
}

#[tokio::test]
async fn a_restart_keeps_rules_and_finds_out_anew_what_is_in_their_way() {
    let timed = Timed::new().await;
    timed.rig.put("a", Some("alpha"), b"data").await;
    timed.rig.put("out", Some("alpha"), b"data").await;
    let id = timed.rule(json!({"bucket": "photos", "prefix": "a", "key_id": "alpha", "days": 7})).await;
    timed.days_pass(7).await;
    let blocked = timed.shown(&id).await;
    assert_eq!(blocked["state"], "Blocked");
    let timed = timed.after_a_kill().await;
    timed.round().await;
    assert_eq!(timed.shown(&id).await, blocked);
    timed.delete("photos", "out").await;
    timed.round().await;
    assert_eq!(timed.shown(&id).await["state"], "Done");
}

#[tokio::test]
async fn a_key_that_the_backend_does_not_know_is_no_proof_that_it_was_destroyed() {
    let timed = Timed::new().await;
    timed.rig.put("a", Some("alpha"), b"data").await;
    let id = timed.rule(of_photos(7)).await;
    let Timed { rig, clock } = timed;
    let timed = Timed { rig: rig.after_losing("alpha").await, clock };
    timed.days_pass(7).await;
    let shown = timed.shown(&id).await;
    let why = "The backend does not know the key, and there is no receipt of its end. Restore the key, or remove the rule.";
    assert_eq!((&shown["state"], &shown["obstacles"]), (&json!("Blocked"), &json!([why])));
    assert_eq!(timed.rig.ok("GET", "/kms/receipts", Value::Null).await["receipts"], json!([]));
}

#[tokio::test]
async fn a_rule_that_fails_to_destroy_its_key_opens_it_again_and_tries_again() {
    let timed = Timed::new().await;
    timed.rig.put("a", Some("alpha"), b"data").await;
    let id = timed.rule(of_photos(7)).await;
    // The file of the key cannot be replaced by its tombstone.
    let file = timed.rig.dir.path().join("keys/alpha.key.json");
    let key = std::fs::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir_all(file.join("in the way")).unwrap();
    for _ in 0..3 {
        timed.days_pass(7).await;
        assert_eq!(timed.shown(&id).await["state"], "Blocked");
        timed.rig.put("another", Some("alpha"), b"data").await;
    }
    std::fs::remove_dir_all(&file).unwrap();
    std::fs::write(&file, key).unwrap();
    timed.round().await;
    let done = timed.shown(&id).await;
    assert_eq!((&done["state"], &done["receipt"]["receipt"]["objects"]), (&json!("Done"), &json!(2)));
    let records = timed.rig.records().await;
    let begun = records.iter().filter(|record| record["operation"] == "CarryOutErasureRule" && record["details"]["phase"] == "begun");
    assert_eq!(begun.count(), 1, "each try is not a record more");
}

/// A rule of the prefix `in/` that is due. Its looks are held: each counts all rows under the key first, and then those within the prefix.
struct Held {
    timed: Arc<Timed>,
    id: String,
    carrying: tokio::task::JoinHandle<()>,
}

/// Which look of a rule is held, at its second count.
#[derive(Clone, Copy)]
enum Look {
    /// That with the open key.
    Open = 1,
    /// That with the closed key.
    Closed = 3,
}

impl Held {
    async fn at(look: Look) -> Self {
        let timed = Arc::new(Timed::new().await);
        timed.rig.put("in/a", Some("alpha"), b"data").await;
        let id = timed.rule(json!({"bucket": "photos", "prefix": "in/", "key_id": "alpha", "days": 7})).await;
        timed.rig.hold.arm(Method::TallyIn, look as usize);
        let carrying = Arc::clone(&timed);
        let carrying = tokio::spawn(async move { carrying.days_pass(7).await });
        timed.rig.hold.reached().await;
        Self { timed, id, carrying }
    }

    async fn write_outside(&self) -> Result<(), Error> {
        let stream = Box::pin(futures_util::stream::iter([Ok(bytes::Bytes::from_static(b"data"))]));
        self.timed.rig.try_put("out/a", "alpha", Body { stream, length: Some(4) }).await.map(drop)
    }

    /// Lets the rule go on to where it comes; its state.
    async fn goes_on(self) -> (Arc<Timed>, u16, Value) {
        self.timed.rig.hold.release();
        self.carrying.await.unwrap();
        let shown = self.timed.rig.call("GET", &format!("{RULES}/{}", self.id), Value::Null).await;
        (self.timed, shown.status, shown.json["state"].clone())
    }
}

/// The race: an object is written outside of the prefix when it was already looked whether there are any.
#[tokio::test]
async fn what_is_acknowledged_outside_of_the_prefix_is_never_lost() {
    let held = Held::at(Look::Open).await;
    held.write_outside().await.unwrap();
    let (timed, _, state) = held.goes_on().await;
    assert_eq!(state, "Blocked");
    assert_eq!((timed.rig.get("in/a").await.unwrap(), timed.rig.get("out/a").await.unwrap()), (b"data".to_vec(), b"data".to_vec()));

    let held = Held::at(Look::Closed).await;
    let refused = held.write_outside().await.unwrap_err();
    assert!(matches!(refused, Error::KmsKeyPendingDeletion(_)), "{refused:?}");
    let (timed, _, state) = held.goes_on().await;
    assert_eq!(state, "Done");
    assert!(matches!(timed.rig.get("out/a").await, Err(Error::NoSuchKey)));
}

/// The race: a rule is removed while it is carried out. Either it was removed, and the key is as before, or it is too late.
#[tokio::test]
async fn a_rule_whose_removal_was_answered_destroys_nothing_afterwards() {
    let held = Held::at(Look::Open).await;
    held.timed.rig.ok("DELETE", &format!("{RULES}/{}", held.id), Value::Null).await;
    let (timed, status, _) = held.goes_on().await;
    assert_eq!(status, 404);
    assert_eq!(timed.rig.get("in/a").await.unwrap(), b"data");
    let numbers = timed.rig.admin.erasure_rules().await;
    assert!(numbers.iter().all(|(_, count)| *count == 0), "{numbers:?}");

    let held = Held::at(Look::Closed).await;
    let (remover, path) = (Arc::clone(&held.timed), format!("{RULES}/{}", held.id));
    let removing = tokio::spawn(async move { remover.rig.call("DELETE", &path, Value::Null).await });
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    assert!(!removing.is_finished(), "nobody is told yet that it was removed");
    let (timed, _, state) = held.goes_on().await;
    assert_eq!((removing.await.unwrap().status, state), (409, json!("Done")));
    assert!(matches!(timed.rig.get("in/a").await, Err(Error::KmsKeyErased(_))));
}
