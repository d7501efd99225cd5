//! What goes wrong on the way to AWS, and keys in states that do not allow their use: against LocalStack.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/proxy.rs"]
mod proxy;

use std::sync::LazyLock;
use std::time::Duration;

use common::{NAME, account, backend, config, context, new_key, refused};
use proxy::{Fate, before};
use strongroom_kms::{DataKeySpec, KeyLifecycle, KeyService, KeyState, NewKey, WrappedKey};
use strongroom_kms_aws::AwsKms;
use strongroom_testbed::aws::{LocalStack, Moto};
use strongroom_testbed::process::free_port;
use zeroize::Zeroizing;

static LOCALSTACK: LazyLock<LocalStack> = LazyLock::new(LocalStack::start);

fn kms(account: &str) -> AwsKms {
    backend(&LOCALSTACK.url, account, "secret")
}

#[tokio::test]
async fn a_server_that_is_down_is_unavailable() {
    let kms = backend(&format!("http://127.0.0.1:{}", free_port()), "AKIA", "secret");
    let key_id = "1234abcd-12ab-34cd-56ef-1234567890ab";
    let wrapped = WrappedKey { backend: NAME.to_owned(), key_id: key_id.to_owned(), key_version: 1, ciphertext: vec![1; 100] };
    refused(kms.check_usable(key_id).await, "Unavailable");
    refused(kms.generate_data_key(key_id, DataKeySpec::Aes256, &context(&[])).await, "Unavailable");
    refused(kms.unwrap_data_key(&wrapped, &context(&[])).await, "Unavailable");
    refused(kms.rewrap_data_key(&wrapped, &context(&[])).await, "Unavailable");
    refused(kms.create_key(NewKey::default()).await, "Unavailable");
    refused(kms.list_keys(None, 1).await, "Unavailable");
    let text = refused(kms.disable_key(key_id).await, "Unavailable");
    assert!(text.contains("kms:DisableKey") && text.contains("refused"), "{text}");
}

#[tokio::test]
async fn an_answer_cut_half_way_is_unavailable_and_the_next_call_works() {
    let account = account();
    let key_id = new_key(&kms(&account)).await;
    for len in [0, 20, 300] {
        let kms = backend(&before(&LOCALSTACK.url, Fate::CutAfter(len), 1).await, &account, "secret");
        refused(kms.generate_data_key(&key_id, DataKeySpec::Aes256, &context(&[])).await, "Unavailable");
        kms.generate_data_key(&key_id, DataKeySpec::Aes256, &context(&[])).await.unwrap();
    }
}

