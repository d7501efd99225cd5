//! What the tests share: a log in a temporary directory, and its lines.
#![allow(clippy::unwrap_used, dead_code)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use flate2::read::GzDecoder;
use strongroom_audit::{
    AuditError, AuditLog, Check, Event, Head, LogConfig, OpenReport, Outcome, PublicKey, Report, Segment, SigningKey, segments,
};
use tempfile::TempDir;
use zeroize::Zeroizing;

pub(crate) struct Home(TempDir);

impl Home {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.0.path().join("audit")
    }

    /// A log whose files stay as they are.
    pub(crate) fn config(&self) -> LogConfig {
        LogConfig { compress: false, ..LogConfig::new(self.dir()) }
    }

    pub(crate) async fn open(&self, expected: Option<Head>) -> (AuditLog, OpenReport) {
        AuditLog::open(self.config(), key(), expected).await.unwrap()
    }

    /// Opens the log, which must be as it was left.
    pub(crate) async fn open_clean(&self) -> AuditLog {
        let (log, report) = self.open(None).await;
        assert_eq!((report.findings, report.repaired), (vec![], None));
        log
    }

    pub(crate) fn verify(&self, expected: Option<&Head>) -> Report {
        verify(&self.dir(), Some(&key().public_key()), expected).unwrap()
    }
}

/// Checks the log of a directory as a whole.
pub(crate) fn verify(dir: &Path, public_key: Option<&PublicKey>, expected_head: Option<&Head>) -> Result<Report, AuditError> {
    let check = Check { public_key: public_key.copied(), expected_head: expected_head.cloned(), ..Check::default() };
    strongroom_audit::verify(&[dir], &check)
}

pub(crate) fn key() -> SigningKey {
    SigningKey::from_seed(Zeroizing::new([42; 32])).unwrap()
}

pub(crate) fn event(number: u32) -> Event {
    Event {
        request_id: format!("request-{number}"),
        who: "alice".to_owned(),
        operation: "GetObject".to_owned(),
        bucket: "photos".to_owned(),
        key: format!("a/\"ü\n\u{2028}/{number}"),
        mode: "SSE-KMS".to_owned(),
        backend: "local".to_owned(),
        key_id: "default".to_owned(),
        key_version: 3,
        outcome: if number.is_multiple_of(2) { Outcome::Ok } else { Outcome::Error("AccessDenied".to_owned()) },
        ..Event::default()
    }
}

/// The log's files by name, in the order of their first records.
pub(crate) fn files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let path_of = |segment: Segment| segment.path;
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    segments(dir).unwrap().into_iter().map(path_of).map(|path| (name(&path), fs::read(&path).unwrap())).collect()
}

/// The lines of a file that may be compressed.
pub(crate) fn plain(name: &str, bytes: Vec<u8>) -> Vec<u8> {
    if Path::new(name).extension().is_none_or(|extension| extension != "gz") {
        return bytes;
    }
    let mut plain = Vec::new();
    GzDecoder::new(&bytes[..]).read_to_end(&mut plain).unwrap();
    plain
}

pub(crate) fn write_files(dir: &Path, files: &[(String, Vec<u8>)]) {
    fs::create_dir_all(dir).unwrap();
    for (name, bytes) in files {
        fs::write(dir.join(name), bytes).unwrap();
    }
}

/// Every record, as JSON.
pub(crate) fn records(dir: &Path) -> Vec<serde_json::Value> {
    let text: Vec<u8> = files(dir).into_iter().flat_map(|(name, bytes)| plain(&name, bytes)).collect();
    text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(|line| serde_json::from_slice(line).unwrap()).collect()
}

/// The events' request ids, each with the number of its record.
pub(crate) fn request_ids(dir: &Path) -> BTreeMap<String, u64> {
    let events = records(dir).into_iter().filter(|record| record.get("operation").is_some());
    events.map(|record| (record["request_id"].as_str().unwrap().to_owned(), record["seq"].as_u64().unwrap())).collect()
}

/// What one without the signing key can do: gives every record from `from` on (0 for the first) the right `prev` and `hash` again.
pub(crate) fn rechain(lines: &mut [String], from: usize) {
    for at in from..lines.len() {
        let prev =
            at.checked_sub(1).map_or("0".repeat(64), |before| lines[before][lines[before].len() - 66..lines[before].len() - 2].to_owned());
        let line = &lines[at];
        let body = format!("{}{prev}\"", &line[..line.rfind("\"prev\":\"").unwrap() + 8]);
        let hash = hex::encode(digest(&SHA256, body.as_bytes()));
        lines[at] = format!("{body},\"hash\":\"{hash}\"}}");
    }
}
