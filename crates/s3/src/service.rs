//! From a request of hyper to its response: every response has a request id, every request a line in the log.

use std::{
    net::IpAddr,
    sync::{Arc, atomic::AtomicU64},
    time::Instant,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version, header, request::Parts};
use hyper::body::Incoming;
use strongroom_access::{ConditionKey, Conditions, IdentitySource};
use strongroom_engine::{
    Engine, Error,
    api::{Caller, Seen},
};
use strongroom_fair::Tenant;
use strongroom_iam::Iam;
use strongroom_limits::Slot;
use time::OffsetDateTime;

use crate::{
    access_log::AccessRecord,
    admin::{self, AdminHandler},
    api::Api,
    authorize::{admit_anonymous, authorize},
    body::{RawBody, Received},
    cors,
    gate::{Admitted, Door, Gate},
    headers,
    limits::{Bounds, LimitCounts, Throttled},
    names,
    operation::{Operation, resolve},
    ops,
    options::{ConnectionInfo, S3Options},
    pace::Pace,
    query::{Plus, Query, decode},
    refusal::{Circumstances, Refusal, refuse},
    reply::{Reply, ResponseBody},
    request::{Access, Request},
    sse::SECRET_HEADERS,
};

/// How to mend a request whose body anybody on the network could exchange.
const UNCOVERED_BODY: &str =
    "Without TLS the signature must cover the body: x-amz-content-sha256 must not be UNSIGNED-PAYLOAD. Use https, or sign the body.";

/// The S3 side of the server. Cheap to clone.
#[derive(Clone)]
pub struct S3Service {
    pub(crate) inner: Arc<Inner>,
    pub(crate) admin: Option<Arc<dyn AdminHandler>>,
    pub(crate) iam: Option<Arc<Iam>>,
}

pub(crate) struct Inner {
    pub(crate) gate: Gate,
    pub(crate) api: Api,
    pub(crate) bounds: Bounds,
    host_id: String,
}

/// What is known of a request by the time that it is answered.
#[derive(Default)]
pub(crate) struct Findings {
    pub(crate) operation: Option<&'static Operation>,
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) identity: String,
    /// Where the identity has limits.
    pub(crate) slot: Option<Arc<Slot>>,
}

impl S3Service {
    /// A service over the engine for these identities.
    pub fn new(engine: Arc<Engine>, identities: Arc<dyn IdentitySource>, options: S3Options) -> Self {
        let gate = Gate::new(identities, &options.region);
        let host_id = BASE64_STANDARD.encode(random::<24>());
        let bounds = Bounds::new(&options);
        let api = Api::new(engine, options);
        Self { inner: Arc::new(Inner { gate, api, bounds, host_id }), admin: None, iam: None }
    }

    /// How often limits were reached since the start.
    pub fn limit_counts(&self) -> LimitCounts {
        self.inner.bounds.counts()
    }

    /// Answers a request. Errors are responses; the response's body ends in an error where the connection must be cut.
    pub async fn call(&self, request: http::Request<Incoming>, connection: ConnectionInfo) -> http::Response<ResponseBody> {
        if self.admin.is_some()
            && admin::is_reserved(request.uri().path())
            && self.inner.host_bucket(request.uri(), request.headers()).is_ok_and(|bucket| bucket.is_none())
        {
            return self.call_admin(request, connection).await;
        }
        if self.is_iam_call(&request) {
            return Box::pin(self.call_iam(request, connection)).await;
        }
        let begun = Instant::now();
        let request_id = new_request_id();
        let (method, uri, version) = (request.method().clone(), request.uri().clone(), request.version());
        let received_bytes = Arc::new(AtomicU64::new(0));
        let request = self.inner.receive(request, &received_bytes);
        let address = source_ip(request.headers(), connection, &self.inner.api.options);

        let is_preflight = method == Method::OPTIONS;
        let asked = cors::Asked::of_request(&method, request.headers());
        let mut findings = Findings::default();
        let outcome = self.inner.answer(request, connection, &request_id, &mut findings).await;
        let (mut reply, code) = match outcome {
            Ok(reply) => (reply, String::new()),
            Err(refusal) => {
                self.inner.bounds.hold_back(&self.inner.api.engine, &refusal, address, &request_id).await;
                self.inner.refuse(&refusal, &findings, &request_id, &method, &uri, version)
            }
        };
        if let Some(asked) = asked.filter(|_| !findings.bucket.is_empty()) {
            cors::let_in(&self.inner.api, &findings.bucket, &asked, &mut reply.headers).await;
        }
        let record = AccessRecord {
            request_id,
            method,
            operation: findings.operation.map_or(if is_preflight { "Preflight" } else { "-" }, |operation| operation.name),
            bucket: findings.bucket,
            identity: findings.identity,
            status: reply.status,
            code,
            received_bytes,
            begun,
            was_cut: false,
            slot: findings.slot,
        };
        self.inner.respond(reply, record)
    }
}

