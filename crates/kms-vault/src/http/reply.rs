//! What the server answered.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use strongroom_kms::KmsError;
use zeroize::Zeroizing;

/// How much of the server's own words goes into an error, in characters.
const MAX_WORDS: usize = 200;

/// Longest word of them.
const MAX_WORD_LEN: usize = 15;

/// A reply, not yet looked into.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Zeroizing<Vec<u8>>,
}

/// What a reply to a call with a good token means.
pub(crate) enum Answer {
    /// Done. Empty if there is nothing to tell.
    Done(Zeroizing<Vec<u8>>),
    /// There is nothing at the path. The key/value engine tells in the body of a deleted secret when it was deleted.
    Missing(Zeroizing<Vec<u8>>),
    /// The server will not do it; its words.
    Refused(String),
}

impl Reply {
    /// Sorts out what says that the server cannot serve now, or not at this address.
    pub(super) fn checked(self, server: &str, path: &str) -> Result<Self, KmsError> {
        let reason = match self.status {
            200..=299 | 400 | 403 => return Ok(self),
            404 if self.words().is_empty() => return Ok(self),
            300..=399 => "redirects to another node: give the address of the active one".to_owned(),
            // Nothing is mounted there, or there is no such namespace.
            404 => format!("has nothing at {path}: check the mount and the namespace ({})", self.words()),
            429 => format!("limits the rate of requests, or is a standby: {}", self.words()),
            501 => "is not initialised".to_owned(),
            503 => format!("is sealed or in maintenance: {}", self.words()),
            status => format!("answers with status {status}: {}", self.words()),
        };
        Err(KmsError::Unavailable(format!("Vault at {server} {reason}")))
    }

    pub(crate) fn into_answer(self) -> Answer {
        match self.status {
            200..=299 => Answer::Done(self.body),
            404 => Answer::Missing(self.body),
            _ => Answer::Refused(self.words()),
        }
    }

    /// The server's own words, cut and on one line. What is no plain word is left out: a server, or a proxy before it, may repeat what it was
    /// sent, credentials included.
    pub(crate) fn words(&self) -> String {
        #[derive(Deserialize)]
        struct Errors {
            #[serde(default)]
            errors: Vec<String>,
        }
        let Ok(Errors { errors }) = serde_json::from_slice(&self.body) else { return String::new() };
        let words: Vec<_> = errors.iter().flat_map(|error| error.split_whitespace()).map(plain_word).collect();
        words.join(" ").chars().take(MAX_WORDS).collect()
    }
}

/// A word of prose, or an ellipsis in its place. Tokens, secret ids and keys have digits in them, or are longer.
fn plain_word(word: &str) -> &str {
    let bare = word.trim_matches(|c: char| c.is_ascii_punctuation());
    if bare.len() <= MAX_WORD_LEN && bare.bytes().all(|byte| byte.is_ascii_alphabetic()) { word } else { "…" }
}

impl Answer {
    /// The `data` of an answer, nothing if there is nothing at the path.
    pub(crate) fn found<T: DeserializeOwned>(self, call: &str) -> Result<Option<T>, KmsError> {
        match self {
            Self::Done(body) => data(&body, call).map(Some),
            Self::Missing(_) => Ok(None),
            Self::Refused(words) => Err(KmsError::Unavailable(format!("Vault refused {call}: {words}"))),
        }
    }

    /// The `data` of an answer that there must be.
    pub(crate) fn data<T: DeserializeOwned>(self, call: &str) -> Result<T, KmsError> {
        self.found(call)?.ok_or_else(|| KmsError::Unavailable(format!("Vault has nothing at {call}")))
    }

    /// That it is done.
    pub(crate) fn done(self, call: &str) -> Result<(), KmsError> {
        match self {
            Self::Done(_) => Ok(()),
            Self::Missing(_) => Err(KmsError::Unavailable(format!("Vault has nothing at {call}"))),
            Self::Refused(words) => Err(KmsError::Unavailable(format!("Vault refused {call}: {words}"))),
        }
    }
}

/// The `data` of a body. An error does not quote it: it may hold a key.
pub(crate) fn data<T: DeserializeOwned>(body: &[u8], call: &str) -> Result<T, KmsError> {
    #[derive(Deserialize)]
    struct Envelope<T> {
        data: T,
    }
    let envelope: Envelope<T> = serde_json::from_slice(body).map_err(|_| unexpected(call))?;
    Ok(envelope.data)
}

/// The server speaks, but not as Vault does.
pub(crate) fn unexpected(call: &str) -> KmsError {
    KmsError::Unavailable(format!("what Vault answered to {call} is not what this call answers; is this a Vault server?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_repeats_a_credential_is_not_repeated() {
        let errors = r#"{"errors": ["1 error occurred:\n\t* permission denied\n", "X-Vault-Token: hvs.CAESIJx2K role f3b1c2d4-aaaa-bbbb abcdefghijklmnopqrstuvwxyz"]}"#;
        let reply = Reply { status: 403, body: Zeroizing::new(errors.as_bytes().to_vec()) };
        assert_eq!(reply.words(), "… error occurred: * permission denied … … role … …");
    }
}
