//! Changes that fail change nothing, and a backend that is away is answered for in time.

use std::sync::Arc;

use serde_json::{Value, json};
use strongroom_keyring::{Keyring, ServiceState};
use strongroom_kms::{DataKey, KeyService};

use crate::support::{Fault, World, assert_opens, change, context, failure, generate, memory};

/// The service is as it was: its configuration, its backend, its keys.
async fn assert_untouched(keyring: &Arc<Keyring>, before: &Value, key: &DataKey, what: &Value) {
    assert_eq!(&keyring.configuration().unwrap(), before, "{what}");
    assert_eq!(keyring.status().await.status, ServiceState::Running, "{what}");
    keyring.clear_cache();
    assert_opens(&**keyring, key).await;
    assert_eq!(generate(&**keyring, "first").await.unwrap().wrapped.backend, "a", "{what}");
}

#[tokio::test(start_paused = true)]
async fn a_reconfiguration_that_fails_leaves_the_running_one_untouched() {
    let world = World::new().await;
    let keyring = world.running().await;
    world.server("b");
    world.server("hangs").fail(Some(Fault::Hangs));
    keyring.kms(None).unwrap().disable_key("second").await.unwrap();
    let (before, stored) = (keyring.configuration().unwrap(), world.state.get("kms-service"));
    let key = generate(&*keyring, "first").await.unwrap();
    let merged = |with: Value| {
        let mut given = memory("b");
        given.as_object_mut().unwrap().extend(with.as_object().unwrap().clone());
        given
    };
    for (given, expected, named) in [
        (json!({"address": null}), "InvalidArgument", "address"),
        (json!({"adress": "b"}), "InvalidArgument", ""),
        (json!({"pool_size": "canary"}), "InvalidArgument", "pool_size"),
        (json!({"auth": {"login": {"user": "store"}}}), "InvalidArgument", "auth"),
        (json!({"backend_type": "gcp"}), "InvalidArgument", "memory"),
        (json!({"name": "other"}), "InvalidArgument", "backend_type"),
        (json!({"name": "Not A Name", "backend_type": "memory"}), "InvalidArgument", "name"),
        (json!({"name": "a", "backend_type": "local"}), "InvalidArgument", "type memory"),
        (json!({"timeout_seconds": 0}), "InvalidArgument", "timeout_seconds"),
        (json!({"timeout_seconds": 301}), "InvalidArgument", "timeout_seconds"),
        (json!({"retry_attempts": 11}), "InvalidArgument", "retry_attempts"),
        (json!({"max_concurrent_calls": 0}), "InvalidArgument", "max_concurrent_calls"),
        (json!({"max_cached_keys": 1_000_001}), "InvalidArgument", "max_cached_keys"),
        (json!({"cache_ttl_seconds": 86_401}), "InvalidArgument", "cache_ttl_seconds"),
        (json!({"default_key_id": "no/key"}), "InvalidArgument", "default_key_id"),
        (json!({"default_key_id": "strongroom-store"}), "InvalidArgument", "default_key_id"),
        (json!({"default_key_id": "absent"}), "InvalidArgument", "POST /kms/keys"),
        (json!({"default_key_id": "second"}), "KeyDisabled", "second"),
        (json!({"address": "nowhere"}), "Unavailable", "connection refused"),
        (json!({"address": "hangs", "timeout_seconds": 2}), "Unavailable", "2 seconds"),
        (json!({"auth": {"token": {"token": "canary-wrong"}}}), "Denied", "needs read"),
        (merged(json!({"default_key_id": "absent"})), "InvalidArgument", "POST /kms/keys"),
        (merged(json!({"address": "nowhere", "name": "c"})), "Unavailable", "connection refused"),
        (merged(json!({"auth": {"token": {"token": "canary-wrong"}}})), "Denied", "needs read"),
        (json!({"backend_type": "local", "key_dir": "/elsewhere"}), "InvalidArgument", "key_dir"),
    ] {
        let (name, text) = failure(keyring.reconfigure(change(given.clone())).await);
        assert_eq!(name, expected, "{given}: {text}");
        assert!(text.contains(named) && !text.contains("canary"), "{given}: {text}");
        assert_untouched(&keyring, &before, &key, &given).await;
        assert_eq!(world.state.get("kms-service"), stored, "{given}");
    }
    world.state.fail_saves(true);
    for given in [memory("b"), json!({"enable_cache": false}), json!({"default_key_id": ""})] {
        let (name, text) = failure(keyring.reconfigure(change(given.clone())).await);
        assert_eq!((name.as_str(), text.contains("cannot be stored")), ("Unavailable", true), "{text}");
        assert_untouched(&keyring, &before, &key, &given).await;
    }
    for answer in [keyring.stop().await, keyring.seal().await] {
        assert_eq!(failure(answer).0, "Unavailable");
        assert_untouched(&keyring, &before, &key, &Value::Null).await;
    }
    world.state.fail_saves(false);
    keyring.reconfigure(change(memory("b"))).await.unwrap();
}

