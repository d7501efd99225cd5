//! What becomes of ended files: compressed, removed on record, moved away; and what is told of it afterwards.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use common::{Home, event, key, rechain, verify};
use strongroom_audit::{AuditError, AuditLog, AuditSink, Beginning, Check, Defect, Event, Head, LogConfig, Report, Retention, segments};

/// The names of the log's files, compressed or not, in order.
fn names(dir: &Path) -> Vec<String> {
    segments(dir).unwrap().into_iter().map(|segment| segment.path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
}

async fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !holds() {
        assert!(Instant::now() < deadline, "never came true: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn fill(log: &AuditLog, events: std::ops::Range<u32>) {
    for number in events {
        log.record_durably(event(number)).await.unwrap();
    }
}

/// An ended log of plain files, as the last version left it, and its head.
async fn plain(home: &Home) -> Head {
    let config = LogConfig { rotate_bytes: 3000, ..home.config() };
    let (log, _) = AuditLog::open(config, key(), None).await.unwrap();
    fill(&log, 0..60).await;
    log.close().await.unwrap();
    assert!(names(&home.dir()).len() >= 8, "{:?}", names(&home.dir()));
    log.head()
}

fn keeping(home: &Home, bytes: u64) -> LogConfig {
    LogConfig { rotate_bytes: 3000, retention: Retention { keep_bytes: Some(bytes), ..Retention::default() }, ..home.config() }
}

/// A log of which retention removed all but the last few files, stopped; its head, and a copy of all that was there before.
async fn pruned(home: &Home) -> (Head, PathBuf) {
    plain(home).await;
    let copy = home.dir().with_file_name("copy");
    fs::create_dir(&copy).unwrap();
    // All but the one that is written on.
    let all = names(&home.dir());
    for name in &all[..all.len() - 1] {
        fs::copy(home.dir().join(name), copy.join(name)).unwrap();
    }
    let (log, _) = AuditLog::open(keeping(home, 10_000), key(), None).await.unwrap();
    wait_until("the oldest files are removed", || log.usage().removed_records > 0 && log.usage().bytes <= 10_000).await;
    fill(&log, 60..80).await;
    log.close().await.unwrap();
    (log.head(), copy)
}

fn check(dirs: &[&Path], check: Check) -> Report {
    strongroom_audit::verify(dirs, &Check { public_key: Some(key().public_key()), ..check }).unwrap()
}

fn defects(report: &Report) -> Vec<Defect> {
    report.findings.iter().map(|finding| finding.defect.clone()).collect()
}

#[tokio::test]
async fn a_log_of_plain_files_is_taken_up_and_its_ended_files_are_compressed() {
    let home = Home::new();
    let head = plain(&home).await;
    let before = home.verify(Some(&head));
    let bytes: u64 = segments(&home.dir()).unwrap().iter().map(|segment| segment.bytes).sum();
    let (log, report) =
        AuditLog::open(LogConfig { rotate_bytes: 3000, ..LogConfig::new(home.dir()) }, key(), Some(head.clone())).await.unwrap();
    assert_eq!((report.findings, report.head), (vec![], head.clone()));
    wait_until("all but the last are compressed", || segments(&home.dir()).unwrap().iter().all(|found| found.compressed == found.ended))
        .await;
    let kept: u64 = segments(&home.dir()).unwrap().iter().map(|segment| segment.bytes).sum();
    assert!(kept * 3 < bytes * 2, "{kept} of {bytes}");
    fill(&log, 60..80).await;
    log.close().await.unwrap();
    let after = home.verify(Some(&log.head()));
    assert_eq!((after.findings, after.events, after.first_seq), (vec![], before.events + 20, Some(1)));
    assert!(home.verify(Some(&head)).is_intact(), "a head within a compressed file is found");
}

#[tokio::test]
async fn an_ended_file_is_compressed_while_events_go_on() {
    let home = Home::new();
    let (log, _) = AuditLog::open(LogConfig { rotate_bytes: 3000, ..LogConfig::new(home.dir()) }, key(), None).await.unwrap();
    fill(&log, 0..40).await;
    wait_until("ended files are compressed", || segments(&home.dir()).unwrap().iter().all(|found| found.compressed == found.ended)).await;
    fill(&log, 40..60).await;
    drop(log);
    assert_eq!((home.verify(None).events, home.verify(None).findings), (60, vec![]));
}

#[tokio::test]
async fn a_file_with_events_is_ended_when_it_is_old_and_an_idle_log_makes_no_files() {
    let home = Home::new();
    let config = LogConfig { rotate_seconds: 1, ..home.config() };
    let (log, _) = AuditLog::open(config, key(), None).await.unwrap();
    fill(&log, 0..1).await;
    let head = log.head();
    wait_until("the file is ended", || log.head().seq > head.seq).await;
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(names(&home.dir()).len(), 1, "nothing was written since");
    fill(&log, 1..2).await;
    assert_eq!(names(&home.dir()).len(), 2);
    log.close().await.unwrap();
    assert_eq!(home.verify(None).findings, vec![]);
}

#[tokio::test]
async fn what_retention_removed_is_on_record_and_the_rest_is_intact() {
    let home = Home::new();
    let (head, copy) = pruned(&home).await;
    let report = home.verify(Some(&head));
    assert_eq!(report.findings, vec![]);
    let first = report.first_seq.unwrap();
    let last_removed = report.removed.last().unwrap();
    assert_eq!((report.removed.len(), report.removed[0].first_seq, last_removed.last_seq), (1, 1, first - 1));
    // The record of a removal tells of each file what can be checked against a copy.
    let records = common::records(&home.dir());
    let told: Vec<&serde_json::Value> =
        records.iter().filter_map(|record| record.get("removed")?.get("files")?.as_array()).flatten().collect();
    assert!(!told.is_empty());
    for file in told {
        let Ok(bytes) = fs::read(copy.join(file["file"].as_str().unwrap())) else { continue };
        let digest = hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &bytes));
        let lines = bytes.split_inclusive(|byte| *byte == b'\n').count() as u64;
        assert_eq!((file["sha256"].as_str(), file["bytes"].as_u64()), (Some(digest.as_str()), Some(bytes.len() as u64)));
        assert_eq!((file["records"].as_u64(), file["why"].as_str()), (Some(lines), Some("size")));
        assert_eq!(file["last_seq"].as_u64().unwrap() - file["first_seq"].as_u64().unwrap() + 1, lines);
        assert!(!home.dir().join(file["file"].as_str().unwrap()).exists());
    }
}

