//! One call on its way through.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use strongroom_access::{ANONYMOUS_NAME, Conditions, Identity, MAIN_ACCOUNT, ROOT_NAME};
use strongroom_catalog::UnixMillis;

use crate::{Iam, IamError, directory::Directory, query::Params};

/// Who calls, and how the request came.
#[derive(Clone)]
pub struct Caller {
    /// Whose signature was verified; anonymous where a call needs none.
    pub identity: Arc<Identity>,
    /// As the client sees it in `x-amzn-requestid`.
    pub request_id: String,
    /// Where the request came from, as far as the server knows.
    pub peer: Option<IpAddr>,
    /// Whether it came over TLS.
    pub secure: bool,
    /// What policies' conditions see of it.
    pub conditions: Conditions,
}

/// What a call works with.
pub(crate) struct Call<'a> {
    pub(crate) iam: &'a Iam,
    pub(crate) caller: &'a Caller,
    pub(crate) identity: &'a Identity,
    /// The caller's, which a call never leaves.
    pub(crate) account: String,
    pub(crate) params: &'a Params,
    /// For the audit log.
    notes: Mutex<BTreeMap<String, String>>,
}

impl<'a> Call<'a> {
    pub(crate) fn new(iam: &'a Iam, caller: &'a Caller, params: &'a Params) -> Self {
        let identity = &*caller.identity;
        Self { iam, caller, identity, account: identity.account.clone(), params, notes: Mutex::default() }
    }

    pub(crate) fn directory(&self) -> &'a Directory {
        &self.iam.directory
    }

    pub(crate) fn now(&self) -> UnixMillis {
        self.iam.clock.now()
    }

    /// `UserName`, else the caller; none where that is no user with a record.
    pub(crate) fn user_name(&self) -> Option<String> {
        let given = self.params.get("UserName").filter(|name| !name.is_empty()).map(str::to_owned);
        given.or_else(|| self.identity.user_name().map(str::to_owned))
    }

    /// Refuses a name that a user of the configuration file has.
    pub(crate) fn check_name_is_free(&self, name: &str) -> Result<(), IamError> {
        if [ROOT_NAME, ANONYMOUS_NAME].iter().any(|taken| taken.eq_ignore_ascii_case(name)) {
            return Err(IamError::EntityAlreadyExists(format!("User with name {name} already exists: the server uses it.")));
        }
        if self.is_configured(name) {
            let message = format!("User with name {name} already exists: it stands in the server's configuration.");
            return Err(IamError::EntityAlreadyExists(message));
        }
        Ok(())
    }

    /// Users of the configuration file are in no record: who may ask for one is told where it stands.
    pub(crate) fn explain(&self, error: IamError) -> IamError {
        match (&error, self.params.get("UserName")) {
            (IamError::NoSuchEntity(_), Some(name)) if self.is_configured(name) => IamError::NoSuchEntity(format!(
                "The user with name {name} stands in the server's configuration, and is changed there and by a restart."
            )),
            _ => error,
        }
    }

    fn is_configured(&self, name: &str) -> bool {
        // Users of the main account go by their bare names, as all users of the configuration do.
        if self.account == MAIN_ACCOUNT { self.iam.configured.has_name(name) } else { self.iam.configured.has_user(&self.account, name) }
    }

    /// Adds to the audit record. Never a secret.
    pub(crate) fn note(&self, name: &str, value: &str) {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), value.to_owned());
    }

    pub(crate) fn notes(&self) -> BTreeMap<String, String> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
