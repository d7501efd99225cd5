//! Whoever can write to the catalog's file: no row is believed that was not sealed.

use rusqlite::{Connection, params};
use strongroom_engine::{
    Error,
    api::{
        ChecksumAlgorithm, CreateBucket, CreateMultipartUpload, DeleteCondition, ListParts, SseHeaders, UploadPartCopy, UploadRef,
        WriteCondition,
    },
};

use crate::common::*;

const OF_VERSION: [&str; 3] = ["sealed_keys", "record", "wrapped_key"];
const OF_DATA: [&str; 2] = ["manifest", "inline"];
const CLEAR: &str = "DELETE FROM versions; DELETE FROM version_data; DELETE FROM version_blobs; DELETE FROM uploads; DELETE FROM parts";

fn read_column(rows: &Connection, column: &str, key: &str) -> Option<Vec<u8>> {
    let sql = if OF_VERSION.contains(&column) {
        format!("SELECT {column} FROM versions WHERE key = ?1")
    } else {
        format!("SELECT d.{column} FROM version_data d JOIN versions v ON v.id = d.version WHERE v.key = ?1")
    };
    rows.query_row(&sql, [key.as_bytes()], |row| row.get(0)).unwrap()
}

fn write_column(rows: &Connection, column: &str, key: &str, value: Option<&[u8]>) {
    let sql = if OF_VERSION.contains(&column) {
        format!("UPDATE versions SET {column} = ?1 WHERE key = ?2")
    } else {
        format!("UPDATE version_data SET {column} = ?1 WHERE version = (SELECT id FROM versions WHERE key = ?2)")
    };
    assert_eq!(rows.execute(&sql, params![value, key.as_bytes()]).unwrap(), 1);
}

/// Whatever the operation is: it answers that the object is damaged, and that is counted once.
fn damaged<T>(rig: &Rig, before: u64, result: Result<T, Error>, what: &str) {
    let error = result.err();
    assert!(matches!(error, Some(Error::Integrity(_))), "{what}: {error:?}");
    assert_eq!(rig.engine.integrity_events(), before + 1, "counted once: {what}");
}

async fn get_is_damaged(rig: &Rig, key: &str, by: As, what: &str) {
    let before = rig.engine.integrity_events();
    damaged(rig, before, rig.get(key, by).await, what);
}

#[tokio::test]
async fn a_changed_byte_anywhere_in_a_row_is_noticed() {
    let rig = Rig::sqlite().await;
    let rows = rig.rows();
    for by in [As::Store, As::S3, As::BucketKey, As::Dsse, As::Customer(1)] {
        rig.put("object", by, b"0123456789").await;
        for column in OF_VERSION.iter().chain(&OF_DATA) {
            let good = read_column(&rows, column, "object").unwrap();
            assert_eq!(good.is_empty(), *column == "wrapped_key" && by.kms_key().is_none());
            for at in 0..good.len() {
                let mut bad = good.clone();
                bad[at] ^= 1 << (at % 8);
                write_column(&rows, column, "object", Some(&bad));
                get_is_damaged(&rig, "object", by, &format!("{by:?} {column} {at}")).await;
            }
            for bad in [&[], &good[..good.len().saturating_sub(1)], &[&good[..], &[0]].concat()] {
                if bad != good && !(bad.len() == 1 && *column == "wrapped_key") {
                    write_column(&rows, column, "object", Some(bad));
                    get_is_damaged(&rig, "object", by, &format!("{by:?} {column}, {} bytes", bad.len())).await;
                }
            }
            write_column(&rows, column, "object", Some(&good));
        }
        assert_eq!(rig.get("object", by).await.unwrap(), b"0123456789");
    }
}

#[tokio::test]
async fn a_changed_manifest_of_many_parts_is_noticed() {
    let rig = Rig::sqlite().await;
    let rows = rig.rows();
    let (data, _) = Shape::Multipart.put(&rig, "object", As::Kms).await;
    let good = read_column(&rows, "manifest", "object").unwrap();
    assert_eq!(good.len(), 3 + 3 * 58);
    let mut variants: Vec<Vec<u8>> = (0..good.len())
        .map(|at| {
            let mut bad = good.clone();
            bad[at] ^= 1;
            bad
        })
        .collect();
    // A part left out, with its number or without.
    variants.push([&[1, 0, 2], &good[3..119]].concat());
    variants.push([&[1, 0, 2], &good[61..]].concat());
    // Two parts' salts and blobs swapped.
    let mut swapped = good.clone();
    swapped[3 + 10..3 + 58].copy_from_slice(&good[61 + 10..61 + 58]);
    swapped[61 + 10..61 + 58].copy_from_slice(&good[3 + 10..3 + 58]);
    variants.push(swapped);
    for (number, bad) in variants.iter().enumerate() {
        write_column(&rows, "manifest", "object", Some(bad));
        get_is_damaged(&rig, "object", As::Kms, &format!("variant {number}")).await;
    }
    write_column(&rows, "manifest", "object", Some(&good));
    assert!(rig.get("object", As::Kms).await.unwrap() == data);
}

