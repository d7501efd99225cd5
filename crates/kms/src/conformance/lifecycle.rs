//! Cases of [`KeyLifecycle`]: making, showing and rotating keys, and what a backend cannot do.

use std::collections::BTreeMap;

use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::{Backend, Ids, assert_error, context, new_key};
use crate::{Capabilities, KeyLifecycle, KeyState, MayGo, NewKey};

pub(super) async fn run(factory: &impl AsyncFn() -> Backend, ids: Ids) {
    what_a_backend_cannot_do_is_unsupported(&factory().await).await;
    a_created_key_is_described_and_used(&factory().await, ids).await;
    a_key_id_is_given_once(&factory().await).await;
    imported_material_makes_a_usable_key(&factory().await).await;
    a_list_pages_to_the_end(&factory().await).await;
    tags_and_description_change_and_the_key_works_on(&factory().await).await;
    rotation_wraps_anew_and_opens_the_old(&factory().await).await;
    changes_of_an_unknown_key_are_not_found(&factory().await).await;
}

async fn what_a_backend_cannot_do_is_unsupported(backend: &Backend) {
    let Some(kms) = backend.with(|_| true) else { return };
    let key = backend.key_ids[0].as_str();
    let Capabilities {
        create,
        import,
        list,
        describe,
        enable_disable,
        rotate,
        seal_key,
        tag,
        update_description,
        schedule_deletion,
        delete_now,
        seal_service,
    } = kms.capabilities();
    if !create {
        assert_error(kms.create_key(NewKey::default()).await, "Unsupported", "create_key");
    }
    if !import {
        assert_error(kms.import_key(NewKey::default(), material()).await, "Unsupported", "import_key");
    }
    if !list {
        assert_error(kms.list_keys(None, 1).await, "Unsupported", "list_keys");
    }
    if !describe {
        assert_error(kms.describe_key(key).await, "Unsupported", "describe_key");
    }
    if !enable_disable {
        assert_error(kms.enable_key(key).await, "Unsupported", "enable_key");
        assert_error(kms.disable_key(key).await, "Unsupported", "disable_key");
    }
    if !rotate {
        assert_error(kms.rotate_key(key).await, "Unsupported", "rotate_key");
    }
    if !seal_key {
        assert_error(kms.seal_key(key).await, "Unsupported", "seal_key");
        assert_error(kms.unseal_key(key).await, "Unsupported", "unseal_key");
    }
    if !tag {
        assert_error(kms.tag(key, BTreeMap::new()).await, "Unsupported", "tag");
        assert_error(kms.untag(key, &[]).await, "Unsupported", "untag");
    }
    if !update_description {
        assert_error(kms.update_description(key, "").await, "Unsupported", "update_description");
    }
    if !schedule_deletion {
        assert_error(kms.schedule_deletion(key, 7).await, "Unsupported", "schedule_deletion");
        assert_error(kms.cancel_deletion(key).await, "Unsupported", "cancel_deletion");
        assert_error(kms.reap_deleted(OffsetDateTime::now_utc(), &MayGo::always()).await, "Unsupported", "reap_deleted");
    }
    if !delete_now {
        assert_error(kms.delete_now(key, key).await, "Unsupported", "delete_now");
    }
    if !seal_service {
        assert_error(kms.seal_service().await, "Unsupported", "seal_service");
        assert_error(kms.unseal_service().await, "Unsupported", "unseal_service");
    }
    backend.assert_opens(&backend.data_key().await).await;
}

async fn a_created_key_is_described_and_used(backend: &Backend, ids: Ids) {
    let Some(kms) = backend.with(|can| can.create && can.describe) else { return };
    let created = kms.create_key(new_key("conformance-a")).await.expect("create_key");
    if ids == Ids::AreNames {
        assert_eq!(created.key_id, "conformance-a");
    }
    if kms.capabilities().update_description {
        assert_eq!(created.description, "conformance conformance-a");
    }
    assert_eq!(created.state, KeyState::Enabled);
    assert_eq!((created.versions.len(), created.current_version), (1, 1));
    assert_eq!(created.versions[0].version, 1);
    assert_eq!(kms.describe_key(&created.key_id).await.expect("describe_key"), created);
    let data_key = backend.generate(&created.key_id).await.expect("a new key generates data keys");
    backend.assert_opens(&data_key).await;
}

async fn a_key_id_is_given_once(backend: &Backend) {
    let Some(kms) = backend.with(|can| can.create) else { return };
    let first = kms.create_key(new_key("conformance-a")).await.expect("create_key");
    let data_key = backend.generate(&first.key_id).await.expect("generate_data_key");
    assert_error(kms.create_key(new_key("conformance-a")).await, "KeyExists", "create_key of an existing id");
    backend.assert_opens(&data_key).await;
    let (a, b) =
        (kms.create_key(NewKey::default()).await.expect("create_key"), kms.create_key(NewKey::default()).await.expect("create_key"));
    assert_ne!(a.key_id, b.key_id, "two keys without a name get ids of their own");
    for name in ["", "../conformance", "-x", "strongroom-conformance"] {
        assert_error(kms.create_key(new_key(name)).await, "InvalidArgument", &format!("create_key of the id {name:?}"));
    }
}

