//! The cache: what it saves, how long, and that it never outlives a change.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{Home, context};
use strongroom_kms::testing::{CountingKms, Fault};
use strongroom_kms::{
    CacheConfig, CacheSummary, CachedKms, DataKey, DataKeySpec, KeyLifecycle, KeyService, KmsError, LocalKms, MayGo, WrappedKey,
};
use time::OffsetDateTime;
use tokio::task::JoinSet;
use zeroize::Zeroizing;

struct Rig {
    counted: Arc<CountingKms<LocalKms>>,
    cached: Arc<CachedKms<CountingKms<LocalKms>>>,
    _home: Home,
}

impl Rig {
    async fn new(config: CacheConfig) -> Self {
        let home = Home::new();
        let kms = home.open().await;
        kms.ensure_key("a", "").await.unwrap();
        kms.ensure_key("b", "").await.unwrap();
        let counted = Arc::new(CountingKms::new(Arc::new(kms)));
        Self { cached: Arc::new(CachedKms::new(counted.clone(), config)), counted, _home: home }
    }

    async fn data_key(&self, key_id: &str) -> DataKey {
        self.cached.generate_data_key(key_id, DataKeySpec::Aes256, &context("x")).await.unwrap()
    }

    async fn unwrap(&self, wrapped: &WrappedKey) -> Result<Zeroizing<Vec<u8>>, KmsError> {
        self.cached.unwrap_data_key(wrapped, &context("x")).await
    }

    async fn check(&self, key_id: &str) -> Result<String, KmsError> {
        self.cached.check_usable(key_id).await
    }

    fn checks(&self) -> u64 {
        self.counted.counts().check
    }

    fn unwraps(&self) -> u64 {
        self.counted.counts().unwrap
    }

    /// Starts an unwrap whose answer the backend has made, but that has not come back yet.
    async fn unwrap_under_way(&self, wrapped: &WrappedKey) -> tokio::task::JoinHandle<Result<Zeroizing<Vec<u8>>, KmsError>> {
        self.counted.hold_answers();
        let (cached, wrapped) = (self.cached.clone(), wrapped.clone());
        let call = tokio::spawn(async move { cached.unwrap_data_key(&wrapped, &context("x")).await });
        while self.counted.held_answers() == 0 {
            tokio::task::yield_now().await;
        }
        call
    }
}

#[tokio::test]
async fn a_data_key_is_unwrapped_once_and_then_served_from_memory() {
    let rig = Rig::new(CacheConfig::default()).await;
    let data_key = rig.data_key("a").await;
    for _ in 0..5 {
        assert_eq!(rig.unwrap(&data_key.wrapped).await.unwrap(), data_key.plaintext);
    }
    assert_eq!(rig.unwraps(), 1, "and the generated key itself was not cached");
    let summary = rig.cached.summary();
    let CacheSummary { enabled, max_keys, ttl_seconds, entries, hits, misses, usable_entries, usable_hits, usable_misses } = summary;
    assert_eq!((enabled, max_keys, ttl_seconds, entries, hits, misses), (true, 1000, 300, 1, 4, 1));
    assert_eq!((usable_entries, usable_hits, usable_misses), (0, 0, 0));
    rig.cached.clear();
    assert_eq!(rig.cached.summary().entries, 0);
    rig.unwrap(&data_key.wrapped).await.unwrap();
    assert_eq!(rig.unwraps(), 2);
}

#[tokio::test]
async fn a_hot_entry_does_not_open_under_another_context_or_with_an_altered_ciphertext() {
    let rig = Rig::new(CacheConfig::default()).await;
    let wrapped = rig.data_key("a").await.wrapped;
    rig.unwrap(&wrapped).await.unwrap();
    assert!(matches!(rig.cached.unwrap_data_key(&wrapped, &context("y")).await, Err(KmsError::Rejected)));
    let mut others = vec![wrapped.clone(); 4];
    others[0].ciphertext[40] ^= 1;
    others[1].key_version = 2;
    others[2].key_id = "b".to_owned();
    others[3].backend = "vault".to_owned();
    for other in others {
        assert!(matches!(rig.unwrap(&other).await, Err(KmsError::Rejected)), "{other:?}");
    }
    assert_eq!(rig.cached.summary().entries, 1, "failures are not cached");
}

#[tokio::test]
async fn no_more_keys_are_held_than_configured() {
    let rig = Rig::new(CacheConfig { max_keys: 2, ..CacheConfig::default() }).await;
    let keys = [rig.data_key("a").await, rig.data_key("a").await, rig.data_key("a").await];
    for data_key in &keys {
        rig.unwrap(&data_key.wrapped).await.unwrap();
    }
    assert_eq!(rig.cached.summary().entries, 2);
    rig.unwrap(&keys[2].wrapped).await.unwrap();
    assert_eq!(rig.unwraps(), 3);
    rig.unwrap(&keys[0].wrapped).await.unwrap();
    assert_eq!(rig.unwraps(), 4);
}

