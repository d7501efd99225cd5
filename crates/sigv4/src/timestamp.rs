//! `x-amz-date`: ISO 8601's basic format, `YYYYMMDDThhmmssZ`.

use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time, format_description::well_known::Rfc2822};

/// A moment, and how the client wrote it, which is what is signed.
#[derive(Clone, Debug)]
pub(crate) struct Timestamp {
    text: String,
    moment: OffsetDateTime,
}

impl Timestamp {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if bytes.len() != 16 || bytes[8] != b'T' || bytes[15] != b'Z' {
            return None;
        }
        let two = |at: usize| digits(&bytes[at..at + 2]).and_then(|value| u8::try_from(value).ok());
        let month = Month::try_from(two(4)?).ok()?;
        let date = Date::from_calendar_date(i32::from(digits(&bytes[..4])?), month, two(6)?).ok()?;
        let time = Time::from_hms(two(9)?, two(11)?, two(13)?).ok()?;
        Some(Self { text: text.to_owned(), moment: PrimitiveDateTime::new(date, time).assume_utc() })
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// `YYYYMMDD`
    pub(crate) fn day(&self) -> &str {
        &self.text[..8]
    }

    pub(crate) fn moment(&self) -> OffsetDateTime {
        self.moment
    }
}

fn digits(bytes: &[u8]) -> Option<u16> {
    bytes.iter().try_fold(0, |number: u16, byte| byte.is_ascii_digit().then(|| number * 10 + u16::from(byte - b'0')))
}

/// Whether the text is a date of our time as HTTP writes it (RFC 9110, section 5.6.7).
pub(crate) fn is_http_date(text: &str) -> bool {
    OffsetDateTime::parse(text, &Rfc2822).is_ok_and(|date| date.unix_timestamp() >= 0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_timestamp_is_a_moment() {
        let timestamp = Timestamp::parse("20130524T010203Z").unwrap();
        assert_eq!(timestamp.moment(), datetime!(2013-05-24 01:02:03 UTC));
        assert_eq!((timestamp.text(), timestamp.day()), ("20130524T010203Z", "20130524"));
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        let wrong = ["", "20130524", "20130524T010203", "20130524t010203Z", "20130524T010203z", "20130230T000000Z", "20130524T240000Z"];
        for text in wrong.into_iter().chain(["20131324T000000Z", "2013052\u{663}T00000Z", "+0130524T000000Z", "20130524T0000:0Z"]) {
            assert!(Timestamp::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_date_of_http_is_told_from_what_is_none() {
        assert!(is_http_date("Tue, 07 Jul 2026 21:53:04 GMT"));
        for text in ["", "Bad Date", "Tue, 07 Jul 1950 21:53:04 GMT", "20260707T215304Z"] {
            assert!(!is_http_date(text), "{text}");
        }
    }
}
