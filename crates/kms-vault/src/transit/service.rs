//! Wrapping and unwrapping with Transit.

use std::sync::atomic::Ordering;

use async_trait::async_trait;
use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use strongroom_kms::{DataKey, DataKeySpec, EncryptionContext, KeyService, KmsError, Secret, WrappedKey, resolve_key_id};
use zeroize::Zeroizing;

use super::{TransitKms, ciphertext};
use crate::http::{Answer, data, unexpected};

/// A key type that is none. Transit makes an unknown key while encrypting; with this it refuses to. A key that exists is not affected.
const NEVER_CREATE: &str = "existing-keys-only";

#[async_trait]
impl KeyService for TransitKms {
    fn backend(&self) -> &str {
        &self.name
    }

    async fn check_usable(&self, key_id: &str) -> Result<String, KmsError> {
        let key_id = resolve_key_id(key_id)?;
        self.read_key(key_id).await?.check_usable(key_id)?;
        Ok(key_id.to_owned())
    }

    /// The data key is drawn here and encrypted there: `datakey` binds `associated_data` in OpenBao, but not in every Vault.
    async fn generate_data_key(&self, key_id: &str, spec: DataKeySpec, context: &EncryptionContext) -> Result<DataKey, KmsError> {
        let key_id = resolve_key_id(key_id)?;
        let mut plaintext = Zeroizing::new(vec![0; spec.len_bytes()]);
        rand::fill(&mut plaintext).map_err(|_| KmsError::Broken("the random number generator failed".to_owned()))?;
        let wrapped = self.encrypt(key_id, &plaintext, context).await?;
        self.prove_binding(&wrapped, context).await?;
        Ok(DataKey { plaintext, wrapped })
    }

    async fn unwrap_data_key(&self, wrapped: &WrappedKey, context: &EncryptionContext) -> Result<Zeroizing<Vec<u8>>, KmsError> {
        let key_id = self.own_key_id(wrapped)?;
        self.decrypt(key_id, wrapped, &context.canonical()).await
    }

    /// By way of this process: Transit's own `rewrap` knows no `associated_data`.
    async fn rewrap_data_key(&self, wrapped: &WrappedKey, context: &EncryptionContext) -> Result<WrappedKey, KmsError> {
        let key_id = self.own_key_id(wrapped)?;
        let plaintext = self.decrypt(key_id, wrapped, &context.canonical()).await?;
        self.encrypt(key_id, &plaintext, context).await
    }
}

impl TransitKms {
    fn own_key_id<'a>(&self, wrapped: &'a WrappedKey) -> Result<&'a str, KmsError> {
        if wrapped.backend == self.name { resolve_key_id(&wrapped.key_id) } else { Err(KmsError::Rejected) }
    }

    async fn encrypt(&self, key_id: &str, plaintext: &[u8], context: &EncryptionContext) -> Result<WrappedKey, KmsError> {
        #[derive(Serialize)]
        struct Body {
            plaintext: Secret,
            associated_data: String,
            #[serde(rename = "type")]
            kind: &'static str,
        }
        #[derive(Deserialize)]
        struct Encrypted {
            ciphertext: String,
        }
        let plaintext = Secret::new(STANDARD.encode(plaintext));
        let body = Body { plaintext, associated_data: STANDARD.encode(context.canonical()), kind: NEVER_CREATE };
        let call = format!("encrypt/{key_id}");
        let Encrypted { ciphertext } = match self.write(&call, &body).await {
            Ok(Answer::Done(body)) => data(&body, &call)?,
            Ok(Answer::Missing(_)) => return Err(unexpected(&call)),
            Ok(Answer::Refused(words)) => {
                let otherwise = KmsError::Unavailable(format!("Vault refused {call}: {words}"));
                return Err(self.reason(key_id, None, otherwise).await);
            }
            // Encrypting with an unknown key counts as creating it, which a good policy denies.
            Err(KmsError::Denied(text)) => return Err(self.reason(key_id, None, KmsError::Denied(text)).await),
            Err(error) => return Err(error),
        };
        let version = ciphertext::parse(ciphertext.as_bytes()).ok_or_else(|| unexpected(&call))?.version;
        let (backend, key_id) = (self.name.clone(), key_id.to_owned());
        Ok(WrappedKey { backend, key_id, key_version: version, ciphertext: ciphertext.into_bytes() })
    }

    async fn decrypt(&self, key_id: &str, wrapped: &WrappedKey, associated_data: &[u8]) -> Result<Zeroizing<Vec<u8>>, KmsError> {
        #[derive(Serialize)]
        struct Body<'a> {
            ciphertext: &'a str,
            associated_data: String,
        }
        #[derive(Deserialize)]
        struct Decrypted {
            plaintext: Secret,
        }
        let parsed = ciphertext::parse(&wrapped.ciphertext).filter(|parsed| parsed.version == wrapped.key_version);
        let parsed = parsed.ok_or(KmsError::Rejected)?;
        let body = Body { ciphertext: parsed.text, associated_data: STANDARD.encode(associated_data) };
        let call = format!("decrypt/{key_id}");
        let Decrypted { plaintext } = match self.write(&call, &body).await? {
            Answer::Done(body) => data(&body, &call)?,
            Answer::Missing(_) => return Err(unexpected(&call)),
            Answer::Refused(_) => return Err(self.reason(key_id, Some(parsed.version), KmsError::Rejected).await),
        };
        let plaintext = STANDARD.decode(plaintext.expose()).map(Zeroizing::new).map_err(|_| unexpected(&call))?;
        // Something else than a data key was encrypted under this key, by someone else.
        let is_data_key = [DataKeySpec::Aes256, DataKeySpec::TwoAes256].iter().any(|spec| spec.len_bytes() == plaintext.len());
        if is_data_key { Ok(plaintext) } else { Err(KmsError::Rejected) }
    }

    /// Why a call about this key was refused: by the key's state rather than by the server's wording. `otherwise` if the key can be used.
    async fn reason(&self, key_id: &str, version: Option<u32>, otherwise: KmsError) -> KmsError {
        let checked = self.read_key(key_id).await.and_then(|key| {
            key.check_usable(key_id)?;
            version.map_or(Ok(()), |version| key.check_version(key_id, version))
        });
        match (checked, otherwise) {
            (Ok(()), otherwise) => otherwise,
            // The refusal of the call itself says more than that of reading the key.
            (Err(KmsError::Denied(_)), KmsError::Denied(text)) => KmsError::Denied(text),
            (Err(error), _) => error,
        }
    }

    /// Once for each server: what was wrapped with a context must not open with another. A server that is too old to know
    /// `associated_data` passes over it in silence.
    async fn prove_binding(&self, wrapped: &WrappedKey, context: &EncryptionContext) -> Result<(), KmsError> {
        if self.binding_proven.load(Ordering::Relaxed) {
            return Ok(());
        }
        let other = [&context.canonical()[..], b"other"].concat();
        match self.decrypt(&wrapped.key_id, wrapped, &other).await {
            Err(KmsError::Rejected) => {
                self.binding_proven.store(true, Ordering::Relaxed);
                Ok(())
            }
            Ok(_) => Err(KmsError::Broken("this Vault ignores associated_data and cannot bind a data key: upgrade it".to_owned())),
            Err(error) => Err(error),
        }
    }
}
