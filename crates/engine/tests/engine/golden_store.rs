//! The stores of `tests/golden`, one for each version of the catalog: what is in them, how they are opened, and how they were made.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use strongroom_audit::testing::NullAudit;
use strongroom_blobs::FileBlobs;
use strongroom_catalog::{Clock, SqliteCatalog, SqliteOptions};
use strongroom_engine::{
    Engine, EngineOptions, EngineParts, STORE_KEY_ID, SealedSettings,
    api::{
        Caller, Checksum, ChecksumAlgorithm, ChecksumKind, CreateBucket, CreateMultipartUpload, DefaultEncryption, GetObject,
        ObjectHeaders, ObjectReply, PutObject, SseHeaders, UploadChecksum, UploadRef,
    },
    events::{NotificationOptions, NotificationTarget},
    rekey::{JobState, RekeyRequest},
};
use strongroom_iam::KmsKeys;
use strongroom_kms::{KeyLifecycle as _, LocalConfig, LocalKms, MasterKeySource, StateStore as _};
use tempfile::TempDir;

use crate::common::*;

/// Where the events of these stores go.
pub const GOLDEN_TARGET: &str = "golden";

/// Every version there has been.
pub const VERSIONS: [u32; 2] = [1, 2];
/// Since version 2: a document of key management.
pub const DOCUMENT: (&str, &[u8]) = ("kms-service", b"a document of tests");
/// Since version 2: what a job has re-keyed, to version 2 of its key.
pub const RE_KEYED: &str = "kms-bucket-key/";

/// A bucket whose default encryption is [`default_encryption`].
pub const DEFAULTED: &str = "defaulted";
pub const DEFAULTED_KEY: &str = "by-default";
pub const MULTIPART_KEY: &str = "multipart";
pub const OPEN_KEY: &str = "open";
/// Lengths of the parts of the multipart object; the open upload has the first of them.
pub const PARTS: [usize; 2] = [1500, 70];
pub const PAIR: (&str, &str) = ("team", "red");
const INLINE_LIMIT_BYTES: usize = 256;

/// An object put whole.
#[derive(Clone, Copy, Debug)]
pub struct Planned {
    pub key: &'static str,
    pub by: As,
    pub len: usize,
    pub checksum: ChecksumAlgorithm,
}

/// Every mode, inline and as a blob.
pub const OBJECTS: [Planned; 12] = [
    planned("customer/blob", As::Customer(1), 1100, ChecksumAlgorithm::Crc32),
    planned("customer/inline", As::Customer(1), 11, ChecksumAlgorithm::Crc32c),
    planned("dsse/blob", As::Dsse, 1200, ChecksumAlgorithm::Crc64Nvme),
    planned("dsse/inline", As::Dsse, 12, ChecksumAlgorithm::Sha1),
    planned("kms-bucket-key/blob", As::BucketKey, 1300, ChecksumAlgorithm::Sha256),
    planned("kms-bucket-key/inline", As::BucketKey, 13, ChecksumAlgorithm::Crc32),
    planned("kms/blob", As::Kms, 1400, ChecksumAlgorithm::Crc32c),
    planned("kms/inline", As::Kms, 14, ChecksumAlgorithm::Crc64Nvme),
    planned("s3/blob", As::S3, 1500, ChecksumAlgorithm::Sha1),
    planned("s3/inline", As::S3, 15, ChecksumAlgorithm::Sha256),
    planned("store/blob", As::Store, 5120, ChecksumAlgorithm::Crc32),
    planned("store/inline", As::Store, 0, ChecksumAlgorithm::Crc32c),
];

const fn planned(key: &'static str, by: As, len: usize, checksum: ChecksumAlgorithm) -> Planned {
    Planned { key, by, len, checksum }
}

impl Planned {
    pub fn data(&self) -> Vec<u8> {
        data(self.len, self.len as u64)
    }
}

pub fn part_data(index: usize) -> Vec<u8> {
    data(PARTS[index], index as u64)
}

pub fn default_encryption() -> DefaultEncryption {
    DefaultEncryption { algorithm: "aws:kms".into(), kms_key_id: Some(OTHER_KEY.into()), bucket_key_enabled: true }
}

/// Every field, with something in it.
pub fn headers() -> ObjectHeaders {
    ObjectHeaders {
        content_type: Some("text/plain".into()),
        content_encoding: Some("gzip".into()),
        content_language: Some("de".into()),
        content_disposition: Some("inline".into()),
        cache_control: Some("no-store".into()),
        expires: Some("Thu, 01 Dec 2044 16:00:00 GMT".into()),
        website_redirect_location: Some("/elsewhere".into()),
        storage_class: Some("REDUCED_REDUNDANCY".into()),
        user: [("color".to_owned(), "grün".to_owned())].into(),
    }
}

