//! Random operations on the SQLite catalog and on the model in memory have the same answers and leave the same state.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use common::{answer, bucket, envelope, id, new_blob, part, upload, version_in};
use proptest::prelude::*;
use proptest::sample::Index;
use strongroom_catalog::{
    BlobKey, BlobUse, BucketEncryption, BucketEncryptionAlgorithm, BucketId, Catalog, CatalogError, Clock, Expect, ListEntry, ListQuery,
    MemoryCatalog, SqliteCatalog, SqliteOptions, UploadId, VersionId, VersionSelector, Versioning,
};

const BUCKETS: [&str; 3] = ["alpha", "beta", "beta-2"];
const KEYS: [&str; 12] = ["a", "a\0", "a/", "a/b", "a/b/c", "a/c", "a/é", "a0", "b/b", "é/x", "\u{10FFFF}", "\u{10FFFF}/\u{10FFFF}"];
const PREFIXES: [&str; 6] = ["", "a", "a/", "a/b", "é", "\u{10FFFF}"];
const DELIMITERS: [&str; 4] = ["", "/", "b/", "\u{10FFFF}"];
const KEY_IDS: [&str; 2] = ["default", "other"];
const SETTINGS: [&str; 2] = ["store-key", "other"];

#[derive(Clone, Debug)]
enum Op {
    CreateBucket { bucket: usize, versioning: Versioning, repeated_id: bool },
    DeleteBucket(usize),
    SetEncryption { bucket: usize, algorithm: Option<u8> },
    Put { at: At, blobs: Vec<Pick>, expect: Want, key: Option<(usize, u32)>, size: u64, old_id: Option<Index> },
    Reseal { at: At, version: Index, present: bool, key: Option<(usize, u32)> },
    Delete { at: At, which: Which, expect: Want },
    CreateUpload { at: At, initiated: i64, key: Option<(usize, u32)>, old_id: Option<Index> },
    PutPart { upload: Index, number: u16, blob: Pick },
    Complete { upload: Index, left_out: u16, stale: bool, elsewhere: bool, expect: Want, extra: Vec<Pick> },
    Abort { upload: Index, elsewhere: bool },
    ForgetBlobs(Vec<Index>),
    SetSetting { name: usize, present: bool, value: u8 },
    Tick,
    ListBuckets { prefix: usize, after: Option<usize>, limit: usize },
    ListObjects { bucket: usize, query: Query },
    ListUploads { bucket: usize, query: Query, after: Option<Index> },
    ListParts { upload: Index, after: u16, limit: usize },
    DeadBlobs { age: i64, limit: usize },
}

#[derive(Clone, Copy, Debug)]
struct At {
    bucket: usize,
    key: usize,
}

#[derive(Clone, Debug)]
enum Pick {
    Fresh,
    TakenAsNew(Index),
    Shared(Index),
}

#[derive(Clone, Debug)]
enum Want {
    Any,
    Absent,
    ThePresent,
    Some(Index),
}

#[derive(Clone, Debug)]
enum Which {
    Latest,
    Null,
    Id(Index),
}

#[derive(Clone, Debug)]
struct Query {
    prefix: usize,
    delimiter: Option<usize>,
    after: Option<usize>,
    limit: usize,
}

fn at() -> impl Strategy<Value = At> {
    // Most on few keys, so that versions pile up.
    let key = prop_oneof![3 => 2..5_usize, 2 => 0..KEYS.len()];
    (0..BUCKETS.len(), key).prop_map(|(bucket, key)| At { bucket, key })
}

fn kms_key() -> impl Strategy<Value = Option<(usize, u32)>> {
    prop::option::of((0..KEY_IDS.len(), 1..3_u32))
}

fn pick() -> impl Strategy<Value = Pick> {
    prop_oneof![
        12 => Just(Pick::Fresh),
        1 => any::<Index>().prop_map(Pick::TakenAsNew),
        6 => any::<Index>().prop_map(Pick::Shared),
    ]
}

fn want() -> impl Strategy<Value = Want> {
    prop_oneof![
        6 => Just(Want::Any),
        1 => Just(Want::Absent),
        1 => Just(Want::ThePresent),
        1 => any::<Index>().prop_map(Want::Some),
    ]
}

