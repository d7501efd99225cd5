//! The life of keys, as far as AWS lets anyone lead it.

mod create;
mod list;
mod tags;

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_kms::types;
use strongroom_kms::{Capabilities, DELETION_WINDOW_DAYS, KeyLifecycle, KeyMetadata, KeyPage, KmsError, MAX_PAGE_KEYS, MayGo, NewKey};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use crate::AwsKms;
use crate::fault::Call;
use crate::keys::{canonical_id, metadata};

/// AWS spreads a change within seconds: how often, and in which intervals, a description is asked for until it shows the change.
const SETTLE_ATTEMPTS: u32 = 20;
const SETTLE_INTERVAL: Duration = Duration::from_millis(250);

#[async_trait]
impl KeyLifecycle for AwsKms {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            create: true,
            import: true,
            list: true,
            describe: true,
            enable_disable: true,
            rotate: false,
            seal_key: false,
            tag: true,
            update_description: true,
            schedule_deletion: true,
            delete_now: false,
            seal_service: false,
        }
    }

    /// The id is AWS's choice; the name becomes the alias `alias/strongroom/<name>`.
    async fn create_key(&self, key: NewKey) -> Result<KeyMetadata, KmsError> {
        self.create(key, None).await
    }

    async fn import_key(&self, key: NewKey, material: Zeroizing<Vec<u8>>) -> Result<KeyMetadata, KmsError> {
        if material.len() != 32 {
            return Err(KmsError::InvalidArgument("imported key material must have 32 bytes".to_owned()));
        }
        self.create(key, Some(material)).await
    }

    async fn list_keys(&self, after: Option<&str>, limit: usize) -> Result<KeyPage, KmsError> {
        if limit == 0 {
            return Err(KmsError::InvalidArgument("the limit of a list must be at least 1".to_owned()));
        }
        self.page(after, limit.min(MAX_PAGE_KEYS)).await
    }

    async fn describe_key(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        self.shown(&self.description(canonical_id(key_id)?).await?).await
    }

    async fn enable_key(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        let call = Call { action: "kms:EnableKey", key_id: canonical_id(key_id)? };
        match self.connection.send(call, |aws| aws.enable_key().key_id(call.key_id).send()).await {
            Ok(_) => self.settled(call.key_id, |key| key.key_state == Some(types::KeyState::Enabled)).await,
            Err(fault) => Err(self.error_of(call, fault).await),
        }
    }

    async fn disable_key(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        let call = Call { action: "kms:DisableKey", key_id: canonical_id(key_id)? };
        match self.connection.send(call, |aws| aws.disable_key().key_id(call.key_id).send()).await {
            Ok(_) => self.settled(call.key_id, |key| key.key_state == Some(types::KeyState::Disabled)).await,
            Err(fault) => Err(self.error_of(call, fault).await),
        }
    }

    /// A ciphertext does not tell under which material it was made, so a rotation here could not promise a version.
    async fn rotate_key(&self, _: &str) -> Result<KeyMetadata, KmsError> {
        self.cannot("rotate a key: let AWS rotate it")
    }

    async fn seal_key(&self, _: &str) -> Result<KeyMetadata, KmsError> {
        self.cannot("seal a key")
    }

    async fn unseal_key(&self, _: &str) -> Result<KeyMetadata, KmsError> {
        self.cannot("unseal a key")
    }

    async fn tag(&self, key_id: &str, tags: BTreeMap<String, String>) -> Result<KeyMetadata, KmsError> {
        let key_id = canonical_id(key_id)?;
        self.add_tags(key_id, &tags).await?;
        self.describe_key(key_id).await
    }

    async fn untag(&self, key_id: &str, names: &[String]) -> Result<KeyMetadata, KmsError> {
        let key_id = canonical_id(key_id)?;
        self.remove_tags(key_id, names).await?;
        self.describe_key(key_id).await
    }

    async fn update_description(&self, key_id: &str, description: &str) -> Result<KeyMetadata, KmsError> {
        let call = Call { action: "kms:UpdateKeyDescription", key_id: canonical_id(key_id)? };
        let request = |aws: aws_sdk_kms::Client| aws.update_key_description().key_id(call.key_id).description(description).send();
        match self.connection.send(call, request).await {
            Ok(_) => self.settled(call.key_id, |key| key.description.as_deref().unwrap_or_default() == description).await,
            Err(fault) => Err(self.error_of(call, fault).await),
        }
    }

    async fn schedule_deletion(&self, key_id: &str, window_days: u32) -> Result<KeyMetadata, KmsError> {
        let call = Call { action: "kms:ScheduleKeyDeletion", key_id: canonical_id(key_id)? };
        let Some(days) = i32::try_from(window_days).ok().filter(|_| DELETION_WINDOW_DAYS.contains(&window_days)) else {
            return Err(KmsError::InvalidArgument("a deletion can be scheduled in 7 to 30 days".to_owned()));
        };
        let request = |aws: aws_sdk_kms::Client| aws.schedule_key_deletion().key_id(call.key_id).pending_window_in_days(days).send();
        match self.connection.send(call, request).await {
            Ok(_) => self.settled(call.key_id, |key| key.deletion_date.is_some()).await,
            Err(fault) => Err(self.error_of(call, fault).await),
        }
    }

    /// AWS hands the key back disabled.
    async fn cancel_deletion(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        let call = Call { action: "kms:CancelKeyDeletion", key_id: canonical_id(key_id)? };
        match self.connection.send(call, |aws| aws.cancel_key_deletion().key_id(call.key_id).send()).await {
            Ok(_) => self.settled(call.key_id, |key| key.deletion_date.is_none()).await,
            Err(fault) => Err(fault.into_error(call)),
        }
    }

    /// AWS destroys nothing before its window has passed.
    async fn delete_now(&self, _: &str, _: &str) -> Result<KeyMetadata, KmsError> {
        self.cannot("delete a key at once: schedule its deletion")
    }

    /// AWS destroys keys by its own clock and remembers none of them: there is never one to destroy here.
    async fn reap_deleted(&self, _: OffsetDateTime, _: &MayGo) -> Result<Vec<String>, KmsError> {
        Ok(Vec::new())
    }

    async fn seal_service(&self) -> Result<(), KmsError> {
        self.cannot("seal the service")
    }

    async fn unseal_service(&self) -> Result<(), KmsError> {
        self.cannot("unseal the service")
    }
}

impl AwsKms {
    /// The key with its tags.
    async fn shown(&self, key: &types::KeyMetadata) -> Result<KeyMetadata, KmsError> {
        Ok(metadata(key, self.tags(&key.key_id).await?))
    }

    /// The key once AWS shows the change that was just made, or as it is if that takes too long.
    async fn settled(&self, key_id: &str, shows: impl Fn(&types::KeyMetadata) -> bool) -> Result<KeyMetadata, KmsError> {
        let mut key = self.description(key_id).await?;
        for _ in 1..SETTLE_ATTEMPTS {
            if shows(&key) {
                break;
            }
            tokio::time::sleep(SETTLE_INTERVAL).await;
            key = self.description(key_id).await?;
        }
        self.shown(&key).await
    }

    fn cannot<T>(&self, operation: &'static str) -> Result<T, KmsError> {
        Err(KmsError::Unsupported { backend: self.name.clone(), operation })
    }
}
