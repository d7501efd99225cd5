//! The SSE-C trio: checked once, for every operation alike.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use md5::{Digest as _, Md5};
use strongroom_seal::{ExternalKey, ExternalKeys, key_check, verify_key_check};
use zeroize::Zeroizing;

use crate::{Error, api::CustomerKeyHeaders, record::CustomerKeyCheck};

/// A customer's key, whose headers were found right. In memory only; zeroized when dropped.
pub(crate) struct CustomerKey {
    key: Zeroizing<[u8; 32]>,
    md5: String,
}

/// The names of the three headers, for the request's own object and for a copy's source.
pub(crate) struct HeaderNames {
    pub(crate) algorithm: &'static str,
    pub(crate) key: &'static str,
    pub(crate) key_md5: &'static str,
}

const OWN: HeaderNames = HeaderNames {
    algorithm: "x-amz-server-side-encryption-customer-algorithm",
    key: "x-amz-server-side-encryption-customer-key",
    key_md5: "x-amz-server-side-encryption-customer-key-MD5",
};
const COPY_SOURCE: HeaderNames = HeaderNames {
    algorithm: "x-amz-copy-source-server-side-encryption-customer-algorithm",
    key: "x-amz-copy-source-server-side-encryption-customer-key",
    key_md5: "x-amz-copy-source-server-side-encryption-customer-key-MD5",
};

impl CustomerKey {
    /// The key in a request's own headers, if any of them is there. `secure`: the request came over TLS.
    pub(crate) fn from_headers(headers: &CustomerKeyHeaders, secure: bool) -> Result<Option<Self>, Error> {
        Self::parse(headers, secure, &OWN)
    }

    /// The key in the `x-amz-copy-source-…` headers, if any of them is there.
    pub(crate) fn from_copy_source(headers: &CustomerKeyHeaders, secure: bool) -> Result<Option<Self>, Error> {
        Self::parse(headers, secure, &COPY_SOURCE)
    }

    fn parse(headers: &CustomerKeyHeaders, secure: bool, names: &HeaderNames) -> Result<Option<Self>, Error> {
        if !headers.any() {
            return Ok(None);
        }
        if !secure {
            return Err(Error::CustomerKeyInsecure);
        }
        let algorithm = headers.algorithm.as_deref().ok_or(Error::CustomerHeaderMissing(names.algorithm))?;
        if algorithm != "AES256" {
            return Err(Error::CustomerAlgorithmInvalid);
        }
        let encoded = headers.key.as_ref().ok_or(Error::CustomerHeaderMissing(names.key))?;
        let stated = headers.key_md5.as_deref().ok_or(Error::CustomerHeaderMissing(names.key_md5))?;
        let decoded = Zeroizing::new(STANDARD.decode(encoded.as_bytes()).map_err(|_| Error::CustomerKeyInvalid)?);
        let key = Zeroizing::new(<[u8; 32]>::try_from(decoded.as_slice()).map_err(|_| Error::CustomerKeyInvalid)?);
        let md5 = STANDARD.encode(Md5::digest(key.as_slice()));
        if md5 != stated {
            return Err(Error::CustomerKeyMd5Mismatch);
        }
        Ok(Some(Self { key, md5 }))
    }

    /// Base64 of the MD5 of the key, for the response header.
    pub(crate) fn md5(&self) -> &str {
        &self.md5
    }

    pub(crate) fn external_keys(&self) -> ExternalKeys {
        ExternalKeys::single(ExternalKey::from_bytes(*self.key))
    }

    /// A fresh check value to store with the object.
    pub(crate) fn new_check(&self) -> CustomerKeyCheck {
        let salt = strongroom_seal::random_array::<16>();
        CustomerKeyCheck { salt: hex::encode(salt), check: hex::encode(key_check(&salt, &self.key)) }
    }

    /// Whether this is the key that the check value was made of.
    pub(crate) fn matches(&self, check: &CustomerKeyCheck) -> bool {
        let mut salt = [0; 16];
        let mut expected = [0; 32];
        hex::decode_to_slice(&check.salt, &mut salt).is_ok()
            && hex::decode_to_slice(&check.check, &mut expected).is_ok()
            && verify_key_check(&salt, &self.key, &expected)
    }
}
