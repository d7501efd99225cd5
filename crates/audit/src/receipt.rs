//! Signed proof that a key was erased, and of what was lost with it.

use serde::{Deserialize, Serialize};

use crate::{PublicKey, SigningKey};

const DOMAIN: &str = "strongroom/audit/erasure-receipt/v1\n";

/// What an erasure receipt states. The members are in the order of their names: that is the canonical JSON that is signed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The number of the audit record of the erasure.
    pub audit_seq: u64,
    /// The KMS backend that erased the key.
    pub backend: String,
    /// The buckets of those objects, in order.
    pub buckets: Vec<String>,
    /// Bytes of plaintext that cannot be read any more.
    pub bytes: u64,
    /// When, in RFC 3339.
    pub erased_at: String,
    /// The key.
    pub key_id: String,
    /// How many of those objects Object Lock kept when the key was destroyed. None in receipts of releases that did not count them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locked_versions: Option<u64>,
    /// Objects that cannot be read any more.
    pub objects: u64,
    /// The id of the request that asked for it; `erasure-rule:<id>` of a rule whose date had come.
    pub request_id: String,
    /// Who asked for it.
    pub requested_by: String,
}

/// A receipt with its signature. Give it away as it is: [`verify_receipt`] needs nothing else but the public key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedReceipt {
    /// What is stated.
    pub receipt: Receipt,
    /// The key that signed, in hexadecimal digits. Compare it with the one you know.
    pub public_key: String,
    /// Ed25519, in hexadecimal digits.
    pub signature: String,
}

/// Why a receipt does not count.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// Another key signed it.
    #[error("the receipt was signed by another key")]
    OtherKey,
    /// The signature is not over this receipt.
    #[error("the receipt was altered, or its signature is wrong")]
    BadSignature,
}

/// Signs a receipt.
pub fn sign_receipt(key: &SigningKey, receipt: Receipt) -> SignedReceipt {
    let signature = key.sign(&signed_bytes(&receipt));
    SignedReceipt { receipt, public_key: key.public_key().to_hex(), signature }
}

/// Whether `key` signed this very receipt.
pub fn verify_receipt(signed: &SignedReceipt, key: &PublicKey) -> Result<(), ReceiptError> {
    if signed.public_key != key.to_hex() {
        return Err(ReceiptError::OtherKey);
    }
    if key.verifies(&signed_bytes(&signed.receipt), &signed.signature) { Ok(()) } else { Err(ReceiptError::BadSignature) }
}

/// The domain and the canonical JSON: members in the order of their names, no white space, UTF-8.
fn signed_bytes(receipt: &Receipt) -> Vec<u8> {
    let mut bytes = DOMAIN.as_bytes().to_vec();
    // Strings and numbers always serialise, and into memory.
    let _ = serde_json::to_writer(&mut bytes, receipt);
    bytes
}
