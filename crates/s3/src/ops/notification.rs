//! GetBucketNotificationConfiguration and PutBucketNotificationConfiguration, and the two older operations of the same subresource. What a configuration
//! may say is the engine's business.

use strongroom_engine::events::{FilterEnd, FilterRule, Notification, NotificationKind, Notifications};

use crate::{
    api::Api,
    headers,
    refusal::{Refusal, malformed},
    reply::Reply,
    request::Request,
    xml::{Element, Xml, once, read},
};

const SKIP_VALIDATION: &str = "x-amz-skip-destination-validation";
const MAX_DOCUMENT_BYTES: usize = 64 << 10;
/// One more than are allowed: which the engine says.
const MAX_READ: usize = 101;
/// Every event and group there is, and some to spare.
const MAX_EVENTS_READ: usize = 64;

pub(crate) async fn get(api: &Api, request: &Request) -> Result<Reply, Refusal> {
    let found = api.engine.bucket_notifications(&request.bucket).await?;
    Ok(Reply::xml(Xml::document("NotificationConfiguration", |xml| {
        for configuration in &found.configurations {
            write(xml, configuration);
        }
    })))
}

/// A target is checked in any case: without it the configuration would send nothing. What `x-amz-skip-destination-validation` leaves out is the test event.
pub(crate) async fn put(api: &Api, mut request: Request) -> Result<Reply, Refusal> {
    let quietly = match headers::filled(&request.headers, SKIP_VALIDATION)?.as_deref() {
        None | Some("false" | "False") => false,
        Some("true" | "True") => true,
        Some(_) => return Err(Refusal::InvalidArgument(format!("The header {SKIP_VALIDATION} is true or false."))),
    };
    let max_bytes = api.options.max_xml_bytes.min(MAX_DOCUMENT_BYTES);
    let configurations = configurations(&request.take_xml(max_bytes, api.engine.budget()).await?)?;
    api.engine.set_bucket_notifications(&request.caller, &request.bucket, Notifications { configurations }, quietly).await?;
    Ok(Reply::ok())
}

/// The element of a configuration, and the one in it that names the target.
const fn names(kind: NotificationKind) -> (&'static str, &'static str) {
    match kind {
        NotificationKind::Queue => ("QueueConfiguration", "Queue"),
        NotificationKind::Topic => ("TopicConfiguration", "Topic"),
        NotificationKind::CloudFunction => ("CloudFunctionConfiguration", "CloudFunction"),
    }
}

// ---- out

fn write(xml: &mut Xml, configuration: &Notification) {
    let (element, target) = names(configuration.kind);
    xml.element(element, |xml| {
        xml.text("Id", &configuration.id);
        xml.text(target, &configuration.arn);
        for event in &configuration.events {
            xml.text("Event", event);
        }
        if !configuration.filter.is_empty() {
            xml.element("Filter", |xml| {
                xml.element("S3Key", |xml| {
                    for rule in &configuration.filter {
                        xml.element("FilterRule", |xml| {
                            xml.text("Name", &rule.name);
                            xml.text("Value", &rule.value);
                        });
                    }
                });
            });
        }
    });
}

// ---- in

/// An element that S3 does not have is malformed, because a configuration that was misspelt must not seem to hold.
pub(crate) fn configurations(body: &[u8]) -> Result<Vec<Notification>, Refusal> {
    read(body, "NotificationConfiguration", |root| {
        let mut found = Vec::new();
        root.children(|name, element| {
            let kind = match name {
                "QueueConfiguration" => NotificationKind::Queue,
                "TopicConfiguration" => NotificationKind::Topic,
                "CloudFunctionConfiguration" => NotificationKind::CloudFunction,
                "EventBridgeConfiguration" => {
                    let what = "EventBridgeConfiguration: this store has no event bus; name a webhook in a QueueConfiguration, and it";
                    return Err(Refusal::NotImplemented(what.to_owned()));
                }
                _ => return Err(Refusal::MalformedXml),
            };
            if found.len() < MAX_READ {
                found.push(configuration(kind, element)?);
            }
            Ok(())
        })?;
        Ok(found)
    })
}

fn configuration(kind: NotificationKind, element: &mut Element<'_, '_>) -> Result<Notification, Refusal> {
    let (mut id, mut arn, mut filter, mut events) = (None, None, None, Vec::new());
    let target = names(kind).1;
    element.children(|name, element| match name {
        "Id" => element.text_into(&mut id),
        "Event" if events.len() < MAX_EVENTS_READ => {
            events.push(element.text()?);
            Ok(())
        }
        "Filter" => once(&mut filter, self::filter(element)?),
        // Of the older operation, which named a role of AWS beside the function.
        "InvocationRole" if kind == NotificationKind::CloudFunction => element.text().map(drop),
        name if name == target => element.text_into(&mut arn),
        _ => Err(Refusal::MalformedXml),
    })?;
    let arn = arn.ok_or_else(|| malformed(&format!("{} needs a {target}, the ARN of the target", names(kind).0)))?;
    let (id, filter) = (id.unwrap_or_default(), filter.unwrap_or_default());
    Ok(Notification { id, kind, arn, target: String::new(), events, filter })
}

