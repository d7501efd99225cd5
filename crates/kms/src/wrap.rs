//! The bytes of a data key wrapped in this process, format 1. Specified in `docs/kms/local.md`.

use zeroize::Zeroizing;

use crate::crypto::{self, SALT_LEN, Sealed, SecretKey, TAG_LEN};
use crate::{DataKeySpec, EncryptionContext, KmsError};

const FORMAT: u8 = 1;
/// The domain of keys of the local backend.
pub(crate) const LOCAL: &[u8] = b"strongroom/kms/local/data-key/v1";
/// The domain of keys whose material an outside store of secrets keeps.
pub(crate) const MATERIAL: &[u8] = b"strongroom/kms/material/data-key/v1";
/// Format, key version, salt.
const HEADER_LEN: usize = 1 + 4 + SALT_LEN;

/// What a data key is bound to.
pub struct Binding<'a> {
    /// Tells the backends and formats apart, so that none opens what another wrapped.
    pub domain: &'static [u8],
    /// The canonical id of the key.
    pub key_id: &'a str,
    /// Its version, 1 for the first.
    pub key_version: u32,
    /// The caller's context.
    pub context: &'a EncryptionContext,
}

/// Wraps a data key under one version of a key.
pub(crate) fn wrap(material: &SecretKey, binding: &Binding<'_>, data_key: &[u8]) -> Result<Vec<u8>, KmsError> {
    let aad = binding.aad(data_key.len())?;
    let Sealed { salt, ciphertext } = crypto::seal(material, &[binding.domain], &aad, data_key)?;
    Ok([&[FORMAT], &binding.key_version.to_be_bytes()[..], &salt, &ciphertext].concat())
}

/// The version of the key that `wrapped` says it is wrapped under.
pub(crate) fn key_version(wrapped: &[u8]) -> Option<u32> {
    let (&[FORMAT, a, b, c, d], _) = wrapped.split_first_chunk::<5>()? else { return None };
    Some(u32::from_be_bytes([a, b, c, d]))
}

/// The data key, or [`KmsError::Rejected`] if anything differs from when it was wrapped.
pub(crate) fn unwrap(material: &SecretKey, binding: &Binding<'_>, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, KmsError> {
    let (header, ciphertext) = wrapped.split_at_checked(HEADER_LEN).ok_or(KmsError::Rejected)?;
    let len = ciphertext.len().checked_sub(TAG_LEN).filter(|len| is_spec_len(*len)).ok_or(KmsError::Rejected)?;
    if key_version(header) != Some(binding.key_version) {
        return Err(KmsError::Rejected);
    }
    let aad = binding.aad(len)?;
    crypto::open(material, &header[5..], &[binding.domain], &aad, ciphertext).ok_or(KmsError::Rejected)
}

impl Binding<'_> {
    /// The additional authenticated data for a data key of this many bytes: domain, and behind its 32-bit big-endian length the key id,
    /// key version, length of the data key, and the context as [`EncryptionContext::canonical`] has it.
    pub fn aad(&self, data_key_len: usize) -> Result<Vec<u8>, KmsError> {
        let id_len = u32::try_from(self.key_id.len()).map_err(|_| KmsError::Rejected)?;
        let data_key_len = u32::try_from(data_key_len).map_err(|_| KmsError::Rejected)?;
        Ok([
            self.domain,
            &id_len.to_be_bytes(),
            self.key_id.as_bytes(),
            &self.key_version.to_be_bytes(),
            &data_key_len.to_be_bytes(),
            &self.context.canonical(),
        ]
        .concat())
    }
}