#[tokio::test]
async fn a_cache_switched_off_holds_nothing() {
    let off = CacheConfig { enabled: false, ..CacheConfig::default() };
    for config in [off, CacheConfig { max_keys: 0, ..CacheConfig::default() }, CacheConfig { ttl_seconds: 0, ..CacheConfig::default() }] {
        let rig = Rig::new(config).await;
        let data_key = rig.data_key("a").await;
        for _ in 0..3 {
            assert_eq!(rig.unwrap(&data_key.wrapped).await.unwrap(), data_key.plaintext);
        }
        assert_eq!((rig.unwraps(), rig.cached.summary().entries), (3, 0));
    }
}

#[tokio::test]
async fn an_entry_ends_with_its_lifetime_however_often_it_is_used() {
    let rig = Rig::new(CacheConfig::default()).await;
    let data_key = rig.data_key("a").await;
    tokio::time::pause();
    rig.unwrap(&data_key.wrapped).await.unwrap();
    for _ in 0..2 {
        tokio::time::advance(Duration::from_secs(149)).await;
        rig.unwrap(&data_key.wrapped).await.unwrap();
    }
    assert_eq!(rig.unwraps(), 1);
    tokio::time::advance(Duration::from_secs(3)).await;
    assert_eq!(rig.cached.summary().entries, 0);
    rig.unwrap(&data_key.wrapped).await.unwrap();
    assert_eq!(rig.unwraps(), 2);
}

#[tokio::test]
async fn many_readers_of_one_object_make_one_call() {
    let rig = Rig::new(CacheConfig::default()).await;
    let data_key = rig.data_key("a").await;
    let first = rig.unwrap_under_way(&data_key.wrapped).await;
    let mut readers = JoinSet::new();
    for _ in 0..20 {
        let (cached, wrapped) = (rig.cached.clone(), data_key.wrapped.clone());
        readers.spawn(async move { cached.unwrap_data_key(&wrapped, &context("x")).await.unwrap() });
    }
    tokio::task::yield_now().await;
    rig.counted.release_answers();
    assert_eq!(first.await.unwrap().unwrap(), data_key.plaintext);
    assert_eq!(readers.join_all().await, vec![data_key.plaintext; 20]);
    assert_eq!(rig.unwraps(), 1);
}

#[tokio::test]
async fn readers_go_on_when_the_one_they_wait_for_goes_away() {
    let rig = Rig::new(CacheConfig::default()).await;
    let data_key = rig.data_key("a").await;
    let first = rig.unwrap_under_way(&data_key.wrapped).await;
    let (cached, wrapped) = (rig.cached.clone(), data_key.wrapped.clone());
    let second = tokio::spawn(async move { cached.unwrap_data_key(&wrapped, &context("x")).await });
    tokio::task::yield_now().await;
    first.abort();
    rig.counted.release_answers();
    assert_eq!(second.await.unwrap().unwrap(), data_key.plaintext);
}

#[tokio::test]
async fn a_failure_reaches_the_caller_and_is_not_remembered() {
    let rig = Rig::new(CacheConfig::default()).await;
    let data_key = rig.data_key("a").await;
    rig.counted.fail_next(2, Fault::Unavailable);
    for _ in 0..2 {
        assert!(matches!(rig.unwrap(&data_key.wrapped).await, Err(KmsError::Unavailable(_))));
    }
    assert_eq!(rig.unwrap(&data_key.wrapped).await.unwrap(), data_key.plaintext);
    rig.counted.fail_all(Fault::Denied);
    assert_eq!(rig.unwrap(&data_key.wrapped).await.unwrap(), data_key.plaintext, "a hot entry outlives a backend that is away");
    let other = WrappedKey { key_version: 9, ..data_key.wrapped };
    assert!(matches!(rig.unwrap(&other).await, Err(KmsError::Denied(_))));
}

/// A slow unwrap begins, the backend answers, the key is disabled, and only then the answer comes back. Were
/// it cached now, the key would go on opening objects for the whole lifetime of the entry.
#[tokio::test]
async fn an_unwrap_that_began_before_a_change_leaves_nothing_behind() {
    let rig = Rig::new(CacheConfig::default()).await;
    let data_key = rig.data_key("a").await;
    let late = rig.unwrap_under_way(&data_key.wrapped).await;
    rig.cached.disable_key("a").await.unwrap();
    rig.counted.release_answers();
    assert_eq!(late.await.unwrap().unwrap(), data_key.plaintext, "it began while the key was enabled");
    assert_eq!(rig.cached.summary().entries, 0);
    assert!(matches!(rig.unwrap(&data_key.wrapped).await, Err(KmsError::KeyDisabled(_))));
}

