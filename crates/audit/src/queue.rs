//! Between those who record and the thread that writes: bounded, and woken once per batch rather than once per record.

use std::collections::VecDeque;
use std::mem;
use std::sync::mpsc::SyncSender;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use time::OffsetDateTime;
use tokio::sync::{Notify, Semaphore, oneshot};

use crate::removed::Removed;
use crate::{AuditError, Head};

/// What may wait, in units of [`UNIT_LEN`] bytes: 32 MiB.
const ROOM: usize = 32 << 10;
const UNIT_LEN: usize = 1 << 10;
/// With so many units waiting the writer does not wait for the next batch.
const PLENTY: usize = ROOM / 8;
/// How long a caller waits for room, and a writer may be busy with one batch, before the log counts as unwritable.
const PATIENCE: Duration = Duration::from_secs(10);

/// An event on its way to the log.
pub(crate) struct Item {
    pub(crate) time: OffsetDateTime,
    /// The event's JSON members.
    pub(crate) members: Vec<u8>,
    /// Told when the record is durable, or that it will not be.
    pub(crate) done: Option<oneshot::Sender<Result<Head, AuditError>>>,
    pub(crate) room: Room,
}

/// How far the log may be filled for an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// Up to its quota.
    Quota,
    /// Into what is reserved above it.
    Reserve,
}

/// That files are about to be removed: recorded, whether events are refused or not, before it is done.
pub(crate) struct Notice {
    /// The record's JSON member.
    pub(crate) member: String,
    /// All that will then have been removed.
    pub(crate) removed: Removed,
    /// Told when it is durable; dropped if it is not.
    pub(crate) done: SyncSender<()>,
}

/// What the writer is to do next.
pub(crate) struct Work {
    pub(crate) items: VecDeque<Item>,
    pub(crate) notice: Option<Notice>,
    /// No more will come.
    pub(crate) is_last: bool,
}

pub(crate) struct Queue {
    state: Mutex<State>,
    wake: Condvar,
    room: Semaphore,
    /// Wakes those who wait for room when there will be none.
    refused: Notify,
    /// How long a record that nobody waits for may lie here.
    delay: Duration,
}

#[derive(Default)]
struct State {
    items: VecDeque<Item>,
    notice: Option<Notice>,
    units: usize,
    is_urgent: bool,
    is_closing: bool,
    /// When the oldest item came.
    queued_since: Option<Instant>,
    /// When the oldest item in the writer's hands came.
    writing_since: Option<Instant>,
    /// Why nothing is taken.
    refusal: Option<String>,
    /// Why nothing is taken but what may use the reserve.
    full: Option<String>,
    /// Why the last write failed, if it did.
    loss: Option<String>,
    durable: Head,
}

impl Queue {
    pub(crate) fn new(delay: Duration, durable: Head) -> Self {
        let state = Mutex::new(State { durable, ..State::default() });
        Self { state, wake: Condvar::new(), room: Semaphore::new(ROOM), refused: Notify::new(), delay }
    }

