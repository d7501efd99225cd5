//! Listings by pages.

use serde_json::{Value, json};
use strongroom_catalog::EntityName;

use crate::{
    IamError,
    call::Call,
    directory::{Record, Seen},
    name,
    query::PageRequest,
};

/// So many records a page looks at, whatever it leaves out: the rest is for the next one.
const MAX_LOOKED_AT: usize = 10_000;
const STEP: usize = 500;

/// Records of a page, and where the next one begins.
pub(crate) struct Page<R> {
    pub(crate) records: Vec<R>,
    pub(crate) next: Option<String>,
}

impl<R> Page<R> {
    /// `{list: […], IsTruncated, Marker}`
    pub(crate) fn answer(&self, list: &str, shape: impl Fn(&R) -> Value) -> Value {
        let items: Vec<Value> = self.records.iter().map(shape).collect();
        json!({list: items, "IsTruncated": self.next.is_some(), "Marker": self.next})
    }
}

/// A page of the records of a kind in the caller's account that `keep` keeps.
pub(crate) async fn of_account<R: Record>(call: &Call<'_>, keep: impl Fn(&R) -> bool + Send) -> Result<Page<R>, IamError> {
    collect::<R, R>(call, None, keep).await
}

/// A page of those that refer to one.
pub(crate) async fn referring<To: Record, R: Record>(
    call: &Call<'_>,
    to: &str,
    keep: impl Fn(&R) -> bool + Send,
) -> Result<Page<R>, IamError> {
    collect::<To, R>(call, Some(to), keep).await
}

async fn collect<To: Record, R: Record>(call: &Call<'_>, to: Option<&str>, keep: impl Fn(&R) -> bool + Send) -> Result<Page<R>, IamError> {
    let PageRequest { mut after, limit } = call.params.page()?;
    let (mut records, mut looked_at) = (Vec::new(), 0);
    loop {
        let step = match to {
            Some(to) => call.directory().referring::<To, R>(&call.account, to, after.as_deref(), STEP).await?,
            None => call.directory().list::<R>(&call.account, after.as_deref(), STEP).await?,
        };
        let is_last = step.len() < STEP;
        looked_at += step.len();
        for Seen { record, .. } in step {
            if records.len() == limit {
                return Ok(Page { records, next: after });
            }
            after = Some(record.name());
            if keep(&record) {
                records.push(record);
            }
        }
        if is_last {
            return Ok(Page { records, next: None });
        }
        if looked_at >= MAX_LOOKED_AT {
            return Ok(Page { records, next: after });
        }
    }
}

/// A page over several kinds, one after the other. Its marker is a kind and a name, as in `group/readers`.
pub(crate) struct Walk<'a> {
    call: &'a Call<'a>,
    /// The kind at which the page begins, and the last name of it that an earlier page had.
    from: Option<(String, String)>,
    room: usize,
    /// Where the next page begins, if there is more.
    pub(crate) next: Option<String>,
}

impl<'a> Walk<'a> {
    /// `kinds`: those that the walk may come to.
    pub(crate) fn begin(call: &'a Call<'a>, kinds: &[&str]) -> Result<Self, IamError> {
        let PageRequest { after, limit } = call.params.page()?;
        let from = after.map(|marker| {
            let (kind, name) = marker.split_once('/').filter(|(kind, _)| kinds.contains(kind))?;
            Some((kind.to_owned(), name.to_owned()))
        });
        let malformed = || IamError::validation("The parameter Marker is none that an earlier page gave.");
        Ok(Self { call, from: from.map(|from| from.ok_or_else(malformed)).transpose()?, room: limit, next: None })
    }

    /// Those of the next kind that the account has, as far as the page has room.
    pub(crate) async fn all<R: Record>(&mut self) -> Result<Vec<R>, IamError> {
        self.take(None).await
    }

    /// Those of the next kind that refer to an entity.
    pub(crate) async fn referring<R: Record>(&mut self, to: &EntityName) -> Result<Vec<R>, IamError> {
        self.take(Some(to)).await
    }

    async fn take<R: Record>(&mut self, to: Option<&EntityName>) -> Result<Vec<R>, IamError> {
        // An earlier page had all of this kind, or this one is full.
        if self.next.is_some() || self.from.as_ref().is_some_and(|(kind, _)| kind != R::WHAT) {
            return Ok(Vec::new());
        }
        let after = self.from.take().map(|(_, name)| name).filter(|name| !name.is_empty());
        let (directory, account, one_more) = (self.call.directory(), &self.call.account, self.room + 1);
        let mut seen = match to {
            Some(to) => directory.referring_to::<R>(to.clone(), account, after.as_deref(), one_more).await?,
            None => directory.list::<R>(account, after.as_deref(), one_more).await?,
        };
        if seen.len() > self.room {
            seen.truncate(self.room);
            let last = seen.last().map(|last| last.record.name()).or(after).unwrap_or_default();
            self.next = Some(format!("{}/{last}", R::WHAT));
        }
        self.room -= seen.len();
        Ok(seen.into_iter().map(|seen| seen.record).collect())
    }
}

/// A page of the names or ARNs that a record holds, in their order.
pub(crate) fn of_names(request: &PageRequest, names: impl Iterator<Item = String>) -> Page<String> {
    let mut names: Vec<String> = names.filter(|name| request.after.as_ref().is_none_or(|after| name > after)).collect();
    names.sort();
    let next = (names.len() > request.limit).then(|| names[request.limit - 1].clone());
    names.truncate(request.limit);
    Page { records: names, next }
}

/// `PathPrefix`, where the client gave one.
pub(crate) fn path_prefix(call: &Call<'_>) -> Result<String, IamError> {
    let prefix = call.params.get("PathPrefix").filter(|prefix| !prefix.is_empty()).unwrap_or(name::ROOT_PATH);
    name::check_path_prefix(prefix)?;
    Ok(prefix.to_owned())
}

/// `Path`, or the root.
pub(crate) fn path(call: &Call<'_>, parameter: &'static str) -> Result<String, IamError> {
    let path = call.params.get(parameter).filter(|path| !path.is_empty()).unwrap_or(name::ROOT_PATH);
    name::check_path("path", path)?;
    Ok(path.to_owned())
}
