//! `multipart/form-data` (RFC 7578) as forms for S3 use it: fields, then one file. What follows the file is not read.
//!
//! The parsers of the field read as much of a body as has come, or a whole field, into memory. This one holds at the most
//! [`MAX_BEFORE_FILE_BYTES`] before the file, and of the file the few bytes that could begin its end.

use std::{
    ops::{Deref, RangeInclusive},
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use http::{HeaderMap, StatusCode, header};
use memchr::memmem;
use strongroom_engine::{Error, api::BodyError, budget::Budget};
use strongroom_limits::Slot;
use strongroom_sigv4::post_policy::FormError;
use zeroize::Zeroizing;

use super::Fields;
use crate::{limits::Throttled, refusal::Refusal};

/// So much of a body is read before its file begins.
pub(super) const MAX_BEFORE_FILE_BYTES: usize = 64 << 10;
/// So much room has a form at first.
const FIRST_BYTES: usize = 8 << 10;
/// So much of it is looked at in one go.
const PIECE_BYTES: usize = 4 << 10;
/// Names and values of the fields together. Source: S3 API reference, "POST Object" (20 KB).
const MAX_FIELDS_BYTES: usize = 20 << 10;
/// The headers of a part.
const MAX_PART_HEADERS_BYTES: usize = 8 << 10;
/// Source: RFC 2046, 5.1.1.
const MAX_BOUNDARY_BYTES: usize = 70;
const FILE: &str = "file";
const END_OF_HEADERS: &[u8] = b"\r\n\r\n";

/// Why a form is none that S3 takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PostError {
    /// It is not multipart/form-data.
    Malformed,
    /// There is no file in it.
    NoFile,
    /// The fields before the file are too large.
    TooLong,
}

impl PostError {
    /// S3's code and status.
    pub(crate) fn verdict(self) -> (&'static str, StatusCode) {
        let code = match self {
            Self::Malformed => "MalformedPOSTRequest",
            Self::NoFile => "IncorrectNumberOfFilesInPostRequest",
            Self::TooLong => "MaxPostPreDataLengthExceededError",
        };
        (code, StatusCode::BAD_REQUEST)
    }

    /// S3's sentence.
    pub(crate) fn message(self) -> &'static str {
        match self {
            Self::Malformed => "The body of your POST request is not well-formed multipart/form-data.",
            Self::NoFile => "POST requires exactly one file upload per request.",
            Self::TooLong => "Your POST request fields preceding the upload file were too large.",
        }
    }
}

/// The boundary that `Content-Type` names.
pub(super) fn boundary(headers: &HeaderMap) -> Result<String, PostError> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).ok_or(PostError::Malformed)?;
    let boundary = parameter(content_type, "boundary").ok_or(PostError::Malformed)?;
    let is_allowed = (1..=MAX_BOUNDARY_BYTES).contains(&boundary.len()) && boundary.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if is_allowed { Ok(boundary) } else { Err(PostError::Malformed) }
}

/// A parameter of a header's value, its quotes taken off.
fn parameter(value: &str, wanted: &str) -> Option<String> {
    let mut rest = value.split_once(';')?.1;
    loop {
        let (name, behind) = rest.split_once('=')?;
        let behind = behind.trim_start();
        let (value, next) = if let Some(quoted) = behind.strip_prefix('"') {
            unquoted(quoted)?
        } else {
            let end = behind.find(';').unwrap_or(behind.len());
            (behind[..end].trim_end().to_owned(), &behind[end..])
        };
        if name.trim().eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        rest = next.trim_start().strip_prefix(';')?;
    }
}

/// What stands before the closing quote, and what behind it. Browsers write a quote inside as `%22`, others with a backslash before it; a backslash
/// before anything else is part of a path.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[at + 1..])),
            '\\' if text[at + 1..].starts_with('"') => {
                characters.next();
                value.push('"');
            }
            other => value.push(other),
        }
    }
    None
}

/// The fields of a form, and its file, of which nothing was read but what came together with the fields.
pub(super) async fn open(mut body: super::RawBody, boundary: &str, budget: &Budget) -> Result<(Fields, FilePart), Refusal> {
    let mut held = budget.hold(FIRST_BYTES).await?;
    let mut preamble = Preamble::new(boundary);
    loop {
        let Some(frame) = std::future::poll_fn(|context| body.as_mut().poll_frame(context)).await else {
            return Err(PostError::Malformed.into());
        };
        let mut chunk = frame.map_err(|error| Refusal::Engine(Error::Body(error)))?.into_data().unwrap_or_default();
        while !chunk.is_empty() {
            let piece = chunk.split_to(chunk.len().min(PIECE_BYTES));
            if preamble.grows_with(&piece) && !held.try_grow(MAX_BEFORE_FILE_BYTES) {
                return Err(Error::Busy.into());
            }
            if let Some(fields) = preamble.read(&piece)? {
                return Ok((fields, FilePart::new(body, [held.attach(preamble.into_rest()), chunk], boundary)));
            }
        }
    }
}

