//! Data keys for programs beside the store: made and opened as with AWS KMS `GenerateDataKey` and `Decrypt`.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use strongroom_access::Action;
use strongroom_kms::{DataKeySpec, EncryptionContext, KmsError, Secret, WrappedKey, is_reserved, resolve_key_id};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use crate::http::{About, ApiError, Call, Json, Subject};

/// The first bytes of every blob, the last of them its format.
const MAGIC: &[u8] = b"SRDK\x01";

/// Which key to make a data key under.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GenerateDataKey {
    /// The key's id, or an ARN that ends in it.
    key_id: String,
    /// The length; 32 bytes if it is left out.
    #[serde(default)]
    key_spec: KeySpec,
    /// What the data key is bound to: `decrypt` needs the same pairs.
    #[serde(default)]
    encryption_context: Option<BTreeMap<String, String>>,
}

/// How long a data key is.
#[derive(Clone, Copy, Default, Deserialize, ToSchema)]
enum KeySpec {
    /// 32 bytes.
    #[default]
    #[serde(rename = "AES_256", alias = "Aes256")]
    Aes256,
}

/// A data key, in the clear and wrapped.
#[derive(Serialize, ToSchema)]
pub(crate) struct DataKeyAnswer {
    key_id: String,
    /// Base64. Never store it.
    #[schema(value_type = String, format = Password)]
    plaintext_key: Secret,
    /// Base64. Store it beside what the key encrypts.
    ciphertext_blob: String,
}

/// A wrapped data key, to be opened.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Decrypt {
    /// What `generate-data-key` answered.
    #[schema(value_type = String)]
    ciphertext_blob: Blob,
    /// The pairs it was made with.
    #[serde(default)]
    encryption_context: Option<BTreeMap<String, String>>,
    /// The key that it must be of; the blob itself says which it is.
    #[serde(default)]
    key_id: Option<String>,
}

/// A data key in the clear.
#[derive(Serialize, ToSchema)]
pub(crate) struct DecryptAnswer {
    key_id: String,
    /// Base64. Never store it.
    #[schema(value_type = String, format = Password)]
    plaintext_key: Secret,
}

impl Subject for GenerateDataKey {
    fn key_id(&self) -> Option<&str> {
        Some(&self.key_id)
    }

    fn about(&self) -> About {
        let encryption_context = self.encryption_context.clone().unwrap_or_default();
        About { key_id: Some(self.key_id.clone()), encryption_context, ..About::default() }
    }
}

impl Subject for Decrypt {
    fn key_id(&self) -> Option<&str> {
        Some(&self.ciphertext_blob.0.key_id)
    }

    fn about(&self) -> About {
        let WrappedKey { backend, key_id, .. } = &self.ciphertext_blob.0;
        let encryption_context = self.encryption_context.clone().unwrap_or_default();
        About { key_id: Some(key_id.clone()), backend: Some(backend.clone()), encryption_context, ..About::default() }
    }
}

pub(crate) async fn generate_data_key(call: Call, Json(request): Json<GenerateDataKey>) -> Result<DataKeyAnswer, ApiError> {
    call.require_secure()?;
    let KeySpec::Aes256 = request.key_spec;
    refuse_reserved(&request.key_id)?;
    let (_, kms) = call.kms()?;
    let context = EncryptionContext(request.encryption_context.unwrap_or_default());
    let key_id = call.key_id(&request.key_id)?;
    let key = kms.generate_data_key(key_id, DataKeySpec::Aes256, &context).await?;
    if key.wrapped.key_id != key_id {
        // The backend knows the key by another id too, whose rules count.
        let about = About { key_id: Some(key.wrapped.key_id.clone()), encryption_context: context.0.clone(), ..About::default() };
        call.permit(&[Action::GenerateDataKey], &about).await?;
    }
    call.about_key(&key.wrapped.key_id, key.wrapped.key_version);
    let ciphertext_blob = STANDARD.encode(pack(&key.wrapped)?);
    Ok(DataKeyAnswer { plaintext_key: encoded(&key.plaintext), ciphertext_blob, key_id: key.wrapped.key_id })
}

