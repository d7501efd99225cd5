//! The end of keys: what is lost is stated before it is lost.

use serde::{Deserialize, Serialize};
use strongroom_access::Action;
use strongroom_audit::SignedReceipt;
use strongroom_kms::Kms;
use utoipa::ToSchema;

use super::{Metadata, Usage, usage_of};
use crate::erasure::{self, Intent};
use crate::http::{ApiError, Call, JsonOrQuery, Subject};

/// The window where none is asked for. Source: AWS KMS `ScheduleKeyDeletion`.
const DEFAULT_WINDOW_DAYS: u32 = 30;

/// Which key, and when.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeleteKey {
    /// The key's id, or an ARN that ends in it.
    #[serde(alias = "keyId", alias = "key-id")]
    key_id: String,
    /// 7 to 30; 30 if it is left out.
    #[serde(default)]
    pending_window_in_days: Option<u32>,
    /// Destroys the key now. Needs `confirm_key_id`.
    #[serde(default)]
    force_immediate: bool,
    /// The key's bare id once more.
    #[serde(default)]
    confirm_key_id: Option<String>,
}

impl Subject for DeleteKey {
    fn key_id(&self) -> Option<&str> {
        Some(&self.key_id)
    }

    fn actions(&self, declared: &'static [Action]) -> Vec<Action> {
        let extra = self.force_immediate.then_some(Action::DeleteKeyNow);
        declared.iter().copied().chain(extra).collect()
    }
}

/// How it ended, and what is lost or will be.
#[derive(Serialize, ToSchema)]
pub(crate) struct DeletedKey {
    success: bool,
    message: String,
    key_id: String,
    key_metadata: Metadata,
    /// What depends on the key.
    usage: Usage,
    /// Signed proof, where the key was destroyed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<erasure::ReceiptShape>)]
    receipt: Option<SignedReceipt>,
}

pub(crate) async fn delete(call: Call, JsonOrQuery(request): JsonOrQuery<DeleteKey>) -> Result<DeletedKey, ApiError> {
    let (backend, kms) = call.kms()?;
    let key_id = call.key_id(&request.key_id)?.to_owned();
    kms.describe_key(&key_id).await?;
    let usage = usage_of(&call.inner, &backend, &key_id).await?;
    for (name, number) in [("objects", usage.objects), ("bytes", usage.bytes), ("uploads", usage.uploads)] {
        call.note(name, number.to_string());
    }
    let deleted = if request.force_immediate {
        delete_now(&call, &*kms, &request, usage).await
    } else {
        schedule(&call, &*kms, &request, usage).await
    };
    call.inner.parts.engine.forget_bucket_keys();
    deleted
}

async fn schedule(call: &Call, kms: &dyn Kms, request: &DeleteKey, usage: Usage) -> Result<DeletedKey, ApiError> {
    if request.confirm_key_id.is_some() {
        return Err(ApiError::invalid("confirm_key_id belongs to force_immediate"));
    }
    let days = request.pending_window_in_days.unwrap_or(DEFAULT_WINDOW_DAYS);
    call.note("pending_window_in_days", days.to_string());
    // Before the key goes, so that its receipt tells who asked for it.
    let intent = Intent::of(call, &usage, days);
    let is_new = erasure::intend(&call.inner, intent.clone()).await?;
    let key = match kms.schedule_deletion(&usage.key_id, days).await {
        Ok(key) => key,
        Err(error) => {
            if is_new {
                erasure::take_back(&call.inner, &intent).await?;
            }
            return Err(error.into());
        }
    };
    let key_metadata = Metadata::complete(&call.inner, &usage.backend, key).await?;
    let message = "key scheduled for deletion".to_owned();
    Ok(DeletedKey { success: true, message, key_id: usage.key_id.clone(), key_metadata, usage, receipt: None })
}

async fn delete_now(call: &Call, kms: &dyn Kms, request: &DeleteKey, usage: Usage) -> Result<DeletedKey, ApiError> {
    if request.pending_window_in_days.is_some() {
        return Err(ApiError::invalid("pending_window_in_days and force_immediate exclude each other"));
    }
    if request.confirm_key_id.as_deref() != Some(usage.key_id.as_str()) {
        let message = format!(
            "confirm_key_id: expected {}, the id of the key once more. With it {} objects of {} bytes and {} uploads are lost for good.",
            usage.key_id, usage.objects, usage.bytes, usage.uploads
        );
        return Err(ApiError::invalid(message));
    }
    call.note_event(|event| "DeleteKeyNow".clone_into(&mut event.operation));
    // Before the key goes, so that there is a receipt though the server stops in between.
    erasure::intend(&call.inner, Intent::of(call, &usage, 0)).await?;
    let key = kms.delete_now(&usage.key_id, &usage.key_id).await?;
    let receipt = erasure::conclude(&call.inner, &usage.backend, &usage.key_id).await;
    // The key is gone either way; what is left to do is done in the background.
    let receipt = receipt.inspect_err(|error| tracing::error!(error = error.message, "an erasure receipt is still to be written")).ok();
    let key_metadata = Metadata::new(&usage.backend, key, None);
    let message = "key deleted for good".to_owned();
    Ok(DeletedKey { success: true, message, key_id: usage.key_id.clone(), key_metadata, usage, receipt })
}
