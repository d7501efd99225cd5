//! A bounded, short-lived cache of unwrapped data keys around any backend.

mod lifecycle;
mod lookup;
mod store;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use zeroize::Zeroizing;

use self::lookup::{Lookup, Shared};
use crate::{DataKey, DataKeySpec, EncryptionContext, KeyService, KmsError, WrappedKey, crypto};

/// How much is cached and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheConfig {
    /// Whether anything is cached at all.
    pub enabled: bool,
    /// The most data keys held; the one unused for longest makes room.
    pub max_keys: usize,
    /// How long a data key may be served after its unwrap, however often it is used.
    pub ttl_seconds: u64,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self { enabled: true, max_keys: 1000, ttl_seconds: 300 }
    }
}

/// What the cache holds and has done, for status and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheSummary {
    /// As configured.
    pub enabled: bool,
    /// As configured.
    pub max_keys: usize,
    /// As configured.
    pub ttl_seconds: u64,
    /// Data keys held now.
    pub entries: usize,
    /// Unwraps answered without the backend since the start.
    pub hits: u64,
    /// Unwraps that went to the backend since the start.
    pub misses: u64,
}

/// A KMS that remembers what it unwrapped.
///
/// Concurrent unwraps of the same wrapped key make one call. A lifecycle change made through this wrapper is in
/// force when it returns: the key's entries are gone, and an unwrap that began before it leaves none behind.
/// A change made elsewhere is noticed when the lifetime of an entry ends.
///
/// A data key just generated is not cached: what is written is rarely read at once, and a busy writer would
/// push out the keys that readers need. It implements [`KeyLifecycle`](crate::KeyLifecycle) when `K` does.
pub struct CachedKms<K: ?Sized> {
    inner: Arc<K>,
    shared: Arc<Shared>,
    hits: AtomicU64,
    misses: AtomicU64,
}

impl<K: ?Sized> CachedKms<K> {
    /// Wraps `inner`.
    pub fn new(inner: Arc<K>, config: CacheConfig) -> Self {
        Self { inner, shared: Arc::new(Shared::new(config)), hits: AtomicU64::new(0), misses: AtomicU64::new(0) }
    }

    /// Wipes every cached data key.
    pub fn clear(&self) {
        self.shared.clear();
    }

    /// What the cache holds and has done.
    pub fn summary(&self) -> CacheSummary {
        let CacheConfig { enabled, max_keys, ttl_seconds } = self.shared.config;
        CacheSummary {
            enabled,
            max_keys,
            ttl_seconds,
            entries: self.shared.len(),
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
        }
    }

    /// Counts a hit and hands it through.
    fn hit(&self, plaintext: Zeroizing<Vec<u8>>) -> Zeroizing<Vec<u8>> {
        self.hits.fetch_add(1, Ordering::Relaxed);
        plaintext
    }
}

impl<K: KeyService + ?Sized> CachedKms<K> {
    /// Asks the backend, and keeps the answer unless a change came in between.
    async fn miss(&self, id: EntryId, wrapped: &WrappedKey, context: &EncryptionContext) -> Result<Zeroizing<Vec<u8>>, KmsError> {
        self.misses.fetch_add(1, Ordering::Relaxed);
        let generation = self.shared.generation();
        let plaintext = self.inner.unwrap_data_key(wrapped, context).await?;
        self.shared.insert(id, &wrapped.key_id, &plaintext, generation);
        Ok(plaintext)
    }
}

/// Identifies a wrapped data key with all that it is bound to.
type EntryId = [u8; 32];

fn entry_id(wrapped: &WrappedKey, context: &EncryptionContext) -> EntryId {
    let WrappedKey { backend, key_id, key_version, ciphertext } = wrapped;
    let version = key_version.to_be_bytes();
    crypto::sha256_framed(&[backend.as_bytes(), key_id.as_bytes(), &version, ciphertext, &context.canonical()])
}

#[async_trait]
impl<K: KeyService + ?Sized> KeyService for CachedKms<K> {
    fn backend(&self) -> &str {
        self.inner.backend()
    }

    async fn check_usable(&self, key_id: &str) -> Result<String, KmsError> {
        self.inner.check_usable(key_id).await
    }

    async fn generate_data_key(&self, key_id: &str, spec: DataKeySpec, context: &EncryptionContext) -> Result<DataKey, KmsError> {
        self.inner.generate_data_key(key_id, spec, context).await
    }

    async fn unwrap_data_key(&self, wrapped: &WrappedKey, context: &EncryptionContext) -> Result<Zeroizing<Vec<u8>>, KmsError> {
        let id = entry_id(wrapped, context);
        match self.shared.look_up(id) {
            Lookup::Hit(plaintext) => Ok(self.hit(plaintext)),
            Lookup::First(_flight) => self.miss(id, wrapped, context).await,
            Lookup::Wait(mut landed) => {
                // Closing is the signal. If the first caller failed, each of the others tries by itself: a
                // failing backend must not be asked one after the other.
                let _ = landed.changed().await;
                match self.shared.get(id) {
                    Some(plaintext) => Ok(self.hit(plaintext)),
                    None => self.miss(id, wrapped, context).await,
                }
            }
        }
    }

    async fn rewrap_data_key(&self, wrapped: &WrappedKey, context: &EncryptionContext) -> Result<WrappedKey, KmsError> {
        self.inner.rewrap_data_key(wrapped, context).await
    }
}

/// The lifetime as a duration.
fn ttl(config: &CacheConfig) -> Duration {
    Duration::from_secs(config.ttl_seconds)
}
