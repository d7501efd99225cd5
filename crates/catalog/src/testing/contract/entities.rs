//! Entities: compare-and-set, what refers to what, and uses of access keys.

use super::Fresh;
use crate::testing::samples::answer;
use crate::{AccessKeyUse, EntityChange, EntityKind, EntityName, NewEntity};

fn named(kind: EntityKind, name: &str) -> EntityName {
    let account = if kind == EntityKind::AccessKey { "" } else { "1" };
    EntityName { kind, account: account.to_owned(), name: name.to_owned() }
}

fn user(name: &str) -> EntityName {
    named(EntityKind::User, name)
}

/// The entity becomes one with this record.
fn set(name: EntityName, seen: Option<u64>, record: u8, refers_to: &[EntityName]) -> EntityChange {
    EntityChange { name, seen, becomes: Some(NewEntity { record: vec![record], refers_to: refers_to.to_vec() }) }
}

fn deleted(name: EntityName, seen: u64) -> EntityChange {
    EntityChange { name, seen: Some(seen), becomes: None }
}

impl Fresh {
    async fn change(&self, changes: Vec<EntityChange>) -> u64 {
        self.catalog.change_entities(changes).await.unwrap()[0]
    }

    async fn refused(&self, changes: Vec<EntityChange>) -> String {
        answer(self.catalog.change_entities(changes).await)
    }

    async fn record_of(&self, name: EntityName) -> Option<u8> {
        self.catalog.entities(vec![name]).await.unwrap().remove(0).map(|entity| entity.record[0])
    }
}

pub async fn an_entity_is_changed_only_if_its_revision_is_the_one_seen_and_no_revision_comes_twice(fresh: Fresh) {
    let before = fresh.catalog.entity_changes();
    let first = fresh.change(vec![set(user("a"), None, 1, &[])]).await;
    assert_eq!(fresh.refused(vec![set(user("a"), None, 2, &[])]).await, "Err(PreconditionFailed)");
    let second = fresh.change(vec![set(user("a"), Some(first), 2, &[])]).await;
    assert_eq!(fresh.refused(vec![set(user("a"), Some(first), 3, &[])]).await, "Err(PreconditionFailed)");
    assert_eq!(fresh.refused(vec![deleted(user("a"), first)]).await, "Err(PreconditionFailed)");
    assert_eq!(fresh.refused(vec![deleted(user("b"), second)]).await, "Err(PreconditionFailed)");
    assert_eq!(fresh.record_of(user("a")).await, Some(2));
    assert_eq!(fresh.change(vec![deleted(user("a"), second)]).await, 0);
    assert_eq!(fresh.record_of(user("a")).await, None);
    let third = fresh.change(vec![set(user("a"), None, 4, &[])]).await;
    assert!(first < second && second < third, "{first} {second} {third}");
    assert!(fresh.catalog.entity_changes() >= before + 4);
}

pub async fn changes_of_several_entities_happen_all_or_not_at_all(fresh: Fresh) {
    let revisions = fresh.catalog.change_entities(vec![set(user("a"), None, 1, &[]), set(user("b"), None, 2, &[])]).await.unwrap();
    let seen = Some(revisions[0]);
    assert_eq!(fresh.refused(vec![set(user("a"), seen, 3, &[]), set(user("b"), None, 3, &[])]).await, "Err(PreconditionFailed)");
    assert_eq!(fresh.refused(vec![set(user("c"), None, 3, &[]), set(user("b"), seen, 3, &[])]).await, "Err(PreconditionFailed)");
    let found = fresh.catalog.entities(vec![user("b"), user("c"), user("a"), named(EntityKind::Group, "a")]).await.unwrap();
    let found: Vec<_> = found.into_iter().map(|entity| entity.map(|entity| (entity.name, entity.revision, entity.record))).collect();
    assert_eq!(found, [Some((user("b"), revisions[1], vec![2])), None, Some((user("a"), revisions[0], vec![1])), None]);
    // That another change was faster is what counts, also where one refers to the other.
    let lost = vec![set(user("c"), None, 5, &[user("a")]), set(user("a"), Some(revisions[1]), 5, &[])];
    assert_eq!(fresh.refused(lost).await, "Err(PreconditionFailed)");
    let both = fresh.catalog.change_entities(vec![deleted(user("a"), revisions[0]), set(user("b"), Some(revisions[1]), 4, &[])]).await;
    assert_eq!(both.unwrap()[0], 0);
    assert_eq!((fresh.record_of(user("a")).await, fresh.record_of(user("b")).await), (None, Some(4)));
}

pub async fn what_an_entity_refers_to_is_there_as_long_as_it_is(fresh: Fresh) {
    let group = named(EntityKind::Group, "g");
    let missing = fresh.catalog.change_entities(vec![set(user("a"), None, 1, std::slice::from_ref(&group))]).await;
    assert!(matches!(missing, Err(crate::CatalogError::NoSuchEntity(name)) if name == group));
    // In whatever order they come.
    let made = vec![set(user("a"), None, 1, &[group.clone(), group.clone()]), set(group.clone(), None, 2, &[])];
    let revisions = fresh.catalog.change_entities(made).await.unwrap();
    let in_use = fresh.catalog.change_entities(vec![deleted(group.clone(), revisions[1])]).await;
    assert!(matches!(in_use, Err(crate::CatalogError::EntityInUse(name)) if name == user("a")));
    assert_eq!(fresh.record_of(group.clone()).await, Some(2));
    let changed = fresh.change(vec![set(group.clone(), Some(revisions[1]), 3, &[])]).await;
    fresh.change(vec![deleted(group.clone(), changed), set(user("a"), Some(revisions[0]), 4, &[])]).await;
    assert_eq!(fresh.record_of(user("a")).await, Some(4));
    let again = fresh.change(vec![set(group.clone(), None, 5, &[])]).await;
    fresh.change(vec![deleted(group, again)]).await;
}

