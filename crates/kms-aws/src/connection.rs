//! Calls to AWS KMS: signed, and once again with fresh credentials where those in use are refused.

use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use aws_sdk_kms::Client;
use aws_sdk_kms::config::retry::RetryConfig;
use aws_sdk_kms::config::timeout::TimeoutConfig;
use aws_sdk_kms::config::{BehaviorVersion, IdentityCache, Region, SharedAsyncSleep, SharedHttpClient, StalledStreamProtectionConfig};
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use strongroom_kms::KmsError;
use strongroom_outbound::{TlsOptions, http_client};

use crate::Config;
use crate::credentials::ConfiguredCredentials;
use crate::fault::{Call, Fault};
use crate::http::sdk_client;

/// How soon refused credentials may be fetched anew once more.
const RENEWAL_INTERVAL: Duration = Duration::from_secs(5);

pub(crate) struct Connection {
    config: Config,
    http: SharedHttpClient,
    current: RwLock<Current>,
}

/// The client in use. Its identity cache keeps credentials until shortly before they expire.
struct Current {
    client: Client,
    since: Instant,
}

impl Connection {
    pub(crate) fn new(config: Config) -> Result<Self, KmsError> {
        let tls = TlsOptions { ca_file: config.ca_file.clone(), ..TlsOptions::default() };
        let client = http_client(&tls).map_err(|error| KmsError::InvalidArgument(error.to_string()))?;
        let http = sdk_client(client);
        let current = RwLock::new(Current { client: client_of(&config, &http), since: Instant::now() });
        Ok(Self { config, http, current })
    }

    /// Makes a call. Credentials that AWS refuses are fetched anew once, unless they stand in the configuration.
    pub(crate) async fn send<T, E, F>(&self, call: Call<'_>, request: impl Fn(Client) -> F) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let client = self.client();
        let fault = match request(client).await {
            Ok(answer) => return Ok(answer),
            Err(error) => Fault::of(call, &error),
        };
        if matches!(fault, Fault::Credentials(_))
            && let Some(client) = self.renewed()
        {
            return request(client).await.map_err(|error| Fault::of(call, &error));
        }
        Err(fault)
    }

    fn client(&self) -> Client {
        self.current.read().unwrap_or_else(PoisonError::into_inner).client.clone()
    }

    /// A client that knows no credentials yet; none if there are no others to be had, or these are fresh.
    fn renewed(&self) -> Option<Client> {
        let is_fixed = self.config.access_key_id.is_some() && self.config.role_arn.is_none();
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if is_fixed || current.since.elapsed() < RENEWAL_INTERVAL {
            return None;
        }
        *current = Current { client: client_of(&self.config, &self.http), since: Instant::now() };
        Some(current.client.clone())
    }
}

fn client_of(config: &Config, http: &SharedHttpClient) -> Client {
    let mut builder = aws_sdk_kms::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(config.region.clone()))
        .credentials_provider(ConfiguredCredentials::new(config, http.clone()))
        .identity_cache(IdentityCache::lazy().build())
        .http_client(http.clone())
        .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    builder.set_endpoint_url(config.endpoint.clone());
    Client::from_conf(builder.build())
}
