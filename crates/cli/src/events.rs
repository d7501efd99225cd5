//! `strongroom events …`: what waits for notification targets, and events that were given up.

use std::process::ExitCode;

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
Buckets send their events to the targets that the server's configuration has (notification_targets). An event that
fails for too long is given up: it is dead, and stays until it is sent again or dropped.

The server and the credentials come from the same places as those of strongroom kms (see its help).

Exit status: 0 done; 1 failed; 2 wrong usage; 3 no such event; 4 not permitted; 6 server away.";

/// The server's own largest page.
const EVENTS_PER_PAGE: &str = "1000";
/// So many pages are listed with --all: no target keeps more dead events.
const MAX_PAGES: usize = 100_000;

/// Show notification targets, and send or drop dead events
#[derive(Args)]
pub(crate) struct EventsArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
    /// Print the server's answer as JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: EventsCommand,
}

/// `strongroom events …`
#[derive(Subcommand)]
enum EventsCommand {
    /// List the targets, with what waits for each
    Targets,
    /// List the events that were given up, the first thousand of them
    Dead {
        /// Of this target only
        #[arg(long, value_name = "NAME")]
        target: Option<String>,
        /// However many there are
        #[arg(long)]
        all: bool,
    },
    /// Send dead events again
    Resend {
        #[command(flatten)]
        which: Which,
    },
    /// Drop events for good
    Drop {
        #[command(flatten)]
        which: Which,
        /// Drop those that wait for the target, in place of the dead ones
        #[arg(long, requires = "target")]
        queued: bool,
    },
}

/// One dead event, or all of a target.
#[derive(Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// The event's id
    #[arg(value_name = "EVENT")]
    event_id: Option<String>,
    /// All of this target
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
}

impl Which {
    fn body(&self) -> Value {
        match (&self.event_id, &self.target) {
            (Some(event_id), _) => json!({ "event_id": event_id }),
            (None, target) => json!({ "target": target }),
        }
    }
}

/// Runs the command.
pub(crate) fn run(args: &EventsArgs) -> ExitCode {
    asked(&args.connection, args.json, async |client, output| answer(client, args, output).await)
}

async fn answer(client: &Client, args: &EventsArgs, output: &Output) -> Result<(), Error> {
    match &args.command {
        EventsCommand::Targets => output.targets(&client.call(&Call::get(&["events"])).await?),
        EventsCommand::Dead { target, all } => output.dead(&dead(client, target.as_deref(), if *all { MAX_PAGES } else { 1 }).await?),
        EventsCommand::Resend { which } => output.value(&client.call(&Call::post(&["events", "resend"], which.body())).await?),
        EventsCommand::Drop { which, queued } => {
            let mut body = which.body();
            body["queued"] = json!(queued);
            output.value(&client.call(&Call::post(&["events", "drop"], body)).await?);
        }
    }
    Ok(())
}

async fn dead(client: &Client, target: Option<&str>, max_pages: usize) -> Result<Value, Error> {
    let (mut events, mut after) = (Vec::new(), None::<i64>);
    for _ in 0..max_pages {
        let mut call = Call::get(&["events", "dead"]).with_query("limit", EVENTS_PER_PAGE);
        if let Some(target) = target {
            call = call.with_query("target", target);
        }
        if let Some(after) = after {
            call = call.with_query("after", &after.to_string());
        }
        let mut page = client.call(&call).await?;
        if let Value::Array(page) = page["events"].take() {
            events.extend(page);
        }
        after = page["next"].as_i64();
        if after.is_none() {
            break;
        }
    }
    Ok(json!({ "events": events }))
}
