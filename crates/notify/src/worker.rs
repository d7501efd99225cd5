//! The loop of a target: it takes events from the outbox, sends those that may go, and settles what was delivered or is given up.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use strongroom_engine::{
    Engine, Error,
    events::{EventFailure, QueuedEvent, Settled},
};
use tokio::{
    sync::watch,
    task::{Id, JoinError, JoinSet},
    time::Instant,
};

use crate::{
    deliveries::Counts,
    lanes::{Lanes, MAX_LANES},
    sender::{Attempt, Sender},
};

/// So many events are read at a time.
const PAGE: usize = 100;
/// It is looked at least this often whether there are new events.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// How long to wait after the outbox failed.
const OUTBOX_PAUSE: Duration = Duration::from_secs(1);
/// An old event is tried so often before it is dead: the clock may have jumped.
const MIN_ATTEMPTS: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(5);
/// The log is told of events that are given up at most this often.
const TELL_INTERVAL: Duration = Duration::from_mins(1);
/// After so many failures in a row the receiver counts as away, and is asked once at a time until it answers.
const AWAY_AFTER: u32 = 8;

/// Where events wait. The engine's, or one of tests.
#[async_trait]
pub trait Outbox: Send + Sync + 'static {
    /// See [`Engine::queued_events`].
    async fn queued(&self, target: &str, after: i64, limit: usize) -> Result<Vec<QueuedEvent>, Error>;
    /// See [`Engine::settle_events`].
    async fn settle(&self, target: &str, settled: &[Settled]) -> Result<Vec<QueuedEvent>, Error>;
    /// See [`Engine::await_events`].
    async fn wait(&self, target: &str, longest: Duration);
}

#[async_trait]
impl Outbox for Engine {
    async fn queued(&self, target: &str, after: i64, limit: usize) -> Result<Vec<QueuedEvent>, Error> {
        self.queued_events(target, after, limit).await
    }

    async fn settle(&self, target: &str, settled: &[Settled]) -> Result<Vec<QueuedEvent>, Error> {
        self.settle_events(target, settled).await
    }

    async fn wait(&self, target: &str, longest: Duration) {
        self.await_events(target, longest).await;
    }
}

/// A target at work.
pub(crate) struct Worker {
    pub(crate) name: String,
    pub(crate) outbox: Arc<dyn Outbox>,
    pub(crate) sender: Arc<dyn Sender>,
    pub(crate) max_in_flight: usize,
    pub(crate) max_age: Duration,
    pub(crate) counts: Arc<Counts>,
    pub(crate) stop: watch::Receiver<bool>,
}

/// What is known while it runs.
struct Work {
    lanes: Lanes,
    under_way: JoinSet<Attempt>,
    /// What each attempt is about, and which attempt it is.
    attempts: HashMap<Id, (QueuedEvent, u32)>,
    settled: Vec<Settled>,
    /// The receiver has asked for nothing before then.
    held_until: Option<Instant>,
    clock: Steady,
    /// When the log was last told of events that are given up, and how many there were since.
    told: Option<Instant>,
    untold: u64,
}

impl Worker {
    /// Until it is told to stop. What is under way then is given up, and sent again after the next start.
    pub(crate) async fn run(self) {
        let mut work = Work {
            lanes: Lanes::new(MAX_LANES),
            under_way: JoinSet::new(),
            attempts: HashMap::new(),
            settled: Vec::new(),
            held_until: None,
            clock: Steady::new(),
            told: None,
            untold: 0,
        };
        let mut stop = self.stop.clone();
        while !*stop.borrow() {
            let stepped = tokio::select! {
                stepped = self.step(&mut work) => stepped,
                _ = stop.wait_for(|stop| *stop) => break,
            };
            if let Err(error) = stepped {
                tracing::warn!(target_name = self.name, %error, "the outbox of a notification target fails, and is tried again");
                tokio::select! {
                    () = tokio::time::sleep(OUTBOX_PAUSE) => {}
                    _ = stop.wait_for(|stop| *stop) => break,
                }
            }
        }
        self.collect(&mut work);
        work.under_way.abort_all();
        // What the receiver has need not be sent again.
        if let Err(error) = self.settle(&mut work).await {
            tracing::warn!(target_name = self.name, %error, "what was delivered could not be settled, and is sent again after the next start");
        }
    }

    /// Settles, fills up, sends, and waits for what happens next. Where its future is dropped nothing is lost but the wait.
    async fn step(&self, work: &mut Work) -> Result<(), Error> {
        self.collect(work);
        self.settle(work).await?;
        // A page at a time: of many events of few keys all pages are read, and the first events go before the last page.
        if let Some(after) = work.lanes.wants_page() {
            let page = self.outbox.queued(&self.name, after, PAGE).await?;
            work.lanes.add_page(page, PAGE);
        }
        self.send_ready(work);
        if !work.settled.is_empty() || work.lanes.wants_page().is_some() {
            return Ok(());
        }
        let due = work.held_until.or_else(|| work.lanes.next_due());
        tokio::select! {
            Some(done) = work.under_way.join_next_with_id() => self.joined(work, done),
            () = sleep_until(due), if due.is_some() && work.under_way.len() < self.in_flight_limit() => {}
            () = self.outbox.wait(&self.name, LOOK_INTERVAL), if work.lanes.is_at_end() => work.lanes.look_again(),
            else => tokio::time::sleep(OUTBOX_PAUSE).await,
        }
        Ok(())
    }

