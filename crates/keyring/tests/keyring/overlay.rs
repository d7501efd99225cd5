//! What the overlay remembers: durably, before it counts, and never guessed.

use std::collections::BTreeMap;
use std::sync::Arc;

use strongroom_keyring::{Ledger, Overlay};
use strongroom_kms::{KeyLifecycle, KeyService, KeyState, NewKey};

use crate::support::{MemoryKms, MemoryServer, MemoryState, assert_opens, failure, generate};

pub(crate) struct Setup {
    pub(crate) state: Arc<MemoryState>,
    pub(crate) server: Arc<MemoryServer>,
}

impl Setup {
    pub(crate) fn new(schedules: bool) -> Self {
        Self { state: Arc::default(), server: MemoryServer::with_two_keys(schedules) }
    }

    /// An overlay that has read nothing yet, as after a restart.
    pub(crate) fn overlay(&self) -> Overlay<MemoryKms> {
        Overlay::new(Arc::new(MemoryKms::new("memory", &self.server)), Arc::new(Ledger::new("memory", Arc::clone(&self.state) as _)))
    }
}

fn tags(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test]
async fn what_was_changed_is_so_after_a_restart() {
    let setup = Setup::new(false);
    let overlay = setup.overlay();
    let key = generate(&overlay, "first").await.unwrap();
    overlay.create_key(NewKey { name: Some("third".to_owned()), description: "d".to_owned(), tags: tags(&[("a", "1")]) }).await.unwrap();
    overlay.disable_key("first").await.unwrap();
    overlay.seal_key("first").await.unwrap();
    overlay.schedule_deletion("third", 7).await.unwrap();
    let again = setup.overlay();
    assert_eq!(failure(again.unwrap_data_key(&key.wrapped, &crate::support::context()).await).0, "KeySealed");
    assert_eq!(again.unseal_key("first").await.unwrap().state, KeyState::Disabled);
    let third = again.describe_key("third").await.unwrap();
    assert_eq!((third.description.as_str(), &third.tags), ("d", &tags(&[("a", "1")])));
    assert!(matches!(third.state, KeyState::PendingDeletion { .. }));
    again.enable_key("first").await.unwrap();
    assert_opens(&setup.overlay(), &key).await;
}

#[tokio::test]
async fn a_change_that_cannot_be_stored_is_not_made() {
    let setup = Setup::new(false);
    let overlay = setup.overlay();
    let key = generate(&overlay, "first").await.unwrap();
    setup.state.fail_saves(true);
    assert_eq!(failure(overlay.disable_key("first").await).0, "Unavailable");
    assert_opens(&overlay, &key).await;
    setup.state.fail_saves(false);
    overlay.disable_key("first").await.unwrap();
    assert_eq!(failure(overlay.check_usable("first").await).0, "KeyDisabled");
}

#[tokio::test]
async fn a_change_that_was_stored_though_nobody_said_so_is_in_force() {
    let setup = Setup::new(false);
    let overlay = setup.overlay();
    overlay.check_usable("first").await.unwrap();
    setup.state.lose_next_answer();
    assert_eq!(failure(overlay.disable_key("first").await).0, "Unavailable");
    assert_eq!(failure(overlay.check_usable("first").await).0, "KeyDisabled");
}

#[tokio::test]
async fn keys_are_refused_while_their_states_cannot_be_read() {
    let setup = Setup::new(false);
    let key = generate(&setup.overlay(), "first").await.unwrap();
    let overlay = setup.overlay();
    setup.state.fail_loads(true);
    let before = setup.server.calls.load(std::sync::atomic::Ordering::SeqCst);
    for answer in [
        overlay.check_usable("first").await.map(drop),
        overlay.unwrap_data_key(&key.wrapped, &crate::support::context()).await.map(drop),
        generate(&overlay, "first").await.map(drop),
        overlay.rewrap_data_key(&key.wrapped, &crate::support::context()).await.map(drop),
        overlay.enable_key("first").await.map(drop),
        overlay.list_keys(None, 10).await.map(drop),
        overlay.describe_key("first").await.map(drop),
    ] {
        let (name, text) = failure(answer);
        assert_eq!(name, "Unavailable");
        assert!(text.contains("the states of its keys cannot be read"), "{text}");
    }
    assert_eq!(setup.server.calls.load(std::sync::atomic::Ordering::SeqCst), before, "the backend is not asked");
    setup.state.fail_loads(false);
    assert_opens(&overlay, &key).await;
}

