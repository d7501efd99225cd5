//! Creating, listing, describing and changing keys.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::rig::{Rig, root};

#[tokio::test]
async fn a_key_is_created_with_what_was_asked_for() {
    let rig = Rig::new().await;
    let request = json!({"KeyUsage": "ENCRYPT_DECRYPT", "Description": "project-alpha", "Tags": {"owner": "security"}});
    let created = rig.ok("POST", "/rustfs/admin/v3/kms/keys", request).await;
    let id = created["key_id"].as_str().unwrap().to_owned();
    let metadata = &created["key_metadata"];
    assert_eq!((metadata["key_id"].as_str(), metadata["description"].as_str()), (Some(id.as_str()), Some("project-alpha")));
    assert_eq!(
        (&metadata["enabled"], &metadata["key_usage"], &metadata["deletion_date"]),
        (&json!(true), &json!("ENCRYPT_DECRYPT"), &Value::Null)
    );
    assert_eq!((&metadata["tags"], &metadata["current_version"]), (&json!({"owner": "security"}), &json!(1)));
    assert_eq!(metadata["versions"].as_array().unwrap().len(), 1);
    assert_eq!((&metadata["backend"], &metadata["rotation_enabled"]), (&json!("local"), &json!(false)));
    assert!(metadata["creation_date"].as_str().unwrap().ends_with('Z'));
    assert_eq!(rig.ok("GET", &format!("/kms/keys/{id}"), Value::Null).await["key_metadata"], *metadata);
    assert_eq!(rig.ok("GET", &format!("/kms/describe-key?key_id={id}"), Value::Null).await["key_metadata"], *metadata);
    assert_eq!(rig.ok("GET", &format!("/kms/key/status?keyId={id}"), Value::Null).await["key_metadata"], *metadata);
}

#[tokio::test]
async fn what_can_be_no_key_is_refused() {
    let rig = Rig::new().await;
    rig.refused("POST", "/kms/keys", json!({"name": "alpha"}), 409, "KeyExists").await;
    rig.refused("POST", "/kms/create-key?key-id=alpha", Value::Null, 409, "KeyExists").await;
    for (request, named) in [
        (json!({"name": "no spaces"}), "key id"),
        (json!({"name": "arn:aws:kms:eu:1:key/alpha"}), "key id"),
        (json!({"name": "strongroom-store"}), "strongroom-"),
        (json!({"KeyUsage": "SIGN_VERIFY"}), "ENCRYPT_DECRYPT"),
        (json!({"Descripton": "x"}), "Descripton"),
        (json!({"Tags": {"a": 1}}), "Tags"),
    ] {
        let message = rig.refused("POST", "/kms/keys", request.clone(), 400, "InvalidRequest").await;
        assert!(message.contains(named), "{request}: {message}");
    }
    rig.refused("GET", "/kms/keys/missing", Value::Null, 404, "NotFound").await;
    rig.refused("POST", "/kms/keys/enable", json!({"key_id": "missing"}), 404, "NotFound").await;
    rig.refused("POST", "/kms/keys/enable", json!({}), 400, "InvalidRequest").await;
    rig.refused("POST", "/kms/keys/enable?backend=nowhere", json!({"key_id": "alpha"}), 404, "NotFound").await;
    let answered = rig.send("POST", "/kms/keys", "{\"name\":".to_owned(), root()).await;
    assert_eq!((answered.status, answered.json["code"].as_str()), (400, Some("InvalidRequest")));
}

#[tokio::test]
async fn a_list_pages_to_its_end() {
    let rig = Rig::new().await;
    for number in 0..7 {
        rig.ok("POST", "/kms/keys", json!({"name": format!("page-{number}"), "Description": format!("number {number}")})).await;
    }
    let all = rig.ok("GET", "/kms/list-keys", Value::Null).await;
    assert_eq!((&all["truncated"], &all["next_marker"]), (&json!(false), &Value::Null));
    let all = all["keys"].as_array().unwrap().clone();
    assert!(all.iter().any(|key| key["key_id"] == "page-3" && key["description"] == "number 3"));
    let (mut paged, mut marker) = (Vec::new(), String::new());
    loop {
        let page = rig.ok("GET", &format!("/kms/keys?limit=2&marker={marker}"), Value::Null).await;
        let keys = page["keys"].as_array().unwrap();
        assert!(keys.len() <= 2);
        paged.extend(keys.iter().cloned());
        let Some(next) = page["next_marker"].as_str() else { break };
        assert_eq!(page["truncated"], true);
        next.clone_into(&mut marker);
    }
    assert_eq!(paged, all);
    rig.refused("GET", "/kms/keys?limit=0", Value::Null, 400, "InvalidRequest").await;
    rig.refused("GET", "/kms/keys?limit=many", Value::Null, 400, "InvalidRequest").await;
    rig.refused("GET", "/kms/keys?status=Active", Value::Null, 400, "InvalidRequest").await;
}