/// The headers of a write; SSE-KMS with an encryption context.
pub fn write_headers(by: As) -> SseHeaders {
    let context = STANDARD.encode(format!(r#"{{"{}":"{}"}}"#, PAIR.0, PAIR.1));
    SseHeaders { kms_context: matches!(by, As::Kms | As::BucketKey).then_some(context), ..by.write() }
}

/// What the writer was answered, in `expected.json`.
#[derive(Serialize, Deserialize)]
pub struct Expected {
    pub objects: Vec<Answer>,
    pub upload_id: String,
    pub part_etag: String,
    /// Since version 2.
    #[serde(default)]
    pub job_id: String,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    pub bucket: String,
    pub key: String,
    pub etag: String,
    pub modified_ms: i64,
    pub checksum: Option<Checksum>,
    pub parts_count: Option<u32>,
}

impl Answer {
    pub fn of(bucket: &str, reply: &ObjectReply) -> Self {
        let info = &reply.info;
        Self {
            bucket: bucket.into(),
            key: info.key.clone(),
            etag: info.etag.clone(),
            modified_ms: info.modified_ms,
            checksum: info.checksum.clone(),
            parts_count: info.parts_count,
        }
    }
}

/// A real engine over a data directory.
pub struct Store {
    pub engine: Arc<Engine>,
    pub kms: Arc<LocalKms>,
    pub root: Caller,
    pub dir: TempDir,
    pub settings: Arc<SealedSettings>,
    catalog: Arc<SqliteCatalog>,
}

impl Store {
    /// A copy of the golden store, with the modes that a checkout does not keep.
    pub async fn golden(version: u32) -> Self {
        let dir = temp_dir();
        copy_tree(&golden_dir(version), dir.path());
        let kms = open_kms(dir.path()).await;
        Self::open(dir, kms).await
    }

    async fn open(dir: TempDir, kms: Arc<LocalKms>) -> Self {
        let catalog = Arc::new(SqliteCatalog::open(&dir.path().join("catalog.db"), SqliteOptions::default()).unwrap());
        let blobs = Arc::new(FileBlobs::open(dir.path().join("blobs")).unwrap());
        let settings = SealedSettings::open(catalog.clone(), kms.clone()).await.unwrap();
        let source = FixedSource::new(kms.clone(), kms.clone(), true);
        let parts = EngineParts {
            catalog: catalog.clone(),
            blobs,
            kms: source,
            settings: settings.clone(),
            audit: Arc::new(NullAudit),
            identities: Arc::new(People::default()),
            key_rules: KmsKeys::new(catalog.clone(), settings.shared_store_key(), Clock::default()),
        };
        let target = NotificationTarget { name: GOLDEN_TARGET.into(), buckets: vec!["*".into()], max_queued: 9, max_dead: 9 };
        let options = EngineOptions {
            notifications: NotificationOptions { region: String::new(), targets: vec![target] },
            encrypt_by_default: false,
            inline_limit_bytes: INLINE_LIMIT_BYTES,
            min_part_bytes: 0,
            dead_blob_grace: std::time::Duration::ZERO,
            orphan_age: std::time::Duration::ZERO,
            ..EngineOptions::default()
        };
        let engine = Engine::open(parts, options);
        Self { engine, kms, root: root(true), dir, settings, catalog }
    }

    pub async fn read(&self, bucket: &str, key: &str, by: As, part_number: Option<u32>) -> ObjectReply {
        let request = GetObject { bucket: bucket.into(), part_number, checksum_mode: true, ..get_request(key, by.read()) };
        self.engine.get_object(&self.root, request).await.unwrap()
    }

    async fn create_bucket(&self, name: &str) {
        self.engine
            .create_bucket(&self.root, CreateBucket { name: name.into(), region: "eu-central-1".into(), ..CreateBucket::default() })
            .await
            .unwrap();
    }

    async fn answer(&self, bucket: &str, key: &str, by: As) -> Answer {
        Answer::of(bucket, &self.read(bucket, key, by, None).await)
    }

    async fn begin(&self, key: &str) -> UploadRef {
        let request = CreateMultipartUpload {
            headers: headers(),
            checksum_algorithm: Some(ChecksumAlgorithm::Sha256),
            checksum_kind: Some(ChecksumKind::Composite),
            ..create_request(key, write_headers(As::Kms))
        };
        let created = self.engine.create_multipart_upload(&self.root, request).await.unwrap();
        UploadRef { bucket: BUCKET.into(), key: key.into(), upload_id: created.upload_id }
    }
}

async fn open_kms(dir: &Path) -> Arc<LocalKms> {
    let master = MasterKeySource::File(dir.join("kms/master.key"));
    Arc::new(LocalKms::open(LocalConfig { key_dir: dir.join("kms/keys"), master }).await.unwrap())
}

pub fn expected(version: u32) -> Expected {
    serde_json::from_slice(&fs::read(golden_dir(version).join("expected.json")).unwrap()).unwrap()
}

pub fn golden_dir(version: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/v{version}"))
}

/// Copies files and the directories they lie in; what is hidden stays behind. Directories get mode 0700, files 0600.
fn copy_tree(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        if source.is_dir() {
            if fs::read_dir(&source).unwrap().next().is_some() {
                fs::create_dir_all(&target).unwrap();
                fs::set_permissions(&target, Permissions::from_mode(0o700)).unwrap();
                copy_tree(&source, &target);
            }
        } else {
            fs::copy(&source, &target).unwrap();
            fs::set_permissions(&target, Permissions::from_mode(0o600)).unwrap();
        }
    }
}

/// Made the golden store, once. What a released version wrote is never written anew: a new format gets a new directory.
#[tokio::test]
#[ignore = "writes a golden store, which exists"]
async fn write_the_golden_store() {
    let store = new_store().await;
    let expected = write_all(&store).await;
    write_out(store, VERSIONS[VERSIONS.len() - 1], &expected).await;
}

/// A store with nothing in it but keys.
pub async fn new_store() -> Store {
    let dir = temp_dir();
    let kms = open_kms(dir.path()).await;
    for key in ["default", STORE_KEY_ID, KEY, OTHER_KEY] {
        kms.ensure_key(key, "a key of tests").await.unwrap();
    }
    Store::open(dir, kms).await
}

/// Keeps it as the golden store of that version of the catalog.
pub async fn write_out(store: Store, version: u32, expected: &impl Serialize) {
    let golden_dir = golden_dir(version);
    assert!(!golden_dir.exists(), "a golden store is never replaced");
    while Arc::strong_count(&store.engine) > 1 {
        // The job's task comes to its end.
        tokio::task::yield_now().await;
    }
    let Store { engine, kms, dir, catalog, settings, .. } = store;
    catalog.close().await;
    drop((engine, kms, catalog, settings));
    // Connections that read close by themselves; the last one takes the log away.
    while dir.path().join("catalog.db-wal").exists() {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    fs::create_dir_all(&golden_dir).unwrap();
    copy_tree(dir.path(), &golden_dir);
    for log in ["catalog.db-wal", "catalog.db-shm"] {
        assert!(!golden_dir.join(log).exists(), "everything is in the file itself");
    }
    fs::write(golden_dir.join("expected.json"), serde_json::to_vec_pretty(expected).unwrap()).unwrap();
}

async fn write_all(store: &Store) -> Expected {
    store.create_bucket(BUCKET).await;
    store.create_bucket(DEFAULTED).await;
    store.engine.set_bucket_encryption(DEFAULTED, default_encryption()).await.unwrap();
    let mut objects = Vec::new();
    for object in OBJECTS {
        let checksum = UploadChecksum { algorithm: Some(object.checksum), ..UploadChecksum::default() };
        let request = PutObject { headers: headers(), checksum, ..put_request(object.key, write_headers(object.by), &object.data()) };
        store.engine.put_object(&store.root, request).await.unwrap();
        objects.push(store.answer(BUCKET, object.key, object.by).await);
    }
    let request = PutObject { bucket: DEFAULTED.into(), ..put_request(DEFAULTED_KEY, SseHeaders::default(), b"by default") };
    store.engine.put_object(&store.root, request).await.unwrap();
    objects.push(store.answer(DEFAULTED, DEFAULTED_KEY, As::BucketKey).await);
    objects.push(write_multipart(store).await);
    let job_id = re_key(store).await;
    store.settings.save(DOCUMENT.0, None, DOCUMENT.1).await.unwrap();
    let open = store.begin(OPEN_KEY).await;
    let part = store.engine.upload_part(&store.root, part_request(&open, 1, As::Kms, &part_data(0))).await.unwrap();
    Expected { objects, upload_id: open.upload_id, part_etag: part.etag, job_id }
}

async fn write_multipart(store: &Store) -> Answer {
    let upload = store.begin(MULTIPART_KEY).await;
    let mut parts = Vec::new();
    for (index, number) in [(0, 1), (1, 3)] {
        let request = part_request(&upload, number, As::Kms, &part_data(index));
        parts.push(completed(number, &store.engine.upload_part(&store.root, request).await.unwrap()));
    }
    store.engine.complete_multipart_upload(&store.root, complete_request(&upload, parts)).await.unwrap();
    store.answer(BUCKET, MULTIPART_KEY, As::Kms).await
}

async fn re_key(store: &Store) -> String {
    store.kms.rotate_key(KEY).await.unwrap();
    store.engine.forget_bucket_keys();
    let request = RekeyRequest { bucket: Some(BUCKET.into()), prefix: Some(RE_KEYED.into()), ..RekeyRequest::default() };
    let job = store.engine.start_rekey(request, starter(&store.root)).await.unwrap();
    while store.engine.rekey_job(&job.job_id).await.unwrap().state == JobState::Running {
        tokio::task::yield_now().await;
    }
    job.job_id
}
