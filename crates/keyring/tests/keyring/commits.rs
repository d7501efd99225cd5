//! Commits under keys: refused by what this process knows of a key, without a call, and never under way when a key is destroyed.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;
use strongroom_keyring::Keyring;
use strongroom_kms::{KeySource, KeyState, Kms};
use time::OffsetDateTime;
use tokio::time::timeout;

use crate::support::{Fault, MemoryServer, World, all_may_go, assert_opens, change, failure, generate, memory};

/// A keyring over the local backend, with the key `first`.
async fn local(world: &World) -> Arc<Keyring> {
    let keyring = world.open().await;
    keyring.configure(change(json!({"backend_type": "local", "default_key_id": "first"}))).await.unwrap();
    keyring.start().await.unwrap();
    keyring
}

/// Local, overlaid, and with deletions that the backend schedules by itself; each with its name.
async fn each() -> Vec<(World, Arc<Keyring>, &'static str)> {
    let (one, two, three) = (World::new().await, World::new().await, World::new().await);
    let (local, overlaid) = (local(&one).await, two.running().await);
    three.serve("a", MemoryServer::with_two_keys(true));
    let native = three.running().await;
    vec![(one, local, "local"), (two, overlaid, "a"), (three, native, "a")]
}

fn kms(keyring: &Keyring) -> Arc<dyn Kms> {
    keyring.kms(None).unwrap()
}

#[tokio::test]
async fn a_commit_is_refused_by_the_state_of_its_key_without_a_call_of_the_backend() {
    for (world, keyring, backend) in each().await {
        let server = world.server("a");
        let commit = async || {
            let asked = server.calls.load(Ordering::SeqCst);
            let answer = keyring.begin_commit(backend, "first").await.map(drop);
            assert_eq!(server.calls.load(Ordering::SeqCst), asked, "the backend was asked");
            answer
        };
        commit().await.unwrap();
        let key = kms(&keyring);
        key.disable_key("first").await.unwrap();
        assert_eq!(failure(commit().await).0, "KeyDisabled");
        key.enable_key("first").await.unwrap();
        commit().await.unwrap();
        key.seal_key("first").await.unwrap();
        assert_eq!(failure(commit().await).0, "KeySealed");
        key.unseal_key("first").await.unwrap();
        key.schedule_deletion("first", 7).await.unwrap();
        assert_eq!(failure(commit().await).0, "KeyPendingDeletion", "{backend}");
        key.cancel_deletion("first").await.unwrap();
        key.enable_key("first").await.unwrap();
        commit().await.unwrap();
        keyring.stop().await.unwrap();
        assert_eq!(failure(commit().await).0, "Unavailable");
        keyring.seal().await.unwrap();
        assert_eq!(failure(commit().await).0, "ServiceSealed");
        keyring.unseal().await.unwrap();
        keyring.start().await.unwrap();
        commit().await.unwrap();
        assert_eq!(failure(keyring.begin_commit("elsewhere", "first").await.map(drop)).0, "Unavailable", "no such backend");
        if key.capabilities().delete_now {
            kms(&keyring).delete_now("first", "first").await.unwrap();
            assert_eq!(failure(commit().await).0, "KeyErased");
            if backend != "local" {
                // Another key of its id, made past this server.
                server.make("first");
                assert_eq!(failure(commit().await).0, "KeyErased");
            }
        }
    }
}

#[tokio::test]
async fn a_key_is_not_destroyed_while_a_commit_under_it_is_under_way() {
    for (_world, keyring, backend) in each().await {
        let permit = keyring.begin_commit(backend, "first").await.unwrap();
        let key = kms(&keyring);
        let now = key.capabilities().delete_now;
        let mut deletion = tokio::spawn({
            let key = Arc::clone(&key);
            async move { if now { key.delete_now("first", "first").await } else { key.schedule_deletion("first", 7).await } }
        });
        assert!(timeout(Duration::from_millis(100), &mut deletion).await.is_err(), "it waits");
        assert_eq!(failure(keyring.begin_commit(backend, "first").await.map(drop)).0, "KeyPendingDeletion");
        assert_eq!(failure(generate(&*keyring, "first").await).0, "KeyPendingDeletion", "nor is it used any more");
        assert_eq!(key.describe_key("first").await.unwrap().state, KeyState::Enabled);
        drop(permit);
        let gone = deletion.await.unwrap().unwrap().state;
        assert!(if now { gone == KeyState::Erased } else { matches!(gone, KeyState::PendingDeletion { .. }) });
    }
}