impl Inner {
    async fn answer(
        &self,
        request: http::Request<RawBody>,
        connection: ConnectionInfo,
        request_id: &str,
        findings: &mut Findings,
    ) -> Result<Reply, Refusal> {
        let (mut parts, body) = request.into_parts();
        hide_secrets(&mut parts.headers);
        let (secure, sse_c_allowed) = self.security(&parts.headers, connection);
        let bucket_of_host = self.find_resource(&parts, findings)?;
        // In boxes: every connection has room for the largest future of its requests, and these are rare.
        if parts.method == Method::OPTIONS {
            return Box::pin(cors::preflight(&self.api, &findings.bucket, &parts.headers)).await;
        }
        if is_form_upload(&parts, &findings.key) {
            return Box::pin(self.answer_form(parts, body, connection, request_id, findings)).await;
        }
        let mut admitted = self.admit(&parts, bucket_of_host.as_deref()).await?;
        findings.identity.clone_from(&admitted.identity.name);
        if admitted.identity.is_anonymous() {
            admit_anonymous(&self.api.engine, &findings.bucket).await?;
        } else {
            // The connection is this identity's until another one signs on it.
            Tenant::named(&findings.identity).take_over();
        }
        findings.slot = self.bounds.begin(&admitted.identity)?;
        let caller = Caller {
            identity: Arc::clone(&admitted.identity),
            secure,
            sse_c_allowed,
            expected_owner: None,
            seen: Seen::default(),
            request_id: request_id.to_owned(),
            peer: source_ip(&parts.headers, connection, &self.api.options),
            operation: "",
        };
        let signing = std::mem::take(&mut admitted.signing);
        let access = Access::new(signing.in_conditions(circumstances(&parts.headers, caller.secure, caller.peer, connection)));
        let (operation, mut request) = take_apart(parts, caller, access, findings)?;
        // In a box too: what it decides by takes kilobytes, and is gone when the operation runs.
        Box::pin(authorize(&self.api.engine, operation, &mut request)).await?;
        if operation.takes_body {
            if !admitted.covers_body && !takes_uncovered_body(secure, connection, &self.api.options) {
                return Err(Refusal::InvalidRequest(UNCOVERED_BODY.to_owned()));
            }
            request.body = Some(admitted.decode(&request.headers, Throttled::wrap(body, findings.slot.as_ref()))?);
        }
        ops::run(&self.api, operation, request).await
    }

    /// Whose request it is.
    async fn admit(&self, parts: &Parts, bucket_of_host: Option<&str>) -> Result<Admitted, Refusal> {
        if self.api.options.signature_v2.urls
            && let Some(admitted) = self.gate.admit_url_of_version_two(parts, bucket_of_host).await?
        {
            return Ok(admitted);
        }
        self.gate.admit(parts, Door::S3).await
    }

    /// The request with a body that is counted, and given up when the client is too slow.
    pub(crate) fn receive(&self, request: http::Request<Incoming>, received_bytes: &Arc<AtomicU64>) -> http::Request<RawBody> {
        let options = &self.api.options;
        let pace = Pace::new(options.body_idle_timeout, options.min_transfer_bytes_per_second);
        let awaits_continue = request.headers().contains_key(header::EXPECT);
        request.map(|body| Box::pin(Received::new(body, awaits_continue, pace, Arc::clone(received_bytes))) as RawBody)
    }

