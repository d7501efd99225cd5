//! What goes wrong with a KMIP server, made to happen.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::proxy::Proxy;
use common::{config, context, create, open, server};
use strongroom_kms::{DataKeySpec, KeyLifecycle, KeyService, KeyState, KmsError};
use strongroom_kms_kmip::Config;
use strongroom_testbed::pykmip::PyKmip;
use tokio::task::JoinSet;
use tokio::time::timeout;

const LONG_ENOUGH: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_server_that_was_down_is_used_again_when_it_is_up() {
    let mut server = PyKmip::start();
    let kms = open(&config(&server));
    create(&kms, "a").await;
    let data_key = kms.generate_data_key("a", DataKeySpec::Aes256, &context()).await.unwrap();
    server.kill();
    for error in [
        kms.unwrap_data_key(&data_key.wrapped, &context()).await.err().unwrap(),
        kms.generate_data_key("a", DataKeySpec::Aes256, &context()).await.err().unwrap(),
        kms.check_usable("a").await.err().unwrap(),
        kms.list_keys(None, 1).await.err().unwrap(),
    ] {
        assert!(matches!(error, KmsError::Unavailable(_)), "{error}");
    }
    server.restart();
    assert!(kms.unwrap_data_key(&data_key.wrapped, &context()).await.unwrap() == data_key.plaintext);
}

#[tokio::test]
async fn a_restart_between_two_calls_goes_unnoticed() {
    let mut server = PyKmip::start();
    let kms = open(&config(&server));
    create(&kms, "a").await;
    let data_key = kms.generate_data_key("a", DataKeySpec::Aes256, &context()).await.unwrap();
    server.restart();
    assert!(kms.unwrap_data_key(&data_key.wrapped, &context()).await.unwrap() == data_key.plaintext);
}

#[tokio::test]
async fn a_paused_server_holds_up_its_callers_only_and_mixes_no_answers_up() {
    let server = PyKmip::start();
    let kms = open(&config(&server));
    create(&kms, "a").await;
    create(&kms, "b").await;
    let one = kms.generate_data_key("a", DataKeySpec::Aes256, &context()).await.unwrap();
    let two = kms.generate_data_key("b", DataKeySpec::Aes256, &context()).await.unwrap();
    server.pause();
    assert!(timeout(LONG_ENOUGH, kms.unwrap_data_key(&one.wrapped, &context())).await.is_err(), "a paused server does not answer");
    server.resume();
    assert!(kms.unwrap_data_key(&two.wrapped, &context()).await.unwrap() == two.plaintext, "the late answer is not taken for this one");
    assert!(kms.unwrap_data_key(&one.wrapped, &context()).await.unwrap() == one.plaintext);
}

#[tokio::test]
async fn a_server_that_accepts_and_says_nothing_is_unavailable_after_the_connect_timeout() {
    let server = server();
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let kms = open(&Config { address: silent.local_addr().unwrap().to_string(), ..config(&server) });
    let error = kms.check_usable("a").await.err().unwrap();
    assert!(matches!(&error, KmsError::Unavailable(text) if text.ends_with("does not answer within 5s")), "{error}");
}

#[tokio::test]
async fn a_connection_closed_half_way_is_unavailable_wherever_it_breaks() {
    let server = server();
    let proxy = Proxy::start(server.address()).await;
    let kms = open(&Config { address: proxy.address(), max_connections: 1, ..config(&server) });
    create(&kms, "a").await;
    let data_key = kms.generate_data_key("a", DataKeySpec::Aes256, &context()).await.unwrap();
    for (bytes, is_idle) in [(1, true), (60, true), (0, false), (1, false), (60, false), (600, false)] {
        if is_idle {
            assert!(kms.unwrap_data_key(&data_key.wrapped, &context()).await.unwrap() == data_key.plaintext);
        }
        proxy.allow(bytes);
        let error = kms.unwrap_data_key(&data_key.wrapped, &context()).await.err().unwrap();
        assert!(matches!(error, KmsError::Unavailable(_)), "{error} after {bytes} bytes");
        proxy.allow(i64::MAX);
    }
    assert!(kms.unwrap_data_key(&data_key.wrapped, &context()).await.unwrap() == data_key.plaintext);
}