/// As above, and others wait for the slow answer: those who asked after the change must be refused.
#[tokio::test]
async fn a_reader_after_a_change_is_not_served_by_a_call_from_before_it() {
    let rig = Rig::new(CacheConfig::default()).await;
    let data_key = rig.data_key("a").await;
    let late = rig.unwrap_under_way(&data_key.wrapped).await;
    rig.cached.seal_key("a").await.unwrap();
    let (cached, wrapped) = (rig.cached.clone(), data_key.wrapped.clone());
    let reader = tokio::spawn(async move { cached.unwrap_data_key(&wrapped, &context("x")).await });
    tokio::task::yield_now().await;
    rig.counted.release_answers();
    assert!(late.await.unwrap().is_ok());
    assert!(matches!(reader.await.unwrap(), Err(KmsError::KeySealed(_))));
}

#[tokio::test]
async fn a_change_forgets_its_own_key_in_whatever_form_it_was_named() {
    for form in ["a", "key/a", "arn:aws:kms:eu:1:key/a"] {
        let rig = Rig::new(CacheConfig::default()).await;
        let (a, b) = (rig.data_key("a").await, rig.data_key("b").await);
        rig.unwrap(&a.wrapped).await.unwrap();
        rig.unwrap(&b.wrapped).await.unwrap();
        rig.cached.schedule_deletion(form, 7).await.unwrap();
        assert_eq!(rig.cached.summary().entries, 1);
        assert!(matches!(rig.unwrap(&a.wrapped).await, Err(KmsError::KeyPendingDeletion(_))));
        rig.unwrap(&b.wrapped).await.unwrap();
        assert_eq!(rig.cached.summary().hits, 1);
    }
}

#[tokio::test]
async fn a_change_that_failed_forgets_everything_since_it_may_have_been_made() {
    let rig = Rig::new(CacheConfig::default()).await;
    let b = rig.data_key("b").await;
    rig.unwrap(&b.wrapped).await.unwrap();
    assert!(rig.cached.disable_key("no-such-key").await.is_err());
    assert_eq!(rig.cached.summary().entries, 0);
}

#[tokio::test]
async fn a_change_whose_caller_goes_away_still_forgets() {
    let rig = Rig::new(CacheConfig::default()).await;
    let a = rig.data_key("a").await;
    rig.unwrap(&a.wrapped).await.unwrap();
    {
        let mut change = std::pin::pin!(rig.cached.disable_key("a"));
        let ready = std::future::poll_fn(|cx| std::task::Poll::Ready(change.as_mut().poll(cx).is_ready())).await;
        assert!(!ready, "the change is under way");
    }
    while rig.cached.summary().entries > 0 {
        tokio::task::yield_now().await;
    }
    assert!(matches!(rig.unwrap(&a.wrapped).await, Err(KmsError::KeyDisabled(_))));
}

#[tokio::test]
async fn a_reaper_that_finds_nothing_due_leaves_the_cache_alone() {
    let rig = Rig::new(CacheConfig::default()).await;
    let a = rig.data_key("a").await;
    rig.unwrap(&a.wrapped).await.unwrap();
    assert!(rig.cached.reap_deleted(OffsetDateTime::now_utc(), &MayGo::always()).await.unwrap().is_empty());
    assert_eq!(rig.cached.summary().entries, 1);
    rig.cached.seal_service().await.unwrap();
    assert_eq!(rig.cached.summary().entries, 0);
}

#[tokio::test]
async fn a_key_is_checked_once_and_then_known_to_be_usable() {
    let rig = Rig::new(CacheConfig::default()).await;
    for _ in 0..5 {
        assert_eq!(rig.check("key/a").await.unwrap(), "a");
    }
    assert_eq!(rig.checks(), 1);
    let summary = rig.cached.summary();
    assert_eq!((summary.usable_entries, summary.usable_hits, summary.usable_misses), (1, 4, 1));
    assert_eq!((summary.entries, summary.hits, summary.misses), (0, 0, 0), "data keys are counted by themselves");
    rig.cached.clear();
    assert_eq!(rig.cached.summary().usable_entries, 0);
    assert_eq!(rig.check("key/a").await.unwrap(), "a");
    assert_eq!(rig.checks(), 2);
}

