//! Where a body in chunks ends (RFC 9112, section 7.1). Stricter than the decoder behind it, which reads the same bytes.

use super::head::field;

/// A chunk's line and the trailer section may be that long; nobody who means well sends as much.
const MAX_LINE_BYTES: usize = 1024;
const MAX_TRAILER_BYTES: usize = 8192;

/// The bytes are no chunks.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotChunked;

/// Follows a body in chunks, in pieces of any size.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    at: At,
    size: u64,
    line_bytes: usize,
    /// The trailer section's present line, and the bytes of those before it.
    trailer: Vec<u8>,
    trailer_bytes: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    #[default]
    SizeStart,
    Size,
    /// White space after a size: only an extension may follow.
    Gap,
    Extension,
    SizeLineFeed,
    Data,
    DataReturn,
    DataLineFeed,
    Trailer,
    TrailerLineFeed,
    End,
}

impl Chunks {
    /// How many of the bytes belong to the body, and whether it ends with them.
    pub(super) fn follow(&mut self, bytes: &[u8]) -> Result<(usize, bool), NotChunked> {
        let mut followed = 0;
        while self.at != At::End && followed < bytes.len() {
            if self.at == At::Data {
                followed += self.skip_data(bytes.len() - followed);
            } else {
                self.at = self.next(bytes[followed])?;
                followed += 1;
            }
        }
        Ok((followed, self.at == At::End))
    }

    fn skip_data(&mut self, available: usize) -> usize {
        let skipped = usize::try_from(self.size).map_or(available, |size| size.min(available));
        self.size -= skipped as u64;
        if self.size == 0 {
            self.at = At::DataReturn;
        }
        skipped
    }

    fn next(&mut self, byte: u8) -> Result<At, NotChunked> {
        match (self.at, byte) {
            (At::SizeStart | At::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => self.digit(byte),
            (At::Size | At::Gap, b' ' | b'\t') => self.on_line(At::Gap),
            (At::Size | At::Gap, b';') | (At::Extension, b'\t' | b' '..=b'~' | 0x80..) => self.on_line(At::Extension),
            (At::Size | At::Extension, b'\r') => Ok(At::SizeLineFeed),
            (At::SizeLineFeed, b'\n') => Ok(self.line_ended()),
            (At::DataReturn, b'\r') => Ok(At::DataLineFeed),
            (At::DataLineFeed, b'\n') => Ok(At::SizeStart),
            (At::Trailer, b'\r') => Ok(At::TrailerLineFeed),
            (At::Trailer, b'\t' | b' '..=b'~' | 0x80..) => self.trailer_byte(byte),
            (At::TrailerLineFeed, b'\n') => self.trailer_line_ended(),
            _ => Err(NotChunked),
        }
    }

    fn digit(&mut self, byte: u8) -> Result<At, NotChunked> {
        let digit = char::from(byte).to_digit(16).ok_or(NotChunked)?;
        self.size = self.size.checked_mul(16).and_then(|size| size.checked_add(u64::from(digit))).ok_or(NotChunked)?;
        self.on_line(At::Size)
    }

    fn on_line(&mut self, at: At) -> Result<At, NotChunked> {
        self.line_bytes += 1;
        if self.line_bytes > MAX_LINE_BYTES { Err(NotChunked) } else { Ok(at) }
    }

    fn line_ended(&mut self) -> At {
        self.line_bytes = 0;
        if self.size == 0 { At::Trailer } else { At::Data }
    }

    fn trailer_byte(&mut self, byte: u8) -> Result<At, NotChunked> {
        self.trailer.push(byte);
        self.trailer_bytes += 1;
        if self.trailer_bytes > MAX_TRAILER_BYTES { Err(NotChunked) } else { Ok(At::Trailer) }
    }

    fn trailer_line_ended(&mut self) -> Result<At, NotChunked> {
        if self.trailer.is_empty() {
            return Ok(At::End);
        }
        field(&self.trailer).map_err(|_| NotChunked)?;
        self.trailer.clear();
        Ok(At::Trailer)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const BODY: &[u8] = b"5;a=b\r\nhello\r\nA \t;x\r\n0123456789\r\n000\r\nX: y\r\nZ: \r\n\r\n";

    #[test]
    fn a_body_ends_at_the_same_byte_in_pieces_of_any_size() {
        let sent = [BODY, b"GET / HTTP/1.1\r\n"].concat();
        for len in 1..=sent.len() {
            let (mut chunks, mut followed, mut has_ended) = (Chunks::default(), 0, false);
            for piece in sent.chunks(len) {
                let (bytes, ends) = chunks.follow(piece).unwrap();
                followed += bytes;
                if ends {
                    has_ended = true;
                    break;
                }
                assert_eq!(bytes, piece.len());
            }
            assert_eq!((followed, has_ended), (BODY.len(), true), "in pieces of {len}");
        }
    }

    #[test]
    fn no_part_of_a_body_is_followed_past_a_limit() {
        for (name, body) in [
            ("a size", "0".repeat(MAX_LINE_BYTES + 1)),
            ("an extension", format!("1;{}", "a".repeat(MAX_LINE_BYTES))),
            ("white space", format!("1{}", " ".repeat(MAX_LINE_BYTES))),
            ("a trailer", format!("0\r\nx:{}", "a".repeat(MAX_TRAILER_BYTES))),
            ("many trailers", format!("0\r\n{}", "x:yyyyyy\r\n".repeat(MAX_TRAILER_BYTES / 8 + 1))),
            ("2^64", "10000000000000000".to_owned()),
        ] {
            assert_eq!(Chunks::default().follow(body.as_bytes()), Err(NotChunked), "{name}");
        }
    }
}
