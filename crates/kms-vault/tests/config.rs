//! The forms of the configuration, and what is wrong with a bad one.
#![allow(clippy::unwrap_used)]

mod common;

use serde_json::{Value, json};
use strongroom_kms::KmsError;
use strongroom_kms_vault::{AuthMethod, Config, Engine, open};

fn parse(fields: Value) -> Result<Config, serde_json::Error> {
    let mut all = json!({ "address": "https://vault:8200", "auth_method": { "token": "s.abc" } });
    let Value::Object(fields) = fields else { panic!() };
    for (name, value) in fields {
        all[name] = value;
    }
    serde_json::from_value(all)
}

#[test]
fn what_is_not_given_is_as_documented() {
    let config = parse(json!({})).unwrap();
    assert_eq!(config.engine, Engine::Transit);
    assert_eq!(
        (config.mount_path.as_str(), config.kv_mount.as_str(), config.key_path_prefix.as_str()),
        ("transit", "secret", "strongroom")
    );
    assert!(!config.skip_tls_verify && config.namespace.is_none());
}

#[test]
fn a_token_is_written_in_either_form() {
    for form in [json!("s.abc"), json!({ "token": "s.abc" })] {
        let config = parse(json!({ "auth_method": { "token": form } })).unwrap();
        assert!(matches!(&config.auth_method, AuthMethod::Token(token) if token.expose() == "s.abc"));
        assert_eq!(serde_json::to_value(&config).unwrap()["auth_method"], json!({ "token": "s.abc" }));
    }
}

#[test]
fn every_method_survives_being_stored() {
    for method in [
        json!({ "token_file": "/run/token" }),
        json!({ "approle": { "role_id": "r", "secret_id": "s", "mount": "approle" } }),
        json!({ "kubernetes": { "role": "r", "jwt_file": "/run/jwt", "mount": "k8s" } }),
        json!({ "cert": { "role": "r", "mount": "cert" } }),
    ] {
        let config = parse(json!({ "auth_method": method })).unwrap();
        assert_eq!(serde_json::to_value(&config).unwrap()["auth_method"], method);
    }
}

#[test]
fn an_unknown_field_is_refused() {
    for fields in [json!({ "adress": "x" }), json!({ "auth_method": { "approle": { "role_id": "r", "secret_id": "s", "x": 1 } } })] {
        assert!(parse(fields).is_err());
    }
}

#[test]
fn a_bad_value_is_refused_by_the_name_of_its_field() {
    for (field, value) in [
        ("address", json!("vault:8200")),
        ("address", json!("https://user:pw@vault:8200")),
        ("address", json!("ftp://vault")),
        ("mount_path", json!("")),
        ("mount_path", json!("/transit")),
        ("mount_path", json!("a/../sys")),
        ("kv_mount", json!("a?b")),
        ("key_path_prefix", json!("a//b")),
        ("namespace", json!("a b")),
        ("token", json!({ "token": "" })),
        ("approle.secret_id", json!({ "approle": { "role_id": "r", "secret_id": "" } })),
        ("kubernetes.role", json!({ "kubernetes": { "role": "" } })),
        ("client_cert_file", json!({ "cert": {} })),
    ] {
        let name = if value.is_object() { "auth_method" } else { field };
        let config = parse(json!({ name: value })).unwrap();
        let answer = open("vault", &config);
        assert_error!(answer, KmsError::InvalidArgument(_), field);
    }
    let config = parse(json!({ "ca_file": "/no/such/ca.pem" })).unwrap();
    assert_error!(open("vault", &config), KmsError::InvalidArgument(_), "ca_file: the file is refused");
}
