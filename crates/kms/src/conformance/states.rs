//! Cases of the states a key can be in: what each refuses, at once and only for its own key, and the way back.

use time::{Duration, OffsetDateTime};

use super::{Backend, assert_error};
use crate::{DataKey, KeyState, MayGo};

pub(super) async fn run(factory: &impl AsyncFn() -> Backend) {
    a_disabled_key_is_refused_until_enabled(&factory().await).await;
    a_sealed_key_is_refused_until_unsealed(&factory().await).await;
    unsealing_does_not_enable_a_disabled_key(&factory().await).await;
    a_key_pending_deletion_is_refused_until_cancelled(&factory().await).await;
    a_deletion_window_has_bounds(&factory().await).await;
    a_key_is_erased_when_its_window_has_passed_and_not_before(&factory().await).await;
    a_deletion_at_once_needs_the_key_id_echoed(&factory().await).await;
    an_erased_key_stays_erased(&factory().await).await;
    a_sealed_service_refuses_every_key_until_unsealed(&factory().await).await;
}

/// A data key of each of the two keys, both opened once, so that caches are warm.
async fn warm(backend: &Backend) -> [DataKey; 2] {
    let [a, b] = &backend.key_ids;
    let keys = [backend.generate(a).await.expect("generate_data_key"), backend.generate(b).await.expect("generate_data_key")];
    backend.assert_opens(&keys[0]).await;
    backend.assert_opens(&keys[1]).await;
    keys
}

async fn a_disabled_key_is_refused_until_enabled(backend: &Backend) {
    let Some(kms) = backend.with(|can| can.enable_disable) else { return };
    let [data_key, other] = warm(backend).await;
    for _twice in 0..2 {
        assert_eq!(kms.disable_key(&backend.key_ids[0]).await.expect("disable_key").state, KeyState::Disabled);
        backend.assert_refused(&data_key, "KeyDisabled").await;
    }
    backend.assert_opens(&other).await;
    if kms.capabilities().rotate {
        assert_error(kms.rotate_key(&backend.key_ids[0]).await, "KeyDisabled", "rotate_key");
    }
    assert_eq!(kms.enable_key(&backend.key_ids[0]).await.expect("enable_key").state, KeyState::Enabled);
    backend.assert_opens(&data_key).await;
}

async fn a_sealed_key_is_refused_until_unsealed(backend: &Backend) {
    let Some(kms) = backend.with(|can| can.seal_key) else { return };
    let [data_key, other] = warm(backend).await;
    assert_eq!(kms.seal_key(&backend.key_ids[0]).await.expect("seal_key").state, KeyState::Sealed);
    backend.assert_refused(&data_key, "KeySealed").await;
    backend.assert_opens(&other).await;
    assert_eq!(kms.unseal_key(&backend.key_ids[0]).await.expect("unseal_key").state, KeyState::Enabled);
    backend.assert_opens(&data_key).await;
}

async fn unsealing_does_not_enable_a_disabled_key(backend: &Backend) {
    let Some(kms) = backend.with(|can| can.seal_key && can.enable_disable) else { return };
    let key_id = &backend.key_ids[0];
    let [data_key, _] = warm(backend).await;
    kms.disable_key(key_id).await.expect("disable_key");
    assert_eq!(kms.seal_key(key_id).await.expect("seal_key").state, KeyState::Sealed);
    assert_eq!(kms.unseal_key(key_id).await.expect("unseal_key").state, KeyState::Disabled);
    backend.assert_refused(&data_key, "KeyDisabled").await;
}

async fn a_key_pending_deletion_is_refused_until_cancelled(backend: &Backend) {
    let Some(kms) = backend.with(|can| can.schedule_deletion) else { return };
    let key_id = &backend.key_ids[0];
    let [data_key, other] = warm(backend).await;
    let before = OffsetDateTime::now_utc();
    let state = kms.schedule_deletion(key_id, 7).await.expect("schedule_deletion").state;
    let KeyState::PendingDeletion { at } = state else { panic!("a key scheduled for deletion is {state:?}") };
    let off = (at - before - Duration::days(7)).abs();
    assert!(off < Duration::minutes(5), "the date lies as many days ahead as asked, not {off} off");
    backend.assert_refused(&data_key, "KeyPendingDeletion").await;
    backend.assert_opens(&other).await;
    assert_error(kms.schedule_deletion(key_id, 30).await, "KeyPendingDeletion", "schedule_deletion for the second time");
    if kms.capabilities().enable_disable {
        assert_error(kms.enable_key(key_id).await, "KeyPendingDeletion", "enable_key");
    }
    // A backend may hand the key back disabled, as AWS KMS does.
    if kms.cancel_deletion(key_id).await.expect("cancel_deletion").state == KeyState::Disabled {
        kms.enable_key(key_id).await.expect("enable_key");
    }
    backend.assert_opens(&data_key).await;
}

