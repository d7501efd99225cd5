//! `strongroom inventory`: the mode, key and lock of each version, a line each, written while the pages come.

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;

use crate::args::{Format, InventoryArgs};
use crate::calls::Call;
use crate::client::Client;
use crate::error::Error;
use crate::output::{Output, printable};
use crate::run::connect;

/// The columns, by the names of the admin API. Programs may know them by their places: a new one is added at the end.
const COLUMNS: [&str; 15] = [
    "bucket",
    "key",
    "version_id",
    "is_latest",
    "size",
    "last_modified",
    "mode",
    "key_backend",
    "key_id",
    "key_version",
    "bucket_key_enabled",
    "lock_mode",
    "retain_until",
    "legal_hold",
    "event_hold",
];
/// A page is asked for again so often: the server may be restarting.
const MAX_ATTEMPTS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(500);

/// What could not be listed.
#[derive(Default)]
struct Missing {
    altered: u64,
    not_permitted: u64,
}

/// Runs the command.
pub(crate) fn run(args: &InventoryArgs) -> ExitCode {
    let listed = connect(&args.connection).and_then(|(client, runtime)| {
        let mut out = BufWriter::new(io::stdout().lock());
        runtime.block_on(list(&client, args, &mut out))
    });
    match listed {
        Ok(missing) => missing.told(),
        Err(error) => {
            Output::new(false).error(&error);
            ExitCode::from(error.exit_status())
        }
    }
}

async fn list(client: &Client, args: &InventoryArgs, out: &mut impl Write) -> Result<Missing, Error> {
    let (mut missing, mut marker, mut is_first) = (Missing::default(), None, true);
    loop {
        let page = page(client, args, marker.as_deref(), is_first).await?;
        match write_page(&page, args.format, is_first, out) {
            // Whoever reads may be gone (`| head`); that is no failure.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(missing),
            written => written.map_err(|source| Error::File { path: "standard output".into(), source })?,
        }
        missing.add(&page);
        let next = page["next_marker"].as_str().map(str::to_owned);
        if next.is_none() {
            return Ok(missing);
        }
        if next == marker {
            return Err(Error::Usage("the server answers the same page again and again".to_owned()));
        }
        (marker, is_first) = (next, false);
    }
}

/// A page. Asking again changes nothing, so later pages outlast a restart of the server.
async fn page(client: &Client, args: &InventoryArgs, marker: Option<&str>, is_first: bool) -> Result<Value, Error> {
    let call = call(args, marker);
    for _ in 1..MAX_ATTEMPTS {
        match client.call(&call).await {
            Err(Error::Unreachable { .. } | Error::Answer(_) | Error::Refused { status: 503, .. }) if !is_first => {
                tokio::time::sleep(PAUSE).await;
            }
            answered => return answered,
        }
    }
    client.call(&call).await
}

fn call(args: &InventoryArgs, marker: Option<&str>) -> Call {
    let version = args.key_version.map(|version| version.to_string());
    let given = [
        ("bucket", args.bucket.as_deref()),
        ("prefix", args.prefix.as_deref()),
        ("mode", args.mode.as_deref()),
        ("backend", args.connection.backend.as_deref()),
        ("key_id", args.key_id.as_deref()),
        ("key_version", version.as_deref()),
        ("marker", marker),
    ];
    let given = given.into_iter().filter_map(|(name, value)| Some((name, value?)));
    given.fold(Call::get(&["inventory"]), |call, (name, value)| call.with_query(name, value))
}

/// Flushed after each page, so that whoever reads along sees it.
fn write_page(page: &Value, format: Format, is_first: bool, out: &mut impl Write) -> io::Result<()> {
    if is_first && format == Format::Csv {
        write!(out, "{}\r\n", COLUMNS.join(","))?;
    }
    for version in page["versions"].as_array().into_iter().flatten() {
        match format {
            Format::Csv => write!(out, "{}\r\n", csv(version))?,
            Format::Jsonl => writeln!(out, "{version}")?,
        }
    }
    out.flush()
}

