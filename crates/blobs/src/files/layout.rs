//! Where blobs lie: paths, names, and making the directories.
#![expect(clippy::similar_names, reason = "a shelf is not self")]

use std::ffi::OsStr;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use strongroom_files::{create_dir, sync_dir};

use crate::BlobId;

const PART_SUFFIX: &str = ".part";
const DIRECTORY_MODE: u32 = 0o700;
/// Shelves in each directory of the first level.
const SHELVES: u8 = 16;

/// The directory tree under one root: 256 directories by the first byte of the id, and in each up to 16 shelves by the next half byte.
/// Earlier releases put blobs into the directories of the first level.
pub(super) struct Layout {
    root: PathBuf,
    /// A bit for each shelf, set once this process knows that the shelf's own name is durable.
    durable: [AtomicU64; 64],
    #[cfg(any(test, feature = "testing"))]
    directory_reads: AtomicU64,
}

/// A directory of the second level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shelf {
    pub(super) first: u8,
    /// Less than 16.
    pub(super) second: u8,
}

impl Shelf {
    pub(super) fn of(id: BlobId) -> Self {
        Self { first: id.0[0], second: id.0[1] >> 4 }
    }
}

impl Layout {
    /// Makes the root and its 256 directories where they are missing, and syncs their names. That includes those made by a process that
    /// was killed before it could sync them. Shelves are made when they are needed.
    pub(super) fn prepare(root: PathBuf) -> io::Result<Self> {
        let layout = Self::of(root);
        create_dir(&layout.root, DIRECTORY_MODE)?;
        for first in 0..=u8::MAX {
            make_directory(&layout.first(first))?;
        }
        sync_dir(&layout.root)?;
        Ok(layout)
    }

    fn of(root: PathBuf) -> Self {
        Self {
            root,
            durable: [const { AtomicU64::new(0) }; 64],
            #[cfg(any(test, feature = "testing"))]
            directory_reads: AtomicU64::new(0),
        }
    }

    /// The directory for ids that begin with this byte.
    pub(super) fn first(&self, first: u8) -> PathBuf {
        self.root.join(format!("{first:02x}"))
    }

    /// The directory that new blobs of this shelf go to.
    pub(super) fn shelf(&self, shelf: Shelf) -> PathBuf {
        self.first(shelf.first).join(format!("{:x}", shelf.second))
    }

    /// A finished blob.
    pub(super) fn blob(&self, id: BlobId) -> PathBuf {
        self.shelf(Shelf::of(id)).join(id.to_string())
    }

    /// The same blob before it is finished.
    pub(super) fn part(&self, id: BlobId) -> PathBuf {
        self.shelf(Shelf::of(id)).join(part_name(id))
    }

    /// Where an earlier release put the finished blob.
    pub(super) fn old_blob(&self, id: BlobId) -> PathBuf {
        self.first(id.0[0]).join(id.to_string())
    }

    /// Where a broken write of an earlier release left it.
    pub(super) fn old_part(&self, id: BlobId) -> PathBuf {
        self.first(id.0[0]).join(part_name(id))
    }

    /// Makes the file for a blob that is being written, and its shelf if that is missing.
    pub(super) fn create_part(&self, id: BlobId) -> io::Result<File> {
        let create = || OpenOptions::new().write(true).create_new(true).mode(0o600).open(self.part(id));
        match create() {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                make_directory(&self.shelf(Shelf::of(id)))?;
                create()
            }
            created => created,
        }
    }

    /// Syncs the shelf's own name, unless it is known to be durable: a process may have been killed right after it made the shelf.
    pub(super) fn sync_shelf(&self, shelf: Shelf) -> io::Result<()> {
        let (word, bit) = shelf.place();
        if self.durable[word].load(Ordering::Relaxed) & bit == 0 {
            sync_dir(&self.first(shelf.first))?;
            self.durable[word].fetch_or(bit, Ordering::Relaxed);
        }
        Ok(())
    }

    #[cfg(any(test, feature = "testing"))]
    pub(super) fn count_directory_read(&self) {
        self.directory_reads.fetch_add(1, Ordering::Relaxed);
    }

    #[cfg(any(test, feature = "testing"))]
    pub(super) fn directory_reads(&self) -> u64 {
        self.directory_reads.load(Ordering::Relaxed)
    }
}

