//! The end of a process that uses a token.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{config, context, create, open, with_token};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use strongroom_kms::{DataKeySpec, KeyService, KmsError};
use strongroom_kms_pkcs11::end_libraries;
use strongroom_testbed::softhsm::MODULE;

const PATIENCE: Duration = Duration::from_mins(1);

#[test]
fn a_library_ends_under_load_when_its_calls_have_and_takes_no_other() {
    with_token!(async |softhsm| {
        let _ = softhsm;
        let kms = Arc::new(open(config()));
        create(&*kms, "a").await;
        let begun = Arc::new(tokio::sync::Barrier::new(9));
        let call_until_refused = |kms: Arc<strongroom_kms_pkcs11::Pkcs11Kms>, begun: Arc<tokio::sync::Barrier>| async move {
            kms.generate_data_key("a", DataKeySpec::Aes256, &context()).await.expect("the first call succeeds");
            begun.wait().await;
            loop {
                if let Err(error) = kms.generate_data_key("a", DataKeySpec::Aes256, &context()).await {
                    return error;
                }
            }
        };
        let callers: Vec<_> = (0..8).map(|_| tokio::spawn(call_until_refused(Arc::clone(&kms), Arc::clone(&begun)))).collect();
        begun.wait().await;
        // One more backend that logs out at the same time, as at a stop.
        drop(open(config()));
        assert!(tokio::task::spawn_blocking(|| end_libraries(PATIENCE)).await.unwrap());
        for caller in callers {
            let refused = caller.await.unwrap();
            assert!(matches!(&refused, KmsError::Unavailable(text) if text.ends_with("the server stops")), "{refused}");
        }
        let library = Pkcs11::new(MODULE).unwrap();
        library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).expect("C_Finalize was called");
        assert!(tokio::task::spawn_blocking(|| end_libraries(PATIENCE)).await.unwrap(), "there is nothing left to end");
        library.get_library_info().expect("and it was not called again");
    });
}

#[test]
fn a_process_without_a_library_ends_at_once() {
    assert!(end_libraries(Duration::ZERO));
}
