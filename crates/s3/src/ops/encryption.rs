//! The default encryption of a bucket.

use http::StatusCode;
use strongroom_engine::{Error, api::DefaultEncryption};

use crate::{
    api::Api,
    refusal::Refusal,
    reply::Reply,
    request::Request,
    xml::{Element, Xml, read},
};

pub(crate) async fn get(api: &Api, request: &Request) -> Result<Reply, Refusal> {
    let rule = api.engine.bucket_encryption(&request.bucket).await?;
    Ok(Reply::xml(Xml::document("ServerSideEncryptionConfiguration", |xml| {
        xml.element("Rule", |xml| {
            xml.element("ApplyServerSideEncryptionByDefault", |xml| {
                xml.text("SSEAlgorithm", &rule.algorithm);
                xml.optional("KMSMasterKeyID", rule.kms_key_id.as_deref());
            });
            xml.value("BucketKeyEnabled", rule.bucket_key_enabled);
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
pub(crate) fn one_rule(body: &[u8]) -> Result<DefaultEncryption, Refusal> {
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

fn rule(element: &mut Element<'_, '_>) -> Result<DefaultEncryption, Refusal> {
    let (mut algorithm, mut kms_key_id, mut bucket_key_enabled) = (None, None, None);
    element.children(|name, element| match name {
        "ApplyServerSideEncryptionByDefault" => element.children(|name, element| match name {
            "SSEAlgorithm" => element.text_into(&mut algorithm),
            "KMSMasterKeyID" => element.text_into(&mut kms_key_id),
            _ => Ok(()),
        }),
        "BucketKeyEnabled" => element.value_into(&mut bucket_key_enabled),
        "BlockedEncryptionTypes" => Err(Refusal::NotImplemented("BlockedEncryptionTypes".to_owned())),
        _ => Ok(()),
    })?;
    let algorithm = algorithm.ok_or_else(|| malformed("the Rule needs ApplyServerSideEncryptionByDefault with an SSEAlgorithm"))?;
    Ok(DefaultEncryption { algorithm, kms_key_id, bucket_key_enabled: bucket_key_enabled.unwrap_or(false) })
}

fn malformed(what: &str) -> Refusal {
    Refusal::Engine(Error::MalformedXml(what.to_owned()))
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
        let expected =
            DefaultEncryption { algorithm: "aws:kms".to_owned(), kms_key_id: Some("key-1".to_owned()), bucket_key_enabled: true };
        assert_eq!(one_rule(configuration(RULE).as_bytes()).unwrap(), expected);
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
