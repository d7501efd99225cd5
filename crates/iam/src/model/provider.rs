//! A provider of identities that speaks OpenID Connect.

use serde::{Deserialize, Serialize};
use strongroom_catalog::{EntityKind, EntityName, UnixMillis};

use super::Tags;
use crate::directory::Record;

/// A provider whose tokens may take on roles that trust it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provider {
    /// Where it is, without `https://`; its name.
    pub url: String,
    /// When it was created.
    pub created: UnixMillis,
    /// The audiences for which its tokens are taken.
    pub client_ids: Vec<String>,
    /// SHA-1 of certificates, as AWS has them. Kept and answered; the provider's TLS certificate is checked against the system's roots.
    pub thumbprints: Vec<String>,
    /// Its tags.
    #[serde(default)]
    pub tags: Tags,
}

impl Record for Provider {
    const KIND: EntityKind = EntityKind::Provider;
    const WHAT: &'static str = "OpenID Connect provider";
    const QUOTA: u64 = 100;

    fn name(&self) -> String {
        self.url.clone()
    }

    fn refers_to(&self, _account: &str) -> Vec<EntityName> {
        Vec::new()
    }
}
