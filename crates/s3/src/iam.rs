//! Calls of IAM and STS: forms that are posted to the root of the endpoint, signed for one of the two services.

use std::{
    sync::{Arc, atomic::AtomicU64},
    time::Instant,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header, request::Parts};
use hyper::body::Incoming;
use strongroom_fair::Tenant;
use strongroom_iam::{Caller as IamCaller, Iam, Params};
use strongroom_limits::Slot;

use crate::{
    access_log::AccessRecord,
    body::RawBody,
    gate::Called,
    options::ConnectionInfo,
    refusal::Refusal,
    reply::{Payload, Reply, ResponseBody},
    service::{Inner, S3Service, circumstances, hide_secrets, new_request_id, report, source_ip},
};

/// A policy document of 128 KiB, percent-encoded, and all else.
const MAX_BODY_BYTES: usize = 512 << 10;
const FORM: &[u8] = b"application/x-www-form-urlencoded";
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
/// The namespace of errors that come before it is known which service was asked.
const NAMESPACE: &str = "https://iam.amazonaws.com/doc/2010-05-08/";
const INSECURE: &str = "Calls of IAM and STS carry secrets, and must be made over a secure connection.";

impl S3Service {
    /// The same service that answers calls of IAM and STS as well.
    #[must_use]
    pub fn with_iam(self, iam: Arc<Iam>) -> Self {
        Self { iam: Some(iam), ..self }
    }

    /// Whether a request is a call of IAM or STS. S3 has no POST of its root.
    pub(crate) fn is_iam_call(&self, request: &http::Request<Incoming>) -> bool {
        let form = |value: &HeaderValue| value.as_bytes().to_ascii_lowercase().starts_with(FORM);
        self.iam.is_some()
            && request.method() == Method::POST
            && request.uri().path() == "/"
            && (request.headers().get(header::CONTENT_TYPE).is_some_and(form) || names_a_call(request.uri()))
            && self.inner.host_bucket(request.uri(), request.headers()).is_ok_and(|bucket| bucket.is_none())
    }

    /// Answers such a call.
    pub(crate) async fn call_iam(&self, request: http::Request<Incoming>, connection: ConnectionInfo) -> http::Response<ResponseBody> {
        let (begun, request_id) = (Instant::now(), new_request_id());
        let received_bytes = Arc::new(AtomicU64::new(0));
        let request = self.inner.receive(request, &received_bytes);
        let address = source_ip(request.headers(), connection, &self.inner.api.options);
        let mut told = Told::default();
        let outcome = self.answer_iam(request, connection, &request_id, &mut told).await;
        let (mut reply, code) = match outcome {
            Ok(answered) => answered,
            Err(refusal) => {
                self.inner.bounds.hold_back(&self.inner.api.engine, &refusal, address, &request_id).await;
                self.inner.refuse_iam(&refusal, &request_id)
            }
        };
        reply.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/xml"));
        if let Ok(value) = HeaderValue::from_str(&request_id) {
            reply.headers.insert(REQUEST_ID, value);
        }
        let record = AccessRecord {
            request_id,
            method: Method::POST,
            operation: told.operation,
            bucket: String::new(),
            identity: told.identity,
            status: reply.status,
            code,
            received_bytes,
            begun,
            was_cut: false,
            slot: told.slot,
        };
        self.inner.respond(reply, record)
    }

    async fn answer_iam(
        &self,
        request: http::Request<RawBody>,
        connection: ConnectionInfo,
        request_id: &str,
        told: &mut Told,
    ) -> Result<(Reply, String), Refusal> {
        let iam = self.iam.as_ref().ok_or_else(|| Refusal::NotImplemented("IAM".to_owned()))?;
        let (mut parts, body) = request.into_parts();
        hide_secrets(&mut parts.headers);
        let (secure, secrets_allowed) = self.inner.security(&parts.headers, connection);
        if !secrets_allowed {
            return Err(Refusal::AccessDenied(INSECURE.to_owned()));
        }
        let budget = self.inner.api.engine.budget();
        let Called { identity, service, body } = self.inner.gate.admit_call(&parts, body, MAX_BODY_BYTES, budget).await?;
        told.identity.clone_from(&identity.name);
        if !identity.is_anonymous() {
            Tenant::named(&told.identity).take_over();
        }
        told.slot = self.inner.bounds.begin(&identity)?;
        let caller = self.inner.iam_caller(&parts, identity, secure, connection, request_id);
        // Some clients write the parameters of STS into the query of the URL, and nothing into the body.
        let given = if body.is_empty() { parts.uri.query().unwrap_or_default().as_bytes() } else { &body };
        let params = match Params::parse(given) {
            Ok(params) => params,
            Err(error) => return Err(Refusal::InvalidRequest(error.to_string())),
        };
        let answer = iam.answer(service, &params, &caller).await;
        told.operation = answer.operation;
        let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Ok((Reply { status, headers: HeaderMap::new(), payload: Payload::Whole(Bytes::from(answer.body)) }, answer.code.to_owned()))
    }
}

fn names_a_call(uri: &Uri) -> bool {
    uri.query().is_some_and(|query| query.split('&').any(|pair| pair.starts_with("Action=")))
}

/// What is known of a call by the time that it is answered.
struct Told {
    operation: &'static str,
    identity: String,
    slot: Option<Arc<Slot>>,
}

impl Default for Told {
    fn default() -> Self {
        Self { operation: "-", identity: String::new(), slot: None }
    }
}

impl Inner {
    fn iam_caller(
        &self,
        parts: &Parts,
        identity: Arc<strongroom_access::Identity>,
        secure: bool,
        connection: ConnectionInfo,
        request_id: &str,
    ) -> IamCaller {
        let peer = source_ip(&parts.headers, connection, &self.api.options);
        let conditions = circumstances(&parts.headers, secure, peer, connection);
        IamCaller { identity, request_id: request_id.to_owned(), peer, secure, conditions }
    }

    /// What went wrong before a call was understood.
    fn refuse_iam(&self, refusal: &Refusal, request_id: &str) -> (Reply, String) {
        let verdict = refusal.verdict(self.api.options.error_dialect);
        let code = match verdict.code {
            "InvalidAccessKeyId" | "InvalidToken" => "InvalidClientTokenId",
            "RequestTimeTooSkewed" => "SignatureDoesNotMatch",
            code => code,
        };
        // IAM's clients take this for a wrong key, whatever S3 answers to it.
        let status = if code == "InvalidClientTokenId" { StatusCode::FORBIDDEN } else { verdict.status };
        if status.is_server_error() {
            report(refusal, request_id, code);
        }
        let fault = if status.is_server_error() { "Receiver" } else { "Sender" };
        let message = quick_xml::escape::escape(refusal.message()).into_owned();
        let body = format!(
            "<ErrorResponse xmlns=\"{NAMESPACE}\"><Error><Type>{fault}</Type><Code>{code}</Code><Message>{message}</Message></Error>\
             <RequestId>{request_id}</RequestId></ErrorResponse>"
        );
        (Reply { payload: Payload::Whole(Bytes::from(body)), ..Reply::empty(status) }, code.to_owned())
    }
}
