//! Which operation a request means.

use http::Method;

use crate::{query::Query, refusal::Refusal};

macro_rules! operations {
    ($($name:ident,)*) => {
        /// The operations there are, by their names in S3.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Operation {
            $($name,)*
        }

        impl Operation {
            pub(crate) const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }
        }
    };
}

impl Operation {
    /// Whether it is about a version that `versionId` may name. The others make versions, and must not seem to have changed one.
    const fn takes_version(self) -> bool {
        matches!(
            self,
            Self::GetObject
                | Self::HeadObject
                | Self::GetObjectAttributes
                | Self::GetObjectAcl
                | Self::UpdateObjectEncryption
                | Self::DeleteObject
        )
    }
}

operations! {
    ListBuckets,
    CreateBucket,
    HeadBucket,
    DeleteBucket,
    GetBucketLocation,
    GetBucketVersioning,
    GetBucketEncryption,
    PutBucketEncryption,
    DeleteBucketEncryption,
    GetBucketAcl,
    ListObjects,
    ListObjectsV2,
    ListObjectVersions,
    ListMultipartUploads,
    DeleteObjects,
    PutObject,
    CopyObject,
    GetObject,
    HeadObject,
    GetObjectAttributes,
    GetObjectAcl,
    UpdateObjectEncryption,
    DeleteObject,
    CreateMultipartUpload,
    UploadPart,
    UploadPartCopy,
    CompleteMultipartUpload,
    AbortMultipartUpload,
    ListParts,
}

/// Parameters that make a request one about something of the bucket, not the bucket.
const BUCKET_SUBRESOURCES: [&str; 33] = [
    "abac",
    "accelerate",
    "acl",
    "analytics",
    "cors",
    "delete",
    "encryption",
    "events",
    "intelligent-tiering",
    "inventory",
    "lifecycle",
    "location",
    "logging",
    "metadataAnnotationTable",
    "metadataConfiguration",
    "metadataInventoryTable",
    "metadataJournalTable",
    "metadataTable",
    "metrics",
    "notification",
    "object-lock",
    "ownershipControls",
    "policy",
    "policyStatus",
    "publicAccessBlock",
    "replication",
    "requestPayment",
    "session",
    "tagging",
    "uploads",
    "versioning",
    "versions",
    "website",
];

/// The same of an object.
const OBJECT_SUBRESOURCES: [&str; 14] = [
    "acl",
    "annotation",
    "attributes",
    "encryption",
    "legal-hold",
    "renameObject",
    "restore",
    "retention",
    "select",
    "tagging",
    "torrent",
    "append",
    "uploads",
    "uploadId",
];

/// The operation that method, resource and parameters mean. What S3 has and this store has not is [`Refusal::NotImplemented`].
pub(crate) fn resolve(method: &Method, bucket: &str, key: &str, query: &Query, is_copy: bool) -> Result<Operation, Refusal> {
    match (bucket.is_empty(), key.is_empty()) {
        (true, _) if *method == Method::GET => Ok(Operation::ListBuckets),
        (true, _) => Err(Refusal::MethodNotAllowed),
        (false, true) => bucket_operation(method, query),
        (false, false) => object_operation(method, query, is_copy),
    }
}

fn bucket_operation(method: &Method, query: &Query) -> Result<Operation, Refusal> {
    let subresource = BUCKET_SUBRESOURCES.into_iter().find(|name| query.has(name));
    match (method.as_str(), subresource) {
        ("HEAD", _) => Ok(Operation::HeadBucket),
        ("GET", Some("location")) => Ok(Operation::GetBucketLocation),
        ("GET", Some("versioning")) => Ok(Operation::GetBucketVersioning),
        ("GET", Some("encryption")) => Ok(Operation::GetBucketEncryption),
        ("PUT", Some("encryption")) => Ok(Operation::PutBucketEncryption),
        ("DELETE", Some("encryption")) => Ok(Operation::DeleteBucketEncryption),
        ("GET", Some("acl")) => Ok(Operation::GetBucketAcl),
        ("GET", Some("versions")) => Ok(Operation::ListObjectVersions),
        ("GET", Some("uploads")) => Ok(Operation::ListMultipartUploads),
        ("POST", Some("delete")) => Ok(Operation::DeleteObjects),
        (method, Some(subresource)) => Err(Refusal::NotImplemented(format!("{method} ?{subresource} of a bucket"))),
        ("GET", None) if query.get("list-type")? == Some("2") => Ok(Operation::ListObjectsV2),
        ("GET", None) => Ok(Operation::ListObjects),
        ("PUT", None) => Ok(Operation::CreateBucket),
        ("DELETE", None) => Ok(Operation::DeleteBucket),
        (_, None) => Err(Refusal::MethodNotAllowed),
    }
}

