//! GetBucketCors, PutBucketCors and DeleteBucketCors.

use std::collections::HashSet;

use http::{HeaderName, StatusCode};
use strongroom_engine::api::CorsRule;

use crate::{
    api::Api,
    cors::METHODS,
    refusal::Refusal,
    reply::Reply,
    request::Request,
    xml::{Element, Xml, read},
};

const MAX_RULES: usize = 100;
const MAX_DOCUMENT_BYTES: usize = 64 << 10;
const MAX_ID_CHARS: usize = 255;

const NO_RULES: Refusal = Refusal::NotConfigured("NoSuchCORSConfiguration", "The CORS configuration does not exist");

pub(crate) async fn get(api: &Api, request: &Request) -> Result<Reply, Refusal> {
    let rules = api.engine.bucket_cors(&request.bucket).await?.ok_or(NO_RULES)?;
    Ok(Reply::xml(Xml::document("CORSConfiguration", |xml| {
        for rule in rules.iter() {
            xml.element("CORSRule", |xml| write_rule(xml, rule));
        }
    })))
}

pub(crate) async fn put(api: &Api, mut request: Request) -> Result<Reply, Refusal> {
    let max_bytes = api.options.max_xml_bytes.min(MAX_DOCUMENT_BYTES);
    let rules = rules(&request.take_xml(max_bytes, api.engine.budget()).await?)?;
    api.engine.set_bucket_cors(&request.bucket, Some(rules)).await?;
    Ok(Reply::ok())
}