    /// Whether the client's side of the connection is encrypted, and whether keys may travel on it.
    pub(crate) fn security(&self, headers: &HeaderMap, connection: ConnectionInfo) -> (bool, bool) {
        let secure = is_secure(headers, connection, &self.api.options);
        (secure, secure || allowed_on_loopback(connection, &self.api.options))
    }

    /// The bucket that the host names, where it names one.
    pub(crate) fn host_bucket(&self, uri: &Uri, map: &HeaderMap) -> Result<Option<String>, Refusal> {
        let authority = uri.authority().map(|authority| authority.as_str().to_owned());
        let host = headers::value(map, "host")?.or(authority).unwrap_or_default();
        Ok(bucket_of_host(&host, &self.api.options.domains))
    }

    /// Bucket and key, and whether they can be meant at all. Before the signature is looked at, so that its errors name them. Gives back the
    /// bucket where the host names it.
    fn find_resource(&self, parts: &Parts, findings: &mut Findings) -> Result<Option<String>, Refusal> {
        let bucket_of_host = self.host_bucket(&parts.uri, &parts.headers)?;
        (findings.bucket, findings.key) = resource(&parts.uri, bucket_of_host.clone())?;
        let creates_bucket = parts.method == Method::PUT && findings.key.is_empty();
        if names::RESERVED.contains(&findings.bucket.as_str()) && !creates_bucket {
            return Err(Refusal::NotImplemented(format!("/{}", findings.bucket)));
        }
        Ok(bucket_of_host)
    }

