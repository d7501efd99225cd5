//! Transit against a real server: the conformance suite, the life of its keys, and what a wrapped key is bound to.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;

use common::masked::Masked;
use common::{assert_opens, config, context, data_key, fresh, made, new_key, server};
use serde_json::json;
use strongroom_kms::conformance::{Backend, run_all};
use strongroom_kms::{DataKeySpec, EncryptionContext, KeyLifecycle, KeyService, KeyState, KmsError, WrappedKey};
use strongroom_kms_vault::TransitKms;
use strongroom_testbed::openbao::OpenBao;
use time::OffsetDateTime;
use zeroize::Zeroizing;

fn transit(server: &OpenBao) -> TransitKms {
    TransitKms::new("vault", &config(server, json!({}))).unwrap()
}

#[tokio::test]
async fn transit_conforms() {
    let server = server();
    run_all(async || {
        let mount = fresh("mount");
        server.bao(&["secrets", "enable", &format!("-path={mount}"), "transit"]);
        let kms = Arc::new(TransitKms::new("vault", &config(&server, json!({ "mount_path": mount }))).unwrap());
        let key_ids = [made(&*kms).await, made(&*kms).await];
        Backend { service: kms.clone(), lifecycle: Some(Arc::new(Masked(kms))), key_ids, keep: Box::new(server.clone()) }
    })
    .await;
}

#[tokio::test]
async fn a_key_is_described_with_the_times_of_its_versions() {
    let server = server();
    let kms = transit(&server);
    let key_id = made(&kms).await;
    kms.rotate_key(&key_id).await.unwrap();
    let described = kms.describe_key(&format!("arn:aws:kms:eu:1:key/{key_id}")).await.unwrap();
    assert_eq!(described.key_id, key_id);
    assert_eq!(described.state, KeyState::Enabled);
    assert_eq!(described.versions.iter().map(|version| version.version).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(described.current_version, 2);
    let age = OffsetDateTime::now_utc() - described.created;
    assert!((0..120).contains(&age.whole_seconds()), "{age}");
    assert!(matches!(kms.describe_key("nobody").await, Err(KmsError::KeyNotFound(id)) if id == "nobody"));
}

#[tokio::test]
async fn a_deleted_key_is_gone_from_the_server() {
    let server = server();
    let kms = transit(&server);
    let (key_id, other) = (made(&kms).await, made(&kms).await);
    let lost = data_key(&kms, &key_id).await.unwrap();
    assert_error!(kms.delete_now(&key_id, &other).await, KmsError::InvalidArgument(_), &key_id);
    assert_opens(&kms, &lost).await;
    let deleted = kms.delete_now(&key_id, &key_id).await.unwrap();
    assert_eq!((deleted.state, deleted.current_version), (KeyState::Erased, 1));
    for result in [
        kms.check_usable(&key_id).await.map(drop),
        data_key(&kms, &key_id).await.map(drop),
        kms.unwrap_data_key(&lost.wrapped, &context()).await.map(drop),
        kms.delete_now(&key_id, &key_id).await.map(drop),
    ] {
        assert!(matches!(result, Err(KmsError::KeyNotFound(id)) if id == key_id));
    }
    let listed: Vec<String> = server.bao(&["list", "transit/keys"]).lines().map(str::to_owned).collect();
    assert!(!listed.contains(&key_id) && listed.contains(&other), "{listed:?}");
}

#[tokio::test]
async fn an_unknown_key_is_not_made_by_using_it() {
    let server = server();
    let kms = transit(&server);
    let key_id = fresh("unknown");
    assert!(matches!(data_key(&kms, &key_id).await, Err(KmsError::KeyNotFound(id)) if id == key_id));
    assert!(!server.bao(&["list", "transit/keys"]).contains(&key_id));
}

#[tokio::test]
async fn imported_material_is_what_the_server_wraps_with() {
    let server = server();
    let kms = transit(&server);
    let key_id = fresh("own");
    let material = Zeroizing::new((100..132).collect::<Vec<u8>>());
    kms.import_key(new_key(&key_id), material.clone()).await.unwrap();
    let wrapped = data_key(&kms, &key_id).await.unwrap();
    let opened = open_with(&material, &wrapped.wrapped);
    assert_eq!(opened, *wrapped.plaintext, "the ciphertext opens with the imported material, outside of the server");
    assert_eq!(kms.rotate_key(&key_id).await.unwrap().current_version, 2);
    assert_opens(&kms, &wrapped).await;
    let again = kms.import_key(new_key(&key_id), material).await;
    assert!(matches!(again, Err(KmsError::KeyExists(id)) if id == key_id));
}

/// AES-256-GCM as Transit does it: nonce, ciphertext, tag.
fn open_with(material: &[u8], wrapped: &WrappedKey) -> Vec<u8> {
    use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
    use base64::Engine;
    let text = std::str::from_utf8(&wrapped.ciphertext).unwrap().strip_prefix("vault:v1:").unwrap();
    let blob = base64::engine::general_purpose::STANDARD.decode(text).unwrap();
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, material).unwrap());
    let mut buffer = blob[12..].to_vec();
    let nonce = Nonce::try_assume_unique_for_key(&blob[..12]).unwrap();
    key.open_in_place(nonce, Aad::from(context().canonical()), &mut buffer).unwrap().to_vec()
}

