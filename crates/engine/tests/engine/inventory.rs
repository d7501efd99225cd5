//! The inventory: mode and key of each version, by pages; what was altered is told apart.

use std::{collections::BTreeSet, sync::Arc};

use strongroom_engine::{
    Error,
    api::{CreateBucket, Mode, PutObject, VersioningStatus},
    inventory::{InventoryPage, InventoryRequest, InventoryVersion},
};

use crate::common::*;

async fn walk(rig: &Rig, request: &InventoryRequest, limit: usize) -> InventoryPage {
    let mut all = InventoryPage::default();
    let mut marker = None::<String>;
    for _ in 0..10_000 {
        let page = rig.engine.inventory(request, marker.as_deref(), limit).await.unwrap();
        assert!(page.versions.len() + page.altered.len() <= limit);
        all.versions.extend(page.versions);
        all.altered.extend(page.altered);
        all.unreadable += page.unreadable;
        marker = page.next;
        if marker.is_none() {
            return all;
        }
    }
    panic!("the walk does not end");
}

async fn keys(rig: &Rig, request: InventoryRequest) -> Vec<String> {
    let mut keys: Vec<_> = walk(rig, &request, 1000).await.versions.into_iter().map(|version| version.key).collect();
    keys.sort();
    keys
}

fn name(by: As) -> String {
    format!("under/{by:?}")
}

#[tokio::test]
async fn each_version_is_listed_once_with_its_mode_and_the_version_of_its_key() {
    for rig in [Rig::new().await, Rig::sqlite().await] {
        let all = [As::Store, As::S3, As::Kms, As::BucketKey, As::Dsse, As::Customer(1)];
        for by in all {
            for shape in SHAPES {
                shape.put(&rig, &format!("{}/{shape:?}", name(by)), by).await;
            }
        }
        rig.create_upload("upload", As::Kms).await;
        let found = walk(&rig, &InventoryRequest::default(), 1000).await;
        assert_eq!((found.versions.len(), found.altered.len(), found.unreadable), (18, 0, 0));
        for by in all {
            let of_mode: Vec<&InventoryVersion> =
                found.versions.iter().filter(|version| version.key.starts_with(&format!("{}/", name(by)))).collect();
            assert_eq!(of_mode.len(), 3);
            for version in of_mode {
                let key = version.kms_key.as_ref().map(|key| (key.backend.as_str(), key.key_id.as_str(), key.version));
                assert_eq!(version.mode, by.mode());
                assert_eq!(key, by.kms_key().map(|key| ("local", key, 1)));
                assert_eq!((version.bucket_key, version.is_latest, version.bucket.as_str()), (by == As::BucketKey, true, BUCKET));
                assert_eq!(version.version_id, "null");
            }
        }
        for limit in [1, 2, 5, 31, 33] {
            let mut paged = walk(&rig, &InventoryRequest::default(), limit).await.versions;
            paged.sort_by(|one, other| one.key.cmp(&other.key));
            let mut whole = found.versions.clone();
            whole.sort_by(|one, other| one.key.cmp(&other.key));
            assert_eq!(paged, whole, "{limit}");
        }
    }
}

#[tokio::test]
async fn every_version_of_an_object_is_listed_and_no_delete_marker() {
    for rig in [Rig::new().await, Rig::sqlite().await] {
        rig.put("object", As::S3, b"first").await;
        rig.engine.set_bucket_versioning(BUCKET, VersioningStatus::Enabled).await.unwrap();
        let second = rig.put("object", As::Kms, b"the second").await.version_id.unwrap();
        rig.delete("object").await;
        let found = walk(&rig, &InventoryRequest::default(), 1).await.versions;
        let seen: BTreeSet<_> = found
            .iter()
            .map(|version| (version.version_id.as_str(), version.mode.as_u8(), version.size_bytes, version.is_latest))
            .collect();
        assert_eq!(seen, [("null", Mode::SseS3.as_u8(), 5, false), (second.as_str(), Mode::SseKms.as_u8(), 10, false)].into());
    }
}

