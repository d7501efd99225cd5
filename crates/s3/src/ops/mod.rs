//! The operations: requests into calls of the engine, what comes back into responses.

mod acl;
mod attributes;
mod buckets;
mod copy;
mod delete;
mod encryption;
mod list;
mod multipart;
mod object_encryption;
mod objects;
mod page;
mod uploads;

use strongroom_engine::Error;

use crate::{headers, operation::Operation, refusal::Refusal, reply::Reply, request::Request, service::Api};

/// Runs the operation. The caller is authorized.
pub(crate) async fn run(api: &Api, operation: Operation, request: Request) -> Result<Reply, Refusal> {
    check_owners(api, operation, &request).await?;
    match operation {
        Operation::ListBuckets => buckets::list(api, &request).await,
        Operation::CreateBucket => buckets::create(api, request).await,
        Operation::HeadBucket => buckets::head(api, &request).await,
        Operation::DeleteBucket => buckets::delete(api, &request).await,
        Operation::GetBucketLocation => buckets::location(api, &request).await,
        Operation::GetBucketVersioning => buckets::versioning(api, &request).await,
        Operation::GetBucketEncryption => encryption::get(api, &request).await,
        Operation::PutBucketEncryption => encryption::put(api, request).await,
        Operation::DeleteBucketEncryption => encryption::delete(api, &request).await,
        Operation::GetBucketAcl => acl::of_bucket(api, &request).await,
        Operation::ListObjects => list::version_1(api, &request).await,
        Operation::ListObjectsV2 => list::version_2(api, &request).await,
        Operation::ListObjectVersions => list::object_versions(api, &request).await,
        Operation::ListMultipartUploads => uploads::list(api, &request).await,
        Operation::DeleteObjects => delete::many(api, request).await,
        Operation::PutObject => objects::put(api, request).await,
        Operation::CopyObject => copy::object(api, request).await,
        Operation::GetObject => objects::get(api, &request).await,
        Operation::HeadObject => objects::head(api, &request).await,
        Operation::GetObjectAttributes => attributes::get(api, &request).await,
        Operation::GetObjectAcl => acl::of_object(api, &request).await,
        Operation::UpdateObjectEncryption => object_encryption::update(api, request).await,
        Operation::DeleteObject => delete::one(api, &request).await,
        Operation::CreateMultipartUpload => multipart::create(api, &request).await,
        Operation::UploadPart => multipart::upload_part(api, request).await,
        Operation::UploadPartCopy => copy::part(api, &request).await,
        Operation::CompleteMultipartUpload => multipart::complete(api, request).await,
        Operation::AbortMultipartUpload => multipart::abort(api, &request).await,
        Operation::ListParts => uploads::list_parts(api, &request).await,
    }
}

/// `x-amz-expected-bucket-owner` and `x-amz-source-expected-bucket-owner`: who says whose a bucket is must be right.
async fn check_owners(api: &Api, operation: Operation, request: &Request) -> Result<(), Refusal> {
    if matches!(operation, Operation::CopyObject | Operation::UploadPartCopy)
        && let Some(expected) = headers::filled(&request.headers, "x-amz-source-expected-bucket-owner")?
    {
        check_owner(api, &request.copy_source_name()?.0, Some(&expected)).await?;
    }
    match &request.caller.expected_owner {
        Some(expected) if !finds_owner(operation) => check_owner(api, &request.bucket, Some(expected)).await,
        _ => Ok(()),
    }
}

/// Operations that look at the owner with the bucket that they find, so that none can take its place in between; and those without one.
fn finds_owner(operation: Operation) -> bool {
    matches!(
        operation,
        Operation::ListBuckets
            | Operation::CreateBucket
            | Operation::PutObject
            | Operation::CopyObject
            | Operation::GetObject
            | Operation::HeadObject
            | Operation::GetObjectAttributes
            | Operation::DeleteObject
            | Operation::DeleteObjects
            | Operation::CreateMultipartUpload
            | Operation::UploadPart
            | Operation::UploadPartCopy
            | Operation::CompleteMultipartUpload
    )
}

/// The bucket must be there, and the expected owner's.
async fn check_owner(api: &Api, bucket: &str, expected: Option<&str>) -> Result<(), Refusal> {
    let owner = api.engine.bucket(bucket).await?.owner;
    if expected.is_none_or(|expected| expected == owner) { Ok(()) } else { Err(Error::BucketOwnerMismatch.into()) }
}
