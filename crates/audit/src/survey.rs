//! Which closed files hold records of this log, by their content alone: whoever can write the directory chooses names, lengths and times.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::PublicKey;
use crate::files::LogFile;
use crate::reader::{self, MAX_PLAIN_LEN, Reader};
use crate::removed::{Removed, RemovedFile};
use crate::retention::Candidate;
use crate::walk::Walk;

/// What is known of the files that were read, so that each is read once.
#[derive(Default)]
pub(crate) struct Surveys(BTreeMap<String, (Version, Option<Candidate>)>);

/// Tells whether a file was written since it was read. Its owner can set any of this but the last, the time of the change itself.
type Version = (u64, u64, u64, (i64, i64));

/// What a file is, as far as retention is concerned.
pub(crate) enum Verdict {
    Sound(Box<Candidate>),
    /// Its content is not what was written under this name. Whether that is news.
    Suspect {
        is_new: bool,
    },
    /// Somebody moved it away.
    Gone,
}

impl Surveys {
    /// Forgets all files but these.
    pub(crate) fn keep(&mut self, files: &[LogFile]) {
        self.0.retain(|name, _| files.iter().any(|file| file.name == *name));
    }

    /// Reads a file through, unless it is as it was when it was read.
    pub(crate) fn of(&mut self, file: &LogFile, key: &PublicKey) -> io::Result<Verdict> {
        let surveyed = version(file).and_then(|version| match self.0.get(&file.name) {
            Some((known, found)) if *known == version => Ok((found.clone(), false)),
            _ => survey(file, key).map(|found| {
                self.0.insert(file.name.clone(), (version, found.clone()));
                (found, true)
            }),
        });
        match surveyed {
            Ok((Some(found), _)) => Ok(Verdict::Sound(Box::new(found))),
            Ok((None, is_new)) => Ok(Verdict::Suspect { is_new }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Verdict::Gone),
            Err(error) => Err(error),
        }
    }
}

fn version(file: &LogFile) -> io::Result<Version> {
    let found = fs::symlink_metadata(&file.path)?;
    Ok((found.dev(), found.ino(), found.len(), (found.ctime(), found.ctime_nsec())))
}

/// Nothing if the file is not as a writer of this log ends one: unbroken, and with a checkpoint of its key at the end.
fn survey(file: &LogFile, key: &PublicKey) -> io::Result<Option<Candidate>> {
    let on_disk = fs::symlink_metadata(&file.path)?.len();
    if on_disk > MAX_PLAIN_LEN {
        return Ok(None);
    }
    let (digest, bytes) = match reader::content(Reader::open(file)?) {
        Err(error) if reader::is_damage(&error) => return Ok(None),
        content => content?,
    };
    let mut walk = Walk::new(Some(key), None);
    walk.file(file)?;
    let tally = walk.finish_tail();
    let (Some(first_seq), Some(head), 0) = (tally.first_seq, tally.head, tally.findings_total) else { return Ok(None) };
    let Some(signed) = tally.last_checkpoint.filter(|signed| signed.seq == head.seq) else { return Ok(None) };
    let Ok(ended) = OffsetDateTime::parse(&signed.time, &Rfc3339) else { return Ok(None) };
    let (last_seq, hash, sha256, why) = (head.seq, head.hash, hex::encode(digest), "");
    let (name, records, prev) = (file.name.clone(), tally.records, tally.first_prev);
    let found = RemovedFile { file: name, first_seq, last_seq, hash, records, bytes, sha256, why, prev };
    // Compression can be padded without end, and the records stay the same.
    Ok(Some(Candidate { file: file.clone(), found, bytes: on_disk.min(bytes), ended }))
}

/// Whether a sound file stands where it belongs: after `before`, before the file that is written on, and not over what was removed.
pub(crate) fn is_in_place(file: &RemovedFile, before: Option<&RemovedFile>, closed_below: u64, removed: &Removed) -> bool {
    let follows =
        before.is_none_or(|before| file.first_seq > before.last_seq && (file.first_seq > before.last_seq + 1 || file.prev == before.hash));
    follows && file.last_seq < closed_below && !removed.overlaps(file.first_seq, file.last_seq)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(first_seq: u64, last_seq: u64, prev: &str, hash: &str) -> RemovedFile {
        let (file, sha256, why) = (String::new(), String::new(), "");
        RemovedFile { file, first_seq, last_seq, hash: hash.to_owned(), records: 1, bytes: 1, sha256, why, prev: prev.to_owned() }
    }

    #[test]
    fn a_file_is_in_place_where_nothing_overlaps_it_and_it_links_to_its_neighbour() {
        let before = file(11, 20, "a", "b");
        let mut removed = Removed::default();
        removed.add(&file(1, 10, "0", "a"));
        let is_in_place = |file: &RemovedFile| is_in_place(file, Some(&before), 31, &removed);
        assert!(is_in_place(&file(21, 30, "b", "c")) && is_in_place(&file(25, 30, "x", "c")));
        assert!(!is_in_place(&file(21, 30, "x", "c")), "it does not follow");
        assert!(!is_in_place(&file(20, 30, "b", "c")), "it overlaps");
        assert!(!is_in_place(&file(21, 31, "b", "c")), "it reaches into the file that is written on");
        assert!(!super::is_in_place(&file(10, 20, "x", "c"), None, 31, &removed), "it reaches into what was removed");
    }
}
