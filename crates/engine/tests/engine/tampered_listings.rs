//! Whoever can write to the catalog's file: no listing shows a name, size or date that was edited, and none is taken away by it.

use strongroom_engine::{
    Error,
    api::{ListEntry, ListObjects, ListParts, ListUploads, ListedObject, UploadRef},
};

use crate::common::*;

fn query(delimiter: Option<&str>, after: Option<&str>, limit: usize) -> ListObjects {
    ListObjects {
        bucket: BUCKET.into(),
        prefix: String::new(),
        delimiter: delimiter.map(str::to_owned),
        after: after.map(str::to_owned),
        limit,
    }
}

/// A page as text: keys, and prefixes in brackets; and whether it is truncated.
async fn listed(rig: &Rig, query: ListObjects) -> (Vec<String>, bool) {
    let page = rig.engine.list_objects(query).await.unwrap();
    let entries = page.entries.into_iter().map(|entry| match entry {
        ListEntry::Item(object) => object.key,
        ListEntry::Prefix(prefix) => format!("[{prefix}]"),
    });
    (entries.collect(), page.truncated)
}

/// Key, size and date of each object.
async fn shown(rig: &Rig) -> Vec<(String, u64, i64, String)> {
    let page = rig.engine.list_objects(query(None, None, 1000)).await.unwrap();
    assert!(!page.truncated);
    let objects = page.entries.into_iter().map(|entry| match entry {
        ListEntry::Item(ListedObject { key, size_bytes, modified_ms, etag, .. }) => (key, size_bytes, modified_ms, etag),
        ListEntry::Prefix(prefix) => panic!("{prefix}"),
    });
    objects.collect()
}

#[tokio::test]
async fn an_edited_name_size_or_date_is_never_listed() {
    let rig = Rig::sqlite().await;
    let rows = rig.rows();
    for key in ["a", "b", "c"] {
        rig.put(key, As::S3, b"data").await;
    }
    let good = shown(&rig).await;
    assert_eq!(good.iter().map(|(key, size, ..)| (key.as_str(), *size)).collect::<Vec<_>>(), [("a", 4), ("b", 4), ("c", 4)]);
    rows.execute_batch("CREATE TEMP TABLE good AS SELECT * FROM versions WHERE key = CAST('b' AS BLOB)").unwrap();
    for change in [
        "size_bytes = 5",
        "size_bytes = -1",
        "modified = modified + 1",
        "key = CAST('bb' AS BLOB)",
        "key = x'62ff'",
        "version_id = zeroblob(16)",
        "version_id = x''",
        "mode = 0",
        "kms_key = NULL",
        "kms_key = 99",
        "is_delete_marker = 0, mode = NULL",
        "record = x'00'",
        "record = (SELECT record FROM versions WHERE key = CAST('a' AS BLOB))",
    ] {
        assert_eq!(rows.execute(&format!("UPDATE versions SET {change} WHERE id = (SELECT id FROM good)"), []).unwrap(), 1);
        let before = rig.engine.integrity_events();
        assert_eq!(shown(&rig).await, [good[0].clone(), good[2].clone()], "{change}");
        assert_eq!(rig.engine.integrity_events(), before + 1, "counted once: {change}");
        let undo = "UPDATE versions SET (key, version_id, size_bytes, modified, mode, kms_key, record) = \
                    (SELECT key, version_id, size_bytes, modified, mode, kms_key, record FROM good) WHERE id = (SELECT id FROM good)";
        rows.execute_batch(undo).unwrap();
        assert_eq!(shown(&rig).await, good, "{change} is undone");
    }
}

#[tokio::test]
async fn in_place_of_an_altered_row_comes_the_next_one() {
    let rig = Rig::sqlite().await;
    for number in 0..10 {
        rig.put(&number.to_string(), As::Store, b"data").await;
    }
    assert_eq!(rig.rows().execute("UPDATE versions SET size_bytes = 5 WHERE key IN (x'31', x'32', x'33', x'39')", []).unwrap(), 4);
    assert_eq!(listed(&rig, query(None, None, 2)).await, (vec!["0".into(), "4".into()], true));
    assert_eq!(listed(&rig, query(None, Some("0"), 2)).await, (vec!["4".into(), "5".into()], true));
    assert_eq!(listed(&rig, query(None, Some("5"), 3)).await, (vec!["6".into(), "7".into(), "8".into()], true));
    assert_eq!(listed(&rig, query(None, Some("8"), 3)).await, (vec![], false), "what followed was altered");
    assert_eq!(listed(&rig, query(None, None, 1000)).await.0, ["0", "4", "5", "6", "7", "8"]);
    assert_eq!(listed(&rig, query(None, None, 0)).await, (vec![], false));
}

