//! What the tests share: a local KMS in a temporary directory.
#![allow(clippy::unwrap_used, dead_code)]

use std::path::{Path, PathBuf};

use strongroom_kms::{EncryptionContext, KmsError, LocalConfig, LocalKms, MasterKeySource};
use tempfile::TempDir;

/// A temporary directory with a place for keys and one for the master key.
pub(crate) struct Home(pub(crate) TempDir);

impl Home {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub(crate) fn key_dir(&self) -> PathBuf {
        self.0.path().join("keys")
    }

    pub(crate) fn master(&self) -> PathBuf {
        self.0.path().join("secret/master.key")
    }

    pub(crate) fn key_file(&self, key_id: &str) -> PathBuf {
        self.key_dir().join(format!("{key_id}.key.json"))
    }

    pub(crate) fn config(&self) -> LocalConfig {
        LocalConfig { key_dir: self.key_dir(), master: MasterKeySource::File(self.master()) }
    }

    pub(crate) async fn try_open(&self) -> Result<LocalKms, KmsError> {
        LocalKms::open(self.config()).await
    }

    pub(crate) async fn open(&self) -> LocalKms {
        self.try_open().await.unwrap()
    }

    /// The text of [`KmsError::Broken`] that opening ends in.
    pub(crate) async fn open_error(&self) -> String {
        match self.try_open().await {
            Err(KmsError::Broken(text)) => text,
            Err(other) => panic!("not Broken: {other}"),
            Ok(_) => panic!("opened"),
        }
    }
}

pub(crate) fn context(name: &str) -> EncryptionContext {
    EncryptionContext([("bucket".to_owned(), name.to_owned())].into())
}

pub(crate) fn file_names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
