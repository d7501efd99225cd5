//! Ids in ascending order, directory by directory.

use std::collections::BTreeSet;
use std::fs::read_dir;
use std::io;

use crate::BlobId;

use super::layout::{Layout, parse_name};

/// Up to `limit` ids greater than `after`. Holds no more than `limit` + 1 ids, however large a directory is.
pub(super) fn list(layout: &Layout, after: Option<BlobId>, limit: usize) -> io::Result<Vec<BlobId>> {
    let mut found = Vec::new();
    for first in after.map_or(0, |id| id.0[0])..=u8::MAX {
        let wanted = limit - found.len();
        if wanted == 0 {
            break;
        }
        found.extend(smallest_of(layout, first, after, wanted)?);
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
