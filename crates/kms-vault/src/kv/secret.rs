//! Reading and writing the secret of a key.

use serde::{Deserialize, Serialize};
use strongroom_kms::KmsError;

use super::KvKms;
use super::document::{Document, malformed};
use crate::http::{Answer, Call, data};

/// A key's document as it was read.
pub(super) struct Loaded {
    pub(super) document: Document,
    /// The engine's own number of this state of the secret, which a write in its place must name.
    pub(super) revision: u64,
}

/// Source: KV version 2, "Read secret version".
#[derive(Deserialize)]
struct Read<T> {
    data: T,
    metadata: Revision,
}

#[derive(Deserialize)]
struct Revision {
    version: u64,
    #[serde(default)]
    destroyed: bool,
}

impl KvKms {
    /// The key's document. A secret that was deleted but not destroyed is not found: `bao kv undelete` brings it back.
    pub(super) async fn load(&self, key_id: &str) -> Result<Loaded, KmsError> {
        let path = self.data_path(key_id);
        match self.client.send(&Call::read(path.clone())).await? {
            Answer::Done(body) => {
                let Read { data: document, metadata } = data::<Read<Document>>(&body, &path).map_err(|_| malformed(key_id))?;
                Ok(Loaded { document: document.check(key_id)?, revision: metadata.version })
            }
            Answer::Missing(body) if tombstone(&body).is_some_and(|revision| revision.destroyed) => {
                Err(KmsError::KeyErased(key_id.to_owned()))
            }
            Answer::Missing(_) => Err(KmsError::KeyNotFound(key_id.to_owned())),
            Answer::Refused(words) => Err(KmsError::Unavailable(format!("Vault refused to read {path}: {words}"))),
        }
    }

    /// Writes the document if the secret is still at `revision`, 0 for one that never was; else answers `otherwise`.
    pub(super) async fn store(&self, key_id: &str, document: &Document, revision: u64, otherwise: KmsError) -> Result<(), KmsError> {
        #[derive(Serialize)]
        struct Body<'a> {
            options: Options,
            data: &'a Document,
        }
        #[derive(Serialize)]
        struct Options {
            cas: u64,
        }
        let path = self.data_path(key_id);
        let body = Body { options: Options { cas: revision }, data: document };
        let call = if revision == 0 { Call::create(path.clone(), &body)? } else { Call::write(path.clone(), &body)? };
        match self.client.send(&call).await? {
            Answer::Done(body) => {
                let Revision { version, .. } = data(&body, &path).map_err(|_| not_version_2(&self.mount))?;
                if version == revision + 1 { Ok(()) } else { Err(not_version_2(&self.mount)) }
            }
            Answer::Missing(_) => Err(not_version_2(&self.mount)),
            Answer::Refused(words) => Err(self.reason(key_id, revision, words, otherwise).await),
        }
    }

    /// `otherwise` if the secret is no longer at `revision`, else the server's words.
    async fn reason(&self, key_id: &str, revision: u64, words: String, otherwise: KmsError) -> KmsError {
        let path = self.data_path(key_id);
        let present = match self.client.send(&Call::read(path.clone())).await {
            Ok(Answer::Done(body)) => data::<Read<serde::de::IgnoredAny>>(&body, &path).ok().map(|read| read.metadata.version),
            Ok(Answer::Missing(body)) => tombstone(&body).map(|revision| revision.version),
            Ok(Answer::Refused(_)) => None,
            Err(error) => return error,
        };
        let unchanged = present.unwrap_or(0) == revision;
        if unchanged { KmsError::Unavailable(format!("Vault refused to write {path}: {words}")) } else { otherwise }
    }

    pub(super) fn data_path(&self, key_id: &str) -> String {
        format!("{}/data/{}/{key_id}", self.mount, self.prefix)
    }

    pub(super) fn metadata_path(&self, key_id: &str) -> String {
        format!("{}/metadata/{}/{key_id}", self.mount, self.prefix)
    }
}

/// What is told of a secret that was deleted. Nothing if there never was one.
fn tombstone(body: &[u8]) -> Option<Revision> {
    data::<Read<serde::de::IgnoredAny>>(body, "").ok().map(|read| read.metadata)
}

fn not_version_2(mount: &str) -> KmsError {
    KmsError::Conflict(format!("{mount} is no key/value engine of version 2, which kv_mount must name"))
}