#[tokio::test]
async fn copies_of_removed_files_verify_by_themselves_and_with_the_rest() {
    let home = Home::new();
    let (head, copy) = pruned(&home).await;
    let whole = check(&[&home.dir(), &copy], Check { expected_head: Some(head), ..Check::default() });
    assert_eq!((whole.findings, whole.first_seq, whole.events), (vec![], Some(1), 80));
    // A part from the middle.
    for name in names(&copy).into_iter().take(2) {
        fs::remove_file(copy.join(name)).unwrap();
    }
    let part = check(&[&copy], Check { beginning: Beginning::Part, ..Check::default() });
    assert_eq!((part.findings.clone(), part.unsigned), (vec![], 0));
    assert!(part.first_seq.unwrap() > 1);
    let alone = check(&[&copy], Check::default());
    assert_eq!(defects(&alone), [Defect::BeginningMissing { to: part.first_seq.unwrap() - 1 }]);
    // A copy of the file that is written on may be behind.
    let last = segments(&home.dir()).unwrap().pop().unwrap().path;
    let lines = fs::read_to_string(&last).unwrap();
    let early = copy.join(last.file_name().unwrap());
    fs::write(&early, lines.split_inclusive('\n').take(2).collect::<String>()).unwrap();
    assert_eq!(check(&[&home.dir(), &copy], Check { beginning: Beginning::Part, ..Check::default() }).findings, vec![]);
    // An altered copy is found even where the file that counts is good.
    let name = names(&home.dir()).into_iter().find(|name| copy.join(name).exists()).unwrap();
    let altered = String::from_utf8(fs::read(copy.join(&name)).unwrap()).unwrap().replace("alice", "mallo");
    fs::write(copy.join(&name), altered).unwrap();
    let both = check(&[&home.dir(), &copy], Check { beginning: Beginning::Part, ..Check::default() });
    assert!(defects(&both).contains(&Defect::CopyDiffers), "{:?}", both.findings);
}

