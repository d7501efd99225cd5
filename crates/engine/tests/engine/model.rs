//! The store against a model that is a few lines long, while catalog, blobs and KMS fail at random: a failed operation leaves the old
//! state or the new one, a read answers nothing but the present one, and at the end no blob is missing and none is left over.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use proptest::test_runner::{Config, TestRunner};
use strongroom_blobs::{
    BlobStore, FileBlobs,
    testing::{FaultyBlobs, conformance::list},
};
use strongroom_catalog::{CatalogError, UploadId, VersionSelector, testing::Faults};
use strongroom_engine::{
    Error,
    api::{
        ByteRange, CopyObject, CopySource, CreateBucket, DeleteCondition, GetObject, ListEntry, ListObjects, ListUploads, ListVersions,
        Mode, PutObject, UpdateObjectEncryption, UploadRef, VersioningStatus,
    },
    rekey::{JobState, RekeyRequest},
};
use tempfile::TempDir;

use super::{
    locks::now,
    model_attributes::{Clockwork, request_of},
    model_ops::{BUCKETS, Failure, Given, KEYS, LOCKABLE, Op, Pick, Place, SLOTS, steps},
    model_state::{Change, History, NULL, Object, State, Version, Versioning},
    model_uploads::Upload,
};
use crate::common::*;

const CASES: u32 = 64;
const MAX_ROUNDS: u32 = 5;
const STEPS: usize = 80;

pub struct World {
    pub rig: Rig,
    pub clockwork: Clockwork,
    files: FileBlobs,
    blobs: FaultyBlobs,
    faults: Arc<Faults>,
    pub state: State,
    pub uploads: [Option<Upload>; SLOTS],
    /// What was told to fail during this operation.
    armed: Failure,
    pub tally: Arc<Tally>,
    /// Requests that ended in an integrity error.
    damaged: u64,
    _dir: TempDir,
}

/// What happened in all cases together: a run in which it did not has shown nothing.
#[derive(Debug, Default)]
pub struct Tally {
    /// Operations that failed because the catalog, the blobs or the KMS did.
    catalog: AtomicU64,
    blobs: AtomicU64,
    kms: AtomicU64,
    /// Those that succeeded.
    pub copies: AtomicU64,
    pub shared_parts: AtomicU64,
    pub completions: AtomicU64,
    markers: AtomicU64,
    older_read: AtomicU64,
    older_copied: AtomicU64,
    older_deleted: AtomicU64,
    nulls_replaced: AtomicU64,
    updates: AtomicU64,
    re_keyed: AtomicU64,
    pub tagged: AtomicU64,
    pub locked: AtomicU64,
    pub kept: AtomicU64,
    pub outlived: AtomicU64,
    pub by_default: AtomicU64,
    pub tags_replaced: AtomicU64,
}

impl Tally {
    fn failed(&self, by: &Failure) {
        match by {
            Failure::None => panic!("nothing was told to fail"),
            Failure::Catalog(_) => count(&self.catalog, true),
            Failure::Blobs(..) => count(&self.blobs, true),
            Failure::Kms(_) => count(&self.kms, true),
        }
    }

    fn all_happened(&self) -> bool {
        let Self { catalog, blobs, kms, copies, shared_parts, completions, markers, .. } = self;
        let Self { older_read, older_copied, older_deleted, nulls_replaced, updates, re_keyed, .. } = self;
        let Self { tagged, locked, kept, outlived, by_default, tags_replaced, .. } = self;
        let of_old = [catalog, blobs, kms, copies, shared_parts, completions];
        let of_versions = [markers, older_read, older_copied, older_deleted, nulls_replaced, updates, re_keyed];
        let of_locks = [tagged, locked, kept, outlived, by_default, tags_replaced];
        of_old.iter().chain(&of_versions).chain(&of_locks).all(|counter| counter.load(Ordering::Relaxed) > 0)
    }
}

pub fn count(counter: &AtomicU64, happened: bool) {
    counter.fetch_add(happened.into(), Ordering::Relaxed);
}

