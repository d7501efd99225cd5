//! Request documents: one reader for all of them. It pulls event by event and never builds a tree, so a document costs no memory beyond
//! its own bytes; what no handler asks for is passed over in a loop, never by recursion.

use quick_xml::{
    Reader,
    escape::resolve_xml_entity,
    events::{BytesRef, BytesStart, Event},
};

use crate::refusal::Refusal;

/// S3's own documents are 8 elements deep at the most.
const MAX_DEPTH: usize = 32;

/// Reads a document whose root is `root`. The handler gets the root and says what it holds; a document that is none, that has a DOCTYPE,
/// or that is nested too deep is malformed. <https://www.w3.org/TR/xml/>
pub(crate) fn read<T>(body: &[u8], root: &str, content: impl FnOnce(&mut Element<'_, '_>) -> Result<T, Refusal>) -> Result<T, Refusal> {
    let text = std::str::from_utf8(body).map_err(|_| Refusal::MalformedXml)?;
    let mut document = Document { reader: Reader::from_str(text), depth: 0 };
    document.reader.config_mut().expand_empty_elements = true;
    let read = loop {
        match document.next()? {
            Token::Start(name) if name == root => break document.inside(content)?,
            Token::Text(text) if text.trim().is_empty() => {}
            _ => return Err(Refusal::MalformedXml),
        }
    };
    loop {
        match document.next()? {
            Token::End => return Ok(read),
            Token::Text(text) if text.trim().is_empty() => {}
            _ => return Err(Refusal::MalformedXml),
        }
    }
}

/// An element whose start was read and whose end was not.
pub(crate) struct Element<'d, 'xml> {
    document: &'d mut Document<'xml>,
}

impl Element<'_, '_> {
    /// Hands every element inside to `child`, by its name without a prefix. What `child` leaves unread is passed over. Text beside the
    /// elements is malformed.
    pub(crate) fn children(&mut self, mut child: impl FnMut(&str, &mut Element<'_, '_>) -> Result<(), Refusal>) -> Result<(), Refusal> {
        loop {
            match self.document.next()? {
                Token::Start(name) => self.document.inside(|element| child(&name, element))?,
                Token::Text(text) if text.trim().is_empty() => {}
                Token::Text(_) => return Err(Refusal::MalformedXml),
                Token::End => return Ok(()),
            }
        }
    }

    /// The text of an element that holds nothing else.
    pub(crate) fn text(&mut self) -> Result<String, Refusal> {
        let mut collected = String::new();
        loop {
            match self.document.next()? {
                Token::Text(text) => collected.push_str(&text),
                Token::Start(_) => return Err(Refusal::MalformedXml),
                Token::End => return Ok(collected),
            }
        }
    }

    /// The text, parsed.
    pub(crate) fn value<T: std::str::FromStr>(&mut self) -> Result<T, Refusal> {
        self.text()?.trim().parse().map_err(|_| Refusal::MalformedXml)
    }

    /// Puts the text into a field that may be given once.
    pub(crate) fn text_into(&mut self, field: &mut Option<String>) -> Result<(), Refusal> {
        once(field, self.text()?)
    }

    /// Puts the parsed text into a field that may be given once.
    pub(crate) fn value_into<T: std::str::FromStr>(&mut self, field: &mut Option<T>) -> Result<(), Refusal> {
        let value = self.value()?;
        once(field, value)
    }
}

/// A field that is given twice leaves open which one is meant.
pub(crate) fn once<T>(field: &mut Option<T>, value: T) -> Result<(), Refusal> {
    if field.replace(value).is_some() { Err(Refusal::MalformedXml) } else { Ok(()) }
}

struct Document<'xml> {
    reader: Reader<&'xml [u8]>,
    /// How many elements are open.
    depth: usize,
}

/// What handlers see of a document.
enum Token {
    Start(String),
    Text(String),
    /// The end of an element, or of the document.
    End,
}

impl Document<'_> {
    /// Runs `content` on the element just begun, and reads on to its end.
    fn inside<T>(&mut self, content: impl FnOnce(&mut Element<'_, '_>) -> Result<T, Refusal>) -> Result<T, Refusal> {
        let outside = self.depth - 1;
        let read = content(&mut Element { document: self })?;
        while self.depth > outside {
            self.next()?;
        }
        Ok(read)
    }

    fn next(&mut self) -> Result<Token, Refusal> {
        loop {
            let token = match self.reader.read_event().map_err(|_| Refusal::MalformedXml)? {
                Event::Start(start) => {
                    self.depth += 1;
                    if self.depth > MAX_DEPTH || !is_well_formed(&start) {
                        return Err(Refusal::MalformedXml);
                    }
                    Token::Start(start.local_name().as_ref().to_owned())
                }
                Event::End(_) => {
                    self.depth = self.depth.checked_sub(1).ok_or(Refusal::MalformedXml)?;
                    Token::End
                }
                Event::Eof if self.depth == 0 => Token::End,
                Event::Text(text) => Token::Text(text.xml10_content().into_owned()),
                Event::CData(text) => Token::Text(text.xml10_content().into_owned()),
                Event::GeneralRef(reference) => Token::Text(resolved(&reference)?),
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) => continue,
                // Entities are declared in a DOCTYPE, and S3's documents have none. `Empty` is expanded to a start and an end.
                Event::DocType(_) | Event::Eof | Event::Empty(_) => return Err(Refusal::MalformedXml),
            };
            return Ok(token);
        }
    }
}

