//! What goes wrong around the server, and that no secret shows while it does.
#![allow(clippy::unwrap_used)]

mod common;

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use common::proxy::{Fault, Proxy};
use common::{assert_opens, config, context, data_key, made, server, until};
use serde_json::json;
use strongroom_kms::{DataKey, DataKeySpec, KeyLifecycle, KeyService, Kms, KmsError};
use strongroom_kms_vault::{Config, KvKms, TransitKms, open};
use strongroom_testbed::openbao::OpenBao;
use strongroom_testbed::process::free_port;
use tokio::time::timeout;

/// Both engines, each with a key and a data key of it.
async fn both(server: &OpenBao, address: &str) -> Vec<(Arc<dyn Kms>, DataKey)> {
    let mut all = Vec::new();
    for engine in ["transit", "kv"] {
        let kms = open("vault", &config(server, json!({ "engine": engine, "address": address }))).unwrap();
        let key_id = kms.create_key(common::new_key(&common::fresh("key"))).await.unwrap().key_id;
        let data_key = kms.generate_data_key(&key_id, DataKeySpec::Aes256, &context()).await.unwrap();
        all.push((kms, data_key));
    }
    all
}

/// Every use of the key answers Unavailable with a text that has `part`.
async fn assert_away(kms: &dyn Kms, data_key: &DataKey, part: &str) {
    let key_id = &data_key.wrapped.key_id;
    assert_error!(kms.check_usable(key_id).await, KmsError::Unavailable(_), part);
    assert_error!(kms.generate_data_key(key_id, DataKeySpec::Aes256, &context()).await, KmsError::Unavailable(_), part);
    assert_error!(kms.unwrap_data_key(&data_key.wrapped, &context()).await, KmsError::Unavailable(_), part);
    assert_error!(kms.rewrap_data_key(&data_key.wrapped, &context()).await, KmsError::Unavailable(_), part);
    assert_error!(kms.list_keys(None, 10).await, KmsError::Unavailable(_), part);
    assert_error!(kms.delete_now(key_id, key_id).await, KmsError::Unavailable(_), part);
}

async fn assert_back(kms: &dyn Kms, data_key: &DataKey) {
    assert_eq!(*kms.unwrap_data_key(&data_key.wrapped, &context()).await.unwrap(), *data_key.plaintext);
}

#[tokio::test]
async fn a_sealed_server_is_unavailable_until_it_is_unsealed() {
    let server = OpenBao::start();
    let all = both(&server, &server.https_address()).await;
    server.seal();
    for (kms, data_key) in &all {
        assert_away(&**kms, data_key, "sealed").await;
    }
    server.unseal();
    for (kms, data_key) in &all {
        assert_back(&**kms, data_key).await;
    }
}

#[tokio::test]
async fn a_paused_server_keeps_a_call_waiting_and_serves_the_next() {
    let mut server = OpenBao::start();
    let all = both(&server, &server.https_address()).await;
    server.process().pause();
    for (kms, data_key) in &all {
        let answer = timeout(Duration::from_millis(300), kms.unwrap_data_key(&data_key.wrapped, &context())).await;
        assert!(answer.is_err(), "nothing is made up while the server is silent");
    }
    server.process().resume();
    for (kms, data_key) in &all {
        assert_back(&**kms, data_key).await;
    }
}

#[tokio::test]
async fn a_server_that_is_down_is_unavailable() {
    let mut server = OpenBao::start();
    let all = both(&server, &server.https_address()).await;
    server.process().kill();
    for (kms, data_key) in &all {
        assert_away(&**kms, data_key, &server.https_address()).await;
    }
}

#[tokio::test]
async fn a_connection_that_breaks_is_unavailable_and_the_next_serves() {
    let server = server();
    let proxy = Proxy::start(&server.http_address()).await;
    for (kms, data_key) in both(&server, &proxy.address).await {
        // Within the status line, within the head, within the body.
        for fault in [Fault::Close, Fault::CutAnswer(0), Fault::CutAnswer(7), Fault::CutAnswer(60), Fault::CutAnswer(400)] {
            proxy.set(fault);
            assert_away(&*kms, &data_key, &proxy.address).await;
            proxy.set(Fault::None);
            assert_back(&*kms, &data_key).await;
        }
        proxy.set(Fault::Silence);
        let call = assert_back(&*kms, &data_key);
        assert!(timeout(Duration::from_millis(300), call).await.is_err());
        proxy.set(Fault::None);
        assert_back(&*kms, &data_key).await;
    }
}

#[tokio::test]
async fn a_server_that_passes_over_associated_data_gives_no_data_key() {
    let server = server();
    let proxy = Proxy::start(&server.http_address()).await;
    let kms = TransitKms::new("vault", &config(&server, json!({ "address": proxy.address }))).unwrap();
    let key_id = made(&kms).await;
    proxy.set(Fault::Unbind);
    for _ in 0..2 {
        assert_error!(data_key(&kms, &key_id).await, KmsError::Broken(_), "ignores associated_data");
    }
    proxy.set(Fault::None);
    let first = data_key(&kms, &key_id).await.unwrap();
    assert_opens(&kms, &first).await;
    assert_eq!(proxy.count("transit/decrypt"), 4, "it is proven once: two failures, one proof, one unwrap");
    data_key(&kms, &key_id).await.unwrap();
    assert_eq!(proxy.count("transit/decrypt"), 4);
}

