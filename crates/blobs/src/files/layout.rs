//! Where a blob lies: paths, names, and making the directories.

use std::fs::DirBuilder;
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use strongroom_files::{create_dir, sync_dir};

use crate::BlobId;

const PART_SUFFIX: &str = ".part";
const DIRECTORY_MODE: u32 = 0o700;

/// The directory tree under one root.
pub(super) struct Layout {
    root: PathBuf,
}

impl Layout {
    /// Makes what is missing of the root and its 256 directories, and makes the entries durable: those too that a process made which was
    /// killed before it could.
    pub(super) fn prepare(root: PathBuf) -> io::Result<Self> {
        let layout = Self { root };
        create_dir(&layout.root, DIRECTORY_MODE)?;
        for first in 0..=u8::MAX {
            make_directory(&layout.directory(first))?;
        }
        sync_dir(&layout.root)?;
        Ok(layout)
    }

    /// The directory of the blobs whose id begins with this byte.
    pub(super) fn directory(&self, first: u8) -> PathBuf {
        self.root.join(format!("{first:02x}"))
    }

    /// A finished blob.
    pub(super) fn blob(&self, id: BlobId) -> PathBuf {
        self.directory(id.0[0]).join(id.to_string())
    }

    /// The same blob before it is finished.
    pub(super) fn part(&self, id: BlobId) -> PathBuf {
        self.directory(id.0[0]).join(format!("{id}{PART_SUFFIX}"))
    }
}

/// The blob, finished or not, that a file name stands for; none for a name that is not ours.
pub(super) fn parse_name(name: &str) -> Option<BlobId> {
    let digits = name.strip_suffix(PART_SUFFIX).unwrap_or(name).as_bytes();
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    let pairs: &[[u8; 2]; 16] = pairs.try_into().ok()?;
    let mut id = [0; 16];
    for (byte, [high, low]) in id.iter_mut().zip(pairs) {
        *byte = nibble(*high)? << 4 | nibble(*low)?;
    }
    Some(BlobId(id))
}

/// Makes the directory, if it is not there already.
fn make_directory(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(DIRECTORY_MODE).create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        made => made,
    }
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_reads_back_as_the_id_it_was_made_of() {
        let id = BlobId(*b"\x00\x01\x0a\x9f\xff\x80\x7f\x10\x20\x30\x40\x50\x60\x70\xde\xad");
        let layout = Layout { root: PathBuf::from("/r") };
        assert_eq!(layout.blob(id), Path::new("/r/00/00010a9fff807f10203040506070dead"));
        assert_eq!(layout.part(id), Path::new("/r/00/00010a9fff807f10203040506070dead.part"));
        assert_eq!(parse_name("00010a9fff807f10203040506070dead"), Some(id));
        assert_eq!(parse_name("00010a9fff807f10203040506070dead.part"), Some(id));
    }

    #[test]
    fn a_foreign_name_is_no_blob() {
        for name in [
            "",
            ".part",
            "lost+found",
            "00010A9FFF807F10203040506070DEAD",
            "00010a9fff807f10203040506070dea",
            "00010a9fff807f10203040506070deadbe",
        ] {
            assert_eq!(parse_name(name), None, "{name}");
        }
        assert_eq!(parse_name("00010a9fff807f10203040506070dead.part.part"), None);
        assert_eq!(parse_name("+0010a9fff807f10203040506070dead"), None);
    }
}
