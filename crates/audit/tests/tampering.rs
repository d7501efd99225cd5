//! Whatever is done to a log, verification finds it; and what it cannot find without a key or a head.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::OnceLock;

use common::{Home, event, files, key, rechain, verify, write_files};
use proptest::prelude::*;
use proptest::sample::Index;
use strongroom_audit::{AuditLog, AuditSink, Defect, Head, LogConfig, Report};
use tempfile::TempDir;

type Files = Vec<(String, Vec<u8>)>;

/// A log of several files with checkpoints in between, and its head.
fn sample() -> &'static (Files, Head) {
    static SAMPLE: OnceLock<(Files, Head)> = OnceLock::new();
    SAMPLE.get_or_init(|| make(40, 5000))
}

fn make(events: u32, rotate_bytes: u64) -> (Files, Head) {
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let home = Home::new();
        let config = LogConfig { rotate_bytes, checkpoint_records: 6, ..home.config() };
        let (log, _) = AuditLog::open(config, key(), None).await.unwrap();
        for number in 0..events {
            log.record_durably(event(number)).await.unwrap();
        }
        log.close().await.unwrap();
        (files(&home.dir()), log.head())
    })
}

fn check(files: &Files, with_key: bool, head: Option<&Head>) -> Report {
    let dir = TempDir::new().unwrap();
    write_files(dir.path(), files);
    verify(dir.path(), with_key.then(|| key().public_key()).as_ref(), head).unwrap()
}

fn lines(files: &Files) -> Vec<(usize, String)> {
    let of = |(at, (_, bytes)): (usize, &(String, Vec<u8>))| {
        let text = String::from_utf8(bytes.clone()).unwrap();
        text.split_terminator('\n').map(|line| (at, line.to_owned())).collect::<Vec<_>>()
    };
    files.iter().enumerate().flat_map(of).collect()
}

/// The files with these lines.
fn with_lines(files: &Files, lines: &[(usize, String)]) -> Files {
    let text = |at: usize| lines.iter().filter(|line| line.0 == at).fold(String::new(), |text, line| text + &line.1 + "\n");
    files.iter().enumerate().map(|(at, (name, _))| (name.clone(), text(at).into_bytes())).collect()
}

/// Line, record and defect of each finding.
fn found(report: &Report) -> Vec<(u64, Option<u64>, Defect)> {
    report.findings.iter().map(|finding| (finding.line, finding.seq, finding.defect.clone())).collect()
}

#[test]
fn an_untouched_log_is_intact() {
    let (files, head) = sample();
    let report = check(files, true, Some(head));
    assert_eq!((found(&report), report.exit_code()), (vec![], 0));
    assert_eq!((report.events, report.head == *head, report.signatures_checked), (40, true, true));
    assert!(report.files >= 4 && report.checkpoints >= 8, "{report:?}");
}

#[derive(Clone, Debug)]
enum Tampering {
    ChangeByte(Index, Index, u8),
    InsertByte(Index, Index, u8),
    RemoveByte(Index, Index),
    RemoveLine(Index),
    SwapLines(Index, Index),
    RepeatLine(Index, Index),
    ForeignLine(Index, String),
    CutEnd(Index),
    RemoveFile(Index),
}

fn tampering() -> impl Strategy<Value = Tampering> {
    let index = any::<Index>;
    prop_oneof![
        4 => (index(), index(), 1_u8..).prop_map(|(file, at, bits)| Tampering::ChangeByte(file, at, bits)),
        2 => (index(), index(), any::<u8>()).prop_map(|(file, at, byte)| Tampering::InsertByte(file, at, byte)),
        2 => (index(), index()).prop_map(|(file, at)| Tampering::RemoveByte(file, at)),
        2 => index().prop_map(Tampering::RemoveLine),
        2 => (index(), index()).prop_map(|(a, b)| Tampering::SwapLines(a, b)),
        2 => (index(), index()).prop_map(|(line, to)| Tampering::RepeatLine(line, to)),
        1 => (index(), "[^\n]{0,200}").prop_map(|(at, text)| Tampering::ForeignLine(at, text)),
        2 => index().prop_map(Tampering::CutEnd),
        1 => index().prop_map(Tampering::RemoveFile),
    ]
}

