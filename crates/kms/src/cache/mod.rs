//! A bounded, short-lived cache around any backend: of unwrapped data keys, and of which keys can be used.

mod lifecycle;
mod lookup;
mod store;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use zeroize::Zeroizing;

use self::lookup::{Kind, Lookup, Shared};
use crate::{DataKey, DataKeySpec, EncryptionContext, KeyService, KmsError, WrappedKey, crypto};

/// How much is cached and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheConfig {
    /// Whether anything is cached at all.
    pub enabled: bool,
    /// The most data keys held, and the most keys known to be usable; the one unused for longest makes room.
    pub max_keys: usize,
    /// How long an answer of the backend may be served, however often it is used.
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
    /// Keys that are known to be usable now.
    pub usable_entries: usize,
    /// Checks of a key answered without the backend since the start.
    pub usable_hits: u64,
    /// Checks of a key that went to the backend since the start.
    pub usable_misses: u64,
}

/// A KMS that remembers what it unwrapped, and which keys can be used. That a key cannot be used is not remembered.
///
/// Concurrent unwraps of the same wrapped key make one call, and so do checks of the same key. A lifecycle change made through this wrapper is in
/// force when it returns: the key's entries are gone, and a call that began before it leaves none behind.
/// A change made elsewhere is noticed when the lifetime of an entry ends.
///
/// A data key just generated is not cached: what is written is rarely read at once, and a busy writer would
/// push out the keys that readers need. It implements [`KeyLifecycle`](crate::KeyLifecycle) when `K` does.
pub struct CachedKms<K: ?Sized> {
    inner: Arc<K>,
    shared: Arc<Shared>,
    data_keys: Counts,
    usable: Counts,
}

#[derive(Default)]
struct Counts {
    hits: AtomicU64,
    misses: AtomicU64,
}

impl<K: ?Sized> CachedKms<K> {
    /// Wraps `inner`.
    pub fn new(inner: Arc<K>, config: CacheConfig) -> Self {
        Self { inner, shared: Arc::new(Shared::new(config)), data_keys: Counts::default(), usable: Counts::default() }
    }

    /// Wipes every cached data key and answer.
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
            entries: self.shared.len(Kind::DataKey),
            hits: self.data_keys.hits.load(Ordering::Relaxed),
            misses: self.data_keys.misses.load(Ordering::Relaxed),
            usable_entries: self.shared.len(Kind::Usable),
            usable_hits: self.usable.hits.load(Ordering::Relaxed),
            usable_misses: self.usable.misses.load(Ordering::Relaxed),
        }
    }

    fn counts(&self, kind: Kind) -> &Counts {
        match kind {
            Kind::DataKey => &self.data_keys,
            Kind::Usable => &self.usable,
        }
    }

    /// The entry, or what `ask` answers for it. An answer names the key it came of, and is kept unless a change came in between.
    async fn get_or<F>(&self, kind: Kind, id: EntryId, ask: impl Fn() -> F + Send) -> Result<Zeroizing<Vec<u8>>, KmsError>
    where
        F: Future<Output = Result<Answer, KmsError>> + Send,
    {
        let _flight = match self.shared.look_up(kind, id) {
            Lookup::Hit(bytes) => return Ok(self.hit(kind, bytes)),
            Lookup::First(flight) => flight,
            Lookup::Wait(mut landed) => {
                // Closing is the signal. If the first caller failed, each of the others tries by itself: a
                // failing backend must not be asked one after the other.
                let _ = landed.changed().await;
                if let Some(bytes) = self.shared.get(kind, id) {
                    return Ok(self.hit(kind, bytes));
                }
                None
            }
        };
        self.counts(kind).misses.fetch_add(1, Ordering::Relaxed);
        let generation = self.shared.generation(kind);
        let Answer { key_id, bytes } = ask().await?;
        self.shared.insert(kind, id, &key_id, &bytes, generation);
        Ok(bytes)
    }

    /// Counts a hit and hands it through.
    fn hit(&self, kind: Kind, bytes: Zeroizing<Vec<u8>>) -> Zeroizing<Vec<u8>> {
        self.counts(kind).hits.fetch_add(1, Ordering::Relaxed);
        bytes
    }
}

/// What the backend answered, and the key whose changes make it void.
struct Answer {
    key_id: String,
    bytes: Zeroizing<Vec<u8>>,
}

/// Identifies a wrapped data key with all that it is bound to, or a key in the form it was named.
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
        let id = crypto::sha256_framed(&[key_id.as_bytes()]);
        let canonical = self.get_or(Kind::Usable, id, async || {
            let key_id = self.inner.check_usable(key_id).await?;
            Ok(Answer { bytes: Zeroizing::new(key_id.clone().into_bytes()), key_id })
        });
        let canonical = canonical.await?;
        // It came out of a String.
        String::from_utf8(canonical.to_vec()).map_err(|_| KmsError::KeyNotFound(key_id.to_owned()))
    }

    async fn generate_data_key(&self, key_id: &str, spec: DataKeySpec, context: &EncryptionContext) -> Result<DataKey, KmsError> {
        self.inner.generate_data_key(key_id, spec, context).await
    }

    async fn unwrap_data_key(&self, wrapped: &WrappedKey, context: &EncryptionContext) -> Result<Zeroizing<Vec<u8>>, KmsError> {
        let id = entry_id(wrapped, context);
        let plaintext = self.get_or(Kind::DataKey, id, async || {
            let bytes = self.inner.unwrap_data_key(wrapped, context).await?;
            Ok(Answer { key_id: wrapped.key_id.clone(), bytes })
        });
        plaintext.await
    }

    async fn rewrap_data_key(&self, wrapped: &WrappedKey, context: &EncryptionContext) -> Result<WrappedKey, KmsError> {
        self.inner.rewrap_data_key(wrapped, context).await
    }
}

/// The lifetime as a duration.
fn ttl(config: &CacheConfig) -> Duration {
    Duration::from_secs(config.ttl_seconds)
}
