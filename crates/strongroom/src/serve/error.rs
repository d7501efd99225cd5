//! Why a server did not start.

use std::io;
use std::path::PathBuf;

use strongroom_access::AccessError;
use strongroom_blobs::BlobError;
use strongroom_catalog::CatalogError;
use strongroom_kms::KmsError;
use strongroom_s3::InvalidNetwork;

use crate::credentials::CredentialsError;
use crate::files::FilesError;
use crate::lock::LockError;
use crate::tls::TlsError;

/// Why a server did not start. No variant holds a secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error(transparent)]
    Files(#[from] FilesError),
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(
        "the data directory {} holds objects, but the key directory {} holds no keys: restore it, or name the right one with --kms-key-dir",
        data_dir.display(), key_dir.display()
    )]
    KeysMissing { data_dir: PathBuf, key_dir: PathBuf },
    #[error(
        "{} holds blobs, but the catalog {} is missing or new: put the right one back; only if all objects are to be given up, remove {} by hand",
        blobs.display(), catalog.display(), blobs.display()
    )]
    CatalogMissing { catalog: PathBuf, blobs: PathBuf },
    #[error(
        "the catalog {} is missing, but its log {} is there: put the catalog back beside it",
        catalog.display(), log.display()
    )]
    CatalogSplit { catalog: PathBuf, log: PathBuf },
    #[error("the catalog {} has buckets but no store key, without which no object can be opened: restore the catalog from a backup", .0.display())]
    StoreKeyMissing(PathBuf),
    #[error(
        "the store depends on the KMS key {key_id}, but its file {} is missing: restore it from a backup; a new key of that name would open nothing",
        file.display()
    )]
    KeyLost { key_id: String, file: PathBuf },
    #[error("the KMS key {0} is reserved for the server itself: configure another name")]
    ReservedKey(String),
    #[error(
        "the KMS key {key_id} belongs to the account {account}, which may end it, so it cannot be the default key: name one of the store's own as \
         kms.default_key_id"
    )]
    OwnedDefaultKey { key_id: String, account: String },
    #[error("kms.master_key must be base64 of 32 bytes")]
    MalformedMasterKey,
    #[error("the audit log cannot be opened")]
    Audit(#[source] strongroom_audit::AuditError),
    #[error("the audit log's signing key is not usable")]
    AuditKey(#[source] strongroom_audit::KeyError),
    #[error("the audit log's signing key is damaged: restore the catalog from a backup")]
    AuditSeed,
    #[error("the anchor of the audit log in the catalog is damaged: restore the catalog from a backup")]
    AuditAnchor,
    #[error("the KMS cannot be opened")]
    Kms(#[from] KmsError),
    #[error("the catalog cannot be opened")]
    Catalog(#[from] CatalogError),
    #[error("the blob store cannot be opened")]
    Blobs(#[from] BlobError),
    #[error("the store cannot be opened")]
    Engine(#[from] strongroom_engine::Error),
    #[error("the root identity is not acceptable")]
    Root(#[source] AccessError),
    #[error("the user {name} is not acceptable")]
    User {
        name: String,
        #[source]
        source: AccessError,
    },
    #[error("the identities are not acceptable")]
    Identities(#[source] AccessError),
    #[error("a user of the configuration file and a user of the store have {0}: give the one in the file another")]
    TakenTwice(String),
    #[error("identities cannot be looked up")]
    Iam(#[from] strongroom_iam::IamError),
    #[error("single sign-on cannot be set up: sso.{0}")]
    SingleSignOn(#[source] strongroom_sso::SetupError),
    #[error("trusted_proxies names {given}")]
    Proxy {
        given: String,
        #[source]
        source: InvalidNetwork,
    },
    #[error("cannot listen on {address}")]
    Listen {
        address: String,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Notify(#[from] strongroom_notify::NotifyError),
    #[error("signals cannot be received")]
    Signals(#[source] io::Error),
    #[error("a step of the start was interrupted")]
    Interrupted(#[from] tokio::task::JoinError),
}
