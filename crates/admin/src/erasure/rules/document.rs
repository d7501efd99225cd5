//! The rules: one sealed document for all of them. It is no document of a bucket, because a rule outlives its bucket.

use serde::{Deserialize, Serialize};
use strongroom_catalog::BucketId;
use strongroom_engine::elsewhere::Part;
use time::OffsetDateTime;

use crate::admin::Inner;
use crate::document;
use crate::http::ApiError;

const DOCUMENT: &str = "kms-erasure-rules";
/// The most rules that are still to be carried out.
const MAX_LIVE: usize = 500;
/// Of those that were carried out, the last are kept. Their receipts and audit records are kept in any case.
const MAX_ENDED: usize = 500;
/// So long the document may be with a new rule, in bytes of JSON. What is noted of rules later has room behind that.
const MAX_DOCUMENT_LEN: usize = 512 << 10;

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rule {
    pub(super) id: String,
    pub(super) bucket: String,
    /// A bucket of the same name that was made later does not inherit the rule.
    bucket_id: BucketId,
    pub(super) prefix: String,
    pub(crate) backend: String,
    pub(crate) key_id: String,
    pub(crate) added_by: String,
    #[serde(with = "time::serde::rfc3339")]
    pub(super) added: OffsetDateTime,
    /// When the key is to be destroyed.
    #[serde(with = "time::serde::rfc3339")]
    pub(super) at: OffsetDateTime,
    /// How it ended; none while it is still to be carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) end: Option<End>,
}

/// How a rule ended: its key is destroyed, and the receipt is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct End {
    #[serde(with = "time::serde::rfc3339")]
    pub(super) at: OffsetDateTime,
    /// Object versions of the bucket or the prefix that were not under the key.
    pub(super) objects_left: u64,
}

impl Rule {
    pub(super) fn new(part: Part, (backend, key_id): (String, String), added_by: String, [added, at]: [OffsetDateTime; 2]) -> Self {
        let Part { bucket, bucket_id, prefix } = part;
        let id = BucketId(strongroom_seal::random_array()).to_string();
        Self { id, bucket, bucket_id, prefix, backend, key_id, added_by, added, at, end: None }
    }

    /// What of the store it ends.
    pub(super) fn part(&self) -> Part {
        Part { bucket: self.bucket.clone(), bucket_id: self.bucket_id, prefix: self.prefix.clone() }
    }

    pub(super) fn is_live(&self) -> bool {
        self.end.is_none()
    }

    /// Stands in the receipt and in the audit log for the id of a request.
    pub(crate) fn request_id(&self) -> String {
        format!("erasure-rule:{}", self.id)
    }
}

/// Every rule, in the order in which they were added.
pub(super) async fn all(inner: &Inner) -> Result<Vec<Rule>, ApiError> {
    document::load(&*inner.parts.state, DOCUMENT).await
}

/// The rule of that id.
pub(super) async fn find(inner: &Inner, id: &str) -> Result<Rule, ApiError> {
    let found = all(inner).await?.into_iter().find(|rule| rule.id == id);
    found.ok_or_else(|| ApiError::not_found("There is no such erasure rule. GET /kms/erasure/rules lists those there are."))
}

/// Whether the rule is still to be carried out: nobody has removed it.
pub(super) async fn is_live(inner: &Inner, rule: &Rule) -> Result<bool, ApiError> {
    Ok(all(inner).await?.iter().any(|present| present.id == rule.id && present.is_live()))
}

/// Adds a rule, if no other one is still to end its key.
pub(super) async fn add(inner: &Inner, new: &Rule) -> Result<(), ApiError> {
    change(inner, |rules| {
        let mut live = rules.iter().filter(|rule| rule.is_live());
        if let Some(other) = live.clone().find(|other| (&other.backend, &other.key_id) == (&new.backend, &new.key_id)) {
            let text =
                format!("The erasure rule {} ends the key {} already. A key has one rule: remove that one first.", other.id, new.key_id);
            return Err(ApiError::conflict("Conflict", text));
        }
        if live.by_ref().count() >= MAX_LIVE {
            return Err(ApiError::conflict("Conflict", format!("There are {MAX_LIVE} erasure rules, the most there can be.")));
        }
        rules.push(new.clone());
        while len(rules) > MAX_DOCUMENT_LEN {
            let Some(oldest) = rules.iter().position(|rule| !rule.is_live()) else {
                return Err(ApiError::conflict("Conflict", "The erasure rules take too much room. Remove some, or use shorter prefixes."));
            };
            rules.remove(oldest);
        }
        Ok(())
    })
    .await
}

/// Removes a rule that is still to be carried out.
pub(super) async fn remove(inner: &Inner, id: &str) -> Result<(), ApiError> {
    change(inner, |rules| {
        rules.retain(|rule| rule.id != id);
        Ok(())
    })
    .await
}

/// Notes that a rule was carried out.
pub(super) async fn end(inner: &Inner, id: &str, end: End) -> Result<(), ApiError> {
    change(inner, |rules| {
        rules.iter_mut().filter(|rule| rule.id == id && rule.is_live()).for_each(|rule| rule.end = Some(end));
        while rules.iter().filter(|rule| !rule.is_live()).count() > MAX_ENDED {
            let Some(oldest) = rules.iter().position(|rule| !rule.is_live()) else { break };
            rules.remove(oldest);
        }
        Ok(())
    })
    .await
}

async fn change(inner: &Inner, apply: impl FnMut(&mut Vec<Rule>) -> Result<(), ApiError> + Send) -> Result<(), ApiError> {
    document::change(&*inner.parts.state, DOCUMENT, apply).await
}

fn len(rules: &[Rule]) -> usize {
    serde_json::to_vec(rules).map_or(usize::MAX, |json| json.len())
}
