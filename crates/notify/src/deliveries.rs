//! The deliveries to all targets: how they begin and end, and what is counted.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{sync::watch, task::JoinHandle};

use crate::{
    sender::HttpSender,
    target::{NotifyError, TargetConfig},
    worker::{Outbox, Worker},
};

/// How long a stop waits for the last settlements.
const STOP_TIME: Duration = Duration::from_secs(2);

/// The deliveries.
pub struct Deliveries {
    counts: BTreeMap<String, Arc<Counts>>,
    stop: watch::Sender<bool>,
    ready: Mutex<Vec<(TargetConfig, HttpSender)>>,
    running: Mutex<Vec<JoinHandle<()>>>,
}

/// What is counted of a target since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryNumbers {
    /// Events that the receiver has taken.
    pub delivered: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Events that were given up.
    pub died: u64,
    /// Attempts that failed since the last one that did not.
    pub failures_in_a_row: u32,
    /// What came of the last attempt that failed.
    pub last_failure: Option<String>,
}

impl Deliveries {
    /// Reads the files of the targets; nothing is sent yet. Blocks.
    pub fn open(targets: &[TargetConfig]) -> Result<Self, NotifyError> {
        let (mut counts, mut ready) = (BTreeMap::new(), Vec::new());
        for target in targets {
            target.check()?;
            if counts.insert(target.name.clone(), Arc::default()).is_some() {
                return Err(NotifyError::SameName(target.name.clone()));
            }
            ready.push((target.clone(), HttpSender::open(target)?));
        }
        Ok(Self { counts, stop: watch::Sender::new(false), ready: Mutex::new(ready), running: Mutex::default() })
    }

    /// Begins to deliver. To be called once.
    pub fn start(&self, outbox: &Arc<impl Outbox>) {
        let ready = std::mem::take(&mut *self.ready.lock().unwrap_or_else(PoisonError::into_inner));
        let workers = ready.into_iter().map(|(config, sender)| {
            let worker = Worker {
                counts: self.counts.get(&config.name).map(Arc::clone).unwrap_or_default(),
                name: config.name,
                outbox: Arc::clone(outbox) as Arc<dyn Outbox>,
                sender: Arc::new(sender),
                max_in_flight: config.max_in_flight,
                max_age: config.max_age,
                stop: self.stop.subscribe(),
            };
            tokio::spawn(worker.run())
        });
        self.running.lock().unwrap_or_else(PoisonError::into_inner).extend(workers);
    }

    /// Ends all deliveries, in bounded time. What was not settled is sent again after the next start.
    pub async fn stop(&self) {
        self.stop.send_replace(true);
        let running = std::mem::take(&mut *self.running.lock().unwrap_or_else(PoisonError::into_inner));
        let ended = async {
            for worker in running {
                // One that panicked has ended too.
                let _ = worker.await;
            }
        };
        if tokio::time::timeout(STOP_TIME, ended).await.is_err() {
            tracing::warn!("the deliveries of events did not end in time; what they had not settled is sent again after the next start");
        }
    }

    /// What is counted, by target.
    pub fn numbers(&self) -> BTreeMap<String, DeliveryNumbers> {
        self.counts.iter().map(|(name, counts)| (name.clone(), counts.numbers())).collect()
    }
}

/// Counters of a target.
#[derive(Default)]
pub(crate) struct Counts {
    delivered: AtomicU64,
    failed: AtomicU64,
    died: AtomicU64,
    in_a_row: AtomicU32,
    last_failure: Mutex<Option<String>>,
}

impl Counts {
    /// Notes a delivery; how many attempts had failed in a row before it.
    pub(crate) fn delivered(&self) -> u32 {
        self.delivered.fetch_add(1, Ordering::Relaxed);
        self.in_a_row.swap(0, Ordering::Relaxed)
    }

    /// Notes a failure; how many there are in a row.
    pub(crate) fn failed(&self, reason: &str) -> u32 {
        self.failed.fetch_add(1, Ordering::Relaxed);
        *self.last_failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
        let before = self.in_a_row.load(Ordering::Relaxed);
        self.in_a_row.store(before.saturating_add(1), Ordering::Relaxed);
        before.saturating_add(1)
    }

    pub(crate) fn died(&self) {
        self.died.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn failures_in_a_row(&self) -> u32 {
        self.in_a_row.load(Ordering::Relaxed)
    }

    fn numbers(&self) -> DeliveryNumbers {
        DeliveryNumbers {
            delivered: self.delivered.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            died: self.died.load(Ordering::Relaxed),
            failures_in_a_row: self.failures_in_a_row(),
            last_failure: self.last_failure.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}