async fn a_deletion_window_has_bounds(backend: &Backend) {
    let Some(kms) = backend.with(|can| can.schedule_deletion) else { return };
    let data_key = backend.data_key().await;
    for days in [0, 6, 31, u32::MAX] {
        let answer = kms.schedule_deletion(&backend.key_ids[0], days).await;
        assert_error(answer, "InvalidArgument", &format!("schedule_deletion in {days} days"));
    }
    backend.assert_opens(&data_key).await;
}

/// A service that deletes nothing at once, as AWS KMS, destroys by its own clock and not when told the time.
async fn a_key_is_erased_when_its_window_has_passed_and_not_before(backend: &Backend) {
    let Some(kms) = backend.with(|can| can.schedule_deletion && can.delete_now) else { return };
    let key_id = &backend.key_ids[0];
    let [data_key, other] = warm(backend).await;
    let state = kms.schedule_deletion(key_id, 7).await.expect("schedule_deletion").state;
    let KeyState::PendingDeletion { at } = state else { panic!("a key scheduled for deletion is {state:?}") };
    let early = kms.reap_deleted(at - Duration::seconds(1), &MayGo::always()).await.expect("reap_deleted");
    assert_eq!(early, Vec::<String>::new(), "no key is destroyed before its date");
    backend.assert_refused(&data_key, "KeyPendingDeletion").await;
    let kept = kms.reap_deleted(at, &MayGo::new(|_| std::future::ready(false))).await.expect("reap_deleted");
    assert_eq!(kept, Vec::<String>::new(), "no key is destroyed that may not go");
    backend.assert_refused(&data_key, "KeyPendingDeletion").await;
    assert_eq!(
        kms.reap_deleted(at, &MayGo::always()).await.expect("reap_deleted"),
        std::slice::from_ref(key_id),
        "a key is destroyed at its date"
    );
    backend.assert_refused(&data_key, "KeyErased").await;
    assert_eq!(kms.reap_deleted(at, &MayGo::always()).await.expect("reap_deleted"), Vec::<String>::new(), "a key is destroyed once");
    backend.assert_opens(&other).await;
}

async fn a_deletion_at_once_needs_the_key_id_echoed(backend: &Backend) {
    let Some(kms) = backend.with(|can| can.delete_now) else { return };
    let [key_id, other_id] = &backend.key_ids;
    let [data_key, other] = warm(backend).await;
    for echo in ["", other_id, &key_id[1..]] {
        assert_error(kms.delete_now(key_id, echo).await, "InvalidArgument", "delete_now with another echo");
    }
    backend.assert_opens(&data_key).await;
    assert_eq!(kms.delete_now(key_id, key_id).await.expect("delete_now").state, KeyState::Erased);
    // A service that schedules no deletions remembers none either: a wrapper with a memory does.
    let gone = if kms.capabilities().schedule_deletion { "KeyErased" } else { "KeyNotFound" };
    backend.assert_refused(&data_key, gone).await;
    backend.assert_opens(&other).await;
}

async fn an_erased_key_stays_erased(backend: &Backend) {
    let Some(kms) = backend.with(|can| can.delete_now && can.schedule_deletion) else { return };
    let (key_id, can) = (&backend.key_ids[0], kms.capabilities());
    let data_key = backend.data_key().await;
    kms.delete_now(key_id, key_id).await.expect("delete_now");
    assert_error(kms.delete_now(key_id, key_id).await, "KeyErased", "delete_now for the second time");
    if can.enable_disable {
        assert_error(kms.enable_key(key_id).await, "KeyErased", "enable_key");
    }
    if can.seal_key {
        assert_error(kms.unseal_key(key_id).await, "KeyErased", "unseal_key");
    }
    if can.schedule_deletion {
        assert_error(kms.cancel_deletion(key_id).await, "KeyErased", "cancel_deletion");
    }
    if can.create {
        assert_error(kms.create_key(super::new_key(key_id)).await, "KeyExists", "create_key of an erased id");
    }
    if can.describe {
        assert_eq!(kms.describe_key(key_id).await.expect("describe_key").state, KeyState::Erased);
    }
    if can.list {
        let listed = kms.list_keys(None, 1000).await.expect("list_keys").keys;
        assert!(listed.iter().all(|key| key.key_id != *key_id), "an erased key is not listed");
    }
    backend.assert_refused(&data_key, "KeyErased").await;
}

async fn a_sealed_service_refuses_every_key_until_unsealed(backend: &Backend) {
    let Some(kms) = backend.with(|can| can.seal_service) else { return };
    let keys = warm(backend).await;
    for _twice in 0..2 {
        kms.seal_service().await.expect("seal_service");
        for data_key in &keys {
            backend.assert_refused(data_key, "ServiceSealed").await;
        }
    }
    if kms.capabilities().create {
        assert_error(kms.create_key(super::new_key("conformance-a")).await, "ServiceSealed", "create_key");
    }
    for _twice in 0..2 {
        kms.unseal_service().await.expect("unseal_service");
        for data_key in &keys {
            backend.assert_opens(data_key).await;
        }
    }
}
