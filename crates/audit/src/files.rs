//! The directory of a log: its files by name, and the lock that keeps a second writer out.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;
use strongroom_files::Links;
use time::{Date, OffsetDateTime, PrimitiveDateTime, Time};

use crate::AuditError;

const PREFIX: &str = "audit-";
const PLAIN: &str = ".jsonl";
const COMPRESSED: &str = ".jsonl.gz";
/// A compressed file that is not whole yet.
const PARTIAL: &str = ".jsonl.gz.partial";
const LOCK_FILE: &str = ".lock";
/// The next file: it has room reserved, and waits for its first record.
const NEXT_FILE: &str = ".next";

/// One file of a log.
#[derive(Clone, Debug)]
pub(crate) struct LogFile {
    pub(crate) path: PathBuf,
    pub(crate) name: String,
    /// The number of its first record, as its name says.
    pub(crate) first_seq: u64,
    /// When it was begun, as its name says; none if it names no moment.
    pub(crate) begun: Option<OffsetDateTime>,
    pub(crate) is_compressed: bool,
}

impl LogFile {
    /// The path under which the same records lie in the other form.
    pub(crate) fn other_form(&self) -> PathBuf {
        self.path.with_file_name(format!("{}{}", self.stem(), if self.is_compressed { PLAIN } else { COMPRESSED }))
    }

    /// Where the compressed form is made.
    pub(crate) fn partial(&self) -> PathBuf {
        self.path.with_file_name(format!("{}{PARTIAL}", self.stem()))
    }

    /// The name without its ending: the same for every copy of the same records.
    fn stem(&self) -> &str {
        self.name.trim_end_matches(COMPRESSED).trim_end_matches(PLAIN)
    }

    fn parse(path: PathBuf, name: &str) -> Option<Self> {
        let is_compressed = name.ends_with(COMPRESSED);
        let stem = name.strip_suffix(if is_compressed { COMPRESSED } else { PLAIN })?;
        let (stamp, seq) = stem.strip_prefix(PREFIX)?.split_once('-')?;
        let first_seq: u64 = seq.parse().ok().filter(|number: &u64| number.to_string() == seq && *number > 0)?;
        let is_stamp = stamp.len() == 16
            && stamp.bytes().enumerate().all(|(at, byte)| match at {
                8 => byte == b'T',
                15 => byte == b'Z',
                _ => byte.is_ascii_digit(),
            });
        is_stamp.then(|| Self { path, name: name.to_owned(), first_seq, begun: moment(stamp), is_compressed })
    }
}

/// What lies in the directories.
#[derive(Default)]
pub(crate) struct Listing {
    /// In the order of their first records, each once.
    pub(crate) files: Vec<LogFile>,
    /// Further copies of a file, in another form or directory, each with the file that counts.
    pub(crate) copies: Vec<(LogFile, LogFile)>,
    /// Names that look like those of log files and are none.
    pub(crate) foreign: Vec<String>,
    /// Compressed files that a stop left half made.
    pub(crate) partial: Vec<PathBuf>,
}

pub(crate) fn list(dir: &Path) -> Result<Listing, AuditError> {
    list_all(&[dir])
}

/// Lists directories that together hold one log. Of several copies of a file the plain one counts, and that of the first directory.
pub(crate) fn list_all(dirs: &[&Path]) -> Result<Listing, AuditError> {
    let (mut listing, mut found) = (Listing::default(), Vec::new());
    for (at, dir) in dirs.iter().enumerate() {
        if dir.is_file() {
            return Err(AuditError::Unwritable(format!("{} is a file: name the directory of the log", dir.display())));
        }
        let mut entries = fs::read_dir(dir).map_err(|error| failed("list", dir, &error))?;
        let entries = entries.try_fold(Vec::new(), |mut entries, entry| entry.map(|entry| (entries.push(entry), entries).1));
        for entry in entries.map_err(|error| failed("list", dir, &error))? {
            let name = entry.file_name().to_string_lossy().into_owned();
            if !name.starts_with(PREFIX) {
                continue;
            }
            let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
            match LogFile::parse(entry.path(), &name) {
                Some(file) if is_file => found.push((at, file)),
                _ if name.ends_with(PARTIAL) => listing.partial.push(entry.path()),
                _ => listing.foreign.push(name),
            }
        }
    }
    found.sort_by(|(a_dir, a), (b_dir, b)| {
        (a.first_seq, a.stem(), a.is_compressed, a_dir).cmp(&(b.first_seq, b.stem(), b.is_compressed, b_dir))
    });
    for (_, file) in found {
        match listing.files.last() {
            Some(last) if last.stem() == file.stem() => listing.copies.push((file, last.clone())),
            _ => listing.files.push(file),
        }
    }
    listing.foreign.sort();
    Ok(listing)
}

/// Opens a file for reading. A link is not followed, and nothing but a regular file is opened: a pipe would be waited for.
pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    Ok(strongroom_files::open(path, Links::Refuse)?)
}

/// The moment of `20260102T030405Z`.
fn moment(stamp: &str) -> Option<OffsetDateTime> {
    let number = |from: usize, to: usize| stamp.get(from..to)?.parse::<u16>().ok();
    let part = |from: usize| number(from, from + 2).and_then(|number| u8::try_from(number).ok());
    let date = Date::from_calendar_date(i32::from(number(0, 4)?), part(4)?.try_into().ok()?, part(6)?).ok()?;
    Some(PrimitiveDateTime::new(date, Time::from_hms(part(9)?, part(11)?, part(13)?).ok()?).assume_utc())
}

