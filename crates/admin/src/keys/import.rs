//! Keys of one's own material.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use strongroom_kms::{NewKey, Secret};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::Metadata;
use super::create::{CreatedKey, plain_id, refuse_lost};
use super::owned::refuse_reserved_tags;
use crate::http::{ApiError, Call, Json, Subject};

/// A key to be made of one's own 32 bytes.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ImportKey {
    /// Its id.
    name: String,
    /// Base64 of 32 random bytes. Only over TLS.
    #[schema(value_type = String, format = Password)]
    material: Secret,
    /// Free text for people.
    #[serde(default, alias = "Description")]
    description: Option<String>,
    /// Free name/value pairs.
    #[serde(default, alias = "Tags")]
    tags: Option<BTreeMap<String, String>>,
    /// Says that this is the very key that objects depend on and the backend has lost. With other material they stay unreadable.
    #[serde(default)]
    replaces_lost: bool,
}

impl Subject for ImportKey {
    fn key_id(&self) -> Option<&str> {
        plain_id(Some(&self.name))
    }
}

pub(crate) async fn import(call: Call, Json(request): Json<ImportKey>) -> Result<CreatedKey, ApiError> {
    call.require_secure()?;
    let ImportKey { name, material, description, tags, replaces_lost } = request;
    refuse_reserved_tags(tags.iter().flat_map(BTreeMap::keys))?;
    let material = decoded(&material)?;
    let (backend, kms) = call.kms()?;
    if !replaces_lost {
        refuse_lost(&call, &*kms, &backend, &name).await?;
    }
    let new = NewKey { name: Some(name), description: description.unwrap_or_default(), tags: tags.unwrap_or_default() };
    let key = kms.import_key(new, material).await?;
    call.about_key(&key.key_id, key.current_version);
    call.note("replaces_lost", replaces_lost.to_string());
    Ok(CreatedKey::new(Metadata::new(&backend, key, None)))
}

fn decoded(material: &Secret) -> Result<Zeroizing<Vec<u8>>, ApiError> {
    let text = material.expose().as_bytes();
    let mut bytes = Zeroizing::new(vec![0; base64::decoded_len_estimate(text.len())]);
    let len = STANDARD.decode_slice(text, &mut bytes).map_err(|_| ApiError::invalid("material: expected base64 of 32 bytes"))?;
    bytes.truncate(len);
    Ok(bytes)
}
