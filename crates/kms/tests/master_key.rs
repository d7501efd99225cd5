//! The master key: from a passphrase, and changed for another one with a crash at every point.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use common::{Home, context, file_names};
use strongroom_kms::{DataKey, DataKeySpec, KeyLifecycle, KeyService, KeyState, KmsError, LocalConfig, LocalKms, MasterKeySource, NewKey};
use zeroize::Zeroizing;

const PASSPHRASE: &str = "correct horse battery staple";
const PARAMETERS: &str = "master.argon2.json";

fn passphrase(text: &str) -> MasterKeySource {
    MasterKeySource::Passphrase(Zeroizing::new(text.to_owned()))
}

fn value(byte: u8) -> MasterKeySource {
    MasterKeySource::Value(Zeroizing::new([byte; 32]))
}

async fn open_dir(key_dir: &Path, master: MasterKeySource) -> Result<LocalKms, KmsError> {
    LocalKms::open(LocalConfig { key_dir: key_dir.to_owned(), master }).await
}

async fn broken(key_dir: &Path, master: MasterKeySource) -> String {
    match open_dir(key_dir, master).await {
        Err(KmsError::Broken(text)) => text,
        Err(other) => panic!("not Broken: {other}"),
        Ok(_) => panic!("opened"),
    }
}

async fn data_key(kms: &LocalKms, key_id: &str) -> DataKey {
    kms.generate_data_key(key_id, DataKeySpec::Aes256, &context("a")).await.unwrap()
}

async fn assert_opens(kms: &LocalKms, data_key: &DataKey) {
    assert_eq!(kms.unwrap_data_key(&data_key.wrapped, &context("a")).await.unwrap(), data_key.plaintext);
}

fn contents(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    file_names(dir).into_iter().map(|name| (name.clone(), fs::read(dir.join(name)).unwrap())).collect()
}

fn write_all(dir: &Path, prefix: &str, files: &[(String, Vec<u8>)]) {
    for (name, bytes) in files {
        write_private(&dir.join(format!("{prefix}{name}")), bytes);
    }
}

