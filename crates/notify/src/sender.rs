//! One attempt to deliver an event, and what a receiver can make of it.

use std::{
    error::Error as _,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use reqwest::{Client, Response, StatusCode, Url, header};
use strongroom_engine::events::{EventRecord, QueuedEvent};
use strongroom_outbound::{http_client, read_bounded};
use zeroize::Zeroizing;

use crate::{
    cloudevents, s3,
    secrets::{SecretFile, token},
    signature::Secrets,
    target::{Format, NotifyError, TargetConfig},
};

/// So much of an answer is read, so that the connection can be used again; what it says counts for nothing.
const MAX_ANSWER_BYTES: usize = 4 << 10;
const ANSWER_TIME: Duration = Duration::from_secs(1);
/// A receiver does not put off an event by more than this.
const MAX_RETRY_AFTER: Duration = Duration::from_mins(5);

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// The receiver has it.
    Delivered,
    /// The receiver says that it never takes it.
    Refused(String),
    /// It may be tried again, and nothing goes there before so long.
    Failed(String, Duration),
}

/// Sends an event.
#[async_trait]
pub(crate) trait Sender: Send + Sync + 'static {
    async fn send(&self, event: &QueuedEvent, told: &EventRecord) -> Attempt;
}

/// Sends over HTTP.
pub(crate) struct HttpSender {
    client: Client,
    url: Url,
    format: Format,
    timeout: Duration,
    secrets: SecretFile<Secrets>,
    token: Option<SecretFile<Zeroizing<String>>>,
}

impl HttpSender {
    /// Reads the target's files. Blocks.
    pub(crate) fn open(config: &TargetConfig) -> Result<Self, NotifyError> {
        let name = || config.name.clone();
        let client = http_client(&config.tls()).map_err(|source| NotifyError::Tls { name: name(), source })?;
        let refused = |path: &std::path::Path| {
            let (name, path) = (name(), path.to_owned());
            move |why| NotifyError::File { name, path, why }
        };
        let token = config.token_file.as_deref().map(|path| SecretFile::open(path, token).map_err(refused(path)));
        Ok(Self {
            client,
            url: config.parsed_url()?,
            format: config.format,
            timeout: config.timeout,
            secrets: SecretFile::open(&config.secret_file, Secrets::parse).map_err(refused(&config.secret_file))?,
            token: token.transpose()?,
        })
    }

    async fn post(&self, event: &QueuedEvent, told: &EventRecord) -> Result<Response, reqwest::Error> {
        let (body, content_type) = match self.format {
            Format::S3 => (s3::body(event, told), "application/json"),
            Format::CloudEvents => (cloudevents::body(event, told), cloudevents::CONTENT_TYPE),
        };
        let id = format!("evt_{}", event.id);
        let timestamp = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs().to_string();
        let signature = self.secrets.get().await.sign(&id, &timestamp, &body);
        let mut request = self
            .client
            .post(self.url.clone())
            .header(header::CONTENT_TYPE, content_type)
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signature);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.get().await.as_str());
        }
        request.body(body).send().await
    }
}

#[async_trait]
impl Sender for HttpSender {
    async fn send(&self, event: &QueuedEvent, told: &EventRecord) -> Attempt {
        let response = match tokio::time::timeout(self.timeout, self.post(event, told)).await {
            Err(_) => return failed(format!("no answer within {} seconds", self.timeout.as_secs_f32())),
            Ok(Err(error)) => return failed(reason(&error.without_url())),
            Ok(Ok(response)) => response,
        };
        let status = response.status();
        let retry_after = retry_after(&response);
        // A receiver that says more, or goes on for ever, loses its connection.
        let _ended = tokio::time::timeout(ANSWER_TIME, read_bounded(response, MAX_ANSWER_BYTES)).await;
        match status {
            status if status.is_success() => Attempt::Delivered,
            StatusCode::GONE => Attempt::Refused("410 Gone".to_owned()),
            status if status.is_redirection() => failed(format!("{status}: redirects are not followed")),
            status => Attempt::Failed(status.to_string(), retry_after),
        }
    }
}

fn failed(reason: String) -> Attempt {
    Attempt::Failed(reason, Duration::ZERO)
}

/// The causes, the innermost of which says most. None of them names the address.
fn reason(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

/// `Retry-After` in seconds; a date is passed over.
fn retry_after(response: &Response) -> Duration {
    let value = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    let seconds = value.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
    Duration::from_secs(seconds).min(MAX_RETRY_AFTER)
}

#[cfg(test)]
#[path = "sender_tests.rs"]
mod tests;
