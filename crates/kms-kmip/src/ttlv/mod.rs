//! Tag, type, length, value: the encoding of KMIP messages. Source: KMIP 1.4, 9.1.

mod decode;
mod encode;
mod tag;

use zeroize::Zeroizing;

#[cfg(test)]
use self::decode::Malformed;
pub(crate) use self::decode::decode;
pub(crate) use self::encode::encode;
pub(crate) use self::tag::Tag;

/// Length of tag, type and length in bytes.
pub(crate) const HEADER_LEN: usize = 8;
/// Values are padded to a multiple of this many bytes.
const ALIGNMENT: usize = 8;

/// One field of a message. Not to be shown: it may hold a key.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) tag: Tag,
    pub(crate) value: Value,
}

/// The types of values.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Structure(Vec<Item>),
    Integer(i32),
    LongInteger(i64),
    /// Two's complement, big-endian, of a multiple of eight bytes.
    BigInteger(Vec<u8>),
    Enumeration(u32),
    Boolean(bool),
    Text(Zeroizing<String>),
    Bytes(Zeroizing<Vec<u8>>),
    /// Seconds since the epoch.
    DateTime(i64),
    /// Seconds.
    Interval(u32),
}

impl Item {
    pub(crate) fn structure(tag: Tag, items: Vec<Item>) -> Self {
        Self { tag, value: Value::Structure(items) }
    }

    pub(crate) fn integer(tag: Tag, number: i32) -> Self {
        Self { tag, value: Value::Integer(number) }
    }

    pub(crate) fn enumeration(tag: Tag, number: u32) -> Self {
        Self { tag, value: Value::Enumeration(number) }
    }

    pub(crate) fn text(tag: Tag, text: &str) -> Self {
        Self { tag, value: Value::Text(Zeroizing::new(text.to_owned())) }
    }

    pub(crate) fn bytes(tag: Tag, bytes: &[u8]) -> Self {
        Self { tag, value: Value::Bytes(Zeroizing::new(bytes.to_vec())) }
    }

    /// The fields with this tag of a structure; none if it is no structure.
    pub(crate) fn children(&self, tag: Tag) -> impl Iterator<Item = &Item> {
        let items = if let Value::Structure(items) = &self.value { items.as_slice() } else { &[] };
        items.iter().filter(move |item| item.tag == tag)
    }

    pub(crate) fn child(&self, tag: Tag) -> Option<&Item> {
        self.children(tag).next()
    }

    pub(crate) fn as_text(&self) -> Option<&str> {
        if let Value::Text(text) = &self.value { Some(text) } else { None }
    }

    pub(crate) fn as_bytes(&self) -> Option<&[u8]> {
        if let Value::Bytes(bytes) = &self.value { Some(bytes) } else { None }
    }

    pub(crate) fn as_enumeration(&self) -> Option<u32> {
        if let Value::Enumeration(number) = self.value { Some(number) } else { None }
    }

    pub(crate) fn as_date_time(&self) -> Option<i64> {
        if let Value::DateTime(seconds) = self.value { Some(seconds) } else { None }
    }
}

/// How far to the next multiple of [`ALIGNMENT`].
fn padding(len: usize) -> usize {
    len.next_multiple_of(ALIGNMENT) - len
}

#[cfg(test)]
mod tests;
