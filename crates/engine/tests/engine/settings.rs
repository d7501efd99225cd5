//! Documents of key management under the store key, and what happens when nothing is configured.

use strongroom_engine::SealedSettings;
use strongroom_kms::{KmsError, LocalConfig, LocalKms, MAX_STATE_LEN, MasterKeySource, StateStore as _};
use zeroize::Zeroizing;

use crate::common::*;

#[tokio::test]
async fn a_document_is_kept_sealed_and_changed_only_over_what_was_read() {
    for rig in [Rig::new().await, Rig::sqlite().await] {
        let settings = &rig.settings;
        assert_eq!(settings.load("kms-service").await.unwrap(), None);
        settings.save("kms-service", None, b"token s.0123").await.unwrap();
        assert!(matches!(settings.save("kms-service", None, b"other").await, Err(KmsError::Conflict(_))));
        assert!(matches!(settings.save("kms-service", Some(b"stale"), b"other").await, Err(KmsError::Conflict(_))));
        assert!(matches!(settings.save("no-such", Some(b""), b"other").await, Err(KmsError::Conflict(_))));
        let present = settings.load("kms-service").await.unwrap().unwrap();
        assert_eq!(present.as_slice(), b"token s.0123");
        let sealed = rig.catalog.setting("state/kms-service").await.unwrap().unwrap();
        assert!(!sealed.windows(6).any(|window| window == b"s.0123"), "nothing of it lies plain");
        settings.save("kms-service", Some(&present), b"").await.unwrap();
        assert_eq!(settings.load("kms-service").await.unwrap().unwrap().as_slice(), b"");
        let long = vec![0; MAX_STATE_LEN + 1];
        assert!(matches!(settings.save("kms-service", Some(b""), &long).await, Err(KmsError::InvalidArgument(_))));
        settings.save("kms-service", Some(b""), &long[1..]).await.unwrap();
    }
}

#[tokio::test]
async fn a_document_that_was_altered_or_moved_is_refused() {
    let rig = Rig::sqlite().await;
    rig.settings.save("one", None, b"first").await.unwrap();
    rig.settings.save("two", None, b"second").await.unwrap();
    let swap = "UPDATE settings SET value = (SELECT value FROM settings WHERE name = 'state/one') WHERE name = 'state/two'";
    assert_eq!(rig.rows().execute(swap, []).unwrap(), 1);
    assert!(matches!(rig.settings.load("two").await, Err(KmsError::Broken(_))));
    assert!(matches!(rig.settings.save("two", Some(b"first"), b"third").await, Err(KmsError::Broken(_))));
    assert_eq!(rig.settings.load("one").await.unwrap().unwrap().as_slice(), b"first");
    rig.rows().execute("UPDATE settings SET value = zeroblob(80) WHERE name = 'state/one'", []).unwrap();
    assert!(matches!(rig.settings.load("one").await, Err(KmsError::Broken(_))));
}

#[tokio::test]
async fn documents_outlive_the_process_and_are_there_before_the_engine() {
    let rig = Rig::sqlite().await;
    rig.settings.save("kms-service", None, b"document").await.unwrap();
    let home = rig.into_home();
    let catalog =
        strongroom_catalog::SqliteCatalog::open(&home.dir.path().join("catalog.db"), strongroom_catalog::SqliteOptions::default()).unwrap();
    let master = MasterKeySource::Value(Zeroizing::new([7; 32]));
    let local = LocalKms::open(LocalConfig { key_dir: home.dir.path().join("keys"), master }).await.unwrap();
    let settings = SealedSettings::open(std::sync::Arc::new(catalog), std::sync::Arc::new(local)).await.unwrap();
    assert_eq!(settings.load("kms-service").await.unwrap().unwrap().as_slice(), b"document");
}

#[tokio::test]
async fn objects_are_encrypted_by_default_only_while_a_kms_is_configured() {
    let options = strongroom_engine::EngineOptions { encrypt_by_default: true, ..Plan::default().options };
    let rig = Rig::with(Plan { options, with_kms: false, ..Plan::default() }).await;
    rig.put("before", As::Store, b"data").await;
    rig.source.is_configured.store(true, std::sync::atomic::Ordering::SeqCst);
    rig.put("after", As::Store, b"data").await;
    assert_eq!(rig.head("before", As::Store).await.unwrap().info.sse.mode, As::Store.mode());
    assert_eq!(rig.head("after", As::Store).await.unwrap().info.sse.mode, As::S3.mode());
    *rig.source.default_key_id.lock().unwrap() = KEY.into();
    rig.put("other", As::Store, b"data").await;
    assert_eq!(rig.head("other", As::Store).await.unwrap().info.sse.kms_key_id.as_deref(), Some(KEY));
    assert_eq!(rig.usage(KEY).await, [(1, (1, 0))].into());
    assert_eq!(rig.usage("default").await, [(1, (1, 0))].into());
}
