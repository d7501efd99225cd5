//! A token of SoftHSM and the backend over it.

use strongroom_kms::{EncryptionContext, Kms, NewKey, Secret};
use strongroom_kms_pkcs11::{Config, Pkcs11Kms};
use strongroom_testbed::softhsm::MODULE;

pub(crate) const LABEL: &str = "strongroom";
pub(crate) const PIN: &str = "271828";

pub(crate) fn config() -> Config {
    Config {
        module: MODULE.into(),
        token_label: Some(LABEL.to_owned()),
        slot: None,
        pin: Some(Secret::new(PIN)),
        pin_file: None,
        key_prefix: String::new(),
        max_sessions: 4,
    }
}

pub(crate) fn open(config: Config) -> Pkcs11Kms {
    Pkcs11Kms::new("pkcs11", config).unwrap()
}

/// Runs a test over a token in a process of its own; see [`in_own_process`](strongroom_testbed::softhsm::in_own_process).
macro_rules! with_token {
    (async |$softhsm:ident| $test:block) => {
        strongroom_testbed::softhsm::in_own_process(|$softhsm| {
            $softhsm.add_token(common::LABEL, common::PIN);
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(async $test);
        })
    };
}
pub(crate) use with_token;

pub(crate) fn context() -> EncryptionContext {
    EncryptionContext([("bucket".to_owned(), "photos".to_owned())].into())
}

pub(crate) async fn create(kms: &dyn Kms, key_id: &str) {
    kms.create_key(NewKey { name: Some(key_id.to_owned()), ..NewKey::default() }).await.unwrap();
}
