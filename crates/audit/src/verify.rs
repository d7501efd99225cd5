//! Checks a log as it lies on the disk, without the server.

use std::path::Path;

use serde::Serialize;

use crate::walk::Walk;
use crate::{AuditError, Finding, Head, PublicKey, files};

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

/// Reads the whole log of a directory and finds every gap, change, reordering, repetition and foreign line in it.
///
/// With `public_key` the checkpoints' signatures are checked, too: without, a log that was rewritten from some record on to its end
/// passes. With `expected_head`, which must have been kept out of reach of whoever could write the log, a cut or rewritten end shows.
/// Blocks on reading, in memory of a few lines. Fails if the files cannot be read.
pub fn verify(dir: &Path, public_key: Option<&PublicKey>, expected_head: Option<&Head>) -> Result<Report, AuditError> {
    let listing = files::list(dir).map_err(|error| files::failed("list", dir, &error))?;
    let mut walk = Walk::new(public_key, expected_head);
    for name in listing.foreign {
        walk.foreign_file(name);
    }
    for file in &listing.files {
        walk.file(file).map_err(|error| files::failed("read", &file.path, &error))?;
    }
    let tally = walk.finish(true);
    Ok(Report {
        files: tally.files,
        records: tally.records,
        events: tally.events,
        checkpoints: tally.checkpoints,
        signatures_checked: public_key.is_some(),
        first_seq: tally.first_seq,
        head: tally.head.unwrap_or_default(),
        last_checkpoint: tally.last_checkpoint,
        unsigned: tally.unsigned,
        findings: tally.findings,
        findings_total: tally.findings_total,
    })
}