fn object_operation(method: &Method, query: &Query, is_copy: bool) -> Result<Operation, Refusal> {
    let operation = operation_on_object(method, query, is_copy)?;
    if query.has("versionId") && !operation.takes_version() {
        return Err(Refusal::InvalidArgument(format!("{} does not accept a versionId.", operation.name())));
    }
    Ok(operation)
}

fn operation_on_object(method: &Method, query: &Query, is_copy: bool) -> Result<Operation, Refusal> {
    let subresource = OBJECT_SUBRESOURCES.into_iter().find(|name| query.has(name));
    match (method.as_str(), subresource) {
        ("GET", Some("attributes")) => Ok(Operation::GetObjectAttributes),
        ("GET", Some("acl")) => Ok(Operation::GetObjectAcl),
        ("PUT", Some("encryption")) => Ok(Operation::UpdateObjectEncryption),
        ("GET", Some("uploadId")) => Ok(Operation::ListParts),
        ("POST", Some("uploads")) => Ok(Operation::CreateMultipartUpload),
        ("POST", Some("uploadId")) => Ok(Operation::CompleteMultipartUpload),
        ("DELETE", Some("uploadId")) => Ok(Operation::AbortMultipartUpload),
        ("PUT", Some("uploadId")) if query.has("partNumber") => Ok(if is_copy { Operation::UploadPartCopy } else { Operation::UploadPart }),
        ("PUT", Some("uploadId")) => Err(Refusal::InvalidArgument("uploadId needs a partNumber here.".to_owned())),
        ("PUT", None) if query.has("partNumber") => Err(Refusal::InvalidArgument("partNumber needs an uploadId here.".to_owned())),
        (method, Some(subresource)) => Err(Refusal::NotImplemented(format!("{method} ?{subresource} of an object"))),
        ("GET", None) => Ok(Operation::GetObject),
        ("HEAD", None) => Ok(Operation::HeadObject),
        ("PUT", None) => Ok(if is_copy { Operation::CopyObject } else { Operation::PutObject }),
        ("DELETE", None) => Ok(Operation::DeleteObject),
        (_, None) => Err(Refusal::MethodNotAllowed),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn operation(method: &str, bucket: &str, key: &str, query: &str, is_copy: bool) -> Result<Operation, Refusal> {
        resolve(&Method::from_bytes(method.as_bytes()).unwrap(), bucket, key, &Query::parse(query).unwrap(), is_copy)
    }

    #[test]
    fn method_resource_and_parameters_name_the_operation() {
        use Operation::*;
        let rows = [
            ("GET", "", "", "", false, ListBuckets),
            ("GET", "b", "", "", false, ListObjects),
            ("GET", "b", "", "prefix=acl&marker=x", false, ListObjects),
            ("GET", "b", "", "list-type=2", false, ListObjectsV2),
            ("GET", "b", "", "versions&prefix=a", false, ListObjectVersions),
            ("HEAD", "b", "", "", false, HeadBucket),
            ("PUT", "b", "", "", false, CreateBucket),
            ("DELETE", "b", "", "", false, DeleteBucket),
            ("GET", "b", "", "location=", false, GetBucketLocation),
            ("GET", "b", "", "versioning", false, GetBucketVersioning),
            ("GET", "b", "", "encryption", false, GetBucketEncryption),
            ("PUT", "b", "", "encryption", false, PutBucketEncryption),
            ("DELETE", "b", "", "encryption", false, DeleteBucketEncryption),
            ("GET", "b", "", "acl", false, GetBucketAcl),
            ("GET", "b", "", "uploads", false, ListMultipartUploads),
            ("POST", "b", "", "delete", false, DeleteObjects),
            ("GET", "b", "k", "x-id=GetObject&versionId=null", false, GetObject),
            ("GET", "b", "k", "partNumber=1", false, GetObject),
            ("HEAD", "b", "k", "", false, HeadObject),
            ("PUT", "b", "k", "x-id=PutObject", false, PutObject),
            ("PUT", "b", "k", "", true, CopyObject),
            ("DELETE", "b", "k", "", false, DeleteObject),
            ("GET", "b", "k", "attributes", false, GetObjectAttributes),
            ("GET", "b", "k", "acl", false, GetObjectAcl),
            ("PUT", "b", "k", "encryption", false, UpdateObjectEncryption),
            ("POST", "b", "k", "uploads", false, CreateMultipartUpload),
            ("PUT", "b", "k", "uploadId=u&partNumber=1", false, UploadPart),
            ("PUT", "b", "k", "uploadId=u&partNumber=1", true, UploadPartCopy),
            ("POST", "b", "k", "uploadId=u", false, CompleteMultipartUpload),
            ("DELETE", "b", "k", "uploadId=u", false, AbortMultipartUpload),
            ("GET", "b", "k", "uploadId=u", false, ListParts),
        ];
        for (method, bucket, key, query, is_copy, expected) in rows {
            assert_eq!(operation(method, bucket, key, query, is_copy).unwrap(), expected, "{method} /{bucket}/{key}?{query}");
        }
    }

    #[test]
    fn what_makes_a_version_takes_no_version_id() {
        for (method, query, is_copy) in [
            ("PUT", "", false),
            ("PUT", "", true),
            ("POST", "uploads&", false),
            ("PUT", "uploadId=u&partNumber=1&", false),
            ("PUT", "uploadId=u&partNumber=1&", true),
            ("POST", "uploadId=u&", false),
            ("DELETE", "uploadId=u&", false),
            ("GET", "uploadId=u&", false),
        ] {
            for version in ["versionId=null", "versionId="] {
                let refused = operation(method, "b", "k", &format!("{query}{version}"), is_copy);
                assert!(matches!(refused, Err(Refusal::InvalidArgument(_))), "{method} ?{query}{version}");
            }
        }
        for (method, query) in [("GET", ""), ("HEAD", ""), ("GET", "attributes&"), ("GET", "acl&"), ("PUT", "encryption&"), ("DELETE", "")]
        {
            assert!(operation(method, "b", "k", &format!("{query}versionId=null"), false).is_ok(), "{method} ?{query}");
        }
    }

    #[test]
    fn what_s3_has_and_this_store_has_not_is_not_implemented() {
        for (method, key, query) in [
            ("GET", "", "policy"),
            ("PUT", "", "acl"),
            ("PUT", "", "versioning"),
            ("GET", "", "lifecycle"),
            ("DELETE", "", "website"),
            ("GET", "k", "tagging"),
            ("PUT", "k", "acl"),
            ("GET", "k", "encryption"),
            ("POST", "k", "restore"),
            ("GET", "k", "torrent"),
        ] {
            assert!(matches!(operation(method, "b", key, query, false), Err(Refusal::NotImplemented(_))), "{method} {key}?{query}");
        }
    }

    #[test]
    fn a_method_that_the_resource_has_not_is_not_allowed() {
        for (method, bucket, key) in [("PUT", "", ""), ("POST", "", ""), ("POST", "b", "k"), ("PATCH", "b", "k"), ("OPTIONS", "b", "")] {
            assert!(matches!(operation(method, bucket, key, "", false), Err(Refusal::MethodNotAllowed)), "{method} /{bucket}/{key}");
        }
    }
}
