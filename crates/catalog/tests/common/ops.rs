//! What the model test does to the catalogs.

use super::outbox::{OutboxOp, outbox_op};
use proptest::prelude::*;
use proptest::sample::Index;
use strongroom_catalog::{Lock, Retention, RetentionMode, Versioning};

pub(crate) const BUCKETS: [&str; 3] = ["alpha", "beta", "beta-2"];
pub(crate) const KEYS: [&str; 12] =
    ["a", "a\0", "a/", "a/b", "a/b/c", "a/c", "a/é", "a0", "b/b", "é/x", "\u{10FFFF}", "\u{10FFFF}/\u{10FFFF}"];
pub(crate) const PREFIXES: [&str; 6] = ["", "a", "a/", "a/b", "é", "\u{10FFFF}"];
pub(crate) const DELIMITERS: [&str; 4] = ["", "/", "b/", "\u{10FFFF}"];
pub(crate) const KEY_IDS: [&str; 2] = ["default", "other"];
pub(crate) const KINDS: [&str; 2] = ["policy", "lifecycle"];
pub(crate) const SETTINGS: [&str; 2] = ["store-key", "other"];

#[derive(Clone, Debug)]
pub(crate) enum Op {
    CreateBucket { bucket: usize, versioning: Versioning, repeated_id: bool },
    DeleteBucket(usize),
    ChangeBucket { bucket: usize, stale: bool, versioning: Option<Versioning>, kind: usize, document: Option<u8> },
    Put { at: At, blobs: Vec<Pick>, expect: Want, key: Option<(usize, u32)>, size: u64, old_id: Option<Index>, lock: Lock },
    ChangeVersion { at: At, version: Index, stale: bool, key: Option<(usize, u32)>, lock: Lock },
    Delete { at: At, which: Which, expect: Want, bypass: bool },
    ResealUpload { upload: Index, present: bool, key: Option<(usize, u32)> },
    PutJob { number: u64, is_active: bool, value: u8 },
    CreateUpload { at: At, initiated: i64, key: Option<(usize, u32)>, old_id: Option<Index> },
    PutPart { upload: Index, number: u16, blob: Pick },
    Complete { upload: Index, left_out: u16, stale: bool, elsewhere: bool, resealed: bool, expect: Want, extra: Vec<Pick> },
    Abort { upload: Index, elsewhere: bool },
    ForgetBlobs(Vec<Index>),
    SetSetting { name: usize, present: bool, value: u8 },
    Tick,
    ListBuckets { prefix: usize, after: Option<usize>, limit: usize },
    ListObjects { bucket: usize, query: Query },
    ListVersions { bucket: usize, query: Query, after: Option<Which> },
    ListUploads { bucket: usize, query: Query, after: Option<Index> },
    ListParts { upload: Index, after: u16, limit: usize },
    DeadBlobs { age: i64, limit: usize },
    Outbox(OutboxOp),
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct At {
    pub(crate) bucket: usize,
    pub(crate) key: usize,
}

#[derive(Clone, Debug)]
pub(crate) enum Pick {
    Fresh,
    TakenAsNew(Index),
    Shared(Index),
}

#[derive(Clone, Debug)]
pub(crate) enum Want {
    Any,
    Absent,
    ThePresent,
    Some(Index),
}

#[derive(Clone, Debug)]
pub(crate) enum Which {
    Latest,
    Null,
    Id(Index),
}

#[derive(Clone, Debug)]
pub(crate) struct Query {
    pub(crate) prefix: usize,
    pub(crate) delimiter: Option<usize>,
    pub(crate) after: Option<usize>,
    pub(crate) limit: usize,
}

pub(crate) fn at() -> impl Strategy<Value = At> {
    // Most on few keys, so that versions pile up.
    let key = prop_oneof![3 => 2..5_usize, 2 => 0..KEYS.len()];
    (0..BUCKETS.len(), key).prop_map(|(bucket, key)| At { bucket, key })
}

pub(crate) fn kms_key() -> impl Strategy<Value = Option<(usize, u32)>> {
    prop::option::of((0..KEY_IDS.len(), 1..3_u32))
}

pub(crate) fn pick() -> impl Strategy<Value = Pick> {
    prop_oneof![
        12 => Just(Pick::Fresh),
        1 => any::<Index>().prop_map(Pick::TakenAsNew),
        6 => any::<Index>().prop_map(Pick::Shared),
    ]
}

pub(crate) fn want() -> impl Strategy<Value = Want> {
    prop_oneof![
        6 => Just(Want::Any),
        1 => Just(Want::Absent),
        1 => Just(Want::ThePresent),
        1 => any::<Index>().prop_map(Want::Some),
    ]
}

pub(crate) fn which() -> impl Strategy<Value = Which> {
    prop_oneof![2 => Just(Which::Latest), 1 => Just(Which::Null), 3 => any::<Index>().prop_map(Which::Id)]
}

pub(crate) fn query() -> impl Strategy<Value = Query> {
    (0..PREFIXES.len(), prop::option::of(0..DELIMITERS.len()), prop::option::of(0..KEYS.len()), 0..6_usize)
        .prop_map(|(prefix, delimiter, after, limit)| Query { prefix, delimiter, after, limit })
}

pub(crate) fn versioning() -> impl Strategy<Value = Versioning> {
    prop_oneof![Just(Versioning::Unversioned), Just(Versioning::Enabled), Just(Versioning::Suspended)]
}

/// Mostly none; else one that ends soon by the clock of the test, which is set forward and back, or one that does not end by itself.
pub(crate) fn lock() -> impl Strategy<Value = Lock> {
    let mode = prop_oneof![Just(RetentionMode::Governance), Just(RetentionMode::Compliance)];
    let retention = prop::option::of((mode, 0..12_i64).prop_map(|(mode, until)| Retention { mode, until }));
    let lock = (retention, prop::bool::weighted(0.2), prop::bool::weighted(0.2)).prop_map(|(retention, legal_hold, event_hold)| Lock {
        retention,
        legal_hold,
        event_hold,
    });
    prop_oneof![5 => Just(Lock::default()), 1 => lock]
}

pub(crate) fn op() -> impl Strategy<Value = Op> {
    let buckets = 0..BUCKETS.len();
    let rarely = || prop::bool::weighted(0.1);
    let old = || prop::option::weighted(0.05, any::<Index>());
    prop_oneof![
        4 => (buckets.clone(), versioning(), rarely())
            .prop_map(|(bucket, versioning, repeated_id)| Op::CreateBucket { bucket, versioning, repeated_id }),
        2 => buckets.clone().prop_map(Op::DeleteBucket),
        2 => (buckets.clone(), rarely(), prop::option::of(versioning()), 0..KINDS.len(), prop::option::of(any::<u8>())).prop_map(
            |(bucket, stale, versioning, kind, document)| Op::ChangeBucket { bucket, stale, versioning, kind, document }
        ),
        24 => (at(), prop::collection::vec(pick(), 0..3), want(), kms_key(), 0..50_u64, old(), lock())
            .prop_map(|(at, blobs, expect, key, size, old_id, lock)| Op::Put { at, blobs, expect, key, size, old_id, lock }),
        4 => (at(), any::<Index>(), rarely(), kms_key(), lock())
            .prop_map(|(at, version, stale, key, lock)| Op::ChangeVersion { at, version, stale, key, lock }),
        14 => (at(), which(), want(), any::<bool>()).prop_map(|(at, which, expect, bypass)| Op::Delete { at, which, expect, bypass }),
        8 => (at(), 0..3_i64, kms_key(), old())
            .prop_map(|(at, initiated, key, old_id)| Op::CreateUpload { at, initiated, key, old_id }),
        14 => (any::<Index>(), 1..4_u16, pick()).prop_map(|(upload, number, blob)| Op::PutPart { upload, number, blob }),
        5 => (any::<Index>(), 1..6_u16, rarely(), rarely(), rarely(), want(), prop::collection::vec(pick(), 0..2)).prop_map(
            |(upload, left_out, stale, elsewhere, resealed, expect, extra)| {
                Op::Complete { upload, left_out, stale, elsewhere, resealed, expect, extra }
            }
        ),
        3 => (any::<Index>(), prop::bool::weighted(0.8), kms_key())
            .prop_map(|(upload, present, key)| Op::ResealUpload { upload, present, key }),
        2 => (0..4_u64, any::<bool>(), any::<u8>()).prop_map(|(number, is_active, value)| Op::PutJob { number, is_active, value }),
        2 => (any::<Index>(), rarely()).prop_map(|(upload, elsewhere)| Op::Abort { upload, elsewhere }),
        2 => prop::collection::vec(any::<Index>(), 0..4).prop_map(Op::ForgetBlobs),
        2 => (0..SETTINGS.len(), prop::bool::weighted(0.7), any::<u8>())
            .prop_map(|(name, present, value)| Op::SetSetting { name, present, value }),
        3 => Just(Op::Tick),
        1 => (0..PREFIXES.len(), prop::option::of(buckets.clone()), 0..4_usize)
            .prop_map(|(prefix, after, limit)| Op::ListBuckets { prefix, after, limit }),
        6 => (buckets.clone(), query()).prop_map(|(bucket, query)| Op::ListObjects { bucket, query }),
        8 => (buckets.clone(), query(), prop::option::of(which())).prop_map(|(bucket, query, after)| Op::ListVersions { bucket, query, after }),
        6 => (buckets, query(), prop::option::of(any::<Index>()))
            .prop_map(|(bucket, query, after)| Op::ListUploads { bucket, query, after }),
        2 => (any::<Index>(), 0..4_u16, 0..4_usize).prop_map(|(upload, after, limit)| Op::ListParts { upload, after, limit }),
        2 => (-1..3_i64, 0..4_usize).prop_map(|(age, limit)| Op::DeadBlobs { age, limit }),
        8 => outbox_op().prop_map(Op::Outbox),
    ]
}
