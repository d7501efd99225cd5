//! Times as S3 writes and reads them. Milliseconds or seconds since 1970 inside.

use time::{
    OffsetDateTime, PrimitiveDateTime,
    format_description::{BorrowedFormatItem, well_known::Rfc3339},
    macros::format_description,
};

const HTTP_DATE: &[BorrowedFormatItem<'_>] =
    format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");
const RFC_850: &[BorrowedFormatItem<'_>] =
    format_description!("[weekday repr:long], [day]-[month repr:short]-[year repr:last_two] [hour]:[minute]:[second] GMT");
const ASCTIME: &[BorrowedFormatItem<'_>] =
    format_description!("[weekday repr:short] [month repr:short] [day padding:space] [hour]:[minute]:[second] [year]");

/// From 0000-01-01T00:00:00Z to 9999-12-31T23:59:59.999Z: the forms have four digits for a year, and no sign.
const FIRST_MS: i64 = -62_167_219_200_000;
const LAST_MS: i64 = 253_402_300_799_999;

/// `Wed, 21 Oct 2015 07:28:00 GMT`
pub(crate) fn http_date(unix_ms: i64) -> String {
    moment(unix_ms).format(HTTP_DATE).unwrap_or_default()
}

/// `2015-10-21T07:28:00.000Z`
pub(crate) fn iso_8601(unix_ms: i64) -> String {
    let mut text = String::new();
    push_iso_8601(&mut text, unix_ms);
    text
}

/// Writes the same. Digit by digit, as a listing has a thousand of them and the formatter of `time` takes longer than all else in a line.
pub(crate) fn push_iso_8601(out: &mut String, unix_ms: i64) {
    let moment = moment(unix_ms);
    let (year, month, day) = moment.to_calendar_date();
    let (hour, minute, second, millisecond) = moment.to_hms_milli();
    push_digits(out, year.unsigned_abs(), 4, '-');
    push_digits(out, u8::from(month).into(), 2, '-');
    push_digits(out, day.into(), 2, 'T');
    push_digits(out, hour.into(), 2, ':');
    push_digits(out, minute.into(), 2, ':');
    push_digits(out, second.into(), 2, '.');
    push_digits(out, millisecond.into(), 3, 'Z');
}

/// The last `digits` digits of a number, and what stands behind them.
fn push_digits(out: &mut String, number: u32, digits: u32, behind: char) {
    for place in (0..digits).rev() {
        out.push(char::from_digit(number / 10_u32.pow(place) % 10, 10).unwrap_or('0'));
    }
    out.push(behind);
}

/// Seconds since 1970 of an HTTP date (RFC 9110, all three forms), or none where it is no date.
pub(crate) fn parse_http_date(text: &str) -> Option<i64> {
    let text = text.trim();
    // A year of two digits is only in the obsolete form of RFC 850; `time` cannot complete it, so it is made four here.
    let parsed = PrimitiveDateTime::parse(text, HTTP_DATE)
        .or_else(|_| PrimitiveDateTime::parse(text, ASCTIME))
        .ok()
        .or_else(|| parse_rfc_850(text))?;
    Some(parsed.assume_utc().unix_timestamp())
}

/// Milliseconds since 1970 of a date of ISO 8601 as S3's clients write it (RFC 3339), or none where it is no date.
pub(crate) fn parse_iso_8601(text: &str) -> Option<i64> {
    let parsed = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(parsed.unix_timestamp_nanos().div_euclid(1_000_000)).ok().filter(|unix_ms| *unix_ms <= LAST_MS)
}

fn parse_rfc_850(text: &str) -> Option<PrimitiveDateTime> {
    let mut parsed = time::parsing::Parsed::new();
    let rest = parsed.parse_items(text.as_bytes(), RFC_850).ok()?;
    let year = i32::from(parsed.year_last_two()?);
    parsed.set_year(if year < 70 { 2000 + year } else { 1900 + year })?;
    rest.is_empty().then(|| PrimitiveDateTime::try_from(parsed).ok())?
}

fn moment(unix_ms: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(unix_ms.clamp(FIRST_MS, LAST_MS)) * 1_000_000)
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_s3_writes_them() {
        assert_eq!(http_date(1_445_412_480_999), "Wed, 21 Oct 2015 07:28:00 GMT");
        assert_eq!(iso_8601(1_445_412_480_999), "2015-10-21T07:28:00.999Z");
        assert_eq!(iso_8601(i64::MAX), "9999-12-31T23:59:59.999Z");
        assert_eq!(iso_8601(i64::MIN), "0000-01-01T00:00:00.000Z");
    }

    #[test]
    fn digits_written_one_by_one_are_those_of_a_formatter() {
        const ISO_8601: &[BorrowedFormatItem<'_>] =
            format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
        // A stride that is a multiple of nothing goes through every field.
        let stride = 86_400_000 * 41 + 3_661_007;
        let mut unix_ms = FIRST_MS;
        while unix_ms <= LAST_MS {
            assert_eq!(iso_8601(unix_ms), moment(unix_ms).format(ISO_8601).unwrap_or_default(), "{unix_ms}");
            unix_ms += stride;
        }
    }

    #[test]
    fn all_three_forms_of_http_dates_are_read() {
        for text in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            assert_eq!(parse_http_date(text), Some(784_111_777), "{text}");
        }
        assert_eq!(parse_http_date("yesterday"), None);
    }

    #[test]
    fn dates_of_iso_8601_are_read_with_their_offset_and_their_fraction() {
        for (text, expected) in [
            ("1994-11-06T08:49:37Z", 784_111_777_000),
            ("1994-11-06T08:49:37.5Z", 784_111_777_500),
            ("1994-11-06T10:49:37.500999+02:00", 784_111_777_500),
        ] {
            assert_eq!(parse_iso_8601(text), Some(expected), "{text}");
        }
        for text in
            ["", "1994-11-06", "1994-11-06T08:49:37", "Sun, 06 Nov 1994 08:49:37 GMT", "1994-13-06T08:49:37Z", "9999-12-31T23:59:59-23:00"]
        {
            assert_eq!(parse_iso_8601(text), None, "{text}");
        }
    }
}