#[tokio::test]
async fn that_a_key_cannot_be_used_is_not_remembered() {
    let rig = Rig::new(CacheConfig::default()).await;
    for _ in 0..2 {
        assert!(matches!(rig.check("none-such").await, Err(KmsError::KeyNotFound(_))));
    }
    rig.counted.fail_next(1, Fault::KeyDisabled);
    assert!(matches!(rig.check("a").await, Err(KmsError::KeyDisabled(_))));
    assert_eq!(rig.check("a").await.unwrap(), "a");
    assert_eq!((rig.checks(), rig.cached.summary().usable_entries), (4, 1));
}

#[tokio::test]
async fn what_is_known_of_a_key_ends_with_its_lifetime_and_is_bounded() {
    let rig = Rig::new(CacheConfig { max_keys: 2, ..CacheConfig::default() }).await;
    let data_key = rig.data_key("a").await;
    rig.unwrap(&data_key.wrapped).await.unwrap();
    for form in ["a", "key/a", "arn:aws:kms:a"] {
        rig.check(form).await.unwrap();
    }
    assert_eq!((rig.cached.summary().usable_entries, rig.cached.summary().entries), (2, 1), "the kinds do not push each other out");
    tokio::time::pause();
    rig.check("key/a").await.unwrap();
    assert_eq!(rig.checks(), 3);
    tokio::time::advance(Duration::from_secs(301)).await;
    assert_eq!(rig.cached.summary().usable_entries, 0);
    rig.check("key/a").await.unwrap();
    assert_eq!(rig.checks(), 4);
}

#[tokio::test]
async fn no_check_is_kept_by_a_cache_switched_off() {
    let rig = Rig::new(CacheConfig { enabled: false, ..CacheConfig::default() }).await;
    for _ in 0..3 {
        rig.check("a").await.unwrap();
    }
    assert_eq!((rig.checks(), rig.cached.summary().usable_entries), (3, 0));
}

/// Each change through the wrapper is in force when it returns, in whatever form the key was checked or named.
#[tokio::test]
async fn a_key_known_to_be_usable_is_refused_right_after_a_change() {
    for form in ["b", "key/b", "arn:aws:kms:eu:1:key/b"] {
        let rig = Rig::new(CacheConfig::default()).await;
        for checked in ["a", "b", "key/b", "arn:aws:kms:b"] {
            rig.check(checked).await.unwrap();
        }
        rig.cached.disable_key(form).await.unwrap();
        for checked in ["b", "key/b", "arn:aws:kms:b"] {
            assert!(matches!(rig.check(checked).await, Err(KmsError::KeyDisabled(_))), "{form} {checked}");
        }
        let before = rig.checks();
        rig.check("a").await.unwrap();
        assert_eq!(rig.checks(), before, "the other key is still known");

        rig.cached.enable_key(form).await.unwrap();
        rig.check("b").await.unwrap();
        rig.cached.schedule_deletion(form, 7).await.unwrap();
        assert!(matches!(rig.check("b").await, Err(KmsError::KeyPendingDeletion(_))));
        rig.cached.cancel_deletion(form).await.unwrap();
        rig.check("b").await.unwrap();
        rig.cached.delete_now(form, "b").await.unwrap();
        assert!(matches!(rig.check("b").await, Err(KmsError::KeyErased(_))));
        rig.cached.seal_service().await.unwrap();
        assert!(matches!(rig.check("a").await, Err(KmsError::ServiceSealed)));
    }
}

#[tokio::test]
async fn a_check_that_began_before_a_change_leaves_nothing_behind() {
    let rig = Rig::new(CacheConfig::default()).await;
    rig.counted.hold_answers();
    let cached = rig.cached.clone();
    let late = tokio::spawn(async move { cached.check_usable("a").await });
    while rig.counted.held_answers() == 0 {
        tokio::task::yield_now().await;
    }
    rig.cached.seal_key("a").await.unwrap();
    rig.counted.release_answers();
    assert_eq!(late.await.unwrap().unwrap(), "a", "it began while the key could be used");
    assert_eq!(rig.cached.summary().usable_entries, 0);
    assert!(matches!(rig.check("a").await, Err(KmsError::KeySealed(_))));
}

#[tokio::test]
async fn many_checks_of_one_key_make_one_call() {
    let rig = Rig::new(CacheConfig::default()).await;
    rig.counted.hold_answers();
    let mut checks = JoinSet::new();
    for _ in 0..20 {
        let cached = rig.cached.clone();
        checks.spawn(async move { cached.check_usable("a").await.unwrap() });
    }
    while rig.counted.held_answers() == 0 {
        tokio::task::yield_now().await;
    }
    rig.counted.release_answers();
    assert_eq!(checks.join_all().await, vec!["a"; 20]);
    assert_eq!(rig.checks(), 1);
}
