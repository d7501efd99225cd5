//! Rotation, its interruption, and its competition.

use std::sync::Arc;

use serde_json::json;
use strongroom_kms::{DataKey, KeyLifecycle, KeyService, KmsError, random_key_id};
use strongroom_kms_barbican::{BarbicanConfig, BarbicanKms};
use tokio::task::JoinSet;

use crate::common::{assert_opens, broken, context, generate, new_key, open, own_project, standalone, unavailable, versions};
use crate::proxy::{Fault, Proxy};
use crate::rest::Rest;

#[tokio::test]
async fn each_version_is_a_secret_of_its_own_that_the_key_refers_to() {
    let config = own_project();
    let (rest, kms) = (Rest::beside(&config), open(config));
    let key_id = new_key(&kms).await;
    let rotated = kms.rotate_key(&key_id).await.unwrap();
    assert_eq!((rotated.key_id.as_str(), versions(&rotated), rotated.current_version), (key_id.as_str(), vec![1, 2], 2));
    let (row, value) = only_version_row(&rest, &key_id).await;
    let secret_id = row.strip_prefix("strongroom-version-2-").unwrap().to_owned();
    assert_eq!(value, format!("in-force {}", rotated.versions[1].created.unix_timestamp()));
    assert_eq!(rest.json(&format!("/{secret_id}")).await["name"], format!("strongroom-version-of-{key_id}"));
    assert_ne!(rest.payload(&secret_id).await, rest.payload(&key_id).await);
    assert!(matches!(kms.check_usable(&secret_id).await, Err(KmsError::KeyNotFound(_))), "a version is no key of its own");
    assert!(matches!(kms.describe_key(&secret_id).await, Err(KmsError::KeyNotFound(_))));
}

#[tokio::test]
async fn what_an_unfinished_rotation_left_is_not_used_and_its_number_not_given_again() {
    let config = own_project();
    let (rest, kms) = (Rest::beside(&config), open(config));
    let key_id = new_key(&kms).await;
    let first = generate(&kms, &key_id).await.unwrap();
    let left = rest.store_text(&"v".repeat(32)).await;
    let row = format!("strongroom-version-2-{left}");
    rest.add_metadata(&key_id, &row, "claimed").await;
    assert_eq!(generate(&kms, &key_id).await.unwrap().wrapped.key_version, 1);
    assert_eq!(versions(&kms.rotate_key(&key_id).await.unwrap()), [1, 3]);
    let third = generate(&kms, &key_id).await.unwrap();
    assert_eq!(third.wrapped.key_version, 3);
    // The server that was thought dead finishes after all.
    rest.change_metadata(&key_id, &row, "in-force 1700000000").await;
    let late = kms.describe_key(&key_id).await.unwrap();
    assert_eq!((versions(&late), late.current_version), (vec![1, 2, 3], 3));
    for data_key in [&first, &third] {
        assert_opens(&kms, data_key).await;
    }
}

#[tokio::test]
async fn a_version_that_never_was_is_rejected() {
    let kms = open(own_project());
    let key_id = new_key(&kms).await;
    let DataKey { mut wrapped, .. } = generate(&kms, &key_id).await.unwrap();
    for version in [0, 2, u32::MAX] {
        wrapped.key_version = version;
        assert!(matches!(kms.unwrap_data_key(&wrapped, &context()).await, Err(KmsError::Rejected)), "version {version}");
    }
}

#[tokio::test]
async fn a_version_whose_secret_is_gone_is_named() {
    let config = own_project();
    let (rest, kms) = (Rest::beside(&config), open(config));
    let key_id = new_key(&kms).await;
    let first = generate(&kms, &key_id).await.unwrap();
    kms.rotate_key(&key_id).await.unwrap();
    let (row, _) = only_version_row(&rest, &key_id).await;
    let secret_id = row.strip_prefix("strongroom-version-2-").unwrap();
    rest.delete(secret_id).await;
    let expected = format!("the secret {secret_id}, version 2 of the key {key_id}, is gone from Barbican");
    assert_eq!(broken(generate(&kms, &key_id).await), expected);
    assert_opens(&kms, &first).await;
}

