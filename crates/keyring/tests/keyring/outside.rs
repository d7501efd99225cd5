//! Every backend that is a crate of its own: made from its fields, and shown without its secrets. No server is needed for that.
#![cfg(all(feature = "aws", feature = "barbican", feature = "kmip", feature = "pkcs11", feature = "vault"))]

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{World, change, failure};

/// A configuration of each type in each form, with a canary in every field that is secret.
fn configurations(world: &World) -> Vec<Value> {
    let (secret, certificate) = ("canary", rcgen::generate_simple_self_signed(["store".to_owned()]).unwrap());
    let (cert_file, key_file) = (world.path("cert.pem"), world.path("key.pem"));
    std::fs::write(&cert_file, certificate.cert.pem()).unwrap();
    std::fs::write(&key_file, certificate.signing_key.serialize_pem()).unwrap();
    vec![
        json!({"backend_type": "vault", "address": "https://127.0.0.1:1", "auth_method": {"token": secret}}),
        json!({"backend_type": "vault", "address": "https://127.0.0.1:1", "auth_method": {"token": {"token": secret}}, "engine": "kv"}),
        json!({"backend_type": "vault", "address": "https://127.0.0.1:1",
               "auth_method": {"approle": {"role_id": "reader", "secret_id": secret}}, "namespace": "team"}),
        json!({"backend_type": "barbican", "auth_url": "https://127.0.0.1:1/v3", "username": "store", "password": secret,
               "project_name": "keys"}),
        json!({"backend_type": "barbican", "auth_method": "application_credential", "auth_url": "https://127.0.0.1:1/v3",
               "application_credential_id": "id", "application_credential_secret": secret}),
        json!({"backend_type": "aws", "region": "eu-central-1", "endpoint": "http://127.0.0.1:1", "access_key_id": "AKIAEXAMPLE",
               "secret_access_key": secret, "session_token": secret}),
        json!({"backend_type": "pkcs11", "module": "/nowhere/module.so", "token_label": "store", "pin": secret}),
        json!({"backend_type": "kmip", "address": "127.0.0.1:1", "ca_file": cert_file, "client_cert_file": cert_file,
               "client_key_file": key_file, "username": "store", "password": secret}),
    ]
}

#[tokio::test]
async fn every_backend_is_configured_without_its_server_and_shown_without_its_secrets() {
    let count = configurations(&World::new().await).len();
    for number in 0..count {
        let world = World::new().await;
        let mut given = configurations(&world).remove(number);
        let keyring = world.open().await;
        let name = format!("b{number}");
        given["name"] = json!(name);
        if given.get("module").is_some() {
            given["module"] = json!(world.path("module.so"));
        }
        keyring.configure(change(given.clone())).await.unwrap();
        let backend = keyring.kms(None).unwrap();
        assert_eq!(backend.backend(), name);
        let stored = String::from_utf8(world.state.get("kms-service").unwrap()).unwrap();
        assert!(stored.contains("canary"), "the test is blind: {given}");
        let shown = keyring.configuration().unwrap();
        let status = serde_json::to_string(&keyring.status().await).unwrap();
        for text in [shown.to_string(), status, format!("{:?}", change(given.clone()))] {
            assert!(!text.contains("canary"), "{text}");
        }
        // What is no secret is shown.
        let address = ["address", "auth_url", "endpoint", "module"].into_iter().find(|field| given.get(field).is_some()).unwrap();
        assert_eq!(shown["backends"][&name][address], given[address]);
        // A field that is wrong is named, and no value with it.
        let (kind, text) = failure(keyring.reconfigure(change(json!({"no_such_field": "canary"}))).await);
        assert_eq!(kind, "InvalidArgument");
        assert!(text.contains("no_such_field") && !text.contains("canary"), "{text}");
    }
}

#[tokio::test]
async fn another_way_to_log_in_takes_the_place_of_the_former_and_a_part_of_it_leaves_the_rest() {
    let world = World::new().await;
    let keyring = world.open().await;
    keyring.configure(change(configurations(&world).remove(0))).await.unwrap();
    let approle = json!({"auth_method": {"approle": {"role_id": "reader", "secret_id": "canary-2"}}});
    keyring.reconfigure(change(approle)).await.unwrap();
    keyring.reconfigure(change(json!({"auth_method": {"approle": {"role_id": "writer"}}}))).await.unwrap();
    let stored: Value = serde_json::from_slice(&world.state.get("kms-service").unwrap()).unwrap();
    let auth = &stored["configuration"]["backends"]["vault"]["fields"]["auth_method"];
    assert_eq!(auth, &json!({"approle": {"role_id": "writer", "secret_id": "canary-2"}}));
    let token = json!({"auth_method": {"token": "canary-3"}});
    keyring.reconfigure(change(token.clone())).await.unwrap();
    let stored: Value = serde_json::from_slice(&world.state.get("kms-service").unwrap()).unwrap();
    assert_eq!(stored["configuration"]["backends"]["vault"]["fields"]["auth_method"], token["auth_method"]);
}

