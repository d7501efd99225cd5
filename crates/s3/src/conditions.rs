//! Conditional headers and ranges.

use http::HeaderMap;
use strongroom_engine::api::{ByteRange, IfRange, ReadConditions, WriteCondition};

use crate::{headers, refusal::Refusal, timestamp::parse_http_date};

/// The conditions of a read (no prefix), or of a copy's source (`x-amz-copy-source-`). A date that is none is ignored (RFC 9110).
pub(crate) fn read_conditions(map: &HeaderMap, prefix: &str) -> Result<ReadConditions, Refusal> {
    let etags = |name: &str| Ok::<_, Refusal>(headers::filled(map, &format!("{prefix}{name}"))?.map(|value| etag_list(&value)));
    let date = |name: &str| Ok::<_, Refusal>(headers::filled(map, &format!("{prefix}{name}"))?.and_then(|value| parse_http_date(&value)));
    Ok(ReadConditions {
        if_match: etags("if-match")?,
        if_none_match: etags("if-none-match")?,
        if_modified_since: date("if-modified-since")?,
        if_unmodified_since: date("if-unmodified-since")?,
    })
}

/// The condition of a write: `If-None-Match: *` or `If-Match`.
pub(crate) fn write_condition(map: &HeaderMap) -> Result<WriteCondition, Refusal> {
    match (headers::filled(map, "if-match")?, headers::filled(map, "if-none-match")?) {
        (None, None) => Ok(WriteCondition::None),
        (None, Some(none_match)) if none_match.trim() == "*" => Ok(WriteCondition::Absent),
        (Some(etag), None) => Ok(WriteCondition::Matches(bare(&etag).to_owned())),
        (None, Some(_)) => Err(Refusal::NotImplemented("If-None-Match with an ETag on a write".to_owned())),
        (Some(_), Some(_)) => Err(Refusal::NotImplemented("If-Match together with If-None-Match".to_owned())),
    }
}

/// The tags of a list, which may hold commas inside quotes.
fn etag_list(value: &str) -> Vec<String> {
    let mut in_quotes = false;
    let items = value.split(|character| {
        in_quotes ^= character == '"';
        character == ',' && !in_quotes
    });
    items.map(bare).filter(|etag| !etag.is_empty()).map(str::to_owned).collect()
}

/// An ETag without quotes and without the mark of weakness.
pub(crate) fn bare(etag: &str) -> &str {
    let etag = etag.trim();
    let etag = etag.strip_prefix("W/").unwrap_or(etag);
    etag.strip_prefix('"').and_then(|etag| etag.strip_suffix('"')).unwrap_or(etag)
}

/// `Range`. What is no single byte range is ignored, as S3 does.
pub(crate) fn range(map: &HeaderMap) -> Result<Option<ByteRange>, Refusal> {
    Ok(headers::filled(map, "range")?.and_then(|value| parse_range(&value)))
}

/// `If-Range`: a date, else an ETag. Clients of S3 leave the quotes out at times.
pub(crate) fn if_range(map: &HeaderMap) -> Result<Option<IfRange>, Refusal> {
    Ok(headers::filled(map, "if-range")?.map(|value| match parse_http_date(&value) {
        Some(seconds) => IfRange::Modified(seconds),
        None if value.trim().starts_with("W/") => IfRange::Never,
        None => IfRange::Etag(bare(&value).to_owned()),
    }))
}

/// `x-amz-copy-source-range`: both ends are needed.
pub(crate) fn copy_range(map: &HeaderMap) -> Result<Option<ByteRange>, Refusal> {
    let Some(value) = headers::filled(map, "x-amz-copy-source-range")? else { return Ok(None) };
    match parse_range(&value) {
        Some(range @ ByteRange::From { last: Some(_), .. }) => Ok(Some(range)),
        _ => Err(Refusal::InvalidArgument(
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy.".to_owned(),
        )),
    }
}

fn parse_range(value: &str) -> Option<ByteRange> {
    let (unit, range) = value.trim().split_once('=')?;
    let (first, last) = range.trim().split_once('-')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    match (first.trim(), last.trim()) {
        ("", length) => Some(ByteRange::Suffix { length: number(length)? }),
        (first, "") => Some(ByteRange::From { first: number(first)?, last: None }),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(ByteRange::From { first, last: Some(last) })
        }
    }
}

fn number(digits: &str) -> Option<u64> {
    if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn map(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn ranges_are_read_and_others_ignored() {
        let rows = [
            ("bytes=0-4", Some(ByteRange::From { first: 0, last: Some(4) })),
            ("bytes=5-", Some(ByteRange::From { first: 5, last: None })),
            ("bytes=-7", Some(ByteRange::Suffix { length: 7 })),
            ("bytes=-0", Some(ByteRange::Suffix { length: 0 })),
            ("bytes=4-2", None),
            ("bytes=0-1,3-4", None),
            ("bytes=a-b", None),
            ("bytes=-", None),
            ("bytes=+1-2", None),
            ("items=0-4", None),
            ("0-4", None),
        ];
        for (value, expected) in rows {
            assert_eq!(range(&map("range", value)).unwrap(), expected, "{value}");
        }
    }

    #[test]
    fn an_if_range_is_a_date_or_a_strong_etag() {
        let rows = [
            ("\"abc\"", IfRange::Etag("abc".to_owned())),
            ("abc", IfRange::Etag("abc".to_owned())),
            ("W/\"abc\"", IfRange::Never),
            ("Sun, 06 Nov 1994 08:49:37 GMT", IfRange::Modified(784_111_777)),
        ];
        for (value, expected) in rows {
            assert_eq!(if_range(&map("if-range", value)).unwrap(), Some(expected), "{value}");
        }
        assert_eq!(if_range(&HeaderMap::new()).unwrap(), None);
    }

    #[test]
    fn a_copy_range_needs_both_ends() {
        let name = "x-amz-copy-source-range";
        assert_eq!(copy_range(&map(name, "bytes=0-2")).unwrap(), Some(ByteRange::From { first: 0, last: Some(2) }));
        for value in ["0-2", "bytes=0", "bytes=hello-world", "bytes=0-bar", "bytes=hello-", "bytes=0-2,3-5", "bytes=5-", "bytes=-5"] {
            assert!(matches!(copy_range(&map(name, value)), Err(Refusal::InvalidArgument(_))), "{value}");
        }
    }

    #[test]
    fn etags_lose_their_quotes() {
        assert_eq!(etag_list("\"a,b\", W/\"c\" ,d,*"), ["a,b", "c", "d", "*"]);
        assert_eq!(bare(" \"x\" "), "x");
    }

    #[test]
    fn a_write_takes_one_condition() {
        assert_eq!(write_condition(&HeaderMap::new()).unwrap(), WriteCondition::None);
        assert_eq!(write_condition(&map("if-none-match", "*")).unwrap(), WriteCondition::Absent);
        assert_eq!(write_condition(&map("if-match", "\"abc\"")).unwrap(), WriteCondition::Matches("abc".to_owned()));
        assert!(matches!(write_condition(&map("if-none-match", "\"abc\"")), Err(Refusal::NotImplemented(_))));
    }

    #[test]
    fn a_date_that_is_none_is_no_condition() {
        assert_eq!(read_conditions(&map("if-modified-since", "soon"), "").unwrap(), ReadConditions::default());
        let conditions =
            read_conditions(&map("x-amz-copy-source-if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT"), "x-amz-copy-source-").unwrap();
        assert_eq!(conditions.if_modified_since, Some(784_111_777));
    }
}
