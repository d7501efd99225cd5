//! The log as its callers see it: what is durable when, what a restart finds, what is refused.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::{Duration, Instant};

use common::{Home, event, files, key, records, request_ids, verify};
use strongroom_audit::{AuditError, AuditLog, AuditSink, Defect, Event, Head, LogConfig, Repair, SigningKey};
use strongroom_space::Kept;
use zeroize::Zeroizing;

#[tokio::test]
async fn an_event_is_one_line_with_its_fields_and_no_others() {
    let home = Home::new();
    let log = home.open_clean().await;
    log.record_durably(Event { details: [("objects_lost".to_owned(), "3".to_owned())].into(), ..event(1) }).await.unwrap();
    let records = records(&home.dir());
    assert_eq!(records.len(), 3, "opened, its checkpoint, the event");
    assert_eq!(records[0]["opened"], serde_json::json!({ "findings": [], "unsigned": 0 }));
    assert_eq!(records[1]["checkpoint"]["key"], key().public_key().to_hex());
    let mut record = records[2].as_object().unwrap().clone();
    for member in ["time", "hash"] {
        record.remove(member).unwrap();
    }
    let expected = serde_json::json!({
        "seq": 3, "request_id": "request-1", "who": "alice", "operation": "GetObject", "bucket": "photos", "key": "a/\"ü\n\u{2028}/1",
        "mode": "SSE-KMS", "backend": "local", "key_id": "default", "key_version": 3, "outcome": { "error": "AccessDenied" },
        "details": { "objects_lost": "3" }, "prev": records[1]["hash"],
    });
    assert_eq!(serde_json::Value::Object(record), expected);
}

#[tokio::test]
async fn files_and_directory_are_private() {
    let home = Home::new();
    let log = home.open_clean().await;
    log.close().await.unwrap();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&home.dir()), 0o700);
    let name = files(&home.dir())[0].0.clone();
    assert!(name.ends_with("Z-1.jsonl"), "{name}");
    assert_eq!(mode(&home.dir().join(name)), 0o600);
}

/// The writer was killed before it synced the name of its file: records that follow in it would be lost with the name.
#[tokio::test]
async fn what_a_killed_writer_left_is_synced_before_the_log_goes_on() {
    let home = Home::new();
    home.open_clean().await.close().await.unwrap();
    let dir = home.dir();
    for unsynced in [&*dir, dir.parent().unwrap()] {
        strongroom_files::testing::fail_syncs(unsynced, 1);
        let opened = AuditLog::open(home.config(), key(), None).await.map(drop);
        assert!(matches!(opened, Err(AuditError::Unwritable(_))), "{}", unsynced.display());
    }
    home.open_clean().await;
}

