//! Which token, and how to log in.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use strongroom_files::Links;
use strongroom_kms::{KmsError, Secret};

/// Longest CKA_LABEL that tokens are known to take, less the longest key id.
const MAX_PREFIX_LEN: usize = 64;
/// A token's label is a field of 32 bytes. Source: PKCS#11 CK_TOKEN_INFO.
const MAX_TOKEN_LABEL_LEN: usize = 32;
/// The most sessions worth having: each occupies a thread while the token works.
const MAX_SESSIONS: usize = 64;
/// Longest PIN file that is read.
const MAX_PIN_FILE_LEN: u64 = 4096;

/// Where the token is and who we are to it.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The vendor's PKCS#11 library, an absolute path.
    pub module: PathBuf,
    /// The token's label. This or `slot`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_label: Option<String>,
    /// The slot's number, where labels are not unique. Some libraries renumber slots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<u64>,
    /// The user PIN. This or `pin_file`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<Secret>,
    /// A file that holds the user PIN; one line end at its end does not count. Read at each login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin_file: Option<PathBuf>,
    /// Stands before each key id in CKA_LABEL, so that several stores can share a token.
    #[serde(default)]
    pub key_prefix: String,
    /// How many sessions may work at once.
    #[serde(default = "default_max_sessions")]
    pub max_sessions: usize,
}

fn default_max_sessions() -> usize {
    8
}

impl Config {
    /// Whether the fields make sense, each and together.
    pub(crate) fn check(&self) -> Result<(), KmsError> {
        require(self.module.is_absolute(), "module must be the absolute path of a PKCS#11 library")?;
        require(self.token_label.is_some() != self.slot.is_some(), "set token_label or slot, and not both")?;
        let label_fits = |label: &String| !label.is_empty() && label.len() <= MAX_TOKEN_LABEL_LEN;
        require(self.token_label.as_ref().is_none_or(label_fits), "token_label must have 1 to 32 bytes")?;
        require(self.pin.is_some() != self.pin_file.is_some(), "set pin or pin_file, and not both")?;
        require(self.pin.as_ref().is_none_or(|pin| !pin.expose().is_empty()), "pin must not be empty")?;
        let is_plain = |byte: u8| byte.is_ascii_graphic();
        let prefix_fits = self.key_prefix.len() <= MAX_PREFIX_LEN && self.key_prefix.bytes().all(is_plain);
        require(prefix_fits, "key_prefix must have up to 64 visible ASCII characters")?;
        require((1..=MAX_SESSIONS).contains(&self.max_sessions), "max_sessions must be 1 to 64")
    }

    /// The PIN as it is now.
    pub(crate) fn read_pin(&self) -> Result<Secret, KmsError> {
        if let Some(pin) = &self.pin {
            return Ok(pin.clone());
        }
        let Some(path) = &self.pin_file else { return Err(KmsError::Denied("no PIN is configured".to_owned())) };
        // Who configures over HTTP must not learn from the answer what lies there.
        let unreadable = |reason: &dyn std::fmt::Display| {
            tracing::warn!(file = %path.display(), %reason, "the PIN file cannot be used");
            KmsError::Unavailable(format!("pin_file {} cannot be used; the server's log says why", path.display()))
        };
        let text = strongroom_files::read_text(path, Links::Follow, MAX_PIN_FILE_LEN).map_err(|error| unreadable(&error))?;
        let line = text.strip_suffix('\n').unwrap_or(&text);
        let pin = line.strip_suffix('\r').unwrap_or(line);
        if pin.is_empty() { Err(unreadable(&"it is empty")) } else { Ok(Secret::new(pin)) }
    }
}

fn require(holds: bool, rule: &str) -> Result<(), KmsError> {
    if holds { Ok(()) } else { Err(KmsError::InvalidArgument(rule.to_owned())) }
}