impl World {
    async fn new(tally: &Arc<Tally>) -> Self {
        let dir = temp_dir();
        let files = FileBlobs::open(dir.path().join("blobs")).unwrap();
        let blobs = FaultyBlobs::new(Arc::new(files.clone()));
        let (faults, clockwork) = (Arc::new(Faults::default()), Clockwork::new());
        let rig = Rig::with(Self::plan(&blobs, &faults, &clockwork)).await;
        for name in &BUCKETS[1..] {
            let object_lock = *name == BUCKETS[LOCKABLE];
            rig.engine
                .create_bucket(&rig.root, CreateBucket { name: (*name).into(), object_lock, ..CreateBucket::default() })
                .await
                .unwrap();
        }
        let (tally, uploads) = (Arc::clone(tally), Default::default());
        Self { rig, clockwork, files, blobs, faults, state: State::new(), uploads, armed: Failure::None, tally, damaged: 0, _dir: dir }
    }

    fn plan(blobs: &FaultyBlobs, faults: &Arc<Faults>, clockwork: &Clockwork) -> Plan {
        let store = blobs.clone();
        let wrap_blobs: Wrap<dyn BlobStore> = Box::new(move |_| Arc::new(store));
        let (clock, catalog_hook) = (clockwork.of_catalog(), Some(Arc::clone(faults) as _));
        Plan { sqlite: true, clock, catalog_hook, wrap_blobs: Some(wrap_blobs), ..Plan::default() }
    }

    async fn step(&mut self, op: &Op, failure: &Failure) {
        self.clockwork.step_began_ms = now();
        self.arm(failure);
        match *op {
            Op::SetVersioning { enabled } => self.set_versioning(enabled).await,
            Op::Put { at, by, len, seed, given } => self.put(at, by, len, seed, given).await,
            Op::Copy { from, which, to, by, given } => self.copy(from, which, to, by, given).await,
            Op::Delete { at, which, bypass } => self.delete(at, which, bypass).await,
            Op::Tag { at, which, tags } => self.tag(at, which, tags).await,
            Op::Retain { at, which, retention, bypass } => self.retain(at, which, retention, bypass).await,
            Op::Hold { at, which, on } => self.hold(at, which, on).await,
            Op::SetDefaultLock { retention } => self.set_default_lock(retention).await,
            Op::SetClock { hours } => self.clockwork.set(hours),
            Op::UpdateEncryption { at, which, bucket_key } => self.update_encryption(at, which, bucket_key).await,
            Op::Rekey { bucket, to_other } => self.rekey(bucket, if to_other { OTHER_KEY } else { KEY }).await,
            Op::Get { at, which } => self.read(at, which, None).await,
            Op::Range { at, which, begin, len } => self.read(at, which, Some((begin, len))).await,
            Op::List { bucket, prefix, delimiter, limit } => self.list(bucket, prefix, delimiter.then_some("/"), limit).await,
            Op::Create { slot, at, by, given } => self.create(slot, at, by, given).await,
            Op::Part { slot, number, len, seed } => self.part(slot, number, len, seed).await,
            Op::PartCopy { slot, number, from, which } => self.part_copy(slot, number, from, which).await,
            Op::Complete { slot } => self.complete(slot).await,
            Op::Abort { slot } => self.abort(slot).await,
            Op::SweepDead => {
                let result = self.rig.engine.sweep_dead().await;
                self.check(result);
            }
            Op::SweepOrphans => {
                let result = self.rig.engine.sweep_orphans().await;
                self.check(result);
            }
        }
        self.heal();
        assert_eq!(self.rig.engine.integrity_events(), self.damaged, "each request that meets damage counts once");
    }

    fn arm(&mut self, failure: &Failure) {
        self.armed = failure.clone();
        match *failure {
            Failure::None => {}
            Failure::Catalog(moment) => self.faults.fail_write(1, moment, || CatalogError::Database("injected".into())),
            Failure::Blobs(operation, nth, fault) => self.blobs.fail(operation, nth, fault),
            Failure::Kms(fault) => self.rig.kms.fail_next(1, fault),
        }
    }

