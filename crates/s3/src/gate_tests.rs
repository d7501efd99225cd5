#![allow(clippy::unwrap_used)]
use strongroom_access::{Configured, SecretKey};

use super::*;

pub(super) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn gate() -> Gate {
    let root = Identity::root("AKIDEXAMPLE", SecretKey::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned()).unwrap()).unwrap();
    Gate::new(Arc::new(Configured::new(root, Vec::new()).unwrap()), "us-east-1")
}

fn refusal_at(door: Door, uri: &str, headers: &[(&str, &str)]) -> (String, u16) {
    let mut request = http::Request::builder().uri(uri).header("host", "localhost:9000");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (parts, ()) = request.body(()).unwrap().into_parts();
    let refusal = block_on(gate().admit(&parts, door)).err().unwrap();
    let verdict = refusal.verdict(crate::ErrorDialect::Strongroom);
    (verdict.code.to_owned(), verdict.status.as_u16())
}

fn refusal(uri: &str, headers: &[(&str, &str)]) -> (String, u16) {
    refusal_at(Door::S3, uri, headers)
}

fn now() -> (String, String) {
    let now = OffsetDateTime::now_utc();
    let day = now.format(time::macros::format_description!("[year][month][day]")).unwrap();
    let time = now.format(time::macros::format_description!("[hour][minute][second]")).unwrap();
    (day.clone(), format!("{day}T{time}Z"))
}

fn signed_by(access_key: &str, day: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential={access_key}/{day}/us-east-1/s3/aws4_request, SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature={}",
        "0".repeat(64)
    )
}

fn presigned(day: &str, time: &str, region: &str) -> String {
    format!(
        "/b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F{day}%2F{region}%2Fs3%2Faws4_request&X-Amz-Date={time}\
         &X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature={}",
        "0".repeat(64)
    )
}

#[test]
fn an_unsigned_request_is_nobodys_and_no_administration() {
    let request = http::Request::builder().uri("/bucket/key").body(()).unwrap();
    let admitted = block_on(gate().admit(&request.into_parts().0, Door::S3)).unwrap();
    assert!(admitted.identity.is_anonymous() && !admitted.covers_body);
    assert_eq!(refusal_at(Door::Admin, "/kms/keys", &[]), ("AccessDenied".to_owned(), 403));
}

#[test]
fn a_wrong_signature_and_an_unknown_key_have_the_codes_of_s3() {
    let (day, time) = now();
    for (access_key, code) in [("AKIDEXAMPLE", "SignatureDoesNotMatch"), ("SOMEBODYELSE", "InvalidAccessKeyId")] {
        let authorization = signed_by(access_key, &day);
        let headers = [("authorization", authorization.as_str()), ("x-amz-content-sha256", "UNSIGNED-PAYLOAD"), ("x-amz-date", &time)];
        assert_eq!(refusal("/", &headers), (code.to_owned(), 403));
    }
}

#[test]
fn an_old_request_is_too_skewed_and_an_old_url_expired() {
    let authorization = signed_by("AKIDEXAMPLE", "20150830");
    let headers =
        [("authorization", authorization.as_str()), ("x-amz-content-sha256", "UNSIGNED-PAYLOAD"), ("x-amz-date", "20150830T123600Z")];
    assert_eq!(refusal("/", &headers), ("RequestTimeTooSkewed".to_owned(), 403));
    assert_eq!(refusal(&presigned("20150830", "20150830T123600Z", "us-east-1"), &[]), ("AccessDenied".to_owned(), 403));
}

#[test]
fn a_signature_for_what_is_no_region_is_told_the_right_one() {
    let (day, time) = now();
    for region in ["US", "eu_west", ""] {
        let authorization = signed_by("AKIDEXAMPLE", &day).replace("us-east-1", region);
        let headers = [("authorization", authorization.as_str()), ("x-amz-content-sha256", "UNSIGNED-PAYLOAD"), ("x-amz-date", &time)];
        assert_eq!(refusal("/", &headers), ("AuthorizationHeaderMalformed".to_owned(), 400), "{region}");
        assert_eq!(refusal(&presigned(&day, &time, region), &[]), ("AuthorizationHeaderMalformed".to_owned(), 400), "{region}");
    }
}

#[test]
fn a_session_token_belongs_to_no_identity() {
    let (day, time) = now();
    let authorization = signed_by("AKIDEXAMPLE", &day).replace("x-amz-date,", "x-amz-date;x-amz-security-token,");
    let headers = [
        ("authorization", authorization.as_str()),
        ("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
        ("x-amz-date", &time),
        ("x-amz-security-token", "token"),
    ];
    assert_eq!(refusal("/", &headers), ("InvalidToken".to_owned(), 400));
}

#[test]
fn a_presigned_url_does_not_open_administration() {
    let (day, time) = now();
    assert_eq!(refusal_at(Door::Admin, &presigned(&day, &time, "us-east-1"), &[]), ("AccessDenied".to_owned(), 403));
}
