//! From bytes to fields. The bytes are a stranger's: depth and number of fields are bounded, and lengths are checked before anything is
//! set aside for them.

use zeroize::Zeroizing;

use super::{HEADER_LEN, Item, Tag, Value, padding};

/// How deep structures may nest.
const MAX_DEPTH: usize = 16;
/// How many fields a message may have.
const MAX_ITEMS: usize = 50_000;

/// What is wrong with the bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// They end within a field.
    CutOff,
    /// There are more of them than the message has.
    Surplus,
    /// A value's length does not fit its type.
    Length,
    /// A type that KMIP 1.4 does not know.
    Type,
    /// A value that its type cannot have.
    Value,
    /// Structures nest too deep, or there are too many fields.
    TooMuch,
}

/// The one field that `bytes` are.
pub(crate) fn decode(bytes: &[u8]) -> Result<Item, Malformed> {
    let mut reader = Reader { rest: bytes, items_left: MAX_ITEMS };
    let item = reader.item(0)?;
    if reader.rest.is_empty() { Ok(item) } else { Err(Malformed::Surplus) }
}

struct Reader<'a> {
    rest: &'a [u8],
    items_left: usize,
}

impl<'a> Reader<'a> {
    fn item(&mut self, depth: usize) -> Result<Item, Malformed> {
        self.items_left = self.items_left.checked_sub(1).ok_or(Malformed::TooMuch)?;
        let header: [u8; HEADER_LEN] = self.take(HEADER_LEN)?.try_into().map_err(|_| Malformed::CutOff)?;
        let [t1, t2, t3, type_code, l1, l2, l3, l4] = header;
        let tag = Tag(u32::from_be_bytes([0, t1, t2, t3]));
        let len = usize::try_from(u32::from_be_bytes([l1, l2, l3, l4])).map_err(|_| Malformed::Length)?;
        let value = self.take(len)?;
        self.take(padding(len))?;
        let value = if type_code == 0x01 { Value::Structure(self.structure(value, depth + 1)?) } else { simple(type_code, value)? };
        Ok(Item { tag, value })
    }

    fn structure(&mut self, bytes: &'a [u8], depth: usize) -> Result<Vec<Item>, Malformed> {
        if depth > MAX_DEPTH {
            return Err(Malformed::TooMuch);
        }
        let mut inner = Reader { rest: bytes, items_left: self.items_left };
        let mut items = Vec::new();
        while !inner.rest.is_empty() {
            items.push(inner.item(depth)?);
        }
        self.items_left = inner.items_left;
        Ok(items)
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(Malformed::CutOff)?;
        self.rest = rest;
        Ok(taken)
    }
}

fn simple(type_code: u8, bytes: &[u8]) -> Result<Value, Malformed> {
    Ok(match type_code {
        0x02 => Value::Integer(i32::from_be_bytes(exactly(bytes)?)),
        0x03 => Value::LongInteger(i64::from_be_bytes(exactly(bytes)?)),
        0x04 if bytes.len().is_multiple_of(8) => Value::BigInteger(bytes.to_vec()),
        0x04 => return Err(Malformed::Length),
        0x05 => Value::Enumeration(u32::from_be_bytes(exactly(bytes)?)),
        0x06 => match u64::from_be_bytes(exactly(bytes)?) {
            0 => Value::Boolean(false),
            1 => Value::Boolean(true),
            _ => return Err(Malformed::Value),
        },
        0x07 => Value::Text(Zeroizing::new(std::str::from_utf8(bytes).map_err(|_| Malformed::Value)?.to_owned())),
        0x08 => Value::Bytes(Zeroizing::new(bytes.to_vec())),
        0x09 => Value::DateTime(i64::from_be_bytes(exactly(bytes)?)),
        0x0A => Value::Interval(u32::from_be_bytes(exactly(bytes)?)),
        _ => return Err(Malformed::Type),
    })
}

fn exactly<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Malformed> {
    bytes.try_into().map_err(|_| Malformed::Length)
}
