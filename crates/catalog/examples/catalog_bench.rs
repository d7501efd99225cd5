//! What the SQLite catalog costs: puts per second, CPU per put by inline size, CPU per look-up.
//!
//! `cargo run --release --example catalog_bench -- [DIRECTORY] [--no-secure-delete] [--inline-kib=4,64]`; the directory must be on the disk to be measured.
#![allow(clippy::unwrap_used, clippy::cast_precision_loss)]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use strongroom_catalog::{
    Bucket, BucketId, Catalog, Deletion, Envelope, Expect, KeyRef, Lock, NewVersion, SqliteCatalog, SqliteOptions, VersionData, VersionId,
    VersionSelector, Versioning,
};

const WRITERS: u64 = 8;
const BUCKET: BucketId = BucketId([7; 16]);

fn main() {
    let mut directory = PathBuf::from(".");
    let mut secure_delete = true;
    let mut sizes = vec![0, 4, 16, 32, 64, 128];
    for argument in std::env::args().skip(1) {
        if argument == "--no-secure-delete" {
            secure_delete = false;
        } else if let Some(list) = argument.strip_prefix("--inline-kib=") {
            sizes = list.split(',').map(|size| size.parse().unwrap()).collect();
        } else {
            directory = argument.into();
        }
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    println!("{:>10} {:>8} {:>10} {:>14} {:>12}", "inline", "work", "ops/s", "CPU µs/op", "file MiB");
    for inline_kib in sizes {
        let home = tempfile::tempdir_in(&directory).unwrap();
        let path = home.path().join("catalog.db");
        let options = SqliteOptions { secure_delete, ..SqliteOptions::default() };
        let catalog = Arc::new(SqliteCatalog::open(&path, options).unwrap());
        runtime.block_on(catalog.create_bucket(bucket())).unwrap();
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
                    marker: VersionId([0; 16]),
                    modified: 0,
                    bypass: false,
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

/// User and system time of this process (`/proc/self/stat`, in ticks of 10 ms).
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn bucket() -> Bucket {
    Bucket {
        id: BUCKET,
        name: "bench".to_owned(),
        owner: "root".to_owned(),
        region: String::new(),
        created: 0,
        versioning: Versioning::Unversioned,
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
    }
}