fn which() -> impl Strategy<Value = Which> {
    prop_oneof![2 => Just(Which::Latest), 1 => Just(Which::Null), 3 => any::<Index>().prop_map(Which::Id)]
}

fn query() -> impl Strategy<Value = Query> {
    (0..PREFIXES.len(), prop::option::of(0..DELIMITERS.len()), prop::option::of(0..KEYS.len()), 0..6_usize)
        .prop_map(|(prefix, delimiter, after, limit)| Query { prefix, delimiter, after, limit })
}

fn versioning() -> impl Strategy<Value = Versioning> {
    prop_oneof![Just(Versioning::Unversioned), Just(Versioning::Enabled), Just(Versioning::Suspended)]
}

fn op() -> impl Strategy<Value = Op> {
    let buckets = 0..BUCKETS.len();
    let rarely = || prop::bool::weighted(0.1);
    let old = || prop::option::weighted(0.05, any::<Index>());
    prop_oneof![
        4 => (buckets.clone(), versioning(), rarely())
            .prop_map(|(bucket, versioning, repeated_id)| Op::CreateBucket { bucket, versioning, repeated_id }),
        2 => buckets.clone().prop_map(Op::DeleteBucket),
        1 => (buckets.clone(), prop::option::of(0..3_u8)).prop_map(|(bucket, algorithm)| Op::SetEncryption { bucket, algorithm }),
        24 => (at(), prop::collection::vec(pick(), 0..3), want(), kms_key(), 0..50_u64, old())
            .prop_map(|(at, blobs, expect, key, size, old_id)| Op::Put { at, blobs, expect, key, size, old_id }),
        4 => (at(), any::<Index>(), prop::bool::weighted(0.8), kms_key())
            .prop_map(|(at, version, present, key)| Op::Reseal { at, version, present, key }),
        14 => (at(), which(), want()).prop_map(|(at, which, expect)| Op::Delete { at, which, expect }),
        8 => (at(), 0..3_i64, kms_key(), old())
            .prop_map(|(at, initiated, key, old_id)| Op::CreateUpload { at, initiated, key, old_id }),
        14 => (any::<Index>(), 1..4_u16, pick()).prop_map(|(upload, number, blob)| Op::PutPart { upload, number, blob }),
        5 => (any::<Index>(), 1..6_u16, rarely(), rarely(), want(), prop::collection::vec(pick(), 0..2)).prop_map(
            |(upload, left_out, stale, elsewhere, expect, extra)| Op::Complete { upload, left_out, stale, elsewhere, expect, extra }
        ),
        2 => (any::<Index>(), rarely()).prop_map(|(upload, elsewhere)| Op::Abort { upload, elsewhere }),
        2 => prop::collection::vec(any::<Index>(), 0..4).prop_map(Op::ForgetBlobs),
        2 => (0..SETTINGS.len(), prop::bool::weighted(0.7), any::<u8>())
            .prop_map(|(name, present, value)| Op::SetSetting { name, present, value }),
        3 => Just(Op::Tick),
        1 => (0..PREFIXES.len(), prop::option::of(buckets.clone()), 0..4_usize)
            .prop_map(|(prefix, after, limit)| Op::ListBuckets { prefix, after, limit }),
        6 => (buckets.clone(), query()).prop_map(|(bucket, query)| Op::ListObjects { bucket, query }),
        6 => (buckets, query(), prop::option::of(any::<Index>()))
            .prop_map(|(bucket, query, after)| Op::ListUploads { bucket, query, after }),
        2 => (any::<Index>(), 0..4_u16, 0..4_usize).prop_map(|(upload, after, limit)| Op::ListParts { upload, after, limit }),
        2 => (-1..3_i64, 0..4_usize).prop_map(|(age, limit)| Op::DeadBlobs { age, limit }),
    ]
}

