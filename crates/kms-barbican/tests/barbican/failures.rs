//! Barbican away, slow, half there, or not Barbican at all.

use std::time::Duration;

use strongroom_kms::{EncryptionContext, KeyLifecycle, KeyService, KmsError};
use strongroom_kms_barbican::{BarbicanConfig, BarbicanKms};
use strongroom_testbed::process::free_port;

use crate::common::{assert_opens, context, generate, keystone_url, new_key, open, own_project, standalone, unavailable};
use crate::proxy::{Fault, Proxy};
use crate::rest::Rest;

async fn proxied() -> (Proxy, BarbicanKms) {
    let proxy = Proxy::before(&standalone().url).await;
    let kms = open(BarbicanConfig { endpoint: Some(proxy.url.clone()), ..own_project() });
    (proxy, kms)
}

#[tokio::test]
async fn a_server_that_is_down_is_unavailable_with_the_cause() {
    let endpoint = format!("http://127.0.0.1:{}", free_port());
    let kms = open(BarbicanConfig { endpoint: Some(endpoint.clone()), ..own_project() });
    let key_id = "00000000-0000-4000-8000-000000000000";
    let text = unavailable(generate(&kms, key_id).await);
    assert!(text.starts_with(&format!("Barbican at {endpoint}/v1 does not answer: ")) && text.contains("refused"), "{text}");
    unavailable(kms.list_keys(None, 1).await);
    unavailable(kms.describe_key(key_id).await);
}

#[tokio::test]
async fn a_broken_connection_is_unavailable_and_recovers_by_itself() {
    let (proxy, kms) = proxied().await;
    let key_id = new_key(&kms).await;
    let data_key = generate(&kms, &key_id).await.unwrap();
    for fault in [Fault::LoseRequest, Fault::LoseAnswer, Fault::CutAnswer, Fault::ServiceUnavailable] {
        proxy.break_all(fault);
        unavailable(generate(&kms, &key_id).await);
        unavailable(kms.unwrap_data_key(&data_key.wrapped, &context()).await);
        unavailable(kms.rewrap_data_key(&data_key.wrapped, &context()).await);
        unavailable(kms.check_usable(&key_id).await);
        unavailable(kms.list_keys(None, 1).await);
        proxy.heal();
        assert_opens(&kms, &data_key).await;
    }
}

#[tokio::test]
async fn a_server_that_hangs_is_waited_for_by_no_one_else() {
    let (proxy, kms) = proxied().await;
    let key_id = new_key(&kms).await;
    proxy.break_all(Fault::Hang);
    let waiting = tokio::time::timeout(Duration::from_millis(300), generate(&kms, &key_id)).await;
    assert!(waiting.is_err(), "the caller bounds the time");
    let rotating = tokio::time::timeout(Duration::from_millis(300), kms.rotate_key(&key_id)).await;
    assert!(rotating.is_err());
    proxy.heal();
    generate(&kms, &key_id).await.unwrap();
    assert_eq!(kms.rotate_key(&key_id).await.unwrap().current_version, 2, "a rotation that was given up blocks no other");
}

#[tokio::test]
async fn a_deleted_secret_is_not_found() {
    let config = own_project();
    let (rest, kms) = (Rest::beside(&config), open(config));
    let key_id = new_key(&kms).await;
    let data_key = generate(&kms, &key_id).await.unwrap();
    rest.delete(&key_id).await;
    for answer in [kms.unwrap_data_key(&data_key.wrapped, &context()).await.map(drop), generate(&kms, &key_id).await.map(drop)] {
        assert!(matches!(answer, Err(KmsError::KeyNotFound(id)) if id == key_id));
    }
}

#[tokio::test]
async fn another_server_at_the_address_makes_no_key_look_deleted() {
    let key_id = "00000000-0000-4000-8000-000000000000";
    // Keystone is a server, and not this one.
    let address = keystone_url().trim_end_matches("/v3");
    let kms = open(BarbicanConfig { endpoint: Some(address.to_owned()), ..own_project() });
    let text = unavailable(generate(&kms, key_id).await);
    assert_eq!(text, format!("{address}/v1 knows no such path: it is not Barbican's endpoint"));
}

#[tokio::test]
async fn tls_to_a_server_without_it_is_unavailable() {
    let endpoint = standalone().url.replace("http://", "https://");
    let kms = open(BarbicanConfig { endpoint: Some(endpoint.clone()), ..own_project() });
    let text = unavailable(kms.list_keys(None, 1).await);
    assert!(text.starts_with(&format!("Barbican at {endpoint}/v1 does not answer: ")), "{text}");
}

#[tokio::test]
async fn another_context_and_an_altered_ciphertext_are_rejected() {
    let kms = open(own_project());
    let key_id = new_key(&kms).await;
    let data_key = generate(&kms, &key_id).await.unwrap();
    let other = EncryptionContext([("bucket".to_owned(), "photoz".to_owned())].into());
    assert!(matches!(kms.unwrap_data_key(&data_key.wrapped, &other).await, Err(KmsError::Rejected)));
    let mut wrapped = data_key.wrapped.clone();
    *wrapped.ciphertext.last_mut().unwrap() ^= 1;
    assert!(matches!(kms.unwrap_data_key(&wrapped, &context()).await, Err(KmsError::Rejected)));
    wrapped = data_key.wrapped.clone();
    wrapped.backend = "another".to_owned();
    assert!(matches!(kms.unwrap_data_key(&wrapped, &context()).await, Err(KmsError::Rejected)));
    assert_opens(&kms, &data_key).await;
}