    fn refuse(
        &self,
        refusal: &Refusal,
        findings: &Findings,
        request_id: &str,
        method: &Method,
        uri: &Uri,
        version: Version,
    ) -> (Reply, String) {
        let dialect = self.api.options.error_dialect;
        let verdict = refusal.verdict(dialect);
        let (bucket, key) = (findings.bucket.as_str(), findings.key.as_str());
        let circumstances = Circumstances { method, path: uri.path(), bucket, key, request_id, host_id: &self.host_id, dialect };
        let mut reply = refuse(refusal, &circumstances);
        if verdict.closes && version <= Version::HTTP_11 {
            reply.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if verdict.status.is_server_error() {
            report(refusal, request_id, verdict.code);
        }
        (reply, verdict.code.to_owned())
    }

    pub(crate) fn respond(&self, reply: Reply, record: AccessRecord) -> http::Response<ResponseBody> {
        let Reply { status, mut headers, payload } = reply;
        let ids = [("x-amz-request-id", record.request_id.as_str()), ("x-amz-id-2", self.host_id.as_str())];
        for (name, value) in ids {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        headers.insert(header::SERVER, HeaderValue::from_static("Strongroom"));
        let mut response = http::Response::new(ResponseBody::new(payload, record));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response
    }
}

/// The operation, and the request as it sees it. The body follows when the caller is authorized.
fn take_apart(
    parts: Parts,
    mut caller: Caller,
    access: Box<Access>,
    findings: &mut Findings,
) -> Result<(&'static Operation, Request), Refusal> {
    let Parts { method, uri, mut headers, .. } = parts;
    let (bucket, key) = (findings.bucket.clone(), findings.key.clone());
    let query = Query::parse(uri.query().unwrap_or_default())?;
    headers::hoist_presigned(&mut headers, &query)?;
    let operation = resolve(&method, &bucket, &key, &query, headers.contains_key("x-amz-copy-source"))?;
    findings.operation = Some(operation);
    caller.operation = operation.name;
    caller.expected_owner = headers::filled(&headers, "x-amz-expected-bucket-owner")?;
    Ok((operation, Request { bucket, key, query, headers, body: None, form: None, caller, access }))
}

/// The cause of a failure of the server, which the client does not get to see.
pub(crate) fn report(refusal: &Refusal, request_id: &str, code: &str) {
    // What passes when there is memory or room again is counted, and told by who ran out of it.
    let passes = |error: &Error| {
        let is_storage = matches!(error, Error::StorageFull | Error::StorageReadOnly | Error::StorageFailing);
        is_storage || matches!(error, Error::Busy | Error::AuditUnavailable(_))
    };
    if let Refusal::Engine(error) = refusal
        && !passes(error)
    {
        let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
        let cause = causes.map(ToString::to_string).collect::<Vec<_>>().join(": ");
        tracing::error!(request_id, code, error = error.to_string(), cause, "request failed");
    }
}

/// Keeps secrets out of every `Debug` of the headers, here and in the libraries below.
pub(crate) fn hide_secrets(headers: &mut HeaderMap) {
    // An empty Authorization is none: an anonymous request, not a malformed one.
    if headers.get(header::AUTHORIZATION).is_some_and(HeaderValue::is_empty) {
        headers.remove(header::AUTHORIZATION);
    }
    for (name, value) in headers.iter_mut() {
        if SECRET_HEADERS.contains(&name.as_str()) {
            value.set_sensitive(true);
        }
    }
}

/// Whether it is a form for a bucket. One that is signed in its headers or its URL is an operation like any other.
fn is_form_upload(parts: &Parts, key: &str) -> bool {
    let form = |value: &HeaderValue| value.as_bytes().to_ascii_lowercase().starts_with(b"multipart/form-data");
    let is_form = parts.method == Method::POST && parts.headers.get(header::CONTENT_TYPE).is_some_and(form);
    is_form && key.is_empty() && parts.uri.query().unwrap_or_default().is_empty() && !parts.headers.contains_key(header::AUTHORIZATION)
}

/// Whether the client's side of the connection is encrypted, as far as the server knows or a trusted proxy says.
fn is_secure(headers: &HeaderMap, connection: ConnectionInfo, options: &S3Options) -> bool {
    let peer = connection.peer.ip().to_canonical();
    connection.secure || options.trusted_proxies.iter().any(|proxy| proxy.contains(peer)) && proxy_says_https(headers)
}

/// What policies' conditions see of every request, besides the caller.
pub(crate) fn circumstances(headers: &HeaderMap, secure: bool, peer: Option<IpAddr>, connection: ConnectionInfo) -> Conditions {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    Conditions::new(secure)
        .with_some(ConditionKey::TlsVersion, connection.tls_version)
        .with_some(ConditionKey::SourceIp, peer.map(|address| address.to_string()))
        .with(ConditionKey::CurrentTime, OffsetDateTime::now_utc().unix_timestamp().to_string())
        .with_some(ConditionKey::Referer, text(header::REFERER))
        .with_some(ConditionKey::UserAgent, text(header::USER_AGENT))
}

/// Where a request came from: what a trusted proxy itself added last, else the peer. None where the proxy says nothing that is an address: a
/// condition then sees none, rather than that of the proxy.
pub(crate) fn source_ip(headers: &HeaderMap, connection: ConnectionInfo, options: &S3Options) -> Option<IpAddr> {
    let peer = connection.peer.ip().to_canonical();
    if options.trusted_proxies.iter().any(|proxy| proxy.contains(peer)) && headers.contains_key("x-forwarded-for") {
        return headers::list(headers, "x-forwarded-for").pop()?.trim().parse::<IpAddr>().ok().map(|address| address.to_canonical());
    }
    Some(peer)
}

/// Whether customer keys are taken over plain HTTP, as was chosen for development. It makes nothing else secure.
fn allowed_on_loopback(connection: ConnectionInfo, options: &S3Options) -> bool {
    options.allow_insecure_sse_c_on_loopback && connection.peer.ip().to_canonical().is_loopback()
}

/// Without TLS the signature is all that protects a body on its way from another machine, so it must cover it.
pub(crate) fn takes_uncovered_body(secure: bool, connection: ConnectionInfo, options: &S3Options) -> bool {
    secure || options.allow_unsigned_payload_over_http || connection.peer.ip().to_canonical().is_loopback()
}

/// A proxy may set the one header and pass the other on as a client sent it, so where there are both, both must say it. The last
/// entry of each is the one that the trusted proxy itself added.
fn proxy_says_https(headers: &HeaderMap) -> bool {
    let says_https = |protocol: &str| protocol.eq_ignore_ascii_case("https");
    let x_forwarded = headers::list(headers, "x-forwarded-proto").pop().map(|last| says_https(&last));
    let forwarded = headers::list(headers, "forwarded").pop().map(|last| says_https(forwarded_protocol(&last)));
    match (x_forwarded, forwarded) {
        (Some(first), Some(second)) => first && second,
        (one, other) => one.or(other).unwrap_or(false),
    }
}

/// `proto` of an entry of `Forwarded` (RFC 7239); empty where it is not there.
fn forwarded_protocol(entry: &str) -> &str {
    let mut pairs = entry.split(';').filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| name.eq_ignore_ascii_case("proto")).map_or("", |(_, value)| value.trim_matches('"'))
}

/// The bucket that the host names in virtual-host style.
fn bucket_of_host(host: &str, domains: &[String]) -> Option<String> {
    let port_free = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let host = port_free.to_ascii_lowercase();
    let bucket = |domain: &String| {
        host.strip_suffix(&domain.to_ascii_lowercase())?.strip_suffix('.').filter(|bucket| !bucket.is_empty()).map(str::to_owned)
    };
    domains.iter().find_map(bucket)
}

/// Bucket and key of a path. The path is decoded first, as it is for its signature.
fn resource(uri: &Uri, bucket_of_host: Option<String>) -> Result<(String, String), Refusal> {
    let path = decode(uri.path(), Plus::IsPlus)?;
    let path = path.strip_prefix('/').unwrap_or(&path);
    let (bucket, key) = match bucket_of_host {
        Some(bucket) => (bucket, path.to_owned()),
        None => path.split_once('/').map_or((path.to_owned(), String::new()), |(bucket, key)| (bucket.to_owned(), key.to_owned())),
    };
    if bucket.is_empty() && !path.is_empty() {
        return Err(Refusal::Engine(Error::InvalidBucketName("it is empty".to_owned())));
    }
    if key.len() > names::MAX_KEY_LEN_BYTES {
        return Err(Refusal::Engine(Error::KeyTooLong));
    }
    Ok((bucket, key))
}

/// An id for a request that no other has.
pub(crate) fn new_request_id() -> String {
    hex::encode_upper(random::<16>())
}

fn random<const LEN_BYTES: usize>() -> [u8; LEN_BYTES] {
    let mut bytes = [0; LEN_BYTES];
    // Ids need not be secret; should the generator ever fail, requests are still answered.
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    fn from(peer: &str, secure: bool) -> ConnectionInfo {
        ConnectionInfo { secure, tls_version: None, peer: peer.parse().unwrap() }
    }

    #[test]
    fn paths_name_bucket_and_key_exactly() {
        let rows = [
            ("/", "", ""),
            ("/b", "b", ""),
            ("/b/", "b", ""),
            ("/b/k", "b", "k"),
            ("/b//k//", "b", "/k//"),
            ("/b/a%2Fb+c%20d%25", "b", "a/b+c d%"),
            ("/b/%C3%BC/../x", "b", "ü/../x"),
        ];
        for (path, bucket, key) in rows {
            assert_eq!(resource(&path.parse().unwrap(), None).unwrap(), (bucket.to_owned(), key.to_owned()), "{path}");
        }
        assert_eq!(resource(&"/a/b".parse().unwrap(), Some("host".to_owned())).unwrap(), ("host".to_owned(), "a/b".to_owned()));
        assert!(matches!(resource(&"/b/%ff".parse().unwrap(), None), Err(Refusal::InvalidUri)));
        let long = format!("/b/{}", "k".repeat(1025));
        assert!(matches!(resource(&long.parse().unwrap(), None), Err(Refusal::Engine(Error::KeyTooLong))));
    }

    #[test]
    fn hosts_name_buckets_under_the_domains_only() {
        let domains = ["s3.example".to_owned(), "Localhost".to_owned()];
        assert_eq!(bucket_of_host("photos.s3.example:9000", &domains).as_deref(), Some("photos"));
        assert_eq!(bucket_of_host("a.b.S3.Example", &domains).as_deref(), Some("a.b"));
        assert_eq!(bucket_of_host("photos.localhost", &domains).as_deref(), Some("photos"));
        for host in ["s3.example", "s3.example:9000", "localhost:9000", "xs3.example", "127.0.0.1:9000", "[::1]:9000", "other.example", ""]
        {
            assert_eq!(bucket_of_host(host, &domains), None, "{host}");
        }
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        let options = S3Options { trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()], ..S3Options::default() };
        let https = map(&[("x-forwarded-proto", "https")]);
        assert!(is_secure(&https, from("10.1.2.3:5", false), &options));
        assert!(!is_secure(&https, from("192.0.2.1:5", false), &options));
        assert!(is_secure(&HeaderMap::new(), from("192.0.2.1:5", true), &options));
        assert!(!is_secure(&map(&[("x-forwarded-proto", "https, http")]), from("10.1.2.3:5", false), &options));
        assert!(is_secure(&map(&[("forwarded", "for=1;proto=http, for=2; proto=\"https\"")]), from("10.1.2.3:5", false), &options));
        assert!(!is_secure(&HeaderMap::new(), from("10.1.2.3:5", false), &options));
    }