#[tokio::test]
async fn connections_are_kept_and_not_more_than_allowed() {
    let server = server();
    let proxy = Proxy::start(server.address()).await;
    let kms = open(&Config { address: proxy.address(), max_connections: 2, ..config(&server) });
    create(&kms, "a").await;
    let data_key = kms.generate_data_key("a", DataKeySpec::Aes256, &context()).await.unwrap();
    assert_eq!(proxy.connections(), 1);
    let kms = Arc::new(kms);
    let mut callers = JoinSet::new();
    for _ in 0..8 {
        let (kms, wrapped) = (Arc::clone(&kms), data_key.wrapped.clone());
        callers.spawn(async move { kms.unwrap_data_key(&wrapped, &context()).await.unwrap() });
    }
    while let Some(opened) = callers.join_next().await {
        assert!(opened.unwrap() == data_key.plaintext);
    }
    assert_eq!(proxy.connections(), 2);
}

#[tokio::test]
async fn another_clients_keys_are_not_found() {
    let server = server();
    let ours = config(&server);
    let kms = open(&ours);
    create(&kms, "a").await;
    let data_key = kms.generate_data_key("a", DataKeySpec::Aes256, &context()).await.unwrap();
    let others = open(&Config { client_cert_file: server.file("other.pem"), client_key_file: server.file("other.key"), ..ours });
    for error in [
        others.check_usable("a").await.err().unwrap(),
        others.unwrap_data_key(&data_key.wrapped, &context()).await.err().unwrap(),
        others.generate_data_key("a", DataKeySpec::Aes256, &context()).await.err().unwrap(),
        others.delete_now("a", "a").await.err().unwrap(),
    ] {
        assert!(matches!(&error, KmsError::KeyNotFound(id) if id == "a"), "{error}");
    }
    assert!(others.list_keys(None, 10).await.unwrap().keys.is_empty());
    assert!(kms.unwrap_data_key(&data_key.wrapped, &context()).await.unwrap() == data_key.plaintext);
}

#[tokio::test]
async fn a_client_certificate_of_another_authority_is_denied() {
    let server = server();
    let stranger =
        Config { client_cert_file: server.file("stranger.pem"), client_key_file: server.file("stranger.key"), ..config(&server) };
    let error = open(&stranger).check_usable("a").await.err().unwrap();
    assert!(matches!(&error, KmsError::Denied(text) if text.contains("refuses the client certificate")), "{error}");
}

#[tokio::test]
async fn a_server_certificate_of_another_authority_is_not_trusted() {
    let server = server();
    let distrustful = Config { ca_file: Some(server.file("other-ca.pem")), ..config(&server) };
    let error = open(&distrustful).check_usable("a").await.err().unwrap();
    assert!(matches!(&error, KmsError::Unavailable(text) if text.contains("UnknownIssuer")), "{error}");
}

#[tokio::test]
async fn a_server_of_another_name_is_not_trusted() {
    let server = server();
    let elsewhere = Config { server_name: Some("kmip.example".to_owned()), ..config(&server) };
    let error = open(&elsewhere).check_usable("a").await.err().unwrap();
    assert!(matches!(&error, KmsError::Unavailable(text) if text.contains("not valid for name")), "{error}");
    let named = Config { server_name: Some("localhost".to_owned()), ..config(&server) };
    assert!(matches!(open(&named).check_usable("a").await, Err(KmsError::KeyNotFound(_))));
}

#[tokio::test]
async fn a_key_revoked_on_the_server_is_disabled_at_once() {
    let server = server();
    let config = config(&server);
    let kms = open(&config);
    create(&kms, "a").await;
    create(&kms, "b").await;
    let data_key = kms.generate_data_key("a", DataKeySpec::Aes256, &context()).await.unwrap();
    let prefix = &config.key_prefix;
    server.python(&format!("c.revoke(enums.RevocationReasonCode.CESSATION_OF_OPERATION, uids('{prefix}a')[0])"));
    for error in [
        kms.check_usable("a").await.err().unwrap(),
        kms.generate_data_key("a", DataKeySpec::Aes256, &context()).await.err().unwrap(),
        kms.unwrap_data_key(&data_key.wrapped, &context()).await.err().unwrap(),
        kms.rewrap_data_key(&data_key.wrapped, &context()).await.err().unwrap(),
    ] {
        assert!(matches!(&error, KmsError::KeyDisabled(id) if id == "a"), "{error}");
    }
    assert_eq!(kms.describe_key("a").await.unwrap().state, KeyState::Disabled);
    assert_eq!(kms.check_usable("b").await.unwrap(), "b");
}

