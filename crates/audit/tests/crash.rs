//! A process that writes is killed, or the disk refuses: nothing that was said to be durable is missing.
#![allow(clippy::unwrap_used)]

mod common;

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{Home, event, key, request_ids, verify};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use strongroom_audit::{AuditError, AuditLog, AuditSink, Event, LogConfig, Report, Retention};

const DIR: &str = "STRONGROOM_TEST_AUDIT_DIR";
const FIRST: &str = "STRONGROOM_TEST_AUDIT_FIRST";
/// Little enough that files are compressed and removed while the process is killed.
const KEEP_BYTES: u64 = 30_000;

/// This test binary once more, to run one of the tests that are ignored here.
fn again(test: &str, home: &Home, first: u32, shell: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{shell} exec \"$0\" \"$@\"")]).arg(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored", "--nocapture", "--test-threads=1"]);
    command.env(DIR, home.dir()).env(FIRST, first.to_string()).stdout(Stdio::piped());
    command
}

fn config(dir: PathBuf) -> LogConfig {
    let retention = Retention { keep_bytes: Some(KEEP_BYTES), ..Retention::default() };
    LogConfig { rotate_bytes: 5000, checkpoint_records: 10, flush_millis: 5, retention, ..LogConfig::new(dir) }
}

fn config_from_parent() -> (LogConfig, u32) {
    let dir = PathBuf::from(std::env::var_os(DIR).expect("only another test runs this"));
    (config(dir), std::env::var(FIRST).unwrap().parse().unwrap())
}

#[tokio::test]
#[ignore = "runs as the process that is killed"]
async fn child_writes_until_killed() {
    let (config, first) = config_from_parent();
    let (log, report) = AuditLog::open(config, key(), None).await.unwrap();
    assert_eq!(report.findings, vec![]);
    for number in first.. {
        log.record(event(number + 1_000_000)).await.unwrap();
        let head = log.append(&event(number)).await.unwrap();
        println!("durable {number} {}", head.seq);
    }
}

#[test]
fn nothing_durable_is_missing_after_a_kill() {
    let home = Home::new();
    let mut durable = Vec::new();
    for round in 0..8 {
        let mut child = again("child_writes_until_killed", &home, round * 10_000, "").spawn().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut said = said.map_while(Result::ok).filter_map(|line| {
            let mut words = line.strip_prefix("durable ")?.split(' ').map(|word| word.parse::<u64>().unwrap());
            Some((format!("request-{}", words.next().unwrap()), words.next().unwrap()))
        });
        durable.extend(said.by_ref().take(40 + 17 * usize::try_from(round).unwrap()));
        child.kill().unwrap();
        child.wait().unwrap();
        durable.extend(said);
    }
    assert!(durable.len() >= 8 * 40);

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (log, report) = runtime.block_on(AuditLog::open(config(home.dir()), key(), None)).unwrap();
    assert_eq!(report.findings, vec![]);
    // A kill may fall between the record of a removal and the removal. The next start finishes it.
    let is_finished = |report: &Report| matches!(&report.removed[..], [it] if Some(it.last_seq + 1) == report.first_seq);
    let deadline = Instant::now() + Duration::from_mins(1);
    while !verify(&home.dir(), Some(&key().public_key()), None).is_ok_and(|report| is_finished(&report)) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    runtime.block_on(log.close()).unwrap();
    let report = home.verify(None);
    assert!(report.is_intact() && report.files > 2, "{:?}", report.findings);
    let [removed] = &report.removed[..] else { panic!("{:?}", report.removed) };
    assert_eq!((removed.first_seq, removed.last_seq + 1), (1, report.first_seq.unwrap()), "what is missing is on record");
    let found = request_ids(&home.dir());
    for (request_id, seq) in durable {
        let is_there = found.get(&request_id) == Some(&seq);
        assert!(is_there || seq <= removed.last_seq, "{request_id}");
    }
}

fn numbered(number: usize) -> Event {
    event(u32::try_from(number).unwrap())
}

#[tokio::test]
#[ignore = "runs under a limit on the length of files"]
async fn child_writes_against_a_limit() {
    let (config, _) = config_from_parent();
    let config = LogConfig { rotate_bytes: 1 << 20, compress: false, retention: Retention::default(), ..config };
    let dir = config.dir.clone();
    let (log, _) = AuditLog::open(config, key(), None).await.unwrap();
    let mut durable = Vec::new();
    let refusal = loop {
        log.record(numbered(1_000_000 + durable.len())).await.unwrap();
        match log.append(&numbered(durable.len())).await {
            Ok(head) => durable.push(head),
            Err(error) => break error.to_string(),
        }
    };
    assert!(durable.len() > 10, "{}", durable.len());
    assert!(refusal.contains("cannot write") && refusal.contains("File too large"), "{refusal}");
    for refused in [log.record(event(1)).await, log.record_durably(event(1)).await, log.health()] {
        let AuditError::Unwritable(text) = refused.unwrap_err();
        assert!(text.contains("File too large"), "{text}");
    }
    assert_eq!(log.head(), *durable.last().unwrap());

    let Rlimit { maximum, .. } = getrlimit(Resource::Fsize);
    setrlimit(Resource::Fsize, Rlimit { current: maximum, maximum }).unwrap();
    while log.health().is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    durable.push(log.append(&numbered(durable.len())).await.unwrap());
    log.close().await.unwrap();
    let report = verify(&dir, Some(&key().public_key()), Some(&log.head())).unwrap();
    assert_eq!(report.findings, vec![]);
    let found = request_ids(&dir);
    for (number, head) in durable.iter().enumerate() {
        assert_eq!(found.get(&format!("request-{number}")), Some(&head.seq), "{number}");
        assert!(found.contains_key(&format!("request-{}", 1_000_000 + number)) || number + 1 == durable.len());
    }
    println!("all is well");
}

#[test]
fn a_disk_that_refuses_refuses_events_until_it_takes_them_again() {
    let home = Home::new();
    // A file may have 40 blocks of 512 bytes, and reaching that is an error rather than the end.
    let child = again("child_writes_against_a_limit", &home, 0, "trap '' XFSZ; ulimit -S -f 40;").output().unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && said.contains("all is well"), "{said}{}", String::from_utf8_lossy(&child.stderr));
}
