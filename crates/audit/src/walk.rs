//! Reads a log from one end to the other and notes all that is wrong with it, in bounded memory.

use std::io;

use crate::files::LogFile;
use crate::finding::{Defect, Finding, MAX_FINDINGS, MAX_UNSIGNED};
use crate::reader::{self, Reader};
use crate::record::Record;
use crate::removed::Removed;
use crate::verify::{Beginning, SignedAt};
use crate::{Head, PublicKey};

/// What was seen so far.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) files: u64,
    pub(crate) records: u64,
    pub(crate) events: u64,
    pub(crate) checkpoints: u64,
    pub(crate) first_seq: Option<u64>,
    /// The hash that the first record names.
    pub(crate) first_prev: String,
    /// The last record in order.
    pub(crate) head: Option<Head>,
    pub(crate) last_checkpoint: Option<SignedAt>,
    /// Records since then.
    pub(crate) unsigned: u64,
    /// What retention removed, by the newest statement with a signature.
    pub(crate) removed: Option<Removed>,
    pub(crate) findings: Vec<Finding>,
    pub(crate) findings_total: u64,
}

/// A walk over the files of a log, in order.
pub(crate) struct Walk<'a> {
    key: Option<&'a PublicKey>,
    anchors: Vec<Anchor<'a>>,
    tally: Tally,
    /// Lines since the last good record that count as none: so many numbers may be missing without a gap.
    lost: u64,
    /// Gaps that retention may explain, each with the hash that the record after it names.
    gaps: Vec<(u64, u64, String)>,
    /// What the last record stated to be removed. It counts if the next one is a good checkpoint: nobody but the server writes both.
    stated: Option<Removed>,
    at: Place,
}

/// A head that was kept elsewhere.
struct Anchor<'a> {
    head: &'a Head,
    was_seen: bool,
}

/// A line of a file.
#[derive(Default)]
struct Place {
    file: String,
    first_seq: u64,
    line: u64,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(key: Option<&'a PublicKey>, anchors: impl IntoIterator<Item = &'a Head>) -> Self {
        // The head of an empty log anchors nothing.
        let anchors = anchors.into_iter().filter(|head| head.seq > 0).map(|head| Anchor { head, was_seen: false }).collect();
        let (tally, at) = (Tally::default(), Place::default());
        Self { key, anchors, tally, lost: 0, gaps: Vec::new(), stated: None, at }
    }

    pub(crate) fn file(&mut self, file: &LogFile) -> io::Result<()> {
        self.tally.files += 1;
        self.at = Place { file: file.name.clone(), first_seq: file.first_seq, line: 0 };
        let mut reader = Reader::open(file)?;
        let mut line = Vec::with_capacity(1024);
        let read = loop {
            match reader.line(&mut line) {
                Ok(true) => {
                    self.at.line += 1;
                    self.line(&line);
                }
                Ok(false) => break reader.end(),
                Err(error) => break Err(error),
            }
        };
        match read {
            Err(error) if reader::is_damage(&error) => {
                self.find(self.due(), Defect::Unopenable);
                Ok(())
            }
            read => read,
        }
    }

    /// Notes what is wrong with a file as a whole.
    pub(crate) fn whole_file(&mut self, name: String, defect: Defect) {
        let before = std::mem::replace(&mut self.at, Place { file: name, first_seq: 0, line: 0 });
        self.find(None, defect);
        self.at = before;
    }

    /// What was seen. The walk began in the middle of the log.
    pub(crate) fn finish_tail(mut self) -> Tally {
        self.settle_gaps();
        self.check_anchors(false);
        self.tally
    }

