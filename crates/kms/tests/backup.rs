//! Backup and restore: everything is in the bundle, and a restore does no harm.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;

use common::{Home, context, file_names};
use strongroom_kms::{
    Backup, BundleKey, DataKeySpec, KeyLifecycle, KeyService, KeyState, KmsError, LocalKms, NewKey, RestoreConflict, RestoreMode,
    RestoreReport, Secret, WrappedKey,
};
use zeroize::Zeroizing;

const PASSPHRASE: &str = "correct horse battery staple";

fn passphrase(text: &str) -> BundleKey {
    BundleKey::Passphrase(Secret::new(text))
}

/// Derives nothing, so most tests use it.
fn key() -> BundleKey {
    BundleKey::Key(Zeroizing::new([9; 32]))
}

fn new_key(name: &str) -> NewKey {
    NewKey { name: Some(name.to_owned()), description: format!("about {name}"), tags: [("team".to_owned(), "a".to_owned())].into() }
}

async fn restore(kms: &LocalKms, backup: &Backup, mode: RestoreMode) -> RestoreReport {
    kms.restore(backup.bundle.clone(), key(), mode).await.unwrap()
}

fn names(ids: &[&str]) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}

/// A KMS with keys of every kind.
async fn furnished(home: &Home) -> LocalKms {
    let kms = home.open().await;
    kms.ensure_key("strongroom-store", "the store's own").await.unwrap();
    for name in ["disabled", "erased", "pending", "plain", "sealed"] {
        kms.create_key(new_key(name)).await.unwrap();
    }
    kms.rotate_key("plain").await.unwrap();
    kms.disable_key("disabled").await.unwrap();
    kms.seal_key("sealed").await.unwrap();
    kms.schedule_deletion("pending", 9).await.unwrap();
    kms.delete_now("erased", "erased").await.unwrap();
    kms
}

const ALL: [&str; 6] = ["disabled", "erased", "pending", "plain", "sealed", "strongroom-store"];

#[tokio::test]
async fn every_key_comes_back_as_it_was_in_an_empty_directory() {
    let (from, to) = (Home::new(), Home::new());
    let kms = furnished(&from).await;
    let data_key = kms.generate_data_key("plain", DataKeySpec::Aes256, &context("a")).await.unwrap();
    let backup = kms.backup(passphrase(PASSPHRASE)).await.unwrap();
    assert_eq!(backup.keys, 6);

    let other = to.open().await;
    let report = other.restore(backup.bundle.clone(), passphrase(PASSPHRASE), RestoreMode::Apply).await.unwrap();
    assert_eq!(report, RestoreReport { added: names(&ALL), ..RestoreReport::default() });
    drop(other);
    let other = to.open().await;
    for key_id in ALL {
        assert_eq!(other.describe_key(key_id).await.unwrap(), kms.describe_key(key_id).await.unwrap(), "{key_id}");
    }
    assert_eq!(other.unwrap_data_key(&data_key.wrapped, &context("a")).await.unwrap(), data_key.plaintext);
    assert!(matches!(other.create_key(new_key("erased")).await, Err(KmsError::KeyExists(_))));
    // The next server on the directory has another master key, and nothing of the bundle's passphrase.
    assert_ne!(fs::read(from.master()).unwrap(), fs::read(to.master()).unwrap());
}

#[tokio::test]
async fn a_dry_run_says_the_same_and_changes_nothing() {
    let (from, to) = (Home::new(), Home::new());
    let backup = furnished(&from).await.backup(key()).await.unwrap();
    let kms = to.open().await;
    kms.create_key(new_key("plain")).await.unwrap();
    let before = (file_names(&to.key_dir()), fs::read(to.key_file("plain")).unwrap());
    let planned = restore(&kms, &backup, RestoreMode::DryRun).await;
    assert_eq!((file_names(&to.key_dir()), fs::read(to.key_file("plain")).unwrap()), before);
    assert!(matches!(kms.describe_key("sealed").await, Err(KmsError::KeyNotFound(_))));
    assert_eq!(restore(&kms, &backup, RestoreMode::Apply).await, planned);
    assert_eq!(planned.added.len(), 5);
    assert_eq!(planned.conflicting, [RestoreConflict { key_id: "plain".to_owned(), reason: "another key has this id here" }]);
}

