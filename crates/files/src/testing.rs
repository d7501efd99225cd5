//! Makes syncs fail on demand, as on a dying disk.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::io::Errno;

/// How many more syncs of each path will fail.
static FAILING: Mutex<BTreeMap<PathBuf, usize>> = Mutex::new(BTreeMap::new());

/// Makes the next `count` syncs of this file or directory fail with EIO. 0 ends it.
pub fn fail_syncs(path: &Path, count: usize) {
    FAILING.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), count);
}

/// An error if this sync must fail.
pub(crate) fn check(path: &Path) -> io::Result<()> {
    match FAILING.lock().unwrap_or_else(PoisonError::into_inner).get_mut(path) {
        Some(count) if *count > 0 => {
            *count -= 1;
            Err(Errno::IO.into())
        }
        _ => Ok(()),
    }
}