fn filter(element: &mut Element<'_, '_>) -> Result<Vec<FilterRule>, Refusal> {
    let mut rules = None;
    element.children(|name, element| match name {
        "S3Key" => {
            let mut found = Vec::new();
            element.children(|name, element| match name {
                // A third is refused by the engine.
                "FilterRule" if found.len() < 3 => {
                    found.push(rule(element)?);
                    Ok(())
                }
                "FilterRule" => Ok(()),
                _ => Err(Refusal::MalformedXml),
            })?;
            once(&mut rules, found)
        }
        _ => Err(Refusal::MalformedXml),
    })?;
    Ok(rules.unwrap_or_default())
}

fn rule(element: &mut Element<'_, '_>) -> Result<FilterRule, Refusal> {
    let (mut name, mut value) = (None, None);
    element.children(|child, element| match child {
        "Name" => element.text_into(&mut name),
        "Value" => element.text_into(&mut value),
        _ => Err(Refusal::MalformedXml),
    })?;
    let name = name.unwrap_or_default();
    let end = match name.to_ascii_lowercase().as_str() {
        "prefix" => FilterEnd::Prefix,
        "suffix" => FilterEnd::Suffix,
        _ => return Err(Refusal::InvalidArgument("filter rule name must be either prefix or suffix".to_owned())),
    };
    Ok(FilterRule { name, end, value: value.ok_or_else(|| malformed("each FilterRule needs a Name and a Value"))? })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const EVENTS: &str = "<Event>s3:ObjectCreated:*</Event><Event>s3:ObjectRemoved:Delete</Event>";

    fn parsed(content: &str) -> Result<Vec<Notification>, Refusal> {
        let root = "NotificationConfiguration";
        configurations(format!("<{root} xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{content}</{root}>").as_bytes())
    }

    #[test]
    fn what_is_read_is_written_alike() {
        let rule = |name: &str, value: &str| format!("<FilterRule><Name>{name}</Name><Value>{value}</Value></FilterRule>");
        let filter = format!("<Filter><S3Key>{}{}</S3Key></Filter>", rule("Prefix", "a&amp;b/"), rule("suffix", ".gz"));
        for content in [
            format!("<QueueConfiguration><Id>q</Id><Queue>arn:q</Queue>{EVENTS}{filter}</QueueConfiguration>"),
            format!("<TopicConfiguration><Id>t</Id><Topic>arn:t</Topic>{EVENTS}</TopicConfiguration>"),
            format!("<CloudFunctionConfiguration><Id>c</Id><CloudFunction>arn:c</CloudFunction>{EVENTS}</CloudFunctionConfiguration>"),
        ] {
            let mut xml = Xml::new();
            write(&mut xml, &parsed(&content).unwrap()[0]);
            assert_eq!(String::from_utf8(xml.into_bytes().to_vec()).unwrap().split_once('\n').unwrap().1, content);
        }
        assert_eq!(parsed("").unwrap(), []);
        let lower = format!(
            "<QueueConfiguration><Queue>a</Queue>{EVENTS}<Filter><S3Key>{}</S3Key></Filter></QueueConfiguration>",
            rule("prefix", "")
        );
        let found = parsed(&lower).unwrap();
        assert_eq!((found[0].id.as_str(), found[0].filter[0].end), ("", FilterEnd::Prefix));
    }

    #[test]
    fn what_was_misspelt_does_not_seem_to_hold() {
        let queue = |content: &str| format!("<QueueConfiguration><Queue>a</Queue>{EVENTS}{content}</QueueConfiguration>");
        let filter = |content: &str| queue(&format!("<Filter><S3Key><FilterRule>{content}</FilterRule></S3Key></Filter>"));
        for (content, code) in [
            ("<Queue/>".to_owned(), "MalformedXML"),
            ("<QueueConfiguration><Event>s3:ObjectCreated:*</Event></QueueConfiguration>".to_owned(), "MalformedXML"),
            ("<QueueConfiguration><Topic>a</Topic></QueueConfiguration>".to_owned(), "MalformedXML"),
            (queue("<Queue>b</Queue>"), "MalformedXML"),
            (queue("<Filters/>"), "MalformedXML"),
            (queue("<Filter><Key/></Filter>"), "MalformedXML"),
            (queue("<Filter><S3Key><Rule/></S3Key></Filter>"), "MalformedXML"),
            (filter("<Name>prefix</Name>"), "MalformedXML"),
            (filter("<Name>infix</Name><Value>x</Value>"), "InvalidArgument"),
            ("<EventBridgeConfiguration/>".to_owned(), "NotImplemented"),
        ] {
            let refusal = parsed(&content).unwrap_err();
            assert_eq!(refusal.verdict(crate::ErrorDialect::Strongroom).code, code, "{content}");
        }
    }
}
