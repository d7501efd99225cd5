//! One signed request, one answer.

use std::error::Error as _;
use std::time::Duration;

use reqwest::{Method, Url};
use serde::Deserialize;
use serde_json::Value;
use strongroom_outbound::{TlsOptions, http_client, read_bounded};
use zeroize::Zeroizing;

use crate::calls::Call;
use crate::error::Error;
use crate::profile::Profile;
use crate::sign;

/// Longest answer in bytes: a backup of all keys.
const MAX_ANSWER_LEN: usize = 64 << 20;
/// Longer than the server's own time-out for its backend, with its retries.
const TIMEOUT: Duration = Duration::from_mins(2);
/// The admin API, as the admin port and the S3 port alike serve it.
const BASE: &str = "/strongroom/admin/v1";

pub(crate) struct Client {
    http: reqwest::Client,
    profile: Profile,
}

/// The server's `{code, message}`.
#[derive(Default, Deserialize)]
struct Refusal {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

impl Client {
    pub(crate) fn new(profile: Profile) -> Result<Self, Error> {
        let options = TlsOptions { ca_file: profile.ca.clone(), ..TlsOptions::default() };
        Ok(Self { http: http_client(&options)?, profile })
    }

    /// The answer as JSON; null where it is empty.
    pub(crate) async fn call(&self, call: &Call) -> Result<Value, Error> {
        let body = self.send(call).await?;
        if body.is_empty() {
            return Ok(Value::Null);
        }
        let unreadable =
            |error: serde_json::Error| Error::Usage(format!("{} does not answer as Strongroom does: {error}", self.profile.endpoint));
        serde_json::from_slice(&body).map_err(unreadable)
    }

    async fn send(&self, call: &Call) -> Result<Zeroizing<Vec<u8>>, Error> {
        let url = self.url(call)?;
        let body = match &call.body {
            Some(value) => Zeroizing::new(value.to_string().into_bytes()),
            None => Zeroizing::default(),
        };
        let method = Method::from_bytes(call.method.as_bytes()).unwrap_or_default();
        let mut request = self.http.request(method, url.clone()).timeout(TIMEOUT);
        for (name, value) in sign::headers(&self.profile, call.method, url.as_str(), &body)? {
            request = request.header(name, value);
        }
        if call.body.is_some() {
            request = request.header("content-type", "application/json").body(body.to_vec());
        }
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        let body = read_bounded(response, MAX_ANSWER_LEN).await?;
        if status.is_success() {
            return Ok(body);
        }
        let refusal: Refusal = serde_json::from_slice(&body).unwrap_or_default();
        let code = if refusal.code.is_empty() { status.to_string() } else { refusal.code };
        let message = if refusal.message.is_empty() { "the server refuses".to_owned() } else { refusal.message };
        Err(Error::Refused { status: status.as_u16(), code, message })
    }

    fn url(&self, call: &Call) -> Result<Url, Error> {
        let wrong = |what: &str| Error::Usage(format!("the endpoint {} {what}", self.profile.endpoint));
        let mut url = Url::parse(&self.profile.endpoint).map_err(|_| wrong("is no URL such as https://localhost:9001"))?;
        if !matches!(url.path(), "" | "/") || url.query().is_some() {
            return Err(wrong("must have no path"));
        }
        {
            let mut segments = url.path_segments_mut().map_err(|()| wrong("is no URL such as https://localhost:9001"))?;
            segments.clear().extend(BASE.trim_start_matches('/').split('/')).push(call.area).extend(&call.path);
        }
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.query);
        }
        Ok(url)
    }

    /// The innermost cause says most: "connection refused", "invalid peer certificate".
    fn unreachable(&self, error: &reqwest::Error) -> Error {
        let mut reason = error.to_string();
        let mut cause = error.source();
        while let Some(inner) = cause {
            reason = inner.to_string();
            cause = inner.source();
        }
        Error::Unreachable { endpoint: self.profile.endpoint.clone(), reason }
    }
}
