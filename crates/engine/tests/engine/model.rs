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
use strongroom_catalog::{CatalogError, testing::Faults};
use strongroom_engine::{
    Error,
    api::{
        ByteRange, CompletedPart, DeleteCondition, GetObject, ListEntry, ListObjects, ListParts, ListUploads, ObjectReply, UploadPartCopy,
        UploadRef, UploadedPart,
    },
};
use tempfile::TempDir;

use super::model_ops::{Failure, KEYS, Op, SLOTS, steps};
use crate::common::*;

const CASES: u32 = 64;
const MAX_ROUNDS: u32 = 5;
const STEPS: usize = 40;

#[derive(Clone, Debug, PartialEq)]
struct Object {
    by: As,
    data: Arc<Vec<u8>>,
}

struct Upload {
    at: UploadRef,
    key: usize,
    by: As,
    /// ETags and data.
    parts: BTreeMap<u16, (String, Arc<Vec<u8>>)>,
}

impl Upload {
    fn object(&self) -> Object {
        let data: Vec<_> = self.parts.values().map(|(_, data)| data.as_slice()).collect();
        Object { by: self.by, data: Arc::new(data.concat()) }
    }

    fn named(&self) -> Vec<CompletedPart> {
        self.parts
            .iter()
            .map(|(number, (etag, _))| CompletedPart { number: (*number).into(), etag: etag.clone(), checksum: None })
            .collect()
    }
}

struct World {
    rig: Rig,
    files: FileBlobs,
    blobs: FaultyBlobs,
    faults: Arc<Faults>,
    objects: [Option<Object>; KEYS.len()],
    uploads: [Option<Upload>; SLOTS],
    /// What was told to fail during this operation.
    armed: Failure,
    tally: Arc<Tally>,
    /// Requests that ended in an integrity error.
    damaged: u64,
    _dir: TempDir,
}

/// What happened in all cases together: a run in which it did not has shown nothing.
#[derive(Debug, Default)]
struct Tally {
    /// Operations that failed because the catalog, the blobs or the KMS did.
    catalog: AtomicU64,
    blobs: AtomicU64,
    kms: AtomicU64,
    /// Those that succeeded.
    copies: AtomicU64,
    shared_parts: AtomicU64,
    completions: AtomicU64,
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
        let counters = [&self.catalog, &self.blobs, &self.kms, &self.copies, &self.shared_parts, &self.completions];
        counters.iter().all(|counter| counter.load(Ordering::Relaxed) > 0)
    }
}

fn count(counter: &AtomicU64, happened: bool) {
    counter.fetch_add(happened.into(), Ordering::Relaxed);
}

impl World {
    async fn new(tally: &Arc<Tally>) -> Self {
        let dir = temp_dir();
        let files = FileBlobs::open(dir.path().join("blobs")).unwrap();
        let blobs = FaultyBlobs::new(Arc::new(files.clone()));
        let (store, faults) = (blobs.clone(), Arc::new(Faults::default()));
        let wrap_blobs: Wrap<dyn BlobStore> = Box::new(move |_| Arc::new(store));
        let plan = Plan { sqlite: true, catalog_hook: Some(Arc::clone(&faults) as _), wrap_blobs: Some(wrap_blobs), ..Plan::default() };
        let rig = Rig::with(plan).await;
        let tally = Arc::clone(tally);
        let (objects, uploads) = Default::default();
        Self { rig, files, blobs, faults, objects, uploads, armed: Failure::None, tally, damaged: 0, _dir: dir }
    }

