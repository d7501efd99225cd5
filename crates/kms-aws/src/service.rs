//! Use of keys.

use std::collections::HashMap;

use async_trait::async_trait;
use aws_sdk_kms::primitives::Blob;
use strongroom_kms::{DataKey, DataKeySpec, EncryptionContext, KeyService, KmsError, WrappedKey};
use zeroize::Zeroizing;

use crate::AwsKms;
use crate::fault::{Call, Fault};
use crate::keys::{VERSION, canonical_id, check_state, encrypts, malformed};

/// Longest ciphertext in bytes. Source: AWS KMS `CiphertextBlob`.
const MAX_CIPHERTEXT_LEN: usize = 6144;
/// Longest encryption context in bytes of its JSON. Source: AWS KMS, encryption context.
const MAX_CONTEXT_LEN: usize = 8192;

#[async_trait]
impl KeyService for AwsKms {
    fn backend(&self) -> &str {
        &self.name
    }

    async fn check_usable(&self, key_id: &str) -> Result<String, KmsError> {
        let key = self.description(canonical_id(key_id)?).await?;
        if !encrypts(&key) {
            return Err(KmsError::InvalidArgument(format!("the key {} is no symmetric encryption key", key.key_id)));
        }
        check_state(&key)?;
        Ok(key.key_id)
    }

    async fn generate_data_key(&self, key_id: &str, spec: DataKeySpec, context: &EncryptionContext) -> Result<DataKey, KmsError> {
        let key_id = canonical_id(key_id)?;
        let pairs = pairs(context).map_err(|TooLong| too_long())?;
        let call = Call { action: "kms:GenerateDataKey", key_id };
        let len = if spec == DataKeySpec::Aes256 { 32 } else { 64 };
        let request = |aws: aws_sdk_kms::Client| {
            aws.generate_data_key().key_id(key_id).number_of_bytes(len).set_encryption_context(pairs.clone()).send()
        };
        let answer = match self.connection.send(call, request).await {
            Ok(answer) => answer,
            Err(fault) => return Err(self.error_of(call, fault).await),
        };
        let plaintext = secret(answer.plaintext);
        if plaintext.len() != spec.len_bytes() {
            return Err(malformed("made a data key of another length than asked"));
        }
        Ok(DataKey { plaintext, wrapped: self.wrapped(answer.key_id, answer.ciphertext_blob)? })
    }

    async fn unwrap_data_key(&self, wrapped: &WrappedKey, context: &EncryptionContext) -> Result<Zeroizing<Vec<u8>>, KmsError> {
        let (key_id, pairs) = self.bound(wrapped, context)?;
        let call = Call { action: "kms:Decrypt", key_id };
        let request = |aws: aws_sdk_kms::Client| {
            let ciphertext = Blob::new(wrapped.ciphertext.as_slice());
            aws.decrypt().key_id(key_id).ciphertext_blob(ciphertext).set_encryption_context(pairs.clone()).send()
        };
        match self.connection.send(call, request).await {
            Ok(answer) => Ok(secret(answer.plaintext)),
            Err(fault) => Err(self.unwrap_error(call, fault).await),
        }
    }

    async fn rewrap_data_key(&self, wrapped: &WrappedKey, context: &EncryptionContext) -> Result<WrappedKey, KmsError> {
        let (key_id, pairs) = self.bound(wrapped, context)?;
        let call = Call { action: "kms:ReEncrypt", key_id };
        let request = |aws: aws_sdk_kms::Client| {
            aws.re_encrypt()
                .ciphertext_blob(Blob::new(wrapped.ciphertext.as_slice()))
                .source_key_id(key_id)
                .set_source_encryption_context(pairs.clone())
                .destination_key_id(key_id)
                .set_destination_encryption_context(pairs.clone())
                .send()
        };
        match self.connection.send(call, request).await {
            Ok(answer) => self.wrapped(answer.key_id, answer.ciphertext_blob),
            Err(fault) => Err(self.unwrap_error(call, fault).await),
        }
    }
}

type Pairs = Option<HashMap<String, String>>;

impl AwsKms {
    /// The key and context to open a data key with; what AWS could never have made is rejected here.
    fn bound<'a>(&self, wrapped: &'a WrappedKey, context: &EncryptionContext) -> Result<(&'a str, Pairs), KmsError> {
        let key_id = canonical_id(&wrapped.key_id)?;
        let is_possible = wrapped.backend == self.name && (1..=MAX_CIPHERTEXT_LEN).contains(&wrapped.ciphertext.len());
        match pairs(context) {
            Ok(pairs) if is_possible => Ok((key_id, pairs)),
            _ => Err(KmsError::Rejected),
        }
    }

    /// Arguments that AWS finds malformed cannot be those that the data key was made with.
    async fn unwrap_error(&self, call: Call<'_>, fault: Fault) -> KmsError {
        if matches!(fault, Fault::Invalid(_)) { KmsError::Rejected } else { self.error_of(call, fault).await }
    }

    fn wrapped(&self, key_arn: Option<String>, ciphertext: Option<Blob>) -> Result<WrappedKey, KmsError> {
        let (Some(key_arn), Some(ciphertext)) = (key_arn, ciphertext.map(Blob::into_inner).filter(|bytes| !bytes.is_empty())) else {
            return Err(malformed("wrapped no data key"));
        };
        Ok(WrappedKey { backend: self.name.clone(), key_id: canonical_id(&key_arn)?.to_owned(), key_version: VERSION, ciphertext })
    }
}

/// The context does not fit AWS KMS.
struct TooLong;

/// The context as AWS takes it.
fn pairs(context: &EncryptionContext) -> Result<Pairs, TooLong> {
    let len = serde_json::to_vec(&context.0).map_or(usize::MAX, |json| json.len());
    if len > MAX_CONTEXT_LEN {
        return Err(TooLong);
    }
    let pairs: HashMap<_, _> = context.0.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    Ok(Some(pairs).filter(|pairs| !pairs.is_empty()))
}

fn too_long() -> KmsError {
    KmsError::InvalidArgument(format!("the encryption context has more than the {MAX_CONTEXT_LEN} bytes that AWS KMS takes"))
}

fn secret(plaintext: Option<Blob>) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(plaintext.map(Blob::into_inner).unwrap_or_default())
}
