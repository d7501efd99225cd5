//! Responses, from the operations to hyper.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use hyper::body::{Body, Frame, SizeHint};
use strongroom_engine::api::ReplyStream;

use crate::{access_log::AccessRecord, admin::AdminBody, limits::Brake, refusal::Refusal, xml::Xml};

/// What an operation answers.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) payload: Payload,
}

/// The body of a response.
pub(crate) enum Payload {
    Empty,
    Whole(Bytes),
    Stream { stream: ReplyStream, left_bytes: u64 },
    Admin(AdminBody),
}

impl Reply {
    pub(crate) fn empty(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), payload: Payload::Empty }
    }

    pub(crate) fn ok() -> Self {
        Self::empty(StatusCode::OK)
    }

    pub(crate) fn xml(document: Xml) -> Self {
        let mut reply = Self { payload: Payload::Whole(document.into_bytes()), ..Self::ok() };
        reply.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        reply
    }

    /// Adds a header whose value may hold any character a stored header can.
    pub(crate) fn header(&mut self, name: HeaderName, value: &str) -> Result<(), Refusal> {
        insert(&mut self.headers, name, value)
    }

    pub(crate) fn optional_header(&mut self, name: HeaderName, value: Option<&str>) -> Result<(), Refusal> {
        value.map_or(Ok(()), |value| self.header(name, value))
    }
}

/// Inserts a header; a value with control characters is the client's mistake (`response-*` overrides).
pub(crate) fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) -> Result<(), Refusal> {
    let parsed = HeaderValue::from_bytes(value.as_bytes());
    let parsed = parsed.map_err(|_| Refusal::InvalidArgument(format!("The value of {name} is no header value.")))?;
    headers.insert(name, parsed);
    Ok(())
}

/// A response's body on its way to hyper. Dropping it writes the line of the access log.
pub struct ResponseBody {
    payload: Payload,
    sent_bytes: u64,
    /// Pulled where its identity may not take so much at once.
    brake: Brake,
    record: Option<Box<AccessRecord>>,
}

/// The body broke off: the connection must be cut, so that the client does not take what it got for the whole.
#[derive(Debug)]
pub struct ResponseCut;

impl fmt::Display for ResponseCut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the response was cut: the object could not be read to its end")
    }
}

impl std::error::Error for ResponseCut {}

impl ResponseBody {
    pub(crate) fn new(payload: Payload, record: AccessRecord) -> Self {
        Self { payload, sent_bytes: 0, brake: Brake::default(), record: Some(Box::new(record)) }
    }

    fn cut(&mut self, reason: &dyn fmt::Display) -> ResponseCut {
        self.payload = Payload::Empty;
        if let Some(record) = &mut self.record {
            record.cut(reason);
        }
        ResponseCut
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = ResponseCut;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ResponseCut>>> {
        let this = &mut *self;
        std::task::ready!(this.brake.poll_released(context));
        let chunk = match &mut this.payload {
            Payload::Empty => return Poll::Ready(None),
            Payload::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                this.payload = Payload::Empty;
                bytes
            }
            Payload::Stream { stream, left_bytes } => match std::task::ready!(stream.as_mut().poll_next(context)) {
                Some(Ok(chunk)) if chunk.len() as u64 <= *left_bytes => {
                    *left_bytes -= chunk.len() as u64;
                    chunk
                }
                Some(Ok(_)) => return Poll::Ready(Some(Err(this.cut(&"more bytes than announced")))),
                Some(Err(error)) => return Poll::Ready(Some(Err(this.cut(&error)))),
                None if *left_bytes == 0 => {
                    this.payload = Payload::Empty;
                    return Poll::Ready(None);
                }
                None => return Poll::Ready(Some(Err(this.cut(&"fewer bytes than announced")))),
            },
            Payload::Admin(body) => match std::task::ready!(body.as_mut().poll_frame(context)) {
                Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
                Some(Err(cut)) => return Poll::Ready(Some(Err(this.cut(&cut)))),
                None => {
                    this.payload = Payload::Empty;
                    return Poll::Ready(None);
                }
            },
        };
        this.sent_bytes += chunk.len() as u64;
        if let Some(slot) = this.record.as_ref().and_then(|record| record.slot.as_ref()) {
            this.brake.pull(slot.downloaded(chunk.len()));
        }
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        match &self.payload {
            Payload::Empty => true,
            Payload::Whole(bytes) => bytes.is_empty(),
            // Every chunk that comes is authentic, so the announced length is the whole of it.
            Payload::Stream { left_bytes, .. } => *left_bytes == 0,
            Payload::Admin(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match &self.payload {
            Payload::Empty => 0,
            Payload::Whole(bytes) => bytes.len() as u64,
            Payload::Stream { left_bytes, .. } => *left_bytes,
            Payload::Admin(body) => return body.size_hint(),
        })
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        let complete = self.is_end_stream();
        if let Some(record) = self.record.take() {
            record.write(self.sent_bytes, complete);
        }
    }
}
