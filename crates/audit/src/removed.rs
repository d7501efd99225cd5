//! What retention removed: stated in the log itself, under its chain and its signature.

use serde::{Deserialize, Serialize};

/// The most ranges that are stated. With more, the oldest are dropped: what they covered then counts as missing.
const MAX_RANGES: usize = 100;

/// Records without a gap that the server's retention removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovedRange {
    /// The number of the first.
    pub first_seq: u64,
    /// The number of the last.
    pub last_seq: u64,
    /// The hash that the first names: that of the record before it.
    pub prev: String,
    /// The hash of the last; the record after it names it.
    pub hash: String,
}

/// A file that is about to be removed, as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct RemovedFile {
    pub(crate) file: String,
    pub(crate) first_seq: u64,
    pub(crate) last_seq: u64,
    /// The hash of its last record.
    pub(crate) hash: String,
    pub(crate) records: u64,
    /// Length of its records, uncompressed.
    pub(crate) bytes: u64,
    /// SHA-256 of its records, uncompressed.
    pub(crate) sha256: String,
    /// `age` or `size`.
    pub(crate) why: &'static str,
    /// The hash that its first record names.
    #[serde(skip)]
    pub(crate) prev: String,
}

/// Everything that retention ever removed, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Removed(Vec<RemovedRange>);

/// What a record of the log states of it. Each statement holds the whole, so the newest is enough.
#[derive(Deserialize)]
pub(crate) struct Statement {
    ranges: Vec<RemovedRange>,
}

impl Statement {
    /// What it states, or nothing if it contradicts itself.
    pub(crate) fn removed(&self) -> Option<Removed> {
        let is_ordered = self.ranges.windows(2).all(|pair| pair[0].last_seq < pair[1].first_seq);
        let is_sound = is_ordered && self.ranges.iter().all(|range| range.first_seq > 0 && range.first_seq <= range.last_seq);
        (is_sound && self.ranges.len() <= MAX_RANGES).then(|| Removed(self.ranges.clone()))
    }
}

impl Removed {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn ranges(&self) -> &[RemovedRange] {
        &self.0
    }

    /// How many records were removed.
    pub(crate) fn records(&self) -> u64 {
        self.0.iter().map(|range| range.last_seq - range.first_seq + 1).sum()
    }

    /// The range that holds all of these records.
    pub(crate) fn covering(&self, first_seq: u64, last_seq: u64) -> Option<&RemovedRange> {
        self.0.iter().find(|range| range.first_seq <= first_seq && last_seq <= range.last_seq)
    }

    /// Whether any of these records was removed.
    pub(crate) fn overlaps(&self, first_seq: u64, last_seq: u64) -> bool {
        self.0.iter().any(|range| first_seq <= range.last_seq && range.first_seq <= last_seq)
    }

    /// Takes a file in, unless it overlaps what was removed. It joins its neighbours only where the hashes link.
    pub(crate) fn add(&mut self, file: &RemovedFile) {
        let RemovedFile { first_seq, last_seq, .. } = *file;
        let at = self.0.partition_point(|range| range.first_seq < first_seq);
        if self.overlaps(first_seq, last_seq) {
            return;
        }
        self.0.insert(at, RemovedRange { first_seq, last_seq, prev: file.prev.clone(), hash: file.hash.clone() });
        self.join(at);
        if let Some(before) = at.checked_sub(1) {
            self.join(before);
        }
        let excess = self.0.len().saturating_sub(MAX_RANGES);
        self.0.drain(..excess);
    }

    /// Joins a range with the one after it, if that follows from it.
    fn join(&mut self, at: usize) {
        let [range, next, ..] = &self.0[at..] else { return };
        if range.last_seq + 1 == next.first_seq && range.hash == next.prev {
            let next = self.0.remove(at + 1);
            self.0[at] = RemovedRange { last_seq: next.last_seq, hash: next.hash, ..self.0[at].clone() };
        }
    }

    /// The JSON member of a record that states all this, with the files that are removed now.
    pub(crate) fn member(&self, files: &[RemovedFile]) -> String {
        let value = if files.is_empty() {
            serde_json::json!({ "ranges": self.0 })
        } else {
            serde_json::json!({ "files": files, "ranges": self.0 })
        };
        format!("\"removed\":{value}")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn file(first_seq: u64, last_seq: u64, prev: &str, hash: &str) -> RemovedFile {
        let (name, why) = (format!("audit-20260102T030405Z-{first_seq}.jsonl"), "age");
        let (records, hash, prev) = (last_seq - first_seq + 1, hash.to_owned(), prev.to_owned());
        RemovedFile { file: name, first_seq, last_seq, hash, records, bytes: 1, sha256: String::new(), why, prev }
    }

    fn ranges(removed: &Removed) -> Vec<(u64, u64, &str)> {
        removed.ranges().iter().map(|range| (range.first_seq, range.last_seq, range.hash.as_str())).collect()
    }

    #[test]
    fn files_that_follow_each_other_make_one_range_and_others_do_not() {
        let mut removed = Removed::default();
        removed.add(&file(1, 10, "0", "a"));
        removed.add(&file(11, 20, "a", "b"));
        assert_eq!(ranges(&removed), [(1, 20, "b")]);
        removed.add(&file(31, 40, "x", "c"));
        removed.add(&file(41, 50, "not c", "d"));
        assert_eq!(ranges(&removed), [(1, 20, "b"), (31, 40, "c"), (41, 50, "d")]);
        assert_eq!(removed.records(), 40);
        assert!(removed.covering(5, 20).is_some() && removed.covering(5, 21).is_none() && removed.covering(35, 45).is_none());
        removed.add(&file(35, 38, "p", "q"));
        assert_eq!(removed.records(), 40, "what overlaps is not taken in");
        removed.add(&file(21, 30, "b", "x"));
        assert_eq!(ranges(&removed), [(1, 40, "c"), (41, 50, "d")]);
    }

    #[test]
    fn a_statement_reads_back_and_one_that_contradicts_itself_states_nothing() {
        let mut removed = Removed::default();
        removed.add(&file(1, 10, "0", "a"));
        let json = format!("{{{}}}", removed.member(&[file(1, 10, "0", "a")]));
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["removed"]["files"][0]["why"], "age");
        let statement: Statement = serde_json::from_value(value["removed"].clone()).unwrap();
        assert_eq!(statement.removed(), Some(removed));
        for (first, last, next) in [(0, 5, 7), (6, 5, 7), (1, 7, 7)] {
            let range = |first_seq, last_seq| RemovedRange { first_seq, last_seq, prev: String::new(), hash: String::new() };
            assert_eq!(Statement { ranges: vec![range(first, last), range(next, 9)] }.removed(), None);
        }
    }

    #[test]
    fn the_number_of_ranges_is_bounded_and_the_oldest_go() {
        let mut removed = Removed::default();
        for at in 0..150 {
            removed.add(&file(at * 10 + 1, at * 10 + 5, "x", "y"));
        }
        assert_eq!(removed.ranges().len(), MAX_RANGES);
        assert!(removed.covering(1491, 1495).is_some() && removed.covering(1, 5).is_none());
    }
}
