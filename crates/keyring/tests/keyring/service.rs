//! The service from its first configuration to the removal of a backend.

use serde_json::json;
use strongroom_keyring::{Reaped, ServiceState};
use strongroom_kms::{KeyService, KeySource, NewKey};
use time::{Duration, OffsetDateTime};

use crate::support::{World, all_may_go, assert_opens, change, context, failure, generate, memory};

#[tokio::test]
async fn nothing_works_before_it_is_configured() {
    let world = World::new().await;
    let keyring = world.open().await;
    assert!(!keyring.is_configured());
    assert_eq!(keyring.default_key_id(), "");
    let status = keyring.status().await;
    assert_eq!((status.status, status.healthy, status.config_summary, status.backends.len()), (ServiceState::NotConfigured, None, None, 0));
    assert_eq!(keyring.configuration(), None);
    assert!(keyring.backends().is_empty() && keyring.metrics().is_empty());
    for (name, _) in [
        failure(keyring.reconfigure(change(json!({"enable_cache": false}))).await),
        failure(keyring.start().await),
        failure(keyring.stop().await),
        failure(keyring.seal().await),
        failure(keyring.unseal().await),
        failure(keyring.remove_backend("local").await),
        failure(keyring.check_usable("first").await),
        failure(keyring.kms(None).map(drop)),
        failure(keyring.kms(Some("local")).map(drop)),
    ] {
        assert_eq!(name, "NotConfigured");
    }
    assert_eq!(keyring.reap_deleted(OffsetDateTime::now_utc(), all_may_go).await.destroyed, []);
}

#[tokio::test]
async fn a_script_for_the_local_backend_configures_starts_creates_and_reconfigures() {
    let world = World::new().await;
    let keyring = world.open().await;
    let key_dir = world.path("keys");
    let given = json!({
        "backend_type": "local", "key_dir": key_dir, "file_permissions": 384, "default_key_id": "rustfs-master",
        "timeout_seconds": 20, "retry_attempts": 2, "enable_cache": true, "max_cached_keys": 50, "cache_ttl_seconds": 60,
    });
    keyring.configure(change(given)).await.unwrap();
    assert_eq!(keyring.status().await.status, ServiceState::Configured);
    assert!(keyring.is_configured());
    let (name, text) = failure(generate(&*keyring, "rustfs-master").await);
    assert_eq!((name.as_str(), text.contains("POST /kms/start")), ("Unavailable", true), "{text}");

    keyring.start().await.unwrap();
    let status = keyring.status().await;
    assert_eq!((status.status, status.backend_type.as_deref(), status.healthy), (ServiceState::Running, Some("local"), Some(true)));
    let summary = status.config_summary.unwrap();
    assert_eq!((summary.default_key_id.as_deref(), summary.timeout_seconds, summary.retry_attempts), (Some("rustfs-master"), 20, 2));
    assert_eq!((summary.enable_cache, summary.cache_summary.max_keys, summary.cache_summary.ttl_seconds), (true, 50, 60));
    assert_eq!(summary.backend_summary["key_dir"], json!(key_dir));
    let first = generate(&*keyring, &keyring.default_key_id()).await.unwrap();
    assert_eq!((first.wrapped.backend.as_str(), first.wrapped.key_id.as_str()), ("local", "rustfs-master"));
    assert_eq!(failure(keyring.configure(change(json!({"backend_type": "local"}))).await).0, "Conflict");

    let wanted = change(json!({"default_key_id": "next"}));
    let (name, text) = failure(keyring.reconfigure(wanted.clone()).await);
    assert_eq!((name.as_str(), text.contains("POST /kms/keys")), ("InvalidArgument", true), "{text}");
    keyring.kms(None).unwrap().create_key(NewKey { name: Some("next".to_owned()), ..NewKey::default() }).await.unwrap();
    keyring.reconfigure(wanted).await.unwrap();
    assert_eq!(keyring.default_key_id(), "next");
    assert_eq!(keyring.status().await.config_summary.unwrap().timeout_seconds, 20, "what is not given stays");
    assert_opens(&*keyring, &first).await;
}

#[tokio::test]
async fn the_status_has_the_words_of_the_contract() {
    let world = World::new().await;
    let keyring = world.running().await;
    let status = serde_json::to_value(keyring.status().await).unwrap();
    assert_eq!((&status["status"], &status["backend_type"], &status["healthy"]), (&json!("Running"), &json!("memory"), &json!(true)));
    assert_eq!(status["backends"][0]["breaker"], "closed");
    keyring.seal().await.unwrap();
    assert_eq!(serde_json::to_value(keyring.status().await).unwrap()["status"], "Sealed");
    assert_eq!(serde_json::to_value(ServiceState::NotConfigured).unwrap(), "NotConfigured");
    assert_eq!(serde_json::to_value(ServiceState::Configured).unwrap(), "Configured");
    assert_eq!(serde_json::to_value(ServiceState::Error).unwrap(), "Error");
}

