//! A key whose file was not synced can be gone after a power cut, with all that is sealed under it: it is never used.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Home, context, file_names};
use strongroom_files::testing::fail_syncs;
use strongroom_kms::{
    BundleKey, DataKeySpec, KeyLifecycle, KeyMetadata, KeyService, KmsError, LocalKms, MasterKeySource, NewKey, RestoreMode,
};
use zeroize::Zeroizing;

const SPEC: DataKeySpec = DataKeySpec::Aes256;
/// More syncs than any change makes.
const ALL: usize = 1000;

fn named(name: &str) -> NewKey {
    NewKey { name: Some(name.to_owned()), ..NewKey::default() }
}

/// A store with the key `default`.
async fn with_default() -> (Home, LocalKms, KeyMetadata) {
    let home = Home::new();
    let kms = home.open().await;
    let key = kms.ensure_key("default", "").await.unwrap();
    (home, kms, key)
}

fn is_refused<T>(answer: &Result<T, KmsError>) -> bool {
    matches!(answer, Err(KmsError::Unavailable(text)) if text.contains("cannot write the key file"))
}

#[tokio::test]
async fn a_rotation_that_cannot_be_synced_is_refused_and_its_version_never_wraps() {
    for failures in [1, ALL] {
        let (home, kms, before) = with_default().await;
        let data_key = kms.generate_data_key("default", SPEC, &context("a")).await.unwrap();
        fail_syncs(&home.key_dir(), failures);
        assert!(is_refused(&kms.rotate_key("default").await));
        assert_eq!(kms.describe_key("default").await.unwrap(), before);
        assert_eq!(kms.generate_data_key("default", SPEC, &context("a")).await.unwrap().wrapped.key_version, 1);
        assert_eq!(kms.unwrap_data_key(&data_key.wrapped, &context("a")).await.unwrap(), data_key.plaintext);
        fail_syncs(&home.key_dir(), 0);
        assert_eq!(kms.rotate_key("default").await.unwrap().current_version, 2, "after {failures} failures");
    }
}

#[tokio::test]
async fn a_key_that_cannot_be_synced_is_not_made() {
    let (home, kms, _) = with_default().await;
    for failures in [1, ALL] {
        fail_syncs(&home.key_dir(), failures);
        assert!(is_refused(&kms.create_key(named("made")).await));
        assert!(matches!(kms.check_usable("made").await, Err(KmsError::KeyNotFound(_))));
        fail_syncs(&home.key_dir(), 0);
    }
    kms.create_key(named("made")).await.unwrap();
    assert_eq!(kms.check_usable("made").await.unwrap(), "made");
}

#[tokio::test]
async fn an_imported_key_that_cannot_be_synced_is_not_used() {
    let (home, kms, _) = with_default().await;
    let material = || Zeroizing::new(vec![7; 32]);
    fail_syncs(&home.key_dir(), 1);
    assert!(is_refused(&kms.import_key(named("imported"), material()).await));
    assert!(matches!(kms.generate_data_key("imported", SPEC, &context("a")).await, Err(KmsError::KeyNotFound(_))));
    kms.import_key(named("imported"), material()).await.unwrap();
}

#[tokio::test]
async fn a_restored_key_that_cannot_be_synced_is_not_used() {
    let (_elsewhere, other, _) = with_default().await;
    other.create_key(named("restored")).await.unwrap();
    let bundle_key = || BundleKey::Key(Zeroizing::new([3; 32]));
    let bundle = other.backup(bundle_key()).await.unwrap().bundle;

    let home = Home::new();
    let kms = home.open().await;
    fail_syncs(&home.key_dir(), ALL);
    assert!(is_refused(&kms.restore(bundle.clone(), bundle_key(), RestoreMode::Apply).await));
    for key_id in ["default", "restored"] {
        assert!(matches!(kms.check_usable(key_id).await, Err(KmsError::KeyNotFound(_))), "{key_id}");
    }
    fail_syncs(&home.key_dir(), 0);
    assert_eq!(kms.restore(bundle, bundle_key(), RestoreMode::Apply).await.unwrap().added, ["default", "restored"]);
}