    /// Takes an event in; waits for room only. Somebody who waits for `done` makes it urgent.
    pub(crate) async fn push(
        &self,
        members: Vec<u8>,
        done: Option<oneshot::Sender<Result<Head, AuditError>>>,
        room: Room,
    ) -> Result<(), AuditError> {
        let units = units(&members);
        self.take_room(units, room).await?;
        let mut state = self.lock();
        if let Err(error) = state.check(room) {
            self.room.add_permits(units);
            return Err(error);
        }
        let was_waiting = state.must_write();
        let was_empty = state.items.is_empty();
        state.is_urgent |= done.is_some();
        state.units += units;
        state.queued_since.get_or_insert_with(Instant::now);
        state.items.push_back(Item { time: OffsetDateTime::now_utc(), members, done, room });
        if was_empty || state.must_write() != was_waiting {
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Has a removal recorded. It is dropped if the log is closing.
    pub(crate) fn announce(&self, notice: Notice) {
        let mut state = self.lock();
        if !state.is_closing {
            state.notice = Some(notice);
            self.wake.notify_one();
        }
    }

    /// Whether the log takes events now.
    pub(crate) fn check(&self, room: Room) -> Result<(), AuditError> {
        self.lock().check(room)
    }

    /// From now on only what may use the reserve is taken, or everything again.
    pub(crate) fn set_full(&self, reason: Option<String>) {
        self.lock().full = reason;
        self.refused.notify_waiters();
    }

    /// The last record that is durable.
    pub(crate) fn durable(&self) -> Head {
        self.lock().durable.clone()
    }

    /// Takes no more events; those that are here are written.
    pub(crate) fn close(&self) {
        self.lock().is_closing = true;
        self.wake.notify_one();
    }

    /// After the writer's end: whether everything was written.
    pub(crate) fn ended_well(&self) -> Result<(), AuditError> {
        self.lock().loss.clone().map_or(Ok(()), |reason| Err(AuditError::Unwritable(reason)))
    }

    /// Waits until there is something to write, but no longer than to `timer`. A writer that failed takes no events before it
    /// has succeeded, or the log is closed.
    pub(crate) fn wait(&self, timer: Option<Instant>, has_failed: bool) -> Work {
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            let queued = state.queued_since.map(|since| since + self.delay).filter(|_| !has_failed);
            let until = [queued, timer].into_iter().flatten().min();
            let is_due = until.is_some_and(|until| until <= now) || (state.must_write() && !has_failed);
            let is_due = is_due || state.notice.is_some() || state.is_closing;
            match until {
                _ if is_due => return self.take(&mut state, has_failed),
                None => state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(until) => state = self.wake.wait_timeout(state, until - now).unwrap_or_else(PoisonError::into_inner).0,
            }
        }
    }

    fn take(&self, state: &mut State, has_failed: bool) -> Work {
        let notice = state.notice.take();
        if has_failed && !state.is_closing {
            return Work { items: VecDeque::new(), notice, is_last: false };
        }
        self.room.add_permits(mem::take(&mut state.units));
        state.is_urgent = false;
        state.writing_since = state.queued_since.take();
        Work { items: mem::take(&mut state.items), notice, is_last: state.is_closing }
    }

    /// Everything up to `head` is durable.
    pub(crate) fn written(&self, head: Head) {
        let mut state = self.lock();
        state.writing_since = None;
        state.refusal = None;
        state.loss = None;
        state.durable = head;
    }

    /// Refuses events until something is written again. What nobody waits for is kept, from `left` in the writer's hands on; who
    /// waits is told, and his event is not recorded.
    pub(crate) fn fail(&self, left: VecDeque<Item>, reason: &str) {
        let mut state = self.lock();
        state.refusal = Some(reason.to_owned());
        state.loss = Some(reason.to_owned());
        state.writing_since = None;
        for mut item in left.into_iter().rev() {
            // Beyond the room, for the moment: the writer had taken them out already.
            if let Some(done) = item.done.take() {
                let _ = done.send(Err(AuditError::Unwritable(reason.to_owned())));
            } else {
                state.items.push_front(item);
            }
        }
        state.refuse_waiting(reason);
        if !state.items.is_empty() {
            state.queued_since.get_or_insert_with(Instant::now);
        }
        drop(state);
        self.refused.notify_waiters();
    }

    /// The writer has ended, for whatever reason.
    pub(crate) fn end(&self) {
        let mut state = self.lock();
        state.is_closing = true;
        state.notice = None;
        let reason = state.refusal.get_or_insert_with(|| "it is closed".to_owned()).clone();
        state.refuse_waiting(&reason);
        drop(state);
        self.refused.notify_waiters();
    }

    async fn take_room(&self, units: usize, room: Room) -> Result<(), AuditError> {
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        if let Ok(permit) = self.room.try_acquire_many(units) {
            permit.forget();
            return Ok(());
        }
        let deadline = tokio::time::sleep(PATIENCE);
        tokio::pin!(deadline);
        loop {
            self.check(room)?;
            tokio::select! {
                permit = self.room.acquire_many(units) => {
                    // The semaphore is never closed.
                    return permit.map(tokio::sync::SemaphorePermit::forget).map_err(|_| too_slow());
                }
                () = self.refused.notified() => {}
                () = &mut deadline => return Err(too_slow()),
            }
        }
    }

    /// Poisoning is no concern: nothing under the lock calls out.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn must_write(&self) -> bool {
        self.is_urgent || self.units >= PLENTY
    }

    fn check(&self, room: Room) -> Result<(), AuditError> {
        match self.refusal.as_ref().or(self.full.as_ref().filter(|_| room == Room::Quota)) {
            Some(reason) => Err(AuditError::Unwritable(reason.clone())),
            None if self.is_closing => Err(AuditError::Unwritable("it is closed".to_owned())),
            None if self.writing_since.is_some_and(|since| since.elapsed() > PATIENCE) => Err(too_slow()),
            None => Ok(()),
        }
    }

    /// Drops what somebody waits for, and tells him.
    fn refuse_waiting(&mut self, reason: &str) {
        for item in &mut self.items {
            if let Some(done) = item.done.take() {
                let _ = done.send(Err(AuditError::Unwritable(reason.to_owned())));
                item.members.clear();
            }
        }
        self.items.retain(|item| !item.members.is_empty());
    }
}

fn units(members: &[u8]) -> usize {
    members.len() / UNIT_LEN + 1
}

fn too_slow() -> AuditError {
    AuditError::Unwritable(format!("nothing was written for {} seconds", PATIENCE.as_secs()))
}