/// Both catalogs, and every id that was ever given out.
struct Pair {
    runtime: tokio::runtime::Runtime,
    sqlite: SqliteCatalog,
    model: MemoryCatalog,
    time: Arc<AtomicI64>,
    bucket_ids: BTreeMap<usize, BucketId>,
    versions: Vec<(At, VersionId)>,
    uploads: Vec<(At, UploadId)>,
    blobs: Vec<BlobKey>,
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
    fn open(path: &std::path::Path) -> Self {
        let time = Arc::new(AtomicI64::new(100));
        let shared = Arc::clone(&time);
        let clock = Clock::new(move || shared.load(Ordering::Relaxed));
        let options = SqliteOptions { readers: 1, clock: clock.clone(), ..SqliteOptions::default() };
        Self {
            runtime: tokio::runtime::Builder::new_current_thread().build().unwrap(),
            sqlite: SqliteCatalog::open(path, options).unwrap(),
            model: MemoryCatalog::new(clock),
            time,
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
                self.blobs.push(fresh);
                new_blob(fresh)
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

    fn run(&mut self, op: &Op) -> Result<(), TestCaseError> {
        match op {
            Op::CreateBucket { .. } | Op::DeleteBucket(_) | Op::SetEncryption { .. } | Op::ListBuckets { .. } => self.run_on_buckets(op),
            Op::Put { .. } | Op::Reseal { .. } | Op::Delete { .. } | Op::ListObjects { .. } => self.run_on_versions(op),
            Op::CreateUpload { .. }
            | Op::PutPart { .. }
            | Op::Complete { .. }
            | Op::Abort { .. }
            | Op::ListUploads { .. }
            | Op::ListParts { .. } => self.run_on_uploads(op),
            Op::ForgetBlobs(_) | Op::SetSetting { .. } | Op::Tick | Op::DeadBlobs { .. } => self.run_on_the_rest(op),
        }
    }

    fn run_on_buckets(&mut self, op: &Op) -> Result<(), TestCaseError> {
        match op {
            Op::CreateBucket { bucket: at, versioning, repeated_id } => {
                let taken = self.bucket_ids.values().next().copied().filter(|_| *repeated_id);
                let bucket_id = taken.unwrap_or_else(|| self.fresh(b'K'));
                let new = bucket(BUCKETS[*at], bucket_id, *versioning);
                if both!(self, catalog => catalog.create_bucket(new.clone())).is_some() {
                    self.bucket_ids.insert(*at, bucket_id);
                }
            }
            Op::DeleteBucket(at) => {
                both!(self, catalog => catalog.delete_bucket(BUCKETS[*at]));
            }
            Op::SetEncryption { bucket, algorithm } => {
                let encryption = algorithm.map(|algorithm| BucketEncryption {
                    algorithm: match algorithm {
                        0 => BucketEncryptionAlgorithm::SseS3,
                        1 => BucketEncryptionAlgorithm::SseKms,
                        _ => BucketEncryptionAlgorithm::DsseKms,
                    },
                    kms_key_id: (algorithm == 1).then(|| "a-key".to_owned()),
                    bucket_key_enabled: algorithm == 2,
                });
                both!(self, catalog => catalog.set_bucket_encryption(BUCKETS[*bucket], encryption.clone(), vec![algorithm.map_or(9, |algorithm| algorithm); 32]));
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
            Op::Put { at, blobs, expect, key, size, old_id } => {
                let expect = self.expect(*at, expect);
                let version_id = if let Some(old) = old_id { self.version_id(*old) } else { self.fresh(b'V') };
                let blobs = blobs.iter().map(|pick| self.blob(pick)).collect();
                let mut new = version_in(self.bucket_id(at.bucket), KEYS[at.key], version_id, blobs);
                new.size_bytes = *size;
                new.envelope = envelope(key.map(|(key, version)| (KEY_IDS[key], version)), version_id[15]);
                new.data.inline = new.blobs.is_empty().then(|| vec![version_id[15]; 8]);
                both!(self, catalog => catalog.put_version(new.clone(), expect));
                self.versions.push((*at, version_id));
            }
            Op::Reseal { at, version, present, key } => {
                let (at, version_id) = if self.versions.is_empty() { (*at, id(b'?', 1)) } else { *version.get(&self.versions) };
                let found = self.model.find_version(BUCKETS[at.bucket], KEYS[at.key], VersionSelector::Id(version_id));
                let sealed = self.runtime.block_on(found).unwrap().and_then(|(_, version)| version?.envelope);
                let present = sealed.filter(|_| *present).map_or(vec![0], |envelope| envelope.sealed_keys);
                self.next += 1;
                let seed = u8::try_from(self.next % 251).unwrap();
                let sealed = envelope(key.map(|(key, version)| (KEY_IDS[key], version)), seed);
                let bucket = self.bucket_id(at.bucket);
                both!(self, catalog => catalog.reseal_version(bucket, KEYS[at.key], version_id, &present, sealed.clone(), vec![seed; 2]));
            }
            Op::Delete { at, which, expect } => {
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
                let marker = self.fresh(b'M');
                let bucket = self.bucket_id(at.bucket);
                both!(self, catalog => catalog.delete_version(bucket, KEYS[at.key], selector, expect, marker, 5));
                self.versions.push((at, marker));
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
                let upload_id = if let Some(old) = old_id { self.upload(*old).1 } else { self.fresh(b'U') };
                let mut new = upload(self.bucket_id(at.bucket), KEYS[at.key], upload_id, *initiated);
                new.envelope = envelope(key.map(|(key, version)| (KEY_IDS[key], version)), upload_id[15]);
                if both!(self, catalog => catalog.create_upload(new.clone())).is_some() {
                    self.uploads.push((*at, upload_id));
                }
            }
            Op::PutPart { upload, number, blob } => {
                let (_, upload_id) = self.upload(*upload);
                let (BlobUse::New { id, .. } | BlobUse::Shared { id }) = self.blob(blob);
                both!(self, catalog => catalog.put_part(upload_id, part(*number, id)));
            }
            Op::Complete { upload, left_out, stale, elsewhere, expect, extra } => {
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
                let new = version_in(self.bucket_id(at.bucket), key, version_id, extra);
                both!(self, catalog => catalog.complete_upload(upload_id, used.clone(), new.clone(), expect));
                self.versions.push((at, version_id));
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
                let blobs: Vec<BlobKey> = picked.collect();
                both!(self, catalog => catalog.forget_blobs(blobs.clone()));
            }
            Op::SetSetting { name, present, value } => {
                let name = SETTINGS[*name];
                let held = self.runtime.block_on(self.model.setting(name)).unwrap();
                let present = if *present { held } else { Some(vec![0, 0]) };
                both!(self, catalog => catalog.set_setting(name, present.clone(), vec![*value]));
            }
            Op::Tick => {
                self.time.fetch_add(1, Ordering::Relaxed);
            }
            Op::DeadBlobs { age, limit } => {
                let before = self.time.load(Ordering::Relaxed) - age;
                both!(self, catalog => catalog.dead_blobs(before, *limit));
            }
            _ => unreachable!(),
        }
        Ok(())
    }

    /// Everything that can be asked.
    fn compare(&self) -> Result<(), TestCaseError> {
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
        }
        for name in SETTINGS {
            both!(self, catalog => catalog.setting(name));
        }
        both!(self, catalog => catalog.known_blobs(self.blobs.clone()));
        both!(self, catalog => catalog.dead_blobs(i64::MAX, 1000));
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
                    ListEntry::Prefix(_) => None,
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

fn entry_key<T>(entry: &ListEntry<T>, key: impl Fn(&T) -> &String) -> String {
    match entry {
        ListEntry::Item(item) => key(item).clone(),
        ListEntry::Prefix(prefix) => prefix.clone(),
    }
}

/// The references as SQLite counts them.
fn live_blobs(path: &std::path::Path) -> BTreeMap<BlobKey, u64> {
    let connection = rusqlite::Connection::open(path).unwrap();
    let mut statement = connection.prepare("SELECT id, refs FROM blobs WHERE refs > 0").unwrap();
    statement.query_map([], |row| Ok((row.get(0)?, u64::from(row.get::<_, u32>(1)?)))).unwrap().map(Result::unwrap).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sqlite_answers_as_the_model_does(ops in prop::collection::vec(op(), 1..120)) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("catalog.db");
        let mut pair = Pair::open(&path);
        for (at, name) in BUCKETS.iter().enumerate() {
            let states = [Versioning::Unversioned, Versioning::Enabled, Versioning::Suspended];
            let bucket_id = pair.fresh(b'K');
            both!(pair, catalog => catalog.create_bucket(bucket(name, bucket_id, states[at])));
            pair.bucket_ids.insert(at, bucket_id);
        }
        for op in &ops {
            pair.run(op)?;
        }
        pair.compare()?;
        let expected = pair.model.live_blobs();
        drop(pair);
        prop_assert_eq!(live_blobs(&path), expected);
    }
}
