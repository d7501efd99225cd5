//! When sealing, stopping or disabling returns, no use succeeds any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use serde_json::json;
use strongroom_keyring::Keyring;
use strongroom_kms::{BundleKey, KeyService, KeyState, KmsError, MayGo, NewKey, RestoreMode, Secret};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::support::{Fault, STUCK, World, assert_opens, change, context, failure, generate, memory};

/// A reconfiguration that waits for the server at an address: while its client is made, or for its answer.
async fn waiting_change(world: &World, keyring: &Arc<Keyring>, address: &str) -> JoinHandle<Result<(), KmsError>> {
    let server = world.server(address);
    server.fail(Some(Fault::Hangs));
    let asked = server.calls.load(Ordering::SeqCst);
    let waiting = tokio::spawn({
        let (keyring, given) = (Arc::clone(keyring), change(memory(address)));
        async move { keyring.reconfigure(given).await }
    });
    while server.calls.load(Ordering::SeqCst) == asked {
        tokio::task::yield_now().await;
    }
    waiting
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn after_a_seal_in_a_storm_of_uses_none_succeeds() {
    for round in 0..20 {
        let world = World::new().await;
        let keyring = world.running().await;
        let key = Arc::new(generate(&*keyring, "first").await.unwrap());
        let (sealed, successes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut storm = tokio::task::JoinSet::new();
        for number in 0..8 {
            let (keyring, key, sealed, successes) = (keyring.clone(), key.clone(), sealed.clone(), successes.clone());
            storm.spawn(async move {
                for _ in 0..10_000_000 {
                    tokio::task::yield_now().await;
                    let after = sealed.load(Ordering::SeqCst);
                    let answer = match number % 3 {
                        0 => keyring.check_usable("first").await.map(drop),
                        1 => generate(&*keyring, "first").await.map(drop),
                        _ => keyring.unwrap_data_key(&key.wrapped, &context()).await.map(drop),
                    };
                    match answer {
                        Ok(()) => {
                            assert!(!after, "a use that began after the seal succeeded");
                            successes.fetch_add(1, Ordering::SeqCst);
                        }
                        Err(error) => {
                            assert_eq!(format!("{error:?}"), "ServiceSealed");
                            if after {
                                return;
                            }
                        }
                    }
                }
                panic!("it was never sealed");
            });
        }
        while successes.load(Ordering::SeqCst) < 50 {
            tokio::task::yield_now().await;
        }
        if round % 2 == 0 {
            keyring.seal().await.unwrap();
        } else {
            // With another change at the same time.
            let (sealing, changing) = tokio::join!(keyring.seal(), keyring.reconfigure(change(json!({"max_cached_keys": 7}))));
            sealing.unwrap();
            assert!(changing.is_ok() || ["ServiceSealed", "Conflict"].contains(&failure(changing).0.as_str()));
        }
        sealed.store(true, Ordering::SeqCst);
        while let Some(done) = storm.join_next().await {
            done.unwrap();
        }
        assert_eq!(keyring.status().await.config_summary.unwrap().cache_summary.entries, 0);
        keyring.unseal().await.unwrap();
        assert_opens(&*keyring, &key).await;
    }
}

#[tokio::test]
async fn a_use_under_way_when_the_service_is_sealed_or_stopped_fails_and_caches_nothing() {
    for stop in [false, true] {
        let world = World::new().await;
        let keyring = world.running().await;
        let key = generate(&*keyring, "first").await.unwrap();
        let server = world.server("a");
        server.hold(true);
        let under_way = tokio::spawn({
            let (keyring, wrapped) = (keyring.clone(), key.wrapped.clone());
            async move { keyring.unwrap_data_key(&wrapped, &context()).await }
        });
        while server.holding.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        let expected = if stop {
            keyring.stop().await.unwrap();
            "Unavailable"
        } else {
            keyring.seal().await.unwrap();
            "ServiceSealed"
        };
        server.hold(false);
        assert_eq!(failure(under_way.await.unwrap()).0, expected);
        assert_eq!(keyring.status().await.config_summary.unwrap().cache_summary.entries, 0);
        keyring.unseal().await.unwrap();
        keyring.start().await.unwrap();
        let asked = server.calls.load(Ordering::SeqCst);
        assert_opens(&*keyring, &key).await;
        assert_eq!(server.calls.load(Ordering::SeqCst), asked + 1, "nothing was cached before");
    }
}

#[tokio::test]
async fn a_sealed_service_lists_and_describes_and_refuses_everything_else() {
    let world = World::new().await;
    let keyring = world.running().await;
    let key = generate(&*keyring, "first").await.unwrap();
    let kms = keyring.kms(None).unwrap();
    keyring.seal().await.unwrap();
    for kms in [kms, keyring.kms(None).unwrap(), keyring.kms(Some("a")).unwrap()] {
        for answer in [
            kms.create_key(NewKey::default()).await.map(drop),
            kms.disable_key("first").await.map(drop),
            kms.rotate_key("first").await.map(drop),
            kms.tag("first", std::collections::BTreeMap::new()).await.map(drop),
            kms.delete_now("first", "first").await.map(drop),
            kms.reap_deleted(time::OffsetDateTime::now_utc(), &MayGo::always()).await.map(drop),
            kms.check_usable("first").await.map(drop),
            kms.unwrap_data_key(&key.wrapped, &context()).await.map(drop),
            generate(&*kms, "first").await.map(drop),
        ] {
            assert_eq!(failure(answer).0, "ServiceSealed");
        }
        assert_eq!(kms.list_keys(None, 10).await.unwrap().keys.len(), 2);
        assert_eq!(kms.describe_key("first").await.unwrap().state, KeyState::Enabled);
    }
    for answer in [
        keyring.configure(change(memory("a"))).await,
        keyring.reconfigure(change(json!({"enable_cache": false}))).await,
        keyring.start().await,
        keyring.remove_backend("b").await,
    ] {
        assert_eq!(failure(answer).0, "ServiceSealed");
    }
    keyring.seal().await.unwrap();
    keyring.unseal().await.unwrap();
    keyring.unseal().await.unwrap();
    assert_opens(&*keyring, &key).await;
}

#[tokio::test]
async fn a_key_disabled_through_a_handle_from_before_a_reconfiguration_is_refused_by_the_new_cache() {
    let world = World::new().await;
    let keyring = world.running().await;
    let key = generate(&*keyring, "first").await.unwrap();
    let handle = keyring.kms(None).unwrap();
    keyring.reconfigure(change(json!({"timeout_seconds": 9}))).await.unwrap();
    assert_opens(&*keyring, &key).await;
    assert_opens(&*keyring, &key).await;
    handle.disable_key("first").await.unwrap();
    assert_eq!(failure(keyring.unwrap_data_key(&key.wrapped, &context()).await).0, "KeyDisabled");
    assert_eq!(failure(keyring.check_usable("first").await).0, "KeyDisabled");
    keyring.kms(None).unwrap().enable_key("first").await.unwrap();
    assert_opens(&*keyring, &key).await;
}

#[tokio::test]
async fn a_change_goes_on_when_its_caller_goes_away() {
    let world = World::new().await;
    let keyring = world.running().await;
    let kms = keyring.kms(None).unwrap();
    // Polled once and dropped.
    let mut change = kms.disable_key("first");
    let pending = std::future::poll_fn(|cx| Poll::Ready(change.as_mut().poll(cx).is_pending())).await;
    assert!(pending, "the caller goes away before the change is made");
    drop(change);
    while keyring.check_usable("first").await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert_eq!(failure(keyring.check_usable("first").await).0, "KeyDisabled");
}

#[tokio::test]
async fn a_seal_or_stop_does_not_wait_for_a_reconfiguration_under_way() {
    for address in [STUCK, "hangs"] {
        for stop in [false, true] {
            let world = World::new().await;
            let keyring = world.running().await;
            let before = keyring.configuration();
            let waiting = waiting_change(&world, &keyring, address).await;
            let closed = timeout(Duration::from_secs(10), async { if stop { keyring.stop().await } else { keyring.seal().await } }).await;
            closed.expect("it waits").unwrap();
            let expected = if stop { "Unavailable" } else { "ServiceSealed" };
            assert_eq!(failure(waiting.await.unwrap()).0, expected);
            assert_eq!(failure(keyring.check_usable("first").await).0, expected);
            assert_eq!(keyring.configuration(), before, "the reconfiguration was given up");
        }
    }
}

#[tokio::test]
async fn uses_are_refused_as_soon_as_a_seal_or_stop_is_asked_for() {
    for stop in [false, true] {
        let world = World::new().await;
        let keyring = world.running().await;
        let key = generate(&*keyring, "first").await.unwrap();
        assert_opens(&*keyring, &key).await;
        world.state.hold_saves(true);
        let mut closing = std::pin::pin!(async { if stop { keyring.stop().await } else { keyring.seal().await } });
        let expected = if stop { "Unavailable" } else { "ServiceSealed" };
        let refused = async {
            while keyring.check_usable("first").await.is_ok() {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            _ = &mut closing => panic!("it is not written yet"),
            refused = timeout(Duration::from_secs(10), refused) => refused.expect("uses go on"),
        }
        assert_eq!(failure(keyring.unwrap_data_key(&key.wrapped, &context()).await).0, expected, "cached or not");
        assert_eq!(failure(keyring.kms(None).unwrap().disable_key("first").await).0, expected);
        // One that cannot be written leaves the service as it was.
        world.state.fail_saves(true);
        world.state.hold_saves(false);
        assert_eq!(failure(closing.await).0, "Unavailable");
        assert_opens(&*keyring, &key).await;
    }
}

#[tokio::test]
async fn a_reconfiguration_does_not_queue_behind_another() {
    let world = World::new().await;
    let keyring = world.running().await;
    let waiting = waiting_change(&world, &keyring, STUCK).await;
    for answer in [
        timeout(Duration::from_secs(10), keyring.reconfigure(change(json!({"enable_cache": false})))).await,
        timeout(Duration::from_secs(10), keyring.configure(change(memory("a")))).await,
    ] {
        let (name, text) = failure(answer.expect("it waits"));
        assert_eq!((name.as_str(), text.contains("under way")), ("Conflict", true), "{text}");
    }
    keyring.seal().await.unwrap();
    assert_eq!(failure(waiting.await.unwrap()).0, "ServiceSealed");
}

#[tokio::test]
async fn keys_are_neither_backed_up_nor_restored_while_the_service_is_sealed() {
    let world = World::new().await;
    let keyring = world.open().await;
    keyring.configure(change(json!({"backend_type": "local", "default_key_id": "first"}))).await.unwrap();
    keyring.start().await.unwrap();
    let passphrase = || BundleKey::Passphrase(Secret::new("a long passphrase"));
    let backup = keyring.backup(passphrase()).await.unwrap();
    assert_eq!(backup.keys, 1);
    keyring.seal().await.unwrap();
    assert_eq!(failure(keyring.backup(passphrase()).await).0, "ServiceSealed");
    for mode in [RestoreMode::DryRun, RestoreMode::Apply] {
        assert_eq!(failure(keyring.restore(backup.bundle.clone(), passphrase(), mode).await).0, "ServiceSealed");
    }
    keyring.unseal().await.unwrap();
    assert_eq!(keyring.restore(backup.bundle, passphrase(), RestoreMode::Apply).await.unwrap().identical, ["first"]);
}
