//! One request to Barbican: sent with the session, once more with a fresh one if the token is refused, its failures named.

use std::error::Error;

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use strongroom_kms::KmsError;
use strongroom_outbound::{BodyError, http_client, read_bounded};
use zeroize::Zeroizing;

use crate::auth::{Auth, Proof, Session};
use crate::config::BarbicanConfig;

/// Longest answer: a page of 100 secrets, or 1,000 rows of metadata.
const MAX_ANSWER_LEN: usize = 1 << 20;
/// Room for a request that holds a secret, so that its buffer does not grow and leave copies behind.
const SECRET_JSON_LEN: usize = 16 << 10;
const JSON: &str = "application/json";

/// Speaks to Barbican.
pub(crate) struct Client {
    http: reqwest::Client,
    auth: Auth,
}

/// What to ask.
pub(crate) struct Call<'a> {
    pub(crate) method: Method,
    /// After `/v1`.
    pub(crate) path: String,
    pub(crate) accept: &'static str,
    /// JSON.
    pub(crate) body: Option<Bytes>,
    /// For errors.
    pub(crate) about: About<'a>,
}

/// What a call is about.
#[derive(Clone, Copy)]
pub(crate) struct About<'a> {
    /// As it follows "Barbican refuses": `to store a secret`.
    pub(crate) doing: &'a str,
    /// The rule of Barbican's policy that allows it.
    pub(crate) rule: &'static str,
    /// The secret that 404 means.
    pub(crate) secret_id: Option<&'a str>,
}

/// A successful answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Zeroizing<Vec<u8>>,
}

impl Client {
    pub(crate) fn new(config: &BarbicanConfig) -> Result<Self, KmsError> {
        let http = http_client(&config.tls()).map_err(|error| KmsError::InvalidArgument(error.to_string()))?;
        Ok(Self { auth: Auth::new(config, &http)?, http })
    }

    /// The answer if it is a success, 404 or 409 that `also` expects included.
    pub(crate) async fn call(&self, call: &Call<'_>, also: Option<StatusCode>) -> Result<Answer, KmsError> {
        let session = self.auth.session().await?;
        let answer = match self.send(call, &session).await? {
            answer if answer.status == StatusCode::UNAUTHORIZED => match self.auth.replace(&session).await? {
                Some(session) => self.send(call, &session).await?,
                None => answer,
            },
            answer => answer,
        };
        if answer.status == StatusCode::NOT_FOUND && !answer.is_barbicans_own() {
            let text = format!("{} knows no such path: it is not Barbican's endpoint", session.api_url);
            return Err(KmsError::Unavailable(text));
        }
        if answer.status.is_success() || also == Some(answer.status) { Ok(answer) } else { Err(call.about.failure(answer.status)) }
    }

    async fn send(&self, call: &Call<'_>, session: &Session) -> Result<Answer, KmsError> {
        let url = format!("{}{}", session.api_url, call.path);
        let request = prove(self.http.request(call.method.clone(), url), &session.proof).header(ACCEPT, call.accept);
        let request = match &call.body {
            Some(body) => request.header(CONTENT_TYPE, JSON).body(body.clone()),
            None => request,
        };
        let answer = request.send().await.map_err(|error| KmsError::Unavailable(unreachable("Barbican", &session.api_url, &error)))?;
        let status = answer.status();
        let body = read_bounded(answer, MAX_ANSWER_LEN).await.map_err(|error| KmsError::Unavailable(broken_off("Barbican", &error)))?;
        Ok(Answer { status, body })
    }
}

impl<'a> Call<'a> {
    /// A call without a body that answers JSON.
    pub(crate) fn new(method: Method, path: String, about: About<'a>) -> Self {
        Self { method, path, accept: JSON, body: None, about }
    }
}

impl About<'_> {
    /// The error for an unexpected status. Barbican's own words stay out: they may quote the request.
    fn failure(self, status: StatusCode) -> KmsError {
        let Self { doing, rule, secret_id } = self;
        match (status, secret_id) {
            (StatusCode::NOT_FOUND, Some(secret_id)) => KmsError::KeyNotFound(secret_id.to_owned()),
            (StatusCode::UNAUTHORIZED, _) => KmsError::Denied(format!("Barbican does not accept the credentials {doing}")),
            (StatusCode::FORBIDDEN, _) => {
                let of = secret_id.map(|id| format!(" of {id}")).unwrap_or_default();
                KmsError::Denied(format!("Barbican refuses {doing}{of}: its policy rule {rule} does not allow it in this project"))
            }
            _ => KmsError::Unavailable(format!("Barbican answers HTTP {} when asked {doing}", status.as_u16())),
        }
    }
}

impl Answer {
    /// Whether Barbican itself reports this failure, and not some other server: a wrong address must not make keys look deleted.
    fn is_barbicans_own(&self) -> bool {
        #[derive(Deserialize)]
        struct Failure {
            code: u16,
        }
        serde_json::from_slice::<Failure>(&self.body).is_ok_and(|failure| failure.code == self.status.as_u16())
    }

    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, KmsError> {
        // The parser's words might quote the answer.
        serde_json::from_slice(&self.body)
            .map_err(|_| KmsError::Unavailable("Barbican's answer is not that of its API: check endpoint".to_owned()))
    }
}

/// JSON in one buffer that is wiped when the last of its users is done.
pub(crate) fn secret_json(value: &impl Serialize) -> Result<Bytes, ()> {
    let mut buffer = Zeroizing::new(Vec::with_capacity(SECRET_JSON_LEN));
    serde_json::to_writer(&mut *buffer, value).map_err(|_| ())?;
    Ok(Bytes::from_owner(buffer))
}

/// Why a server could not be asked, by the innermost cause: a refused connection, a certificate.
pub(crate) fn unreachable(server: &str, url: &str, error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    format!("{server} at {url} does not answer: {cause}")
}

/// Why an answer could not be read.
pub(crate) fn broken_off(server: &str, error: &BodyError) -> String {
    format!("{server}: {error}")
}

fn prove(request: RequestBuilder, proof: &Proof) -> RequestBuilder {
    match proof {
        Proof::Token(token) => request.header("x-auth-token", token.clone()),
        Proof::Project(project) => request.header("x-project-id", project.clone()),
    }
}
