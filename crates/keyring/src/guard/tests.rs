//! The guard around a backend that fails, hangs and floods, on a clock that stands still while work is done.
#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicUsize, Ordering};

use strongroom_kms::testing::{CountingKms, Fault};
use strongroom_kms::{KeyLifecycle, KeyService, LocalConfig, LocalKms, MasterKeySource, NewKey};
use tempfile::TempDir;
use tokio::time::sleep;
use zeroize::Zeroizing;

use super::*;

type Guarded = Guard<CountingKms<LocalKms>>;

/// A guarded local backend with the key `key`.
async fn guarded(config: GuardConfig) -> (TempDir, Arc<CountingKms<LocalKms>>, Arc<Guarded>) {
    let dir = TempDir::new().unwrap();
    let master = MasterKeySource::Value(Zeroizing::new([7; 32]));
    let local = LocalKms::open(LocalConfig { key_dir: dir.path().join("keys"), master }).await.unwrap();
    local.ensure_key("key", "").await.unwrap();
    let counting = Arc::new(CountingKms::new(Arc::new(local)));
    let guard = Arc::new(Guard::new(Arc::clone(&counting), config, Arc::default()));
    (dir, counting, guard)
}

fn quick() -> GuardConfig {
    GuardConfig { timeout: Duration::from_secs(10), ..GuardConfig::default() }
}

fn count(guard: &Guarded, operation: &str, outcome: &str) -> u64 {
    let operations = guard.recorder.operations();
    let Some(operation) = operations.iter().find(|metrics| metrics.operation == operation) else { return 0 };
    operation.outcomes.iter().find(|counted| counted.outcome == outcome).map_or(0, |counted| counted.count)
}

