//! Re-key jobs that are throttled, cancelled, interrupted, refused, or whose KMS is away.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use strongroom_catalog::{
    CatalogError,
    testing::{After, Call, CatalogHook, Method},
};
use strongroom_engine::{
    EngineOptions, Error,
    rekey::{JobState, MAX_FAILURES, MAX_RUNNING, RekeyRequest},
};
use strongroom_kms::{KeyLifecycle as _, testing::Fault};
use tokio::sync::Notify;

use crate::common::*;

fn to_other() -> RekeyRequest {
    RekeyRequest { from_key: Some(KEY.into()), to_key: Some(OTHER_KEY.into()), ..RekeyRequest::default() }
}

async fn fill(rig: &Rig, count: usize) {
    for number in 0..count {
        rig.put(&format!("{number}"), As::Kms, b"data").await;
    }
}

#[tokio::test]
async fn while_the_kms_is_away_a_job_waits_and_then_goes_on() {
    for fault in [Fault::Unavailable, Fault::Denied, Fault::ServiceSealed] {
        let rig = Rig::new().await;
        fill(&rig, 20).await;
        let job = rig.start(to_other()).await;
        rig.kms.fail_all(fault);
        rig.until(&job.job_id, |job| job.total == 20).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        rig.kms.heal();
        let job = rig.ended(&job.job_id).await;
        assert_eq!((job.state, counts(&job)), (JobState::Completed, (20, 0, 0)), "{fault:?}");
    }
}

#[tokio::test]
async fn a_job_gives_up_after_the_limit_and_can_be_started_again() {
    let options = EngineOptions { job_outage_limit: Duration::from_millis(200), ..Plan::default().options };
    let rig = Rig::with(Plan { options, ..Plan::default() }).await;
    fill(&rig, 20).await;
    let request = RekeyRequest { from_key: Some(KEY.into()), ..RekeyRequest::default() };
    rig.keys.rotate_key(KEY).await.unwrap();
    rig.kms.fail_all(Fault::Unavailable);
    let job = rig.rekey(request.clone()).await;
    assert_eq!((job.state, counts(&job)), (JobState::Failed, (0, 0, 0)));
    let error = job.error.unwrap();
    assert!(error.starts_with("gave up after") && error.contains("injected by a test"), "{error}");
    rig.kms.heal();
    let job = rig.rekey(request).await;
    assert_eq!((job.state, counts(&job)), (JobState::Completed, (20, 0, 0)));
}

#[tokio::test]
async fn what_one_key_refuses_is_told_and_the_rest_goes_on() {
    let rig = Rig::new().await;
    fill(&rig, MAX_FAILURES + 5).await;
    rig.put("sse-s3", As::S3, b"data").await;
    rig.keys.rotate_key("default").await.unwrap();
    rig.keys.disable_key(KEY).await.unwrap();
    let job = rig.rekey(RekeyRequest { to_key: Some(OTHER_KEY.into()), ..RekeyRequest::default() }).await;
    let failed = MAX_FAILURES as u64 + 5;
    assert_eq!((job.state, counts(&job)), (JobState::CompletedWithErrors, (1, 0, failed)));
    assert_eq!(job.failures.len(), MAX_FAILURES);
    let failure = &job.failures[0];
    assert_eq!((failure.bucket.as_str(), failure.reason.as_str()), (BUCKET, "The KMS key alpha is disabled."));
    assert_eq!((failure.version_id.len(), failure.key.parse::<usize>().is_ok()), (32, true));
    rig.keys.enable_key(KEY).await.unwrap();
    assert_eq!(counts(&rig.rekey(to_other()).await), (failed, 0, 0));
}

#[tokio::test]
async fn a_damaged_object_is_told_and_the_rest_goes_on() {
    let rig = Rig::sqlite().await;
    fill(&rig, 5).await;
    rig.rows().execute("UPDATE versions SET wrapped_key = zeroblob(60) WHERE key = CAST('3' AS BLOB)", []).unwrap();
    let job = rig.rekey(to_other()).await;
    assert_eq!((job.state, counts(&job)), (JobState::CompletedWithErrors, (4, 0, 1)));
    assert_eq!(job.failures[0].key, "3");
    assert_eq!(rig.engine.integrity_events(), 1);
}

