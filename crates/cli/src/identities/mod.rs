//! `strongroom user | group | role | policy | accesskey | account …`: identities of the caller's account, by the calls of IAM over the admin API.

mod accesskey;
mod account;
mod group;
mod holder;
mod import;
mod policy;
mod requests;
mod role;
mod user;

use std::process::ExitCode;

use clap::{ArgMatches, Args, Command, FromArgMatches, Subcommand};

use crate::args::ConnectionArgs;
use crate::client::Client;
use crate::error::Error;
use crate::output::Output;
use crate::run::asked;

/// Printed below the help.
const AFTER_HELP: &str = "\
Everything but strongroom account concerns the account of whoever asks. A POLICY is the name of a managed policy, or its ARN.

The server and the credentials come from the same places as those of strongroom kms (see its help).

Exit status: 0 done; 1 failed; 2 wrong usage; 3 no such identity or policy; 4 not permitted; 5 already there, still
referred to, or too many; 6 server away.";

/// What stands around each of the commands.
#[derive(Args)]
struct IdentityArgs<C: Subcommand> {
    #[command(flatten)]
    connection: ConnectionArgs,
    /// Print the server's answer as JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: C,
}

/// Who asks, and where the answer goes.
struct Session<'a> {
    client: &'a Client,
    output: &'a Output,
}

/// A command that asks the server.
trait Ask: Subcommand {
    async fn ask(&self, session: &Session<'_>) -> Result<(), Error>;
}

/// The commands, for the program's own list of commands.
pub(crate) fn commands() -> [Command; 6] {
    [
        command::<user::UserCommand>("user", "Create, change and delete users of the store"),
        command::<group::GroupCommand>("group", "Create, change and delete groups of users"),
        command::<role::RoleCommand>("role", "Create, change and delete roles, which others take on for a time"),
        command::<policy::PolicyCommand>("policy", "Create, change and delete managed policies"),
        command::<accesskey::AccessKeyCommand>("accesskey", "Create and withdraw access keys of users"),
        command::<account::AccountCommand>("account", "Create and delete accounts, and access keys of their roots"),
    ]
}

/// Runs the one of that name, if it is one of them.
pub(crate) fn run(name: &str, matches: &ArgMatches) -> Option<ExitCode> {
    Some(match name {
        "user" => run_as::<user::UserCommand>(matches),
        "group" => run_as::<group::GroupCommand>(matches),
        "role" => run_as::<role::RoleCommand>(matches),
        "policy" => run_as::<policy::PolicyCommand>(matches),
        "accesskey" => run_as::<accesskey::AccessKeyCommand>(matches),
        "account" => run_as::<account::AccountCommand>(matches),
        _ => return None,
    })
}

fn command<C: Subcommand>(name: &'static str, about: &'static str) -> Command {
    IdentityArgs::<C>::augment_args(Command::new(name))
        .about(about)
        .mut_arg("backend", |arg| arg.hide(true))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .after_help(AFTER_HELP)
}

fn run_as<C: Ask>(matches: &ArgMatches) -> ExitCode {
    match IdentityArgs::<C>::from_arg_matches(matches) {
        Ok(args) => asked(&args.connection, args.json, async |client, output| args.command.ask(&Session { client, output }).await),
        Err(error) => error.exit(),
    }
}
