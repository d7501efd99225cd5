//! Object Lock: what a lock keeps, and from whom.

use std::sync::atomic::Ordering;

use super::{B, Fresh, deletion, v};
use crate::testing::samples::{answer, version};
use crate::{Deletion, Envelope, Expect, KeyRef, Lock, NewVersion, Retention, RetentionMode, VersionSelector, Versioning};

pub async fn a_locked_version_is_deleted_and_replaced_by_nobody_until_its_lock_ends(fresh: Fresh) {
    let scene = fresh.with_bucket(Versioning::Suspended).await;
    let catalog = &scene.catalog;
    let retention = |mode| Lock { retention: Some(Retention { mode, until: 1500 }), ..Lock::default() };
    let compliance = retention(RetentionMode::Compliance);
    let locks = [
        // The lock, whether a bypass ends it, and whether time does.
        (retention(RetentionMode::Governance), true, true),
        (compliance, false, true),
        (Lock { legal_hold: true, ..Lock::default() }, false, false),
        (Lock { event_hold: true, ..compliance }, false, false),
    ];
    for (number, (lock, yields_to_bypass, yields_to_time)) in (1..).zip(locks) {
        scene.time.store(1499, Ordering::Relaxed);
        let key = number.to_string();
        catalog.put_version(NewVersion { lock, ..version(B, &key, v(number)) }, Expect::Any).await.unwrap();
        assert_eq!(scene.find(&key, VersionSelector::Latest).await.unwrap().lock, lock);
        let held = format!("Err(Locked({lock:?}))");
        let delete = |bypass| catalog.delete_version(Deletion { bypass, ..deletion(&key, VersionSelector::Id(v(number)), 90) });
        assert_eq!(answer(delete(false).await), held);
        assert_eq!(answer(catalog.put_version(version(B, &key, v(50)), Expect::Any).await), held, "it would be replaced");
        assert_eq!(answer(catalog.delete_version(deletion(&key, VersionSelector::Latest, 51)).await), held, "a marker would replace it");
        assert!(scene.find(&key, VersionSelector::Id(v(number))).await.is_some_and(|version| version.is_latest));
        assert_eq!(answer(catalog.delete_bucket("b").await), "Err(BucketNotEmpty)");
        assert_eq!(delete(true).await.is_ok(), yields_to_bypass);
        if yields_to_bypass {
            catalog.put_version(NewVersion { lock, ..version(B, &key, v(number)) }, Expect::Any).await.unwrap();
        }
        scene.time.store(1500, Ordering::Relaxed);
        assert_eq!(delete(false).await.is_ok(), yields_to_time);
        // A clock that is set back holds again what is still there.
        scene.time.store(1000, Ordering::Relaxed);
        assert_eq!(delete(false).await.is_ok(), yields_to_time, "what is gone is gone");
    }
}

pub async fn of_a_key_the_versions_whose_lock_holds_are_found_those_kept_longest_first(fresh: Fresh) {
    let scene = fresh.with_bucket(Versioning::Enabled).await;
    let catalog = &scene.catalog;
    let until = |until| Lock { retention: Some(Retention { mode: RetentionMode::Governance, until }), ..Lock::default() };
    let (hold, event) = (Lock { legal_hold: true, ..Lock::default() }, Lock { event_hold: true, ..until(900) });
    let locks = [until(1500), until(2000), Lock::default(), hold, until(999), event, until(1500)];
    for (number, lock) in (1..).zip(locks) {
        for (key_id, by) in [("alpha", 0), ("beta", 100)] {
            // Versions of a key under two versions of the KMS key.
            let key = KeyRef { backend: "local".into(), key_id: key_id.into(), version: 1 + u32::from(number > 3) };
            let new = version(B, "k", v(number + by));
            let envelope = Envelope { key: Some(key), ..new.envelope };
            catalog.put_version(NewVersion { lock, envelope, ..new }, Expect::Any).await.unwrap();
        }
    }
    let locked = |key_id: &'static str, limit| async move {
        let found = catalog.locked_under_key("local", key_id, limit).await.unwrap();
        found
            .into_iter()
            .map(|locked| {
                assert_eq!((locked.bucket.as_str(), locked.key.as_str()), ("b", "k"));
                (locked.version_id, locked.lock)
            })
            .collect::<Vec<_>>()
    };
    let counted = |key_id: &'static str| async move { catalog.count_locked_under_key("local", key_id).await.unwrap() };
    let all = [(v(6), event), (v(4), hold), (v(2), until(2000)), (v(1), until(1500)), (v(7), until(1500))];
    assert_eq!(locked("alpha", 100).await, all);
    assert_eq!(locked("alpha", 2).await, all[..2]);
    assert_eq!(locked("beta", 1).await, [(v(106), event)]);
    assert_eq!(locked("gamma", 100).await, []);
    assert_eq!((counted("alpha").await, counted("beta").await, counted("gamma").await), (5, 5, 0));
    scene.time.store(1500, Ordering::Relaxed);
    assert_eq!(locked("alpha", 100).await, all[..3], "what has ended holds no more");
    assert_eq!(counted("alpha").await, 3);
    scene.time.store(0, Ordering::Relaxed);
    assert_eq!(locked("alpha", 100).await.len(), 6, "a clock that is set back holds it again");
    assert_eq!(counted("alpha").await, 6);
}
