//! Reads a log from one end to the other and notes all that is wrong with it, in bounded memory.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

use serde::Serialize;

use crate::files::LogFile;
use crate::record::{MAX_LINE_LEN, Record};
use crate::verify::SignedAt;
use crate::{Head, PublicKey};

/// How many findings a report keeps; more are only counted.
pub const MAX_FINDINGS: usize = 1000;
/// The most records that a writer leaves between two checkpoints.
pub(crate) const MAX_UNSIGNED: u64 = 10_000;

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The file's name.
    pub file: String,
    /// The line in it, 1 for the first; 0 for the file as a whole.
    pub line: u64,
    /// The number of the record, as far as it can be told.
    pub seq: Option<u64>,
    /// What is wrong.
    pub defect: Defect,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Defect {
    /// The record's hash is not that of its bytes.
    Changed,
    /// The line is no record at all.
    NotARecord,
    /// The line has no end: a write under way or interrupted, or the log was cut within it.
    Incomplete,
    /// Records are missing before this one.
    Gap {
        /// The first that is missing.
        from: u64,
        /// The last that is missing.
        to: u64,
    },
    /// The record stands after one of a higher number.
    OutOfOrder {
        /// The number that was due.
        expected: u64,
    },
    /// The record stands there twice.
    Repeated,
    /// The record does not name the hash of the one before it.
    Unlinked,
    /// The checkpoint's signature is not the key's.
    BadSignature,
    /// The checkpoint was signed by another key.
    OtherKey,
    /// More records than a writer ever leaves lie without a checkpoint before this one.
    Unsigned,
    /// There are records, and no checkpoint of the key.
    NeverSigned,
    /// The file begins with another record than its name says.
    Misnamed,
    /// The file is named like one of the log, and is none.
    ForeignFile,
    /// The log ends here, but went further.
    Cut {
        /// How far it went.
        expected: u64,
    },
    /// The record is another one than the head that was kept elsewhere.
    Rewritten,
    /// The record whose head was kept elsewhere is not there.
    AnchorMissing {
        /// Its number.
        seq: u64,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, seq, defect } = self;
        write!(out, "{file}:{line}: ")?;
        if let Some(seq) = seq {
            write!(out, "record {seq}: ")?;
        }
        write!(out, "{defect}")
    }
}

impl fmt::Display for Defect {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed => write!(out, "it was changed"),
            Self::NotARecord => write!(out, "the line is no record"),
            Self::Incomplete => write!(out, "the line is incomplete"),
            Self::Gap { from, to } if from == to => write!(out, "record {from} is missing before it"),
            Self::Gap { from, to } => write!(out, "records {from} to {to} are missing before it"),
            Self::OutOfOrder { expected } => write!(out, "it stands where record {expected} belongs"),
            Self::Repeated => write!(out, "it is there twice"),
            Self::Unlinked => write!(out, "it does not follow from the record before it"),
            Self::BadSignature => write!(out, "the checkpoint's signature is wrong"),
            Self::OtherKey => write!(out, "the checkpoint was signed by another key"),
            Self::Unsigned => write!(out, "more than {MAX_UNSIGNED} records without a signed checkpoint come before it"),
            Self::NeverSigned => write!(out, "no checkpoint of the log was signed by this key"),
            Self::Misnamed => write!(out, "the file's name says that it begins with another record"),
            Self::ForeignFile => write!(out, "the file's name is not one that the log gives"),
            Self::Cut { expected } => write!(out, "the log ends here, but went up to record {expected}"),
            Self::Rewritten => write!(out, "it is another record than the head that was kept elsewhere"),
            Self::AnchorMissing { seq } => write!(out, "record {seq}, whose head was kept elsewhere, is missing"),
        }
    }
}

/// What was seen so far.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) files: u64,
    pub(crate) records: u64,
    pub(crate) events: u64,
    pub(crate) checkpoints: u64,
    pub(crate) first_seq: Option<u64>,
    /// The last record in order.
    pub(crate) head: Option<Head>,
    pub(crate) last_checkpoint: Option<SignedAt>,
    /// Records since then.
    pub(crate) unsigned: u64,
    pub(crate) findings: Vec<Finding>,
    pub(crate) findings_total: u64,
}

/// A walk over the files of a log, in order.
pub(crate) struct Walk<'a> {
    key: Option<&'a PublicKey>,
    anchor: Option<&'a Head>,
    tally: Tally,
    /// Lines since the last good record that count as none: so many numbers may be missing without a gap.
    lost: u64,
    anchor_was_seen: bool,
    at: Place,
}

/// A line of a file.
#[derive(Default)]
struct Place {
    file: String,
    first_seq: u64,
    line: u64,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(key: Option<&'a PublicKey>, anchor: Option<&'a Head>) -> Self {
        // The head of an empty log anchors nothing.
        let anchor = anchor.filter(|anchor| anchor.seq > 0);
        Self { key, anchor, tally: Tally::default(), lost: 0, anchor_was_seen: false, at: Place::default() }
    }