#[tokio::test]
async fn a_durable_event_is_in_the_file_when_the_call_returns_and_others_within_a_second() {
    let home = Home::new();
    let log = home.open_clean().await;
    let head = log.append(&event(1)).await.unwrap();
    assert_eq!(head.seq, 3);
    assert_eq!(log.head(), head);
    assert_eq!(records(&home.dir()).last().unwrap()["hash"], head.hash);
    let begun = Instant::now();
    log.record(event(2)).await.unwrap();
    while log.head().seq == 3 {
        assert!(begun.elapsed() < Duration::from_secs(1));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(request_ids(&home.dir()), [("request-1".to_owned(), 3), ("request-2".to_owned(), 4)].into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_callers_lose_nothing_and_the_chain_holds() {
    let home = Home::new();
    let log = std::sync::Arc::new(home.open_clean().await);
    let tasks = (0..8).map(|task| {
        let log = log.clone();
        tokio::spawn(async move {
            for number in 0..500 {
                let event = event(task * 1000 + number);
                if number % 50 == 0 { log.record_durably(event).await.unwrap() } else { log.record(event).await.unwrap() }
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    log.close().await.unwrap();
    assert_eq!(request_ids(&home.dir()).len(), 4000);
    let report = home.verify(Some(&log.head()));
    assert_eq!((report.events, report.findings, report.unsigned), (4000, vec![], 0));
    // One at the start, one every 1,000 records, one at the end; more if the test is slower than 10 seconds.
    assert!(report.checkpoints >= 5 && report.records == 4001 + report.checkpoints, "{}", report.checkpoints);
}

#[tokio::test]
async fn the_chain_goes_on_across_restarts_and_files() {
    let home = Home::new();
    let mut head = Head::default();
    for round in 0..4 {
        let config = LogConfig { rotate_bytes: 3000, ..home.config() };
        let (log, report) = AuditLog::open(config, key(), Some(head.clone())).await.unwrap();
        assert_eq!((report.head, report.findings, report.unsigned), (head, vec![], 0), "round {round}");
        for number in 0..10 {
            log.record_durably(event(round * 10 + number)).await.unwrap();
        }
        log.close().await.unwrap();
        head = log.head();
    }
    let report = home.verify(Some(&head));
    assert_eq!((report.events, report.findings_total, report.first_seq), (40, 0, Some(1)));
    assert_eq!(report.head, head);
    assert_eq!(report.last_checkpoint.unwrap().seq, head.seq, "a closed log ends in a checkpoint");
    assert!(report.files >= 6, "{}", report.files);
    let files = files(&home.dir());
    for (name, bytes) in &files[..files.len() - 1] {
        let last = String::from_utf8_lossy(bytes).lines().last().unwrap().to_owned();
        assert!(last.contains("\"checkpoint\""), "{name} ends in a checkpoint");
        assert!(bytes.len() < 6000, "{name} is {} long", bytes.len());
    }
}

#[tokio::test]
async fn a_checkpoint_follows_soon_after_records_on_an_idle_log() {
    let home = Home::new();
    let config = LogConfig { checkpoint_seconds: 0, ..home.config() };
    let (log, _) = AuditLog::open(config, key(), None).await.unwrap();
    let head = log.append(&event(1)).await.unwrap();
    let begun = Instant::now();
    while log.head().seq == head.seq {
        assert!(begun.elapsed() < Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(home.verify(None).unsigned, 0);
}

#[tokio::test]
async fn no_more_records_lie_between_checkpoints_than_configured() {
    let home = Home::new();
    let config = LogConfig { checkpoint_records: 7, ..home.config() };
    let (log, _) = AuditLog::open(config, key(), None).await.unwrap();
    for number in 0..50 {
        log.record(event(number)).await.unwrap();
    }
    log.close().await.unwrap();
    let kinds: Vec<bool> = records(&home.dir()).iter().map(|record| record.get("checkpoint").is_some()).collect();
    assert_eq!(kinds.iter().filter(|is| **is).count(), 1 + 7 + 1);
    assert!(kinds.windows(8).all(|window| window.contains(&true)));
}

#[tokio::test]
async fn a_second_writer_is_refused() {
    let home = Home::new();
    let log = home.open_clean().await;
    let second = AuditLog::open(home.config(), key(), None).await.map(drop);
    let AuditError::Unwritable(text) = second.unwrap_err();
    assert_eq!(text, format!("{} is in use by another server; stop that one first", home.dir().display()));
    drop(log);
    home.open_clean().await;
}

#[tokio::test]
async fn a_closed_log_takes_nothing_and_has_everything() {
    let home = Home::new();
    let log = home.open_clean().await;
    log.record(event(1)).await.unwrap();
    log.close().await.unwrap();
    log.close().await.unwrap();
    for refused in [log.record(event(2)).await, log.record_durably(event(2)).await, log.health()] {
        let AuditError::Unwritable(text) = refused.unwrap_err();
        assert_eq!(text, "it is closed");
    }
    assert_eq!(request_ids(&home.dir()).len(), 1);
}

#[tokio::test]
async fn a_dropped_log_has_everything_too() {
    let home = Home::new();
    let log = home.open_clean().await;
    log.record(event(1)).await.unwrap();
    drop(log);
    let report = home.verify(None);
    assert_eq!((report.events, report.unsigned, report.findings_total), (1, 0, 0));
}

/// Power fails while the last record is written: every length of what may be left of it.
#[tokio::test]
async fn a_torn_last_record_is_cut_off_and_said_so() {
    let home = Home::new();
    let log = home.open_clean().await;
    let head = log.append(&event(1)).await.unwrap();
    let path = home.dir().join(files(&home.dir())[0].0.clone());
    let kept = fs::read(&path).unwrap().len();
    log.record_durably(event(2)).await.unwrap();
    // As left by a crash: without the checkpoint that closing adds.
    let whole = fs::read(&path).unwrap();
    drop(log);
    for len in kept + 1..whole.len() {
        fs::write(&path, &whole[..len]).unwrap();
        let before = home.verify(Some(&head));
        assert_eq!(before.findings.len(), 1);
        assert_eq!(before.findings[0].defect, Defect::Incomplete);
        assert_eq!((before.findings[0].line, before.findings[0].seq), (4, Some(4)));

        let (log, report) = home.open(Some(head.clone())).await;
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let cut_bytes = u64::try_from(len - kept).unwrap();
        assert_eq!(report.repaired, Some(Repair { file: name.clone(), cut_bytes }));
        assert_eq!((report.findings, report.head.clone(), report.unsigned), (vec![], head.clone(), 1));
        drop(log);
        let written = records(&home.dir());
        assert_eq!(written[3]["repaired"], serde_json::json!({ "cut_bytes": cut_bytes, "file": name }));
        assert_eq!(written[4]["opened"]["unsigned"], 1);
        assert!(home.verify(Some(&head)).is_intact());
    }
}

/// Power fails before records were synced: of the sectors that they fill any may be there, and the others read as zeros.
#[tokio::test]
async fn holes_that_a_power_cut_left_at_the_end_are_cut_off_and_said_so() {
    let home = Home::new();
    let log = home.open_clean().await;
    let head = log.append(&event(1)).await.unwrap();
    let path = home.dir().join(files(&home.dir())[0].0.clone());
    let kept = fs::read(&path).unwrap().len();
    for number in 2..6 {
        log.record_durably(event(number)).await.unwrap();
    }
    let whole = fs::read(&path).unwrap();
    drop(log);
    let sectors = kept / 512..whole.len().div_ceil(512);
    assert!(sectors.len() >= 4);
    for lost in sectors {
        let mut torn = whole.clone();
        torn[(lost * 512).max(kept)..((lost + 1) * 512).min(whole.len())].fill(0);
        fs::write(&path, &torn).unwrap();
        let (log, report) = home.open(Some(head.clone())).await;
        assert_eq!(report.findings, vec![], "sector {lost}");
        assert!(report.repaired.is_some() && report.head.seq >= head.seq);
        log.close().await.unwrap();
        assert!(home.verify(Some(&head)).is_intact());
    }
}

/// What is anchored was synced: zeros in it are no power cut's, and are neither cut off nor passed over.
#[tokio::test]
async fn a_hole_in_what_is_anchored_is_damage_and_stays() {
    let home = Home::new();
    let log = home.open_clean().await;
    log.record_durably(event(1)).await.unwrap();
    let before = fs::read(home.dir().join(&files(&home.dir())[0].0)).unwrap().len();
    let head = log.append(&event(2)).await.unwrap();
    log.record_durably(event(3)).await.unwrap();
    drop(log);
    let path = home.dir().join(files(&home.dir())[0].0.clone());
    let mut damaged = fs::read(&path).unwrap();
    damaged[before + 100..before + 200].fill(0);
    fs::write(&path, &damaged).unwrap();
    let (log, report) = home.open(Some(head)).await;
    assert_eq!((report.repaired, report.findings.is_empty()), (None, false));
    log.close().await.unwrap();
    assert_eq!(fs::read(&path).unwrap()[..damaged.len()], damaged);
}

#[tokio::test]
async fn a_file_whose_only_record_is_torn_is_written_on() {
    let home = Home::new();
    drop(home.open_clean().await);
    let path = home.dir().join(files(&home.dir())[0].0.clone());
    for left in [vec![], b"{\"seq\":1".to_vec(), vec![0; 100_000]] {
        fs::write(&path, &left).unwrap();
        let (log, report) = home.open(None).await;
        assert_eq!((report.head, report.repaired.is_some()), (Head::default(), !left.is_empty()));
        drop(log);
        assert!(home.verify(None).is_intact());
        assert_eq!(files(&home.dir()).len(), 1);
    }
}

#[tokio::test]
async fn a_log_that_was_cut_or_rewritten_is_reported_and_written_on() {
    let home = Home::new();
    let log = home.open_clean().await;
    log.record_durably(event(1)).await.unwrap();
    let head = log.append(&event(2)).await.unwrap();
    drop(log);
    let (name, whole) = files(&home.dir()).remove(0);
    let path = home.dir().join(&name);
    let lines: Vec<&[u8]> = whole.split_inclusive(|byte| *byte == b'\n').collect();

    fs::write(&path, lines[..3].concat()).unwrap();
    let (log, report) = home.open(Some(head.clone())).await;
    assert_eq!(report.findings.len(), 1);
    assert_eq!(report.findings[0].to_string(), format!("{name}:3: record 3: the log ends here, but went up to record 4"));
    log.record_durably(event(3)).await.unwrap();
    drop(log);
    let noted = &records(&home.dir())[3]["opened"]["findings"];
    assert_eq!(noted, &serde_json::json!([report.findings[0].to_string()]), "the log itself remembers it");

    // Now there is another record 4.
    let (_log, report) = home.open(Some(head.clone())).await;
    assert_eq!(report.findings.len(), 1);
    assert_eq!((report.findings[0].seq, &report.findings[0].defect), (Some(4), &Defect::Rewritten));
}

#[tokio::test]
async fn a_head_from_an_earlier_file_is_found_there() {
    let home = Home::new();
    let config = || LogConfig { rotate_bytes: 2000, ..home.config() };
    let (log, _) = AuditLog::open(config(), key(), None).await.unwrap();
    let early = log.append(&event(1)).await.unwrap();
    for number in 2..30 {
        log.record_durably(event(number)).await.unwrap();
    }
    drop(log);
    assert!(files(&home.dir()).len() > 3);
    let (log, report) = AuditLog::open(config(), key(), Some(early.clone())).await.unwrap();
    assert_eq!(report.findings, vec![]);
    drop(log);
    let other = Head { hash: "1".repeat(64), ..early };
    let (_log, report) = AuditLog::open(config(), key(), Some(other)).await.unwrap();
    assert_eq!(report.findings.len(), 1);
    assert_eq!(report.findings[0].defect, Defect::Rewritten);
}

#[tokio::test]
async fn a_file_moved_or_written_by_another_program_is_left_and_a_new_one_begun() {
    let home = Home::new();
    let log = home.open_clean().await;
    log.record_durably(event(1)).await.unwrap();
    let first = home.dir().join(files(&home.dir())[0].0.clone());
    fs::OpenOptions::new().append(true).open(&first).unwrap().write_all(b"no record").unwrap();
    log.record_durably(event(2)).await.unwrap();
    let second = home.dir().join(files(&home.dir())[1].0.clone());
    fs::rename(&second, home.dir().join("taken-away")).unwrap();
    log.record_durably(event(3)).await.unwrap();
    log.close().await.unwrap();
    let report = home.verify(Some(&log.head()));
    let said: Vec<Defect> = report.findings.into_iter().map(|finding| finding.defect).collect();
    // The line without an end stands for the record that was taken away, so its number is not missed a second time.
    assert_eq!(said, [Defect::Incomplete]);
}

#[tokio::test]
async fn an_event_that_is_too_long_is_refused_alone() {
    let home = Home::new();
    let log = home.open_clean().await;
    let oversized = Event { key: "k".repeat(65_536), ..event(1) };
    let AuditError::Unwritable(text) = log.record(oversized).await.unwrap_err();
    assert_eq!(text, "an event is longer than 64 KiB");
    log.record_durably(Event { key: "\u{1}".repeat(10_000), ..event(2) }).await.unwrap();
    drop(log);
    assert!(home.verify(None).is_intact());
}

#[tokio::test]
async fn a_burst_larger_than_the_queue_is_taken_in_whole() {
    let home = Home::new();
    let log = home.open_clean().await;
    for number in 0..700 {
        log.record(Event { key: "k".repeat(60_000), ..event(number) }).await.unwrap();
    }
    log.close().await.unwrap();
    let report = home.verify(Some(&log.head()));
    assert_eq!((report.events, report.findings_total), (700, 0));
}

#[tokio::test]
async fn a_log_signed_by_another_key_is_told() {
    let home = Home::new();
    drop(home.open_clean().await);
    let other = SigningKey::from_seed(Zeroizing::new([1; 32])).unwrap().public_key();
    let report = verify(&home.dir(), Some(&other), None).unwrap();
    let said: Vec<Defect> = report.findings.into_iter().map(|finding| finding.defect).collect();
    assert_eq!(said, [Defect::OtherKey, Defect::NeverSigned]);
}

#[tokio::test]
async fn an_absent_directory_cannot_be_verified() {
    let home = Home::new();
    let AuditError::Unwritable(text) = verify(&home.dir(), None, None).unwrap_err();
    assert!(text.starts_with(&format!("cannot list {}", home.dir().display())), "{text}");
}

#[tokio::test]
async fn the_file_that_is_written_on_has_room_kept_for_it_and_an_ended_one_gives_it_back() {
    let home = Home::new();
    let config = LogConfig { reserve_bytes: 2 << 20, rotate_bytes: 100_000, ..home.config() };
    let kept = |path: &std::path::Path| {
        let found = fs::metadata(path).unwrap();
        (found.blocks() * 512).saturating_sub(found.len())
    };
    let (log, _) = AuditLog::open(config.clone(), key(), None).await.unwrap();
    assert_eq!(log.usage().reserve, Kept { held_bytes: 2 << 20, wanted_bytes: 2 << 20 });
    for number in 0..600 {
        if number % 20 == 0 {
            log.append(&event(number)).await.unwrap();
        } else {
            log.record(event(number)).await.unwrap();
        }
    }
    log.append(&event(600)).await.unwrap();
    let paths: Vec<_> = files(&home.dir()).into_iter().map(|(name, _)| home.dir().join(name)).collect();
    let (last, ended) = paths.split_last().unwrap();
    assert!(!ended.is_empty() && ended.iter().all(|path| kept(path) < 100_000), "{paths:?}");
    assert!(kept(last) >= 7 << 18, "no more than an eighth of it is missing: {}", kept(last));
    assert_eq!(log.usage().reserve.wanted_bytes, 2 << 20);
    log.close().await.unwrap();
    assert!(kept(last) >= 7 << 18, "it is kept for the next start");
    let (log, report) = AuditLog::open(config, key(), None).await.unwrap();
    assert_eq!((report.findings, report.repaired), (vec![], None));
    log.append(&event(601)).await.unwrap();
    assert!(log.usage().reserve.is_whole());
    assert_eq!(home.verify(None).findings, vec![]);
}