    pub fn heal(&mut self) {
        self.blobs.heal();
        self.rig.kms.heal();
        self.faults.heal();
        self.armed = Failure::None;
    }

    /// Takes note of an error, which there may be only where something was told to fail.
    pub fn check<T>(&mut self, result: Result<T, Error>) -> Option<T> {
        if let Err(error) = &result {
            assert!(!matches!(self.armed, Failure::None), "{error:?}");
            self.tally.failed(&self.armed);
            self.damaged += u64::from(matches!(error, Error::Integrity(_)));
        }
        result.ok()
    }

    async fn set_versioning(&mut self, enabled: bool) {
        let (name, bucket) = (BUCKETS[1], &self.state.0[1]);
        let status = if enabled { VersioningStatus::Enabled } else { VersioningStatus::Suspended };
        let (old, new) = (bucket.versioning, if enabled { Versioning::Enabled } else { Versioning::Suspended });
        let result = self.rig.engine.set_bucket_versioning(name, status).await;
        let succeeded = self.check(result).is_some();
        self.heal();
        let present = match self.rig.engine.bucket_versioning(name).await.unwrap() {
            None => Versioning::Unversioned,
            Some(VersioningStatus::Enabled) => Versioning::Enabled,
            Some(VersioningStatus::Suspended) => Versioning::Suspended,
        };
        assert!(present == new || (present == old && !succeeded));
        self.state.0[1].versioning = present;
    }

    async fn put(&mut self, at: Place, by: As, len: usize, seed: u64, given: Given) {
        let new = Object { attributes: self.given(at, given), ..Object::new(by, Arc::new(data(len, seed))) };
        let attributes = request_of(&new.attributes);
        let request = PutObject { bucket: at.bucket(), attributes, ..put_request(KEYS[at.key], by.write(), &new.data) };
        let result = self.rig.engine.put_object(&self.rig.root, request).await;
        self.settle(at, Change::Add(Some(new)), result.map(|stored| stored.version_id)).await;
    }

    /// The version that a request names, which must exist as the model has it, or the error that is due.
    pub fn named(&self, at: Place, which: Pick) -> (Option<String>, Option<Object>) {
        let version_id = self.state.of(at).pick(at.key, which);
        let object = self.state.of(at).find(at.key, version_id.as_deref()).and_then(|version| version.object.clone());
        (version_id, object)
    }

    /// Whether this is what a request must answer that names no object.
    pub fn is_due(&self, at: Place, version_id: Option<&str>, error: &Error) -> bool {
        match (self.state.of(at).find(at.key, version_id), version_id) {
            (Some(Version { object: Some(_), .. }), _) => false,
            (Some(Version { id, .. }), named) => {
                matches!(error, Error::DeleteMarker { named: by_id, version_id, .. } if version_id == id && *by_id == named.is_some())
            }
            (None, None) => matches!(error, Error::NoSuchKey),
            (None, Some(_)) => matches!(error, Error::NoSuchVersion),
        }
    }

    /// As [`World::is_due`], of a source.
    pub fn is_due_of_source(&self, at: Place, version_id: Option<&str>, error: &Error) -> bool {
        let names_marker = version_id.is_some() && self.state.of(at).find(at.key, version_id).is_some();
        if names_marker { matches!(error, Error::InvalidRequest(_)) } else { self.is_due(at, version_id, error) }
    }

