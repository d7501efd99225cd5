//! The inventory over the admin API.

use serde_json::{Value, json};

use crate::rig::{Rig, allowing, user};

async fn rig() -> Rig {
    let rig = Rig::new().await;
    rig.put("a", Some("alpha"), b"12345").await;
    rig.put("b", None, b"123").await;
    rig.put("c", Some("beta"), b"1").await;
    rig
}

fn names(page: &Value) -> Vec<&str> {
    page["versions"].as_array().unwrap().iter().map(|version| version["key"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_page_tells_of_each_version_how_it_is_encrypted() {
    let rig = rig().await;
    let page = rig.ok("GET", "/kms/inventory", Value::Null).await;
    assert_eq!(names(&page), ["a", "b", "c"]);
    let mut first = page["versions"][0].clone();
    let modified = first.as_object_mut().unwrap().remove("last_modified").unwrap();
    assert!(modified.as_str().unwrap().ends_with('Z'), "{modified}");
    let expected = json!({
        "bucket": "photos", "key": "a", "version_id": "null", "is_latest": true, "size": 5, "mode": "SSE-KMS", "key_backend": "local",
        "key_id": "alpha", "key_version": 1, "bucket_key_enabled": false, "lock_mode": null, "retain_until": null,
        "legal_hold": false, "event_hold": false
    });
    assert_eq!(first, expected);
    assert_eq!((&page["versions"][1]["mode"], &page["versions"][1]["key_id"]), (&json!("SSE-S3"), &json!("default")));
    assert_eq!((&page["altered"], &page["unreadable"], &page["not_permitted"]), (&json!([]), &json!(0), &json!(0)));
    assert_eq!(page.get("next_marker"), None);
}

#[tokio::test]
async fn pages_follow_each_other_and_parameters_narrow_them() {
    let rig = rig().await;
    let (mut seen, mut marker) = (Vec::new(), String::new());
    loop {
        let page = rig.ok("GET", &format!("/kms/inventory?limit=1&marker={marker}"), Value::Null).await;
        seen.extend(names(&page).into_iter().map(str::to_owned));
        match page["next_marker"].as_str() {
            Some(next) => next.clone_into(&mut marker),
            None => break,
        }
    }
    assert_eq!(seen, ["a", "b", "c"]);
    for (query, expected) in [
        ("mode=SSE-S3", &["b"][..]),
        ("mode=none", &[]),
        ("key_id=alpha", &["a"]),
        ("key_id=arn:aws:kms:eu:1:key/alpha", &["a"]),
        ("key_id=alpha&key_version=2", &[]),
        ("backend=local&key_id=beta", &["c"]),
        ("bucket=photos&prefix=c", &["c"]),
    ] {
        assert_eq!(names(&rig.ok("GET", &format!("/kms/inventory?{query}"), Value::Null).await), expected, "{query}");
    }
}

#[tokio::test]
async fn what_is_not_understood_is_refused() {
    let rig = rig().await;
    for query in ["limit=0", "limit=1001", "limit=x", "marker=x", "mode=SSE-X", "key=alpha", "key_version=x"] {
        rig.refused("GET", &format!("/kms/inventory?{query}"), Value::Null, 400, "InvalidRequest").await;
    }
    rig.refused("GET", "/kms/inventory?key_id=no%20key", Value::Null, 404, "NotFound").await;
    rig.refused("GET", "/kms/inventory?bucket=nowhere", Value::Null, 404, "NotFound").await;
}

#[tokio::test]
async fn names_are_for_who_may_list_the_versions_of_their_bucket() {
    let rig = rig().await;
    let get = async |policy: Value, path: &str| rig.send("GET", path, String::new(), user(&policy)).await;
    let alone = get(allowing(&["strongroom:GetInventory"]), "/kms/inventory").await;
    assert_eq!((alone.status, &alone.json["versions"], &alone.json["not_permitted"]), (200, &json!([]), &json!(3)));
    assert!(!alone.text.contains("photos"), "{}", alone.text);
    let of_bucket = get(allowing(&["strongroom:GetInventory"]), "/kms/inventory?bucket=photos").await;
    assert_eq!((of_bucket.status, of_bucket.json["code"].as_str()), (403, Some("AccessDenied")));
    let both = get(allowing(&["strongroom:GetInventory", "s3:ListBucketVersions"]), "/kms/inventory?bucket=photos").await;
    assert_eq!((both.status, names(&both.json)), (200, vec!["a", "b", "c"]));
    let neither = get(allowing(&["s3:ListBucketVersions", "strongroom:GetKeyUsage"]), "/kms/inventory").await;
    assert_eq!(neither.status, 403);
    let record = rig.record("GetInventory").await;
    assert_eq!((&record["who"], &record["outcome"]), (&json!("alice"), &json!({"error": "AccessDenied"})), "{record}");
}