fn name(first_seq: u64, now: OffsetDateTime) -> String {
    let (date, hour, minute, second) = (now.date(), now.hour(), now.minute(), now.second());
    let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
    format!("{PREFIX}{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z-{first_seq}{PLAIN}")
}

/// Makes the next file, empty and of mode 0600, under a durable name. Uses the file that was prepared, if there is one. After an error
/// there is no file.
pub(crate) fn create(dir: &Path, first_seq: u64, prepared: Option<File>) -> io::Result<(File, PathBuf)> {
    let path = dir.join(name(first_seq, OffsetDateTime::now_utc()));
    let file = match prepared.or_else(|| left_prepared(dir)) {
        Some(file) => {
            rename_to_new(&dir.join(NEXT_FILE), &path)?;
            file
        }
        None => OpenOptions::new().append(true).create_new(true).mode(0o600).open(&path)?,
    };
    if let Err(error) = strongroom_files::sync_dir(dir) {
        // Best effort: an empty file under this name does no harm.
        let _ = fs::remove_file(&path);
        return Err(error);
    }
    Ok((file, path))
}

/// Prepares the next file, empty and of mode 0600. It does not have its name in the log yet.
pub(crate) fn prepare(dir: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let options = options.append(true).create(true).mode(0o600);
    let file = strongroom_files::open_with(options, &dir.join(NEXT_FILE), Links::Refuse)?;
    file.set_len(0)?;
    Ok(file)
}

/// Removes what was prepared.
pub(crate) fn discard_prepared(dir: &Path) {
    let _ = fs::remove_file(dir.join(NEXT_FILE));
}

/// A file that was prepared before the server stopped.
fn left_prepared(dir: &Path) -> Option<File> {
    let file = strongroom_files::open_with(OpenOptions::new().append(true), &dir.join(NEXT_FILE), Links::Refuse).ok()?;
    file.metadata().is_ok_and(|found| found.len() == 0).then_some(file)
}

/// Renames, but never replaces another file.
fn rename_to_new(from: &Path, to: &Path) -> io::Result<()> {
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Not every file system supports the flag.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) if to.symlink_metadata().is_err() => fs::rename(from, to),
        renamed => Ok(renamed?),
    }
}

/// Creates the directory if it is missing, syncs what a killed writer left in it unsynced, and locks it for one writer until the file is
/// dropped.
pub(crate) fn lock(dir: &Path) -> Result<File, AuditError> {
    strongroom_files::create_dir(dir, 0o700).map_err(|error| failed("create", dir, &error))?;
    let path = dir.join(LOCK_FILE);
    let mut options = OpenOptions::new();
    let opened = strongroom_files::open_with(options.write(true).create(true).truncate(false).mode(0o600), &path, Links::Refuse);
    let file = opened.map_err(|error| failed("open", &path, &error.into()))?;
    if strongroom_files::lock(&file).map_err(|error| failed("lock", &path, &error))? {
        Ok(file)
    } else {
        Err(AuditError::Unwritable(format!("{} is in use by another server; stop that one first", dir.display())))
    }
}

/// An error that names the path.
pub(crate) fn failed(verb: &str, path: &Path, error: &io::Error) -> AuditError {
    AuditError::Unwritable(format!("cannot {verb} {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use time::macros::datetime;

    use super::*;

    fn parse(name: &str) -> Option<LogFile> {
        LogFile::parse(Path::new("/log").join(name), name)
    }

    #[test]
    fn a_name_tells_when_a_file_was_made_and_what_it_begins_with() {
        let name = name(1042, datetime!(2026-01-02 03:04:05.9 UTC));
        assert_eq!(name, "audit-20260102T030405Z-1042.jsonl");
        let file = parse(&name).unwrap();
        assert_eq!((file.first_seq, file.begun, file.is_compressed), (1042, Some(datetime!(2026-01-02 03:04:05 UTC)), false));
        assert_eq!(file.other_form(), Path::new("/log/audit-20260102T030405Z-1042.jsonl.gz"));
        assert_eq!(file.partial(), Path::new("/log/audit-20260102T030405Z-1042.jsonl.gz.partial"));
        let compressed = parse("audit-20260102T030405Z-1042.jsonl.gz").unwrap();
        assert!(compressed.is_compressed && compressed.stem() == file.stem());
        assert_eq!(compressed.other_form(), file.path);
    }

    #[test]
    fn other_names_are_no_log_files() {
        for name in [
            "audit-20260102T030405Z-0.jsonl",
            "audit-20260102T030405Z-01.jsonl",
            "audit-20260102T030405Z-+1.jsonl",
            "audit-20260102T030405Z-.jsonl",
            "audit-20260102T030405-1.jsonl",
            "audit-20260102T030405Z-1.jsonl.gz.partial",
            "audit-20260102T030405Z-1.jsonl.zst",
            "audit--1.jsonl",
            "other-20260102T030405Z-1.jsonl",
        ] {
            assert!(parse(name).is_none(), "{name}");
        }
    }

    #[test]
    fn a_link_or_a_pipe_under_a_file_s_name_is_foreign_and_nobody_waits_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let (pipe, link) = (dir.path().join("audit-20260102T030405Z-1.jsonl"), dir.path().join("audit-20260102T030405Z-2.jsonl"));
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", &link).unwrap();
        let listing = list(dir.path()).unwrap();
        assert!(listing.files.is_empty());
        assert_eq!(listing.foreign, ["audit-20260102T030405Z-1.jsonl", "audit-20260102T030405Z-2.jsonl"]);
        assert_eq!(open_regular(&pipe).unwrap_err().to_string(), "it is no regular file");
        assert!(open_regular(&link).is_err());
    }
}
