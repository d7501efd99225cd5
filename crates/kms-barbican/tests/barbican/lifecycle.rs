//! Making, showing, listing, tagging and deleting keys.

use std::collections::BTreeMap;

use reqwest::StatusCode;
use serde_json::json;
use strongroom_kms::{KeyLifecycle, KeyService, KeyState, KmsError, NewKey};
use zeroize::Zeroizing;

use crate::common::{assert_opens, generate, new_key, open, own_project, standalone, unavailable, versions};
use crate::proxy::{Fault, Proxy};
use crate::rest::Rest;

fn photos() -> NewKey {
    let tags = [("team".to_owned(), "a".to_owned()), ("Cost Center".to_owned(), "ü".to_owned())].into();
    NewKey { name: Some("photos".to_owned()), description: "for photos".to_owned(), tags }
}

#[tokio::test]
async fn a_created_key_is_a_secret_of_the_name_and_its_uuid_is_the_key_id() {
    let config = own_project();
    let (rest, kms) = (Rest::beside(&config), open(config));
    let created = kms.create_key(photos()).await.unwrap();
    assert_eq!((created.description.as_str(), &created.tags, created.state), ("for photos", &photos().tags, KeyState::Enabled));
    assert_eq!((versions(&created), created.current_version), (vec![1], 1));
    assert_eq!(kms.describe_key(&created.key_id).await.unwrap(), created);
    let secret = rest.json(&format!("/{}", created.key_id)).await;
    assert_eq!(secret["name"], "photos");
    assert_eq!((&secret["algorithm"], &secret["bit_length"], &secret["secret_type"]), (&json!("aes"), &json!(256), &json!("symmetric")));
    assert_eq!(secret["content_types"]["default"], "application/octet-stream");
    assert_eq!(rest.payload(&created.key_id).await.len(), 32);
    let rows = json!({"strongroom-description": "for photos", "team": "a", "--43ost--20--43enter": "ü"});
    assert_eq!(rest.metadata(&created.key_id).await, rows);
    assert_opens(&kms, &generate(&kms, &created.key_id).await.unwrap()).await;
}

#[tokio::test]
async fn a_key_id_is_known_as_an_arn_and_not_in_upper_case() {
    let kms = open(own_project());
    let key_id = new_key(&kms).await;
    let upper = key_id.to_ascii_uppercase();
    assert!(matches!(kms.check_usable(&upper).await, Err(KmsError::KeyNotFound(id)) if id == upper));
    for form in [format!("key/{key_id}"), format!("arn:aws:kms:eu:1:key/{key_id}")] {
        assert_eq!(kms.check_usable(&form).await.unwrap(), key_id);
        let data_key = generate(&kms, &form).await.unwrap();
        assert_eq!(data_key.wrapped.key_id, key_id);
        assert_opens(&kms, &data_key).await;
    }
}

#[tokio::test]
async fn two_keys_may_share_a_name() {
    let kms = open(own_project());
    let (a, b) = (kms.create_key(photos()).await.unwrap(), kms.create_key(photos()).await.unwrap());
    assert_ne!(a.key_id, b.key_id);
}

#[tokio::test]
async fn what_cannot_be_a_name_a_tag_or_a_description_makes_no_key() {
    let kms = open(own_project());
    let long = NewKey { description: "x".repeat(256), ..NewKey::default() };
    let nameless_tag = NewKey { tags: [(String::new(), "x".to_owned())].into(), ..NewKey::default() };
    let named = |name: &str| NewKey { name: Some(name.to_owned()), ..NewKey::default() };
    for key in [named(""), named("../x"), named("strongroom-x"), long, nameless_tag] {
        assert!(matches!(kms.create_key(key.clone()).await, Err(KmsError::InvalidArgument(_))), "{key:?}");
    }
    assert_eq!(kms.list_keys(None, 10).await.unwrap().keys, []);
}

#[tokio::test]
async fn imported_material_is_stored_as_it_is() {
    let config = own_project();
    let (rest, kms) = (Rest::beside(&config), open(config));
    let material: Vec<u8> = (0..32).collect();
    let imported = kms.import_key(photos(), Zeroizing::new(material.clone())).await.unwrap();
    assert_eq!(rest.payload(&imported.key_id).await, material);
    assert_opens(&kms, &generate(&kms, &imported.key_id).await.unwrap()).await;
    for len in [0, 31, 33] {
        let answer = kms.import_key(NewKey::default(), Zeroizing::new(vec![1; len])).await;
        assert!(matches!(answer, Err(KmsError::InvalidArgument(_))), "{len} bytes");
    }
}

