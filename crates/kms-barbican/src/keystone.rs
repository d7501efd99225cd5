//! Logging in to Keystone, Identity API v3.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Response, StatusCode};
use serde::{Deserialize, Serialize};
use strongroom_kms::{KmsError, Secret};
use strongroom_outbound::read_json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::Instant;

use crate::auth::{LoginError, Proof, Session};
use crate::client::{broken_off, secret_json, unreachable};
use crate::config::{AuthMethod, BarbicanConfig, required, required_secret, versioned};

/// Longest answer of a login: it holds the catalog of a whole cloud.
const MAX_ANSWER_LEN: usize = 4 << 20;
const MAX_FAILURE_LEN: usize = 64 << 10;
/// A token is renewed when this part of its life is over, in percent.
const RENEW_AT_PERCENT: u32 = 90;
/// A longer life is not believed.
const MAX_LIFETIME: Duration = Duration::from_hours(24);

pub(crate) struct Keystone {
    http: reqwest::Client,
    url: String,
    credential: Credential,
    /// Barbican's configured address.
    api_url: Option<String>,
    region: Option<String>,
    interface: String,
}

enum Credential {
    Password { username: String, domain: String, password: Secret, project: Project },
    Application { id: String, secret: Secret },
}

enum Project {
    Id(String),
    Name { name: String, domain: String },
}

impl Keystone {
    pub(crate) fn new(config: &BarbicanConfig, http: reqwest::Client) -> Result<Self, KmsError> {
        Ok(Self {
            http,
            url: config.keystone_url()?,
            credential: Credential::new(config)?,
            api_url: config.api_url()?,
            region: config.region.clone().filter(|region| !region.is_empty()),
            interface: config.interface.clone(),
        })
    }

    /// A session with a fresh token.
    pub(crate) async fn login(&self) -> Result<Session, LoginError> {
        let body =
            secret_json(&self.credential.request()).map_err(|()| LoginError::Unavailable("the login cannot be written".to_owned()))?;
        let request = self.http.post(format!("{}/auth/tokens", self.url)).header(CONTENT_TYPE, "application/json").body(body);
        let answer = request.send().await.map_err(|error| LoginError::Unavailable(unreachable("Keystone", &self.url, &error)))?;
        let answer = self.check(answer).await?;
        let mut token = answer.headers().get("x-subject-token").cloned().ok_or_else(|| self.strange("without a token"))?;
        token.set_sensitive(true);
        let granted: Granted =
            read_json(answer, MAX_ANSWER_LEN).await.map_err(|error| LoginError::Unavailable(broken_off("Keystone", &error)))?;
        self.session(token, &granted.token)
    }

    /// The answer if it grants a token.
    async fn check(&self, answer: Response) -> Result<Response, LoginError> {
        let who = self.credential.shown();
        match answer.status() {
            StatusCode::CREATED => Ok(answer),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let reasons = "wrong, expired, disabled, or without a role in the project";
                Err(LoginError::Denied(format!("Keystone at {} refuses {who}: {reasons}", self.url)))
            }
            // Keystone says so of an application credential; another server says so of a wrong path.
            StatusCode::NOT_FOUND if read_json::<Failure>(answer, MAX_FAILURE_LEN).await.is_ok_and(|failure| failure.error.code == 404) => {
                Err(LoginError::Denied(format!("Keystone at {} refuses {who}: it does not exist", self.url)))
            }
            other if other.is_server_error() => {
                Err(LoginError::Unavailable(format!("Keystone at {} answers HTTP {}", self.url, other.as_u16())))
            }
            other => Err(self.strange(&format!("with HTTP {}", other.as_u16()))),
        }
    }

    fn session(&self, token: HeaderValue, granted: &Token) -> Result<Session, LoginError> {
        let lifetime = granted.lifetime().ok_or_else(|| self.strange("without the token's lifetime"))?;
        let api_url = match &self.api_url {
            Some(url) => url.clone(),
            None => self.endpoint(&granted.catalog)?,
        };
        let renew_at = Some(Instant::now() + lifetime.min(MAX_LIFETIME) * RENEW_AT_PERCENT / 100);
        Ok(Session { api_url, proof: Proof::Token(token), renew_at })
    }

    /// Barbican's address in the catalog.
    fn endpoint(&self, catalog: &[Service]) -> Result<String, LoginError> {
        let endpoints = catalog.iter().filter(|service| service.kind == "key-manager").flat_map(|service| &service.endpoints);
        let mut fitting = endpoints.filter(|endpoint| {
            endpoint.interface == self.interface && self.region.as_ref().is_none_or(|region| endpoint.region_id.as_ref() == Some(region))
        });
        let none = || {
            let region = self.region.as_deref().unwrap_or("any");
            let text =
                format!("Keystone's catalog has no key-manager endpoint (interface {}, region {region}): set endpoint", self.interface);
            LoginError::Unavailable(text)
        };
        let url = &fitting.next().ok_or_else(none)?.url;
        versioned("the catalog's key-manager endpoint", url, "v1").map_err(|error| LoginError::Unavailable(error.to_string()))
    }

    fn strange(&self, how: &str) -> LoginError {
        LoginError::Unavailable(format!("Keystone at {} answers a login {how}: check auth_url", self.url))
    }
}

