//! The one way from an async worker to the disk, and from an errno to [`BlobError`].

use std::io::{self, ErrorKind};

use strongroom_fair::FairSemaphore;
use tokio::task::{JoinError, JoinHandle, spawn_blocking};

use crate::BlobError;

/// Runs file work on a blocking thread. It runs to its end even if the caller stops waiting.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, BlobError> + Send + 'static) -> Result<T, BlobError> {
    settled(&mut spawn_blocking(work)).await
}

/// The same, in turns with other tenants: under a permit, which work keeps that outlives its caller.
pub(crate) async fn in_turn<T: Send + 'static>(
    permits: &FairSemaphore,
    work: impl FnOnce() -> Result<T, BlobError> + Send + 'static,
) -> Result<T, BlobError> {
    let permit = permits.acquire().await;
    blocking(move || {
        let _permit = permit;
        work()
    })
    .await
}

/// Waits for work that was handed to a blocking thread.
pub(crate) async fn settled<T>(handle: &mut JoinHandle<Result<T, BlobError>>) -> Result<T, BlobError> {
    handle.await.unwrap_or_else(|lost: JoinError| Err(BlobError::Io(io::Error::other(lost))))
}

/// Sorts a failure of the operating system: no room, or anything else.
pub(crate) fn failed(error: io::Error) -> BlobError {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => BlobError::Full(error),
        _ => BlobError::Io(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_enospc_and_edquot_mean_full() {
        for errno in [libc::ENOSPC, libc::EDQUOT] {
            assert!(matches!(failed(io::Error::from_raw_os_error(errno)), BlobError::Full(_)), "errno {errno}");
        }
        for errno in [libc::EIO, libc::EFBIG, libc::EACCES, libc::EROFS, libc::EMFILE] {
            assert!(matches!(failed(io::Error::from_raw_os_error(errno)), BlobError::Io(_)), "errno {errno}");
        }
    }

    #[tokio::test]
    async fn a_panic_on_the_blocking_thread_is_an_error_not_a_hang() {
        let result = blocking(|| -> Result<(), BlobError> { panic!("expected by the test") }).await;
        assert!(matches!(result, Err(BlobError::Io(_))));
    }
}
