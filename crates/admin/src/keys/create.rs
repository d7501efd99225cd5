//! New keys.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use strongroom_kms::{Kms, KmsError, NewKey, resolve_key_id};
use utoipa::ToSchema;

use super::owned::{self, Ownership, bypassing, refuse_reserved_tags};
use super::{Metadata, usage_of};
use crate::http::{About, ApiError, Call, JsonOrQuery, Subject};

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
    /// The account that it is to belong to. Left out: the caller's own one; users of the main account then make a key of the store's own.
    #[serde(default, rename = "Owner", alias = "owner")]
    owner: Option<String>,
    /// The policy of a key that belongs to the caller's account, as JSON. Left out: the one that leaves it to the account.
    #[serde(default, rename = "Policy", alias = "policy")]
    policy: Option<String>,
    /// Takes a policy that the caller could not change any more.
    #[serde(default, rename = "BypassPolicyLockoutSafetyCheck", alias = "bypass_policy_lockout_safety_check")]
    bypass_lockout_check: bool,
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

    fn about(&self) -> About {
        let conditions = bypassing(self.bypass_lockout_check);
        About { key_id: self.key_id().map(str::to_owned), owner: self.owner.clone(), conditions, ..About::default() }
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
    let CreateKey { usage: _, description, tags, name, owner, policy, bypass_lockout_check } = request;
    refuse_reserved_tags(tags.iter().flat_map(BTreeMap::keys))?;
    let new = NewKey { name: name.clone(), description: description.unwrap_or_default(), tags: tags.unwrap_or_default() };
    if owner.is_some() || policy.is_some() || call.is_of_a_tenant() {
        let account = owner.unwrap_or_else(|| call.signer.identity.account.clone());
        let key = owned::create(&call, (&backend, &*kms), new, Ownership { account, policy, bypass_lockout_check }).await?;
        return Ok(CreatedKey::new(Metadata::new(&backend, key, None)));
    }
    if let Some(name) = &name {
        refuse_lost(&call, &*kms, &backend, name).await?;
    }
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