#[tokio::test]
async fn a_common_prefix_is_listed_only_if_a_genuine_row_lies_below_it() {
    let rig = Rig::sqlite().await;
    let rows = rig.rows();
    for key in ["a/1", "a/2", "a/3", "b/1", "c", "d/1", "d/2"] {
        rig.put(key, As::Store, b"data").await;
    }
    // A name that leads to a prefix that never was, and damage at the front of one that is.
    assert_eq!(rows.execute("UPDATE versions SET key = CAST('forged/1' AS BLOB) WHERE key = CAST('b/1' AS BLOB)", []).unwrap(), 1);
    assert_eq!(rows.execute("UPDATE versions SET modified = 0 WHERE key IN (CAST('a/1' AS BLOB), CAST('a/2' AS BLOB))", []).unwrap(), 2);
    assert_eq!(rows.execute("UPDATE versions SET size_bytes = -1 WHERE key = CAST('d/1' AS BLOB)", []).unwrap(), 1);
    assert_eq!(listed(&rig, query(Some("/"), None, 1000)).await, (vec!["[a/]".into(), "c".into(), "[d/]".into()], false));
    assert_eq!(rig.engine.integrity_events(), 4);
    assert_eq!(listed(&rig, query(Some("/"), None, 1)).await, (vec!["[a/]".into()], true));
    assert_eq!(listed(&rig, query(Some("/"), Some("a/"), 1)).await, (vec!["c".into()], true));
    assert_eq!(listed(&rig, query(Some("/"), Some("c"), 1)).await, (vec!["[d/]".into()], true));
    assert_eq!(listed(&rig, query(Some("/"), Some("d/"), 1)).await, (vec![], false));
}

#[tokio::test]
async fn with_more_than_a_thousand_altered_rows_a_listing_is_an_error() {
    let rig = Rig::sqlite().await;
    for number in 0..1002 {
        rig.put(&format!("{number:04}"), As::Store, b"").await;
    }
    let rows = rig.rows();
    assert_eq!(rows.execute("UPDATE versions SET modified = 0 WHERE key < CAST('1000' AS BLOB)", []).unwrap(), 1000);
    assert_eq!(listed(&rig, query(None, None, 1000)).await.0, ["1000", "1001"]);
    assert_eq!(rows.execute("UPDATE versions SET modified = 0 WHERE key = CAST('1000' AS BLOB)", []).unwrap(), 1);
    let page = rig.engine.list_objects(query(None, None, 1000)).await;
    assert!(matches!(page, Err(Error::Integrity(_))), "{page:?}");
    rows.execute("UPDATE versions SET size_bytes = -1", []).unwrap();
    let before = rig.engine.integrity_events();
    assert!(matches!(rig.engine.list_objects(query(None, None, 1000)).await, Err(Error::Integrity(_))));
    assert_eq!(rig.engine.integrity_events(), before + 1);
}

#[tokio::test]
async fn an_altered_upload_is_never_listed() {
    let rig = Rig::sqlite().await;
    let rows = rig.rows();
    for key in ["a", "b", "c", "d/1", "e/1"] {
        rig.create_upload(key, As::S3).await;
    }
    let list = async |limit: usize| {
        let query = ListUploads { bucket: BUCKET.into(), delimiter: Some("/".into()), limit, ..ListUploads::default() };
        let page = rig.engine.list_multipart_uploads(query).await.unwrap();
        let entries = page.entries.into_iter().map(|entry| match entry {
            ListEntry::Item(upload) => upload.key,
            ListEntry::Prefix(prefix) => format!("[{prefix}]"),
        });
        (entries.collect::<Vec<_>>(), page.truncated)
    };
    rows.execute_batch("CREATE TEMP TABLE good AS SELECT * FROM uploads WHERE key = CAST('b' AS BLOB)").unwrap();
    assert_eq!(rows.execute("UPDATE uploads SET initiator = 'mallory' WHERE key = CAST('e/1' AS BLOB)", []).unwrap(), 1);
    for change in [
        "initiated = initiated - 1",
        "initiator = 'mallory'",
        "key = CAST('bb' AS BLOB)",
        "upload_id = x'00'",
        "record = x'00'",
        "mode = -1",
    ] {
        assert_eq!(rows.execute(&format!("UPDATE uploads SET {change} WHERE id = (SELECT id FROM good)"), []).unwrap(), 1);
        let before = rig.engine.integrity_events();
        assert_eq!(list(1000).await, (vec!["a".into(), "c".into(), "[d/]".into()], false), "{change}");
        assert_eq!(rig.engine.integrity_events(), before + 2, "{change}");
        assert_eq!(list(2).await, (vec!["a".into(), "c".into()], true), "{change}");
        let undo = "UPDATE uploads SET (initiated, initiator, key, upload_id, record, mode) = \
                    (SELECT initiated, initiator, key, upload_id, record, mode FROM good) WHERE id = (SELECT id FROM good)";
        rows.execute_batch(undo).unwrap();
    }
    assert_eq!(list(1000).await.0, ["a", "b", "c", "[d/]"]);
}

