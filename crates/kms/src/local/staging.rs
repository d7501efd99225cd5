//! All key files replaced at once: written beside the present ones, then put in force by one durable name.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::dir::{self, KeyDir, Replaced};
use super::passphrase;
use crate::KmsError;

const NEXT_PREFIX: &str = ".next-";
/// While it is there, the staged files are the ones that count.
const MARKER: &str = ".master-change";
/// The marker's text if the new master key comes of no passphrase: the file that the former one needed goes.
const WITHOUT_PASSPHRASE: &[u8] = b"without passphrase\n";
const WITH_PASSPHRASE: &[u8] = b"with passphrase\n";
/// The longest marker that is read.
const MAX_MARKER_LEN: u64 = 64;
/// How many former files are kept open until they may be overwritten.
const BATCH: usize = 256;

impl KeyDir {
    /// Ends a replacement that was interrupted: makes it whole if it was in force, and otherwise takes it back.
    pub(super) fn settle(&self) -> Result<(), KmsError> {
        let settled = match self.path().join(MARKER).try_exists() {
            Ok(true) => self.roll_forward(),
            Ok(false) => self.discard_staged(),
            Err(error) => Err(error),
        };
        settled.map_err(|error| dir::io_error("settle the change of the master key in", self.path(), &error))
    }

    /// Writes a file that is to take the place of the one of this name.
    pub(super) fn stage(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        strongroom_files::write_new(&self.staged(name), bytes, dir::PRIVATE)
    }

    /// Removes what was staged.
    pub(super) fn discard_staged(&self) -> io::Result<()> {
        for (path, _) in self.list_staged()? {
            fs::remove_file(path)?;
        }
        Ok(())
    }

    /// Puts the staged files in force. After an error nobody knows whether they are, until [`Self::settle`].
    pub(super) fn commit_staged(&self, with_passphrase: bool) -> io::Result<()> {
        // The staged names must be durable before the marker is.
        strongroom_files::sync_dir(self.path())?;
        let (marker, temp) = (self.path().join(MARKER), self.path().join(".tmp-master-change"));
        let text = if with_passphrase { WITH_PASSPHRASE } else { WITHOUT_PASSPHRASE };
        strongroom_files::replace(&marker, &temp, text, dir::PRIVATE)?;
        self.roll_forward()
    }

    fn roll_forward(&self) -> io::Result<()> {
        let marker = self.path().join(MARKER);
        for batch in self.list_staged()?.chunks(BATCH) {
            let former: Vec<Replaced> = batch.iter().map(|(path, name)| self.take_place(path, name)).collect::<io::Result<_>>()?;
            strongroom_files::sync_dir(self.path())?;
            for replaced in former {
                if let Err(error) = replaced.scrub() {
                    tracing::warn!(%error, "a former key file could not be overwritten");
                }
            }
        }
        if *dir::read_bounded(&marker, MAX_MARKER_LEN)? == WITHOUT_PASSPHRASE {
            remove_if_there(&self.path().join(passphrase::FILE_NAME))?;
        }
        strongroom_files::remove(&marker)
    }

    fn take_place(&self, staged: &Path, name: &str) -> io::Result<Replaced> {
        let path = self.path().join(name);
        let former = dir::open_former(&path);
        fs::rename(staged, path)?;
        Ok(Replaced::new(former))
    }

    /// Every staged file, with the name it is to have.
    fn list_staged(&self) -> io::Result<Vec<(PathBuf, String)>> {
        let mut staged = Vec::new();
        for entry in fs::read_dir(self.path())? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix(NEXT_PREFIX));
            if let Some(name) = name.map(str::to_owned) {
                staged.push((path, name));
            }
        }
        Ok(staged)
    }

    fn staged(&self, name: &str) -> PathBuf {
        self.path().join(format!("{NEXT_PREFIX}{name}"))
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