#[tokio::test]
async fn a_different_key_of_the_same_id_is_listed_and_left_alone() {
    let (from, to) = (Home::new(), Home::new());
    let kms = to.open().await;
    kms.create_key(new_key("plain")).await.unwrap();
    let data_key = kms.generate_data_key("plain", DataKeySpec::Aes256, &context("a")).await.unwrap();
    let before = fs::read(to.key_file("plain")).unwrap();
    let backup = furnished(&from).await.backup(key()).await.unwrap();
    restore(&kms, &backup, RestoreMode::Apply).await;
    assert_eq!(fs::read(to.key_file("plain")).unwrap(), before);
    assert_eq!(kms.unwrap_data_key(&data_key.wrapped, &context("a")).await.unwrap(), data_key.plaintext);
}

#[tokio::test]
async fn restoring_where_nothing_is_missing_changes_nothing() {
    let home = Home::new();
    let kms = furnished(&home).await;
    let backup = kms.backup(key()).await.unwrap();
    // What was decided since the backup stays.
    kms.enable_key("disabled").await.unwrap();
    kms.disable_key("plain").await.unwrap();
    kms.rotate_key("disabled").await.unwrap();
    kms.update_description("sealed", "newer").await.unwrap();
    let before: Vec<Vec<u8>> = ALL.iter().map(|key_id| fs::read(home.key_file(key_id)).unwrap()).collect();
    let report = restore(&kms, &backup, RestoreMode::Apply).await;
    let identical = names(&["disabled", "pending", "plain", "sealed", "strongroom-store"]);
    assert_eq!(report, RestoreReport { identical, erased_stays: names(&["erased"]), ..RestoreReport::default() });
    let after: Vec<Vec<u8>> = ALL.iter().map(|key_id| fs::read(home.key_file(key_id)).unwrap()).collect();
    assert_eq!(after, before);
}

#[tokio::test]
async fn an_erased_key_is_never_revived() {
    let home = Home::new();
    let kms = furnished(&home).await;
    let backup = kms.backup(key()).await.unwrap();
    kms.delete_now("plain", "plain").await.unwrap();
    let report = restore(&kms, &backup, RestoreMode::Apply).await;
    assert_eq!(report.erased_stays, ["erased", "plain"]);
    assert!(matches!(kms.check_usable("plain").await, Err(KmsError::KeyErased(_))));
}

#[tokio::test]
async fn a_key_that_is_erased_in_the_bundle_only_is_a_conflict() {
    let (from, to) = (Home::new(), Home::new());
    let backup = furnished(&from).await.backup(key()).await.unwrap();
    let kms = to.open().await;
    kms.create_key(new_key("erased")).await.unwrap();
    let report = restore(&kms, &backup, RestoreMode::Apply).await;
    assert!(matches!(&report.conflicting[..], [conflict] if conflict.key_id == "erased" && conflict.reason.contains("alive here")));
    assert_eq!(kms.check_usable("erased").await.unwrap(), "erased");
}

/// The directory was put back from an older copy: versions made since then are in the bundle alone.
#[tokio::test]
async fn versions_that_are_missing_are_added() {
    let home = Home::new();
    let kms = furnished(&home).await;
    drop(kms);
    let older = fs::read(home.key_file("disabled")).unwrap();
    let kms = home.open().await;
    kms.enable_key("disabled").await.unwrap();
    kms.rotate_key("disabled").await.unwrap();
    let data_key = kms.generate_data_key("disabled", DataKeySpec::Aes256, &context("a")).await.unwrap();
    let backup = kms.backup(key()).await.unwrap();
    drop(kms);
    fs::write(home.key_file("disabled"), &older).unwrap();

    let kms = home.open().await;
    let report = restore(&kms, &backup, RestoreMode::Apply).await;
    assert_eq!((report.extended, report.identical.len()), (names(&["disabled"]), 4));
    assert_eq!(kms.describe_key("disabled").await.unwrap().state, KeyState::Disabled, "its state stays");
    kms.enable_key("disabled").await.unwrap();
    assert_eq!(kms.unwrap_data_key(&data_key.wrapped, &context("a")).await.unwrap(), data_key.plaintext);

    // And where another version was made instead, nothing fits any more.
    drop(kms);
    fs::write(home.key_file("disabled"), &older).unwrap();
    let kms = home.open().await;
    kms.enable_key("disabled").await.unwrap();
    kms.rotate_key("disabled").await.unwrap();
    let report = restore(&kms, &backup, RestoreMode::Apply).await;
    assert_eq!(report.conflicting, [RestoreConflict { key_id: "disabled".to_owned(), reason: "another key has this id here" }]);
}

