//! Each use of a key, recorded: the one place that does it.

use strongroom_access::Identity;
use strongroom_audit::{Event, Outcome};
use strongroom_catalog::{Envelope, KeyRef};
use strongroom_kms::resolve_key_id;
use strongroom_seal::Mode;

use super::{customer::CustomerKey, keys::Identified};
use crate::{Engine, Error, api::Caller};

/// Who uses keys.
#[derive(Clone, Copy)]
pub(crate) enum User<'a> {
    /// A client, whose rights decide.
    Caller(&'a Caller),
    /// A job. The rights of who started it decide, as they are at the moment of the use.
    Job {
        /// The name of the identity that started it.
        who: &'a str,
        /// Whether it was started over TLS.
        secure: bool,
        /// The same as it is now; none if there is none any more.
        identity: Option<&'a Identity>,
        /// `job:<id>`
        request_id: &'a str,
        operation: &'static str,
    },
}

/// A use of a key, to be recorded when it is known how it ended.
pub(crate) struct KeyUse<'a> {
    pub(crate) user: User<'a>,
    /// None where it was for no object.
    pub(crate) at: Option<Identified<'a>>,
    /// None where it was for no object.
    pub(crate) mode: Option<Mode>,
}

impl<'a> KeyUse<'a> {
    pub(crate) fn of(user: User<'a>, at: Identified<'a>, mode: Mode) -> Self {
        Self { user, at: Some(at), mode: Some(mode) }
    }
}

/// The KMS key used: empty for a customer's key, of which nothing is recorded.
#[derive(Default)]
pub(crate) struct UsedKey {
    backend: String,
    key_id: String,
    version: u32,
}

impl From<Option<&KeyRef>> for UsedKey {
    fn from(key: Option<&KeyRef>) -> Self {
        key.map_or_else(Self::default, |key| Self { backend: key.backend.clone(), key_id: key.key_id.clone(), version: key.version })
    }
}

impl UsedKey {
    /// A key that could not be used; what cannot be the id of one is left out.
    pub(crate) fn asked_for(backend: String, given: &str) -> Self {
        Self { backend, key_id: resolve_key_id(given).unwrap_or_default().to_owned(), ..Self::default() }
    }
}

impl Engine {
    /// Hands the result on once the use is recorded; without a record there is no use. The store key's are none of the log's business.
    pub(crate) async fn recorded<T>(&self, used: KeyUse<'_>, key: UsedKey, result: Result<T, Error>) -> Result<T, Error> {
        if used.mode != Some(Mode::Store) {
            self.audit().record(event(&used, key, result.as_ref().err())).await.map_err(Error::AuditUnavailable)?;
        }
        result
    }

    /// As [`Engine::recorded`], for a check that comes before the use: its failure, and of a customer's key, which it tries, its success.
    pub(crate) async fn recorded_check(
        &self,
        used: KeyUse<'_>,
        envelope: &Envelope,
        customer: Option<&CustomerKey>,
        result: Result<(), Error>,
    ) -> Result<(), Error> {
        let tried = customer.is_some() && used.mode == Some(Mode::SseC);
        if result.is_err() || tried { self.recorded(used, envelope.key.as_ref().into(), result).await } else { Ok(()) }
    }
}

fn event(used: &KeyUse<'_>, key: UsedKey, error: Option<&Error>) -> Event {
    let (request_id, who, operation) = match used.user {
        User::Caller(caller) => (caller.request_id.as_str(), caller.identity.name.as_str(), caller.operation),
        User::Job { who, request_id, operation, .. } => (request_id, who, operation),
    };
    let at = used.at;
    Event {
        request_id: request_id.to_owned(),
        who: who.to_owned(),
        operation: operation.to_owned(),
        bucket: at.map(|at| at.bucket.name.clone()).unwrap_or_default(),
        key: at.map(|at| at.key.to_owned()).unwrap_or_default(),
        version: at.map(|at| hex::encode(at.version_id)).unwrap_or_default(),
        mode: used.mode.map(mode_name).unwrap_or_default().to_owned(),
        backend: key.backend,
        key_id: key.key_id,
        key_version: key.version,
        outcome: error.map_or(Outcome::Ok, |error| Outcome::Error(error.name())),
        ..Event::default()
    }
}

/// As the audit log spells it.
fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Store => "none",
        Mode::SseS3 => "SSE-S3",
        Mode::SseKms => "SSE-KMS",
        Mode::DsseKms => "DSSE-KMS",
        Mode::SseC => "SSE-C",
    }
}
