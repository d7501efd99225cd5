//! A token in its compact form: three parts of base64url, between dots.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{Claims, algorithm::Algorithm, json, key::KeySet};
use crate::TokenError;

/// The longest token that is looked at. Source: the parameter `WebIdentityToken` in the API reference of STS.
pub const MAX_TOKEN_BYTES: usize = 20_000;
const MAX_KEY_ID_BYTES: usize = 256;

/// A token of which nothing is verified yet.
pub struct Token<'a> {
    header: Header,
    claims: Claims,
    signed: &'a str,
    signature: Vec<u8>,
}

/// What a token says of its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) algorithm: Algorithm,
    pub(crate) key_id: Option<String>,
}

impl<'a> Token<'a> {
    /// Takes a token apart. What nobody should believe, whoever signed it, is refused here.
    pub fn read(token: &'a str) -> Result<Self, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::Malformed("it is too long"));
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed("it has no three parts"))?;
        let (header, payload) = signed.split_once('.').ok_or(TokenError::Malformed("it has no three parts"))?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed("a part is no base64url"));
        let header = header_of(&decode(header)?)?;
        let claims = json::object(&decode(payload)?).ok_or(TokenError::Malformed("its claims are no JSON object of distinct names"))?;
        Ok(Self { header, claims: Claims::new(claims), signed, signature: decode(signature)? })
    }

    /// The provider that it says it is of. Anybody can write that.
    pub fn issuer(&self) -> Result<&str, TokenError> {
        self.claims.issuer()
    }

    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    /// What it says, if one of these keys signed it.
    pub(crate) fn verify(self, keys: &KeySet) -> Result<Claims, TokenError> {
        let mut fitting = keys.fitting(&self.header).peekable();
        if fitting.peek().is_none() {
            return Err(TokenError::UnknownKey);
        }
        if fitting.any(|key| key.verifies(self.header.algorithm, self.signed.as_bytes(), &self.signature)) {
            Ok(self.claims)
        } else {
            Err(TokenError::BadSignature)
        }
    }
}

/// Keys and addresses of keys in it (`jwk`, `jku`, `x5c`, `x5u`) are its sender's word, and never looked at.
fn header_of(bytes: &[u8]) -> Result<Header, TokenError> {
    let header = json::object(bytes).ok_or(TokenError::Malformed("its header is no JSON object of distinct names"))?;
    if header.contains_key("crit") {
        return Err(TokenError::Critical);
    }
    let algorithm = header.get("alg").and_then(|name| name.as_str()).and_then(Algorithm::parse).ok_or(TokenError::Algorithm)?;
    let key_id = match header.get("kid") {
        None => None,
        Some(id) => Some(
            id.as_str().filter(|id| id.len() <= MAX_KEY_ID_BYTES).ok_or(TokenError::Malformed("its key id is no short text"))?.to_owned(),
        ),
    };
    Ok(Header { algorithm, key_id })
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
