//! The connection: one request, one reply, the transport's failures named.

use std::error::Error;

use reqwest::Url;
use reqwest::header::HeaderValue;
use strongroom_kms::{KmsError, Secret};
use strongroom_outbound::{http_client, read_bounded};

use super::{Call, Reply, Verb};
use crate::Config;

/// Longest answer in bytes: a list of [`crate::listing::MAX_KEYS`] names fits.
const MAX_ANSWER_LEN: usize = 2 << 20;

/// An address with the way to reach it. No credentials.
pub(crate) struct Wire {
    http: reqwest::Client,
    /// Ends in `/v1/`.
    base: Url,
    namespace: Option<HeaderValue>,
}

impl Wire {
    /// Reads the TLS files; does not connect.
    pub(crate) fn new(config: &Config) -> Result<Self, KmsError> {
        let base = base_url(&config.address)?;
        if config.skip_tls_verify {
            tracing::warn!(address = %base, "skip_tls_verify is set: whoever sits between the store and Vault can read its keys");
        }
        if base.scheme() == "http" {
            tracing::warn!(address = %base, "Vault is addressed without TLS: its token and the data keys travel in clear");
        }
        let http = http_client(&config.tls()).map_err(|error| KmsError::InvalidArgument(error.to_string()))?;
        let namespace = config.namespace.as_deref().map(HeaderValue::from_str).transpose();
        let namespace = namespace.map_err(|_| KmsError::InvalidArgument("namespace must be plain text".to_owned()))?;
        Ok(Self { http, base, namespace })
    }

    /// Sends a call with a token, or without one to log in. Statuses that say that the server cannot serve are errors.
    pub(crate) async fn send(&self, call: &Call, token: Option<&Secret>) -> Result<Reply, KmsError> {
        // Paths are checked where they come in, so joining cannot leave the base.
        let mut url = self.base.join(&call.path).map_err(|_| KmsError::Broken("a path of Vault is malformed".to_owned()))?;
        if call.verb == Verb::List {
            url.set_query(Some("list=true"));
        }
        let mut request = self.http.request(call.verb.method(), url).header("X-Vault-Request", "true");
        if let Some(token) = token {
            let mut value = HeaderValue::from_str(token.expose())
                .map_err(|_| KmsError::Denied("the Vault token has characters that no token has".to_owned()))?;
            value.set_sensitive(true);
            request = request.header("X-Vault-Token", value);
        }
        if let Some(namespace) = &self.namespace {
            request = request.header("X-Vault-Namespace", namespace);
        }
        if let Some(body) = &call.body {
            request = request.header("Content-Type", "application/json").body(body.clone());
        }
        let response = request.send().await.map_err(|error| self.away(error))?;
        let status = response.status().as_u16();
        let body = read_bounded(response, MAX_ANSWER_LEN).await;
        let body = body.map_err(|error| KmsError::Unavailable(format!("Vault at {}: {error}", self.host())))?;
        Reply { status, body }.checked(self.host(), &call.path)
    }

    fn away(&self, error: reqwest::Error) -> KmsError {
        KmsError::Unavailable(format!("Vault at {}: {}", self.host(), causes(&error.without_url())))
    }

    fn host(&self) -> &str {
        self.base.as_str().trim_end_matches("/v1/")
    }
}

fn base_url(address: &str) -> Result<Url, KmsError> {
    let wrong = || KmsError::InvalidArgument("address must be a URL such as https://vault.example.com:8200".to_owned());
    let url = Url::parse(&format!("{}/v1/", address.trim_end_matches('/'))).map_err(|_| wrong())?;
    let plain = url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
    if matches!(url.scheme(), "http" | "https") && url.host().is_some() && plain { Ok(url) } else { Err(wrong()) }
}

/// An error with what caused it: "connection refused" and "unknown issuer" stand at the end of the chain.
fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text = format!("{text}: {error}");
        next = error.source();
    }
    text
}
