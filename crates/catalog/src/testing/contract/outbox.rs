//! The outbox: what is added with a change, and what becomes of it.

use super::{B, Fresh, Scene, change_of, deletion, v};
use crate::testing::samples::{answer, id, part, upload, version};
use crate::{
    BlobId, BucketChange, DeadSelector, Deletion, DeletionEvents, EventId, Expect, NewEvent, NewVersion, OutboxEvent, OutboxTarget,
    SettledEvent, UploadId, VersionChange, VersionSelector, Versioning,
};

/// An event of a lane for the target `hook`.
fn event(number: u64, lane: u8) -> NewEvent {
    let target = "hook".to_owned();
    NewEvent { id: EventId(id(b'E', number)), target, lane: [lane; 16], added: 70, max_queued: 100, record: vec![lane] }
}

fn settled(event: &OutboxEvent, failure: Option<&[u8]>) -> SettledEvent {
    SettledEvent { position: event.position, lane: event.lane, failure: failure.map(<[u8]>::to_vec) }
}

impl Scene {
    async fn put_with(&self, event: NewEvent) {
        let number = u64::from(event.id.0[15]);
        self.catalog.put_version(NewVersion { event: Some(event), ..version(B, "k", v(number)) }, Expect::Any).await.unwrap();
    }

    async fn queued(&self) -> Vec<OutboxEvent> {
        self.catalog.queued_events("hook", 0, 100).await.unwrap()
    }

    async fn queued_numbers(&self) -> Vec<u8> {
        numbers(&self.queued().await)
    }
}

fn numbers(events: &[OutboxEvent]) -> Vec<u8> {
    events.iter().map(|event| event.id.0[15]).collect()
}

pub async fn each_kind_of_change_adds_its_event_and_one_that_is_refused_adds_none(fresh: Fresh) {
    let scene = fresh.with_bucket(Versioning::Enabled).await;
    let catalog = &scene.catalog;
    let put = |number, expect| catalog.put_version(NewVersion { event: Some(event(number, 1)), ..version(B, "k", v(number)) }, expect);
    put(1, Expect::Any).await.unwrap();
    assert_eq!(answer(put(2, Expect::Absent).await), "Err(PreconditionFailed)");
    let change = |seen, number| catalog.change_version(VersionChange { event: Some(event(number, 1)), ..change_of("k", 1, seen) });
    assert_eq!(answer(change(5, 3).await), "Err(PreconditionFailed)");
    change(0, 4).await.unwrap();
    let delete = |which, number| {
        let events = DeletionEvents { removed: Some(event(number, 1)), marked: Some(event(number + 1, 1)) };
        catalog.delete_version(Deletion { events, ..deletion("k", which, number) })
    };
    delete(VersionSelector::Latest, 5).await.unwrap();
    delete(VersionSelector::Id(v(5)), 7).await.unwrap();
    delete(VersionSelector::Id(v(99)), 9).await.unwrap();
    let change = |seen| {
        let events = vec![event(11, 1), event(12, 1)];
        catalog.change_bucket(B, seen, BucketChange { versioning: Versioning::Enabled, record: vec![1], documents: Vec::new(), events })
    };
    assert_eq!(answer(change(7).await), "Err(PreconditionFailed)");
    change(catalog.bucket("b").await.unwrap().unwrap().revision).await.unwrap();
    let upload_id = UploadId(id(b'U', 1));
    catalog.create_upload(upload(B, "k", upload_id, 0)).await.unwrap();
    catalog.put_part(upload_id, part(1, BlobId(id(b'B', 1)))).await.unwrap();
    let begun = catalog.find_upload("b", "k", upload_id).await.unwrap().unwrap().1.unwrap();
    let completed = NewVersion { envelope: begun.envelope, event: Some(event(13, 1)), ..version(B, "k", v(13)) };
    let complete = |blob| catalog.complete_upload(upload_id, vec![(1, blob)], completed.clone(), Expect::Any);
    assert_eq!(answer(complete(BlobId(id(b'B', 2))).await), "Err(PartChanged(1))");
    complete(BlobId(id(b'B', 1))).await.unwrap();
    assert_eq!(scene.queued_numbers().await, [1, 4, 6, 7, 11, 12, 13]);
}