#[tokio::test]
async fn after_a_switch_new_keys_come_from_the_new_backend_and_old_ones_open_with_the_old() {
    let world = World::new().await;
    world.server("b");
    let keyring = world.running().await;
    let old = generate(&*keyring, "first").await.unwrap();
    keyring.reconfigure(change(memory("b"))).await.unwrap();
    let new = generate(&*keyring, "first").await.unwrap();
    assert_eq!((old.wrapped.backend.as_str(), new.wrapped.backend.as_str()), ("a", "b"));
    assert_opens(&*keyring, &old).await;
    assert_opens(&*keyring, &new).await;
    let rewrapped = keyring.rewrap_data_key(&old.wrapped, &context()).await.unwrap();
    assert_eq!(rewrapped.backend, "a", "rewrapping stays within a backend");
    assert_eq!(keyring.backends(), ["b", "a"]);

    // The name alone puts a backend in force again.
    keyring.reconfigure(change(json!({"name": "a"}))).await.unwrap();
    assert_eq!(keyring.backends(), ["a", "b"]);
    assert_eq!(generate(&*keyring, "first").await.unwrap().wrapped.backend, "a");
    assert_opens(&*keyring, &new).await;

    let (name, text) = failure(keyring.remove_backend("a").await);
    assert_eq!((name.as_str(), text.contains("in force")), ("Conflict", true), "{text}");
    keyring.remove_backend("b").await.unwrap();
    assert_eq!(failure(keyring.remove_backend("b").await).0, "Conflict");
    assert_eq!(failure(keyring.kms(Some("b")).map(drop)).0, "Conflict");
    let (name, text) = failure(keyring.unwrap_data_key(&new.wrapped, &context()).await);
    assert_eq!((name.as_str(), text.contains("\"name\": \"b\"")), ("Unavailable", true), "{text}");
    assert_opens(&*keyring, &old).await;
}

#[tokio::test]
async fn a_key_of_a_backend_is_not_looked_for_in_another() {
    let world = World::new().await;
    world.server("b");
    let keyring = world.running().await;
    let mut key = generate(&*keyring, "first").await.unwrap();
    keyring.reconfigure(change(memory("b"))).await.unwrap();
    "b".clone_into(&mut key.wrapped.backend);
    assert_eq!(failure(keyring.unwrap_data_key(&key.wrapped, &context()).await).0, "Rejected");
    "nowhere".clone_into(&mut key.wrapped.backend);
    let (name, text) = failure(keyring.unwrap_data_key(&key.wrapped, &context()).await);
    assert_eq!((name.as_str(), text.contains("nowhere") && text.contains("POST /kms/reconfigure")), ("Unavailable", true), "{text}");
}

#[tokio::test]
async fn what_is_given_is_merged_into_the_backend_and_its_secrets_stay() {
    let world = World::new().await;
    let server = world.server("moved");
    let keyring = world.running().await;
    let key = generate(&*keyring, "first").await.unwrap();
    // The same server under another address.
    server.make("first");
    keyring.reconfigure(change(json!({"address": "moved", "timeout_seconds": 3}))).await.unwrap();
    keyring.check_usable("first").await.unwrap();
    assert_eq!(failure(keyring.unwrap_data_key(&key.wrapped, &context()).await).0, "Rejected", "it is really another server");
    // Another way to log in takes the place of the whole.
    keyring.reconfigure(change(json!({"auth": {"login": {"user": "store", "password": "canary-password"}}}))).await.unwrap();
    keyring.check_usable("first").await.unwrap();
    let shown = keyring.configuration().unwrap();
    assert_eq!(shown["backends"]["a"]["auth"], json!({"login": {"user": "store", "password": "***redacted***"}}));
    // What was shown can be given back.
    keyring.reconfigure(change(json!({"auth": shown["backends"]["a"]["auth"], "address": "a"}))).await.unwrap();
    assert_opens(&*keyring, &key).await;
}

#[tokio::test]
async fn a_configuration_without_default_key_says_so_when_one_is_needed() {
    let world = World::new().await;
    let keyring = world.running().await;
    keyring.reconfigure(change(json!({"default_key_id": ""}))).await.unwrap();
    assert_eq!(keyring.default_key_id(), "");
    let (name, text) = failure(generate(&*keyring, &keyring.default_key_id()).await);
    assert_eq!((name.as_str(), text.contains("default_key_id")), ("Conflict", true), "{text}");
    generate(&*keyring, "second").await.unwrap();
    assert_eq!(keyring.status().await.healthy, Some(true));
}

