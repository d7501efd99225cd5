//! Completions for shells.

use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command, value_parser};
use clap_complete::Shell;

/// The command `completions`.
pub fn completions_command() -> Command {
    let shell = Arg::new("SHELL").required(true).value_parser(value_parser!(Shell)).help("The shell");
    Command::new("completions").about("Print completions for a shell, to be sourced or installed").arg(shell)
}

pub(crate) fn print(matches: &ArgMatches, mut program: Command) -> ExitCode {
    if let Some(shell) = matches.get_one::<Shell>("SHELL") {
        let name = program.get_name().to_owned();
        clap_complete::generate(*shell, &mut program, name, &mut std::io::stdout());
    }
    ExitCode::SUCCESS
}
