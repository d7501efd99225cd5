//! The bytes of one record: a line of JSON that ends in the hash of all of it before. Specified in `docs/audit.md`.

use std::borrow::Cow;
use std::fmt::Write as _;

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::removed::{Removed, Statement};
use crate::{PublicKey, SigningKey};

/// The longest line in bytes, its end included. A longer one is no record.
pub(crate) const MAX_LINE_LEN: usize = 128 << 10;
/// Numbers up to here are the same in every JSON reader.
const MAX_SEQ: u64 = 1 << 53;
const CHECKPOINT_DOMAIN: &str = "strongroom/audit/checkpoint/v1";
const HASH_MEMBER: &[u8] = b",\"hash\":\"";
/// `,"hash":"` ‖ 64 digits ‖ `"}`.
const SUFFIX_LEN: usize = HASH_MEMBER.len() + 64 + 2;

/// How far a log goes. Kept elsewhere, it anchors the log: what was cut off or rewritten since shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The number of the last record; 0 for a log without any.
    pub seq: u64,
    /// Its hash, in 64 lower-case hexadecimal digits.
    pub hash: String,
}

/// Before the first record: number 0, a hash of zeros.
impl Default for Head {
    fn default() -> Self {
        Self { seq: 0, hash: "0".repeat(64) }
    }
}

/// Appends the record after `head` to `out`, and moves `head` on to it. `members` are the JSON members between time and `prev`.
pub(crate) fn append(out: &mut Vec<u8>, head: &mut Head, time: OffsetDateTime, members: &[u8]) {
    let start = out.len();
    let seq = head.seq + 1;
    let mut front = String::with_capacity(64);
    // Writing to a String cannot fail.
    let _ = write!(front, "{{\"seq\":{seq},\"time\":\"");
    push_time(&mut front, time);
    out.extend_from_slice(front.as_bytes());
    out.extend_from_slice(b"\",");
    out.extend_from_slice(members);
    out.extend_from_slice(b",\"prev\":\"");
    out.extend_from_slice(head.hash.as_bytes());
    out.push(b'"');
    let hash = sha256_hex(&out[start..]);
    out.extend_from_slice(HASH_MEMBER);
    out.extend_from_slice(hash.as_bytes());
    out.extend_from_slice(b"\"}\n");
    *head = Head { seq, hash };
}

/// The members of a checkpoint that is to follow `head` at `time`.
pub(crate) fn checkpoint_members(key: &SigningKey, public_key: &PublicKey, head: &Head, time: OffsetDateTime) -> String {
    let mut text = String::with_capacity(24);
    push_time(&mut text, time);
    let signature = key.sign(signed_text(head.seq + 1, &text, &head.hash).as_bytes());
    format!("\"checkpoint\":{{\"key\":\"{}\",\"signature\":\"{signature}\"}}", public_key.to_hex())
}

/// What the signature of the checkpoint of this number covers: itself, and through `prev` every record before it.
fn signed_text(seq: u64, time: &str, prev: &str) -> String {
    format!("{CHECKPOINT_DOMAIN}\n{seq}\n{time}\n{prev}\n")
}

/// A line as it was found. Its hash is checked, its place in the chain is not.
pub(crate) struct Record<'a> {
    line: Line<'a>,
    /// As the line states it.
    hash: &'a str,
    /// Whether the stated hash is that of the line.
    pub(crate) is_unchanged: bool,
}

/// The members that the chain needs; an event's own are left to others.
#[derive(Deserialize)]
struct Line<'a> {
    seq: u64,
    #[serde(borrow)]
    time: Cow<'a, str>,
    #[serde(borrow)]
    prev: Cow<'a, str>,
    #[serde(borrow)]
    checkpoint: Option<Checkpoint<'a>>,
    removed: Option<Statement>,
    operation: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Checkpoint<'a> {
    #[serde(borrow)]
    key: Cow<'a, str>,
    #[serde(borrow)]
    signature: Cow<'a, str>,
}

impl<'a> Record<'a> {
    /// Reads a line without its end, or nothing if it is no record.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (body, suffix) = bytes.split_at_checked(bytes.len().checked_sub(SUFFIX_LEN)?)?;
        let hash = std::str::from_utf8(suffix.strip_prefix(HASH_MEMBER)?.strip_suffix(b"\"}")?).ok()?;
        let line: Line = serde_json::from_slice(bytes).ok()?;
        if line.seq == 0 || line.seq > MAX_SEQ {
            return None;
        }
        Some(Self { line, hash, is_unchanged: sha256_hex(body) == hash })
    }

    pub(crate) fn seq(&self) -> u64 {
        self.line.seq
    }

    pub(crate) fn hash(&self) -> &str {
        self.hash
    }

    pub(crate) fn prev(&self) -> &str {
        &self.line.prev
    }

    pub(crate) fn time(&self) -> &str {
        &self.line.time
    }

    pub(crate) fn head(&self) -> Head {
        Head { seq: self.line.seq, hash: self.hash.to_owned() }
    }

    pub(crate) fn is_event(&self) -> bool {
        self.line.operation.is_some()
    }

    /// What this record states that retention removed.
    pub(crate) fn removed(&self) -> Option<Removed> {
        self.line.removed.as_ref()?.removed()
    }

    /// The key that a checkpoint says signed it; none if this is no checkpoint.
    pub(crate) fn checkpoint_key(&self) -> Option<&str> {
        Some(&self.line.checkpoint.as_ref()?.key)
    }

    /// Whether this is a checkpoint that `key` signed.
    pub(crate) fn is_signed_by(&self, key: &PublicKey) -> bool {
        let Line { seq, time, prev, checkpoint, .. } = &self.line;
        let Some(checkpoint) = checkpoint else { return false };
        checkpoint.key == key.to_hex() && key.verifies(signed_text(*seq, time, prev).as_bytes(), &checkpoint.signature)
    }
}

