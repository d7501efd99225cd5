//! The conformance suite on PyKMIP, and what lies on the server then.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;

use common::{config, context, create, open, server};
use strongroom_kms::conformance::{Backend, run_all};
use strongroom_kms::{DataKeySpec, KeyLifecycle, KeyService, KeyState, KmsError, NewKey};
use strongroom_kms_kmip::Config;
use strongroom_testbed::pykmip::PyKmip;
use time::{Duration, OffsetDateTime};
use zeroize::Zeroizing;

#[tokio::test]
async fn the_kmip_backend_conforms() {
    let server = server();
    run_all(async || {
        let kms = Arc::new(open(&config(&server)));
        create(&*kms, "first").await;
        create(&*kms, "second").await;
        Backend { service: kms.clone(), lifecycle: Some(kms), key_ids: ["first".to_owned(), "second".to_owned()], keep: Box::new(()) }
    })
    .await;
}

#[tokio::test]
async fn a_key_lies_on_the_server_under_its_own_name_version_by_version() {
    let server = server();
    let config = config(&server);
    let kms = open(&config);
    create(&kms, "a").await;
    kms.rotate_key("a").await.unwrap();
    let prefix = &config.key_prefix;
    for name in ["a", "a#2"] {
        let attributes = server.python(&format!(
            "[uid] = uids('{prefix}{name}')\n\
             names = ['Object Group', 'Sensitive', 'Cryptographic Length', 'State']\n\
             print([str(a.attribute_value.value) for a in c.get_attributes(uid, names)[1]])"
        ));
        assert_eq!(attributes, format!("['{prefix}a', 'True', '256', 'State.ACTIVE']"), "{name}");
    }
}

#[tokio::test]
async fn a_key_made_with_another_client_is_used_and_rotated() {
    let server = server();
    let config = config(&server);
    let prefix = &config.key_prefix;
    server.python(&format!("c.activate(c.create(AES, 256, name='{prefix}s3-kek', cryptographic_usage_mask=mask))"));
    let kms = open(&config);
    let data_key = kms.generate_data_key("s3-kek", DataKeySpec::Aes256, &context()).await.unwrap();
    assert_eq!(data_key.wrapped.key_version, 1);
    assert_eq!(kms.rotate_key("s3-kek").await.unwrap().current_version, 2);
    assert!(kms.unwrap_data_key(&data_key.wrapped, &context()).await.unwrap() == data_key.plaintext);
    let data_key = kms.generate_data_key("s3-kek", DataKeySpec::Aes256, &context()).await.unwrap();
    assert_eq!(data_key.wrapped.key_version, 2);
}

#[tokio::test]
async fn a_key_tells_when_each_version_was_made() {
    let server = server();
    let kms = open(&config(&server));
    create(&kms, "a").await;
    let described = kms.rotate_key("a").await.unwrap();
    assert_eq!(described.versions.len(), 2);
    for version in &described.versions {
        let age = OffsetDateTime::now_utc() - version.created;
        assert!(age >= Duration::ZERO && age < Duration::minutes(2), "{age}");
    }
}

#[tokio::test]
async fn a_deleted_key_is_gone_from_the_server() {
    let server = server();
    let config = config(&server);
    let kms = open(&config);
    create(&kms, "a").await;
    kms.rotate_key("a").await.unwrap();
    assert_eq!(kms.delete_now("a", "a").await.unwrap().state, KeyState::Erased);
    let prefix = &config.key_prefix;
    assert_eq!(server.python(&format!("print(uids('{prefix}a'), uids('{prefix}a#2'))")), "[] []");
}

/// The material is known, being imported, so another implementation opens it, from docs/kms/kmip.md alone.
#[tokio::test]
async fn a_data_key_wrapped_on_the_server_is_plain_aes_256_gcm() {
    let server = server();
    let kms = open(&config(&server));
    let name = NewKey { name: Some("own".to_owned()), ..NewKey::default() };
    kms.import_key(name, Zeroizing::new(vec![0x11; 32])).await.unwrap();
    let data_key = kms.generate_data_key("own", DataKeySpec::Aes256, &context()).await.unwrap();
    let wrapped = &data_key.wrapped.ciphertext;
    assert_eq!((wrapped.len(), &wrapped[..5]), (1 + 4 + 12 + 32 + 16, [1, 0, 0, 0, 1].as_slice()));
    let mut aad = b"strongroom/kms/kmip/data-key/v1\0\0\0\x03own\0\0\0\x01\0\0\0\x20".to_vec();
    aad.extend_from_slice(b"\0\0\0\x06bucket\0\0\0\x06photos");
    let key = aws_lc_rs::aead::UnboundKey::new(&aws_lc_rs::aead::AES_256_GCM, &[0x11; 32]).unwrap();
    let nonce = aws_lc_rs::aead::Nonce::try_assume_unique_for_key(&wrapped[5..17]).unwrap();
    let mut opened = wrapped[17..].to_vec();
    let opened = aws_lc_rs::aead::LessSafeKey::new(key).open_in_place(nonce, aws_lc_rs::aead::Aad::from(aad), &mut opened).unwrap();
    assert!(*opened == **data_key.plaintext);
}

#[tokio::test]
async fn more_keys_than_one_answer_lists_are_paged_to_the_end() {
    // Its own, since each key makes PyKMIP slower for all.
    let server = PyKmip::start();
    let config = config(&server);
    let prefix = &config.key_prefix;
    server.python(&format!("for n in range(510): c.create(AES, 256, name='{prefix}k%03d' % n, cryptographic_usage_mask=mask)"));
    let kms = open(&config);
    let first = kms.list_keys(None, 2).await.unwrap();
    assert_eq!(first.keys.iter().map(|key| key.key_id.as_str()).collect::<Vec<_>>(), ["k000", "k001"]);
    assert_eq!(first.keys[0].state, KeyState::Disabled, "it was never activated");
    let last = kms.list_keys(Some("k507"), 1000).await.unwrap();
    assert_eq!(last.keys.iter().map(|key| key.key_id.as_str()).collect::<Vec<_>>(), ["k508", "k509"]);
    assert_eq!(last.next, None);
}

#[tokio::test]
async fn mistakes_in_the_configuration_name_their_field() {
    let server = server();
    let right = config(&server);
    for (mistake, field) in [
        (Config { address: "a:b:c".to_owned(), ..right.clone() }, "address"),
        (Config { address: "a b".to_owned(), ..right.clone() }, "address"),
        (Config { server_name: Some("a b".to_owned()), ..right.clone() }, "server_name"),
        (Config { username: Some("u".to_owned()), ..right.clone() }, "password"),
        (Config { key_prefix: "a#".to_owned(), ..right.clone() }, "key_prefix"),
        (Config { max_connections: 65, ..right.clone() }, "max_connections"),
        (Config { ca_file: Some("/nonexistent/ca.pem".into()), ..right.clone() }, "ca_file: the file is refused"),
        (Config { client_key_file: server.file("client.pem"), ..right.clone() }, "client_key_file: the file is refused"),
    ] {
        let Err(KmsError::InvalidArgument(text)) = strongroom_kms_kmip::KmipKms::new("kmip", mistake) else { panic!("{field}") };
        assert!(text.contains(field), "{text}");
    }
}
