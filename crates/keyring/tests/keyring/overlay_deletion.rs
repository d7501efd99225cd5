//! Destroying keys through the overlay, with a backend that is away, refuses, or loses its answers.

use strongroom_kms::{KeyLifecycle, KeyService, KeyState, MayGo, NewKey};
use time::{Duration, OffsetDateTime};

use crate::overlay::Setup;
use crate::support::{Fault, assert_opens, failure, generate};

fn in_8_days() -> OffsetDateTime {
    OffsetDateTime::now_utc() + Duration::days(8)
}

#[tokio::test]
async fn a_deletion_that_the_backend_refuses_leaves_the_key_as_it_was() {
    let setup = Setup::new(false);
    let overlay = setup.overlay();
    let key = generate(&overlay, "first").await.unwrap();
    setup.server.fail(Some(Fault::Denies));
    assert_eq!(failure(overlay.delete_now("first", "first").await).0, "Denied");
    setup.server.fail(None);
    assert_opens(&overlay, &key).await;
    assert_eq!(overlay.describe_key("first").await.unwrap().state, KeyState::Enabled);
}

#[tokio::test]
async fn a_deletion_whose_answer_is_lost_is_finished_later() {
    let setup = Setup::new(false);
    let overlay = setup.overlay();
    setup.server.fail(Some(Fault::LosesAnswers));
    let (name, text) = failure(overlay.delete_now("first", "first").await);
    assert_eq!(name, "Unavailable");
    assert!(text.contains("the key first is refused from now on"), "{text}");
    for restarted in [&overlay, &setup.overlay()] {
        assert_eq!(failure(restarted.check_usable("first").await).0, "KeyPendingDeletion");
    }
    setup.server.fail(None);
    assert_eq!(setup.overlay().reap_deleted(OffsetDateTime::now_utc(), &MayGo::always()).await.unwrap(), ["first"]);
    assert_eq!(failure(setup.overlay().check_usable("first").await).0, "KeyErased");
    let tombstone = setup.overlay().describe_key("first").await.unwrap();
    assert_eq!((tombstone.state, tombstone.versions.len()), (KeyState::Erased, 1));
}

#[tokio::test]
async fn a_key_whose_destruction_has_begun_is_not_cancelled_back_to_life() {
    let setup = Setup::new(false);
    let overlay = setup.overlay();
    setup.server.fail(Some(Fault::LosesAnswers));
    failure(overlay.delete_now("first", "first").await);
    failure(overlay.delete_now("second", "second").await);
    setup.server.fail(None);
    // As if the backend had not carried it out, or only in part.
    setup.server.make("second");
    for key_id in ["first", "second"] {
        let (name, text) = failure(overlay.cancel_deletion(key_id).await);
        assert_eq!((name.as_str(), text.contains("has begun")), ("Conflict", true), "{text}");
        assert_eq!(failure(overlay.check_usable(key_id).await).0, "KeyPendingDeletion");
    }
    assert_eq!(overlay.delete_now("second", "second").await.unwrap().state, KeyState::Erased);
    assert!(!setup.server.has("second"));
}

#[tokio::test]
async fn a_key_that_is_missing_when_its_deletion_is_due_gets_no_tombstone() {
    let setup = Setup::new(false);
    let overlay = setup.overlay();
    overlay.schedule_deletion("first", 7).await.unwrap();
    setup.server.lose("first");
    assert_eq!(failure(overlay.reap_deleted(in_8_days(), &MayGo::always()).await).0, "KeyNotFound");
    assert_eq!(failure(overlay.cancel_deletion("first").await).0, "KeyNotFound");
    assert_eq!(failure(overlay.delete_now("first", "first").await).0, "KeyNotFound");
    assert_eq!(failure(setup.overlay().check_usable("first").await).0, "KeyPendingDeletion");
    // It was only hidden, and is destroyed when it shows again.
    setup.server.make("first");
    assert_eq!(overlay.reap_deleted(in_8_days(), &MayGo::always()).await.unwrap(), ["first"]);
    assert!(!setup.server.has("first"));
    assert_eq!(failure(overlay.check_usable("first").await).0, "KeyErased");
}

#[tokio::test]
async fn a_key_that_another_server_erased_is_not_created_over_its_tombstone() {
    let setup = Setup::new(false);
    let (one, other) = (setup.overlay(), setup.overlay());
    one.check_usable("first").await.unwrap();
    other.delete_now("first", "first").await.unwrap();
    // The first server has read the states before, and knows of no tombstone yet.
    let create = NewKey { name: Some("first".to_owned()), description: "d".to_owned(), ..NewKey::default() };
    assert_eq!(failure(one.create_key(create).await).0, "KeyExists");
    for overlay in [one, other, setup.overlay()] {
        assert_eq!(failure(overlay.check_usable("first").await).0, "KeyErased");
    }
}

