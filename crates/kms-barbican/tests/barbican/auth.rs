//! Logging in, staying logged in, and being thrown out.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use strongroom_kms::{KeyLifecycle, KeyService, KmsError, NewKey, Secret};
use strongroom_kms_barbican::{AuthMethod, BarbicanConfig, BarbicanKms};
use strongroom_testbed::barbican::{OTHER, REGION, S3};
use tokio::task::JoinSet;

use crate::common::{assert_opens, denied, empty_config, generate, keystone_url, new_key, open, password_config, server, unavailable};
use crate::keystone::{Keystone, until_refused};
use crate::proxy::{Fault, Proxy};

/// A backend whose logins go through a proxy.
async fn proxied() -> (Proxy, BarbicanKms) {
    let proxy = Proxy::before(keystone_url()).await;
    let kms = open(BarbicanConfig { auth_url: Some(proxy.url.clone()), ..password_config(S3) });
    (proxy, kms)
}

/// A backend of a new user with this role, whose logins go through a proxy; the user's id.
async fn proxied_user(admin: &Keystone, role: &str) -> (Proxy, BarbicanConfig, String) {
    let (user_id, name) = admin.new_user(S3.project, role).await;
    let proxy = Proxy::before(keystone_url()).await;
    let password = Some(Secret::new("initial"));
    let config = BarbicanConfig { auth_url: Some(proxy.url.clone()), username: Some(name), password, ..password_config(S3) };
    (proxy, config, user_id)
}

#[tokio::test]
async fn barbican_is_found_in_the_catalog_by_region_and_interface() {
    for (region, interface) in [(None, "public"), (Some(REGION), "internal"), (Some(REGION), "admin")] {
        let config = BarbicanConfig { region: region.map(str::to_owned), interface: interface.to_owned(), ..password_config(S3) };
        new_key(&open(config)).await;
    }
    let nowhere = BarbicanConfig { region: Some("Atlantis".to_owned()), ..password_config(S3) };
    let expected = "Keystone's catalog has no key-manager endpoint (interface public, region Atlantis): set endpoint";
    assert_eq!(unavailable(open(nowhere.clone()).create_key(NewKey::default()).await), expected);
    new_key(&open(BarbicanConfig { endpoint: Some(server().url.clone()), ..nowhere })).await;
}

#[tokio::test]
async fn an_application_credential_serves_until_it_is_deleted() {
    let keystone = Keystone::login(S3).await;
    let (id, secret) = keystone.new_application_credential().await;
    let proxy = Proxy::before(keystone_url()).await;
    let config = BarbicanConfig {
        auth_method: AuthMethod::ApplicationCredential,
        auth_url: Some(proxy.url.clone()),
        application_credential_id: Some(id.clone()),
        application_credential_secret: Some(Secret::new(&secret)),
        ..empty_config()
    };
    let kms = open(config.clone());
    let key_id = new_key(&kms).await;
    assert_opens(&kms, &generate(&kms, &key_id).await.unwrap()).await;
    assert_opens(&open(password_config(S3)), &generate(&kms, &key_id).await.unwrap()).await;
    keystone.delete_application_credential(&id).await;
    until_refused(&proxy.last_token()).await;
    let text = denied(generate(&kms, &key_id).await);
    assert!(text.contains(&format!("refuses the application credential {id}")) && !text.contains(&secret), "{text}");
    denied(generate(&open(config), &key_id).await);
}

#[tokio::test]
async fn a_revoked_token_is_replaced_by_one_login() {
    let (proxy, kms) = proxied().await;
    let key_id = new_key(&kms).await;
    let data_key = generate(&kms, &key_id).await.unwrap();
    assert_eq!(proxy.requests(), 1, "one token serves every call");
    Keystone::admin().await.revoke(&proxy.last_token()).await;
    assert_opens(&kms, &data_key).await;
    assert_eq!(proxy.requests(), 2);
    assert_opens(&kms, &data_key).await;
    assert_eq!(proxy.requests(), 2);
}

#[tokio::test]
async fn a_token_is_renewed_before_it_expires() {
    let (proxy, kms) = proxied().await;
    let key_id = new_key(&kms).await;
    let pass = async |minutes: u64| {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(minutes * 60)).await;
        tokio::time::resume();
    };
    pass(53).await;
    generate(&kms, &key_id).await.unwrap();
    assert_eq!(proxy.requests(), 1, "Keystone's tokens live an hour");
    pass(2).await;
    generate(&kms, &key_id).await.unwrap();
    assert_eq!(proxy.requests(), 2);
}

#[tokio::test]
async fn many_callers_share_one_login_and_one_failure() {
    let (proxy, kms) = proxied().await;
    let kms = Arc::new(kms);
    let run = async || {
        let mut callers = JoinSet::new();
        for _ in 0..16 {
            let kms = Arc::clone(&kms);
            callers.spawn(async move { kms.list_keys(None, 1).await });
        }
        callers.join_all().await
    };
    proxy.break_all(Fault::ServiceUnavailable);
    for answer in run().await {
        assert!(unavailable(answer).ends_with("answers HTTP 503"));
    }
    assert!(proxy.requests() < 4, "{} logins", proxy.requests());
    proxy.heal();
    let before = proxy.requests();
    for answer in run().await {
        answer.unwrap();
    }
    assert_eq!(proxy.requests() - before, 1);
}

