//! Bucket lifecycle: documents in and out, and the headers that tell when something expires. What rules may say is the engine's business.

use http::{HeaderName, StatusCode};
use strongroom_engine::{
    api::Tag,
    lifecycle::{Expiration, Expiry, Lifecycle, LifecycleFilter, LifecycleRule, NoncurrentExpiration, RulePrefix, TransitionMinimum},
};

use crate::{
    api::Api,
    headers,
    query::encode,
    refusal::{Refusal, malformed},
    reply::Reply,
    request::Request,
    timestamp::{http_date, parse_iso_8601},
    xml::{Element, Xml, once, read},
};

const TRANSITION_MINIMUM: &str = "x-amz-transition-default-minimum-object-size";
const ALL_STORAGE_CLASSES: &str = "all_storage_classes_128K";
const BY_STORAGE_CLASS: &str = "varies_by_storage_class";
/// One more than are allowed: which the engine says.
const MAX_RULES_READ: usize = 1001;
/// More are refused, by the engine.
const MAX_TAGS_READ: usize = 64;

pub(crate) async fn get(api: &Api, request: &Request) -> Result<Reply, Refusal> {
    let found = api.engine.bucket_lifecycle(&request.bucket).await?;
    let mut reply = Reply::xml(Xml::document("LifecycleConfiguration", |xml| {
        for rule in &found.rules {
            xml.element("Rule", |xml| write_rule(xml, rule));
        }
    }));
    answer_minimum(&mut reply, found.transition_minimum)?;
    Ok(reply)
}

pub(crate) async fn put(api: &Api, mut request: Request) -> Result<Reply, Refusal> {
    let transition_minimum = minimum(&request)?;
    let rules = rules(&request.take_xml(api.options.max_xml_bytes, api.engine.budget()).await?)?;
    api.engine.set_bucket_lifecycle(&request.bucket, Lifecycle { rules, transition_minimum }).await?;
    let mut reply = Reply::ok();
    answer_minimum(&mut reply, transition_minimum)?;
    Ok(reply)
}

