//! Pages of listings: sizes and opaque tokens.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};

use crate::{query::Query, query::encode, refusal::Refusal, xml::is_readable};

/// The largest page that S3 answers.
pub(super) const MAX_ENTRIES_PER_PAGE: u32 = 1000;

/// The first byte of every token, so that another form can be told from this one later.
const TOKEN_VERSION: u8 = 1;

/// The size of the page asked for with `max-keys`, `max-uploads` or `max-parts`.
pub(super) fn page_size(query: &Query, parameter: &str) -> Result<u32, Refusal> {
    Ok(query.count(parameter)?.unwrap_or(MAX_ENTRIES_PER_PAGE).min(MAX_ENTRIES_PER_PAGE))
}

/// A continuation token for the entries behind this one.
pub(super) fn encode_token(last: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode([&[TOKEN_VERSION], last.as_bytes()].concat())
}

/// The entry that a continuation token stands behind.
pub(super) fn decode_token(token: &str) -> Result<String, Refusal> {
    let incorrect = || Refusal::InvalidArgument("The continuation token provided is incorrect".to_owned());
    let raw = BASE64_URL_SAFE_NO_PAD.decode(token).map_err(|_| incorrect())?;
    match raw.split_first() {
        Some((&TOKEN_VERSION, last)) => String::from_utf8(last.to_vec()).map_err(|_| incorrect()),
        _ => Err(incorrect()),
    }
}

/// How names are written: as they are, or percent-encoded (`encoding-type=url`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Plain,
    Url,
}

impl Encoding {
    pub(super) fn of(query: &Query) -> Result<Self, Refusal> {
        match query.get_filled("encoding-type")? {
            None => Ok(Self::Plain),
            Some("url") => Ok(Self::Url),
            Some(_) => Err(Refusal::InvalidArgument("Invalid Encoding Method specified in Request".to_owned())),
        }
    }

    /// The same, or percent-encoded where one of the names has a character that XML cannot hold. `EncodingType` then tells the client,
    /// which would otherwise get a page that no parser reads.
    pub(super) fn for_names<'a>(self, mut names: impl Iterator<Item = &'a str>) -> Self {
        if names.all(is_readable) { self } else { Self::Url }
    }

    pub(super) fn write(self, name: &str) -> String {
        match self {
            Self::Plain => name.to_owned(),
            Self::Url => encode(name),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn tokens_come_back_as_they_went() {
        for last in ["", "a", "a//b/", "ü/\u{1}/😀", &"k".repeat(1024)] {
            assert_eq!(decode_token(&encode_token(last)).unwrap(), last);
        }
    }

    #[test]
    fn names_that_no_xml_can_hold_are_encoded_unasked() {
        assert_eq!(Encoding::Plain.for_names(["a b", "ü\r\n"].into_iter()), Encoding::Plain);
        assert_eq!(Encoding::Plain.for_names(["a", "b\u{1}"].into_iter()), Encoding::Url);
        assert_eq!(Encoding::Url.for_names(["a"].into_iter()), Encoding::Url);
    }

    #[test]
    fn what_is_no_token_is_refused() {
        for token in ["a", "!!", "AA", "Av8", "bar"] {
            assert!(matches!(decode_token(token), Err(Refusal::InvalidArgument(_))), "{token}");
        }
    }

    #[test]
    fn pages_are_bounded() {
        let size = |query: &str| page_size(&Query::parse(query).unwrap(), "max-keys");
        assert_eq!(size("").unwrap(), 1000);
        assert_eq!(size("max-keys=0").unwrap(), 0);
        assert_eq!(size("max-keys=999").unwrap(), 999);
        assert_eq!(size("max-keys=5000").unwrap(), 1000);
        assert!(matches!(size("max-keys=-1"), Err(Refusal::InvalidArgument(_))));
    }
}
