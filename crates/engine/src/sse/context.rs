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
    match pairs.get(ARN) {
        // Taken as it is, it would bind the data key to another object, or to none.
        Some(given) if *given != arn => {
            Err(Error::InvalidArgument(format!("{ARN} in the encryption context must be {arn}, or be left out.")))
        }
        _ => {
            pairs.insert(ARN.to_owned(), arn);
            Ok(EncryptionContext(pairs))
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn encoded(json: &str) -> String {
        STANDARD.encode(json)
    }

    #[test]
    fn a_data_key_is_bound_to_its_object_whatever_the_client_adds() {
        let context = object_context(Some(&encoded(r#"{"team":"a"}"#)), "b", "k").unwrap();
        let pairs: Vec<_> = context.0.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(pairs, [(ARN, "arn:aws:s3:::b/k"), ("team", "a")]);
        assert_eq!(
            object_context(Some(&encoded(r#"{"aws:s3:arn":"arn:aws:s3:::b/k"}"#)), "b", "k").unwrap(),
            object_context(None, "b", "k").unwrap()
        );
        let other = object_context(Some(&encoded(r#"{"aws:s3:arn":"arn:aws:s3:::b/other"}"#)), "b", "k");
        assert!(matches!(other, Err(Error::InvalidArgument(_))));
    }
}
