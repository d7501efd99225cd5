//! Credentials and permissions, against Moto, which checks both.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::LazyLock;

use common::{NAME, backend, config, context, new_key, refused};
use strongroom_kms::{DataKeySpec, KeyLifecycle, KeyService, KeyState, NewKey};
use strongroom_kms_aws::AwsKms;
use strongroom_testbed::aws::{AccessKey, Moto};

static MOTO: LazyLock<Moto> = LazyLock::new(Moto::start);

/// What the store needs to read and write objects, as docs/kms/aws.md has it.
const DATA_PATH: [&str; 4] = ["kms:DescribeKey", "kms:GenerateDataKey", "kms:Decrypt", "kms:ReEncrypt*"];

fn kms(key: &AccessKey) -> AwsKms {
    backend(&MOTO.url, &key.id, &key.secret)
}

fn admin() -> AwsKms {
    kms(&MOTO.admin)
}

fn named(name: &str) -> NewKey {
    NewKey { name: Some(name.to_owned()), ..NewKey::default() }
}

#[tokio::test]
async fn the_least_privilege_is_enough_for_objects_and_for_nothing_else() {
    let key_id = new_key(&admin()).await;
    let kms = kms(&MOTO.user("store", &DATA_PATH));
    let context = context(&[("aws:s3:arn", "arn:aws:s3:::photos/a")]);
    assert_eq!(kms.check_usable(&key_id).await.unwrap(), key_id);
    let key = kms.generate_data_key(&key_id, DataKeySpec::TwoAes256, &context).await.unwrap();
    assert_eq!(key.plaintext.len(), 64);
    let moved = kms.rewrap_data_key(&key.wrapped, &context).await.unwrap();
    assert_eq!(moved.backend, NAME);
    assert!(kms.unwrap_data_key(&moved, &context).await.unwrap() == key.plaintext);
    assert!(refused(kms.create_key(NewKey::default()).await, "Denied").contains("kms:CreateKey"));
    assert!(refused(kms.list_keys(None, 10).await, "Denied").contains("kms:ListKeys"));
    assert!(refused(kms.schedule_deletion(&key_id, 7).await, "Denied").contains("kms:ScheduleKeyDeletion"));
}

#[tokio::test]
async fn a_missing_permission_is_denied_by_its_name() {
    let key_id = new_key(&admin()).await;
    let none = context(&[]);
    let wrapped = admin().generate_data_key(&key_id, DataKeySpec::Aes256, &none).await.unwrap().wrapped;
    let kms = kms(&MOTO.user("nobody", &["kms:ListGrants"]));
    let denied = [
        (refused(kms.check_usable(&key_id).await, "Denied"), "kms:DescribeKey"),
        (refused(kms.generate_data_key(&key_id, DataKeySpec::Aes256, &none).await, "Denied"), "kms:GenerateDataKey"),
        (refused(kms.unwrap_data_key(&wrapped, &none).await, "Denied"), "kms:Decrypt"),
        (refused(kms.rewrap_data_key(&wrapped, &none).await, "Denied"), "kms:ReEncrypt"),
        (refused(kms.disable_key(&key_id).await, "Denied"), "kms:DisableKey"),
        (refused(kms.tag(&key_id, [("a".to_owned(), "b".to_owned())].into()).await, "Denied"), "kms:TagResource"),
    ];
    for (text, action) in denied {
        assert!(text.contains(action), "{text}");
    }
}

#[tokio::test]
async fn wrong_credentials_are_denied_and_not_shown() {
    let key_id = new_key(&admin()).await;
    let wrong_secret = backend(&MOTO.url, &MOTO.admin.id, "wrong-secret-0123456789");
    let text = refused(wrong_secret.check_usable(&key_id).await, "Denied");
    assert!(!text.contains("wrong-secret") && !text.contains("Signature="), "{text}");
    refused(backend(&MOTO.url, "AKIAIOSFODNN7NOTHERE", "secret").check_usable(&key_id).await, "Denied");
    let mut stale = config(&MOTO.url, "ASIAIOSFODNN7NOTHERE", "secret");
    stale.session_token = Some(common::secret("stale-token-0123456789"));
    let text = refused(AwsKms::new(NAME, stale).unwrap().check_usable(&key_id).await, "Denied");
    assert!(!text.contains("stale-token"), "{text}");
}

