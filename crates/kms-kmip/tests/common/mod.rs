//! The shared server, and the backend over it.
#![allow(dead_code, reason = "each test file uses its part")]

pub(crate) mod proxy;

use std::sync::{Arc, Mutex, PoisonError, Weak};

use strongroom_kms::{EncryptionContext, KeyLifecycle, NewKey, random_key_id};
use strongroom_kms_kmip::{Config, KmipKms};
use strongroom_testbed::pykmip::PyKmip;

/// One server for the tests that run at the same time; it ends with the last of them.
pub(crate) fn server() -> Arc<PyKmip> {
    static SHARED: Mutex<Weak<PyKmip>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let server = Arc::new(PyKmip::start());
        *shared = Arc::downgrade(&server);
        server
    })
}

/// The server as the client `client`, with a prefix that no other case has.
pub(crate) fn config(server: &PyKmip) -> Config {
    Config {
        address: server.address(),
        ca_file: Some(server.file("ca.pem")),
        client_cert_file: server.file("client.pem"),
        client_key_file: server.file("client.key"),
        server_name: None,
        username: None,
        password: None,
        key_prefix: format!("{}/", random_key_id().unwrap()),
        max_connections: 4,
    }
}

pub(crate) fn open(config: &Config) -> KmipKms {
    KmipKms::new("kmip", config.clone()).unwrap()
}

pub(crate) async fn create(kms: &dyn KeyLifecycle, key_id: &str) {
    kms.create_key(NewKey { name: Some(key_id.to_owned()), ..NewKey::default() }).await.unwrap();
}

pub(crate) fn context() -> EncryptionContext {
    EncryptionContext([("bucket".to_owned(), "photos".to_owned())].into())
}
