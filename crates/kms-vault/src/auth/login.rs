//! Logging in: one call for each method.

use serde::{Deserialize, Serialize};
use strongroom_kms::{KmsError, Secret};

use super::lease::Lease;
use super::token_file;
use crate::http::{Answer, Call, Wire, data, unexpected};
use crate::{AppRole, AuthMethod, CertLogin, Kubernetes};

/// What a login or a renewal gives. Source: Vault, `auth` of an answer.
#[derive(Deserialize)]
struct Auth {
    client_token: Secret,
    lease_duration: u64,
    renewable: bool,
}

/// What a token tells of itself. Source: `auth/token/lookup-self`.
#[derive(Deserialize)]
struct Lookup {
    /// 0: for ever.
    ttl: u64,
    #[serde(default)]
    renewable: bool,
}

impl AuthMethod {
    /// Whether another token can be had by logging in again.
    pub(super) fn can_log_in(&self) -> bool {
        match self {
            Self::Token(_) | Self::TokenFile(_) => false,
            Self::Approle(_) | Self::Kubernetes(_) | Self::Cert(_) => true,
        }
    }
}

/// A token by the configured method.
pub(super) async fn log_in(wire: &Wire, method: &AuthMethod) -> Result<Lease, KmsError> {
    match method {
        AuthMethod::Token(token) => given(wire, token.clone()).await,
        AuthMethod::TokenFile(path) => {
            let (token, stamp) = token_file::read(path).await?;
            Ok(Lease { stamp: Some(stamp), ..given(wire, token).await? })
        }
        AuthMethod::Approle(AppRole { role_id, secret_id, mount }) => {
            #[derive(Serialize)]
            struct Body<'a> {
                role_id: &'a str,
                secret_id: &'a Secret,
            }
            login(wire, mount, &Body { role_id, secret_id }).await
        }
        AuthMethod::Kubernetes(Kubernetes { role, jwt_file, mount }) => {
            #[derive(Serialize)]
            struct Body<'a> {
                role: &'a str,
                jwt: Secret,
            }
            let (jwt, _) = token_file::read(jwt_file).await?;
            login(wire, mount, &Body { role, jwt }).await
        }
        AuthMethod::Cert(CertLogin { role, mount }) => {
            #[derive(Serialize)]
            struct Body<'a> {
                #[serde(skip_serializing_if = "Option::is_none")]
                name: Option<&'a str>,
            }
            login(wire, mount, &Body { name: role.as_deref() }).await
        }
    }
}

/// The lease after `auth/token/renew-self`. [`KmsError::Denied`] if the server will not renew it.
pub(super) async fn renew(wire: &Wire, lease: &Lease) -> Result<Lease, KmsError> {
    let call = Call::write("auth/token/renew-self".to_owned(), &serde_json::json!({}))?;
    let reply = wire.send(&call, Some(lease.token())).await?;
    if reply.status >= 400 {
        return Err(KmsError::Denied(format!("Vault does not renew the token: {}", reply.words())));
    }
    let Auth { client_token: _, lease_duration, renewable } = auth(&reply.body, &call.path)?;
    Ok(lease.renewed(lease_duration, renewable))
}

/// Whether the server still knows the token. Without the permission to ask, it seems not to.
pub(super) async fn is_alive(wire: &Wire, token: &Secret) -> Result<bool, KmsError> {
    Ok(wire.send(&lookup_self(), Some(token)).await?.status < 300)
}

/// A token that was given to the store: it tells itself how long it lasts.
async fn given(wire: &Wire, token: Secret) -> Result<Lease, KmsError> {
    let call = lookup_self();
    match wire.send(&call, Some(&token)).await?.into_answer() {
        Answer::Done(body) => {
            let Lookup { ttl, renewable } = data(&body, &call.path)?;
            if ttl > 0 && !renewable {
                tracing::warn!(ttl_seconds = ttl, "the Vault token cannot be renewed: it must be replaced before it ends");
            }
            Ok(Lease::new(token, ttl, renewable))
        }
        // Dead, or without the permission to ask: the call it is for will tell.
        Answer::Missing(_) | Answer::Refused(_) => {
            tracing::warn!("the Vault token may not look itself up (auth/token/lookup-self): it is not renewed");
            Ok(Lease::new(token, 0, false))
        }
    }
}

async fn login(wire: &Wire, mount: &str, body: &impl Serialize) -> Result<Lease, KmsError> {
    let call = Call::write(format!("auth/{mount}/login"), body)?;
    let reply = wire.send(&call, None).await?;
    if reply.status >= 400 {
        let words = reply.words();
        return Err(KmsError::Denied(format!("Vault refuses the login at {}: {words}", call.path)));
    }
    let Auth { client_token, lease_duration, renewable } = auth(&reply.body, &call.path)?;
    tracing::info!(path = %call.path, lease_seconds = lease_duration, renewable, "logged in to Vault");
    Ok(Lease::new(client_token, lease_duration, renewable))
}

fn auth(body: &[u8], call: &str) -> Result<Auth, KmsError> {
    #[derive(Deserialize)]
    struct Envelope {
        auth: Auth,
    }
    serde_json::from_slice::<Envelope>(body).map(|envelope| envelope.auth).map_err(|_| unexpected(call))
}

fn lookup_self() -> Call {
    Call::read("auth/token/lookup-self".to_owned())
}