#[tokio::test]
async fn a_job_keeps_to_its_rate() {
    let rig = Rig::new().await;
    fill(&rig, 11).await;
    rig.put("customer", As::Customer(1), b"data").await;
    let begun = Instant::now();
    let job = rig.rekey(RekeyRequest { max_objects_per_second: Some(20), to_key: Some(OTHER_KEY.into()), ..RekeyRequest::default() }).await;
    assert_eq!(counts(&job), (11, 1, 0));
    assert!(begun.elapsed() >= Duration::from_millis(500), "{:?}", begun.elapsed());
    assert!(job.rate_per_second > 0.0 && job.rate_per_second <= 22.0, "{}", job.rate_per_second);
}

#[tokio::test]
async fn a_cancelled_job_stops_and_what_it_did_stays() {
    let rig = Rig::new().await;
    fill(&rig, 50).await;
    let job = rig.start(RekeyRequest { max_objects_per_second: Some(50), ..to_other() }).await;
    rig.until(&job.job_id, |job| job.done >= 5).await;
    let cancelled = rig.engine.cancel_rekey(&job.job_id).await.unwrap();
    assert_eq!(cancelled.state, JobState::Cancelled);
    assert!(cancelled.finished.is_some() && cancelled.done >= 5 && cancelled.done < 50);
    assert_eq!(cancelled.remaining, 50 - cancelled.done);
    assert_eq!(rig.usage(OTHER_KEY).await, [(1, (cancelled.done, 0))].into());
    assert_eq!(rig.usage(KEY).await, [(1, (50 - cancelled.done, 0))].into());
    for number in 0..50 {
        assert_eq!(rig.get(&format!("{number}"), As::Kms).await.unwrap(), b"data");
    }
    assert_eq!(rig.engine.cancel_rekey(&job.job_id).await.unwrap(), rig.engine.rekey_job(&job.job_id).await.unwrap());
    assert_eq!(rig.engine.resume_rekeys().await.unwrap(), 0, "it is cancelled for good");
}

#[tokio::test]
async fn a_job_that_waits_for_the_kms_can_be_cancelled() {
    let rig = Rig::new().await;
    fill(&rig, 3).await;
    rig.keys.rotate_key(KEY).await.unwrap();
    rig.kms.fail_all(Fault::Unavailable);
    let job = rig.start(RekeyRequest::default()).await;
    rig.until(&job.job_id, |job| job.total == 3).await;
    assert_eq!(rig.engine.cancel_rekey(&job.job_id).await.unwrap().state, JobState::Cancelled);
}

#[tokio::test]
async fn so_many_jobs_run_and_no_more() {
    let rig = Rig::new().await;
    fill(&rig, 3).await;
    let slow = || RekeyRequest { max_objects_per_second: Some(1), ..to_other() };
    let mut running = Vec::new();
    for _ in 0..MAX_RUNNING {
        running.push(rig.start(slow()).await.job_id);
    }
    assert!(matches!(rig.engine.start_rekey(slow(), starter(&rig.root)).await, Err(Error::TooManyJobs(MAX_RUNNING))));
    let listed: Vec<_> = rig.engine.rekey_jobs().await.unwrap().into_iter().map(|job| job.job_id).collect();
    assert_eq!(listed.len(), MAX_RUNNING);
    assert!(running.iter().all(|id| listed.contains(id)));
    for id in running {
        rig.engine.cancel_rekey(&id).await.unwrap();
    }
    assert_eq!(rig.rekey(to_other()).await.state, JobState::Completed);
}

#[tokio::test]
async fn a_job_that_does_not_exist_is_named() {
    let rig = Rig::new().await;
    for id in ["", "x", "../etc", &"0".repeat(32)] {
        assert!(matches!(rig.engine.rekey_job(id).await, Err(Error::NoSuchJob(_))), "{id}");
        assert!(matches!(rig.engine.cancel_rekey(id).await, Err(Error::NoSuchJob(_))), "{id}");
    }
}

