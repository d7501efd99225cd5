//! What is asked of the server.

use std::io::{self, Write};

use bytes::Bytes;
use reqwest::Method;
use serde::Serialize;
use strongroom_kms::KmsError;
use zeroize::Zeroizing;

/// One request, which may be sent twice.
pub(crate) struct Call {
    pub(crate) verb: Verb,
    /// Below `/v1/`, made of segments that need no escape.
    pub(crate) path: String,
    pub(crate) body: Option<Bytes>,
}

/// What is done to a path. Source: the capabilities of Vault's policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Read,
    List,
    /// Makes what was not there.
    Create,
    Write,
    Delete,
}

impl Verb {
    pub(super) fn method(self) -> Method {
        match self {
            Self::Read | Self::List => Method::GET,
            Self::Create | Self::Write => Method::POST,
            Self::Delete => Method::DELETE,
        }
    }

    /// The capability that a policy must grant.
    pub(crate) fn capability(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::List => "list",
            Self::Create => "create",
            Self::Write => "update",
            Self::Delete => "delete",
        }
    }
}

impl Call {
    pub(crate) fn read(path: String) -> Self {
        Self { verb: Verb::Read, path, body: None }
    }

    pub(crate) fn list(path: String) -> Self {
        Self { verb: Verb::List, path, body: None }
    }

    pub(crate) fn delete(path: String) -> Self {
        Self { verb: Verb::Delete, path, body: None }
    }

    pub(crate) fn create(path: String, body: &impl Serialize) -> Result<Self, KmsError> {
        Ok(Self { verb: Verb::Create, ..Self::write(path, body)? })
    }

    pub(crate) fn write(path: String, body: &impl Serialize) -> Result<Self, KmsError> {
        Ok(Self { verb: Verb::Write, path, body: Some(wiped_json(body).map_err(|_| unwritable())?) })
    }
}

/// JSON in a buffer that is wiped, reserved at its full length so that growing leaves no copy behind.
fn wiped_json(body: &impl Serialize) -> serde_json::Result<Bytes> {
    let mut len = Length(0);
    serde_json::to_writer(&mut len, body)?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(len.0));
    serde_json::to_writer(&mut *bytes, body)?;
    Ok(Bytes::from_owner(bytes))
}

struct Length(usize);

impl Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn unwritable() -> KmsError {
    KmsError::Broken("a request to Vault cannot be written as JSON".to_owned())
}
