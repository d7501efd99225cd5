//! Compresses a closed file, so that a stop at any moment leaves its records in one form or the other, or in both.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::files::{self, LogFile};
use crate::reader::{self, MAX_PLAIN_LEN, Reader};

const BLOCK_LEN: usize = 1 << 16;

/// What has just been done; tests stop here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    PartWritten,
    Written,
    Renamed,
    Removed,
}

/// Called after each step; an error ends the work there.
pub(crate) type AfterStep<'a> = &'a dyn Fn(Step) -> io::Result<()>;

/// Replaces a plain file by a compressed one with the same records. What another attempt left is overwritten: the plain file counts
/// as long as it is there. The plain one goes only after the compressed one was read back.
pub(crate) fn compress(file: &LogFile, after: AfterStep<'_>) -> io::Result<()> {
    let (partial, target) = (file.partial(), file.other_form());
    let source = files::open_regular(&file.path)?;
    if source.metadata()?.len() > MAX_PLAIN_LEN {
        return Err(io::Error::new(ErrorKind::FileTooLarge, "it is too long to be compressed"));
    }
    remove_if_there(&partial)?;
    write(source, &partial, after)?;
    check(file, &partial)?;
    after(Step::Written)?;
    let dir = file.path.parent().unwrap_or(Path::new("."));
    fs::rename(&partial, target)?;
    strongroom_files::sync_dir(dir)?;
    after(Step::Renamed)?;
    fs::remove_file(&file.path)?;
    strongroom_files::sync_dir(dir)?;
    after(Step::Removed)
}

fn write(mut source: File, partial: &Path, after: AfterStep<'_>) -> io::Result<()> {
    let out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(partial)?;
    let mut encoder = GzEncoder::new(out, Compression::default());
    let mut block = vec![0; BLOCK_LEN];
    loop {
        let len = source.read(&mut block)?;
        if len == 0 {
            break;
        }
        encoder.write_all(&block[..len])?;
        after(Step::PartWritten)?;
    }
    encoder.finish()?.sync_all()
}

