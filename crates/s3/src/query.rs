//! Query strings and percent-encoding.

pub(crate) use strongroom_sigv4::percent::{Plus, encode_path as encode};

use strongroom_sigv4::percent;

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

/// Undoes percent-encoding. What is no UTF-8 then is an invalid URI.
pub(crate) fn decode(text: &str, plus: Plus) -> Result<String, Refusal> {
    percent::decode(text.as_bytes(), plus).ok_or(Refusal::InvalidUri)
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