    async fn step(&mut self, op: &Op, failure: &Failure) {
        self.arm(failure);
        match *op {
            Op::Put { key, by, len, seed } => self.put(key, by, len, seed).await,
            Op::Copy { from, to, by } => self.copy(from, to, by).await,
            Op::Delete { key } => self.delete(key).await,
            Op::Get { key } => self.read(key, None).await,
            Op::Range { key, at, len } => {
                let size = self.objects[key].as_ref().map_or(0, |object| object.data.len());
                if size > 0 {
                    self.read(key, Some((at.index(size) as u64, len))).await;
                }
            }
            Op::List => self.list().await,
            Op::Create { slot, key, by } => self.create(slot, key, by).await,
            Op::Part { slot, number, len, seed } => self.part(slot, number, len, seed).await,
            Op::PartCopy { slot, number, from } => self.part_copy(slot, number, from).await,
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

    fn heal(&mut self) {
        self.blobs.heal();
        self.rig.kms.heal();
        self.faults.heal();
        self.armed = Failure::None;
    }

    /// Takes note of an error, which there may be only where something was told to fail.
    fn check<T>(&mut self, result: Result<T, Error>) -> Option<T> {
        if let Err(error) = &result {
            assert!(!matches!(self.armed, Failure::None), "{error:?}");
            self.tally.failed(&self.armed);
            self.damaged += u64::from(matches!(error, Error::Integrity(_)));
        }
        result.ok()
    }

    async fn put(&mut self, key: usize, by: As, len: usize, seed: u64) {
        let new = Object { by, data: Arc::new(data(len, seed)) };
        let result = self.rig.try_put(KEYS[key], by, &new.data).await;
        self.settle(key, Some(new), result).await;
    }

    async fn copy(&mut self, from: usize, to: usize, by: As) {
        let Some(source) = self.objects[from].clone() else {
            assert!(matches!(self.rig.copy((KEYS[from], As::Store), (KEYS[to], As::S3)).await, Err(Error::NoSuchKey)));
            return;
        };
        let result = self.rig.copy((KEYS[from], source.by), (KEYS[to], by)).await;
        if from == to && by == As::Store && !matches!(source.by, As::Customer(_)) {
            assert!(matches!(result, Err(Error::CopyChangesNothing)));
            return;
        }
        let copied = result.is_ok();
        self.settle(to, Some(Object { by, data: source.data }), result).await;
        count(&self.tally.copies, copied);
    }

    async fn delete(&mut self, key: usize) {
        let result = self.rig.engine.delete_object(&self.rig.root, BUCKET, KEYS[key], None, DeleteCondition::default(), false).await;
        self.settle(key, None, result).await;
    }

    /// After success the object is the new one; after failure it is the old one or the new one, and from then on that one.
    async fn settle<T>(&mut self, key: usize, new: Option<Object>, result: Result<T, Error>) {
        let succeeded = self.check(result).is_some();
        self.heal();
        if self.is(key, new.as_ref()).await {
            self.objects[key] = new;
            return;
        }
        assert!(!succeeded, "{} is not what was written", KEYS[key]);
        assert!(self.is(key, self.objects[key].as_ref()).await, "{} is neither the old object nor the new one", KEYS[key]);
    }

    async fn is(&self, key: usize, object: Option<&Object>) -> bool {
        let key = KEYS[key];
        match object {
            None => matches!(self.rig.get(key, As::Store).await, Err(Error::NoSuchKey)),
            Some(object) => {
                self.rig.get(key, object.by).await.is_ok_and(|data| data == *object.data)
                    && self.rig.head(key, object.by).await.is_ok_and(|reply| {
                        let sse = reply.info.sse;
                        (sse.mode, sse.bucket_key_enabled) == (object.by.mode(), object.by == As::BucketKey)
                    })
            }
        }
    }

    async fn read(&mut self, key: usize, range: Option<(u64, u64)>) {
        let Some(Object { by, data }) = self.objects[key].clone() else {
            assert!(matches!(self.rig.get(KEYS[key], As::Store).await, Err(Error::NoSuchKey)));
            return;
        };
        let expected = match range {
            Some((at, len)) => &data[usize::try_from(at).unwrap()..usize::try_from(at + len).unwrap().min(data.len())],
            None => &data[..],
        };
        let range = range.map(|(at, len)| ByteRange::From { first: at, last: Some(at + len - 1) });
        let request = GetObject { range, ..get_request(KEYS[key], by.read()) };
        let reply: Result<ObjectReply, Error> = self.rig.engine.get_object(&self.rig.root, request).await;
        let Some(reply) = self.check(reply) else { return };
        let (read, error) = drain(reply).await;
        match error {
            None => assert!(read == expected),
            Some(error) => {
                assert!(expected.starts_with(&read), "only authentic bytes before an error");
                self.check::<()>(Err(error));
            }
        }
    }

    async fn list(&mut self) {
        let query = ListObjects { bucket: BUCKET.into(), limit: 1000, ..ListObjects::default() };
        let page = self.rig.engine.list_objects(query).await.unwrap();
        let listed = page.entries.into_iter().map(|entry| match entry {
            ListEntry::Item(object) => (object.key, object.size_bytes),
            ListEntry::Prefix(prefix) => panic!("{prefix}"),
        });
        let present =
            KEYS.iter().zip(&self.objects).filter_map(|(key, object)| Some(((*key).to_owned(), object.as_ref()?.data.len() as u64)));
        assert_eq!(listed.collect::<Vec<_>>(), present.collect::<Vec<_>>());
    }

    async fn create(&mut self, slot: usize, key: usize, by: As) {
        if self.uploads[slot].is_some() {
            return;
        }
        let created = self.rig.engine.create_multipart_upload(&self.rig.root, create_request(KEYS[key], by.write())).await;
        // One that was begun all the same is found at the end.
        if let Some(created) = self.check(created) {
            let at = UploadRef { bucket: BUCKET.into(), key: KEYS[key].into(), upload_id: created.upload_id };
            self.uploads[slot] = Some(Upload { at, key, by, parts: BTreeMap::new() });
        }
    }

    async fn part(&mut self, slot: usize, number: u16, len: usize, seed: u64) {
        let Some(Upload { at, by, .. }) = &self.uploads[slot] else { return };
        let new = Arc::new(data(len, seed));
        let result = self.rig.engine.upload_part(&self.rig.root, part_request(at, number.into(), *by, &new)).await;
        self.settle_part(slot, number, new, result).await;
    }

    async fn part_copy(&mut self, slot: usize, number: u16, from: usize) {
        let Some(Upload { at, by, .. }) = &self.uploads[slot] else { return };
        let source = self.objects[from].clone();
        let request = UploadPartCopy {
            upload: at.clone(),
            part_number: number.into(),
            source: copy_source(KEYS[from], source.as_ref().map_or(As::Store, |source| source.by)),
            range: None,
            sse: by.read(),
        };
        let result = self.rig.engine.upload_part_copy(&self.rig.root, request).await.map(|copied| copied.part);
        let Some(source) = source else {
            assert!(matches!(result, Err(Error::NoSuchKey)));
            return;
        };
        let copied = result.is_ok();
        self.settle_part(slot, number, source.data, result).await;
        let sql = "SELECT count(*) FROM parts WHERE blob IN (SELECT blob FROM version_blobs)";
        let shared: i64 = self.rig.rows().query_row(sql, [], |row| row.get(0)).unwrap();
        count(&self.tally.shared_parts, copied && shared > 0);
    }

    /// After success the part is the new one; after failure it is the one before or the new one.
    async fn settle_part(&mut self, slot: usize, number: u16, new: Arc<Vec<u8>>, result: Result<UploadedPart, Error>) {
        let at = self.uploads[slot].as_ref().unwrap().at.clone();
        let etag = self.check(result).map(|part| part.etag);
        self.heal();
        let listed = self.parts_of(&at).await.unwrap();
        let parts = &mut self.uploads[slot].as_mut().unwrap().parts;
        let known = parts.get(&number).map(|(etag, _)| etag.clone());
        match (etag, listed.get(&number)) {
            (Some(etag), listed) => {
                assert_eq!(listed, Some(&etag));
                parts.insert(number, (etag, new));
            }
            (None, Some(listed)) if known.as_ref() != Some(listed) => {
                parts.insert(number, (listed.clone(), new));
            }
            (None, listed) => assert_eq!(listed, known.as_ref()),
        }
        assert_eq!(listed, parts.iter().map(|(number, (etag, _))| (*number, etag.clone())).collect());
    }

    /// ETags by number; none where the upload has ended.
    async fn parts_of(&self, at: &UploadRef) -> Option<BTreeMap<u16, String>> {
        match self.rig.engine.list_parts(ListParts { upload: at.clone(), after: 0, limit: 1000 }).await {
            Ok(page) => Some(page.parts.into_iter().map(|part| (part.number, part.etag)).collect()),
            Err(Error::NoSuchUpload) => None,
            Err(error) => panic!("{error:?}"),
        }
    }

    async fn complete(&mut self, slot: usize) {
        let Some(upload) = self.uploads[slot].take() else { return };
        if upload.parts.is_empty() {
            self.uploads[slot] = Some(upload);
            return;
        }
        let result = self.rig.complete(&upload.at, upload.named()).await;
        let succeeded = self.check(result).is_some();
        count(&self.tally.completions, succeeded);
        self.heal();
        if self.parts_of(&upload.at).await.is_none() {
            let new = upload.object();
            assert!(self.is(upload.key, Some(&new)).await);
            self.objects[upload.key] = Some(new);
            self.rig.complete(&upload.at, upload.named()).await.expect("it can be repeated");
        } else {
            assert!(!succeeded && self.is(upload.key, self.objects[upload.key].as_ref()).await);
            self.uploads[slot] = Some(upload);
        }
    }

    async fn abort(&mut self, slot: usize) {
        let Some(upload) = self.uploads[slot].take() else { return };
        let result = self.rig.engine.abort_multipart_upload(&upload.at).await;
        let succeeded = self.check(result).is_some();
        self.heal();
        if self.parts_of(&upload.at).await.is_some() {
            assert!(!succeeded);
            self.uploads[slot] = Some(upload);
        }
    }

    /// Everything reads as the model has it, and the blobs are those that are referred to, each as often as its count says.
    async fn end(mut self) {
        self.heal();
        for (key, object) in self.objects.iter().enumerate() {
            assert!(self.is(key, object.as_ref()).await, "{}", KEYS[key]);
        }
        self.list().await;
        self.compare_blobs().await;
        let query = ListUploads { bucket: BUCKET.into(), limit: 1000, ..ListUploads::default() };
        for entry in self.rig.engine.list_multipart_uploads(query).await.unwrap().entries {
            let ListEntry::Item(upload) = entry else { panic!() };
            let at = UploadRef { bucket: BUCKET.into(), key: upload.key, upload_id: upload.upload_id };
            self.rig.engine.abort_multipart_upload(&at).await.unwrap();
        }
        self.compare_blobs().await;
        for key in KEYS {
            self.rig.delete(key).await;
        }
        assert_eq!(self.compare_blobs().await, 0);
    }

    async fn compare_blobs(&self) -> usize {
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
