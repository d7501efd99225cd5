//! The outbox, and what is done to it.

use std::collections::BTreeMap;

use crate::{DeadSelector, Deleted, DeletionEvents, Lane, MAX_DEAD_STEP, NewEvent, OutboxEvent, OutboxTarget, SettledEvent};

#[derive(Clone, Debug, Default)]
pub(super) struct Outbox {
    last_position: i64,
    /// By position. Those with a failure are dead.
    events: BTreeMap<i64, OutboxEvent>,
    /// How many were dropped of each target that ever had an event.
    dropped: BTreeMap<String, u64>,
}

impl Outbox {
    pub(super) fn add_any(&mut self, event: Option<NewEvent>) {
        let Some(event) = event else { return };
        let queued = self.queued_of(&event.target).count() as u64;
        let dropped = self.dropped.entry(event.target.clone()).or_default();
        if queued >= event.max_queued.max(1) {
            *dropped += 1;
            return;
        }
        self.last_position += 1;
        let NewEvent { id, target, lane, added, record, .. } = event;
        let (position, sequence) = (self.last_position, self.last_position);
        self.events.insert(position, OutboxEvent { position, sequence, id, target, lane, added, record, failure: None });
    }

    pub(super) fn add_of(&mut self, events: DeletionEvents, deleted: &Deleted) {
        match deleted {
            Deleted::Nothing => {}
            Deleted::Removed { .. } => self.add_any(events.removed),
            Deleted::MarkerAdded { .. } => self.add_any(events.marked),
        }
    }

    pub(super) fn queued(&self, target: &str, after: i64, limit: usize) -> Vec<OutboxEvent> {
        self.queued_of(target).filter(|event| event.position > after).take(limit).cloned().collect()
    }

    pub(super) fn dead(&self, target: Option<&str>, after: i64, limit: usize) -> Vec<OutboxEvent> {
        let is_meant =
            |event: &&OutboxEvent| event.failure.is_some() && event.position > after && target.is_none_or(|target| event.target == target);
        self.events.values().filter(is_meant).take(limit).cloned().collect()
    }

    pub(super) fn settle(&mut self, target: &str, settled: &[SettledEvent], max_dead: u64) -> Vec<OutboxEvent> {
        for SettledEvent { position, failure, .. } in settled {
            let Some(event) = self.events.get_mut(position).filter(|event| event.target == target && event.failure.is_none()) else {
                continue;
            };
            if failure.is_none() {
                self.events.remove(position);
                continue;
            }
            event.failure.clone_from(failure);
            let dead = self.dead(Some(target), 0, usize::MAX);
            if dead.len() as u64 > max_dead {
                self.events.remove(&dead[0].position);
                *self.dropped.entry(target.to_owned()).or_default() += 1;
            }
        }
        let mut lanes: Vec<Lane> = settled.iter().map(|event| event.lane).collect();
        lanes.sort_unstable();
        lanes.dedup();
        lanes.into_iter().filter_map(|lane| self.queued_of(target).find(|event| event.lane == lane).cloned()).collect()
    }

    pub(super) fn requeue(&mut self, which: &DeadSelector) -> usize {
        let chosen = self.choose(which);
        for position in &chosen {
            if let Some(event) = self.events.remove(position) {
                self.last_position += 1;
                self.events.insert(self.last_position, OutboxEvent { position: self.last_position, failure: None, ..event });
            }
        }
        chosen.len()
    }

    pub(super) fn drop_dead(&mut self, which: &DeadSelector) -> usize {
        let chosen = self.choose(which);
        self.events.retain(|position, _| !chosen.contains(position));
        chosen.len()
    }

    pub(super) fn drop_queued(&mut self, target: &str) -> usize {
        let chosen: Vec<i64> = self.queued_of(target).take(MAX_DEAD_STEP).map(|event| event.position).collect();
        self.events.retain(|position, _| !chosen.contains(position));
        chosen.len()
    }

    pub(super) fn targets(&self) -> Vec<OutboxTarget> {
        let of = |(target, dropped): (&String, &u64)| OutboxTarget {
            target: target.clone(),
            queued: self.queued_of(target).count() as u64,
            dead: self.dead(Some(target), 0, usize::MAX).len() as u64,
            dropped: *dropped,
            oldest: self.queued_of(target).next().map(|event| event.added),
        };
        self.dropped.iter().map(of).collect()
    }

    fn queued_of(&self, target: &str) -> impl Iterator<Item = &OutboxEvent> {
        self.events.values().filter(move |event| event.target == target && event.failure.is_none())
    }

    fn choose(&self, which: &DeadSelector) -> Vec<i64> {
        let dead = self.events.values().filter(|event| event.failure.is_some());
        match which {
            DeadSelector::One(id) => dead.filter(|event| event.id == *id).map(|event| event.position).collect(),
            DeadSelector::OldestOf(target) => {
                dead.filter(|event| event.target == *target).take(MAX_DEAD_STEP).map(|event| event.position).collect()
            }
        }
    }
}
