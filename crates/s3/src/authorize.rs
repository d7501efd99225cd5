//! Which rights each operation needs: one table. Rights to KMS keys are the engine's.

use strongroom_access::{Action, ConditionKey, Conditions, Decision, arn};
use strongroom_engine::{
    Engine, Error,
    api::{Mode, SseReply},
};
use strongroom_kms::resolve_key_id;

use crate::{headers, operation::Operation, refusal::Refusal, request::Request};

/// Refuses the request unless the caller may do all that the operation needs.
pub(crate) async fn authorize(engine: &Engine, operation: Operation, request: &Request) -> Result<(), Refusal> {
    let of_upload = matches!(operation, Operation::UploadPart | Operation::UploadPartCopy | Operation::CompleteMultipartUpload);
    // Root needs no conditions.
    let upload = if of_upload && !request.caller.identity.is_root() { upload_encryption(engine, request).await? } else { None };
    permit_all(operation, request, upload.as_ref())
}

/// None where there is no such upload: the operation will say so to who may hear it.
async fn upload_encryption(engine: &Engine, request: &Request) -> Result<Option<SseReply>, Refusal> {
    match engine.upload_encryption(&request.upload()?).await {
        Ok(encryption) => Ok(Some(encryption)),
        Err(Error::NoSuchBucket | Error::NoSuchUpload) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn permit_all(operation: Operation, request: &Request, upload: Option<&SseReply>) -> Result<(), Refusal> {
    let conditions = upload.map_or_else(|| conditions(request), |upload| Ok(conditions_of_upload(request, upload)))?;
    let mut required = required(operation, request)?;
    if compares_etag(operation) && headers::filled(&request.headers, "if-match")?.is_some() {
        required.push((Action::GetObject, arn::object(&request.bucket, &request.key)));
    }
    required.iter().try_for_each(|(action, resource)| permit(request, *action, resource, &conditions))
}

/// Writes that take `If-Match`. Whether it holds tells of the object that is there, so they need the right to read it too.
fn compares_etag(operation: Operation) -> bool {
    matches!(operation, Operation::PutObject | Operation::CopyObject | Operation::CompleteMultipartUpload | Operation::DeleteObject)
}

/// Refuses deleting one key of a DeleteObjects, by its ETag or without.
pub(crate) fn authorize_delete(request: &Request, key: &str, versioned: bool, by_etag: bool) -> Result<(), Refusal> {
    let action = if versioned { Action::DeleteObjectVersion } else { Action::DeleteObject };
    let (object, conditions) = (arn::object(&request.bucket, key), conditions(request)?);
    permit(request, action, &object, &conditions)?;
    if by_etag { permit(request, Action::GetObject, &object, &conditions) } else { Ok(()) }
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
        .with_some(ConditionKey::EncryptionKeyId, header("x-amz-server-side-encryption-aws-kms-key-id")?.as_deref().map(key_id))
        .with_some(ConditionKey::CustomerAlgorithm, header("x-amz-server-side-encryption-customer-algorithm")?)
        .with_some(ConditionKey::Prefix, request.query.get("prefix")?)
        .with_some(ConditionKey::Delimiter, request.query.get("delimiter")?))
}

/// Parts and completions carry no encryption headers: they are encrypted as their upload is.
fn conditions_of_upload(request: &Request, upload: &SseReply) -> Conditions {
    let (algorithm, customer_algorithm) = match upload.mode {
        Mode::Store => (None, None),
        Mode::SseS3 => (Some("AES256"), None),
        Mode::SseKms => (Some("aws:kms"), None),
        Mode::DsseKms => (Some("aws:kms:dsse"), None),
        Mode::SseC => (None, Some("AES256")),
    };
    // The server's own default key of SSE-S3 is not one that anybody named.
    let named_key = upload.kms_key_id.as_deref().filter(|_| matches!(upload.mode, Mode::SseKms | Mode::DsseKms));
    Conditions::new(request.caller.secure)
        .with_some(ConditionKey::Encryption, algorithm)
        .with_some(ConditionKey::EncryptionKeyId, named_key.map(key_id))
        .with_some(ConditionKey::CustomerAlgorithm, customer_algorithm)
}

/// The one id of a key, however it is spelled: the engine takes every spelling, so a policy must see through them all.
fn key_id(given: &str) -> &str {
    resolve_key_id(given).unwrap_or(given)
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
        Operation::UpdateObjectEncryption => on_object(Action::UpdateObjectEncryption),
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

    /// May write and delete `bucket/key`, and read `other/key`.
    const WRITER: &str = r#"{"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": ["s3:PutObject", "s3:DeleteObject"], "Resource": "arn:aws:s3:::bucket/key"},
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::other/key"}
    ]}"#;

    fn as_user(policies: &[&str], document: Option<&str>, mut request: Request) -> Request {
        let policies = PolicySet::from_config(policies, document).unwrap();
        let user = Identity::user("user", "user-key", SecretKey::new("not a secret".to_owned()).unwrap(), policies).unwrap();
        request.caller.identity = Arc::new(user);
        request
    }

    /// May do everything but put objects where the condition holds.
    fn denied_where(condition: &str, request: Request) -> Request {
        let document = format!(
            r#"{{"Version": "2012-10-17", "Statement": [
                {{"Effect": "Allow", "Action": "*", "Resource": "*"}},
                {{"Effect": "Deny", "Action": "s3:PutObject", "Resource": "*", "Condition": {condition}}}
            ]}}"#
        );
        as_user(&[], Some(&document), request)
    }

    fn encryption(mode: Mode, key: Option<&str>) -> SseReply {
        SseReply { mode, kms_key_id: key.map(str::to_owned), bucket_key_enabled: false, kms_context: None, customer_key_md5: None }
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
        let reader = as_user(&["readonly"], None, request("", &[]));
        assert!(permit_all(Operation::GetObject, &reader, None).is_ok());
        assert!(matches!(permit_all(Operation::PutObject, &reader, None), Err(Refusal::AccessDenied(_))));
        assert!(matches!(authorize_delete(&reader, "key", false, false), Err(Refusal::AccessDenied(_))));
    }

    #[test]
    fn a_denied_kms_key_is_denied_however_it_is_spelled() {
        const ID: &str = "x-amz-server-side-encryption-aws-kms-key-id";
        let condition = format!(r#"{{"StringEquals": {{"s3:{ID}": "secretkey"}}}}"#);
        for spelled in [
            "secretkey",
            "key/secretkey",
            "arn:aws:kms:secretkey",
            "arn:aws:kms:us-east-1:000000000000:secretkey",
            "arn:aws:kms:us-east-1:000000000000:key/secretkey",
            "arn:aws:kms:a:b:c:d:key/secretkey",
            "arn:aws-cn:kms:::key/secretkey",
        ] {
            let named = denied_where(&condition, request("", &[(ID, spelled)]));
            assert!(matches!(permit_all(Operation::PutObject, &named, None), Err(Refusal::AccessDenied(_))), "{spelled}");
            let part = denied_where(&condition, request("", &[]));
            let upload = encryption(Mode::SseKms, Some(spelled));
            assert!(matches!(permit_all(Operation::UploadPart, &part, Some(&upload)), Err(Refusal::AccessDenied(_))), "{spelled}");
        }
        for other in ["otherkey", "key/otherkey", "arn:aws:kms:::key/otherkey", "no key at all"] {
            assert!(permit_all(Operation::PutObject, &denied_where(&condition, request("", &[(ID, other)])), None).is_ok(), "{other}");
        }
    }

    #[test]
    fn a_part_has_the_conditions_of_its_upload() {
        let unless_kms = r#"{"StringNotEquals": {"s3:x-amz-server-side-encryption": "aws:kms"}}"#;
        let unless_customer = r#"{"Null": {"s3:x-amz-server-side-encryption-customer-algorithm": "true"}}"#;
        for (condition, allowed) in [(unless_kms, Mode::SseKms), (unless_customer, Mode::SseC)] {
            for mode in [Mode::Store, Mode::SseS3, Mode::SseKms, Mode::DsseKms, Mode::SseC] {
                for operation in [Operation::UploadPart, Operation::CompleteMultipartUpload] {
                    let verdict = permit_all(operation, &denied_where(condition, request("", &[])), Some(&encryption(mode, None)));
                    assert_eq!(verdict.is_ok(), mode == allowed, "{operation:?} {mode:?} {condition}");
                }
            }
        }
        let named = r#"{"Null": {"s3:x-amz-server-side-encryption-aws-kms-key-id": "false"}}"#;
        let part =
            |mode| permit_all(Operation::UploadPart, &denied_where(named, request("", &[])), Some(&encryption(mode, Some("default"))));
        assert!(part(Mode::SseKms).is_err());
        assert!(part(Mode::SseS3).is_ok(), "nobody names the key of SSE-S3");
    }

    #[test]
    fn a_write_by_etag_needs_the_right_to_read() {
        let operations = [Operation::PutObject, Operation::CopyObject, Operation::CompleteMultipartUpload, Operation::DeleteObject];
        for operation in operations {
            for etag in ["\"etag\"", "*"] {
                let headers = [("if-match", etag), ("x-amz-copy-source", "other/key")];
                let refused = permit_all(operation, &as_user(&[], Some(WRITER), request("", &headers)), None).unwrap_err();
                assert!(refused.message().contains("s3:GetObject on arn:aws:s3:::bucket/key"), "{operation:?}: {}", refused.message());
                assert!(permit_all(operation, &as_user(&["readonly"], Some(WRITER), request("", &headers)), None).is_ok(), "{operation:?}");
            }
            let headers = [("if-none-match", "*"), ("x-amz-copy-source", "other/key")];
            assert!(permit_all(operation, &as_user(&[], Some(WRITER), request("", &headers)), None).is_ok(), "{operation:?}");
        }
        let delete = |policies, by_etag| authorize_delete(&as_user(policies, Some(WRITER), request("", &[])), "key", false, by_etag);
        assert!(delete(&[], false).is_ok());
        assert!(matches!(delete(&[], true), Err(Refusal::AccessDenied(_))));
        assert!(delete(&["readonly"], true).is_ok());
    }

    #[test]
    fn who_may_not_list_does_not_learn_what_is_missing() {
        let nobody = as_user(&[], None, request("", &[]));
        assert!(matches!(hide_missing(&nobody, "bucket", Error::NoSuchKey), Refusal::Engine(Error::AccessDenied)));
        assert!(matches!(hide_missing(&nobody, "bucket", Error::NoSuchBucket), Refusal::Engine(Error::NoSuchBucket)));
        assert!(matches!(hide_missing(&request("", &[]), "bucket", Error::NoSuchKey), Refusal::Engine(Error::NoSuchKey)));
    }
}
