//! The conformance suite on a token of SoftHSM.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;

use common::{LABEL, PIN, config, context, create, open, with_token};
use strongroom_kms::conformance::{Backend, run_all};
use strongroom_kms::{DataKeySpec, KeyLifecycle, KeyService, KmsError, NewKey, random_key_id};
use zeroize::Zeroizing;

#[test]
fn the_pkcs11_backend_conforms() {
    with_token!(async |softhsm| {
        let _ = softhsm;
        run_all(async || {
            let kms = Arc::new(open(strongroom_kms_pkcs11::Config { key_prefix: format!("{}/", random_key_id().unwrap()), ..config() }));
            create(&*kms, "first").await;
            create(&*kms, "second").await;
            Backend { service: kms.clone(), lifecycle: Some(kms), key_ids: ["first".to_owned(), "second".to_owned()], keep: Box::new(()) }
        })
        .await;
    });
}

#[test]
fn a_key_on_the_token_is_sensitive_and_never_leaves() {
    with_token!(async |softhsm| {
        create(&open(config()), "a").await;
        let objects = softhsm.tool(LABEL, PIN, &["--list-objects", "--type", "secrkey"]);
        assert!(objects.contains("label:      a"), "{objects}");
        assert!(objects.contains("ID:         00000001"), "{objects}");
        assert!(objects.contains("Usage:      encrypt, decrypt\n"), "{objects}");
        assert!(objects.contains("Access:     sensitive, always sensitive, never extractable, local"), "{objects}");
    });
}

#[test]
fn a_key_made_with_the_vendors_tool_is_used() {
    with_token!(async |softhsm| {
        softhsm.tool(LABEL, PIN, &["--keygen", "--key-type", "AES:32", "--label", "s3-kek", "--id", "01", "--sensitive"]);
        let kms = open(config());
        let data_key = kms.generate_data_key("s3-kek", DataKeySpec::Aes256, &context()).await.unwrap();
        assert_eq!(data_key.wrapped.key_version, 1);
        assert!(kms.unwrap_data_key(&data_key.wrapped, &context()).await.unwrap() == data_key.plaintext);
        assert_eq!(kms.rotate_key("s3-kek").await.unwrap().current_version, 2);
        assert!(kms.unwrap_data_key(&data_key.wrapped, &context()).await.unwrap() == data_key.plaintext);
    });
}

#[test]
fn a_key_of_128_bits_is_not_used() {
    with_token!(async |softhsm| {
        softhsm.tool(LABEL, PIN, &["--keygen", "--key-type", "AES:16", "--label", "short", "--id", "01"]);
        let error = open(config()).generate_data_key("short", DataKeySpec::Aes256, &context()).await.err().unwrap();
        assert_eq!(error.to_string(), "version 1 of the key short on the token is no AES-256 key");
    });
}

#[test]
fn two_keys_of_one_label_and_version_are_refused() {
    with_token!(async |softhsm| {
        for _twice in 0..2 {
            softhsm.tool(LABEL, PIN, &["--keygen", "--key-type", "AES:32", "--label", "twin", "--id", "01"]);
        }
        let error = open(config()).generate_data_key("twin", DataKeySpec::Aes256, &context()).await.err().unwrap();
        assert!(matches!(&error, KmsError::Broken(text) if text.starts_with("the token holds two keys labelled \"twin\"")), "{error}");
    });
}

#[test]
fn the_layout_is_format_version_iv_ciphertext_tag() {
    with_token!(async |softhsm| {
        let _ = softhsm;
        let kms = open(config());
        create(&kms, "a").await;
        let one = kms.generate_data_key("a", DataKeySpec::Aes256, &context()).await.unwrap().wrapped.ciphertext;
        let two = kms.generate_data_key("a", DataKeySpec::TwoAes256, &context()).await.unwrap().wrapped.ciphertext;
        assert_eq!((one.len(), two.len()), (1 + 4 + 12 + 32 + 16, 1 + 4 + 12 + 64 + 16));
        assert_eq!(one[..5], [1, 0, 0, 0, 1]);
        assert_ne!(one[5..17], two[5..17], "no IV is drawn twice");
    });
}

/// Opens what was wrapped on the token with another implementation, from docs/kms/pkcs11.md alone: the material is known, being imported.
#[test]
fn a_data_key_wrapped_on_the_token_is_plain_aes_256_gcm() {
    with_token!(async |softhsm| {
        let _ = softhsm;
        let kms = open(config());
        let name = NewKey { name: Some("own".to_owned()), ..NewKey::default() };
        kms.import_key(name, Zeroizing::new(vec![0x11; 32])).await.unwrap();
        let data_key = kms.generate_data_key("own", DataKeySpec::Aes256, &context()).await.unwrap();
        let (header, sealed) = data_key.wrapped.ciphertext.split_at(17);
        let mut aad = b"strongroom/kms/pkcs11/data-key/v1\0\0\0\x03own\0\0\0\x01\0\0\0\x20".to_vec();
        aad.extend_from_slice(b"\0\0\0\x06bucket\0\0\0\x06photos");
        let key = aws_lc_rs::aead::UnboundKey::new(&aws_lc_rs::aead::AES_256_GCM, &[0x11; 32]).unwrap();
        let nonce = aws_lc_rs::aead::Nonce::try_assume_unique_for_key(&header[5..]).unwrap();
        let mut opened = sealed.to_vec();
        let opened = aws_lc_rs::aead::LessSafeKey::new(key).open_in_place(nonce, aws_lc_rs::aead::Aad::from(aad), &mut opened).unwrap();
        assert!(*opened == **data_key.plaintext);
    });
}
