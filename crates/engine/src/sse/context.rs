//! The encryption context that a data key is bound to.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use strongroom_kms::EncryptionContext;

use crate::Error;

/// The pair that binds a data key to what it protects. Source: Amazon S3 adds the same one.
const ARN: &str = "aws:s3:arn";
/// Amazon KMS takes contexts up to 8 KiB; so do HTTP headers.
const MAX_CONTEXT_LEN_BYTES: usize = 8 * 1024;

/// The pairs in the client's header: base64 of a JSON object whose values are strings.
pub(crate) fn parse_client_context(encoded: &str) -> Result<BTreeMap<String, String>, Error> {
    if encoded.len() > MAX_CONTEXT_LEN_BYTES {
        return Err(Error::KmsContextInvalid);
    }
    let json = STANDARD.decode(encoded).map_err(|_| Error::KmsContextInvalid)?;
    serde_json::from_slice(&json).map_err(|_| Error::KmsContextInvalid)
}

/// The context of an object's own data key: the client's pairs and the object's ARN.
pub(crate) fn object_context(client: Option<&str>, bucket: &str, key: &str) -> Result<EncryptionContext, Error> {
    with_arn(client, format!("arn:aws:s3:::{bucket}/{key}"))
}

/// The context of a bucket-level data key: the client's pairs and the bucket's ARN.
pub(crate) fn bucket_context(client: Option<&str>, bucket: &str) -> Result<EncryptionContext, Error> {
    with_arn(client, format!("arn:aws:s3:::{bucket}"))
}

fn with_arn(client: Option<&str>, arn: String) -> Result<EncryptionContext, Error> {
    let mut pairs = client.map(parse_client_context).transpose()?.unwrap_or_default();
    pairs.entry(ARN.to_owned()).or_insert(arn);
    Ok(EncryptionContext(pairs))
}
