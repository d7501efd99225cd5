//! The golden store of version 4 of the catalog: versions, delete markers, locks, tags, shared parts and documents of buckets stay readable.
//!
//! What was written is not repeated here: the same function tells what the store holds, once for `expected.json` when it was written, and in each run
//! of a later build.

use std::fs;

use serde_json::{Value, json};
use strongroom_engine::Error;
use strongroom_engine::api::{
    Attributes, ChecksumAlgorithm, CopyObject, CreateBucket, CreateMultipartUpload, DefaultLock, DeleteCondition, GetObject, ListEntry,
    ListObjects, ListVersions, Mode, ObjectLock, ObjectOwnership, ObjectVersion, Period, PutObject, Retention, RetentionMode,
    UploadChecksum, UploadPartCopy, VersioningStatus,
};

use super::golden_store::{Store, golden_dir, new_store, write_out};
use crate::common::*;

const VERSION: u32 = 4;
const VERSIONED: &str = "versioned";
const LOCKED: &str = "locked";
/// 2100-01-01
const UNTIL_MS: i64 = 4_102_444_800_000;
const KEY_NAME: &str = "object";

fn tags(value: &str) -> Vec<(String, String)> {
    vec![("team".into(), value.into())]
}

async fn put(store: &Store, bucket: &str, by: As, data: &[u8], attributes: Attributes, checksum: ChecksumAlgorithm) -> Option<String> {
    let checksum = UploadChecksum { algorithm: Some(checksum), ..UploadChecksum::default() };
    let request = PutObject { bucket: bucket.into(), attributes, checksum, ..put_request(KEY_NAME, by.write(), data) };
    store.engine.put_object(&store.root, request).await.unwrap().version_id
}

fn version(bucket: &str, id: &str) -> ObjectVersion {
    ObjectVersion { bucket: bucket.into(), key: KEY_NAME.into(), version_id: Some(id.into()) }
}

async fn write_all(store: &Store) {
    let (engine, root) = (&store.engine, &store.root);
    engine.create_bucket(root, CreateBucket { name: VERSIONED.into(), ..CreateBucket::default() }).await.unwrap();
    let ownership = Some(ObjectOwnership::ObjectWriter);
    engine
        .create_bucket(root, CreateBucket { name: LOCKED.into(), object_lock: true, ownership, ..CreateBucket::default() })
        .await
        .unwrap();
    engine.set_bucket_tags(VERSIONED, tags("of the bucket")).await.unwrap();
    engine.set_public_access_block(LOCKED, None).await.unwrap();
    let retention = Some((RetentionMode::Governance, Period::Days(1)));
    engine.set_object_lock_configuration(root, LOCKED, DefaultLock { retention, event_hold: None }).await.unwrap();

    // The null version, then versions of every mode, a delete marker, and a copy behind it that keeps the tags.
    put(store, VERSIONED, As::Store, b"null", Attributes::default(), ChecksumAlgorithm::XxHash3).await;
    engine.set_bucket_versioning(VERSIONED, VersioningStatus::Enabled).await.unwrap();
    let algorithms = [ChecksumAlgorithm::Md5, ChecksumAlgorithm::Sha512, ChecksumAlgorithm::XxHash64, ChecksumAlgorithm::XxHash128];
    for (by, algorithm) in [As::S3, As::Kms, As::Dsse, As::BucketKey].into_iter().zip(algorithms) {
        let attributes = Attributes { tags: tags(&format!("{by:?}")), ..Attributes::default() };
        put(store, VERSIONED, by, &data(1000, 1), attributes, algorithm).await;
    }
    engine.delete_object(root, VERSIONED, KEY_NAME, None, DeleteCondition::default(), false).await.unwrap();
    let first = listed(store, VERSIONED).await.into_iter().find(|(_, is_marker)| !is_marker).unwrap().0;
    let source = strongroom_engine::api::CopySource {
        bucket: VERSIONED.into(),
        version_id: Some(first.clone()),
        ..copy_source(KEY_NAME, As::BucketKey)
    };
    let copy = CopyObject { bucket: VERSIONED.into(), source, ..copy_request((KEY_NAME, As::BucketKey), (KEY_NAME, As::Kms)) };
    engine.copy_object(root, copy).await.unwrap();

    // An object whose part shares the blob of a version.
    let create = CreateMultipartUpload { bucket: VERSIONED.into(), ..create_request("shared", As::Kms.write()) };
    let upload_id = engine.create_multipart_upload(root, create).await.unwrap().upload_id;
    let upload = strongroom_engine::api::UploadRef { bucket: VERSIONED.into(), key: "shared".into(), upload_id };
    let source =
        strongroom_engine::api::CopySource { bucket: VERSIONED.into(), version_id: Some(first), ..copy_source(KEY_NAME, As::BucketKey) };
    let part = UploadPartCopy { upload: upload.clone(), part_number: 1, source, range: None, sse: As::Kms.read() };
    let part = engine.upload_part_copy(root, part).await.unwrap().part;
    engine.complete_multipart_upload(root, complete_request(&upload, vec![completed(1, &part)])).await.unwrap();

    // Each kind of lock, one of them changed after it was set.
    let compliance = Some(Retention { mode: RetentionMode::Compliance, until_ms: UNTIL_MS });
    for lock in [
        ObjectLock::default(),
        ObjectLock { retention: compliance, ..ObjectLock::default() },
        ObjectLock { legal_hold: Some(true), ..ObjectLock::default() },
        ObjectLock { legal_hold: Some(false), ..ObjectLock::default() },
    ] {
        put(store, LOCKED, As::S3, b"locked", Attributes { lock, ..Attributes::default() }, ChecksumAlgorithm::Crc32).await;
    }
    let last = put(store, LOCKED, As::Kms, b"changed", Attributes::default(), ChecksumAlgorithm::Crc32c).await.unwrap();
    engine.set_legal_hold(root, &version(LOCKED, &last), true).await.unwrap();
    engine.set_object_tags(root, &version(LOCKED, &last), tags("changed")).await.unwrap();
}