#[tokio::test]
async fn files_that_were_moved_away_are_missing_unless_their_head_or_directory_is_given() {
    let home = Home::new();
    let head = plain(&home).await;
    let moved = home.dir().with_file_name("moved");
    fs::create_dir(&moved).unwrap();
    for name in names(&home.dir()).into_iter().take(3) {
        fs::rename(home.dir().join(&name), moved.join(&name)).unwrap();
    }
    let archive = check(&[&moved], Check::default());
    assert_eq!(archive.findings, vec![]);
    let given = Some(head);
    let missing = check(&[&home.dir()], Check { expected_head: given.clone(), ..Check::default() });
    assert_eq!(defects(&missing), [Defect::BeginningMissing { to: archive.head.seq }]);
    for (dirs, beginning) in [
        (vec![home.dir()], Beginning::After(archive.head.clone())),
        (vec![home.dir(), moved.clone()], Beginning::Whole),
        (vec![moved, home.dir()], Beginning::After(archive.head.clone())),
    ] {
        let dirs: Vec<&Path> = dirs.iter().map(PathBuf::as_path).collect();
        assert_eq!(check(&dirs, Check { expected_head: given.clone(), beginning, ..Check::default() }).findings, vec![]);
    }
    let wrong = Head { hash: "0".repeat(64), ..archive.head };
    let refused = check(&[&home.dir()], Check { beginning: Beginning::After(wrong), ..Check::default() });
    assert_eq!(defects(&refused).len(), 1);
}

/// The oldest files are moved away, and retention removes the next ones: what it removed begins right after what was moved.
#[tokio::test]
async fn files_that_retention_removed_after_others_were_moved_away_are_not_missing() {
    let home = Home::new();
    plain(&home).await;
    let moved = home.dir().with_file_name("moved");
    fs::create_dir(&moved).unwrap();
    for name in names(&home.dir()).into_iter().take(2) {
        fs::rename(home.dir().join(&name), moved.join(&name)).unwrap();
    }
    let archive = check(&[&moved], Check::default()).head;
    let (log, _) = AuditLog::open(keeping(&home, 10_000), key(), None).await.unwrap();
    wait_until("retention removes more", || log.usage().removed_records > 0 && log.usage().bytes <= 10_000).await;
    log.close().await.unwrap();
    let after = |head: &Head| {
        let given = Check { expected_head: Some(log.head()), beginning: Beginning::After(head.clone()), ..Check::default() };
        check(&[&home.dir()], given)
    };
    let report = after(&archive);
    assert_eq!(report.findings, vec![]);
    assert_eq!(report.removed[0].first_seq, archive.seq + 1);
    let missing = [Defect::BeginningMissing { to: report.first_seq.unwrap() - 1 }];
    let other_hash = Head { hash: "0".repeat(64), ..archive.clone() };
    let earlier = Head { seq: archive.seq - 1, ..archive };
    for wrong in [other_hash, earlier] {
        assert_eq!(defects(&after(&wrong)), missing, "{wrong:?}");
    }
}

/// Somebody removes the oldest files, and retention goes on from there: what it removes does not cover for them.
#[tokio::test]
async fn an_attackers_removal_is_not_covered_by_a_later_one_of_the_server() {
    let home = Home::new();
    plain(&home).await;
    let oldest = names(&home.dir());
    for name in &oldest[..2] {
        fs::remove_file(home.dir().join(name)).unwrap();
    }
    let (log, _) = AuditLog::open(keeping(&home, 6000), key(), None).await.unwrap();
    wait_until("retention removes more", || log.usage().removed_records > 0 && log.usage().bytes <= 6000).await;
    log.close().await.unwrap();
    let report = home.verify(Some(&log.head()));
    assert_eq!(defects(&report), [Defect::BeginningMissing { to: report.first_seq.unwrap() - 1 }]);
    assert!(report.removed[0].first_seq > 1, "the log tells which records the server removed: {:?}", report.removed);
}

