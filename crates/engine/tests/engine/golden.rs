//! A store that an earlier version wrote stays readable: every mode and shape, in a data directory that no later build has touched.

use rusqlite::Connection;
use strongroom_catalog::{BucketId, VersionId};
use strongroom_engine::api::{DefaultEncryption, ListEntry, ListObjects, ListParts, ListUploads, UploadRef};
use strongroom_engine::rekey::{JobState, RekeyRequest};
use strongroom_kms::{EncryptionContext, KeyLifecycle as _, KeyService as _, StateStore as _, WrappedKey};
use strongroom_seal::{ExternalKey, ExternalKeys, Mode, ObjectIdentity, OfflineObject};

use super::golden_store::*;
use crate::common::*;

#[tokio::test]
async fn a_store_of_each_version_reads_as_it_was_written() {
    for version in VERSIONS {
        reads_as_it_was_written(version).await;
    }
}

async fn reads_as_it_was_written(version: u32) {
    let (store, expected) = (Store::golden(version).await, expected(version));
    store.engine.sweep_dead().await.unwrap();
    store.engine.sweep_orphans().await.unwrap();
    buckets_are_as_written(&store).await;
    let mut answers = expected.objects.iter();
    for object in OBJECTS {
        let reply = store.read(BUCKET, object.key, object.by, None).await;
        assert_eq!(Some(&Answer::of(BUCKET, &reply)), answers.next());
        if matches!(object.by, As::Store | As::S3) {
            assert_eq!(reply.info.etag, md5_hex(&object.data()), "{}", object.key);
        }
        let sse = &reply.info.sse;
        let shown = (sse.mode, sse.kms_key_id.as_deref(), sse.bucket_key_enabled);
        assert_eq!(shown, (object.by.mode(), object.by.kms_key(), object.by == As::BucketKey), "{}", object.key);
        assert_eq!(reply.info.headers, headers(), "{}", object.key);
        assert_eq!(reply.info.checksum.as_ref().map(|checksum| checksum.algorithm), Some(object.checksum));
        assert_eq!(collect(reply).await.unwrap(), object.data(), "{}", object.key);
    }
    let reply = store.read(DEFAULTED, DEFAULTED_KEY, As::BucketKey, None).await;
    assert_eq!(Some(&Answer::of(DEFAULTED, &reply)), answers.next());
    assert_eq!((reply.info.sse.kms_key_id.as_deref(), reply.info.sse.bucket_key_enabled), (Some(OTHER_KEY), true));
    assert_eq!(collect(reply).await.unwrap(), b"by default");
    multipart_is_as_written(&store, answers.next().unwrap()).await;
    assert_eq!(answers.next(), None);
    listing_is_as_written(&store, &expected).await;
    the_open_upload_goes_on(&store, &expected).await;
    former_buckets_are_converted_once(&store).await;
    assert_eq!(store.engine.integrity_events(), 0);
}

/// The two buckets that the store was written with, by a build whose buckets had a tag and no record.
async fn former_buckets_are_converted_once(store: &Store) {
    for converted in [2, 0] {
        assert_eq!(store.engine.convert_former_buckets().await.unwrap(), converted);
        buckets_are_as_written(store).await;
    }
    let rule = DefaultEncryption { algorithm: "AES256".into(), kms_key_id: None, bucket_key_enabled: false };
    store.engine.set_bucket_encryption(DEFAULTED, rule.clone()).await.unwrap();
    assert_eq!(store.engine.bucket_encryption(DEFAULTED).await.unwrap(), rule.into());
}

async fn buckets_are_as_written(store: &Store) {
    let buckets = store.engine.list_buckets(&store.root, "", None, 10).await.unwrap();
    let shown: Vec<_> = buckets.iter().map(|bucket| (bucket.name.as_str(), bucket.region.as_str())).collect();
    assert_eq!(shown, [(BUCKET, "eu-central-1"), (DEFAULTED, "eu-central-1")]);
    assert_eq!(store.engine.bucket_encryption(DEFAULTED).await.unwrap(), default_encryption().into());
}

async fn multipart_is_as_written(store: &Store, answer: &Answer) {
    let reply = store.read(BUCKET, MULTIPART_KEY, As::Kms, None).await;
    assert_eq!(&Answer::of(BUCKET, &reply), answer);
    assert_eq!((reply.info.parts_count, &reply.info.headers), (Some(2), &headers()));
    assert_eq!(collect(reply).await.unwrap(), [part_data(0), part_data(1)].concat());
    let part = store.read(BUCKET, MULTIPART_KEY, As::Kms, Some(3)).await;
    assert!(part.checksum.is_some(), "a part's own checksum is kept");
    assert_eq!(collect(part).await.unwrap(), part_data(1));
}

