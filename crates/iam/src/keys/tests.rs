//! Keys of accounts in a catalog.
#![allow(clippy::unwrap_used)]

use strongroom_catalog::testing::MemoryCatalog;

use super::*;

const A: &str = "111122223333";
const ALICE: &str = "arn:aws:iam::111122223333:user/alice";

fn keys() -> Arc<KmsKeys> {
    let store_key = Arc::new(StoreKey::generate().unwrap());
    KmsKeys::new(Arc::new(MemoryCatalog::default()), store_key, Clock::new(|| 1000))
}

fn grant(name: Option<&str>) -> Grant {
    Grant {
        id: String::new(),
        name: name.map(str::to_owned),
        created: 0,
        issuer: ALICE.to_owned(),
        grantee: ALICE.to_owned(),
        retiring: None,
        operations: vec!["Decrypt".to_owned()],
        constraint: None,
    }
}

#[tokio::test]
async fn a_key_belongs_to_one_account_and_is_found_with_its_case() {
    let keys = keys();
    keys.create("local", "Key", A, None).await.unwrap();
    assert!(keys.key_rules("key").await.unwrap().is_none());
    assert_eq!(keys.key_rules("Key").await.unwrap().unwrap().account, A);
    assert!(matches!(keys.create("local", "Key", "444455556666", None).await, Err(IamError::EntityAlreadyExists(_))));
    keys.create("local", "key", "444455556666", None).await.unwrap();
    assert_eq!(keys.of_account(A, None, 10).await.unwrap(), ["Key"]);
    keys.discard("Key").await.unwrap();
    assert!(keys.of_account(A, None, 10).await.unwrap().is_empty() && keys.find("Key").await.unwrap().is_none());
}

#[tokio::test]
async fn a_change_of_rules_is_in_force_with_the_next_look() {
    let keys = keys();
    assert!(keys.key_rules("k").await.unwrap().is_none());
    keys.create("local", "k", A, None).await.unwrap();
    assert!(keys.key_rules("k").await.unwrap().is_some());
    keys.add_grant(keys.get("k").await.unwrap(), grant(None)).await.unwrap();
    assert_eq!(keys.key_rules("k").await.unwrap().unwrap().grants.len(), 1);
}

#[tokio::test]
async fn a_change_of_what_was_seen_before_another_one_is_refused() {
    let keys = keys();
    keys.create("local", "k", A, None).await.unwrap();
    let seen = keys.get("k").await.unwrap();
    keys.put_policy(keys.get("k").await.unwrap(), &KeyPolicy::default_document(A)).await.unwrap();
    let refused = keys.put_policy(seen, &KeyPolicy::default_document("444455556666")).await;
    assert!(matches!(refused, Err(IamError::ConcurrentModification)));
    assert!(matches!(keys.put_policy(keys.get("k").await.unwrap(), "{}").await, Err(IamError::MalformedPolicyDocument(_))));
}

#[tokio::test]
async fn grants_are_bounded_and_the_same_one_under_a_name_is_there_once() {
    let keys = keys();
    keys.create("local", "k", A, None).await.unwrap();
    let first = keys.add_grant(keys.get("k").await.unwrap(), grant(Some("reader"))).await.unwrap();
    assert_eq!(keys.add_grant(keys.get("k").await.unwrap(), grant(Some("reader"))).await.unwrap(), first);
    for _ in 1..MAX_KEY_GRANTS {
        keys.add_grant(keys.get("k").await.unwrap(), grant(None)).await.unwrap();
    }
    assert!(matches!(keys.add_grant(keys.get("k").await.unwrap(), grant(None)).await, Err(IamError::LimitExceeded(_))));
    keys.remove_grant(keys.get("k").await.unwrap(), &first).await.unwrap();
    assert!(matches!(keys.remove_grant(keys.get("k").await.unwrap(), &first).await, Err(IamError::NoSuchEntity(_))));
    assert_eq!(keys.get("k").await.unwrap().record.grants.len(), MAX_KEY_GRANTS - 1);
}

#[tokio::test]
async fn an_account_has_a_thousand_keys_and_no_more() {
    let keys = keys();
    for number in 0..1000 {
        keys.create("local", &format!("k{number}"), A, None).await.unwrap();
    }
    assert!(matches!(keys.create("local", "more", A, None).await, Err(IamError::LimitExceeded(_))));
    keys.create("local", "more", "444455556666", None).await.unwrap();
}
