//! What the SQLite catalog costs: puts per second, CPU per put by inline size, CPU per look-up.
//!
//! `cargo run --release --example catalog_bench -- [DIRECTORY] [--no-secure-delete] [--inline-kib=4,64]`; the directory must be on the disk to be measured.
//! `… -- [DIRECTORY] --lifecycle=1000000` measures what a lifecycle pass asks for, in a bucket of so many objects of which one in a hundred is due.
//! `… -- [DIRECTORY] --listings=1000000` measures pages of 1,000 entries in buckets of so many versions and delete markers instead.
#![allow(clippy::unwrap_used, clippy::cast_precision_loss, clippy::cast_possible_truncation)]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use strongroom_catalog::{
    Bucket, BucketId, Catalog, Deleted, Deletion, DeletionEvents, Envelope, Expect, KeyRef, ListEntry, ListQuery, Lock, NewVersion,
    SqliteCatalog, SqliteOptions, VersionData, VersionId, VersionSelector, Versioning,
};

const WRITERS: u64 = 8;
const BUCKET: BucketId = BucketId([7; 16]);

fn main() {
    let mut directory = PathBuf::from(".");
    let mut secure_delete = true;
    let (mut listings_of, mut lifecycle_of) = (None, None);
    let mut sizes = vec![0, 4, 16, 32, 64, 128];
    for argument in std::env::args().skip(1) {
        if argument == "--no-secure-delete" {
            secure_delete = false;
        } else if let Some(list) = argument.strip_prefix("--inline-kib=") {
            sizes = list.split(',').map(|size| size.parse().unwrap()).collect();
        } else if let Some(rows) = argument.strip_prefix("--lifecycle=") {
            lifecycle_of = Some(rows.parse().unwrap());
        } else if let Some(rows) = argument.strip_prefix("--listings=") {
            listings_of = Some(rows.parse().unwrap());
        } else {
            directory = argument.into();
        }
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    if let Some(rows) = listings_of {
        return listings(&runtime, &directory, rows);
    }
    if let Some(rows) = lifecycle_of {
        return lifecycle(&runtime, &directory, rows);
    }
    println!("{:>10} {:>8} {:>10} {:>14} {:>12}", "inline", "work", "ops/s", "CPU µs/op", "file MiB");
    for inline_kib in sizes {
        let home = tempfile::tempdir_in(&directory).unwrap();
        let path = home.path().join("catalog.db");
        let options = SqliteOptions { secure_delete, ..SqliteOptions::default() };
        let catalog = Arc::new(SqliteCatalog::open(&path, options).unwrap());
        runtime.block_on(catalog.create_bucket(bucket(Versioning::Unversioned))).unwrap();
        let count = if inline_kib > 16 { 4_000 } else { 16_000 };
        let bench = Bench { runtime: &runtime, catalog: &catalog, inline_kib, count };
        bench.measure("put", move |catalog, number| async move {
            catalog.put_version(version(number, inline_kib << 10, 0), Expect::Any).await.unwrap();
        });
        println!("{:>59}", std::fs::metadata(&path).unwrap().len() >> 20);
        bench.measure("get", move |catalog, number| async move {
            let found = catalog.find_version_data("bench", &key(number), VersionSelector::Latest).await.unwrap();
            assert_eq!(found.unwrap().1.unwrap().1.inline.map_or(0, |inline| inline.len()), inline_kib << 10);
        });
        bench.measure("head", move |catalog, number| async move {
            let found = catalog.find_version("bench", &key(number), VersionSelector::Latest).await.unwrap();
            assert!(found.unwrap().1.is_some());
        });
        bench.measure("replace", move |catalog, number| async move {
            catalog.put_version(version(number, inline_kib << 10, 1), Expect::Any).await.unwrap();
        });
        bench.measure("delete", move |catalog, number| async move {
            catalog
                .delete_version(Deletion {
                    bucket_id: BUCKET,
                    key: key(number),
                    which: VersionSelector::Latest,
                    expect: Expect::Any,
                    seen: None,
                    marker: VersionId([0; 16]),
                    modified: 0,
                    bypass: false,
                    events: DeletionEvents::default(),
                })
                .await
                .unwrap();
        });
    }
}

struct Bench<'b> {
    runtime: &'b tokio::runtime::Runtime,
    catalog: &'b Arc<SqliteCatalog>,
    inline_kib: usize,
    count: u64,
}

