//! Every way to prove who the store is, and how tokens are kept alive and replaced.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::{Duration, Instant};

use common::kubernetes::{TokenReviews, service_account_token};
use common::proxy::Proxy;
use common::{TRANSIT_USE_POLICY, assert_opens, config, data_key, fresh, server, until};
use serde_json::json;
use strongroom_kms::{KeyService, KmsError};
use strongroom_kms_vault::TransitKms;
use strongroom_testbed::openbao::OpenBao;

/// A new Transit key, and the policy to use it.
fn key_and_policy(server: &OpenBao) -> (String, String) {
    let (key_id, policy) = (fresh("key"), fresh("policy"));
    server.bao(&["write", "-f", &format!("transit/keys/{key_id}")]);
    server.policy(&policy, TRANSIT_USE_POLICY);
    (key_id, policy)
}

/// An AppRole method of its own, so that its tokens can be revoked: the mount and the configuration of its login.
fn approle(server: &OpenBao, settings: &[&str]) -> (String, serde_json::Value) {
    let mount = fresh("approle");
    server.bao(&["auth", "enable", &format!("-path={mount}"), "approle"]);
    let [role_id, secret_id] = server.approle(&mount, "store", settings);
    let login = json!({ "approle": { "role_id": role_id, "secret_id": secret_id, "mount": mount } });
    (mount, login)
}

fn through(server: &OpenBao, proxy: &Proxy, auth_method: &serde_json::Value) -> TransitKms {
    let fields = json!({ "address": proxy.address, "auth_method": auth_method });
    TransitKms::new("vault", &config(server, fields)).unwrap()
}

#[tokio::test]
async fn a_token_of_the_documented_policy_is_enough_to_use_keys() {
    let server = server();
    let (key_id, policy) = key_and_policy(&server);
    let token = server.token(&[&policy], &[]);
    let kms = TransitKms::new("vault", &config(&server, json!({ "auth_method": { "token": { "token": token } } }))).unwrap();
    assert_eq!(kms.check_usable(&key_id).await.unwrap(), key_id);
    let first = data_key(&kms, &key_id).await.unwrap();
    assert_opens(&kms, &first).await;
    kms.rewrap_data_key(&first.wrapped, &common::context()).await.unwrap();
    let unknown = data_key(&kms, "nobody").await;
    assert!(matches!(unknown, Err(KmsError::KeyNotFound(id)) if id == "nobody"), "the denied creation is told as what it is");
}

#[tokio::test]
async fn a_short_token_lives_on_by_renewal_while_nobody_uses_it() {
    let server = server();
    let (key_id, policy) = key_and_policy(&server);
    let token = server.token(&[&policy], &["-ttl=3s"]);
    let proxy = Proxy::start(&server.http_address()).await;
    let kms = through(&server, &proxy, &json!({ "token": token }));
    let started = Instant::now();
    let first = data_key(&kms, &key_id).await.unwrap();
    until("the token outlives its three seconds twice", || started.elapsed() > Duration::from_secs(7)).await;
    assert_opens(&kms, &first).await;
    assert_eq!(proxy.count("auth/token/lookup-self"), 1, "the token is looked up once");
    let renewals = proxy.count("auth/token/renew-self");
    assert!((2..=4).contains(&renewals), "it is renewed at two thirds of its time, not {renewals} times");
}

#[tokio::test]
async fn a_login_is_renewed_and_not_repeated() {
    let server = server();
    let (key_id, policy) = key_and_policy(&server);
    let (_, login) = approle(&server, &[&format!("token_policies={policy}"), "token_ttl=3s"]);
    let proxy = Proxy::start(&server.http_address()).await;
    let kms = through(&server, &proxy, &login);
    let first = data_key(&kms, &key_id).await.unwrap();
    until("two renewals", || proxy.count("renew-self") >= 2).await;
    assert_opens(&kms, &first).await;
    assert_eq!(proxy.count("/login"), 1);
}

#[tokio::test]
async fn a_login_whose_token_nears_its_greatest_age_is_repeated() {
    let server = server();
    let (key_id, policy) = key_and_policy(&server);
    let (_, login) = approle(&server, &[&format!("token_policies={policy}"), "token_ttl=3s", "token_max_ttl=4s"]);
    let proxy = Proxy::start(&server.http_address()).await;
    let kms = through(&server, &proxy, &login);
    let first = data_key(&kms, &key_id).await.unwrap();
    until("a second login", || proxy.count("/login") >= 2).await;
    let denied_before = proxy.count("lookup-self");
    assert_opens(&kms, &first).await;
    assert_eq!((denied_before, proxy.count("lookup-self")), (0, 0), "no call met a dead token");
}