/// Reads the compressed file back.
fn check(file: &LogFile, partial: &Path) -> io::Result<()> {
    let made = reader::content(Reader::new(files::open_regular(partial)?, true))?;
    let meant = reader::content(Reader::new(files::open_regular(&file.path)?, false))?;
    if made == meant { Ok(()) } else { Err(io::Error::other("the compressed file does not hold what was compressed")) }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::cell::Cell;
    use std::path::PathBuf;

    use super::*;
    use crate::{AuditLog, AuditSink, Check, Event, Head, LogConfig, SigningKey, verify};

    fn key() -> SigningKey {
        SigningKey::from_seed(zeroize::Zeroizing::new([9; 32])).unwrap()
    }

    /// An ended log of several files, as the last version left it, and its head.
    fn ended() -> (tempfile::TempDir, Head) {
        let dir = tempfile::tempdir().unwrap();
        let config = LogConfig { rotate_bytes: 100_000, compress: false, ..LogConfig::new(dir.path()) };
        let head = tokio::runtime::Runtime::new().unwrap().block_on(async {
            let (log, _) = AuditLog::open(config, key(), None).await.unwrap();
            for number in 0..700_u32 {
                let event = Event {
                    request_id: number.to_string(),
                    who: format!("{:08x}", number.wrapping_mul(2_654_435_761)),
                    ..Event::default()
                };
                log.record(event).await.unwrap();
                if number % 100 == 99 {
                    log.record_durably(Event::default()).await.unwrap();
                }
            }
            log.close().await.unwrap();
            log.head()
        });
        (dir, head)
    }

    fn is_intact(dir: &Path, head: &Head) {
        let check = Check { public_key: Some(key().public_key()), expected_head: Some(head.clone()), ..Check::default() };
        assert_eq!(verify(&[dir], &check).unwrap().findings, vec![]);
    }

    fn names(dir: &Path, ending: &str) -> Vec<PathBuf> {
        let paths = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
        paths.filter(|path| path.to_string_lossy().ends_with(ending)).collect()
    }

    /// The machine stops after each step of the compression of a file. Whatever is left verifies, opens, and is finished at the next
    /// start, with every record.
    #[test]
    fn a_stop_at_any_step_of_a_compression_loses_nothing_and_the_next_one_finishes_it() {
        for (step, skipped) in [(Step::PartWritten, 0), (Step::PartWritten, 1), (Step::Written, 0), (Step::Renamed, 0), (Step::Removed, 0)]
        {
            let (dir, head) = ended();
            let files = files::list(dir.path()).unwrap().files;
            let plain = fs::read(&files[0].path).unwrap();
            let seen = Cell::new(0);
            let stop = |done: Step| {
                let is_due = done == step && seen.replace(seen.get() + 1) == skipped;
                if is_due { Err(io::Error::other("stopped")) } else { Ok(()) }
            };
            assert_eq!(compress(&files[0], &stop).unwrap_err().to_string(), "stopped");
            assert_eq!(files[0].path.exists(), step != Step::Removed, "{step:?}");
            assert_eq!(files[0].other_form().exists(), matches!(step, Step::Renamed | Step::Removed), "{step:?}");
            is_intact(dir.path(), &head);
            if step != Step::Removed {
                compress(&files[0], &|_| Ok(())).unwrap();
            }
            assert!(!files[0].path.exists() && names(dir.path(), ".partial").is_empty());
            let compressed = files::list(dir.path()).unwrap().files.remove(0);
            let (digest, len) = reader::content(Reader::open(&compressed).unwrap()).unwrap();
            assert_eq!(len, plain.len() as u64);
            assert_eq!(digest, aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &plain).as_ref());
            is_intact(dir.path(), &head);
        }
    }

    /// The same with a server that is started after the stop.
    #[test]
    fn a_log_that_stopped_within_a_compression_is_taken_up_and_finished() {
        for step in [Step::PartWritten, Step::Written, Step::Renamed] {
            let (dir, head) = ended();
            let files = files::list(dir.path()).unwrap().files;
            for file in &files {
                let stop = |done| if done == step { Err(io::Error::other("stopped")) } else { Ok(()) };
                compress(file, &stop).unwrap_err();
            }
            tokio::runtime::Runtime::new().unwrap().block_on(async {
                let (log, report) = AuditLog::open(LogConfig::new(dir.path()), key(), Some(head.clone())).await.unwrap();
                assert_eq!(report.findings, vec![], "{step:?}");
                log.record_durably(Event::default()).await.unwrap();
                let deadline = std::time::Instant::now() + std::time::Duration::from_mins(1);
                while names(dir.path(), ".jsonl").len() > 1 || !names(dir.path(), ".partial").is_empty() {
                    assert!(std::time::Instant::now() < deadline, "{step:?}");
                    tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                }
                log.close().await.unwrap();
            });
            is_intact(dir.path(), &head);
        }
    }

    #[test]
    fn a_compressed_file_is_private_and_much_shorter() {
        use std::os::unix::fs::MetadataExt;
        let (dir, _) = ended();
        let file = files::list(dir.path()).unwrap().files.remove(0);
        let plain = file.path.metadata().unwrap().len();
        compress(&file, &|_| Ok(())).unwrap();
        let made = file.other_form().metadata().unwrap();
        assert_eq!(made.mode() & 0o777, 0o600);
        assert!(made.len() * 2 < plain, "{} of {plain}", made.len());
    }

    #[test]
    fn a_file_that_expands_without_end_is_refused_before_it_does() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit-20260102T030405Z-1.jsonl.gz");
        let mut encoder = GzEncoder::new(File::create(&path).unwrap(), Compression::fast());
        let block = vec![b'x'; 1 << 20];
        for _ in 0..=MAX_PLAIN_LEN >> 20 {
            encoder.write_all(&block).unwrap();
        }
        encoder.finish().unwrap();
        let file = files::list(dir.path()).unwrap().files.remove(0);
        let error = reader::content(Reader::open(&file).unwrap()).unwrap_err();
        assert_eq!(error.to_string(), "it expands to more than any file of the log");
    }
}
