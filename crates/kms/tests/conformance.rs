//! Every backend and wrapper of this crate through the conformance suite, and the suite against bad backends.
#![allow(clippy::unwrap_used)]

mod common;
mod incapable;

use std::sync::Arc;

use async_trait::async_trait;
use common::Home;
use incapable::Incapable;
use strongroom_kms::conformance::{Backend, run_all};
use strongroom_kms::testing::CountingKms;
use strongroom_kms::{
    CacheConfig, CachedKms, DataKey, DataKeySpec, EncryptionContext, KeyMaterial, KeyService, Kms, KmsError, MaterialStore, WrappedKey,
};
use zeroize::Zeroizing;

async fn local() -> (Home, Arc<dyn Kms>) {
    let home = Home::new();
    let kms = home.open().await;
    kms.ensure_key("first", "").await.unwrap();
    kms.ensure_key("second", "").await.unwrap();
    (home, Arc::new(kms))
}

fn backend(home: Home, kms: Arc<dyn Kms>) -> Backend {
    Backend { service: kms.clone(), lifecycle: Some(kms), key_ids: ["first".to_owned(), "second".to_owned()], keep: Box::new(home) }
}

#[tokio::test]
async fn the_local_backend_conforms() {
    run_all(async || {
        let (home, kms) = local().await;
        backend(home, kms)
    })
    .await;
}

