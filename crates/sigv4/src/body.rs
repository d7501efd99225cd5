//! Bodies as they come: held to what was signed, and without the framing of `aws-chunked`.

use std::collections::{BTreeMap, BTreeSet};

use aws_lc_rs::digest::{Context, SHA256};
use bytes::{Buf as _, Bytes};
use http::{HeaderMap, HeaderName};

use crate::{
    error::BodyError,
    key::parse_signature,
    payload::{ChunkSigner, Payload, Streaming},
    trailer::Trailer,
};

/// The longest line before a chunk; with size and signature it has about 100 bytes.
const MAX_CHUNK_LINE_BYTES: usize = 256;
/// The smallest signed chunk but the last. Smaller ones cost more to verify than to send.
const MIN_SIGNED_CHUNK_BYTES: u64 = 8 << 10;
const MAX_TRAILERS: usize = 16;

/// What a request says of the length of its body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lengths {
    /// `content-length`: of the body as it is sent.
    pub encoded: Option<u64>,
    /// `x-amz-decoded-content-length`: without the framing.
    pub decoded: Option<u64>,
}

impl Lengths {
    /// Reads them from the headers of a request.
    pub fn read(headers: &HeaderMap) -> Result<Self, BodyError> {
        Ok(Self { encoded: length(headers, "content-length")?, decoded: length(headers, "x-amz-decoded-content-length")? })
    }
}

fn length(headers: &HeaderMap, name: &'static str) -> Result<Option<u64>, BodyError> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let digits = Some(value.as_bytes()).filter(|digits| !digits.is_empty() && digits.iter().all(u8::is_ascii_digit));
    let number = digits.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    number.filter(|_| values.next().is_none()).map(Some).ok_or(BodyError::InvalidLength(name))
}

/// The names in `x-amz-trailer`, in lower case.
pub fn announced_trailers(headers: &HeaderMap) -> Result<BTreeSet<String>, BodyError> {
    let mut names = BTreeSet::new();
    for value in headers.get_all("x-amz-trailer") {
        for name in value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|name| !name.is_empty()) {
            let name = HeaderName::from_bytes(name).map_err(|_| BodyError::InvalidAnnouncement)?;
            names.insert(name.as_str().to_owned());
            if names.len() > MAX_TRAILERS {
                return Err(BodyError::InvalidAnnouncement);
            }
        }
    }
    Ok(names)
}

/// Decodes a body piece by piece, without copying it.
///
/// What it hands on is not verified yet: a chunk's bytes come before its signature is checked, those of a hashed body before the
/// hash. **Nothing may be made of them that lasts before [`BodyDecoder::finish`] has returned without an error.**
pub struct BodyDecoder {
    framing: Framing,
    encoded_length: Option<u64>,
    received_bytes: u64,
}

enum Framing {
    None {
        hash: Option<(Context, [u8; 32])>,
    },
    Chunks(Box<Chunks>),
    /// After an error.
    Broken,
}

impl BodyDecoder {
    /// For the body of a request whose payload was verified. `announced` are the names in `x-amz-trailer`.
    pub fn new(payload: Payload, lengths: Lengths, announced: BTreeSet<String>) -> Result<Self, BodyError> {
        let has_trailer = matches!(&payload, Payload::Streaming(streaming) if streaming.trailer);
        match (has_trailer, announced.is_empty()) {
            (true, true) => return Err(BodyError::InvalidAnnouncement),
            (false, false) => return Err(BodyError::TrailerNotPossible),
            (true, false) | (false, true) => {}
        }
        let framing = match payload {
            Payload::Unsigned => Framing::None { hash: None },
            Payload::Sha256(expected) => Framing::None { hash: Some((Context::new(&SHA256), expected)) },
            Payload::Streaming(streaming) => {
                let decoded_length = lengths.decoded.ok_or(BodyError::DecodedLengthMissing)?;
                Framing::Chunks(Box::new(Chunks::new(streaming, decoded_length, announced)))
            }
        };
        Ok(Self { framing, encoded_length: lengths.encoded, received_bytes: 0 })
    }

