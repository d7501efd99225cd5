//! The end of keys: what is lost is stated before it is lost.

use serde::{Deserialize, Serialize};
use strongroom_access::Action;
use strongroom_audit::SignedReceipt;
use strongroom_engine::api::LockedVersion;
use strongroom_kms::Kms;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::ToSchema;

use super::{Metadata, Usage, usage_of};
use crate::erasure::{self, Intent};
use crate::http::{ApiError, Call, JsonOrQuery, Subject};

/// The window where none is asked for. Source: AWS KMS `ScheduleKeyDeletion`.
const DEFAULT_WINDOW_DAYS: u32 = 30;

/// So many locked versions are named where a key cannot be deleted on their account, of so many that are looked at.
const MAX_NAMED: usize = 5;
const MAX_LOOKED_AT: usize = 100;

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
    /// Destroys the key though Object Lock keeps versions that depend on it. Needs `force_immediate`.
    #[serde(default)]
    destroy_locked: bool,
}

impl Subject for DeleteKey {
    fn key_id(&self) -> Option<&str> {
        Some(&self.key_id)
    }

    fn actions(&self, declared: &'static [Action]) -> Vec<Action> {
        let now = self.force_immediate.then_some(Action::DeleteKeyNow);
        let locked = self.destroy_locked.then_some(Action::DeleteLockedKey);
        declared.iter().copied().chain(now).chain(locked).collect()
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
    if call.is_of_a_tenant() {
        erasure::check_room_for_tenants(&call.inner).await?;
    }
    let (backend, kms) = call.kms()?;
    // What depends on the key is stored under the id that the backend knows it by.
    let key_id = kms.describe_key(call.key_id(&request.key_id)?).await?.key_id;
    let deletion = Deletion { call: &call, kms: &*kms, backend, key_id };
    let deleted = if request.force_immediate { deletion.now(&request).await } else { deletion.scheduled(&request).await };
    call.inner.parts.engine.forget_bucket_keys();
    deleted
}

/// The deletion of one key.
struct Deletion<'a> {
    call: &'a Call,
    kms: &'a dyn Kms,
    backend: String,
    key_id: String,
}

impl Deletion<'_> {
    async fn scheduled(self, request: &DeleteKey) -> Result<DeletedKey, ApiError> {
        let Self { call, kms, .. } = self;
        if request.confirm_key_id.is_some() {
            return Err(ApiError::invalid("confirm_key_id belongs to force_immediate"));
        }
        if request.destroy_locked {
            return Err(ApiError::invalid("destroy_locked belongs to force_immediate"));
        }
        let days = request.pending_window_in_days.unwrap_or(DEFAULT_WINDOW_DAYS);
        call.note("pending_window_in_days", days.to_string());
        // While it is closed no version under it can be locked; after that its state forbids it.
        let closed = call.inner.parts.keyring.close_key(&self.backend, &self.key_id).await?;
        self.check_unlocked().await?;
        let key = erasure::schedule(&call.inner, kms, Intent::of(call, &self.backend, &self.key_id, days), days).await?;
        drop(closed);
        // After the change: from here on nothing is committed under the key.
        let usage = self.counted().await?;
        let key_metadata = Metadata::complete(&call.inner, &self.backend, key).await?;
        let message = "key scheduled for deletion".to_owned();
        Ok(DeletedKey { success: true, message, key_id: self.key_id, key_metadata, usage, receipt: None })
    }

    /// Closed and counted before it is destroyed: whatever is acknowledged under the key is in the count.
    async fn now(self, request: &DeleteKey) -> Result<DeletedKey, ApiError> {
        let Self { call, kms, .. } = self;
        if request.pending_window_in_days.is_some() {
            return Err(ApiError::invalid("pending_window_in_days and force_immediate exclude each other"));
        }
        if request.confirm_key_id.as_deref() != Some(self.key_id.as_str()) {
            return Err(self.unconfirmed().await?);
        }
        call.note_event(|event| "DeleteKeyNow".clone_into(&mut event.operation));
        let closed = call.inner.parts.keyring.close_key(&self.backend, &self.key_id).await?;
        let locked_versions = if request.destroy_locked {
            call.note("destroy_locked", "true");
            call.inner.parts.engine.count_locked_under_key(&self.backend, &self.key_id).await?
        } else {
            self.check_unlocked().await?;
            0
        };
        call.note("locked_versions", locked_versions.to_string());
        let usage = self.counted().await?;
        let intent = Intent::of(call, &self.backend, &self.key_id, 0).losing(&usage, locked_versions);
        let (key, receipt) = erasure::destroy(&call.inner, kms, intent).await?;
        drop(closed);
        let key_metadata = Metadata::new(&self.backend, key, None);
        let message = "key deleted for good".to_owned();
        Ok(DeletedKey { success: true, message, key_id: self.key_id, key_metadata, usage, receipt })
    }

    /// What depends on the key, for the answer and the audit record.
    async fn counted(&self) -> Result<Usage, ApiError> {
        let usage = usage_of(&self.call.inner, &self.backend, &self.key_id).await?;
        for (name, number) in [("objects", usage.objects), ("bytes", usage.bytes), ("uploads", usage.uploads)] {
            self.call.note(name, number.to_string());
        }
        Ok(usage)
    }

    /// Refuses the end of a key on which versions depend that Object Lock keeps; says which, and until when.
    async fn check_unlocked(&self) -> Result<(), ApiError> {
        let locked = self.call.inner.parts.engine.locked_under_key(&self.backend, &self.key_id, MAX_LOOKED_AT).await?;
        if locked.is_empty() {
            return Ok(());
        }
        Err(ApiError::conflict(
            "LockedVersions",
            format!(
                "Object Lock keeps versions that depend on the key {}: {}. Delete the key after all locks have ended. To destroy the key and \
                 these versions now, use --now --destroy-locked (API: force_immediate, destroy_locked). This needs kms:DeleteLockedKey, and the audit log records it.",
                self.key_id,
                named_to(self.call, &locked),
            ),
        ))
    }

    async fn unconfirmed(&self) -> Result<ApiError, ApiError> {
        let Usage { key_id, objects, bytes, uploads, .. } = self.counted().await?;
        Ok(ApiError::invalid(format!(
            "confirm_key_id: expected {key_id}, the id of the key once more. With it {objects} objects of {bytes} bytes and {uploads} uploads are lost for good."
        )))
    }
}

/// Names locked versions to a caller. Who may delete keys need not be told the names of others' objects.
pub(crate) fn named_to(call: &Call, locked: &[LockedVersion]) -> String {
    let may_see = |locked: &&LockedVersion| call.may_in_bucket(Action::ListBucketVersions, &locked.bucket);
    let mut names: Vec<_> = locked.iter().filter(may_see).take(MAX_NAMED).map(named).collect();
    if names.len() < locked.len() {
        names.push(if names.is_empty() { "in buckets that you may not list".to_owned() } else { "and others".to_owned() });
    }
    names.join(", ")
}

fn named(locked: &LockedVersion) -> String {
    let LockedVersion { bucket, key, version_id, until_ms } = locked;
    let until = until_ms.and_then(|ms| OffsetDateTime::from_unix_timestamp(ms.div_euclid(1000)).ok()?.format(&Rfc3339).ok());
    let until = until.map_or_else(|| "until its hold is released".to_owned(), |until| format!("until {until}"));
    format!("{bucket}/{key} (version {version_id}, {until})")
}
