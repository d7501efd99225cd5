//! Reserves room on the file system for the database, its log and its shared memory.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use strongroom_files::Links;
use strongroom_space::{Kept, hold};

/// The length of the shared memory file of a log of 64 MiB.
const SHARED_MEMORY_BYTES: u64 = 160 << 10;

/// The room reserved for the files of one catalog.
pub(super) struct Reserve {
    database: PathBuf,
    log_bytes: u64,
    open: Mutex<Option<Open>>,
}

/// Files on which SQLite has locks. They stay open: closing one would release the locks.
struct Open {
    database: File,
    shared_memory: File,
}

impl Reserve {
    pub(super) fn new(database: &Path, log_bytes: u32) -> Self {
        Self { database: database.to_owned(), log_bytes: log_bytes.into(), open: Mutex::default() }
    }

    /// Reserves what is missing, as far as there is room.
    pub(super) fn fill(&self) -> io::Result<Kept> {
        let mut open = self.lock();
        match &mut *open {
            Some(open) => self.fill_files(open),
            none => self.fill_files(none.insert(self.open()?)),
        }
    }

    /// Reserves again what a checkpoint has given up, since it cuts the database to its length; nothing if nothing was reserved before.
    /// Must happen at once: somebody else may be waiting for every free byte. What fails here is tried again by [`Self::fill`].
    pub(super) fn take_again(&self) {
        if let Some(open) = &*self.lock() {
            let _ = self.fill_files(open);
        }
    }

    fn fill_files(&self, open: &Open) -> io::Result<Kept> {
        // SQLite has no locks on its log, so it may be opened and closed. After another program's checkpoint there may be no log until
        // the next write.
        let log = match open_file(&beside(&self.database, "-wal")) {
            Ok(log) => hold(&log, 0, self.log_bytes.max(log.metadata()?.len()))?,
            Err(error) if error.kind() == ErrorKind::NotFound => Kept::default(),
            Err(error) => return Err(error),
        };
        let shared_memory = hold(&open.shared_memory, 0, SHARED_MEMORY_BYTES)?;
        // The log comes first: without it the database cannot change.
        let growth = hold(&open.database, open.database.metadata()?.len(), self.log_bytes)?;
        Ok(log.and(shared_memory).and(growth))
    }

    /// Poisoning is no concern: nothing leaves the files half open.
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

/// The operator may have made the database a symbolic link.
fn open_file(path: &Path) -> io::Result<File> {
    Ok(strongroom_files::open_with(OpenOptions::new().write(true), path, Links::Follow)?)
}