#[tokio::test]
async fn a_malformed_document_or_one_of_a_later_release_refuses_every_key() {
    for document in ["", "{", r#"{"format":1,"keys":{},"more":1}"#, r#"{"format":2,"keys":{}}"#, r#"{"format":1,"keys":{"first":{"x":1}}}"#]
    {
        let setup = Setup::new(false);
        setup.state.put("kms-overlay/memory", document.as_bytes());
        assert_eq!(failure(setup.overlay().check_usable("first").await).0, "Broken", "{document}");
        assert_eq!(failure(setup.overlay().disable_key("first").await).0, "Broken", "{document}");
        assert_eq!(setup.state.get("kms-overlay/memory").unwrap(), document.as_bytes(), "it is left as it is");
    }
}

#[tokio::test]
async fn a_change_of_another_server_is_not_lost() {
    let setup = Setup::new(false);
    let (one, other) = (setup.overlay(), setup.overlay());
    one.check_usable("first").await.unwrap();
    other.check_usable("first").await.unwrap();
    one.disable_key("first").await.unwrap();
    other.disable_key("second").await.unwrap();
    let third = setup.overlay();
    for (overlay, key_id) in [(&other, "first"), (&other, "second"), (&third, "first"), (&third, "second")] {
        assert_eq!(failure(overlay.check_usable(key_id).await).0, "KeyDisabled", "{key_id}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_at_once_are_all_made() {
    let setup = Setup::new(false);
    let overlays = [Arc::new(setup.overlay()), Arc::new(setup.overlay())];
    let changes = (0..20).map(|number| {
        let overlay = Arc::clone(&overlays[number % 2]);
        tokio::spawn(async move { overlay.tag("first", tags(&[(&format!("t{number}"), "x")])).await })
    });
    for change in changes.collect::<Vec<_>>() {
        change.await.unwrap().unwrap();
    }
    assert_eq!(setup.overlay().describe_key("first").await.unwrap().tags.len(), 20);
}

#[tokio::test]
async fn the_document_has_a_bound_and_a_full_one_goes_on_working() {
    let setup = Setup::new(false);
    let overlay = setup.overlay();
    let long = "ü".repeat(8192);
    let mut refused = None;
    for number in 0..80 {
        let key_id = format!("key-{number}");
        setup.server.make(&key_id);
        if let Err(error) = overlay.update_description(&key_id, &long).await {
            refused = Some((number, error));
            break;
        }
    }
    let (number, error) = refused.unwrap();
    assert!(error.to_string().contains("is full (1048576 bytes)"), "{error}");
    assert_eq!(number, 63, "16 KiB each");
    overlay.update_description("key-0", "short").await.unwrap();
    overlay.disable_key("key-1").await.unwrap();
    assert_eq!(failure(setup.overlay().check_usable("key-1").await).0, "KeyDisabled");
    assert_eq!(failure(overlay.update_description("key-1", &"x".repeat(8193)).await).0, "InvalidArgument");
    assert_eq!(failure(overlay.tag("key-1", tags(&[("", "x")])).await).0, "InvalidArgument");
}

#[tokio::test]
async fn the_stores_own_keys_are_neither_disabled_nor_sealed_nor_deleted() {
    let setup = Setup::new(false);
    setup.server.make("strongroom-store");
    let overlay = setup.overlay();
    for answer in [
        overlay.disable_key("key/strongroom-store").await,
        overlay.seal_key("strongroom-store").await,
        overlay.schedule_deletion("strongroom-store", 7).await,
        overlay.delete_now("strongroom-store", "strongroom-store").await,
    ] {
        assert_eq!(failure(answer).0, "InvalidArgument");
    }
    overlay.check_usable("strongroom-store").await.unwrap();
}

#[tokio::test]
async fn a_key_that_was_made_anew_past_this_server_and_then_here_starts_fresh() {
    let setup = Setup::new(false);
    let overlay = setup.overlay();
    overlay.disable_key("first").await.unwrap();
    setup.server.lose("first");
    assert_eq!(failure(overlay.enable_key("first").await).0, "KeyNotFound");
    let created = overlay.create_key(NewKey { name: Some("first".to_owned()), ..NewKey::default() }).await.unwrap();
    assert_eq!(created.state, KeyState::Enabled);
    overlay.check_usable("first").await.unwrap();
}
