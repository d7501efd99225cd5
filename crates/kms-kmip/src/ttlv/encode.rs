//! From fields to bytes.

use zeroize::Zeroizing;

use super::{HEADER_LEN, Item, Value, padding};

/// The bytes of a message. Its length is known before it is written, so no copy of a secret is left behind by growing.
pub(crate) fn encode(item: &Item) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(encoded_len(item)));
    write(item, &mut out);
    out
}

fn encoded_len(item: &Item) -> usize {
    let len = value_len(&item.value);
    HEADER_LEN + len + padding(len)
}

fn value_len(value: &Value) -> usize {
    match value {
        Value::Structure(items) => items.iter().map(encoded_len).sum(),
        Value::Integer(_) | Value::Enumeration(_) | Value::Interval(_) => 4,
        Value::LongInteger(_) | Value::Boolean(_) | Value::DateTime(_) => 8,
        Value::BigInteger(bytes) => bytes.len(),
        Value::Text(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
    }
}

fn write(item: &Item, out: &mut Vec<u8>) {
    out.extend_from_slice(&item.tag.0.to_be_bytes()[1..]);
    out.push(item.value.type_code());
    let len = value_len(&item.value);
    // No message is longer than a few thousand bytes.
    out.extend_from_slice(&u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes());
    match &item.value {
        Value::Structure(items) => items.iter().for_each(|item| write(item, out)),
        Value::Integer(number) => out.extend_from_slice(&number.to_be_bytes()),
        Value::Enumeration(number) | Value::Interval(number) => out.extend_from_slice(&number.to_be_bytes()),
        Value::LongInteger(number) | Value::DateTime(number) => out.extend_from_slice(&number.to_be_bytes()),
        Value::Boolean(yes) => out.extend_from_slice(&u64::from(*yes).to_be_bytes()),
        Value::BigInteger(bytes) => out.extend_from_slice(bytes),
        Value::Text(text) => out.extend_from_slice(text.as_bytes()),
        Value::Bytes(bytes) => out.extend_from_slice(bytes),
    }
    out.resize(out.len() + padding(len), 0);
}

impl Value {
    /// Source: KMIP 1.4, 9.1.1.2.
    pub(super) fn type_code(&self) -> u8 {
        match self {
            Self::Structure(_) => 0x01,
            Self::Integer(_) => 0x02,
            Self::LongInteger(_) => 0x03,
            Self::BigInteger(_) => 0x04,
            Self::Enumeration(_) => 0x05,
            Self::Boolean(_) => 0x06,
            Self::Text(_) => 0x07,
            Self::Bytes(_) => 0x08,
            Self::DateTime(_) => 0x09,
            Self::Interval(_) => 0x0A,
        }
    }
}