#[tokio::test]
async fn a_login_that_hangs_is_given_up_with_its_caller_and_tried_again() {
    let server = server();
    let proxy = Proxy::start(&server.http_address()).await;
    let fields = json!({ "address": proxy.address });
    let kms = TransitKms::new("vault", &config(&server, fields)).unwrap();
    proxy.set(Fault::Silence);
    assert!(timeout(Duration::from_millis(300), kms.check_usable("any")).await.is_err());
    proxy.set(Fault::None);
    assert!(matches!(kms.check_usable("any").await, Err(KmsError::KeyNotFound(_))));
}

#[tokio::test]
async fn a_renewal_that_fails_is_tried_again_before_the_token_ends() {
    let server = server();
    let policy = common::fresh("policy");
    server.policy(&policy, common::TRANSIT_USE_POLICY);
    let token = server.token(&[&policy], &["-ttl=6s"]);
    let proxy = Proxy::start(&server.http_address()).await;
    let kms = TransitKms::new("vault", &config(&server, json!({ "address": proxy.address, "auth_method": { "token": token } }))).unwrap();
    assert!(matches!(kms.check_usable("any").await, Err(KmsError::KeyNotFound(_))));
    proxy.set(Fault::CutAnswer(5));
    until("a renewal that fails", || proxy.count("renew-self") >= 1).await;
    proxy.set(Fault::None);
    until("a renewal that succeeds", || proxy.count("renew-self") >= 2).await;
    assert!(matches!(kms.check_usable("any").await, Err(KmsError::KeyNotFound(_))));
    assert_eq!(proxy.count("lookup-self"), 1, "no call met a dead token");
}

#[tokio::test]
async fn only_the_configured_authority_is_trusted() {
    let server = server();
    let other = json!({ "ca_file": server.file("other-ca.pem") });
    let kms = TransitKms::new("vault", &config(&server, other.clone())).unwrap();
    assert_error!(kms.check_usable("any").await, KmsError::Unavailable(_), "certificate");
    let mut trusting = config(&server, other);
    trusting.skip_tls_verify = true;
    let kms = TransitKms::new("vault", &trusting).unwrap();
    let key_id = made(&kms).await;
    let first = data_key(&kms, &key_id).await.unwrap();
    assert_opens(&kms, &first).await;
}

#[tokio::test]
async fn a_mount_that_is_not_there_is_named() {
    let server = server();
    let kms = TransitKms::new("vault", &config(&server, json!({ "mount_path": "no/such/mount" }))).unwrap();
    for answer in [kms.check_usable("any").await.map(drop), data_key(&kms, "any").await.map(drop)] {
        assert_error!(answer, KmsError::Unavailable(_), "no/such/mount");
    }
    let kms = KvKms::new("vault", &config(&server, json!({ "kv_mount": "nowhere" }))).unwrap();
    assert_error!(made_nowhere(&kms).await, KmsError::Unavailable(_), "nowhere");
}

async fn made_nowhere(kms: &KvKms) -> Result<(), KmsError> {
    kms.create_key(common::new_key("a")).await.map(drop)
}

#[tokio::test]
async fn a_backend_is_made_while_its_server_is_away() {
    let address = format!("http://127.0.0.1:{}", free_port());
    let config: Config = serde_json::from_value(json!({ "address": address, "auth_method": { "token": "t" } })).unwrap();
    let kms = open("vault", &config).unwrap();
    assert_error!(kms.check_usable("any").await, KmsError::Unavailable(_), &address);
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_secret_shows_in_logs_or_errors() {
    let server = server();
    let [role_id, secret_id] = server.approle("approle", &common::fresh("role"), &["token_policies=default"]);
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone()).finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let proxy = Proxy::start(&server.http_address()).await;
    let mut secrets = vec![server.root_token().to_owned(), secret_id.clone()];
    for (kms, data_key) in both(&server, &proxy.address).await {
        secrets.push(STANDARD.encode(&*data_key.plaintext));
        kms.import_key(common::new_key(&common::fresh("own")), zeroize::Zeroizing::new(vec![0x5a; 32])).await.unwrap();
        proxy.set(Fault::CutAnswer(200));
        let error = kms.unwrap_data_key(&data_key.wrapped, &context()).await.unwrap_err();
        write!(log.clone(), "{error} {error:?}").unwrap();
        proxy.set(Fault::None);
    }
    secrets.push(STANDARD.encode([0x5a; 32]));
    let login = json!({ "approle": { "role_id": role_id, "secret_id": secret_id } });
    let kms = TransitKms::new("vault", &config(&server, json!({ "auth_method": login }))).unwrap();
    let error = kms.check_usable("any").await.unwrap_err();
    write!(log.clone(), "{error} {error:?}").unwrap();
    drop(guard);
    let text = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
    assert!(text.contains("logged in to Vault") && text.contains("hyper"), "the log is that of these calls");
    for secret in secrets {
        assert!(!text.contains(&secret), "a secret of {} characters shows", secret.len());
    }
}
