//! A token that an agent keeps in a file.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use strongroom_files::{Links, read_rest, text_of};
use strongroom_kms::{KmsError, Secret};

/// Longest token or JWT in bytes.
const MAX_LEN: u64 = 64 << 10;

/// Which state of a file was read: another inode, length or time of change is another state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    inode: u64,
    len: u64,
    changed: (i64, i64),
}

/// The state of the file now, none if it is not there.
pub(super) async fn stamp(path: &Path) -> Option<Stamp> {
    let path = path.to_owned();
    tokio::task::spawn_blocking(move || Stamp::of(&fs::metadata(path).ok()?)).await.ok()?
}

/// The one line in the file, with the state it was read from.
pub(super) async fn read(path: &Path) -> Result<(Secret, Stamp), KmsError> {
    let path = path.to_owned();
    let read = tokio::task::spawn_blocking(move || read_now(&path));
    read.await.map_err(|_| KmsError::Broken("reading a token file was interrupted".to_owned()))?
}

fn read_now(path: &Path) -> Result<(Secret, Stamp), KmsError> {
    // Who configures over HTTP must not learn from the answer what lies there.
    let wrong = |reason: &dyn std::fmt::Display| {
        tracing::warn!(file = %path.display(), %reason, "a token file cannot be used");
        KmsError::Unavailable(format!("the token file {} cannot be used; the server's log says why", path.display()))
    };
    // Kubernetes mounts tokens as links.
    let file = strongroom_files::open(path, Links::Follow).map_err(|error| wrong(&error))?;
    let stamp = file.metadata().ok().as_ref().and_then(Stamp::of).ok_or_else(|| wrong(&"it is no regular file"))?;
    let text = read_rest(&file, MAX_LEN).and_then(text_of).map_err(|error| wrong(&error))?;
    let line = text.trim();
    if line.is_empty() || line.contains(char::is_control) {
        return Err(wrong(&"holds no single line of text"));
    }
    Ok((Secret::new(line), stamp))
}

impl Stamp {
    fn of(metadata: &fs::Metadata) -> Option<Self> {
        let changed = (metadata.ctime(), metadata.ctime_nsec());
        metadata.is_file().then(|| Self { inode: metadata.ino(), len: metadata.len(), changed })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    use super::*;

    fn read_in_time(path: PathBuf) -> Result<Secret, KmsError> {
        let (answer, answered) = std::sync::mpsc::channel();
        std::thread::spawn(move || answer.send(read_now(&path).map(|(token, _)| token)));
        answered.recv_timeout(std::time::Duration::from_secs(10)).expect("it hangs")
    }

    #[test]
    fn a_token_that_is_mounted_as_a_link_is_read() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("..data")).unwrap();
        fs::write(dir.path().join("..data/token"), "hvs.token\n").unwrap();
        symlink("..data/token", dir.path().join("token")).unwrap();
        assert_eq!(read_in_time(dir.path().join("token")).unwrap().expose(), "hvs.token");
    }

    #[test]
    fn what_is_no_file_or_too_long_is_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let (pipe, long) = (dir.path().join("pipe"), dir.path().join("long"));
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        fs::write(&long, "x".repeat(usize::try_from(MAX_LEN).unwrap() + 1)).unwrap();
        for path in [pipe, "/dev/zero".into(), dir.path().to_owned(), long, dir.path().join("missing")] {
            let name = path.display().to_string();
            match read_in_time(path) {
                Err(KmsError::Unavailable(text)) => {
                    assert_eq!(text, format!("the token file {name} cannot be used; the server's log says why"));
                }
                other => panic!("{name}: {:?}", other.map(|_| ())),
            }
        }
    }
}