#[tokio::test]
async fn a_damaged_file_is_neither_backed_up_nor_overwritten() {
    let home = Home::new();
    let kms = furnished(&home).await;
    let backup = kms.backup(key()).await.unwrap();
    drop(kms);
    fs::write(home.key_file("plain"), "damage").unwrap();
    let kms = home.open().await;
    assert!(matches!(kms.backup(key()).await, Err(KmsError::Conflict(text)) if text.contains("plain.key.json")));
    let report = restore(&kms, &backup, RestoreMode::Apply).await;
    assert!(matches!(&report.conflicting[..], [conflict] if conflict.reason.contains("move it out of the key directory")));
    assert_eq!(fs::read(home.key_file("plain")).unwrap(), b"damage");
    drop(kms);
    fs::remove_file(home.key_file("plain")).unwrap();
    let kms = home.open().await;
    assert_eq!(restore(&kms, &backup, RestoreMode::Apply).await.added, ["plain"]);
    assert_eq!(kms.check_usable("plain").await.unwrap(), "plain");
}

#[tokio::test]
async fn a_sealed_service_gives_and_takes_no_bundle() {
    let home = Home::new();
    let kms = furnished(&home).await;
    let backup = kms.backup(key()).await.unwrap();
    kms.seal_service().await.unwrap();
    assert!(matches!(kms.backup(key()).await, Err(KmsError::ServiceSealed)));
    assert!(matches!(kms.restore(backup.bundle, key(), RestoreMode::DryRun).await, Err(KmsError::ServiceSealed)));
}

/// The disk refuses one key: what was restored before stays, and another run goes on.
#[tokio::test]
async fn a_restore_that_failed_half_way_is_made_whole_by_another() {
    let (from, to) = (Home::new(), Home::new());
    let backup = furnished(&from).await.backup(key()).await.unwrap();
    let kms = to.open().await;
    let obstacle = to.key_dir().join(".tmp-pending");
    fs::create_dir(&obstacle).unwrap();
    assert!(matches!(kms.restore(backup.bundle.clone(), key(), RestoreMode::Apply).await, Err(KmsError::Unavailable(_))));
    assert!(matches!(kms.describe_key("pending").await, Err(KmsError::KeyNotFound(_))));
    fs::remove_dir(&obstacle).unwrap();
    let report = restore(&kms, &backup, RestoreMode::Apply).await;
    assert_eq!((report.added, report.identical, report.erased_stays), (names(&ALL[2..]), names(&["disabled"]), names(&["erased"])));
}

#[tokio::test]
async fn a_bundle_opens_with_its_own_passphrase_or_key_only() {
    let home = Home::new();
    let kms = furnished(&home).await;
    let (by_key, by_passphrase) = (kms.backup(key()).await.unwrap(), kms.backup(passphrase(PASSPHRASE)).await.unwrap());
    for (bundle, with, wanted) in [
        (&by_key, BundleKey::Key(Zeroizing::new([8; 32])), "the passphrase or key is wrong, or it was altered"),
        (&by_key, passphrase(PASSPHRASE), "it is sealed under a key, not a passphrase"),
        (&by_passphrase, passphrase("correct horse battery stable"), "the passphrase or key is wrong, or it was altered"),
        (&by_passphrase, key(), "it is sealed under a passphrase, not a key"),
    ] {
        let answer = kms.restore(bundle.bundle.clone(), with, RestoreMode::Apply).await;
        assert!(
            matches!(&answer, Err(KmsError::InvalidArgument(text)) if *text == format!("the bundle cannot be opened: {wanted}")),
            "{answer:?}"
        );
    }
    assert!(matches!(kms.backup(passphrase("elevenchars")).await, Err(KmsError::InvalidArgument(_))));
    assert_ne!(by_key.bundle, kms.backup(key()).await.unwrap().bundle, "each has a salt of its own");
    assert!(BundleKey::from_base64(&Secret::new("CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=\n")).is_some());
    assert!(BundleKey::from_base64(&Secret::new("CQkJ")).is_none());
}

