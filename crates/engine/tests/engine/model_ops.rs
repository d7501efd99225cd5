//! What the model test does to the store, and what goes wrong meanwhile.

use proptest::prelude::*;
use strongroom_blobs::testing::{Fault, Operation};
use strongroom_catalog::testing::FaultMoment;
use strongroom_engine::api::{GetObject, RetentionMode};
use strongroom_kms::testing::Fault as KmsFault;

use crate::common::*;

pub const KEYS: [&str; 3] = ["a", "a/b", "c"];
/// The first never is versioned; the second is switched to and fro; the third has Object Lock.
pub const BUCKETS: [&str; 3] = [BUCKET, "versions", "locks"];
pub const LOCKABLE: usize = 2;
pub const SLOTS: usize = 2;

/// A bucket and a key, by their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub bucket: usize,
    pub key: usize,
}

impl Place {
    pub fn bucket(self) -> String {
        BUCKETS[self.bucket].into()
    }

    pub fn get(self, version_id: Option<&str>, by: As) -> GetObject {
        GetObject { bucket: self.bucket(), version_id: version_id.map(str::to_owned), ..get_request(KEYS[self.key], by.read()) }
    }
}

/// Which version of a key a request names.
#[derive(Clone, Copy, Debug)]
pub enum Pick {
    Latest,
    Null,
    /// One of those that there are.
    Nth(prop::sample::Index),
    /// One that never was.
    Unknown,
}

/// What a new version is given: so many tags, and where it can be locked a retention for so many hours, and a legal hold.
#[derive(Clone, Copy, Debug)]
pub struct Given {
    pub tags: u8,
    pub retention: Option<(RetentionMode, u8)>,
    pub hold: bool,
}

