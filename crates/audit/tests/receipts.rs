//! Erasure receipts, and the operator's own check of a log: what `docs/audit.md` says runs as it stands there.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use common::{Home, event, files, key};
use strongroom_audit::{
    AuditLog, AuditSink, LogConfig, PublicKey, Receipt, ReceiptError, Retention, Segment, SignedReceipt, SigningKey, segments,
    sign_receipt, verify_receipt,
};
use zeroize::Zeroizing;

const DOCS: &str = include_str!("../../../docs/audit.md");

fn receipt() -> Receipt {
    Receipt {
        audit_seq: 1042,
        backend: "vault".to_owned(),
        buckets: vec!["photos".to_owned(), "fäden".to_owned()],
        bytes: 1 << 60,
        erased_at: "2026-01-02T03:04:05Z".to_owned(),
        key_id: "customer-7".to_owned(),
        locked_versions: Some(3),
        objects: 12,
        request_id: "r-\"1\"".to_owned(),
        requested_by: "alice".to_owned(),
    }
}

/// The program in the docs that begins with this line.
fn program(first_line: &str) -> &'static str {
    let (_, rest) = DOCS.split_once(&format!("```python\n{first_line}\n")).expect("docs/audit.md has the program");
    rest.split_once("```").unwrap().0
}

