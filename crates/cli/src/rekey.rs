//! `strongroom kms rekey …`: jobs, and watching them.

use std::time::Duration;

use serde_json::json;

use crate::args::RekeyCommand;
use crate::calls::Call;
use crate::client::Client;
use crate::error::Error;
use crate::output::Output;

const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// So many polls in a row may fail while a job is watched: the server may be restarting.
const MAX_FAILED_POLLS: u32 = 120;

/// Runs one of its commands.
pub(crate) async fn run(client: &Client, command: &RekeyCommand, output: &Output) -> Result<(), Error> {
    match command {
        RekeyCommand::Start { scope, watch } => {
            let job = client.call(&Call::post(&["rekey"], json!(scope))).await?;
            let id = job["job_id"].as_str().unwrap_or_default().to_owned();
            if *watch {
                return follow(client, &id, output).await;
            }
            output.value(&job);
            Ok(())
        }
        RekeyCommand::Watch(job) => follow(client, &job.job_id, output).await,
        RekeyCommand::Show(job) => {
            output.value(&client.call(&Call::get(&["rekey", &job.job_id])).await?);
            Ok(())
        }
        RekeyCommand::List => {
            output.jobs(&client.call(&Call::get(&["rekey"])).await?);
            Ok(())
        }
        RekeyCommand::Cancel(job) => {
            let call = Call::new("DELETE", &["rekey"], None).with_query("job_id", &job.job_id);
            output.value(&client.call(&call).await?);
            Ok(())
        }
    }
}

/// Shows progress until the job has ended; a job that did not do all of its work is an error.
async fn follow(client: &Client, job_id: &str, output: &Output) -> Result<(), Error> {
    let bar = output.progress();
    let call = Call::get(&["rekey", job_id]);
    let mut failed_polls = 0;
    let job = loop {
        match client.call(&call).await {
            Ok(job) => {
                failed_polls = 0;
                bar.show(&job);
                if job["state"] != "Running" {
                    break job;
                }
            }
            Err(Error::Unreachable { .. }) if failed_polls < MAX_FAILED_POLLS => failed_polls += 1,
            Err(error) => return Err(error),
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    };
    bar.end();
    output.value(&job);
    match job["state"].as_str() {
        Some("Completed") => Ok(()),
        state => Err(Error::JobFailed(format!("the job ended as {}, {} objects failed", state.unwrap_or("unknown"), job["failed"]))),
    }
}
