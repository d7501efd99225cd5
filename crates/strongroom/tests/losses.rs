//! Files that an operator loses or puts into the wrong place: the server says which, and makes nothing worse.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use common::{Home, wait_until};

/// An object too large to lie in the catalog.
const LARGE: usize = 200_000;

/// A stopped store with one object in a blob.
fn store() -> Home {
    let home = Home::new();
    let server = home.start(&[]);
    home.put(&server, "/bucket", "");
    home.put(&server, "/bucket/object", &"x".repeat(LARGE));
    assert_eq!(server.stop(), Some(0));
    assert_eq!(files(&home.path("data/blobs")).len(), 1);
    home
}

/// The files in the directories of a directory.
fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn is_refused(home: &Home, flags: &[&str], words: &[&str]) {
    let refused = home.fails(flags);
    assert_eq!(refused.code, Some(1), "{}", refused.error);
    for word in words {
        assert!(refused.error.contains(word), "{word} is not in: {}", refused.error);
    }
}

#[test]
fn blobs_without_their_catalog_are_left_alone_and_the_start_is_refused() {
    // catalog.db was restored to the wrong place, or its volume is not mounted. With a new catalog all blobs would be orphans.
    let home = store();
    let blobs = files(&home.path("data/blobs"));
    fs::rename(home.path("data/catalog.db"), home.path("kept")).unwrap();
    let words = [home.text("data/catalog.db"), home.text("data/blobs")];
    let words = [words[0].as_str(), &words[1], "put the right one back", "remove"];
    is_refused(&home, &["--orphan-age-seconds", "0"], &words);
    assert!(!home.path("data/catalog.db").exists(), "nothing lies where the catalog belongs");
    // Empty is as good as missing.
    fs::write(home.path("data/catalog.db"), "").unwrap();
    is_refused(&home, &["--orphan-age-seconds", "0"], &words);
    assert_eq!(files(&home.path("data/blobs")), blobs);
    fs::rename(home.path("kept"), home.path("data/catalog.db")).unwrap();
    assert_eq!(home.start(&["--orphan-age-seconds", "0"]).stop(), Some(0));
    assert_eq!(files(&home.path("data/blobs")), blobs);
}

#[test]
fn another_stores_new_catalog_is_refused_for_these_blobs() {
    let home = store();
    let other = Home::new();
    // What a server leaves that was stopped by a full disk or a wrong key directory at its very first start.
    fs::write(other.path("foreign"), "").unwrap();
    is_refused(&other, &["--kms-key-dir", &other.text("foreign")], &["foreign"]);
    fs::copy(other.path("data/catalog.db"), home.path("data/catalog.db")).unwrap();
    is_refused(&home, &[], &["is missing or new", "put the right one back"]);
    assert_eq!(files(&home.path("data/blobs")).len(), 1);
    assert_eq!(other.start(&[]).stop(), Some(0), "a store that was never begun starts");
}

