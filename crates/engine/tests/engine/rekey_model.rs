//! Random puts, copies, deletes, rotations and re-keyings against a model of a few lines, while the KMS and the catalog fail at random and
//! the process is killed: no object is ever lost or changed, and when a job has completed, every object is under the key that it was
//! asked to be under.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use strongroom_catalog::{
    CatalogError,
    testing::{FaultMoment, Faults},
};
use strongroom_engine::rekey::{JobState, RekeyJob, RekeyRequest};
use strongroom_kms::{KeyLifecycle as _, testing::Fault};
use tokio::runtime::Runtime;

use crate::common::*;

const CASES: u32 = 24;
/// So many times as many at the most.
const ROUNDS: u32 = 5;
const STEPS: usize = 30;
const OBJECTS: usize = 12;
const KEYS: [&str; 3] = ["default", KEY, OTHER_KEY];

#[derive(Clone, Debug)]
enum Op {
    Put {
        object: usize,
        by: As,
        len: usize,
    },
    Copy {
        from: usize,
        to: usize,
        by: As,
    },
    Delete {
        object: usize,
    },
    Rotate {
        key: usize,
    },
    Rekey {
        to: Option<usize>,
        dry_run: bool,
        failure: Failure,
    },
    /// A job that is killed after so many objects, and goes on in the next life.
    Killed {
        to: Option<usize>,
        after: u64,
    },
}

#[derive(Clone, Copy, Debug)]
enum Failure {
    None,
    Kms(Fault),
    /// This write from the job's first on.
    Catalog(u64, FaultMoment),
}

fn op() -> impl Strategy<Value = Op> {
    let mode = || prop::sample::select(vec![As::Store, As::S3, As::Kms, As::BucketKey, As::Dsse, As::Customer(1)]);
    let to = || prop::option::of(0..KEYS.len());
    let moment = prop::sample::select(vec![FaultMoment::Before, FaultMoment::After]);
    let failure = prop_oneof![
        2 => Just(Failure::None),
        1 => prop::sample::select(vec![Fault::Unavailable, Fault::ServiceSealed]).prop_map(Failure::Kms),
        3 => (1..6_u64, moment).prop_map(|(nth, moment)| Failure::Catalog(nth, moment)),
    ];
    prop_oneof![
        12 => (0..OBJECTS, mode(), prop::sample::select(vec![0, 10, 5000])).prop_map(|(object, by, len)| Op::Put { object, by, len }),
        4 => (0..OBJECTS, 0..OBJECTS, mode()).prop_map(|(from, to, by)| Op::Copy { from, to, by }),
        2 => (0..OBJECTS).prop_map(|object| Op::Delete { object }),
        3 => (0..KEYS.len()).prop_map(|key| Op::Rotate { key }),
        5 => (to(), prop::bool::weighted(0.2), failure).prop_map(|(to, dry_run, failure)| Op::Rekey { to, dry_run, failure }),
        2 => (to(), 0..8_u64).prop_map(|(to, after)| Op::Killed { to, after }),
    ]
}

/// An object as it must be.
#[derive(Clone, Debug)]
struct Object {
    by: As,
    data: Vec<u8>,
    etag: String,
    /// The KMS key and its version.
    key: Option<(usize, u32)>,
}

/// The engine, in a process of its own as far as a test can have one.
struct Life {
    runtime: Runtime,
    rig: Rig,
    faults: Arc<Faults>,
}

impl Life {
    fn begin(home: Option<Home>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let faults = Arc::new(Faults::default());
        let rig = runtime.block_on(Rig::with(Plan { sqlite: true, home, catalog_hook: Some(Arc::clone(&faults) as _), ..Plan::default() }));
        Self { runtime, rig, faults }
    }

    /// As a kill does: nothing is brought to an end.
    fn kill(self) -> Home {
        let Self { runtime, rig, faults } = self;
        drop((runtime, faults));
        rig.into_home()
    }
}

struct World {
    /// None only while one life passes into the next.
    life: Option<Life>,
    objects: [Option<Object>; OBJECTS],
    versions: [u32; KEYS.len()],
    tally: Arc<Tally>,
}

/// What happened in all cases together: a run in which it did not has shown nothing.
#[derive(Debug, Default)]
struct Tally {
    re_keyed: AtomicU64,
    after_a_kill: AtomicU64,
    faults: AtomicU64,
}

fn key_of(by: As) -> Option<usize> {
    KEYS.iter().position(|key| Some(*key) == by.kms_key())
}

fn name(object: usize) -> String {
    format!("object-{object}")
}

impl World {
    fn life(&self) -> &Life {
        self.life.as_ref().unwrap()
    }

    fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.life().runtime.block_on(work)
    }

    fn step(&mut self, op: &Op) {
        match *op {
            Op::Put { object, by, len } => {
                let data = data(len, object as u64 + 1);
                let stored = self.run(self.life().rig.put(&name(object), by, &data));
                self.objects[object] = Some(self.object(by, data, stored.etag));
            }
            Op::Copy { from, to, by } => self.copy(from, to, by),
            Op::Delete { object } => {
                self.run(self.life().rig.delete(&name(object)));
                self.objects[object] = None;
            }
            Op::Rotate { key } => {
                self.run(self.life().rig.keys.rotate_key(KEYS[key])).unwrap();
                self.life().rig.engine.forget_bucket_keys();
                self.versions[key] += 1;
            }
            Op::Rekey { to, dry_run, failure } => self.rekey(to, dry_run, failure),
            Op::Killed { to, after } => self.rekey_over_a_kill(to, after),
        }
        self.compare();
    }

    fn object(&self, by: As, data: Vec<u8>, etag: String) -> Object {
        Object { by, data, etag, key: key_of(by).map(|key| (key, self.versions[key])) }
    }

    fn copy(&mut self, from: usize, to: usize, by: As) {
        let Some(source) = self.objects[from].clone().filter(|_| from != to) else { return };
        let copied = self.run(self.life().rig.copy((&name(from), source.by), (&name(to), by))).unwrap();
        self.objects[to] = Some(self.object(by, source.data, copied.stored.etag));
    }

    fn rekey(&mut self, to: Option<usize>, dry_run: bool, failure: Failure) {
        let life = self.life();
        let request = RekeyRequest { dry_run, to_key: to.map(|key| KEYS[key].to_owned()), ..RekeyRequest::default() };
        let job = self.run(life.rig.start(request));
        match failure {
            Failure::None => {}
            Failure::Kms(fault) => life.rig.kms.fail_next(2, fault),
            Failure::Catalog(nth, moment) => life.faults.fail_write(nth, moment, || CatalogError::Database("injected".into())),
        }
        let job = self.run(life.rig.ended(&job.job_id));
        life.rig.kms.heal();
        let pending = life.faults.pending();
        self.tally.faults.fetch_add(u64::from(matches!(failure, Failure::Catalog(..)) && pending == 0), Ordering::Relaxed);
        life.faults.heal();
        self.settle(&job, to, dry_run);
    }

    fn rekey_over_a_kill(&mut self, to: Option<usize>, after: u64) {
        let life = self.life.take().unwrap();
        let request =
            RekeyRequest { to_key: to.map(|key| KEYS[key].to_owned()), max_objects_per_second: Some(300), ..RekeyRequest::default() };
        let started = life.runtime.block_on(async {
            let job = life.rig.start(request).await;
            loop {
                let job = life.rig.engine.rekey_job(&job.job_id).await.unwrap();
                if job.state != JobState::Running || job.done >= after {
                    return job;
                }
                tokio::task::yield_now().await;
            }
        });
        self.life = Some(Life::begin(Some(life.kill())));
        let resumed = self.run(self.life().rig.engine.resume_rekeys()).unwrap();
        self.tally.after_a_kill.fetch_add(resumed as u64, Ordering::Relaxed);
        let job = self.run(self.life().rig.ended(&started.job_id));
        self.settle(&job, to, false);
    }

    /// What a completed job must have done.
    fn settle(&mut self, job: &RekeyJob, to: Option<usize>, dry_run: bool) {
        assert_eq!((job.state, job.failed), (JobState::Completed, 0), "{job:?}");
        let in_scope = self.objects.iter().flatten().filter(|object| object.by != As::Store).count() as u64;
        assert_eq!((job.total, job.done + job.skipped), (in_scope, in_scope), "each object counts once");
        if dry_run {
            return;
        }
        self.tally.re_keyed.fetch_add(job.done, Ordering::Relaxed);
        for object in self.objects.iter_mut().flatten() {
            if let Some((key, version)) = &mut object.key {
                *key = to.unwrap_or(if object.by == As::S3 { 0 } else { *key });
                *version = self.versions[*key];
            }
        }
    }

    fn compare(&self) {
        let rig = &self.life().rig;
        let mut usage: [BTreeMap<u32, (u64, u64)>; KEYS.len()] = Default::default();
        for (number, object) in self.objects.iter().enumerate() {
            let Some(object) = object else { continue };
            let seen = self.run(rig.seen(&name(number), object.by));
            assert_eq!((&seen.data, &seen.etag, seen.mode), (&object.data, &object.etag, object.by.mode()));
            assert_eq!(seen.bucket_key, object.by == As::BucketKey);
            if let Some((key, version)) = object.key {
                usage[key].entry(version).or_default().0 += 1;
            }
        }
        for (key, expected) in KEYS.iter().zip(usage) {
            assert_eq!(self.run(rig.usage(key)), expected, "{key}");
        }
        assert_eq!(rig.engine.integrity_events(), 0);
    }
}

#[test]
fn whatever_fails_and_whenever_the_process_dies_a_completed_job_has_re_keyed_everything_and_changed_nothing() {
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { Config::default().cases } else { CASES };
    let tally = Arc::new(Tally::default());
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 100, ..Config::default() };
    // Whether a job is under way when its process dies is a matter of chance: until it was seen, another round.
    for _ in 0..ROUNDS {
        let result = TestRunner::new(config.clone()).run(&prop::collection::vec(op(), 1..=STEPS), |ops| {
            let life = Some(Life::begin(None));
            let mut world = World { life, objects: Default::default(), versions: [1; KEYS.len()], tally: Arc::clone(&tally) };
            for op in &ops {
                world.step(op);
            }
            Ok(())
        });
        if let Err(error) = result {
            panic!("{error}");
        }
        let counters = [&tally.re_keyed, &tally.after_a_kill, &tally.faults];
        if cases < CASES || counters.iter().all(|counter| counter.load(Ordering::Relaxed) > 0) {
            return;
        }
    }
    panic!("{tally:?}");
}
