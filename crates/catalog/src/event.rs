//! The outbox: events that are added with the change that they tell of, and stay until they were delivered.

use strongroom_ids::EventId;

use crate::UnixMillis;

/// The length of a [`Lane`].
pub const LANE_LEN: usize = 16;

/// Which events of a target wait for each other: those of one lane are delivered in the order of commit.
pub type Lane = [u8; LANE_LEN];

/// An event to add to the outbox in the transaction of the change that it tells of.
///
/// Where its target has [`NewEvent::max_queued`] events queued, it is counted as dropped instead, and the change is made all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    /// Its id.
    pub id: EventId,
    /// The name of the target that it is for.
    pub target: String,
    /// What it waits for.
    pub lane: Lane,
    /// When it happened.
    pub added: UnixMillis,
    /// So many events may be queued for the target.
    pub max_queued: u64,
    /// Sealed: what happened.
    pub record: Vec<u8>,
}

/// The events of a deletion: which of them is added, the transaction finds out. What deletes nothing has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeletionEvents {
    /// A version is gone.
    pub removed: Option<NewEvent>,
    /// A delete marker was added.
    pub marked: Option<NewEvent>,
}

/// An event in the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxEvent {
    /// Its place among all events: those of a target are delivered in this order, as far as lanes go.
    pub position: i64,
    /// The place that it was first given. It stays when a dead event is queued again.
    pub sequence: i64,
    /// Its id.
    pub id: EventId,
    /// The name of its target.
    pub target: String,
    /// What it waits for.
    pub lane: Lane,
    /// When it happened.
    pub added: UnixMillis,
    /// Sealed: what happened.
    pub record: Vec<u8>,
    /// Sealed: why it is dead. None of one that is queued.
    pub failure: Option<Vec<u8>>,
}

/// An event that was delivered, or is given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettledEvent {
    /// Where it lies in the outbox.
    pub position: i64,
    /// Its lane.
    pub lane: Lane,
    /// Sealed: why it is dead. None where it was delivered.
    pub failure: Option<Vec<u8>>,
}

/// Dead events that are to be queued again, or dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeadSelector {
    /// This one.
    One(EventId),
    /// The oldest of a target, up to [`crate::MAX_DEAD_STEP`] of them.
    OldestOf(String),
}

/// What the outbox holds of a target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutboxTarget {
    /// The name of the target.
    pub target: String,
    /// Events that wait for their delivery.
    pub queued: u64,
    /// Dead events.
    pub dead: u64,
    /// Events that were dropped since there were too many, ever.
    pub dropped: u64,
    /// When the event happened that waits longest.
    pub oldest: Option<UnixMillis>,
}