pub(crate) async fn delete(api: &Api, request: &Request) -> Result<Reply, Refusal> {
    api.engine.clear_bucket_lifecycle(&request.bucket).await?;
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

/// `x-amz-expiration`
pub(super) fn answer_expiry(reply: &mut Reply, expiry: Option<&Expiry>) -> Result<(), Refusal> {
    let Some(expiry) = expiry else { return Ok(()) };
    let value = format!("expiry-date=\"{}\", rule-id=\"{}\"", http_date(expiry.at_ms), encoded(&expiry.rule_id));
    reply.header(HeaderName::from_static("x-amz-expiration"), &value)
}

/// `x-amz-abort-date` and `x-amz-abort-rule-id`
pub(super) fn answer_abort(reply: &mut Reply, abort: Option<&Expiry>) -> Result<(), Refusal> {
    let Some(abort) = abort else { return Ok(()) };
    reply.header(HeaderName::from_static("x-amz-abort-date"), &http_date(abort.at_ms))?;
    reply.header(HeaderName::from_static("x-amz-abort-rule-id"), &encoded(&abort.rule_id))
}

/// Percent-encoded, slashes too.
fn encoded(rule_id: &str) -> String {
    encode(rule_id).replace('/', "%2F")
}

fn minimum(request: &Request) -> Result<TransitionMinimum, Refusal> {
    match headers::filled(&request.headers, TRANSITION_MINIMUM)?.as_deref() {
        None | Some(ALL_STORAGE_CLASSES) => Ok(TransitionMinimum::AllStorageClasses128K),
        Some(BY_STORAGE_CLASS) => Ok(TransitionMinimum::VariesByStorageClass),
        Some(_) => Err(Refusal::InvalidRequest(format!("The header {TRANSITION_MINIMUM} is {ALL_STORAGE_CLASSES} or {BY_STORAGE_CLASS}."))),
    }
}

fn answer_minimum(reply: &mut Reply, minimum: TransitionMinimum) -> Result<(), Refusal> {
    let value = match minimum {
        TransitionMinimum::AllStorageClasses128K => ALL_STORAGE_CLASSES,
        TransitionMinimum::VariesByStorageClass => BY_STORAGE_CLASS,
    };
    reply.header(HeaderName::from_static(TRANSITION_MINIMUM), value)
}

// ---- out

fn write_rule(xml: &mut Xml, rule: &LifecycleRule) {
    xml.text("ID", &rule.id);
    write_filter(xml, &rule.filter);
    xml.text("Status", if rule.enabled { "Enabled" } else { "Disabled" });
    if let Some(expiration) = rule.expiration {
        xml.element("Expiration", |xml| match expiration {
            Expiration::Days(days) => xml.value("Days", days),
            Expiration::Date(at) => xml.time("Date", at),
            Expiration::MarkersAlone(on) => xml.value("ExpiredObjectDeleteMarker", on),
        });
    }
    if let Some(NoncurrentExpiration { days, newer_kept }) = rule.noncurrent {
        xml.element("NoncurrentVersionExpiration", |xml| {
            xml.value("NoncurrentDays", days);
            if let Some(kept) = newer_kept {
                xml.value("NewerNoncurrentVersions", kept);
            }
        });
    }
    if let Some(days) = rule.abort_days {
        xml.element("AbortIncompleteMultipartUpload", |xml| xml.value("DaysAfterInitiation", days));
    }
}

fn write_filter(xml: &mut Xml, filter: &LifecycleFilter) {
    match filter.form {
        RulePrefix::InRule => xml.text("Prefix", filter.prefix.as_deref().unwrap_or_default()),
        RulePrefix::InFilter => xml.element("Filter", |xml| write_conditions(xml, filter)),
        RulePrefix::InAnd => xml.element("Filter", |xml| xml.element("And", |xml| write_conditions(xml, filter))),
    }
}

fn write_conditions(xml: &mut Xml, filter: &LifecycleFilter) {
    xml.optional("Prefix", filter.prefix.as_deref());
    for (key, value) in &filter.tags {
        xml.element("Tag", |xml| {
            xml.text("Key", key);
            xml.text("Value", value);
        });
    }
    for (name, size) in [("ObjectSizeGreaterThan", filter.larger_than), ("ObjectSizeLessThan", filter.smaller_than)] {
        if let Some(size) = size {
            xml.value(name, size);
        }
    }
}

// ---- in

pub(crate) fn rules(body: &[u8]) -> Result<Vec<LifecycleRule>, Refusal> {
    read(body, "LifecycleConfiguration", |root| {
        let mut rules = Vec::new();
        root.children(|name, element| {
            if name == "Rule" && rules.len() < MAX_RULES_READ {
                rules.push(rule(element)?);
            }
            Ok(())
        })?;
        Ok(rules)
    })
}

fn rule(element: &mut Element<'_, '_>) -> Result<LifecycleRule, Refusal> {
    let (mut id, mut status, mut prefix, mut filter) = (None, None, None, None);
    let (mut expiration, mut noncurrent, mut abort_days) = (None, None, None);
    element.children(|name, element| match name {
        "ID" => element.text_into(&mut id),
        "Status" => element.text_into(&mut status),
        "Prefix" => element.text_into(&mut prefix),
        "Filter" => once(&mut filter, self::filter(element)?),
        "Expiration" => once(&mut expiration, self::expiration(element)?),
        "NoncurrentVersionExpiration" => once(&mut noncurrent, noncurrent_expiration(element)?),
        "AbortIncompleteMultipartUpload" => {
            let mut days = None;
            element.children(|name, element| if name == "DaysAfterInitiation" { element.value_into(&mut days) } else { Ok(()) })?;
            once(&mut abort_days, days.ok_or_else(|| malformed("AbortIncompleteMultipartUpload needs DaysAfterInitiation"))?)
        }
        "Transition" | "NoncurrentVersionTransition" => {
            Err(Refusal::NotImplemented(format!("{name}: this store has one storage class, and moving objects to another one")))
        }
        _ => Ok(()),
    })?;
    let enabled = match status.as_deref() {
        Some("Enabled") => true,
        Some("Disabled") => false,
        _ => return Err(malformed("each Rule needs a Status, Enabled or Disabled")),
    };
    let filter = match (prefix, filter) {
        (Some(prefix), None) => LifecycleFilter { form: RulePrefix::InRule, prefix: Some(prefix), ..LifecycleFilter::default() },
        (None, Some(filter)) => filter,
        (Some(_), Some(_)) => return Err(malformed("a Rule has either a Filter or a Prefix")),
        (None, None) => return Err(malformed("each Rule needs a Filter, which may be empty")),
    };
    Ok(LifecycleRule { id: id.unwrap_or_default(), enabled, filter, expiration, noncurrent, abort_days })
}

/// Alone there may be one condition, and in `And` there are two or more.
fn filter(element: &mut Element<'_, '_>) -> Result<LifecycleFilter, Refusal> {
    let (mut alone, mut and) = (LifecycleFilter::default(), None);
    element.children(|name, element| match name {
        "And" => {
            let mut all = LifecycleFilter { form: RulePrefix::InAnd, ..LifecycleFilter::default() };
            element.children(|name, element| condition(&mut all, name, element))?;
            once(&mut and, all)
        }
        name => condition(&mut alone, name, element),
    })?;
    match (conditions(&alone), and) {
        (0 | 1, None) => Ok(alone),
        (0, Some(all)) if conditions(&all) >= 2 => Ok(all),
        (_, None) => Err(malformed("a Filter with more than one condition has them in And")),
        (0, Some(_)) => Err(malformed("And needs two conditions at least")),
        (_, Some(_)) => Err(malformed("a Filter with And has nothing beside it")),
    }
}

fn conditions(filter: &LifecycleFilter) -> usize {
    let others = [filter.prefix.is_some(), filter.larger_than.is_some(), filter.smaller_than.is_some()];
    filter.tags.len() + others.into_iter().filter(|is_given| *is_given).count()
}

fn condition(filter: &mut LifecycleFilter, name: &str, element: &mut Element<'_, '_>) -> Result<(), Refusal> {
    match name {
        "Prefix" => element.text_into(&mut filter.prefix),
        "Tag" if filter.tags.len() < MAX_TAGS_READ => {
            filter.tags.push(tag(element)?);
            Ok(())
        }
        "ObjectSizeGreaterThan" => element.value_into(&mut filter.larger_than),
        "ObjectSizeLessThan" => element.value_into(&mut filter.smaller_than),
        _ => Ok(()),
    }
}

fn tag(element: &mut Element<'_, '_>) -> Result<Tag, Refusal> {
    let (mut key, mut value) = (None, None);
    element.children(|name, element| match name {
        "Key" => element.text_into(&mut key),
        "Value" => element.text_into(&mut value),
        _ => Ok(()),
    })?;
    key.zip(value).ok_or_else(|| malformed("each Tag needs a Key and a Value"))
}

fn expiration(element: &mut Element<'_, '_>) -> Result<Expiration, Refusal> {
    let (mut days, mut date, mut markers) = (None, None, None);
    element.children(|name, element| match name {
        "Days" => element.value_into(&mut days),
        "Date" => element.text_into(&mut date),
        "ExpiredObjectDeleteMarker" => element.value_into(&mut markers),
        _ => Ok(()),
    })?;
    match (days, date, markers) {
        (Some(days), None, None) => Ok(Expiration::Days(days)),
        (None, Some(date), None) => Ok(Expiration::Date(parsed_date(&date)?)),
        (None, None, Some(on)) => Ok(Expiration::MarkersAlone(on)),
        _ => Err(malformed("Expiration needs exactly one of Days, Date and ExpiredObjectDeleteMarker")),
    }
}

/// A date may come without its time, which is midnight then.
fn parsed_date(text: &str) -> Result<i64, Refusal> {
    let text = text.trim();
    let found = parse_iso_8601(text).or_else(|| parse_iso_8601(&format!("{text}T00:00:00Z")));
    found.ok_or_else(|| malformed("Date must be a date of ISO 8601, such as 2030-01-31T00:00:00Z"))
}

fn noncurrent_expiration(element: &mut Element<'_, '_>) -> Result<NoncurrentExpiration, Refusal> {
    let (mut days, mut newer_kept) = (None, None);
    element.children(|name, element| match name {
        "NoncurrentDays" => element.value_into(&mut days),
        "NewerNoncurrentVersions" => element.value_into(&mut newer_kept),
        _ => Ok(()),
    })?;
    let days = days.ok_or_else(|| malformed("NoncurrentVersionExpiration needs NoncurrentDays"))?;
    Ok(NoncurrentExpiration { days, newer_kept })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parsed(rule: &str) -> Result<Vec<LifecycleRule>, Refusal> {
        rules(
            format!("<LifecycleConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{rule}</LifecycleConfiguration>").as_bytes(),
        )
    }

    fn code(rule: &str) -> String {
        parsed(rule).unwrap_err().verdict(crate::ErrorDialect::Strongroom).code.to_owned()
    }

    #[test]
    fn what_is_read_is_written_alike() {
        let actions = "<Status>Enabled</Status><Expiration><Days>3</Days></Expiration><NoncurrentVersionExpiration><NoncurrentDays>2</NoncurrentDays>\
                       <NewerNoncurrentVersions>5</NewerNoncurrentVersions></NoncurrentVersionExpiration>\
                       <AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload>";
        let tag = "<Tag><Key>a</Key><Value>b&amp;c</Value></Tag>";
        for filter in [
            "<Prefix>logs/</Prefix>",
            "<Prefix></Prefix>",
            "<Filter></Filter>",
            "<Filter><Prefix>logs/</Prefix></Filter>",
            &format!("<Filter>{tag}</Filter>"),
            "<Filter><ObjectSizeGreaterThan>5</ObjectSizeGreaterThan></Filter>",
            &format!("<Filter><And><Prefix>x</Prefix>{tag}<ObjectSizeLessThan>9</ObjectSizeLessThan></And></Filter>"),
        ] {
            let rule = format!("<ID>r</ID>{filter}{actions}");
            let found = parsed(&format!("<Rule>{rule}</Rule>")).unwrap();
            let mut xml = Xml::new();
            write_rule(&mut xml, &found[0]);
            assert_eq!(String::from_utf8(xml.into_bytes().to_vec()).unwrap().split_once('\n').unwrap().1, rule);
        }
        for expiration in ["<Date>2030-01-31T00:00:00.000Z</Date>", "<ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker>"] {
            let rule = format!("<ID>r</ID><Filter></Filter><Status>Disabled</Status><Expiration>{expiration}</Expiration>");
            let found = parsed(&format!("<Rule>{rule}</Rule>")).unwrap();
            let mut xml = Xml::new();
            write_rule(&mut xml, &found[0]);
            assert_eq!(String::from_utf8(xml.into_bytes().to_vec()).unwrap().split_once('\n').unwrap().1, rule);
        }
    }

    #[test]
    fn half_a_rule_and_two_meanings_are_malformed() {
        let expires = "<Status>Enabled</Status><Expiration><Days>1</Days></Expiration>";
        for rule in [
            "<Filter/><Expiration><Days>1</Days></Expiration>",
            "<Filter/><Status>enabled</Status><Expiration><Days>1</Days></Expiration>",
            expires,
            &format!("<Prefix/><Filter/>{expires}"),
            &format!("<Filter/><Filter/>{expires}"),
            &format!("<Filter><Prefix>a</Prefix><ObjectSizeLessThan>5</ObjectSizeLessThan></Filter>{expires}"),
            &format!("<Filter><And><Prefix>a</Prefix></And></Filter>{expires}"),
            &format!("<Filter><Prefix>b</Prefix><And><Prefix>a</Prefix><ObjectSizeLessThan>5</ObjectSizeLessThan></And></Filter>{expires}"),
            "<Filter/><Status>Enabled</Status><Expiration/>",
            "<Filter/><Status>Enabled</Status><Expiration><Days>1</Days><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>",
            "<Filter/><Status>Enabled</Status><Expiration><Days>one</Days></Expiration>",
            "<Filter/><Status>Enabled</Status><Expiration><Date>soon</Date></Expiration>",
            "<Filter/><Status>Enabled</Status><NoncurrentVersionExpiration/>",
            "<Filter/><Status>Enabled</Status><AbortIncompleteMultipartUpload/>",
        ] {
            assert_eq!(code(&format!("<Rule>{rule}</Rule>")), "MalformedXML", "{rule}");
        }
        assert!(matches!(rules(b"<Other/>"), Err(Refusal::MalformedXml)));
    }

    #[test]
    fn transitions_are_refused_and_not_passed_over() {
        for action in ["Transition", "NoncurrentVersionTransition"] {
            let rule = format!("<Rule><Filter/><Status>Enabled</Status><{action}><Days>1</Days></{action}></Rule>");
            assert_eq!(code(&rule), "NotImplemented", "{action}");
        }
    }

    #[test]
    fn no_more_rules_are_read_than_it_takes_to_refuse_them() {
        let rule = "<Rule><Filter/><Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule>";
        assert_eq!(parsed(&rule.repeat(5000)).unwrap().len(), MAX_RULES_READ);
    }

    #[test]
    fn the_header_has_the_date_and_the_encoded_id() {
        let mut reply = Reply::ok();
        answer_expiry(&mut reply, Some(&Expiry { at_ms: 1_356_220_800_000, rule_id: "picture rule/1".to_owned() })).unwrap();
        let expected = "expiry-date=\"Sun, 23 Dec 2012 00:00:00 GMT\", rule-id=\"picture%20rule%2F1\"";
        assert_eq!(reply.headers["x-amz-expiration"].to_str().unwrap(), expected);
        answer_expiry(&mut reply, None).unwrap();
        answer_abort(&mut reply, Some(&Expiry { at_ms: 0, rule_id: "ü".to_owned() })).unwrap();
        assert_eq!(reply.headers["x-amz-abort-date"], "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(reply.headers["x-amz-abort-rule-id"], "%C3%BC");
    }
}
