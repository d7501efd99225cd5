//! Query strings and percent-encoding.

use crate::refusal::Refusal;

/// The parameters of a request, in their order.
#[derive(Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(query: &str) -> Result<Self, Refusal> {
        let parameters = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(name, Plus::IsSpace)?, decode(value, Plus::IsSpace)?))
        });
        parameters.collect::<Result<_, Refusal>>().map(Self)
    }

    /// Whether the parameter is there, with or without a value.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(other, _)| other == name)
    }

    /// The parameter's value; given twice it is an error, because then it is open which one is meant.
    pub(crate) fn get(&self, name: &str) -> Result<Option<&str>, Refusal> {
        let mut values = self.0.iter().filter(|(other, _)| other == name).map(|(_, value)| value.as_str());
        let first = values.next();
        if values.next().is_some() {
            return Err(Refusal::InvalidArgument(format!("The query parameter {name} was given more than once.")));
        }
        Ok(first)
    }

    /// The parameter's value unless it is empty.
    pub(crate) fn get_filled(&self, name: &str) -> Result<Option<&str>, Refusal> {
        Ok(self.get(name)?.filter(|value| !value.is_empty()))
    }

    /// The parameter as a number from 0 up.
    pub(crate) fn count(&self, name: &str) -> Result<Option<u32>, Refusal> {
        let Some(text) = self.get_filled(name)? else { return Ok(None) };
        let number: i32 =
            text.parse().map_err(|_| Refusal::InvalidArgument(format!("Provided {name} not an integer or within integer range.")))?;
        u32::try_from(number)
            .map(Some)
            .map_err(|_| Refusal::InvalidArgument(format!("Argument {name} must be an integer between 0 and 2147483647.")))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// What a `+` stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plus {
    /// Itself: paths.
    IsPlus,
    /// A space: query strings, and `x-amz-copy-source`.
    IsSpace,
}

/// Undoes percent-encoding. What is no UTF-8 then is an invalid URI.
pub(crate) fn decode(text: &str, plus: Plus) -> Result<String, Refusal> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let hex = (byte == b'%').then(|| bytes.get(at + 1..at + 3).and_then(hex_byte)).flatten();
        decoded.push(match (byte, hex) {
            (_, Some(value)) => value,
            (b'+', None) if plus == Plus::IsSpace => b' ',
            (other, None) => other,
        });
        at += if hex.is_some() { 3 } else { 1 };
    }
    String::from_utf8(decoded).map_err(|_| Refusal::InvalidUri)
}

fn hex_byte(digits: &[u8]) -> Option<u8> {
    let value = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    Some(value(*digits.first()?)? << 4 | value(*digits.get(1)?)?)
}

/// Percent-encodes all but unreserved characters and `/`, as `encoding-type=url` asks for.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'/') {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push_str(&hex::encode_upper([byte]));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn keys_survive_encoding_and_decoding() {
        for key in ["a//b/", "/", "a+b c", "ü/€/😀", "100%", "%2F", "?versionId=1", "\u{1}\u{7f}", "a&b=c;d"] {
            assert_eq!(decode(&encode(key), Plus::IsPlus).unwrap(), key);
            assert_eq!(decode(&encode(key), Plus::IsSpace).unwrap(), key);
        }
        assert_eq!(encode("foo+1/b ar"), "foo%2B1/b%20ar");
    }

    #[test]
    fn a_plus_is_a_space_in_queries_only() {
        assert_eq!(decode("a+b", Plus::IsPlus).unwrap(), "a+b");
        assert_eq!(decode("a+b%2B", Plus::IsSpace).unwrap(), "a b+");
    }

    #[test]
    fn what_is_no_percent_encoding_stands_for_itself() {
        assert_eq!(decode("50%", Plus::IsPlus).unwrap(), "50%");
        assert_eq!(decode("50%zz", Plus::IsPlus).unwrap(), "50%zz");
        assert!(matches!(decode("%ff", Plus::IsPlus), Err(Refusal::InvalidUri)));
    }

    #[test]
    fn parameters_are_found_and_repeated_ones_refused() {
        let query = Query::parse("acl&max-keys=5&prefix=a%2Fb+c&x=1&x=2").unwrap();
        assert!(query.has("acl") && !query.has("policy"));
        assert_eq!(query.count("max-keys").unwrap(), Some(5));
        assert_eq!(query.get("prefix").unwrap(), Some("a/b c"));
        assert!(matches!(query.get("x"), Err(Refusal::InvalidArgument(_))));
    }

    #[test]
    fn counts_that_are_none_are_refused() {
        for text in ["-1", "blah", "99999999999"] {
            let query = Query::parse(&format!("max-keys={text}")).unwrap();
            assert!(matches!(query.count("max-keys"), Err(Refusal::InvalidArgument(_))), "{text}");
        }
        assert_eq!(Query::parse("max-keys=").unwrap().count("max-keys").unwrap(), None);
    }
}
