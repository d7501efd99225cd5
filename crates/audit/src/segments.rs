//! The files of a log, as their names tell.

use std::path::{Path, PathBuf};

use serde::Serialize;
use time::OffsetDateTime;

use crate::{AuditError, files};

/// One file of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Segment {
    /// Where it lies.
    pub path: PathBuf,
    /// The number of its first record.
    pub first_seq: u64,
    /// The number of its last, if another file follows.
    pub last_seq: Option<u64>,
    /// When it was begun.
    #[serde(with = "time::serde::rfc3339::option")]
    pub begun: Option<OffsetDateTime>,
    /// Its length on the disk in bytes.
    pub bytes: u64,
    /// Whether it is compressed.
    pub compressed: bool,
    /// Whether it is ended: it may be moved away. The last one is written on while a server runs.
    pub ended: bool,
}

/// Lists the files of a log in the order of their records, without reading them.
pub fn segments(dir: &Path) -> Result<Vec<Segment>, AuditError> {
    let files = files::list(dir)?.files;
    let following: Vec<_> = files.iter().skip(1).map(|file| Some(file.first_seq)).chain([None]).collect();
    let segment = |(file, next): (files::LogFile, Option<u64>)| Segment {
        bytes: file.path.metadata().map_or(0, |found| found.len()),
        last_seq: next.map(|next| next.saturating_sub(1)),
        ended: next.is_some() || file.is_compressed,
        first_seq: file.first_seq,
        begun: file.begun,
        compressed: file.is_compressed,
        path: file.path,
    };
    Ok(files.into_iter().zip(following).map(segment).collect())
}
