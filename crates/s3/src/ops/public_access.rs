//! Ownership controls and the block of public access of a bucket.

use http::StatusCode;
use strongroom_engine::api::{ObjectOwnership, PublicAccessBlock};

use crate::{
    api::Api,
    refusal::Refusal,
    reply::Reply,
    request::Request,
    xml::{Xml, read},
};

pub(crate) const OWNERSHIP_HEADER: &str = "x-amz-object-ownership";

const NO_OWNERSHIP: Refusal = Refusal::NotConfigured("OwnershipControlsNotFoundError", "The bucket ownership controls were not found");
const NO_BLOCK: Refusal =
    Refusal::NotConfigured("NoSuchPublicAccessBlockConfiguration", "The public access block configuration was not found");

pub(crate) async fn ownership(api: &Api, request: &Request) -> Result<Reply, Refusal> {
    let ownership = api.engine.bucket_ownership(&request.bucket).await?.ok_or(NO_OWNERSHIP)?;
    Ok(Reply::xml(Xml::document("OwnershipControls", |xml| {
        xml.element("Rule", |xml| xml.text("ObjectOwnership", ownership.name()));
    })))
}

pub(crate) async fn put_ownership(api: &Api, mut request: Request) -> Result<Reply, Refusal> {
    let ownership = ownership_rule(&request.take_xml(api.options.max_xml_bytes, api.engine.budget()).await?)?;
    api.engine.set_bucket_ownership(&request.bucket, Some(ownership)).await?;
    Ok(Reply::ok())
}

pub(crate) async fn delete_ownership(api: &Api, request: &Request) -> Result<Reply, Refusal> {
    api.engine.set_bucket_ownership(&request.bucket, None).await?;
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

pub(crate) async fn block(api: &Api, request: &Request) -> Result<Reply, Refusal> {
    let block = api.engine.public_access_block(&request.bucket).await?.ok_or(NO_BLOCK)?;
    Ok(Reply::xml(Xml::document("PublicAccessBlockConfiguration", |xml| {
        xml.value("BlockPublicAcls", block.block_public_acls);
        xml.value("IgnorePublicAcls", block.ignore_public_acls);
        xml.value("BlockPublicPolicy", block.block_public_policy);
        xml.value("RestrictPublicBuckets", block.restrict_public_buckets);
    })))
}

pub(crate) async fn put_block(api: &Api, mut request: Request) -> Result<Reply, Refusal> {
    let block = block_configuration(&request.take_xml(api.options.max_xml_bytes, api.engine.budget()).await?)?;
    api.engine.set_public_access_block(&request.bucket, Some(block)).await?;
    Ok(Reply::ok())
}

pub(crate) async fn delete_block(api: &Api, request: &Request) -> Result<Reply, Refusal> {
    api.engine.set_public_access_block(&request.bucket, None).await?;
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

/// The one rule that S3 takes.
fn ownership_rule(body: &[u8]) -> Result<ObjectOwnership, Refusal> {
    let mut name = None;
    read(body, "OwnershipControls", |root| {
        root.children(|child, rule| match child {
            "Rule" => rule.children(|child, element| match child {
                "ObjectOwnership" => element.text_into(&mut name),
                _ => Ok(()),
            }),
            _ => Ok(()),
        })
    })?;
    name.as_deref().and_then(ObjectOwnership::of_name).ok_or(Refusal::MalformedXml)
}

/// What is not said is not blocked.
fn block_configuration(body: &[u8]) -> Result<PublicAccessBlock, Refusal> {
    let [mut acls, mut ignored, mut policy, mut restricted] = [None; 4];
    read(body, "PublicAccessBlockConfiguration", |root| {
        root.children(|name, element| {
            let field = match name {
                "BlockPublicAcls" => &mut acls,
                "IgnorePublicAcls" => &mut ignored,
                "BlockPublicPolicy" => &mut policy,
                "RestrictPublicBuckets" => &mut restricted,
                _ => return Ok(()),
            };
            let said = element.text()?.trim().to_ascii_lowercase().parse().map_err(|_| Refusal::MalformedXml)?;
            if field.replace(said).is_some() { Err(Refusal::MalformedXml) } else { Ok(()) }
        })
    })?;
    let is_on = |said: Option<bool>| said.unwrap_or(false);
    Ok(PublicAccessBlock {
        block_public_acls: is_on(acls),
        ignore_public_acls: is_on(ignored),
        block_public_policy: is_on(policy),
        restrict_public_buckets: is_on(restricted),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn one_rule_names_one_of_three_ownerships() {
        let of = |rules: &str| ownership_rule(format!("<OwnershipControls>{rules}</OwnershipControls>").as_bytes());
        let rule = |name: &str| format!("<Rule><ObjectOwnership>{name}</ObjectOwnership></Rule>");
        assert_eq!(of(&rule("BucketOwnerPreferred")).unwrap(), ObjectOwnership::BucketOwnerPreferred);
        for wrong in [String::new(), "<Rule></Rule>".to_owned(), rule("Nobody"), rule("ObjectWriter").repeat(2)] {
            assert!(matches!(of(&wrong), Err(Refusal::MalformedXml)), "{wrong}");
        }
    }

    #[test]
    fn a_block_is_what_it_says_and_nothing_else() {
        let of = |content: &str| {
            block_configuration(format!("<PublicAccessBlockConfiguration>{content}</PublicAccessBlockConfiguration>").as_bytes())
        };
        let some = of("<BlockPublicAcls>TRUE</BlockPublicAcls><RestrictPublicBuckets>false</RestrictPublicBuckets>").unwrap();
        let none = of("").unwrap();
        assert_eq!(some, PublicAccessBlock { block_public_acls: true, ..none });
        assert!(!none.block_public_acls && !none.ignore_public_acls && !none.block_public_policy && !none.restrict_public_buckets);
        for wrong in
            ["<BlockPublicAcls>yes</BlockPublicAcls>", "<BlockPublicAcls>true</BlockPublicAcls><BlockPublicAcls>true</BlockPublicAcls>"]
        {
            assert!(matches!(of(wrong), Err(Refusal::MalformedXml)), "{wrong}");
        }
    }
}