#[tokio::test]
async fn every_operation_refuses_a_damaged_record_and_counts_it_once() {
    let rig = Rig::sqlite().await;
    let rows = rig.rows();
    for column in ["record", "manifest", "sealed_keys", "mode", "inline"] {
        rig.put("object", As::S3, b"data").await;
        let upload = rig.create_upload("upload", As::Store).await;
        if column == "mode" {
            rows.execute("UPDATE versions SET mode = 77 WHERE key = ?1", [b"object"]).unwrap();
        } else {
            let mut bad = read_column(&rows, column, "object").unwrap();
            *bad.last_mut().unwrap() ^= 1;
            write_column(&rows, column, "object", Some(&bad));
        }
        let events = || rig.engine.integrity_events();
        let request = || get_request("object", SseHeaders::default());

        let before = events();
        damaged(&rig, before, rig.engine.get_object(&rig.root, request()).await, column);
        let before = events();
        damaged(&rig, before, rig.copy(("object", As::S3), ("copy", As::Dsse)).await, column);
        let part = UploadPartCopy {
            upload: upload.clone(),
            part_number: 1,
            source: copy_source("object", As::S3),
            range: None,
            sse: SseHeaders::default(),
        };
        let before = events();
        damaged(&rig, before, rig.engine.upload_part_copy(&rig.root, part).await, column);
        let before = events();
        let (head, attributes) =
            (rig.engine.head_object(&rig.root, request()).await, rig.engine.object_attributes(&rig.root, request()).await);
        match column {
            "record" | "mode" => {
                assert!(matches!(head, Err(Error::Integrity(_))) && matches!(attributes, Err(Error::Integrity(_))));
                assert_eq!(events(), before + 2);
            }
            "manifest" => {
                assert!(head.is_ok() && matches!(attributes, Err(Error::Integrity(_))));
                assert_eq!(events(), before + 1);
            }
            _ => assert!(head.is_ok() && attributes.is_ok() && events() == before, "they open nothing: {column}"),
        }
        if column == "record" {
            let condition = WriteCondition::Matches("etag".into());
            let before = events();
            let put = strongroom_engine::api::PutObject { condition, ..put_request("object", As::S3.write(), b"") };
            damaged(&rig, before, rig.engine.put_object(&rig.root, put).await, "a conditional write");
            let before = events();
            let condition = DeleteCondition { size_bytes: Some(1), ..DeleteCondition::default() };
            let delete = rig.engine.delete_object(&rig.root, BUCKET, "object", None, condition, false).await;
            damaged(&rig, before, delete, "a conditional delete");
        }
        assert!(matches!(rig.get("copy", As::Dsse).await, Err(Error::NoSuchKey)));
        rig.delete("object").await;
    }
}

#[tokio::test]
async fn a_changed_plain_column_is_noticed() {
    let rig = Rig::sqlite().await;
    let rows = rig.rows();
    rig.engine.create_bucket(&rig.root, CreateBucket { name: "second".into(), ..CreateBucket::default() }).await.unwrap();
    for (sql, bucket, key) in [
        ("UPDATE versions SET size_bytes = size_bytes + 1 WHERE key = ?1", BUCKET, "object"),
        ("UPDATE versions SET size_bytes = 0 WHERE key = ?1", BUCKET, "object"),
        ("UPDATE versions SET modified = modified + 1 WHERE key = ?1", BUCKET, "object"),
        ("UPDATE versions SET version_id = zeroblob(16) WHERE key = ?1", BUCKET, "object"),
        ("UPDATE versions SET key = CAST('moved' AS BLOB) WHERE key = ?1", BUCKET, "moved"),
        ("UPDATE versions SET bucket = (SELECT id FROM buckets WHERE name = CAST('second' AS BLOB)) WHERE key = ?1", "second", "object"),
    ] {
        for by in [As::Store, As::S3, As::Customer(1)] {
            rig.put("object", by, b"data").await;
            assert_eq!(rows.execute(sql, [b"object"]).unwrap(), 1);
            let request = || strongroom_engine::api::GetObject { bucket: bucket.into(), ..get_request(key, by.read()) };
            let before = rig.engine.integrity_events();
            damaged(&rig, before, rig.engine.get_object(&rig.root, request()).await, sql);
            let before = rig.engine.integrity_events();
            damaged(&rig, before, rig.engine.head_object(&rig.root, request()).await, sql);
            rows.execute_batch(CLEAR).unwrap();
        }
    }
}