#[tokio::test]
async fn a_deletion_that_the_backend_refuses_opens_the_key_again() {
    let world = World::new().await;
    let keyring = world.running().await;
    let data_key = generate(&*keyring, "first").await.unwrap();
    world.server("a").fail(Some(Fault::Denies));
    assert_eq!(failure(kms(&keyring).delete_now("first", "first").await).0, "Denied");
    world.server("a").fail(None);
    assert_opens(&*keyring, &data_key).await;
    drop(keyring.begin_commit("a", "first").await.unwrap());
    drop(keyring.close_key("a", "first").await.unwrap());
}

#[tokio::test]
async fn a_key_whose_destruction_has_begun_takes_no_commit_over_a_restart() {
    let world = World::new().await;
    let keyring = world.running().await;
    world.server("a").fail(Some(Fault::LosesAnswers));
    assert_eq!(failure(kms(&keyring).delete_now("first", "first").await).0, "Unavailable");
    world.server("a").fail(None);
    let restarted = world.open().await;
    for keyring in [&keyring, &restarted] {
        assert_eq!(failure(keyring.begin_commit("a", "first").await.map(drop)).0, "KeyPendingDeletion");
    }
    assert_eq!(restarted.reap_deleted(OffsetDateTime::now_utc(), all_may_go).await.destroyed, [("a".to_owned(), "first".to_owned())]);
    assert_eq!(failure(restarted.begin_commit("a", "first").await.map(drop)).0, "KeyErased");
}

#[tokio::test]
async fn a_closed_key_does_not_outlive_its_process() {
    let world = World::new().await;
    let keyring = world.running().await;
    let data_key = generate(&*keyring, "first").await.unwrap();
    // Killed between closing and destroying.
    std::mem::forget(keyring.close_key("a", "first").await.unwrap());
    assert_eq!(failure(keyring.begin_commit("a", "first").await.map(drop)).0, "KeyPendingDeletion");
    let restarted = world.open().await;
    assert_opens(&*restarted, &data_key).await;
    drop(restarted.begin_commit("a", "first").await.unwrap());
}

#[tokio::test]
async fn a_closed_backend_takes_no_commit_under_any_key() {
    let world = World::new().await;
    let keyring = world.running().await;
    world.server("b");
    keyring.reconfigure(change(memory("b"))).await.unwrap();
    let closed = keyring.close_backend("a").await.unwrap();
    for key_id in ["first", "second"] {
        assert_eq!(failure(keyring.begin_commit("a", key_id).await.map(drop)).0, "Unavailable");
    }
    drop(keyring.begin_commit("b", "first").await.unwrap());
    keyring.remove_backend("a").await.unwrap();
    drop(closed);
    assert_eq!(failure(keyring.begin_commit("a", "first").await.map(drop)).0, "Unavailable", "it is not configured any more");
}

#[tokio::test]
async fn a_key_enabled_past_this_server_takes_commits_after_its_next_use() {
    let world = World::new().await;
    world.serve("a", MemoryServer::with_two_keys(true));
    let keyring = world.running().await;
    kms(&keyring).schedule_deletion("first", 7).await.unwrap();
    assert_eq!(failure(keyring.begin_commit("a", "first").await.map(drop)).0, "KeyPendingDeletion");
    world.server("a").cancel_deletion("first");
    generate(&*keyring, "first").await.unwrap();
    drop(keyring.begin_commit("a", "first").await.unwrap());
}