    async fn copy(&mut self, from: Place, which: Pick, to: Place, by: As, given: Option<Given>) {
        let (version_id, source) = self.named(from, which);
        let from_by = source.as_ref().map_or(As::Store, |source| source.by);
        let by = if source.is_some() { by } else { As::S3 };
        let (attributes, tags, lock) = self.given_to_copy(source.as_ref(), to, given);
        let request = CopyObject {
            bucket: to.bucket(),
            tags,
            lock,
            source: CopySource { bucket: from.bucket(), version_id: version_id.clone(), ..copy_source(KEYS[from.key], from_by) },
            ..copy_request((KEYS[from.key], from_by), (KEYS[to.key], by))
        };
        let result = self.rig.engine.copy_object(&self.rig.root, request).await;
        let Some(source) = source else {
            let error = result.unwrap_err();
            assert!(self.is_due_of_source(from, version_id.as_deref(), &error), "{error:?}");
            return;
        };
        if from == to && version_id.is_none() && by == As::Store && !matches!(source.by, As::Customer(_)) {
            assert!(matches!(result, Err(Error::CopyChangesNothing)));
            return;
        }
        let copied = result.is_ok();
        let is_older = self.is_older(from, version_id.as_deref());
        if let Ok(copied) = &result {
            let shown = self.shown_id(from, version_id.as_deref());
            assert_eq!(copied.source_version_id, shown);
        }
        let new = Object { attributes, ..Object::new(by, source.data) };
        self.settle(to, Change::Add(Some(new)), result.map(|copied| copied.stored.version_id)).await;
        count(&self.tally.copies, copied);
        count(&self.tally.tags_replaced, copied && given.is_some());
        count(&self.tally.older_copied, copied && is_older);
    }

    /// What an answer must say is the id of a version that is there.
    pub fn shown_id(&self, at: Place, version_id: Option<&str>) -> Option<String> {
        let bucket = self.state.of(at);
        let version = bucket.find(at.key, version_id)?;
        (bucket.versioning != Versioning::Unversioned).then(|| version.id.clone())
    }

    fn is_older(&self, at: Place, version_id: Option<&str>) -> bool {
        let latest = self.state.of(at).find(at.key, None);
        latest.is_some() && latest != self.state.of(at).find(at.key, version_id)
    }

    async fn delete(&mut self, at: Place, which: Pick, bypass: bool) {
        let version_id = self.state.of(at).pick(at.key, which);
        let change = self.state.of(at).deletion(version_id.as_deref());
        let removed = version_id.as_deref().and_then(|id| self.state.of(at).find(at.key, Some(id))).cloned();
        let is_older = removed.is_some() && self.is_older(at, version_id.as_deref());
        let result = self
            .rig
            .engine
            .delete_object(&self.rig.root, &at.bucket(), KEYS[at.key], version_id.clone(), DeleteCondition::default(), bypass)
            .await;
        let attributes = removed.as_ref().and_then(|version| version.object.as_ref()).map(|object| object.attributes.clone());
        if attributes.as_ref().is_some_and(|attributes| attributes.lock(bypass, self.clockwork.now_ms())) {
            return self.must_be_kept(at, result.map(drop)).await;
        }
        count(&self.tally.outlived, result.is_ok() && attributes.is_some_and(|attributes| attributes.lock(bypass, 0)));
        if let Ok(deleted) = &result {
            let was_marker = removed.as_ref().is_some_and(|version| version.object.is_none());
            assert_eq!(deleted.delete_marker, was_marker || matches!(change, Change::Add(_)));
            count(&self.tally.markers, deleted.delete_marker);
            count(&self.tally.older_deleted, is_older);
        }
        self.settle(at, change, result.map(|deleted| deleted.version_id)).await;
    }

    async fn update_encryption(&mut self, at: Place, which: Pick, bucket_key_enabled: bool) {
        let (version_id, object) = self.named(at, which);
        let request = UpdateObjectEncryption {
            bucket: at.bucket(),
            key: KEYS[at.key].into(),
            version_id: version_id.clone(),
            kms_key_id: OTHER_KEY.into(),
            bucket_key_enabled,
        };
        let result = self.rig.engine.update_object_encryption(&self.rig.root, request).await;
        let Some(object) = object else {
            let error = result.unwrap_err();
            assert!(self.is_due(at, version_id.as_deref(), &error), "{error:?}");
            return;
        };
        if !matches!(object.by.mode(), Mode::SseS3 | Mode::SseKms) {
            assert!(matches!(result, Err(Error::InvalidRequest(_))));
            return;
        }
        let id = self.state.of(at).find(at.key, version_id.as_deref()).unwrap().id.clone();
        let by = if bucket_key_enabled { As::BucketKey } else { As::Kms };
        count(&self.tally.updates, result.is_ok());
        self.settle(at, Change::Replace(id, Object { by, kms_key: Some(OTHER_KEY.into()), ..object }), result.map(|()| None)).await;
    }