    /// What was seen, after a look at what should have been.
    pub(crate) fn finish(mut self, beginning: &Beginning) -> Tally {
        self.settle_gaps();
        self.check_beginning(beginning);
        if self.tally.records == 0 && self.tally.findings_total == 0 {
            self.at = Place::default();
            self.find(None, Defect::Empty);
        }
        if self.key.is_some() && self.tally.records > 0 && self.tally.last_checkpoint.is_none() {
            self.find(None, Defect::NeverSigned);
        } else if self.key.is_some() && matches!(beginning, Beginning::Part) && self.tally.unsigned > 0 {
            self.find(self.due().map(|due| due - 1), Defect::UnsignedEnd);
        }
        self.check_anchors(true);
        self.tally
    }

    fn check_beginning(&mut self, beginning: &Beginning) {
        let Some(first_seq) = self.tally.first_seq.filter(|first_seq| *first_seq > 1) else { return };
        let prev = &self.tally.first_prev;
        let is_explained = match beginning {
            Beginning::Part => true,
            // If the log begins before it, it is an anchor like any other.
            Beginning::After(head) if first_seq > head.seq + 1 => {
                self.tally.removed.as_ref().is_some_and(|removed| removed_since(removed, head, first_seq - 1, prev))
            }
            Beginning::After(head) => first_seq <= head.seq || *prev == head.hash,
            Beginning::Whole => self.tally.removed.as_ref().is_some_and(|removed| explains(removed, 1, first_seq - 1, prev)),
        };
        if !is_explained {
            let end = std::mem::take(&mut self.at);
            self.find(Some(first_seq), Defect::BeginningMissing { to: first_seq - 1 });
            self.at = end;
        }
    }

    /// Takes back findings of gaps that retention made.
    fn settle_gaps(&mut self) {
        let Some(removed) = &self.tally.removed else { return };
        let explained: Vec<u64> =
            self.gaps.iter().filter(|(from, to, prev)| explains(removed, *from, *to, prev)).map(|(from, _, _)| *from).collect();
        let before = self.tally.findings.len();
        self.tally.findings.retain(|finding| !matches!(finding.defect, Defect::Gap { from, .. } if explained.contains(&from)));
        self.tally.findings_total -= (before - self.tally.findings.len()) as u64;
    }

    /// Whether the heads that were kept elsewhere are there. To one who only looks at the end, a removed one is nothing to report.
    fn check_anchors(&mut self, tells_removed: bool) {
        let last = self.tally.head.as_ref().map_or(0, |head| head.seq);
        for at in 0..self.anchors.len() {
            let Anchor { head: &Head { seq, .. }, was_seen } = self.anchors[at];
            let is_removed = self.tally.removed.as_ref().is_some_and(|removed| removed.covering(seq, seq).is_some());
            match (was_seen, is_removed) {
                (false, _) if seq > last => self.find(Some(last), Defect::Cut { expected: seq }),
                (false, true) if tells_removed => self.find(None, Defect::AnchorRemoved { seq }),
                (false, false) => self.find(None, Defect::AnchorMissing { seq }),
                _ => {}
            }
        }
    }

    fn line(&mut self, line: &[u8]) {
        let due = self.due().map(|due| due + self.lost);
        let Some(line) = line.strip_suffix(b"\n") else {
            self.lost += 1;
            return self.find(due, Defect::Incomplete);
        };
        let Some(record) = Record::parse(line) else {
            self.lost += 1;
            return self.find(due, Defect::NotARecord);
        };
        self.tally.records += 1;
        self.tally.events += u64::from(record.is_event());
        if !record.is_unchanged {
            self.lost += 1;
            return self.find(due.or(Some(record.seq())), Defect::Changed);
        }
        let follows = self.place(&record);
        let is_signed = self.sign(&record);
        let stated = self.stated.take();
        if follows && is_signed && stated.is_some() {
            self.tally.removed = stated;
        }
        self.stated = record.removed();
        self.anchor(&record);
    }

    /// The number that the next record must have; none before the first.
    fn due(&self) -> Option<u64> {
        self.tally.head.as_ref().map(|head| head.seq + 1)
    }

