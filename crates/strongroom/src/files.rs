//! Directories and files that only their owner may read.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use strongroom_files::{FileError, Links};
use zeroize::Zeroizing;

use crate::shell::quoted;

/// What may go wrong on the way to a private file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FilesError {
    #[error("cannot make or sync the directory {}", path.display())]
    MakeDir {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot write {}", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{what} {} lies inside the data directory {}: keys beside the data they protect protect nothing", path.display(), data_dir.display())]
    Inside { what: &'static str, path: PathBuf, data_dir: PathBuf },
    #[error("{} is open to others (mode {mode:o}): chmod {wanted} {}", path.display(), quoted(path))]
    Open { path: PathBuf, mode: u32, wanted: &'static str },
    #[error("{} is not a directory", path.display())]
    NotADirectory { path: PathBuf },
    #[error("{} belongs to another user ({owner}), who can read and alter all of it: chown {user} {}", path.display(), quoted(path))]
    OtherOwner { path: PathBuf, owner: u32, user: u32 },
}

/// The longest file with a secret, a key or a certificate chain in it, in bytes.
pub(crate) const MAX_SECRET_LEN: u64 = 1 << 20;

/// The bits of a mode that grant something to group or others.
const GROUP_AND_OTHERS: u32 = 0o077;
/// The bits of a mode that grant something to everybody.
const OTHERS: u32 = 0o007;

/// Makes the directory and its parents with mode 0700 where they are missing, and syncs it and the names in it.
pub(crate) fn make_private_dir(path: &Path) -> Result<(), FilesError> {
    strongroom_files::create_dir(path, 0o700).map_err(|source| FilesError::MakeDir { path: path.to_owned(), source })
}

/// Refuses a file or directory that others than its owner may read or write.
pub(crate) fn require_private(path: &Path) -> Result<(), FilesError> {
    refuse(path, GROUP_AND_OTHERS, if path.is_dir() { "700" } else { "600" })
}

/// Refuses a directory that others than the server's user may read or write, or that belongs to another one. Root may do both anyway.
pub(crate) fn require_private_dir(path: &Path) -> Result<(), FilesError> {
    let metadata = fs::metadata(path).map_err(|source| FilesError::Read { path: path.to_owned(), source })?;
    if !metadata.is_dir() {
        return Err(FilesError::NotADirectory { path: path.to_owned() });
    }
    let (owner, user) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if owner != user && owner != 0 {
        return Err(FilesError::OtherOwner { path: path.to_owned(), owner, user });
    }
    refuse(path, GROUP_AND_OTHERS, "700")
}

/// Refuses a file that everybody may read or write; a group may.
pub(crate) fn require_not_public(path: &Path) -> Result<(), FilesError> {
    refuse(path, OTHERS, "o=")
}

fn refuse(path: &Path, bits: u32, wanted: &'static str) -> Result<(), FilesError> {
    let metadata = fs::metadata(path).map_err(|source| FilesError::Read { path: path.to_owned(), source })?;
    let mode = metadata.mode() & 0o777;
    if mode & bits != 0 {
        return Err(FilesError::Open { path: path.to_owned(), mode, wanted });
    }
    Ok(())
}

/// Refuses a place inside the data directory, links followed. `data_dir` exists; `path` need not.
pub(crate) fn require_outside(what: &'static str, path: &Path, data_dir: &Path) -> Result<(), FilesError> {
    let read_error = |source| FilesError::Read { path: data_dir.to_owned(), source };
    if resolve(path).starts_with(data_dir.canonicalize().map_err(read_error)?) {
        return Err(FilesError::Inside { what, path: path.to_owned(), data_dir: data_dir.to_owned() });
    }
    Ok(())
}

/// The path with the links of its existing part followed.
fn resolve(path: &Path) -> PathBuf {
    match (path.canonicalize(), path.parent(), path.file_name()) {
        (Ok(resolved), _, _) => resolved,
        (Err(_), Some(parent), Some(name)) => resolve(parent).join(name),
        (Err(_), _, _) => path.to_owned(),
    }
}

/// Who may read a file besides its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readers {
    /// Nobody: mode 0600.
    Owner,
    /// Everybody: mode 0644.
    Everyone,
}

/// Writes a file durably: afterwards it is there whole or not at all.
pub(crate) fn write_atomically(path: &Path, contents: &[u8], readers: Readers) -> Result<(), FilesError> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let mode = match readers {
        Readers::Owner => 0o600,
        Readers::Everyone => 0o644,
    };
    let written = strongroom_files::replace(path, Path::new(&partial), contents, mode);
    written.map_err(|error| FilesError::Write { path: path.to_owned(), source: error.into() })
}