fn write_private(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

#[tokio::test]
async fn a_passphrase_opens_the_keys_again_and_no_other_does() {
    let home = Home::new();
    let kms = open_dir(&home.key_dir(), passphrase(PASSPHRASE)).await.unwrap();
    kms.ensure_key("default", "").await.unwrap();
    let data_key = data_key(&kms, "default").await;
    drop(kms);
    assert_eq!(file_names(&home.key_dir()), [".lock", "default.key.json", PARAMETERS]);
    let path = home.key_dir().join(PARAMETERS);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    let parameters: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(parameters["argon2id"]["memory_kib"], 65_536);
    assert_eq!((&parameters["argon2id"]["iterations"], &parameters["argon2id"]["parallelism"]), (&3.into(), &4.into()));

    assert_opens(&open_dir(&home.key_dir(), passphrase(PASSPHRASE)).await.unwrap(), &data_key).await;
    let text = broken(&home.key_dir(), passphrase("correct horse battery stable")).await;
    assert_eq!(text, format!("the passphrase is wrong: it is not the one that {} was made with", path.display()));
    let text = broken(&home.key_dir(), value(7)).await;
    assert!(text.ends_with("were sealed under another master key; start with the one they were made with"), "{text}");
    assert!(format!("{:?}", passphrase(PASSPHRASE)).contains("redacted"));
}

#[tokio::test]
async fn a_short_passphrase_is_refused_and_makes_nothing() {
    let home = Home::new();
    for text in ["", "elevenchars"] {
        let answer = open_dir(&home.key_dir(), passphrase(text)).await.map(drop);
        assert!(matches!(answer, Err(KmsError::InvalidArgument(text)) if text == "a passphrase has at least 12 characters"));
    }
    assert_eq!(file_names(&home.key_dir()), [".lock"]);
}

#[tokio::test]
async fn the_parameters_of_a_passphrase_are_neither_remade_nor_weakened_nor_shared() {
    let home = Home::new();
    open_dir(&home.key_dir(), passphrase(PASSPHRASE)).await.unwrap().ensure_key("default", "").await.unwrap();
    let path = home.key_dir().join(PARAMETERS);
    let kept = fs::read_to_string(&path).unwrap();

    fs::remove_file(&path).unwrap();
    let text = broken(&home.key_dir(), passphrase(PASSPHRASE)).await;
    assert!(text.contains("is missing, without which no passphrase opens the 1 keys beside it"), "{text}");
    assert!(!path.exists());

    write_private(&path, kept.replace("65536", "8").as_bytes());
    assert!(broken(&home.key_dir(), passphrase(PASSPHRASE)).await.contains("memory_kib is 8, and must be from 65536 to 262144"));
    write_private(&path, kept.replace("65536", "65537").as_bytes());
    assert!(broken(&home.key_dir(), passphrase(PASSPHRASE)).await.contains("the passphrase is wrong"));
    write_private(&path, kept.replace("\"version\": 1", "\"version\": 2").as_bytes());
    assert!(broken(&home.key_dir(), passphrase(PASSPHRASE)).await.contains("a later Strongroom wrote it"));
    write_private(&path, &kept.as_bytes()[..40]);
    assert!(broken(&home.key_dir(), passphrase(PASSPHRASE)).await.contains("it is damaged"));

    write_private(&path, kept.as_bytes());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(broken(&home.key_dir(), passphrase(PASSPHRASE)).await.contains("is open to other users (mode 0644)"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    open_dir(&home.key_dir(), passphrase(PASSPHRASE)).await.unwrap();
}

/// A directory with an enabled, a disabled and an erased key, and a data key of the first.
async fn furnish(key_dir: &Path, master: MasterKeySource) -> (LocalKms, DataKey) {
    let kms = open_dir(key_dir, master).await.unwrap();
    for name in ["a", "b", "c"] {
        kms.create_key(NewKey { name: Some(name.to_owned()), ..NewKey::default() }).await.unwrap();
    }
    let data_key = data_key(&kms, "a").await;
    kms.rotate_key("a").await.unwrap();
    kms.disable_key("b").await.unwrap();
    kms.delete_now("c", "c").await.unwrap();
    (kms, data_key)
}

async fn assert_furnished(kms: &LocalKms, data_key: &DataKey) {
    assert_opens(kms, data_key).await;
    assert_eq!(kms.describe_key("a").await.unwrap().current_version, 2);
    assert_eq!(kms.describe_key("b").await.unwrap().state, KeyState::Disabled);
    assert_eq!(kms.describe_key("c").await.unwrap().state, KeyState::Erased);
}

#[tokio::test]
async fn a_changed_master_key_is_in_force_at_once_and_after_a_restart() {
    let home = Home::new();
    let (kms, first) = furnish(&home.key_dir(), value(1)).await;
    let before = contents(&home.key_dir());
    kms.change_master(passphrase(PASSPHRASE)).await.unwrap();
    kms.rotate_key("a").await.unwrap();
    let second = data_key(&kms, "a").await;
    drop(kms);
    assert_eq!(file_names(&home.key_dir()), [".lock", "a.key.json", "b.key.json", "c.key.json", PARAMETERS]);
    assert!(before.iter().filter(|file| file.0 != ".lock").all(|(name, bytes)| fs::read(home.key_dir().join(name)).unwrap() != *bytes));
    assert!(broken(&home.key_dir(), value(1)).await.contains("another master key"));

    let kms = open_dir(&home.key_dir(), passphrase(PASSPHRASE)).await.unwrap();
    assert_opens(&kms, &first).await;
    assert_opens(&kms, &second).await;
    let file = home.0.path().join("new-master.key");
    kms.change_master(MasterKeySource::File(file.clone())).await.unwrap();
    drop(kms);
    assert_eq!(file_names(&home.key_dir()), [".lock", "a.key.json", "b.key.json", "c.key.json"], "no passphrase opens it any more");
    let kms = open_dir(&home.key_dir(), MasterKeySource::File(file)).await.unwrap();
    assert_opens(&kms, &second).await;
}

#[tokio::test]
async fn the_former_key_files_are_overwritten() {
    let home = Home::new();
    let (kms, _) = furnish(&home.key_dir(), value(1)).await;
    let former = home.key_dir().join(".former");
    fs::hard_link(home.key_file("a"), &former).unwrap();
    kms.change_master(value(2)).await.unwrap();
    assert!(fs::read(&former).unwrap().iter().all(|byte| *byte == 0));
}

/// Power fails while the master key is changed. Every state the directory can be left in: before the change is in force the
/// former master key opens it, afterwards the new one, and nothing of the change stays behind.
#[tokio::test]
async fn a_crash_during_a_change_leaves_the_former_or_the_new_master_key_in_force() {
    let source = Home::new();
    let (kms, data_key) = furnish(&source.key_dir(), value(1)).await;
    let old: Vec<(String, Vec<u8>)> = contents(&source.key_dir()).into_iter().collect();
    kms.change_master(passphrase(PASSPHRASE)).await.unwrap();
    drop(kms);
    let new: Vec<(String, Vec<u8>)> = contents(&source.key_dir()).into_iter().filter(|file| file.0 != ".lock").collect();
    assert_eq!(new.len(), 4);

    for staged in 0..=new.len() {
        let home = Home::new();
        fs::create_dir(home.key_dir()).unwrap();
        fs::set_permissions(home.key_dir(), fs::Permissions::from_mode(0o700)).unwrap();
        write_all(&home.key_dir(), "", &old);
        write_all(&home.key_dir(), ".next-", &new[..staged]);
        write_private(&home.key_dir().join(".tmp-master-change"), b"with");
        let kms = open_dir(&home.key_dir(), value(1)).await.unwrap();
        assert_furnished(&kms, &data_key).await;
        assert_eq!(file_names(&home.key_dir()), [".lock", "a.key.json", "b.key.json", "c.key.json"], "{staged} staged");
    }
    for renamed in 0..=new.len() {
        let home = Home::new();
        fs::create_dir(home.key_dir()).unwrap();
        fs::set_permissions(home.key_dir(), fs::Permissions::from_mode(0o700)).unwrap();
        write_all(&home.key_dir(), "", &old);
        for (at, (name, bytes)) in new.iter().enumerate() {
            let name = if at < renamed { name.clone() } else { format!(".next-{name}") };
            write_private(&home.key_dir().join(name), bytes);
        }
        write_private(&home.key_dir().join(".master-change"), b"with passphrase\n");
        let kms = open_dir(&home.key_dir(), passphrase(PASSPHRASE)).await.unwrap();
        assert_furnished(&kms, &data_key).await;
        assert_eq!(file_names(&home.key_dir()), [".lock", "a.key.json", "b.key.json", "c.key.json", PARAMETERS], "{renamed} renamed");
    }
}

/// The same on the way from a passphrase to a key: the last step removes the file that the passphrase needed.
#[tokio::test]
async fn a_crash_before_the_passphrase_file_is_gone_is_taken_up() {
    let home = Home::new();
    let (kms, data_key) = furnish(&home.key_dir(), passphrase(PASSPHRASE)).await;
    let parameters = fs::read(home.key_dir().join(PARAMETERS)).unwrap();
    kms.change_master(value(2)).await.unwrap();
    drop(kms);
    for left in [true, false] {
        if left {
            write_private(&home.key_dir().join(PARAMETERS), &parameters);
        }
        write_private(&home.key_dir().join(".master-change"), b"without passphrase\n");
        let kms = open_dir(&home.key_dir(), value(2)).await.unwrap();
        assert_furnished(&kms, &data_key).await;
        assert_eq!(file_names(&home.key_dir()), [".lock", "a.key.json", "b.key.json", "c.key.json"]);
    }
}

#[tokio::test]
async fn a_change_that_cannot_be_written_leaves_the_former_master_key() {
    let home = Home::new();
    let (kms, data_key) = furnish(&home.key_dir(), value(1)).await;
    let obstacle = home.key_dir().join(".next-b.key.json");
    fs::create_dir(&obstacle).unwrap();
    assert!(
        matches!(kms.change_master(value(2)).await, Err(KmsError::Unavailable(text)) if text.ends_with("the master key is the former one"))
    );
    fs::remove_dir(&obstacle).unwrap();
    kms.enable_key("b").await.unwrap();
    kms.disable_key("b").await.unwrap();
    drop(kms);
    assert_furnished(&open_dir(&home.key_dir(), value(1)).await.unwrap(), &data_key).await;
}

/// The change fails when it is being put in force: nobody knows which master key a restart finds, so nothing is written before.
#[tokio::test]
async fn after_a_change_that_failed_half_way_keys_are_used_but_not_changed_until_a_restart() {
    let home = Home::new();
    let (kms, data_key) = furnish(&home.key_dir(), value(1)).await;
    let obstacle = home.key_dir().join(".tmp-master-change");
    fs::create_dir(&obstacle).unwrap();
    for answer in [kms.change_master(value(2)).await, kms.change_master(value(2)).await, kms.enable_key("b").await.map(drop)] {
        assert!(matches!(&answer, Err(KmsError::Unavailable(text)) if text.contains("restart the server")), "{answer:?}");
    }
    assert_furnished(&kms, &data_key).await;
    drop(kms);
    fs::remove_dir(&obstacle).unwrap();
    assert_furnished(&open_dir(&home.key_dir(), value(1)).await.unwrap(), &data_key).await;
}

#[tokio::test]
async fn the_master_key_is_not_changed_while_a_key_is_damaged_or_the_service_sealed() {
    let home = Home::new();
    let (kms, _) = furnish(&home.key_dir(), value(1)).await;
    kms.seal_service().await.unwrap();
    assert!(matches!(kms.change_master(value(2)).await, Err(KmsError::ServiceSealed)));
    kms.unseal_service().await.unwrap();
    drop(kms);
    fs::write(home.key_file("b"), "damage").unwrap();
    let kms = open_dir(&home.key_dir(), value(1)).await.unwrap();
    assert!(matches!(kms.change_master(value(2)).await, Err(KmsError::Conflict(text)) if text.contains("b.key.json")));
    assert_eq!(fs::read(home.key_file("b")).unwrap(), b"damage");
    assert!(!file_names(&home.key_dir()).iter().any(|name| name.starts_with(".next-")));
}
