//! What depends on a key outside of a bucket or a prefix, whatever was written and deleted.

use proptest::prelude::*;
use strongroom_engine::{
    api::{CreateBucket, CreateMultipartUpload, DefaultEncryption, DeleteCondition, PutObject, SseHeaders, UploadRef, VersioningStatus},
    elsewhere::{Elsewhere, Part},
};

use crate::common::*;

const OTHER: &str = "other";
const BUCKETS: [&str; 2] = [BUCKET, OTHER];
const PREFIXES: [&str; 3] = ["", "a/", "a/b/"];
const NAMES: [&str; 4] = ["a/1", "a/b/1", "a", "c"];
/// None is SSE-C, which is under no key of the KMS.
const KEYS: [Option<&str>; 3] = [Some(KEY), Some(OTHER_KEY), None];

#[derive(Clone, Copy, Debug)]
enum Op {
    Put {
        bucket: usize,
        name: usize,
        key: usize,
    },
    /// Of the version or the object at that place.
    Delete {
        at: usize,
    },
    Begin {
        bucket: usize,
        name: usize,
        key: usize,
    },
    Abort {
        at: usize,
    },
}

fn op() -> impl Strategy<Value = Op> {
    let place = || (0..BUCKETS.len(), 0..NAMES.len());
    prop_oneof![
        4 => (place(), 0..3_usize).prop_map(|((bucket, name), key)| Op::Put { bucket, name, key }),
        2 => any::<usize>().prop_map(|at| Op::Delete { at }),
        2 => (place(), 0..2_usize).prop_map(|((bucket, name), key)| Op::Begin { bucket, name, key }),
        1 => any::<usize>().prop_map(|at| Op::Abort { at }),
    ]
}

/// A version of an object, or an upload: bucket, name, key of the KMS, id.
type Held = (&'static str, &'static str, Option<&'static str>, String);

struct Run {
    rig: Rig,
    versions: Vec<Held>,
    uploads: Vec<Held>,
}

fn under(key: Option<&str>) -> SseHeaders {
    match key {
        Some(key) => SseHeaders { algorithm: Some("aws:kms".into()), kms_key_id: Some(key.into()), ..SseHeaders::default() },
        None => As::Customer(7).write(),
    }
}

impl Run {
    /// The bucket keeps versions, the other one does not.
    async fn new(sqlite: bool) -> Self {
        let rig = Rig::with(Plan { sqlite, ..Plan::default() }).await;
        rig.engine.create_bucket(&rig.root, CreateBucket { name: OTHER.into(), ..CreateBucket::default() }).await.unwrap();
        rig.engine.set_bucket_versioning(BUCKET, VersioningStatus::Enabled).await.unwrap();
        Self { rig, versions: Vec::new(), uploads: Vec::new() }
    }

    async fn apply(&mut self, op: Op) {
        let engine = &self.rig.engine;
        match op {
            Op::Put { bucket, name, key } => {
                let (bucket, name, key) = (BUCKETS[bucket], NAMES[name], KEYS[key]);
                let request = PutObject { bucket: bucket.into(), ..put_request(name, under(key), b"data") };
                let version = engine.put_object(&self.rig.root, request).await.unwrap().version_id.unwrap_or_default();
                if bucket == OTHER {
                    self.versions.retain(|held| (held.0, held.1) != (bucket, name));
                }
                self.versions.push((bucket, name, key, version));
            }
            Op::Delete { at } if !self.versions.is_empty() => {
                let (bucket, name, _, version) = self.versions.remove(at % self.versions.len());
                let version = Some(version).filter(|version| !version.is_empty());
                engine.delete_object(&self.rig.root, bucket, name, version, DeleteCondition::default(), false).await.unwrap();
            }
            Op::Begin { bucket, name, key } => {
                let (bucket, name, key) = (BUCKETS[bucket], NAMES[name], KEYS[key]);
                let request = CreateMultipartUpload { bucket: bucket.into(), ..create_request(name, under(key)) };
                let id = engine.create_multipart_upload(&self.rig.root, request).await.unwrap().upload_id;
                self.uploads.push((bucket, name, key, id));
            }
            Op::Abort { at } if !self.uploads.is_empty() => {
                let (bucket, name, _, upload_id) = self.uploads.remove(at % self.uploads.len());
                let upload = UploadRef { bucket: bucket.into(), key: name.into(), upload_id };
                engine.abort_multipart_upload(&upload).await.unwrap();
            }
            Op::Delete { .. } | Op::Abort { .. } => {}
        }
    }

    async fn check(&self) {
        for bucket in BUCKETS {
            let bucket_id = self.rig.engine.bucket(bucket).await.unwrap().id;
            for (prefix, key) in PREFIXES.into_iter().flat_map(|prefix| [(prefix, KEY), (prefix, OTHER_KEY)]) {
                let part = Part { bucket: bucket.into(), bucket_id, prefix: prefix.into() };
                let found = self.rig.engine.key_elsewhere("local", key, &part).await.unwrap();
                assert_eq!(found, self.expected(&part, key), "{part:?} {key}");
                let outlasts = |held: &&Held| is_within(held, &part) && held.2 != Some(key);
                let outlasting = self.versions.iter().filter(outlasts).count() as u64;
                assert_eq!(self.rig.engine.not_under_key("local", key, &part).await.unwrap(), outlasting, "{part:?} {key}");
            }
        }
    }

    fn expected(&self, part: &Part, key: &str) -> Elsewhere {
        let count = |held: &[Held], is_meant: &dyn Fn(&Held) -> bool| {
            held.iter().filter(|held| held.2 == Some(key) && is_meant(held)).count() as u64
        };
        let other = if part.bucket == BUCKET { OTHER } else { BUCKET };
        let in_other = count(&self.versions, &|held| held.0 == other);
        if in_other > 0 {
            // The counters show it, and nothing more is counted.
            return Elsewhere { objects: in_other, buckets: vec![other.into()], ..Elsewhere::default() };
        }
        let outside = |held: &Held| !is_within(held, part);
        Elsewhere { objects: count(&self.versions, &outside), uploads: count(&self.uploads, &outside), ..Elsewhere::default() }
    }
}

fn is_within(held: &Held, part: &Part) -> bool {
    held.0 == part.bucket && held.1.starts_with(&part.prefix)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_key_is_for_a_part_of_the_store_alone_exactly_where_nothing_else_is_under_it(
        ops in prop::collection::vec(op(), 1..30),
        sqlite in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut run = Run::new(sqlite).await;
            for op in ops {
                run.apply(op).await;
            }
            run.check().await;
        });
    }
}

