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
use strongroom_kms::{CacheConfig, CachedKms, DataKey, DataKeySpec, EncryptionContext, KeyService, Kms, KmsError, WrappedKey};
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
