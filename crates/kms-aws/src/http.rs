//! The SDK's calls over the store's own HTTP client: one TLS set-up for all that goes out, bounded answers, buffers wiped.

use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http_body_util::Full;
use strongroom_outbound::{BodyError, read_bounded};

/// Longest answer in bytes. A page of 1,000 keys has some 200 KiB.
const MAX_ANSWER_LEN: usize = 4 << 20;

/// What the SDK sends its requests with.
pub(crate) fn sdk_client(client: reqwest::Client) -> SharedHttpClient {
    http_client_fn(move |settings, _| SharedHttpConnector::new(Connector::new(client.clone(), settings)))
}

#[derive(Debug)]
struct Connector {
    client: reqwest::Client,
    /// The whole call's, where the SDK asks for one: it does for credentials, so that a missing metadata service is found out soon.
    timeout: Option<Duration>,
}

impl Connector {
    fn new(client: reqwest::Client, settings: &HttpConnectorSettings) -> Self {
        Self { client, timeout: settings.read_timeout().map(|read| read + settings.connect_timeout().unwrap_or_default()) }
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (client, timeout) = (self.client.clone(), self.timeout);
        HttpConnectorFuture::new(async move {
            let mut request = outgoing(request)?;
            *request.timeout_mut() = timeout;
            let response = client.execute(request).await.map_err(failure)?;
            incoming(response).await
        })
    }
}

fn outgoing(request: HttpRequest) -> Result<reqwest::Request, ConnectorError> {
    let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
    let (parts, body) = request.into_parts();
    let Some(body) = body.bytes().map(<[u8]>::to_vec) else {
        return Err(ConnectorError::user("the body of a request is no plain buffer".into()));
    };
    http_request(parts, body).map_err(|error| ConnectorError::user(error.into()))
}

fn http_request(parts: http::request::Parts, body: Vec<u8>) -> Result<reqwest::Request, reqwest::Error> {
    reqwest::Request::try_from(http::Request::from_parts(parts, body))
}

async fn incoming(response: reqwest::Response) -> Result<HttpResponse, ConnectorError> {
    let mut head = http::Response::new(());
    *head.status_mut() = response.status();
    *head.headers_mut() = response.headers().clone();
    let body = read_bounded(response, MAX_ANSWER_LEN).await.map_err(unreadable)?;
    // The answer may hold a data key: the buffer is wiped when the SDK lets go of it, and goes as a stream, for what lies in memory the SDK
    // shows in its traces.
    let body = SdkBody::from_body_1_x(Full::new(Bytes::from_owner(body)));
    HttpResponse::try_from(head.map(|()| body)).map_err(|error| ConnectorError::other(error.into(), None))
}

fn failure(error: reqwest::Error) -> ConnectorError {
    let error = error.without_url();
    if error.is_timeout() { ConnectorError::timeout(error.into()) } else { ConnectorError::io(error.into()) }
}

fn unreadable(error: BodyError) -> ConnectorError {
    match error {
        BodyError::Broken(source) if source.is_timeout() => ConnectorError::timeout(source.into()),
        other => ConnectorError::io(other.into()),
    }
}
