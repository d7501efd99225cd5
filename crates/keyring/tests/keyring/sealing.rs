//! When sealing, stopping or disabling returns, no use succeeds any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;

use serde_json::json;
use strongroom_kms::{KeyService, KeyState, NewKey};

use crate::support::{World, assert_opens, change, context, failure, generate, memory};

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
            assert!(changing.is_ok() || failure(changing).0 == "ServiceSealed");
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
            kms.reap_deleted(time::OffsetDateTime::now_utc()).await.map(drop),
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
