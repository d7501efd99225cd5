//! The server's own key directory, and others beside it.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};
use strongroom_keyring::ServiceState;
use strongroom_kms::KeyService;
use time::OffsetDateTime;

use crate::support::{World, all_may_go, assert_opens, change, context, failure, generate};

const MASTER: &str = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY=";

async fn local_running(world: &World) -> std::sync::Arc<strongroom_keyring::Keyring> {
    let keyring = world.open().await;
    keyring.configure(change(json!({"backend_type": "local", "default_key_id": "mine"}))).await.unwrap();
    keyring.start().await.unwrap();
    keyring
}

#[tokio::test]
async fn a_second_directory_is_a_backend_of_its_own() {
    let world = World::new().await;
    let keyring = local_running(&world).await;
    let old = generate(&*keyring, "mine").await.unwrap();
    let second = json!({"name": "vault-2", "backend_type": "local", "key_dir": world.path("second"), "master_key": MASTER});
    keyring.reconfigure(change(second)).await.unwrap();
    let (name, _) = failure(generate(&*keyring, "mine").await);
    assert_eq!(name, "KeyNotFound", "no key is taken from the other directory");
    // It has no default key yet; starting makes one.
    keyring.start().await.unwrap();
    let new = generate(&*keyring, "mine").await.unwrap();
    assert_eq!((old.wrapped.backend.as_str(), new.wrapped.backend.as_str()), ("local", "vault-2"));
    assert!(world.path("second/mine.key.json").exists());
    assert_opens(&*keyring, &old).await;
    assert_opens(&*keyring, &new).await;
    let mut swapped = new.wrapped.clone();
    "local".clone_into(&mut swapped.backend);
    assert_eq!(failure(keyring.unwrap_data_key(&swapped, &context()).await).0, "Rejected");
    let shown = keyring.configuration().unwrap();
    assert_eq!(shown["backends"]["vault-2"]["master_key"], "***redacted***");

    // Sealed and unsealed while the directory stays locked, and after the other is in force.
    keyring.seal().await.unwrap();
    keyring.unseal().await.unwrap();
    keyring.reconfigure(change(json!({"name": "local"}))).await.unwrap();
    assert_opens(&*keyring, &new).await;
    keyring.remove_backend("vault-2").await.unwrap();
    let again = json!({"name": "other-name", "backend_type": "local", "key_dir": world.path("second"), "master_key": MASTER});
    keyring.reconfigure(change(again)).await.unwrap();
    keyring.check_usable("mine").await.unwrap();
}

