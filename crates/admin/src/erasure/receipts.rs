//! Signed erasure receipts, kept for good in documents of a bounded size.

use serde::{Deserialize, Serialize};
use strongroom_audit::SignedReceipt;
use utoipa::{IntoParams, ToSchema};

use crate::admin::Inner;
use crate::document;
use crate::http::{ApiError, Call, Query, Subject};

/// The document that says how many others there are.
const INDEX: &str = "kms-receipts";
/// So long a document of receipts gets before the next one is begun, in bytes of JSON.
const MAX_DOCUMENT_LEN: usize = 256 << 10;
const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1000;

#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
struct Index {
    documents: u32,
}

/// Which receipts.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct Page {
    /// That of this key only.
    key_id: Option<String>,
    /// The most receipts of a page, 1 to 1000.
    limit: Option<usize>,
    /// The `next_marker` of the page before.
    marker: Option<usize>,
}

impl Subject for Page {}

/// A page of receipts, the oldest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReceiptList {
    #[schema(value_type = Vec<ReceiptShape>)]
    receipts: Vec<SignedReceipt>,
    truncated: bool,
    next_marker: Option<usize>,
    /// The server's public key in hexadecimal digits. Compare it with the one you know.
    public_key: String,
}

/// Signed proof that a key was destroyed.
#[derive(ToSchema)]
#[schema(as = SignedReceipt)]
#[allow(dead_code, reason = "only described")]
pub(crate) struct ReceiptShape {
    receipt: ReceiptContent,
    public_key: String,
    signature: String,
}

/// What is signed.
#[derive(ToSchema)]
#[schema(as = Receipt)]
#[allow(dead_code, reason = "only described")]
struct ReceiptContent {
    audit_seq: u64,
    backend: String,
    buckets: Vec<String>,
    bytes: u64,
    erased_at: String,
    key_id: String,
    /// Absent in receipts of earlier releases.
    locked_versions: Option<u64>,
    objects: u64,
    request_id: String,
    requested_by: String,
}

pub(crate) async fn list(call: Call, Query(page): Query<Page>) -> Result<ReceiptList, ApiError> {
    let limit = page.limit.unwrap_or(DEFAULT_LIMIT);
    if limit == 0 || limit > MAX_LIMIT {
        return Err(ApiError::invalid(format!("limit: expected 1 to {MAX_LIMIT}")));
    }
    let wanted = |receipt: &SignedReceipt| page.key_id.as_ref().is_none_or(|key_id| receipt.receipt.key_id == *key_id);
    let skipped = page.marker.unwrap_or(0);
    let mut receipts: Vec<_> = all(&call.inner).await?.into_iter().filter(wanted).skip(skipped).take(limit + 1).collect();
    let truncated = receipts.len() > limit;
    receipts.truncate(limit);
    let public_key = call.inner.parts.audit.public_key().to_hex();
    Ok(ReceiptList { next_marker: truncated.then_some(skipped + limit), receipts, truncated, public_key })
}

/// That of a key, if it was destroyed.
pub(crate) async fn find(inner: &Inner, backend: &str, key_id: &str) -> Result<Option<SignedReceipt>, ApiError> {
    Ok(all(inner).await?.into_iter().find(|receipt| is_of(receipt, backend, key_id)))
}

/// Keeps a receipt, unless there is one of the key.
pub(super) async fn keep(inner: &Inner, receipt: SignedReceipt) -> Result<(), ApiError> {
    let state = &*inner.parts.state;
    loop {
        let Index { documents } = document::load(state, INDEX).await?;
        let name = name(documents);
        let kept = document::change(state, &name, |receipts: &mut Vec<SignedReceipt>| {
            let len = serde_json::to_vec(receipts).map_or(0, |json| json.len());
            if len > MAX_DOCUMENT_LEN {
                return Ok(false);
            }
            if !receipts.iter().any(|other| is_of(other, &receipt.receipt.backend, &receipt.receipt.key_id)) {
                receipts.push(receipt.clone());
            }
            Ok(true)
        });
        if kept.await? {
            return Ok(());
        }
        document::change(state, INDEX, |index: &mut Index| {
            index.documents = index.documents.max(documents + 1);
            Ok(())
        })
        .await?;
    }
}

async fn all(inner: &Inner) -> Result<Vec<SignedReceipt>, ApiError> {
    let state = &*inner.parts.state;
    let Index { documents } = document::load(state, INDEX).await?;
    let mut receipts = Vec::new();
    for number in 0..=documents {
        let mut some: Vec<SignedReceipt> = document::load(state, &name(number)).await?;
        receipts.append(&mut some);
    }
    Ok(receipts)
}

fn name(number: u32) -> String {
    format!("kms-receipts-{number}")
}

fn is_of(receipt: &SignedReceipt, backend: &str, key_id: &str) -> bool {
    receipt.receipt.backend == backend && receipt.receipt.key_id == key_id
}
