#![allow(clippy::unwrap_used)]

use super::*;
use crate::{BucketId, Envelope};
use strongroom_ids::{UploadId, VersionId};

const BUCKET: BucketId = BucketId([1; 16]);

fn row(key: &str) -> Upload {
    let envelope = Envelope { mode: 0, key: None, wrapped_key: Vec::new(), sealed_keys: Vec::new() };
    let (upload_id, version_id) = ([0; 16], [0; 16]);
    Upload {
        upload_id: UploadId(upload_id),
        bucket_id: BUCKET,
        key: key.to_owned(),
        version_id: VersionId(version_id),
        initiated: 0,
        initiator: String::new(),
        envelope,
        record: Vec::new(),
    }
}

fn query(prefix: &str, delimiter: &str, after: Option<&str>, limit: usize) -> ListQuery {
    let delimiter = Some(delimiter.to_owned());
    ListQuery { bucket_id: BUCKET, prefix: prefix.to_owned(), delimiter, after: after.map(str::to_owned), limit }
}

/// The entries as text, whether there are more, and how many rows were read.
fn listed(keys: &[&str], query: &ListQuery) -> (Vec<String>, bool, usize) {
    listed_in_turns(keys, query, usize::MAX)
}

/// The same, left and taken up again after so many rows. Keys that end in `!` stand for rows that make no sense.
fn listed_in_turns(keys: &[&str], query: &ListQuery, rows_a_turn: usize) -> (Vec<String>, bool, usize) {
    let mut keys = keys.to_vec();
    keys.sort_unstable();
    let (mut read, mut listing) = (0, Listing::<Upload>::new(query, Resume::PastKey));
    while let Some((start, end)) = listing.next() {
        let is_wanted = |key: &&&str| match start {
            Start::At(start) => key.as_bytes() >= start.as_slice(),
            Start::After(start, _) => key.as_bytes() > start.as_slice(),
        };
        let rows: Vec<&str> = keys.iter().filter(is_wanted).filter(|key| key.as_bytes() < end).copied().collect();
        let is_last = rows.len() <= rows_a_turn;
        let mut onward = Onward::Read;
        for key in rows.into_iter().take(rows_a_turn) {
            read += 1;
            let row = || Ok::<_, ()>((!key.ends_with('!')).then(|| row(key)));
            onward = listing.take(key.as_bytes(), || Ok((0, vec![0; 16])), row).unwrap();
            if onward == Onward::Seek {
                break;
            }
        }
        if is_last && onward == Onward::Read {
            listing.end();
        }
    }
    let page = listing.into_page();
    let entries = page.entries.into_iter().map(|entry| match entry {
        ListEntry::Item(upload) => upload.key,
        ListEntry::Prefix { prefix, first } => {
            assert!(first.key.starts_with(&prefix));
            format!("[{prefix}]")
        }
    });
    (entries.collect(), page.truncated, read)
}

#[test]
fn the_end_of_a_prefix_lies_above_all_its_keys_and_below_all_other_greater_ones() {
    let alphabet = ["", "\0", "a", "b", "é", "\u{7f}", "\u{7ff}", "\u{ffff}", "\u{10ffff}"];
    let words: Vec<String> = alphabet.iter().flat_map(|a| alphabet.iter().map(move |b| format!("{a}{b}"))).collect();
    for prefix in &words {
        let end = end_of(prefix.as_bytes());
        for word in &words {
            let is_within = word >= prefix && word.as_bytes() < end.as_slice();
            assert_eq!(is_within, word.starts_with(prefix.as_str()), "{word:?} and the prefix {prefix:?}");
        }
    }
}

