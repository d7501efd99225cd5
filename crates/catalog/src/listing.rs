//! Prefix, delimiter and paging, applied to rows in order. Independent of the engine, which only reads rows from where a [`Listing`] says.

use crate::{ListEntry, ListPage, ListQuery, MAX_UNREADABLE, UnixMillis, Upload, VersionEntry};

/// A scan reads past this many rows under a common prefix that is already listed. Then a new scan begins behind all of them. Reading one
/// more row costs less than beginning a scan, and most prefixes have either one row below them or many.
const MAX_PASSED: usize = 2;

/// A row that can be listed.
pub(crate) trait Listed {
    /// What orders the rows of one key.
    type Place: Clone;

    /// The object key.
    fn key(&self) -> &str;
}

impl Listed for VersionEntry {
    type Place = ();

    fn key(&self) -> &str {
        &self.key
    }
}

impl Listed for Upload {
    /// When it was begun, and its id as it is stored.
    type Place = (UnixMillis, Vec<u8>);

    fn key(&self) -> &str {
        &self.key
    }
}

/// A version in a listing of all versions.
pub(crate) struct AnyVersion(pub(crate) VersionEntry);

impl Listed for AnyVersion {
    /// The row: of one key the newest comes first, and has the greatest.
    type Place = i64;

    fn key(&self) -> &str {
        &self.0.key
    }
}

/// Where a scan begins. Keys compare as bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Start<P> {
    /// The first row whose key is not less.
    At(Vec<u8>),
    /// The first row after this place of this key.
    After(Vec<u8>, P),
}

/// Which rows of the key `after` itself belong to the page.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Resume<P> {
    /// None: it was listed wholly.
    PastKey,
    /// Those after this place.
    Within(P),
    /// All.
    WholeKey,
}

/// How a scan goes on after a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Onward {
    /// With the next row.
    Read,
    /// Not at all: another begins where [`Listing::next`] says.
    Seek,
}

/// A listing under way. It can stop after any row, and continues where [`Listing::next`] says.
pub(crate) struct Listing<T: Listed> {
    prefix: String,
    delimiter: Option<String>,
    limit: usize,
    end: Vec<u8>,
    /// Where the next scan begins; none when the page is complete.
    next: Option<Start<T::Place>>,
    /// The common prefix that was listed last, as long as rows below it may follow.
    rolled: Option<String>,
    /// How many rows below it were read since.
    passed: usize,
    page: ListPage<T>,
}

impl<T: Listed> Listing<T> {
    /// A listing at the beginning of what `query` asks for.
    pub(crate) fn new(query: &ListQuery, resume: Resume<T::Place>) -> Self {
        let mut listing = Self {
            prefix: query.prefix.clone(),
            delimiter: query.delimiter.clone().filter(|delimiter| !delimiter.is_empty()),
            limit: query.limit,
            end: end_of(query.prefix.as_bytes()),
            next: None,
            rolled: None,
            passed: 0,
            page: ListPage { entries: Vec::new(), truncated: false, unreadable: 0 },
        };
        if query.limit > 0 {
            listing.next = listing.first(query.after.as_deref(), resume);
        }
        listing
    }

    /// Where the next scan begins, and the bound that its keys stay below; none at the end. More than [`MAX_UNREADABLE`] unreadable rows
    /// end the listing as well: the page is then incomplete, and the caller must say so.
    pub(crate) fn next(&self) -> Option<(&Start<T::Place>, &[u8])> {
        let next = self.next.as_ref().filter(|_| self.page.unreadable <= MAX_UNREADABLE)?;
        Some((next, &self.end))
    }

    /// Takes the next row of a scan: its key as stored, its place among the rows of that key, and the row itself, which is read only if
    /// needed; none if it is unreadable.
    pub(crate) fn take<E>(
        &mut self,
        key: &[u8],
        place: impl FnOnce() -> Result<T::Place, E>,
        read: impl FnOnce() -> Result<Option<T>, E>,
    ) -> Result<Onward, E> {
        if self.rolled.as_ref().is_some_and(|common| key.starts_with(common.as_bytes())) {
            self.passed += 1;
            return Ok(if self.passed >= MAX_PASSED { Onward::Seek } else { Onward::Read });
        }
        self.rolled = None;
        let Some(row) = read()? else {
            self.page.unreadable += 1;
            self.go_past(key, place()?);
            return Ok(if self.page.unreadable > MAX_UNREADABLE { Onward::Seek } else { Onward::Read });
        };
        if self.page.entries.len() == self.limit {
            self.page.truncated = true;
            self.next = None;
            return Ok(Onward::Seek);
        }
        if let Some(common) = self.common_prefix(row.key()).map(str::to_owned) {
            self.next = Some(Start::At(end_of(common.as_bytes())));
            (self.rolled, self.passed) = (Some(common.clone()), 0);
            self.page.entries.push(ListEntry::Prefix { prefix: common, first: row });
        } else {
            self.go_past(key, place()?);
            self.page.entries.push(ListEntry::Item(row));
        }
        Ok(Onward::Read)
    }

    /// To be called when no row of the key follows that the last scan went through.
    pub(crate) fn end_key(&mut self, key: &[u8]) {
        self.next = Some(Start::At(next_key(key.to_vec())));
    }

    /// To be called when no row follows.
    pub(crate) fn end(&mut self) {
        self.next = None;
    }

    /// What was listed.
    pub(crate) fn into_page(self) -> ListPage<T> {
        self.page
    }

    fn first(&self, after: Option<&str>, resume: Resume<T::Place>) -> Option<Start<T::Place>> {
        let Some(after) = after.filter(|after| *after >= self.prefix.as_str()) else {
            return Some(Start::At(self.prefix.as_bytes().to_vec()));
        };
        if !after.starts_with(&self.prefix) {
            return None;
        }
        // What rolls up into the same common prefix as `after` would give an entry that is not greater than `after`.
        if let Some(common) = self.common_prefix(after) {
            return Some(Start::At(end_of(common.as_bytes())));
        }
        let key = after.as_bytes().to_vec();
        Some(match resume {
            Resume::PastKey => Start::At(next_key(key)),
            Resume::Within(place) => Start::After(key, place),
            Resume::WholeKey => Start::At(key),
        })
    }

    /// Reuses the memory of the previous key, since this happens for each row.
    fn go_past(&mut self, key: &[u8], place: T::Place) {
        if let Some(Start::After(last, last_place)) = &mut self.next {
            last.clear();
            last.extend_from_slice(key);
            *last_place = place;
        } else {
            self.next = Some(Start::After(key.to_vec(), place));
        }
    }

    fn common_prefix<'k>(&self, key: &'k str) -> Option<&'k str> {
        let delimiter = self.delimiter.as_deref()?;
        let rest = key.get(self.prefix.len()..)?;
        let at = rest.find(delimiter)?;
        key.get(..self.prefix.len() + at + delimiter.len())
    }
}

/// The least bound that is greater than every key that begins with `prefix`, and not greater than any key beyond those.
///
/// Incrementing the last byte is that bound, because whatever lies between begins with `prefix`. UTF-8 has no byte 0xFF, so
/// this never overflows, and 0xFF bounds all keys where the prefix is empty.
pub(crate) fn end_of(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    match end.last_mut() {
        Some(last) => *last = last.saturating_add(1),
        None => end.push(u8::MAX),
    }
    end
}

/// The least byte string greater than `key`.
pub(crate) fn next_key(mut key: Vec<u8>) -> Vec<u8> {
    key.push(0);
    key
}

#[cfg(test)]
#[path = "listing_tests.rs"]
mod tests;