#[tokio::test]
async fn each_change_shows_and_is_in_force_at_once() {
    let rig = Rig::new().await;
    rig.put("a", Some("alpha"), b"data").await;
    rig.get("a").await.unwrap();
    for (off, on, state) in [("disable", "enable", "Disabled"), ("seal", "unseal", "Sealed")] {
        let answer = rig.ok("POST", &format!("/kms/keys/{off}"), json!({"key_id": "arn:aws:kms:::key/alpha"})).await;
        assert_eq!((&answer["success"], &answer["key_id"]), (&json!(true), &json!("alpha")));
        assert_eq!((&answer["key_metadata"]["key_state"], &answer["key_metadata"]["enabled"]), (&json!(state), &json!(false)));
        assert!(rig.get("a").await.is_err(), "{state}");
        let answer = rig.ok("POST", &format!("/kms/keys/{on}?keyId=alpha"), Value::Null).await;
        assert_eq!(answer["key_metadata"]["key_state"], "Enabled");
        assert_eq!(rig.get("a").await.unwrap(), b"data");
    }
    let tagged = rig.ok("POST", "/kms/keys/tag", json!({"key_id": "alpha", "tags": {"a": "1", "b": "2"}})).await;
    assert_eq!(tagged["key_metadata"]["tags"], json!({"a": "1", "b": "2"}));
    let untagged = rig.ok("POST", "/kms/keys/untag", json!({"key_id": "alpha", "tag_keys": ["a", "z"]})).await;
    assert_eq!(untagged["key_metadata"]["tags"], json!({"b": "2"}));
    let described = rig.ok("POST", "/kms/keys/update-description", json!({"key_id": "alpha", "description": "new"})).await;
    assert_eq!(described["key_metadata"]["description"], "new");
    let rotated = rig.ok("POST", "/kms/keys/rotate", json!({"key_id": "alpha"})).await;
    assert_eq!(rotated["key_metadata"]["current_version"], 2);
    assert_eq!(rotated["key_metadata"]["versions"].as_array().unwrap().len(), 2);
    assert_eq!(rig.get("a").await.unwrap(), b"data");
}

#[tokio::test]
async fn a_key_of_ones_own_material_is_imported_over_tls_alone() {
    let rig = Rig::new().await;
    let request = json!({"name": "mine", "material": STANDARD.encode([5; 32]), "description": "brought along"});
    let plain = strongroom_admin::Signer { secrets_allowed: false, ..root() };
    let answered = rig.send("POST", "/kms/keys/import", request.to_string(), plain).await;
    assert_eq!((answered.status, answered.json["code"].as_str()), (400, Some("InvalidRequest")));
    let imported = rig.ok("POST", "/kms/keys/import", request.clone()).await;
    assert_eq!(imported["key_metadata"]["description"], "brought along");
    rig.refused("POST", "/kms/keys/import", request, 409, "KeyExists").await;
    for material in ["short", "AAAA", "not base64!"] {
        let message = rig.refused("POST", "/kms/keys/import", json!({"name": "x", "material": material}), 400, "InvalidRequest").await;
        assert!(!message.contains(material), "{message}");
    }
    let text = serde_json::to_string(&rig.records().await).unwrap();
    assert!(!text.contains(&STANDARD.encode([5; 32])));
}

#[tokio::test]
async fn what_depends_on_a_key_is_told_by_version_and_bucket() {
    let rig = Rig::new().await;
    rig.put("a", Some("alpha"), b"12345").await;
    rig.ok("POST", "/kms/keys/rotate", json!({"key_id": "alpha"})).await;
    rig.put("b", Some("alpha"), b"123").await;
    let usage = rig.ok("GET", "/kms/keys/alpha/usage", Value::Null).await;
    assert_eq!((&usage["key_id"], &usage["backend"]), (&json!("alpha"), &json!("local")));
    assert_eq!((&usage["objects"], &usage["bytes"], &usage["uploads"]), (&json!(2), &json!(8), &json!(0)));
    let version = |number: u32, bytes: u32| json!({"version": number, "objects": 1, "bytes": bytes, "uploads": 0, "buckets": [{"bucket": "photos", "objects": 1, "bytes": bytes}]});
    assert_eq!(usage["versions"], json!([version(1, 5), version(2, 3)]));
    let unused = rig.ok("GET", "/kms/keys/beta/usage", Value::Null).await;
    assert_eq!((&unused["objects"], &unused["versions"]), (&json!(0), &json!([])));
}
