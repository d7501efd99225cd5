#![allow(clippy::unwrap_used)]
use std::{fmt::Write as _, sync::Mutex};

use aws_lc_rs::{digest, hmac};
use strongroom_access::{Configured, SecretKey};
use strongroom_engine::api::BodyError;
use time::{OffsetDateTime, macros::format_description};

use super::*;
use crate::body::tests::raw;

const ACCESS_KEY: &str = "AKADMIN";
const SECRET: &str = "a secret of tests";
const MAX_BYTES: usize = 64;

/// How a test's request is signed.
struct Signing<'a> {
    secret: &'a str,
    region: &'a str,
    payload: Option<&'a str>,
    length: bool,
}

const USUAL: Signing<'static> = Signing { secret: SECRET, region: "us-east-1", payload: None, length: true };

fn signed(method: &str, path_and_query: &str, body: &'static [u8], how: &Signing<'_>) -> http::Request<RawBody> {
    let at = OffsetDateTime::now_utc().format(format_description!("[year][month][day]T[hour][minute][second]Z")).unwrap();
    let (date, payload) = (&at[..8], how.payload.map_or_else(|| sha256(body), str::to_owned));
    let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
    let names = "host;x-amz-content-sha256;x-amz-date";
    let canonical = format!("{method}\n{path}\n{query}\nhost:here\nx-amz-content-sha256:{payload}\nx-amz-date:{at}\n\n{names}\n{payload}");
    let scope = format!("{date}/{}/s3/aws4_request", how.region);
    let to_sign = format!("AWS4-HMAC-SHA256\n{at}\n{scope}\n{}", sha256(canonical.as_bytes()));
    let key = [date, how.region, "s3", "aws4_request", &to_sign]
        .iter()
        .fold(format!("AWS4{}", how.secret).into_bytes(), |key, text| mac(&key, text));
    let authorization = format!("AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{scope}, SignedHeaders={names}, Signature={}", hex(&key));
    let request = http::Request::builder().method(method).uri(path_and_query).header("host", "here").header("x-amz-date", &at);
    let request = request.header("x-amz-content-sha256", payload).header("authorization", authorization);
    if how.length {
        request.header("content-length", body.len()).body(raw(&[body])).unwrap()
    } else {
        request.body(raw(&body.chunks(3).collect::<Vec<_>>())).unwrap()
    }
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

/// Administration that takes bodies of so many bytes, from everybody or from nobody, and notes what it is given.
#[derive(Default)]
struct Desk {
    max_bytes: usize,
    refuses: bool,
    handled: Mutex<Option<(http::Request<Bytes>, Signer)>>,
}

#[async_trait]
impl AdminHandler for Desk {
    fn max_body_bytes(&self, _: &Method, _: &str) -> usize {
        self.max_bytes
    }

    fn is_of_every_account(&self, _: &Method, path: &str) -> bool {
        path.starts_with("/iam/")
    }

    async fn refusal(&self, _: &Method, _: &str, _: &Signer) -> Option<http::Response<AdminBody>> {
        self.refuses.then(|| http::Response::new(Box::pin(Unreadable) as AdminBody))
    }

    async fn handle(&self, request: http::Request<Bytes>, signer: Signer) -> http::Response<AdminBody> {
        *self.handled.lock().unwrap() = Some((request, signer));
        http::Response::new(Box::pin(Unreadable))
    }
}

/// A body that must not be read.
struct Unreadable;

impl Body for Unreadable {
    type Data = Bytes;
    type Error = ResponseCut;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, Self::Error>>> {
        panic!("the body was read")
    }
}

/// The same as a request's.
struct Unread;

impl Body for Unread {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, Self::Error>>> {
        panic!("the body was read")
    }
}

async fn admitted_by(desk: &Desk, request: http::Request<RawBody>, secure: bool) -> Result<http::Response<AdminBody>, Refusal> {
    let root = Identity::root(ACCESS_KEY, SecretKey::new(SECRET.to_owned()).unwrap()).unwrap();
    let gate = Gate::new(Arc::new(Configured::new(root, Vec::new()).unwrap()), "us-east-1");
    let (parts, body) = request.into_parts();
    let conditions = Conditions::new(secure);
    let bounds = Bounds::new(&crate::S3Options::default());
    let visitor = Visitor { parts, body, bounds: &bounds, peer: None, secure, secrets_allowed: secure, conditions, request_id: "0" };
    admit(&gate, desk, &Budget::new(1 << 20), visitor, &mut Known::default()).await
}

/// The request as the handler got it, and who signed it.
async fn verified(request: http::Request<RawBody>, secure: bool) -> Result<(http::Request<Bytes>, Arc<Identity>), Refusal> {
    let desk = Desk { max_bytes: MAX_BYTES, ..Desk::default() };
    admitted_by(&desk, request, secure).await?;
    let (request, signer) = desk.handled.lock().unwrap().take().unwrap();
    Ok((request, signer.identity))
}

async fn answer(request: http::Request<RawBody>, secure: bool) -> (String, u16) {
    let refusal = &verified(request, secure).await.err().unwrap();
    let verdict = refusal.verdict(crate::ErrorDialect::Strongroom);
    let status = if is_of_signature(refusal) { StatusCode::UNAUTHORIZED } else { verdict.status };
    (verdict.code.to_owned(), status.as_u16())
}

#[tokio::test]
async fn a_signed_request_arrives_whole_with_who_signed_it() {
    let body = br#"{"key_id":"k"}"#;
    for method in ["POST", "DELETE", "GET"] {
        let (request, identity) = verified(signed(method, "/rustfs/admin/v3/kms/keys?limit=5", body, &USUAL), false).await.unwrap();
        assert_eq!((request.method().as_str(), request.uri().path()), (method, "/rustfs/admin/v3/kms/keys"));
        assert_eq!(request.uri().query(), Some("limit=5"));
        assert_eq!(request.body().as_ref(), body);
        assert_eq!(identity.name, "root");
    }
}

#[tokio::test]
async fn what_mc_sends_is_admitted() {
    let nameless = Signing { region: "", ..USUAL };
    assert!(verified(signed("GET", "/minio/kms/v1/key/list?pattern=%2A", b"", &nameless), false).await.is_ok());
    let chunked = Signing { region: "", length: false, ..USUAL };
    let (request, _) = verified(signed("POST", "/minio/kms/v1/key/create?key-id=k", b"", &chunked), false).await.unwrap();
    assert!(request.body().is_empty());
    let (request, _) = verified(signed("POST", "/minio/admin/v3/start-job", b"keyrotate:", &chunked), false).await.unwrap();
    assert_eq!(request.body().as_ref(), b"keyrotate:");
}

#[tokio::test]
async fn what_nobody_signed_is_unauthorised() {
    let unsigned = http::Request::builder().uri("/kms/keys").header("host", "here").body(raw(&[])).unwrap();
    assert_eq!(answer(unsigned, true).await, ("AccessDenied".to_owned(), 401));
    let forged = signed("GET", "/kms/keys", b"", &Signing { secret: "another", ..USUAL });
    assert_eq!(answer(forged, true).await, ("SignatureDoesNotMatch".to_owned(), 401));
    let mut unknown = signed("GET", "/kms/keys", b"", &USUAL);
    let stranger = unknown.headers()["authorization"].to_str().unwrap().replace(ACCESS_KEY, "AKSTRANGER");
    unknown.headers_mut().insert("authorization", stranger.parse().unwrap());
    assert_eq!(answer(unknown, true).await, ("InvalidAccessKeyId".to_owned(), 401));
}

#[tokio::test]
async fn a_presigned_url_is_no_way_in() {
    let url = "/kms/start?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKADMIN%2F20260101%2Fus-east-1%2Fs3%2Faws4_request";
    let request = http::Request::builder().uri(url).header("host", "here").body(raw(&[])).unwrap();
    assert_eq!(answer(request, true).await, ("AccessDenied".to_owned(), 401));
}

#[tokio::test]
async fn a_body_that_was_altered_on_the_way_is_refused() {
    for length in [true, false] {
        let declared = sha256(b"what was signed");
        let altered = signed("POST", "/kms/start", b"what has come..", &Signing { payload: Some(&declared), length, ..USUAL });
        assert_eq!(answer(altered, true).await, ("XAmzContentSHA256Mismatch".to_owned(), 400));
    }
}

#[tokio::test]
async fn a_body_that_no_signature_covers_is_refused_over_tls_too() {
    for secure in [true, false] {
        let unsigned = signed("POST", "/kms/start", b"{}", &Signing { payload: Some("UNSIGNED-PAYLOAD"), ..USUAL });
        assert_eq!(answer(unsigned, secure).await, ("InvalidRequest".to_owned(), 400));
    }
}

#[tokio::test]
async fn a_body_beyond_the_bound_is_refused_announced_or_not() {
    for length in [true, false] {
        let large = signed("POST", "/kms/keys", &[b'x'; MAX_BYTES + 1], &Signing { length, ..USUAL });
        assert_eq!(answer(large, true).await, ("MaxMessageLengthExceeded".to_owned(), 400));
        let full = signed("POST", "/kms/keys", &[b'x'; MAX_BYTES], &Signing { length, ..USUAL });
        assert_eq!(verified(full, true).await.unwrap().0.body().len(), MAX_BYTES);
    }
}

#[tokio::test]
async fn whoever_may_not_make_a_call_is_refused_before_its_body_is_read() {
    let desk = Desk { max_bytes: 64 << 20, refuses: true, ..Desk::default() };
    for payload in [None, Some("STREAMING-AWS4-HMAC-SHA256-PAYLOAD")] {
        let request = signed("POST", "/kms/restore", b"{}", &Signing { payload, ..USUAL }).map(|_| Box::pin(Unread) as RawBody);
        assert_eq!(admitted_by(&desk, request, true).await.unwrap().status(), 200);
    }
}

/// The attack: a form, or a body in chunks, that was parsed and kept before anybody asked who sends it.
#[tokio::test]
async fn nothing_of_a_body_is_read_before_the_signature_holds() {
    let desk = Desk { max_bytes: 64 << 20, ..Desk::default() };
    for (content_type, sha256) in [
        ("multipart/form-data; boundary=x", "UNSIGNED-PAYLOAD"),
        ("application/json", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
        ("application/json", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
        ("application/json", "UNSIGNED-PAYLOAD"),
    ] {
        for authorization in
            ["x", "AWS4-HMAC-SHA256 Credential=AKADMIN/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=00"]
        {
            let request = http::Request::builder().method("POST").uri("/kms/restore").header("host", "here");
            let request = request.header("content-type", content_type).header("x-amz-content-sha256", sha256);
            let request = request.header("authorization", authorization).body(Box::pin(Unread) as RawBody).unwrap();
            assert!(admitted_by(&desk, request, true).await.is_err(), "{content_type} {sha256} {authorization}");
        }
    }
}

#[test]
fn reserved_paths_are_told_from_buckets() {
    for path in ["/minio/kms/v1/status", "/rustfs/admin/v3/kms/keys", "/strongroom/admin/v1/kms/status", "/minio/x"] {
        assert!(is_reserved(path), "{path}");
    }
    for path in ["/", "/minio", "/minio/", "/minios/x", "/kms/keys", "/bucket/minio/x", "minio/x"] {
        assert!(!is_reserved(path), "{path}");
    }
}

#[test]
fn an_error_is_json_whatever_it_says() {
    assert_eq!(error_json("C", "a \"b\"\n").as_ref(), br#"{"code":"C","message":"a \"b\"\n"}"#);
}