    #[test]
    fn two_headers_of_a_proxy_must_agree() {
        let both = |x_forwarded, forwarded| proxy_says_https(&map(&[("x-forwarded-proto", x_forwarded), ("forwarded", forwarded)]));
        assert!(both("https", "for=1;proto=https"));
        assert!(!both("https", "for=1;proto=http"), "the proxy sets Forwarded, and passes the client's own header on");
        assert!(!both("http", "for=1;proto=https"));
        assert!(!both("https", "for=1"));
    }

    #[test]
    fn plain_loopback_may_send_customer_keys_only_if_that_was_chosen_and_is_never_secure() {
        let options = S3Options::default();
        assert!(!allowed_on_loopback(from("127.0.0.1:5", false), &options));
        let options = S3Options { allow_insecure_sse_c_on_loopback: true, ..options };
        for loopback in ["127.0.0.1:5", "[::1]:5", "[::ffff:127.0.0.1]:5"] {
            assert!(allowed_on_loopback(from(loopback, false), &options), "{loopback}");
            assert!(!is_secure(&HeaderMap::new(), from(loopback, false), &options), "{loopback}");
        }
        assert!(!allowed_on_loopback(from("192.0.2.1:5", false), &options));
    }

    #[test]
    fn a_body_that_no_signature_covers_needs_tls_from_another_machine_unless_that_was_chosen() {
        let options = S3Options::default();
        for (peer, secure, taken) in [
            ("192.0.2.1:5", false, false),
            ("[2001:db8::1]:5", false, false),
            ("192.0.2.1:5", true, true),
            ("127.0.0.1:5", false, true),
            ("[::ffff:127.0.0.1]:5", false, true),
        ] {
            assert_eq!(takes_uncovered_body(secure, from(peer, secure), &options), taken, "{peer}");
        }
        let options = S3Options { allow_unsigned_payload_over_http: true, ..options };
        assert!(takes_uncovered_body(false, from("192.0.2.1:5", false), &options));
    }

