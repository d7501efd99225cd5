//! The HTTP client.

use std::time::Duration;

use reqwest::redirect::Policy;

use crate::{OutboundError, TlsOptions, tls_config};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const IDLE_CONNECTIONS: usize = 32;

/// A client with a pool of connections. No redirects: they would take credentials elsewhere. The caller bounds the time of each call.
pub fn http_client(options: &TlsOptions) -> Result<reqwest::Client, OutboundError> {
    builder(options)?.build().map_err(OutboundError::Client)
}

pub(crate) fn builder(options: &TlsOptions) -> Result<reqwest::ClientBuilder, OutboundError> {
    Ok(reqwest::Client::builder()
        .tls_backend_preconfigured(tls_config(options)?)
        .redirect(Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        .tcp_nodelay(true)
        .no_proxy()
        .user_agent(concat!("strongroom/", env!("CARGO_PKG_VERSION"))))
}
