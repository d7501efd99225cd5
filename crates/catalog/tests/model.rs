//! Random operations on the SQLite catalog and on the model in memory have the same answers and leave the same state.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use common::WRONG_USAGES;
use common::ops::*;
use common::outbox::{self, OutboxOp};
use proptest::prelude::*;
use proptest::sample::Index;
use strongroom_catalog::testing::MemoryCatalog;
use strongroom_catalog::testing::samples::{answer, bucket, envelope, id, new_blob, part, upload, version_in};
use strongroom_catalog::{
    BlobId, BlobUse, BucketChange, BucketId, Catalog, CatalogError, Clock, Deletion, DeletionEvents, Envelope, Expect, Job, ListEntry,
    ListQuery, NewEvent, Reseal, Scope, ScopePlace, SqliteCatalog, SqliteOptions, UploadId, VersionChange, VersionId, VersionSelector,
    Versioning,
};

/// Both catalogs, and every id that was ever given out.
struct Pair {
    runtime: tokio::runtime::Runtime,
    sqlite: SqliteCatalog,
    model: MemoryCatalog,
    time: Arc<AtomicI64>,
    path: std::path::PathBuf,
    bucket_ids: BTreeMap<usize, BucketId>,
    versions: Vec<(At, VersionId)>,
    uploads: Vec<(At, UploadId)>,
    blobs: Vec<BlobId>,
    next: u64,
}

/// Asks both, and demands the same answer.
macro_rules! both {
    ($pair:expr, $catalog:ident => $call:expr) => {{
        let left = $pair.runtime.block_on(async {
            let $catalog = &$pair.sqlite;
            $call.await
        });
        let right = $pair.runtime.block_on(async {
            let $catalog = &$pair.model;
            $call.await
        });
        same(left, right)?
    }};
}

fn same<T: Debug>(sqlite: Result<T, CatalogError>, model: Result<T, CatalogError>) -> Result<Option<T>, TestCaseError> {
    let (value, sqlite) = match sqlite {
        Ok(value) => {
            let text = format!("{value:?}");
            (Some(value), text)
        }
        Err(error) => (None, answer::<T>(Err(error))),
    };
    prop_assert_eq!(sqlite, answer(model));
    Ok(value)
}

impl Pair {
    fn open(path: &std::path::Path, options: &SqliteOptions) -> Self {
        let time = Arc::new(AtomicI64::new(100));
        let shared = Arc::clone(&time);
        let clock = Clock::new(move || shared.load(Ordering::Relaxed));
        let options = SqliteOptions { lookups: 1, scans: 1, clock: clock.clone(), ..options.clone() };
        Self {
            runtime: tokio::runtime::Builder::new_current_thread().build().unwrap(),
            sqlite: SqliteCatalog::open(path, options).unwrap(),
            model: MemoryCatalog::new(clock),
            time,
            path: path.to_owned(),
            bucket_ids: BTreeMap::new(),
            versions: Vec::new(),
            uploads: Vec::new(),
            blobs: Vec::new(),
            next: 0,
        }
    }

    fn fresh(&mut self, kind: u8) -> [u8; 16] {
        self.next += 1;
        id(kind, self.next)
    }

    fn bucket_id(&self, bucket: usize) -> BucketId {
        self.bucket_ids.get(&bucket).copied().unwrap_or(id(b'?', 0))
    }

    fn version_id(&self, index: Index) -> VersionId {
        if self.versions.is_empty() { id(b'?', 0) } else { index.get(&self.versions).1 }
    }

    fn upload(&self, index: Index) -> (At, UploadId) {
        if self.uploads.is_empty() { (At { bucket: 0, key: 0 }, id(b'?', 0)) } else { *index.get(&self.uploads) }
    }

    fn blob(&mut self, pick: &Pick) -> BlobUse {
        match pick {
            Pick::TakenAsNew(index) if !self.blobs.is_empty() => new_blob(*index.get(&self.blobs)),
            Pick::Shared(index) if !self.blobs.is_empty() => BlobUse::Shared { id: *index.get(&self.blobs) },
            _ => {
                let fresh = self.fresh(b'B');
                self.blobs.push(BlobId(fresh));
                new_blob(BlobId(fresh))
            }
        }
    }

