//! GetBucketPolicy, PutBucketPolicy, DeleteBucketPolicy and GetBucketPolicyStatus.

use http::{HeaderValue, StatusCode, header};
use strongroom_access::{Action, BucketPolicy, BucketRules, Decision, arn};
use strongroom_engine::Error;

use crate::{
    api::Api,
    headers,
    refusal::Refusal,
    reply::{Payload, Reply},
    request::Request,
    xml::Xml,
};

/// What S3 takes.
const MAX_POLICY_BYTES: usize = 20 << 10;

const CONFIRM_HEADER: &str = "x-amz-confirm-remove-self-bucket-access";

pub(crate) async fn get(api: &Api, request: &Request) -> Result<Reply, Refusal> {
    let policy = api.engine.bucket_policy(&request.bucket).await?;
    let mut reply = Reply { payload: Payload::Whole(policy.into()), ..Reply::ok() };
    reply.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(reply)
}

pub(crate) async fn put(api: &Api, mut request: Request) -> Result<Reply, Refusal> {
    let body = request.take_xml(api.options.max_xml_bytes, api.engine.budget()).await?;
    if body.len() > MAX_POLICY_BYTES {
        let message = format!("The policy has {} bytes, {MAX_POLICY_BYTES} are allowed.", body.len());
        return Err(Error::MalformedPolicy(message).into());
    }
    let json = std::str::from_utf8(&body).map_err(|_| Error::MalformedPolicy("Policies must be JSON in UTF-8.".to_owned()))?;
    check_self(&request, json)?;
    api.engine.set_bucket_policy(&request.bucket, json).await?;
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

pub(crate) async fn delete(api: &Api, request: &Request) -> Result<Reply, Refusal> {
    api.engine.clear_bucket_policy(&request.bucket).await?;
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

pub(crate) async fn status(api: &Api, request: &Request) -> Result<Reply, Refusal> {
    let is_public = api.engine.is_policy_public(&request.bucket).await?;
    Ok(Reply::xml(Xml::document("PolicyStatus", |xml| xml.value("IsPublic", is_public))))
}

/// Who takes the right to change the policy from themselves must say that they mean it.
fn check_self(request: &Request, json: &str) -> Result<(), Refusal> {
    let confirms = headers::filled(&request.headers, CONFIRM_HEADER)?.is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let Some(present) = request.access.bucket.as_deref().filter(|_| !confirms) else { return Ok(()) };
    let policy = BucketPolicy::parse(&request.bucket, json).map_err(|error| Error::MalformedPolicy(error.to_string()))?;
    let next = BucketRules {
        account: present.account.clone(),
        policy: Some(policy),
        acl: present.acl.clone(),
        restricts_public: present.restricts_public,
        prefers_bucket_owner: present.prefers_bucket_owner,
        ignores_public_acls: present.ignores_public_acls,
    };
    let (bucket, conditions) = (arn::bucket(&request.bucket), &request.access.conditions);
    if request.caller.identity.may_in(Some(&next), None, Action::PutBucketPolicy, &bucket, conditions) == Decision::Allow {
        return Ok(());
    }
    Err(Refusal::AccessDenied(format!(
        "The policy would take the right to change it from you. If that is meant, send {CONFIRM_HEADER}: true."
    )))
}