#[test]
fn keys_roll_up_to_the_first_delimiter_after_the_prefix() {
    let keys = ["a", "a/b", "a/b/c", "a/d", "a0", "b/c/d"];
    assert_eq!(listed(&keys, &query("", "/", None, 10)).0, ["a", "[a/]", "a0", "[b/]"]);
    assert_eq!(listed(&keys, &query("a/", "/", None, 10)).0, ["a/b", "[a/b/]", "a/d"]);
    assert_eq!(listed(&keys, &query("a", "/", None, 10)).0, ["a", "[a/]", "a0"]);
    assert_eq!(listed(&keys, &query("", "b/", None, 10)).0, ["a", "a/b", "[a/b/]", "a/d", "a0", "[b/]"]);
}

#[test]
fn a_common_prefix_is_an_entry_only_if_it_is_greater_than_the_marker() {
    let keys = ["a", "a/b", "a/c", "b"];
    assert_eq!(listed(&keys, &query("", "/", Some("a"), 10)).0, ["[a/]", "b"]);
    assert_eq!(listed(&keys, &query("", "/", Some("a/"), 10)).0, ["b"]);
    assert_eq!(listed(&keys, &query("", "/", Some("a/b"), 10)).0, ["b"]);
    assert_eq!(listed(&keys, &query("a/", "/", Some("0"), 10)).0, ["a/b", "a/c"]);
    assert_eq!(listed(&keys, &query("a/", "/", Some("a0"), 10)).0, [""; 0]);
}

#[test]
fn a_page_is_truncated_only_if_another_entry_follows() {
    let keys = ["a", "b/1", "b/2"];
    assert_eq!(listed(&keys, &query("", "/", None, 1)), (vec!["a".to_owned()], true, 2));
    assert!(!listed(&keys, &query("", "/", None, 2)).1);
    assert_eq!(listed(&keys, &query("", "/", None, 0)), (Vec::new(), false, 0));
}

#[test]
fn an_empty_delimiter_rolls_nothing_up() {
    assert_eq!(listed(&["a/b", "c"], &query("", "", None, 10)).0, ["a/b", "c"]);
}

#[test]
fn a_listing_seeks_past_the_rows_under_a_common_prefix() {
    let keys: Vec<String> = (0..100).flat_map(|folder| (0..100).map(move |file| format!("{folder:03}/{file:03}"))).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let (entries, truncated, read) = listed(&keys, &query("", "/", None, 1000));
    assert_eq!((entries.len(), truncated), (100, false));
    assert!(read <= 300, "{read} of 10,000 rows read");
}

#[test]
fn a_listing_that_is_left_after_any_row_goes_on_as_if_it_had_not_been() {
    let keys = ["a!", "b", "c/1!", "c/2", "c/3!", "c/4", "c/5", "d/1!", "d/2", "e!", "f", "g/1", "g/2", "g/3", "h"];
    for query in [query("", "/", None, 100), query("", "/", None, 4), query("c/", "/", Some("c/2"), 100), query("", "", Some("b"), 5)] {
        let (entries, truncated, _) = listed(&keys, &query);
        for rows_a_turn in 1..6 {
            let (in_turns, still_truncated, _) = listed_in_turns(&keys, &query, rows_a_turn);
            assert_eq!((&in_turns, still_truncated), (&entries, truncated), "{query:?} in turns of {rows_a_turn}");
        }
    }
}

#[test]
fn rows_that_make_no_sense_are_left_out_and_end_no_page_early() {
    let keys = ["a!", "b", "c/1!", "c/2", "c/3!", "d/1!", "e!", "f!", "g", "h!"];
    for limit in 1..10 {
        let (mut entries, mut after) = (Vec::new(), None::<String>);
        loop {
            let (page, truncated, _) = listed(&keys, &query("", "/", after.as_deref(), limit));
            assert!(page.len() == limit || !truncated, "{limit}: {page:?}");
            entries.extend(page);
            if !truncated {
                break;
            }
            after = entries.last().map(|last| last.trim_matches(['[', ']']).to_owned());
        }
        assert_eq!(entries, ["b", "[c/]", "g"], "{limit}");
    }
}
