//! The policies in `docs/kms/vault.md` are enough for what they are said to be for, and no more.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;

use common::{config, context, fresh, new_key, server};
use serde_json::json;
use strongroom_kms::{DataKeySpec, Kms, KmsError};
use strongroom_kms_vault::open;
use strongroom_testbed::openbao::OpenBao;
use zeroize::Zeroizing;

const PAGE: &str = include_str!("../../../docs/kms/vault.md");

/// The policies of the page, in its order.
fn documented() -> [&'static str; 4] {
    let blocks: Vec<&str> = PAGE.split("```hcl\n").skip(1).map(|rest| rest.split_once("```").unwrap().0).collect();
    blocks.try_into().expect("the page has four policies: to use and to manage keys, for each engine")
}

fn with_policies(server: &OpenBao, engine: &str, rules: &[&str]) -> Arc<dyn Kms> {
    let names: Vec<String> = rules.iter().map(|_| fresh("policy")).collect();
    for (name, rules) in names.iter().zip(rules) {
        server.policy(name, rules);
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let token = server.token(&names, &[]);
    open("vault", &config(server, json!({ "engine": engine, "auth_method": { "token": token } }))).unwrap()
}

async fn the_policies_are_enough(engine: &str, usage: &str, manage: &str) {
    let server = server();
    let manager = with_policies(&server, engine, &[usage, manage]);
    let (made, own) = (fresh("key"), fresh("own"));
    manager.create_key(new_key(&made)).await.unwrap();
    manager.import_key(new_key(&own), Zeroizing::new(vec![9; 32])).await.unwrap();
    manager.rotate_key(&own).await.unwrap();
    let listed: Vec<String> = manager.list_keys(None, 1000).await.unwrap().keys.into_iter().map(|key| key.key_id).collect();
    assert!(listed.contains(&made) && listed.contains(&own), "{listed:?}");

    let user = with_policies(&server, engine, &[usage]);
    let data_key = user.generate_data_key(&own, DataKeySpec::TwoAes256, &context()).await.unwrap();
    assert_eq!(*user.unwrap_data_key(&data_key.wrapped, &context()).await.unwrap(), *data_key.plaintext);
    user.rewrap_data_key(&data_key.wrapped, &context()).await.unwrap();
    user.describe_key(&own).await.unwrap();
    let unknown = user.generate_data_key("nobody", DataKeySpec::Aes256, &context()).await;
    assert!(matches!(unknown, Err(KmsError::KeyNotFound(_))));
    for refused in [
        user.create_key(new_key(&fresh("key"))).await.map(drop),
        user.import_key(new_key(&fresh("key")), Zeroizing::new(vec![9; 32])).await.map(drop),
        user.rotate_key(&own).await.map(drop),
        user.list_keys(None, 1).await.map(drop),
        user.delete_now(&own, &own).await.map(drop),
    ] {
        assert_error!(refused, KmsError::Denied(_), "lacks the capability");
    }
    manager.delete_now(&own, &own).await.unwrap();
    let gone = user.unwrap_data_key(&data_key.wrapped, &context()).await;
    assert!(matches!(gone, Err(KmsError::KeyNotFound(id)) if id == own));
}

#[tokio::test]
async fn the_documented_policies_are_enough_for_transit() {
    let [usage, manage, _, _] = documented();
    the_policies_are_enough("transit", usage, manage).await;
}

#[tokio::test]
async fn the_documented_policies_are_enough_for_the_key_value_engine() {
    let [_, _, usage, manage] = documented();
    the_policies_are_enough("kv", usage, manage).await;
}