/// The story: a caller without `kms:Decrypt` has a friend who can write to the disk, and has the mode of an SSE-KMS object changed
/// to SSE-S3, which asks for no such right.
#[tokio::test]
async fn a_changed_mode_is_noticed_also_where_no_key_is_opened() {
    let rig = Rig::sqlite().await;
    let rows = rig.rows();
    for by in [As::Store, As::S3, As::Kms, As::BucketKey, As::Dsse, As::Customer(1)] {
        rig.put("object", by, b"data").await;
        for mode in (0..=6).filter(|mode| *mode != by.mode().as_u8()) {
            rows.execute("UPDATE versions SET mode = ?1 WHERE key = ?2", params![mode, b"object"]).unwrap();
            get_is_damaged(&rig, "object", by, &format!("{by:?} as {mode}")).await;
            let before = rig.engine.integrity_events();
            damaged(&rig, before, rig.head("object", by).await, &format!("{by:?} as {mode}"));
        }
    }
}

#[tokio::test]
async fn a_changed_kms_key_is_noticed() {
    let rig = Rig::sqlite().await;
    let rows = rig.rows();
    let sse = SseHeaders { kms_key_id: Some(OTHER_KEY.into()), ..As::Kms.write() };
    rig.engine.put_object(&rig.root, put_request("other", sse, b"other")).await.unwrap();
    for by in [As::Kms, As::BucketKey, As::Dsse] {
        rig.put("object", by, b"data").await;
        rows.execute("UPDATE versions SET kms_key = (SELECT kms_key FROM versions WHERE key = ?1) WHERE key = ?2", (b"other", b"object"))
            .unwrap();
        get_is_damaged(&rig, "object", by, "another key").await;
        rows.execute("UPDATE versions SET kms_key = NULL WHERE key = ?1", [b"object"]).unwrap();
        get_is_damaged(&rig, "object", by, "no key").await;
    }
}

#[tokio::test]
async fn objects_that_swap_any_of_their_columns_are_noticed() {
    let rig = Rig::sqlite().await;
    let rows = rig.rows();
    let groups: [&[&str]; 4] = [&["sealed_keys", "wrapped_key"], &["record"], &["manifest"], &["inline"]];
    for (by, large) in
        [(As::Store, false), (As::S3, false), (As::BucketKey, false), (As::Dsse, false), (As::Customer(1), false), (As::S3, true)]
    {
        let contents = if large { [data(5000, 1), data(5000, 2)] } else { [b"one one".to_vec(), b"two two".to_vec()] };
        for (key, content) in ["one", "two"].iter().zip(&contents) {
            rig.put(key, by, content).await;
        }
        for subset in 1_u8..16 {
            let columns = (0..4).filter(|group| subset & 1 << group != 0).flat_map(|group| groups[group]);
            let columns: Vec<_> = columns.copied().filter(|column| *column != "inline" || !large).collect();
            if columns.is_empty() {
                continue;
            }
            let swap = || {
                for column in &columns {
                    let (one, two) = (read_column(&rows, column, "one"), read_column(&rows, column, "two"));
                    write_column(&rows, column, "one", two.as_deref());
                    write_column(&rows, column, "two", one.as_deref());
                }
            };
            swap();
            for key in ["one", "two"] {
                get_is_damaged(&rig, key, by, &format!("{by:?} {columns:?}")).await;
            }
            swap();
        }
        // Everything, but for the names.
        rows.execute_batch(
            "UPDATE versions SET key = CASE key WHEN x'6f6e65' THEN x'78' ELSE key END;
            UPDATE versions SET key = CASE key WHEN x'74776f' THEN x'6f6e65' ELSE key END;
            UPDATE versions SET key = CASE key WHEN x'78' THEN x'74776f' ELSE key END;",
        )
        .unwrap();
        for key in ["one", "two"] {
            get_is_damaged(&rig, key, by, "the whole rows").await;
        }
        rows.execute_batch(CLEAR).unwrap();
    }
}