fn csv(version: &Value) -> String {
    let field = |name: &&str| match &version[*name] {
        Value::Null => String::new(),
        Value::String(key) if *name == "key" => percent_encoded(key),
        Value::String(text) => quoted(text),
        other => other.to_string(),
    };
    COLUMNS.iter().map(field).collect::<Vec<_>>().join(",")
}

/// What decodes to the key, and holds nothing that means anything to CSV or at the front of a spreadsheet's cell.
fn percent_encoded(key: &str) -> String {
    let is_plain = |at: usize, byte: u8| byte.is_ascii_alphanumeric() || b"._~/".contains(&byte) || (byte == b'-' && at > 0);
    let encode = |(at, byte): (usize, u8)| if is_plain(at, byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    key.bytes().enumerate().map(encode).collect()
}

/// As RFC 4180 has it: in quotes where it holds what separates, quotes doubled.
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\r', '\n']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

impl Missing {
    fn add(&mut self, page: &Value) {
        for row in page["altered"].as_array().into_iter().flatten() {
            self.altered += 1;
            let [bucket, key, version_id] = ["bucket", "key", "version_id"].map(|name| printable(&row[name]));
            eprintln!("strongroom: an altered row, which now names the bucket {bucket}, the key {key} and the version {version_id}");
        }
        let count = |name: &str| page[name].as_u64().unwrap_or(0);
        self.altered += count("unreadable");
        self.not_permitted += count("not_permitted");
    }

    /// Says what is missing; the exit status tells it too.
    fn told(&self) -> ExitCode {
        if self.not_permitted > 0 {
            eprintln!("strongroom: {} rows in buckets that need s3:ListBucketVersions were left out", self.not_permitted);
        }
        if self.altered > 0 {
            eprintln!("strongroom: {} rows were altered and left out", self.altered);
            return ExitCode::from(1);
        }
        if self.not_permitted > 0 { ExitCode::from(4) } else { ExitCode::SUCCESS }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn page() -> Value {
        let version = |key: &str, kms: Option<&str>| {
            json!({
                "bucket": "b", "key": key, "version_id": "null", "is_latest": true, "size": 7, "last_modified": "2026-11-28T00:00:00Z",
                "mode": if kms.is_some() { "SSE-KMS" } else { "SSE-C" }, "key_backend": kms.map(|_| "local"), "key_id": kms,
                "key_version": kms.map(|_| 2), "bucket_key_enabled": false, "lock_mode": kms.map(|_| "COMPLIANCE"),
                "retain_until": kms.map(|_| "2090-01-01T00:00:00Z"), "legal_hold": kms.is_none(), "event_hold": false,
            })
        };
        json!({ "versions": [version("=a,\"\n", None), version("-b-/ü", Some("a \"key\", of mine"))] })
    }

    fn written(format: Format, is_first: bool) -> String {
        let mut out = Vec::new();
        write_page(&page(), format, is_first, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn csv_has_headings_once_and_keys_that_are_neither_formulas_nor_lines() {
        let lines = "b,%3Da%2C%22%0A,null,true,7,2026-11-28T00:00:00Z,SSE-C,,,,false,,,true,false\r\n\
                     b,%2Db-/%C3%BC,null,true,7,2026-11-28T00:00:00Z,SSE-KMS,local,\"a \"\"key\"\", of mine\",2,false,COMPLIANCE,2090-01-01T00:00:00Z,false,false\r\n";
        assert_eq!(written(Format::Csv, false), lines);
        let headings = "bucket,key,version_id,is_latest,size,last_modified,mode,key_backend,key_id,key_version,bucket_key_enabled,\
                        lock_mode,retain_until,legal_hold,event_hold\r\n";
        assert_eq!(written(Format::Csv, true), format!("{headings}{lines}"));
    }

    #[test]
    fn json_lines_are_the_server_s_own_objects() {
        let read: Vec<Value> = written(Format::Jsonl, true).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(json!(read), page()["versions"]);
    }

    #[test]
    fn no_first_letter_of_a_formula_stands_in_front() {
        for letter in ["=", "+", "-", "@", "\t", "\r", "\n", " ", "'", ";"] {
            assert!(percent_encoded(letter).starts_with('%'), "{letter:?}");
        }
    }
}