#[tokio::test]
async fn a_version_claimed_by_two_secrets_is_never_guessed() {
    let config = own_project();
    let (rest, kms) = (Rest::beside(&config), open(config));
    let key_id = new_key(&kms).await;
    kms.rotate_key(&key_id).await.unwrap();
    rest.add_metadata(&key_id, &format!("strongroom-version-2-{}", random_key_id().unwrap()), "in-force 1").await;
    assert!(broken(generate(&kms, &key_id).await).contains("names a version for the second time"));
}

#[tokio::test]
async fn a_rotation_that_fails_anywhere_harms_no_data_key_and_can_be_repeated() {
    let config = own_project();
    let proxy = Proxy::before(&standalone().url).await;
    let kms = open(BarbicanConfig { endpoint: Some(proxy.url.clone()), ..config.clone() });
    let key_id = new_key(&kms).await;
    let before = proxy.requests();
    kms.rotate_key(&key_id).await.unwrap();
    let requests = proxy.requests() - before;
    assert_eq!(requests, 9, "payload, metadata, store, mark, claim, metadata, put in force, secret and metadata");
    for fault in [Fault::LoseRequest, Fault::LoseAnswer] {
        for request in 0..requests {
            let key_id = new_key(&kms).await;
            let mut data_keys = vec![generate(&kms, &key_id).await.unwrap()];
            proxy.break_one(fault, request);
            unavailable(kms.rotate_key(&key_id).await);
            proxy.heal();
            data_keys.push(generate(&kms, &key_id).await.unwrap());
            let last = kms.describe_key(&key_id).await.unwrap().current_version;
            let rotated = kms.rotate_key(&key_id).await.unwrap();
            assert!(rotated.current_version > last, "{fault:?} of request {request}");
            data_keys.push(generate(&kms, &key_id).await.unwrap());
            assert_eq!(data_keys[2].wrapped.key_version, rotated.current_version);
            for data_key in &data_keys {
                assert_opens(&kms, data_key).await;
            }
        }
    }
}

#[tokio::test]
async fn rotations_by_several_servers_at_once_lose_no_data_key() {
    let config = own_project();
    let servers: Vec<Arc<BarbicanKms>> = (0..3).map(|_| Arc::new(open(config.clone()))).collect();
    let key_id = new_key(&servers[0]).await;
    let mut work = JoinSet::new();
    for kms in &servers {
        let (kms, key_id) = (Arc::clone(kms), key_id.clone());
        work.spawn(async move {
            let (mut data_keys, mut added) = (Vec::new(), 0);
            for _ in 0..4 {
                match kms.rotate_key(&key_id).await {
                    Ok(_) => added += 1,
                    Err(KmsError::Conflict(_)) => {}
                    Err(other) => panic!("{other}"),
                }
                data_keys.push(generate(&kms, &key_id).await.unwrap());
            }
            (data_keys, added)
        });
    }
    let done = work.join_all().await;
    let added: usize = done.iter().map(|(_, added)| added).sum();
    let key = servers[0].describe_key(&key_id).await.unwrap();
    assert_eq!(key.versions.len(), 1 + added, "each rotation that succeeded added its own version");
    assert!(added > 0);
    for data_key in done.iter().flat_map(|(data_keys, _)| data_keys) {
        assert_opens(&servers[0], data_key).await;
    }
}

#[tokio::test]
async fn rotations_by_one_server_at_once_all_succeed() {
    let kms = Arc::new(open(own_project()));
    let key_id = new_key(&kms).await;
    let mut work = JoinSet::new();
    for _ in 0..4 {
        let (kms, key_id) = (Arc::clone(&kms), key_id.clone());
        work.spawn(async move { kms.rotate_key(&key_id).await.unwrap() });
    }
    work.join_all().await;
    assert_eq!(versions(&kms.describe_key(&key_id).await.unwrap()), [1, 2, 3, 4, 5]);
}

/// The one row of a version that the key has.
async fn only_version_row(rest: &Rest, key_id: &str) -> (String, String) {
    let metadata = rest.metadata(key_id).await;
    let rows = metadata.as_object().unwrap();
    assert_eq!(rows.len(), 1, "{}", json!(rows));
    let (row, value) = rows.iter().next().unwrap();
    (row.clone(), value.as_str().unwrap().to_owned())
}
