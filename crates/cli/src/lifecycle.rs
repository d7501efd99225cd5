//! `strongroom lifecycle …`: what the rules of buckets delete, and when.

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

The server and the credentials come from the same places as those of strongroom kms (see its help).

Exit status: 0 done; 1 failed; 2 wrong usage; 3 no such pass; 4 not permitted; 5 a pass runs already; 6 server away; 7 the
pass ended with failures.";

const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// So many polls in a row may fail while a pass is watched: the server may be restarting.
const MAX_FAILED_POLLS: u32 = 120;

/// Show and run lifecycle passes
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
        LifecycleCommand::Cancel { job_id } => output.value(&client.call(&Call::new("DELETE", &["lifecycle", job_id], None)).await?),
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