#[tokio::test]
async fn a_changed_password_is_denied_after_one_attempt() {
    let admin = Keystone::admin().await;
    let (proxy, config, user_id) = proxied_user(&admin, "member").await;
    let kms = open(config.clone());
    let key_id = new_key(&kms).await;
    admin.change_user(&user_id, json!({"password": "another"})).await;
    until_refused(&proxy.last_token()).await;
    let text = denied(generate(&kms, &key_id).await);
    assert!(text.contains("refuses the user") && !text.contains("initial"), "{text}");
    assert_eq!(proxy.requests(), 2);
    let password = Some(Secret::new("another"));
    generate(&open(BarbicanConfig { password, ..config }), &key_id).await.unwrap();
}

#[tokio::test]
async fn a_disabled_user_is_denied_until_enabled() {
    let admin = Keystone::admin().await;
    let (proxy, config, user_id) = proxied_user(&admin, "member").await;
    let kms = open(config);
    let data_key = generate(&kms, &new_key(&kms).await).await.unwrap();
    admin.change_user(&user_id, json!({"enabled": false})).await;
    until_refused(&proxy.last_token()).await;
    denied(kms.check_usable(&data_key.wrapped.key_id).await);
    admin.change_user(&user_id, json!({"enabled": true})).await;
    assert_opens(&kms, &data_key).await;
}

#[tokio::test]
async fn a_role_that_may_only_look_is_denied_with_the_rule_it_lacks() {
    let admin = Keystone::admin().await;
    let (proxy, config, _) = proxied_user(&admin, "reader").await;
    let kms = open(config);
    let expected = "Barbican refuses to store a secret: its policy rule secrets:post does not allow it in this project";
    assert_eq!(denied(kms.create_key(NewKey::default()).await), expected);
    assert_eq!(proxy.requests(), 1, "another token would not help");
}

#[tokio::test]
async fn another_tenants_key_is_denied() {
    let (ours, theirs) = (open(password_config(S3)), open(password_config(OTHER)));
    let key_id = new_key(&ours).await;
    let data_key = generate(&ours, &key_id).await.unwrap();
    let text = denied(theirs.unwrap_data_key(&data_key.wrapped, &crate::common::context()).await);
    assert!(text.contains(&key_id) && text.contains("secret:"), "{text}");
    denied(generate(&theirs, &key_id).await);
    denied(theirs.describe_key(&key_id).await);
    denied(theirs.rotate_key(&key_id).await);
    denied(theirs.delete_now(&key_id, &key_id).await);
    let listed = theirs.list_keys(None, 1000).await.unwrap().keys;
    assert!(listed.iter().all(|key| key.key_id != key_id));
    assert_opens(&ours, &data_key).await;
}

#[tokio::test]
async fn keystone_away_is_unavailable_only_when_a_login_is_due() {
    let (proxy, kms) = proxied().await;
    proxy.break_all(Fault::LoseRequest);
    assert!(unavailable(kms.create_key(NewKey::default()).await).starts_with("Keystone at http://127.0.0.1:"));
    proxy.break_all(Fault::CutAnswer);
    assert_eq!(unavailable(kms.create_key(NewKey::default()).await), "Keystone: the answer broke off");
    proxy.heal();
    let key_id = new_key(&kms).await;
    proxy.break_all(Fault::LoseRequest);
    generate(&kms, &key_id).await.unwrap();
}

#[test]
fn a_configuration_that_lacks_something_is_refused_by_the_field() {
    let password = BarbicanConfig {
        auth_url: Some("http://k.example".to_owned()),
        username: Some("u".to_owned()),
        password: Some(Secret::new("p")),
        project_name: Some("s3".to_owned()),
        ..empty_config()
    };
    BarbicanKms::new(password.clone()).unwrap();
    BarbicanKms::new(BarbicanConfig { project_name: None, project_id: Some("1".to_owned()), ..password.clone() }).unwrap();
    let credential = BarbicanConfig { auth_method: AuthMethod::ApplicationCredential, ..password.clone() };
    let id = Some("id".to_owned());
    let none = BarbicanConfig { auth_method: AuthMethod::None, ..empty_config() };
    let endpoint = Some("http://b.example".to_owned());
    for (field, config) in [
        ("auth_url is missing", BarbicanConfig { auth_url: None, ..password.clone() }),
        ("auth_url is no address", BarbicanConfig { auth_url: Some("k".to_owned()), ..password.clone() }),
        ("username is missing", BarbicanConfig { username: None, ..password.clone() }),
        ("password is missing", BarbicanConfig { password: Some(Secret::default()), ..password.clone() }),
        ("project_name is missing", BarbicanConfig { project_name: None, ..password.clone() }),
        ("endpoint is no address", BarbicanConfig { endpoint: Some("b".to_owned()), ..password.clone() }),
        ("application_credential_id is missing", credential.clone()),
        ("application_credential_secret is missing", BarbicanConfig { application_credential_id: id, ..credential }),
        ("endpoint is missing", none.clone()),
        ("project_id is missing", BarbicanConfig { endpoint: endpoint.clone(), ..none.clone() }),
        ("project_id is not", BarbicanConfig { endpoint, project_id: Some("a\nb".to_owned()), ..none }),
        ("ca_file: the file is refused", BarbicanConfig { ca_file: Some("/no/such/ca.pem".into()), ..password }),
    ] {
        let Err(KmsError::InvalidArgument(text)) = BarbicanKms::new(config) else { panic!("{field}") };
        assert!(text.starts_with(field), "{text}");
    }
}
