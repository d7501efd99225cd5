//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use crate::config::options::{Fallback, Kind, OPTIONS, OptionSpec};
use crate::config::{CommandLine, Origin};

/// What was asked for.
pub(crate) enum Request {
    Serve(CommandLine),
    Version,
    /// Answered by the command line of administration.
    Done(ExitCode),
}

/// Reads the program's arguments. Prints help or usage errors itself, and ends the program then.
pub(crate) fn parse() -> Request {
    match command().get_matches().subcommand() {
        Some(("serve", matches)) => Request::Serve(serve_from(matches)),
        Some(("kms", matches)) => Request::Done(strongroom_cli::run_kms(matches)),
        Some(("inventory", matches)) => Request::Done(strongroom_cli::run_inventory(matches)),
        Some(("lifecycle", matches)) => Request::Done(strongroom_cli::run_lifecycle(matches)),
        Some(("events", matches)) => Request::Done(strongroom_cli::run_events(matches)),
        Some(("audit", matches)) => Request::Done(strongroom_cli::run_audit(matches)),
        Some(("completions", matches)) => Request::Done(strongroom_cli::run_completions(matches, command())),
        Some((name, matches)) => strongroom_cli::run_identities(name, matches).map_or(Request::Version, Request::Done),
        None => Request::Version,
    }
}

fn command() -> Command {
    Command::new("strongroom")
        .version(env!("CARGO_PKG_VERSION"))
        .about("An S3-compatible object store that encrypts every object")
        .after_help(EXAMPLES)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(serve())
        .subcommand(strongroom_cli::kms_command())
        .subcommands(strongroom_cli::identity_commands())
        .subcommand(strongroom_cli::inventory_command())
        .subcommand(strongroom_cli::lifecycle_command())
        .subcommand(strongroom_cli::events_command())
        .subcommand(strongroom_cli::audit_command())
        .subcommand(strongroom_cli::completions_command())
        .subcommand(Command::new("version").about("Print the version"))
}

fn serve() -> Command {
    let data_dir = Arg::new("DATA_DIR")
        .value_parser(value_parser!(PathBuf))
        .help("Where objects are kept; created if it is missing [env: STRONGROOM_DATA_DIR]");
    let config = Arg::new("config").long("config").value_name("FILE").value_parser(value_parser!(PathBuf));
    Command::new("serve")
        .about("Serve a data directory over S3 until SIGTERM or SIGINT")
        .arg(data_dir)
        .arg(config.help("Read options from a TOML file [env: STRONGROOM_CONFIG]"))
        .args(OPTIONS.iter().filter(|option| option.has_flag()).map(flag))
        .after_help(format!("{}\n{EXAMPLES}", not_flags()))
}

fn flag(option: &'static OptionSpec) -> Arg {
    // A switch takes its value too: DATA_DIR after a bare one would be ambiguous.
    Arg::new(option.key).long(option.flag()).value_name(option.value_name).help(help(option)).action(ArgAction::Set)
}

fn help(option: &OptionSpec) -> String {
    let default = match option.fallback {
        Fallback::Value("") => "none",
        Fallback::Value(value) | Fallback::Derived(value) => value,
    };
    let words = match option.kind {
        Kind::Choice(words) => format!(" [one of: {}]", words.join(", ")),
        _ => String::new(),
    };
    format!("{}{words} [default: {default}] [env: {}]", option.help, option.variable())
}

fn not_flags() -> String {
    let secrets = OPTIONS.iter().filter(|option| !option.has_flag());
    let lines = secrets.map(|option| format!("  {}\n          {}\n", option.key, help(option)));
    format!("Not as a flag, which the process list would show, but in the environment or the file:\n{}", lines.collect::<String>())
}

fn serve_from(matches: &ArgMatches) -> CommandLine {
    let mut line = CommandLine {
        data_dir: matches.get_one::<PathBuf>("DATA_DIR").cloned(),
        config_file: matches.get_one::<PathBuf>("config").cloned(),
        ..CommandLine::default()
    };
    for option in OPTIONS.iter().filter(|option| option.has_flag()) {
        if let Some(value) = matches.get_one::<String>(option.key) {
            line.layer.set(option, value.clone(), Origin::Flag(option.flag()));
        }
    }
    line
}

const EXAMPLES: &str = "\
Each flag is also a variable of the environment (STRONGROOM_ and its name in capitals) and a key of the
file given with --config; a flag wins over the environment, the environment over the file.

Examples:
  strongroom serve ./data
      Serve on 127.0.0.1:9000 with a certificate of a local CA; the printed text tells how to go on.
  strongroom serve /srv/strongroom --address 0.0.0.0:443 --tls-cert fullchain.pem --tls-key privkey.pem
      Serve everyone, with a certificate of your own.
  STRONGROOM_ACCESS_KEY=admin STRONGROOM_SECRET_KEY=\"$(cat secret)\" strongroom serve ./data
      With root credentials of your own.
  strongroom serve --config /etc/strongroom.toml
      With everything in a file:
          data_dir = \"/srv/strongroom\"
          address = \"0.0.0.0:9000\"
          [kms]
          key_dir = \"/srv/strongroom-keys\"
          [[users]]
          name = \"reader\"
          access_key = \"READER\"
          secret_key_file = \"/etc/strongroom/reader.secret\"
          policies = [\"readonly\"]

More: docs/configuration.md, docs/clients.md";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn flags_and_the_data_directory_come_in_any_order() {
        let matches = command().get_matches_from(["strongroom", "serve", "--encrypt-by-default", "false", "./data", "--region=eu"]);
        let line = serve_from(matches.subcommand_matches("serve").unwrap());
        assert_eq!(line.data_dir.unwrap(), PathBuf::from("./data"));
        assert_eq!(line.layer.get("encrypt_by_default").unwrap().0, "false");
        assert_eq!(line.layer.get("region").unwrap().0, "eu");
    }

    #[test]
    fn a_secret_is_no_flag() {
        let arguments = ["strongroom", "serve", "./data", "--secret-key", "x"];
        assert!(command().try_get_matches_from(arguments).is_err());
    }
}
