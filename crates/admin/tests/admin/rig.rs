//! Everything that administration stands on.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream;
use serde_json::{Value, json};
use strongroom_access::{Conditions, Configured, Identity, IdentityError, IdentitySource, PolicySet, SecretKey};
use strongroom_admin::{Admin, AdminParts, Signer};
use strongroom_audit::{AuditLog, LogConfig, SigningKey};
use strongroom_blobs::testing::MemoryBlobs;
use strongroom_catalog::Clock;
use strongroom_catalog::testing::{HookedCatalog, MemoryCatalog};
use strongroom_engine::api::{
    Attributes, Body, Caller, CreateBucket, GetObject, ObjectHeaders, PutObject, Seen, SseHeaders, Stored, UploadChecksum, WriteCondition,
};
use strongroom_engine::events::{NotificationOptions, NotificationTarget};
use strongroom_engine::lifecycle::LifecycleOptions;
use strongroom_engine::{Engine, EngineOptions, EngineParts, Error, STORE_KEY_ID, SealedSettings};
use strongroom_iam::{Iam, IamParts, KmsKeys};
use strongroom_keyring::{KeyUsage, Keyring, KeyringParts, Registry};
use strongroom_kms::{KmsError, LocalConfig, LocalKms, MasterKeySource, StateStore};
use strongroom_notify::Deliveries;
use strongroom_sso::{ProviderOptions, Providers};
use tempfile::TempDir;
use zeroize::Zeroizing;

use crate::hold::Hold;
use crate::slow_kms::SlowType;

/// A store with its administration.
pub(crate) struct Rig {
    pub(crate) admin: Arc<Admin>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) audit: Arc<AuditLog>,
    pub(crate) state: Arc<dyn StateStore>,
    pub(crate) owned: Arc<KmsKeys>,
    /// Who there is at present, for jobs.
    pub(crate) people: Arc<People>,
    pub(crate) dir: TempDir,
    /// While it is set, a backend of the type `slow` answers nothing.
    pub(crate) away: Arc<AtomicBool>,
    /// Between the engine and its catalog.
    pub(crate) hold: Arc<Hold>,
    catalog: Arc<MemoryCatalog>,
    blobs: MemoryBlobs,
    lifecycle: LifecycleOptions,
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) json: Value,
    pub(crate) text: String,
    pub(crate) retry_after: bool,
}

/// Root, and who else there is at present.
pub(crate) struct People(Mutex<Vec<Arc<Identity>>>);

impl Default for People {
    fn default() -> Self {
        Self(Mutex::new(vec![root().identity]))
    }
}

impl People {
    /// Adds who signs so, in the place of somebody of the same name.
    pub(crate) fn admit(&self, signer: &Signer) {
        let mut people = self.0.lock().unwrap();
        people.retain(|known| known.name != signer.identity.name);
        people.push(Arc::clone(&signer.identity));
    }
}

#[async_trait]
impl IdentitySource for People {
    async fn by_access_key(&self, _: &str, _: Option<&str>) -> Result<Arc<Identity>, IdentityError> {
        Err(IdentityError::UnknownAccessKey)
    }

    async fn by_name(&self, name: &str) -> Result<Option<Arc<Identity>>, IdentityError> {
        Ok(self.0.lock().unwrap().iter().find(|known| known.name == name).cloned())
    }

    async fn is_owner(&self, owner: &str) -> Result<bool, IdentityError> {
        Ok(self.by_name(owner).await?.is_some())
    }

    fn note_use(&self, _: &str, _: &str, _: &str) {}
}

struct Nothing;

#[async_trait]
impl KeyUsage for Nothing {
    async fn is_key_in_use(&self, _: &str, _: &str) -> Result<bool, KmsError> {
        Ok(false)
    }
}

impl Rig {
    /// A running service over the local backend, with the keys `default`, `alpha` and `beta` and the bucket `photos`.
    pub(crate) async fn new() -> Self {
        Self::with_clock(Clock::default()).await
    }

