//! A signer of the tests' own, and the whole way of a request through the crate.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::format_collect, clippy::format_push_string, clippy::unwrap_used)]

use std::collections::BTreeMap;

use aws_lc_rs::{digest, hmac};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use strongroom_sigv4::{BodyDecoder, BodyError, Claim, Head, Lengths, Rules, SignatureError, Verified, announced_trailers};
use time::{OffsetDateTime, macros::format_description};

pub const ACCESS_KEY: &str = "AKIAIOSFODNN7EXAMPLE";
pub const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    NotHttp,
    Unsigned,
    UnknownKey,
    Head(SignatureError),
    Body(BodyError),
}

impl Refused {
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotHttp => "NotHttp",
            Self::Unsigned => "AccessDenied",
            Self::UnknownKey => "InvalidAccessKeyId",
            Self::Head(error) => error.code(),
            Self::Body(error) => error.code(),
        }
    }
}

pub type Accepted = (Vec<u8>, BTreeMap<String, String>);

impl Request {
    pub fn new(method: &str, target: &str) -> Self {
        Self { method: method.to_owned(), target: target.to_owned(), headers: Vec::new(), body: Vec::new() }
    }

    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        self
    }

    /// The first header of a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(other, _)| other == name)?;
        std::str::from_utf8(value).ok()
    }

    pub fn set(&mut self, name: &str, value: impl AsRef<[u8]>) {
        self.headers.retain(|(other, _)| other != name);
        self.headers.push((name.to_owned(), value.as_ref().to_vec()));
    }

    pub fn parts(&self) -> Option<(Method, Uri, HeaderMap)> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            headers.append(HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_bytes(value).ok()?);
        }
        Some((Method::from_bytes(self.method.as_bytes()).ok()?, self.target.parse().ok()?, headers))
    }

    pub fn verify_head(&self, rules: &Rules, secret: &str, now: OffsetDateTime) -> Result<Verified, Refused> {
        let (method, uri, headers) = self.parts().ok_or(Refused::NotHttp)?;
        let head = Head { method: &method, uri: &uri, headers: &headers };
        let claim = Claim::read(&head).map_err(Refused::Head)?.ok_or(Refused::Unsigned)?;
        claim.check(&head, now, rules).map_err(Refused::Head)?;
        if ![ACCESS_KEY, "AKIDEXAMPLE"].contains(&claim.access_key()) {
            return Err(Refused::UnknownKey);
        }
        let verified = if claim.needs_body() {
            claim.verify_with_body(&head, secret, now, rules, &self.body)
        } else {
            claim.verify(&head, secret, now, rules)
        };
        verified.map_err(Refused::Head)
    }

    /// Head and body, the body in pieces of these lengths, the last one repeated.
    pub fn accept(&self, now: OffsetDateTime, pieces: &[usize]) -> Result<Accepted, Refused> {
        self.accept_by(&Rules::S3, SECRET, now, pieces)
    }

    pub fn accept_by(&self, rules: &Rules, secret: &str, now: OffsetDateTime, pieces: &[usize]) -> Result<Accepted, Refused> {
        let verified = self.verify_head(rules, secret, now)?;
        let (_, _, headers) = self.parts().ok_or(Refused::NotHttp)?;
        let decoder = Lengths::read(&headers)
            .and_then(|lengths| Ok((lengths, announced_trailers(&headers)?)))
            .and_then(|(lengths, announced)| BodyDecoder::new(verified.into_payload(), lengths, announced));
        decode(decoder.map_err(Refused::Body)?, &self.body, pieces).map_err(Refused::Body)
    }
}