#[tokio::test]
async fn a_due_key_that_may_not_go_stays_unless_its_destruction_has_begun() {
    let setup = Setup::new(false);
    let overlay = setup.overlay();
    let none_may_go = MayGo::new(|_| std::future::ready(false));
    overlay.schedule_deletion("first", 7).await.unwrap();
    assert!(overlay.reap_deleted(in_8_days(), &none_may_go).await.unwrap().is_empty());
    assert!(setup.server.has("first"));
    assert_eq!(failure(overlay.check_usable("first").await).0, "KeyPendingDeletion");
    overlay.cancel_deletion("first").await.unwrap();
    overlay.check_usable("first").await.unwrap();
    // The backend has destroyed it, and nobody knows.
    setup.server.fail(Some(Fault::LosesAnswers));
    assert_eq!(failure(overlay.delete_now("first", "first").await).0, "Unavailable");
    setup.server.fail(None);
    assert_eq!(overlay.reap_deleted(in_8_days(), &none_may_go).await.unwrap(), ["first"]);
}

#[tokio::test]
async fn a_due_key_is_destroyed_when_the_backend_is_back() {
    let setup = Setup::new(false);
    let overlay = setup.overlay();
    overlay.schedule_deletion("first", 7).await.unwrap();
    overlay.schedule_deletion("second", 30).await.unwrap();
    setup.server.fail(Some(Fault::Away));
    assert_eq!(failure(overlay.reap_deleted(in_8_days(), &MayGo::always()).await).0, "Unavailable");
    setup.server.fail(None);
    assert_eq!(overlay.reap_deleted(in_8_days(), &MayGo::always()).await.unwrap(), ["first"]);
    assert!(!setup.server.has("first") && setup.server.has("second"));
    overlay.cancel_deletion("second").await.unwrap();
    assert!(overlay.reap_deleted(in_8_days() + Duration::days(90), &MayGo::always()).await.unwrap().is_empty());
    overlay.check_usable("second").await.unwrap();
}

#[tokio::test]
async fn a_tombstone_outlives_the_key_and_the_server() {
    let setup = Setup::new(false);
    setup.overlay().delete_now("first", "first").await.unwrap();
    // The backend has a key of the id again: it is another one.
    setup.server.make("first");
    let overlay = setup.overlay();
    assert_eq!(failure(overlay.check_usable("key/first").await).0, "KeyErased");
    let create = NewKey { name: Some("first".to_owned()), ..NewKey::default() };
    assert_eq!(failure(overlay.create_key(create).await).0, "KeyExists");
    let listed: Vec<String> = overlay.list_keys(None, 10).await.unwrap().keys.into_iter().map(|key| key.key_id).collect();
    assert_eq!(listed, ["second"]);
    let page = overlay.list_keys(None, 1).await.unwrap();
    assert_eq!((page.keys[0].key_id.as_str(), page.next), ("second", None));
}

#[tokio::test]
async fn what_the_backend_schedules_and_destroys_by_itself_is_erased_afterwards() {
    let setup = Setup::new(true);
    let overlay = setup.overlay();
    let key = generate(&overlay, "first").await.unwrap();
    overlay.rotate_key("first").await.unwrap();
    let KeyState::PendingDeletion { at } = overlay.schedule_deletion("first", 7).await.unwrap().state else { panic!() };
    assert_eq!(failure(overlay.check_usable("first").await).0, "KeyPendingDeletion");
    overlay.cancel_deletion("first").await.unwrap();
    assert_opens(&overlay, &key).await;
    overlay.schedule_deletion("first", 7).await.unwrap();
    assert!(overlay.reap_deleted(at + Duration::days(1), &MayGo::always()).await.unwrap().is_empty(), "the backend still has it");
    setup.server.lose("first");
    let overlay = setup.overlay();
    assert_eq!(overlay.reap_deleted(at + Duration::days(1), &MayGo::always()).await.unwrap(), ["first"]);
    assert!(overlay.reap_deleted(at + Duration::days(1), &MayGo::always()).await.unwrap().is_empty());
    assert_eq!(failure(overlay.unwrap_data_key(&key.wrapped, &crate::support::context()).await).0, "KeyErased");
    let tombstone = setup.overlay().describe_key("first").await.unwrap();
    assert_eq!((tombstone.state, tombstone.versions.len(), tombstone.current_version), (KeyState::Erased, 2, 2));
}

#[tokio::test]
async fn a_key_that_is_gone_without_having_been_deleted_here_is_not_found() {
    let setup = Setup::new(false);
    let overlay = setup.overlay();
    overlay.disable_key("first").await.unwrap();
    overlay.enable_key("first").await.unwrap();
    setup.server.lose("first");
    assert_eq!(failure(overlay.check_usable("first").await).0, "KeyNotFound");
    assert_eq!(failure(overlay.describe_key("first").await).0, "KeyNotFound");
}