    /// As [`Rig::new`], by this clock of the catalog.
    pub(crate) async fn with_clock(clock: Clock) -> Self {
        Self::with_lifecycle(LifecycleOptions { clock, max_clock_jump: None, ..LifecycleOptions::default() }).await
    }

    /// As [`Rig::new`], with the clock of these for the catalog too.
    pub(crate) async fn with_lifecycle(lifecycle: LifecycleOptions) -> Self {
        let catalog = Arc::new(MemoryCatalog::new(lifecycle.clock.clone()));
        let rig = Self::open(TempDir::new().unwrap(), catalog, MemoryBlobs::default(), lifecycle, Arc::default()).await;
        rig.ok("POST", "/kms/configure", json!({"backend_type": "local", "default_key_id": "default"})).await;
        rig.ok("POST", "/kms/start", json!({})).await;
        for name in ["alpha", "beta"] {
            rig.ok("POST", "/kms/keys", json!({"name": name, "Description": name})).await;
        }
        rig.engine.create_bucket(&caller(), CreateBucket { name: "photos".into(), ..CreateBucket::default() }).await.unwrap();
        rig
    }

    pub(crate) async fn unconfigured() -> Self {
        let catalog = Arc::new(MemoryCatalog::new(Clock::default()));
        Self::open(TempDir::new().unwrap(), catalog, MemoryBlobs::default(), LifecycleOptions::default(), Arc::default()).await
    }

    /// The same store after a restart, in which the file of a key was not there any more.
    pub(crate) async fn after_losing(self, key_id: &str) -> Self {
        let file = self.dir.path().join("keys").join(format!("{key_id}.key.json"));
        std::fs::remove_file(file).unwrap();
        self.after_a_kill().await
    }

    /// The same store in another process.
    pub(crate) async fn after_a_kill(self) -> Self {
        let Self { admin, engine, keyring, audit, state, people, dir, away, hold: _, catalog, blobs, lifecycle, owned: _ } = self;
        audit.close().await.unwrap();
        drop((admin, engine, keyring, audit, state, people));
        Self::open(dir, catalog, blobs, lifecycle, away).await
    }

    async fn open(
        dir: TempDir,
        catalog: Arc<MemoryCatalog>,
        blobs: MemoryBlobs,
        lifecycle: LifecycleOptions,
        away: Arc<AtomicBool>,
    ) -> Self {
        let master = MasterKeySource::Value(Zeroizing::new([7; 32]));
        let local = Arc::new(LocalKms::open(LocalConfig { key_dir: dir.path().join("keys"), master }).await.unwrap());
        local.ensure_key(STORE_KEY_ID, "").await.unwrap();
        let settings = SealedSettings::open(catalog.clone(), local.clone()).await.unwrap();
        let state: Arc<dyn StateStore> = settings.clone();
        let registry = Registry::default().with(Arc::new(SlowType { key_dir: dir.path().join("slow-keys"), away: away.clone() }));
        let keyring = KeyringParts {
            local,
            state: state.clone(),
            initial: None,
            usage: Arc::new(Nothing),
            trusted_dirs: vec![dir.path().to_owned()],
            registry,
        };
        let keyring = Keyring::open(keyring).await.unwrap();
        let people = Arc::new(People::default());
        let key = SigningKey::from_seed(Zeroizing::new([9; 32])).unwrap();
        let (audit, _) = AuditLog::open(LogConfig::new(dir.path().join("audit")), key, None).await.unwrap();
        let audit = Arc::new(audit);
        let hold = Arc::new(Hold::default());
        let owned = KmsKeys::new(catalog.clone(), settings.shared_store_key(), Clock::default());
        let parts = EngineParts {
            catalog: Arc::new(HookedCatalog::new(catalog.clone(), hold.clone())),
            blobs: Arc::new(blobs.clone()),
            kms: keyring.clone(),
            settings: settings.clone(),
            audit: audit.clone(),
            identities: people.clone(),
            key_rules: owned.clone(),
        };
        let hook = NotificationTarget { name: "hook".into(), buckets: vec!["*".into()], max_queued: 9, max_dead: 9 };
        let notifications = NotificationOptions { region: String::new(), targets: vec![hook] };
        let engine = Engine::open(parts, EngineOptions { notifications, lifecycle: lifecycle.clone(), ..EngineOptions::default() });
        let deliveries = Arc::new(Deliveries::open(&[]).unwrap());
        let configured = Configured::new(Identity::root("root-key", secret()).unwrap(), Vec::new()).unwrap();
        let store_key = settings.shared_store_key();
        let providers = Providers::new(&ProviderOptions::default()).unwrap();
        let iam =
            IamParts { catalog: catalog.clone(), store_key, configured, audit: audit.clone(), clock: lifecycle.clock.clone(), providers };
        let parts = AdminParts {
            keyring: keyring.clone(),
            engine: engine.clone(),
            audit: audit.clone(),
            state: state.clone(),
            deliveries,
            iam: Iam::new(iam),
            owned: owned.clone(),
        };
        let admin = Admin::new(parts);
        Self { admin, engine, keyring, audit, state, owned, people, dir, away, hold, catalog, blobs, lifecycle }
    }

