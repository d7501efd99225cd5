//! The text form of a Transit ciphertext: `vault:v<version>:<base64>`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A well-formed ciphertext.
#[derive(Clone, Copy)]
pub(super) struct Ciphertext<'a> {
    /// All of it.
    pub(super) text: &'a str,
    /// The version of the key.
    pub(super) version: u32,
}

/// Accepts only the one spelling that the server writes: its own parser overlooks line breaks and stray bits in the base64, and so would
/// take an altered ciphertext for the original.
pub(super) fn parse(bytes: &[u8]) -> Option<Ciphertext<'_>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (version, blob) = text.strip_prefix("vault:v")?.split_once(':')?;
    let number: u32 = version.parse().ok()?;
    let is_plain = number > 0 && number.to_string() == version;
    STANDARD.decode(blob).ok().filter(|blob| is_plain && !blob.is_empty())?;
    Some(Ciphertext { text, version: number })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_servers_own_spelling_is_a_ciphertext() {
        assert_eq!(parse(b"vault:v12:AAE=").map(|of| of.version), Some(12));
        for altered in [
            "",
            "vault:v1",
            "vault:v1:",
            "vault:v0:AAE=",
            "vault:v01:AAE=",
            "vault:v+1:AAE=",
            "vault:v4294967296:AAE=",
            "Vault:v1:AAE=",
            "vault:v1:AAE",
            "vault:v1:AAF=",
            "vault:v1:AA\nE=",
            "vault:v1:AAE=\n",
            " vault:v1:AAE=",
            "vault:v1:AAE=:AAE=",
        ] {
            assert!(parse(altered.as_bytes()).is_none(), "{altered:?}");
        }
        assert!(parse(b"vault:v1:\xffAE=").is_none());
    }
}
