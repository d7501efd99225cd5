//! Prefix, delimiter and paging, folded over scans of rows in order. Engine-neutral: an engine only answers [`Scan`]s.

use crate::{ListEntry, ListPage, ListQuery, MAX_UNREADABLE, UnixMillis, Upload, Version};

/// The most rows that one scan asks for.
const MAX_BATCH: usize = 1001;
/// What the first scan asks for where a delimiter may make most rows superfluous.
const FIRST_BATCH: usize = 16;

/// A row that can be listed.
pub(crate) trait Listed {
    /// What orders the rows of one key.
    type Place: Clone;

    /// The object key.
    fn key(&self) -> &str;
}

impl Listed for Version {
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

/// A row that a scan came by. Where it stands is known even of one that makes no sense.
pub(crate) struct Scanned<T: Listed> {
    /// The object key as it is stored.
    pub(crate) key: Vec<u8>,
    /// Where it stands among the rows of its key.
    pub(crate) place: T::Place,
    /// None where it makes no sense.
    pub(crate) row: Option<T>,
}

/// Where a scan begins. Keys compare as bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Start<P> {
    /// The first row whose key is not less.
    At(Vec<u8>),
    /// The first row after this place of this key.
    After(Vec<u8>, P),
}

/// A request for the next rows in order.
#[derive(Clone, Debug)]
pub(crate) struct Scan<P> {
    /// Where it begins.
    pub(crate) start: Start<P>,
    /// Only keys less than this one.
    pub(crate) end: Vec<u8>,
    /// At the most so many rows; fewer only where no more follow.
    pub(crate) limit: usize,
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

/// Lists what `query` asks for, from as many scans as that takes. Stops where more than [`MAX_UNREADABLE`] rows make no sense: the page
/// is then not whole, and its caller has to say so.
pub(crate) fn list<T: Listed, E>(
    query: &ListQuery,
    resume: Resume<T::Place>,
    mut scan: impl FnMut(&Scan<T::Place>) -> Result<Vec<Scanned<T>>, E>,
) -> Result<ListPage<T>, E> {
    let mut fold = Fold::new(query, resume);
    while let Some(wanted) = fold.wanted() {
        let rows = scan(&wanted)?;
        fold.take(rows, wanted.limit);
    }
    Ok(fold.page)
}

/// The least bound greater than every key that begins with `prefix`, and not greater than any other key beyond those.
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

/// The state between two scans.
struct Fold<'q, T: Listed> {
    prefix: &'q str,
    delimiter: Option<&'q str>,
    limit: usize,
    end: Vec<u8>,
    /// Where the next scan begins; none when the page is complete.
    start: Option<Start<T::Place>>,
    batch: usize,
    page: ListPage<T>,
}

impl<'q, T: Listed> Fold<'q, T> {
    fn new(query: &'q ListQuery, resume: Resume<T::Place>) -> Self {
        let delimiter = query.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty());
        let mut fold = Self {
            prefix: &query.prefix,
            delimiter,
            limit: query.limit,
            end: end_of(query.prefix.as_bytes()),
            start: None,
            batch: if delimiter.is_some() { FIRST_BATCH } else { MAX_BATCH },
            page: ListPage { entries: Vec::new(), truncated: false, unreadable: 0 },
        };
        if query.limit > 0 {
            fold.start = fold.first(query.after.as_deref(), resume);
        }
        fold
    }

    fn first(&self, after: Option<&str>, resume: Resume<T::Place>) -> Option<Start<T::Place>> {
        let Some(after) = after.filter(|after| *after >= self.prefix) else {
            return Some(Start::At(self.prefix.as_bytes().to_vec()));
        };
        if !after.starts_with(self.prefix) {
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

    fn wanted(&self) -> Option<Scan<T::Place>> {
        let start = self.start.clone().filter(|_| self.page.unreadable <= MAX_UNREADABLE)?;
        let missing = (self.limit - self.page.entries.len()).saturating_add(1);
        Some(Scan { start, end: self.end.clone(), limit: self.batch.min(missing) })
    }

    fn take(&mut self, rows: Vec<Scanned<T>>, asked: usize) {
        let more = rows.len() >= asked;
        let mut rolled: Option<String> = None;
        self.start = None;
        let mut last = None;
        for Scanned { key, place, row } in rows {
            if rolled.as_deref().is_some_and(|common| key.starts_with(common.as_bytes())) {
                continue;
            }
            let Some(row) = row else {
                self.page.unreadable += 1;
                (rolled, last) = (None, Some(Start::After(key, place)));
                continue;
            };
            if self.page.entries.len() == self.limit {
                self.page.truncated = true;
                return;
            }
            rolled = self.common_prefix(row.key()).map(str::to_owned);
            if let Some(common) = &rolled {
                self.page.entries.push(ListEntry::Prefix { prefix: common.clone(), first: row });
            } else {
                last = Some(Start::After(key, place));
                self.page.entries.push(ListEntry::Item(row));
            }
        }
        if more {
            self.go_on(rolled, last);
        }
    }

    /// A batch that ended under a common prefix probably read rows for nothing: the next one is smaller.
    fn go_on(&mut self, rolled: Option<String>, last: Option<Start<T::Place>>) {
        if let Some(common) = rolled {
            self.batch = (self.batch / 2).max(2);
            self.start = Some(Start::At(end_of(common.as_bytes())));
        } else {
            self.batch = (self.batch * 2).min(MAX_BATCH);
            self.start = last;
        }
    }

    fn common_prefix<'k>(&self, key: &'k str) -> Option<&'k str> {
        let delimiter = self.delimiter?;
        let rest = key.get(self.prefix.len()..)?;
        let at = rest.find(delimiter)?;
        key.get(..self.prefix.len() + at + delimiter.len())
    }
}

/// The least byte string greater than `key`.
pub(crate) fn next_key(mut key: Vec<u8>) -> Vec<u8> {
    key.push(0);
    key
}

#[cfg(test)]
#[path = "listing_tests.rs"]
mod tests;
