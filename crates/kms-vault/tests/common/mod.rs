//! The shared server, configurations for it, and a lifecycle with parts masked.
#![allow(dead_code, reason = "each test file uses its part")]

pub(crate) mod kubernetes;
pub(crate) mod masked;
pub(crate) mod proxy;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use serde_json::{Value, json};
use strongroom_kms::{DataKey, DataKeySpec, EncryptionContext, KeyLifecycle, KeyService, KmsError, NewKey};
use strongroom_kms_vault::Config;
use strongroom_testbed::openbao::OpenBao;

/// What the store needs to use keys with Transit; `docs/kms/vault.md` has the same.
pub(crate) const TRANSIT_USE_POLICY: &str = r#"
path "transit/encrypt/+" { capabilities = ["update"] }
path "transit/decrypt/+" { capabilities = ["update"] }
path "transit/keys/+" { capabilities = ["read"] }
"#;

/// One server for the tests that run at the same time; it ends with the last of them.
pub(crate) fn server() -> Arc<OpenBao> {
    static SHARED: Mutex<Weak<OpenBao>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let server = Arc::new(OpenBao::start());
        *shared = Arc::downgrade(&server);
        server
    })
}

/// A name that no other case has.
pub(crate) fn fresh(prefix: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    format!("{prefix}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The server over TLS with the root token, and with `fields` instead of the usual ones.
pub(crate) fn config(server: &OpenBao, fields: Value) -> Config {
    let mut all = json!({
        "address": server.https_address(),
        "ca_file": server.file("ca.pem"),
        "auth_method": { "token": server.root_token() },
    });
    let Value::Object(fields) = fields else { panic!("fields are an object") };
    for (name, value) in fields {
        all[name] = value;
    }
    serde_json::from_value(all).unwrap()
}

pub(crate) fn context() -> EncryptionContext {
    EncryptionContext([("bucket".to_owned(), "photos".to_owned())].into())
}

pub(crate) fn new_key(name: &str) -> NewKey {
    NewKey { name: Some(name.to_owned()), ..NewKey::default() }
}

/// A key of a new name, made by `kms`.
pub(crate) async fn made(kms: &impl KeyLifecycle) -> String {
    kms.create_key(new_key(&fresh("key"))).await.unwrap().key_id
}

pub(crate) async fn data_key(kms: &impl KeyService, key_id: &str) -> Result<DataKey, KmsError> {
    kms.generate_data_key(key_id, DataKeySpec::Aes256, &context()).await
}

pub(crate) async fn assert_opens(kms: &impl KeyService, data_key: &DataKey) {
    assert_eq!(*kms.unwrap_data_key(&data_key.wrapped, &context()).await.unwrap(), *data_key.plaintext);
}

/// The situation of the error and its text.
#[macro_export]
macro_rules! assert_error {
    ($result:expr, $pattern:pat, $part:expr) => {
        match $result {
            Ok(_) => panic!("it succeeded"),
            Err(error) => {
                let text = error.to_string();
                assert!(matches!(error, $pattern), "{text}");
                assert!(text.contains($part), "{text}");
            }
        }
    };
}

/// Waits until `holds`, which is asked again and again.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waited = async {
        while !holds() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_mins(1), waited).await.unwrap_or_else(|_| panic!("never: {what}"));
}
