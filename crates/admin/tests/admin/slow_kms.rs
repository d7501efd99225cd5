//! A key server as AWS KMS is one: it destroys a key after a window of its own and never at once, and it may be away.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use serde_json::{Map, Value};
use strongroom_keyring::BackendType;
use strongroom_kms::{
    Capabilities, DataKey, DataKeySpec, EncryptionContext, KeyLifecycle, KeyMetadata, KeyPage, KeyService, Kms, KmsError, LocalConfig,
    LocalKms, MasterKeySource, MayGo, NewKey, WrappedKey,
};
use time::OffsetDateTime;
use zeroize::Zeroizing;

/// The `backend_type`.
pub(crate) const SLOW: &str = "slow";

/// Makes such backends.
pub(crate) struct SlowType {
    pub(crate) key_dir: PathBuf,
    /// While it is set, the server answers nothing.
    pub(crate) away: Arc<AtomicBool>,
}

struct SlowKms {
    keys: LocalKms,
    away: Arc<AtomicBool>,
}

#[async_trait]
impl BackendType for SlowType {
    fn name(&self) -> &'static str {
        SLOW
    }

    fn shown_fields(&self) -> &'static [&'static str] {
        &[]
    }

    fn destination_fields(&self) -> &'static [&'static str] {
        &[]
    }

    fn path_fields(&self) -> &'static [&'static str] {
        &[]
    }

    async fn build(&self, _: &str, _: &Map<String, Value>) -> Result<Arc<dyn Kms>, KmsError> {
        let master = MasterKeySource::Value(Zeroizing::new([8; 32]));
        let keys = LocalKms::open(LocalConfig { key_dir: self.key_dir.clone(), master }).await?;
        Ok(Arc::new(SlowKms { keys, away: Arc::clone(&self.away) }))
    }
}

impl SlowKms {
    fn there(&self) -> Result<&LocalKms, KmsError> {
        if self.away.load(Ordering::SeqCst) { Err(KmsError::Unavailable("the key server is away".to_owned())) } else { Ok(&self.keys) }
    }
}

#[async_trait]
impl KeyService for SlowKms {
    fn backend(&self) -> &str {
        SLOW
    }

    async fn check_usable(&self, key_id: &str) -> Result<String, KmsError> {
        self.there()?.check_usable(key_id).await
    }

    async fn generate_data_key(&self, key_id: &str, spec: DataKeySpec, context: &EncryptionContext) -> Result<DataKey, KmsError> {
        let mut made = self.there()?.generate_data_key(key_id, spec, context).await?;
        SLOW.clone_into(&mut made.wrapped.backend);
        Ok(made)
    }

    async fn unwrap_data_key(&self, wrapped: &WrappedKey, context: &EncryptionContext) -> Result<Zeroizing<Vec<u8>>, KmsError> {
        let wrapped = WrappedKey { backend: self.keys.backend().to_owned(), ..wrapped.clone() };
        self.there()?.unwrap_data_key(&wrapped, context).await
    }

    async fn rewrap_data_key(&self, _: &WrappedKey, _: &EncryptionContext) -> Result<WrappedKey, KmsError> {
        Err(KmsError::Unsupported { backend: SLOW.to_owned(), operation: "rewrap" })
    }
}

#[async_trait]
impl KeyLifecycle for SlowKms {
    fn capabilities(&self) -> Capabilities {
        Capabilities { delete_now: false, ..self.keys.capabilities() }
    }

    async fn create_key(&self, key: NewKey) -> Result<KeyMetadata, KmsError> {
        self.there()?.create_key(key).await
    }

    async fn import_key(&self, key: NewKey, material: Zeroizing<Vec<u8>>) -> Result<KeyMetadata, KmsError> {
        self.there()?.import_key(key, material).await
    }

    async fn list_keys(&self, after: Option<&str>, limit: usize) -> Result<KeyPage, KmsError> {
        self.there()?.list_keys(after, limit).await
    }

    async fn describe_key(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        self.there()?.describe_key(key_id).await
    }

    async fn enable_key(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        self.there()?.enable_key(key_id).await
    }

    async fn disable_key(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        self.there()?.disable_key(key_id).await
    }

    async fn rotate_key(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        self.there()?.rotate_key(key_id).await
    }

    async fn seal_key(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        self.there()?.seal_key(key_id).await
    }

    async fn unseal_key(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        self.there()?.unseal_key(key_id).await
    }

    async fn tag(&self, key_id: &str, tags: BTreeMap<String, String>) -> Result<KeyMetadata, KmsError> {
        self.there()?.tag(key_id, tags).await
    }

    async fn untag(&self, key_id: &str, names: &[String]) -> Result<KeyMetadata, KmsError> {
        self.there()?.untag(key_id, names).await
    }

    async fn update_description(&self, key_id: &str, description: &str) -> Result<KeyMetadata, KmsError> {
        self.there()?.update_description(key_id, description).await
    }

    async fn schedule_deletion(&self, key_id: &str, window_days: u32) -> Result<KeyMetadata, KmsError> {
        self.there()?.schedule_deletion(key_id, window_days).await
    }

    async fn cancel_deletion(&self, key_id: &str) -> Result<KeyMetadata, KmsError> {
        self.there()?.cancel_deletion(key_id).await
    }

    async fn delete_now(&self, _: &str, _: &str) -> Result<KeyMetadata, KmsError> {
        Err(KmsError::Unsupported { backend: SLOW.to_owned(), operation: "delete a key at once" })
    }

    async fn reap_deleted(&self, now: OffsetDateTime, may_go: &MayGo) -> Result<Vec<String>, KmsError> {
        self.there()?.reap_deleted(now, may_go).await
    }

    async fn seal_service(&self) -> Result<(), KmsError> {
        self.there()?.seal_service().await
    }

    async fn unseal_service(&self) -> Result<(), KmsError> {
        self.there()?.unseal_service().await
    }
}