fn is_spec_len(len: usize) -> bool {
    [DataKeySpec::Aes256, DataKeySpec::TwoAes256].iter().any(|spec| spec.len_bytes() == len)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const DATA_KEY: [u8; 32] = [0x22; 32];

    #[test]
    fn a_data_key_wrapped_by_another_implementation_opens() {
        // Made with Python's `cryptography`, from docs/kms/local.md alone.
        let material = SecretKey::from_slice(&[0x11; 32]).unwrap();
        let context = EncryptionContext([("bucket".to_owned(), "photos".to_owned())].into());
        let binding = Binding { domain: LOCAL, key_id: "default", key_version: 3, context: &context };
        let wrapped = unhex(PYTHON_VECTOR);
        assert_eq!(unwrap(&material, &binding, &wrapped).unwrap().as_slice(), DATA_KEY);
    }

    const PYTHON_VECTOR: &str = "0100000003000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f53a7d38a045\
        9d95977d0a916d236152fa94f1af3234b8fb3cb3cb70c863f459bd57d63dfc29c2da71c2ec278391cf590";

    #[test]
    fn a_data_key_under_outside_material_wrapped_by_another_implementation_opens() {
        let material = SecretKey::from_slice(&[0x33; 32]).unwrap();
        let pairs = [("object", "a/b"), ("bucket", "photos")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let context = EncryptionContext(pairs.into());
        let binding = Binding { domain: MATERIAL, key_id: "photos-2026", key_version: 2, context: &context };
        let opened = unwrap(&material, &binding, &unhex(PYTHON_MATERIAL_VECTOR)).unwrap();
        assert_eq!(opened.as_slice(), std::array::from_fn::<u8, 64, _>(|at| u8::try_from(at).unwrap()));
        let local = Binding { domain: LOCAL, ..binding };
        assert!(matches!(unwrap(&material, &local, &unhex(PYTHON_MATERIAL_VECTOR)), Err(KmsError::Rejected)));
    }

    const PYTHON_MATERIAL_VECTOR: &str = "0100000002202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f02d1a37e6a7494f5515cce0ed4\
        d40f9493202ecfdea11073142cedba8242f951694aae6473e1b073b893df5a6d53fd516ef404b17c48dd9663650b17693124\
        76490ee5c33116b9706ad124b25fbfa27a";

    #[test]
    fn the_layout_is_format_version_salt_ciphertext_tag() {
        let material = SecretKey::random().unwrap();
        let binding = Binding { domain: LOCAL, key_id: "k", key_version: 0x0102_0304, context: &EncryptionContext::default() };
        let wrapped = wrap(&material, &binding, &DATA_KEY).unwrap();
        assert_eq!(wrapped.len(), 1 + 4 + 32 + 32 + 16);
        assert_eq!(wrapped[..5], [1, 1, 2, 3, 4]);
        assert_eq!(key_version(&wrapped), Some(0x0102_0304));
    }

    #[test]
    fn nothing_a_data_key_is_bound_to_can_be_changed() {
        let material = SecretKey::random().unwrap();
        let none = EncryptionContext::default();
        let context = EncryptionContext([("a".to_owned(), "b".to_owned())].into());
        let binding = Binding { domain: LOCAL, key_id: "k", key_version: 1, context: &none };
        let wrapped = wrap(&material, &binding, &DATA_KEY).unwrap();
        assert!(unwrap(&material, &binding, &wrapped).is_ok());
        for other in [
            Binding { domain: LOCAL, key_id: "l", key_version: 1, context: &none },
            Binding { domain: LOCAL, key_id: "k", key_version: 2, context: &none },
            Binding { domain: LOCAL, key_id: "k", key_version: 1, context: &context },
            Binding { domain: MATERIAL, key_id: "k", key_version: 1, context: &none },
        ] {
            assert!(matches!(unwrap(&material, &other, &wrapped), Err(KmsError::Rejected)));
        }
        for len in 0..wrapped.len() {
            assert!(matches!(unwrap(&material, &binding, &wrapped[..len]), Err(KmsError::Rejected)), "{len}");
        }
        for at in 0..wrapped.len() {
            let mut altered = wrapped.clone();
            altered[at] ^= 0x80;
            assert!(matches!(unwrap(&material, &binding, &altered), Err(KmsError::Rejected)), "{at}");
        }
    }

    fn unhex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }
}