fn python(program: &str, arguments: &[&str]) -> Output {
    Command::new("python3").args(["-c", program]).args(arguments).output().expect("python3 is installed")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_receipt_counts_for_its_own_key_and_content() {
    let signed = sign_receipt(&key(), receipt());
    verify_receipt(&signed, &key().public_key()).unwrap();
    let json = serde_json::to_string(&signed).unwrap();
    let back: SignedReceipt = serde_json::from_str(&json).unwrap();
    assert_eq!(back, signed);
    for member in ["audit_seq", "bytes", "locked_versions", "objects"] {
        let value = serde_json::to_value(&signed).unwrap()["receipt"][member].to_string();
        let altered: SignedReceipt =
            serde_json::from_str(&json.replace(&format!("\"{member}\":{value}"), &format!("\"{member}\":7"))).unwrap();
        assert_eq!(verify_receipt(&altered, &key().public_key()), Err(ReceiptError::BadSignature), "{member}");
    }
    for text in ["vault", "photos", "03:04", "customer-7", "r-", "alice"] {
        let altered: SignedReceipt = serde_json::from_str(&json.replace(text, "x")).unwrap();
        assert_eq!(verify_receipt(&altered, &key().public_key()), Err(ReceiptError::BadSignature), "{text}");
    }
    let other = SigningKey::from_seed(Zeroizing::new([1; 32])).unwrap().public_key();
    assert_eq!(verify_receipt(&signed, &other), Err(ReceiptError::OtherKey));
    let claimed = SignedReceipt { public_key: other.to_hex(), ..signed };
    assert_eq!(verify_receipt(&claimed, &other), Err(ReceiptError::BadSignature));
}

/// Python made the golden files with the key of these tests, as `docs/audit.md` describes receipts.
#[test]
fn receipts_of_before_locks_were_counted_still_count_and_new_ones_are_the_same_to_the_byte() {
    let of_before = Receipt { locked_versions: None, ..receipt() };
    for (golden, expected) in
        [(include_str!("golden/receipt-without-locks.json"), of_before), (include_str!("golden/receipt-with-locks.json"), receipt())]
    {
        let kept: SignedReceipt = serde_json::from_str(golden).unwrap();
        verify_receipt(&kept, &key().public_key()).unwrap();
        assert_eq!(kept, sign_receipt(&key(), expected));
        assert_eq!(serde_json::to_value(&kept).unwrap(), serde_json::from_str::<serde_json::Value>(golden).unwrap());
    }
    let added: SignedReceipt = serde_json::from_str(
        &include_str!("golden/receipt-without-locks.json").replace("\"objects\": 12", "\"locked_versions\": 0, \"objects\": 12"),
    )
    .unwrap();
    assert_eq!(verify_receipt(&added, &key().public_key()), Err(ReceiptError::BadSignature), "a number that nobody signed");
}

#[test]
fn the_receipt_check_in_the_docs_says_the_same() {
    let home = Home::new();
    fs::create_dir(home.dir()).unwrap();
    let path = home.dir().join("receipt.json");
    let check = |signed: &SignedReceipt, key: PublicKey| {
        fs::write(&path, serde_json::to_string_pretty(signed).unwrap()).unwrap();
        python(program("# receipt.py"), &[path.to_str().unwrap(), &key.to_hex()])
    };
    let signed = sign_receipt(&key(), receipt());
    let good = check(&signed, key().public_key());
    assert!(good.status.success(), "{}", text(&good.stderr));
    let of_before = sign_receipt(&key(), Receipt { locked_versions: None, ..receipt() });
    assert!(check(&of_before, key().public_key()).status.success());
    let altered = SignedReceipt { receipt: Receipt { objects: 13, ..receipt() }, ..signed };
    assert!(!check(&altered, key().public_key()).status.success());
}

#[tokio::test]
async fn the_log_check_in_the_docs_says_the_same() {
    let home = Home::new();
    for round in 0..3 {
        let log = home.open_clean().await;
        for number in 0..50 {
            log.record(event(round * 100 + number)).await.unwrap();
        }
        log.close().await.unwrap();
    }
    let report = home.verify(None);
    let dir = home.dir().to_str().unwrap().to_owned();
    let check = |head: &str| python(program("# verify.py"), &[&dir, &key().public_key().to_hex(), head]);
    let head = format!("{}:{}", report.head.seq, report.head.hash);
    let good = check(&head);
    assert_eq!((text(&good.stdout), text(&good.stderr)), (format!("intact: {} records up to {head}\n", report.records), String::new()));
    assert!(!check(&format!("{}:{}", report.head.seq + 1, report.head.hash)).status.success());

    let (name, bytes) = files(&home.dir()).remove(0);
    let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    let (path, mut altered) = (home.dir().join(name), lines.clone());
    altered.remove(20);
    let changed = text(&bytes).replacen("alice", "mallo", 1).into_bytes();
    for tampered in [altered.concat(), changed, lines[..60].concat(), bytes[..bytes.len() - 1].to_vec()] {
        fs::write(&path, tampered).unwrap();
        let bad = check(&head);
        assert!(!bad.status.success() && text(&bad.stdout).is_empty(), "{}", text(&bad.stdout));
    }
}

#[tokio::test]
async fn the_log_check_in_the_docs_reads_compressed_files_and_knows_what_retention_removed() {
    let home = Home::new();
    let retention = Retention { keep_bytes: Some(4000), ..Retention::default() };
    let deadline = Instant::now() + Duration::from_mins(1);
    let mut number = 0;
    let is_ready = || segments(&home.dir()).unwrap().iter().any(|segment| segment.compressed);
    let kept = tempfile::tempdir().unwrap();
    let of_kept = |segment: &Segment| kept.path().join(segment.path.file_name().unwrap());
    // What was compressed may be removed before the log is closed: then once more.
    let mut has_removed = false;
    while !has_removed || !is_ready() {
        let config = LogConfig { rotate_bytes: 3000, retention, ..LogConfig::new(home.dir()) };
        let (log, _) = AuditLog::open(config, key(), None).await.unwrap();
        while !has_removed || !is_ready() {
            assert!(Instant::now() < deadline);
            for segment in segments(&home.dir()).unwrap().iter().filter(|segment| !segment.compressed && !of_kept(segment).exists()) {
                drop(fs::hard_link(&segment.path, of_kept(segment))); // it may be compressed by now
            }
            log.record_durably(event(number)).await.unwrap();
            number += 1;
            tokio::time::sleep(Duration::from_millis(5)).await;
            has_removed |= log.usage().removed_records > 0;
        }
        log.close().await.unwrap();
    }
    let report = home.verify(None);
    assert!(report.findings.is_empty() && report.first_seq > Some(1), "{report:?}");
    let dir = home.dir().to_str().unwrap().to_owned();
    let check = || python(program("# verify.py"), &[&dir, &key().public_key().to_hex()]);
    let good = check();
    let head = format!("{}:{}", report.head.seq, report.head.hash);
    let said = |records: u64| (format!("intact: {records} records up to {head}\n"), String::new());
    assert_eq!((text(&good.stdout), text(&good.stderr)), said(report.records));

    // A stop within a compression leaves a file in both forms.
    let put_back = |segment: &Segment| fs::copy(of_kept(segment), home.dir().join(of_kept(segment).file_name().unwrap())).unwrap();
    let compressed = segments(&home.dir()).unwrap().into_iter().find(|segment| segment.compressed).unwrap();
    let plain = Segment { path: compressed.path.with_extension(""), ..compressed };
    put_back(&plain);
    let twice = check();
    assert_eq!((text(&twice.stdout), text(&twice.stderr)), said(report.records));
    // A stop within a removal leaves a file whose removal is on record.
    let removed = segments(kept.path()).unwrap().into_iter().rfind(|segment| Some(segment.first_seq) < report.first_seq).unwrap();
    put_back(&removed);
    let unfinished = check();
    let more = report.first_seq.unwrap() - removed.first_seq;
    assert_eq!((text(&unfinished.stdout), text(&unfinished.stderr)), said(report.records + more));
    assert!(home.verify(None).is_intact());
    fs::remove_file(home.dir().join(of_kept(&removed).file_name().unwrap())).unwrap();

    let first = segments(&home.dir()).unwrap().remove(0);
    drop(fs::remove_file(&first.path));
    drop(fs::remove_file(first.path.with_extension("jsonl.gz")));
    let bad = check();
    assert!(!bad.status.success() && text(&bad.stderr).contains("the beginning is missing"), "{}", text(&bad.stderr));
}

/// Someone with the disk makes the chain anew; the Python of the docs sees it by the signature alone.
#[tokio::test]
async fn the_log_check_in_the_docs_checks_signatures() {
    let home = Home::new();
    let log = home.open_clean().await;
    log.record_durably(event(1)).await.unwrap();
    log.close().await.unwrap();
    let (name, bytes) = files(&home.dir()).remove(0);
    let mut lines: Vec<String> = text(&bytes).replace("alice", "mallory").lines().map(str::to_owned).collect();
    common::rechain(&mut lines, 2);
    fs::write(home.dir().join(name), lines.join("\n") + "\n").unwrap();
    let dir = home.dir().to_str().unwrap().to_owned();
    let bad = python(program("# verify.py"), &[&dir, &key().public_key().to_hex()]);
    assert!(!bad.status.success() && text(&bad.stderr).contains("InvalidSignature"), "{}", text(&bad.stderr));
}

#[test]
fn openssl_reads_the_public_key() {
    let home = Home::new();
    fs::create_dir(home.dir()).unwrap();
    let path = home.dir().join("audit.pem");
    fs::write(&path, key().public_key().to_pem()).unwrap();
    let said =
        Command::new("openssl").args(["pkey", "-pubin", "-noout", "-text", "-in"]).arg(&path).output().expect("openssl is installed");
    let said: String = text(&said.stdout).split_whitespace().collect();
    let hex: Vec<String> = key().public_key().to_hex().as_bytes().chunks(2).map(text).collect();
    assert!(said.contains("ED25519Public-Key") && said.contains(&hex.join(":")), "{said}");
}