/// An operation on places and upload slots.
#[derive(Clone, Debug)]
pub enum Op {
    SetVersioning {
        enabled: bool,
    },
    Put {
        at: Place,
        by: As,
        len: usize,
        seed: u64,
        given: Given,
    },
    Copy {
        from: Place,
        which: Pick,
        to: Place,
        by: As,
        /// None keeps the tags.
        given: Option<Given>,
    },
    Delete {
        at: Place,
        which: Pick,
        bypass: bool,
    },
    Tag {
        at: Place,
        which: Pick,
        tags: u8,
    },
    /// For so many hours from the beginning; none removes the retention.
    Retain {
        at: Place,
        which: Pick,
        retention: Option<(RetentionMode, u8)>,
        bypass: bool,
    },
    Hold {
        at: Place,
        which: Pick,
        on: bool,
    },
    /// The retention of new versions, in days.
    SetDefaultLock {
        retention: Option<(RetentionMode, u32)>,
    },
    /// The catalog's clock, so many hours from the beginning; none is long ago.
    SetClock {
        hours: Option<u8>,
    },
    UpdateEncryption {
        at: Place,
        which: Pick,
        bucket_key: bool,
    },
    Rekey {
        bucket: usize,
        to_other: bool,
    },
    Get {
        at: Place,
        which: Pick,
    },
    Range {
        at: Place,
        which: Pick,
        begin: prop::sample::Index,
        len: u64,
    },
    List {
        bucket: usize,
        prefix: &'static str,
        delimiter: bool,
        limit: usize,
    },
    Create {
        slot: usize,
        at: Place,
        by: As,
        given: Given,
    },
    Part {
        slot: usize,
        number: u16,
        len: usize,
        seed: u64,
    },
    PartCopy {
        slot: usize,
        number: u16,
        from: Place,
        which: Pick,
    },
    Complete {
        slot: usize,
    },
    Abort {
        slot: usize,
    },
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
    let slot = 0..SLOTS;
    let (index, number) = (any::<prop::sample::Index>(), 1..4_u16);
    let prefix = prop::sample::select(vec!["", "a", "a/"]);
    prop_oneof![
        4 => prop::bool::weighted(0.8).prop_map(|enabled| Op::SetVersioning { enabled }),
        16 => (place(), mode(), len(), any::<u64>(), given()).prop_map(|(at, by, len, seed, given)| Op::Put { at, by, len, seed, given }),
        8 => (place(), which(), place(), mode(), prop::option::of(given()))
            .prop_map(|(from, which, to, by, given)| Op::Copy { from, which, to, by, given }),
        5 => (place(), which(), any::<bool>()).prop_map(|(at, which, bypass)| Op::Delete { at, which, bypass }),
        8 => (lockable(), present(), any::<bool>()).prop_map(|(at, which, bypass)| Op::Delete { at, which, bypass }),
        3 => (place(), which(), 0..3_u8).prop_map(|(at, which, tags)| Op::Tag { at, which, tags }),
        4 => (lockable(), present(), prop::option::weighted(0.8, retention()), any::<bool>())
            .prop_map(|(at, which, retention, bypass)| Op::Retain { at, which, retention, bypass }),
        2 => (lockable(), which(), any::<bool>()).prop_map(|(at, which, on)| Op::Hold { at, which, on }),
        1 => prop::option::of((lock_mode(), 1..3_u32)).prop_map(|retention| Op::SetDefaultLock { retention }),
        2 => prop::option::weighted(0.7, prop::sample::select(vec![0, 1, 2, 3, 30, 30])).prop_map(|hours| Op::SetClock { hours }),
        3 => (place(), which(), any::<bool>()).prop_map(|(at, which, bucket_key)| Op::UpdateEncryption { at, which, bucket_key }),
        2 => (0..BUCKETS.len(), any::<bool>()).prop_map(|(bucket, to_other)| Op::Rekey { bucket, to_other }),
        5 => (place(), which()).prop_map(|(at, which)| Op::Get { at, which }),
        2 => (place(), which(), index, 1..70_000_u64).prop_map(|(at, which, begin, len)| Op::Range { at, which, begin, len }),
        2 => (0..BUCKETS.len(), prefix, any::<bool>(), 1..6_usize)
            .prop_map(|(bucket, prefix, delimiter, limit)| Op::List { bucket, prefix, delimiter, limit }),
        3 => (slot.clone(), place(), mode(), given()).prop_map(|(slot, at, by, given)| Op::Create { slot, at, by, given }),
        6 => (slot.clone(), number.clone(), len(), any::<u64>()).prop_map(|(slot, number, len, seed)| Op::Part { slot, number, len, seed }),
        6 => (slot.clone(), number, place(), which()).prop_map(|(slot, number, from, which)| Op::PartCopy { slot, number, from, which }),
        3 => slot.clone().prop_map(|slot| Op::Complete { slot }),
        1 => slot.prop_map(|slot| Op::Abort { slot }),
        2 => Just(Op::SweepDead),
        1 => Just(Op::SweepOrphans),
    ]
}

/// Mostly in the bucket that may be versioned, and at its first key, so that there are many versions of one.
fn place() -> impl Strategy<Value = Place> {
    (prop::sample::select(vec![0, 1, 1, 1, LOCKABLE, LOCKABLE]), prop::sample::select(vec![0, 0, 0, 1, 2]))
        .prop_map(|(bucket, key)| Place { bucket, key })
}

fn lockable() -> impl Strategy<Value = Place> {
    place().prop_map(|at| Place { bucket: LOCKABLE, ..at })
}

fn given() -> impl Strategy<Value = Given> {
    (0..3_u8, prop::option::weighted(0.4, retention()), prop::bool::weighted(0.2)).prop_map(|(tags, retention, hold)| Given {
        tags,
        retention,
        hold,
    })
}

fn retention() -> impl Strategy<Value = (RetentionMode, u8)> {
    (lock_mode(), 1..4_u8)
}

fn lock_mode() -> impl Strategy<Value = RetentionMode> {
    prop_oneof![3 => Just(RetentionMode::Governance), 1 => Just(RetentionMode::Compliance)]
}

fn which() -> impl Strategy<Value = Pick> {
    prop_oneof![
        6 => Just(Pick::Latest),
        1 => Just(Pick::Null),
        8 => any::<prop::sample::Index>().prop_map(Pick::Nth),
        1 => Just(Pick::Unknown),
    ]
}

fn present() -> impl Strategy<Value = Pick> {
    any::<prop::sample::Index>().prop_map(Pick::Nth)
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