#[tokio::test]
async fn an_erasure_that_cannot_be_synced_leaves_the_key_alive() {
    let (home, kms, _) = with_default().await;
    let data_key = kms.generate_data_key("default", SPEC, &context("a")).await.unwrap();
    fail_syncs(&home.key_dir(), 1);
    assert!(is_refused(&kms.delete_now("default", "default").await));
    drop(kms);
    let kms = home.open().await;
    assert_eq!(kms.unwrap_data_key(&data_key.wrapped, &context("a")).await.unwrap(), data_key.plaintext);
}

/// The sync of the directory fails once: the change is refused, and its file gives the name back.
#[tokio::test]
async fn a_refused_change_is_not_there_after_a_restart() {
    let (home, kms, before) = with_default().await;
    fail_syncs(&home.key_dir(), 1);
    assert!(is_refused(&kms.rotate_key("default").await));
    fail_syncs(&home.key_dir(), 1);
    assert!(is_refused(&kms.create_key(named("never-made")).await));
    drop(kms);
    assert_eq!(file_names(&home.key_dir()), [".lock", "default.key.json"]);
    assert_eq!(home.open().await.describe_key("default").await.unwrap(), before);
}

/// The disk syncs nothing any more, so the file of the refused version keeps the name. The next start must not use it before it lasts.
#[tokio::test]
async fn a_restart_syncs_what_a_killed_server_left_before_any_key_is_used() {
    let (home, kms, _) = with_default().await;
    fail_syncs(&home.key_dir(), ALL);
    assert!(is_refused(&kms.rotate_key("default").await));
    drop(kms);
    assert!(home.open_error().await.contains("Input/output error"));
    fail_syncs(&home.key_dir(), 0);
    let kms = home.open().await;
    let data_key = kms.generate_data_key("default", SPEC, &context("a")).await.unwrap();
    drop(kms);
    assert_eq!(home.open().await.unwrap_data_key(&data_key.wrapped, &context("a")).await.unwrap(), data_key.plaintext);
}

/// The server was killed when the master key had its name and the directory was not synced; or the operator made the file a moment ago.
#[tokio::test]
async fn a_master_key_that_was_found_is_used_only_when_it_is_synced() {
    let home = Home::new();
    drop(home.open().await);
    for place in [home.master(), home.master().parent().unwrap().to_owned()] {
        fail_syncs(&place, ALL);
        assert!(home.open_error().await.contains("Input/output error"), "{}", place.display());
        fail_syncs(&place, 0);
    }
    home.open().await;
}

#[tokio::test]
async fn a_master_key_that_cannot_be_synced_is_not_made() {
    let home = Home::new();
    let secrets = home.master().parent().unwrap().to_owned();
    std::fs::create_dir(&secrets).unwrap();
    fail_syncs(&secrets, ALL);
    assert!(home.open_error().await.contains("Input/output error"));
    assert_eq!(file_names(&secrets), Vec::<String>::new());
    fail_syncs(&secrets, 0);
    home.open().await;
    assert_eq!(file_names(&secrets), ["master.key"]);
}

/// A change of the master key was named and not synced when the server was killed: files that change their names before the marker lasts
/// would belong to a master key that nobody has.
#[tokio::test]
async fn a_change_of_the_master_key_goes_on_only_when_what_was_found_is_synced() {
    let (home, kms, _) = with_default().await;
    let value = || MasterKeySource::Value(Zeroizing::new([5; 32]));
    kms.change_master(value()).await.unwrap();
    drop(kms);
    std::fs::rename(home.key_file("default"), home.key_dir().join(".next-default.key.json")).unwrap();
    std::fs::write(home.key_dir().join(".master-change"), "without passphrase\n").unwrap();
    fail_syncs(&home.key_dir(), ALL);
    let config = || strongroom_kms::LocalConfig { key_dir: home.key_dir(), master: value() };
    assert!(LocalKms::open(config()).await.is_err());
    assert!(home.key_dir().join(".next-default.key.json").exists(), "nothing has changed its name");
    fail_syncs(&home.key_dir(), 0);
    assert_eq!(LocalKms::open(config()).await.unwrap().check_usable("default").await.unwrap(), "default");
}
