//! The directory of a log: its files by name, and the lock that keeps a second writer out.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use time::OffsetDateTime;

use crate::AuditError;

const PREFIX: &str = "audit-";
const SUFFIX: &str = ".jsonl";
const LOCK_FILE: &str = ".lock";

/// One file of a log.
#[derive(Clone, Debug)]
pub(crate) struct LogFile {
    pub(crate) path: PathBuf,
    pub(crate) name: String,
    /// The number of its first record, as its name says.
    pub(crate) first_seq: u64,
}

/// What lies in the directory.
pub(crate) struct Listing {
    /// In the order of their first records.
    pub(crate) files: Vec<LogFile>,
    /// Names that look like those of log files and are none.
    pub(crate) foreign: Vec<String>,
}

pub(crate) fn list(dir: &Path) -> io::Result<Listing> {
    let (mut files, mut foreign) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match first_seq(&name) {
            Some(first_seq) => files.push(LogFile { path, name, first_seq }),
            None if name.starts_with(PREFIX) => foreign.push(name),
            None => {}
        }
    }
    files.sort_by(|a, b| (a.first_seq, &a.name).cmp(&(b.first_seq, &b.name)));
    foreign.sort();
    Ok(Listing { files, foreign })
}

/// The number in `audit-<UTC date and time>-<first seq>.jsonl`.
fn first_seq(name: &str) -> Option<u64> {
    let (stamp, seq) = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.split_once('-')?;
    let is_stamp = stamp.len() == 16
        && stamp.bytes().enumerate().all(|(at, byte)| match at {
            8 => byte == b'T',
            15 => byte == b'Z',
            _ => byte.is_ascii_digit(),
        });
    let seq: u64 = seq.parse().ok().filter(|number: &u64| number.to_string() == seq)?;
    (is_stamp && seq > 0).then_some(seq)
}

fn name(first_seq: u64, now: OffsetDateTime) -> String {
    let (date, hour, minute, second) = (now.date(), now.hour(), now.minute(), now.second());
    let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
    format!("{PREFIX}{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z-{first_seq}{SUFFIX}")
}

/// Makes the next file, empty and of mode 0600, under a durable name.
pub(crate) fn create(dir: &Path, first_seq: u64) -> io::Result<(File, PathBuf)> {
    let path = dir.join(name(first_seq, OffsetDateTime::now_utc()));
    let file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(&path)?;
    File::open(dir)?.sync_all()?;
    Ok((file, path))
}

/// Creates the directory if absent, and locks it for one writer until the file is dropped.
pub(crate) fn lock(dir: &Path) -> Result<File, AuditError> {
    let created = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    created.map_err(|error| failed("create", dir, &error))?;
    let path = dir.join(LOCK_FILE);
    let opened = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
    let file = opened.map_err(|error| failed("open", &path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(AuditError::Unwritable(format!("{} is in use by another server; stop that one first", dir.display())))
        }
        Err(TryLockError::Error(error)) => Err(failed("lock", &path, &error)),
    }
}

/// An error that names the path.
pub(crate) fn failed(verb: &str, path: &Path, error: &io::Error) -> AuditError {
    AuditError::Unwritable(format!("cannot {verb} {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_name_tells_when_a_file_was_made_and_what_it_begins_with() {
        let name = name(1042, datetime!(2026-01-02 03:04:05.9 UTC));
        assert_eq!(name, "audit-20260102T030405Z-1042.jsonl");
        assert_eq!(first_seq(&name), Some(1042));
    }

    #[test]
    fn other_names_are_no_log_files() {
        for name in [
            "audit-20260102T030405Z-0.jsonl",
            "audit-20260102T030405Z-01.jsonl",
            "audit-20260102T030405Z-+1.jsonl",
            "audit-20260102T030405Z-.jsonl",
            "audit-20260102T030405-1.jsonl",
            "audit-20260102T030405Z-1.jsonl.gz",
            "audit--1.jsonl",
            "other-20260102T030405Z-1.jsonl",
        ] {
            assert_eq!(first_seq(name), None, "{name}");
        }
    }
}