impl Credential {
    fn new(config: &BarbicanConfig) -> Result<Self, KmsError> {
        if config.auth_method == AuthMethod::ApplicationCredential {
            return Ok(Self::Application {
                id: required("application_credential_id", config.application_credential_id.as_ref())?.to_owned(),
                secret: required_secret("application_credential_secret", config.application_credential_secret.as_ref())?.clone(),
            });
        }
        let project = match &config.project_id {
            Some(id) if !id.is_empty() => Project::Id(id.clone()),
            _ => Project::Name {
                name: required("project_name", config.project_name.as_ref())?.to_owned(),
                domain: config.project_domain_name.clone(),
            },
        };
        Ok(Self::Password {
            username: required("username", config.username.as_ref())?.to_owned(),
            domain: config.user_domain_name.clone(),
            password: required_secret("password", config.password.as_ref())?.clone(),
            project,
        })
    }

    /// What an error may call it.
    fn shown(&self) -> String {
        match self {
            Self::Password { username, .. } => format!("the user {username}"),
            Self::Application { id, .. } => format!("the application credential {id}"),
        }
    }

    fn request(&self) -> LoginRequest<'_> {
        let (identity, scope) = match self {
            Self::Password { username, domain, password, project } => {
                let user = User { name: username, domain: Named { name: domain }, password: password.expose() };
                let identity = Identity { methods: ["password"], password: Some(ByPassword { user }), application_credential: None };
                (identity, Some(Scope { project: project.scope() }))
            }
            Self::Application { id, secret } => {
                let credential = ById { id, secret: secret.expose() };
                (Identity { methods: ["application_credential"], password: None, application_credential: Some(credential) }, None)
            }
        };
        LoginRequest { auth: LoginAuth { identity, scope } }
    }
}

impl Project {
    fn scope(&self) -> ProjectScope<'_> {
        match self {
            Self::Id(id) => ProjectScope { id: Some(id), name: None, domain: None },
            Self::Name { name, domain } => ProjectScope { id: None, name: Some(name), domain: Some(Named { name: domain }) },
        }
    }
}

#[derive(Serialize)]
struct LoginRequest<'a> {
    auth: LoginAuth<'a>,
}

#[derive(Serialize)]
struct LoginAuth<'a> {
    identity: Identity<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<Scope<'a>>,
}

#[derive(Serialize)]
struct Identity<'a> {
    methods: [&'static str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<ByPassword<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    application_credential: Option<ById<'a>>,
}

#[derive(Serialize)]
struct ByPassword<'a> {
    user: User<'a>,
}

#[derive(Serialize)]
struct User<'a> {
    name: &'a str,
    domain: Named<'a>,
    password: &'a str,
}

#[derive(Serialize)]
struct Named<'a> {
    name: &'a str,
}

#[derive(Serialize)]
struct ById<'a> {
    id: &'a str,
    secret: &'a str,
}

#[derive(Serialize)]
struct Scope<'a> {
    project: ProjectScope<'a>,
}

#[derive(Serialize)]
struct ProjectScope<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<Named<'a>>,
}

#[derive(Deserialize)]
struct Failure {
    error: FailureCode,
}

#[derive(Deserialize)]
struct FailureCode {
    code: u16,
}

#[derive(Deserialize)]
struct Granted {
    token: Token,
}

#[derive(Deserialize)]
struct Token {
    issued_at: String,
    expires_at: String,
    #[serde(default)]
    catalog: Vec<Service>,
}

impl Token {
    /// By Keystone's own clock, so that ours may differ.
    fn lifetime(&self) -> Option<Duration> {
        let at = |text: &str| OffsetDateTime::parse(text, &Rfc3339).ok();
        (at(&self.expires_at)? - at(&self.issued_at)?).try_into().ok()
    }
}

#[derive(Deserialize)]
struct Service {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    endpoints: Vec<Endpoint>,
}

#[derive(Deserialize)]
struct Endpoint {
    interface: String,
    #[serde(default)]
    region_id: Option<String>,
    url: String,
}
