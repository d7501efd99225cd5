//! Room that the file system keeps for the database, its log and its shared memory.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use strongroom_files::Links;
use strongroom_space::{Kept, hold};

/// The shared memory file of a log of 64 MiB.
const SHARED_MEMORY_BYTES: u64 = 160 << 10;

/// What is kept for the files of one catalog.
pub(super) struct Reserve {
    database: PathBuf,
    log_bytes: u64,
    open: Mutex<Option<Open>>,
}

/// Files on which SQLite has locks. They stay open: closing one would let go of the locks.
struct Open {
    database: File,
    shared_memory: File,
}

impl Reserve {
    pub(super) fn new(database: &Path, log_bytes: u32) -> Self {
        Self { database: database.to_owned(), log_bytes: log_bytes.into(), open: Mutex::default() }
    }

    /// Takes what is missing, as far as there is room.
    pub(super) fn fill(&self) -> io::Result<Kept> {
        let mut open = self.lock();
        match &mut *open {
            Some(open) => self.fill_files(open),
            none => self.fill_files(none.insert(self.open()?)),
        }
    }

    /// Takes again what a checkpoint has let go of, if anything was ever kept: it cuts the database to its length. At once, since
    /// somebody else may be waiting for every free byte. What cannot be taken now is tried again by [`Self::fill`].
    pub(super) fn take_again(&self) {
        if let Some(open) = &*self.lock() {
            let _ = self.fill_files(open);
        }
    }

    fn fill_files(&self, open: &Open) -> io::Result<Kept> {
        // SQLite has no locks on its log. There is none after another program has checkpointed, until the next write.
        let log = match open_file(&beside(&self.database, "-wal")) {
            Ok(log) => hold(&log, 0, self.log_bytes.max(log.metadata()?.len()))?,
            Err(error) if error.kind() == ErrorKind::NotFound => Kept::default(),
            Err(error) => return Err(error),
        };
        let shared_memory = hold(&open.shared_memory, 0, SHARED_MEMORY_BYTES)?;
        // Without the log the database cannot change, so the log comes first.
        let growth = hold(&open.database, open.database.metadata()?.len(), self.log_bytes)?;
        Ok(log.and(shared_memory).and(growth))
    }

    /// Nothing under the lock can leave it half-way.
    fn lock(&self) -> MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) -> io::Result<Open> {
        Ok(Open { database: open_file(&self.database)?, shared_memory: open_file(&beside(&self.database, "-shm"))? })
    }
}

fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut beside = database.as_os_str().to_owned();
    beside.push(suffix);
    beside.into()
}

/// The database itself may be a link of the operator's.
fn open_file(path: &Path) -> io::Result<File> {
    Ok(strongroom_files::open_with(OpenOptions::new().write(true), path, Links::Follow)?)
}
