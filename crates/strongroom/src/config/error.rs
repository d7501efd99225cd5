//! What can be wrong with a configuration.

use std::path::PathBuf;

use crate::files::FilesError;

/// Why a configuration was refused. No variant holds a value: it may be a secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("no data directory is given: strongroom serve DATA_DIR")]
    NoDataDir,
    #[error("a data directory that is a file system's root has no place beside it: set secrets_dir")]
    NoSibling,
    #[error("{name} is not an option; did you mean {nearest}?")]
    UnknownVariable { name: String, nearest: String },
    #[error("{}: {key} is not an option; did you mean {nearest}?", path.display())]
    UnknownKey { path: PathBuf, key: String, nearest: String },
    #[error("{}: {key} has a value of the wrong type", path.display())]
    WrongType { path: PathBuf, key: String },
    #[error("{}: number {number} of {list} lacks {key}", path.display())]
    MissingInEntry { path: PathBuf, list: &'static str, number: usize, key: String },
    #[error("{}, line {line}: {reason}", path.display())]
    Syntax { path: PathBuf, line: usize, reason: String },
    #[error(transparent)]
    Files(#[from] FilesError),
    #[error("{0} is not UTF-8")]
    NotUtf8(String),
    #[error("{key} (from {origin}) {expected}")]
    InvalidValue { key: String, origin: String, expected: String },
    #[error("give one of kms.master_key_file, kms.master_key, kms.master_passphrase and kms.master_passphrase_file")]
    SeveralMasterKeys,
    #[error("give one of kms.vault_token, kms.vault_token_file, and kms.vault_role_id with kms.vault_secret_id")]
    SeveralVaultLogins,
    #[error("{}, line {line}, column {column}: it is no JSON object", path.display())]
    KmsFile { path: PathBuf, line: usize, column: usize },
    #[error("kms.config_file: the field {0} has a value of the wrong type")]
    KmsFields(String),
    #[error("{given} is set without {missing}: both or neither")]
    HalfOfPair { given: &'static str, missing: &'static str },
    #[error("audit_retention_mib must be less than audit_quota_mib, or the quota refuses before retention removes anything")]
    RetentionAboveQuota,
}
