//! The answer to one request of one connection, and when it is over.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONNECTION, RETRY_AFTER};
use http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::activity::{Activity, Claim};
use super::head::Refusal;
use super::table::Place;
use super::{Arrival, Handler};

/// A refused client finds room when requests end, which takes moments.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");

/// The body of an answer, or none. Dropping it tells that nothing is left to be sent but what is under way.
pub(super) struct AnswerBody<B> {
    body: Option<B>,
    activity: Arc<Activity>,
}

/// Answers a request as the place of its connection allows.
pub(super) async fn answer<H: Handler>(
    handler: &H,
    request: Request<Incoming>,
    from: Arrival,
    place: &Place,
) -> Response<AnswerBody<H::Body>> {
    let (is_urgent, is_signed) = (handler.is_urgent(&request), is_signed(&request));
    let mut response = match place.shortage {
        None => handler.handle(request, from).await,
        Some(_) if is_urgent => ending(handler.handle(request, from).await),
        Some(shortage) => {
            tracing::debug!(peer = %from.peer, ?shortage, "a request was refused for want of room");
            place.metrics().refused(shortage);
            let mut response = handler.busy();
            response.headers_mut().insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
            ending(response)
        }
    };
    let claim = if is_urgent || is_anonymous(response.status(), is_signed) { Claim::Anonymous } else { claim(response.body()) };
    place.activity.answering(claim);
    if claim == Claim::Anonymous && place.is_port_full() {
        response = ending(response);
    }
    response.map(|body| AnswerBody { body: Some(body), activity: Arc::clone(&place.activity) })
}

/// Whether it says who asks, be that true or not.
fn is_signed<B>(request: &Request<B>) -> bool {
    request.headers().contains_key(AUTHORIZATION) || request.uri().query().is_some_and(|query| query.contains("Signature="))
}

/// Whether anyone gets that answer who has no credentials. Public objects are as good as others.
fn is_anonymous(status: StatusCode, is_signed: bool) -> bool {
    let is_refusal = matches!(status, StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
    is_refusal || !is_signed && !status.is_success()
}

/// Longer answers are downloads: a client may take its time with one.
const SHORT_ANSWER_BYTES: u64 = 64 << 10;

fn claim(body: &impl Body) -> Claim {
    match body.size_hint().exact() {
        Some(len) if len <= SHORT_ANSWER_BYTES => Claim::Short,
        _ => Claim::Download,
    }
}

/// The answer to a request whose head was refused: a status without a body, which no parser behind a proxy can take for anything else.
pub(super) fn refused<B>(refusal: Refusal, from: Arrival, place: &Place) -> Response<AnswerBody<B>> {
    tracing::debug!(peer = %from.peer, ?refusal, "a malformed request was refused");
    place.metrics().malformed();
    place.activity.answering(Claim::Anonymous);
    let mut response = Response::new(AnswerBody { body: None, activity: Arc::clone(&place.activity) });
    *response.status_mut() = refusal.status();
    response
}

fn ending<B>(mut response: Response<B>) -> Response<B> {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

impl<B> Drop for AnswerBody<B> {
    fn drop(&mut self) {
        self.activity.answered();
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for AnswerBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
