//! What is printed: for people, or as the server's own JSON.

mod progress;
mod table;
mod text;

use serde_json::{Value, json};

use crate::args::{BackendCommand, KmsCommand};
use crate::error::Error;

pub(crate) use progress::Progress;

/// Where answers go: standard output; errors and progress go to standard error.
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// An answer, as befits the command.
    pub(crate) fn answer(&self, command: &KmsCommand, answer: &Value) {
        match command {
            KmsCommand::Backend(BackendCommand::List) => {
                self.rows(answer, "backends", &["name", "backend_type", "in_force", "objects", "bytes"]);
            }
            KmsCommand::Receipts if !self.json => self.rows(
                &json!({ "receipts": unsigned(answer) }),
                "receipts",
                &["key_id", "backend", "erased_at", "objects", "bytes", "locked_versions", "requested_by"],
            ),
            _ => self.value(answer),
        }
    }

    /// Any answer.
    pub(crate) fn value(&self, answer: &Value) {
        if self.json {
            print(&pretty(answer));
        } else if answer.is_null() {
            print("done");
        } else {
            print(text::of(answer).trim_end());
        }
    }

    /// Whether the output is for programs.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// A document that stands in an answer as a text, as it is.
    pub(crate) fn document(&self, answer: &Value, field: &str) {
        match answer[field].as_str() {
            Some(text) if !self.json => print(text.trim_end()),
            _ => self.value(answer),
        }
    }

    /// One line of text.
    pub(crate) fn line(&self, text: &str) {
        if !self.json {
            print(text);
        }
    }

    /// All keys.
    pub(crate) fn keys(&self, answer: &Value) {
        self.rows(answer, "keys", &["key_id", "key_state", "description"]);
    }

    /// All jobs.
    pub(crate) fn jobs(&self, answer: &Value) {
        self.rows(answer, "jobs", &["job_id", "state", "done", "remaining", "failed", "started"]);
    }

    /// Rules by which keys are destroyed.
    pub(crate) fn erasure_rules(&self, answer: &Value) {
        self.rows(answer, "rules", &["rule_id", "bucket", "prefix", "key_id", "at", "state", "ended"]);
    }

    /// Notification targets.
    pub(crate) fn targets(&self, answer: &Value) {
        self.rows(answer, "targets", &["target", "configured", "queued", "oldest", "dead", "dropped", "failures_in_a_row", "last_failure"]);
    }

    /// Dead events.
    pub(crate) fn dead(&self, answer: &Value) {
        self.rows(answer, "events", &["event_id", "target", "time", "event", "bucket", "key", "attempts", "reason"]);
    }

    /// The files of an audit log.
    pub(crate) fn segments(&self, answer: &Value) {
        self.rows(answer, "segments", &["path", "first_seq", "last_seq", "bytes", "ended"]);
    }

    /// Where progress is shown: nowhere if the output is for programs.
    pub(crate) fn progress(&self) -> Progress {
        Progress::new(self.json)
    }

    /// A failure.
    pub(crate) fn error(&self, error: &Error) {
        if self.json {
            let code = if let Error::Refused { code, .. } = error { code.as_str() } else { "ClientError" };
            let message = if let Error::Refused { message, .. } = error { message.clone() } else { error.to_string() };
            eprintln!("{}", pretty(&json!({ "code": code, "message": message })));
        } else {
            eprintln!("strongroom: {error}");
        }
    }

    /// A list of rows, with these columns for people.
    pub(crate) fn rows(&self, answer: &Value, list: &str, columns: &[&str]) {
        match &answer[list] {
            Value::Array(rows) if !self.json => print(table::of(rows, columns).trim_end()),
            _ => self.value(answer),
        }
    }
}

/// A value in one line.
pub(crate) fn printable(value: &Value) -> String {
    table::cell(value)
}

/// What the receipts state; their signatures are for programs.
fn unsigned(answer: &Value) -> Vec<Value> {
    answer["receipts"].as_array().map(|receipts| receipts.iter().map(|signed| signed["receipt"].clone()).collect()).unwrap_or_default()
}

/// Whoever reads may be gone (`| head`); that is no failure.
fn print(text: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}