/// RFC 3339 in UTC with milliseconds, always 24 characters long.
fn push_time(out: &mut String, time: OffsetDateTime) {
    let (date, hour, minute, second) = (time.date(), time.hour(), time.minute(), time.second());
    let (year, month, day, millisecond) = (date.year(), u8::from(date.month()), date.day(), time.millisecond());
    // Writing to a String cannot fail.
    let _ = write!(out, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millisecond:03}Z");
}

fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(digest(&SHA256, bytes))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use time::macros::datetime;
    use zeroize::Zeroizing;

    use super::*;

    #[test]
    fn a_record_is_a_line_that_ends_in_the_hash_of_all_before() {
        let (mut out, mut head) = (Vec::new(), Head::default());
        append(&mut out, &mut head, datetime!(2026-01-02 03:04:05.006_999 UTC), b"\"a\":1");
        // echo -n '…' | sha256sum
        let hash = "ad6568db905854f62da4b1cdf67c82fc0374f59569b5adcfa04bda5174795db7";
        let zeros = "0".repeat(64);
        let body = format!("{{\"seq\":1,\"time\":\"2026-01-02T03:04:05.006Z\",\"a\":1,\"prev\":\"{zeros}\"");
        assert_eq!(String::from_utf8(out).unwrap(), format!("{body},\"hash\":\"{hash}\"}}\n"));
        assert_eq!(head, Head { seq: 1, hash: hash.to_owned() });
    }

    #[test]
    fn the_next_record_names_the_hash_of_the_one_before() {
        let (mut out, mut head) = (Vec::new(), Head::default());
        append(&mut out, &mut head, datetime!(2026-01-02 03:04:05 UTC), b"\"operation\":\"GetObject\"");
        let first = head.clone();
        let start = out.len();
        append(&mut out, &mut head, datetime!(2026-01-02 03:04:06 UTC), b"\"b\":2");
        let one = Record::parse(&out[..start - 1]).unwrap();
        let two = Record::parse(&out[start..out.len() - 1]).unwrap();
        assert!(one.is_unchanged && one.is_event() && one.head() == first);
        assert!(two.is_unchanged && !two.is_event() && two.seq() == 2 && two.prev() == first.hash && two.head() == head);
        assert_eq!(two.time(), "2026-01-02T03:04:06.000Z");
    }

    #[test]
    fn a_checkpoint_counts_for_its_own_key_place_and_time() {
        let key = SigningKey::from_seed(Zeroizing::new([1; 32])).unwrap();
        let other = SigningKey::from_seed(Zeroizing::new([2; 32])).unwrap().public_key();
        let (mut out, mut head) = (Vec::new(), Head::default());
        let time = datetime!(2026-01-02 03:04:05 UTC);
        let members = checkpoint_members(&key, &key.public_key(), &head, time);
        append(&mut out, &mut head, time, members.as_bytes());
        let record = Record::parse(&out[..out.len() - 1]).unwrap();
        assert_eq!(record.checkpoint_key(), Some(key.public_key().to_hex().as_str()));
        assert!(record.is_signed_by(&key.public_key()));
        assert!(!record.is_signed_by(&other));
        for (place, moved) in [(Head::default(), time + time::Duration::SECOND), (Head { seq: 1, ..Head::default() }, time)] {
            let (mut out, mut head) = (Vec::new(), place);
            append(&mut out, &mut head, moved, members.as_bytes());
            assert!(!Record::parse(&out[..out.len() - 1]).unwrap().is_signed_by(&key.public_key()));
        }
    }

    #[test]
    fn what_is_no_record_is_not_taken_for_one() {
        let zeros = "0".repeat(64);
        for line in [
            String::new(),
            "{}".to_owned(),
            format!("{{\"seq\":1,\"time\":\"\",\"prev\":\"\",\"hash\":\"{zeros}\"]"),
            format!("{{\"seq\":0,\"time\":\"\",\"prev\":\"\",\"hash\":\"{zeros}\"}}"),
            format!("{{\"seq\":9007199254740993,\"time\":\"\",\"prev\":\"\",\"hash\":\"{zeros}\"}}"),
            format!("{{\"time\":\"\",\"prev\":\"\",\"hash\":\"{zeros}\"}}"),
        ] {
            assert!(Record::parse(line.as_bytes()).is_none(), "{line}");
        }
    }
}
