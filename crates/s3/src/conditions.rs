//! Conditional headers and ranges.

use http::HeaderMap;
use strongroom_engine::api::{ByteRange, DeleteCondition, IfRange, ReadConditions, WriteCondition};

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

const IF_MATCH_SIZE: &str = "x-amz-if-match-size";
const IF_MATCH_MODIFIED: &str = "x-amz-if-match-last-modified-time";

/// The condition of a write: `If-None-Match` or `If-Match`. Those that only deletes have are refused.
pub(crate) fn write_condition(map: &HeaderMap) -> Result<WriteCondition, Refusal> {
    for name in [IF_MATCH_SIZE, IF_MATCH_MODIFIED] {
        if headers::filled(map, name)?.is_some() {
            return Err(Refusal::NotImplemented(format!("The header {name} on a write")));
        }
    }
    match (headers::filled(map, "if-match")?, headers::filled(map, "if-none-match")?) {
        (None, None) => Ok(WriteCondition::None),
        (None, Some(none_match)) if none_match.trim() == "*" => Ok(WriteCondition::Absent),
        (Some(etag), None) => Ok(WriteCondition::Matches(bare(&etag).to_owned())),
        (None, Some(etags)) => Ok(WriteCondition::Differs(etag_list(&etags))),
        (Some(_), Some(_)) => Err(Refusal::NotImplemented("If-Match together with If-None-Match".to_owned())),
    }
}

/// The condition of a delete, all of whose parts must hold. What is no size or no date is an error: passing over it would delete.
pub(crate) fn delete_condition(map: &HeaderMap) -> Result<DeleteCondition, Refusal> {
    if headers::filled(map, "if-none-match")?.is_some() {
        return Err(Refusal::NotImplemented("If-None-Match on a delete".to_owned()));
    }
    let invalid = |name: &str| Refusal::InvalidArgument(format!("Value for {name} header is invalid."));
    let size = headers::value(map, IF_MATCH_SIZE)?.map(|value| number(value.trim()).ok_or_else(|| invalid(IF_MATCH_SIZE)));
    let modified = headers::value(map, IF_MATCH_MODIFIED)?.map(|value| parse_http_date(&value).ok_or_else(|| invalid(IF_MATCH_MODIFIED)));
    Ok(DeleteCondition {
        etag: headers::filled(map, "if-match")?.map(|etag| bare(&etag).to_owned()),
        size_bytes: size.transpose()?,
        modified: modified.transpose()?,
    })
}

/// Whether a write or a delete compares what it says with what is there, so that its answer tells of the object. That nothing may be
/// there (`If-None-Match: *`) is no comparison.
pub(crate) fn compares(map: &HeaderMap) -> Result<bool, Refusal> {
    let has_etags = headers::filled(map, "if-none-match")?.is_some_and(|etags| etags.trim() != "*");
    let compares_more = map.contains_key(IF_MATCH_SIZE) || map.contains_key(IF_MATCH_MODIFIED);
    Ok(has_etags || compares_more || headers::filled(map, "if-match")?.is_some())
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
        maps(&[(name, value)])
    }

    fn maps(headers: &[(&'static str, &str)]) -> HeaderMap {
        headers.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())).collect()
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
        let differs = WriteCondition::Differs(vec!["abc".to_owned(), "d".to_owned()]);
        assert_eq!(write_condition(&map("if-none-match", "\"abc\", d")).unwrap(), differs);
        let both = maps(&[("if-none-match", "*"), ("if-match", "*")]);
        for of_another in [both, map(IF_MATCH_SIZE, "1"), map(IF_MATCH_MODIFIED, "Sun, 06 Nov 1994 08:49:37 GMT")] {
            assert!(matches!(write_condition(&of_another), Err(Refusal::NotImplemented(_))));
        }
    }

    #[test]
    fn a_delete_takes_an_etag_a_size_and_a_date_and_passes_over_none() {
        let all = maps(&[("if-match", "\"abc\""), (IF_MATCH_SIZE, "7"), (IF_MATCH_MODIFIED, "Sun, 06 Nov 1994 08:49:37 GMT")]);
        let expected = DeleteCondition { etag: Some("abc".to_owned()), size_bytes: Some(7), modified: Some(784_111_777) };
        assert_eq!(delete_condition(&all).unwrap(), expected);
        assert_eq!(delete_condition(&HeaderMap::new()).unwrap(), DeleteCondition::default());
        for (name, value) in [
            (IF_MATCH_SIZE, ""),
            (IF_MATCH_SIZE, "-1"),
            (IF_MATCH_SIZE, "1.5"),
            (IF_MATCH_SIZE, "18446744073709551616"),
            (IF_MATCH_MODIFIED, ""),
            (IF_MATCH_MODIFIED, "yesterday"),
            (IF_MATCH_MODIFIED, "1994-11-06T08:49:37Z"),
        ] {
            let refused = delete_condition(&map(name, value));
            assert!(matches!(refused, Err(Refusal::InvalidArgument(text)) if text.contains(name)), "{name}: {value}");
        }
        assert!(matches!(delete_condition(&map("if-none-match", "*")), Err(Refusal::NotImplemented(_))));
    }

    #[test]
    fn what_tells_of_the_object_is_a_comparison() {
        for (name, value, expected) in [
            ("if-match", "*", true),
            ("if-match", "", false),
            ("if-none-match", "*", false),
            ("if-none-match", "abc", true),
            (IF_MATCH_SIZE, "1", true),
            (IF_MATCH_MODIFIED, "x", true),
            ("if-modified-since", "x", false),
        ] {
            assert_eq!(compares(&map(name, value)).unwrap(), expected, "{name}: {value}");
        }
    }

    #[test]
    fn a_date_that_is_none_is_no_condition() {
        assert_eq!(read_conditions(&map("if-modified-since", "soon"), "").unwrap(), ReadConditions::default());
        let conditions =
            read_conditions(&map("x-amz-copy-source-if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT"), "x-amz-copy-source-").unwrap();
        assert_eq!(conditions.if_modified_since, Some(784_111_777));
    }
}
