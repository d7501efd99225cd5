//! The state of a file system.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{StatVfs, StatVfsMountFlags};
use strongroom_files::Links;

const PROBE_FILE: &str = "probe";
const PROBE: [u8; 4096] = [0x5a; 4096];

/// How much of a file system is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Free {
    /// Bytes that the server's user may still write.
    pub bytes: u64,
    /// The size of the file system, in bytes.
    pub total_bytes: u64,
    /// Files that may still be made. None where the file system does not limit them.
    pub files: Option<u64>,
    /// Files that there may be in all. None where the file system does not limit them.
    pub total_files: Option<u64>,
    /// Whether it is mounted read-only.
    pub is_read_only: bool,
}

/// Why nothing can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteFault {
    /// No blocks or no files are left, of the disk or of a quota: `ENOSPC`, `EDQUOT`.
    Full,
    /// `EROFS`
    ReadOnly,
    /// Anything else, such as `EIO`.
    Failing,
}

impl WriteFault {
    /// What an error of the operating system means for a write.
    pub fn of(error: &io::Error) -> Self {
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::Full,
            ErrorKind::ReadOnlyFilesystem => Self::ReadOnly,
            _ => Self::Failing,
        }
    }
}

/// How much is free on the file system that `path` lies on. One system call, which may wait on a network file system.
pub fn look(path: &Path) -> io::Result<Free> {
    let StatVfs { f_frsize, f_blocks, f_bavail, f_files, f_favail, f_flag, .. } = rustix::fs::statvfs(path)?;
    // File systems that make inodes as they need them report none at all.
    let limited = |count| (f_files > 0).then_some(count);
    Ok(Free {
        bytes: f_bavail.saturating_mul(f_frsize),
        total_bytes: f_blocks.saturating_mul(f_frsize),
        files: limited(f_favail),
        total_files: limited(f_files),
        is_read_only: f_flag.contains(StatVfsMountFlags::RDONLY),
    })
}

/// Tries to make, write, sync and remove a small file in the directory. Blocks.
pub fn probe(dir: &Path) -> io::Result<()> {
    let path = dir.join(PROBE_FILE);
    let written = write(&path);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => written.and(Err(error)),
        _ => written,
    }
}

fn write(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file: File = strongroom_files::open_with(options.write(true).create(true).truncate(true).mode(0o600), path, Links::Refuse)?;
    file.write_all(&PROBE)?;
    file.sync_all()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_a_want_of_room_is_full_and_a_read_only_disk_is_no_failing_one() {
        for (errno, fault) in [
            (Errno::NOSPC, WriteFault::Full),
            (Errno::DQUOT, WriteFault::Full),
            (Errno::ROFS, WriteFault::ReadOnly),
            (Errno::IO, WriteFault::Failing),
            (Errno::ACCESS, WriteFault::Failing),
        ] {
            assert_eq!(WriteFault::of(&errno.into()), fault, "{errno}");
        }
    }

    #[test]
    fn a_probe_leaves_nothing_behind_and_a_look_sees_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        probe(dir.path()).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        let free = look(dir.path()).unwrap();
        assert!(free.total_bytes >= free.bytes && !free.is_read_only);
        assert_eq!(probe(&dir.path().join("missing")).unwrap_err().kind(), ErrorKind::NotFound);
    }

    use rustix::io::Errno;
}
