//! What a restart finds.

use serde_json::json;
use strongroom_keyring::ServiceState;
use strongroom_kms::{KeyService, KeySource};

use crate::support::{World, assert_opens, change, context, failure, generate, memory};

#[tokio::test]
async fn a_running_service_runs_on_after_a_restart() {
    let world = World::new().await;
    world.server("b");
    let keyring = world.running().await;
    let old = generate(&*keyring, "first").await.unwrap();
    keyring.reconfigure(change(memory("b"))).await.unwrap();
    let shown = keyring.configuration();
    drop(keyring);
    let keyring = world.open().await;
    assert_eq!((keyring.configuration(), keyring.status().await.status), (shown, ServiceState::Running));
    assert_opens(&*keyring, &old).await;
    assert_eq!(generate(&*keyring, "first").await.unwrap().wrapped.backend, "b");
}

#[tokio::test]
async fn stopped_and_sealed_survive_a_restart() {
    let world = World::new().await;
    let keyring = world.running().await;
    let key = generate(&*keyring, "first").await.unwrap();
    keyring.stop().await.unwrap();
    let keyring = world.open().await;
    assert_eq!(keyring.status().await.status, ServiceState::Configured);
    assert_eq!(failure(keyring.unwrap_data_key(&key.wrapped, &context()).await).0, "Unavailable");
    keyring.start().await.unwrap();
    keyring.seal().await.unwrap();
    let keyring = world.open().await;
    assert_eq!(keyring.status().await.status, ServiceState::Sealed);
    assert_eq!(failure(keyring.unwrap_data_key(&key.wrapped, &context()).await).0, "ServiceSealed");
    keyring.unseal().await.unwrap();
    assert_opens(&*world.open().await, &key).await;
}

#[tokio::test]
async fn what_was_changed_last_holds_the_file_or_the_api() {
    let world = World::new().await;
    world.server("a");
    world.server("b");
    let file = memory("a");
    let keyring = world.try_open(Some(file.clone())).await.unwrap();
    assert_eq!((keyring.status().await.status, keyring.backends()), (ServiceState::Running, vec!["a".to_owned()]));
    let old = generate(&*keyring, "first").await.unwrap();
    keyring.reconfigure(change(json!({"default_key_id": "second"}))).await.unwrap();
    // The file is as it was: the API's change holds.
    let keyring = world.try_open(Some(file.clone())).await.unwrap();
    assert_eq!(keyring.default_key_id(), "second");
    // The file changed: it holds, and the backend it does not name stays.
    let keyring = world.try_open(Some(memory("b"))).await.unwrap();
    assert_eq!((keyring.default_key_id().as_str(), keyring.backends()), ("first", vec!["b".to_owned(), "a".to_owned()]));
    assert_opens(&*keyring, &old).await;
    // It is not taken twice.
    keyring.reconfigure(change(json!({"name": "a"}))).await.unwrap();
    assert_eq!(world.try_open(Some(memory("b"))).await.unwrap().backends(), ["a", "b"]);
}

#[tokio::test]
async fn a_file_that_asks_for_nothing_any_more_ends_the_service_and_one_that_never_asked_does_not() {
    let world = World::new().await;
    let by_api = world.running().await.configuration();
    assert_eq!(world.open().await.configuration(), by_api);
    world.server("b");
    let keyring = world.try_open(Some(memory("b"))).await.unwrap();
    keyring.seal().await.unwrap();
    let keyring = world.open().await;
    assert!(!keyring.is_configured());
    assert_eq!(failure(keyring.check_usable("first").await).0, "NotConfigured");
    // The seal is not lifted by the way, and can be.
    assert_eq!(failure(keyring.configure(change(memory("b"))).await).0, "ServiceSealed");
    keyring.unseal().await.unwrap();
    keyring.configure(change(memory("b"))).await.unwrap();
    keyring.start().await.unwrap();
    keyring.check_usable("first").await.unwrap();
}

#[tokio::test]
async fn a_changed_file_does_not_unseal() {
    let world = World::new().await;
    world.server("b");
    world.running().await.seal().await.unwrap();
    let keyring = world.try_open(Some(memory("b"))).await.unwrap();
    assert_eq!(keyring.status().await.status, ServiceState::Sealed);
    assert_eq!(failure(keyring.check_usable("first").await).0, "ServiceSealed");
}

#[tokio::test]
async fn a_default_key_of_the_local_backend_is_made_once_and_never_in_the_place_of_a_lost_one() {
    let world = World::new().await;
    let file = json!({"backend_type": "local", "default_key_id": "mine"});
    world.use_key("local", "mine");
    let (name, text) = failure(world.try_open(Some(file.clone())).await.map(drop));
    assert_eq!(name, "Broken");
    let path = world.path("keys/mine.key.json");
    assert!(text.contains("the store depends on the KMS key mine") && text.contains(path.to_str().unwrap()), "{text}");
    assert!(!path.exists());

    let world = World::new().await;
    let keyring = world.try_open(Some(file.clone())).await.unwrap();
    let key = generate(&*keyring, "mine").await.unwrap();
    world.use_key("local", "mine");
    assert_opens(&*world.try_open(Some(file)).await.unwrap(), &key).await;
}

#[tokio::test]
async fn an_unreadable_configuration_is_neither_guessed_nor_overwritten() {
    for document in ["", "{}", r#"{"format":2,"configuration":null,"initial":null,"started":false,"sealed":false}"#] {
        let world = World::new().await;
        world.state.put("kms-service", document.as_bytes());
        assert_eq!(failure(world.try_open(Some(memory("a"))).await.map(drop)).0, "Broken", "{document}");
        assert_eq!(world.state.get("kms-service").unwrap(), document.as_bytes());
    }
    let world = World::new().await;
    world.state.fail_loads(true);
    assert_eq!(failure(world.try_open(Some(memory("a"))).await.map(drop)).0, "Unavailable");
}

#[tokio::test]
async fn a_file_that_asks_for_what_cannot_be_is_refused() {
    let world = World::new().await;
    for (file, named) in [
        (json!({"backend_type": "memory"}), "malformed"),
        (json!({"backend_type": "gcp"}), "there is no such backend_type"),
        (json!({"backend_type": "local", "file_permissions": 0o640}), "file_permissions"),
    ] {
        let (name, text) = failure(world.try_open(Some(file)).await.map(drop));
        assert_eq!((name.as_str(), text.contains(named)), ("InvalidArgument", true), "{text}");
    }
    assert!(!world.open().await.is_configured());
}
