//! `strongroom audit verify`: checks a log as it lies on the disk; no server is needed.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;
use strongroom_audit::{Head, PublicKey, Report, verify};

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
    Verify {
        /// The directory of the log
        dir: PathBuf,
        /// The server's public key, 64 hexadecimal digits or a PEM file; without it signatures are not checked
        #[arg(long, value_name = "HEX|FILE")]
        public_key: Option<String>,
        /// The head that was noted earlier, as GET /kms/audit/head tells it: shows whether the end was cut off or rewritten
        #[arg(long, value_name = "SEQ:HASH")]
        expect_head: Option<String>,
    },
}

/// Runs the command.
pub(crate) fn run(args: &AuditArgs) -> ExitCode {
    let output = Output::new(args.json);
    match report(&args.command) {
        Ok(report) => {
            print(&output, args.json, &report);
            ExitCode::from(report.exit_code())
        }
        Err(error) => {
            output.error(&error);
            ExitCode::from(error.exit_status())
        }
    }
}

fn report(command: &AuditCommand) -> Result<Report, Error> {
    let AuditCommand::Verify { dir, public_key, expect_head } = command;
    let public_key = public_key.as_deref().map(key).transpose()?;
    let head = expect_head.as_deref().map(head).transpose()?;
    verify(dir, public_key.as_ref(), head.as_ref()).map_err(|error| Error::Usage(error.to_string()))
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
        Some((seq, hash)) if is_hash(hash) => Ok(Head { seq, hash: hash.to_ascii_lowercase() }),
        _ => Err(Error::Usage("a head is a number, a colon and 64 hexadecimal digits".to_owned())),
    }
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_a_number_and_a_hash() {
        let hash = "Ab".repeat(32);
        assert_eq!(head(&format!("7:{hash}")).unwrap(), Head { seq: 7, hash: "ab".repeat(32) });
        for wrong in ["", "7", "7:ab", &format!("x:{hash}"), &format!("7:{}", "g".repeat(64))] {
            assert_eq!(head(wrong).err().unwrap().exit_status(), 2, "{wrong}");
        }
    }
}
