//! Listings without what was altered. Each row is opened before it is shown, since name, size and date are authenticated by its record;
//! one that does not open is left out, counted and logged, as `ListBuckets` does. That something below a common prefix is genuine is
//! seen before the prefix is shown.

use strongroom_catalog::{Bucket, CatalogError, ListEntry as Found, ListPage as Rows, ListQuery};

use super::list::MAX_ENTRIES;
use crate::{
    Engine, Error,
    api::{ListEntry, ListPage},
};

/// So many altered rows a listing passes over. With more of them nothing is right, and it answers an error.
const MAX_DAMAGED: usize = 1000;

/// How many rows to open before other requests get a turn. It takes a tenth of a millisecond.
const OPENED_A_TURN: usize = 64;

/// A row of the catalog that can be listed.
pub(crate) trait Row: Sized + Send {
    /// What clients see of it.
    type Shown: Send;
    /// What tells rows of one key apart.
    type Marker: Copy + Send;

    /// A page of such rows: those behind the key of the query and, of that key itself, those behind the marker.
    fn page(
        engine: &Engine,
        query: ListQuery,
        after: Option<Self::Marker>,
    ) -> impl Future<Output = Result<Rows<Self>, CatalogError>> + Send;

    /// Where a listing goes on behind it: the key, and the marker.
    fn marker(&self) -> (String, Option<Self::Marker>);

    /// What clients see of it, if it is what was stored; else [`Error::Integrity`], already counted.
    fn open(self, engine: &Engine, bucket: &Bucket) -> Result<Self::Shown, Error>;
}

impl Engine {
    /// The genuine entries that `query` asks for. In place of one that is left out comes the next one.
    pub(crate) async fn genuine_page<T: Row>(
        &self,
        bucket: &Bucket,
        mut query: ListQuery,
        mut after_marker: Option<T::Marker>,
    ) -> Result<ListPage<T::Shown>, Error> {
        let limit = query.limit;
        let mut sieve = Sieve { engine: self, bucket, damaged: 0 };
        let mut entries = Vec::new();
        loop {
            query.limit = limit - entries.len();
            let rows = sieve.page::<T>(query.clone(), after_marker).await?;
            if let Some(last) = rows.entries.last() {
                (query.after, after_marker) = marker(last);
            }
            entries.reserve(rows.entries.len());
            for (opened, entry) in (1..).zip(rows.entries) {
                match entry {
                    Found::Item(row) => entries.extend(sieve.open(row)?.map(ListEntry::Item)),
                    Found::Prefix { prefix, first } => {
                        entries.extend(sieve.is_below(&prefix, first).await?.then_some(ListEntry::Prefix(prefix)));
                    }
                }
                if opened % OPENED_A_TURN == 0 {
                    tokio::task::yield_now().await;
                }
            }
            if !rows.truncated || entries.len() == limit {
                return Ok(ListPage { entries, truncated: rows.truncated });
            }
        }
    }
}

fn marker<T: Row>(entry: &Found<T>) -> (Option<String>, Option<T::Marker>) {
    match entry {
        Found::Item(row) => {
            let (key, of_key) = row.marker();
            (Some(key), of_key)
        }
        Found::Prefix { prefix, .. } => (Some(prefix.clone()), None),
    }
}

/// Lets genuine rows through, and counts the others.
struct Sieve<'a> {
    engine: &'a Engine,
    bucket: &'a Bucket,
    damaged: usize,
}

impl Sieve<'_> {
    async fn page<T: Row>(&mut self, query: ListQuery, after_marker: Option<T::Marker>) -> Result<Rows<T>, Error> {
        let found = T::page(self.engine, query, after_marker).await;
        let rows = found.map_err(|error| self.engine.integrity().note(error.into(), &self.bucket.name, ""))?;
        for _ in 0..rows.unreadable {
            let unreadable = Error::Integrity("a row of the bucket makes no sense".into());
            self.pass_over(self.engine.integrity().note(unreadable, &self.bucket.name, ""))?;
        }
        Ok(rows)
    }

    /// Whether a genuine row lies below the prefix: nearly always the first.
    async fn is_below<T: Row>(&mut self, prefix: &str, first: T) -> Result<bool, Error> {
        let (key, mut after_marker) = first.marker();
        if self.open(first)?.is_some() {
            return Ok(true);
        }
        let (bucket_id, prefix) = (self.bucket.id, prefix.to_owned());
        let mut query = ListQuery { bucket_id, prefix, delimiter: None, after: Some(key), limit: 1 };
        loop {
            let rows = self.page::<T>(query.clone(), after_marker).await?;
            if let Some(last) = rows.entries.last() {
                (query.after, after_marker) = marker(last);
            }
            for entry in rows.entries {
                if let Found::Item(row) = entry
                    && self.open(row)?.is_some()
                {
                    return Ok(true);
                }
            }
            if !rows.truncated {
                return Ok(false);
            }
            query.limit = (query.limit * 4).min(MAX_ENTRIES);
        }
    }

    fn open<T: Row>(&mut self, row: T) -> Result<Option<T::Shown>, Error> {
        match row.open(self.engine, self.bucket) {
            Ok(shown) => Ok(Some(shown)),
            Err(error) => self.pass_over(error).map(|()| None),
        }
    }

    fn pass_over(&mut self, error: Error) -> Result<(), Error> {
        self.damaged += 1;
        match error {
            Error::Integrity(_) if self.damaged <= MAX_DAMAGED => Ok(()),
            error => Err(error),
        }
    }
}
