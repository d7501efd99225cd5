//! Blobs in the ascending order of their ids, directory by directory.

use std::collections::BTreeSet;
use std::fs::{read_dir, symlink_metadata};
use std::io::{self, ErrorKind};
use std::time::SystemTime;

use crate::{BlobId, ListedBlob};

use super::layout::{Layout, parse_name};

/// Up to `limit` blobs greater than `after`. Holds no more than `limit` + 1 ids, however large a directory is.
pub(super) fn list(layout: &Layout, after: Option<BlobId>, limit: usize) -> io::Result<Vec<ListedBlob>> {
    let mut found = Vec::new();
    for first in after.map_or(0, |id| id.0[0])..=u8::MAX {
        let wanted = limit - found.len();
        if wanted == 0 {
            break;
        }
        for id in smallest_of(layout, first, after, wanted)? {
            found.push(ListedBlob { id, modified: modified(layout, id)? });
        }
    }
    Ok(found)
}

/// The `wanted` smallest ids of one directory, each once even where a blob lies there both in part and finished.
fn smallest_of(layout: &Layout, first: u8, after: Option<BlobId>, wanted: usize) -> io::Result<BTreeSet<BlobId>> {
    let mut smallest = BTreeSet::new();
    for entry in read_dir(layout.directory(first))? {
        let name = entry?.file_name();
        let id = name.to_str().and_then(parse_name).filter(|id| id.0[0] == first);
        let Some(id) = id.filter(|id| after.is_none_or(|after| *id > after)) else { continue };
        smallest.insert(id);
        if smallest.len() > wanted {
            smallest.pop_last();
        }
    }
    Ok(smallest)
}

/// When the newest file of the blob was written to. One that has gone meanwhile counts as new: leaving it out would
/// make a page end early.
fn modified(layout: &Layout, id: BlobId) -> io::Result<SystemTime> {
    let mut newest = None;
    // The part first: what it is renamed to in between is found as the blob.
    for path in [layout.part(id), layout.blob(id)] {
        match symlink_metadata(path).and_then(|metadata| metadata.modified()) {
            Ok(modified) => newest = newest.max(Some(modified)),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(newest.unwrap_or_else(SystemTime::now))
}
