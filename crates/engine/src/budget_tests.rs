#![allow(clippy::unwrap_used)]

use std::{
    collections::VecDeque,
    future::{Future, poll_fn},
    pin::Pin,
    task::Poll,
};

use futures_util::FutureExt as _;
use proptest::prelude::*;
use tokio::time::Instant;

use super::*;

const KIB: usize = 1024;

/// Asks a future once.
async fn polled<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    poll_fn(|context| Poll::Ready(Pin::new(&mut *future).poll(context))).await
}

fn used(budget: &Budget) -> usize {
    budget.usage().used_bytes
}

#[tokio::test]
async fn who_waits_is_served_first_and_in_the_order_of_coming() {
    let budget = Budget::new(10 * KIB);
    let held = budget.hold(8 * KIB).await.unwrap();
    let mut large = Box::pin(budget.hold(9 * KIB));
    assert!(polled(&mut large).await.is_pending());
    let mut small = Box::pin(budget.hold(KIB));
    assert!(polled(&mut small).await.is_pending(), "2 KiB are free, but another came before");
    assert!(budget.try_hold(1).is_none() && budget.spare(1).is_none(), "nobody passes one who waits");
    assert_eq!(budget.usage().waiting, 2);
    drop(held);
    let Poll::Ready(Ok(large)) = polled(&mut large).await else { panic!("its turn has come") };
    let Poll::Ready(Ok(small)) = polled(&mut small).await else { panic!("there is room for both") };
    assert_eq!((large.bytes(), small.bytes(), used(&budget), budget.usage().waiting), (9 * KIB, KIB, 10 * KIB, 0));
}

#[tokio::test]
async fn nobody_takes_what_is_free_between_two_who_wait() {
    let budget = Budget::new(10 * KIB);
    let held = budget.hold(10 * KIB).await.unwrap();
    let (mut first, mut second) = (Box::pin(budget.hold(4 * KIB)), Box::pin(budget.hold(8 * KIB)));
    assert!(polled(&mut first).await.is_pending() && polled(&mut second).await.is_pending());
    drop(held);
    let Poll::Ready(Ok(first)) = polled(&mut first).await else { panic!("its turn has come") };
    assert!(budget.try_hold(KIB).is_none() && budget.spare(1).is_none(), "the second has not been asked since");
    drop(first);
    assert!(matches!(polled(&mut second).await, Poll::Ready(Ok(_))));
    assert!(budget.try_hold(10 * KIB).is_some());
}

