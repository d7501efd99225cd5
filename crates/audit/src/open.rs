//! Takes a log up where it ended: repairs a torn end, finds the head, compares it with the one that was expected.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::Serialize;
use strongroom_files::Links;
use time::OffsetDateTime;

use crate::files::{self, Listing, LogFile};
use crate::record::{MAX_LINE_LEN, Record};
use crate::removed::Removed;
use crate::walk::Walk;
use crate::{AuditError, Finding, Head, PublicKey};

/// What was found when a log was opened. Findings do not keep the log from being written: say them loudly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OpenReport {
    /// The last record that was there.
    pub head: Head,
    /// What was cut off because an interrupted write left it incomplete.
    pub repaired: Option<Repair>,
    /// What is wrong from the expected head on, or in the last file; [`verify`](crate::verify) reads the whole log.
    pub findings: Vec<Finding>,
    /// Records at the end that no checkpoint vouched for: written before a crash, or by someone else. The next checkpoint covers them.
    pub unsigned: u64,
}

/// Incomplete records at the end that were cut off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Repair {
    /// The file's name.
    pub file: String,
    /// How many bytes of it were there.
    pub cut_bytes: u64,
}

/// The file that is written on.
pub(crate) struct Tail {
    pub(crate) file: File,
    pub(crate) path: PathBuf,
    /// Up to here it is durable, and all of it.
    pub(crate) len: u64,
    /// When it was begun.
    pub(crate) begun: OffsetDateTime,
}

/// A log that is taken up.
pub(crate) struct Opened {
    pub(crate) tail: Option<Tail>,
    /// The number of the first record of the file that is written on; of the next, if there is none.
    pub(crate) tail_seq: u64,
    /// What retention removed so far.
    pub(crate) removed: Removed,
    pub(crate) report: OpenReport,
}

/// How many files are looked through for what retention removed, from the last on. Each file that is begun states it.
const MAX_FILES_FOR_REMOVED: usize = 3;

/// Opens the log of a locked directory.
pub(crate) fn open(dir: &Path, key: &PublicKey, expected: Option<&Head>) -> Result<Opened, AuditError> {
    let listing = files::list(dir)?;
    let (tail, repaired) = match listing.files.last().filter(|last| is_open(last, &listing)) {
        None => (None, None),
        Some(last) => {
            let (tail, repaired) = open_tail(last, expected).map_err(|error| files::failed("open", &last.path, &error))?;
            (Some(tail), repaired)
        }
    };
    let mut walk = Walk::new(Some(key), expected);
    let start = start(&listing.files, expected);
    for file in &listing.files[start..] {
        walk.file(file).map_err(|error| files::failed("read", &file.path, &error))?;
    }
    let tally = walk.finish_tail();
    // Without a single good record, numbers go on from what the last name says.
    let numbered = || Head { seq: listing.files.last().map_or(0, |last| last.first_seq - 1), ..Head::default() };
    let head = tally.head.unwrap_or_else(numbered);
    let tail_seq = listing.files.last().filter(|_| tail.is_some()).map_or(head.seq + 1, |last| last.first_seq);
    let removed = tally.removed.unwrap_or_else(|| removed_before(&listing.files, start, key));
    Ok(Opened { tail, tail_seq, removed, report: OpenReport { head, repaired, findings: tally.findings, unsigned: tally.unsigned } })
}

/// Whether the last file is written on. One that is compressed, even if its former form is still there, is closed.
fn is_open(last: &LogFile, listing: &Listing) -> bool {
    !last.is_compressed && !listing.copies.iter().any(|(_, original)| original.path == last.path)
}

/// What the files before those that were read state to be removed, if anything is missing. What cannot be read states nothing.
fn removed_before(files: &[LogFile], start: usize, key: &PublicKey) -> Removed {
    if files.first().is_none_or(|first| first.first_seq == 1) {
        return Removed::default();
    }
    let stated = |file: &LogFile| {
        let mut walk = Walk::new(Some(key), None);
        walk.file(file).ok()?;
        walk.finish_tail().removed
    };
    files[..start].iter().rev().take(MAX_FILES_FOR_REMOVED).find_map(stated).unwrap_or_default()
}

