//! The `strongroom` binary: configuration, TLS, the ports, and the wiring of the parts.
//!
//! ```text
//! cli + environment + file ─▶ Settings ─▶ serve: lock ─▶ TLS ─▶ KMS ─▶ catalog ─▶ blobs ─▶ engine ─▶ ports
//! ```

mod admin_api;
mod banner;
mod cli;
mod config;
mod credentials;
mod end;
mod files;
mod harden;
mod health;
mod listen;
mod lock;
mod log;
mod metrics;
mod observed;
mod ports;
mod serve;
mod shell;
mod tls;

use std::error::Error;
use std::io;
use std::process::ExitCode;
use std::time::Duration;

use config::Settings;
use tikv_jemallocator::Jemalloc;
use tokio::runtime::{Builder, Runtime};

/// Memory that a crowd of slow peers took goes back to the system some ten seconds after they left.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// Threads for blocking calls: the disk's queue is full long before.
const BLOCKING_THREADS: usize = 64;
/// How long blocking calls may still take when everything else has ended.
const LAST_CALLS: Duration = Duration::from_secs(5);
/// After so many steps of its own tasks a worker thread looks for events of sockets, and for tasks that other threads woke, such as the
/// catalog's. Tokio's 61 and 31 are right where steps are cheap. Here a step may seal a body, and one client beside a crowd would wait for
/// 61 of them before its request is even seen.
const STEPS_BETWEEN_LOOKS: u32 = 3;
/// Source: sysexits.h has 78 for this, but shells and `clap` know 2 for wrong usage.
const WRONG_USAGE: u8 = 2;

fn main() -> ExitCode {
    match cli::parse() {
        cli::Request::Version => {
            println!("strongroom {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        cli::Request::Done(code) => code,
        cli::Request::Serve(command_line) => match config::load(command_line, std::env::vars_os()) {
            Ok(settings) => serve(settings),
            Err(error) => fail(&error, WRONG_USAGE),
        },
    }
}

fn serve(settings: Settings) -> ExitCode {
    if let Err(error) = harden::process() {
        return fail(&error, 1);
    }
    log::start(&settings);
    harden::panics();
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error, 1),
    };
    let ended = runtime.block_on(serve::run(settings));
    runtime.shutdown_timeout(LAST_CALLS);
    let code = match ended {
        Ok(()) => 0,
        Err(error) => complain(&error, 1),
    };
    end::process(code)
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .event_interval(STEPS_BETWEEN_LOOKS)
        .global_queue_interval(STEPS_BETWEEN_LOOKS)
        .build()
}

fn fail(error: &dyn Error, code: u8) -> ExitCode {
    ExitCode::from(complain(error, code))
}

/// Prints the error and what caused it, in one line; the exit status.
fn complain(error: &dyn Error, code: u8) -> u8 {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.extend([": ", &error.to_string()]);
        cause = error.source();
    }
    eprintln!("strongroom: {text}");
    code
}
