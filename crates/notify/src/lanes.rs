//! Which event of a target is next. Of each lane the first event is held here and no other: the next one comes when it is settled. So the events of a key go
//! one after another, in the order of commit, and a key whose events fail holds up no other.

use std::collections::{BTreeSet, HashMap};

use strongroom_engine::events::{Lane, QueuedEvent};
use tokio::time::Instant;

/// So many lanes are held: as many keys may fail before further ones wait for them.
pub(crate) const MAX_LANES: usize = 1000;

/// The lanes of a target.
pub(crate) struct Lanes {
    most: usize,
    heads: HashMap<Lane, Head>,
    /// By position.
    ready: BTreeSet<(i64, Lane)>,
    /// By the time of the next attempt.
    waiting: BTreeSet<(Instant, Lane)>,
    in_flight: usize,
    /// All events up to this position were looked at.
    cursor: i64,
    /// Whether there was none behind the cursor.
    is_at_end: bool,
}

/// The first event of a lane.
struct Head {
    event: QueuedEvent,
    attempts: u32,
    state: State,
}

#[derive(Clone, Copy)]
enum State {
    Ready,
    Waiting(Instant),
    InFlight,
}

impl Lanes {
    pub(crate) fn new(most: usize) -> Self {
        let (ready, waiting) = (BTreeSet::new(), BTreeSet::new());
        Self { most, heads: HashMap::new(), ready, waiting, in_flight: 0, cursor: 0, is_at_end: false }
    }

    /// Where the next page begins, if there is room for one.
    pub(crate) fn wants_page(&self) -> Option<i64> {
        (!self.is_at_end && self.heads.len() < self.most).then_some(self.cursor)
    }

    /// Whether all that was committed when it was last looked is held, or waits behind what is held.
    pub(crate) fn is_at_end(&self) -> bool {
        self.is_at_end
    }

    /// Takes in a page of the outbox, which holds fewer events than were asked for only where no more follow.
    pub(crate) fn add_page(&mut self, page: Vec<QueuedEvent>, asked: usize) {
        let is_last = page.len() < asked;
        for event in page {
            if self.heads.contains_key(&event.lane) {
                // Its turn comes when the one before it is settled.
                self.cursor = event.position;
            } else if self.heads.len() < self.most {
                self.cursor = event.position;
                self.put(event);
            } else {
                return;
            }
        }
        self.is_at_end = is_last;
    }

    /// There may be more behind the cursor.
    pub(crate) fn look_again(&mut self) {
        self.is_at_end = false;
    }

    /// The next event to deliver, if one may go now, and how often it was tried. Its lane is in flight from then on.
    pub(crate) fn start(&mut self, now: Instant, max_in_flight: usize) -> Option<(QueuedEvent, u32)> {
        if self.in_flight >= max_in_flight {
            return None;
        }
        while let Some(&(due, lane)) = self.waiting.first().filter(|(due, _)| *due <= now) {
            self.waiting.remove(&(due, lane));
            if let Some(head) = self.heads.get_mut(&lane) {
                head.state = State::Ready;
                self.ready.insert((head.event.position, lane));
            }
        }
        let (_, lane) = self.ready.pop_first()?;
        let head = self.heads.get_mut(&lane)?;
        head.state = State::InFlight;
        self.in_flight += 1;
        Some((head.event.clone(), head.attempts))
    }

    /// An attempt failed; the next one is at `due`.
    pub(crate) fn failed(&mut self, lane: Lane, due: Instant) {
        if let Some(head) = self.heads.get_mut(&lane) {
            head.attempts = head.attempts.saturating_add(1);
            head.state = State::Waiting(due);
            self.in_flight -= 1;
            self.waiting.insert((due, lane));
        }
    }

    /// The attempt has ended for good; the lane goes on with [`Self::settled`].
    pub(crate) fn ended(&mut self, lane: Lane) {
        debug_assert!(self.heads.get(&lane).is_some_and(|head| matches!(head.state, State::InFlight)), "it was under way");
        self.in_flight -= 1;
    }

    /// The first events of these lanes were settled, and `next` are the first ones now.
    pub(crate) fn settled(&mut self, lanes: impl IntoIterator<Item = Lane>, next: Vec<QueuedEvent>) {
        for lane in lanes {
            self.heads.remove(&lane);
        }
        for event in next {
            self.put(event);
        }
    }

