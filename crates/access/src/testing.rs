//! Identities for tests.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use crate::{Identity, MAIN_ACCOUNT, Policy, Principal, Resolved, SecretKey};

/// The user alice of the main account, who has no policy.
pub(crate) fn alice() -> Resolved {
    Resolved {
        name: "alice".to_owned(),
        principal: Principal::User { path: "/team/".to_owned(), name: "alice".to_owned() },
        account: MAIN_ACCOUNT.to_owned(),
        access_key: "AKALICE".to_owned(),
        secret: SecretKey::new("long enough".to_owned()).unwrap(),
        user_id: "AIDA1".to_owned(),
        tags: Vec::new(),
        claims: Vec::new(),
        source_identity: None,
        token_issued_at: None,
        policies: Vec::new(),
        boundary: None,
        session: Vec::new(),
    }
}

/// A session of a role of an account.
pub(crate) fn session(account: &str, role: &str, session: &str) -> Resolved {
    let principal = Principal::AssumedRole { path: "/jobs/".to_owned(), role: role.to_owned(), session: session.to_owned() };
    let (name, account) = (format!("{account}:{role}/{session}"), account.to_owned());
    Resolved { name, principal, account, user_id: format!("AROA1:{session}"), ..alice() }
}

pub(crate) fn identity(resolved: Resolved) -> Identity {
    Identity::resolved(resolved).unwrap()
}

/// A policy of these statements.
pub(crate) fn policy(statements: &str) -> Arc<Policy> {
    Arc::new(Policy::parse(&document(statements)).unwrap())
}

pub(crate) fn document(statements: &str) -> String {
    format!(r#"{{"Version": "2012-10-17", "Statement": [{statements}]}}"#)
}

/// A statement about everything.
pub(crate) fn all(effect: &str, action: &str) -> String {
    on(effect, action, "*")
}

pub(crate) fn on(effect: &str, action: &str, resource: &str) -> String {
    format!(r#"{{"Effect": "{effect}", "Action": "{action}", "Resource": "{resource}"}}"#)
}
