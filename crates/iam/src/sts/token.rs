//! Session tokens: all that the server must know of temporary credentials, sealed under the store key. Nothing of them is kept.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use strongroom_catalog::UnixMillis;
use strongroom_seal::{RecordKind, StoreKey};
use zeroize::Zeroizing;

use crate::{
    IamError,
    model::{Tag, secret},
};

/// Longer than any that the server or an earlier release gives.
const MAX_TOKEN_BYTES: usize = 48 << 10;

/// What temporary credentials are good for.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Session {
    /// What requests are signed with.
    #[serde(with = "secret")]
    pub(crate) secret: Zeroizing<String>,
    pub(crate) account: String,
    pub(crate) of: SessionOf,
    pub(crate) issued: UnixMillis,
    pub(crate) expires: UnixMillis,
    /// Documents that bound what the user or the role may do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) policies: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) tags: Vec<Tag>,
    /// What an identity provider said, by the names of condition keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) claims: Vec<(String, Vec<String>)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) source_identity: Option<String>,
    /// The provider that said who asks; without it the session is worth nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) vouched_by: Option<VouchedBy>,
}

/// A provider, as it was when it vouched for somebody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VouchedBy {
    /// Its name.
    pub(crate) provider: String,
    /// When it was created: another provider of that name later is not meant.
    pub(crate) created: UnixMillis,
}

/// Whose session it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum SessionOf {
    /// A user, who asked for it.
    User {
        /// Its name and id: another user of that name later is not meant.
        name: String,
        id: String,
        /// The access key that asked for it, which takes its sessions with it when it goes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<String>,
    },
    /// A role, which somebody took on.
    Role {
        name: String,
        id: String,
        /// As the one who took it on named it.
        session: String,
    },
}

impl Session {
    /// The token for the access key. No other access key goes with it.
    pub(crate) fn seal(&self, store_key: &StoreKey, access_key: &str) -> Result<String, IamError> {
        let plain = Zeroizing::new(serde_json::to_vec(self).map_err(|error| IamError::Internal(error.into()))?);
        let sealed = store_key.seal_record(RecordKind::Document, &bound_to(access_key), &plain)?;
        Ok(URL_SAFE_NO_PAD.encode(sealed))
    }

    /// None of what is no token of this store for this access key.
    pub(crate) fn open(store_key: &StoreKey, access_key: &str, token: &str) -> Option<Self> {
        if token.len() > MAX_TOKEN_BYTES {
            return None;
        }
        let mut sealed = URL_SAFE_NO_PAD.decode(token).ok()?;
        let opened = store_key.open_record_in_place(RecordKind::Document, &bound_to(access_key), &mut sealed).ok()?;
        let session = serde_json::from_slice(opened).ok();
        drop(Zeroizing::new(sealed));
        session
    }
}

fn bound_to(access_key: &str) -> [&[u8]; 2] {
    [b"session", access_key.as_bytes()]
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn session() -> Session {
        Session {
            secret: Zeroizing::new("secret".to_owned()),
            account: "000000000000".to_owned(),
            of: SessionOf::User { name: "alice".to_owned(), id: "AIDA1".to_owned(), key: None },
            issued: 1,
            expires: 2,
            policies: vec!["{}".to_owned()],
            tags: Vec::new(),
            claims: Vec::new(),
            source_identity: None,
            vouched_by: None,
        }
    }

    #[test]
    fn a_token_opens_with_its_access_key_and_its_store_key_only() {
        let (key, other) = (StoreKey::generate().unwrap(), StoreKey::generate().unwrap());
        let token = session().seal(&key, "ASIA1").unwrap();
        let opened = Session::open(&key, "ASIA1", &token).unwrap();
        assert_eq!((opened.of, opened.secret.as_str()), (session().of, "secret"));
        assert!(Session::open(&key, "ASIA2", &token).is_none());
        assert!(Session::open(&other, "ASIA1", &token).is_none());
        assert!(Session::open(&key, "ASIA1", &"A".repeat(MAX_TOKEN_BYTES + 1)).is_none());
    }

    #[test]
    fn a_token_with_any_character_changed_is_none() {
        let key = StoreKey::generate().unwrap();
        let token = session().seal(&key, "ASIA1").unwrap();
        for at in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            assert!(Session::open(&key, "ASIA1", std::str::from_utf8(&bytes).unwrap()).is_none(), "{at}");
            assert!(Session::open(&key, "ASIA1", &token[..at]).is_none(), "{at}");
        }
        assert!(!token.contains("secret"));
    }
}