#[tokio::test]
async fn a_damaged_upload_takes_no_part_and_is_not_completed() {
    let rig = Rig::sqlite().await;
    let rows = rig.rows();
    let begin = async |rig: &Rig| -> UploadRef {
        let request =
            CreateMultipartUpload { checksum_algorithm: Some(ChecksumAlgorithm::Crc32), ..create_request("object", As::S3.write()) };
        let upload_id = rig.engine.create_multipart_upload(&rig.root, request).await.unwrap().upload_id;
        UploadRef { bucket: BUCKET.into(), key: "object".into(), upload_id }
    };
    for column in ["record", "sealed_keys", "wrapped_key", "mode", "version_id"] {
        let upload = begin(&rig).await;
        let part = rig.upload_part(&upload, 1, As::S3, b"data").await;
        match column {
            "mode" => assert_eq!(rows.execute("UPDATE uploads SET mode = 2", []).unwrap(), 1),
            "version_id" => assert_eq!(rows.execute("UPDATE uploads SET version_id = zeroblob(16)", []).unwrap(), 1),
            _ => {
                let sealed: Vec<u8> = rows.query_row(&format!("SELECT {column} FROM uploads"), [], |row| row.get(0)).unwrap();
                let mut bad = sealed;
                *bad.last_mut().unwrap() ^= 1;
                rows.execute(&format!("UPDATE uploads SET {column} = ?1"), [bad]).unwrap();
            }
        }
        let before = rig.engine.integrity_events();
        damaged(&rig, before, rig.engine.upload_part(&rig.root, part_request(&upload, 2, As::S3, b"x")).await, column);
        if column == "sealed_keys" {
            // Completing opens no object key: the damage shows when the object is read.
            rig.complete(&upload, vec![part]).await.unwrap();
            get_is_damaged(&rig, "object", As::S3, column).await;
        } else {
            let before = rig.engine.integrity_events();
            damaged(&rig, before, rig.complete(&upload, vec![part]).await, column);
        }
        rows.execute_batch(CLEAR).unwrap();
    }
    for sql in [
        "UPDATE parts SET size_bytes = size_bytes + 1 WHERE number = 1",
        "UPDATE parts SET record = (SELECT record FROM parts WHERE number = 2) WHERE number = 1",
        "UPDATE parts SET blob = (SELECT blob FROM parts WHERE number = 2) WHERE number = 1",
        "UPDATE parts SET number = 3 WHERE number = 1",
        "UPDATE parts SET modified = modified + 1 WHERE number = 1",
    ] {
        let upload = begin(&rig).await;
        let one = rig.upload_part(&upload, 1, As::S3, b"one").await;
        let two = rig.upload_part(&upload, 2, As::S3, b"two").await;
        rows.execute(sql, []).unwrap();
        let first = if sql.contains("number = 3") { strongroom_engine::api::CompletedPart { number: 3, ..one } } else { one };
        let mut parts = vec![first, two];
        parts.sort_by_key(|part| part.number);
        let before = rig.engine.integrity_events();
        damaged(&rig, before, rig.complete(&upload, parts).await, sql);
        let before = rig.engine.integrity_events();
        let listed = rig.engine.list_parts(ListParts { upload: upload.clone(), after: 0, limit: 10 }).await.unwrap();
        let numbers: Vec<_> = listed.parts.iter().map(|part| part.number).collect();
        assert_eq!(numbers, [2], "the damaged part is left out: {sql}");
        assert_eq!(rig.engine.integrity_events(), before + 1, "and counted: {sql}");
        rows.execute_batch(CLEAR).unwrap();
    }
}

#[tokio::test]
async fn damaged_checksums_of_parts_are_noticed() {
    let rig = Rig::sqlite().await;
    let rows = rig.rows();
    let request = CreateMultipartUpload { checksum_algorithm: Some(ChecksumAlgorithm::Sha256), ..create_request("object", As::S3.write()) };
    let upload_id = rig.engine.create_multipart_upload(&rig.root, request).await.unwrap().upload_id;
    let upload = UploadRef { bucket: BUCKET.into(), key: "object".into(), upload_id };
    let part = rig.upload_part(&upload, 1, As::S3, b"data").await;
    rig.complete(&upload, vec![part]).await.unwrap();
    let attributes = || rig.engine.object_attributes(&rig.root, get_request("object", SseHeaders::default()));
    assert!(attributes().await.unwrap().1[0].checksum.is_some());
    let mut bad = read_column(&rows, "part_record", "object").unwrap();
    bad[40] ^= 1;
    write_column(&rows, "part_record", "object", Some(&bad));
    damaged(&rig, 0, attributes().await, "attributes");
    write_column(&rows, "part_record", "object", Some(&[]));
    damaged(&rig, 1, attributes().await, "taken away");
    assert_eq!(rig.get("object", As::S3).await.unwrap(), b"data", "reading does not need them");
}
