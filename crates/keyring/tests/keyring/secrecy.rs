//! No secret is in anything that is shown.

use serde_json::{Value, json};
use strongroom_keyring::Configuration;
use strongroom_kms::KeyService;

use crate::support::{World, change, context, failure, generate, memory};

#[tokio::test]
async fn no_secret_is_in_the_status_the_configuration_the_numbers_or_any_debug_text() {
    let world = World::new().await;
    world.server("b");
    let keyring = world.running().await;
    let mut login = memory("b");
    login["auth"] = json!({"login": {"user": "store", "password": "canary-password"}});
    keyring.reconfigure(change(login.clone())).await.unwrap();
    let stored = String::from_utf8(world.state.get("kms-service").unwrap()).unwrap();
    for secret in ["canary-password", "canary-right-token"] {
        assert!(stored.contains(secret), "the test is blind: {secret} is not in use");
    }
    let shown = [
        serde_json::to_string(&keyring.status().await).unwrap(),
        format!("{:?}", keyring.status().await),
        keyring.configuration().unwrap().to_string(),
        serde_json::to_string(&keyring.metrics()).unwrap(),
        format!("{:?}", change(login.clone())),
        format!("{:?}", Configuration::new(&change(login)).unwrap()),
    ];
    for text in shown {
        assert!(!text.contains("canary"), "{text}");
    }
    let configuration = keyring.configuration().unwrap();
    assert_eq!(configuration["backends"]["a"]["auth"]["token"]["token"], "***redacted***");
    assert_eq!(configuration["backends"]["b"]["auth"]["login"]["user"], "store");
    assert_eq!(configuration["backends"]["b"]["address"], "b");
}

#[tokio::test]
async fn no_secret_is_in_an_error() {
    let world = World::new().await;
    let keyring = world.running().await;
    let master = "Y2FuYXJ5LWNhbmFyeS1jYW5hcnktY2FuYXJ5LWNhbg==".to_owned() + "canary";
    for given in [
        json!({"auth": "canary"}),
        json!({"auth": {"canary": "canary"}}),
        json!({"auth": {"token": {"token": ["canary"]}}}),
        json!({"auth": {"token": {"token": "canary-wrong"}}}),
        json!({"pool_size": "canary"}),
        json!({"name": "l", "backend_type": "local", "key_dir": world.path("l"), "master_key": master}),
        json!({"name": "l", "backend_type": "local", "key_dir": ["canary"], "master_key": "canary"}),
        json!({"backend_type": "local", "master_key": "canary"}),
        json!({"backend_type": "local", "master_key": {"canary": "canary"}}),
        json!({"backend_type": "local", "file_permissions": "canary"}),
    ] {
        let (name, text) = failure(keyring.reconfigure(change(given.clone())).await);
        assert!(name == "InvalidArgument" || name == "Denied", "{given}: {name}");
        assert!(!text.contains("canary") && !text.contains("Y2Fu"), "{given}: {text}");
    }
    let key = generate(&*keyring, "first").await.unwrap();
    keyring.seal().await.unwrap();
    let (_, text) = failure(keyring.unwrap_data_key(&key.wrapped, &context()).await);
    assert!(!text.contains("canary"));
}

#[tokio::test]
async fn a_type_that_is_not_known_any_more_is_shown_without_any_value() {
    let world = World::new().await;
    drop(world.running().await);
    let mut stored: Value = serde_json::from_slice(&world.state.get("kms-service").unwrap()).unwrap();
    stored["configuration"]["backends"]["a"]["backend_type"] = json!("gone");
    world.state.put("kms-service", stored.to_string().as_bytes());
    let keyring = world.open().await;
    let status = keyring.status().await;
    assert_eq!(serde_json::to_value(status.status).unwrap(), "Error");
    assert!(status.error.unwrap().contains("there is no such backend_type"));
    let shown = keyring.configuration().unwrap();
    assert_eq!(shown["backends"]["a"]["address"], "***redacted***");
    assert!(!shown.to_string().contains("canary"));
    assert_eq!(failure(keyring.check_usable("first").await).0, "Unavailable");
}