#[test]
fn a_log_without_its_catalog_is_left_alone_and_the_start_is_refused() {
    let home = Home::new();
    fs::create_dir(home.path("data")).unwrap();
    fs::set_permissions(home.path("data"), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    fs::write(home.path("data/catalog.db-wal"), "committed pages").unwrap();
    is_refused(&home, &[], &["catalog.db-wal is there: put the catalog back beside it"]);
    assert_eq!(fs::read(home.path("data/catalog.db-wal")).unwrap(), b"committed pages");
}

#[test]
fn a_blob_that_the_catalog_does_not_know_is_kept_until_it_is_old() {
    // The catalog is yesterday's, put back from a backup: it knows nothing of today's blobs.
    let home = store();
    let known = files(&home.path("data/blobs"));
    let orphan = |name: &str, age: Duration| {
        let path = home.path("data/blobs").join(&name[..2]).join(name);
        let file = fs::File::create(&path).unwrap();
        file.set_modified(SystemTime::now() - age).unwrap();
        path
    };
    let young = orphan("00000000000000000000000000000001", Duration::from_hours(23));
    let old = orphan("ff000000000000000000000000000002", Duration::from_hours(25));
    let server = home.start(&[]);
    // Orphans are looked for in the order of their ids: the young one was seen when the old one goes.
    wait_until("the old orphan is swept", || !old.exists());
    assert!(young.exists());
    assert_eq!(server.stop(), Some(0));
    let server = home.start(&["--orphan-age-seconds", "3600"]);
    wait_until("the young orphan is old now", || !young.exists());
    assert_eq!(server.stop(), Some(0));
    assert_eq!(files(&home.path("data/blobs")), known);
}

#[test]
fn a_lost_key_that_objects_depend_on_is_not_made_anew() {
    let home = store();
    let file = home.path("data.secrets/kms/default.key.json");
    fs::rename(&file, home.path("kept")).unwrap();
    is_refused(&home, &[], &["the KMS key default", file.to_str().unwrap(), "restore it"]);
    // Not by way of a list either, where another key is the default.
    is_refused(&home, &["--kms-default-key-id", "other", "--kms-ensure-keys", "default"], &["the KMS key default"]);
    // Who has lost it for good goes on with another.
    assert_eq!(home.start(&["--kms-default-key-id", "other"]).stop(), Some(0));
    assert!(!file.exists());
    fs::rename(home.path("kept"), &file).unwrap();
    assert_eq!(home.start(&[]).stop(), Some(0));
}

#[test]
fn a_lost_key_that_nothing_depends_on_is_made_anew() {
    let home = Home::new();
    let server = home.start(&[]);
    home.put(&server, "/bucket", "");
    assert_eq!(server.stop(), Some(0));
    let file = home.path("data.secrets/kms/default.key.json");
    fs::remove_file(&file).unwrap();
    assert_eq!(home.start(&[]).stop(), Some(0));
    assert!(file.exists());
}

#[test]
fn the_lost_key_of_the_store_itself_is_not_made_anew() {
    let home = Home::new();
    assert_eq!(home.start(&[]).stop(), Some(0));
    let file = home.path("data.secrets/kms/strongroom-store.key.json");
    fs::rename(&file, home.path("kept")).unwrap();
    is_refused(&home, &[], &["the KMS key strongroom-store", file.to_str().unwrap(), "restore it"]);
    assert!(!file.exists());
    fs::rename(home.path("kept"), &file).unwrap();
    assert_eq!(home.start(&[]).stop(), Some(0));
}

#[test]
fn a_store_that_has_lost_its_keys_does_not_start_with_new_ones() {
    // An operator restores DATA_DIR from a backup and forgets the secrets directory. New keys would open nothing, and
    // new objects under them would make it impossible to put the old ones back.
    let home = Home::new();
    assert_eq!(home.start(&[]).stop(), Some(0));
    fs::rename(home.path("data.secrets"), home.path("kept")).unwrap();
    is_refused(&home, &[], &["holds objects, but the key directory"]);
    assert!(!home.path("data.secrets/kms").exists());
    assert!(!home.path("data.secrets/kms-master.key").exists());
    fs::remove_dir_all(home.path("data.secrets")).unwrap();
    fs::rename(home.path("kept"), home.path("data.secrets")).unwrap();
    assert_eq!(home.start(&[]).stop(), Some(0));
}

#[test]
fn a_catalog_with_buckets_does_not_start_with_a_new_store_key() {
    let home = Home::new();
    let server = home.start(&[]);
    home.put(&server, "/bucket", "");
    assert_eq!(server.stop(), Some(0));
    let delete = || {
        let rows = rusqlite::Connection::open(home.path("data/catalog.db")).unwrap();
        rows.execute("DELETE FROM settings WHERE name = 'store-key'", []).unwrap()
    };
    assert_eq!(delete(), 1);
    is_refused(&home, &[], &["has buckets but no store key", "restore the catalog from a backup"]);
    assert_eq!(delete(), 0, "none was made");
}
