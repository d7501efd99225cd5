//! The suite that every backend must pass unchanged. It panics with the sentence that does not hold.
//!
//! Call [`run_all`] from a test. Each case gets a fresh backend from the factory; what the backend cannot do
//! must answer [`KmsError::Unsupported`], and the cases that need it are left out.
#![allow(clippy::missing_panics_doc, reason = "panicking is how a test suite reports")]

mod data_keys;
mod lifecycle;
mod states;

use std::any::Any;
use std::sync::Arc;

use crate::{Capabilities, DataKey, DataKeySpec, EncryptionContext, KeyLifecycle, KeyService, KmsError, NewKey};

/// A backend with two keys that can be used.
pub struct Backend {
    /// Use of the keys.
    pub service: Arc<dyn KeyService>,
    /// Life of the keys, if the backend has a hand in it.
    pub lifecycle: Option<Arc<dyn KeyLifecycle>>,
    /// Two different usable keys, by their canonical ids. The suite may disable, rotate and delete them.
    pub key_ids: [String; 2],
    /// Kept until the case ends: a temporary directory, a server.
    pub keep: Box<dyn Any>,
}

/// Runs every case, each on a backend of its own.
pub async fn run_all(factory: impl AsyncFn() -> Backend) {
    run(&factory, Ids::AreNames).await;
}

/// As [`run_all`], for a backend that chooses the ids of new keys itself, whatever name was asked for.
pub async fn run_all_choosing_ids(factory: impl AsyncFn() -> Backend) {
    run(&factory, Ids::AreChosen).await;
}

/// Where the id of a new key comes from.
#[derive(Clone, Copy, PartialEq)]
enum Ids {
    AreNames,
    AreChosen,
}

async fn run(factory: &impl AsyncFn() -> Backend, ids: Ids) {
    data_keys::run(factory).await;
    lifecycle::run(factory, ids).await;
    states::run(factory).await;
}

impl Backend {
    /// The lifecycle, if the backend has one that `can` do what a case needs.
    fn with(&self, can: impl Fn(Capabilities) -> bool) -> Option<Arc<dyn KeyLifecycle>> {
        self.lifecycle.clone().filter(|lifecycle| can(lifecycle.capabilities()))
    }

    /// A data key of the first key.
    async fn data_key(&self) -> DataKey {
        self.generate(&self.key_ids[0]).await.expect("a usable key generates data keys")
    }

    async fn generate(&self, key_id: &str) -> Result<DataKey, KmsError> {
        self.service.generate_data_key(key_id, DataKeySpec::Aes256, &context()).await
    }

    /// The data key still opens to the same plaintext.
    async fn assert_opens(&self, data_key: &DataKey) {
        let opened = self.service.unwrap_data_key(&data_key.wrapped, &context()).await;
        let opened = opened.unwrap_or_else(|error| panic!("a wrapped data key opens while its key can be used, not: {error}"));
        assert!(opened == data_key.plaintext, "a wrapped data key opens to the plaintext it was generated with");
    }

    /// Every use of the data key's master key answers `expected`.
    async fn assert_refused(&self, data_key: &DataKey, expected: &'static str) {
        let key_id = &data_key.wrapped.key_id;
        let context = context();
        assert_error(self.service.check_usable(key_id).await, expected, "check_usable");
        assert_error(self.generate(key_id).await, expected, "generate_data_key");
        assert_error(self.service.unwrap_data_key(&data_key.wrapped, &context).await, expected, "unwrap_data_key");
        assert_error(self.service.rewrap_data_key(&data_key.wrapped, &context).await, expected, "rewrap_data_key");
    }
}

/// A context as the engine makes them.
fn context() -> EncryptionContext {
    EncryptionContext([("bucket".to_owned(), "photos".to_owned()), ("object".to_owned(), "a/ü.jpg".to_owned())].into())
}

fn new_key(name: &str) -> NewKey {
    NewKey { name: Some(name.to_owned()), description: format!("conformance {name}"), tags: [("team".to_owned(), "a".to_owned())].into() }
}

/// The call failed in the expected situation, given by the variant's name.
fn assert_error<T>(result: Result<T, KmsError>, expected: &str, call: &str) {
    match result {
        Ok(_) => panic!("{call} must answer {expected}, but it succeeded"),
        Err(error) => assert_eq!(situation(&error), expected, "{call} answered: {error}"),
    }
}

/// The variant's name.
fn situation(error: &KmsError) -> &'static str {
    match error {
        KmsError::KeyNotFound(_) => "KeyNotFound",
        KmsError::KeyErased(_) => "KeyErased",
        KmsError::KeyDisabled(_) => "KeyDisabled",
        KmsError::KeyPendingDeletion(_) => "KeyPendingDeletion",
        KmsError::KeySealed(_) => "KeySealed",
        KmsError::ServiceSealed => "ServiceSealed",
        KmsError::KeyExists(_) => "KeyExists",
        KmsError::InvalidArgument(_) => "InvalidArgument",
        KmsError::Conflict(_) => "Conflict",
        KmsError::NotConfigured => "NotConfigured",
        KmsError::Rejected => "Rejected",
        KmsError::Denied(_) => "Denied",
        KmsError::Unavailable(_) => "Unavailable",
        KmsError::Unsupported { .. } => "Unsupported",
        KmsError::Broken(_) => "Broken",
    }
}