async fn listing_is_as_written(store: &Store, expected: &Expected) {
    let query = ListObjects { bucket: BUCKET.into(), limit: 100, ..ListObjects::default() };
    let page = store.engine.list_objects(query).await.unwrap();
    let mut listed: Vec<_> = page.entries.into_iter().filter_map(item).map(|object| (object.key, object.etag)).collect();
    let answers = expected.objects.iter().filter(|answer| answer.bucket == BUCKET);
    let mut written: Vec<_> = answers.map(|answer| (answer.key.clone(), answer.etag.clone())).collect();
    listed.sort();
    written.sort();
    assert_eq!(listed, written);
}

fn item<T>(entry: ListEntry<T>) -> Option<T> {
    match entry {
        ListEntry::Item(item) => Some(item),
        ListEntry::Prefix(_) => None,
    }
}

async fn the_open_upload_goes_on(store: &Store, expected: &Expected) {
    let query = ListUploads { bucket: BUCKET.into(), limit: 10, ..ListUploads::default() };
    let uploads: Vec<_> = store.engine.list_multipart_uploads(query).await.unwrap().entries.into_iter().filter_map(item).collect();
    assert_eq!(uploads.len(), 1);
    assert_eq!((uploads[0].key.as_str(), &uploads[0].upload_id), (OPEN_KEY, &expected.upload_id));
    let upload = UploadRef { bucket: BUCKET.into(), key: OPEN_KEY.into(), upload_id: expected.upload_id.clone() };
    let page = store.engine.list_parts(ListParts { upload: upload.clone(), after: 0, limit: 10 }).await.unwrap();
    let parts: Vec<_> = page.parts.iter().map(|part| (part.number, part.etag.as_str(), part.size_bytes)).collect();
    assert_eq!(parts, [(1, expected.part_etag.as_str(), PARTS[0] as u64)]);
    assert_eq!(page.parts[0].modified_ms, uploads[0].initiated_ms, "nothing in the store vouches for the date of the part itself");
    let mut chosen = Vec::new();
    for (index, number) in [(0, 1), (1, 2)] {
        let request = part_request(&upload, number, As::Kms, &part_data(index));
        chosen.push(completed(number, &store.engine.upload_part(&store.root, request).await.unwrap()));
    }
    assert_eq!(chosen[0].etag, expected.part_etag, "a part sent twice has the same ETag");
    store.engine.complete_multipart_upload(&store.root, complete_request(&upload, chosen)).await.unwrap();
    let reply = store.read(BUCKET, OPEN_KEY, As::Kms, None).await;
    assert_eq!(reply.info.headers, headers());
    assert_eq!(collect(reply).await.unwrap(), [part_data(0), part_data(1)].concat());
}

#[tokio::test]
async fn a_store_of_version_2_has_its_jobs_its_documents_and_what_was_re_keyed() {
    let (store, expected) = (Store::golden(2).await, expected(2));
    assert_eq!(store.settings.load(DOCUMENT.0).await.unwrap().unwrap().as_slice(), DOCUMENT.1);
    let job = store.engine.rekey_job(&expected.job_id).await.unwrap();
    assert_eq!((job.state, counts(&job), job.who.as_str()), (JobState::Completed, (2, 0, 0), "root"));
    assert_eq!(job.request.prefix.as_deref(), Some(RE_KEYED));
    assert_eq!(store.engine.rekey_jobs().await.unwrap(), [job]);
    let usage = store.engine.key_usage("local", KEY).await.unwrap();
    let by_version: Vec<_> = usage.versions.iter().map(|usage| (usage.version, usage.objects, usage.uploads)).collect();
    assert_eq!(by_version, [(1, 5, 0), (2, 2, 1)]);
}

