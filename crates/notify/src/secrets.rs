//! Files with secrets in them, read again while the server runs: a secret is exchanged without a restart.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use strongroom_files::Links;
use tokio::{task::spawn_blocking, time::Instant};
use zeroize::Zeroizing;

/// In bytes.
const MAX_LEN: u64 = 16 << 10;
/// A file is read again after this long.
const BELIEVED: Duration = Duration::from_secs(10);

type Parse<T> = fn(&str) -> Result<T, String>;

/// What a file holds.
pub(crate) struct SecretFile<T> {
    path: PathBuf,
    parse: Parse<T>,
    held: Mutex<(Instant, Arc<T>)>,
}

impl<T: Send + Sync + 'static> SecretFile<T> {
    /// Reads it for the first time; says what is wrong with it. Blocks.
    pub(crate) fn open(path: &Path, parse: Parse<T>) -> Result<Self, String> {
        let held = read(path, parse)?;
        Ok(Self { path: path.to_owned(), parse, held: Mutex::new((Instant::now(), Arc::new(held))) })
    }

    /// What it holds. Where it cannot be read any more, what it held last.
    pub(crate) async fn get(&self) -> Arc<T> {
        let (read_at, held) = self.held().clone();
        if read_at.elapsed() < BELIEVED {
            return held;
        }
        let (path, parse) = (self.path.clone(), self.parse);
        let read = spawn_blocking(move || read(&path, parse)).await.unwrap_or_else(|_| Err("could not be read".to_owned()));
        let now = match read {
            Ok(new) => Arc::new(new),
            Err(why) => {
                tracing::warn!(file = %self.path.display(), why, "a secret of a notification target cannot be read again; the one read before is used");
                held
            }
        };
        *self.held() = (Instant::now(), Arc::clone(&now));
        now
    }

    fn held(&self) -> std::sync::MutexGuard<'_, (Instant, Arc<T>)> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read<T>(path: &Path, parse: Parse<T>) -> Result<T, String> {
    require_private(path)?;
    let bytes = strongroom_files::read(path, Links::Follow, MAX_LEN).map_err(|error| format!("cannot be read: {error}"))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| "is no text".to_owned())?;
    parse(text)
}

/// Others than its owner may not read a secret.
fn require_private(path: &Path) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt as _;
    let metadata = std::fs::metadata(path).map_err(|error| format!("cannot be read: {error}"))?;
    let mode = metadata.permissions().mode() & 0o777;
    let open_to_others = mode & 0o077;
    if open_to_others == 0 { Ok(()) } else { Err(format!("is open to others (mode {mode:o}): chmod 600 it")) }
}

/// A bearer token: one line.
pub(crate) fn token(text: &str) -> Result<Zeroizing<String>, String> {
    let token = text.trim();
    let fits = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    if fits { Ok(Zeroizing::new(token.to_owned())) } else { Err("must hold one token, in one line of visible ASCII characters".to_owned()) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_changed_file_is_read_again_and_a_lost_one_leaves_what_it_held() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let write = |text: &str| {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        };
        write("one\n");
        let file = SecretFile::open(&path, token).unwrap();
        write("two\n");
        assert_eq!(file.get().await.as_str(), "one");
        tokio::time::advance(BELIEVED).await;
        assert_eq!(file.get().await.as_str(), "two");
        fs::remove_file(&path).unwrap();
        tokio::time::advance(BELIEVED).await;
        assert_eq!(file.get().await.as_str(), "two");
        write("three four");
        tokio::time::advance(BELIEVED).await;
        assert_eq!(file.get().await.as_str(), "two");
    }

    #[test]
    fn a_file_that_others_may_read_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "x").unwrap();
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(SecretFile::open(file.path(), token).err().unwrap(), "is open to others (mode 640): chmod 600 it");
    }
}
