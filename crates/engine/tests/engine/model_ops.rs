//! What the model test does to the store, and what goes wrong meanwhile.

use proptest::prelude::*;
use strongroom_blobs::testing::{Fault, Operation};
use strongroom_catalog::testing::FaultMoment;
use strongroom_kms::testing::Fault as KmsFault;

use crate::common::*;

pub const KEYS: [&str; 3] = ["a", "a/b", "c"];
pub const SLOTS: usize = 2;

/// An operation on the keys and upload slots of these numbers.
#[derive(Clone, Debug)]
pub enum Op {
    Put { key: usize, by: As, len: usize, seed: u64 },
    Copy { from: usize, to: usize, by: As },
    Delete { key: usize },
    Get { key: usize },
    Range { key: usize, at: prop::sample::Index, len: u64 },
    List,
    Create { slot: usize, key: usize, by: As },
    Part { slot: usize, number: u16, len: usize, seed: u64 },
    PartCopy { slot: usize, number: u16, from: usize },
    Complete { slot: usize },
    Abort { slot: usize },
    SweepDead,
    SweepOrphans,
}

/// What fails during one operation; what does not strike is forgotten after it.
#[derive(Clone, Debug)]
pub enum Failure {
    None,
    Catalog(FaultMoment),
    Blobs(Operation, u64, Fault),
    Kms(KmsFault),
}

pub fn steps(count: usize) -> impl Strategy<Value = Vec<(Op, Failure)>> {
    prop::collection::vec((op(), failure()), 1..=count)
}

fn op() -> impl Strategy<Value = Op> {
    let (key, slot) = (0..KEYS.len(), 0..SLOTS);
    prop_oneof![
        6 => (key.clone(), mode(), len(), any::<u64>()).prop_map(|(key, by, len, seed)| Op::Put { key, by, len, seed }),
        6 => (key.clone(), key.clone(), mode()).prop_map(|(from, to, by)| Op::Copy { from, to, by }),
        2 => key.clone().prop_map(|key| Op::Delete { key }),
        3 => key.clone().prop_map(|key| Op::Get { key }),
        2 => (key.clone(), any::<prop::sample::Index>(), 1..70_000_u64).prop_map(|(key, at, len)| Op::Range { key, at, len }),
        1 => Just(Op::List),
        3 => (slot.clone(), key, mode()).prop_map(|(slot, key, by)| Op::Create { slot, key, by }),
        6 => (slot.clone(), 1..4_u16, len(), any::<u64>()).prop_map(|(slot, number, len, seed)| Op::Part { slot, number, len, seed }),
        6 => (slot.clone(), 1..4_u16, 0..KEYS.len()).prop_map(|(slot, number, from)| Op::PartCopy { slot, number, from }),
        3 => slot.clone().prop_map(|slot| Op::Complete { slot }),
        1 => slot.prop_map(|slot| Op::Abort { slot }),
        2 => Just(Op::SweepDead),
        1 => Just(Op::SweepOrphans),
    ]
}

fn mode() -> impl Strategy<Value = As> {
    prop::sample::select(vec![As::Store, As::S3, As::Kms, As::BucketKey, As::Dsse, As::Customer(1), As::Customer(2)])
}

fn len() -> impl Strategy<Value = usize> {
    let limit = Plan::default().options.inline_limit_bytes;
    prop::sample::select(vec![0, 1, 100, limit, limit + 1, 65_536, 65_537, 140_000, 1_100_000])
}

fn failure() -> impl Strategy<Value = Failure> {
    let blobs = prop::sample::select(vec![
        (Operation::Create, Fault::Full),
        (Operation::Create, Fault::Io),
        (Operation::Write, Fault::Full),
        (Operation::Write, Fault::Torn),
        (Operation::Finish, Fault::Io),
        (Operation::Finish, Fault::Torn),
        (Operation::Finish, Fault::LostAnswer),
        (Operation::Open, Fault::Io),
        (Operation::Read, Fault::Io),
        (Operation::Read, Fault::Cut { keep_bytes: 60 }),
        (Operation::Read, Fault::Flip { at_bytes: 50 }),
        (Operation::Delete, Fault::Io),
        (Operation::Delete, Fault::LostAnswer),
        (Operation::Scan, Fault::Io),
    ]);
    let moment = prop::sample::select(vec![FaultMoment::Before, FaultMoment::After]);
    let kms = prop::sample::select(vec![KmsFault::Unavailable, KmsFault::KeyDisabled]);
    prop_oneof![
        8 => Just(Failure::None),
        5 => moment.prop_map(Failure::Catalog),
        5 => (blobs, 1..3_u64).prop_map(|((operation, fault), nth)| Failure::Blobs(operation, nth, fault)),
        1 => kms.prop_map(Failure::Kms),
    ]
}