#[tokio::test]
async fn what_an_earlier_version_wrote_can_be_re_keyed() {
    for version in VERSIONS {
        let store = Store::golden(version).await;
        let request = RekeyRequest { from_key: Some(KEY.into()), to_key: Some(OTHER_KEY.into()), ..RekeyRequest::default() };
        let job = store.engine.start_rekey(request, starter(&store.root)).await.unwrap();
        while store.engine.rekey_job(&job.job_id).await.unwrap().state == JobState::Running {
            tokio::task::yield_now().await;
        }
        let job = store.engine.rekey_job(&job.job_id).await.unwrap();
        assert_eq!((job.state, counts(&job)), (JobState::Completed, (8, 0, 0)));
        store.kms.delete_now(KEY, KEY).await.unwrap();
        for (object, answer) in OBJECTS.iter().zip(expected(version).objects) {
            let reply = store.read(BUCKET, object.key, object.by, None).await;
            assert_eq!(Answer::of(BUCKET, &reply), answer);
            assert_eq!(collect(reply).await.unwrap(), object.data(), "{}", object.key);
        }
    }
}

/// What the row of an object says of its keys and parts.
struct Row {
    bucket_id: [u8; 16],
    version_id: [u8; 16],
    sealed_keys: Vec<u8>,
    manifest: Vec<u8>,
    wrapped: Option<WrappedKey>,
}

impl Row {
    fn read(store: &Store, key: &str) -> Self {
        let rows = Connection::open(store.dir.path().join("catalog.db")).unwrap();
        let sql = "SELECT b.bucket_id, v.version_id, v.sealed_keys, d.manifest, v.wrapped_key, k.backend, k.key_id, k.version \
                   FROM versions v JOIN buckets b ON b.id = v.bucket JOIN version_data d ON d.version = v.id \
                   LEFT JOIN kms_keys k ON k.id = v.kms_key WHERE v.key = CAST(?1 AS BLOB) AND b.name = CAST(?2 AS BLOB)";
        rows.query_row(sql, [key, BUCKET], |row| {
            let backend: Option<String> = row.get(5)?;
            let wrapped = match backend {
                Some(backend) => Some(WrappedKey { backend, key_id: row.get(6)?, key_version: row.get(7)?, ciphertext: row.get(4)? }),
                None => None,
            };
            Ok(Self { bucket_id: row.get(0)?, version_id: row.get(1)?, sealed_keys: row.get(2)?, manifest: row.get(3)?, wrapped })
        })
        .unwrap()
    }

    /// As the engine has them from the KMS: the data key is bound to the client's pair and to this ARN.
    async fn data_key(&self, store: &Store, arn: &str) -> Vec<u8> {
        let pairs = [("aws:s3:arn", arn), PAIR].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let context = EncryptionContext(pairs.into());
        store.kms.unwrap_data_key(self.wrapped.as_ref().unwrap(), &context).await.unwrap().to_vec()
    }

    fn open(&self, store: &Store, key: &str, external: &ExternalKeys) -> Vec<u8> {
        let identity = ObjectIdentity { bucket_id: BucketId(self.bucket_id), key, version_id: VersionId(self.version_id) };
        let object = OfflineObject::open(&self.sealed_keys, &identity, external, &self.manifest).unwrap();
        let name = hex::encode(object.manifest().parts()[0].blob);
        let first = store.dir.path().join("blobs").join(&name[..2]);
        // Where the first releases had it, or where it goes now.
        let blob = std::fs::read(first.join(&name)).or_else(|_| std::fs::read(first.join(&name[2..3]).join(&name))).unwrap();
        object.open_blob(0, &blob).unwrap().concat()
    }
}

#[tokio::test]
async fn objects_of_each_version_open_without_a_server() {
    for version in VERSIONS {
        open_without_a_server(&Store::golden(version).await).await;
    }
}

async fn open_without_a_server(store: &Store) {
    for object in OBJECTS.iter().filter(|object| object.key.ends_with("/blob")) {
        let key = object.key;
        let row = Row::read(store, key);
        let external = match object.by {
            As::Customer(byte) => ExternalKeys::single(ExternalKey::from_bytes([byte; 32])),
            As::Kms => {
                let data_key = row.data_key(store, &format!("arn:aws:s3:::{BUCKET}/{key}")).await;
                ExternalKeys::from_data_key(Mode::SseKms, &data_key).unwrap()
            }
            As::BucketKey => {
                let bucket_key = row.data_key(store, &format!("arn:aws:s3:::{BUCKET}")).await;
                ExternalKeys::single(ExternalKey::from_bucket_key(&bucket_key, VersionId(row.version_id)).unwrap())
            }
            As::Store | As::S3 | As::Dsse => continue,
        };
        assert_eq!(row.open(store, key, &external), object.data(), "{key}");
    }
}