#[tokio::test]
async fn bucket_prefix_mode_and_key_narrow_it() {
    for rig in [Rig::new().await, Rig::sqlite().await] {
        rig.engine.create_bucket(&rig.root, CreateBucket { name: "other".into(), ..CreateBucket::default() }).await.unwrap();
        for by in [As::Store, As::S3, As::Kms, As::Dsse, As::Customer(1)] {
            rig.put(&name(by), by, b"data").await;
        }
        let elsewhere = PutObject { bucket: "other".into(), ..put_request("elsewhere", As::Kms.write(), b"data") };
        rig.engine.put_object(&rig.root, elsewhere).await.unwrap();
        let every = InventoryRequest::default;
        let in_bucket = || InventoryRequest { bucket: Some(BUCKET.into()), ..every() };
        let (kms, dsse, s3) = (name(As::Kms), name(As::Dsse), name(As::S3));
        assert_eq!(keys(&rig, InventoryRequest { bucket: Some("other".into()), ..every() }).await, ["elsewhere"]);
        assert_eq!(keys(&rig, in_bucket()).await.len(), 5);
        assert_eq!(keys(&rig, InventoryRequest { prefix: Some("under/S".into()), ..in_bucket() }).await, [s3.clone(), name(As::Store)]);
        assert_eq!(keys(&rig, InventoryRequest { prefix: Some("else".into()), ..every() }).await, ["elsewhere"]);
        assert_eq!(keys(&rig, InventoryRequest { mode: Some(Mode::SseC), ..every() }).await, [name(As::Customer(1))]);
        assert_eq!(keys(&rig, InventoryRequest { mode: Some(Mode::Store), ..every() }).await, [name(As::Store)]);
        assert_eq!(keys(&rig, InventoryRequest { key_id: Some(KEY.into()), ..every() }).await, ["elsewhere", &dsse, &kms]);
        assert_eq!(keys(&rig, InventoryRequest { key_id: Some(KEY.into()), ..in_bucket() }).await, [dsse.clone(), kms.clone()]);
        let one = InventoryRequest { key_id: Some(KEY.into()), key_version: Some(1), backend: Some("local".into()), ..in_bucket() };
        assert_eq!(keys(&rig, one).await, [dsse, kms]);
        assert_eq!(keys(&rig, InventoryRequest { key_version: Some(2), ..every() }).await, [""; 0]);
        assert_eq!(keys(&rig, InventoryRequest { backend: Some("away".into()), ..every() }).await, [""; 0]);

        let refused = rig.engine.inventory(&InventoryRequest { bucket: Some("nowhere".into()), ..every() }, None, 10).await;
        assert!(matches!(refused, Err(Error::NoSuchBucket)));
        for limit in [0, 1001] {
            assert!(matches!(rig.engine.inventory(&every(), None, limit).await, Err(Error::InvalidArgument(_))));
        }
        assert!(matches!(rig.engine.inventory(&every(), Some("x"), 10).await, Err(Error::InvalidArgument(_))));
    }
}

#[tokio::test]
async fn a_row_that_was_altered_is_reported_and_never_shown_as_genuine() {
    let rig = Rig::sqlite().await;
    let rows = rig.rows();
    for key in ["a", "b", "c"] {
        rig.put(key, As::Kms, b"data").await;
    }
    let good = walk(&rig, &InventoryRequest::default(), 1000).await.versions;
    rows.execute_batch("CREATE TEMP TABLE good AS SELECT * FROM versions WHERE key = CAST('b' AS BLOB)").unwrap();
    for (change, is_readable) in [
        ("size_bytes = 5", true),
        ("modified = modified + 1", true),
        ("key = CAST('bb' AS BLOB)", true),
        ("version_id = zeroblob(16)", true),
        ("mode = 0", true),
        ("mode = 4", true),
        ("mode = 200", true),
        ("kms_key = NULL", true),
        ("lock = 2, retain_until = 4102444800000", true),
        ("lock = 4", true),
        ("record = (SELECT record FROM versions WHERE key = CAST('a' AS BLOB))", true),
        ("record = x''", true),
        ("size_bytes = -1", false),
        ("key = x'62ff'", false),
        ("version_id = x''", false),
    ] {
        let before = rig.engine.integrity_events();
        assert_eq!(rows.execute(&format!("UPDATE versions SET {change} WHERE id = (SELECT id FROM good)"), []).unwrap(), 1, "{change}");
        for limit in [1, 2, 1000] {
            let found = walk(&rig, &InventoryRequest::default(), limit).await;
            let seen: Vec<_> = found.versions.iter().map(|version| version.key.as_str()).collect();
            assert_eq!(seen, ["a", "c"], "{change}");
            assert_eq!((found.altered.len(), found.unreadable), if is_readable { (1, 0) } else { (0, 1) }, "{change}");
        }
        assert!(rig.engine.integrity_events() >= before + 3, "{change}");
        rows.execute_batch("INSERT OR REPLACE INTO versions SELECT * FROM good").unwrap();
        assert_eq!(walk(&rig, &InventoryRequest::default(), 1000).await.versions, good, "{change}");
    }
}

#[tokio::test]
async fn versions_of_an_altered_bucket_are_not_shown_as_genuine() {
    let rig = Rig::sqlite().await;
    rig.put("object", As::S3, b"data").await;
    rig.rows().execute("UPDATE buckets SET owner = 'mallory'", []).unwrap();
    let found = walk(&rig, &InventoryRequest::default(), 10).await;
    assert_eq!((found.versions.len(), found.altered.len()), (0, 1));
}

#[tokio::test]
async fn beside_writers_a_walk_ends_and_lists_all_that_was_there_throughout() {
    let rig = Arc::new(Rig::sqlite().await);
    for number in 0..50 {
        rig.put(&format!("stays/{number:02}"), As::Kms, b"data").await;
    }
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let rig = Arc::clone(&rig);
            tokio::spawn(async move {
                for number in 0..40 {
                    rig.put(&format!("{writer}/{number}"), As::S3, b"data").await;
                    rig.put("overwritten", As::S3, b"data").await;
                    rig.delete(&format!("{writer}/{number}")).await;
                }
            })
        })
        .collect();
    for request in [
        InventoryRequest::default(),
        InventoryRequest { bucket: Some(BUCKET.into()), prefix: Some("s".into()), ..InventoryRequest::default() },
    ] {
        let found = walk(&rig, &request, 7).await;
        let stayed: Vec<_> =
            found.versions.iter().filter(|version| version.key.starts_with("stays/")).map(|version| &version.key).collect();
        assert_eq!(stayed.len(), 50);
        assert_eq!(stayed.into_iter().collect::<BTreeSet<_>>().len(), 50);
        assert_eq!((found.altered.len(), found.unreadable), (0, 0));
    }
    for writer in writers {
        writer.await.unwrap();
    }
}