/// Ids of the versions of [`KEY_NAME`], the newest first, and whether they are delete markers.
async fn listed(store: &Store, bucket: &str) -> Vec<(String, bool)> {
    let list = ListObjects { bucket: bucket.into(), limit: 100, prefix: KEY_NAME.into(), ..ListObjects::default() };
    let page = store.engine.list_versions(ListVersions { list, version_id_marker: None }).await.unwrap();
    let items = page.entries.into_iter().map(|entry| match entry {
        ListEntry::Item(version) => (version.version_id, version.object.is_none()),
        ListEntry::Prefix(prefix) => panic!("{prefix}"),
    });
    items.collect()
}

/// What the store holds, as its engine tells it.
async fn facts(store: &Store) -> Value {
    let mut buckets = Vec::new();
    for name in [VERSIONED, LOCKED] {
        let mut versions = Vec::new();
        for (id, is_marker) in listed(store, name).await {
            versions.push(if is_marker { json!({"id": id, "delete_marker": true}) } else { version_facts(store, name, &id).await });
        }
        let engine = &store.engine;
        let lock = match engine.object_lock_configuration(name).await {
            Ok(default) => json!(default),
            Err(Error::ObjectLockConfigurationNotFound) => Value::Null,
            Err(error) => panic!("{error:?}"),
        };
        buckets.push(json!({
            "name": name,
            "tags": engine.bucket_tags(name).await.ok(),
            "object_lock": lock,
            "ownership": engine.bucket_ownership(name).await.unwrap(),
            "public_access_block": engine.public_access_block(name).await.unwrap(),
            "versions": versions,
        }));
    }
    let request = GetObject { bucket: VERSIONED.into(), ..get_request("shared", As::Kms.read()) };
    let shared = collect(store.engine.get_object(&store.root, request).await.unwrap()).await.unwrap();
    json!({"buckets": buckets, "shared": hex::encode(&shared[..16]), "shared_len": shared.len()})
}

async fn version_facts(store: &Store, bucket: &str, id: &str) -> Value {
    let request =
        GetObject { bucket: bucket.into(), version_id: Some(id.into()), checksum_mode: true, ..get_request(KEY_NAME, As::Store.read()) };
    let reply = store.engine.get_object(&store.root, request).await.unwrap();
    let info = reply.info.clone();
    let (tags, _) = store.engine.object_tags(&store.root, &version(bucket, id)).await.unwrap();
    let lock =
        if bucket == LOCKED { json!(store.engine.object_lock(&store.root, &version(bucket, id)).await.unwrap()) } else { Value::Null };
    let mode = match info.sse.mode {
        Mode::Store => "none",
        Mode::SseS3 => "SSE-S3",
        Mode::SseKms => "SSE-KMS",
        Mode::DsseKms => "DSSE-KMS",
        Mode::SseC => "SSE-C",
    };
    json!({
        "id": id, "etag": info.etag, "modified_ms": info.modified_ms, "checksum": info.checksum, "mode": mode, "kms_key": info.sse.kms_key_id,
        "tags": tags, "lock": lock, "md5": md5_hex(&collect(reply).await.unwrap()),
    })
}

#[tokio::test]
async fn a_store_of_version_4_holds_its_versions_locks_tags_and_documents() {
    let expected: Value = serde_json::from_slice(&fs::read(golden_dir(VERSION).join("expected.json")).unwrap()).unwrap();
    let store = Store::golden(VERSION).await;
    assert_eq!(store.engine.convert_former_buckets().await.unwrap(), 0);
    store.engine.sweep_dead().await.unwrap();
    store.engine.sweep_orphans().await.unwrap();
    assert_eq!(facts(&store).await, expected);
    // What was locked then is locked now, until the year 2100 or until the hold is lifted.
    let mut kept = 0;
    for (id, _) in listed(&store, LOCKED).await {
        let deleted = store.engine.delete_object(&store.root, LOCKED, KEY_NAME, Some(id), DeleteCondition::default(), true).await;
        kept += usize::from(matches!(deleted, Err(Error::ObjectLocked)));
    }
    assert_eq!(kept, 3, "one in compliance mode, two under a legal hold");
    assert_eq!(store.engine.integrity_events(), 0);
}

/// Made the golden store of version 4, once: `cargo test -p strongroom-engine --test engine -- --ignored write_the_golden_store_of_version_4`.
#[tokio::test]
#[ignore = "writes a golden store, which exists"]
async fn write_the_golden_store_of_version_4() {
    let store = new_store().await;
    write_all(&store).await;
    let expected = facts(&store).await;
    write_out(store, VERSION, &expected).await;
}
