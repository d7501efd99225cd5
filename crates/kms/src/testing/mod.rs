//! A KMS for tests: counts calls, fails on demand, holds answers back. Not part of a release.

mod lifecycle;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use zeroize::Zeroizing;

use crate::{DataKey, DataKeySpec, EncryptionContext, KeyService, KmsError, WrappedKey};

/// How often each method of [`KeyService`] was called, failed calls included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls of [`KeyService::check_usable`].
    pub check: u64,
    /// Calls of [`KeyService::generate_data_key`].
    pub generate: u64,
    /// Calls of [`KeyService::unwrap_data_key`].
    pub unwrap: u64,
    /// Calls of [`KeyService::rewrap_data_key`].
    pub rewrap: u64,
}

impl Counts {
    /// All calls.
    pub fn total(self) -> u64 {
        let Self { check, generate, unwrap, rewrap } = self;
        check + generate + unwrap + rewrap
    }
}

/// A failure to inject: one for each situation a backend can report by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the error of the same name")]
pub enum Fault {
    KeyNotFound,
    KeyErased,
    KeyDisabled,
    KeyPendingDeletion,
    KeySealed,
    ServiceSealed,
    Rejected,
    Denied,
    Unavailable,
    Broken,
}

impl Fault {
    /// The error for a call that names `key_id`.
    pub fn error(self, key_id: &str) -> KmsError {
        let key_id = key_id.to_owned();
        let injected = || "injected by a test".to_owned();
        match self {
            Self::KeyNotFound => KmsError::KeyNotFound(key_id),
            Self::KeyErased => KmsError::KeyErased(key_id),
            Self::KeyDisabled => KmsError::KeyDisabled(key_id),
            Self::KeyPendingDeletion => KmsError::KeyPendingDeletion(key_id),
            Self::KeySealed => KmsError::KeySealed(key_id),
            Self::ServiceSealed => KmsError::ServiceSealed,
            Self::Rejected => KmsError::Rejected,
            Self::Denied => KmsError::Denied(injected()),
            Self::Unavailable => KmsError::Unavailable(injected()),
            Self::Broken => KmsError::Broken(injected()),
        }
    }
}

/// A wrapper that counts calls of [`KeyService`], and fails or delays them when told to.
///
/// Lifecycle calls pass through, uncounted and unharmed.
pub struct CountingKms<K: ?Sized> {
    inner: Arc<K>,
    check: AtomicU64,
    generate: AtomicU64,
    unwrap: AtomicU64,
    rewrap: AtomicU64,
    plan: Mutex<Plan>,
    /// True while answers are held back.
    held: watch::Sender<bool>,
    holding: AtomicUsize,
}

#[derive(Default)]
struct Plan {
    /// The fault, and for how many calls yet; none means for all.
    fault: Option<(Fault, Option<u64>)>,
    delay: Duration,
}

impl<K: ?Sized> CountingKms<K> {
    /// Wraps `inner`; at first every call passes.
    pub fn new(inner: Arc<K>) -> Self {
        Self {
            inner,
            check: AtomicU64::new(0),
            generate: AtomicU64::new(0),
            unwrap: AtomicU64::new(0),
            rewrap: AtomicU64::new(0),
            plan: Mutex::default(),
            held: watch::Sender::new(false),
            holding: AtomicUsize::new(0),
        }
    }

    /// The calls since the start, or since [`Self::reset_counts`].
    pub fn counts(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::SeqCst);
        Counts { check: read(&self.check), generate: read(&self.generate), unwrap: read(&self.unwrap), rewrap: read(&self.rewrap) }
    }

    /// Counts from zero again.
    pub fn reset_counts(&self) {
        for counter in [&self.check, &self.generate, &self.unwrap, &self.rewrap] {
            counter.store(0, Ordering::SeqCst);
        }
    }

    /// Fails the next `calls` calls; those after pass again.
    pub fn fail_next(&self, calls: u64, fault: Fault) {
        self.change_plan(|plan| plan.fault = (calls > 0).then_some((fault, Some(calls))));
    }

    /// Fails every call until [`Self::heal`].
    pub fn fail_all(&self, fault: Fault) {
        self.change_plan(|plan| plan.fault = Some((fault, None)));
    }

    /// Ends all failures and delays.
    pub fn heal(&self) {
        self.change_plan(|plan| *plan = Plan::default());
    }

    /// Makes every call take this long before it begins.
    pub fn delay(&self, delay: Duration) {
        self.change_plan(|plan| plan.delay = delay);
    }

    /// Keeps every answer of the backend back, from its making, until [`Self::release_answers`].
    pub fn hold_answers(&self) {
        self.held.send_replace(true);
    }

    /// Lets held answers go.
    pub fn release_answers(&self) {
        self.held.send_replace(false);
    }

    /// How many answers are held back now.
    pub fn held_answers(&self) -> usize {
        self.holding.load(Ordering::SeqCst)
    }

    fn change_plan<T>(&self, change: impl FnOnce(&mut Plan) -> T) -> T {
        change(&mut self.plan.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Counts a call, and makes it wait or fail as planned.
    async fn begin(&self, counter: &AtomicU64, key_id: &str) -> Result<(), KmsError> {
        counter.fetch_add(1, Ordering::SeqCst);
        let (delay, fault) = self.change_plan(|plan| (plan.delay, plan.next_fault()));
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        fault.map_or(Ok(()), |fault| Err(fault.error(key_id)))
    }

    /// Waits while answers are held back.
    async fn end(&self) {
        let mut held = self.held.subscribe();
        self.holding.fetch_add(1, Ordering::SeqCst);
        // The sender lives as long as self.
        let _ = held.wait_for(|held| !held).await;
        self.holding.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Plan {
    fn next_fault(&mut self) -> Option<Fault> {
        let (fault, remaining) = self.fault?;
        if let Some(calls) = remaining {
            self.fault = (calls > 1).then(|| (fault, Some(calls - 1)));
        }
        Some(fault)
    }
}

#[async_trait]
impl<K: KeyService + ?Sized> KeyService for CountingKms<K> {
    fn backend(&self) -> &str {
        self.inner.backend()
    }

    async fn check_usable(&self, key_id: &str) -> Result<String, KmsError> {
        self.begin(&self.check, key_id).await?;
        let answer = self.inner.check_usable(key_id).await;
        self.end().await;
        answer
    }

    async fn generate_data_key(&self, key_id: &str, spec: DataKeySpec, context: &EncryptionContext) -> Result<DataKey, KmsError> {
        self.begin(&self.generate, key_id).await?;
        let answer = self.inner.generate_data_key(key_id, spec, context).await;
        self.end().await;
        answer
    }

    async fn unwrap_data_key(&self, wrapped: &WrappedKey, context: &EncryptionContext) -> Result<Zeroizing<Vec<u8>>, KmsError> {
        self.begin(&self.unwrap, &wrapped.key_id).await?;
        let answer = self.inner.unwrap_data_key(wrapped, context).await;
        self.end().await;
        answer
    }

    async fn rewrap_data_key(&self, wrapped: &WrappedKey, context: &EncryptionContext) -> Result<WrappedKey, KmsError> {
        self.begin(&self.rewrap, &wrapped.key_id).await?;
        let answer = self.inner.rewrap_data_key(wrapped, context).await;
        self.end().await;
        answer
    }
}