pub(crate) async fn delete(api: &Api, request: &Request) -> Result<Reply, Refusal> {
    api.engine.set_bucket_cors(&request.bucket, None).await?;
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

fn write_rule(xml: &mut Xml, rule: &CorsRule) {
    if let Some(id) = &rule.id {
        xml.text("ID", id);
    }
    let lists = [
        ("AllowedOrigin", &rule.origins),
        ("AllowedMethod", &rule.methods),
        ("AllowedHeader", &rule.headers),
        ("ExposeHeader", &rule.exposed),
    ];
    for (name, values) in lists {
        for value in values {
            xml.text(name, value);
        }
    }
    if let Some(seconds) = rule.max_age_seconds {
        xml.value("MaxAgeSeconds", seconds);
    }
}

/// The rules of a document. An element that S3 does not have is malformed, because a rule that was misspelt must not seem to hold.
fn rules(body: &[u8]) -> Result<Vec<CorsRule>, Refusal> {
    let mut rules = Vec::new();
    read(body, "CORSConfiguration", |root| {
        root.children(|name, element| {
            if name != "CORSRule" {
                return Err(Refusal::MalformedXml);
            }
            if rules.len() == MAX_RULES {
                return Err(invalid(format!("The number of CORS rules should not exceed allowed limit of {MAX_RULES} rules.")));
            }
            rules.push(read_rule(element)?);
            Ok(())
        })
    })?;
    if rules.is_empty() {
        return Err(Refusal::MalformedXml);
    }
    let mut ids = HashSet::new();
    match rules.iter().filter_map(|rule| rule.id.as_deref()).find(|id| !ids.insert(*id)) {
        Some(id) => Err(invalid(format!("The ID \"{id}\" of a CORS rule must be unique."))),
        None => Ok(rules),
    }
}

fn read_rule(element: &mut Element<'_, '_>) -> Result<CorsRule, Refusal> {
    let mut rule = CorsRule::default();
    element.children(|name, element| match name {
        "ID" => element.text_into(&mut rule.id),
        "AllowedOrigin" => add(&mut rule.origins, element.text()?),
        "AllowedMethod" => add(&mut rule.methods, element.text()?),
        "AllowedHeader" => add(&mut rule.headers, element.text()?),
        "ExposeHeader" => add(&mut rule.exposed, element.text()?),
        "MaxAgeSeconds" => element.value_into(&mut rule.max_age_seconds),
        _ => Err(Refusal::MalformedXml),
    })?;
    check(&rule)?;
    Ok(rule)
}

fn add(values: &mut Vec<String>, value: String) -> Result<(), Refusal> {
    if value.is_empty() {
        return Err(Refusal::MalformedXml);
    }
    values.push(value);
    Ok(())
}

fn check(rule: &CorsRule) -> Result<(), Refusal> {
    if rule.origins.is_empty() || rule.methods.is_empty() || rule.max_age_seconds.is_some_and(|seconds| i32::try_from(seconds).is_err()) {
        return Err(Refusal::MalformedXml);
    }
    if rule.id.as_ref().is_some_and(|id| id.chars().count() > MAX_ID_CHARS) {
        return Err(invalid(format!("The ID of a CORS rule should not exceed allowed limit of {MAX_ID_CHARS} characters.")));
    }
    if let Some(method) = rule.methods.iter().find(|method| !METHODS.contains(&method.as_str())) {
        return Err(invalid(format!("Found unsupported HTTP method in CORS config. Unsupported method is {method}")));
    }
    for (name, patterns) in [("AllowedOrigin", &rule.origins), ("AllowedHeader", &rule.headers)] {
        if let Some(pattern) = patterns.iter().find(|pattern| pattern.matches('*').count() > 1) {
            return Err(invalid(format!("{name} \"{pattern}\" can not have more than one wildcard.")));
        }
    }
    for exposed in &rule.exposed {
        if exposed.contains('*') {
            let message = format!("ExposeHeader \"{exposed}\" contains wildcard. We currently do not support wildcard for ExposeHeader.");
            return Err(invalid(message));
        }
        if HeaderName::from_bytes(exposed.as_bytes()).is_err() {
            return Err(invalid(format!("ExposeHeader \"{exposed}\" is no name of a header.")));
        }
    }
    Ok(())
}

fn invalid(message: String) -> Refusal {
    Refusal::InvalidRequest(message)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const LEAST: &str = "<AllowedOrigin>https://a</AllowedOrigin><AllowedMethod>GET</AllowedMethod>";

    fn of(content: &str) -> Result<Vec<CorsRule>, Refusal> {
        rules(format!("<CORSConfiguration>{content}</CORSConfiguration>").as_bytes())
    }

    fn of_rule(content: &str) -> Result<Vec<CorsRule>, Refusal> {
        of(&format!("<CORSRule>{content}</CORSRule>"))
    }

    fn message(outcome: Result<Vec<CorsRule>, Refusal>) -> String {
        match outcome {
            Err(Refusal::InvalidRequest(message)) => message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_rule_reads_back_as_it_was_written() {
        let strings = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>();
        let rule = CorsRule {
            id: Some("a & b".to_owned()),
            origins: strings(&["https://*.example", "*"]),
            methods: strings(&METHODS),
            headers: strings(&["x-amz-*"]),
            exposed: strings(&["ETag"]),
            max_age_seconds: Some(0),
        };
        let mut xml = Xml::new();
        xml.element("CORSConfiguration", |xml| xml.element("CORSRule", |xml| write_rule(xml, &rule)));
        assert_eq!(rules(&xml.into_bytes()).unwrap(), [rule]);
    }

    #[test]
    fn what_has_not_the_shape_of_rules_is_malformed() {
        for wrong in [
            String::new(),
            "<Rule/>".to_owned(),
            "<CORSRule/>".to_owned(),
            "<CORSRule><AllowedMethod>GET</AllowedMethod></CORSRule>".to_owned(),
            "<CORSRule><AllowedOrigin>*</AllowedOrigin></CORSRule>".to_owned(),
        ] {
            assert!(matches!(of(&wrong), Err(Refusal::MalformedXml)), "{wrong}");
        }
        for wrong in [
            "<AllowedOrigin/>",
            "<AllowedHeaders>x</AllowedHeaders>",
            "<ID>a</ID><ID>a</ID>",
            "<MaxAgeSeconds>-1</MaxAgeSeconds>",
            "<MaxAgeSeconds>x</MaxAgeSeconds>",
            "<MaxAgeSeconds>2147483648</MaxAgeSeconds>",
            "<MaxAgeSeconds>1</MaxAgeSeconds><MaxAgeSeconds>1</MaxAgeSeconds>",
        ] {
            assert!(matches!(of_rule(&format!("{LEAST}{wrong}")), Err(Refusal::MalformedXml)), "{wrong}");
        }
        assert!(of_rule(&format!("{LEAST}<MaxAgeSeconds>2147483647</MaxAgeSeconds>")).is_ok());
    }

    #[test]
    fn what_rules_cannot_say_is_refused_with_the_reason() {
        for (content, says) in [
            ("<AllowedMethod>PATCH</AllowedMethod>", "Found unsupported HTTP method in CORS config. Unsupported method is PATCH"),
            ("<AllowedMethod>get</AllowedMethod>", "Found unsupported HTTP method in CORS config. Unsupported method is get"),
            ("<AllowedOrigin>h*.*</AllowedOrigin>", "AllowedOrigin \"h*.*\" can not have more than one wildcard."),
            ("<AllowedHeader>**</AllowedHeader>", "AllowedHeader \"**\" can not have more than one wildcard."),
            (
                "<ExposeHeader>x-*</ExposeHeader>",
                "ExposeHeader \"x-*\" contains wildcard. We currently do not support wildcard for ExposeHeader.",
            ),
            ("<ExposeHeader>a b</ExposeHeader>", "ExposeHeader \"a b\" is no name of a header."),
        ] {
            assert_eq!(message(of_rule(&format!("{LEAST}{content}"))), says);
        }
    }

    #[test]
    fn ids_are_bounded_in_characters_and_unique() {
        let with_id = |id: &str| format!("<CORSRule>{LEAST}<ID>{id}</ID></CORSRule>");
        assert!(of(&with_id(&"ü".repeat(255))).is_ok());
        assert!(message(of(&with_id(&"u".repeat(256)))).contains("255"));
        assert!(of(&format!("{}{}", with_id("a"), with_id("b"))).is_ok());
        assert_eq!(message(of(&with_id("a").repeat(2))), "The ID \"a\" of a CORS rule must be unique.");
    }

    #[test]
    fn a_hundred_rules_are_the_most() {
        let rule = format!("<CORSRule>{LEAST}</CORSRule>");
        assert_eq!(of(&rule.repeat(100)).unwrap().len(), 100);
        assert_eq!(message(of(&rule.repeat(101))), "The number of CORS rules should not exceed allowed limit of 100 rules.");
    }
}
