//! Buckets.

use http::{HeaderName, StatusCode, header};
use strongroom_engine::{
    Error,
    api::{CreateBucket, ObjectOwnership},
};

use crate::{
    api::Api,
    headers, names,
    ops::{
        acl,
        page::{decode_token, encode_token},
        public_access::OWNERSHIP_HEADER,
    },
    refusal::Refusal,
    reply::Reply,
    request::Request,
    xml::{Xml, read},
};

const MAX_BUCKETS_PER_PAGE: u32 = 10_000;
/// The region whose location constraint S3 leaves empty.
const CLASSIC_REGION: &str = "us-east-1";

pub(crate) async fn list(api: &Api, request: &Request) -> Result<Reply, Refusal> {
    let query = &request.query;
    let prefix = query.get_filled("prefix")?;
    let limit = query.count("max-buckets")?;
    if limit == Some(0) {
        return Err(Refusal::InvalidArgument("Argument max-buckets must be an integer between 1 and 10000.".to_owned()));
    }
    let limit = limit.unwrap_or(MAX_BUCKETS_PER_PAGE).min(MAX_BUCKETS_PER_PAGE) as usize;
    let after = query.get_filled("continuation-token")?.map(decode_token).transpose()?;
    let mut buckets = api.engine.list_buckets(&request.caller, prefix.unwrap_or_default(), after.as_deref(), limit + 1).await?;
    let more = buckets.len() > limit;
    buckets.truncate(limit);
    let next = buckets.last().filter(|_| more).map(|last| encode_token(&last.name));
    Ok(Reply::xml(Xml::document("ListAllMyBucketsResult", |xml| {
        xml.identity("Owner", request.caller.identity.owner());
        xml.element("Buckets", |xml| {
            for bucket in &buckets {
                xml.element("Bucket", |xml| {
                    xml.text("Name", &bucket.name);
                    xml.time("CreationDate", bucket.created);
                    xml.text("BucketRegion", region_of(api, &bucket.region));
                });
            }
        });
        xml.optional("ContinuationToken", next.as_deref());
        xml.optional("Prefix", prefix);
    })))
}

pub(crate) async fn create(api: &Api, mut request: Request) -> Result<Reply, Refusal> {
    headers::refuse_unsupported(&request.headers)?;
    let body = request.take_xml(api.options.max_xml_bytes, api.engine.budget()).await?;
    let region = location_constraint(&body)?;
    if let Some(fault) = names::bucket_name_fault(&request.bucket) {
        return Err(Error::InvalidBucketName(fault.to_owned()).into());
    }
    // As at Amazon: only in its oldest region an owner may create a bucket again.
    let may_repeat = is_classic(&api.options.region) && (region.is_empty() || is_classic(&region));
    let bucket = CreateBucket {
        name: request.bucket.clone(),
        region,
        object_lock: wants_object_lock(&request)?,
        ownership: ownership_asked_for(&request)?,
        acl: acl::of_new_bucket(&request)?,
    };
    match api.engine.create_bucket(&request.caller, bucket).await {
        Err(Error::BucketAlreadyOwnedByYou) if may_repeat => {}
        other => other?,
    }
    let mut reply = Reply::ok();
    reply.header(header::LOCATION, &format!("/{}", request.bucket))?;
    Ok(reply)
}

fn wants_object_lock(request: &Request) -> Result<bool, Refusal> {
    match headers::filled(&request.headers, "x-amz-bucket-object-lock-enabled")?.map(|value| value.to_ascii_lowercase()).as_deref() {
        Some("true") => Ok(true),
        None | Some("false") => Ok(false),
        Some(_) => Err(Refusal::InvalidArgument("x-amz-bucket-object-lock-enabled must be true or false.".to_owned())),
    }
}

fn ownership_asked_for(request: &Request) -> Result<Option<ObjectOwnership>, Refusal> {
    let Some(name) = headers::filled(&request.headers, OWNERSHIP_HEADER)? else { return Ok(None) };
    let invalid = || Refusal::InvalidArgument(format!("Invalid {OWNERSHIP_HEADER} header: {name}"));
    ObjectOwnership::of_name(&name).map(Some).ok_or_else(invalid)
}

pub(crate) fn location_constraint(body: &[u8]) -> Result<String, Refusal> {
    if body.is_empty() {
        return Ok(String::new());
    }
    let mut region = None;
    read(body, "CreateBucketConfiguration", |root| {
        root.children(|name, element| match name {
            "LocationConstraint" => element.text_into(&mut region),
            _ => Ok(()),
        })
    })?;
    let region = region.unwrap_or_default();
    let well_formed = region.len() <= 63 && region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if well_formed { Ok(region) } else { Err(Refusal::InvalidLocationConstraint) }
}

pub(crate) async fn head(api: &Api, request: &Request) -> Result<Reply, Refusal> {
    let bucket = api.engine.bucket(&request.bucket).await?;
    let mut reply = Reply::ok();
    reply.header(HeaderName::from_static("x-amz-bucket-region"), region_of(api, &bucket.region))?;
    Ok(reply)
}

pub(crate) async fn delete(api: &Api, request: &Request) -> Result<Reply, Refusal> {
    api.engine.delete_bucket(&request.bucket).await?;
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

pub(crate) async fn location(api: &Api, request: &Request) -> Result<Reply, Refusal> {
    let bucket = api.engine.bucket(&request.bucket).await?;
    let region = region_of(api, &bucket.region);
    let constraint = if is_classic(region) { "" } else { region };
    Ok(Reply::xml(Xml::leaf("LocationConstraint", constraint)))
}

fn is_classic(region: &str) -> bool {
    region == CLASSIC_REGION
}

fn region_of<'a>(api: &'a Api, stored: &'a str) -> &'a str {
    if stored.is_empty() { &api.options.region } else { stored }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::request::tests::request;

    #[test]
    fn a_location_constraint_is_a_region_or_empty() {
        let body = |region: &str| {
            format!(
                "<?xml version=\"1.0\"?><CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
                 <LocationConstraint>{region}</LocationConstraint></CreateBucketConfiguration>"
            )
        };
        assert_eq!(location_constraint(b"").unwrap(), "");
        assert_eq!(location_constraint(body("eu-west-1").as_bytes()).unwrap(), "eu-west-1");
        assert!(matches!(location_constraint(body("a b").as_bytes()), Err(Refusal::InvalidLocationConstraint)));
        assert!(matches!(location_constraint(b"<CreateBucket"), Err(Refusal::MalformedXml)));
    }

    #[test]
    fn object_lock_is_asked_for_by_true() {
        let wants = |value| wants_object_lock(&request("", &[("x-amz-bucket-object-lock-enabled", value)]));
        assert!(wants("true").unwrap() && wants("True").unwrap() && !wants("false").unwrap() && !wants("").unwrap());
        assert!(matches!(wants("yes"), Err(Refusal::InvalidArgument(_))));
    }

    #[test]
    fn the_ownership_of_a_new_bucket_is_one_of_three() {
        let asked = |value| ownership_asked_for(&request("", &[(OWNERSHIP_HEADER, value)]));
        assert_eq!(asked("ObjectWriter").unwrap(), Some(ObjectOwnership::ObjectWriter));
        assert_eq!(ownership_asked_for(&request("", &[])).unwrap(), None);
        assert!(matches!(asked("objectwriter"), Err(Refusal::InvalidArgument(_))));
    }
}
