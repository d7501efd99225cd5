//! The system calls that the standard library lacks: the only `unsafe` of this crate.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use bytes::BytesMut;

/// Appends up to `len_bytes` bytes of the file from `offset_bytes` to `out`, which is not zeroed first; fewer only where the file ends.
pub(crate) fn read_at(file: &File, offset_bytes: u64, len_bytes: usize, out: &mut BytesMut) -> io::Result<()> {
    out.reserve(len_bytes);
    let (mut remaining, mut offset) = (len_bytes, offset_bytes);
    while remaining > 0 {
        let at = libc::off_t::try_from(offset).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        let spare = &mut out.spare_capacity_mut()[..remaining];
        // SAFETY: `spare` is `remaining` writable bytes, borrowed for the call; the kernel writes at most so many into it.
        let count = unsafe { libc::pread(file.as_raw_fd(), spare.as_mut_ptr().cast(), remaining, at) };
        let Ok(count) = usize::try_from(count) else {
            let error = io::Error::last_os_error();
            if error.kind() == io::ErrorKind::Interrupted {
                continue;
            }
            return Err(error);
        };
        if count == 0 {
            break;
        }
        // SAFETY: pread initialised the first `count` bytes of the spare capacity, and `count` is no more than that.
        unsafe { out.set_len(out.len() + count) };
        remaining -= count;
        offset += count as u64;
    }
    Ok(())
}

/// Starts writing a range of the page cache back and does not wait for it. A hint: what goes wrong shows in the fsync that follows.
#[cfg(target_os = "linux")]
pub(crate) fn start_write_back(file: &File, offset_bytes: u64, len_bytes: u64) {
    let (Ok(offset), Ok(len)) = (libc::off64_t::try_from(offset_bytes), libc::off64_t::try_from(len_bytes)) else { return };
    // SAFETY: takes numbers only; the descriptor is open for as long as `file` is borrowed.
    let _ = unsafe { libc::sync_file_range(file.as_raw_fd(), offset, len, libc::SYNC_FILE_RANGE_WRITE) };
}

/// Elsewhere the fsync at the end does all of it.
#[cfg(not(target_os = "linux"))]
pub(crate) fn start_write_back(_file: &File, _offset_bytes: u64, _len_bytes: u64) {}
