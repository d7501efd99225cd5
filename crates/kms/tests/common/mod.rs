//! What the tests share: a local KMS in a temporary directory.
#![allow(clippy::unwrap_used, dead_code)]

use std::path::{Path, PathBuf};

use strongroom_kms::{EncryptionContext, KmsError, LocalConfig, LocalKms, MasterKeySource};
use tempfile::TempDir;

/// A temporary directory with a place for keys and one for the master key.
pub struct Home(pub TempDir);

impl Home {
    pub fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub fn key_dir(&self) -> PathBuf {
        self.0.path().join("keys")
    }

    pub fn master(&self) -> PathBuf {
        self.0.path().join("secret/master.key")
    }

    pub fn key_file(&self, key_id: &str) -> PathBuf {
        self.key_dir().join(format!("{key_id}.key.json"))
    }

    pub fn config(&self) -> LocalConfig {
        LocalConfig { key_dir: self.key_dir(), master: MasterKeySource::File(self.master()) }
    }

    pub async fn try_open(&self) -> Result<LocalKms, KmsError> {
        LocalKms::open(self.config()).await
    }

    pub async fn open(&self) -> LocalKms {
        self.try_open().await.unwrap()
    }

    /// The text of [`KmsError::Broken`] that opening ends in.
    pub async fn open_error(&self) -> String {
        match self.try_open().await {
            Err(KmsError::Broken(text)) => text,
            Err(other) => panic!("not Broken: {other}"),
            Ok(_) => panic!("opened"),
        }
    }
}

pub fn context(name: &str) -> EncryptionContext {
    EncryptionContext([("bucket".to_owned(), name.to_owned())].into())
}

pub fn file_names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
