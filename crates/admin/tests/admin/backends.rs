//! Several backends at once.

use serde_json::{Value, json};

use crate::rig::Rig;

async fn with_second(rig: &Rig) {
    let change = json!({"name": "second", "backend_type": "local", "key_dir": rig.key_dir("second"), "master_key": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0MTI="});
    rig.ok("POST", "/kms/reconfigure", change).await;
}

#[tokio::test]
async fn a_backend_goes_when_nothing_depends_on_it_any_more() {
    let rig = Rig::new().await;
    rig.put("a", Some("alpha"), b"1234").await;
    with_second(&rig).await;
    let list = rig.ok("GET", "/kms/backends", Value::Null).await;
    let backends = list["backends"].as_array().unwrap();
    assert_eq!((&backends[0]["name"], &backends[0]["in_force"], &backends[0]["objects"]), (&json!("second"), &json!(true), &json!(0)));
    assert_eq!((&backends[1]["name"], &backends[1]["in_force"]), (&json!("local"), &json!(false)));
    assert_eq!((&backends[1]["keys_in_use"], &backends[1]["objects"], &backends[1]["bytes"]), (&json!(1), &json!(1), &json!(4)));
    assert_eq!(rig.get("a").await.unwrap(), b"1234", "the earlier backend stays readable");

    let message = rig.refused("DELETE", "/kms/backends/local", Value::Null, 409, "BackendInUse").await;
    assert!(message.contains("1 objects of 4 bytes"), "{message}");
    rig.refused("DELETE", "/kms/backends/second", Value::Null, 409, "Conflict").await;
    rig.refused("DELETE", "/kms/backends/third", Value::Null, 404, "NotFound").await;

    rig.ok("POST", "/kms/keys", json!({"name": "default"})).await;
    let job = rig.ok("POST", "/kms/rekey", json!({"from_backend": "local"})).await;
    let job = crate::rekey::ended(&rig, job["job_id"].as_str().unwrap()).await;
    assert_eq!((&job["state"], &job["done"]), (&json!("Completed"), &json!(1)), "{job}");
    assert_eq!(rig.ok("DELETE", "/kms/backends/local", Value::Null).await["success"], true);
    assert_eq!(rig.get("a").await.unwrap(), b"1234");
}

#[tokio::test]
async fn key_calls_say_which_backend_they_mean() {
    let rig = Rig::new().await;
    with_second(&rig).await;
    rig.ok("POST", "/kms/keys", json!({"name": "gamma"})).await;
    rig.refused("GET", "/kms/keys/gamma?backend=local", Value::Null, 404, "NotFound").await;
    assert_eq!(rig.ok("GET", "/kms/keys/gamma", Value::Null).await["key_metadata"]["backend"], "second");
    assert_eq!(rig.ok("GET", "/kms/keys/alpha?backend=local", Value::Null).await["key_metadata"]["backend"], "local");
    let rotated = rig.ok("POST", "/kms/keys/rotate?backend=local", json!({"key_id": "alpha"})).await;
    assert_eq!(rotated["key_metadata"]["current_version"], 2);
    let made = rig.ok("POST", "/kms/generate-data-key?backend=local", json!({"key_id": "alpha"})).await;
    let opened = rig.ok("POST", "/kms/decrypt", json!({"ciphertext_blob": made["ciphertext_blob"]})).await;
    assert_eq!(opened["plaintext_key"], made["plaintext_key"], "the blob says which backend it is of");
}

#[tokio::test]
async fn keys_in_use_page_to_their_end() {
    let rig = Rig::new().await;
    for (object, key) in [("a", "alpha"), ("b", "beta"), ("c", "default")] {
        rig.put(object, Some(key), b"1").await;
    }
    let all = rig.ok("GET", "/kms/keys/in-use", Value::Null).await;
    let ids: Vec<_> = all["keys"].as_array().unwrap().iter().map(|key| key["key_id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids, ["alpha", "beta", "default"]);
    assert_eq!(all["keys"][0]["buckets"], json!([{"bucket": "photos", "objects": 1, "bytes": 1}]));
    let (mut paged, mut marker) = (Vec::new(), String::new());
    loop {
        let page = rig.ok("GET", &format!("/kms/keys/in-use?limit=1&backend=local&marker={marker}"), Value::Null).await;
        paged.extend(page["keys"].as_array().unwrap().iter().map(|key| key["key_id"].as_str().unwrap().to_owned()));
        let Some(next) = page["next_marker"].as_str() else { break };
        next.clone_into(&mut marker);
    }
    assert_eq!(paged, ids);
    assert_eq!(rig.ok("GET", "/kms/keys/in-use?backend=other", Value::Null).await["keys"], json!([]));
    rig.refused("GET", "/kms/keys/in-use?marker=x", Value::Null, 400, "InvalidRequest").await;
}

#[tokio::test]
async fn a_lost_key_is_not_made_anew_but_may_be_brought_back() {
    use base64::Engine as _;
    let rig = Rig::new().await;
    let material = base64::engine::general_purpose::STANDARD.encode([5; 32]);
    rig.ok("POST", "/kms/keys/import", json!({"name": "mine", "material": material})).await;
    rig.put("a", Some("mine"), b"data").await;
    let rig = rig.after_losing("mine").await;
    rig.refused("GET", "/kms/keys/mine", Value::Null, 404, "NotFound").await;
    let message = rig.refused("POST", "/kms/keys", json!({"name": "mine"}), 409, "KeyLost").await;
    assert!(message.contains("1 objects"), "{message}");
    rig.refused("POST", "/minio/kms/v1/key/create?key-id=mine", Value::Null, 409, "KeyLost").await;
    rig.refused("POST", "/kms/keys/import", json!({"name": "mine", "material": material}), 409, "KeyLost").await;
    assert!(rig.get("a").await.is_err());
    rig.ok("POST", "/kms/keys/import", json!({"name": "mine", "material": material, "replaces_lost": true})).await;
    assert_eq!(rig.get("a").await.unwrap(), b"data");
    rig.ok("POST", "/kms/keys", json!({"name": "unheard-of"})).await;
}