#[tokio::test]
async fn the_cache_around_the_local_backend_conforms() {
    run_all(async || {
        let (home, kms) = local().await;
        backend(home, Arc::new(CachedKms::new(kms, CacheConfig::default())))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stack_of_wrappers_conforms_on_several_threads() {
    run_all(async || {
        let (home, kms) = local().await;
        let config = CacheConfig { max_keys: 2, ..CacheConfig::default() };
        backend(home, Arc::new(CachedKms::new(Arc::new(CountingKms::new(kms)), config)))
    })
    .await;
}

/// Key material in memory, as an outside store of secrets keeps it.
struct Materials;

#[async_trait]
impl MaterialStore for Materials {
    fn name(&self) -> &'static str {
        "materials"
    }

    async fn material(&self, key_id: &str, version: Option<u32>) -> Result<KeyMaterial, KmsError> {
        let seed = match key_id {
            "first" => 1,
            "second" => 2,
            "short" => return Ok(KeyMaterial { key_id: key_id.to_owned(), version: 1, bytes: Zeroizing::new(vec![0; 31]) }),
            _ => return Err(KmsError::KeyNotFound(key_id.to_owned())),
        };
        match version.unwrap_or(2) {
            version @ 1..=2 => {
                let material = vec![seed * 16 + u8::try_from(version).unwrap(); 32];
                Ok(KeyMaterial { key_id: key_id.to_owned(), version, bytes: Zeroizing::new(material) })
            }
            _ => Err(KmsError::Rejected),
        }
    }
}

fn materials() -> Backend {
    let key_ids = ["first".to_owned(), "second".to_owned()];
    Backend { service: Arc::new(Materials), lifecycle: None, key_ids, keep: Box::new(()) }
}

#[tokio::test]
async fn a_store_of_key_material_conforms() {
    run_all(async || materials()).await;
}

#[tokio::test]
async fn the_cache_around_a_store_of_key_material_conforms() {
    run_all(async || {
        let service = Arc::new(CachedKms::new(Arc::new(Materials), CacheConfig::default()));
        Backend { service, ..materials() }
    })
    .await;
}

#[tokio::test]
async fn a_data_key_of_a_material_store_belongs_to_its_backend_version_and_domain() {
    let context = common::context("a");
    let data_key = Materials.generate_data_key("key/first", DataKeySpec::TwoAes256, &context).await.unwrap();
    let WrappedKey { backend, key_id, key_version, ciphertext } = data_key.wrapped.clone();
    assert_eq!((backend.as_str(), key_id.as_str(), key_version, ciphertext.len()), ("materials", "first", 2, 5 + 32 + 64 + 16));
    assert_eq!(Materials.unwrap_data_key(&data_key.wrapped, &context).await.unwrap(), data_key.plaintext);
    for other in [
        WrappedKey { backend: "local".to_owned(), ..data_key.wrapped.clone() },
        WrappedKey { key_version: 1, ..data_key.wrapped.clone() },
        WrappedKey { key_version: 3, ..data_key.wrapped.clone() },
        WrappedKey { key_id: "second".to_owned(), ..data_key.wrapped.clone() },
    ] {
        assert!(matches!(Materials.unwrap_data_key(&other, &context).await, Err(KmsError::Rejected)), "{other:?}");
    }
}

#[tokio::test]
async fn malformed_material_is_reported_and_not_used() {
    let answer = Materials.generate_data_key("short", DataKeySpec::Aes256, &common::context("a")).await;
    let Err(KmsError::Broken(text)) = answer else { panic!("not Broken") };
    assert_eq!(text, "the material of the key short in the backend does not have 32 bytes");
}

#[tokio::test]
async fn a_backend_without_lifecycle_conforms() {
    run_all(async || {
        let (home, kms) = local().await;
        Backend { lifecycle: None, ..backend(home, kms) }
    })
    .await;
}

#[tokio::test]
async fn a_backend_that_can_change_nothing_conforms() {
    run_all(async || {
        let (home, kms) = local().await;
        Backend { lifecycle: Some(Arc::new(Incapable)), ..backend(home, kms) }
    })
    .await;
}

/// Breaks one promise of the service it stands before.
struct Faulty {
    inner: Arc<dyn Kms>,
    fault: Promise,
}

#[derive(Clone, Copy, PartialEq)]
enum Promise {
    BindsTheContext,
    BindsTheKey,
    NeverRepeatsADataKey,
    NotesTheVersion,
}

#[async_trait]
impl KeyService for Faulty {
    fn backend(&self) -> &str {
        self.inner.backend()
    }

    async fn check_usable(&self, key_id: &str) -> Result<String, KmsError> {
        self.inner.check_usable(key_id).await
    }

    async fn generate_data_key(&self, key_id: &str, spec: DataKeySpec, context: &EncryptionContext) -> Result<DataKey, KmsError> {
        let mut key = self.inner.generate_data_key(key_id, spec, &self.seen(context)).await?;
        if self.fault == Promise::NeverRepeatsADataKey {
            key.plaintext.fill(7);
        }
        if self.fault == Promise::NotesTheVersion {
            key.wrapped.key_version = 0;
        }
        Ok(key)
    }

    async fn unwrap_data_key(&self, wrapped: &WrappedKey, context: &EncryptionContext) -> Result<Zeroizing<Vec<u8>>, KmsError> {
        let answer = self.inner.unwrap_data_key(wrapped, &self.seen(context)).await;
        if self.fault == Promise::BindsTheKey && matches!(answer, Err(KmsError::Rejected)) && wrapped.key_id == "second" {
            let first = WrappedKey { key_id: "first".to_owned(), ..wrapped.clone() };
            return self.inner.unwrap_data_key(&first, context).await;
        }
        answer
    }

    async fn rewrap_data_key(&self, wrapped: &WrappedKey, context: &EncryptionContext) -> Result<WrappedKey, KmsError> {
        self.inner.rewrap_data_key(wrapped, &self.seen(context)).await
    }
}

impl Faulty {
    fn seen(&self, context: &EncryptionContext) -> EncryptionContext {
        if self.fault == Promise::BindsTheContext { EncryptionContext::default() } else { context.clone() }
    }
}

async fn run_faulty(fault: Promise) {
    run_all(async || {
        let (home, inner) = local().await;
        let service = Arc::new(Faulty { inner: inner.clone(), fault });
        Backend { service, ..backend(home, inner) }
    })
    .await;
}

#[tokio::test]
#[should_panic(expected = "under another context")]
async fn the_suite_finds_a_backend_that_ignores_the_context() {
    run_faulty(Promise::BindsTheContext).await;
}

#[tokio::test]
#[should_panic(expected = "under another key's id")]
async fn the_suite_finds_a_backend_that_ignores_the_key_id() {
    run_faulty(Promise::BindsTheKey).await;
}

#[tokio::test]
#[should_panic(expected = "opens to the plaintext it was generated with")]
async fn the_suite_finds_a_backend_that_repeats_data_keys() {
    run_faulty(Promise::NeverRepeatsADataKey).await;
}

#[tokio::test]
#[should_panic(expected = "versions count from 1")]
async fn the_suite_finds_a_backend_that_forgets_the_version() {
    run_faulty(Promise::NotesTheVersion).await;
}

/// A cache that is not told of lifecycle changes, because they go past it.
#[tokio::test]
#[should_panic(expected = "must answer KeyDisabled, but it succeeded")]
async fn the_suite_finds_a_cache_that_outlives_a_disabled_key() {
    run_all(async || {
        let (home, kms) = local().await;
        let service = Arc::new(CachedKms::new(kms.clone(), CacheConfig::default()));
        Backend { service, ..backend(home, kms) }
    })
    .await;
}
