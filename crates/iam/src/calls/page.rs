//! Listings by pages.

use serde_json::{Value, json};

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