    /// A call of root, over TLS.
    pub(crate) async fn call(&self, method: &str, path: &str, body: Value) -> Answered {
        self.send(method, path, if body.is_null() { String::new() } else { body.to_string() }, root()).await
    }

    /// A call that must succeed; its JSON.
    pub(crate) async fn ok(&self, method: &str, path: &str, body: Value) -> Value {
        let answered = self.call(method, path, body).await;
        assert!((200..300).contains(&answered.status), "{method} {path}: {answered:?}");
        answered.json
    }

    /// A directory for the keys of another local backend.
    pub(crate) fn key_dir(&self, name: &str) -> PathBuf {
        let dir = self.dir.path().join(name);
        std::fs::DirBuilder::new().mode(0o700).create(&dir).unwrap();
        dir
    }

    /// A call that must fail so; its message.
    pub(crate) async fn refused(&self, method: &str, path: &str, body: Value, status: u16, code: &str) -> String {
        let answered = self.call(method, path, body).await;
        assert_eq!((answered.status, answered.json["code"].as_str()), (status, Some(code)), "{method} {path}: {answered:?}");
        let fields: Vec<_> = answered.json.as_object().unwrap().keys().collect();
        assert_eq!(fields, ["code", "message"]);
        answered.json["message"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn send(&self, method: &str, path: &str, body: impl Into<Bytes>, signer: Signer) -> Answered {
        let request = http::Request::builder().method(method).uri(path).body(body.into()).unwrap();
        let (parts, body) = self.admin.call(request, signer).await.into_parts();
        let bytes = http_body_util::BodyExt::collect(body).await.unwrap().to_bytes();
        // What is encrypted for mc is no text.
        let text = String::from_utf8_lossy(&bytes).into_owned();
        assert_eq!(parts.headers["cache-control"], "no-store");
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        Answered { status: parts.status.as_u16(), json, text, retry_after: parts.headers.contains_key("retry-after") }
    }

    /// Stores an object; its key is that of SSE-KMS, or SSE-S3 where there is none.
    pub(crate) async fn put(&self, name: &str, kms_key: Option<&str>, data: &'static [u8]) {
        let sse_s3 = || SseHeaders { algorithm: Some("AES256".into()), ..SseHeaders::default() };
        let stream = Box::pin(stream::iter([Ok(Bytes::from_static(data))]));
        let body = Body { stream, length: Some(data.len() as u64) };
        self.put_body(name, kms_key.map_or_else(sse_s3, sse_kms), body).await.unwrap();
    }

    /// Stores an object in another bucket, under a key of SSE-KMS.
    pub(crate) async fn put_in(&self, bucket: &str, name: &str, kms_key: &str) {
        let stream = Box::pin(stream::iter([Ok(Bytes::from_static(b"data"))]));
        let body = Body { stream, length: Some(4) };
        self.put_body_in(bucket, name, sse_kms(kms_key), body).await.unwrap();
    }

    /// Stores a body under a key of SSE-KMS, if it may be.
    pub(crate) async fn try_put(&self, name: &str, kms_key: &str, body: Body) -> Result<Stored, Error> {
        self.put_body(name, sse_kms(kms_key), body).await
    }

    async fn put_body(&self, name: &str, sse: SseHeaders, body: Body) -> Result<Stored, Error> {
        self.put_body_in("photos", name, sse, body).await
    }

    async fn put_body_in(&self, bucket: &str, name: &str, sse: SseHeaders, body: Body) -> Result<Stored, Error> {
        let request = PutObject {
            by_form: false,
            bucket: bucket.into(),
            key: name.into(),
            headers: ObjectHeaders::default(),
            attributes: Attributes::default(),
            sse,
            content_md5: None,
            checksum: UploadChecksum::default(),
            condition: WriteCondition::None,
            body,
        };
        self.engine.put_object(&caller(), request).await
    }

    /// Reads an object to its end.
    pub(crate) async fn get(&self, name: &str) -> Result<Vec<u8>, Error> {
        let request = GetObject { bucket: "photos".into(), key: name.into(), ..GetObject::default() };
        let reply = self.engine.get_object(&caller(), request).await?;
        let mut chunks = reply.body.unwrap();
        let mut data = Vec::new();
        while let Some(chunk) = futures_util::StreamExt::next(&mut chunks).await {
            data.extend_from_slice(&chunk?);
        }
        Ok(data)
    }

    /// The records of the audit log so far, in order.
    pub(crate) async fn records(&self) -> Vec<Value> {
        // A durable record makes all before it durable.
        self.audit.append(&strongroom_audit::Event::default()).await.unwrap();
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(self.dir.path().join("audit")).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let text: String = files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The last record of how an operation ended.
    pub(crate) async fn record(&self, operation: &str) -> Value {
        let records = self.records().await;
        let found = records.into_iter().rfind(|record| record["operation"] == operation && record["details"]["phase"] != "begun");
        found.unwrap_or_else(|| panic!("no record of {operation}"))
    }
}

fn secret() -> SecretKey {
    SecretKey::new("a secret of tests".to_owned()).unwrap()
}

pub(crate) fn signer(identity: Identity) -> Signer {
    let conditions = Conditions::new(true);
    Signer { identity: Arc::new(identity), request_id: "REQUEST1".into(), peer: None, secure: true, secrets_allowed: true, conditions }
}

pub(crate) fn root() -> Signer {
    signer(Identity::root("root-key", secret()).unwrap())
}

/// A user with what a policy document says.
pub(crate) fn user(policy: &Value) -> Signer {
    let policies = PolicySet::from_config(&[] as &[&str], Some(&policy.to_string())).unwrap();
    signer(Identity::user("alice", "alice-key", secret(), policies).unwrap())
}

/// Root of another account than the main one.
pub(crate) fn root_of(account: &str) -> Signer {
    signer(Identity::account_root(format!("root-{account}"), "tenant-key", secret(), account).unwrap())
}

/// A user of an account with what a policy document says.
pub(crate) fn user_of(account: &str, policy: &Value) -> Signer {
    let policies = PolicySet::from_config(&[] as &[&str], Some(&policy.to_string())).unwrap();
    signer(Identity::user("dora", "dora-key", secret(), policies).unwrap().in_account(account).unwrap())
}

/// A policy that allows these actions on everything.
pub(crate) fn allowing(actions: &[&str]) -> Value {
    json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}]})
}

pub(crate) fn sse_kms(key: &str) -> SseHeaders {
    SseHeaders { algorithm: Some("aws:kms".into()), kms_key_id: Some(key.into()), ..SseHeaders::default() }
}

pub(crate) fn caller() -> Caller {
    let Signer { identity, request_id, .. } = root();
    Caller {
        identity,
        secure: true,
        sse_c_allowed: true,
        expected_owner: None,
        seen: Seen::default(),
        request_id,
        peer: None,
        operation: "Test",
    }
}