/// The part of a form before its file, as far as it has come.
pub(crate) struct Preamble {
    /// A field may be a secret.
    read: Zeroizing<Vec<u8>>,
    delimiter: Vec<u8>,
    at: usize,
    /// Up to where the end of what stands at `at` was looked for.
    searched: usize,
    state: State,
    fields: Fields,
    fields_bytes: usize,
}

/// What stands at [`Preamble::at`].
enum State {
    /// The first boundary.
    Begin,
    /// What tells whether another part follows.
    BehindBoundary,
    /// The headers of a part.
    Headers,
    /// The value of the field of this name.
    Value(String),
}

impl Preamble {
    pub(crate) fn new(boundary: &str) -> Self {
        Self {
            read: Zeroizing::new(Vec::with_capacity(FIRST_BYTES)),
            delimiter: format!("\r\n--{boundary}").into_bytes(),
            at: 0,
            searched: 0,
            state: State::Begin,
            fields: Fields::default(),
            fields_bytes: 0,
        }
    }

    /// Whether these bytes need the room of the largest form. Most take a few kilobytes.
    fn grows_with(&self, bytes: &[u8]) -> bool {
        self.read.len() + bytes.len() > self.read.capacity()
    }

    /// Takes the next bytes of the body. The fields where the file has begun.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Result<Option<Fields>, PostError> {
        if self.read.len() + bytes.len() > MAX_BEFORE_FILE_BYTES {
            return Err(PostError::TooLong);
        }
        if self.grows_with(bytes) {
            // By hand: a vector that grows by itself leaves what it held behind, unwiped.
            let mut larger = Zeroizing::new(Vec::with_capacity(MAX_BEFORE_FILE_BYTES));
            larger.extend_from_slice(&self.read);
            self.read = larger;
        }
        self.read.extend_from_slice(bytes);
        while let Some(is_file) = self.step()? {
            if is_file {
                return Ok(Some(std::mem::take(&mut self.fields)));
            }
        }
        Ok(None)
    }

    /// What was read and is the file's.
    pub(crate) fn into_rest(self) -> Bytes {
        Bytes::copy_from_slice(&self.read[self.at..])
    }

    /// Reads on. None where more bytes are needed; true where the file begins.
    fn step(&mut self) -> Result<Option<bool>, PostError> {
        match &self.state {
            State::Begin => {
                // As every boundary but for the line end before it.
                let first = &self.delimiter[2..];
                let (come, needed) = (&self.read[..self.read.len().min(first.len())], first.len());
                if !first.starts_with(come) {
                    return Err(PostError::Malformed);
                }
                Ok((come.len() == needed).then(|| self.go_on(needed, State::BehindBoundary)))
            }
            State::BehindBoundary => match self.read.get(self.at..self.at + 2) {
                None => Ok(None),
                Some(b"\r\n") => Ok(Some(self.go_on(self.at + 2, State::Headers))),
                Some(b"--") => Err(PostError::NoFile),
                Some(_) => Err(PostError::Malformed),
            },
            State::Headers => self.headers(),
            State::Value(_) => self.value(),
        }
    }

    fn headers(&mut self) -> Result<Option<bool>, PostError> {
        let end = self.find(END_OF_HEADERS);
        if end.unwrap_or(self.read.len()) - self.at > MAX_PART_HEADERS_BYTES {
            return Err(PostError::Malformed);
        }
        let Some(end) = end else { return Ok(None) };
        let headers = std::str::from_utf8(&self.read[self.at..end]).map_err(|_| PostError::Malformed)?;
        let (name, filename) = disposition(headers).ok_or(PostError::Malformed)?;
        let behind = end + END_OF_HEADERS.len();
        if name.eq_ignore_ascii_case(FILE) {
            self.fields.set_filename(&filename.unwrap_or_default());
            self.at = behind;
            return Ok(Some(true));
        }
        self.count(name.len())?;
        Ok(Some(self.go_on(behind, State::Value(name))))
    }

    fn value(&mut self) -> Result<Option<bool>, PostError> {
        let delimiter = std::mem::take(&mut self.delimiter);
        let end = self.find(&delimiter);
        let behind = end.map(|end| end + delimiter.len());
        self.delimiter = delimiter;
        let (Some(end), Some(behind)) = (end, behind) else { return Ok(None) };
        let value = std::str::from_utf8(&self.read[self.at..end]).map_err(|_| PostError::Malformed)?.to_owned();
        self.count(value.len())?;
        let State::Value(name) = std::mem::replace(&mut self.state, State::BehindBoundary) else { return Err(PostError::Malformed) };
        self.fields.push(name, value);
        Ok(Some(self.go_on(behind, State::BehindBoundary)))
    }

    fn count(&mut self, bytes: usize) -> Result<(), PostError> {
        self.fields_bytes += bytes;
        if self.fields_bytes > MAX_FIELDS_BYTES { Err(PostError::TooLong) } else { Ok(()) }
    }

    fn go_on(&mut self, at: usize, state: State) -> bool {
        (self.at, self.searched, self.state) = (at, at, state);
        false
    }

    /// Where the pattern begins behind `at`. What was searched once is not searched again, however small the pieces are that come.
    fn find(&mut self, pattern: &[u8]) -> Option<usize> {
        let from = self.searched.saturating_sub(pattern.len() - 1).max(self.at);
        let found = memmem::find(&self.read[from..], pattern).map(|found| from + found);
        self.searched = self.read.len();
        found
    }
}

