//! Listing: of the project's secrets those that look like keys, in the order of their ids.

use std::collections::BTreeMap;

use futures_util::{StreamExt, TryStreamExt, stream};
use strongroom_kms::{KeyMetadata, KeyPage, KmsError, MAX_PAGE_KEYS};

use crate::BarbicanKms;
use crate::client::Client;
use crate::describe::describe;
use crate::secrets::Secret;

/// The most secrets of a project that are looked at.
const MAX_SECRETS: usize = 10_000;
/// Barbican's usual maximum of a page.
const PAGE_SECRETS: usize = 100;
/// How often a list is read that changes meanwhile.
const MAX_READS: usize = 3;
/// How many keys are described at once.
const CONCURRENT_DESCRIPTIONS: usize = 8;

impl BarbicanKms {
    /// Up to `limit` keys after `after`.
    pub(crate) async fn list(&self, after: Option<&str>, limit: usize) -> Result<KeyPage, KmsError> {
        if limit == 0 {
            return Err(KmsError::InvalidArgument("the limit of a list is at least 1".to_owned()));
        }
        let limit = limit.min(MAX_PAGE_KEYS);
        // Barbican sorts by time, pages are by id: the whole list is needed.
        let secrets = self.client.all_secrets("bits=256").await?;
        let candidates =
            secrets.into_iter().filter(|(id, secret)| after.is_none_or(|after| id.as_str() > after) && secret.looks_like_a_key());
        let described = stream::iter(candidates)
            .map(|(id, secret)| async move { self.describe_listed(&id, &secret).await })
            .buffered(CONCURRENT_DESCRIPTIONS);
        // One more than asked for tells whether there is a further page.
        let mut keys: Vec<KeyMetadata> = described.try_filter_map(async |key| Ok(key)).take(limit + 1).try_collect().await?;
        let has_more = keys.len() > limit;
        keys.truncate(limit);
        let next = keys.last().filter(|_| has_more).map(|key| key.key_id.clone());
        Ok(KeyPage { keys, next })
    }

    /// Nothing for a secret that is gone meanwhile, that another user keeps private, or whose metadata is damaged.
    async fn describe_listed(&self, id: &str, secret: &Secret) -> Result<Option<KeyMetadata>, KmsError> {
        match self.record(id).await.and_then(|record| describe(id, secret, record)) {
            Ok(key) => Ok(Some(key)),
            Err(KmsError::KeyNotFound(_)) => Ok(None),
            Err(error @ (KmsError::Denied(_) | KmsError::Broken(_))) => {
                tracing::warn!(secret = id, %error, "left out of the list of keys");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

impl Client {
    /// All secrets that Barbican's `filter` lets through, by id.
    pub(crate) async fn all_secrets(&self, filter: &str) -> Result<BTreeMap<String, Secret>, KmsError> {
        for _ in 0..MAX_READS {
            if let Some(secrets) = self.read_secrets(filter).await? {
                return Ok(secrets);
            }
        }
        Err(KmsError::Unavailable("the list of secrets changes faster than it can be read".to_owned()))
    }

    /// Nothing if some were added or deleted meanwhile: pages shift then, and a secret between two of them would be missed.
    async fn read_secrets(&self, filter: &str) -> Result<Option<BTreeMap<String, Secret>>, KmsError> {
        let (mut found, mut offset, mut expected) = (BTreeMap::new(), 0, None);
        loop {
            let page = self.secrets(filter, PAGE_SECRETS, offset).await?;
            if page.total > MAX_SECRETS {
                let text = format!("the project has more than {MAX_SECRETS} secrets of 256 bits: give the keys a project of their own");
                return Err(KmsError::Conflict(text));
            }
            if *expected.get_or_insert(page.total) != page.total {
                return Ok(None);
            }
            // A server may give fewer than asked for.
            offset += page.secrets.len();
            let is_last = page.secrets.is_empty() || offset >= page.total;
            found.extend(page.secrets.into_iter().filter_map(|secret| secret.id().map(|id| (id, secret))));
            if is_last {
                return Ok((found.len() == page.total).then_some(found));
            }
        }
    }
}
