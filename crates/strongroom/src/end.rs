//! The last thing that the process does, with the only `unsafe` of this crate.
#![allow(unsafe_code)]

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use strongroom_keyring::end_libraries;

/// How long the libraries of tokens may take to return from their last calls and to end.
const LIBRARIES_PATIENCE: Duration = Duration::from_secs(5);

/// Ends the libraries of tokens, and returns the exit status. Everything durable is on the disk by now, and the log, which has no buffer,
/// is written.
///
/// If a library does not return, the process exits right here: otherwise destructors would run during the call, and crash.
pub(crate) fn process(code: u8) -> ExitCode {
    if end_libraries(LIBRARIES_PATIENCE) {
        return ExitCode::from(code);
    }
    tracing::warn!("a PKCS#11 library does not return from a call; the process ends without it");
    let _ = std::io::stdout().flush();
    // SAFETY: it takes a number, runs no destructor and does not return.
    unsafe { libc::_exit(code.into()) }
}