    pub(crate) fn file(&mut self, file: &LogFile) -> io::Result<()> {
        self.tally.files += 1;
        self.at = Place { file: file.name.clone(), first_seq: file.first_seq, line: 0 };
        let mut reader = BufReader::with_capacity(1 << 18, File::open(&file.path)?);
        let mut line = Vec::with_capacity(1024);
        while read_line(&mut reader, &mut line)? {
            self.at.line += 1;
            self.line(&line);
        }
        Ok(())
    }

    pub(crate) fn foreign_file(&mut self, name: String) {
        self.at = Place { file: name, first_seq: 0, line: 0 };
        self.find(None, Defect::ForeignFile);
    }

    /// What was seen, after a look at what should have been. `is_whole` says that the walk began with the first file.
    pub(crate) fn finish(mut self, is_whole: bool) -> Tally {
        let last = self.tally.head.as_ref().map_or(0, |head| head.seq);
        if is_whole && self.key.is_some() && self.tally.records > 0 && self.tally.last_checkpoint.is_none() {
            self.find(None, Defect::NeverSigned);
        }
        match self.anchor {
            Some(anchor) if anchor.seq > last => self.find(Some(last), Defect::Cut { expected: anchor.seq }),
            Some(anchor) if !self.anchor_was_seen => self.find(None, Defect::AnchorMissing { seq: anchor.seq }),
            _ => {}
        }
        self.tally
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
        self.place(&record);
        self.sign(&record);
        self.anchor(&record);
    }

    /// The number that the next record must have; none before the first.
    fn due(&self) -> Option<u64> {
        self.tally.head.as_ref().map(|head| head.seq + 1)
    }

    /// Checks where the record stands, and goes on from it.
    fn place(&mut self, record: &Record<'_>) {
        let seq = record.seq();
        if self.at.line == 1 && seq != self.at.first_seq {
            self.find(Some(seq), Defect::Misnamed);
        }
        let defect = match (&self.tally.head, self.due()) {
            (Some(head), Some(due)) if seq == due => (record.prev() != head.hash).then_some(Defect::Unlinked),
            (Some(_), Some(due)) if seq > due + self.lost => Some(Defect::Gap { from: due, to: seq - 1 }),
            (Some(head), Some(due)) if seq < due => {
                let is_same = seq == head.seq && record.hash() == head.hash;
                self.find(Some(seq), if is_same { Defect::Repeated } else { Defect::OutOfOrder { expected: due } });
                return;
            }
            (Some(_), _) => None,
            (None, _) => (seq == 1 && record.prev() != Head::default().hash).then_some(Defect::Unlinked),
        };
        if let Some(defect) = defect {
            self.find(Some(seq), defect);
        }
        self.tally.first_seq.get_or_insert(seq);
        self.tally.head = Some(record.head());
        self.lost = 0;
    }

    fn sign(&mut self, record: &Record<'_>) {
        self.tally.unsigned += 1;
        if self.key.is_some() && self.tally.unsigned == MAX_UNSIGNED + 1 {
            self.find(Some(record.seq()), Defect::Unsigned);
        }
        let Some(signed_by) = record.checkpoint_key() else { return };
        self.tally.checkpoints += 1;
        match self.key {
            Some(key) if signed_by != key.to_hex() => return self.find(Some(record.seq()), Defect::OtherKey),
            Some(key) if !record.is_signed_by(key) => return self.find(Some(record.seq()), Defect::BadSignature),
            _ => {}
        }
        self.tally.unsigned = 0;
        self.tally.last_checkpoint = Some(SignedAt { seq: record.seq(), time: record.time().to_owned() });
    }

    fn anchor(&mut self, record: &Record<'_>) {
        let Some(anchor) = self.anchor.filter(|anchor| anchor.seq == record.seq()) else { return };
        self.anchor_was_seen = true;
        if anchor.hash != record.hash() {
            self.find(Some(record.seq()), Defect::Rewritten);
        }
    }

    fn find(&mut self, seq: Option<u64>, defect: Defect) {
        self.tally.findings_total += 1;
        if self.tally.findings.len() < MAX_FINDINGS {
            self.tally.findings.push(Finding { file: self.at.file.clone(), line: self.at.line, seq, defect });
        }
    }
}

/// The next line with its end; false if there is none. Of a line that is too long to be a record only the beginning, with an end.
fn read_line(reader: &mut BufReader<File>, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    reader.by_ref().take(MAX_LINE_LEN as u64).read_until(b'\n', line)?;
    if line.len() == MAX_LINE_LEN && !line.ends_with(b"\n") {
        reader.skip_until(b'\n')?;
        line.truncate(1);
        line.push(b'\n');
    }
    Ok(!line.is_empty())
}
