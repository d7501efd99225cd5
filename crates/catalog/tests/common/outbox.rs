//! What the model test does to the outboxes of the catalogs.

use proptest::prelude::*;
use proptest::sample::Index;
use strongroom_catalog::testing::samples::{answer, id};
use strongroom_catalog::{Catalog, DeadSelector, EventId, NewEvent, OutboxEvent, SettledEvent};

pub(crate) const TARGETS: [&str; 2] = ["hook", "other"];
/// So many events may be queued for a target, and so many be dead.
const MAX_QUEUED: u64 = 7;
const MAX_DEAD: u64 = 3;

#[derive(Clone, Debug)]
pub(crate) enum OutboxOp {
    Settle { target: usize, picks: Vec<(Index, bool)> },
    Requeue { target: usize, one: Option<Index> },
    DropDead { target: usize, one: Option<Index> },
    DropQueued { target: usize },
}

pub(crate) fn outbox_op() -> impl Strategy<Value = OutboxOp> {
    let (target, one) = (|| 0..TARGETS.len(), || prop::option::weighted(0.7, any::<Index>()));
    prop_oneof![
        8 => (target(), prop::collection::vec(any::<(Index, bool)>(), 0..4)).prop_map(|(target, picks)| OutboxOp::Settle { target, picks }),
        2 => (target(), one()).prop_map(|(target, one)| OutboxOp::Requeue { target, one }),
        1 => (target(), one()).prop_map(|(target, one)| OutboxOp::DropDead { target, one }),
        1 => target().prop_map(|target| OutboxOp::DropQueued { target }),
    ]
}

/// The event of a change; not every change has one.
pub(crate) fn event(number: u64) -> Option<NewEvent> {
    let target = TARGETS[usize::from(number.is_multiple_of(4))].to_owned();
    let seed = u8::try_from(number % 3).unwrap();
    let new =
        NewEvent { id: id(b'E', number), target, lane: [seed; 16], added: i64::from(seed), max_queued: MAX_QUEUED, record: vec![seed; 3] };
    (!number.is_multiple_of(3)).then_some(new)
}

/// What a catalog answers.
pub(crate) async fn run(op: &OutboxOp, catalog: &dyn Catalog) -> String {
    match op {
        OutboxOp::Settle { target, picks } => {
            let queued = catalog.queued_events(TARGETS[*target], 0, 100).await.unwrap();
            let settled = picks.iter().filter(|_| !queued.is_empty()).map(|(pick, dies)| {
                let OutboxEvent { position, lane, .. } = *pick.get(&queued);
                SettledEvent { position, lane, failure: dies.then(|| vec![7]) }
            });
            // Once for another target too, which it is not for.
            let settled: Vec<_> = settled.collect();
            let elsewhere = catalog.settle_events("nowhere", settled.clone(), MAX_DEAD).await;
            format!("{} {}", answer(elsewhere), answer(catalog.settle_events(TARGETS[*target], settled, MAX_DEAD).await))
        }
        OutboxOp::Requeue { target, one } => answer(catalog.requeue_dead(dead(catalog, *target, *one).await).await),
        OutboxOp::DropDead { target, one } => answer(catalog.drop_dead(dead(catalog, *target, *one).await).await),
        OutboxOp::DropQueued { target } => answer(catalog.drop_queued(TARGETS[*target]).await),
    }
}

async fn dead(catalog: &dyn Catalog, target: usize, one: Option<Index>) -> DeadSelector {
    let Some(one) = one else { return DeadSelector::OldestOf(TARGETS[target].to_owned()) };
    let dead = catalog.dead_events(None, 0, 100).await.unwrap();
    DeadSelector::One(if dead.is_empty() { EventId(id(b'?', 1)) } else { one.get(&dead).id })
}

/// All that a catalog tells of its outbox, also page by page.
pub(crate) async fn told(catalog: &dyn Catalog) -> String {
    let mut told = answer(catalog.outbox().await);
    for target in TARGETS {
        told += &answer(catalog.queued_events(target, 0, 100).await);
        told += &answer(catalog.queued_events(target, 0, 2).await);
        told += &answer(catalog.queued_events(target, 4, 100).await);
        told += &answer(catalog.dead_events(Some(target), 0, 100).await);
    }
    told += &answer(catalog.dead_events(None, 0, 3).await);
    told + &answer(catalog.dead_events(None, 5, 100).await)
}