impl Bench<'_> {
    fn measure<F: Future<Output = ()> + Send + 'static>(
        &self,
        work: &str,
        call: impl Fn(Arc<SqliteCatalog>, u64) -> F + Copy + Send + 'static,
    ) {
        let (began, cpu) = (Instant::now(), cpu_seconds());
        self.runtime.block_on(async {
            let share = self.count / WRITERS;
            let workers: Vec<_> = (0..WRITERS)
                .map(|worker| {
                    let catalog = Arc::clone(self.catalog);
                    tokio::spawn(async move {
                        for number in worker * share..(worker + 1) * share {
                            call(Arc::clone(&catalog), number).await;
                        }
                    })
                })
                .collect();
            for worker in workers {
                worker.await.unwrap();
            }
        });
        let (seconds, cpu) = (began.elapsed().as_secs_f64(), cpu_seconds() - cpu);
        let each = cpu * 1e6 / self.count as f64;
        println!("{:>6} KiB {work:>8} {:>10.0} {each:>14.1}", self.inline_kib, self.count as f64 / seconds);
    }
}

/// Entries of a page, and how often each page is read.
const PAGE: usize = 1000;
const READS: u32 = 200;
/// Of each listing that many objects lie behind the versions and delete markers.
const BEHIND: u64 = 2000;

/// What the bucket is full of.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Full {
    /// So many versions of each key.
    Versions(u64),
    /// Keys with nothing but a delete marker.
    Markers,
    /// So many delete markers of each key.
    MarkersOfEach(u64),
}

impl Full {
    fn is_of_markers(self) -> bool {
        matches!(self, Self::Markers | Self::MarkersOfEach(_))
    }
}

fn listings(runtime: &tokio::runtime::Runtime, directory: &std::path::Path, rows: u64) {
    println!("{:<28} {:<42} {:>8} {:>12}", "bucket", "page", "entries", "CPU ms");
    for full in [Full::Versions(rows / 10), Full::Versions(10), Full::Markers, Full::MarkersOfEach(rows / 10)] {
        let home = tempfile::tempdir_in(directory).unwrap();
        let path = home.path().join("catalog.db");
        let catalog = SqliteCatalog::open(&path, SqliteOptions::default()).unwrap();
        runtime.block_on(catalog.create_bucket(bucket(Versioning::Enabled))).unwrap();
        fill(runtime, &catalog, &path, full, rows);
        let query = |after: Option<&str>| ListQuery {
            bucket_id: BUCKET,
            prefix: String::new(),
            delimiter: None,
            after: after.map(str::to_owned),
            limit: PAGE,
        };
        let rolled_up = ListQuery { delimiter: Some("/".to_owned()), ..query(None) };
        // Nine tenths of the bucket lie before the deep pages, and half of a key's versions.
        let deep = full_key(full, rows * 9 / 10);
        let whole = query(Some(&deep));
        let middle = middle_of(runtime, &catalog, &deep, full);
        let show = |page: &str, (entries, ms): (usize, f64)| println!("{:<28} {page:<42} {entries:>8} {ms:>12.3}", format!("{full:?}"));
        show("objects, first", objects(runtime, &catalog, &query(None)));
        show("objects, behind nine tenths", objects(runtime, &catalog, &whole));
        show("objects, last", objects(runtime, &catalog, &query(Some(&format!("z/{:08}", BEHIND - 1001)))));
        show("objects, common prefixes", objects(runtime, &catalog, &rolled_up));
        show("versions, first", versions(runtime, &catalog, &query(None), None));
        show("versions, behind nine tenths", versions(runtime, &catalog, &whole, None));
        show("versions, in the middle of a key", versions(runtime, &catalog, &whole, middle));
        show("versions, common prefixes", versions(runtime, &catalog, &rolled_up, None));
    }
}