    /// Checks where the record stands, and goes on from it. Whether it follows from the one before it.
    fn place(&mut self, record: &Record<'_>) -> bool {
        let seq = record.seq();
        if self.at.line == 1 && seq != self.at.first_seq {
            self.find(Some(seq), Defect::Misnamed);
        }
        let follows = self.tally.head.as_ref().is_some_and(|head| seq == head.seq + 1 && record.prev() == head.hash);
        let defect = match (&self.tally.head, self.due()) {
            (Some(_), Some(due)) if seq == due => (!follows).then_some(Defect::Unlinked),
            (Some(_), Some(due)) if seq > due + self.lost => {
                if self.gaps.len() < MAX_FINDINGS {
                    self.gaps.push((due, seq - 1, record.prev().to_owned()));
                }
                Some(Defect::Gap { from: due, to: seq - 1 })
            }
            (Some(head), Some(due)) if seq < due => {
                let is_same = seq == head.seq && record.hash() == head.hash;
                self.find(Some(seq), if is_same { Defect::Repeated } else { Defect::OutOfOrder { expected: due } });
                return false;
            }
            (Some(_), _) => None,
            (None, _) => (seq == 1 && record.prev() != Head::default().hash).then_some(Defect::Unlinked),
        };
        if let Some(defect) = defect {
            self.find(Some(seq), defect);
        }
        if self.tally.first_seq.is_none() {
            self.tally.first_seq = Some(seq);
            record.prev().clone_into(&mut self.tally.first_prev);
        }
        self.tally.head = Some(record.head());
        self.lost = 0;
        follows
    }

    /// Counts the record, and checks it if it is a checkpoint. Whether it is a good one.
    fn sign(&mut self, record: &Record<'_>) -> bool {
        self.tally.unsigned += 1;
        if self.key.is_some() && self.tally.unsigned == MAX_UNSIGNED + 1 {
            self.find(Some(record.seq()), Defect::Unsigned);
        }
        let Some(signed_by) = record.checkpoint_key() else { return false };
        self.tally.checkpoints += 1;
        let defect = match self.key {
            Some(key) if signed_by != key.to_hex() => Some(Defect::OtherKey),
            Some(key) if !record.is_signed_by(key) => Some(Defect::BadSignature),
            _ => None,
        };
        if let Some(defect) = defect {
            self.find(Some(record.seq()), defect);
            return false;
        }
        self.tally.unsigned = 0;
        self.tally.last_checkpoint = Some(SignedAt { seq: record.seq(), time: record.time().to_owned() });
        true
    }

    fn anchor(&mut self, record: &Record<'_>) {
        for at in 0..self.anchors.len() {
            let anchor = &mut self.anchors[at];
            if anchor.head.seq == record.seq() {
                anchor.was_seen = true;
                if anchor.head.hash != record.hash() {
                    self.find(Some(record.seq()), Defect::Rewritten);
                }
            }
        }
    }

    fn find(&mut self, seq: Option<u64>, defect: Defect) {
        self.tally.findings_total += 1;
        if self.tally.findings.len() < MAX_FINDINGS {
            self.tally.findings.push(Finding { file: self.at.file.clone(), line: self.at.line, seq, defect });
        }
    }
}

/// Whether retention removed all of these records, and the record after them, which names `prev`, follows from them.
fn explains(removed: &Removed, from: u64, to: u64, prev: &str) -> bool {
    removed.covering(from, to).is_some_and(|range| range.last_seq > to || range.hash == prev)
}

/// Whether retention removed the records from the one after `head` on up to `to`, and the first of them followed from `head`.
fn removed_since(removed: &Removed, head: &Head, to: u64, prev: &str) -> bool {
    let follows = removed.covering(head.seq + 1, to).is_some_and(|range| range.first_seq == head.seq + 1 && range.prev == head.hash);
    follows && explains(removed, head.seq + 1, to, prev)
}