#[tokio::test]
async fn a_login_whose_token_cannot_be_renewed_is_repeated_before_it_ends() {
    let server = server();
    let (key_id, policy) = key_and_policy(&server);
    let (_, login) = approle(&server, &[&format!("token_policies={policy}"), "token_ttl=3s", "token_type=batch"]);
    let proxy = Proxy::start(&server.http_address()).await;
    let kms = through(&server, &proxy, &login);
    let first = data_key(&kms, &key_id).await.unwrap();
    until("a second login", || proxy.count("/login") >= 2).await;
    assert_opens(&kms, &first).await;
    assert_eq!(proxy.count("renew-self"), 0);
}

#[tokio::test]
async fn a_revoked_login_is_replaced_once_for_all_callers() {
    let server = server();
    let (key_id, policy) = key_and_policy(&server);
    let (mount, login) = approle(&server, &[&format!("token_policies={policy}"), "token_ttl=10m"]);
    let proxy = Proxy::start(&server.http_address()).await;
    let kms = through(&server, &proxy, &login);
    let first = data_key(&kms, &key_id).await.unwrap();
    server.bao(&["token", "revoke", "-mode=path", &format!("auth/{mount}")]);
    futures_util::future::join_all((0..8).map(|_| assert_opens(&kms, &first))).await;
    assert_eq!(proxy.count("/login"), 2);
}

#[tokio::test]
async fn a_login_that_is_refused_names_its_path() {
    let server = server();
    let (key_id, policy) = key_and_policy(&server);
    let (mount, login) = approle(&server, &[&format!("token_policies={policy}")]);
    let kms = TransitKms::new("vault", &config(&server, json!({ "auth_method": login }))).unwrap();
    let first = data_key(&kms, &key_id).await.unwrap();
    server.bao(&["delete", &format!("auth/{mount}/role/store")]);
    server.bao(&["token", "revoke", "-mode=path", &format!("auth/{mount}")]);
    let answer = kms.unwrap_data_key(&first.wrapped, &common::context()).await;
    assert_error!(answer, KmsError::Denied(_), &format!("auth/{mount}/login"));
}