#[tokio::test]
async fn a_change_that_was_stored_though_nobody_said_so_is_found_by_the_next_one() {
    let world = World::new().await;
    let keyring = world.running().await;
    world.state.lose_next_answer();
    assert_eq!(failure(keyring.seal().await).0, "Unavailable");
    assert_eq!(keyring.status().await.status, ServiceState::Running);
    assert_eq!(failure(keyring.reconfigure(change(json!({"enable_cache": false}))).await).0, "Conflict");
    assert_eq!(keyring.status().await.status, ServiceState::Sealed, "what is stored holds");
    keyring.unseal().await.unwrap();
    keyring.check_usable("first").await.unwrap();
}

#[tokio::test]
async fn of_two_servers_the_slower_one_takes_over_what_the_faster_wrote() {
    let world = World::new().await;
    let (one, other) = (world.running().await, world.open().await);
    assert_eq!(other.status().await.status, ServiceState::Running);
    one.reconfigure(change(json!({"default_key_id": "second"}))).await.unwrap();
    assert_eq!(failure(other.reconfigure(change(json!({"timeout_seconds": 9}))).await).0, "Conflict");
    assert_eq!(other.configuration(), one.configuration());
    other.reconfigure(change(json!({"timeout_seconds": 9}))).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_is_away_is_told_of_in_time_and_recovers_by_itself() {
    let world = World::new().await;
    let keyring = world.running().await;
    let server = world.server("a");
    keyring.reconfigure(change(json!({"timeout_seconds": 4}))).await.unwrap();
    let key = generate(&*keyring, "first").await.unwrap();
    for fault in [Fault::Away, Fault::Hangs] {
        server.fail(Some(fault));
        for _ in 0..10 {
            let began = tokio::time::Instant::now();
            assert_eq!(failure(keyring.unwrap_data_key(&key.wrapped, &context()).await).0, "Unavailable");
            assert!(began.elapsed().as_millis() <= 4_001, "{fault:?}: {:?}", began.elapsed());
        }
        let status = keyring.status().await;
        assert_eq!((status.status, status.healthy), (ServiceState::Running, Some(false)), "{fault:?}");
        assert!(status.error.is_some());
        server.fail(None);
        tokio::time::sleep(std::time::Duration::from_secs(6)).await;
        assert_opens(&*keyring, &key).await;
        keyring.clear_cache();
        assert_eq!(keyring.status().await.healthy, Some(true));
    }
}

#[tokio::test]
async fn the_server_boots_and_starts_whatever_the_state_of_the_backend() {
    let world = World::new().await;
    drop(world.running().await);
    let server = world.server("a");
    server.fail(Some(Fault::Away));
    let keyring = world.open().await;
    keyring.reconfigure(change(json!({"retry_attempts": 0, "default_key_id": ""}))).await.unwrap();
    assert_eq!(keyring.status().await.healthy, Some(false));
    keyring.stop().await.unwrap();
    keyring.start().await.unwrap();
    server.fail(None);
    generate(&*keyring, "first").await.unwrap();
}