#[tokio::test]
async fn a_list_has_every_key_beyond_barbicans_pages_and_nothing_else() {
    let config = own_project();
    let (rest, kms) = (Rest::beside(&config), open(config));
    let mut expected = Vec::new();
    for _ in 0..103 {
        expected.push(rest.store_text(&"k".repeat(32)).await);
    }
    let rotated = new_key(&kms).await;
    kms.rotate_key(&rotated).await.unwrap();
    expected.push(rotated);
    expected.sort();
    let text = |fields: serde_json::Value| {
        let mut secret = json!({"algorithm": "aes", "bit_length": 256, "payload": "x", "payload_content_type": "text/plain"});
        secret.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        secret
    };
    for other in [json!({"bit_length": 128}), json!({"algorithm": "rsa"}), json!({"secret_type": "passphrase"})] {
        rest.store(text(other)).await;
    }
    rest.store(json!({"algorithm": "aes", "bit_length": 256})).await;
    for limit in [104, 60] {
        let (mut ids, mut after) = (Vec::new(), None::<String>);
        loop {
            let page = kms.list_keys(after.as_deref(), limit).await.unwrap();
            assert!(page.keys.len() == limit || page.next.is_none());
            ids.extend(page.keys.into_iter().map(|key| key.key_id));
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        assert_eq!(ids, expected, "pages of {limit}");
    }
    assert!(matches!(kms.list_keys(None, 0).await, Err(KmsError::InvalidArgument(_))));
}

#[tokio::test]
async fn a_damaged_key_is_left_out_of_the_list_and_named_when_used() {
    let config = own_project();
    let (rest, kms) = (Rest::beside(&config), open(config));
    let (good, bad) = (new_key(&kms).await, new_key(&kms).await);
    rest.add_metadata(&bad, "strongroom-version-2-x", "in-force 1").await;
    let listed: Vec<_> = kms.list_keys(None, 10).await.unwrap().keys.into_iter().map(|key| key.key_id).collect();
    assert_eq!(listed, [good]);
    let Err(KmsError::Broken(text)) = generate(&kms, &bad).await else { panic!() };
    assert!(text.contains("strongroom-version-2-x") && text.contains(&bad), "{text}");
}

#[tokio::test]
async fn tags_of_any_name_live_beside_those_that_others_set() {
    let config = own_project();
    let (rest, kms) = (Rest::beside(&config), open(config));
    let key_id = new_key(&kms).await;
    rest.add_metadata(&key_id, "by--others", "1").await;
    let added: BTreeMap<_, _> = [("by--others".to_owned(), "2".to_owned()), ("Straße/7".to_owned(), String::new())].into();
    assert_eq!(kms.tag(&key_id, added.clone()).await.unwrap().tags, added);
    assert_eq!(rest.metadata(&key_id).await["by--others"], "2");
    let left = kms.untag(&key_id, &["by--others".to_owned()]).await.unwrap().tags;
    assert_eq!(left, [("Straße/7".to_owned(), String::new())].into());
}

#[tokio::test]
async fn without_a_description_the_secrets_name_is_shown() {
    let kms = open(own_project());
    let key_id = kms.create_key(photos()).await.unwrap().key_id;
    assert_eq!(kms.update_description(&key_id, "").await.unwrap().description, "photos");
    assert_eq!(kms.update_description(&key_id, "new").await.unwrap().description, "new");
    assert!(matches!(kms.update_description(&key_id, &"x".repeat(256)).await, Err(KmsError::InvalidArgument(_))));
}

#[tokio::test]
async fn a_deleted_key_leaves_no_secret_of_any_version() {
    let config = own_project();
    let (rest, kms) = (Rest::beside(&config), open(config));
    let (key_id, other) = (new_key(&kms).await, new_key(&kms).await);
    kms.rotate_key(&key_id).await.unwrap();
    kms.rotate_key(&other).await.unwrap();
    // What a crash before the claim leaves.
    rest.store(json!({"name": format!("strongroom-version-of-{key_id}"), "payload": "x", "payload_content_type": "text/plain"})).await;
    let data_key = generate(&kms, &key_id).await.unwrap();
    for echo in ["", &other, &key_id[1..]] {
        assert!(matches!(kms.delete_now(&key_id, echo).await, Err(KmsError::InvalidArgument(_))), "{echo}");
    }
    assert_opens(&kms, &data_key).await;
    assert_eq!(kms.delete_now(&key_id, &key_id).await.unwrap().state, KeyState::Erased);
    assert_eq!(rest.json("?limit=100").await["total"], 2, "the other key and its second version are left");
    assert_eq!(rest.status(&key_id).await, StatusCode::NOT_FOUND);
    for answer in [generate(&kms, &key_id).await.map(drop), kms.delete_now(&key_id, &key_id).await.map(drop)] {
        assert!(matches!(answer, Err(KmsError::KeyNotFound(id)) if id == key_id));
    }
    assert!(matches!(kms.describe_key(&key_id).await, Err(KmsError::KeyNotFound(_))));
    assert_opens(&kms, &generate(&kms, &other).await.unwrap()).await;
}

#[tokio::test]
async fn a_deletion_that_is_interrupted_anywhere_can_be_asked_for_again() {
    let config = own_project();
    let rest = Rest::beside(&config);
    let proxy = Proxy::before(&standalone().url).await;
    let kms = open(strongroom_kms_barbican::BarbicanConfig { endpoint: Some(proxy.url.clone()), ..config });
    // Secret, metadata, list, two versions, the key itself.
    for request in 0..6 {
        let key_id = new_key(&kms).await;
        kms.rotate_key(&key_id).await.unwrap();
        kms.rotate_key(&key_id).await.unwrap();
        proxy.break_one(Fault::LoseRequest, request);
        unavailable(kms.delete_now(&key_id, &key_id).await);
        proxy.heal();
        kms.delete_now(&key_id, &key_id).await.unwrap();
        assert_eq!(rest.json("").await["total"], 0, "after a failure of request {request}");
    }
}
