//! What is left after a failed sync, and that what was found is synced, too.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::testing::fail_syncs;
use crate::{WriteError, create_dir, create_new, remove, replace, settle};

const ALL: usize = 1000;

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_file_whose_content_cannot_be_synced_never_gets_the_name() {
    let dir = tempfile::tempdir().unwrap();
    let (path, temp) = (dir.path().join("key"), dir.path().join(".tmp"));
    fs::write(&path, "former").unwrap();
    fail_syncs(&temp, ALL);
    assert!(matches!(replace(&path, &temp, b"new", 0o600), Err(WriteError::Unchanged(_))));
    assert!(create_new(&dir.path().join("other"), &temp, b"new", 0o600).is_err());
    assert_eq!((names(dir.path()), fs::read(&path).unwrap()), (vec!["key".to_owned()], b"former".to_vec()));
}

#[test]
fn a_name_that_cannot_be_synced_is_told_of() {
    let dir = tempfile::tempdir().unwrap();
    let (path, temp) = (dir.path().join("key"), dir.path().join(".tmp"));
    fail_syncs(dir.path(), 1);
    assert!(matches!(replace(&path, &temp, b"new", 0o600), Err(WriteError::Unsynced(_))));
    fail_syncs(dir.path(), 1);
    assert!(remove(&path).is_err());
    replace(&path, &temp, b"new", 0o600).unwrap();
    assert_eq!(names(dir.path()), ["key"]);
}

#[test]
fn a_new_file_whose_name_cannot_be_synced_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let (path, temp) = (dir.path().join("key"), dir.path().join(".tmp"));
    fail_syncs(dir.path(), 1);
    assert!(create_new(&path, &temp, b"new", 0o600).is_err());
    assert_eq!(names(dir.path()), Vec::<String>::new());
    create_new(&path, &temp, b"new", 0o600).unwrap();
    let error = create_new(&path, &temp, b"another", 0o600).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists);
    assert_eq!((names(dir.path()), fs::read(&path).unwrap()), (vec!["key".to_owned()], b"new".to_vec()));
}

/// A killed process made the directories and synced none of them.
#[test]
fn a_directory_that_was_there_and_what_lies_in_it_is_synced_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let (upper, lower) = (dir.path().join("upper"), dir.path().join("upper/lower"));
    for unsynced in [dir.path(), &upper, &lower] {
        fs::create_dir_all(&upper).unwrap();
        let made = if unsynced == dir.path() { &upper } else { &lower };
        fail_syncs(unsynced, 1);
        assert!(create_dir(made, 0o700).is_err(), "{}", unsynced.display());
        create_dir(made, 0o700).unwrap();
    }
    assert_eq!(fs::metadata(&lower).unwrap().permissions().mode() & 0o777, 0o700);
    // When a directory is missing, the lowest one that exists may be a killed process's, too.
    fs::remove_dir(&lower).unwrap();
    fail_syncs(dir.path(), 1);
    assert!(create_dir(&lower, 0o700).is_err());
}

#[test]
fn a_file_that_was_found_is_settled_with_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    assert!(settle(&path).is_err(), "there is none");
    fs::write(&path, "found").unwrap();
    for unsynced in [&path, dir.path()] {
        fail_syncs(unsynced, 1);
        assert!(settle(&path).is_err(), "{}", unsynced.display());
    }
    settle(&path).unwrap();
}
