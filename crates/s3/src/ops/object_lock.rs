//! Object Lock: the configuration of a bucket, and the retention and the legal hold of a version.

use strongroom_access::Action;
use strongroom_engine::{
    Error,
    api::{DefaultLock, EventHold, Period, RetentionChange, RetentionMode},
};

use crate::{
    api::Api,
    authorize::{authorize_locking, bypasses_governance, hide_missing},
    lock::{Said, is_on, mode_name, mode_of, on_or_off},
    refusal::{Refusal, malformed},
    reply::Reply,
    request::Request,
    timestamp::parse_iso_8601,
    xml::{Element, Xml, read},
};

pub(crate) async fn configuration(api: &Api, request: &Request) -> Result<Reply, Refusal> {
    let default = api.engine.object_lock_configuration(&request.bucket).await?;
    Ok(Reply::xml(Xml::document("ObjectLockConfiguration", |xml| {
        xml.text("ObjectLockEnabled", "Enabled");
        if default != DefaultLock::default() {
            xml.element("Rule", |xml| xml.element("DefaultRetention", |xml| write_default(xml, &default)));
        }
    })))
}

fn write_default(xml: &mut Xml, default: &DefaultLock) {
    if let Some((mode, period)) = default.retention {
        xml.text("Mode", mode_name(mode));
        write_period(xml, period);
    }
    if let Some(period) = default.event_hold {
        xml.element("DefaultEventHold", |xml| write_period(xml, period));
    }
}

fn write_period(xml: &mut Xml, period: Period) {
    match period {
        Period::Days(days) => xml.value("Days", days),
        Period::Years(years) => xml.value("Years", years),
    }
}

pub(crate) async fn put_configuration(api: &Api, mut request: Request) -> Result<Reply, Refusal> {
    let default = default_lock(&request.take_xml(api.options.max_xml_bytes, api.engine.budget()).await?)?;
    api.engine.set_object_lock_configuration(&request.caller, &request.bucket, default).await?;
    Ok(Reply::ok())
}

pub(crate) async fn retention(api: &Api, request: &Request) -> Result<Reply, Refusal> {
    let lock = api.engine.object_lock(&request.caller, &request.object_version()?).await;
    let lock = lock.map_err(|error| hide_missing(request, &request.bucket, error))?;
    if lock.retention.is_none() && lock.event_hold.is_none() {
        return Err(Error::NoSuchObjectLock.into());
    }
    Ok(Reply::xml(Xml::document("Retention", |xml| {
        if let Some(retention) = lock.retention {
            xml.text("Mode", mode_name(retention.mode));
            xml.time("RetainUntilDate", retention.until_ms);
        }
        if let Some(hold) = lock.event_hold {
            xml.text("EventHold", on_or_off(hold.on));
            if let Some(period) = hold.period {
                xml.element("EventHoldDuration", |xml| write_period(xml, period));
            }
        }
    })))
}

pub(crate) async fn put_retention(api: &Api, mut request: Request) -> Result<Reply, Refusal> {
    let change = retention_change(&request.take_xml(api.options.max_xml_bytes, api.engine.budget()).await?)?;
    let said = Said::from(&change);
    authorize_locking(&request, Action::PutObjectRetention, &said)?;
    let bypass = bypasses_governance(&request, &request.key, &said)?;
    let changed = api.engine.change_retention(&request.caller, &request.object_version()?, &change, bypass).await;
    changed.map_err(|error| hide_missing(&request, &request.bucket, error))?;
    Ok(Reply::ok())
}

pub(crate) async fn legal_hold(api: &Api, request: &Request) -> Result<Reply, Refusal> {
    let lock = api.engine.object_lock(&request.caller, &request.object_version()?).await;
    let lock = lock.map_err(|error| hide_missing(request, &request.bucket, error))?;
    let on = lock.legal_hold.ok_or(Error::NoSuchObjectLock)?;
    Ok(Reply::xml(Xml::document("LegalHold", |xml| xml.text("Status", on_or_off(on)))))
}

pub(crate) async fn put_legal_hold(api: &Api, mut request: Request) -> Result<Reply, Refusal> {
    let on = legal_hold_status(&request.take_xml(api.options.max_xml_bytes, api.engine.budget()).await?)?;
    authorize_locking(&request, Action::PutObjectLegalHold, &Said::of_legal_hold(on))?;
    let changed = api.engine.set_legal_hold(&request.caller, &request.object_version()?, on).await;
    changed.map_err(|error| hide_missing(&request, &request.bucket, error))?;
    Ok(Reply::ok())
}