/// One version or delete marker and the objects behind come over the catalog, and the rest as rows like it: writing a million of them takes minutes.
fn fill(runtime: &tokio::runtime::Runtime, catalog: &SqliteCatalog, path: &std::path::Path, full: Full, rows: u64) {
    runtime.block_on(async {
        match full {
            Full::Versions(_) => drop(catalog.put_version(listed(rows, "template".to_owned()), Expect::Any).await.unwrap()),
            Full::Markers | Full::MarkersOfEach(_) => {
                let deletion = deletion("template".to_owned(), VersionSelector::Latest, rows);
                assert!(matches!(catalog.delete_version(deletion).await.unwrap(), Deleted::MarkerAdded { .. }));
            }
        }
        for number in 0..BEHIND {
            catalog.put_version(listed(number, format!("z/{number:08}")), Expect::Any).await.unwrap();
        }
    });
    let each = match full {
        Full::Versions(each) | Full::MarkersOfEach(each) => each,
        Full::Markers => 1,
    };
    let sql = "WITH RECURSIVE numbers (number) AS (SELECT 0 UNION ALL SELECT number + 1 FROM numbers WHERE number + 1 < ?1)
        INSERT INTO versions (bucket, key, version_id, is_latest, is_null, is_delete_marker, size_bytes, modified, mode, kms_key, wrapped_key, sealed_keys, record)
        SELECT bucket, CAST(printf('full/%08d', number / ?2) AS BLOB), randomblob(16), number % ?2 = ?2 - 1, 0, is_delete_marker, size_bytes, modified,
            mode, kms_key, wrapped_key, sealed_keys, record FROM numbers, versions WHERE key = CAST('template' AS BLOB)";
    let connection = rusqlite::Connection::open(path).unwrap();
    assert_eq!(connection.execute(sql, [i64::try_from(rows).unwrap(), i64::try_from(each).unwrap()]).unwrap() as u64, rows);
    let template = deletion("template".to_owned(), VersionSelector::Id(version(rows, 0, u8::from(full.is_of_markers())).version_id), 0);
    assert!(matches!(runtime.block_on(catalog.delete_version(template)).unwrap(), Deleted::Removed { .. }));
}