    /// The next decoded bytes of `input`, which is advanced past them; never empty. None when all of the input is used up.
    /// After an error, every call is one.
    pub fn decode(&mut self, input: &mut Bytes) -> Result<Option<Bytes>, BodyError> {
        let available = input.len() as u64;
        if self.encoded_length.is_some_and(|length| available > length - self.received_bytes) {
            self.framing = Framing::Broken;
            return Err(BodyError::TooLong);
        }
        let decoded = match &mut self.framing {
            Framing::None { hash } => Ok(take_plain(input, hash)),
            Framing::Chunks(chunks) => chunks.decode(input),
            Framing::Broken => Err(BodyError::Malformed),
        };
        self.received_bytes += available - input.len() as u64;
        if decoded.is_err() {
            self.framing = Framing::Broken;
        }
        decoded
    }

    /// At the end of the body: everything is checked now, or it is an error. The trailers by name in lower case.
    pub fn finish(self) -> Result<BTreeMap<String, String>, BodyError> {
        if self.encoded_length.is_some_and(|length| length != self.received_bytes) {
            return Err(BodyError::Incomplete);
        }
        match self.framing {
            Framing::None { hash: Some((context, expected)) } if context.clone().finish().as_ref() != expected => {
                Err(BodyError::Sha256Mismatch)
            }
            Framing::None { .. } => Ok(BTreeMap::new()),
            Framing::Chunks(chunks) => chunks.finish(),
            Framing::Broken => Err(BodyError::Malformed),
        }
    }
}

fn take_plain(input: &mut Bytes, hash: &mut Option<(Context, [u8; 32])>) -> Option<Bytes> {
    if let Some((context, _)) = hash {
        context.update(input);
    }
    let taken = input.split_to(input.len());
    (!taken.is_empty()).then_some(taken)
}

/// `aws-chunked`: `size[;chunk-signature=…]\r\ndata\r\n`, a chunk of no data last, then a trailer or nothing.
struct Chunks {
    signer: Option<Box<ChunkSigner>>,
    has_trailer: bool,
    trailer: Trailer,
    /// What has not come yet of the decoded length.
    left_bytes: u64,
    line: Vec<u8>,
    had_small_chunk: bool,
    state: State,
}