#[tokio::test]
async fn no_byte_of_a_bundle_can_be_altered_or_cut() {
    let home = Home::new();
    let kms = home.open().await;
    kms.create_key(new_key("plain")).await.unwrap();
    let bundle = kms.backup(key()).await.unwrap().bundle;
    for at in 0..bundle.len() {
        let mut altered = bundle.clone();
        altered[at] ^= 1;
        for bad in [altered, bundle[..at].to_vec()] {
            let answer = kms.restore(bad, key(), RestoreMode::DryRun).await;
            assert!(
                matches!(&answer, Err(KmsError::InvalidArgument(text)) if text.starts_with("the bundle cannot be opened")),
                "byte {at}: {answer:?}"
            );
        }
    }
    let text = String::from_utf8_lossy(&bundle).replacen("\"version\":1", "\"version\":2", 1);
    let answer = kms.restore(text.into_bytes(), key(), RestoreMode::DryRun).await;
    assert!(
        matches!(answer, Err(KmsError::InvalidArgument(text)) if text.ends_with("it has format 2; use the newer Strongroom that wrote it"))
    );
}

#[tokio::test]
async fn a_bundle_shows_no_key_id_nor_state() {
    let home = Home::new();
    let backup = furnished(&home).await.backup(key()).await.unwrap();
    let text = String::from_utf8_lossy(&backup.bundle).into_owned();
    for shown in ["plain", "strongroom-store", "enabled", "material", "about"] {
        assert!(!text.contains(shown), "{shown}");
    }
}

/// Made with Python's `cryptography` from `docs/kms/local.md` alone. Must open for ever.
#[tokio::test]
async fn a_bundle_written_by_another_implementation_is_restored() {
    let home = Home::new();
    let kms = home.open().await;
    let bundle = include_bytes!("../vectors/golden.bundle").to_vec();
    let report = kms.restore(bundle, passphrase(PASSPHRASE), RestoreMode::Apply).await.unwrap();
    assert_eq!(report.added, ["golden", "gone", "strongroom-store"]);
    let ciphertext: String = "0100000002404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5fb275b3850f4d655d570c4545e6053842ef71ae0865731088eb7ed52f9d35f808bf48ca386e69b8d84e30c63a0a482015".to_owned();
    let ciphertext = (0..ciphertext.len()).step_by(2).map(|at| u8::from_str_radix(&ciphertext[at..at + 2], 16).unwrap()).collect();
    let wrapped = WrappedKey { backend: "local".to_owned(), key_id: "golden".to_owned(), key_version: 2, ciphertext };
    let opened = kms.unwrap_data_key(&wrapped, &strongroom_kms::EncryptionContext::default()).await.unwrap();
    assert_eq!(opened.as_slice(), [0x55; 32]);
    assert_eq!(kms.describe_key("gone").await.unwrap().state, KeyState::Erased);
}

/// Somebody hands an administrator a bundle whose header asks for a derivation that would take the machine down.
#[tokio::test]
async fn a_bundle_that_asks_for_more_memory_or_time_than_any_release_did_is_refused_before_it_takes_them() {
    let home = Home::new();
    let kms = furnished(&home).await;
    let backup = kms.backup(passphrase(PASSPHRASE)).await.unwrap();
    for (written, asked, expected) in [
        ("\"memory_kib\":65536", "\"memory_kib\":4194304", "memory_kib is 4194304, and must be from 65536 to 262144"),
        ("\"memory_kib\":65536", "\"memory_kib\":1048576", "memory_kib is 1048576, and must be from 65536 to 262144"),
        ("\"iterations\":3", "\"iterations\":20", "iterations is 20, and must be from 3 to 6"),
        ("\"parallelism\":4", "\"parallelism\":64", "parallelism is 64, and must be from 1 to 8"),
    ] {
        let end = backup.bundle.iter().position(|byte| *byte == b'\n').unwrap();
        let header = String::from_utf8(backup.bundle[..end].to_vec()).unwrap();
        assert!(header.contains(written), "{header}");
        let crafted = [header.replace(written, asked).as_bytes(), &backup.bundle[end..]].concat();
        let refused = kms.restore(crafted, passphrase(PASSPHRASE), RestoreMode::DryRun).await.unwrap_err();
        let KmsError::InvalidArgument(text) = refused else { panic!("{refused}") };
        assert_eq!(text, format!("the Argon2id parameter {expected}: the file was altered"));
    }
    kms.restore(backup.bundle, passphrase(PASSPHRASE), RestoreMode::DryRun).await.unwrap();
}