#[tokio::test]
async fn one_who_stops_waiting_leaves_nothing_behind() {
    let budget = Budget::new(10 * KIB);
    let held = budget.hold(4 * KIB).await.unwrap();
    let mut gone = Box::pin(budget.hold(8 * KIB));
    assert!(polled(&mut gone).await.is_pending());
    let mut next = Box::pin(budget.hold(6 * KIB));
    assert!(polled(&mut next).await.is_pending());
    drop(gone);
    assert!(matches!(polled(&mut next).await, Poll::Ready(Ok(_))), "what the first had gathered goes to the next");
    drop(held);
    let BudgetUsage { used_bytes, waiting, refused, .. } = budget.usage();
    assert_eq!((used_bytes, waiting, refused), (0, 0, 0));
    assert!(budget.try_hold(10 * KIB).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_after_ten_seconds() {
    let budget = Budget::new(10 * KIB);
    let _all = budget.hold(10 * KIB).await.unwrap();
    let begun = Instant::now();
    assert!(matches!(budget.hold(1).await, Err(Error::Busy)));
    assert_eq!(begun.elapsed().as_secs(), 10);
    assert_eq!(budget.usage(), BudgetUsage { limit_bytes: 10 * KIB, used_bytes: 10 * KIB, waiting: 0, refused: 1 });
}

#[tokio::test]
async fn more_than_the_whole_budget_is_refused_at_once() {
    let budget = Budget::new(10 * KIB);
    assert!(matches!(budget.hold(10 * KIB + 1).now_or_never(), Some(Err(Error::Busy))));
    assert!(matches!(budget.hold(usize::MAX).now_or_never(), Some(Err(Error::Busy))));
    assert_eq!((used(&budget), budget.usage().refused), (0, 2));
}

#[test]
fn spare_memory_leaves_the_lower_half_and_most_of_what_is_left() {
    let budget = Budget::new(1600 * KIB);
    assert!(budget.spare(101 * KIB).is_none(), "an eighth of 800");
    let mut taken = Vec::new();
    for piece in [100, 50, 20, 10, 4, 1] {
        while let Some(held) = budget.spare(piece * KIB) {
            taken.push(held);
            assert!(used(&budget) <= 800 * KIB);
        }
    }
    assert!(used(&budget) >= 790 * KIB, "small pieces use the rest up: {}", used(&budget));
    assert!(budget.try_hold(800 * KIB).is_some(), "the lower half is untouched");
}

#[test]
fn bytes_with_memory_attached_hold_it_until_the_last_slice_is_gone() {
    let budget = Budget::new(10 * KIB);
    let bytes = budget.try_hold(4 * KIB).unwrap().attach(Bytes::from_static(b"abcdef"));
    let slice = bytes.slice(2..4);
    drop(bytes);
    assert_eq!((&slice[..], used(&budget)), (&b"cd"[..], 4 * KIB));
    drop(slice);
    assert_eq!(used(&budget), 0);
}

#[test]
fn what_is_split_or_shrunk_adds_up() {
    let budget = Budget::new(10 * KIB);
    let mut held = budget.try_hold(8 * KIB).unwrap();
    let part = held.split(3 * KIB);
    assert_eq!((held.bytes(), part.bytes(), used(&budget)), (5 * KIB, 3 * KIB, 8 * KIB));
    assert!(!held.try_grow(3 * KIB), "2 KiB are free");
    assert!(held.try_grow(2 * KIB));
    held.merge(part);
    assert_eq!((held.bytes(), used(&budget)), (10 * KIB, 10 * KIB));
    held.shrink_to(4 * KIB + 1);
    assert_eq!((held.bytes(), used(&budget)), (5 * KIB, 5 * KIB));
    held.shrink_to(9 * KIB);
    assert_eq!(held.bytes(), 5 * KIB, "it never grows by that");
}

#[derive(Clone, Debug)]
enum Step {
    Try(usize),
    Spare(usize),
    Wait(usize),
    /// Gives back one of what is held.
    Drop(usize),
    /// One who waits goes away.
    Leave(usize),
    Shrink(usize, usize),
    Grow(usize, usize),
    Split(usize, usize),
}

fn step() -> impl Strategy<Value = Step> {
    let (bytes, which) = (0..40 * KIB, 0..16_usize);
    prop_oneof![
        bytes.clone().prop_map(Step::Try),
        bytes.clone().prop_map(Step::Spare),
        bytes.clone().prop_map(Step::Wait),
        which.clone().prop_map(Step::Drop),
        which.clone().prop_map(Step::Leave),
        (which.clone(), bytes.clone()).prop_map(|(which, bytes)| Step::Shrink(which, bytes)),
        (which.clone(), bytes.clone()).prop_map(|(which, bytes)| Step::Grow(which, bytes)),
        (which, bytes).prop_map(|(which, bytes)| Step::Split(which, bytes)),
    ]
}

type Wait = Pin<Box<dyn Future<Output = Result<Held, Error>>>>;

/// Asks all who wait whether their turn has come. Those served must be the first of the line.
async fn serve(waits: &mut VecDeque<Wait>, held: &mut Vec<Held>) {
    let mut blocked = false;
    let mut still = VecDeque::new();
    while let Some(mut wait) = waits.pop_front() {
        match polled(&mut wait).await {
            Poll::Ready(result) => {
                let served = result.unwrap();
                // Nothing is nobody's to wait for.
                assert!(!blocked || served.bytes() == 0, "somebody was served before one who came earlier");
                held.push(served);
            }
            Poll::Pending => {
                blocked = true;
                still.push_back(wait);
            }
        }
    }
    *waits = still;
}

proptest! {
    /// Whatever is done in whatever order: the sum is right, never above the limit, nobody passes one who waits, and all comes back.
    #[test]
    fn the_budget_is_never_exceeded_and_nothing_of_it_is_lost(steps in proptest::collection::vec(step(), 1..200)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let budget = Budget::new(100 * KIB);
            let (mut held, mut waits): (Vec<Held>, VecDeque<Wait>) = Default::default();
            for step in steps {
                let (len, waiting) = (held.len(), waits.len());
                match step {
                    Step::Try(bytes) => {
                        let taken = budget.try_hold(bytes);
                        assert!(taken.is_none() || waiting == 0 || bytes == 0);
                        held.extend(taken);
                    }
                    Step::Spare(bytes) => {
                        let taken = budget.spare(bytes);
                        assert!(taken.is_none() || waiting == 0 || bytes == 0);
                        held.extend(taken);
                    }
                    Step::Wait(bytes) => {
                        let budget = budget.clone();
                        waits.push_back(Box::pin(async move { budget.hold(bytes).await }));
                    }
                    Step::Drop(which) if len > 0 => drop(held.swap_remove(which % len)),
                    Step::Leave(which) => drop(waits.remove(which)),
                    Step::Shrink(which, bytes) if len > 0 => held[which % len].shrink_to(bytes),
                    Step::Grow(which, bytes) if len > 0 => drop(held[which % len].try_grow(bytes)),
                    Step::Split(which, bytes) if len > 0 => {
                        let part = held[which % len].split(bytes);
                        held.push(part);
                    }
                    Step::Drop(_) | Step::Shrink(..) | Step::Grow(..) | Step::Split(..) => {}
                }
                serve(&mut waits, &mut held).await;
                let usage = budget.usage();
                assert_eq!(usage.used_bytes, held.iter().map(Held::bytes).sum::<usize>());
                assert!(usage.used_bytes <= usage.limit_bytes);
                assert_eq!(usage.waiting, waits.len());
            }
            held.clear();
            while !waits.is_empty() {
                serve(&mut waits, &mut held).await;
                held.clear();
            }
            drop(budget.try_hold(100 * KIB).unwrap());
        });
    }
}
