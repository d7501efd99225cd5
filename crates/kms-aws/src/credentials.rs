//! Whose credentials sign the calls.

use aws_config::SdkConfig;
use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::{self, ProvideCredentials, SharedCredentialsProvider, future};
use aws_sdk_kms::config::{BehaviorVersion, Region, SharedAsyncSleep, SharedHttpClient};
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_async::time::SystemTimeSource;
use strongroom_kms::Secret;
use tokio::sync::OnceCell;

use crate::Config;

/// How the role's sessions are named in CloudTrail.
const SESSION_NAME: &str = "strongroom";

/// The credentials that the configuration asks for, found out when they are first needed.
#[derive(Debug)]
pub(crate) struct ConfiguredCredentials {
    source: Source,
    provider: OnceCell<SharedCredentialsProvider>,
}

impl ConfiguredCredentials {
    pub(crate) fn new(config: &Config, http: SharedHttpClient) -> Self {
        Self { source: Source { config: config.clone(), http }, provider: OnceCell::new() }
    }

    async fn credentials(&self) -> provider::Result {
        self.provider.get_or_init(|| self.source.provider()).await.provide_credentials().await
    }
}

impl ProvideCredentials for ConfiguredCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.credentials())
    }
}

struct Source {
    config: Config,
    http: SharedHttpClient,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Source")
    }
}

impl Source {
    async fn provider(&self) -> SharedCredentialsProvider {
        let own = match given(&self.config) {
            Some(credentials) => SharedCredentialsProvider::new(credentials),
            None => SharedCredentialsProvider::new(self.chain().await),
        };
        match &self.config.role_arn {
            Some(role) => SharedCredentialsProvider::new(self.role(role, own).await),
            None => own,
        }
    }

    /// Environment, profile, web identity, container, instance.
    async fn chain(&self) -> DefaultCredentialsChain {
        let config = ProviderConfig::empty()
            .with_http_client(self.http.clone())
            .with_sleep_impl(TokioSleep::new())
            .with_behavior_version(Some(BehaviorVersion::latest()));
        let chain = DefaultCredentialsChain::builder().region(self.region()).configure(config);
        let chain = match &self.config.profile {
            Some(profile) => chain.profile_name(profile),
            None => chain,
        };
        chain.build().await
    }

    async fn role(&self, role: &str, own: SharedCredentialsProvider) -> AssumeRoleProvider {
        let mut sts = SdkConfig::builder()
            .region(self.region())
            .http_client(self.http.clone())
            .retry_config(RetryConfig::disabled())
            .timeout_config(TimeoutConfig::disabled())
            .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
            .time_source(SystemTimeSource::new())
            .behavior_version(BehaviorVersion::latest());
        sts.set_endpoint_url(self.config.sts_endpoint.clone());
        let role = AssumeRoleProvider::builder(role).session_name(SESSION_NAME).configure(&sts.build());
        let role = match &self.config.external_id {
            Some(id) => role.external_id(id),
            None => role,
        };
        role.build_from_provider(own).await
    }

    fn region(&self) -> Region {
        Region::new(self.config.region.clone())
    }
}

fn given(config: &Config) -> Option<Credentials> {
    let (id, secret) = (config.access_key_id.as_deref()?, config.secret_access_key.as_ref()?);
    let token = config.session_token.as_ref().map(Secret::expose).map(str::to_owned);
    Some(Credentials::new(id, secret.expose(), token, None, "configuration"))
}