/// The name of a part and of its file, from the part's headers.
fn disposition(headers: &str) -> Option<(String, Option<String>)> {
    let lines = headers.split("\r\n").filter_map(|line| line.split_once(':'));
    let mut found = lines.filter(|(name, _)| name.trim().eq_ignore_ascii_case("content-disposition")).map(|(_, value)| value.trim());
    let (value, None) = (found.next()?, found.next()) else { return None };
    let kind = value.split(';').next()?.trim();
    if !kind.eq_ignore_ascii_case("form-data") {
        return None;
    }
    Some((parameter(value, "name")?, parameter(value, "filename")))
}

/// The file of a form, as it comes. Its end is the next boundary; a body that ends before is incomplete.
pub(crate) struct FilePart {
    body: super::RawBody,
    /// What has come and was not looked at.
    next: [Bytes; 2],
    /// What could be the beginning of the boundary.
    held_back: BytesMut,
    delimiter: memmem::Finder<'static>,
    allowed: RangeInclusive<u64>,
    len_bytes: u64,
    has_ended: bool,
    refused: Arc<OnceLock<FormError>>,
}

impl FilePart {
    fn new(body: super::RawBody, next: [Bytes; 2], boundary: &str) -> Self {
        let delimiter = memmem::Finder::new(format!("\r\n--{boundary}").as_bytes()).into_owned();
        let (allowed, refused) = (0..=u64::MAX, Arc::default());
        Self { body, next, held_back: BytesMut::new(), delimiter, allowed, len_bytes: 0, has_ended: false, refused }
    }

    /// The same, as fast as its sender may send.
    pub(super) fn throttled(self, slot: Option<&Arc<Slot>>) -> Self {
        Self { body: Throttled::wrap(self.body, slot), ..self }
    }

    /// A file of another length breaks off, and [`Self::refused`] says why.
    pub(super) fn keep_to(&mut self, allowed: RangeInclusive<u64>) {
        self.allowed = allowed;
    }

    /// Where it will say that the file does not have a length that its policy allows.
    pub(crate) fn refused(&self) -> impl Deref<Target = OnceLock<FormError>> + use<> {
        Arc::clone(&self.refused)
    }

    /// What of these bytes is the file's for certain.
    fn take(&mut self, bytes: Bytes) -> Bytes {
        let mut bytes = if self.held_back.is_empty() {
            bytes
        } else {
            self.held_back.extend_from_slice(&bytes);
            self.held_back.split().freeze()
        };
        if let Some(end) = self.delimiter.find(&bytes) {
            self.has_ended = true;
            bytes.truncate(end);
            return bytes;
        }
        let kept = begins_delimiter(&bytes, self.delimiter.needle());
        self.held_back.extend_from_slice(&bytes[bytes.len() - kept..]);
        bytes.truncate(bytes.len() - kept);
        bytes
    }

    fn refuse(&mut self, reason: FormError) -> BodyError {
        self.has_ended = true;
        let _ = self.refused.set(reason);
        BodyError::Incomplete
    }

    /// Whether what has come of the file may be that long.
    fn check_len(&mut self, piece_bytes: usize) -> Result<(), BodyError> {
        self.len_bytes += piece_bytes as u64;
        if self.len_bytes > *self.allowed.end() {
            return Err(self.refuse(FormError::TooLarge));
        }
        if self.has_ended && self.len_bytes < *self.allowed.start() {
            return Err(self.refuse(FormError::TooSmall));
        }
        Ok(())
    }
}

/// How many bytes at the end could begin the delimiter.
fn begins_delimiter(bytes: &[u8], delimiter: &[u8]) -> usize {
    let longest = bytes.len().min(delimiter.len() - 1);
    (1..=longest).rev().find(|len| delimiter.starts_with(&bytes[bytes.len() - len..])).unwrap_or(0)
}

impl Stream for FilePart {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        while !this.has_ended {
            let bytes = if let Some(come) = this.next.iter_mut().find(|bytes| !bytes.is_empty()) {
                std::mem::take(come)
            } else {
                match ready!(this.body.as_mut().poll_frame(context)) {
                    Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
                    end => {
                        this.has_ended = true;
                        let error = end.and_then(Result::err).unwrap_or(BodyError::Incomplete);
                        return Poll::Ready(Some(Err(error)));
                    }
                }
            };
            let piece = this.take(bytes);
            if let Err(error) = this.check_len(piece.len()) {
                return Poll::Ready(Some(Err(error)));
            }
            if !piece.is_empty() {
                return Poll::Ready(Some(Ok(piece)));
            }
        }
        Poll::Ready(None)
    }
}
