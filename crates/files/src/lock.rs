//! Locks on files, by which a server keeps a directory to itself.

use std::fs::{File, TryLockError};
use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A killed process gives its locks up when the last of its threads has ended. A process that starts a program shares its locks with it for a
/// moment, until that program runs. Both pass in milliseconds, on a busy machine in tenths of a second.
const PATIENCE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(10);

/// Takes the exclusive lock of a file until it is closed. False if somebody else still holds it after a second. Blocks.
pub fn lock(file: &File) -> io::Result<bool> {
    lock_within(file, PATIENCE)
}

fn lock_within(file: &File, patience: Duration) -> io::Result<bool> {
    let deadline = Instant::now() + patience;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) if Instant::now() >= deadline => return Ok(false),
            Err(TryLockError::WouldBlock) => sleep(PAUSE),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_lock_that_is_given_up_in_time_is_taken_and_another_is_not() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("lock");
        let held = File::create(&path).unwrap();
        assert!(lock(&held).unwrap());
        assert!(!lock(&File::open(&path).unwrap()).unwrap());
        let next = File::open(&path).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| lock_within(&next, Duration::from_mins(1)).unwrap());
            sleep(5 * PAUSE);
            drop(held);
            assert!(waiting.join().unwrap());
        });
    }
}
