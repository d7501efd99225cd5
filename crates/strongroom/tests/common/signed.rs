//! AWS Signature Version 4, as far as one PUT of a few bytes needs it.

use std::fmt::Write as _;

use aws_lc_rs::{digest, hmac};
use time::OffsetDateTime;
use time::macros::format_description;

/// The lines of Host and of the headers that sign a request without a query.
pub(super) fn headers(access_key: &str, secret_key: &str, method: &str, path: &str, host: &str, body: &[u8]) -> String {
    let now = OffsetDateTime::now_utc();
    let at = now.format(format_description!("[year][month][day]T[hour][minute][second]Z")).unwrap();
    let date = &at[..8];
    let payload = sha256(body);
    let names = "host;x-amz-content-sha256;x-amz-date";
    let canonical = format!("{method}\n{path}\n\nhost:{host}\nx-amz-content-sha256:{payload}\nx-amz-date:{at}\n\n{names}\n{payload}");
    let scope = format!("{date}/us-east-1/s3/aws4_request");
    let to_sign = format!("AWS4-HMAC-SHA256\n{at}\n{scope}\n{}", sha256(canonical.as_bytes()));
    let pieces = [date, "us-east-1", "s3", "aws4_request", &to_sign];
    let signature = pieces.iter().fold(format!("AWS4{secret_key}").into_bytes(), |key, piece| mac(&key, piece));
    format!(
        "Host: {host}\r\nx-amz-content-sha256: {payload}\r\nx-amz-date: {at}\r\n\
         Authorization: AWS4-HMAC-SHA256 Credential={access_key}/{scope}, SignedHeaders={names}, Signature={}\r\n",
        hex(&signature)
    )
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

fn sha256(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
