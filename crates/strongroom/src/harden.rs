//! What the process denies itself and others, before it holds any key.

use std::panic::PanicHookInfo;

use rustix::fs::Mode;
use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit, umask};

/// No core dump, no reading of this process's memory by others of the same user, no file others may read.
pub(crate) fn process() -> std::io::Result<()> {
    umask(Mode::RWXG | Mode::RWXO);
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    raise_open_files()
}

/// The usual soft limit of 1,024 files is less than the connections and blobs that are served at once.
fn raise_open_files() -> std::io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?)
}

/// Panics go to the log with their place. Only a fixed message is logged: a formatted one may hold what a client sent.
pub(crate) fn panics() {
    std::panic::set_hook(Box::new(log_panic));
}

fn log_panic(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let message = panic.payload().downcast_ref::<&str>().copied().unwrap_or("(formatted message withheld)");
    tracing::error!(place, message, "a task panicked");
}