/// Somebody who can write the disk while the server is down appends a record of a removal, and removes the files.
#[tokio::test]
async fn a_forged_record_of_a_removal_does_not_count() {
    let home = Home::new();
    let head = plain(&home).await;
    let all = names(&home.dir());
    let last = home.dir().join(all.last().unwrap());
    let first_left = segments(&home.dir()).unwrap()[2].first_seq;
    let prev = fs::read_to_string(home.dir().join(&all[2])).unwrap();
    let prev = prev[prev.find("\"prev\":\"").unwrap() + 8..][..64].to_owned();
    let mut lines: Vec<String> = fs::read_to_string(&last).unwrap().lines().map(str::to_owned).collect();
    let zeros = "0".repeat(64);
    let range = format!("{{\"first_seq\":1,\"last_seq\":{},\"prev\":\"{zeros}\",\"hash\":\"{prev}\"}}", first_left - 1);
    let seq = head.seq + 1;
    lines.push(format!(
        "{{\"seq\":{seq},\"time\":\"2026-01-01T00:00:00.000Z\",\"removed\":{{\"ranges\":[{range}]}},\"prev\":\"\",\"hash\":\"{zeros}\"}}"
    ));
    let from = lines.len() - 1;
    rechain(&mut lines, from);
    fs::write(&last, lines.join("\n") + "\n").unwrap();
    for name in &all[..2] {
        fs::remove_file(home.dir().join(name)).unwrap();
    }
    let missing = [Defect::BeginningMissing { to: first_left - 1 }];
    assert_eq!(defects(&home.verify(Some(&head))), missing);
    // The server signs what it finds, and yet does not vouch for the removal.
    let (log, _) = home.open(Some(head.clone())).await;
    assert_eq!(log.usage().removed_records, 0);
    drop(log);
    let report = home.verify(Some(&head));
    assert_eq!((defects(&report), report.unsigned, report.removed), (missing.to_vec(), 0, vec![]));
}

/// The machine stops after a removal was recorded and before the files were gone, or some of them.
#[tokio::test]
async fn a_stop_between_the_record_and_the_removal_is_finished_at_the_next_start() {
    let home = Home::new();
    let (mut head, copy) = pruned(&home).await;
    let gone: Vec<String> = names(&copy).into_iter().filter(|name| !home.dir().join(name).exists()).collect();
    for left in 1..=gone.len() {
        for name in &gone[gone.len() - left..] {
            fs::copy(copy.join(name), home.dir().join(name)).unwrap();
        }
        assert_eq!(home.verify(Some(&head)).findings, vec![], "{left} left");
        let before = names(&home.dir()).len();
        let (log, report) = AuditLog::open(keeping(&home, 1), key(), Some(head.clone())).await.unwrap();
        assert_eq!(report.findings, vec![]);
        wait_until("they are gone again", || names(&home.dir()).len() <= before - left).await;
        log.close().await.unwrap();
        head = log.head();
        assert_eq!(home.verify(Some(&head)).findings, vec![]);
    }
}

#[tokio::test]
async fn a_removed_head_is_told_and_the_server_does_not_take_it_for_a_cut() {
    let home = Home::new();
    let early = plain(&home).await;
    let (log, _) = AuditLog::open(keeping(&home, 1), key(), None).await.unwrap();
    fill(&log, 60..80).await;
    wait_until("the head's file is gone", || segments(&home.dir()).unwrap()[0].first_seq > early.seq).await;
    drop(log);
    assert_eq!(defects(&home.verify(Some(&early))), [Defect::AnchorRemoved { seq: early.seq }]);
    let (_log, report) = AuditLog::open(home.config(), key(), Some(early)).await.unwrap();
    assert_eq!(report.findings, vec![]);
}

