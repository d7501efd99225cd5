//! Which payloads are the 32 bytes of a key.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use strongroom_kms::KmsError;
use zeroize::Zeroizing;

/// Length of a key in bytes.
pub(crate) const KEY_LEN: usize = 32;

/// With padding or without, the unused last bits zero.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent));

/// The key in the payload of a secret. The length decides the form, so that no payload has two readings:
///
/// - 32 bytes are the key;
/// - 64 hexadecimal digits, or 43 or 44 characters of base64, stand for it.
///
/// The content type has no say: the `openstack` command calls every text `application/octet-stream`.
pub(crate) fn decode(secret_id: &str, payload: &[u8]) -> Result<Zeroizing<Vec<u8>>, KmsError> {
    decode_form(payload).filter(|key| key.len() == KEY_LEN).ok_or_else(|| {
        let rule = "a key is 32 bytes, or 64 hexadecimal digits, or base64 of 32 bytes";
        KmsError::Broken(format!("the payload of the secret {secret_id} ({} bytes) is no key: {rule}", payload.len()))
    })
}

fn decode_form(payload: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    // Of the right size at once: growing would leave copies behind.
    let mut key = Zeroizing::new(vec![0; KEY_LEN]);
    match payload.len() {
        KEY_LEN => key.copy_from_slice(payload),
        64 => hex::decode_to_slice(payload, &mut key).ok()?,
        43 | 44 => {
            let len = BASE64.decode_slice(payload, &mut key).ok()?;
            key.truncate(len);
        }
        _ => return None,
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const KEY: [u8; 32] = *b"\xfb\xff\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f";

    #[test]
    fn each_form_of_a_key_is_read() {
        let hex = "fbff02030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
        let base64 = "+/8CAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
        assert_eq!(*decode("s", &KEY).unwrap(), KEY);
        assert_eq!(*decode("s", hex.as_bytes()).unwrap(), KEY);
        assert_eq!(*decode("s", hex.to_uppercase().as_bytes()).unwrap(), KEY);
        assert_eq!(*decode("s", base64.as_bytes()).unwrap(), KEY);
        assert_eq!(*decode("s", base64.trim_end_matches('=').as_bytes()).unwrap(), KEY);
    }

    #[test]
    fn thirty_two_characters_are_the_key_even_if_they_are_hexadecimal_digits() {
        let text = b"000102030405060708090a0b0c0d0e0f";
        assert_eq!(*decode("s", text).unwrap(), *text);
    }

    #[test]
    fn everything_else_is_refused_without_being_quoted() {
        let hex_of_33 = "00".repeat(33);
        for payload in [
            &b""[..],
            &KEY[..31],
            hex_of_33.as_bytes(),
            b"0g000000000000000000000000000000000000000000000000000000000000ff",
            b"+/8CAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg==",
            b"-_8CAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
            b"+/8CAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9=",
            b"+/8CAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
        ] {
            let Err(KmsError::Broken(text)) = decode("the-id", payload) else { panic!("{payload:?}") };
            assert!(text.starts_with(&format!("the payload of the secret the-id ({} bytes) is no key", payload.len())), "{text}");
            assert!(!text.contains("CAwQFBgc") && !text.contains("00000"), "{text}");
        }
    }
}
