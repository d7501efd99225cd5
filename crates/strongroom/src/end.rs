//! The last thing that the process does, and the only `unsafe` of this crate.
#![allow(unsafe_code)]

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use strongroom_keyring::end_libraries;

/// How long a token's library may take to return from its last calls, and to end.
const LIBRARIES_PATIENCE: Duration = Duration::from_secs(5);

/// Ends the libraries of tokens, and gives the exit status back. Everything that lasts is on the disk already, and the log, which has no
/// buffer, is written.
///
/// Where a library does not return, the process is left here and now: its destructors would run under the call, and crash.
pub(crate) fn process(code: u8) -> ExitCode {
    if end_libraries(LIBRARIES_PATIENCE) {
        return ExitCode::from(code);
    }
    tracing::warn!("a PKCS#11 library does not return from a call; the process ends without it");
    let _ = std::io::stdout().flush();
    // SAFETY: it takes a number, runs no destructor and does not return.
    unsafe { libc::_exit(code.into()) }
}
