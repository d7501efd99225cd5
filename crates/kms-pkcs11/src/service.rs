//! Wrapping and unwrapping on the token.

use std::sync::Arc;

use async_trait::async_trait;
use cryptoki::session::Session;
use strongroom_kms::{DataKey, DataKeySpec, EncryptionContext, IvBudget, KeyService, KmsError, WrappedKey};
use zeroize::Zeroizing;

use crate::Pkcs11Kms;
use crate::fault::Fault;
use crate::objects::{self, KeyName};
use crate::token::Access;
use crate::wrap::{Wrapper, fill_random};

#[async_trait]
impl KeyService for Pkcs11Kms {
    fn backend(&self) -> &str {
        &self.name
    }

    async fn check_usable(&self, key_id: &str) -> Result<String, KmsError> {
        let key = self.key(key_id)?;
        self.token.run(Access::Use, move |session| objects::versions(session, &key).map(|_| key.id)).await
    }

    async fn generate_data_key(&self, key_id: &str, spec: DataKeySpec, context: &EncryptionContext) -> Result<DataKey, KmsError> {
        let (job, len) = (self.job(key_id, context)?, spec.len_bytes());
        self.token
            .run(Access::Use, move |session| {
                let mut plaintext = Zeroizing::new(vec![0; len]);
                fill_random(&mut plaintext)?;
                let wrapped = job.wrap(session, &plaintext)?;
                Ok(DataKey { plaintext, wrapped })
            })
            .await
    }

    async fn unwrap_data_key(&self, wrapped: &WrappedKey, context: &EncryptionContext) -> Result<Zeroizing<Vec<u8>>, KmsError> {
        let (job, wrapped) = (self.job_on(wrapped, context)?, wrapped.clone());
        self.token.run(Access::Use, move |session| job.unwrap(session, &wrapped)).await
    }

    async fn rewrap_data_key(&self, wrapped: &WrappedKey, context: &EncryptionContext) -> Result<WrappedKey, KmsError> {
        let (job, wrapped) = (self.job_on(wrapped, context)?, wrapped.clone());
        self.token
            .run(Access::Use, move |session| {
                let plaintext = job.unwrap(session, &wrapped)?;
                job.wrap(session, &plaintext)
            })
            .await
    }
}

/// What work in a session needs to know.
struct Job {
    backend: String,
    key: KeyName,
    context: EncryptionContext,
    budget: Arc<IvBudget>,
}

impl Pkcs11Kms {
    fn job(&self, key_id: &str, context: &EncryptionContext) -> Result<Job, KmsError> {
        Ok(Job { backend: self.name.clone(), key: self.key(key_id)?, context: context.clone(), budget: Arc::clone(&self.budget) })
    }

    fn job_on(&self, wrapped: &WrappedKey, context: &EncryptionContext) -> Result<Job, KmsError> {
        if wrapped.backend != self.name {
            return Err(KmsError::Rejected);
        }
        self.job(&wrapped.key_id, context)
    }
}

impl Job {
    /// Under the present version of the key.
    fn wrap(&self, session: &Session, plaintext: &[u8]) -> Result<WrappedKey, Fault> {
        let versions = objects::versions(session, &self.key)?;
        let (key_version, key) = objects::current(&versions).ok_or_else(|| KmsError::KeyNotFound(self.key.id.clone()))?;
        let wrapper = Wrapper { session, key, key_id: &self.key.id, key_version, context: &self.context };
        let ciphertext = wrapper.wrap(&self.budget, plaintext)?;
        Ok(WrappedKey { backend: self.backend.clone(), key_id: self.key.id.clone(), key_version, ciphertext })
    }

    fn unwrap(&self, session: &Session, wrapped: &WrappedKey) -> Result<Zeroizing<Vec<u8>>, Fault> {
        let versions = objects::versions(session, &self.key)?;
        // A version that never was belongs to an altered record.
        let key = *versions.get(&wrapped.key_version).ok_or(KmsError::Rejected)?;
        let key_version = wrapped.key_version;
        Wrapper { session, key, key_id: &self.key.id, key_version, context: &self.context }.unwrap(&wrapped.ciphertext)
    }
}