fn default_lock(body: &[u8]) -> Result<DefaultLock, Refusal> {
    let (enabled, rule) = read(body, "ObjectLockConfiguration", |root| {
        let (mut enabled, mut rule) = (None, None);
        root.children(|name, element| match name {
            "ObjectLockEnabled" => element.text_into(&mut enabled),
            "Rule" if rule.is_none() => {
                rule = Some(default_of_rule(element)?);
                Ok(())
            }
            "Rule" => Err(malformed("at most one Rule is allowed")),
            _ => Ok(()),
        })?;
        Ok((enabled, rule))
    })?;
    if enabled.as_deref() != Some("Enabled") {
        return Err(malformed("ObjectLockEnabled must be Enabled"));
    }
    rule.unwrap_or(Some(DefaultLock::default())).ok_or_else(|| malformed("a Rule needs a DefaultRetention"))
}

fn default_of_rule(rule: &mut Element<'_, '_>) -> Result<Option<DefaultLock>, Refusal> {
    let mut default = None;
    rule.children(|name, element| {
        if name == "DefaultRetention" {
            default = Some(default_retention(element)?);
        }
        Ok(())
    })?;
    Ok(default)
}

fn default_retention(element: &mut Element<'_, '_>) -> Result<DefaultLock, Refusal> {
    let (mut mode, mut period, mut event_hold) = (None, PeriodElements::default(), None);
    element.children(|name, element| match name {
        "Mode" => element.text_into(&mut mode),
        "DefaultEventHold" if event_hold.is_none() => {
            event_hold = Some(period_of(element)?);
            Ok(())
        }
        "DefaultEventHold" => Err(malformed("at most one DefaultEventHold is allowed")),
        name => period.take(name, element),
    })?;
    let retention = match (mode.as_deref().map(parsed_mode).transpose()?, period.period()?) {
        (Some(mode), Some(period)) => Some((mode, period)),
        (None, None) if event_hold.is_some() => None,
        _ => return Err(malformed("a DefaultRetention needs a Mode, with either Days or Years")),
    };
    Ok(DefaultLock { retention, event_hold })
}

fn retention_change(body: &[u8]) -> Result<RetentionChange, Refusal> {
    read(body, "Retention", |root| {
        let (mut mode, mut until, mut status, mut period) = (None, None, None, None);
        root.children(|name, element| match name {
            "Mode" => element.text_into(&mut mode),
            "RetainUntilDate" => element.text_into(&mut until),
            "EventHold" => element.text_into(&mut status),
            "EventHoldDuration" if period.is_none() => {
                period = Some(period_of(element)?);
                Ok(())
            }
            "EventHoldDuration" => Err(malformed("at most one EventHoldDuration is allowed")),
            _ => Ok(()),
        })?;
        let mode = mode.as_deref().map(parsed_mode).transpose()?;
        let until_ms = until.as_deref().map(parsed_date).transpose()?;
        let event_hold = match status.as_deref().map(parsed_status).transpose()? {
            Some(on) => Some(EventHold { on, period }),
            None if period.is_some() => return Err(malformed("an EventHoldDuration needs an EventHold")),
            None => None,
        };
        Ok(RetentionChange { mode, until_ms, event_hold })
    })
}

fn legal_hold_status(body: &[u8]) -> Result<bool, Refusal> {
    let status = read(body, "LegalHold", |root| {
        let mut status = None;
        root.children(|name, element| if name == "Status" { element.text_into(&mut status) } else { Ok(()) })?;
        Ok(status)
    })?;
    parsed_status(status.as_deref().unwrap_or_default())
}

/// `Days` or `Years` of an element, as they are found. What no such number can be is left to the engine, as 0.
#[derive(Default)]
struct PeriodElements {
    days: Option<i64>,
    years: Option<i64>,
}

impl PeriodElements {
    fn take(&mut self, name: &str, element: &mut Element<'_, '_>) -> Result<(), Refusal> {
        match name {
            "Days" => element.value_into(&mut self.days),
            "Years" => element.value_into(&mut self.years),
            _ => Ok(()),
        }
    }

    fn period(&self) -> Result<Option<Period>, Refusal> {
        let count = |count| u32::try_from(count).unwrap_or(0);
        match (self.days, self.years) {
            (Some(_), Some(_)) => Err(malformed("a period is given in Days or in Years, not in both")),
            (days, years) => Ok(days.map(|days| Period::Days(count(days))).or(years.map(|years| Period::Years(count(years))))),
        }
    }
}

fn period_of(element: &mut Element<'_, '_>) -> Result<Period, Refusal> {
    let mut period = PeriodElements::default();
    element.children(|name, element| period.take(name, element))?;
    period.period()?.ok_or_else(|| malformed("a duration needs Days or Years"))
}

fn parsed_mode(name: &str) -> Result<RetentionMode, Refusal> {
    mode_of(name).ok_or_else(|| malformed("Mode must be GOVERNANCE or COMPLIANCE"))
}

fn parsed_status(status: &str) -> Result<bool, Refusal> {
    is_on(status).ok_or_else(|| malformed("a hold is ON or OFF"))
}

