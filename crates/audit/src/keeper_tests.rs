//! What retention does with files of which the names and the contents tell different things.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use time::OffsetDateTime;
use time::macros::datetime;

use crate::record::{append, checkpoint_members};
use crate::{AuditLog, Check, Head, LogConfig, Retention, SigningKey, segments, verify};

fn key() -> SigningKey {
    SigningKey::from_seed(zeroize::Zeroizing::new([9; 32])).unwrap()
}

/// A file of a record and, if it is `signed`, a checkpoint, under a name with this stamp.
fn write(dir: &Path, stamp: &str, head: &mut Head, time: OffsetDateTime, signed: bool) -> String {
    let (name, mut out) = (format!("audit-{stamp}-{}.jsonl", head.seq + 1), Vec::new());
    append(&mut out, head, time, b"\"operation\":\"GetObject\"");
    if signed {
        let members = checkpoint_members(&key(), &key().public_key(), head, time);
        append(&mut out, head, time, members.as_bytes());
    }
    fs::write(dir.join(&name), out).unwrap();
    name
}

fn names(dir: &Path) -> Vec<String> {
    segments(dir).unwrap().into_iter().map(|segment| segment.path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
}

async fn open(dir: &Path, retention: Retention) -> AuditLog {
    let config = LogConfig { compress: false, retention, ..LogConfig::new(dir) };
    AuditLog::open(config, key(), None).await.unwrap().0
}

async fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !holds() {
        assert!(Instant::now() < deadline, "never came true: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Whoever can write the directory can rename the files. Two are old by their signed records, and two by their names.
#[tokio::test]
async fn the_age_of_a_file_is_that_of_its_last_record_whatever_the_names_say() {
    let (dir, mut head) = (TempDir::new().unwrap(), Head::default());
    let (long_ago, now) = (datetime!(2020-01-02 03:04:05 UTC), OffsetDateTime::now_utc());
    for (stamp, time) in [("20990101T000000Z", long_ago), ("20990101T000000Z", long_ago)] {
        write(dir.path(), stamp, &mut head, time, true);
    }
    let removed = head.clone();
    let kept = [(); 3].map(|()| write(dir.path(), "20190101T000000Z", &mut head, now, true));
    let log = open(dir.path(), Retention { keep_seconds: Some(24 * 3600), ..Retention::default() }).await;
    wait_until("the old ones are gone", || names(dir.path()).starts_with(&kept)).await;
    log.close().await.unwrap();
    let report = verify(&[dir.path()], &Check { public_key: Some(key().public_key()), ..Check::default() }).unwrap();
    assert_eq!((report.findings, report.removed[0].last_seq, report.removed.len()), (vec![], removed.seq, 1));
}

/// Anybody can make records that follow from each other; only the server can sign them.
#[tokio::test]
async fn a_chained_file_without_a_signature_is_suspect() {
    let (dir, mut head) = (TempDir::new().unwrap(), Head::default());
    let now = OffsetDateTime::now_utc();
    write(dir.path(), "20260101T000000Z", &mut head, now, true);
    // Between the two there is room for numbers that nobody gave.
    let mut planted = Head { seq: 10, ..Head::default() };
    write(dir.path(), "20260102T000000Z", &mut planted, now, false);
    head.seq = 20;
    write(dir.path(), "20260103T000000Z", &mut head, now, true);
    let before = names(dir.path());
    let log = open(dir.path(), Retention { keep_bytes: Some(1), ..Retention::default() }).await;
    wait_until("it is found", || log.usage().suspect_files > 0).await;
    log.close().await.unwrap();
    assert_eq!((log.usage().suspect_files, names(dir.path())), (1, before));
}