fn unavailable<T>(answer: Result<T, KmsError>) -> String {
    match answer {
        Err(KmsError::Unavailable(text)) => text,
        Err(other) => panic!("not Unavailable: {other}"),
        Ok(_) => panic!("it succeeded"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_finds_the_backend_away_is_tried_again() {
    let (_dir, backend, guard) = guarded(quick()).await;
    backend.fail_next(3, Fault::Unavailable);
    assert_eq!(guard.check_usable("key").await.unwrap(), "key");
    assert_eq!(backend.counts().check, 4);
    assert_eq!((guard.recorder.retries(), count(&guard, "check_usable", "ok")), (3, 1));
    backend.fail_all(Fault::Unavailable);
    assert_eq!(unavailable(guard.check_usable("key").await), "injected by a test");
    assert_eq!(backend.counts().check, 8, "once and three times more");
    assert_eq!(count(&guard, "check_usable", "unavailable"), 1);
}

#[tokio::test(start_paused = true)]
async fn no_other_answer_is_tried_again() {
    for (fault, outcome) in [
        (Fault::KeyNotFound, "refused"),
        (Fault::KeySealed, "refused"),
        (Fault::Rejected, "rejected"),
        (Fault::Denied, "denied"),
        (Fault::Broken, "broken"),
    ] {
        let (_dir, backend, guard) = guarded(quick()).await;
        backend.fail_all(fault);
        guard.check_usable("key").await.unwrap_err();
        assert_eq!((backend.counts().check, count(&guard, "check_usable", outcome)), (1, 1), "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_denies_access_does_not_open_the_breaker() {
    let (_dir, backend, guard) = guarded(quick()).await;
    backend.fail_all(Fault::Denied);
    for _ in 0..20 {
        assert!(matches!(guard.check_usable("key").await, Err(KmsError::Denied(_))));
    }
    assert_eq!((guard.breaker(), backend.counts().check), (BreakerState::Closed, 20));
}

#[tokio::test(start_paused = true)]
async fn an_answer_comes_within_the_timeout_whatever_the_backend_does() {
    let (_dir, backend, guard) = guarded(GuardConfig { retry_attempts: 10, ..quick() }).await;
    for delay in [Duration::from_hours(1), Duration::from_secs(4), Duration::from_millis(9_900)] {
        backend.delay(delay);
        backend.fail_all(Fault::Unavailable);
        let guard = Guard::new(Arc::clone(&backend), guard.config, Arc::default());
        let began = Instant::now();
        unavailable(guard.check_usable("key").await);
        assert!(began.elapsed() <= Duration::from_millis(10_001), "{delay:?}: {:?}", began.elapsed());
    }
    backend.heal();
    backend.delay(Duration::from_hours(1));
    let text = unavailable(guard.check_usable("key").await);
    assert_eq!(text, "it did not answer within 10 seconds; see /kms/status");
    assert_eq!(count(&guard, "check_usable", "timed_out"), 1);
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_answers_at_once_and_one_probe_closes_it() {
    let config = GuardConfig { retry_attempts: 0, ..quick() };
    let (_dir, backend, guard) = guarded(config).await;
    backend.fail_all(Fault::Unavailable);
    for _ in 0..config.breaker.failures {
        unavailable(guard.check_usable("key").await);
    }
    assert_eq!((guard.breaker(), guard.recorder.opened()), (BreakerState::Open, 1));
    backend.heal();
    backend.reset_counts();
    let began = Instant::now();
    assert!(unavailable(guard.check_usable("key").await).contains("/kms/status"));
    assert_eq!((began.elapsed(), backend.counts().check), (Duration::ZERO, 0), "the backend is left alone");
    assert_eq!(count(&guard, "check_usable", "breaker_open"), 1);

    sleep(config.breaker.cool_down).await;
    assert_eq!(guard.breaker(), BreakerState::HalfOpen);
    backend.hold_answers();
    let probe = tokio::spawn({
        let guard = Arc::clone(&guard);
        async move { guard.check_usable("key").await }
    });
    while backend.held_answers() == 0 {
        tokio::task::yield_now().await;
    }
    unavailable(guard.check_usable("key").await);
    assert_eq!(backend.counts().check, 1, "one probe at a time");
    backend.release_answers();
    probe.await.unwrap().unwrap();
    assert_eq!(guard.breaker(), BreakerState::Closed);
    guard.check_usable("key").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_fails_or_goes_away_leaves_the_breaker_able_to_try_again() {
    let config = GuardConfig { retry_attempts: 0, ..quick() };
    let (_dir, backend, guard) = guarded(config).await;
    backend.fail_all(Fault::Unavailable);
    for _ in 0..config.breaker.failures {
        unavailable(guard.check_usable("key").await);
    }
    sleep(config.breaker.cool_down).await;
    unavailable(guard.check_usable("key").await);
    assert_eq!((guard.breaker(), guard.recorder.opened()), (BreakerState::Open, 2));
    backend.heal();
    sleep(config.breaker.cool_down).await;
    backend.hold_answers();
    let gone = tokio::time::timeout(Duration::from_secs(1), guard.check_usable("key")).await;
    assert!(gone.is_err(), "the caller went away");
    backend.release_answers();
    assert_eq!(count(&guard, "check_usable", "cancelled"), 1);
    guard.check_usable("key").await.unwrap();
    assert_eq!(guard.breaker(), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn only_so_many_calls_are_under_way_and_the_others_wait_no_longer_than_the_timeout() {
    let config = GuardConfig { max_concurrent_calls: 2, ..quick() };
    let (_dir, backend, guard) = guarded(config).await;
    backend.hold_answers();
    let call = || {
        let guard = Arc::clone(&guard);
        tokio::spawn(async move { guard.check_usable("key").await })
    };
    let first = [call(), call()];
    while backend.held_answers() < 2 {
        tokio::task::yield_now().await;
    }
    sleep(Duration::from_secs(1)).await;
    let third = call();
    sleep(Duration::from_secs(1)).await;
    assert_eq!((backend.counts().check, guard.recorder.in_flight()), (2, 3));
    third.abort();
    let _ = third.await;
    assert_eq!(guard.recorder.in_flight(), 2, "a caller that goes away waits no more");
    let fourth = call();
    sleep(Duration::from_secs(1)).await;
    backend.release_answers();
    fourth.await.unwrap().unwrap();
    for call in first {
        call.await.unwrap().unwrap();
    }
    assert_eq!((backend.counts().check, guard.recorder.in_flight()), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn who_waits_in_vain_for_a_turn_is_told_so() {
    let (_dir, backend, guard) = guarded(GuardConfig { max_concurrent_calls: 1, ..quick() }).await;
    let turn = guard.turns.acquire().await;
    let began = Instant::now();
    let text = unavailable(guard.check_usable("key").await);
    assert_eq!(text, "1 calls to it were under way for 10 seconds; see /kms/status");
    assert!((10_000..=10_001).contains(&began.elapsed().as_millis()));
    assert_eq!((count(&guard, "check_usable", "overloaded"), backend.counts().check), (1, 0));
    assert_eq!(guard.breaker(), BreakerState::Closed, "the backend itself did not fail");
    drop(turn);
    guard.check_usable("key").await.unwrap();
}

/// Fails the first calls of `create_key` after they were made.
struct Forgetful(LocalKms, AtomicUsize);

impl Forgetful {
    async fn create(&self, key: NewKey) -> Result<strongroom_kms::KeyMetadata, KmsError> {
        let created = self.0.create_key(key).await?;
        self.1.fetch_add(1, Ordering::SeqCst);
        drop(created);
        Err(KmsError::Unavailable("the answer was lost".to_owned()))
    }
}

#[tokio::test(start_paused = true)]
async fn what_must_not_be_done_twice_is_not_tried_again() {
    let (dir, _backend, guard) = guarded(quick()).await;
    let master = MasterKeySource::Value(Zeroizing::new([7; 32]));
    let local = LocalKms::open(LocalConfig { key_dir: dir.path().join("more"), master }).await.unwrap();
    let forgetful = Forgetful(local, AtomicUsize::new(0));
    let answer = guard.call(Operation::CreateKey, || forgetful.create(NewKey::default())).await;
    assert_eq!(unavailable(answer), "the answer was lost");
    assert_eq!(forgetful.1.load(Ordering::SeqCst), 1);
    assert_eq!(forgetful.0.list_keys(None, 10).await.unwrap().keys.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn latencies_are_counted_in_their_buckets() {
    let (_dir, backend, guard) = guarded(quick()).await;
    for millis in [4, 40, 40] {
        backend.delay(Duration::from_millis(millis));
        guard.check_usable("key").await.unwrap();
    }
    let latency = guard.recorder.operations().remove(0).latency;
    let at = |bound: f64| latency.buckets.iter().find(|(upper, _)| (upper - bound).abs() < 1e-9).map(|(_, count)| *count);
    assert_eq!((at(0.001), at(0.005), at(0.05), at(30.0)), (Some(0), Some(1), Some(3), Some(3)));
    assert_eq!(latency.count, 3);
    assert!((latency.sum_seconds - 0.084).abs() < 0.004, "{}", latency.sum_seconds);
}