#[tokio::test]
async fn without_a_master_key_one_is_made_in_a_file_beside_the_directory() {
    let world = World::new().await;
    let keyring = local_running(&world).await;
    let second = json!({"name": "two", "backend_type": "local", "key_dir": world.path("two")});
    keyring.reconfigure(change(second)).await.unwrap();
    let mode = fs::metadata(world.path("two.master.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
}

#[tokio::test]
async fn what_a_local_backend_cannot_be_is_refused() {
    let world = World::new().await;
    let keyring = local_running(&world).await;
    let taken = json!({"name": "two", "backend_type": "local", "key_dir": world.path("two"), "master_key": MASTER});
    keyring.reconfigure(change(taken)).await.unwrap();
    keyring.reconfigure(change(json!({"name": "local"}))).await.unwrap();
    let refused = |with: Value, expected: &'static str| {
        let keyring = keyring.clone();
        async move {
            let (name, text) = failure(keyring.reconfigure(change(with.clone())).await);
            assert_eq!(name, "InvalidArgument", "{with}: {text}");
            assert!(text.contains(expected), "{with}: {text}");
        }
    };
    for mode in [0o640, 0o604, 0o700, 0o1600] {
        refused(json!({"file_permissions": mode}), "file_permissions").await;
    }
    refused(json!({"key_dir": world.path("other")}), "give the backend a name").await;
    refused(json!({"key_dir": "keys"}), "trusted_dirs").await;
    refused(json!({"master_key": MASTER}), "master_key").await;
    refused(json!({"no_such_field": 1}), "no_such_field").await;
    refused(json!({"name": "three", "backend_type": "local"}), "key_dir").await;
    refused(json!({"name": "three", "backend_type": "local", "key_dir": world.path("keys")}), "belongs to another").await;
    refused(json!({"name": "three", "backend_type": "local", "key_dir": world.path("two")}), "belongs to another").await;
    refused(json!({"name": "three", "backend_type": "local", "key_dir": world.path("three"), "master_key": "c2hvcnQ="}), "32 bytes").await;
    refused(json!({"name": "two", "master_key": MASTER.replace('Q', "R")}), "another master key").await;
    keyring.reconfigure(change(json!({"file_permissions": 0o400, "key_dir": world.path("keys")}))).await.unwrap();
    assert_eq!(keyring.backends(), ["local", "two"]);
}

#[tokio::test]
async fn a_directory_that_was_only_tried_is_let_go() {
    let world = World::new().await;
    let keyring = local_running(&world).await;
    let tried =
        json!({"name": "tried", "backend_type": "local", "key_dir": world.path("tried"), "master_key": MASTER, "default_key_id": "absent"});
    assert_eq!(failure(keyring.reconfigure(change(tried)).await).0, "InvalidArgument");
    let other = json!({"name": "kept", "backend_type": "local", "key_dir": world.path("tried"), "master_key": MASTER});
    keyring.reconfigure(change(other)).await.unwrap();
}

#[tokio::test]
async fn a_directory_that_is_unusable_at_the_start_is_an_error_until_it_is_mended() {
    let world = World::new().await;
    let keyring = local_running(&world).await;
    let two = json!({"name": "two", "backend_type": "local", "key_dir": world.path("two"), "master_key": MASTER});
    keyring.reconfigure(change(two)).await.unwrap();
    keyring.start().await.unwrap();
    let key = generate(&*keyring, "mine").await.unwrap();
    drop(keyring);
    fs::set_permissions(world.path("two"), fs::Permissions::from_mode(0o755)).unwrap();
    let keyring = world.open().await;
    let status = keyring.status().await;
    assert_eq!((status.status, status.healthy), (ServiceState::Error, Some(false)));
    assert!(status.error.unwrap().contains("chmod 700"));
    let (name, text) = failure(keyring.unwrap_data_key(&key.wrapped, &context()).await);
    assert_eq!((name.as_str(), text.contains("chmod 700")), ("Unavailable", true));
    assert_eq!(failure(keyring.start().await).0, "Unavailable");
    keyring.kms(Some("local")).unwrap().describe_key("mine").await.unwrap();
    fs::set_permissions(world.path("two"), fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(keyring.reap_deleted(OffsetDateTime::now_utc(), all_may_go).await.destroyed, []);
    assert_eq!(keyring.status().await.status, ServiceState::Running);
    assert_opens(&*keyring, &key).await;
}

#[tokio::test]
async fn nothing_in_the_servers_own_key_directory_can_be_named_though_it_is_trusted() {
    let world = World::new().await;
    let keyring = local_running(&world).await;
    let own = world.path("keys");
    fs::create_dir(own.join("inner")).unwrap();
    std::os::unix::fs::symlink(&own, world.path("link")).unwrap();
    for key_dir in [own.join("inner"), own.join("new"), world.path("link/new"), world.path("other/../keys/new")] {
        let given = json!({"name": "two", "backend_type": "local", "key_dir": key_dir, "master_key": MASTER});
        let (name, text) = failure(keyring.reconfigure(change(given)).await);
        assert_eq!((name.as_str(), text.starts_with("key_dir: ")), ("InvalidArgument", true), "{text}");
    }
    assert!(!own.join("new").exists());
    #[cfg(feature = "vault")]
    for token_file in [own.join("mine.key.json"), world.path("link/mine.key.json"), own.clone()] {
        let given =
            json!({"name": "out", "backend_type": "vault", "address": "https://127.0.0.1:1", "auth_method": {"token_file": token_file}});
        let (name, text) = failure(keyring.reconfigure(change(given)).await);
        assert_eq!((name.as_str(), text.starts_with("auth_method.token_file: ")), ("InvalidArgument", true), "{text}");
    }
    // Not by the server's own configuration either.
    let initial = json!({"name": "two", "backend_type": "local", "key_dir": own.join("new"), "master_key": MASTER});
    let (name, text) = failure(world.try_open(Some(initial)).await);
    assert_eq!((name.as_str(), text.contains("own key directory")), ("InvalidArgument", true), "{text}");
}