    fn expect(&self, at: At, want: &Want) -> Expect {
        let present = || {
            let found = self.model.find_version(BUCKETS[at.bucket], KEYS[at.key], VersionSelector::Latest);
            self.runtime.block_on(found).unwrap().and_then(|(_, version)| version)
        };
        match want {
            Want::Any => Expect::Any,
            Want::Absent => Expect::Absent,
            Want::ThePresent => present().map_or(Expect::Absent, |version| Expect::Latest(version.version_id)),
            Want::Some(index) => Expect::Latest(self.version_id(*index)),
        }
    }

    fn list_query(&self, bucket: usize, query: &Query) -> ListQuery {
        ListQuery {
            bucket_id: self.bucket_id(bucket),
            prefix: PREFIXES[query.prefix].to_owned(),
            delimiter: query.delimiter.map(|delimiter| DELIMITERS[delimiter].to_owned()),
            after: query.after.map(|after| KEYS[after].to_owned()),
            limit: query.limit,
        }
    }

    fn reseal(&self, at: At, present: Vec<u8>, key: Option<(usize, u32)>, seed: u8) -> Reseal {
        let envelope = envelope(key.map(|(key, version)| (KEY_IDS[key], version)), seed);
        Reseal { bucket_id: self.bucket_id(at.bucket), key: KEYS[at.key].to_owned(), present, envelope, record: vec![seed; 2] }
    }

    /// The sealed keys of an upload, if it is under way.
    fn sealed_upload(&self, at: At, upload: UploadId) -> Option<Envelope> {
        let found = self.model.find_upload(BUCKETS[at.bucket], KEYS[at.key], upload);
        self.runtime.block_on(found).unwrap().and_then(|(_, upload)| Some(upload?.envelope))
    }