pub(crate) async fn decrypt(call: Call, Json(request): Json<Decrypt>) -> Result<DecryptAnswer, ApiError> {
    call.require_secure()?;
    let Blob(wrapped) = request.ciphertext_blob;
    refuse_reserved(&wrapped.key_id)?;
    if let Some(expected) = &request.key_id
        && resolve_key_id(expected)? != wrapped.key_id
    {
        return Err(ApiError::invalid(format!("ciphertext_blob is of the key {}, and of no other", wrapped.key_id)));
    }
    let call = call.on_backend(&wrapped.backend);
    let (_, kms) = call.kms()?;
    call.about_key(&wrapped.key_id, wrapped.key_version);
    let context = EncryptionContext(request.encryption_context.unwrap_or_default());
    let plaintext = kms.unwrap_data_key(&wrapped, &context).await?;
    Ok(DecryptAnswer { plaintext_key: encoded(&plaintext), key_id: wrapped.key_id })
}

/// The store's own keys wrap what no client may see.
fn refuse_reserved(key_id: &str) -> Result<(), ApiError> {
    if is_reserved(key_id) { Err(KmsError::KeyNotFound(key_id.to_owned()).into()) } else { Ok(()) }
}

fn encoded(plaintext: &[u8]) -> Secret {
    let mut text = String::with_capacity(base64::encoded_len(plaintext.len(), true).unwrap_or_default());
    STANDARD.encode_string(plaintext, &mut text);
    Secret::new(text)
}

/// A wrapped data key that says of itself which backend, key and version wrapped it.
struct Blob(WrappedKey);

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let malformed = || serde::de::Error::custom("ciphertext_blob: expected what generate-data-key answered");
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        let bytes = STANDARD.decode(text.as_bytes()).map_err(|_| malformed())?;
        unpack(&bytes).map(Blob).ok_or_else(malformed)
    }
}

/// Magic, backend and key id each behind a byte of length, the version big-endian, the backend's ciphertext.
fn pack(wrapped: &WrappedKey) -> Result<Vec<u8>, ApiError> {
    let mut bytes = MAGIC.to_vec();
    for text in [&wrapped.backend, &wrapped.key_id] {
        bytes.push(u8::try_from(text.len()).map_err(|error| ApiError::internal(&error))?);
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes.extend_from_slice(&wrapped.key_version.to_be_bytes());
    bytes.extend_from_slice(&wrapped.ciphertext);
    Ok(bytes)
}

fn unpack(bytes: &[u8]) -> Option<WrappedKey> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let (backend, rest) = text(rest)?;
    let (key_id, rest) = text(rest)?;
    let (version, ciphertext) = rest.split_first_chunk::<4>()?;
    let is_whole = !ciphertext.is_empty() && resolve_key_id(&key_id).is_ok_and(|id| id == key_id);
    is_whole.then(|| WrappedKey { backend, key_id, key_version: u32::from_be_bytes(*version), ciphertext: ciphertext.to_vec() })
}

fn text(bytes: &[u8]) -> Option<(String, &[u8])> {
    let (len, rest) = bytes.split_first()?;
    let (text, rest) = rest.split_at_checked(usize::from(*len))?;
    Some((std::str::from_utf8(text).ok()?.to_owned(), rest))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn wrapped() -> WrappedKey {
        WrappedKey { backend: "vault-2".to_owned(), key_id: "k_1".to_owned(), key_version: 7, ciphertext: vec![1, 2, 3] }
    }

    #[test]
    fn a_blob_has_the_documented_layout() {
        assert_eq!(pack(&wrapped()).unwrap(), b"SRDK\x01\x07vault-2\x03k_1\x00\x00\x00\x07\x01\x02\x03");
    }

    #[test]
    fn a_blob_reads_back_whole_or_not_at_all() {
        let bytes = pack(&wrapped()).unwrap();
        assert_eq!(unpack(&bytes), Some(wrapped()));
        let header = bytes.len() - wrapped().ciphertext.len();
        for len in 0..=header {
            assert_eq!(unpack(&bytes[..len]), None, "{len}");
        }
        let mut other_format = bytes.clone();
        other_format[4] = 2;
        assert_eq!(unpack(&other_format), None);
        let path = WrappedKey { key_id: "../k".to_owned(), ..wrapped() };
        assert_eq!(unpack(&pack(&path).unwrap()), None);
    }
}
