//! Which rights each operation needs: one table. Rights to KMS keys are the engine's.

use strongroom_access::{Action, ConditionKey, Conditions, Decision, arn};
use strongroom_engine::Error;

use crate::{headers, operation::Operation, refusal::Refusal, request::Request};

/// Refuses the request unless the caller may do all that the operation needs.
pub(crate) fn authorize(operation: Operation, request: &Request) -> Result<(), Refusal> {
    let conditions = conditions(request)?;
    for (action, resource) in required(operation, request)? {
        permit(request, action, &resource, &conditions)?;
    }
    Ok(())
}

/// Refuses deleting one key of a DeleteObjects.
pub(crate) fn authorize_delete(request: &Request, key: &str, versioned: bool) -> Result<(), Refusal> {
    let action = if versioned { Action::DeleteObjectVersion } else { Action::DeleteObject };
    permit(request, action, &arn::object(&request.bucket, key), &conditions(request)?)
}

/// A caller that may not list the bucket does not learn whether a key is there.
pub(crate) fn hide_missing(request: &Request, bucket: &str, error: Error) -> Refusal {
    let may_list = || -> Result<bool, Refusal> {
        Ok(request.caller.identity.may(Action::ListBucket, &arn::bucket(bucket), &conditions(request)?) == Decision::Allow)
    };
    match error {
        Error::NoSuchKey | Error::NoSuchVersion | Error::DeleteMarker if !may_list().unwrap_or(false) => {
            Refusal::Engine(Error::AccessDenied)
        }
        error => Refusal::Engine(error),
    }
}

fn permit(request: &Request, action: Action, resource: &str, conditions: &Conditions) -> Result<(), Refusal> {
    match request.caller.identity.authorize(action, resource, conditions) {
        Ok(_) => Ok(()),
        Err(denied) => Err(Refusal::AccessDenied(denied.to_string())),
    }
}

fn conditions(request: &Request) -> Result<Conditions, Refusal> {
    let header = |name: &str| headers::filled(&request.headers, name);
    Ok(Conditions::new(request.caller.secure)
        .with_some(ConditionKey::Encryption, header("x-amz-server-side-encryption")?)
        .with_some(ConditionKey::EncryptionKeyId, header("x-amz-server-side-encryption-aws-kms-key-id")?)
        .with_some(ConditionKey::CustomerAlgorithm, header("x-amz-server-side-encryption-customer-algorithm")?)
        .with_some(ConditionKey::Prefix, request.query.get("prefix")?)
        .with_some(ConditionKey::Delimiter, request.query.get("delimiter")?))
}

