//! Header values beyond ASCII, as encoded words: `=?UTF-8?B?…?=`. Source: RFC 2047; S3 user guide, "Working with object metadata".

use std::borrow::Cow;

use base64::{Engine as _, prelude::BASE64_STANDARD};

const PREFIX: &str = "=?UTF-8?B?";
const SUFFIX: &str = "?=";
/// The longest encoded word, in characters (RFC 2047, section 2).
const MAX_WORD_LEN: usize = 75;
/// What a word holds: base64 makes four characters of three bytes.
const MAX_WORD_BYTES: usize = (MAX_WORD_LEN - PREFIX.len() - SUFFIX.len()) / 4 * 3;

/// The value as a header can carry it: as it is where it is printable ASCII.
pub(crate) fn encode(value: &str) -> Cow<'_, str> {
    if value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Cow::Borrowed(value);
    }
    let words = pieces(value).map(|piece| format!("{PREFIX}{}{SUFFIX}", BASE64_STANDARD.encode(piece)));
    Cow::Owned(words.collect::<Vec<_>>().join(" "))
}

/// The value that encoded words stand for. What is none, or in a character set that is not known, stays as it is.
pub(crate) fn decode(value: &str) -> Cow<'_, str> {
    if !value.contains("=?") {
        return Cow::Borrowed(value);
    }
    let mut decoded = String::with_capacity(value.len());
    let (mut rest, mut behind_word) = (value, false);
    while let Some((before, word, after)) = next_word(rest) {
        // Blanks between two words belong to neither.
        if !(behind_word && before.bytes().all(|byte| byte == b' ' || byte == b'\t')) {
            decoded.push_str(before);
        }
        decoded.push_str(&word);
        (rest, behind_word) = (after, true);
    }
    decoded.push_str(rest);
    Cow::Owned(decoded)
}

/// Pieces of whole characters that fit into a word each.
fn pieces(value: &str) -> impl Iterator<Item = &str> {
    let mut rest = value;
    std::iter::from_fn(move || {
        let (piece, behind) = rest.split_at(rest.floor_char_boundary(MAX_WORD_BYTES));
        rest = behind;
        (!piece.is_empty()).then_some(piece)
    })
}

/// What stands before the first encoded word, what it means, and what stands behind it.
fn next_word(text: &str) -> Option<(&str, String, &str)> {
    let mut from = 0;
    loop {
        let start = from + text[from..].find("=?")?;
        if let Some((word, len)) = word_at(&text[start..]) {
            return Some((&text[..start], word, &text[start + len..]));
        }
        from = start + 2;
    }
}

/// The meaning and the length of the encoded word that the text begins with: `=?charset?encoding?text?=`.
fn word_at(text: &str) -> Option<(String, usize)> {
    let mut fields = text.get(2..)?.splitn(4, '?');
    let (charset, encoding, encoded) = (fields.next()?, fields.next()?, fields.next()?);
    if !fields.next()?.starts_with('=') || encoded.contains(' ') {
        return None;
    }
    let bytes = match encoding {
        "B" | "b" => BASE64_STANDARD.decode(encoded).ok()?,
        "Q" | "q" => unquoted(encoded)?,
        _ => return None,
    };
    let len = 2 + charset.len() + 1 + encoding.len() + 1 + encoded.len() + 2;
    Some((in_charset(charset, bytes)?, len))
}

fn in_charset(charset: &str, bytes: Vec<u8>) -> Option<String> {
    // RFC 2231 lets a language stand behind the character set.
    match charset.split('*').next()?.to_ascii_lowercase().as_str() {
        "utf-8" | "us-ascii" => String::from_utf8(bytes).ok(),
        "iso-8859-1" => Some(bytes.into_iter().map(char::from).collect()),
        _ => None,
    }
}

/// The Q encoding (RFC 2047, section 4.2).
fn unquoted(text: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut decoded) = (text.bytes(), Vec::with_capacity(text.len()));
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'=' => u8::try_from(digit(bytes.next()?)? << 4 | digit(bytes.next()?)?).ok()?,
            b'_' => b' ',
            byte if byte.is_ascii() => byte,
            _ => return None,
        });
    }
    Some(decoded)
}

fn digit(byte: u8) -> Option<u32> {
    char::from(byte).to_digit(16)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn printable_ascii_stays_as_it_is() {
        for value in ["", "plain text", "=?", "a =? b ?=", "=?UTF-8?X?abc?=", "=?latin-7?B?YWJj?=", "=?UTF-8?B?****?="] {
            assert_eq!(encode(value), value);
            assert_eq!(decode(value), value);
        }
    }

    #[test]
    fn the_words_of_other_encoders_are_read() {
        for (encoded, value) in [
            ("=?UTF-8?B?Wm/Dqw==?=", "Zoë"),
            ("=?utf-8?q?Zo=C3=AB_x?=", "Zoë x"),
            ("=?ISO-8859-1?Q?Zo=EB?=", "Zoë"),
            ("=?UTF-8*en?B?YQ==?=", "a"),
            ("=?UTF-8?B?YQ==?= =?UTF-8?B?Yg==?=", "ab"),
            ("x =?UTF-8?B?YQ==?= y", "x a y"),
            ("=?=?UTF-8?B?YQ==?=", "=?a"),
        ] {
            assert_eq!(decode(encoded), value, "{encoded}");
        }
    }

    #[test]
    fn a_long_value_is_cut_into_words_of_whole_characters() {
        let value = "ü€😀".repeat(40);
        let encoded = encode(&value);
        assert!(encoded.split(' ').count() > 1 && encoded.split(' ').all(|word| word.len() <= MAX_WORD_LEN), "{encoded}");
        assert_eq!(decode(&encoded), value);
    }

    proptest! {
        #[test]
        fn what_was_encoded_reads_back(value in "\\PC{0,100}[\u{80}-\u{fff}]") {
            let encoded = encode(&value);
            prop_assert!(encoded.is_ascii());
            prop_assert_eq!(decode(&encoded), value.as_str());
        }

        #[test]
        fn no_text_makes_the_decoder_panic(value in "[=?UTF8bqBQ*_ ü-]{0,40}") {
            let _ = decode(&value);
        }
    }
}