enum State {
    /// In the line before a chunk.
    Line,
    /// In its data; `left_bytes` are to come.
    Data { left_bytes: u64, verification: Option<Verification> },
    /// Behind its data: the rest of carriage return and line feed.
    DataEnd(&'static [u8]),
    /// Behind the last chunk where no trailer is to come: the rest of the same, which may be missing.
    End(&'static [u8]),
    /// Behind the last chunk where one is.
    Trailer,
}

/// Of a signed chunk.
struct Verification {
    hash: Context,
    signature: [u8; 32],
}

impl Chunks {
    fn new(streaming: Streaming, decoded_length: u64, announced: BTreeSet<String>) -> Self {
        let Streaming { signer, trailer: has_trailer } = streaming;
        let trailer = Trailer::new(announced);
        let line = Vec::with_capacity(MAX_CHUNK_LINE_BYTES);
        Self { signer, has_trailer, trailer, left_bytes: decoded_length, line, had_small_chunk: false, state: State::Line }
    }

    fn decode(&mut self, input: &mut Bytes) -> Result<Option<Bytes>, BodyError> {
        while !input.is_empty() {
            match &mut self.state {
                State::Line => self.read_line(input)?,
                State::Data { .. } => return self.read_data(input).map(Some),
                State::DataEnd(rest) => {
                    expect(input, rest)?;
                    if rest.is_empty() {
                        self.state = State::Line;
                    }
                }
                State::End(rest) => expect(input, rest)?,
                State::Trailer => self.trailer.read(input, self.signer.as_deref_mut())?,
            }
        }
        Ok(None)
    }

    fn read_line(&mut self, input: &mut Bytes) -> Result<(), BodyError> {
        let end = input.iter().position(|byte| *byte == b'\n');
        let piece = input.split_to(end.map_or(input.len(), |end| end + 1));
        if self.line.len() + piece.len() > MAX_CHUNK_LINE_BYTES {
            return Err(BodyError::Malformed);
        }
        self.line.extend_from_slice(&piece);
        if end.is_some() {
            let line = ChunkLine::parse(&self.line).ok_or(BodyError::Malformed)?;
            self.line.clear();
            self.begin_chunk(&line)?;
        }
        Ok(())
    }

    fn begin_chunk(&mut self, line: &ChunkLine) -> Result<(), BodyError> {
        let verification = match (&self.signer, line.signature) {
            (Some(_), Some(signature)) => Some(Verification { hash: Context::new(&SHA256), signature }),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => return Err(BodyError::Malformed),
        };
        if line.size_bytes == 0 {
            return self.end_chunks(verification);
        }
        if self.had_small_chunk && self.signer.is_some() {
            return Err(BodyError::ChunkTooSmall);
        }
        self.left_bytes = self.left_bytes.checked_sub(line.size_bytes).ok_or(BodyError::TooLong)?;
        self.had_small_chunk = line.size_bytes < MIN_SIGNED_CHUNK_BYTES;
        self.state = State::Data { left_bytes: line.size_bytes, verification };
        Ok(())
    }

    fn end_chunks(&mut self, verification: Option<Verification>) -> Result<(), BodyError> {
        verify_chunk(self.signer.as_deref_mut(), verification)?;
        if self.left_bytes > 0 {
            return Err(BodyError::Incomplete);
        }
        self.state = if self.has_trailer { State::Trailer } else { State::End(b"\r\n") };
        Ok(())
    }

    /// The chunk's last bytes are handed on after its signature is checked.
    fn read_data(&mut self, input: &mut Bytes) -> Result<Bytes, BodyError> {
        let State::Data { left_bytes, verification } = &mut self.state else { return Err(BodyError::Malformed) };
        let taken = input.split_to(usize::try_from(*left_bytes).map_or(input.len(), |left| left.min(input.len())));
        *left_bytes -= taken.len() as u64;
        if let Some(Verification { hash, .. }) = verification {
            hash.update(&taken);
        }
        if *left_bytes == 0 {
            let verification = verification.take();
            self.state = State::DataEnd(b"\r\n");
            verify_chunk(self.signer.as_deref_mut(), verification)?;
        }
        Ok(taken)
    }

    fn finish(mut self) -> Result<BTreeMap<String, String>, BodyError> {
        match self.state {
            State::End(rest) if rest != b"\n" => Ok(BTreeMap::new()),
            State::Trailer => self.trailer.finish(self.signer.as_deref_mut()),
            State::Line | State::Data { .. } | State::DataEnd(_) | State::End(_) => Err(BodyError::Incomplete),
        }
    }
}

fn verify_chunk(signer: Option<&mut ChunkSigner>, verification: Option<Verification>) -> Result<(), BodyError> {
    let (Some(signer), Some(Verification { hash, signature })) = (signer, verification) else { return Ok(()) };
    let mut data_sha256 = [0; 32];
    data_sha256.copy_from_slice(hash.finish().as_ref());
    if signer.verify_chunk(&data_sha256, &signature) { Ok(()) } else { Err(BodyError::SignatureMismatch) }
}

/// Takes the next byte, which must be the next of `rest`.
fn expect(input: &mut Bytes, rest: &mut &'static [u8]) -> Result<(), BodyError> {
    let (expected, others) = rest.split_first().ok_or(BodyError::Malformed)?;
    if input.get_u8() != *expected {
        return Err(BodyError::Malformed);
    }
    *rest = others;
    Ok(())
}

/// The line before a chunk.
struct ChunkLine {
    size_bytes: u64,
    signature: Option<[u8; 32]>,
}

impl ChunkLine {
    fn parse(line: &[u8]) -> Option<Self> {
        let line = std::str::from_utf8(line.strip_suffix(b"\r\n")?).ok()?;
        let (size, extension) = line.split_once(';').map_or((line, None), |(size, extension)| (size, Some(extension)));
        if size.is_empty() || size.len() > 16 || !size.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let size_bytes = u64::from_str_radix(size, 16).ok()?;
        let signature = match extension {
            Some(extension) => Some(parse_signature(extension.strip_prefix("chunk-signature=")?.as_bytes())?),
            None => None,
        };
        Some(Self { size_bytes, signature })
    }
}
