//! What the verification of a request proves.

use std::fmt;

use time::OffsetDateTime;

use crate::{payload::Payload, rules::Placement, scope::Scope};

/// A request whose signature was verified. Only [`crate::Claim::verify`] and [`crate::Claim::verify_with_body`] make one.
pub struct Verified {
    pub(crate) access_key: String,
    pub(crate) placement: Placement,
    pub(crate) scope: Scope,
    pub(crate) security_token: Option<String>,
    pub(crate) signed_at: OffsetDateTime,
    pub(crate) covers_body: bool,
    pub(crate) payload: Payload,
}

/// Without the session token.
impl fmt::Debug for Verified {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { access_key, placement, scope, signed_at, covers_body, payload, security_token: _ } = self;
        let mut text = formatter.debug_struct("Verified");
        text.field("access_key", access_key).field("placement", placement).field("scope", scope);
        text.field("signed_at", signed_at).field("covers_body", covers_body).field("payload", payload).finish_non_exhaustive()
    }
}

impl Verified {
    /// Whose signature it is.
    pub fn access_key(&self) -> &str {
        &self.access_key
    }

    /// Where it stood.
    pub fn placement(&self) -> Placement {
        self.placement
    }

    /// What it was made for.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The session token that it covers.
    pub fn security_token(&self) -> Option<&str> {
        self.security_token.as_deref()
    }

    /// When the client says it signed.
    pub fn signed_at(&self) -> OffsetDateTime {
        self.signed_at
    }

    /// Whether no byte of the body can be altered on its way without notice: the signature covers its hash, or its chunks are signed.
    pub fn covers_body(&self) -> bool {
        self.covers_body
    }

    /// What it says of the body.
    pub fn payload(&self) -> &Payload {
        &self.payload
    }

    /// For [`crate::BodyDecoder`].
    pub fn into_payload(self) -> Payload {
        self.payload
    }
}