pub fn decode(mut decoder: BodyDecoder, wire: &[u8], pieces: &[usize]) -> Result<Accepted, BodyError> {
    let mut body = Vec::new();
    let mut left = Bytes::copy_from_slice(wire);
    let mut lengths = pieces.iter().chain(std::iter::repeat(pieces.last().unwrap_or(&usize::MAX)));
    while !left.is_empty() {
        let mut piece = left.split_to((*lengths.next().unwrap()).clamp(1, left.len()));
        while let Some(bytes) = decoder.decode(&mut piece)? {
            assert!(!bytes.is_empty());
            body.extend_from_slice(&bytes);
            assert!(body.len() <= wire.len());
        }
        assert!(piece.is_empty());
    }
    Ok((body, decoder.finish()?))
}

pub fn timestamp(at: OffsetDateTime) -> String {
    at.format(format_description!("[year][month][day]T[hour][minute][second]Z")).unwrap()
}

pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, bytes))
}

pub fn encode(text: &[u8], keep_slash: bool) -> String {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) || (keep_slash && byte == b'/');
    text.iter().map(|&byte| if unreserved(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// Path and query as they are sent and signed, of decoded ones.
pub fn target(path: &str, query: &[(&str, &str)]) -> String {
    let pairs: Vec<String> =
        query.iter().map(|(name, value)| format!("{}={}", encode(name.as_bytes(), false), encode(value.as_bytes(), false))).collect();
    let path = encode(path.as_bytes(), true);
    if pairs.is_empty() { path } else { format!("{path}?{}", pairs.join("&")) }
}

fn hmac_sha256(key: &[u8], text: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text).as_ref().to_vec()
}

#[derive(Clone, Debug)]
pub struct Signer {
    pub access_key: String,
    pub secret: String,
    pub region: String,
    pub service: String,
    pub at: OffsetDateTime,
}

impl Signer {
    pub fn s3(at: OffsetDateTime) -> Self {
        let [access_key, secret, region, service] = [ACCESS_KEY, SECRET, "us-east-1", "s3"].map(str::to_owned);
        Self { access_key, secret, region, service, at }
    }

    pub fn scope(&self) -> String {
        format!("{}/{}/{}/aws4_request", &timestamp(self.at)[..8], self.region, self.service)
    }

    pub fn sign(&self, text: &str) -> String {
        let mut key = format!("AWS4{}", self.secret).into_bytes();
        for piece in self.scope().split('/') {
            key = hmac_sha256(&key, piece.as_bytes());
        }
        hex::encode(hmac_sha256(&key, text.as_bytes()))
    }

    fn string_to_sign(&self, canonical: &[u8]) -> String {
        format!("AWS4-HMAC-SHA256\n{}\n{}\n{}", timestamp(self.at), self.scope(), sha256_hex(canonical))
    }

    /// Signs the request as it stands: its target must be canonical but for the order of the query.
    fn signature(&self, request: &Request, signed: &[String], payload: &str) -> String {
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let mut pairs: Vec<(&str, &str)> =
            query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, ""))).collect();
        pairs.sort_unstable();
        let query: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut canonical = format!("{}\n{path}\n{}\n", request.method, query.join("&")).into_bytes();
        for name in signed {
            let values: Vec<Vec<u8>> = request.headers.iter().filter(|(other, _)| other == name).map(|(_, value)| trim(value)).collect();
            canonical.extend_from_slice(format!("{name}:").as_bytes());
            canonical.extend_from_slice(&values.join(&b','));
            canonical.push(b'\n');
        }
        canonical.extend_from_slice(format!("\n{}\n{payload}", signed.join(";")).as_bytes());
        self.sign(&self.string_to_sign(&canonical))
    }

    fn signed_names(request: &Request, except: &[&str]) -> Vec<String> {
        let mut names: Vec<String> =
            request.headers.iter().map(|(name, _)| name.clone()).filter(|name| !except.contains(&name.as_str())).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Adds `x-amz-date`, `x-amz-content-sha256` and `authorization`; all headers but `except` are signed.
    pub fn sign_header(&self, request: &mut Request, payload: &str, except: &[&str]) -> String {
        request.set("x-amz-date", timestamp(self.at));
        if !payload.is_empty() {
            request.set("x-amz-content-sha256", payload);
        }
        let declared = if payload.is_empty() { sha256_hex(&request.body) } else { payload.to_owned() };
        let signed = Self::signed_names(request, &[except, &["content-length", "authorization"]].concat());
        let signature = self.signature(request, &signed, &declared);
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{}, SignedHeaders={}, Signature={signature}",
            self.access_key,
            self.scope(),
            signed.join(";")
        );
        request.set("authorization", authorization);
        signature
    }

    /// Adds the parameters of a presigned URL; all headers but `except` are signed.
    pub fn sign_query(&self, request: &mut Request, expires_seconds: u64, payload: &str, except: &[&str]) {
        let signed = Self::signed_names(request, &[except, &["content-length"]].concat());
        let separator = if request.target.contains('?') { '&' } else { '?' };
        let credential = encode(format!("{}/{}", self.access_key, self.scope()).as_bytes(), false);
        request.target += &format!(
            "{separator}X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={credential}&X-Amz-Date={}&X-Amz-Expires={expires_seconds}&X-Amz-SignedHeaders={}",
            timestamp(self.at),
            signed.join("%3B")
        );
        let signature = self.signature(request, &signed, payload);
        request.target += &format!("&X-Amz-Signature={signature}");
    }

    /// Signs a PUT whose body comes in chunks of these lengths, the last one repeated.
    pub fn sign_chunks(&self, request: &mut Request, data: &[u8], chunks: &[usize], signed: bool, trailers: &[(&str, &str)]) {
        request.set("x-amz-decoded-content-length", data.len().to_string());
        if !trailers.is_empty() {
            request.set("x-amz-trailer", trailers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(","));
        }
        let payload = match (signed, trailers.is_empty()) {
            (true, true) => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
            (true, false) => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
            (false, _) => "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        };
        let seed = self.sign_header(request, payload, &[]);
        request.body = self.frame(&seed, data, chunks, signed, trailers);
        request.set("content-length", request.body.len().to_string());
    }

    pub fn frame(&self, seed: &str, data: &[u8], chunks: &[usize], signed: bool, trailers: &[(&str, &str)]) -> Vec<u8> {
        let mut previous = seed.to_owned();
        let mut next = |label: &str, hashes: &str| {
            previous = self.sign(&format!("{label}\n{}\n{}\n{previous}\n{hashes}", timestamp(self.at), self.scope()));
            previous.clone()
        };
        let mut wire = Vec::new();
        let mut left = data;
        let mut lengths = chunks.iter().chain(std::iter::repeat(chunks.last().unwrap_or(&65536)));
        loop {
            let (chunk, rest) = left.split_at((*lengths.next().unwrap()).max(1).min(left.len()));
            left = rest;
            wire.extend_from_slice(format!("{:x}", chunk.len()).as_bytes());
            if signed {
                let signature = next("AWS4-HMAC-SHA256-PAYLOAD", &format!("{}\n{}", sha256_hex(b""), sha256_hex(chunk)));
                wire.extend_from_slice(format!(";chunk-signature={signature}").as_bytes());
            }
            wire.extend_from_slice(b"\r\n");
            if chunk.is_empty() {
                break;
            }
            wire.extend_from_slice(chunk);
            wire.extend_from_slice(b"\r\n");
        }
        let mut sorted = trailers.to_vec();
        sorted.sort_unstable();
        let canonical: String = sorted.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        for (name, value) in trailers {
            wire.extend_from_slice(format!("{name}:{value}\r\n").as_bytes());
        }
        if signed && !trailers.is_empty() {
            let signature = next("AWS4-HMAC-SHA256-TRAILER", &sha256_hex(canonical.as_bytes()));
            wire.extend_from_slice(format!("x-amz-trailer-signature:{signature}\r\n").as_bytes());
        }
        wire.extend_from_slice(b"\r\n");
        wire
    }
}

fn trim(value: &[u8]) -> Vec<u8> {
    let words = value.split(|byte| b" \t".contains(byte)).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(&b' ')
}
