//! Wrapping and unwrapping on the server.

use async_trait::async_trait;
use strongroom_kms::{DataKey, DataKeySpec, EncryptionContext, KeyService, KmsError, WrappedKey};
use zeroize::Zeroizing;

use crate::KmipKms;
use crate::fault::Fault;
use crate::keys::KeyName;
use crate::operations::State;
use crate::wrap::{Wrapper, fill_random};

#[async_trait]
impl KeyService for KmipKms {
    fn backend(&self) -> &str {
        &self.name
    }

    async fn check_usable(&self, key_id: &str) -> Result<String, KmsError> {
        let key = self.key(key_id)?;
        self.current(&key).await.map_err(Fault::into_answer)?;
        Ok(key.id)
    }

    async fn generate_data_key(&self, key_id: &str, spec: DataKeySpec, context: &EncryptionContext) -> Result<DataKey, KmsError> {
        let key = self.key(key_id)?;
        let mut plaintext = Zeroizing::new(vec![0; spec.len_bytes()]);
        fill_random(&mut plaintext)?;
        let wrapped = self.wrap(&key, context, &plaintext).await.map_err(Fault::into_answer)?;
        Ok(DataKey { plaintext, wrapped })
    }

    async fn unwrap_data_key(&self, wrapped: &WrappedKey, context: &EncryptionContext) -> Result<Zeroizing<Vec<u8>>, KmsError> {
        if wrapped.backend != self.name {
            return Err(KmsError::Rejected);
        }
        let key = self.key(&wrapped.key_id)?;
        self.unwrap(&key, wrapped, context).await.map_err(Fault::into_answer)
    }

    async fn rewrap_data_key(&self, wrapped: &WrappedKey, context: &EncryptionContext) -> Result<WrappedKey, KmsError> {
        let plaintext = self.unwrap_data_key(wrapped, context).await?;
        self.wrap(&self.key(&wrapped.key_id)?, context, &plaintext).await.map_err(Fault::into_answer)
    }
}

/// What an object is good for after the server refused its use.
enum Found {
    Usable,
    NeverActivated,
    Gone,
}

impl KmipKms {
    /// Under the newest version that was ever activated: one that was revoked since is not passed over.
    async fn wrap(&self, key: &KeyName, context: &EncryptionContext, plaintext: &[u8]) -> Result<WrappedKey, Fault> {
        let uids = self.keys.uids(key).await?;
        let mut refusal = KmsError::KeyNotFound(key.id.clone());
        for (key_version, uid) in uids.into_iter().rev() {
            let fault = match self.wrapper(key, &uid, key_version, context).wrap(plaintext).await {
                Ok(ciphertext) => return Ok(WrappedKey { backend: self.name.clone(), key_id: key.id.clone(), key_version, ciphertext }),
                Err(fault) => fault,
            };
            match self.after_refusal(key, &uid, &fault).await? {
                Found::Usable => return Err(fault),
                Found::NeverActivated => refusal = KmsError::KeyDisabled(key.id.clone()),
                Found::Gone => return Err(KmsError::Unavailable(format!("the key {} was changed meanwhile", key.id)).into()),
            }
        }
        Err(refusal.into())
    }

    async fn unwrap(&self, key: &KeyName, wrapped: &WrappedKey, context: &EncryptionContext) -> Result<Zeroizing<Vec<u8>>, Fault> {
        // Twice, because an object that is remembered may have been replaced by another of its name.
        for _attempt in 0..2 {
            let Some(uid) = self.keys.uid_of(key, wrapped.key_version).await? else { return Err(self.no_version(key).await) };
            let version = self.wrapper(key, &uid, wrapped.key_version, context);
            let fault = match version.unwrap(&wrapped.ciphertext).await {
                Ok(data_key) => return Ok(data_key),
                Err(fault @ Fault::Answer(_)) => return Err(fault),
                Err(fault) => fault,
            };
            match self.after_refusal(key, &uid, &fault).await? {
                Found::Gone => {}
                Found::NeverActivated => return Err(KmsError::KeyDisabled(key.id.clone()).into()),
                Found::Usable if fault.is_denied() => return Err(fault),
                // Servers have no common word for a tag that is wrong.
                Found::Usable if version.works().await => return Err(KmsError::Rejected.into()),
                Found::Usable => return Err(fault),
            }
        }
        Err(self.no_version(key).await)
    }

    /// The newest version that was ever activated, which must be usable.
    async fn current(&self, key: &KeyName) -> Result<u32, Fault> {
        let versions = self.keys.versions(key).await?;
        let Some((_, newest)) = versions.last_key_value() else { return Err(KmsError::KeyNotFound(key.id.clone()).into()) };
        let was_activated = |state: State| state != State::PreActive;
        let current = versions.iter().rev().find(|(_, version)| was_activated(version.state));
        match current.map_or((0, newest.state), |(number, version)| (*number, version.state)) {
            (number, State::Active) => Ok(number),
            (_, State::Destroyed) => Err(KmsError::KeyErased(key.id.clone()).into()),
            (_, State::PreActive | State::Revoked) => Err(KmsError::KeyDisabled(key.id.clone()).into()),
        }
    }

    /// Looks at the object whose use was refused.
    async fn after_refusal(&self, key: &KeyName, uid: &str, fault: &Fault) -> Result<Found, Fault> {
        if matches!(fault, Fault::Answer(_)) {
            return Ok(Found::Usable);
        }
        match self.keys.state(uid).await? {
            None => Ok(Found::Gone),
            Some(State::Active) => Ok(Found::Usable),
            Some(State::PreActive) => Ok(Found::NeverActivated),
            Some(State::Revoked) => Err(KmsError::KeyDisabled(key.id.clone()).into()),
            Some(State::Destroyed) => Err(KmsError::KeyErased(key.id.clone()).into()),
        }
    }

    /// Of a key that exists, a version that never was belongs to an altered record.
    async fn no_version(&self, key: &KeyName) -> Fault {
        match self.keys.uids(key).await {
            Ok(uids) if uids.is_empty() => KmsError::KeyNotFound(key.id.clone()).into(),
            Ok(_) => KmsError::Rejected.into(),
            Err(fault) => fault,
        }
    }

    fn wrapper<'a>(&'a self, key: &'a KeyName, uid: &'a str, key_version: u32, context: &'a EncryptionContext) -> Wrapper<'a> {
        Wrapper {
            client: &self.keys.client,
            uid,
            key_id: &key.id,
            key_version,
            context,
            budget: &self.budget,
            binds_context: &self.binds_context,
        }
    }
}
