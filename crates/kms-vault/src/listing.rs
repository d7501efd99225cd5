//! Pages of keys over a server that lists names only, all at once.

use futures_util::{StreamExt, stream};
use serde::Deserialize;
use strongroom_kms::{KeyMetadata, KeyPage, KmsError, MAX_PAGE_KEYS, resolve_key_id};

use crate::http::{Answer, data};

/// The most keys a mount or folder may hold.
pub(crate) const MAX_KEYS: usize = 10_000;
/// How many keys are read at the same time.
const READS_AT_ONCE: usize = 8;

/// The names that an answer to LIST holds, in their order, without those that cannot be key ids.
pub(crate) fn names(answer: Answer, path: &str) -> Result<Vec<String>, KmsError> {
    #[derive(Deserialize)]
    struct Names {
        keys: Vec<String>,
    }
    let Names { keys } = match answer {
        Answer::Done(body) => data(&body, path)?,
        Answer::Missing(_) => return Ok(Vec::new()),
        Answer::Refused(words) => return Err(KmsError::Unavailable(format!("Vault refused to list {path}: {words}"))),
    };
    if keys.len() > MAX_KEYS {
        return Err(KmsError::Conflict(format!("{path} of Vault holds more than {MAX_KEYS} names: give the store a mount of its own")));
    }
    let mut names: Vec<String> = keys.into_iter().filter(|name| resolve_key_id(name).is_ok_and(|id| id == name)).collect();
    names.sort_unstable();
    Ok(names)
}

/// The page of up to `limit` keys after `after`. What is gone by the time it is read, or is no key of the store, is left out.
pub(crate) async fn page<F>(
    names: Vec<String>,
    after: Option<&str>,
    limit: usize,
    describe: impl Fn(String) -> F,
) -> Result<KeyPage, KmsError>
where
    F: Future<Output = Result<KeyMetadata, KmsError>>,
{
    if limit == 0 {
        return Err(KmsError::InvalidArgument("limit must be at least 1".to_owned()));
    }
    let limit = limit.min(MAX_PAGE_KEYS);
    let start = after.map_or(0, |after| names.partition_point(|name| name.as_str() <= after));
    let mut described = stream::iter(names.into_iter().skip(start).map(describe)).buffered(READS_AT_ONCE);
    let mut keys: Vec<KeyMetadata> = Vec::new();
    while let Some(key) = described.next().await {
        match key {
            Ok(_) if keys.len() == limit => {
                let next = keys.last().map(|last| last.key_id.clone());
                return Ok(KeyPage { keys, next });
            }
            Ok(key) => keys.push(key),
            Err(KmsError::KeyNotFound(_) | KmsError::KeyErased(_) | KmsError::Conflict(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(KeyPage { keys, next: None })
}