async fn imported_material_makes_a_usable_key(backend: &Backend) {
    let Some(kms) = backend.with(|can| can.import) else { return };
    let imported = kms.import_key(new_key("conformance-own"), material()).await.expect("import_key");
    assert_eq!((imported.state, imported.current_version), (KeyState::Enabled, 1));
    backend.assert_opens(&backend.generate(&imported.key_id).await.expect("generate_data_key")).await;
    let short = Zeroizing::new(vec![1; 31]);
    assert_error(kms.import_key(new_key("conformance-short"), short).await, "InvalidArgument", "import_key of 31 bytes");
}

async fn a_list_pages_to_the_end(backend: &Backend) {
    let Some(kms) = backend.with(|can| can.create && can.list) else { return };
    for number in 0..7 {
        kms.create_key(new_key(&format!("conformance-{number}"))).await.expect("create_key");
    }
    let whole: Vec<String> = kms.list_keys(None, 1000).await.expect("list_keys").keys.into_iter().map(|key| key.key_id).collect();
    assert!(whole.is_sorted() && whole.len() >= 9, "a list has every key, in the order of ids: {whole:?}");
    for limit in [1, 2, whole.len() - 1, whole.len()] {
        assert_eq!(collect_pages(&*kms, limit).await, whole, "pages of {limit} make the whole list");
    }
    assert_error(kms.list_keys(None, 0).await, "InvalidArgument", "list_keys with limit 0");
}

async fn collect_pages(kms: &dyn KeyLifecycle, limit: usize) -> Vec<String> {
    let (mut ids, mut after) = (Vec::new(), None);
    loop {
        let page = kms.list_keys(after.as_deref(), limit).await.expect("list_keys");
        assert!(page.keys.len() == limit || page.next.is_none(), "only the last page is shorter");
        assert!(!page.keys.is_empty(), "a further page was promised");
        ids.extend(page.keys.into_iter().map(|key| key.key_id));
        match page.next {
            Some(next) => after = Some(next),
            None => return ids,
        }
    }
}

async fn tags_and_description_change_and_the_key_works_on(backend: &Backend) {
    let Some(kms) = backend.with(|can| can.tag && can.update_description) else { return };
    let key_id = &backend.key_ids[0];
    let data_key = backend.data_key().await;
    kms.tag(key_id, pairs(&[("a", "1"), ("b", "2")])).await.expect("tag");
    let tagged = kms.tag(key_id, pairs(&[("b", "3"), ("c", "4")])).await.expect("tag");
    assert_eq!(tagged.tags, pairs(&[("a", "1"), ("b", "3"), ("c", "4")]), "a tag of the same name is replaced");
    let untagged = kms.untag(key_id, &["a".to_owned(), "never-there".to_owned()]).await.expect("untag");
    assert_eq!(untagged.tags, pairs(&[("b", "3"), ("c", "4")]));
    let described = kms.update_description(key_id, "new words").await.expect("update_description");
    assert_eq!((described.description.as_str(), described.tags), ("new words", untagged.tags));
    backend.assert_opens(&data_key).await;
}

async fn rotation_wraps_anew_and_opens_the_old(backend: &Backend) {
    let Some(kms) = backend.with(|can| can.rotate) else { return };
    let first = backend.data_key().await;
    let version = first.wrapped.key_version;
    let rotated = kms.rotate_key(&backend.key_ids[0]).await.expect("rotate_key");
    assert_eq!(rotated.current_version, version + 1, "rotation adds one version");
    assert_eq!(rotated.versions.last().map(|last| last.version), Some(version + 1));
    let second = backend.data_key().await;
    assert_eq!(second.wrapped.key_version, version + 1, "new data keys are wrapped under the new version");
    backend.assert_opens(&first).await;
    backend.assert_opens(&second).await;
    let mut moved = first;
    moved.wrapped = backend.service.rewrap_data_key(&moved.wrapped, &context()).await.expect("rewrap_data_key");
    assert_eq!(moved.wrapped.key_version, version + 1, "rewrapping moves a data key to the new version");
    backend.assert_opens(&moved).await;
}

async fn changes_of_an_unknown_key_are_not_found(backend: &Backend) {
    let Some(kms) = backend.with(|_| true) else { return };
    let (can, key) = (kms.capabilities(), "conformance-no-such-key");
    if can.describe {
        assert_error(kms.describe_key(key).await, "KeyNotFound", "describe_key");
    }
    if can.enable_disable {
        assert_error(kms.enable_key(key).await, "KeyNotFound", "enable_key");
        assert_error(kms.disable_key(key).await, "KeyNotFound", "disable_key");
    }
    if can.rotate {
        assert_error(kms.rotate_key(key).await, "KeyNotFound", "rotate_key");
    }
    if can.seal_key {
        assert_error(kms.seal_key(key).await, "KeyNotFound", "seal_key");
    }
    if can.schedule_deletion {
        assert_error(kms.schedule_deletion(key, 7).await, "KeyNotFound", "schedule_deletion");
    }
    if can.delete_now {
        assert_error(kms.delete_now(key, key).await, "KeyNotFound", "delete_now");
    }
}

fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn material() -> Zeroizing<Vec<u8>> {
    Zeroizing::new((0..32).collect())
}