/// Starts a server that keeps next to nothing, waits until it has found what is wrong, and stops it. What it removed.
async fn removed_with_suspects(home: &Home, suspects: u64) -> u64 {
    let (log, _) = AuditLog::open(keeping(home, 1), key(), None).await.unwrap();
    wait_until("it is found", || log.usage().suspect_files == suspects).await;
    log.close().await.unwrap();
    log.usage().removed_records
}

/// The rest of the log goes once the operator has moved the file away.
async fn goes_on_without(home: &Home, planted: &str) {
    fs::rename(home.dir().join(planted), home.dir().with_file_name("evidence")).unwrap();
    let (log, _) = AuditLog::open(keeping(home, 1), key(), None).await.unwrap();
    wait_until("the others are gone", || names(&home.dir()).len() <= 1).await;
    assert_eq!(log.usage().suspect_files, 0);
    log.close().await.unwrap();
}

#[tokio::test]
async fn a_damaged_file_is_kept_for_what_it_shows_and_stops_removal_for_size() {
    let home = Home::new();
    plain(&home).await;
    let before = names(&home.dir());
    let altered = fs::read_to_string(home.dir().join(&before[1])).unwrap().replacen("alice", "mallo", 1);
    fs::write(home.dir().join(&before[1]), altered).unwrap();
    assert_eq!(removed_with_suspects(&home, 1).await, 0);
    assert_eq!(names(&home.dir()), before);
    assert!(defects(&home.verify(None)).contains(&Defect::Changed));
    goes_on_without(&home, &before[1]).await;
}

/// Files that take no room on the disk and claim to be long, so that the server would remove all others and sign that it did.
#[tokio::test]
async fn a_planted_file_has_nothing_removed_however_long_it_is() {
    for (ending, len) in [(".jsonl.gz", 1 << 30), (".jsonl", 1 << 30), (".jsonl.gz", 1 << 40), (".jsonl", 1 << 40)] {
        let home = Home::new();
        let head = plain(&home).await;
        let before = names(&home.dir());
        let open_from = segments(&home.dir()).unwrap().pop().unwrap().first_seq;
        let planted = format!("audit-20260102T030405Z-{}{ending}", open_from - 1);
        fs::File::create(home.dir().join(&planted)).unwrap().set_len(len).unwrap();
        let (log, _) = AuditLog::open(keeping(&home, 100_000), key(), None).await.unwrap();
        wait_until("it is found", || log.usage().suspect_files == 1).await;
        log.close().await.unwrap();
        assert_eq!(log.usage().removed_records, 0);
        assert!(before.iter().all(|name| home.dir().join(name).exists()) && home.dir().join(&planted).exists());
        fs::remove_file(home.dir().join(&planted)).unwrap();
        assert!(home.verify(Some(&head)).is_intact());
    }
}

#[tokio::test]
async fn a_copy_under_another_name_or_number_or_one_that_is_padded_has_nothing_removed() {
    let home = Home::new();
    plain(&home).await;
    let before = names(&home.dir());
    let (second, number) = (&before[1], before[1].rsplit_once('-').unwrap().1);
    let last = segments(&home.dir()).unwrap().pop().unwrap().first_seq;
    for planted in [format!("audit-20990102T030405Z-{number}"), format!("audit-20260102T030405Z-{}.jsonl", last - 1), "audit-x".to_owned()]
    {
        fs::copy(home.dir().join(second), home.dir().join(&planted)).unwrap();
        assert_eq!(removed_with_suspects(&home, 1).await, 0, "{planted}");
        fs::remove_file(home.dir().join(&planted)).unwrap();
        assert!(before.iter().all(|name| home.dir().join(name).exists()), "{planted}");
    }
    // The records of a compressed file stay the same whatever its header holds.
    let (records, padded) = (fs::read(home.dir().join(second)).unwrap(), home.dir().join(format!("{second}.gz")));
    let mut encoder = flate2::GzBuilder::new().filename(vec![b'x'; 1 << 15]).write(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut encoder, &records).unwrap();
    fs::write(&padded, encoder.finish().unwrap()).unwrap();
    fs::remove_file(home.dir().join(second)).unwrap();
    let len: u64 = segments(&home.dir()).unwrap().iter().map(|segment| segment.bytes).sum();
    let (log, _) = AuditLog::open(keeping(&home, len - 10_000), key(), None).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    log.close().await.unwrap();
    assert_eq!((log.usage().removed_records, log.usage().suspect_files), (0, 0));
}

