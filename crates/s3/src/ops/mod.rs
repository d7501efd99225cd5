//! The operations: requests into calls of the engine, what comes back into responses.

pub(crate) mod acl;
pub(crate) mod attributes;
pub(crate) mod buckets;
pub(crate) mod copy;
pub(crate) mod cors;
pub(crate) mod delete;
pub(crate) mod encryption;
pub(crate) mod forms;
pub(crate) mod lifecycle;
pub(crate) mod list;
pub(crate) mod multipart;
pub(crate) mod notification;
pub(crate) mod object_encryption;
pub(crate) mod object_lock;
pub(crate) mod objects;
mod page;
pub(crate) mod policy;
pub(crate) mod public_access;
pub(crate) mod tagging;
pub(crate) mod unconfigured;
pub(crate) mod uploads;
pub(crate) mod versioning;

use strongroom_engine::Error;

use crate::{
    api::Api,
    headers,
    operation::{Operation, OwnerCheck},
    refusal::Refusal,
    reply::{Payload, Reply},
    request::{Request, copy_source_name},
};

/// Runs the operation. The caller is authorized.
pub(crate) async fn run(api: &Api, operation: &Operation, request: Request) -> Result<Reply, Refusal> {
    check_owners(api, operation, &request).await?;
    let held = if operation.reply_bytes > 0 { Some(api.hold_reply(operation.reply_bytes).await?) } else { None };
    let mut reply = operation.run(api, request).await?;
    if let Payload::Whole(document) = &mut reply.payload {
        *document = api.keep_reply(held, std::mem::take(document))?;
    }
    Ok(reply)
}

/// `x-amz-expected-bucket-owner` and `x-amz-source-expected-bucket-owner`: who says whose a bucket is must be right.
async fn check_owners(api: &Api, operation: &Operation, request: &Request) -> Result<(), Refusal> {
    if operation.copies()
        && let Some(expected) = headers::filled(&request.headers, "x-amz-source-expected-bucket-owner")?
    {
        check_owner(api, &copy_source_name(&request.headers)?.0, Some(&expected)).await?;
    }
    match &request.caller.expected_owner {
        Some(expected) if operation.owner_check == OwnerCheck::Before => check_owner(api, &request.bucket, Some(expected)).await,
        _ => Ok(()),
    }
}

/// The bucket must be there, and the expected owner's.
async fn check_owner(api: &Api, bucket: &str, expected: Option<&str>) -> Result<(), Refusal> {
    let bucket = api.engine.bucket(bucket).await?;
    if expected.is_none_or(|expected| expected == bucket.owner) { Ok(()) } else { Err(Error::BucketOwnerMismatch.into()) }
}
