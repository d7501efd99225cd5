//! What the tests share: a store of state, a server of keys, and a keyring over both.

mod memory;
mod state;
mod world;

use strongroom_kms::{DataKey, DataKeySpec, EncryptionContext, KeyService, KmsError};

pub(crate) use self::memory::{Fault, MemoryKms, MemoryServer};
pub(crate) use self::state::MemoryState;
pub(crate) use self::world::{STUCK, World, change, memory};

pub(crate) fn context() -> EncryptionContext {
    EncryptionContext([("bucket".to_owned(), "photos".to_owned())].into())
}

pub(crate) async fn generate(kms: &(impl KeyService + ?Sized), key_id: &str) -> Result<DataKey, KmsError> {
    kms.generate_data_key(key_id, DataKeySpec::Aes256, &context()).await
}

/// The data key opens to its plaintext.
pub(crate) async fn assert_opens(kms: &(impl KeyService + ?Sized), key: &DataKey) {
    assert!(kms.unwrap_data_key(&key.wrapped, &context()).await.unwrap() == key.plaintext);
}

/// For [`strongroom_keyring::Keyring::reap_deleted`].
pub(crate) fn all_may_go(_: String, _: String) -> std::future::Ready<bool> {
    std::future::ready(true)
}

/// The name of the error and its text.
pub(crate) fn failure<T>(answer: Result<T, KmsError>) -> (String, String) {
    let Err(error) = answer else { panic!("it succeeded") };
    let debug = format!("{error:?}");
    let name = debug.split(['(', ' ']).next().unwrap_or_default().to_owned();
    (name, error.to_string())
}
