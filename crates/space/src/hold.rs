//! Reserving blocks for a file beyond its end.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;

use rustix::fs::FallocateFlags;
use rustix::io::Errno;

/// The unit that `st_blocks` counts in.
const BLOCK_LEN: u64 = 512;
/// What a file system may use for itself, or round away. If no more than this is missing, or an eighth where that is less, the
/// reservation counts as complete.
const SLACK_LEN: u64 = 64 << 10;
/// Where the file system cannot give everything, half as much is tried, and so on, down to this.
const MIN_STEP_LEN: u64 = 256 << 10;

/// How much of a reserve there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// What is reserved now, in bytes.
    pub held_bytes: u64,
    /// What should be reserved, in bytes. 0 where the file system cannot reserve anything.
    pub wanted_bytes: u64,
}

impl Kept {
    /// Whether everything is reserved that should be.
    pub fn is_whole(&self) -> bool {
        self.held_bytes >= self.wanted_bytes
    }

    /// The sum of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { held_bytes: self.held_bytes + other.held_bytes, wanted_bytes: self.wanted_bytes + other.wanted_bytes }
    }
}

/// Reserves `beyond_bytes` for the file beyond its first `len_bytes`, or as much as there is room for. The length of the file stays as
/// it is. A lack of room is no error.
pub fn hold(file: &File, len_bytes: u64, beyond_bytes: u64) -> io::Result<Kept> {
    let mut step = beyond_bytes;
    loop {
        let held = held(file, len_bytes)?;
        if held.saturating_add(SLACK_LEN.min(beyond_bytes / 8)) >= beyond_bytes {
            return Ok(Kept { held_bytes: beyond_bytes, wanted_bytes: beyond_bytes });
        }
        if step < MIN_STEP_LEN.min(beyond_bytes) || step <= held {
            return Ok(Kept { held_bytes: held, wanted_bytes: beyond_bytes });
        }
        match rustix::fs::fallocate(file, FallocateFlags::KEEP_SIZE, len_bytes, step) {
            Ok(()) => return Ok(Kept { held_bytes: step, wanted_bytes: beyond_bytes }),
            Err(Errno::NOSPC | Errno::DQUOT) => step /= 2,
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(Kept::default()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Gives back what is reserved for the file beyond its end.
pub fn let_go(file: &File) -> io::Result<()> {
    file.set_len(file.metadata()?.len())
}

fn held(file: &File, len_bytes: u64) -> io::Result<u64> {
    Ok((file.metadata()?.blocks() * BLOCK_LEN).saturating_sub(len_bytes))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn little_is_held_as_much_is() {
        let file = tempfile::tempfile().unwrap();
        assert!(hold(&file, 0, 32 << 10).unwrap().is_whole());
        assert!(file.metadata().unwrap().blocks() * BLOCK_LEN >= 32 << 10);
        assert_eq!(hold(&file, 0, 0).unwrap(), Kept::default());
    }

    #[test]
    fn what_is_held_lies_beyond_the_end_and_is_given_back() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[7; 10_000]).unwrap();
        let kept = hold(&file, 10_000, 1 << 20).unwrap();
        assert_eq!(kept, Kept { held_bytes: 1 << 20, wanted_bytes: 1 << 20 });
        assert!(kept.is_whole());
        let metadata = file.metadata().unwrap();
        assert_eq!(metadata.len(), 10_000, "the length is as it was");
        assert!(metadata.blocks() * BLOCK_LEN >= 1 << 20);
        assert_eq!(hold(&file, 10_000, 1 << 20).unwrap(), kept, "what is there is not taken twice");
        let_go(&file).unwrap();
        assert!(file.metadata().unwrap().blocks() * BLOCK_LEN < 1 << 19);
        assert_eq!(file.metadata().unwrap().len(), 10_000);
    }
}
