//! What the head of a request may look like. Stricter than the parser behind it, so that no two readers of one head differ.

use http::StatusCode;
use memchr::{memchr, memchr_iter, memmem};

/// How the end of a body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    None,
    Length(u64),
    Chunked,
}

/// Why a request is refused before anybody sees it. Its connection ends with the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Refusal {
    BareLineFeed = 1,
    RequestLine,
    Version,
    Target,
    HeaderLine,
    Host,
    ContentLength,
    TransferEncoding,
    TooLong,
}

const REFUSALS: [Refusal; 9] = [
    Refusal::BareLineFeed,
    Refusal::RequestLine,
    Refusal::Version,
    Refusal::Target,
    Refusal::HeaderLine,
    Refusal::Host,
    Refusal::ContentLength,
    Refusal::TransferEncoding,
    Refusal::TooLong,
];

impl Refusal {
    /// The refusal of a number, if it has one.
    pub(super) fn from_number(number: u8) -> Option<Self> {
        REFUSALS.into_iter().find(|refusal| *refusal as u8 == number)
    }

    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::TooLong => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

/// Looks for the end of a head in bytes that grow, each byte once.
#[derive(Debug, Default)]
pub(super) struct HeadEnd {
    searched: usize,
    line_start: usize,
    has_line: bool,
}

impl HeadEnd {
    /// The length of the head, once its empty line is there. Empty lines before the request line are passed over (RFC 9112, section 2.2).
    pub(super) fn find(&mut self, bytes: &[u8]) -> Result<Option<usize>, Refusal> {
        for at in memchr_iter(b'\n', &bytes[self.searched..]) {
            let line_feed = self.searched + at;
            if line_feed == 0 || bytes[line_feed - 1] != b'\r' {
                return Err(Refusal::BareLineFeed);
            }
            let is_empty = line_feed - 1 == self.line_start;
            if is_empty && self.has_line {
                return Ok(Some(line_feed + 1));
            }
            self.has_line |= !is_empty;
            self.line_start = line_feed + 1;
        }
        self.searched = bytes.len();
        Ok(None)
    }
}

/// Checks a whole head, its empty line included, and says how its body is framed.
pub(super) fn inspect(head: &[u8]) -> Result<Framing, Refusal> {
    let mut lines = lines(head).skip_while(|line| line.is_empty());
    let request = RequestLine::parse(lines.next().ok_or(Refusal::RequestLine)?)?;
    let mut fields = Fields::default();
    for line in lines.take_while(|line| !line.is_empty()) {
        fields.take(line)?;
    }
    request.check_host(fields.host)?;
    fields.framing(request.is_http_11)
}

/// Lines without their line ends, each of which [`HeadEnd`] has found to be CR LF.
fn lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut start = 0;
    memchr_iter(b'\n', head).map(move |end| {
        let line = &head[start..end - 1];
        start = end + 1;
        line
    })
}

struct RequestLine<'a> {
    target: &'a [u8],
    is_http_11: bool,
}

impl<'a> RequestLine<'a> {
    fn parse(line: &'a [u8]) -> Result<Self, Refusal> {
        let mut words = line.split(|byte| *byte == b' ');
        let (Some(method), Some(target), Some(version), None) = (words.next(), words.next(), words.next(), words.next()) else {
            return Err(Refusal::RequestLine);
        };
        let is_http_11 = match version {
            b"HTTP/1.1" => true,
            b"HTTP/1.0" => false,
            [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit() => {
                return Err(Refusal::Version);
            }
            _ => return Err(Refusal::RequestLine),
        };
        // A tunnel is not served, and no other target may look like one.
        let is_known = match target {
            [b'/', ..] => true,
            b"*" => method == b"OPTIONS",
            _ => authority(target).is_some(),
        };
        // The parser behind would drop a fragment in silence; no client sends one.
        if method == b"CONNECT" || !is_known || memchr(b'#', target).is_some() {
            return Err(Refusal::Target);
        }
        Ok(Self { target, is_http_11 })
    }

    /// One good Host for HTTP/1.1, and for a target with an authority the same one (RFC 9112, section 3.2).
    fn check_host(&self, host: Option<&[u8]>) -> Result<(), Refusal> {
        let is_good = match host {
            Some(host) => is_host(host) && authority(self.target).is_none_or(|authority| authority.eq_ignore_ascii_case(host)),
            None => !self.is_http_11 && authority(self.target).is_none(),
        };
        if is_good { Ok(()) } else { Err(Refusal::Host) }
    }
}

/// The authority of a target in absolute form.
fn authority(target: &[u8]) -> Option<&[u8]> {
    if target.starts_with(b"/") {
        return None;
    }
    let scheme_len = memmem::find(target, b"://")?;
    let (scheme, rest) = (&target[..scheme_len], &target[scheme_len + 3..]);
    let is_http = scheme.eq_ignore_ascii_case(b"http") || scheme.eq_ignore_ascii_case(b"https");
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    is_http.then(|| &rest[..end])
}

/// A host with or without a port, in the characters that RFC 3986, section 3.2.2, has for them.
fn is_host(host: &[u8]) -> bool {
    let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+;=%[]:".contains(byte);
    !host.is_empty() && host.iter().all(is_allowed)
}

/// The fields that decide where a message ends and whom it is for.
#[derive(Default)]
struct Fields<'a> {
    host: Option<&'a [u8]>,
    content_length: Option<&'a [u8]>,
    transfer_encoding: Option<&'a [u8]>,
}

impl<'a> Fields<'a> {
    fn take(&mut self, line: &'a [u8]) -> Result<(), Refusal> {
        let (name, value) = field(line)?;
        let (place, repeated) = match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => (&mut self.host, Refusal::Host),
            14 if name.eq_ignore_ascii_case(b"content-length") => (&mut self.content_length, Refusal::ContentLength),
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => (&mut self.transfer_encoding, Refusal::TransferEncoding),
            _ => return Ok(()),
        };
        if place.replace(value).is_some() { Err(repeated) } else { Ok(()) }
    }

    fn framing(&self, is_http_11: bool) -> Result<Framing, Refusal> {
        match (self.transfer_encoding, self.content_length) {
            (Some(coding), None) if is_http_11 && coding.eq_ignore_ascii_case(b"chunked") => Ok(Framing::Chunked),
            (Some(_), _) => Err(Refusal::TransferEncoding),
            (None, Some(length)) => length_of(length).ok_or(Refusal::ContentLength),
            (None, None) => Ok(Framing::None),
        }
    }
}

/// Name and value of a field's line. Characters within them are the parser's to check.
pub(super) fn field(line: &[u8]) -> Result<(&[u8], &[u8]), Refusal> {
    let colon = memchr(b':', line).ok_or(Refusal::HeaderLine)?;
    let name = &line[..colon];
    // White space before the name continues the line before; white space after it hides the name from others.
    if name.is_empty() || name.iter().any(|byte| matches!(byte, b' ' | b'\t')) {
        return Err(Refusal::HeaderLine);
    }
    Ok((name, trim(&line[colon + 1..])))
}

fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// Digits alone, of a length that files have.
fn length_of(value: &[u8]) -> Option<Framing> {
    let is_number = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    let length: u64 = is_number.then(|| str::from_utf8(value).ok()?.parse().ok()).flatten()?;
    match length {
        0 => Some(Framing::None),
        length if i64::try_from(length).is_ok() => Some(Framing::Length(length)),
        _ => None,
    }
}
