//! Names of tags as names of metadata, of which Barbican takes lower-case letters, digits, `_` and `-` only.
//!
//! `team` stays `team`; every other byte of a name is `--` and two hexadecimal digits: `CostCenter` is `--43ost--43enter`.

use strongroom_kms::RESERVED_PREFIX;

/// The name of the metadata row that holds a tag.
pub(crate) fn to_row_name(tag: &str) -> String {
    let mut row = String::with_capacity(tag.len());
    let mut after_hyphen = false;
    let is_plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
    let next = tag.strip_prefix(RESERVED_PREFIX.trim_end_matches('-')).and_then(|rest| rest.bytes().next());
    // The store's own rows begin with its name and a hyphen, as an escape does.
    let begins_as_ours = next.is_some_and(|byte| !is_plain(byte));
    for (at, byte) in tag.bytes().enumerate() {
        // A literal "--" would read as an escape.
        let ambiguous = (at == 0 && begins_as_ours) || (byte == b'-' && after_hyphen);
        let literal = (is_plain(byte) || byte == b'-') && !ambiguous;
        after_hyphen = literal && byte == b'-';
        if literal {
            row.push(char::from(byte));
        } else {
            row.push_str("--");
            row.push_str(&hex::encode([byte]));
        }
    }
    row
}

/// The tag that a row of metadata holds; a name that [`to_row_name`] does not make stands for itself.
pub(crate) fn from_row_name(row: &str) -> String {
    let bytes = row.as_bytes();
    let (mut tag, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while at < bytes.len() {
        if let Some(byte) = escaped(&bytes[at..]) {
            tag.push(byte);
            at += 4;
        } else {
            tag.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8(tag).unwrap_or_else(|_| row.to_owned())
}

fn escaped(rest: &[u8]) -> Option<u8> {
    let digits = rest.strip_prefix(b"--")?.get(..2)?;
    let mut byte = [0];
    hex::decode_to_slice(digits, &mut byte).ok()?;
    Some(byte[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_simple_name_stays_as_it_is() {
        for name in ["team", "cost-center", "cost_center", "a1-b2", "-"] {
            assert_eq!(to_row_name(name), name);
            assert_eq!(from_row_name(name), name);
        }
        assert_eq!(to_row_name("CostCenter"), "--43ost--43enter");
    }

    #[test]
    fn every_name_comes_back_and_no_two_share_a_row() {
        let names = [
            "",
            "A",
            "a",
            "-A",
            "a--b",
            "---",
            "--43",
            "a--43",
            "ü/ü",
            "strongroom-x",
            "strongroom:owner",
            "strongroom",
            "strongroom_x",
            "Strongroom-x",
            "xstrongroom-",
            " ",
            "a.b",
            "-",
            "--",
            "-----41",
        ];
        let mut rows: Vec<String> = names.iter().map(|name| to_row_name(name)).collect();
        for (name, row) in names.iter().zip(&rows) {
            assert_eq!(&from_row_name(row), name, "{row}");
            assert!(row.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-')), "{row}");
            assert!(!row.starts_with(RESERVED_PREFIX), "{row}");
        }
        rows.sort();
        rows.dedup();
        assert_eq!(rows.len(), names.len());
    }

    #[test]
    fn a_name_somebody_else_gave_stands_for_itself() {
        for row in ["a--b", "a--zz", "--ff", "--"] {
            assert_eq!(from_row_name(row), row);
        }
    }
}