    /// Everything that waits may go at once: the receiver answers again.
    pub(crate) fn retry_all(&mut self) {
        for (_, lane) in std::mem::take(&mut self.waiting) {
            if let Some(head) = self.heads.get_mut(&lane) {
                head.state = State::Ready;
                self.ready.insert((head.event.position, lane));
            }
        }
    }

    /// When the next event that waits may go.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.waiting.first().map(|(due, _)| *due)
    }

    fn put(&mut self, event: QueuedEvent) {
        let (position, lane) = (event.position, event.lane);
        let replaced = self.heads.insert(lane, Head { event, attempts: 0, state: State::Ready });
        if let Some(Head { event, state, .. }) = replaced {
            match state {
                State::Ready => drop(self.ready.remove(&(event.position, lane))),
                State::Waiting(due) => drop(self.waiting.remove(&(due, lane))),
                State::InFlight => {}
            }
        }
        self.ready.insert((position, lane));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use strongroom_engine::events::EventId;

    use super::*;

    fn event(position: i64, lane: u8) -> QueuedEvent {
        let id = [u8::try_from(position).unwrap(); 16];
        QueuedEvent { position, sequence: position, id: EventId(id), lane: [lane; 16], added: 0, record: None }
    }

    fn started(lanes: &mut Lanes, now: Instant) -> Vec<i64> {
        std::iter::from_fn(|| lanes.start(now, 2)).map(|(event, _)| event.position).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn of_a_lane_one_event_is_under_way_and_the_next_comes_when_it_is_settled() {
        let (mut lanes, now) = (Lanes::new(10), Instant::now());
        assert_eq!(lanes.wants_page(), Some(0));
        lanes.add_page(vec![event(1, 1), event(2, 1), event(3, 2), event(4, 3)], 100);
        assert!(lanes.wants_page().is_none() && lanes.is_at_end());
        assert_eq!(started(&mut lanes, now), [1, 3], "two at a time, and of lane 1 only the first");
        lanes.ended([1; 16]);
        lanes.settled([[1; 16]], vec![event(2, 1)]);
        assert_eq!(started(&mut lanes, now), [2]);
        lanes.ended([2; 16]);
        lanes.settled([[2; 16]], Vec::new());
        assert_eq!(started(&mut lanes, now), [4]);
        lanes.look_again();
        assert_eq!(lanes.wants_page(), Some(4));
    }

    #[tokio::test(start_paused = true)]
    async fn a_lane_that_fails_waits_and_the_others_go_on() {
        let (mut lanes, now) = (Lanes::new(10), Instant::now());
        lanes.add_page(vec![event(1, 1), event(2, 2), event(3, 3)], 100);
        assert_eq!(started(&mut lanes, now), [1, 2]);
        let due = now + Duration::from_secs(5);
        lanes.failed([1; 16], due);
        assert_eq!((started(&mut lanes, now), lanes.next_due()), (vec![3], Some(due)));
        lanes.ended([2; 16]);
        lanes.settled([[2; 16]], Vec::new());
        assert_eq!(started(&mut lanes, now), [0_i64; 0]);
        assert_eq!(lanes.start(due, 2).map(|(event, attempts)| (event.position, attempts)), Some((1, 1)));
        lanes.failed([1; 16], due + Duration::from_hours(1));
        lanes.retry_all();
        assert_eq!(lanes.start(due, 2).map(|(event, attempts)| (event.position, attempts)), Some((1, 2)));
    }

    #[test]
    fn no_more_lanes_are_held_than_the_bound_and_nothing_behind_is_passed_over() {
        let mut lanes = Lanes::new(2);
        lanes.add_page(vec![event(1, 1), event(2, 2), event(3, 1), event(4, 3), event(5, 1)], 100);
        assert_eq!(lanes.wants_page(), None);
        assert!(!lanes.is_at_end());
        let (first, _) = lanes.start(Instant::now(), 5).unwrap();
        lanes.ended(first.lane);
        lanes.settled([first.lane], vec![event(3, 1)]);
        assert_eq!(lanes.wants_page(), None, "the lane has a next event, so its place is taken");
        let (second, _) = lanes.start(Instant::now(), 5).unwrap();
        lanes.ended(second.lane);
        lanes.settled([second.lane], Vec::new());
        assert_eq!(lanes.wants_page(), Some(3), "event 4 was not taken, and is next");
    }
}
