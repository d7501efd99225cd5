//! Another master key for the whole directory.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::master::MasterKeySource;
use super::{Inner, LocalKms, document, passphrase};
use crate::KmsError;
use crate::crypto::SecretKey;

impl LocalKms {
    /// Seals every key file under another master key. A crash leaves the directory under the former one or under the new one.
    ///
    /// The keys themselves stay as they are. When this returns, the next start needs the new master key: say so in the configuration,
    /// and destroy the former one and the copies of the directory that it opens. Fails with [`KmsError::Conflict`] while a key file is damaged: nothing would open it any more.
    pub async fn change_master(&self, new: MasterKeySource) -> Result<(), KmsError> {
        self.write(move |inner| {
            inner.check_unsealed()?;
            let (master, parameters) = new.replacement()?;
            inner.change_master(master, parameters.as_deref())
        })
        .await
    }
}

impl Inner {
    fn change_master(&self, master: SecretKey, parameters: Option<&[u8]>) -> Result<(), KmsError> {
        self.check_settled()?;
        if let Err(error) = self.stage_all(&master, parameters) {
            // Best effort: what stays is removed when the directory is opened again.
            let _ = self.dir.discard_staged();
            return Err(error);
        }
        // From here on the directory may belong to either master key until the change is settled.
        self.unsettled.store(true, Ordering::SeqCst);
        self.dir.commit_staged(parameters.is_some()).map_err(|error| {
            tracing::error!(%error, "the change of the master key was interrupted; restart the server");
            unsettled()
        })?;
        self.write_state(|state| state.master = Arc::new(master));
        self.unsettled.store(false, Ordering::SeqCst);
        Ok(())
    }

    fn stage_all(&self, master: &SecretKey, parameters: Option<&[u8]>) -> Result<(), KmsError> {
        let written = |error: std::io::Error| {
            KmsError::Unavailable(format!("cannot write in {}: {error}; the master key is the former one", self.dir.path().display()))
        };
        let records = self.all_records()?;
        self.dir.discard_staged().map_err(written)?;
        for (key_id, record) in records {
            let path = self.dir.key_file(&key_id);
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            self.dir.stage(name, &document::seal(master, &key_id, &record)?).map_err(written)?;
        }
        parameters.map_or(Ok(()), |bytes| self.dir.stage(passphrase::FILE_NAME, bytes).map_err(written))
    }

    /// Refuses changes after a change of the master key that was interrupted.
    pub(super) fn check_settled(&self) -> Result<(), KmsError> {
        if self.unsettled.load(Ordering::SeqCst) { Err(unsettled()) } else { Ok(()) }
    }
}

fn unsettled() -> KmsError {
    let text =
        "a change of the master key was interrupted: restart the server with the new master key or, if it is refused, the former one";
    KmsError::Unavailable(text.to_owned())
}
