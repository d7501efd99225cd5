//! From the arguments to the exit status.

use std::path::Path;
use std::process::ExitCode;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::args::{ConnectionArgs, KeyCommand, KmsArgs, KmsCommand};
use crate::calls::{self, Call};
use crate::client::Client;
use crate::error::Error;
use crate::output::Output;
use crate::profile::Profile;
use crate::rekey;

/// The server's own largest page.
const KEYS_PER_PAGE: &str = "1000";
/// A server with more pages does not come to an end.
const MAX_PAGES: usize = 10_000;

/// Runs a command.
pub(crate) fn run(args: &KmsArgs) -> ExitCode {
    asked(&args.connection, args.json, async |client, output| answer(client, args, output).await)
}

/// Asks the server, and prints what comes of it. Errors have an exit status each.
pub(crate) fn asked(connection: &ConnectionArgs, json: bool, answer: impl AsyncFnOnce(&Client, &Output) -> Result<(), Error>) -> ExitCode {
    let output = Output::new(json);
    let done = connect(connection).and_then(|(client, runtime)| runtime.block_on(answer(&client, &output)));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output.error(&error);
            ExitCode::from(error.exit_status())
        }
    }
}

/// Who to ask, and what to ask with.
pub(crate) fn connect(connection: &ConnectionArgs) -> Result<(Client, Runtime), Error> {
    let client = Client::new(Profile::find(connection, |name| std::env::var(name).ok())?)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    Ok((client, runtime.map_err(|source| Error::File { path: "runtime".into(), source })?))
}

async fn answer(client: &Client, args: &KmsArgs, output: &Output) -> Result<(), Error> {
    let backend = args.connection.backend.as_deref();
    match &args.command {
        KmsCommand::Rekey(command) => rekey::run(client, command, output).await,
        KmsCommand::Key(KeyCommand::List) => {
            output.keys(&all_keys(client, backend).await?);
            Ok(())
        }
        KmsCommand::Backup { file, .. } => {
            let answer = client.call(&calls::of(&args.command, backend)?).await?;
            let bundle = answer["bundle"].as_str().and_then(|text| STANDARD.decode(text).ok());
            let bundle = bundle.ok_or_else(|| Error::Usage("the server's answer holds no bundle".to_owned()))?;
            write_new(file, &bundle)?;
            output.value(&json!({ "file": file, "bytes": bundle.len(), "keys": answer["keys"] }));
            Ok(())
        }
        command => {
            output.answer(command, &client.call(&calls::of(command, backend)?).await?);
            Ok(())
        }
    }
}

/// All keys, page by page.
async fn all_keys(client: &Client, backend: Option<&str>) -> Result<Value, Error> {
    let (mut keys, mut marker) = (Vec::new(), None::<String>);
    for _ in 0..MAX_PAGES {
        let mut call = Call::get(&["keys"]).with_query("limit", KEYS_PER_PAGE);
        if let Some(backend) = backend {
            call = call.with_query("backend", backend);
        }
        if let Some(marker) = &marker {
            call = call.with_query("marker", marker);
        }
        let mut page = client.call(&call).await?;
        if let Value::Array(page) = page["keys"].take() {
            keys.extend(page);
        }
        marker = page["next_marker"].as_str().map(str::to_owned);
        if marker.is_none() {
            break;
        }
    }
    Ok(json!({ "keys": keys }))
}

/// A bundle or a secret is never written over anything, and nobody else may read it.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let failed = |source| Error::File { path: path.to_owned(), source };
    strongroom_files::write_new(path, bytes, 0o600).and_then(|()| strongroom_files::sync_parent(path)).map_err(failed)
}