/// The tampered log, unless nothing came of it.
fn apply(files: &Files, tampering: &Tampering) -> Option<Files> {
    let (mut tampered, mut lines) = (files.clone(), lines(files));
    let count = lines.len();
    match tampering {
        Tampering::ChangeByte(file, at, bits) => {
            let bytes = &mut tampered[file.index(files.len())].1;
            let at = at.index(bytes.len());
            bytes[at] ^= bits;
            return Some(tampered);
        }
        Tampering::InsertByte(file, at, byte) => {
            let bytes = &mut tampered[file.index(files.len())].1;
            bytes.insert(at.index(bytes.len() + 1), *byte);
            return Some(tampered);
        }
        Tampering::RemoveByte(file, at) => {
            let bytes = &mut tampered[file.index(files.len())].1;
            bytes.remove(at.index(bytes.len()));
            return Some(tampered);
        }
        Tampering::CutEnd(at) => {
            let all: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
            let mut left = at.index(all);
            tampered.retain_mut(|(_, bytes)| {
                bytes.truncate(left);
                left -= bytes.len();
                !bytes.is_empty()
            });
            return Some(tampered);
        }
        Tampering::RemoveFile(file) => {
            tampered.remove(file.index(files.len()));
            return Some(tampered);
        }
        Tampering::RemoveLine(line) => drop(lines.remove(line.index(count))),
        Tampering::SwapLines(a, b) => {
            let (a, b) = (a.index(count), b.index(count));
            let text = std::mem::take(&mut lines[a].1);
            let other = std::mem::replace(&mut lines[b].1, text);
            if a == b {
                return None;
            }
            lines[a].1 = other;
        }
        Tampering::RepeatLine(line, to) => {
            let text = lines[line.index(count)].1.clone();
            let to = to.index(count);
            lines.insert(to, (lines[to].0, text));
        }
        Tampering::ForeignLine(at, text) => {
            let at = at.index(count);
            lines.insert(at, (lines[at].0, text.clone()));
        }
    }
    Some(with_lines(files, &lines))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn any_tampering_is_found_with_the_head_alone(tampering in tampering()) {
        let (files, head) = sample();
        if let Some(tampered) = apply(files, &tampering) {
            let report = check(&tampered, false, Some(head));
            prop_assert!(!report.is_intact() && report.exit_code() == 1, "{tampering:?}");
            prop_assert!(report.findings_total == report.findings.len() as u64 && report.findings.len() < 60, "{tampering:?}");
        }
    }
}

#[test]
fn every_single_byte_of_a_log_counts() {
    let (files, head) = make(4, 1 << 20);
    let dir = TempDir::new().unwrap();
    let (name, bytes) = &files[0];
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 7);
        std::fs::write(dir.path().join(name), &changed).unwrap();
        assert!(!verify(dir.path(), None, Some(&head)).unwrap().is_intact(), "byte {at}");
    }
}

#[test]
fn a_finding_names_file_line_and_record() {
    let (files, head) = sample();
    let all = lines(files);
    let of_second = all.iter().filter(|line| line.0 == 0).count() as u64;
    let at = all.iter().position(|line| line.0 == 1).unwrap() + 2;
    let seq = of_second + 3;

    let mut changed = all.clone();
    changed[at].1 = changed[at].1.replace("alice", "mallo");
    let report = check(&with_lines(files, &changed), true, Some(head));
    assert_eq!(report.findings.len(), 1);
    assert_eq!(report.findings[0].to_string(), format!("{}:3: record {seq}: it was changed", files[1].0));

    let mut removed = all.clone();
    removed.remove(at);
    let report = check(&with_lines(files, &removed), true, Some(head));
    assert_eq!(found(&report), [(3, Some(seq + 1), Defect::Gap { from: seq, to: seq })]);

    let mut repeated = all.clone();
    repeated.insert(at, all[at].clone());
    let report = check(&with_lines(files, &repeated), true, Some(head));
    assert_eq!(found(&report), [(4, Some(seq), Defect::Repeated)]);

    let mut swapped = all.clone();
    swapped.swap(at, at + 1);
    let report = check(&with_lines(files, &swapped), true, Some(head));
    let expected = [(3, Some(seq + 1), Defect::Gap { from: seq, to: seq }), (4, Some(seq), Defect::OutOfOrder { expected: seq + 2 })];
    assert_eq!(found(&report), expected);

    let mut foreign = all.clone();
    foreign.insert(at, (1, "hello".to_owned()));
    let report = check(&with_lines(files, &foreign), true, Some(head));
    assert_eq!(found(&report), [(3, Some(seq), Defect::NotARecord)]);

    let mut endless = all.clone();
    endless.insert(at, (1, "x".repeat(1 << 20)));
    let report = check(&with_lines(files, &endless), true, Some(head));
    assert_eq!(found(&report), [(3, Some(seq), Defect::NotARecord)]);

    let first_line_gone = with_lines(files, &all[1..]);
    let expected = [(1, Some(2), Defect::Misnamed), (0, Some(2), Defect::BeginningMissing { to: 1 })];
    assert_eq!(found(&check(&first_line_gone, true, Some(head))), expected);

    let mut renamed = files.clone();
    renamed[0].0 = "audit-old.jsonl".to_owned();
    let report = check(&renamed, true, Some(head));
    let missing = (0, Some(of_second + 1), Defect::BeginningMissing { to: of_second });
    assert_eq!(found(&report), [(0, None, Defect::ForeignFile), missing]);
}

