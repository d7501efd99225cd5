//! Documents under the store key: confidential, authenticated, each bound to its name (`docs/format.md`, "Records").

use async_trait::async_trait;
use strongroom_catalog::CatalogError;
use strongroom_kms::{KmsError, MAX_STATE_LEN, StateStore};
use strongroom_seal::RecordKind;
use zeroize::Zeroizing;

use super::SealedSettings;

#[async_trait]
impl StateStore for SealedSettings {
    async fn load(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, KmsError> {
        Ok(self.read(name).await?.map(|(_, document)| document))
    }

    async fn save(&self, name: &str, present: Option<&[u8]>, document: &[u8]) -> Result<(), KmsError> {
        if document.len() > MAX_STATE_LEN {
            return Err(KmsError::InvalidArgument(format!("the document {name} is longer than {MAX_STATE_LEN} bytes")));
        }
        let conflict = || KmsError::Conflict(format!("the document {name} was changed by somebody else meanwhile: try again"));
        // Sealing is never the same twice, so the catalog compares with what was sealed, and this with what is in it.
        let (sealed, found) = self.read(name).await?.unzip();
        if found.as_deref().map(Vec::as_slice) != present {
            return Err(conflict());
        }
        let new = self.store_key.seal_record(RecordKind::Document, &fields(name), document);
        let new = new.map_err(|error| KmsError::Broken(error.to_string()))?;
        match self.catalog.set_setting(&setting(name), sealed, new).await {
            Err(CatalogError::PreconditionFailed) => Err(conflict()),
            other => other.map_err(|error| of_catalog(&error)),
        }
    }
}

impl SealedSettings {
    /// The document, sealed and open.
    async fn read(&self, name: &str) -> Result<Option<(Vec<u8>, Zeroizing<Vec<u8>>)>, KmsError> {
        let Some(sealed) = self.catalog.setting(&setting(name)).await.map_err(|error| of_catalog(&error))? else {
            return Ok(None);
        };
        let altered = |_| KmsError::Broken(format!("the document {name} was altered: restore the catalog from a backup"));
        let document = self.store_key.open_record(RecordKind::Document, &fields(name), &sealed).map_err(altered)?;
        Ok(Some((sealed, Zeroizing::new(document))))
    }
}

/// The setting of the catalog that holds a document.
fn setting(name: &str) -> String {
    format!("state/{name}")
}

/// What a document is bound to.
fn fields(name: &str) -> [&[u8]; 2] {
    [b"setting", name.as_bytes()]
}

fn of_catalog(error: &CatalogError) -> KmsError {
    match error {
        CatalogError::Damaged(what) => KmsError::Broken(format!("the catalog is damaged: {what}")),
        error => KmsError::Unavailable(error.to_string()),
    }
}
