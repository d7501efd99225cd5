//! The keys of the account and region that data can be encrypted with.

use aws_sdk_kms::Client;
use aws_sdk_kms::types;
use futures_util::{StreamExt, stream};
use strongroom_kms::{KeyMetadata, KeyPage, KmsError};

use crate::AwsKms;
use crate::fault::Call;
use crate::keys::{encrypts, is_customers};

/// Keys that AWS lists at once.
const PAGE_KEYS: i32 = 1000;
/// The default quota of an account and region is 100,000 keys. Source: AWS KMS resource quotas.
const MAX_PAGES: usize = 100;
/// Keys that are described at the same time.
const DESCRIBED_AT_ONCE: usize = 8;

impl AwsKms {
    /// AWS lists keys in no order and of all kinds, so every id is read and sorted, and as many are described as the page needs. A key that
    /// we may not describe is not ours to use and left out; if that is every key, the permission is what is missing.
    pub(super) async fn page(&self, after: Option<&str>, limit: usize) -> Result<KeyPage, KmsError> {
        let mut ids = self.key_ids().await?;
        ids.retain(|id| after.is_none_or(|after| id.as_str() > after));
        ids.sort_unstable();
        let mut candidates = stream::iter(ids).map(|id| self.candidate(id)).buffered(DESCRIBED_AT_ONCE);
        let (mut keys, mut denied, mut seen) = (Vec::new(), None, false);
        let mut more = false;
        while let Some(candidate) = candidates.next().await {
            match candidate {
                Ok(Some(_)) if keys.len() == limit => more = true,
                Ok(Some(key)) => keys.push(key),
                Ok(None) => seen = true,
                Err(error @ KmsError::Denied(_)) => denied = Some(error),
                Err(error) => return Err(error),
            }
            if more {
                break;
            }
        }
        if let Some(error) = denied.filter(|_| keys.is_empty() && !seen) {
            return Err(error);
        }
        let next = keys.last().filter(|_| more).map(|last: &KeyMetadata| last.key_id.clone());
        Ok(KeyPage { keys, next })
    }

    async fn key_ids(&self) -> Result<Vec<String>, KmsError> {
        let call = Call { action: "kms:ListKeys", key_id: "" };
        let (mut ids, mut marker) = (Vec::new(), None::<String>);
        for _ in 0..MAX_PAGES {
            let request = |aws: Client| aws.list_keys().limit(PAGE_KEYS).set_marker(marker.clone()).send();
            let page = self.connection.send(call, request).await.map_err(|fault| fault.into_error(call))?;
            ids.extend(page.keys.unwrap_or_default().into_iter().filter_map(|key| key.key_id));
            marker = page.next_marker.filter(|_| page.truncated);
            if marker.is_none() {
                return Ok(ids);
            }
        }
        Err(KmsError::Conflict("the account has more than 100,000 keys in this region, too many to list".to_owned()))
    }

    /// The key if it is one for the list; none if it is of another kind, or gone since it was listed.
    async fn candidate(&self, key_id: String) -> Result<Option<KeyMetadata>, KmsError> {
        let is_listed = |key: &types::KeyMetadata| is_customers(key) && encrypts(key);
        let shown = match self.description(&key_id).await {
            Ok(key) if is_listed(&key) => self.shown(&key).await,
            Ok(_) => return Ok(None),
            Err(error) => Err(error),
        };
        match shown {
            Ok(key) => Ok(Some(key)),
            Err(KmsError::KeyNotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
