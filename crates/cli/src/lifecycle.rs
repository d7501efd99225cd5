//! `strongroom lifecycle …`: what the rules of buckets delete, and when; and the rules that destroy a key on a date.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::args::ConnectionArgs;
use crate::calls::Call;
use crate::client::Client;
use crate::error::Error;
use crate::output::Output;
use crate::run::asked;

/// Printed below the help.
pub(crate) const AFTER_HELP: &str = "\
A pass runs each day by itself (lifecycle.hour). It deletes what the lifecycle rules of buckets say.

An erasure rule ends a bucket, or a prefix of it, on a date: the key is destroyed, if nothing else depends on it, and a
signed receipt says so. Objects under other keys are not touched.

The server and the credentials come from the same places as those of strongroom kms (see its help).

Exit status: 0 done; 1 failed; 2 wrong usage; 3 no such pass or rule; 4 not permitted; 5 a pass runs already, or
the state of the rule or its key does not allow it; 6 server away; 7 the pass ended with failures; 8 the backend cannot do this.";

const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// So many polls in a row may fail while a pass is watched: the server may be restarting.
const MAX_FAILED_POLLS: u32 = 120;

/// Show and run lifecycle passes, and end buckets by destroying their keys
#[derive(Args)]
pub(crate) struct LifecycleArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
    /// Print the server's answer as JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: LifecycleCommand,
}

/// `strongroom lifecycle …`
#[derive(Subcommand)]
enum LifecycleCommand {
    /// Show the pass that runs, or else the last one
    Status,
    /// Run a pass now
    Run {
        /// Look at all versions, not only at those that became old enough since the last pass
        #[arg(long)]
        full: bool,
        /// Stay until it ends
        #[arg(long)]
        watch: bool,
    },
    /// Stop a pass; the next one goes on
    Cancel {
        /// The pass's id
        #[arg(value_name = "PASS")]
        job_id: String,
    },
    /// Have a key destroyed on a date, and with it a bucket or a prefix
    #[command(subcommand)]
    Erase(EraseCommand),
}

/// `strongroom lifecycle erase …`
#[derive(Subcommand)]
enum EraseCommand {
    /// Add a rule; the answer says what would be in its way today
    Add {
        /// The bucket that ends
        #[arg(long, value_name = "BUCKET")]
        bucket: String,
        /// Only what begins so ends
        #[arg(long, value_name = "PREFIX", default_value = "")]
        prefix: String,
        /// The key that is destroyed
        #[arg(long, value_name = "KEY")]
        key: String,
        #[command(flatten)]
        when: When,
        /// The key's id once more; needed where it is to be destroyed in less than seven days
        #[arg(long, value_name = "KEY")]
        confirm: Option<String>,
    },
    /// List the rules
    List,
    /// Show a rule, what is in its way, and the receipt when it is done
    Show(RuleArg),
    /// Remove a rule that is not done
    Remove(RuleArg),
}

/// When a key is destroyed.
#[derive(Args)]
#[group(required = true, multiple = false)]
struct When {
    /// On this date, at midnight UTC (2027-01-01), or at this time (2027-01-01T12:00:00Z)
    #[arg(long, value_name = "DATE")]
    at: Option<String>,
    /// So many days from now
    #[arg(long, value_name = "N")]
    days: Option<u32>,
}

/// A rule.
#[derive(Args)]
struct RuleArg {
    /// The rule's id
    #[arg(value_name = "RULE")]
    rule_id: String,
}

/// Runs the command.
pub(crate) fn run(args: &LifecycleArgs) -> ExitCode {
    asked(&args.connection, args.json, async |client, output| answer(client, args, output).await)
}

async fn answer(client: &Client, args: &LifecycleArgs, output: &Output) -> Result<(), Error> {
    match &args.command {
        LifecycleCommand::Status => {
            let mut passes = client.call(&Call::get(&["lifecycle"])).await?;
            match passes["passes"].get_mut(0).map(Value::take) {
                Some(last) => output.value(&last),
                None => output.value(&json!({ "state": "never run" })),
            }
        }
        LifecycleCommand::Run { full, watch } => {
            let mut pass = client.call(&Call::post(&["lifecycle"], json!({ "full": full }))).await?;
            if *watch {
                pass = until_ended(client, pass["job_id"].as_str().unwrap_or_default()).await?;
            }
            output.value(&pass);
            return if *watch { outcome(&pass) } else { Ok(()) };
        }
        LifecycleCommand::Erase(command) => erase(client, command, args.connection.backend.as_deref(), output).await?,
        LifecycleCommand::Cancel { job_id } => output.value(&client.call(&Call::new("DELETE", &["lifecycle", job_id], None)).await?),
    }
    Ok(())
}

async fn erase(client: &Client, command: &EraseCommand, backend: Option<&str>, output: &Output) -> Result<(), Error> {
    let of = |method, rule: &RuleArg| Call::new(method, &["erasure", "rules", &rule.rule_id], None);
    match command {
        EraseCommand::Add { bucket, prefix, key, when: When { at, days }, confirm } => {
            let mut body = json!({ "bucket": bucket, "prefix": prefix, "key_id": key });
            for (name, value) in [("at", json!(at)), ("days", json!(days)), ("confirm_key_id", json!(confirm))] {
                if !value.is_null() {
                    body[name] = value;
                }
            }
            let add = Call::post(&["erasure", "rules"], body);
            let add = if let Some(name) = backend { add.with_query("backend", name) } else { add };
            output.value(&client.call(&add).await?);
        }
        EraseCommand::List => output.erasure_rules(&client.call(&Call::get(&["erasure", "rules"])).await?),
        EraseCommand::Show(rule) => output.value(&client.call(&of("GET", rule)).await?),
        EraseCommand::Remove(rule) => output.value(&client.call(&of("DELETE", rule)).await?),
    }
    Ok(())
}

async fn until_ended(client: &Client, job_id: &str) -> Result<Value, Error> {
    let mut failed_polls = 0;
    loop {
        match client.call(&Call::get(&["lifecycle", job_id])).await {
            Ok(pass) if pass["state"] != "Running" => return Ok(pass),
            Ok(_) => failed_polls = 0,
            Err(Error::Unreachable { .. }) if failed_polls < MAX_FAILED_POLLS => failed_polls += 1,
            Err(error) => return Err(error),
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

fn outcome(pass: &Value) -> Result<(), Error> {
    match pass["state"].as_str() {
        Some("Completed") => Ok(()),
        state => Err(Error::JobFailed(format!("the pass ended as {}, with {} failures", state.unwrap_or("unknown"), pass["failed"]))),
    }
}
