//! The session with Barbican: its address and what proves who we are, renewed before it expires and when it is refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use reqwest::header::HeaderValue;
use strongroom_kms::KmsError;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::config::{AuthMethod, BarbicanConfig, required};
use crate::keystone::Keystone;

/// What one request to Barbican needs.
pub(crate) struct Session {
    /// The API's address, ending in `/v1`.
    pub(crate) api_url: String,
    pub(crate) proof: Proof,
    /// None: it never expires.
    pub(crate) renew_at: Option<Instant>,
}

/// What shows who we are.
pub(crate) enum Proof {
    /// `X-Auth-Token`, marked sensitive.
    Token(HeaderValue),
    /// `X-Project-Id`, to a Barbican without Keystone.
    Project(HeaderValue),
}

/// Gives sessions.
pub(crate) enum Auth {
    Fixed(Arc<Session>),
    Keystone(Box<Logins>),
}

/// Logins one at a time, for all who wait.
pub(crate) struct Logins {
    keystone: Keystone,
    /// Counts logins that ended, well or not.
    ended: AtomicU64,
    last: Mutex<Last>,
}

#[derive(Default)]
struct Last {
    session: Option<Arc<Session>>,
    failure: Option<LoginError>,
}

/// Why a login failed; one failure is told to all who waited for it.
#[derive(Clone, Debug)]
pub(crate) enum LoginError {
    Denied(String),
    Unavailable(String),
}

impl Auth {
    /// Checks the configuration; connects later.
    pub(crate) fn new(config: &BarbicanConfig, http: &reqwest::Client) -> Result<Self, KmsError> {
        if config.auth_method == AuthMethod::None {
            return fixed(config).map(|session| Self::Fixed(Arc::new(session)));
        }
        let keystone = Keystone::new(config, http.clone())?;
        Ok(Self::Keystone(Box::new(Logins { keystone, ended: AtomicU64::new(0), last: Mutex::default() })))
    }

    /// A session that is worth trying.
    pub(crate) async fn session(&self) -> Result<Arc<Session>, KmsError> {
        match self {
            Self::Fixed(session) => Ok(Arc::clone(session)),
            Self::Keystone(logins) => logins.session(|session| !session.is_due()).await,
        }
    }

    /// Another session than the one that was refused; none where there can be no other.
    pub(crate) async fn replace(&self, refused: &Arc<Session>) -> Result<Option<Arc<Session>>, KmsError> {
        match self {
            Self::Fixed(_) => Ok(None),
            Self::Keystone(logins) => logins.session(|session| !Arc::ptr_eq(session, refused) && !session.is_due()).await.map(Some),
        }
    }
}

impl Logins {
    /// The last session if it `is_good`, else that of a new login.
    async fn session(&self, is_good: impl Fn(&Arc<Session>) -> bool) -> Result<Arc<Session>, KmsError> {
        let ended_before = self.ended.load(Ordering::SeqCst);
        let mut last = self.last.lock().await;
        if let Some(session) = last.session.as_ref().filter(|session| is_good(session)) {
            return Ok(Arc::clone(session));
        }
        // Whoever waited while a login failed does not knock again, or a queue would wait for one refusal after the other.
        if let Some(failure) = last.failure.as_ref().filter(|_| self.ended.load(Ordering::SeqCst) != ended_before) {
            return Err(failure.clone().into());
        }
        let answer = self.keystone.login().await;
        self.ended.fetch_add(1, Ordering::SeqCst);
        match answer {
            Ok(session) => {
                let session = Arc::new(session);
                *last = Last { session: Some(Arc::clone(&session)), failure: None };
                Ok(session)
            }
            Err(failure) => {
                *last = Last { session: None, failure: Some(failure.clone()) };
                Err(failure.into())
            }
        }
    }
}

impl Session {
    fn is_due(&self) -> bool {
        self.renew_at.is_some_and(|renew_at| Instant::now() >= renew_at)
    }
}

impl From<LoginError> for KmsError {
    fn from(failure: LoginError) -> Self {
        match failure {
            LoginError::Denied(text) => Self::Denied(text),
            LoginError::Unavailable(text) => Self::Unavailable(text),
        }
    }
}

fn fixed(config: &BarbicanConfig) -> Result<Session, KmsError> {
    let api_url = config.api_url()?.ok_or_else(|| KmsError::InvalidArgument("endpoint is missing".to_owned()))?;
    let project = HeaderValue::from_str(required("project_id", config.project_id.as_ref())?);
    let project = project.map_err(|_| KmsError::InvalidArgument("project_id is not what a header can hold".to_owned()))?;
    Ok(Session { api_url, proof: Proof::Project(project), renew_at: None })
}
