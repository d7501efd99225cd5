//! New keys.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use strongroom_kms::{Kms, KmsError, NewKey, resolve_key_id};
use utoipa::ToSchema;

use super::{Metadata, usage_of};
use crate::http::{ApiError, Call, JsonOrQuery, Subject};

/// What a new key is to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateKey {
    /// What it is for.
    #[serde(default, rename = "KeyUsage", alias = "key_usage")]
    #[allow(dead_code, reason = "there is one usage only, and naming another is an error")]
    usage: Option<KeyUsageName>,
    /// Free text for people.
    #[serde(default, rename = "Description", alias = "description")]
    description: Option<String>,
    /// Free name/value pairs.
    #[serde(default, rename = "Tags", alias = "tags")]
    tags: Option<BTreeMap<String, String>>,
    /// Its id; without one the backend chooses.
    #[serde(default, alias = "Name", alias = "key_id", alias = "keyId", alias = "key-id", alias = "key_name", alias = "keyName")]
    name: Option<String>,
}

/// What a key is for.
#[derive(Deserialize, ToSchema)]
#[schema(as = KeyUsage)]
enum KeyUsageName {
    /// Wrapping data keys.
    #[serde(rename = "ENCRYPT_DECRYPT", alias = "EncryptDecrypt")]
    EncryptDecrypt,
}

impl Subject for CreateKey {
    fn key_id(&self) -> Option<&str> {
        plain_id(self.name.as_deref())
    }
}

/// The key that was made.
#[derive(Serialize, ToSchema)]
pub(crate) struct CreatedKey {
    key_id: String,
    key_metadata: Metadata,
}

impl CreatedKey {
    pub(super) fn new(key_metadata: Metadata) -> Self {
        Self { key_id: key_metadata.key_id.clone(), key_metadata }
    }
}

pub(crate) async fn create(call: Call, JsonOrQuery(request): JsonOrQuery<CreateKey>) -> Result<CreatedKey, ApiError> {
    let (backend, kms) = call.kms()?;
    let CreateKey { usage: _, description, tags, name } = request;
    if let Some(name) = &name {
        refuse_lost(&call, &*kms, &backend, name).await?;
    }
    let new = NewKey { name, description: description.unwrap_or_default(), tags: tags.unwrap_or_default() };
    let key = kms.create_key(new).await?;
    call.about_key(&key.key_id, key.current_version);
    Ok(CreatedKey::new(Metadata::new(&backend, key, None)))
}

/// The id that a name will be; none for what can be no id, which the backend refuses.
pub(super) fn plain_id(name: Option<&str>) -> Option<&str> {
    name.filter(|name| resolve_key_id(name).is_ok_and(|id| id == *name))
}

/// A new key of the name of a lost one would open nothing, and stand in the way of putting the old one back.
pub(crate) async fn refuse_lost(call: &Call, kms: &dyn Kms, backend: &str, name: &str) -> Result<(), ApiError> {
    // What can be no id is the backend's to refuse.
    let may_be_lost = plain_id(Some(name)).is_some() && matches!(kms.describe_key(name).await, Err(KmsError::KeyNotFound(_)));
    if !may_be_lost {
        return Ok(());
    }
    let lost = usage_of(&call.inner, backend, name).await?;
    if lost.is_nothing() {
        return Ok(());
    }
    let message = format!(
        "{} objects and {} uploads depend on a key {name} that the backend {backend} does not know: restore it. A new key would open none of them.",
        lost.objects, lost.uploads
    );
    Err(ApiError::conflict("KeyLost", message))
}
