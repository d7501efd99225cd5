//! Runs a fuzz target over its whole corpus in ordinary tests.

use std::{fs, path::Path};

/// Runs `target` over every file of `fuzz/corpus/<name>`.
pub(super) fn replay(name: &str, target: fn(&[u8])) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
    let mut files = 0;
    for entry in fs::read_dir(&dir).expect("every target has a corpus") {
        let path = entry.expect("the corpus is readable").path();
        let input = fs::read(&path).expect("the corpus is readable");
        // Printed, so that an input that panics is named.
        let panicked = std::panic::catch_unwind(|| target(&input)).is_err();
        assert!(!panicked, "{}", path.display());
        files += 1;
    }
    assert!(files > 10, "the corpus of {name} has {files} files");
}