pub async fn a_target_with_too_many_events_drops_the_next_counts_it_and_the_change_is_made(fresh: Fresh) {
    let scene = fresh.with_bucket(Versioning::Unversioned).await;
    for number in 1..=4 {
        scene.put_with(NewEvent { max_queued: 2, ..event(number, 1) }).await;
    }
    assert_eq!(scene.latest("k").await, Some(v(4)));
    assert_eq!(scene.queued_numbers().await, [1, 2]);
    scene.put_with(NewEvent { target: "other".to_owned(), ..event(5, 1) }).await;
    let told = |target: &str, queued, dropped| OutboxTarget { target: target.to_owned(), queued, dead: 0, dropped, oldest: Some(70) };
    assert_eq!(scene.catalog.outbox().await.unwrap(), [told("hook", 2, 2), told("other", 1, 0)]);
    let first = scene.queued().await.remove(0);
    scene.catalog.settle_events("hook", vec![settled(&first, None)], 1).await.unwrap();
    scene.put_with(NewEvent { max_queued: 2, ..event(6, 1) }).await;
    assert_eq!(scene.queued_numbers().await, [2, 6]);
}

pub async fn a_settled_event_gives_way_to_the_next_of_its_lane(fresh: Fresh) {
    let scene = fresh.with_bucket(Versioning::Unversioned).await;
    for (number, lane) in [(1, 1), (2, 2), (3, 1), (4, 1), (5, 3)] {
        scene.put_with(event(number, lane)).await;
    }
    let queued = scene.queued().await;
    let next = scene.catalog.settle_events("hook", vec![settled(&queued[0], None), settled(&queued[1], None)], 10).await.unwrap();
    assert_eq!(numbers(&next), [3], "lane 2 has no more, and lane 3 was not settled");
    // A second time, nothing is left to settle, and the lane's first is told again.
    let next = scene.catalog.settle_events("hook", vec![settled(&queued[0], Some(&[9]))], 10).await.unwrap();
    assert_eq!((numbers(&next), scene.catalog.dead_events(None, 0, 9).await.unwrap().len()), (vec![3], 0));
    assert_eq!(scene.catalog.settle_events("other", vec![settled(&queued[2], None)], 10).await.unwrap(), []);
    assert_eq!(scene.queued_numbers().await, [3, 4, 5]);
}

pub async fn events_that_are_given_up_are_kept_up_to_a_number_and_queued_again_behind_all_others(fresh: Fresh) {
    let scene = fresh.with_bucket(Versioning::Unversioned).await;
    for number in 1..=4 {
        scene.put_with(event(number, 1)).await;
    }
    let queued = scene.queued().await;
    for dying in &queued[..3] {
        scene.catalog.settle_events("hook", vec![settled(dying, Some(&[9]))], 2).await.unwrap();
    }
    let dead = scene.catalog.dead_events(Some("hook"), 0, 9).await.unwrap();
    assert_eq!((numbers(&dead), dead[0].failure.as_deref()), (vec![2, 3], Some([9].as_slice())));
    let told = OutboxTarget { target: "hook".to_owned(), queued: 1, dead: 2, dropped: 1, oldest: Some(70) };
    assert_eq!(scene.catalog.outbox().await.unwrap(), [told]);
    assert_eq!(scene.catalog.requeue_dead(DeadSelector::One(EventId(id(b'E', 2)))).await.unwrap(), 1);
    assert_eq!(scene.catalog.requeue_dead(DeadSelector::One(EventId(id(b'E', 2)))).await.unwrap(), 0);
    let again = scene.queued().await;
    assert_eq!(numbers(&again), [4, 2]);
    assert_eq!((again[1].sequence, again[1].failure.as_ref()), (queued[1].sequence, None), "it still tells when it was");
    assert!(again[1].position > queued[3].position);
    assert_eq!(scene.catalog.drop_dead(DeadSelector::OldestOf("hook".to_owned())).await.unwrap(), 1);
    assert_eq!(scene.catalog.drop_queued("hook").await.unwrap(), 2);
    let told = OutboxTarget { target: "hook".to_owned(), queued: 0, dead: 0, dropped: 1, oldest: None };
    assert_eq!(scene.catalog.outbox().await.unwrap(), [told]);
}

pub async fn a_place_in_the_outbox_is_never_given_twice(fresh: Fresh) {
    let scene = fresh.with_bucket(Versioning::Unversioned).await;
    let mut last = 0;
    for number in 1..=3 {
        scene.put_with(event(number, 1)).await;
        let queued = scene.queued().await;
        assert!(queued[0].position > last && queued[0].sequence == queued[0].position);
        last = queued[0].position;
        scene.catalog.settle_events("hook", vec![settled(&queued[0], None)], 10).await.unwrap();
        assert_eq!(scene.queued().await, []);
    }
}
