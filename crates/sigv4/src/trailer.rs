//! The trailer of a body in chunks: lines of `name:value` behind the last chunk, and their signature.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Buf as _, Bytes};

use crate::{
    error::BodyError,
    key::{parse_signature, sha256},
    payload::ChunkSigner,
};

/// The longest trailer, its framing included.
const MAX_TRAILER_BYTES: usize = 16 << 10;
const SIGNATURE: &str = "x-amz-trailer-signature";

/// Reads a trailer. Lines end in a line feed, with or without a carriage return: clients send both.
pub(crate) struct Trailer {
    announced: BTreeSet<String>,
    found: BTreeMap<String, String>,
    line: Vec<u8>,
    received_bytes: usize,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Of lines.
    Lines,
    /// An empty line came; clients of MinIO send one before the signature.
    SignatureOnly,
    /// Only empty lines may come.
    Ended,
}

impl Trailer {
    pub(crate) fn new(announced: BTreeSet<String>) -> Self {
        Self { announced, found: BTreeMap::new(), line: Vec::new(), received_bytes: 0, state: State::Lines }
    }

    /// Takes all of the input. What comes behind the last chunk is the trailer, up to the end of the body.
    pub(crate) fn read(&mut self, input: &mut Bytes, signer: Option<&mut ChunkSigner>) -> Result<(), BodyError> {
        let mut signer = signer;
        for byte in input.iter() {
            self.received_bytes += 1;
            if self.state == State::Ended && !matches!(byte, b'\r' | b'\n') {
                return Err(BodyError::Malformed);
            }
            if self.received_bytes > MAX_TRAILER_BYTES {
                return Err(BodyError::TrailerMalformed);
            }
            if *byte == b'\n' {
                let line = std::mem::take(&mut self.line);
                self.take_line(line.strip_suffix(b"\r").unwrap_or(&line), signer.as_deref_mut())?;
            } else {
                self.line.push(*byte);
            }
        }
        input.advance(input.len());
        Ok(())
    }

    fn take_line(&mut self, line: &[u8], signer: Option<&mut ChunkSigner>) -> Result<(), BodyError> {
        if line.is_empty() {
            self.state = match (self.state, signer) {
                (State::Lines | State::SignatureOnly, Some(_)) => State::SignatureOnly,
                _ => State::Ended,
            };
            return Ok(());
        }
        let (name, value) = parse_line(line).ok_or(BodyError::TrailerMalformed)?;
        match (self.state, signer) {
            (State::Lines | State::SignatureOnly, Some(signer)) if name == SIGNATURE => self.verify(&value, signer),
            (State::Lines, _) if self.announced.contains(&name) && !self.found.contains_key(&name) => {
                self.found.insert(name, value);
                Ok(())
            }
            (State::Lines | State::SignatureOnly, _) => Err(BodyError::TrailerMalformed),
            (State::Ended, _) => Err(BodyError::Malformed),
        }
    }

    /// The signature covers the lines sorted by name.
    fn verify(&mut self, signature: &str, signer: &mut ChunkSigner) -> Result<(), BodyError> {
        let lines = self.found.iter().fold(String::new(), |lines, (name, value)| lines + name + ":" + value + "\n");
        let signature = parse_signature(signature.as_bytes()).ok_or(BodyError::SignatureMismatch)?;
        if !signer.verify_trailer(&sha256(lines.as_bytes()), &signature) {
            return Err(BodyError::SignatureMismatch);
        }
        self.state = State::Ended;
        Ok(())
    }

    /// The end of the body. Amazon's example has no line feed behind the signature, so that line alone may lack it.
    pub(crate) fn finish(mut self, mut signer: Option<&mut ChunkSigner>) -> Result<BTreeMap<String, String>, BodyError> {
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() && line != b"\r" {
            if signer.is_none() || !line.starts_with(SIGNATURE.as_bytes()) {
                return Err(BodyError::Incomplete);
            }
            self.take_line(&line, signer.as_deref_mut())?;
        }
        if let Some(missing) = self.announced.iter().find(|name| !self.found.contains_key(*name)) {
            return Err(BodyError::TrailerMissing(missing.clone()));
        }
        if signer.is_some() && self.state != State::Ended {
            return Err(BodyError::Incomplete);
        }
        Ok(self.found)
    }
}

/// Name in lower case, value trimmed.
fn parse_line(line: &[u8]) -> Option<(String, String)> {
    let text = std::str::from_utf8(line).ok()?;
    let (name, value) = text.split_once(':')?;
    let value = value.trim_matches([' ', '\t']);
    let is_clean = !value.chars().any(char::is_control);
    is_clean.then(|| (name.to_ascii_lowercase(), value.to_owned()))
}