/// What the reader lets pass: names that are none, and attributes without quotes or given twice.
fn is_well_formed(start: &BytesStart<'_>) -> bool {
    let begins_name = |character: char| character.is_alphabetic() || matches!(character, '_' | ':');
    start.name().as_ref().starts_with(begins_name) && start.attributes().all(|attribute| attribute.is_ok())
}

/// What `&name;` or `&#…;` stands for.
fn resolved(reference: &BytesRef<'_>) -> Result<String, Refusal> {
    let character = reference.resolve_char_ref().map_err(|_| Refusal::MalformedXml)?;
    let named = || resolve_xml_entity(&reference.xml10_content()).map(str::to_owned);
    character.map(String::from).or_else(named).ok_or(Refusal::MalformedXml)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    /// The texts of `Root`'s children that are called `Item`.
    fn items(body: &[u8]) -> Result<Vec<String>, Refusal> {
        read(body, "Root", |root| {
            let mut items = Vec::new();
            root.children(|name, element| {
                if name == "Item" {
                    items.push(element.text()?);
                }
                Ok(())
            })?;
            Ok(items)
        })
    }

    fn malformed(body: &str) -> bool {
        matches!(items(body.as_bytes()), Err(Refusal::MalformedXml))
    }

    #[test]
    fn what_nobody_asks_for_is_passed_over() {
        let body = "\u{feff}<?xml version=\"1.0\"?><!-- x --><s3:Root xmlns:s3=\"http://s3.amazonaws.com/doc/2006-03-01/\" a='b'>\n\
                    <Other><Item>inner</Item><a/>text</Other> <Item>1</Item><s3:Item/><?pi?><Item>a&amp;&#x62;<![CDATA[<c>]]>\n</Item>\n</s3:Root>\n";
        assert_eq!(items(body.as_bytes()).unwrap(), ["1", "", "a&b<c>\n"]);
    }

    #[test]
    fn a_document_that_is_none_is_malformed() {
        for body in [
            "",
            "   ",
            "text",
            "<Other/>",
            "<Root>",
            "</Root>",
            "<Root></Other>",
            "<Root><Item></Root>",
            "<Root/><Root/>",
            "<Root/>text",
            "<Root>text</Root>",
            "<Root><Item><b/></Item></Root>",
            "<Root><Item>&unknown;</Item></Root>",
            "<Root><Item>&#xD800;</Item></Root>",
            "<Root><Item>a & b</Item></Root>",
            "<!DOCTYPE Root><Root/>",
            "<!DOCTYPE Root [<!ENTITY a \"aaaa\">]><Root><Item>&a;</Item></Root>",
            "<Root a=b/>",
            "<Root a='1' a='2'/>",
            "<Root a/>",
            "<Root><1/></Root>",
            "<Root><![CDATA[",
            "<Root",
        ] {
            assert!(malformed(body), "{body}");
        }
        assert!(matches!(items(b"<Root>\xff</Root>"), Err(Refusal::MalformedXml)));
    }

    #[test]
    fn depth_is_bounded_and_costs_no_stack() {
        let nested = |depth: usize| format!("<Root>{}{}</Root>", "<a>".repeat(depth), "</a>".repeat(depth));
        assert!(items(nested(MAX_DEPTH - 1).as_bytes()).is_ok());
        assert!(malformed(&nested(MAX_DEPTH)));
        assert!(malformed(&format!("<Root>{}", "<a>".repeat(1_000_000))));
    }

    #[test]
    fn a_field_is_given_once() {
        let field = |body: &str| {
            read(body.as_bytes(), "Root", |root| {
                let (mut text, mut number) = (None, None::<u32>);
                root.children(|name, element| match name {
                    "Text" => element.text_into(&mut text),
                    "Number" => element.value_into(&mut number),
                    _ => Ok(()),
                })?;
                Ok((text, number))
            })
        };
        assert_eq!(field("<Root><Text>a</Text><Number> 5 </Number></Root>").unwrap(), (Some("a".to_owned()), Some(5)));
        assert_eq!(field("<Root/>").unwrap(), (None, None));
        for body in ["<Root><Text>a</Text><Text>a</Text></Root>", "<Root><Number>x</Number></Root>", "<Root><Number/></Root>"] {
            assert!(matches!(field(body), Err(Refusal::MalformedXml)), "{body}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = items(&body);
        }

        #[test]
        fn no_arrangement_of_markup_makes_the_reader_panic(
            pieces in proptest::collection::vec(proptest::sample::select(vec![
                "<Root>", "</Root>", "<Item>", "</Item>", "<Item/>", "<a b='c'>", "</a>", "&amp;", "&#1;", "&", "<", ">", "<![CDATA[", "]]>", "<!--",
                "-->", "<?x", "?>", "<!DOCTYPE", "text", " ",
            ]), 0..40)
        ) {
            let _ = items(pieces.concat().as_bytes());
        }

        #[test]
        fn a_text_that_was_written_reads_back(text in "[ -~\u{e9}\u{1f600}\n\t]{0,40}") {
            let mut xml = crate::xml::Xml::new();
            xml.element("Root", |xml| xml.text("Item", &text));
            prop_assert_eq!(items(&xml.into_bytes()).unwrap(), [text]);
        }
    }
}