pub async fn entities_are_listed_in_the_order_of_names_and_those_that_refer_to_one_are_found(fresh: Fresh) {
    let (policy, other) = (named(EntityKind::Policy, "p"), EntityName { account: "2".to_owned(), ..user("b") });
    let refers = [policy.clone()];
    fresh.change(vec![set(policy.clone(), None, 0, &[])]).await;
    for (name, refers_to) in [(user("c"), &refers[..]), (user("a"), &refers[..]), (user("b"), &[]), (other.clone(), &refers[..])] {
        fresh.change(vec![set(name, None, 1, refers_to)]).await;
    }
    fresh.change(vec![set(named(EntityKind::Group, "a"), None, 1, &refers)]).await;
    let list = async |account: &str, after: Option<&str>, limit| {
        let listed = fresh.catalog.list_entities(EntityKind::User, account, after, limit).await.unwrap();
        listed.into_iter().map(|entity| entity.name.name).collect::<Vec<_>>()
    };
    assert_eq!(list("1", None, 9).await, ["a", "b", "c"]);
    assert_eq!(list("1", Some("a"), 1).await, ["b"]);
    assert_eq!(list("2", None, 9).await, ["b"]);
    assert_eq!(list("3", None, 9).await, Vec::<String>::new());
    let count = async |kind, account: &str| fresh.catalog.count_entities(kind, account).await.unwrap();
    assert_eq!((count(EntityKind::User, "1").await, count(EntityKind::User, "2").await, count(EntityKind::Role, "1").await), (3, 1, 0));
    let referring = async |kind, after: Option<EntityName>, limit| {
        let found = fresh.catalog.referring_entities(policy.clone(), kind, after, limit).await.unwrap();
        found.into_iter().map(|entity| entity.name).collect::<Vec<_>>()
    };
    assert_eq!(referring(EntityKind::User, None, 9).await, [user("a"), user("c"), other.clone()]);
    assert_eq!(referring(EntityKind::User, Some(user("a")), 1).await, [user("c")]);
    assert_eq!(referring(EntityKind::User, Some(other), 9).await, []);
    assert_eq!(referring(EntityKind::Group, None, 9).await, [named(EntityKind::Group, "a")]);
    assert_eq!(referring(EntityKind::Role, None, 9).await, []);
    assert_eq!(fresh.catalog.count_referring(policy.clone()).await.unwrap(), 4);
    assert_eq!(fresh.catalog.count_referring(user("a")).await.unwrap(), 0);
}

pub async fn what_the_server_brings_along_needs_no_row_to_be_referred_to_and_each_account_has_its_own(fresh: Fresh) {
    let (own, others) = (EntityName::built_in(EntityKind::Policy, "1", "p"), EntityName::built_in(EntityKind::Policy, "2", "p"));
    let revision = fresh.change(vec![set(user("a"), None, 1, std::slice::from_ref(&own))]).await;
    let referring = async |to: &EntityName| {
        let found = fresh.catalog.referring_entities(to.clone(), EntityKind::User, None, 9).await.unwrap();
        (found.into_iter().map(|entity| entity.name).collect::<Vec<_>>(), fresh.catalog.count_referring(to.clone()).await.unwrap())
    };
    assert_eq!(referring(&own).await, (vec![user("a")], 1));
    assert_eq!(referring(&others).await, (vec![], 0));
    fresh.change(vec![deleted(user("a"), revision)]).await;
    assert_eq!(referring(&own).await, (vec![], 0));
}

pub async fn the_last_use_of_an_access_key_is_kept_as_long_as_the_key(fresh: Fresh) {
    let used = |used, service: &str| {
        let (access_key, region) = ("AK".to_owned(), "r".to_owned());
        AccessKeyUse { access_key, used, service: service.to_owned(), region }
    };
    let note = async |uses| fresh.catalog.note_access_key_uses(uses).await.unwrap();
    let last = async || fresh.catalog.access_key_use("AK").await.unwrap();
    note(vec![used(1, "s3")]).await;
    assert_eq!(last().await, None, "there is no such key");
    let key = named(EntityKind::AccessKey, "AK");
    let revision = fresh.change(vec![set(key.clone(), None, 1, &[])]).await;
    note(vec![used(5, "s3"), used(4, "iam")]).await;
    assert_eq!(last().await, Some(used(5, "s3")));
    note(vec![used(6, "sts")]).await;
    assert_eq!(last().await, Some(used(6, "sts")));
    let revision = fresh.change(vec![set(key.clone(), Some(revision), 2, &[])]).await;
    assert_eq!(last().await, Some(used(6, "sts")));
    fresh.change(vec![deleted(key.clone(), revision)]).await;
    fresh.change(vec![set(key, None, 1, &[])]).await;
    assert_eq!(last().await, None);
}
