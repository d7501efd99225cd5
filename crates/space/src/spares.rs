//! Small files that hold blocks in reserve, and are removed when something needs blocks or a file of its own.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::hold::{Kept, hold};
use crate::look;

/// How many there are. Removing one frees a file (an inode) as well as its blocks.
const COUNT: usize = 8;
const PREFIX: &str = "spare-";
const STEP_LEN: usize = 64 << 10;

/// The spares in one directory of their own.
pub struct Spares {
    dir: PathBuf,
    /// The size of one, in bytes.
    len_bytes: u64,
    /// Only one thread at a time makes or removes them.
    turn: Mutex<()>,
}

impl Spares {
    /// The spares of a directory, `total_bytes` in all. Tries to make the directory if it is missing, and does nothing else on the disk.
    pub fn new(dir: PathBuf, total_bytes: u64) -> Self {
        let _ = DirBuilder::new().mode(0o700).create(&dir);
        Self { dir, len_bytes: total_bytes / COUNT as u64, turn: Mutex::default() }
    }

    /// Where they lie.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Makes the missing ones, as far as there is room. Blocks.
    pub fn fill(&self) -> io::Result<Kept> {
        let _turn = self.turn();
        let wanted_bytes = self.len_bytes * COUNT as u64;
        for number in 0..COUNT {
            let path = self.path(number);
            if self.len_bytes == 0 || self.is_whole(&path) {
                continue;
            }
            if let Err(error) = self.make(&path) {
                let _ = fs::remove_file(&path);
                match error.kind() {
                    ErrorKind::StorageFull | ErrorKind::QuotaExceeded => break,
                    _ => return Err(error),
                }
            }
        }
        let held = (0..COUNT).filter(|number| self.is_whole(&self.path(*number))).count() as u64;
        Ok(Kept { held_bytes: held * self.len_bytes, wanted_bytes })
    }

    /// Removes one, so that its blocks and its file are free for something else. False if there was none. Blocks.
    pub fn give(&self) -> bool {
        let _turn = self.turn();
        (0..COUNT).any(|number| fs::remove_file(self.path(number)).is_ok())
    }

    /// Removes spares until the file system has this much room, which a server needs for the few small files that it makes when it
    /// starts. Answers how many it removed.
    pub fn make_room(&self, wanted_bytes: u64, wanted_files: u64) -> usize {
        let has_room =
            || look(&self.dir).is_ok_and(|free| free.bytes >= wanted_bytes && free.files.is_none_or(|files| files >= wanted_files));
        let mut given = 0;
        while !has_room() && self.give() {
            given += 1;
        }
        given
    }

    fn make(&self, path: &Path) -> io::Result<()> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        let kept = hold(&file, 0, self.len_bytes)?;
        match (kept.wanted_bytes, kept.is_whole()) {
            // The file system cannot reserve blocks. So fill the file, with bytes that it cannot compress.
            (0, _) => fill_with_noise(file, self.len_bytes),
            (_, true) => Ok(()),
            (_, false) => Err(ErrorKind::StorageFull.into()),
        }
    }

    fn is_whole(&self, path: &Path) -> bool {
        // The file system may round some blocks away.
        path.symlink_metadata().is_ok_and(|found| found.is_file() && found.blocks() * 512 >= self.len_bytes - self.len_bytes / 8)
    }

    fn path(&self, number: usize) -> PathBuf {
        self.dir.join(format!("{PREFIX}{number}"))
    }

    /// Poisoning is no concern: the lock guards no data.
    fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn fill_with_noise(mut file: File, len_bytes: u64) -> io::Result<()> {
    let mut noise = vec![0; STEP_LEN];
    File::open("/dev/urandom")?.read_exact(&mut noise)?;
    let mut left = len_bytes;
    while left > 0 {
        let step = usize::try_from(left).map_or(STEP_LEN, |left| left.min(STEP_LEN));
        file.write_all(&noise[..step])?;
        left -= step as u64;
    }
    file.sync_all()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn count(spares: &Spares) -> usize {
        fs::read_dir(spares.dir()).unwrap().count()
    }

    #[test]
    fn spares_are_given_one_by_one_and_made_again() {
        let home = tempfile::tempdir().unwrap();
        let spares = Spares::new(home.path().join("reserve"), 8 << 20);
        let whole = Kept { held_bytes: 8 << 20, wanted_bytes: 8 << 20 };
        assert_eq!(spares.fill().unwrap(), whole);
        assert_eq!(count(&spares), COUNT);
        for left in (0..COUNT).rev() {
            assert!(spares.give());
            assert_eq!(count(&spares), left);
        }
        assert!(!spares.give(), "none is left");
        assert_eq!(spares.fill().unwrap(), whole);
        assert_eq!(spares.make_room(0, 0), 0, "there is room");
    }

    #[test]
    fn no_spares_are_made_where_none_are_wanted() {
        let home = tempfile::tempdir().unwrap();
        let spares = Spares::new(home.path().join("reserve"), 0);
        assert_eq!(spares.fill().unwrap(), Kept::default());
        assert_eq!(count(&spares), 0);
    }
}