#[tokio::test]
async fn the_version_beside_a_ciphertext_must_be_the_ciphertexts_own() {
    let server = server();
    let kms = transit(&server);
    let key_id = made(&kms).await;
    let data_key = data_key(&kms, &key_id).await.unwrap();
    kms.rotate_key(&key_id).await.unwrap();
    for version in [0, 2, 3] {
        let wrapped = WrappedKey { key_version: version, ..data_key.wrapped.clone() };
        assert!(matches!(kms.unwrap_data_key(&wrapped, &context()).await, Err(KmsError::Rejected)), "{version}");
    }
    let backend = WrappedKey { backend: "other".to_owned(), ..data_key.wrapped.clone() };
    assert!(matches!(kms.unwrap_data_key(&backend, &context()).await, Err(KmsError::Rejected)));
    assert_opens(&kms, &data_key).await;
}

#[tokio::test]
async fn two_keys_in_one_ciphertext_cannot_be_respelled() {
    let server = server();
    let kms = transit(&server);
    let key_id = made(&kms).await;
    let data_key = kms.generate_data_key(&key_id, DataKeySpec::TwoAes256, &context()).await.unwrap();
    let text = String::from_utf8(data_key.wrapped.ciphertext.clone()).unwrap();
    let (head, last) = text.strip_suffix('=').unwrap().split_at(text.len() - 2);
    // The last letter before the padding carries two bits that mean nothing; the server takes any.
    let sibling = char::from(last.as_bytes()[0] + 1);
    for respelled in [format!("{head}{sibling}="), format!("{text}\n"), text.replacen("v1:", "v1:\n", 1)] {
        let wrapped = WrappedKey { ciphertext: respelled.into_bytes(), ..data_key.wrapped.clone() };
        assert!(matches!(kms.unwrap_data_key(&wrapped, &context()).await, Err(KmsError::Rejected)));
    }
    assert_opens(&kms, &data_key).await;
}

#[tokio::test]
async fn a_data_key_without_a_context_opens_with_none_only() {
    let server = server();
    let kms = transit(&server);
    let key_id = made(&kms).await;
    let none = EncryptionContext::default();
    let data_key = kms.generate_data_key(&key_id, DataKeySpec::Aes256, &none).await.unwrap();
    assert_eq!(*kms.unwrap_data_key(&data_key.wrapped, &none).await.unwrap(), *data_key.plaintext);
    assert!(matches!(kms.unwrap_data_key(&data_key.wrapped, &context()).await, Err(KmsError::Rejected)));
}

#[tokio::test]
async fn a_key_that_cannot_bind_a_context_is_refused() {
    let server = server();
    let kms = transit(&server);
    for (setting, reason) in [("derived=true", "is derived"), ("type=rsa-2048", "rsa-2048"), ("type=aes128-gcm96", "aes128-gcm96")] {
        let key_id = fresh("odd");
        server.bao(&["write", &format!("transit/keys/{key_id}"), setting]);
        assert_error!(kms.check_usable(&key_id).await, KmsError::Conflict(_), reason);
        assert!(matches!(kms.create_key(new_key(&key_id)).await, Err(KmsError::KeyExists(_))));
        let listed = kms.list_keys(None, 1000).await.unwrap().keys;
        assert!(listed.iter().all(|key| key.key_id != key_id), "it is not listed");
    }
}

#[tokio::test]
async fn a_soft_deleted_key_is_disabled_and_comes_back() {
    let server = server();
    let kms = transit(&server);
    let key_id = made(&kms).await;
    let data_key = data_key(&kms, &key_id).await.unwrap();
    server.bao(&["delete", &format!("transit/keys/{key_id}/soft-delete")]);
    assert_eq!(kms.describe_key(&key_id).await.unwrap().state, KeyState::Disabled);
    for result in [
        kms.check_usable(&key_id).await.map(drop),
        common::data_key(&kms, &key_id).await.map(drop),
        kms.unwrap_data_key(&data_key.wrapped, &context()).await.map(drop),
        kms.rewrap_data_key(&data_key.wrapped, &context()).await.map(drop),
        kms.rotate_key(&key_id).await.map(drop),
    ] {
        assert!(matches!(result, Err(KmsError::KeyDisabled(id)) if id == key_id));
    }
    server.bao(&["write", "-f", &format!("transit/keys/{key_id}/soft-delete-restore")]);
    assert_opens(&kms, &data_key).await;
}

#[tokio::test]
async fn a_version_retired_on_the_server_is_named() {
    let server = server();
    let kms = transit(&server);
    let key_id = made(&kms).await;
    let data_key = data_key(&kms, &key_id).await.unwrap();
    kms.rotate_key(&key_id).await.unwrap();
    let config = format!("transit/keys/{key_id}/config");
    server.bao(&["write", &config, "min_decryption_version=2"]);
    let answer = kms.unwrap_data_key(&data_key.wrapped, &context()).await;
    assert_error!(answer, KmsError::Conflict(_), "below its min_decryption_version 2");
    server.bao(&["write", &config, "min_decryption_version=1"]);
    assert_opens(&kms, &data_key).await;
}
