//! The bytes of a data key wrapped on a token, format 1. Specified in `docs/kms/pkcs11.md`.

use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use cryptoki::types::Ulong;
use strongroom_kms::{Binding, DataKeySpec, EncryptionContext, IvBudget, KmsError};
use zeroize::Zeroizing;

use crate::fault::Fault;

const DOMAIN: &[u8] = b"strongroom/kms/pkcs11/data-key/v1";
const FORMAT: u8 = 1;
const IV_LEN: usize = 12;
const TAG_LEN: usize = 16;
const TAG_BITS: Ulong = Ulong::new(128);
/// Format, key version, IV.
const HEADER_LEN: usize = 1 + 4 + IV_LEN;

/// A version of a key on the token, and what a data key under it is bound to.
pub(crate) struct Wrapper<'a> {
    pub(crate) session: &'a Session,
    pub(crate) key: ObjectHandle,
    pub(crate) key_id: &'a str,
    pub(crate) key_version: u32,
    pub(crate) context: &'a EncryptionContext,
}

impl Wrapper<'_> {
    /// Has the token encrypt a data key.
    pub(crate) fn wrap(&self, budget: &IvBudget, data_key: &[u8]) -> Result<Vec<u8>, Fault> {
        budget.spend(self.key_id, self.key_version)?;
        let mut iv = random_iv()?;
        let ciphertext = self.encrypt(&mut iv, &self.aad(data_key.len())?, data_key)?;
        if ciphertext.len() != data_key.len() + TAG_LEN {
            let text =
                format!("the token's AES-GCM made {} bytes of {}: it is of a kind that is not supported", ciphertext.len(), data_key.len());
            return Err(KmsError::Broken(text).into());
        }
        Ok([&[FORMAT], &self.key_version.to_be_bytes()[..], &iv, &ciphertext].concat())
    }

    /// Has the token decrypt it again; [`KmsError::Rejected`] if anything differs from when it was wrapped.
    pub(crate) fn unwrap(&self, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, Fault> {
        let (header, ciphertext) = wrapped.split_at_checked(HEADER_LEN).ok_or(KmsError::Rejected)?;
        let len = ciphertext.len().checked_sub(TAG_LEN).filter(|len| is_spec_len(*len)).ok_or(KmsError::Rejected)?;
        let (format, iv) = header.split_at(HEADER_LEN - IV_LEN);
        if format != [&[FORMAT], &self.key_version.to_be_bytes()[..]].concat() {
            return Err(KmsError::Rejected.into());
        }
        let mut iv: [u8; IV_LEN] = iv.try_into().map_err(|_| KmsError::Rejected)?;
        match self.decrypt(&mut iv, &self.aad(len)?, ciphertext) {
            Ok(data_key) if data_key.len() == len => Ok(data_key),
            Ok(_) => Err(KmsError::Rejected.into()),
            Err(fault) if fault.is_bad_ciphertext() => Err(KmsError::Rejected.into()),
            Err(fault) if fault.may_be_bad_ciphertext() && self.works() => Err(KmsError::Rejected.into()),
            Err(fault) => Err(fault),
        }
    }

    /// Whether the token opens with this key what it sealed with it just now, so that the fault is the ciphertext's and not the token's.
    fn works(&self) -> bool {
        let probe = || {
            let (mut iv, aad) = (random_iv()?, b"strongroom/kms/pkcs11/probe".as_slice());
            let sealed = self.encrypt(&mut iv, aad, &[0; 32])?;
            self.decrypt(&mut iv, aad, &sealed)
        };
        probe().is_ok_and(|opened: Zeroizing<Vec<u8>>| opened.as_slice() == [0; 32])
    }

    /// A token that insists on its own IV writes it over the one it is given.
    fn encrypt(&self, iv: &mut [u8; IV_LEN], aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, Fault> {
        let mechanism = Mechanism::AesGcm(GcmParams::new(iv, aad, TAG_BITS)?);
        Ok(self.session.encrypt(&mechanism, self.key, plaintext)?)
    }

    fn decrypt(&self, iv: &mut [u8; IV_LEN], aad: &[u8], ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, Fault> {
        let mechanism = Mechanism::AesGcm(GcmParams::new(iv, aad, TAG_BITS)?);
        Ok(Zeroizing::new(self.session.decrypt(&mechanism, self.key, ciphertext)?))
    }

    fn aad(&self, data_key_len: usize) -> Result<Vec<u8>, KmsError> {
        let Self { session: _, key: _, key_id, key_version, context } = *self;
        Binding { domain: DOMAIN, key_id, key_version, context }.aad(data_key_len)
    }
}

fn is_spec_len(len: usize) -> bool {
    [DataKeySpec::Aes256, DataKeySpec::TwoAes256].iter().any(|spec| spec.len_bytes() == len)
}

fn random_iv() -> Result<[u8; IV_LEN], KmsError> {
    let mut iv = [0; IV_LEN];
    fill_random(&mut iv)?;
    Ok(iv)
}

/// Fills a buffer from the system's generator.
pub(crate) fn fill_random(buffer: &mut [u8]) -> Result<(), KmsError> {
    aws_lc_rs::rand::fill(buffer).map_err(|_| KmsError::Broken("the system's random number generator failed".to_owned()))
}