#[test]
fn a_cut_at_a_checkpoint_shows_with_the_head_only() {
    let (files, head) = sample();
    let cut: Files = files[..files.len() - 1].to_vec();
    assert!(check(&cut, true, None).is_intact(), "files end in signed checkpoints, so nothing else tells");
    let report = check(&cut, true, Some(head));
    assert!(matches!(report.findings[..], [ref finding] if finding.defect == Defect::Cut { expected: head.seq }));
}

/// Someone who can write the files changes a record and gives all that follow the right hashes.
#[test]
fn a_chain_made_anew_is_found_with_the_public_key_or_the_head() {
    let (files, head) = sample();
    let all = lines(files);
    let mut texts: Vec<String> = all.iter().map(|line| line.1.clone()).collect();
    texts[5] = texts[5].replace("alice", "mallory");
    rechain(&mut texts, 5);
    let anew: Vec<(usize, String)> = all.iter().zip(texts).map(|(line, text)| (line.0, text)).collect();
    let anew = with_lines(files, &anew);
    assert!(check(&anew, false, None).is_intact(), "the chain alone needs no secret");

    let signed = check(&anew, true, None);
    assert!(!signed.findings.is_empty());
    assert!(signed.findings.iter().all(|finding| finding.defect == Defect::BadSignature), "{:?}", signed.findings);
    let first_checkpoint_after = all.iter().skip(6).position(|line| line.1.contains("\"checkpoint\"")).unwrap() as u64 + 7;
    assert_eq!(signed.findings[0].seq, Some(first_checkpoint_after));

    let anchored = check(&anew, false, Some(head));
    assert_eq!(anchored.findings.len(), 1);
    assert_eq!((anchored.findings[0].seq, &anchored.findings[0].defect), (Some(head.seq), &Defect::Rewritten));
}

/// As above, and every checkpoint is left out, so that none is wrong.
#[test]
fn a_log_without_any_checkpoint_of_the_key_is_found() {
    let (files, _) = make(10, 1 << 20);
    let mut texts: Vec<String> = lines(&files).into_iter().map(|line| line.1).filter(|line| !line.contains("\"checkpoint\"")).collect();
    for (at, text) in texts.iter_mut().enumerate() {
        let comma = text.find(',').unwrap();
        *text = format!("{{\"seq\":{}{}", at + 1, &text[comma..]);
    }
    rechain(&mut texts, 0);
    let anew = vec![(files[0].0.clone(), (texts.join("\n") + "\n").into_bytes())];
    assert!(check(&anew, false, None).is_intact());
    let report = check(&anew, true, None);
    assert_eq!(report.findings.len(), 1);
    assert_eq!(report.findings[0].defect, Defect::NeverSigned);
}

/// A signed beginning, and after it more records than a writer ever leaves unsigned.
#[test]
fn a_long_unsigned_end_is_found() {
    let (files, _) = make(1, 1 << 20);
    let mut texts: Vec<String> = lines(&files).into_iter().map(|line| line.1).collect();
    let signed = texts.len();
    for seq in signed + 1..signed + 10_002 {
        texts.push(format!("{{\"seq\":{seq},\"time\":\"2026-01-01T00:00:00.000Z\",\"operation\":\"None\",\"prev\":\"\",\"hash\":\"\"}}"));
    }
    rechain(&mut texts, signed);
    let forged = vec![(files[0].0.clone(), (texts.join("\n") + "\n").into_bytes())];
    let report = check(&forged, true, None);
    assert_eq!(report.findings.len(), 1, "{:?}", report.findings);
    assert_eq!(report.findings[0].defect, Defect::Unsigned);
    assert_eq!(report.unsigned, 10_001);
}

#[test]
fn findings_are_counted_beyond_those_that_are_kept() {
    let junk = vec![("audit-20260101T000000Z-1.jsonl".to_owned(), b"x\n".repeat(1500))];
    let report = check(&junk, false, None);
    assert_eq!((report.findings.len(), report.findings_total), (1000, 1500));
}

#[test]
fn a_fifo_in_the_place_of_a_log_file_is_found_at_once() {
    let dir = TempDir::new().unwrap();
    let (first, rest) = sample().0.split_first().unwrap();
    write_files(dir.path(), rest);
    assert!(std::process::Command::new("mkfifo").arg(dir.path().join(&first.0)).status().unwrap().success());
    let (answer, answered) = std::sync::mpsc::channel();
    let path = dir.path().to_owned();
    std::thread::spawn(move || answer.send(verify(&path, None, None).unwrap().findings).unwrap());
    let verified = answered.recv_timeout(std::time::Duration::from_secs(10)).expect("it hangs");
    assert_eq!(verified[0].defect, Defect::ForeignFile);
}