/// Actions and the resources they are on.
fn required(operation: Operation, request: &Request) -> Result<Vec<(Action, String)>, Refusal> {
    let versioned = request.version_id()?.is_some();
    let by_version = |latest, version| if versioned { version } else { latest };
    let on_bucket = |action| vec![(action, arn::bucket(&request.bucket))];
    let on_object = |action| vec![(action, arn::object(&request.bucket, &request.key))];
    Ok(match operation {
        Operation::ListBuckets => vec![(Action::ListAllMyBuckets, arn::ALL_BUCKETS.to_owned())],
        Operation::CreateBucket => on_bucket(Action::CreateBucket),
        Operation::HeadBucket | Operation::ListObjects | Operation::ListObjectsV2 | Operation::GetBucketAcl => {
            on_bucket(Action::ListBucket)
        }
        Operation::ListObjectVersions => on_bucket(Action::ListBucketVersions),
        Operation::DeleteBucket => on_bucket(Action::DeleteBucket),
        Operation::GetBucketLocation => on_bucket(Action::GetBucketLocation),
        Operation::GetBucketVersioning => on_bucket(Action::GetBucketVersioning),
        Operation::GetBucketEncryption => on_bucket(Action::GetEncryptionConfiguration),
        Operation::PutBucketEncryption | Operation::DeleteBucketEncryption => on_bucket(Action::PutEncryptionConfiguration),
        Operation::ListMultipartUploads => on_bucket(Action::ListBucketMultipartUploads),
        // Each key by itself, in the operation.
        Operation::DeleteObjects => Vec::new(),
        Operation::PutObject | Operation::CreateMultipartUpload | Operation::UploadPart | Operation::CompleteMultipartUpload => {
            on_object(Action::PutObject)
        }
        Operation::CopyObject | Operation::UploadPartCopy => {
            let (bucket, key, version) = request.copy_source_name()?;
            let read = if version.is_some() { Action::GetObjectVersion } else { Action::GetObject };
            vec![(Action::PutObject, arn::object(&request.bucket, &request.key)), (read, arn::object(&bucket, &key))]
        }
        Operation::GetObject | Operation::HeadObject | Operation::GetObjectAcl => {
            on_object(by_version(Action::GetObject, Action::GetObjectVersion))
        }
        Operation::GetObjectAttributes => [
            on_object(by_version(Action::GetObject, Action::GetObjectVersion)),
            on_object(by_version(Action::GetObjectAttributes, Action::GetObjectVersionAttributes)),
        ]
        .concat(),
        Operation::DeleteObject => on_object(by_version(Action::DeleteObject, Action::DeleteObjectVersion)),
        Operation::AbortMultipartUpload => on_object(Action::AbortMultipartUpload),
        Operation::ListParts => on_object(Action::ListMultipartUploadParts),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use strongroom_access::{Identity, PolicySet, SecretKey};

    use super::*;
    use crate::request::tests::request;

    fn as_user(policies: &[&str], mut request: Request) -> Request {
        let policies = PolicySet::from_config(policies, None).unwrap();
        let user = Identity::user("user", "user-key", SecretKey::new("not a secret".to_owned()).unwrap(), policies).unwrap();
        request.caller.identity = Arc::new(user);
        request
    }

    #[test]
    fn a_copy_needs_the_right_to_read_its_source() {
        let request = request("", &[("x-amz-copy-source", "other/secret?versionId=1")]);
        let expected = vec![
            (Action::PutObject, "arn:aws:s3:::bucket/key".to_owned()),
            (Action::GetObjectVersion, "arn:aws:s3:::other/secret".to_owned()),
        ];
        assert_eq!(required(Operation::CopyObject, &request).unwrap(), expected);
        assert_eq!(required(Operation::UploadPartCopy, &request).unwrap(), expected);
    }

    #[test]
    fn a_version_needs_its_own_right() {
        let on_object = |action| vec![(action, "arn:aws:s3:::bucket/key".to_owned())];
        assert_eq!(required(Operation::GetObject, &request("", &[])).unwrap(), on_object(Action::GetObject));
        assert_eq!(required(Operation::GetObject, &request("versionId=1", &[])).unwrap(), on_object(Action::GetObjectVersion));
        assert_eq!(required(Operation::DeleteObject, &request("versionId=1", &[])).unwrap(), on_object(Action::DeleteObjectVersion));
    }

    #[test]
    fn a_reader_may_read_and_not_write() {
        assert!(authorize(Operation::GetObject, &as_user(&["readonly"], request("", &[]))).is_ok());
        assert!(matches!(authorize(Operation::PutObject, &as_user(&["readonly"], request("", &[]))), Err(Refusal::AccessDenied(_))));
        assert!(matches!(authorize_delete(&as_user(&["readonly"], request("", &[])), "key", false), Err(Refusal::AccessDenied(_))));
    }

    #[test]
    fn who_may_not_list_does_not_learn_what_is_missing() {
        let nobody = as_user(&[], request("", &[]));
        assert!(matches!(hide_missing(&nobody, "bucket", Error::NoSuchKey), Refusal::Engine(Error::AccessDenied)));
        assert!(matches!(hide_missing(&nobody, "bucket", Error::NoSuchBucket), Refusal::Engine(Error::NoSuchBucket)));
        assert!(matches!(hide_missing(&request("", &[]), "bucket", Error::NoSuchKey), Refusal::Engine(Error::NoSuchKey)));
    }
}