#[tokio::test]
async fn at_the_quota_events_are_refused_until_there_is_room_and_before_that_it_is_told() {
    let home = Home::new();
    let retention = Retention { quota_bytes: Some(40_000), ..Retention::default() };
    let config = LogConfig { rotate_bytes: 3000, retention, ..home.config() };
    let (log, _) = AuditLog::open(config, key(), None).await.unwrap();
    let (mut taken, mut was_near) = (0, false);
    let refusal = loop {
        was_near |= log.usage().is_near_quota();
        match log.append_within_quota(&event(taken)).await {
            Ok(_) => taken += 1,
            Err(AuditError::Unwritable(reason)) => break reason,
        }
        assert!(taken < 1000, "no quota holds");
    };
    assert!(was_near, "it is told before it is refused");
    assert!(
        refusal.ends_with(
            "the log has reached its quota of 40000 bytes: \
             move ended files away (strongroom audit segments lists them), or raise audit_quota_mib"
        ),
        "{refusal}"
    );
    assert!((40_000..44_000).contains(&log.usage().bytes), "{:?}", log.usage());
    let durably = log.record_durably(event(1)).await;
    for refused in [log.record(event(1)).await, durably, log.append_within_quota(&event(1)).await.map(drop), log.health()] {
        let AuditError::Unwritable(reason) = refused.unwrap_err();
        assert_eq!(reason, refusal);
    }
    // The operator moves the oldest files away.
    let moved = home.dir().with_file_name("moved");
    fs::create_dir(&moved).unwrap();
    for name in names(&home.dir()).into_iter().take(3) {
        fs::rename(home.dir().join(&name), moved.join(&name)).unwrap();
    }
    wait_until("events are taken again", || log.health().is_ok()).await;
    fill(&log, 1000..1003).await;
    log.close().await.unwrap();
    let report = check(&[&home.dir(), &moved], Check { expected_head: Some(log.head()), ..Check::default() });
    assert_eq!((report.findings, report.events), (vec![], u64::from(taken) + 3));
}

/// A reader fills the log up; the administrator can still stop him. The reserve is bounded, and uses of keys never touch it.
#[tokio::test]
async fn at_the_quota_acts_of_administration_have_a_reserve_and_uses_of_keys_do_not() {
    let home = Home::new();
    let retention = Retention { quota_bytes: Some(40_000), ..Retention::default() };
    let config = LogConfig { retention, ..home.config() };
    let (log, _) = AuditLog::open(config.clone(), key(), None).await.unwrap();
    // More than the quota at once: what was taken in before the log was seen to be full is held, and written later.
    let mut uses = 0;
    while log.record(event(uses)).await.is_ok() {
        uses += 1;
    }
    wait_until("the log is full", || log.health().is_err() && log.usage().bytes >= 40_000).await;
    assert!((40_000..42_000).contains(&log.usage().bytes), "{:?}", log.usage());
    assert!(log.health_for_acts().is_ok());
    let large = Event { who: "x".repeat(20_000), ..event(0) };
    let mut acts = 0;
    let refusal = loop {
        match log.append(&large).await {
            Ok(head) => assert!(log.head().seq >= head.seq, "it is durable"),
            Err(AuditError::Unwritable(reason)) => break reason,
        }
        acts += 1;
        assert!(log.record(event(1)).await.is_err() && acts < 100);
    };
    assert!(refusal.contains("the log has reached its quota of 40000 bytes"), "{refusal}");
    assert!((50..=53).contains(&acts), "{acts}");
    assert!(log.health_for_acts().is_err() && log.usage().bytes < 40_000 + (1 << 20) + 30_000, "{:?}", log.usage());
    log.close().await.unwrap();
    let report = home.verify(Some(&log.head()));
    assert_eq!((report.findings, report.events), (vec![], u64::from(uses) + acts), "what was taken in is written in the end");
    // At the next start it is full from the beginning.
    let (log, _) = AuditLog::open(config, key(), Some(log.head())).await.unwrap();
    assert!(log.health().is_err() && log.record(event(1)).await.is_err());
}

