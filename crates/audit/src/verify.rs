//! Checks a log as it lies on the disk, without the server.

use std::path::Path;

use serde::Serialize;

use crate::files::LogFile;
use crate::reader::{self, Reader};
use crate::removed::RemovedRange;
use crate::walk::Walk;
use crate::{AuditError, Defect, Finding, Head, PublicKey, files};

/// What a log is checked against.
#[derive(Clone, Debug, Default)]
pub struct Check {
    /// Checks the signatures of checkpoints. Without it, a log that was rewritten from some record on to its end passes.
    pub public_key: Option<PublicKey>,
    /// A head that was noted earlier, out of reach of whoever could write the log. Without it, a log that was cut off passes.
    pub expected_head: Option<Head>,
    /// What may be missing before the first record.
    pub beginning: Beginning,
}

/// What may be missing before the first record of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Beginning {
    /// Only what the log itself states, under its signature, that retention removed.
    #[default]
    Whole,
    /// Everything up to this record, which was checked elsewhere.
    After(Head),
    /// Everything: only a part of a log is checked by itself. Its end must be signed, if the key is given.
    Part,
}

/// A checkpoint that was found good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SignedAt {
    /// Its number.
    pub seq: u64,
    /// When it was signed, in RFC 3339.
    pub time: String,
}

/// What [`verify`] saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Log files.
    pub files: u64,
    /// Lines that are records, the log's own included.
    pub records: u64,
    /// Records of events.
    pub events: u64,
    /// Checkpoints.
    pub checkpoints: u64,
    /// Whether the checkpoints' signatures were checked: a public key was given.
    pub signatures_checked: bool,
    /// The number of the first record; more than 1 where old files were removed.
    pub first_seq: Option<u64>,
    /// What the server's retention removed, as the log itself states.
    pub removed: Vec<RemovedRange>,
    /// The last record; keep it elsewhere to see later that nothing was cut off.
    pub head: Head,
    /// The last good checkpoint.
    pub last_checkpoint: Option<SignedAt>,
    /// Records after it: no signature vouches for them yet.
    pub unsigned: u64,
    /// What is wrong, at most [`MAX_FINDINGS`](crate::MAX_FINDINGS) of it, in the order of the log.
    pub findings: Vec<Finding>,
    /// How much is wrong.
    pub findings_total: u64,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_intact(&self) -> bool {
        self.findings_total == 0
    }

    /// 0 for an intact log, 1 for any other.
    pub fn exit_code(&self) -> u8 {
        u8::from(!self.is_intact())
    }
}

/// Reads the log in these directories and finds every gap, change, reordering, repetition and foreign line in it.
///
/// Several directories are read as one log: of a file that was moved away, or copied, each copy is checked. A log without any record
/// is not intact. Blocks on reading, in memory of a few lines. Fails if the files cannot be read.
pub fn verify(dirs: &[&Path], check: &Check) -> Result<Report, AuditError> {
    let Check { public_key, expected_head, beginning } = check;
    let listing = files::list_all(dirs)?;
    let after = if let Beginning::After(head) = beginning { Some(head) } else { None };
    let after = after.filter(|head| listing.files.first().is_some_and(|first| first.first_seq <= head.seq));
    let mut walk = Walk::new(public_key.as_ref(), expected_head.iter().chain(after));
    for name in listing.foreign {
        walk.whole_file(name, Defect::ForeignFile);
    }
    for file in &listing.files {
        match walk.file(file) {
            // Retention removes files while this reads; if it was not retention, a gap is left.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            read => read.map_err(|error| files::failed("read", &file.path, &error))?,
        }
    }
    for (copy, original) in &listing.copies {
        let is_last = listing.files.last().is_some_and(|last| last.path == original.path);
        if !is_same(copy, original, is_last)? {
            walk.whole_file(copy.name.clone(), Defect::CopyDiffers);
        }
    }
    let tally = walk.finish(beginning);
    Ok(Report {
        files: tally.files,
        records: tally.records,
        events: tally.events,
        checkpoints: tally.checkpoints,
        signatures_checked: public_key.is_some(),
        first_seq: tally.first_seq,
        removed: tally.removed.map(|removed| removed.ranges().to_vec()).unwrap_or_default(),
        head: tally.head.unwrap_or_default(),
        last_checkpoint: tally.last_checkpoint,
        unsigned: tally.unsigned,
        findings: tally.findings,
        findings_total: tally.findings_total,
    })
}

/// Whether two copies of a file hold the same records. Of the last file, which is written on, a copy may be behind. One that is
/// damaged differs; one that was removed meanwhile does not.
fn is_same(copy: &LogFile, original: &LogFile, is_last: bool) -> Result<bool, AuditError> {
    let copied = Reader::open(copy).and_then(reader::content);
    let most = copied.as_ref().ok().map(|(_, len)| *len).filter(|_| is_last).unwrap_or(u64::MAX);
    let contents = [(copy, copied), (original, Reader::open(original).and_then(|reader| reader::content_up_to(reader, most)))];
    let mut found = Vec::new();
    for (file, content) in contents {
        match content {
            Ok(content) => found.push(content),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) if reader::is_damage(&error) => return Ok(false),
            Err(error) => return Err(files::failed("read", &file.path, &error)),
        }
    }
    Ok(found.windows(2).all(|pair| pair[0] == pair[1]))
}