    /// Every version of the bucket, delete markers aside, is under the key afterwards. After a failure each is under the old key or the new one.
    async fn rekey(&mut self, bucket: usize, to_key: &str) {
        let request = RekeyRequest { bucket: Some(BUCKETS[bucket].into()), to_key: Some(to_key.into()), ..RekeyRequest::default() };
        let started = self.rig.engine.start_rekey(request, starter(&self.rig.root)).await;
        let Some(started) = self.check(started) else { return };
        let job = self.rig.ended(&started.job_id).await;
        let completed = (job.state, job.failed) == (JobState::Completed, 0);
        assert!(completed || !matches!(self.armed, Failure::None), "{job:?}");
        // Each object that the job failed at for its bytes is one more.
        self.damaged = self.rig.engine.integrity_events();
        self.heal();
        count(&self.tally.re_keyed, job.done > 0);
        for key in 0..KEYS.len() {
            let at = Place { bucket, key };
            for version in self.state.of(at).keys[key].clone() {
                let Some(object) = version.object.filter(|object| object.kms_key.is_some()) else { continue };
                let present = self.kms_key_of(at, &version.id).await;
                assert!(present.as_deref() == Some(to_key) || (!completed && present == object.kms_key), "{at:?} {}", version.id);
                *self.state.history(at) =
                    self.state.of(at).after(key, &Change::Replace(version.id, Object { kms_key: present, ..object }), "");
            }
        }
        let places: Vec<_> = self.uploads.iter().flatten().map(|upload| upload.at.clone()).collect();
        for at in places {
            let key = self.kms_key_of_upload(&at).await;
            let upload = self.uploads.iter_mut().flatten().find(|upload| upload.at == at).unwrap();
            upload.kms_key = key;
        }
    }

    async fn kms_key_of(&self, at: Place, version_id: &str) -> Option<String> {
        let which = if version_id == NULL { VersionSelector::Null } else { VersionSelector::Id(version_id.parse().unwrap()) };
        let (_, version) = self.rig.catalog.find_version(&at.bucket(), KEYS[at.key], which).await.unwrap().unwrap();
        version.unwrap().envelope.unwrap().key.map(|key| key.key_id)
    }

    async fn kms_key_of_upload(&self, at: &UploadRef) -> Option<String> {
        let id: UploadId = at.upload_id.parse().unwrap();
        let (_, upload) = self.rig.catalog.find_upload(&at.bucket, &at.key, id).await.unwrap().unwrap();
        upload.unwrap().envelope.key.map(|key| key.key_id)
    }

    /// After success the key has the versions that it must have; after failure it has those or the old ones, and from then on these.
    pub async fn settle(&mut self, at: Place, change: Change, result: Result<Option<String>, Error>) {
        let answered = self.check(result);
        self.heal();
        if self.has_become(at, &change, answered.as_ref()).await {
            return;
        }
        assert!(answered.is_none(), "{at:?} is not what {change:?} makes of {:?}", self.state.of(at).keys[at.key]);
        assert!(self.holds(at, &self.state.of(at).keys[at.key]).await, "{at:?} is neither as before {change:?} nor as after it");
    }

    /// Whether the change has happened; then the model takes it over.
    pub async fn has_become(&mut self, at: Place, change: &Change, answered: Option<&Option<String>>) -> bool {
        let (bucket, versioning) = (self.state.of(at), self.state.of(at).versioning);
        let newest = self.listed(at).await.first().map(|(id, _)| id.clone()).unwrap_or_default();
        let is_known = bucket.find(at.key, Some(&newest)).is_some();
        if versioning == Versioning::Enabled && matches!(change, Change::Add(_)) && is_known {
            return false;
        }
        let change = &self.with_default(at, change, &newest).await;
        let new = bucket.after(at.key, change, &newest);
        if !self.holds(at, &new).await {
            return false;
        }
        if let (Some(answered), Change::Add(_)) = (answered, change) {
            assert_eq!(*answered, (versioning != Versioning::Unversioned).then_some(newest), "the answer names the version");
        }
        count(&self.tally.nulls_replaced, matches!(change, Change::Add(_)) && is_known && versioning == Versioning::Suspended);
        *self.state.history(at) = new;
        true
    }

