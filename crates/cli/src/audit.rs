//! `strongroom audit`: checks and lists a log as it lies on the disk; no server is needed.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;
use strongroom_audit::{Beginning, Check, Head, PublicKey, RemovedRange, Report, Segment, segments, verify};

use crate::error::Error;
use crate::output::Output;

/// `strongroom audit`
#[derive(Args)]
pub(crate) struct AuditArgs {
    /// Print the report as JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Subcommand)]
enum AuditCommand {
    /// Find every gap, change, reordering and cut of an audit log. Exit status 0: intact; 1: not; 2: it cannot be read
    Verify(VerifyArgs),
    /// List the files of an audit log: which records they hold, and which of them are ended and may be moved away
    Segments {
        /// The directory of the log
        dir: PathBuf,
    },
}

#[derive(Args)]
struct VerifyArgs {
    /// The directory of the log, and those that parts of it were moved or copied to
    #[arg(required = true, num_args = 1.., value_name = "DIR")]
    dirs: Vec<PathBuf>,
    /// The server's public key, 64 hexadecimal digits or a PEM file; without it signatures are not checked
    #[arg(long, value_name = "HEX|FILE")]
    public_key: Option<String>,
    /// The head that was noted earlier, as GET /kms/audit/head tells it: shows whether the end was cut off or rewritten
    #[arg(long, value_name = "SEQ:HASH")]
    expect_head: Option<String>,
    /// The head of the files that were moved away, as this command told it when it checked them: the log goes on from there
    #[arg(long, value_name = "SEQ:HASH", conflicts_with = "part")]
    begins_after: Option<String>,
    /// Check a part of a log by itself, such as files that were moved away: what came before it may be missing
    #[arg(long)]
    part: bool,
}

/// Runs the command.
pub(crate) fn run(args: &AuditArgs) -> ExitCode {
    let output = Output::new(args.json);
    let done = match &args.command {
        AuditCommand::Verify(asked) => report(asked).map(|report| {
            print(&output, args.json, &report);
            ExitCode::from(report.exit_code())
        }),
        AuditCommand::Segments { dir } => list(dir).map(|segments| {
            output.segments(&json!({ "segments": segments }));
            ExitCode::SUCCESS
        }),
    };
    done.unwrap_or_else(|error| {
        output.error(&error);
        ExitCode::from(error.exit_status())
    })
}

fn list(dir: &Path) -> Result<Vec<Segment>, Error> {
    segments(dir).map_err(|error| Error::Usage(error.to_string()))
}

fn report(asked: &VerifyArgs) -> Result<Report, Error> {
    let head = |given: &Option<String>| given.as_deref().map(head).transpose();
    let beginning = match (head(&asked.begins_after)?, asked.part) {
        (Some(head), _) => Beginning::After(head),
        (None, true) => Beginning::Part,
        (None, false) => Beginning::Whole,
    };
    let public_key = asked.public_key.as_deref().map(key).transpose()?;
    let check = Check { public_key, expected_head: head(&asked.expect_head)?, beginning };
    let dirs: Vec<&Path> = asked.dirs.iter().map(PathBuf::as_path).collect();
    verify(&dirs, &check).map_err(|error| Error::Usage(error.to_string()))
}

fn key(given: &str) -> Result<PublicKey, Error> {
    let path = PathBuf::from(given);
    let text =
        if path.exists() { std::fs::read_to_string(&path).map_err(|source| Error::File { path, source })? } else { given.to_owned() };
    PublicKey::parse(text.trim()).map_err(|error| Error::Usage(error.to_string()))
}

fn head(given: &str) -> Result<Head, Error> {
    let parts = given.split_once(':').and_then(|(seq, hash)| Some((seq.parse().ok()?, hash)));
    let is_hash = |hash: &str| hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    match parts {
        Some((1.., hash)) if !is_hash(hash) => Err(malformed_head()),
        Some((seq @ 1.., hash)) => Ok(Head { seq, hash: hash.to_ascii_lowercase() }),
        _ => Err(malformed_head()),
    }
}

/// Record 0 is none: a head of it would be there in any log.
fn malformed_head() -> Error {
    Error::Usage("a head is a number from 1 on, a colon and 64 hexadecimal digits".to_owned())
}

fn print(output: &Output, as_json: bool, report: &Report) {
    if as_json {
        output.value(&json!(report));
        return;
    }
    let verdict = if report.is_intact() { "intact" } else { "NOT INTACT" };
    let signatures = if report.signatures_checked { "checked" } else { "not checked: give --public-key" };
    output.value(&json!({
        "log": verdict,
        "files": report.files,
        "records": report.records,
        "checkpoints": report.checkpoints,
        "signatures": signatures,
        "not signed yet": report.unsigned,
        "removed by retention": removed(&report.removed),
        "head": format!("{}:{}", report.head.seq, report.head.hash),
    }));
    for finding in &report.findings {
        output.line(&finding.to_string());
    }
    let untold = report.findings_total.saturating_sub(report.findings.len() as u64);
    if untold > 0 {
        output.line(&format!("… and {untold} more"));
    }
}

fn removed(ranges: &[RemovedRange]) -> String {
    let texts = ranges.iter().map(|range| format!("records {} to {}", range.first_seq, range.last_seq));
    if ranges.is_empty() { "none".to_owned() } else { texts.collect::<Vec<_>>().join(", ") }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_a_number_and_a_hash() {
        let hash = "Ab".repeat(32);
        assert_eq!(head(&format!("7:{hash}")).unwrap(), Head { seq: 7, hash: "ab".repeat(32) });
        for wrong in ["", "7", "7:ab", &format!("0:{hash}"), &format!("x:{hash}"), &format!("7:{}", "g".repeat(64))] {
            assert_eq!(head(wrong).err().unwrap().exit_status(), 2, "{wrong}");
        }
    }
}
