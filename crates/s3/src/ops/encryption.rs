//! The default encryption of a bucket, and the types of encryption that it blocks.

use http::StatusCode;
use strongroom_engine::api::{DefaultEncryption, EncryptionRule};

use crate::{
    api::Api,
    refusal::{Refusal, malformed},
    reply::Reply,
    request::Request,
    xml::{Element, Xml, read},
};

pub(crate) async fn get(api: &Api, request: &Request) -> Result<Reply, Refusal> {
    let rule = api.engine.bucket_encryption(&request.bucket).await?;
    Ok(Reply::xml(Xml::document("ServerSideEncryptionConfiguration", |xml| {
        xml.element("Rule", |xml| {
            if let Some(default) = &rule.default {
                xml.element("ApplyServerSideEncryptionByDefault", |xml| {
                    xml.text("SSEAlgorithm", &default.algorithm);
                    xml.optional("KMSMasterKeyID", default.kms_key_id.as_deref());
                });
                xml.value("BucketKeyEnabled", default.bucket_key_enabled);
            }
            if let Some(blocked) = &rule.blocked {
                xml.element("BlockedEncryptionTypes", |xml| blocked.iter().for_each(|name| xml.text("EncryptionType", name)));
            }
        });
    })))
}

pub(crate) async fn put(api: &Api, mut request: Request) -> Result<Reply, Refusal> {
    let rule = one_rule(&request.take_xml(api.options.max_xml_bytes, api.engine.budget()).await?)?;
    api.engine.set_bucket_encryption(&request.bucket, rule).await?;
    Ok(Reply::ok())
}

pub(crate) async fn delete(api: &Api, request: &Request) -> Result<Reply, Refusal> {
    api.engine.clear_bucket_encryption(&request.bucket).await?;
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

/// The configuration's one rule. What the rule may say is the engine's business.
pub(crate) fn one_rule(body: &[u8]) -> Result<EncryptionRule, Refusal> {
    let mut rules = read(body, "ServerSideEncryptionConfiguration", |root| {
        let mut rules = Vec::new();
        root.children(|name, element| {
            match name {
                "Rule" if rules.is_empty() => rules.push(rule(element)?),
                "Rule" => return Err(malformed("exactly one Rule is needed")),
                _ => {}
            }
            Ok(())
        })?;
        Ok(rules)
    })?;
    rules.pop().ok_or_else(|| malformed("exactly one Rule is needed"))
}

fn rule(element: &mut Element<'_, '_>) -> Result<EncryptionRule, Refusal> {
    let (mut applied, mut algorithm, mut kms_key_id, mut bucket_key_enabled, mut blocked) = (false, None, None, None, None);
    element.children(|name, element| match name {
        "ApplyServerSideEncryptionByDefault" => {
            applied = true;
            element.children(|name, element| match name {
                "SSEAlgorithm" => element.text_into(&mut algorithm),
                "KMSMasterKeyID" => element.text_into(&mut kms_key_id),
                _ => Ok(()),
            })
        }
        "BucketKeyEnabled" => element.value_into(&mut bucket_key_enabled),
        "BlockedEncryptionTypes" if blocked.is_none() => {
            blocked = Some(blocked_types(element)?);
            Ok(())
        }
        "BlockedEncryptionTypes" => Err(malformed("BlockedEncryptionTypes may stand once in the Rule")),
        _ => Ok(()),
    })?;
    let bucket_key_enabled = bucket_key_enabled.unwrap_or(false);
    // A bucket key is a property of the default encryption; with a block alone there is none to have it.
    let default = if applied || blocked.is_none() || bucket_key_enabled {
        let algorithm = algorithm.ok_or_else(|| malformed("the Rule needs ApplyServerSideEncryptionByDefault with an SSEAlgorithm"))?;
        Some(DefaultEncryption { algorithm, kms_key_id, bucket_key_enabled })
    } else {
        None
    };
    Ok(EncryptionRule { default, blocked })
}

/// More than S3 has are malformed anyway, so no more are collected.
const MAX_TYPES: usize = 4;

fn blocked_types(element: &mut Element<'_, '_>) -> Result<Vec<String>, Refusal> {
    let mut types = Vec::new();
    element.children(|name, element| {
        if name == "EncryptionType" && types.len() < MAX_TYPES {
            types.push(element.text()?);
        }
        Ok(())
    })?;
    Ok(types)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const RULE: &str = "<Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>aws:kms</SSEAlgorithm><KMSMasterKeyID>key-1</KMSMasterKeyID>\
                        </ApplyServerSideEncryptionByDefault><BucketKeyEnabled>true</BucketKeyEnabled></Rule>";

    fn configuration(rules: &str) -> String {
        format!(
            "<ServerSideEncryptionConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{rules}</ServerSideEncryptionConfiguration>"
        )
    }

    #[test]
    fn one_rule_is_read() {
        let default = DefaultEncryption { algorithm: "aws:kms".to_owned(), kms_key_id: Some("key-1".to_owned()), bucket_key_enabled: true };
        assert_eq!(one_rule(configuration(RULE).as_bytes()).unwrap(), default.into());
    }

    #[test]
    fn a_rule_may_name_blocked_types_beside_a_default_or_alone() {
        const BLOCKED: &str = "<BlockedEncryptionTypes><EncryptionType>SSE-C</EncryptionType></BlockedEncryptionTypes>";
        let blocked = Some(vec!["SSE-C".to_owned()]);
        let both = one_rule(configuration(&RULE.replace("</Rule>", &format!("{BLOCKED}</Rule>"))).as_bytes()).unwrap();
        assert_eq!((both.default.unwrap().algorithm.as_str(), &both.blocked), ("aws:kms", &blocked));
        for bucket_key in ["", "<BucketKeyEnabled>false</BucketKeyEnabled>"] {
            let alone = one_rule(configuration(&format!("<Rule>{bucket_key}{BLOCKED}</Rule>")).as_bytes()).unwrap();
            assert_eq!(alone, EncryptionRule { default: None, blocked: blocked.clone() });
        }
        let bucket_key_of_nothing = configuration(&format!("<Rule><BucketKeyEnabled>true</BucketKeyEnabled>{BLOCKED}</Rule>"));
        let twice = configuration(&format!("<Rule>{BLOCKED}{BLOCKED}</Rule>"));
        for body in [bucket_key_of_nothing, twice] {
            assert_eq!(one_rule(body.as_bytes()).unwrap_err().verdict(crate::ErrorDialect::Strongroom).code, "MalformedXML", "{body}");
        }
    }

    #[test]
    fn no_rule_several_and_nonsense_are_malformed() {
        for body in [
            configuration(""),
            configuration(&format!("{RULE}{RULE}")),
            configuration("<Rule><BucketKeyEnabled>true</BucketKeyEnabled></Rule>"),
            "<Other/>".to_owned(),
            String::new(),
            configuration(RULE).replace("</Rule>", ""),
        ] {
            let refusal = one_rule(body.as_bytes()).unwrap_err();
            assert_eq!(refusal.verdict(crate::ErrorDialect::Strongroom).code, "MalformedXML", "{body}");
        }
    }
}