/// A file that the operator may have linked in, as Kubernetes does. Nothing that blocks or never ends is read.
pub(crate) fn read(path: &Path, max_len_bytes: u64) -> Result<Zeroizing<Vec<u8>>, FilesError> {
    strongroom_files::read(path, Links::Follow, max_len_bytes).map_err(|error| unreadable(path, error))
}

/// As [`read`], for text.
pub(crate) fn read_text(path: &Path, max_len_bytes: u64) -> Result<Zeroizing<String>, FilesError> {
    strongroom_files::read_text(path, Links::Follow, max_len_bytes).map_err(|error| unreadable(path, error))
}

fn unreadable(path: &Path, error: FileError) -> FilesError {
    FilesError::Read { path: path.to_owned(), source: error.into() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_place_inside_the_data_directory_is_refused_through_links_too() {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = dir.path().join("data");
        fs::create_dir(&data_dir).unwrap();
        std::os::unix::fs::symlink(&data_dir, dir.path().join("link")).unwrap();
        for inside in ["data", "data/kms", "data/not/yet/there", "link/kms"] {
            let error = require_outside("the key directory", &dir.path().join(inside), &data_dir).unwrap_err();
            assert!(matches!(error, FilesError::Inside { .. }), "{inside}: {error}");
        }
        for outside in ["data.secrets", "data.secrets/kms", "elsewhere/data"] {
            require_outside("the key directory", &dir.path().join(outside), &data_dir).unwrap();
        }
    }

    #[test]
    fn a_directory_of_others_or_open_to_them_is_refused_with_the_command_that_helps() {
        let dir = tempfile::tempdir().unwrap();
        for mode in [0o750, 0o701, 0o722, 0o755] {
            fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
            let error = require_private_dir(dir.path()).unwrap_err().to_string();
            let path = dir.path().display();
            assert_eq!(error, format!("{path} is open to others (mode {mode:o}): chmod 700 {path}"));
        }
        let user = rustix::process::geteuid().as_raw();
        let error = FilesError::OtherOwner { path: "/srv/data".into(), owner: user + 1, user };
        let expected =
            format!("/srv/data belongs to another user ({}), who can read and alter all of it: chown {user} /srv/data", user + 1);
        assert_eq!(error.to_string(), expected);
        fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        require_private_dir(dir.path()).unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(matches!(require_private_dir(&file).unwrap_err(), FilesError::NotADirectory { .. }));
    }

    #[test]
    fn what_the_operator_linked_in_is_read_and_what_blocks_or_never_ends_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let (pipe, file, link) = (dir.path().join("pipe"), dir.path().join("file"), dir.path().join("link"));
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        fs::write(&file, "text").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert_eq!(*read_text(&link, 4).unwrap(), "text");
        for (path, reason) in
            [(pipe, "it is no regular file"), ("/dev/zero".into(), "it is no regular file"), (link, "it is longer than 3 bytes")]
        {
            let (answer, answered) = std::sync::mpsc::channel();
            std::thread::spawn(move || answer.send(read(&path, 3)));
            let read = answered.recv_timeout(std::time::Duration::from_secs(10)).expect("it hangs");
            assert!(matches!(&read, Err(FilesError::Read { source, .. }) if source.to_string() == reason), "{read:?}");
        }
    }

    #[test]
    fn a_file_is_not_written_through_a_link_that_somebody_left() {
        let dir = tempfile::tempdir().unwrap();
        let (path, elsewhere) = (dir.path().join("key"), dir.path().join("elsewhere"));
        std::os::unix::fs::symlink(&elsewhere, dir.path().join("key.partial")).unwrap();
        write_atomically(&path, b"secret", Readers::Owner).unwrap();
        assert!(!elsewhere.exists() && fs::symlink_metadata(&path).unwrap().is_file());
    }

    /// DATA_DIR, the secrets and the audit log: the process that made them may have been killed before it synced them.
    #[test]
    fn a_directory_that_was_there_is_synced_with_what_lies_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = dir.path().join("data");
        make_private_dir(&data_dir).unwrap();
        for unsynced in [dir.path(), &data_dir] {
            strongroom_files::testing::fail_syncs(unsynced, 1);
            assert!(matches!(make_private_dir(&data_dir), Err(FilesError::MakeDir { .. })), "{}", unsynced.display());
        }
        make_private_dir(&data_dir).unwrap();
    }

    #[test]
    fn a_private_file_is_never_readable_by_others() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        write_atomically(&path, b"secret", Readers::Owner).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        require_private(&path).unwrap();
        write_atomically(&path, b"public", Readers::Everyone).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o644);
        assert!(matches!(require_private(&path).unwrap_err(), FilesError::Open { mode: 0o644, wanted: "600", .. }));
    }
}
