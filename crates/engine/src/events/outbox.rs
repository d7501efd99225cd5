//! What the delivery reads and settles, and what an operator does with dead events.

use std::time::Duration;

use strongroom_catalog::{DeadSelector, EventId, Lane, MAX_DEAD_STEP, OutboxEvent, OutboxTarget, SettledEvent, UnixMillis};

use super::{EventFailure, EventRecord};
use crate::{Engine, Error};

/// So many dead events are kept of a target that is not configured any more.
const MAX_DEAD_BY_DEFAULT: u64 = 100_000;

/// An event that waits for its delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedEvent {
    /// Its place in the outbox.
    pub position: i64,
    /// Of two events of an object, the later one has the greater.
    pub sequence: i64,
    /// Its id, the same at every delivery.
    pub id: EventId,
    /// Of a lane one event is under way at a time.
    pub lane: Lane,
    /// When it happened.
    pub added: UnixMillis,
    /// What happened; none where its row was altered.
    pub record: Option<EventRecord>,
}

/// An event that is done with.
#[derive(Clone, Debug)]
pub struct Settled {
    /// Its place in the outbox.
    pub position: i64,
    /// Its id.
    pub id: EventId,
    /// Its lane.
    pub lane: Lane,
    /// Why it is given up; none where it was delivered.
    pub failure: Option<EventFailure>,
}

/// A dead event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadEvent {
    /// Its place in the outbox: pages go on behind it.
    pub position: i64,
    /// Its id.
    pub id: EventId,
    /// The name of its target.
    pub target: String,
    /// When it happened.
    pub added: UnixMillis,
    /// What happened; none where its row was altered.
    pub record: Option<EventRecord>,
    /// Why it is dead; none where its row was altered.
    pub failure: Option<EventFailure>,
}

/// Which dead events are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeadEvents {
    /// This one.
    One(EventId),
    /// All of a target, as many as there are now.
    AllOf(String),
}

impl Engine {
    /// Waits until an event of the target was committed since the last call, or for so long.
    pub async fn await_events(&self, target: &str, longest: Duration) {
        match self.targets().bell(target) {
            Some(bell) => drop(tokio::time::timeout(longest, bell.notified()).await),
            None => tokio::time::sleep(longest).await,
        }
    }

    /// Queued events of a target behind `after`, in the order of commit.
    pub async fn queued_events(&self, target: &str, after: i64, limit: usize) -> Result<Vec<QueuedEvent>, Error> {
        let events = self.catalog().queued_events(target, after, limit).await?;
        Ok(events.iter().map(|event| self.opened(event)).collect())
    }

    /// Removes events that were delivered, and lays aside those that are given up. Answers the next event of each of their lanes.
    pub async fn settle_events(&self, target: &str, settled: &[Settled]) -> Result<Vec<QueuedEvent>, Error> {
        let sealed: Result<Vec<_>, Error> = settled.iter().map(|event| self.sealed(event)).collect();
        let (sealed, max_dead) = (sealed?, self.targets().find(target).map_or(MAX_DEAD_BY_DEFAULT, |target| target.max_dead));
        let next = self.making_room(|| self.catalog().settle_events(target, sealed.clone(), max_dead)).await;
        Ok(self.settled(next).await?.iter().map(|event| self.opened(event)).collect())
    }

    /// What the outbox holds, by target.
    pub async fn outbox(&self) -> Result<Vec<OutboxTarget>, Error> {
        Ok(self.catalog().outbox().await?)
    }

    /// Dead events behind the position `after`, of one target or of all, in the order of commit.
    pub async fn dead_events(&self, target: Option<&str>, after: i64, limit: usize) -> Result<Vec<DeadEvent>, Error> {
        let dead = self.catalog().dead_events(target, after, limit).await?;
        let shown = |event: OutboxEvent| DeadEvent {
            record: self.open_event(&event),
            failure: self.open_failure(&event),
            position: event.position,
            id: event.id,
            target: event.target,
            added: event.added,
        };
        Ok(dead.into_iter().map(shown).collect())
    }

    /// Queues dead events again, behind all others. How many there were.
    pub async fn resend_dead_events(&self, which: DeadEvents) -> Result<u64, Error> {
        let done = self.in_steps(&which, |selector| self.catalog().requeue_dead(selector)).await?;
        for target in self.outbox().await? {
            if let Some(bell) = self.targets().bell(&target.target) {
                bell.notify_one();
            }
        }
        Ok(done)
    }

    /// Removes dead events for good. How many there were.
    pub async fn drop_dead_events(&self, which: DeadEvents) -> Result<u64, Error> {
        self.in_steps(&which, |selector| self.catalog().drop_dead(selector)).await
    }

    /// Removes all events that are queued for a target now. How many there were.
    pub async fn drop_queued_events(&self, target: &str) -> Result<u64, Error> {
        let (mut left, mut done) = (self.held_of(target).await?.queued, 0);
        while left > 0 {
            let dropped = self.making_room(|| self.catalog().drop_queued(target)).await;
            let dropped = self.settled(dropped).await? as u64;
            if dropped == 0 {
                break;
            }
            (left, done) = (left.saturating_sub(dropped), done + dropped);
        }
        Ok(done)
    }

    /// In bounded transactions, and to an end although what is queued again may be dead again meanwhile.
    async fn in_steps<F>(&self, which: &DeadEvents, step: impl Fn(DeadSelector) -> F) -> Result<u64, Error>
    where
        F: Future<Output = Result<usize, strongroom_catalog::CatalogError>>,
    {
        let target = match which {
            DeadEvents::One(id) => {
                let done = self.making_room(|| step(DeadSelector::One(*id))).await;
                return Ok(self.settled(done).await? as u64);
            }
            DeadEvents::AllOf(target) => target,
        };
        let steps = self.held_of(target).await?.dead.div_ceil(MAX_DEAD_STEP as u64);
        let mut done = 0;
        for _ in 0..steps {
            let of_step = self.making_room(|| step(DeadSelector::OldestOf(target.clone()))).await;
            done += self.settled(of_step).await? as u64;
        }
        Ok(done)
    }

    async fn held_of(&self, target: &str) -> Result<OutboxTarget, Error> {
        let found = self.outbox().await?.into_iter().find(|held| held.target == target);
        Ok(found.unwrap_or_default())
    }

    fn opened(&self, event: &OutboxEvent) -> QueuedEvent {
        let OutboxEvent { position, sequence, id, lane, added, .. } = *event;
        QueuedEvent { position, sequence, id, lane, added, record: self.open_event(event) }
    }

    fn sealed(&self, event: &Settled) -> Result<SettledEvent, Error> {
        let failure = event.failure.as_ref().map(|failure| self.seal_failure(event.id, failure)).transpose()?;
        Ok(SettledEvent { position: event.position, lane: event.lane, failure })
    }
}