fn parsed_date(text: &str) -> Result<i64, Refusal> {
    parse_iso_8601(text.trim()).ok_or_else(|| malformed("RetainUntilDate must be a date of ISO 8601, such as 2030-01-31T00:00:00Z"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn code(refusal: &Refusal) -> String {
        refusal.verdict(crate::ErrorDialect::Strongroom).code.to_owned()
    }

    fn default(rule: &str) -> Result<DefaultLock, Refusal> {
        let rule = if rule.is_empty() { String::new() } else { format!("<Rule><DefaultRetention>{rule}</DefaultRetention></Rule>") };
        default_lock(
            format!("<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled>{rule}</ObjectLockConfiguration>").as_bytes(),
        )
    }

    #[test]
    fn a_configuration_is_read_and_written_alike() {
        for (rule, expected) in [
            ("", DefaultLock::default()),
            (
                "<Mode>GOVERNANCE</Mode><Days>1</Days>",
                DefaultLock { retention: Some((RetentionMode::Governance, Period::Days(1))), event_hold: None },
            ),
            (
                "<Mode>COMPLIANCE</Mode><Years>7</Years><DefaultEventHold><Days>30</Days></DefaultEventHold>",
                DefaultLock { retention: Some((RetentionMode::Compliance, Period::Years(7))), event_hold: Some(Period::Days(30)) },
            ),
            ("<DefaultEventHold><Years>2</Years></DefaultEventHold>", DefaultLock { retention: None, event_hold: Some(Period::Years(2)) }),
        ] {
            let read = default(rule).unwrap();
            assert_eq!(read, expected);
            let mut xml = Xml::new();
            write_default(&mut xml, &read);
            assert!(String::from_utf8(xml.into_bytes().to_vec()).unwrap().ends_with(&format!("\n{rule}")), "{rule}");
        }
        // The engine refuses what no period can be, with its own code.
        assert_eq!(default("<Mode>GOVERNANCE</Mode><Days>-1</Days>").unwrap().retention.unwrap().1, Period::Days(0));
    }

    #[test]
    fn a_configuration_that_leaves_something_open_is_malformed() {
        for rule in [
            "<Mode>GOVERNANCE</Mode>",
            "<Days>1</Days>",
            "<Mode>governance</Mode><Days>1</Days>",
            "<Mode>GOVERNANCE</Mode><Days>1</Days><Years>1</Years>",
            "<Mode>GOVERNANCE</Mode><DefaultEventHold><Days>1</Days></DefaultEventHold>",
            "<DefaultEventHold></DefaultEventHold>",
            "<DefaultEventHold><Days>1</Days></DefaultEventHold><DefaultEventHold><Days>1</Days></DefaultEventHold>",
            " ",
        ] {
            assert_eq!(code(&default(rule).unwrap_err()), "MalformedXML", "{rule}");
        }
        for body in [
            "<ObjectLockConfiguration/>",
            "<ObjectLockConfiguration><ObjectLockEnabled>Disabled</ObjectLockEnabled></ObjectLockConfiguration>",
            "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule/></ObjectLockConfiguration>",
            "<Other/>",
        ] {
            assert_eq!(code(&default_lock(body.as_bytes()).unwrap_err()), "MalformedXML", "{body}");
        }
    }

    #[test]
    fn a_retention_and_a_legal_hold_are_read() {
        let change = |content: &str| retention_change(format!("<Retention>{content}</Retention>").as_bytes());
        let retention = change("<Mode>GOVERNANCE</Mode><RetainUntilDate>2030-01-01T01:00:00+01:00</RetainUntilDate>").unwrap();
        let expected = RetentionChange { mode: Some(RetentionMode::Governance), until_ms: Some(1_893_456_000_000), event_hold: None };
        assert_eq!(retention, expected);
        assert_eq!(change("").unwrap(), RetentionChange::default());
        let hold = change("<EventHold>ON</EventHold><EventHoldDuration><Years>1</Years></EventHoldDuration>").unwrap();
        assert_eq!(hold.event_hold, Some(EventHold { on: true, period: Some(Period::Years(1)) }));
        for content in [
            "<Mode>abc</Mode>",
            "<RetainUntilDate>tomorrow</RetainUntilDate>",
            "<EventHold>on</EventHold>",
            "<EventHoldDuration><Days>1</Days></EventHoldDuration>",
        ] {
            assert_eq!(code(&change(content).unwrap_err()), "MalformedXML", "{content}");
        }
        assert!(legal_hold_status(b"<LegalHold><Status>ON</Status></LegalHold>").unwrap());
        assert!(!legal_hold_status(b"<LegalHold><Status>OFF</Status></LegalHold>").unwrap());
        for body in ["<LegalHold/>", "<LegalHold><Status>abc</Status></LegalHold>", ""] {
            assert_eq!(code(&legal_hold_status(body.as_bytes()).unwrap_err()), "MalformedXML", "{body}");
        }
    }
}
