//! The functions that the fuzzer calls with arbitrary bytes, and what must hold for all of them. `fuzz/` has the targets and corpora.
// A target reports a failure by panicking.
#![allow(clippy::missing_panics_doc)]

use http::{HeaderMap, HeaderValue, Method};

use crate::{
    form::{PostError, Preamble},
    operation::resolve,
    ops,
    query::{Plus, Query, decode, encode},
    refusal::Refusal,
    request::copy_source_name,
    xml::{Xml, is_readable},
};

/// A request document. Only one of the readers may take it, because each asks for its own root; keys that were read are written and
/// read again unchanged.
pub fn xml(document: &[u8]) {
    if document.is_empty() {
        return;
    }
    let keys = ops::delete::requested_keys(document);
    let taken = [
        ops::buckets::location_constraint(document).is_ok(),
        ops::encryption::one_rule(document).is_ok(),
        ops::multipart::completed_parts(document).is_ok(),
        ops::notification::configurations(document).is_ok(),
        ops::object_encryption::wanted(document).is_ok(),
        keys.is_ok(),
    ];
    assert!(taken.into_iter().filter(|taken| *taken).count() <= 1);
    let Ok(keys) = keys else { return };
    if keys.iter().all(|key| is_readable(key)) {
        let written = Xml::document("Delete", |xml| keys.iter().for_each(|key| xml.element("Object", |xml| xml.text("Key", key))));
        assert!(ops::delete::requested_keys(&written.into_bytes()).is_ok_and(|again| again == keys));
    }
}

/// The part of a form before its file. However it is cut, it says the same.
pub fn multipart(body: &[u8]) {
    let whole = before_file(body, 4096);
    for piece in [1, 7] {
        assert_eq!(whole, before_file(body, piece));
    }
}

type BeforeFile = Result<Option<(Vec<(String, String)>, Vec<u8>)>, PostError>;

/// The fields, and what comes behind them; none where the file has not begun.
fn before_file(body: &[u8], piece: usize) -> BeforeFile {
    let mut preamble = Preamble::new("x");
    for (number, bytes) in body.chunks(piece).enumerate() {
        if let Some(fields) = preamble.read(bytes)? {
            let rest = &body[(number + 1).saturating_mul(piece).min(body.len())..];
            return Ok(Some((fields.to_vec(), [&preamble.into_rest(), rest].concat())));
        }
    }
    Ok(None)
}

/// `METHOD bucket key query`, at single blanks. What a query means must not depend on how it is spelled.
pub fn query(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut words = text.splitn(4, ' ');
    let mut word = || words.next().unwrap_or_default();
    let (Ok(method), bucket, key, raw) = (Method::from_bytes(word().as_bytes()), word(), word(), word()) else { return };
    let Ok(parsed) = Query::parse(raw) else { return };
    // A slash need not be encoded in a query, everything else is.
    let spelled: Vec<String> = parsed.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    let again = Query::parse(&spelled.join("&")).unwrap_or_default();
    assert!(again.iter().eq(parsed.iter()));
    for is_copy in [false, true] {
        let meant = outcome(resolve(&method, bucket, key, &parsed, is_copy).map(|operation| operation.name));
        assert_eq!(meant, outcome(resolve(&method, bucket, key, &again, is_copy).map(|operation| operation.name)));
    }
    for name in ["max-keys", "partNumber", "versionId"] {
        assert!(parsed.count(name).is_ok_and(|count| count.is_none_or(|count| i32::try_from(count).is_ok())) || parsed.has(name));
    }
}

fn outcome(resolved: Result<&'static str, Refusal>) -> Result<&'static str, String> {
    resolved.map_err(|refusal| format!("{refusal:?}"))
}

/// The value of `x-amz-copy-source`. What was read is spelled and read again unchanged.
pub fn copy_source(data: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(data) else { return };
    let Ok((bucket, key, version)) = copy_source_name(&HeaderMap::from_iter([(SOURCE, value)])) else { return };
    assert!(!bucket.is_empty() && !bucket.contains('/') && !key.is_empty());
    let version_id = version.as_deref().map(|version| format!("?versionId={}", encode(version))).unwrap_or_default();
    let spelled = format!("{}/{}{version_id}", encode(&bucket), encode(&key));
    assert!(decode(&spelled, Plus::IsPlus).is_ok());
    let value = HeaderValue::from_str(&spelled).expect("encoded text is ASCII");
    assert!(copy_source_name(&HeaderMap::from_iter([(SOURCE, value)])).is_ok_and(|again| again == (bucket, key, version)));
}

const SOURCE: http::HeaderName = http::HeaderName::from_static("x-amz-copy-source");

#[cfg(test)]
mod tests {
    use super::{copy_source, multipart, query, replay::replay, xml};

    #[test]
    fn the_corpus_of_documents_holds() {
        replay("xml", xml);
    }

    #[test]
    fn the_corpus_of_forms_is_read() {
        replay("multipart", multipart);
    }

    #[test]
    fn the_corpus_of_queries_holds() {
        replay("query", query);
    }

    #[test]
    fn the_corpus_of_copy_sources_holds() {
        replay("copy_source", copy_source);
    }
}

#[cfg(test)]
#[path = "../../../fuzz/replay.rs"]
mod replay;