/// A pass over a bucket: all of it, and only what came of age since the last pass, which is deleted.
fn lifecycle(runtime: &tokio::runtime::Runtime, directory: &std::path::Path, rows: u64) {
    let home = tempfile::tempdir_in(directory).unwrap();
    let path = home.path().join("catalog.db");
    let catalog = Arc::new(SqliteCatalog::open(&path, SqliteOptions::default()).unwrap());
    runtime.block_on(catalog.create_bucket(bucket(Versioning::Unversioned))).unwrap();
    fill(runtime, &catalog, &path, Full::Versions(1), rows);
    let walk = |after: i64| {
        runtime.block_on(async {
            let (began, cpu, mut after, mut found) = (Instant::now(), cpu_seconds(), after, Vec::new());
            loop {
                let page = catalog.committed_after(BUCKET, after, 256).await.unwrap();
                let Some(last) = page.last() else { break };
                after = last.position;
                found.extend(page);
            }
            (found, began.elapsed().as_secs_f64(), cpu_seconds() - cpu)
        })
    };
    let (all, seconds, cpu) = walk(0);
    println!("{:<34} {:>9} rows {seconds:>8.3} s {cpu:>8.3} CPU s", "walk of the whole bucket", all.len());
    let due = all.len() - all.len() / 100;
    let (due, seconds, cpu) = walk(all[due].position);
    println!("{:<34} {:>9} rows {seconds:>8.3} s {cpu:>8.3} CPU s", "walk of what came of age", due.len());
    let (began, cpu, count) = (Instant::now(), cpu_seconds(), due.len());
    runtime.block_on(async {
        let due = Arc::new(std::sync::Mutex::new(due));
        let workers = (0..16).map(|_| {
            let (catalog, due) = (Arc::clone(&catalog), Arc::clone(&due));
            tokio::spawn(async move {
                loop {
                    let Some(row) = due.lock().unwrap().pop() else { break };
                    let key = row.key.unwrap();
                    let (_, found) = catalog.find_version("bench", &key, VersionSelector::Latest).await.unwrap().unwrap();
                    let version_id = found.unwrap().version_id;
                    let (which, expect) = (VersionSelector::Id(version_id), Expect::Latest(version_id));
                    let deletion = Deletion { expect, seen: Some(0), ..deletion(key, which, 0) };
                    assert!(matches!(catalog.delete_version(deletion).await.unwrap(), Deleted::Removed { .. }));
                }
            })
        });
        for worker in workers.collect::<Vec<_>>() {
            worker.await.unwrap();
        }
    });
    let (seconds, cpu) = (began.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    println!("{:<34} {count:>9} rows {seconds:>8.3} s {cpu:>8.3} CPU s", "look-ups and deletions");
}

fn full_key(full: Full, number: u64) -> String {
    match full {
        Full::Versions(each) | Full::MarkersOfEach(each) => format!("full/{:08}", number / each),
        Full::Markers => format!("full/{number:08}"),
    }
}

fn listed(number: u64, key: String) -> NewVersion {
    NewVersion { key, ..version(number, 0, 0) }
}

fn deletion(key: String, which: VersionSelector, number: u64) -> Deletion {
    let marker = version(number, 0, 1).version_id;
    Deletion {
        bucket_id: BUCKET,
        key,
        which,
        expect: Expect::Any,
        seen: None,
        marker,
        modified: 0,
        bypass: false,
        events: DeletionEvents::default(),
    }
}

/// The version of the key that lies in the middle.
fn middle_of(runtime: &tokio::runtime::Runtime, catalog: &SqliteCatalog, key: &str, full: Full) -> Option<VersionSelector> {
    let (Full::Versions(each) | Full::MarkersOfEach(each)) = full else { return None };
    let mut query = ListQuery { bucket_id: BUCKET, prefix: key.to_owned(), delimiter: None, after: None, limit: PAGE };
    let (mut after, mut seen) = (None, 0);
    while seen < each / 2 {
        query.limit = PAGE.min((each / 2 - seen) as usize);
        let page = runtime.block_on(catalog.list_versions(query.clone(), after)).unwrap();
        let Some(ListEntry::Item(last)) = page.entries.last() else { panic!("{key} has fewer versions") };
        (query.after, after) = (Some(last.key.clone()), Some(VersionSelector::Id(last.version_id)));
        seen += page.entries.len() as u64;
    }
    after
}

fn objects(runtime: &tokio::runtime::Runtime, catalog: &SqliteCatalog, query: &ListQuery) -> (usize, f64) {
    each_page(|| runtime.block_on(catalog.list_objects(query.clone())).unwrap().entries.len())
}

fn versions(runtime: &tokio::runtime::Runtime, catalog: &SqliteCatalog, query: &ListQuery, after: Option<VersionSelector>) -> (usize, f64) {
    each_page(|| runtime.block_on(catalog.list_versions(query.clone(), after)).unwrap().entries.len())
}

/// How many entries a page has, and the CPU that reading it takes.
fn each_page(read: impl Fn() -> usize) -> (usize, f64) {
    let entries = read();
    let before = cpu_seconds();
    for _ in 0..READS {
        assert_eq!(read(), entries);
    }
    (entries, (cpu_seconds() - before) * 1e3 / f64::from(READS))
}

/// User and system time of this process (`/proc/self/stat`, in ticks of 10 ms).
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn bucket(versioning: Versioning) -> Bucket {
    Bucket {
        id: BUCKET,
        name: "bench".to_owned(),
        owner: "root".to_owned(),
        region: String::new(),
        created: 0,
        versioning,
        revision: 1,
        record: Vec::new(),
        former: None,
    }
}

/// Spread over the key space as hashes are.
fn key(number: u64) -> String {
    format!("objects/{:016x}", number.wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

fn version(number: u64, inline_bytes: usize, generation: u8) -> NewVersion {
    let mut version_id = [generation; 16];
    version_id[..8].copy_from_slice(&number.to_be_bytes());
    let key_ref = KeyRef { backend: "local".to_owned(), key_id: "default".to_owned(), version: 1 };
    NewVersion {
        bucket_id: BUCKET,
        key: key(number),
        version_id: VersionId(version_id),
        size_bytes: inline_bytes as u64,
        modified: 1_700_000_000_000,
        lock: Lock::default(),
        envelope: Envelope { mode: 2, key: Some(key_ref), wrapped_key: vec![1; 96], sealed_keys: vec![2; 96] },
        record: vec![3; 250],
        data: VersionData { manifest: vec![4; 64], part_record: Vec::new(), inline: Some(vec![5; inline_bytes]) },
        blobs: Vec::new(),
        upload_id: None,
        event: None,
    }
}
