//! The servers, and backends that use them.

use std::sync::OnceLock;

use strongroom_kms::KeyLifecycle;
use strongroom_kms::{DataKey, DataKeySpec, EncryptionContext, KeyMetadata, KeyService, KmsError, NewKey, Secret, random_key_id};
use strongroom_kms_barbican::{AuthMethod, BarbicanConfig, BarbicanKms};
use strongroom_testbed::barbican::{Barbican, User};

/// Barbican with Keystone.
pub(crate) fn server() -> &'static Barbican {
    static SERVER: OnceLock<Barbican> = OnceLock::new();
    SERVER.get_or_init(Barbican::start_with_keystone)
}

/// Barbican without Keystone.
pub(crate) fn standalone() -> &'static Barbican {
    static SERVER: OnceLock<Barbican> = OnceLock::new();
    SERVER.get_or_init(Barbican::start)
}

/// Keystone's address.
pub(crate) fn keystone_url() -> &'static str {
    &server().keystone.as_ref().unwrap().url
}

/// A configuration that says nothing yet.
pub(crate) fn empty_config() -> BarbicanConfig {
    serde_json::from_str("{}").unwrap()
}

/// As a user of Keystone; Barbican is found in the catalog.
pub(crate) fn password_config(user: User) -> BarbicanConfig {
    BarbicanConfig {
        auth_url: Some(keystone_url().to_owned()),
        username: Some(user.name.to_owned()),
        password: Some(Secret::new(user.password)),
        project_name: Some(user.project.to_owned()),
        ..empty_config()
    }
}

/// Without Keystone, in a project that nobody else uses.
pub(crate) fn own_project() -> BarbicanConfig {
    BarbicanConfig {
        auth_method: AuthMethod::None,
        endpoint: Some(standalone().url.clone()),
        project_id: Some(random_key_id().unwrap()),
        ..empty_config()
    }
}

pub(crate) fn open(config: BarbicanConfig) -> BarbicanKms {
    BarbicanKms::new(config).unwrap()
}

pub(crate) fn context() -> EncryptionContext {
    EncryptionContext([("bucket".to_owned(), "photos".to_owned())].into())
}

pub(crate) async fn new_key(kms: &BarbicanKms) -> String {
    kms.create_key(NewKey::default()).await.unwrap().key_id
}

pub(crate) async fn generate(kms: &BarbicanKms, key_id: &str) -> Result<DataKey, KmsError> {
    kms.generate_data_key(key_id, DataKeySpec::Aes256, &context()).await
}

pub(crate) async fn assert_opens(kms: &BarbicanKms, data_key: &DataKey) {
    let opened = kms.unwrap_data_key(&data_key.wrapped, &context()).await.unwrap();
    assert!(opened == data_key.plaintext);
}

pub(crate) fn versions(key: &KeyMetadata) -> Vec<u32> {
    key.versions.iter().map(|version| version.version).collect()
}

/// The text of [`KmsError::Unavailable`].
#[track_caller]
pub(crate) fn unavailable<T>(answer: Result<T, KmsError>) -> String {
    match answer {
        Err(KmsError::Unavailable(text)) => text,
        Err(other) => panic!("not Unavailable: {other}"),
        Ok(_) => panic!("succeeded"),
    }
}

/// The text of [`KmsError::Denied`].
#[track_caller]
pub(crate) fn denied<T>(answer: Result<T, KmsError>) -> String {
    match answer {
        Err(KmsError::Denied(text)) => text,
        Err(other) => panic!("not Denied: {other}"),
        Ok(_) => panic!("succeeded"),
    }
}

/// The text of [`KmsError::Broken`].
#[track_caller]
pub(crate) fn broken<T>(answer: Result<T, KmsError>) -> String {
    match answer {
        Err(KmsError::Broken(text)) => text,
        Err(other) => panic!("not Broken: {other}"),
        Ok(_) => panic!("succeeded"),
    }
}
