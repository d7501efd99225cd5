//! The key/value engine against a real server: the conformance suite, and what others can do to its secrets.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;

use common::masked::Masked;
use common::{assert_opens, config, context, data_key, fresh, made, new_key, server};
use serde_json::{Value, json};
use strongroom_kms::conformance::{Backend, run_all};
use strongroom_kms::{KeyLifecycle, KeyService, KeyState, KmsError};
use strongroom_kms_vault::KvKms;
use strongroom_testbed::openbao::OpenBao;
use time::OffsetDateTime;
use zeroize::Zeroizing;

fn kv(server: &OpenBao) -> KvKms {
    KvKms::new("vault", &config(server, json!({ "engine": "kv" }))).unwrap()
}

fn secret(key_id: &str) -> String {
    format!("strongroom/{key_id}")
}

#[tokio::test]
async fn the_key_value_engine_conforms() {
    let server = server();
    run_all(async || {
        let fields = json!({ "engine": "kv", "key_path_prefix": format!("team/{}", fresh("folder")) });
        let kms = Arc::new(KvKms::new("vault", &config(&server, fields)).unwrap());
        let key_ids = [made(&*kms).await, made(&*kms).await];
        Backend { service: kms.clone(), lifecycle: Some(Arc::new(Masked(kms))), key_ids, keep: Box::new(server.clone()) }
    })
    .await;
}

#[tokio::test]
async fn a_key_is_one_secret_with_all_of_its_versions() {
    let server = server();
    let kms = kv(&server);
    let key_id = fresh("key");
    kms.import_key(new_key(&key_id), Zeroizing::new(vec![7; 32])).await.unwrap();
    kms.rotate_key(&key_id).await.unwrap();
    let described = kms.describe_key(&key_id).await.unwrap();
    assert_eq!(described.versions.iter().map(|version| version.version).collect::<Vec<_>>(), [1, 2]);
    assert_eq!((described.current_version, described.state), (2, KeyState::Enabled));
    assert!((OffsetDateTime::now_utc() - described.created).whole_seconds() < 120);
    let stored = server.bao_json(&["kv", "get", "-mount=secret", &secret(&key_id)]);
    let document = &stored["data"]["data"];
    assert_eq!(document["format"], 1);
    assert_eq!(document["versions"].as_array().unwrap().len(), 2);
    assert_eq!(document["versions"][0]["material"], "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=");
}

#[tokio::test]
async fn a_deleted_key_leaves_nothing_on_the_server() {
    let server = server();
    let kms = kv(&server);
    let (key_id, other) = (made(&kms).await, made(&kms).await);
    kms.rotate_key(&key_id).await.unwrap();
    let lost = data_key(&kms, &key_id).await.unwrap();
    assert_error!(kms.delete_now(&key_id, "another").await, KmsError::InvalidArgument(_), &key_id);
    assert_opens(&kms, &lost).await;
    assert_eq!(kms.delete_now(&key_id, &key_id).await.unwrap().state, KeyState::Erased);
    for result in [
        kms.check_usable(&key_id).await.map(drop),
        kms.unwrap_data_key(&lost.wrapped, &context()).await.map(drop),
        kms.delete_now(&key_id, &key_id).await.map(drop),
    ] {
        assert!(matches!(result, Err(KmsError::KeyNotFound(id)) if id == key_id));
    }
    let listed = server.bao(&["kv", "list", "-mount=secret", "strongroom"]);
    assert!(!listed.lines().any(|line| line == key_id) && listed.lines().any(|line| line == other), "{listed}");
}

#[tokio::test]
async fn a_secret_deleted_by_others_is_not_found_until_undeleted_and_never_overwritten() {
    let server = server();
    let kms = kv(&server);
    let key_id = made(&kms).await;
    let data_key = data_key(&kms, &key_id).await.unwrap();
    server.bao(&["kv", "delete", "-mount=secret", &secret(&key_id)]);
    let answer = kms.unwrap_data_key(&data_key.wrapped, &context()).await;
    assert!(matches!(answer, Err(KmsError::KeyNotFound(id)) if id == key_id));
    assert!(matches!(kms.create_key(new_key(&key_id)).await, Err(KmsError::KeyExists(_))));
    server.bao(&["kv", "undelete", "-mount=secret", "-versions=1", &secret(&key_id)]);
    assert_opens(&kms, &data_key).await;
    server.bao(&["kv", "destroy", "-mount=secret", "-versions=1", &secret(&key_id)]);
    let answer = kms.unwrap_data_key(&data_key.wrapped, &context()).await;
    assert!(matches!(answer, Err(KmsError::KeyErased(id)) if id == key_id));
}

#[tokio::test]
async fn of_two_rotations_at_once_no_version_is_lost() {
    let server = server();
    let kms = kv(&server);
    let key_id = made(&kms).await;
    let answers = futures_util::future::join_all((0..8).map(|_| kms.rotate_key(&key_id))).await;
    let done = answers.iter().filter(|answer| answer.is_ok()).count();
    assert!(done >= 1);
    for answer in answers.into_iter().filter(Result::is_err) {
        assert_error!(answer, KmsError::Conflict(_), "changed at the same time");
    }
    assert_eq!(kms.describe_key(&key_id).await.unwrap().versions.len(), done + 1);
}

#[tokio::test]
async fn a_secret_that_is_no_key_is_refused_without_being_shown() {
    let server = server();
    let kms = kv(&server);
    for document in [
        json!({ "password": "hunter2-hunter2" }),
        json!({ "format": 2, "versions": [{ "created": "2026-01-01T00:00:00Z", "material": "hunter2-hunter2" }] }),
        json!({ "format": 1, "versions": [] }),
        json!({ "format": 1, "versions": [{ "created": "2026-01-01T00:00:00Z", "material": "hunter2-hunter2" }] }),
        json!({ "format": 1, "versions": [{ "created": "2026-01-01T00:00:00Z", "material": "c2hvcnQ=" }] }),
        json!({ "format": 1, "versions": "hunter2-hunter2" }),
    ] {
        let key_id = fresh("odd");
        put(&server, &key_id, &document);
        let Err(error) = data_key(&kms, &key_id).await else { panic!("{document} was taken for a key") };
        assert!(matches!(error, KmsError::Broken(_)), "{error}");
        assert!(error.to_string().contains(&key_id) && !error.to_string().contains("hunter2"), "{error}");
    }
}

#[tokio::test]
async fn a_key_value_engine_of_version_1_is_refused() {
    let server = server();
    let mount = fresh("old");
    server.bao(&["secrets", "enable", &format!("-path={mount}"), "-version=1", "kv"]);
    let kms = KvKms::new("vault", &config(&server, json!({ "engine": "kv", "kv_mount": mount }))).unwrap();
    assert_error!(kms.create_key(new_key("a")).await, KmsError::Conflict(_), "version 2");
}

fn put(server: &OpenBao, key_id: &str, document: &Value) {
    server.bao_with(&["kv", "put", "-mount=secret", &secret(key_id), "-"], &document.to_string());
}