#[tokio::test]
async fn counters_that_were_set_to_nothing_hide_no_object() {
    let rig = Rig::sqlite().await;
    rig.engine.create_bucket(&rig.root, CreateBucket { name: OTHER.into(), ..CreateBucket::default() }).await.unwrap();
    rig.put("within", As::Kms, b"data").await;
    let request = PutObject { bucket: OTHER.into(), ..put_request("outside", As::Kms.write(), b"data") };
    rig.engine.put_object(&rig.root, request).await.unwrap();
    let part = Part { bucket: BUCKET.into(), bucket_id: rig.engine.bucket(BUCKET).await.unwrap().id, prefix: String::new() };
    assert_eq!(rig.rows().execute("DELETE FROM key_usage", []).unwrap(), 2);
    let found = rig.engine.key_elsewhere("local", KEY, &part).await.unwrap();
    assert_eq!(found, Elsewhere { objects: 1, ..Elsewhere::default() });
}

#[tokio::test]
async fn what_names_a_key_counts_for_the_backend_in_force_alone() {
    let rig = Rig::new().await;
    let part = Part { bucket: BUCKET.into(), bucket_id: rig.engine.bucket(BUCKET).await.unwrap().id, prefix: "a/".into() };
    let default = DefaultEncryption { algorithm: "aws:kms".into(), kms_key_id: Some(format!("key/{KEY}")), bucket_key_enabled: false };
    rig.engine.set_bucket_encryption(BUCKET, default).await.unwrap();
    let named = Elsewhere { default_of: vec![BUCKET.into()], ..Elsewhere::default() };
    assert_eq!(rig.engine.key_elsewhere("local", KEY, &part).await.unwrap(), named);
    assert!(rig.engine.key_elsewhere("local", KEY, &Part { prefix: String::new(), ..part.clone() }).await.unwrap().is_nothing());
    assert!(rig.engine.key_elsewhere("former", KEY, &part).await.unwrap().is_nothing());
    let default = Elsewhere { is_default_key: true, ..Elsewhere::default() };
    assert_eq!(rig.engine.key_elsewhere("local", "default", &part).await.unwrap(), default);
    assert!(rig.engine.key_elsewhere("former", "default", &part).await.unwrap().is_nothing());
}
