//! `strongroom kms …`, `strongroom user …`, `strongroom inventory` and so on: administration from the command line, over the admin API.
//!
//! ```text
//! args (clap) ─▶ calls: one request each ─▶ client: SigV4 over TLS ─▶ output: text or --json, and the exit status
//! ```
#![forbid(unsafe_code)]

mod args;
mod audit;
mod calls;
mod client;
mod completions;
mod error;
mod events;
mod identities;
mod inventory;
mod lifecycle;
mod output;
mod profile;
mod rekey;
mod run;
mod sign;

use std::process::ExitCode;

use clap::{ArgMatches, Args as _, Command, FromArgMatches as _};

pub use completions::completions_command;

/// The command `kms`, for the program's own list of commands.
pub fn kms_command() -> Command {
    let command = Command::new("kms").about("Manage keys, the key service and re-keying of a running server");
    args::KmsArgs::augment_args(command).subcommand_required(true).arg_required_else_help(true).after_help(args::AFTER_HELP)
}

/// Runs `kms …` as given. Prints the answer, or the error; the exit status tells them apart ([`exit statuses`](args::AFTER_HELP)).
pub fn run_kms(matches: &ArgMatches) -> ExitCode {
    match args::KmsArgs::from_arg_matches(matches) {
        Ok(args) => run::run(&args),
        Err(error) => error.exit(),
    }
}

/// The commands about identities: `user`, `group`, `role`, `policy`, `accesskey` and `account`.
pub fn identity_commands() -> impl IntoIterator<Item = Command> {
    identities::commands()
}

/// Runs the one of that name as given; none if it is not one of them.
pub fn run_identities(name: &str, matches: &ArgMatches) -> Option<ExitCode> {
    identities::run(name, matches)
}

/// The command `inventory`.
pub fn inventory_command() -> Command {
    let command = Command::new("inventory").about("List the mode and key of each version of an object, as CSV or JSON lines");
    args::InventoryArgs::augment_args(command)
        .mut_arg("backend", |arg| arg.help("Only versions under a KMS key of this backend"))
        .after_help(args::inventory::AFTER_HELP)
}

/// Runs `inventory` as given.
pub fn run_inventory(matches: &ArgMatches) -> ExitCode {
    match args::InventoryArgs::from_arg_matches(matches) {
        Ok(args) => inventory::run(&args),
        Err(error) => error.exit(),
    }
}

/// The command `lifecycle`.
pub fn lifecycle_command() -> Command {
    let command = Command::new("lifecycle")
        .about("Show and run lifecycle passes, which delete what has expired, and end buckets by destroying their keys");
    lifecycle::LifecycleArgs::augment_args(command)
        .mut_arg("backend", |arg| arg.hide(true))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .after_help(lifecycle::AFTER_HELP)
}

/// Runs `lifecycle …` as given.
pub fn run_lifecycle(matches: &ArgMatches) -> ExitCode {
    match lifecycle::LifecycleArgs::from_arg_matches(matches) {
        Ok(args) => lifecycle::run(&args),
        Err(error) => error.exit(),
    }
}

/// The command `events`.
pub fn events_command() -> Command {
    let command = Command::new("events").about("Show notification targets, and send or drop events that were given up");
    events::EventsArgs::augment_args(command)
        .mut_arg("backend", |arg| arg.hide(true))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .after_help(events::AFTER_HELP)
}

/// Runs `events …` as given.
pub fn run_events(matches: &ArgMatches) -> ExitCode {
    match events::EventsArgs::from_arg_matches(matches) {
        Ok(args) => events::run(&args),
        Err(error) => error.exit(),
    }
}

/// The command `audit`.
pub fn audit_command() -> Command {
    let command = Command::new("audit").about("Check the audit log");
    audit::AuditArgs::augment_args(command).subcommand_required(true).arg_required_else_help(true)
}

/// Runs `audit …` as given.
pub fn run_audit(matches: &ArgMatches) -> ExitCode {
    match audit::AuditArgs::from_arg_matches(matches) {
        Ok(args) => audit::run(&args),
        Err(error) => error.exit(),
    }
}

/// Prints the completions of `shell` for the whole program.
pub fn run_completions(matches: &ArgMatches, program: Command) -> ExitCode {
    completions::print(matches, program)
}