    /// What was deleted disappears at once. Its blobs are dead only after the steps that follow, so this waits for them.
    fn settle(&self) {
        let connection = rusqlite::Connection::open(&self.path).unwrap();
        let is_left = || connection.query_row("SELECT EXISTS (SELECT 1 FROM releases)", [], |row| row.get::<_, bool>(0)).unwrap();
        for _ in 0..20_000 {
            if !is_left() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        panic!("it is never let go of");
    }

    fn run(&mut self, op: &Op) -> Result<(), TestCaseError> {
        match op {
            Op::CreateBucket { .. } | Op::DeleteBucket(_) | Op::ChangeBucket { .. } | Op::ListBuckets { .. } => self.run_on_buckets(op),
            Op::Put { .. } | Op::ChangeVersion { .. } | Op::Delete { .. } | Op::ListObjects { .. } | Op::ListVersions { .. } => {
                self.run_on_versions(op)
            }
            Op::CreateUpload { .. }
            | Op::PutPart { .. }
            | Op::ResealUpload { .. }
            | Op::Complete { .. }
            | Op::Abort { .. }
            | Op::ListUploads { .. }
            | Op::ListParts { .. } => self.run_on_uploads(op),
            Op::Outbox(op) => self.run_on_outbox(op),
            Op::ForgetBlobs(_) | Op::SetSetting { .. } | Op::PutJob { .. } | Op::Tick | Op::DeadBlobs { .. } => self.run_on_the_rest(op),
        }
    }

    fn run_on_buckets(&mut self, op: &Op) -> Result<(), TestCaseError> {
        match op {
            Op::CreateBucket { bucket: at, versioning, repeated_id } => {
                let taken = self.bucket_ids.values().next().copied().filter(|_| *repeated_id);
                let bucket_id = taken.unwrap_or_else(|| BucketId(self.fresh(b'K')));
                let new = bucket(BUCKETS[*at], bucket_id, *versioning);
                if both!(self, catalog => catalog.create_bucket(new.clone())).is_some() {
                    self.bucket_ids.insert(*at, bucket_id);
                }
            }
            Op::DeleteBucket(at) => {
                both!(self, catalog => catalog.delete_bucket(BUCKETS[*at]));
            }
            Op::ChangeBucket { bucket, stale, versioning, kind, document } => {
                let name = BUCKETS[*bucket];
                let present = self.runtime.block_on(self.model.bucket(name)).unwrap();
                let id = self.bucket_id(*bucket);
                let (seen, former) = present.map_or((1, Versioning::Unversioned), |bucket| (bucket.revision, bucket.versioning));
                // As in S3, a bucket that was versioned never is unversioned again.
                let versioning = versioning.filter(|versioning| *versioning != Versioning::Unversioned).unwrap_or(former);
                let documents = vec![(KINDS[*kind].to_owned(), document.map(|byte| vec![byte]))];
                let change = BucketChange {
                    versioning,
                    record: vec![document.unwrap_or(9); 3],
                    documents,
                    events: self.event().into_iter().collect(),
                };
                both!(self, catalog => catalog.change_bucket(id, seen + u64::from(*stale), change.clone()));
                for kind in KINDS {
                    both!(self, catalog => catalog.bucket_document(name, kind));
                }
            }
            Op::ListBuckets { prefix, after, limit } => {
                let prefix = ["", "b", "beta", "beta-", "c", "alphab"][*prefix];
                both!(self, catalog => catalog.list_buckets(prefix, after.map(|after| BUCKETS[after]), *limit));
            }
            _ => unreachable!(),
        }
        Ok(())
    }

    fn run_on_versions(&mut self, op: &Op) -> Result<(), TestCaseError> {
        match op {
            Op::Put { at, blobs, expect, key, size, old_id, lock } => {
                let expect = self.expect(*at, expect);
                let version_id = if let Some(old) = old_id { self.version_id(*old) } else { VersionId(self.fresh(b'V')) };
                let blobs = blobs.iter().map(|pick| self.blob(pick)).collect();
                let mut new = version_in(self.bucket_id(at.bucket), KEYS[at.key], version_id, blobs);
                (new.size_bytes, new.lock) = (*size, *lock);
                new.envelope = envelope(key.map(|(key, version)| (KEY_IDS[key], version)), version_id.0[15]);
                new.event = self.event();
                new.data.inline = new.blobs.is_empty().then(|| vec![version_id.0[15]; 8]);
                both!(self, catalog => catalog.put_version(new.clone(), expect));
                self.versions.push((*at, version_id));
            }
            Op::ChangeVersion { at, version, stale, key, lock } => {
                let (at, version_id) = if self.versions.is_empty() { (*at, id(b'?', 1)) } else { *version.get(&self.versions) };
                let found = self.model.find_version(BUCKETS[at.bucket], KEYS[at.key], VersionSelector::Id(version_id));
                let revision = self.runtime.block_on(found).unwrap().and_then(|(_, version)| version).map_or(0, |version| version.revision);
                let event = self.event();
                let seed = u8::try_from(self.next % 251).unwrap();
                let change = VersionChange {
                    bucket_id: self.bucket_id(at.bucket),
                    key: KEYS[at.key].to_owned(),
                    version_id,
                    seen: revision + u64::from(*stale),
                    lock: *lock,
                    envelope: envelope(key.map(|(key, version)| (KEY_IDS[key], version)), seed),
                    record: vec![seed; 2],
                    part_record: vec![seed; 3],
                    event,
                };
                both!(self, catalog => catalog.change_version(change.clone()));
            }
            Op::Delete { at, which, expect, bypass } => {
                let expect = self.expect(*at, expect);
                let (mut at, mut selector) = (*at, VersionSelector::Latest);
                match which {
                    Which::Latest => {}
                    Which::Null => selector = VersionSelector::Null,
                    Which::Id(index) if self.versions.is_empty() => selector = VersionSelector::Id(self.version_id(*index)),
                    Which::Id(index) => {
                        let version = *index.get(&self.versions);
                        (at, selector) = (version.0, VersionSelector::Id(version.1));
                    }
                }
                let marker = VersionId(self.fresh(b'M'));
                let (bucket_id, key) = (self.bucket_id(at.bucket), KEYS[at.key].to_owned());
                let events = DeletionEvents { removed: self.event(), marked: self.event() };
                let deletion =
                    Deletion { bucket_id, key, which: selector, expect, seen: None, marker, modified: 5, bypass: *bypass, events };
                both!(self, catalog => catalog.delete_version(deletion.clone()));
                self.versions.push((at, marker));
            }
            Op::ListVersions { bucket, query, after } => {
                let query = self.list_query(*bucket, query);
                let after = match after {
                    Some(Which::Id(index)) => Some(VersionSelector::Id(self.version_id(*index))),
                    Some(Which::Null) => Some(VersionSelector::Null),
                    Some(Which::Latest) => Some(VersionSelector::Latest),
                    None => None,
                };
                both!(self, catalog => catalog.list_versions(query.clone(), after));
            }
            Op::ListObjects { bucket, query } => {
                let query = self.list_query(*bucket, query);
                both!(self, catalog => catalog.list_objects(query.clone()));
            }
            _ => unreachable!(),
        }
        Ok(())
    }

    fn run_on_uploads(&mut self, op: &Op) -> Result<(), TestCaseError> {
        match op {
            Op::CreateUpload { at, initiated, key, old_id } => {
                let upload_id = if let Some(old) = old_id { self.upload(*old).1 } else { UploadId(self.fresh(b'U')) };
                let mut new = upload(self.bucket_id(at.bucket), KEYS[at.key], upload_id, *initiated);
                new.envelope = envelope(key.map(|(key, version)| (KEY_IDS[key], version)), upload_id.0[15]);
                if both!(self, catalog => catalog.create_upload(new.clone())).is_some() {
                    self.uploads.push((*at, upload_id));
                }
            }
            Op::PutPart { upload, number, blob } => {
                let (_, upload_id) = self.upload(*upload);
                match self.blob(blob) {
                    BlobUse::New { id, .. } => both!(self, catalog => catalog.put_part(upload_id, part(*number, id))),
                    BlobUse::Shared { id } => both!(self, catalog => catalog.share_part(upload_id, part(*number, id))),
                };
            }
            Op::ResealUpload { upload, present, key } => {
                let (at, upload_id) = self.upload(*upload);
                let sealed = self.sealed_upload(at, upload_id).filter(|_| *present);
                self.next += 1;
                let seed = u8::try_from(self.next % 251).unwrap();
                let reseal = self.reseal(at, sealed.map_or(vec![0], |envelope| envelope.sealed_keys), *key, seed);
                both!(self, catalog => catalog.reseal_upload(upload_id, reseal.clone()));
            }
            Op::Complete { upload, left_out, stale, elsewhere, resealed, expect, extra } => {
                let (at, upload_id) = self.upload(*upload);
                let expect = self.expect(at, expect);
                let parts = self.runtime.block_on(self.model.list_parts(upload_id, 0, 10)).unwrap();
                let mut used: Vec<_> = parts.iter().map(|part| (part.number, part.blob)).collect();
                used.retain(|(number, _)| number != left_out);
                if let (true, Some(first)) = (*stale, used.first_mut()) {
                    first.1 = id(b'?', 2);
                }
                let extra = extra.iter().map(|pick| self.blob(pick)).collect();
                let key = KEYS[if *elsewhere { (at.key + 1) % KEYS.len() } else { at.key }];
                let version_id = self.fresh(b'V');
                let mut new = version_in(self.bucket_id(at.bucket), key, VersionId(version_id), extra);
                new.event = self.event();
                if let Some(envelope) = self.sealed_upload(at, upload_id).filter(|_| !resealed) {
                    new.envelope = envelope;
                }
                both!(self, catalog => catalog.complete_upload(upload_id, used.clone(), new.clone(), expect));
                self.versions.push((at, VersionId(version_id)));
            }
            Op::Abort { upload, elsewhere } => {
                let (at, upload_id) = self.upload(*upload);
                let key = KEYS[if *elsewhere { (at.key + 1) % KEYS.len() } else { at.key }];
                let bucket = self.bucket_id(at.bucket);
                both!(self, catalog => catalog.abort_upload(bucket, key, upload_id));
            }
            Op::ListUploads { bucket, query, after } => {
                let mut query = self.list_query(*bucket, query);
                let marker = after.map(|after| self.upload(after));
                // Mostly a marker that means something.
                if let Some((at, _)) = marker {
                    query.after = Some(KEYS[at.key].to_owned());
                }
                both!(self, catalog => catalog.list_uploads(query.clone(), marker.map(|(_, upload)| upload)));
            }
            Op::ListParts { upload, after, limit } => {
                let (_, upload_id) = self.upload(*upload);
                both!(self, catalog => catalog.list_parts(upload_id, *after, *limit));
            }
            _ => unreachable!(),
        }
        Ok(())
    }

    fn run_on_the_rest(&mut self, op: &Op) -> Result<(), TestCaseError> {
        match op {
            Op::ForgetBlobs(indexes) => {
                let picked = indexes.iter().filter(|_| !self.blobs.is_empty()).map(|index| *index.get(&self.blobs));
                let blobs: Vec<BlobId> = picked.collect();
                both!(self, catalog => catalog.forget_blobs(blobs.clone()));
            }
            Op::SetSetting { name, present, value } => {
                let name = SETTINGS[*name];
                let held = self.runtime.block_on(self.model.setting(name)).unwrap();
                let present = if *present { held } else { Some(vec![0, 0]) };
                both!(self, catalog => catalog.set_setting(name, present.clone(), vec![*value]));
            }
            Op::PutJob { number, is_active, value } => {
                let job = Job {
                    id: id(b'J', *number),
                    kind: ["rekey", "other"][usize::from(number % 2 == 1)].to_owned(),
                    is_active: *is_active,
                    started: i64::from(number / 2 == 0),
                    record: vec![*value],
                };
                both!(self, catalog => catalog.put_job(job.clone()));
            }
            Op::Tick => {
                self.time.fetch_add(1, Ordering::Relaxed);
            }
            Op::DeadBlobs { age, limit } => {
                let before = self.time.load(Ordering::Relaxed) - age;
                let dead = both!(self, catalog => catalog.dead_blobs(before, None, *limit)).unwrap();
                let after = dead.last().copied();
                both!(self, catalog => catalog.dead_blobs(before, after, *limit));
            }
            _ => unreachable!(),
        }
        Ok(())
    }

    fn event(&mut self) -> Option<NewEvent> {
        self.next += 1;
        outbox::event(self.next)
    }

    fn run_on_outbox(&self, op: &OutboxOp) -> Result<(), TestCaseError> {
        let ran = self.runtime.block_on(async { (outbox::run(op, &self.sqlite).await, outbox::run(op, &self.model).await) });
        prop_assert_eq!(ran.0, ran.1);
        Ok(())
    }

    /// Everything that can be asked.
    fn compare(&self) -> Result<(), TestCaseError> {
        let outboxes = self.runtime.block_on(async { (outbox::told(&self.sqlite).await, outbox::told(&self.model).await) });
        prop_assert_eq!(outboxes.0, outboxes.1);
        both!(self, catalog => catalog.list_buckets("", None, 10));
        for (at, name) in BUCKETS.iter().enumerate() {
            both!(self, catalog => catalog.bucket(name));
            for delimiter in [None, Some("/")] {
                self.compare_listings(self.bucket_id(at), delimiter)?;
            }
            for key in KEYS {
                both!(self, catalog => catalog.find_version_data(name, key, VersionSelector::Latest));
                both!(self, catalog => catalog.find_version(name, key, VersionSelector::Null));
            }
        }
        for (at, version) in &self.versions {
            let (bucket, key) = (BUCKETS[at.bucket], KEYS[at.key]);
            both!(self, catalog => catalog.find_version(bucket, key, VersionSelector::Id(*version)));
            both!(self, catalog => catalog.find_version_data(bucket, key, VersionSelector::Id(*version)));
        }
        for (at, upload) in &self.uploads {
            let (bucket, key) = (BUCKETS[at.bucket], KEYS[at.key]);
            both!(self, catalog => catalog.find_upload(bucket, key, *upload));
            both!(self, catalog => catalog.find_completed(self.bucket_id(at.bucket), key, *upload));
            both!(self, catalog => catalog.list_parts(*upload, 0, 10));
        }
        for key in KEY_IDS {
            both!(self, catalog => catalog.key_usage("local", key));
            both!(self, catalog => catalog.count_locked_under_key("local", key));
            both!(self, catalog => catalog.locked_under_key("local", key, 100));
            both!(self, catalog => catalog.is_key_in_use("local", key));
        }
        for limit in [1, 10] {
            let Some(used) = both!(self, catalog => catalog.keys_in_use(None, limit)) else { continue };
            both!(self, catalog => catalog.keys_in_use(used.first().map(|usage| usage.key.clone()), limit));
        }
        for name in SETTINGS {
            both!(self, catalog => catalog.setting(name));
        }
        for (kind, only_active) in [("rekey", false), ("rekey", true), ("other", false)] {
            both!(self, catalog => catalog.list_jobs(kind, only_active, 3));
        }
        both!(self, catalog => catalog.job(id(b'J', 2)));
        self.compare_walks()?;
        both!(self, catalog => catalog.known_blobs(self.blobs.clone()));
        both!(self, catalog => catalog.dead_blobs(i64::MAX, None, 1000));
        Ok(())
    }

    /// Where rows stand is each engine's own; what is in a scope, and its order, is not.
    fn compare_walks(&self) -> Result<(), TestCaseError> {
        let under = |key_version| Scope { key_id: Some(KEY_IDS[0].to_owned()), key_version, ..Scope::default() };
        for scope in [
            Scope::default(),
            Scope { prefix: PREFIXES[2].to_owned(), modes: vec![0, 2], ..Scope::default() },
            under(None),
            Scope { bucket_id: Some(self.bucket_id(0)), prefix: PREFIXES[1].to_owned(), ..under(Some(1)) },
            Scope { bucket_id: Some(self.bucket_id(1)), prefix: PREFIXES[1].to_owned(), ..Scope::default() },
            Scope { bucket_id: Some(self.bucket_id(2)), prefix: PREFIXES[5].to_owned(), ..Scope::default() },
            Scope { bucket_id: Some(self.bucket_id(1)), ..Scope::default() },
        ] {
            let sqlite = self.runtime.block_on(walk(&self.sqlite, &scope));
            let model = self.runtime.block_on(walk(&self.model, &scope));
            prop_assert_eq!(sqlite, model, "{:?}", scope);
        }
        Ok(())
    }

    /// A listing in pages of each size, each page asked of both, is the whole listing.
    fn compare_listings(&self, bucket_id: BucketId, delimiter: Option<&str>) -> Result<(), TestCaseError> {
        let query = ListQuery { bucket_id, delimiter: delimiter.map(str::to_owned), limit: 1000, ..ListQuery::default() };
        let Some(objects) = both!(self, catalog => catalog.list_objects(query.clone())) else { return Ok(()) };
        let uploads = both!(self, catalog => catalog.list_uploads(query.clone(), None)).unwrap();
        for limit in 1..4 {
            let mut query = ListQuery { limit, ..query.clone() };
            let mut entries = Vec::new();
            loop {
                let page = both!(self, catalog => catalog.list_objects(query.clone())).unwrap();
                query.after = page.entries.last().map(|entry| entry_key(entry, |version| &version.key));
                entries.extend(page.entries);
                if !page.truncated {
                    break;
                }
            }
            prop_assert_eq!(&entries, &objects.entries);
            let (mut query, mut after) = (ListQuery { after: None, ..query }, None);
            let mut entries = Vec::new();
            loop {
                let page = both!(self, catalog => catalog.list_uploads(query.clone(), after)).unwrap();
                query.after = page.entries.last().map(|entry| entry_key(entry, |upload| &upload.key));
                after = page.entries.last().and_then(|entry| match entry {
                    ListEntry::Item(upload) => Some(upload.upload_id),
                    ListEntry::Prefix { .. } => None,
                });
                entries.extend(page.entries);
                if !page.truncated {
                    break;
                }
            }
            prop_assert_eq!(&entries, &uploads.entries);
        }
        Ok(())
    }
}

/// What lies in a scope, in pages of two, or how the walk fails.
async fn walk(catalog: &dyn Catalog, scope: &Scope) -> String {
    let (mut found, mut after) = (Vec::new(), ScopePlace::default());
    loop {
        match catalog.versions_in(scope.clone(), after, 2).await {
            Ok(page) => {
                found.extend(page.items.into_iter().map(|item| format!("{} {:?} {:?}", item.bucket.name, item.version, item.part_record)));
                let Some(next) = page.next else { break };
                after = next;
            }
            error => return answer(error),
        }
    }
    after = ScopePlace::default();
    loop {
        let page = catalog.uploads_in(scope.clone(), after, 2).await.unwrap();
        found.extend(page.items.into_iter().map(|item| format!("{} {:?}", item.bucket.name, item.upload)));
        let Some(next) = page.next else { return found.join("\n") };
        after = next;
    }
}

fn entry_key<T>(entry: &ListEntry<T>, key: impl Fn(&T) -> &String) -> String {
    match entry {
        ListEntry::Item(item) => key(item).clone(),
        ListEntry::Prefix { prefix, .. } => prefix.clone(),
    }
}

/// The references as SQLite counts them.
fn live_blobs(path: &std::path::Path) -> BTreeMap<BlobId, u64> {
    let connection = rusqlite::Connection::open(path).unwrap();
    let mut statement = connection.prepare("SELECT id, refs FROM blobs WHERE refs > 0").unwrap();
    statement.query_map([], |row| Ok((row.get(0)?, u64::from(row.get::<_, u32>(1)?)))).unwrap().map(Result::unwrap).collect()
}

/// How many counts of what depends on a key are wrong.
fn wrong_usages(path: &std::path::Path) -> i64 {
    rusqlite::Connection::open(path).unwrap().query_row(WRONG_USAGES, [], |row| row.get(0)).unwrap()
}

fn compare_with_the_model(ops: &[Op], options: &SqliteOptions) -> Result<(), TestCaseError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("catalog.db");
    let mut pair = Pair::open(&path, options);
    for (at, name) in BUCKETS.iter().enumerate() {
        let states = [Versioning::Unversioned, Versioning::Enabled, Versioning::Suspended];
        let bucket_id = pair.fresh(b'K');
        both!(pair, catalog => catalog.create_bucket(bucket(name, BucketId(bucket_id), states[at])));
        pair.bucket_ids.insert(at, BucketId(bucket_id));
    }
    for op in ops {
        pair.run(op)?;
        pair.settle();
    }
    pair.compare()?;
    let expected = pair.model.live_blobs();
    drop(pair);
    prop_assert_eq!(live_blobs(&path), expected);
    prop_assert_eq!(wrong_usages(&path), 0);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sqlite_answers_as_the_model_does(ops in prop::collection::vec(op(), 1..120)) {
        compare_with_the_model(&ops, &SqliteOptions::default())?;
    }

    #[test]
    fn sqlite_that_goes_in_the_smallest_steps_answers_as_the_model_does(ops in prop::collection::vec(op(), 1..120)) {
        let options = SqliteOptions { step_rows: 1, release_rows: 1, checkpoint_pages: 8, restart_pages: 16, ..SqliteOptions::default() };
        compare_with_the_model(&ops, &options)?;
    }
}
