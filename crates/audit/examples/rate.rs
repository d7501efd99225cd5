//! Measures what a record costs: `cargo run --release -p strongroom-audit --example rate -- DIRECTORY [RECORDS] [TASKS]`.
#![allow(clippy::unwrap_used, clippy::cast_precision_loss)]

use std::fs;
use std::sync::Arc;
use std::time::Instant;

use strongroom_audit::{AuditLog, AuditSink, Check, Event, LogConfig, SigningKey, verify};
use zeroize::Zeroizing;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments.next().expect("a directory");
    let records: u32 = arguments.next().map_or(1_000_000, |text| text.parse().unwrap());
    let tasks: u32 = arguments.next().map_or(16, |text| text.parse().unwrap());
    let key = SigningKey::from_seed(Zeroizing::new([7; 32])).unwrap();
    let (log, _) = AuditLog::open(LogConfig::new(&dir), key.clone(), None).await.unwrap();
    let log = Arc::new(log);

    let (begun, cpu) = (Instant::now(), cpu_seconds());
    let work = (0..tasks).map(|task| {
        let log = log.clone();
        tokio::spawn(async move {
            for number in 0..records / tasks {
                log.record(event(task, number)).await.unwrap();
            }
        })
    });
    for task in work.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    log.close().await.unwrap();
    let (wall, cpu) = (begun.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    println!("record: {:.0} records/s, {:.2} us of CPU each", f64::from(records) / wall, cpu / f64::from(records) * 1e6);

    let begun = Instant::now();
    let check = Check { public_key: Some(key.public_key()), expected_head: Some(log.head()), ..Check::default() };
    let report = verify(&[dir.as_ref()], &check).unwrap();
    assert!(report.is_intact());
    println!(
        "verify: {:.0} records/s, {} checkpoints, {} files",
        report.records as f64 / begun.elapsed().as_secs_f64(),
        report.checkpoints,
        report.files
    );

    let (log, _) = AuditLog::open(LogConfig::new(&dir), key, None).await.unwrap();
    let begun = Instant::now();
    for number in 0..200 {
        log.record_durably(event(0, number)).await.unwrap();
    }
    println!("record_durably, one after the other: {:.2} ms each", begun.elapsed().as_secs_f64() / 200.0 * 1e3);
}

fn event(task: u32, number: u32) -> Event {
    Event {
        request_id: format!("{task:08X}{number:08X}"),
        who: "alice".to_owned(),
        operation: "GetObject".to_owned(),
        bucket: "photos".to_owned(),
        key: format!("2026/07/holiday/IMG_{number:06}.jpg"),
        version: "3fbc1b2e".to_owned(),
        mode: "SSE-KMS".to_owned(),
        backend: "local".to_owned(),
        key_id: "strongroom-default".to_owned(),
        key_version: 1,
        ..Event::default()
    }
}

/// User and system time of this process, from the kernel's clock of 10 ms.
fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}