/// The file to read from: the one with the expected head, or the last with anything in it.
fn start(files: &[LogFile], expected: Option<&Head>) -> usize {
    let has_records = |file: &LogFile| file.path.metadata().is_ok_and(|found| found.len() > 0);
    let last = files.iter().rposition(has_records).unwrap_or(0);
    let with_expected = expected.map_or(last, |head| files.iter().rposition(|file| file.first_seq <= head.seq).unwrap_or(0));
    last.min(with_expected)
}

fn open_tail(last: &LogFile, expected: Option<&Head>) -> io::Result<(Tail, Option<Repair>)> {
    let mut file = strongroom_files::open_with(OpenOptions::new().read(true).append(true), &last.path, Links::Refuse)?;
    let found = file.metadata()?.len();
    let len = whole_len(&mut file, found, last, expected)?;
    let repaired = (len < found).then(|| Repair { file: last.name.clone(), cut_bytes: found - len });
    if repaired.is_some() {
        file.set_len(len)?;
    }
    // Sync also what a killed writer left unsynced: nobody may build on a head that a power cut could take away.
    file.sync_all()?;
    let begun = last.begun.unwrap_or_else(OffsetDateTime::now_utc);
    Ok((Tail { file, path: last.path.clone(), len, begun }, repaired))
}

/// The length of the complete part: it ends before an incomplete line, and before a hole. After a power cut a later part of unsynced data
/// may be on the disk and an earlier one missing. The missing part reads as zeros, which no record contains.
///
/// Everything up to the anchored head was synced. So a hole before it is damage, and is left as it is. A hole after it hides no more than
/// somebody could hide by cutting the log off there, and what is anchored is protected against that, too.
fn whole_len(file: &mut File, len: u64, last: &LogFile, expected: Option<&Head>) -> io::Result<u64> {
    let anchored = expected.map_or(0, |head| head.seq);
    if let Some(hole) = first_hole(file, len)? {
        let end = complete_len(file, hole)?;
        if last_seq(file, end, last)?.is_some_and(|seq| seq >= anchored) {
            return Ok(end);
        }
    }
    complete_len(file, len)
}

/// The position of the first zero byte.
fn first_hole(file: &mut File, len: u64) -> io::Result<Option<u64>> {
    let (mut block, mut begin) = (vec![0; 1 << 16], 0);
    file.seek(SeekFrom::Start(0))?;
    while begin < len {
        let size = usize::try_from((len - begin).min(1 << 16)).unwrap_or(block.len());
        file.read_exact(&mut block[..size])?;
        if let Some(at) = block[..size].iter().position(|byte| *byte == 0) {
            return Ok(Some(begin + at as u64));
        }
        begin += size as u64;
    }
    Ok(None)
}

/// The number of the record that ends at `end`; none if no valid record does.
fn last_seq(file: &mut File, end: u64, last: &LogFile) -> io::Result<Option<u64>> {
    if end == 0 {
        return Ok(Some(last.first_seq - 1));
    }
    let begin = complete_len(file, end - 1)?;
    let Some(len) = usize::try_from(end - 1 - begin).ok().filter(|len| *len <= MAX_LINE_LEN) else { return Ok(None) };
    let mut line = vec![0; len];
    file.seek(SeekFrom::Start(begin))?;
    file.read_exact(&mut line)?;
    Ok(Record::parse(&line).filter(|record| record.is_unchanged).map(|record| record.seq()))
}

/// Where the last complete line ends.
fn complete_len(file: &mut File, len: u64) -> io::Result<u64> {
    let mut block = vec![0; 1 << 16];
    let mut end = len;
    while end > 0 {
        let size = usize::try_from(end.min(1 << 16)).unwrap_or(block.len());
        let begin = end - size as u64;
        file.seek(SeekFrom::Start(begin))?;
        file.read_exact(&mut block[..size])?;
        if let Some(at) = block[..size].iter().rposition(|byte| *byte == b'\n') {
            return Ok(begin + at as u64 + 1);
        }
        end = begin;
    }
    Ok(0)
}
