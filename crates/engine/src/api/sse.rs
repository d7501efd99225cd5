//! Encryption headers as they arrive, the caller they arrive from, and what is answered.

use std::{net::IpAddr, sync::Arc};

use strongroom_access::Identity;
use strongroom_catalog::VersionId;
use strongroom_seal::Mode;
use zeroize::Zeroizing;

/// Who calls, and how.
#[derive(Clone)]
pub struct Caller {
    /// The identity whose signature was verified.
    pub identity: Arc<Identity>,
    /// Whether the request came over TLS (or through a trusted proxy that says so): `aws:SecureTransport` of policies.
    pub secure: bool,
    /// Whether customer keys are taken from it: where it is secure, or a development setting takes them from loopback.
    pub sse_c_allowed: bool,
    /// `x-amz-expected-bucket-owner`: every object operation finds the request's bucket to be this identity's, or is refused.
    pub expected_owner: Option<String>,
    /// The versions by whose tags or ACL it was decided that the caller may.
    pub seen: Seen,
    /// The request's id, as the client gets it.
    pub request_id: String,
    /// Where it came from: behind a trusted proxy what that one says. None where it says nothing that is an address.
    pub peer: Option<IpAddr>,
    /// S3's name of the operation, for the audit log.
    pub operation: &'static str,
}

/// The versions that a request was decided by. Another one that has taken the place of such a version since is not read: nobody decided on it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// Of the request's object.
    pub object: Option<VersionId>,
    /// Of a copy's source.
    pub source: Option<VersionId>,
}

/// The SSE-C trio, unchecked: for the object of the request, or (`x-amz-copy-source-…`) for a copy's source.
#[derive(Default)]
pub struct CustomerKeyHeaders {
    /// `…-customer-algorithm`
    pub algorithm: Option<String>,
    /// `…-customer-key`, base64.
    pub key: Option<Zeroizing<String>>,
    /// `…-customer-key-MD5`, base64.
    pub key_md5: Option<String>,
}

impl CustomerKeyHeaders {
    /// Whether any of the three is there.
    pub fn any(&self) -> bool {
        self.algorithm.is_some() || self.key.is_some() || self.key_md5.is_some()
    }
}

/// Every encryption header of a request, unchecked. One function of the engine decides what they mean.
#[derive(Default)]
pub struct SseHeaders {
    /// `x-amz-server-side-encryption`
    pub algorithm: Option<String>,
    /// `x-amz-server-side-encryption-aws-kms-key-id`
    pub kms_key_id: Option<String>,
    /// `x-amz-server-side-encryption-context`, base64 of a JSON object of strings.
    pub kms_context: Option<String>,
    /// `x-amz-server-side-encryption-bucket-key-enabled`
    pub bucket_key_enabled: Option<bool>,
    /// The SSE-C trio.
    pub customer: CustomerKeyHeaders,
}

/// How an object is encrypted, as response headers tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SseReply {
    /// The mode; [`Mode::Store`] answers no encryption header at all.
    pub mode: Mode,
    /// The KMS key id as the client gave it, else the default key's. None for SSE-C and [`Mode::Store`].
    pub kms_key_id: Option<String>,
    /// Only with the KMS modes.
    pub bucket_key_enabled: bool,
    /// The encryption context as the client gave it (base64); answered to writes only.
    pub kms_context: Option<String>,
    /// SSE-C: base64 of the MD5 of the key.
    pub customer_key_md5: Option<String>,
}