    fn send_ready(&self, work: &mut Work) {
        work.held_until = work.held_until.filter(|until| *until > Instant::now());
        if work.held_until.is_some() {
            return;
        }
        while let Some((event, attempts)) = work.lanes.start(Instant::now(), self.in_flight_limit()) {
            if let Some(told) = event.record.clone() {
                let (sender, sent) = (Arc::clone(&self.sender), event.clone());
                let task = work.under_way.spawn(async move { sender.send(&sent, &told).await });
                work.attempts.insert(task.id(), (event, attempts + 1));
            } else {
                self.give_up(work, &event, attempts, "its row was altered on the disk".to_owned());
            }
        }
    }

    /// Notes the attempts that have ended.
    fn collect(&self, work: &mut Work) {
        while let Some(done) = work.under_way.try_join_next_with_id() {
            self.joined(work, done);
        }
    }

    fn joined(&self, work: &mut Work, done: Result<(Id, Attempt), JoinError>) {
        let (id, attempt) = match done {
            Ok(done) => done,
            Err(error) => (error.id(), Attempt::Failed("an internal error; the log has it".to_owned(), Duration::ZERO)),
        };
        if let Some((event, attempts)) = work.attempts.remove(&id) {
            self.note(work, &event, attempts, attempt);
        }
    }

    fn note(&self, work: &mut Work, event: &QueuedEvent, attempts: u32, attempt: Attempt) {
        match attempt {
            Attempt::Delivered => {
                if self.counts.delivered() >= AWAY_AFTER {
                    tracing::info!(target_name = self.name, "a notification target answers again");
                    work.lanes.retry_all();
                }
                work.lanes.ended(event.lane);
                work.settled.push(Settled { position: event.position, id: event.id, lane: event.lane, failure: None });
            }
            Attempt::Refused(reason) => {
                self.counts.failed(&reason);
                self.give_up(work, event, attempts, reason);
            }
            Attempt::Failed(reason, not_before) => {
                if !not_before.is_zero() {
                    work.held_until = work.held_until.max(Some(Instant::now() + not_before));
                }
                if self.counts.failed(&reason) == AWAY_AFTER {
                    tracing::warn!(target_name = self.name, reason, "a notification target does not take events");
                }
                let is_old = work.clock.age_of(event.added) >= self.max_age;
                if is_old && attempts >= MIN_ATTEMPTS {
                    self.give_up(work, event, attempts, reason);
                } else {
                    work.lanes.failed(event.lane, Instant::now() + pause(attempts));
                }
            }
        }
    }

    fn give_up(&self, work: &mut Work, event: &QueuedEvent, attempts: u32, reason: String) {
        self.counts.died();
        self.tell(work, &reason);
        tracing::debug!(target_name = self.name, event = %event.id, attempts, reason, "an event is given up");
        work.lanes.ended(event.lane);
        let failure = Some(EventFailure { attempts, reason, at: work.clock.now_ms() });
        work.settled.push(Settled { position: event.position, id: event.id, lane: event.lane, failure });
    }

    /// There may be very many.
    fn tell(&self, work: &mut Work, reason: &str) {
        work.untold += 1;
        if work.told.is_none_or(|told| told.elapsed() >= TELL_INTERVAL) {
            let events = std::mem::take(&mut work.untold);
            work.told = Some(Instant::now());
            tracing::warn!(target_name = self.name, events, reason, "events are given up; strongroom events dead lists them");
        }
    }

    /// In one transaction, however many there are.
    async fn settle(&self, work: &mut Work) -> Result<(), Error> {
        if work.settled.is_empty() {
            return Ok(());
        }
        let next = self.outbox.settle(&self.name, &work.settled).await?;
        let lanes: Vec<_> = work.settled.drain(..).map(|settled| settled.lane).collect();
        work.lanes.settled(lanes, next);
        Ok(())
    }

    fn in_flight_limit(&self) -> usize {
        if self.counts.failures_in_a_row() >= AWAY_AFTER { 1 } else { self.max_in_flight }
    }
}

async fn sleep_until(due: Option<Instant>) {
    if let Some(due) = due {
        tokio::time::sleep_until(due).await;
    }
}

/// Twice as long after each attempt, and a random half of it left out, so that many do not come at once.
fn pause(attempts: u32) -> Duration {
    let longest = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(attempts.saturating_sub(1).min(16))).min(LONGEST_PAUSE);
    let mut random = [0; 2];
    // Without randomness they come together, which is no harm.
    let _ = aws_lc_rs::rand::fill(&mut random);
    longest / 2 + longest.mul_f64(f64::from(u16::from_be_bytes(random)) / f64::from(u16::MAX) / 2.0)
}

/// The wall clock as it was at the start, carried on by the monotonic one: ages do not jump.
struct Steady {
    begun: Instant,
    begun_ms: i64,
}

impl Steady {
    fn new() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { begun: Instant::now(), begun_ms: i64::try_from(now.as_millis()).unwrap_or(i64::MAX) }
    }

    fn now_ms(&self) -> i64 {
        self.begun_ms.saturating_add(i64::try_from(self.begun.elapsed().as_millis()).unwrap_or(i64::MAX))
    }

    /// What comes from the future is new.
    fn age_of(&self, added: i64) -> Duration {
        Duration::from_millis(u64::try_from(self.now_ms().saturating_sub(added)).unwrap_or(0))
    }
}

#[cfg(test)]
#[path = "worker_tests.rs"]
mod tests;
