//! Secrets that others stored, used as keys.

use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::json;
use strongroom_kms::{KmsError, MaterialStore};
use strongroom_testbed::barbican::S3;

use crate::common::{assert_opens, broken, generate, open, own_project, password_config, server};
use crate::rest::Rest;

const KEY: [u8; 32] =
    *b"\xfe\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f";

/// `openstack secret store` as seed 001 has it, and the id of what it stored.
fn openstack_store(payload: &str, more: &[&str]) -> impl FnOnce() -> String + use<> {
    let mut command: Command = server().openstack(S3);
    command.args(["secret", "store", "--name", "objectSecret", "--algorithm", "aes", "--bit-length", "256", "--payload", payload]);
    command.args(["-f", "value", "-c", "Secret href"]).args(more);
    move || {
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().rsplit('/').next().unwrap().to_owned()
    }
}

#[tokio::test]
async fn what_the_openstack_command_stores_in_any_form_is_a_key() {
    let raw = "oHei3aeth7ohSh2ooXai8Phe0aiH4Zai";
    let (hex, base64) = (hex::encode(KEY), BASE64.encode(KEY));
    let text = ["--payload-content-type", "text/plain"];
    let binary = ["--payload-content-type", "application/octet-stream", "--payload-content-encoding", "base64"];
    let stored = [
        (openstack_store(raw, &[]), raw.as_bytes().to_vec()),
        (openstack_store(&hex, &[]), KEY.to_vec()),
        (openstack_store(&base64, &[]), KEY.to_vec()),
        (openstack_store(base64.trim_end_matches('='), &[]), KEY.to_vec()),
        (openstack_store(&base64, &binary), KEY.to_vec()),
        (openstack_store(&hex, &text), KEY.to_vec()),
    ];
    let kms = open(password_config(S3));
    let stored = stored.map(|(store, expected)| (tokio::task::spawn_blocking(store), expected));
    for (id, expected) in stored {
        let id = id.await.unwrap();
        let material = kms.material(&id, None).await.unwrap();
        assert_eq!((material.key_id.as_str(), material.version, material.bytes.to_vec()), (id.as_str(), 1, expected));
        assert_opens(&kms, &generate(&kms, &id).await.unwrap()).await;
    }
}

#[tokio::test]
async fn a_payload_of_another_length_is_refused_with_the_rule() {
    let config = own_project();
    let (rest, kms) = (Rest::beside(&config), open(config));
    for len in [1, 31, 33, 42, 45, 63, 65] {
        let id = rest.store_text(&"7".repeat(len)).await;
        let text = broken(generate(&kms, &id).await);
        assert!(text.starts_with(&format!("the payload of the secret {id} ({len} bytes) is no key: a key is 32 bytes")), "{text}");
        assert!(!text.contains(&"7".repeat(len.max(3))), "{text}");
    }
    let payload = BASE64.encode([7; 31]);
    let short = json!({"payload": payload, "payload_content_type": "application/octet-stream", "payload_content_encoding": "base64"});
    let id = rest.store(short).await;
    assert!(broken(generate(&kms, &id).await).contains("(31 bytes)"));
}

#[tokio::test]
async fn a_secret_without_payload_is_refused() {
    let config = own_project();
    let (rest, kms) = (Rest::beside(&config), open(config));
    let empty = rest.store(json!({"name": "empty", "algorithm": "aes", "bit_length": 256})).await;
    assert_eq!(broken(generate(&kms, &empty).await), format!("the secret {empty} has no payload (status ACTIVE)"));
}

#[tokio::test]
async fn what_is_no_uuid_is_not_found_without_asking() {
    let config = strongroom_kms_barbican::BarbicanConfig { endpoint: Some("http://127.0.0.1:9".to_owned()), ..own_project() };
    let kms = open(config);
    for id in ["photos", "00000000-0000-4000-8000-00000000000g", "00000000000040008000000000000000", "000000000-000-4000-8000-000000000000"]
    {
        assert!(matches!(generate(&kms, id).await, Err(KmsError::KeyNotFound(name)) if name == id), "{id}");
    }
}
