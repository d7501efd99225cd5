//! Changes of a key that its metadata tells: each is in force, caches included, when it is answered.

use std::collections::BTreeMap;

use serde::Deserialize;
use strongroom_kms::{Kms, KmsError};
use utoipa::ToSchema;

use super::owned::refuse_reserved_tags;
use super::{KeyAnswer, Metadata};
use crate::erasure;
use crate::http::{ApiError, Call, Json, JsonOrQuery, Subject};

/// Which key.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyRequest {
    /// The key's id, or an ARN that ends in it.
    #[serde(alias = "keyId", alias = "key-id")]
    key_id: String,
}

/// Which key, and tags to add.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TagRequest {
    key_id: String,
    /// Those of the same name are replaced.
    #[serde(alias = "Tags")]
    tags: BTreeMap<String, String>,
}

/// Which key, and names of tags to remove.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UntagRequest {
    key_id: String,
    /// Absent ones are no error.
    #[serde(alias = "TagKeys")]
    tag_keys: Vec<String>,
}

/// Which key, and its new description.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DescriptionRequest {
    key_id: String,
    #[serde(alias = "Description")]
    description: String,
}

macro_rules! about_a_key {
    ($($request:ty),*) => {
        $(impl Subject for $request {
            fn key_id(&self) -> Option<&str> {
                Some(&self.key_id)
            }
        })*
    };
}

about_a_key!(KeyRequest, TagRequest, UntagRequest, DescriptionRequest);

/// What is to change.
enum Change {
    Enable,
    Disable,
    Seal,
    Unseal,
    CancelDeletion,
    Tag(BTreeMap<String, String>),
    Untag(Vec<String>),
    Describe(String),
}

pub(crate) async fn enable(call: Call, JsonOrQuery(request): JsonOrQuery<KeyRequest>) -> Result<KeyAnswer, ApiError> {
    change(&call, &request.key_id, Change::Enable, "key enabled").await
}

pub(crate) async fn disable(call: Call, JsonOrQuery(request): JsonOrQuery<KeyRequest>) -> Result<KeyAnswer, ApiError> {
    change(&call, &request.key_id, Change::Disable, "key disabled").await
}

pub(crate) async fn seal(call: Call, JsonOrQuery(request): JsonOrQuery<KeyRequest>) -> Result<KeyAnswer, ApiError> {
    change(&call, &request.key_id, Change::Seal, "key sealed").await
}

pub(crate) async fn unseal(call: Call, JsonOrQuery(request): JsonOrQuery<KeyRequest>) -> Result<KeyAnswer, ApiError> {
    change(&call, &request.key_id, Change::Unseal, "key unsealed").await
}

pub(crate) async fn cancel_deletion(call: Call, JsonOrQuery(request): JsonOrQuery<KeyRequest>) -> Result<KeyAnswer, ApiError> {
    let (backend, key_id) = (call.backend_name()?, call.key_id(&request.key_id)?);
    erasure::rules::refuse_due(&call.inner, &backend, key_id).await?;
    let intent = erasure::scheduled(&call.inner, &backend, key_id).await?;
    let answer = change(&call, &request.key_id, Change::CancelDeletion, "key deletion cancelled").await?;
    if let Some(intent) = intent {
        erasure::take_back(&call.inner, &intent).await?;
    }
    Ok(answer)
}

pub(crate) async fn tag(call: Call, Json(request): Json<TagRequest>) -> Result<KeyAnswer, ApiError> {
    refuse_reserved_tags(request.tags.keys())?;
    change(&call, &request.key_id, Change::Tag(request.tags), "key tags updated").await
}

pub(crate) async fn untag(call: Call, Json(request): Json<UntagRequest>) -> Result<KeyAnswer, ApiError> {
    refuse_reserved_tags(&request.tag_keys)?;
    change(&call, &request.key_id, Change::Untag(request.tag_keys), "key tags removed").await
}

pub(crate) async fn update_description(call: Call, Json(request): Json<DescriptionRequest>) -> Result<KeyAnswer, ApiError> {
    change(&call, &request.key_id, Change::Describe(request.description), "key description updated").await
}

async fn change(call: &Call, given: &str, change: Change, message: &str) -> Result<KeyAnswer, ApiError> {
    let (backend, kms) = call.kms()?;
    let key = apply(&*kms, call.key_id(given)?, change).await?;
    call.inner.parts.engine.forget_bucket_keys();
    Ok(KeyAnswer::new(message, Metadata::complete(&call.inner, &backend, key).await?))
}

async fn apply(kms: &dyn Kms, key_id: &str, change: Change) -> Result<strongroom_kms::KeyMetadata, KmsError> {
    match change {
        Change::Enable => kms.enable_key(key_id).await,
        Change::Disable => kms.disable_key(key_id).await,
        Change::Seal => kms.seal_key(key_id).await,
        Change::Unseal => kms.unseal_key(key_id).await,
        Change::CancelDeletion => kms.cancel_deletion(key_id).await,
        Change::Tag(tags) => kms.tag(key_id, tags).await,
        Change::Untag(names) => kms.untag(key_id, &names).await,
        Change::Describe(description) => kms.update_description(key_id, &description).await,
    }
}