#[tokio::test]
async fn what_the_policy_lacks_is_named_and_costs_no_logins() {
    let server = server();
    let (key_id, _) = key_and_policy(&server);
    let policy = fresh("policy");
    server.policy(&policy, r#"path "transit/encrypt/*" { capabilities = ["update"] } path "transit/keys/*" { capabilities = ["read"] }"#);
    let (_, login) = approle(&server, &[&format!("token_policies={policy}")]);
    let root = TransitKms::new("vault", &config(&server, json!({}))).unwrap();
    let wrapped = data_key(&root, &key_id).await.unwrap().wrapped;
    let proxy = Proxy::start(&server.http_address()).await;
    let kms = through(&server, &proxy, &login);
    for _ in 0..3 {
        let answer = kms.unwrap_data_key(&wrapped, &common::context()).await;
        let expected = format!(r#"lacks the capability "update" on the path "transit/decrypt/{key_id}""#);
        assert_error!(answer, KmsError::Denied(_), &expected);
    }
    assert_eq!(proxy.count("/login"), 1);
}

#[tokio::test]
async fn a_revoked_token_is_denied() {
    let server = server();
    let (key_id, policy) = key_and_policy(&server);
    let token = server.token(&[&policy], &[]);
    let kms = TransitKms::new("vault", &config(&server, json!({ "auth_method": { "token": token } }))).unwrap();
    let first = data_key(&kms, &key_id).await.unwrap();
    server.bao(&["token", "revoke", &token]);
    for _ in 0..2 {
        let answer = kms.unwrap_data_key(&first.wrapped, &common::context()).await;
        assert_error!(answer, KmsError::Denied(_), "was revoked");
    }
}

#[tokio::test]
async fn a_token_file_is_read_again_when_it_changes() {
    let server = server();
    let (key_id, policy) = key_and_policy(&server);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    let tokens = [server.token(&[&policy], &[]), server.token(&[&policy], &[])];
    std::fs::write(&file, &tokens[0]).unwrap();
    let kms = TransitKms::new("vault", &config(&server, json!({ "auth_method": { "token_file": file } }))).unwrap();
    let first = data_key(&kms, &key_id).await.unwrap();
    server.bao(&["token", "revoke", &tokens[0]]);
    let answer = kms.unwrap_data_key(&first.wrapped, &common::context()).await;
    assert!(matches!(answer, Err(KmsError::Denied(_))));
    let next = dir.path().join("next");
    std::fs::write(&next, format!("{}\n", tokens[1])).unwrap();
    std::fs::rename(&next, &file).unwrap();
    assert_opens(&kms, &first).await;
    std::fs::remove_file(&file).unwrap();
    assert_opens(&kms, &first).await;
}

#[tokio::test]
async fn a_missing_token_file_is_named() {
    let server = server();
    let kms = TransitKms::new("vault", &config(&server, json!({ "auth_method": { "token_file": "/no/such/token" } }))).unwrap();
    assert_error!(data_key(&kms, "any").await, KmsError::Unavailable(_), "/no/such/token");
}

#[tokio::test]
async fn a_service_account_logs_in_through_a_token_review() {
    let server = server();
    let (key_id, policy) = key_and_policy(&server);
    let jwt = service_account_token("strongroom");
    let cluster = TokenReviews::start(jwt.clone(), "strongroom").await;
    let mount = fresh("kubernetes");
    server.bao(&["auth", "enable", &format!("-path={mount}"), "kubernetes"]);
    let host = format!("kubernetes_host={}", cluster.address);
    let reviewer = format!("token_reviewer_jwt={}", service_account_token("reviewer"));
    let authority = format!("kubernetes_ca_cert=@{}", server.file("ca.pem").display());
    server.bao(&["write", &format!("auth/{mount}/config"), &host, &reviewer, &authority, "disable_local_ca_jwt=true"]);
    let role = format!("auth/{mount}/role/store");
    let policies = format!("token_policies={policy}");
    server.bao(&["write", &role, "bound_service_account_names=strongroom", "bound_service_account_namespaces=store", &policies]);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &jwt).unwrap();
    let login = json!({ "kubernetes": { "role": "store", "jwt_file": file.path(), "mount": mount } });
    let kms = TransitKms::new("vault", &config(&server, json!({ "auth_method": login }))).unwrap();
    let first = data_key(&kms, &key_id).await.unwrap();
    assert_opens(&kms, &first).await;
    assert_eq!(cluster.count(), 1);
    std::fs::write(file.path(), service_account_token("somebody")).unwrap();
    let kms = TransitKms::new("vault", &config(&server, json!({ "auth_method": login }))).unwrap();
    assert_error!(data_key(&kms, &key_id).await, KmsError::Denied(_), &format!("auth/{mount}/login"));
}

#[tokio::test]
async fn a_client_certificate_logs_in() {
    let server = server();
    let (key_id, policy) = key_and_policy(&server);
    let role = fresh("role");
    let authority = format!("certificate=@{}", server.file("ca.pem").display());
    server.bao(&["write", &format!("auth/cert/certs/{role}"), &authority, &format!("token_policies={policy}")]);
    let files = json!({
        "auth_method": { "cert": { "role": role } },
        "client_cert_file": server.file("client.pem"),
        "client_key_file": server.file("client.key"),
    });
    let kms = TransitKms::new("vault", &config(&server, files)).unwrap();
    let first = data_key(&kms, &key_id).await.unwrap();
    assert_opens(&kms, &first).await;
    let without = TransitKms::new("vault", &config(&server, json!({ "auth_method": { "cert": { "role": role } } })));
    assert_error!(without, KmsError::InvalidArgument(_), "client_cert_file");
}

#[tokio::test]
async fn a_namespace_has_keys_and_logins_of_its_own() {
    let server = server();
    let namespace = fresh("team");
    let inside = format!("-namespace={namespace}");
    server.bao(&["namespace", "create", &namespace]);
    server.bao(&["secrets", "enable", &inside, "transit"]);
    server.bao(&["write", &inside, "-f", "transit/keys/shared"]);
    server.bao(&["auth", "enable", &inside, "approle"]);
    server.bao_with(&["policy", "write", &inside, "store", "-"], TRANSIT_USE_POLICY);
    server.bao(&["write", &inside, "auth/approle/role/store", "token_policies=store"]);
    let role_id = server.bao(&["read", &inside, "-field=role_id", "auth/approle/role/store/role-id"]);
    let secret_id = server.bao(&["write", &inside, "-f", "-field=secret_id", "auth/approle/role/store/secret-id"]);
    let login = json!({ "approle": { "role_id": role_id.trim(), "secret_id": secret_id.trim() } });
    let fields = json!({ "namespace": namespace, "auth_method": login });
    let kms = TransitKms::new("vault", &config(&server, fields)).unwrap();
    let first = data_key(&kms, "shared").await.unwrap();
    assert_opens(&kms, &first).await;
    let outside = TransitKms::new("vault", &config(&server, json!({}))).unwrap();
    assert!(matches!(outside.check_usable("shared").await, Err(KmsError::KeyNotFound(_))));
    let nowhere = TransitKms::new("vault", &config(&server, json!({ "namespace": "no-such-team" }))).unwrap();
    assert_error!(nowhere.check_usable("shared").await, KmsError::Unavailable(_), "namespace not found");
}