#[tokio::test]
async fn pages_of_parts_are_full_though_altered_ones_are_left_out() {
    let rig = Rig::sqlite().await;
    let upload = rig.create_upload("object", As::S3).await;
    for number in 1..=6 {
        rig.upload_part(&upload, number, As::S3, b"data").await;
    }
    assert_eq!(rig.rows().execute("UPDATE parts SET modified = 0 WHERE number IN (2, 3, 6)", []).unwrap(), 3);
    let page = async |after: u16, limit: usize| {
        let page = rig.engine.list_parts(ListParts { upload: upload.clone(), after, limit }).await.unwrap();
        (page.parts.iter().map(|part| part.number).collect::<Vec<_>>(), page.truncated)
    };
    assert_eq!(page(0, 2).await, (vec![1, 4], true));
    assert_eq!(page(4, 2).await, (vec![5], false));
    assert_eq!(page(0, 1000).await, (vec![1, 4, 5], false));
}

/// What one row of a listing costs, of which its authenticator. Figures to read, so it is run by hand:
/// `cargo test --release -p strongroom-engine --test engine -- --ignored --nocapture what_a_listed_row_costs`
#[tokio::test]
#[ignore = "prints figures"]
async fn what_a_listed_row_costs() {
    const ROUNDS: u32 = 100;
    let rig = Rig::sqlite().await;
    for number in 0..1000 {
        rig.put(&format!("{number:04}/of/some/depth"), As::Kms, b"data").await;
    }
    let bucket_id = rig.engine.bucket(BUCKET).await.unwrap().id;
    let raw = strongroom_catalog::ListQuery { bucket_id, limit: 1000, ..strongroom_catalog::ListQuery::default() };
    for (what, delimiter) in [("of 1000 keys", None), ("of 1000 prefixes", Some("/"))] {
        let mut shortest = [std::time::Duration::MAX; 2];
        for _ in 0..ROUNDS {
            let begun = std::time::Instant::now();
            let rows = strongroom_catalog::ListQuery { delimiter: delimiter.map(str::to_owned), ..raw.clone() };
            assert_eq!(rig.catalog.list_objects(rows).await.unwrap().entries.len(), 1000);
            shortest[0] = shortest[0].min(begun.elapsed());
            let begun = std::time::Instant::now();
            assert_eq!(rig.engine.list_objects(query(delimiter, None, 1000)).await.unwrap().entries.len(), 1000);
            shortest[1] = shortest[1].min(begun.elapsed());
        }
        println!("a listing {what}: rows alone {:?}, genuine rows {:?}", shortest[0], shortest[1]);
    }
}

/// Kept from growing stale: an upload is found by what its listing says.
#[tokio::test]
async fn a_listed_upload_can_be_completed() {
    let rig = Rig::sqlite().await;
    let upload = rig.create_upload("object", As::S3).await;
    let part = rig.upload_part(&upload, 1, As::S3, b"data").await;
    let query = ListUploads { bucket: BUCKET.into(), limit: 1, ..ListUploads::default() };
    let page = rig.engine.list_multipart_uploads(query).await.unwrap();
    let ListEntry::Item(listed) = &page.entries[0] else { panic!() };
    let found = UploadRef { bucket: BUCKET.into(), key: listed.key.clone(), upload_id: listed.upload_id.clone() };
    rig.complete(&found, vec![part]).await.unwrap();
    assert_eq!(rig.get("object", As::S3).await.unwrap(), b"data");
}