impl Shelf {
    /// The word and the bit of this shelf in [`Layout::durable`].
    fn place(self) -> (usize, u64) {
        let number = usize::from(self.first) * usize::from(SHELVES) + usize::from(self.second);
        (number / 64, 1 << (number % 64))
    }
}

/// What an entry of one of the directories is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// A blob, finished or not.
    Blob(BlobId),
    /// A shelf, by the half byte.
    Shelf(u8),
}

impl Name {
    /// None for a name that is not ours.
    pub(super) fn parse(name: &str) -> Option<Self> {
        if let [digit] = name.as_bytes() {
            return nibble(*digit).map(Self::Shelf);
        }
        let digits = name.strip_suffix(PART_SUFFIX).unwrap_or(name).as_bytes();
        let (pairs, []) = digits.as_chunks::<2>() else { return None };
        let pairs: &[[u8; 2]; 16] = pairs.try_into().ok()?;
        let mut id = [0; 16];
        for (byte, [high, low]) in id.iter_mut().zip(pairs) {
            *byte = nibble(*high)? << 4 | nibble(*low)?;
        }
        Some(Self::Blob(BlobId(id)))
    }

    /// The blob's other name: the finished one for the unfinished one, and the reverse.
    pub(super) fn other_of(id: BlobId, name: &OsStr) -> String {
        if name.as_encoded_bytes().ends_with(PART_SUFFIX.as_bytes()) { id.to_string() } else { part_name(id) }
    }
}

fn part_name(id: BlobId) -> String {
    format!("{id}{PART_SUFFIX}")
}

/// Makes the directory if it is missing.
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
        let layout = Layout::of(PathBuf::from("/r"));
        assert_eq!(layout.blob(id), Path::new("/r/00/0/00010a9fff807f10203040506070dead"));
        assert_eq!(layout.part(id), Path::new("/r/00/0/00010a9fff807f10203040506070dead.part"));
        assert_eq!(layout.old_blob(id), Path::new("/r/00/00010a9fff807f10203040506070dead"));
        assert_eq!(layout.old_part(id), Path::new("/r/00/00010a9fff807f10203040506070dead.part"));
        let (finished, part) = ("00010a9fff807f10203040506070dead", "00010a9fff807f10203040506070dead.part");
        assert_eq!(Name::parse(finished), Some(Name::Blob(id)));
        assert_eq!(Name::parse(part), Some(Name::Blob(id)));
        assert_eq!(
            (Name::other_of(id, OsStr::new(part)), Name::other_of(id, OsStr::new(finished))),
            (finished.to_owned(), part.to_owned())
        );
    }

    #[test]
    fn each_shelf_has_its_own_bit_and_the_directory_that_its_ids_begin_with() {
        let layout = Layout::of(PathBuf::from("/r"));
        let mut places = std::collections::BTreeSet::new();
        for first in 0..=u8::MAX {
            for second in 0..SHELVES {
                let shelf = Shelf { first, second };
                assert!(places.insert(shelf.place()));
                let mut id = [0; 16];
                (id[0], id[1]) = (first, second << 4 | 7);
                assert_eq!(Shelf::of(BlobId(id)), shelf);
                let name = layout.shelf(shelf);
                assert_eq!(Name::parse(name.file_name().and_then(OsStr::to_str).unwrap_or_default()), Some(Name::Shelf(second)));
            }
        }
        assert!(places.iter().all(|(word, _)| *word < 64));
    }

    #[test]
    fn a_foreign_name_is_no_blob() {
        for name in [
            "",
            "g",
            "A",
            ".part",
            "lost+found",
            "00010A9FFF807F10203040506070DEAD",
            "00010a9fff807f10203040506070dea",
            "00010a9fff807f10203040506070deadbe",
        ] {
            assert_eq!(Name::parse(name), None, "{name}");
        }
        assert_eq!(Name::parse("00010a9fff807f10203040506070dead.part.part"), None);
        assert_eq!(Name::parse("+0010a9fff807f10203040506070dead"), None);
    }
}
