//! Percent-encoding as Signature Version 4 defines it: all but unreserved characters, in upper-case hexadecimal.

/// What a `+` stands for when it is decoded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Plus {
    /// Itself: paths.
    IsPlus,
    /// A space: query strings.
    IsSpace,
}

/// Whether a slash is encoded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slash {
    /// In paths it stands for itself.
    Kept,
    /// In queries it is a byte like others.
    Encoded,
}

/// Undoes percent-encoding and encodes again, so that every spelling of the same bytes becomes one.
/// What is no percent-encoding ("50%zz") stands for itself.
pub(crate) fn push_canonical(out: &mut Vec<u8>, raw: &[u8], plus: Plus, slash: Slash) {
    for byte in decoded(raw, plus) {
        push_encoded(out, byte, slash);
    }
}

/// Encodes bytes as they are.
pub(crate) fn push_encoded_all(out: &mut Vec<u8>, bytes: &[u8], slash: Slash) {
    for &byte in bytes {
        push_encoded(out, byte, slash);
    }
}

/// Undoes percent-encoding. None where the bytes are no UTF-8; what is no percent-encoding ("50%zz") stands for itself. What a request
/// means must be read with the same function as what was signed, or the two could differ.
pub fn decode(raw: &[u8], plus: Plus) -> Option<String> {
    String::from_utf8(decoded(raw, plus).collect()).ok()
}

fn decoded(raw: &[u8], plus: Plus) -> impl Iterator<Item = u8> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let byte = *raw.get(at)?;
        let escaped = if byte == b'%' { raw.get(at + 1..at + 3).and_then(hex_byte) } else { None };
        at += if escaped.is_some() { 3 } else { 1 };
        Some(match escaped {
            Some(value) => value,
            None if byte == b'+' && plus == Plus::IsSpace => b' ',
            None => byte,
        })
    })
}

/// Encodes all but unreserved characters and `/`: paths, and names in listings that are asked for with `encoding-type=url`.
pub fn encode_path(text: &str) -> String {
    let mut encoded = Vec::with_capacity(text.len());
    push_encoded_all(&mut encoded, text.as_bytes(), Slash::Kept);
    // All of it is ASCII.
    String::from_utf8(encoded).unwrap_or_default()
}

pub(crate) fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~')
}

fn push_encoded(out: &mut Vec<u8>, byte: u8, slash: Slash) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    if is_unreserved(byte) || (byte == b'/' && slash == Slash::Kept) {
        out.push(byte);
    } else {
        out.extend_from_slice(&[b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}

fn hex_byte(digits: &[u8]) -> Option<u8> {
    let mut byte = [0];
    hex::decode_to_slice(digits, &mut byte).ok()?;
    Some(byte[0])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn canonical(raw: &str, plus: Plus, slash: Slash) -> String {
        let mut out = Vec::new();
        push_canonical(&mut out, raw.as_bytes(), plus, slash);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_spelling_of_a_path_becomes_one() {
        for raw in ["/a b", "/a%20b", "/%61%20%62"] {
            assert_eq!(canonical(raw, Plus::IsPlus, Slash::Kept), "/a%20b");
        }
        assert_eq!(canonical("/a+b", Plus::IsPlus, Slash::Kept), "/a%2Bb");
        assert_eq!(canonical("/a%2Fb", Plus::IsPlus, Slash::Kept), "/a/b");
        assert_eq!(canonical("/\u{1234}", Plus::IsPlus, Slash::Kept), "/%E1%88%B4");
        assert_eq!(canonical("a+b/%2b", Plus::IsSpace, Slash::Encoded), "a%20b%2F%2B");
    }

    #[test]
    fn what_is_no_percent_encoding_stands_for_itself() {
        assert_eq!(canonical("50%", Plus::IsPlus, Slash::Kept), "50%25");
        assert_eq!(canonical("50%2", Plus::IsPlus, Slash::Kept), "50%252");
        assert_eq!(canonical("50%zz", Plus::IsPlus, Slash::Kept), "50%25zz");
        assert_eq!(decode(b"%ff", Plus::IsPlus), None);
        assert_eq!(decode(b"a+%2b", Plus::IsSpace).unwrap(), "a +");
    }
}