#[tokio::test]
async fn a_server_that_is_overloaded_or_broken_is_unavailable() {
    let account = account();
    let key_id = new_key(&kms(&account)).await;
    for (status, body) in [
        (400, r#"{"__type":"ThrottlingException","message":"Rate exceeded"}"#),
        (500, r#"{"__type":"KMSInternalException"}"#),
        (500, r#"{"__type":"KeyUnavailableException"}"#),
        (503, r#"{"__type":"DependencyTimeoutException"}"#),
        (502, "<html>bad gateway</html>"),
        (200, "no JSON"),
    ] {
        let kms = backend(&before(&LOCALSTACK.url, Fate::Replaced(status, body), 1).await, &account, "secret");
        refused(kms.check_usable(&key_id).await, "Unavailable");
        kms.check_usable(&key_id).await.unwrap();
    }
}

#[tokio::test]
async fn credentials_that_have_expired_are_denied() {
    let account = account();
    let key_id = new_key(&kms(&account)).await;
    for code in ["ExpiredTokenException", "UnrecognizedClientException", "InvalidSignatureException", "AccessDeniedException"] {
        let body: &'static str = format!(r#"{{"__type":"{code}","message":"token SECRET-IN-MESSAGE"}}"#).leak();
        let kms = backend(&before(&LOCALSTACK.url, Fate::Replaced(400, body), 1).await, &account, "secret");
        let text = refused(kms.check_usable(&key_id).await, "Denied");
        assert!(text.contains(code) && !text.contains("SECRET-IN-MESSAGE"), "{text}");
    }
}

#[tokio::test]
async fn an_answer_without_its_promised_content_is_broken() {
    let account = account();
    let key_id = new_key(&kms(&account)).await;
    for body in ["{}", r#"{"Plaintext":"AAAA","CiphertextBlob":"AAAA"}"#] {
        let kms = backend(&before(&LOCALSTACK.url, Fate::Replaced(200, body), 1).await, &account, "secret");
        refused(kms.generate_data_key(&key_id, DataKeySpec::Aes256, &context(&[])).await, "Broken");
    }
}

#[tokio::test]
async fn a_paused_server_is_waited_for_until_it_resumes_and_a_killed_one_is_not() {
    let mut moto = Moto::start();
    let kms = backend(&moto.url, &moto.admin.id, &moto.admin.secret);
    let key_id = new_key(&kms).await;
    moto.process.pause();
    let mut call = std::pin::pin!(kms.check_usable(&key_id));
    assert!(tokio::time::timeout(Duration::from_millis(300), &mut call).await.is_err(), "a paused server answers nothing");
    moto.process.resume();
    assert_eq!(call.await.unwrap(), key_id);
    moto.process.kill();
    refused(kms.check_usable(&key_id).await, "Unavailable");
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_unavailable_by_its_name() {
    let kms = backend(&LOCALSTACK.url.replace("http://", "https://"), &account(), "secret");
    let text = refused(kms.check_usable("1234abcd-12ab-34cd-56ef-1234567890ab").await, "Unavailable");
    assert!(text.contains("certificate"), "{text}");
}

#[test]
fn a_ca_file_that_is_missing_is_refused_by_its_field() {
    let mut config = config("https://kms.example", "AKIA", "secret");
    config.ca_file = Some("/nowhere/ca.pem".into());
    let text = refused(AwsKms::new(NAME, config), "InvalidArgument");
    assert!(text.starts_with("ca_file: the file is refused"), "{text}");
}

#[tokio::test]
async fn a_context_longer_than_aws_takes_is_refused_before_it_is_sent() {
    let down = backend(&format!("http://127.0.0.1:{}", free_port()), "AKIA", "secret");
    let key_id = "1234abcd-12ab-34cd-56ef-1234567890ab";
    // {"a":"…"} has eight bytes around the value.
    for (len, variant) in [(8184, "Unavailable"), (8185, "InvalidArgument")] {
        let value = "x".repeat(len);
        refused(down.generate_data_key(key_id, DataKeySpec::Aes256, &context(&[("a", &value)])).await, variant);
    }
    let wrapped = WrappedKey { backend: NAME.to_owned(), key_id: key_id.to_owned(), key_version: 1, ciphertext: vec![1; 100] };
    refused(down.unwrap_data_key(&wrapped, &context(&[("a", &"x".repeat(8185))])).await, "Rejected");
}

#[tokio::test]
async fn another_backends_data_key_is_rejected() {
    let kms = kms(&account());
    let key_id = new_key(&kms).await;
    let wrapped = kms.generate_data_key(&key_id, DataKeySpec::Aes256, &context(&[])).await.unwrap().wrapped;
    let others = WrappedKey { backend: "other".to_owned(), ..wrapped };
    refused(kms.unwrap_data_key(&others, &context(&[])).await, "Rejected");
}

#[tokio::test]
async fn another_accounts_key_is_not_found() {
    let (ours, theirs) = (kms(&account()), kms(&account()));
    let key_id = new_key(&theirs).await;
    theirs.check_usable(&key_id).await.unwrap();
    assert!(refused(ours.check_usable(&key_id).await, "KeyNotFound").contains(&key_id));
}

#[tokio::test]
async fn an_arn_means_its_key_and_an_alias_none() {
    let account = account();
    let kms = kms(&account);
    let named = NewKey { name: Some("photos".to_owned()), ..NewKey::default() };
    let key_id = kms.create_key(named).await.unwrap().key_id;
    let arn = format!("arn:aws:kms:us-east-1:{account}:key/{key_id}");
    assert_eq!(kms.check_usable(&arn).await.unwrap(), key_id);
    let key = kms.generate_data_key(&arn, DataKeySpec::Aes256, &context(&[])).await.unwrap();
    assert_eq!(key.wrapped.key_id, key_id);
    for alias in ["photos", "alias/strongroom/photos", &format!("arn:aws:kms:us-east-1:{account}:alias/strongroom/photos")] {
        refused(kms.check_usable(alias).await, "KeyNotFound");
    }
}

#[tokio::test]
async fn a_cancelled_deletion_hands_the_key_back_disabled() {
    let kms = kms(&account());
    let key_id = new_key(&kms).await;
    kms.schedule_deletion(&key_id, 30).await.unwrap();
    assert_eq!(kms.cancel_deletion(&key_id).await.unwrap().state, KeyState::Disabled);
    refused(kms.check_usable(&key_id).await, "KeyDisabled");
    refused(kms.generate_data_key(&key_id, DataKeySpec::Aes256, &context(&[])).await, "KeyDisabled");
    assert_eq!(kms.enable_key(&key_id).await.unwrap().state, KeyState::Enabled);
    refused(kms.cancel_deletion(&key_id).await, "Conflict");
}

#[tokio::test]
async fn keys_of_other_kinds_are_neither_listed_nor_usable() {
    let account = account();
    let kms = kms(&account);
    let ours = new_key(&kms).await;
    let signing = raw(&account, "CreateKey", r#"{"KeySpec":"ECC_NIST_P256","KeyUsage":"SIGN_VERIFY"}"#).await;
    let signing = signing["KeyMetadata"]["KeyId"].as_str().unwrap().to_owned();
    let listed: Vec<_> = kms.list_keys(None, 100).await.unwrap().keys.into_iter().map(|key| key.key_id).collect();
    assert_eq!(listed, [ours]);
    refused(kms.check_usable(&signing).await, "InvalidArgument");
    refused(kms.generate_data_key(&signing, DataKeySpec::Aes256, &context(&[])).await, "InvalidArgument");
}

#[tokio::test]
async fn a_key_that_waits_for_its_material_is_disabled() {
    let account = account();
    let kms = kms(&account);
    let key = raw(&account, "CreateKey", r#"{"Origin":"EXTERNAL"}"#).await;
    let key_id = key["KeyMetadata"]["KeyId"].as_str().unwrap();
    refused(kms.check_usable(key_id).await, "KeyDisabled");
    assert_eq!(kms.describe_key(key_id).await.unwrap().state, KeyState::Disabled);
}

#[tokio::test]
async fn imported_material_does_not_expire_and_bears_its_name() {
    let account = account();
    let kms = kms(&account);
    let new = NewKey { name: Some("own".to_owned()), description: "ours".to_owned(), tags: [("a".to_owned(), "b".to_owned())].into() };
    let key = kms.import_key(new.clone(), Zeroizing::new(vec![7; 32])).await.unwrap();
    assert_eq!((key.description.as_str(), key.tags, key.state), ("ours", new.tags.clone(), KeyState::Enabled));
    let described = raw(&account, "DescribeKey", r#"{"KeyId":"alias/strongroom/own"}"#).await;
    assert_eq!(described["KeyMetadata"]["KeyId"], *key.key_id);
    assert_eq!(described["KeyMetadata"]["Origin"], "EXTERNAL");
    assert_eq!(described["KeyMetadata"]["ExpirationModel"], "KEY_MATERIAL_DOES_NOT_EXPIRE");
    refused(kms.import_key(new, Zeroizing::new(vec![8; 32])).await, "KeyExists");
}

/// A call past the backend: LocalStack reads the account from an unsigned header.
async fn raw(account: &str, operation: &str, body: &'static str) -> serde_json::Value {
    let scope = format!("AWS4-HMAC-SHA256 Credential={account}/20260101/us-east-1/kms/aws4_request, SignedHeaders=host, Signature=0");
    let client = strongroom_outbound::http_client(&strongroom_outbound::TlsOptions::default()).unwrap();
    let request = client.post(&LOCALSTACK.url).header("authorization", scope).header("content-type", "application/x-amz-json-1.1");
    let response = request.header("x-amz-target", format!("TrentService.{operation}")).body(body).send().await.unwrap();
    serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
}