#[tokio::test]
async fn a_paused_job_goes_on_after_the_next_start_and_counts_each_object_once() {
    let rig = Rig::sqlite().await;
    fill(&rig, 40).await;
    let job = rig.start(RekeyRequest { max_objects_per_second: Some(100), ..to_other() }).await;
    rig.until(&job.job_id, |job| job.done >= 5).await;
    rig.engine.pause_rekeys().await;
    let paused = rig.engine.rekey_job(&job.job_id).await.unwrap();
    assert_eq!((paused.state, paused.finished), (JobState::Running, None));
    let home = rig.into_home();
    let rig = Rig::with(Plan { sqlite: true, home: Some(home), ..Plan::default() }).await;
    assert_eq!(rig.engine.resume_rekeys().await.unwrap(), 1);
    let job = rig.ended(&job.job_id).await;
    assert_eq!((job.state, job.total, job.done + job.skipped, job.failed), (JobState::Completed, 40, 40, 0));
    assert_eq!(rig.usage(OTHER_KEY).await, [(1, (40, 0))].into());
    assert_eq!(rig.usage(KEY).await, [].into());
}

#[tokio::test]
async fn a_job_whose_record_was_altered_does_not_run() {
    let rig = Rig::sqlite().await;
    fill(&rig, 2).await;
    let first = rig.rekey(to_other()).await;
    let second = rig.rekey(to_other()).await;
    // The record of one job in the row of another, and both said to be running.
    let swap = "UPDATE jobs SET is_active = 1, record = (SELECT record FROM jobs ORDER BY id LIMIT 1)";
    assert_eq!(rig.rows().execute(swap, []).unwrap(), 2);
    assert_eq!(rig.engine.resume_rekeys().await.unwrap(), 0);
    assert_eq!(rig.engine.integrity_events(), 1);
    assert_eq!(rig.engine.rekey_job(&first.job_id).await.unwrap(), first, "a record that ended does not run again either");
    assert!(matches!(rig.engine.rekey_job(&second.job_id).await, Err(Error::Integrity(_))));
}

/// Holds back the record of the first job until it is told to let it go.
#[derive(Default)]
struct HoldJob {
    is_held: AtomicBool,
    go: Notify,
}

#[async_trait]
impl CatalogHook for HoldJob {
    async fn before(self: Arc<Self>, call: Call) -> Result<Option<After>, CatalogError> {
        if call.method == Method::PutJob && !self.is_held.swap(true, SeqCst) {
            self.go.notified().await;
        }
        Ok(None)
    }
}

/// A client that goes away, or a task that is ended in a shutdown, must not leave a job that takes a place and never runs.
#[tokio::test]
async fn a_job_whose_starter_goes_away_runs_all_the_same() {
    let hook = Arc::new(HoldJob::default());
    let rig = Rig::with(Plan { catalog_hook: Some(Arc::clone(&hook) as _), ..Plan::default() }).await;
    fill(&rig, 3).await;
    let engine = Arc::clone(&rig.engine);
    let who = root(true);
    let starting = tokio::spawn(async move { engine.start_rekey(to_other(), starter(&who)).await });
    while !hook.is_held.load(SeqCst) {
        tokio::task::yield_now().await;
    }
    starting.abort();
    assert!(starting.await.unwrap_err().is_cancelled());
    hook.go.notify_one();
    let id = loop {
        if let Some(job) = rig.engine.rekey_jobs().await.unwrap().first() {
            break job.job_id.clone();
        }
        tokio::task::yield_now().await;
    };
    let job = rig.ended(&id).await;
    assert_eq!((job.state, counts(&job)), (JobState::Completed, (3, 0, 0)));
    let begun = Instant::now();
    rig.engine.pause_rekeys().await;
    assert!(begun.elapsed() < Duration::from_secs(20), "nothing is left that a stop would wait for");
}