    /// Ids of the versions of a key, the newest first, and whether they are delete markers.
    async fn listed(&self, at: Place) -> Vec<(String, bool)> {
        let list = ListObjects { bucket: at.bucket(), prefix: KEYS[at.key].into(), limit: 1000, ..ListObjects::default() };
        let page = self.rig.engine.list_versions(ListVersions { list, version_id_marker: None }).await.unwrap();
        let items = page.entries.into_iter().filter_map(|entry| match entry {
            ListEntry::Item(version) if version.key == KEYS[at.key] => Some((version.version_id, version.object.is_none())),
            _ => None,
        });
        items.collect()
    }

    /// Whether the key has exactly these versions, each of which is read by its id, and the latest without.
    pub async fn holds(&self, at: Place, history: &History) -> bool {
        let expected = history.iter().rev().map(|version| (version.id.clone(), version.object.is_none()));
        if self.listed(at).await != expected.collect::<Vec<_>>() {
            return false;
        }
        for version in history {
            if !self.is_stored(at, Some(&version.id), version).await {
                return false;
            }
        }
        match history.last() {
            Some(latest) => self.is_stored(at, None, latest).await,
            None => matches!(self.get(at, None, As::Store).await, Err(Error::NoSuchKey)),
        }
    }

    async fn is_stored(&self, at: Place, version_id: Option<&str>, version: &Version) -> bool {
        let Some(object) = &version.object else {
            let error = self.get(at, version_id, As::Store).await.err();
            return matches!(error, Some(Error::DeleteMarker { named, .. }) if named == version_id.is_some());
        };
        let by = object.by;
        self.get(at, version_id, by).await.is_ok_and(|data| data == *object.data)
            && self.attributes_of(at, version_id).await == object.attributes
            && self.kms_key_of(at, &version.id).await == object.kms_key
            && self.rig.engine.head_object(&self.rig.root, at.get(version_id, by)).await.is_ok_and(|reply| {
                let sse = reply.info.sse;
                (sse.mode, sse.bucket_key_enabled) == (by.mode(), by == As::BucketKey)
            })
    }

    async fn get(&self, at: Place, version_id: Option<&str>, by: As) -> Result<Vec<u8>, Error> {
        collect(self.rig.engine.get_object(&self.rig.root, at.get(version_id, by)).await?).await
    }

    async fn read(&mut self, at: Place, which: Pick, range: Option<(proptest::sample::Index, u64)>) {
        let (version_id, object) = self.named(at, which);
        let Some(Object { by, data, .. }) = object else {
            let error = self.get(at, version_id.as_deref(), As::Store).await.unwrap_err();
            assert!(self.is_due(at, version_id.as_deref(), &error), "{error:?}");
            return;
        };
        let range = range.filter(|_| !data.is_empty()).map(|(begin, len)| (begin.index(data.len()) as u64, len));
        let expected = match range {
            Some((at, len)) => &data[usize::try_from(at).unwrap()..usize::try_from(at + len).unwrap().min(data.len())],
            None => &data[..],
        };
        let range = range.map(|(at, len)| ByteRange::From { first: at, last: Some(at + len - 1) });
        let request = GetObject { range, ..at.get(version_id.as_deref(), by) };
        let reply = self.rig.engine.get_object(&self.rig.root, request).await;
        let Some(reply) = self.check(reply) else { return };
        assert_eq!(reply.info.version_id, self.shown_id(at, version_id.as_deref()));
        let (read, error) = drain(reply).await;
        match error {
            None => assert!(read == expected),
            Some(error) => {
                assert!(expected.starts_with(&read), "only authentic bytes before an error");
                self.check::<()>(Err(error));
            }
        }
        count(&self.tally.older_read, self.is_older(at, version_id.as_deref()));
    }