    #[test]
    fn secrets_are_hidden_from_debug() {
        let mut headers =
            map(&[("authorization", "AWS4 secret-1"), ("x-amz-server-side-encryption-customer-key", "secret-2"), ("x-amz-date", "today")]);
        hide_secrets(&mut headers);
        let shown = format!("{headers:?}");
        assert!(!shown.contains("secret-") && shown.contains("today"), "{shown}");
    }

    #[test]
    fn a_form_is_a_post_of_form_data_to_a_bucket_that_is_signed_nowhere_else() {
        let is_form = |method: &str, uri: &str, key: &str, headers: &[(&'static str, &'static str)]| {
            let mut request = http::Request::builder().method(method).uri(uri).body(()).unwrap();
            *request.headers_mut() = map(headers);
            is_form_upload(&request.into_parts().0, key)
        };
        let form = [("content-type", "Multipart/Form-Data; boundary=x")];
        assert!(is_form("POST", "/b", "", &form) && is_form("POST", "/b/", "", &form));
        assert!(!is_form("PUT", "/b", "", &form) && !is_form("POST", "/b", "", &[("content-type", "application/xml")]));
        assert!(!is_form("POST", "/b/k", "k", &form) && !is_form("POST", "/b?delete", "", &form));
        assert!(!is_form("POST", "/b", "", &[form[0], ("authorization", "AWS4-HMAC-SHA256 x")]));
    }
}