#[tokio::test]
async fn the_token_of_the_pods_service_account_is_not_sent_where_a_change_over_http_says() {
    let world = World::new().await;
    let keyring = world.open().await;
    let given = |kubernetes: Value| {
        change(json!({"name": "x", "backend_type": "vault", "address": "https://127.0.0.1:1", "auth_method": {"kubernetes": kubernetes}}))
    };
    for kubernetes in
        [json!({"role": "r"}), json!(["r"]), json!({"role": "r", "jwt_file": "/var/run/secrets/kubernetes.io/serviceaccount/token"})]
    {
        let (kind, text) = failure(keyring.configure(given(kubernetes)).await);
        assert_eq!((kind.as_str(), text.starts_with("auth_method.kubernetes.jwt_file: ")), ("InvalidArgument", true), "{text}");
    }
    keyring.configure(given(json!({"role": "r", "jwt_file": world.path("jwt")}))).await.unwrap();
}

#[tokio::test]
async fn the_credentials_of_the_machine_are_not_sent_where_a_change_over_http_says() {
    let keyring = World::new().await.open().await;
    for endpoint in ["endpoint", "sts_endpoint"] {
        let given = json!({"name": "x", "backend_type": "aws", "region": "eu-central-1", endpoint: "https://127.0.0.1:1"});
        let (kind, text) = failure(keyring.configure(change(given.clone())).await);
        assert_eq!((kind.as_str(), text.starts_with(&format!("{endpoint}: "))), ("InvalidArgument", true), "{text}");
    }
    keyring.configure(change(json!({"name": "x", "backend_type": "aws", "region": "eu-central-1"}))).await.unwrap();
}

/// Every field of every backend that names a file, with a configuration that is whole but for it.
fn file_fields() -> Vec<(Value, &'static str)> {
    let vault = json!({"backend_type": "vault", "address": "https://127.0.0.1:1", "auth_method": {"token": "t"}});
    let barbican = json!({"backend_type": "barbican", "auth_url": "https://127.0.0.1:1/v3", "username": "u", "password": "p",
                          "project_name": "keys"});
    let aws = json!({"backend_type": "aws", "region": "eu-central-1", "access_key_id": "A", "secret_access_key": "s"});
    let pkcs11 = json!({"backend_type": "pkcs11", "token_label": "t", "pin": "1234"});
    let kmip = json!({"backend_type": "kmip", "address": "127.0.0.1:1"});
    let tls = ["ca_file", "client_cert_file", "client_key_file"];
    let mut fields = vec![(aws, "ca_file"), (pkcs11, "module")];
    for backend in [vault, barbican, kmip] {
        fields.extend(tls.map(|field| (backend.clone(), field)));
    }
    fields
}

/// The answer to a change that names `path`, with the rest of the pair from a place that is trusted.
async fn answer(
    keyring: &strongroom_keyring::Keyring,
    (backend, field): &(Value, &str),
    pair: [&Path; 2],
    path: &Path,
) -> (String, String) {
    let mut given = backend.clone();
    given["name"] = json!("x");
    if field.starts_with("client") || given["backend_type"] == "kmip" {
        given["client_cert_file"] = json!(pair[0]);
        given["client_key_file"] = json!(pair[1]);
    }
    given[*field] = json!(path);
    failure(keyring.configure(change(given)).await)
}

#[tokio::test]
async fn a_file_of_the_server_gets_one_answer_whatever_is_in_it_and_for_every_field_of_every_backend() {
    let (world, server) = (World::new().await, tempfile::tempdir().unwrap());
    let keyring = world.open().await;
    let pair = rcgen::generate_simple_self_signed(["store".to_owned()]).unwrap();
    let (cert, key) = (world.path("cert.pem"), world.path("key.pem"));
    for (cert, key) in [(&cert, &key), (&server.path().join("server.pem"), &server.path().join("server.key"))] {
        std::fs::write(cert, pair.cert.pem()).unwrap();
        std::fs::write(key, pair.signing_key.serialize_pem()).unwrap();
    }
    std::fs::write(server.path().join("text"), "a secret").unwrap();
    std::os::unix::fs::symlink(server.path().join("server.pem"), world.path("link")).unwrap();
    for of in file_fields() {
        let mut answers = Vec::new();
        for name in ["server.pem", "server.key", "text", "missing", "no/such/place", ""] {
            answers.push(answer(&keyring, &of, [&cert, &key], &server.path().join(name)).await);
        }
        answers.push(answer(&keyring, &of, [&cert, &key], &world.path("link")).await);
        if of.1 != "module" {
            // In a place that is trusted, a file that is of no use reads the same.
            std::fs::write(world.path("text"), "a secret").unwrap();
            for name in ["text", "missing", ""] {
                answers.push(answer(&keyring, &of, [&cert, &key], &world.path(name)).await);
            }
        }
        let expected = ("InvalidArgument".to_owned(), format!("{}: {}", of.1, strongroom_outbound::FILE_REFUSED));
        assert!(answers.iter().all(|answer| *answer == expected), "{of:?}: {answers:?}");
        assert_eq!(keyring.configuration(), None, "nothing was configured");
    }
}