#[tokio::test]
async fn a_revoked_access_key_is_denied_at_once() {
    let key_id = new_key(&admin()).await;
    let user = MOTO.user("leaver", &DATA_PATH);
    let kms = kms(&user);
    kms.check_usable(&key_id).await.unwrap();
    MOTO.revoke("leaver", &user);
    refused(kms.check_usable(&key_id).await, "Denied");
    refused(kms.generate_data_key(&key_id, DataKeySpec::Aes256, &context(&[])).await, "Denied");
}

#[tokio::test]
async fn a_role_is_assumed_and_what_it_may_not_do_is_denied() {
    let key_id = new_key(&admin()).await;
    let user = MOTO.user("assumer", &["sts:AssumeRole"]);
    let mut config = config(&MOTO.url, &user.id, &user.secret);
    config.role_arn = Some(MOTO.role("keys", &DATA_PATH));
    config.sts_endpoint = Some(MOTO.url.clone());
    let kms = AwsKms::new(NAME, config).unwrap();
    assert_eq!(kms.check_usable(&key_id).await.unwrap(), key_id);
    refused(kms.disable_key(&key_id).await, "Denied");
}

#[tokio::test]
async fn a_role_that_may_not_be_assumed_is_denied() {
    let key_id = new_key(&admin()).await;
    let user = MOTO.user("no-assumer", &DATA_PATH);
    let mut config = config(&MOTO.url, &user.id, &user.secret);
    config.role_arn = Some(MOTO.role("others", &DATA_PATH));
    config.sts_endpoint = Some(MOTO.url.clone());
    let text = refused(AwsKms::new(NAME, config).unwrap().check_usable(&key_id).await, "Denied");
    assert!(text.contains("credentials"), "{text}");
}

#[tokio::test]
async fn an_unreachable_sts_is_unavailable() {
    let mut config = config(&MOTO.url, &MOTO.admin.id, &MOTO.admin.secret);
    config.role_arn = Some("arn:aws:iam::123456789012:role/any".to_owned());
    config.sts_endpoint = Some(format!("http://127.0.0.1:{}", strongroom_testbed::process::free_port()));
    let key_id = new_key(&admin()).await;
    let text = refused(AwsKms::new(NAME, config).unwrap().check_usable(&key_id).await, "Unavailable");
    assert!(text.contains("credentials"), "{text}");
}

#[tokio::test]
async fn a_key_that_cannot_be_named_is_taken_back() {
    let user = MOTO.user("half", &["kms:CreateKey", "kms:DescribeKey", "kms:ScheduleKeyDeletion", "kms:ListKeys", "kms:ListResourceTags"]);
    let before = ids(&admin()).await;
    refused(kms(&user).create_key(named("half-made")).await, "Denied");
    let mut made: Vec<_> = admin().list_keys(None, 1000).await.unwrap().keys;
    made.retain(|key| !before.contains(&key.key_id) && matches!(key.state, KeyState::PendingDeletion { .. }));
    assert_eq!(made.len(), 1);
}

#[tokio::test]
async fn keys_that_may_not_be_described_do_not_make_an_empty_list() {
    new_key(&admin()).await;
    let user = MOTO.user("lister", &["kms:ListKeys"]);
    assert!(refused(kms(&user).list_keys(None, 10).await, "Denied").contains("kms:DescribeKey"));
}

async fn ids(kms: &AwsKms) -> Vec<String> {
    kms.list_keys(None, 1000).await.unwrap().keys.into_iter().map(|key| key.key_id).collect()
}
