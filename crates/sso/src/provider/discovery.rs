//! Asking a provider for its keys. Source: OpenID Connect Discovery 1.0, section 4.

use std::time::Duration;

use async_trait::async_trait;
use reqwest::{StatusCode, header};
use serde::Deserialize;
use strongroom_outbound::{BodyError, is_private_address, read_bounded};

use super::{client::Clients, keys::Source};
use crate::{TokenError, jwt::KeySet};

/// For both questions together.
const TIMEOUT: Duration = Duration::from_secs(5);
/// More than any provider says.
const MAX_DOCUMENT_BYTES: usize = 256 << 10;

pub(super) const NO_ADDRESS: &str = "an address of it is not https://HOST/PATH";
pub(super) const PRIVATE_ADDRESS: &str = "its host has a private address; the operator allows that with sso.private_hosts";
const NO_ANSWER: &str = "it does not answer";
const TOO_SLOW: &str = "it takes too long to answer";
const NO_DOCUMENT: &str = "it answers with something else than its configuration and its keys";
const OTHER_ISSUER: &str = "its configuration is that of another issuer";

#[derive(Deserialize)]
struct Configuration {
    issuer: String,
    jwks_uri: String,
}

#[async_trait]
impl Source for Clients {
    async fn fetch(&self, issuer: &str) -> Result<KeySet, TokenError> {
        match tokio::time::timeout(TIMEOUT, self.ask(issuer)).await {
            Ok(keys) => keys,
            Err(_) => Err(TokenError::Unreachable(TOO_SLOW)),
        }
    }
}

impl Clients {
    async fn ask(&self, issuer: &str) -> Result<KeySet, TokenError> {
        let base = issuer.trim_end_matches('/');
        let document = self.get(&format!("{base}/.well-known/openid-configuration")).await?;
        let configuration: Configuration = serde_json::from_slice(&document).map_err(|_| TokenError::Unreachable(NO_DOCUMENT))?;
        if configuration.issuer.trim_end_matches('/') != base {
            return Err(TokenError::Unreachable(OTHER_ISSUER));
        }
        let document = self.get(&configuration.jwks_uri).await?;
        KeySet::parse(&document).ok_or(TokenError::Unreachable(NO_DOCUMENT))
    }

    async fn get(&self, address: &str) -> Result<Vec<u8>, TokenError> {
        let (client, url) = self.to(address)?;
        let answer = client.get(url).header(header::ACCEPT, "application/json").send().await.map_err(|error| {
            let reason = if is_private_address(&error) { PRIVATE_ADDRESS } else { NO_ANSWER };
            // Without the address: whoever may read the log need not know whom a tenant names.
            tracing::warn!(error = %error.without_url(), "an identity provider cannot be reached");
            TokenError::Unreachable(reason)
        })?;
        if answer.status() != StatusCode::OK {
            return Err(TokenError::Unreachable(NO_DOCUMENT));
        }
        match read_bounded(answer, MAX_DOCUMENT_BYTES).await {
            Ok(body) => Ok(body.to_vec()),
            Err(BodyError::Broken(_)) => Err(TokenError::Unreachable(NO_ANSWER)),
            Err(_) => Err(TokenError::Unreachable(NO_DOCUMENT)),
        }
    }
}