    /// An engine that opens the store anew reads everything as the model has it, and the blobs are those that are referred to, each as often as its count says.
    async fn end(mut self) {
        self.heal();
        let home = self.rig.into_home();
        self.rig = Rig::with(Plan { home: Some(home), ..Self::plan(&self.blobs, &self.faults, &self.clockwork) }).await;
        for (bucket, model) in self.state.0.iter().enumerate() {
            for (key, history) in model.keys.iter().enumerate() {
                let at = Place { bucket, key };
                assert!(self.holds(at, history).await, "{at:?}");
            }
            self.list(bucket, "", None, 1000).await;
        }
        self.compare_blobs().await;
        for bucket in BUCKETS {
            let query = ListUploads { bucket: bucket.into(), limit: 1000, ..ListUploads::default() };
            for entry in self.rig.engine.list_multipart_uploads(query).await.unwrap().entries {
                let ListEntry::Item(upload) = entry else { panic!() };
                let at = UploadRef { bucket: bucket.into(), key: upload.key, upload_id: upload.upload_id };
                self.rig.engine.abort_multipart_upload(&at).await.unwrap();
            }
        }
        self.compare_blobs().await;
        let usage = self.state.usage();
        for key in ["default", KEY, OTHER_KEY] {
            let objects: u64 = self.rig.usage(key).await.values().map(|(objects, _)| objects).sum();
            assert_eq!(objects, usage.get(key).copied().unwrap_or_default(), "what depends on {key}");
        }
        self.clockwork.outlive_all();
        for (bucket, model) in BUCKETS.iter().zip(&self.state.0) {
            for (key, history) in KEYS.iter().zip(&model.keys) {
                for version in history {
                    self.lift_hold(bucket, key, version).await;
                    let id = Some(version.id.clone());
                    self.rig.engine.delete_object(&self.rig.root, bucket, key, id, DeleteCondition::default(), false).await.unwrap();
                }
            }
            self.rig.engine.delete_bucket(bucket).await.expect("nothing is left in it");
        }
        assert_eq!(self.compare_blobs().await, 0);
    }

    async fn compare_blobs(&self) -> usize {
        // What died by a clock that ran ahead is swept when that time has come.
        self.rig.rows().execute("UPDATE blobs SET died_at = 0 WHERE refs = 0", []).unwrap();
        self.rig.engine.sweep_dead().await.unwrap();
        self.rig.engine.sweep_orphans().await.unwrap();
        let rows = self.rig.rows();
        let pairs = |sql: &str| -> BTreeMap<[u8; 16], i64> {
            let mut statement = rows.prepare(sql).unwrap();
            statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
        };
        let referred = pairs("SELECT blob, count(*) FROM (SELECT blob FROM version_blobs UNION ALL SELECT blob FROM parts) GROUP BY blob");
        assert_eq!(referred, pairs("SELECT id, refs FROM blobs"), "references add up, and dead blobs are forgotten");
        let stored: BTreeSet<_> = list(&self.files).await.into_iter().map(|blob| blob.0).collect();
        assert_eq!(stored, referred.into_keys().collect());
        stored.len()
    }
}

#[test]
fn whatever_fails_the_store_is_in_the_old_state_or_the_new_one() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { Config::default().cases } else { CASES };
    let tally = Arc::new(Tally::default());
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 300, ..Config::default() };
    // What is rare may not have happened in the first round.
    for _ in 0..MAX_ROUNDS {
        let result = TestRunner::new(config.clone()).run(&steps(STEPS), |steps| {
            runtime.block_on(async {
                let mut world = World::new(&tally).await;
                for (op, failure) in &steps {
                    world.step(op, failure).await;
                }
                world.end().await;
            });
            Ok(())
        });
        if let Err(error) = result {
            panic!("{error}");
        }
        if cases < CASES || tally.all_happened() {
            return;
        }
    }
    panic!("not everything has happened: {tally:?}");
}
