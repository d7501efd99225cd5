//! Which closed files retention removes, and what is recorded of one before it goes.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use time::OffsetDateTime;

use crate::files::LogFile;
use crate::log::Retention;
use crate::removed::RemovedFile;

/// The wall clock may run ahead of the monotonic one by so much before it counts as having jumped,
const MAX_LEAD: time::Duration = time::Duration::HOUR;
/// and is believed all the same when it has stayed ahead for so long: a machine that slept, or whose clock was wrong before.
const PATIENCE: Duration = Duration::from_hours(24);

/// A closed file that may be removed: its content is this log's.
#[derive(Clone)]
pub(crate) struct Candidate {
    pub(crate) file: LogFile,
    /// What is recorded of it when it goes.
    pub(crate) found: RemovedFile,
    /// What it adds to the length of the log.
    pub(crate) bytes: u64,
    /// The time of its last record.
    pub(crate) ended: OffsetDateTime,
}

/// Those that are to go, from the oldest on, each with the reason. `tail_bytes` is the length of the file that is written on.
pub(crate) fn choose(closed: Vec<Candidate>, tail_bytes: u64, now: Option<OffsetDateTime>, retention: &Retention) -> Vec<Candidate> {
    let mut total = tail_bytes + closed.iter().map(|candidate| candidate.bytes).sum::<u64>();
    let (mut closed, mut chosen) = (VecDeque::from(closed), Vec::new());
    while let Some(mut candidate) = closed.pop_front() {
        candidate.found.why = match retention.keep_bytes {
            _ if is_old(candidate.ended, now, retention) => "age",
            Some(keep) if total > keep => "size",
            _ => break,
        };
        total -= candidate.bytes;
        chosen.push(candidate);
    }
    chosen
}

/// Whether a file that ended then is to go for its age.
pub(crate) fn is_old(ended: OffsetDateTime, now: Option<OffsetDateTime>, retention: &Retention) -> bool {
    retention.keep_seconds.zip(now).is_some_and(|(keep, now)| now - ended > Duration::from_secs(keep))
}

/// The time by which files grow old. A wall clock that jumps ahead would have the whole log removed, so a jump waits.
pub(crate) struct Clock {
    known: (Instant, OffsetDateTime),
    /// Until then nothing is old: at a start the clock may be wrong.
    settled: Instant,
    ahead_since: Option<Instant>,
}

impl Clock {
    pub(crate) fn new(settle: Duration) -> Self {
        let now = Instant::now();
        Self { known: (now, OffsetDateTime::now_utc()), settled: now + settle, ahead_since: None }
    }

    /// The time, as far as it can be believed.
    pub(crate) fn now(&mut self, now: Instant, wall: OffsetDateTime) -> Option<OffsetDateTime> {
        let (known_at, known) = self.known;
        let expected = known + now.saturating_duration_since(known_at);
        if now < self.settled || wall - expected <= MAX_LEAD {
            self.ahead_since = None;
            self.known = (now, wall);
            return (now >= self.settled).then_some(wall);
        }
        let since = *self.ahead_since.get_or_insert(now);
        if now.saturating_duration_since(since) < PATIENCE {
            return Some(expected);
        }
        self.ahead_since = None;
        self.known = (now, wall);
        Some(wall)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use time::macros::datetime;

    use super::*;

    const HOUR: u64 = 3600;

    #[test]
    fn a_clock_that_jumps_ahead_is_believed_after_a_day_and_one_that_jumps_back_at_once() {
        let (begun, wall) = (Instant::now(), datetime!(2026-01-02 00:00 UTC));
        let mut clock = Clock { known: (begun, wall), settled: begun + Duration::from_hours(1), ahead_since: None };
        let mut at = |hours: u64, wall| clock.now(begun + Duration::from_secs(hours * HOUR), wall);
        assert_eq!(at(0, wall), None, "not settled");
        assert_eq!(at(1, datetime!(2026-01-02 01:00:30 UTC)), Some(datetime!(2026-01-02 01:00:30 UTC)));
        for hours in [2, 20] {
            let expected = datetime!(2026-01-02 00:00:30 UTC) + time::Duration::hours(i64::try_from(hours).unwrap());
            assert_eq!(at(hours, datetime!(2070-01-01 00:00 UTC)), Some(expected));
        }
        assert_eq!(at(26, datetime!(2070-01-01 00:00 UTC)), Some(datetime!(2070-01-01 00:00 UTC)));
        assert_eq!(at(27, datetime!(2026-01-03 03:00 UTC)), Some(datetime!(2026-01-03 03:00 UTC)));
    }

    fn candidate(seq: u64, bytes: u64, ended: OffsetDateTime) -> Candidate {
        let name = format!("audit-20260102T030405Z-{seq}.jsonl");
        let (hash, sha256, prev) = (String::new(), String::new(), String::new());
        let (first_seq, last_seq, records, why) = (seq, seq, 1, "");
        let found = RemovedFile { file: name.clone(), first_seq, last_seq, hash, records, bytes, sha256, why, prev };
        let file = LogFile { path: name.clone().into(), name, first_seq: seq, is_compressed: false, begun: None };
        Candidate { file, found, bytes, ended }
    }

    #[test]
    fn the_oldest_files_go_while_they_are_too_old_or_the_log_is_too_long() {
        let of_day = |day: u8| datetime!(2026-01-01 00:00 UTC).replace_day(day).unwrap();
        let closed = || (1..=4).map(|day| candidate(u64::from(day), 100, of_day(day))).collect::<Vec<_>>();
        let chosen = |keep_seconds, keep_bytes, now| {
            let retention = Retention { keep_seconds, keep_bytes, ..Retention::default() };
            let chosen = choose(closed(), 50, now, &retention);
            chosen.into_iter().map(|candidate| (candidate.file.first_seq, candidate.found.why)).collect::<Vec<_>>()
        };
        let now = Some(of_day(5));
        assert_eq!(chosen(None, None, now), []);
        assert_eq!(chosen(Some(2 * 24 * HOUR), None, now), [(1, "age"), (2, "age")]);
        assert_eq!(chosen(Some(2 * 24 * HOUR), None, None), [], "without a clock nothing is old");
        assert_eq!(chosen(None, Some(250), now), [(1, "size"), (2, "size")]);
        assert_eq!(chosen(Some(3 * 24 * HOUR), Some(250), now), [(1, "age"), (2, "size")]);
        assert_eq!(chosen(None, Some(450), now), []);
    }
}
