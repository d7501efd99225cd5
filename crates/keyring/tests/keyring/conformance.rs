//! Every wrapper, and the keyring over all of them, through the conformance suite.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::json;
use strongroom_keyring::{Guard, GuardConfig, Keyring, Ledger, Overlay};
use strongroom_kms::conformance::{Backend, run_all};
use strongroom_kms::{CacheConfig, CachedKms, DataKey, DataKeySpec, EncryptionContext, KeyService, Kms, KmsError, NewKey, WrappedKey};
use zeroize::Zeroizing;

use crate::support::{MemoryKms, MemoryServer, MemoryState, World, change};

fn keys() -> [String; 2] {
    ["first".to_owned(), "second".to_owned()]
}

fn server() -> Arc<MemoryServer> {
    MemoryServer::with_two_keys(false)
}

fn backend(kms: Arc<dyn Kms>, keep: Box<dyn std::any::Any>) -> Backend {
    Backend { service: kms.clone(), lifecycle: Some(kms), key_ids: keys(), keep }
}

fn overlay<K: Kms + ?Sized>(inner: Arc<K>) -> Overlay<K> {
    Overlay::new(inner, Arc::new(Ledger::new("any", Arc::new(MemoryState::default()))))
}

fn guard<K: Kms + ?Sized>(inner: Arc<K>) -> Guard<K> {
    Guard::new(inner, GuardConfig::default(), Arc::default())
}

async fn local() -> (World, Arc<dyn Kms>) {
    let world = World::new().await;
    for key_id in keys() {
        world.local.ensure_key(&key_id, "").await.unwrap();
    }
    let kms = Arc::clone(&world.local) as _;
    (world, kms)
}

/// The keyring as the store uses it, by the name of its only backend.
struct AsBackend(Arc<Keyring>);

#[async_trait]
impl KeyService for AsBackend {
    fn backend(&self) -> &'static str {
        "a"
    }

    async fn check_usable(&self, key_id: &str) -> Result<String, KmsError> {
        self.0.check_usable(key_id).await
    }

    async fn generate_data_key(&self, key_id: &str, spec: DataKeySpec, context: &EncryptionContext) -> Result<DataKey, KmsError> {
        self.0.generate_data_key(key_id, spec, context).await
    }

    async fn unwrap_data_key(&self, wrapped: &WrappedKey, context: &EncryptionContext) -> Result<Zeroizing<Vec<u8>>, KmsError> {
        self.0.unwrap_data_key(wrapped, context).await
    }

    async fn rewrap_data_key(&self, wrapped: &WrappedKey, context: &EncryptionContext) -> Result<WrappedKey, KmsError> {
        self.0.rewrap_data_key(wrapped, context).await
    }
}

#[tokio::test]
async fn the_bare_backend_of_these_tests_conforms() {
    run_all(async || backend(Arc::new(MemoryKms::new("memory", &server())), Box::new(()))).await;
}

#[tokio::test]
async fn the_overlay_gives_a_poor_backend_the_whole_life_of_a_key() {
    let overlay_of = |server: Arc<MemoryServer>| overlay(Arc::new(MemoryKms::new("memory", &server)));
    let can = strongroom_kms::KeyLifecycle::capabilities(&overlay_of(server()));
    assert!(can.enable_disable && can.seal_key && can.tag && can.update_description && can.schedule_deletion && can.delete_now);
    run_all(async || backend(Arc::new(overlay_of(server())), Box::new(()))).await;
}

#[tokio::test]
async fn the_overlay_around_the_local_backend_conforms() {
    run_all(async || {
        let (world, kms) = local().await;
        backend(Arc::new(overlay(kms)), Box::new(world))
    })
    .await;
}

#[tokio::test]
async fn the_guard_around_either_backend_conforms() {
    run_all(async || {
        let (world, kms) = local().await;
        backend(Arc::new(guard(kms)), Box::new(world))
    })
    .await;
    run_all(async || backend(Arc::new(guard(Arc::new(MemoryKms::new("memory", &server())))), Box::new(()))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_whole_stack_conforms_over_either_backend() {
    let stack = |kms: Arc<dyn Kms>| CachedKms::new(Arc::new(overlay(Arc::new(guard(kms)))), CacheConfig::default());
    run_all(async || {
        let (world, kms) = local().await;
        backend(Arc::new(stack(kms)), Box::new(world))
    })
    .await;
    run_all(async || backend(Arc::new(stack(Arc::new(MemoryKms::new("memory", &server())))), Box::new(()))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_keyring_conforms_over_an_outside_backend() {
    run_all(async || {
        let world = World::new().await;
        let keyring = world.running().await;
        let lifecycle = Some(keyring.kms(None).unwrap() as _);
        Backend { service: Arc::new(AsBackend(keyring)), lifecycle, key_ids: keys(), keep: Box::new(world) }
    })
    .await;
}

#[tokio::test]
async fn the_keyring_conforms_over_the_local_backend() {
    run_all(async || {
        let world = World::new().await;
        let keyring = world.open().await;
        keyring.configure(change(json!({"backend_type": "local", "default_key_id": "first"}))).await.unwrap();
        keyring.start().await.unwrap();
        let kms = keyring.kms(Some("local")).unwrap();
        kms.create_key(NewKey { name: Some("second".to_owned()), ..NewKey::default() }).await.unwrap();
        backend(kms, Box::new((world, keyring)))
    })
    .await;
}