#[tokio::test]
async fn a_revoked_version_is_not_passed_over_for_an_older_one() {
    let server = server();
    let config = config(&server);
    let kms = open(&config);
    create(&kms, "a").await;
    let old = kms.generate_data_key("a", DataKeySpec::Aes256, &context()).await.unwrap();
    kms.rotate_key("a").await.unwrap();
    let prefix = &config.key_prefix;
    server.python(&format!("c.revoke(enums.RevocationReasonCode.KEY_COMPROMISE, uids('{prefix}a#2')[0])"));
    assert!(matches!(kms.generate_data_key("a", DataKeySpec::Aes256, &context()).await, Err(KmsError::KeyDisabled(_))));
    assert!(kms.unwrap_data_key(&old.wrapped, &context()).await.unwrap() == old.plaintext, "the version that was not revoked opens");
    assert_eq!(kms.rotate_key("a").await.unwrap().current_version, 3);
    assert_eq!(kms.generate_data_key("a", DataKeySpec::Aes256, &context()).await.unwrap().wrapped.key_version, 3);
}

#[tokio::test]
async fn a_rotation_that_was_interrupted_leaves_the_former_version_in_force_and_can_be_finished() {
    let server = server();
    let config = config(&server);
    let kms = open(&config);
    create(&kms, "a").await;
    let prefix = &config.key_prefix;
    // What a crash between Create and Activate leaves.
    server.python(&format!(
        "from kmip.core import primitives, messages\n\
         group = AttributeFactory().create_attribute(enums.AttributeType.OBJECT_GROUP, '{prefix}a')\n\
         from kmip.core.objects import TemplateAttribute\n\
         build = AttributeFactory().create_attribute\n\
         t = enums.AttributeType\n\
         c.proxy.create(enums.ObjectType.SYMMETRIC_KEY, TemplateAttribute(attributes=[\n\
           build(t.CRYPTOGRAPHIC_ALGORITHM, AES), build(t.CRYPTOGRAPHIC_LENGTH, 256), build(t.CRYPTOGRAPHIC_USAGE_MASK, mask),\n\
           name('{prefix}a#2'), group]))"
    ));
    assert_eq!(kms.describe_key("a").await.unwrap().current_version, 1);
    assert_eq!(kms.generate_data_key("a", DataKeySpec::Aes256, &context()).await.unwrap().wrapped.key_version, 1);
    let rotated = kms.rotate_key("a").await.unwrap();
    assert_eq!((rotated.current_version, rotated.versions.len()), (2, 2));
    assert_eq!(kms.generate_data_key("a", DataKeySpec::Aes256, &context()).await.unwrap().wrapped.key_version, 2);
}

#[tokio::test]
async fn a_key_destroyed_on_the_server_is_not_found() {
    let server = server();
    let config = config(&server);
    let kms = open(&config);
    create(&kms, "a").await;
    let data_key = kms.generate_data_key("a", DataKeySpec::Aes256, &context()).await.unwrap();
    let prefix = &config.key_prefix;
    server.python(&format!("uid = uids('{prefix}a')[0]\nc.revoke(enums.RevocationReasonCode.CESSATION_OF_OPERATION, uid)\nc.destroy(uid)"));
    for error in [
        kms.check_usable("a").await.err().unwrap(),
        kms.generate_data_key("a", DataKeySpec::Aes256, &context()).await.err().unwrap(),
        kms.unwrap_data_key(&data_key.wrapped, &context()).await.err().unwrap(),
    ] {
        assert!(matches!(&error, KmsError::KeyNotFound(id) if id == "a"), "{error}");
    }
}

#[tokio::test]
async fn two_keys_of_one_name_are_refused() {
    let server = server();
    let config = config(&server);
    let prefix = &config.key_prefix;
    server.python(&format!("for _ in range(2): c.activate(c.create(AES, 256, name='{prefix}twin', cryptographic_usage_mask=mask))"));
    let error = open(&config).generate_data_key("twin", DataKeySpec::Aes256, &context()).await.err().unwrap();
    assert!(matches!(&error, KmsError::Broken(text) if text.starts_with("the KMIP server has two keys named")), "{error}");
}

#[tokio::test]
async fn a_server_that_ignores_additional_data_is_not_used() {
    let server = PyKmip::start_ignoring_additional_data();
    let kms = open(&config(&server));
    create(&kms, "a").await;
    for _twice in 0..2 {
        let error = kms.generate_data_key("a", DataKeySpec::Aes256, &context()).await.err().unwrap();
        assert!(matches!(&error, KmsError::Broken(text) if text.contains("ignores Authenticated Encryption Additional Data")), "{error}");
    }
}

#[tokio::test]
async fn what_is_no_kmip_server_is_told_apart() {
    let server = server();
    // PyKMIP answers on TLS only; a plain listener that speaks something else ends the handshake.
    let plain = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = plain.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = plain.accept().await {
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let error = open(&Config { address, ..config(&server) }).check_usable("a").await.err().unwrap();
    assert!(matches!(&error, KmsError::Unavailable(text) if text.contains("connecting to the KMIP server")), "{error}");
}
