//! Query strings: their parameters, and their canonical form.

use std::ops::Range;

use crate::percent::{Plus, Slash, push_canonical};

/// What stands between the ampersands, name and value as they came. Empty pieces are none.
pub(crate) fn pairs(query: &str) -> impl Iterator<Item = (&[u8], &[u8])> {
    query.split('&').filter(|piece| !piece.is_empty()).map(|piece| {
        let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
        (name.as_bytes(), value.as_bytes())
    })
}

/// Which of these names, of unreserved characters only, a parameter has, however it is spelled.
pub(crate) fn position(raw: &[u8], names: &[&str]) -> Option<usize> {
    let longest = names.iter().map(|name| name.len()).max()?;
    if raw.len() > 3 * longest {
        return None;
    }
    let mut canonical = Vec::new();
    let name = if raw.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        push_canonical(&mut canonical, raw, Plus::IsSpace, Slash::Encoded);
        &canonical
    } else {
        raw
    };
    names.iter().position(|other| other.as_bytes() == name)
}

/// Every parameter decoded and encoded again, sorted by encoded name and value. The one named `without` is left out.
pub(crate) fn push_canonical_query(out: &mut Vec<u8>, query: &str, without: Option<&str>) {
    let mut arena = Vec::with_capacity(query.len() + query.len() / 4);
    let mut encode = |raw: &[u8]| -> Range<usize> {
        let start = arena.len();
        push_canonical(&mut arena, raw, Plus::IsSpace, Slash::Encoded);
        start..arena.len()
    };
    let mut parameters: Vec<_> = pairs(query).map(|(name, value)| (encode(name), encode(value))).collect();
    parameters.retain(|(name, _)| without.is_none_or(|without| &arena[name.clone()] != without.as_bytes()));
    parameters.sort_unstable_by_key(|(name, value)| (&arena[name.clone()], &arena[value.clone()]));
    for (index, (name, value)) in parameters.into_iter().enumerate() {
        if index > 0 {
            out.push(b'&');
        }
        out.extend_from_slice(&arena[name]);
        out.push(b'=');
        out.extend_from_slice(&arena[value]);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn canonical(query: &str) -> String {
        let mut out = Vec::new();
        push_canonical_query(&mut out, query, Some("X-Amz-Signature"));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn parameters_are_sorted_by_encoded_name_then_value() {
        assert_eq!(canonical("b=1&a=2&a=1&a"), "a=&a=1&a=2&b=1");
        assert_eq!(canonical("prefix=somePrefix&marker=someMarker&max-keys=20"), "marker=someMarker&max-keys=20&prefix=somePrefix");
        assert_eq!(canonical("Z=1&a=1&A=1&%24=1&~=1"), "%24=1&A=1&Z=1&a=1&~=1");
        // Not encoded, the hyphen would come first.
        assert_eq!(canonical("a-=1&a/=1"), "a%2F=1&a-=1");
    }

    #[test]
    fn values_are_encoded_once_and_empty_pieces_vanish() {
        assert_eq!(canonical("&acl&&x=a+b%20c%2Bd/e=f&"), "acl=&x=a%20b%20c%2Bd%2Fe%3Df");
        assert_eq!(canonical(""), "");
        assert_eq!(canonical("=x"), "=x");
    }

    #[test]
    fn the_signature_is_left_out_however_it_is_spelled() {
        assert_eq!(canonical("a=1&X-Amz-Signature=2&%58-Amz-Signature=3"), "a=1");
        assert_eq!(position(b"%58-Amz-Signature", &["a", "X-Amz-Signature"]), Some(1));
        assert_eq!(position("%58%2d%41%6d%7a%2D%53%69%67%6e%61%74%75%72%65".as_bytes(), &["X-Amz-Signature"]), Some(0));
        assert_eq!(position(b"x-amz-signature", &["X-Amz-Signature"]), None);
        assert_eq!(position(b"a%62", &["ab"]), Some(0));
    }
}