#[tokio::test]
async fn keys_due_are_destroyed_in_every_backend() {
    let world = World::new().await;
    world.server("b");
    let keyring = world.running().await;
    keyring.reconfigure(change(memory("b"))).await.unwrap();
    keyring.kms(Some("a")).unwrap().schedule_deletion("first", 7).await.unwrap();
    keyring.kms(None).unwrap().schedule_deletion("second", 7).await.unwrap();
    assert_eq!(keyring.reap_deleted(OffsetDateTime::now_utc(), all_may_go).await.destroyed, []);
    let erased = keyring.reap_deleted(OffsetDateTime::now_utc() + Duration::days(8), all_may_go).await.destroyed;
    assert_eq!(erased, [("a".to_owned(), "first".to_owned()), ("b".to_owned(), "second".to_owned())]);
}

#[tokio::test]
async fn keys_that_may_not_go_are_told_and_counted_and_go_when_they_may() {
    let world = World::new().await;
    let keyring = world.running().await;
    for key in ["first", "second"] {
        keyring.kms(None).unwrap().schedule_deletion(key, 7).await.unwrap();
    }
    let then = OffsetDateTime::now_utc() + Duration::days(8);
    let second = ("a".to_owned(), "second".to_owned());
    for destroyed in [vec![("a".to_owned(), "first".to_owned())], Vec::new()] {
        let reaped =
            keyring.reap_deleted(then, |backend, key| std::future::ready((backend, key) != ("a".to_owned(), "second".to_owned()))).await;
        assert_eq!(reaped, Reaped { destroyed, postponed: [second.clone()].into() });
        assert_eq!(keyring.postponed_deletions(), 1);
    }
    assert_eq!(keyring.reap_deleted(OffsetDateTime::now_utc(), all_may_go).await, Reaped::default());
    assert_eq!(keyring.reap_deleted(then, all_may_go).await.destroyed, [second]);
    assert_eq!(keyring.postponed_deletions(), 0);
}

#[tokio::test]
async fn the_cache_is_cleared_at_a_word_and_counted() {
    let world = World::new().await;
    let keyring = world.running().await;
    let key = generate(&*keyring, "first").await.unwrap();
    assert_opens(&*keyring, &key).await;
    assert_opens(&*keyring, &key).await;
    let cache = keyring.status().await.config_summary.unwrap().cache_summary;
    assert_eq!((cache.entries, cache.hits, cache.misses), (1, 1, 1));
    keyring.reconfigure(change(json!({"default_key_id": "second"}))).await.unwrap();
    assert_eq!(keyring.status().await.config_summary.unwrap().cache_summary.entries, 1, "the backend and its cache are as before");
    keyring.clear_cache();
    assert_eq!(keyring.status().await.config_summary.unwrap().cache_summary.entries, 0);
    keyring.reconfigure(change(json!({"enable_cache": false}))).await.unwrap();
    assert_opens(&*keyring, &key).await;
    let summary = keyring.status().await.config_summary.unwrap();
    assert_eq!((summary.enable_cache, summary.cache_summary.entries), (false, 0));
}

#[tokio::test]
async fn numbers_are_kept_across_a_change_of_the_configuration() {
    let world = World::new().await;
    let keyring = world.running().await;
    generate(&*keyring, "first").await.unwrap();
    keyring.reconfigure(change(json!({"timeout_seconds": 7}))).await.unwrap();
    generate(&*keyring, "first").await.unwrap();
    failure(generate(&*keyring, "none").await);
    let metrics = keyring.metrics().remove(0);
    assert_eq!((metrics.backend.as_str(), metrics.backend_type.as_str(), metrics.in_force), ("a", "memory", true));
    let generated = metrics.operations.iter().find(|operation| operation.operation == "generate_data_key").unwrap();
    let outcomes: Vec<(&str, u64)> = generated.outcomes.iter().map(|counted| (counted.outcome.as_str(), counted.count)).collect();
    assert_eq!((outcomes, generated.latency.count), (vec![("ok", 2), ("refused", 1)], 3));
}

#[tokio::test]
async fn the_service_is_not_sealed_through_a_backend() {
    let world = World::new().await;
    let keyring = world.open().await;
    keyring.configure(change(json!({"backend_type": "local", "default_key_id": "first"}))).await.unwrap();
    keyring.start().await.unwrap();
    let kms = keyring.kms(None).unwrap();
    assert!(!kms.capabilities().seal_service);
    assert_eq!(failure(kms.seal_service().await).0, "Unsupported");
    world.local.check_usable("first").await.unwrap();
}
