//! The life of keys whose material the key/value engine keeps.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;
use strongroom_kms::{KeyMetadata, KeyPage, KeyState, KmsError, NewKey, check_new_key_id, random_key_id, resolve_key_id};

use super::KvKms;
use super::document::{Document, random_material};
use crate::http::Call;
use crate::{listing, native};

impl KvKms {
    /// Description and tags are not kept: whoever may read them there could read the key.
    pub(crate) async fn create(&self, key: NewKey) -> Result<KeyMetadata, KmsError> {
        self.add(key.name, &*random_material()?).await
    }

    pub(crate) async fn import(&self, key: NewKey, material: &[u8]) -> Result<KeyMetadata, KmsError> {
        native::check_material(material)?;
        self.add(key.name, material).await
    }

    pub(crate) async fn list(&self, after: Option<&str>, limit: usize) -> Result<KeyPage, KmsError> {
        let path = format!("{}/metadata/{}/", self.mount, self.prefix);
        let names = listing::names(self.client.send(&Call::list(path.clone())).await?, &path)?;
        listing::page(names, after, limit, |key_id| async move { self.describe(&key_id).await }).await
    }

    pub(crate) async fn describe(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        let key_id = resolve_key_id(key_id)?;
        Ok(self.load(key_id).await?.document.metadata(key_id))
    }

    pub(crate) async fn rotate(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        let key_id = resolve_key_id(key_id)?;
        let mut loaded = self.load(key_id).await?;
        loaded.document.rotate(key_id)?;
        let changed = KmsError::Conflict(format!("the key {key_id} was changed at the same time: look at it and try again"));
        self.store(key_id, &loaded.document, loaded.revision, changed).await?;
        Ok(loaded.document.metadata(key_id))
    }

    /// Destroys every revision of the secret before its record is removed, so that none is left if the second step fails.
    pub(crate) async fn delete(&self, key_id: &str, echo: &str) -> Result<KeyMetadata, KmsError> {
        #[derive(Deserialize)]
        struct Record {
            versions: BTreeMap<u64, Revision>,
        }
        #[derive(Deserialize)]
        struct Revision {
            destroyed: bool,
        }
        let key_id = resolve_key_id(key_id)?;
        native::check_echo(key_id, echo)?;
        let metadata = self.load(key_id).await?.document.metadata(key_id);
        let record = self.metadata_path(key_id);
        let Record { versions } = self.client.send(&Call::read(record.clone())).await?.data(&record)?;
        let destroy = format!("{}/destroy/{}/{key_id}", self.mount, self.prefix);
        let revisions: Vec<u64> = versions.into_iter().filter(|(_, revision)| !revision.destroyed).map(|(number, _)| number).collect();
        self.client.send(&Call::write(destroy.clone(), &json!({ "versions": revisions }))?).await?.done(&destroy)?;
        self.client.send(&Call::delete(record.clone())).await?.done(&record)?;
        Ok(KeyMetadata { state: KeyState::Erased, ..metadata })
    }

    async fn add(&self, name: Option<String>, material: &[u8]) -> Result<KeyMetadata, KmsError> {
        let key_id = name.map_or_else(random_key_id, Ok)?;
        check_new_key_id(&key_id)?;
        let document = Document::new(material);
        self.store(&key_id, &document, 0, KmsError::KeyExists(key_id.clone())).await?;
        Ok(document.metadata(&key_id))
    }
}