#[tokio::test]
async fn at_the_quota_what_retention_may_remove_is_removed_and_events_go_on() {
    let home = Home::new();
    let retention = Retention { quota_bytes: Some(30_000), keep_bytes: Some(20_000), ..Retention::default() };
    let config = LogConfig { rotate_bytes: 3000, retention, ..home.config() };
    let (log, _) = AuditLog::open(config, key(), None).await.unwrap();
    let mut refused = 0;
    for number in 0..200 {
        // The keeper looks once a second: until then a fast writer may be refused.
        while log.append_within_quota(&event(number)).await.is_err() {
            refused += 1;
            assert!(refused < 500);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    log.close().await.unwrap();
    let report = home.verify(Some(&log.head()));
    assert_eq!(report.findings, vec![]);
    assert!(report.removed[0].last_seq > 50, "{:?}", report.removed);
}

#[tokio::test]
async fn any_damage_to_a_compressed_file_is_found() {
    let home = Home::new();
    let head = plain(&home).await;
    let (log, _) = AuditLog::open(LogConfig::new(home.dir()), key(), Some(head.clone())).await.unwrap();
    wait_until("they are compressed", || segments(&home.dir()).unwrap().iter().all(|found| found.compressed == found.ended)).await;
    drop(log);
    let path = segments(&home.dir()).unwrap()[1].path.clone();
    let whole = fs::read(&path).unwrap();
    let plain = common::plain("a.gz", whole.clone());
    // The first ten bytes say nothing of the records, but for the first four.
    for at in (0..4).chain(10..whole.len()) {
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << (at % 8);
        fs::write(&path, &damaged).unwrap();
        // A few bits at the end of the compressed stream say nothing either.
        let is_same = || common::plain("a.gz", damaged.clone()) == plain;
        assert!(!verify(&home.dir(), None, Some(&head)).unwrap().is_intact() || is_same(), "byte {at}");
    }
    for damaged in [&whole[..whole.len() - 1], &whole[..whole.len() / 2], &[&whole[..], b"x"].concat(), b""] {
        fs::write(&path, damaged).unwrap();
        assert!(!verify(&home.dir(), None, Some(&head)).unwrap().is_intact());
    }
}

#[tokio::test]
async fn what_is_no_log_is_not_intact() {
    let home = Home::new();
    fs::create_dir(home.dir()).unwrap();
    let (public_key, head) = (key().public_key(), Head { seq: 3, hash: "0".repeat(64) });
    let told = |check: Check| defects(&strongroom_audit::verify(&[&home.dir()], &check).unwrap());
    assert_eq!(told(Check::default()), [Defect::Empty]);
    assert_eq!(told(Check { public_key: Some(public_key), ..Check::default() }), [Defect::Empty]);
    assert_eq!(told(Check { expected_head: Some(head), ..Check::default() }), [Defect::Empty, Defect::Cut { expected: 3 }]);
    fs::write(home.dir().join("notes.txt"), "hello").unwrap();
    assert_eq!(told(Check::default()), [Defect::Empty]);
    fs::write(home.dir().join("audit-20260102T030405Z-1.jsonl"), "").unwrap();
    assert_eq!(told(Check::default()), [Defect::Empty]);
    let report = home.verify(None);
    assert_eq!(report.findings[0].to_string(), "there are no records: this is no audit log, or it was emptied");
    fs::write(home.dir().join("audit-old.jsonl"), "hello\n").unwrap();
    assert_eq!(told(Check::default()), [Defect::ForeignFile]);
    let AuditError::Unwritable(refusal) = verify(&home.dir().join("notes.txt"), None, None).unwrap_err();
    assert_eq!(refusal, format!("{} is a file: name the directory of the log", home.dir().join("notes.txt").display()));
}
