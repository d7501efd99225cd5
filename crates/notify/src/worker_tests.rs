#![allow(clippy::unwrap_used)]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, atomic::AtomicUsize, atomic::Ordering::SeqCst},
};

use strongroom_engine::events::{EventId, EventRecord};

use super::*;
use crate::s3::tests::told;

/// An outbox in memory, which can be made to fail.
#[derive(Default)]
struct MemoryOutbox {
    events: Mutex<BTreeMap<i64, QueuedEvent>>,
    dead: Mutex<Vec<(i64, EventFailure)>>,
    settlements: AtomicUsize,
    faults: AtomicUsize,
    pages: AtomicUsize,
}

impl MemoryOutbox {
    fn events(&self) -> MutexGuard<'_, BTreeMap<i64, QueuedEvent>> {
        self.events.lock().unwrap()
    }

    fn add(&self, position: i64, lane: u8, added: i64) {
        let id = EventId([u8::try_from(position % 251).unwrap(); 16]);
        let record = Some(EventRecord { key: position.to_string(), ..told() });
        self.events().insert(position, QueuedEvent { position, sequence: position, id, lane: [lane; 16], added, record });
    }

    fn fail(&self) -> Result<(), Error> {
        let fails = self.faults.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok();
        if fails { Err(Error::Busy) } else { Ok(()) }
    }

    async fn until_empty(&self) {
        while !self.events().is_empty() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

#[async_trait]
impl Outbox for MemoryOutbox {
    async fn queued(&self, _: &str, after: i64, limit: usize) -> Result<Vec<QueuedEvent>, Error> {
        self.fail()?;
        self.pages.fetch_add(1, SeqCst);
        tokio::time::sleep(Duration::from_millis(10)).await;
        Ok(self.events().range(after + 1..).take(limit).map(|(_, event)| event.clone()).collect())
    }

    async fn settle(&self, _: &str, settled: &[Settled]) -> Result<Vec<QueuedEvent>, Error> {
        self.fail()?;
        self.settlements.fetch_add(1, SeqCst);
        // As a commit takes its time.
        tokio::time::sleep(Duration::from_millis(3)).await;
        let mut events = self.events();
        for settled in settled {
            events.remove(&settled.position);
            self.dead.lock().unwrap().extend(settled.failure.clone().map(|failure| (settled.position, failure)));
        }
        let lanes: BTreeSet<_> = settled.iter().map(|settled| settled.lane).collect();
        Ok(lanes.into_iter().filter_map(|lane| events.values().find(|event| event.lane == lane).cloned()).collect())
    }

    async fn wait(&self, _: &str, longest: Duration) {
        tokio::time::sleep(longest).await;
    }
}

type Answer = Box<dyn Fn(i64, usize) -> Attempt + Send + Sync>;

/// A receiver, and what it was sent.
struct Receiver {
    /// What it answers, by the position of the event and how often that came before.
    answer: Answer,
    time: Duration,
    got: Mutex<Vec<i64>>,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
}

#[async_trait]
impl Sender for Receiver {
    async fn send(&self, event: &QueuedEvent, _: &EventRecord) -> Attempt {
        let before = {
            let mut got = self.got.lock().unwrap();
            let before = got.iter().filter(|position| **position == event.position).count();
            got.push(event.position);
            before
        };
        self.most_at_once.fetch_max(self.at_once.fetch_add(1, SeqCst) + 1, SeqCst);
        tokio::time::sleep(self.time).await;
        self.at_once.fetch_sub(1, SeqCst);
        (self.answer)(event.position, before)
    }
}

struct Rig {
    outbox: Arc<MemoryOutbox>,
    receiver: Arc<Receiver>,
    counts: Arc<Counts>,
    stop: watch::Sender<bool>,
    worker: tokio::task::JoinHandle<()>,
}

fn rig(outbox: MemoryOutbox, answer: impl Fn(i64, usize) -> Attempt + Send + Sync + 'static) -> Rig {
    rig_of(outbox, Duration::from_millis(10), answer)
}

fn rig_of(outbox: MemoryOutbox, time: Duration, answer: impl Fn(i64, usize) -> Attempt + Send + Sync + 'static) -> Rig {
    let (at_once, most_at_once) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let receiver = Arc::new(Receiver { answer: Box::new(answer), time, got: Mutex::default(), at_once, most_at_once });
    let (outbox, counts, stop) = (Arc::new(outbox), Arc::<Counts>::default(), watch::Sender::new(false));
    let worker = Worker {
        name: "hook".to_owned(),
        outbox: Arc::clone(&outbox) as _,
        sender: Arc::clone(&receiver) as _,
        max_in_flight: 4,
        max_age: Duration::from_hours(24),
        counts: Arc::clone(&counts),
        stop: stop.subscribe(),
    };
    Rig { outbox, receiver, counts, stop, worker: tokio::spawn(worker.run()) }
}

impl Rig {
    fn got(&self) -> Vec<i64> {
        self.receiver.got.lock().unwrap().clone()
    }

    async fn end(self) {
        self.stop.send_replace(true);
        self.worker.await.unwrap();
    }
}

fn now_ms() -> i64 {
    Steady::new().begun_ms
}

fn outbox(events: impl IntoIterator<Item = (i64, u8)>) -> MemoryOutbox {
    let (outbox, now) = (MemoryOutbox::default(), now_ms());
    for (position, lane) in events {
        outbox.add(position, lane, now);
    }
    outbox
}

fn unwell() -> Attempt {
    Attempt::Failed("500".to_owned(), Duration::ZERO)
}

#[tokio::test(start_paused = true)]
async fn all_is_delivered_several_at_once_and_settled_in_groups() {
    let rig = rig(outbox((1..=300).map(|at| (at, u8::try_from(at % 100).unwrap()))), |_, _| Attempt::Delivered);
    rig.outbox.until_empty().await;
    let mut got = rig.got();
    for lane in 0..100 {
        let of_lane: Vec<_> = got.iter().filter(|at| **at % 100 == lane).collect();
        assert!(of_lane.is_sorted(), "{of_lane:?}");
    }
    got.sort_unstable();
    assert_eq!(got, (1..=300).collect::<Vec<_>>(), "each once");
    assert_eq!(rig.receiver.most_at_once.load(SeqCst), 4);
    assert!(rig.outbox.settlements.load(SeqCst) <= 150, "{:?}", rig.outbox.settlements);
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_key_that_fails_is_tried_again_in_its_order_and_the_others_go_on() {
    let rig = rig(outbox([(1, 1), (2, 1), (3, 2), (4, 1)]), |at, before| if at == 1 && before < 5 { unwell() } else { Attempt::Delivered });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(rig.got(), [1, 3]);
    rig.outbox.until_empty().await;
    assert_eq!(rig.got(), [1, 3, 1, 1, 1, 1, 1, 2, 4]);
    assert_eq!((rig.counts.failures_in_a_row(), rig.outbox.dead.lock().unwrap().len()), (0, 0));
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_is_away_is_asked_one_at_a_time_and_gets_all_at_once_when_it_is_back() {
    let back = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let is_back = Arc::clone(&back);
    let answer = move |_, _| if is_back.load(SeqCst) { Attempt::Delivered } else { unwell() };
    let rig = rig(outbox((1..=50).map(|at| (at, u8::try_from(at).unwrap()))), answer);
    tokio::time::sleep(Duration::from_hours(3)).await;
    rig.receiver.most_at_once.store(0, SeqCst);
    let tried = rig.got().len();
    tokio::time::sleep(Duration::from_hours(1)).await;
    assert_eq!(rig.receiver.most_at_once.load(SeqCst), 1);
    let in_an_hour = rig.got().len() - tried;
    assert!((50 * 12..=50 * 24 + 50).contains(&in_an_hour), "each some every two to five minutes: {in_an_hour}");
    back.store(true, SeqCst);
    let begun = Instant::now();
    rig.outbox.until_empty().await;
    assert!(begun.elapsed() < Duration::from_mins(1), "{:?}", begun.elapsed());
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_event_is_dead_when_it_is_old_and_failed_three_times_and_one_from_the_future_is_new() {
    let (outbox, now) = (MemoryOutbox::default(), now_ms());
    outbox.add(1, 1, now - 25 * 3_600_000);
    outbox.add(2, 2, now);
    outbox.add(3, 3, now + 1000 * 3_600_000);
    let rig = rig(outbox, |_, _| unwell());
    tokio::time::sleep(Duration::from_mins(5)).await;
    let dead = rig.outbox.dead.lock().unwrap().clone();
    assert_eq!(dead.iter().map(|(at, failure)| (*at, failure.attempts, failure.reason.as_str())).collect::<Vec<_>>(), [(1, 3, "500")]);
    tokio::time::sleep(Duration::from_hours(25)).await;
    assert_eq!(rig.outbox.dead.lock().unwrap().iter().map(|(at, _)| *at).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(rig.outbox.events().keys().copied().collect::<Vec<_>>(), [3]);
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_the_receiver_never_takes_is_dead_at_once_and_so_is_what_was_altered() {
    let outbox = outbox([(1, 1), (2, 1), (3, 2)]);
    outbox.events().get_mut(&3).unwrap().record = None;
    let rig = rig(outbox, |at, _| if at == 1 { Attempt::Refused("410 Gone".to_owned()) } else { Attempt::Delivered });
    rig.outbox.until_empty().await;
    let mut dead: Vec<_> = rig.outbox.dead.lock().unwrap().iter().map(|(at, failure)| (*at, failure.reason.clone())).collect();
    dead.sort_unstable();
    assert_eq!(dead, [(1, "410 Gone".to_owned()), (3, "its row was altered on the disk".to_owned())]);
    assert_eq!(rig.got(), [1, 2]);
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_outbox_that_fails_costs_time_and_nothing_else() {
    let outbox = outbox((1..=20).map(|at| (at, u8::try_from(at % 5).unwrap())));
    outbox.faults.store(7, SeqCst);
    let rig = rig(outbox, |_, _| Attempt::Delivered);
    rig.outbox.until_empty().await;
    let got: BTreeSet<_> = rig.got().into_iter().collect();
    assert_eq!(got, (1..=20).collect());
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_delivery_that_panics_counts_as_failed() {
    let rig = rig(outbox([(1, 1), (2, 1)]), |at, before| {
        assert!(at != 1 || before > 0, "a defect");
        Attempt::Delivered
    });
    rig.outbox.until_empty().await;
    assert_eq!(rig.got(), [1, 1, 2]);
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_is_quick_while_a_receiver_hangs_and_settles_what_was_taken() {
    let rig = rig_of(outbox([(1, 1), (2, 2)]), Duration::from_hours(1), |_, _| Attempt::Delivered);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let begun = Instant::now();
    let outbox = Arc::clone(&rig.outbox);
    rig.end().await;
    assert!(begun.elapsed() < Duration::from_secs(1));
    assert_eq!(outbox.events().len(), 2, "they are sent again after the next start");
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_asks_for_time_gets_nothing_until_then() {
    let put_off = |_, before| if before == 0 { Attempt::Failed("503".to_owned(), Duration::from_secs(90)) } else { Attempt::Delivered };
    let rig = rig(outbox([(1, 1)]), put_off);
    tokio::time::sleep(Duration::from_secs(1)).await;
    rig.outbox.add(2, 2, now_ms());
    tokio::time::sleep(Duration::from_secs(88)).await;
    assert_eq!(rig.got(), [1]);
    rig.outbox.until_empty().await;
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn many_events_of_few_keys_go_before_all_of_them_were_read() {
    let rig = rig(outbox((1..=3000).map(|at| (at, u8::from(at == 2)))), |_, _| unwell());
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(rig.got(), [1, 2]);
    let pages = rig.outbox.pages.load(SeqCst);
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert!(pages < 15 && rig.outbox.pages.load(SeqCst) >= 30, "{pages}");
    rig.end().await;
}

#[test]
fn pauses_grow_to_five_minutes_and_are_never_the_same_for_all() {
    for (attempts, longest) in [(1, 1), (2, 2), (5, 16), (9, 256), (10, 300), (u32::MAX, 300)] {
        let pauses: BTreeSet<_> = (0..50).map(|_| pause(attempts)).collect();
        let longest = Duration::from_secs(longest);
        assert!(pauses.iter().all(|pause| (longest / 2..=longest).contains(pause)), "{attempts}: {pauses:?}");
        assert!(pauses.len() > 10);
    }
}
