//! Documents out, written as they are built.

use std::fmt::{Display, Write as _};

use crate::timestamp::push_iso_8601;

/// The namespace of S3's documents.
const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

/// A document in the making.
pub(crate) struct Xml(String);

impl Xml {
    pub(crate) fn new() -> Self {
        Self("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned())
    }

    /// A document whose root lies in S3's namespace.
    pub(crate) fn document(root: &str, content: impl FnOnce(&mut Self)) -> Self {
        let mut xml = Self::new();
        xml.push(&["<", root, " xmlns=\"", NAMESPACE, "\">"]);
        content(&mut xml);
        xml.push(&["</", root, ">"]);
        xml
    }

    /// A document whose root has no namespace.
    pub(crate) fn plain_document(root: &str, content: impl FnOnce(&mut Self)) -> Self {
        let mut xml = Self::new();
        xml.element(root, content);
        xml
    }

    /// A document of one element that holds text only.
    pub(crate) fn leaf(root: &str, text: &str) -> Self {
        Self::document(root, |xml| xml.escaped(text))
    }

    pub(crate) fn element(&mut self, name: &str, content: impl FnOnce(&mut Self)) {
        self.push(&["<", name, ">"]);
        content(self);
        self.push(&["</", name, ">"]);
    }

    /// An element, with the attributes given as they are to stand.
    pub(crate) fn element_with(&mut self, name: &str, attributes: &str, content: impl FnOnce(&mut Self)) {
        self.push(&["<", name, " ", attributes, ">"]);
        content(self);
        self.push(&["</", name, ">"]);
    }

    pub(crate) fn text(&mut self, name: &str, text: &str) {
        self.element(name, |xml| xml.escaped(text));
    }

    /// Sentences for people. Quotes stand in them as they are, as at Amazon: some clients look for the words without parsing the XML.
    pub(crate) fn prose(&mut self, name: &str, text: &str) {
        self.element(name, |xml| {
            for (at, between_quotes) in text.split('"').enumerate() {
                if at > 0 {
                    xml.0.push('"');
                }
                xml.escaped(between_quotes);
            }
        });
    }

    pub(crate) fn optional(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    /// Numbers and booleans.
    pub(crate) fn value(&mut self, name: &str, value: impl Display) {
        self.element(name, |xml| {
            let _ = write!(xml.0, "{value}");
        });
    }

    pub(crate) fn time(&mut self, name: &str, unix_ms: i64) {
        self.element(name, |xml| push_iso_8601(&mut xml.0, unix_ms));
    }

    /// `ETag`, in quotes.
    pub(crate) fn etag(&mut self, etag: &str) {
        self.element("ETag", |xml| {
            xml.0.push_str("&quot;");
            xml.escaped(etag);
            xml.0.push_str("&quot;");
        });
    }

    /// `Owner` or `Initiator`: an identity's name is its id.
    pub(crate) fn identity(&mut self, element: &str, name: &str) {
        self.element(element, |xml| {
            xml.text("ID", name);
            xml.text("DisplayName", name);
        });
    }

    /// Markup. A formatter would do it as well, and take several times as long: a page of a listing has twenty thousand pieces.
    fn push(&mut self, pieces: &[&str]) {
        for piece in pieces {
            self.0.push_str(piece);
        }
    }

    fn escaped(&mut self, text: &str) {
        let mut rest = text;
        while let Some(at) = rest.bytes().position(|byte| !is_plain(byte)) {
            let (plain, special) = rest.split_at(at);
            self.0.push_str(plain);
            // Everything up to the next plain byte: whole characters, since none of their bytes is plain.
            let end = special.bytes().position(is_plain).unwrap_or(special.len());
            let (special, behind) = special.split_at(end);
            self.escape_each(special);
            rest = behind;
        }
        self.0.push_str(rest);
    }

    fn escape_each(&mut self, text: &str) {
        for character in text.chars() {
            match character {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                // XML 1.0 has no way to write it, not even as a reference, and one such character makes a whole document unreadable.
                // Listings percent-encode the names that have one.
                other if !is_xml_1_0(other) => self.0.push(char::REPLACEMENT_CHARACTER),
                // Parsers normalise bare line ends.
                other if other.is_control() => {
                    let _ = write!(self.0, "&#x{:X};", u32::from(other));
                }
                other => self.0.push(other),
            }
        }
    }

    pub(crate) fn into_bytes(self) -> bytes::Bytes {
        self.0.into_bytes().into()
    }
}

/// Whether a byte is a character that stands for itself: printable ASCII but for what XML gives a meaning.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && !matches!(byte, b'&' | b'<' | b'>' | b'"')
}

/// Whether every parser reads the text.
pub(crate) fn is_readable(text: &str) -> bool {
    text.chars().all(is_xml_1_0)
}

/// `Char` of XML 1.0, <https://www.w3.org/TR/xml/#charsets>.
fn is_xml_1_0(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn text_is_escaped_so_that_it_reads_back() {
        let mut xml = Xml::new();
        xml.text("Key", "<a href=\"x\">&\r\n\u{1}\u{85}\u{ffff}ü</a>");
        assert_eq!(
            xml.0.lines().nth(1).unwrap(),
            "<Key>&lt;a href=&quot;x&quot;&gt;&amp;&#xD;&#xA;\u{fffd}&#x85;\u{fffd}ü&lt;/a&gt;</Key>"
        );
    }

    #[test]
    fn quotes_stand_as_they_are_in_sentences() {
        for (text, written) in
            [("", ""), ("\"", "\""), ("[\"eq\", \"<$key>\"]", "[\"eq\", \"&lt;$key&gt;\"]"), ("a & \"\"b", "a &amp; \"\"b")]
        {
            let mut xml = Xml(String::new());
            xml.prose("Message", text);
            assert_eq!(xml.0, format!("<Message>{written}</Message>"));
        }
    }

    #[test]
    fn runs_of_plain_text_are_copied_and_what_is_between_them_is_escaped() {
        let pieces = ["", "a", "plain text", "&", "<", ">>", "\"", "'", "\t", "\u{7f}", "~", " ", "ü", "\u{1}", "\u{ffff}", "😀"];
        for first in pieces {
            for second in pieces {
                for third in pieces {
                    let text = [first, second, third].concat();
                    let (mut whole, mut each) = (Xml(String::new()), Xml(String::new()));
                    whole.escaped(&text);
                    each.escape_each(&text);
                    assert_eq!(whole.0, each.0, "{text:?}");
                }
            }
        }
    }

    #[test]
    fn a_document_has_the_namespace_of_s3() {
        let xml = Xml::document("Root", |xml| {
            xml.value("IsTruncated", false);
            xml.time("LastModified", 0);
            xml.etag("abc-2");
        });
        assert_eq!(
            xml.0,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Root xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><IsTruncated>false</IsTruncated>\
             <LastModified>1970-01-01T00:00:00.000Z</LastModified><ETag>&quot;abc-2&quot;</ETag></Root>"
        );
    }
}
