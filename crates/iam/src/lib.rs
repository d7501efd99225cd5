//! Identity and access management: users, groups, roles, policies and access keys as a part of the store, changed while it runs.
//!
//! - [`model`]: what is kept of each, sealed in the catalog.
//! - [`directory`]: reading and changing it.
//! - [`calls`], [`sts`]: what each call of IAM and STS does; [`table`] has a row for each.
//! - [`keys`]: the KMS keys that belong to accounts, with their policies and grants.
//! - [`query`]: how clients of AWS send them; [`operation`]: the same in JSON.
//! - [`resolve`]: from the access key of a request to an [`Identity`](strongroom_access::Identity), as it is at that moment.
//!
//! Identities work while every KMS is away: their records are sealed under the store key. `docs/iam.md` tells users the same.
#![forbid(unsafe_code)]
// The names of AWS's operations are plain words in these texts.
#![allow(clippy::doc_markdown)]

mod answer;
mod builtin;
mod call;
mod calls;
mod directory;
mod error;
pub mod keys;
pub mod model;
mod name;
mod operation;
mod parameters;
mod query;
mod resolve;
mod sts;
mod table;

use std::{sync::Arc, time::Duration};

use strongroom_access::{Configured, MAIN_ACCOUNT};
use strongroom_audit::AuditLog;
use strongroom_catalog::{Catalog, Clock};
use strongroom_seal::StoreKey;
use strongroom_sso::Providers;
use tokio::task::JoinHandle;

pub use answer::Answer;
pub use call::Caller;
pub use directory::{Directory, Record, Seen};
pub use error::IamError;
pub use keys::KmsKeys;
pub use operation::Operation;
pub use parameters::{Parameter, ParameterKind};
pub use query::Params;
pub use table::Service;

/// How often uses of access keys are written down.
const TICK: Duration = Duration::from_mins(1);

/// What [`Iam`] works with.
pub struct IamParts {
    /// Keeps the entities.
    pub catalog: Arc<dyn Catalog>,
    /// Seals them.
    pub store_key: Arc<StoreKey>,
    /// Root, and the users of the configuration file.
    pub configured: Configured,
    /// Takes a record of every change.
    pub audit: Arc<AuditLog>,
    /// Says when credentials expire.
    pub clock: Clock,
    /// Verifies the tokens of identity providers.
    pub providers: Providers,
}

/// Identities and what may be done to them.
pub struct Iam {
    directory: Directory,
    configured: Configured,
    audit: Arc<AuditLog>,
    clock: Clock,
    providers: Providers,
    memory: resolve::Memory,
}

impl Iam {
    /// Identity management over these parts.
    pub fn new(parts: IamParts) -> Arc<Self> {
        let IamParts { catalog, store_key, configured, audit, clock, providers } = parts;
        Arc::new(Self {
            directory: Directory::new(catalog, store_key),
            configured,
            audit,
            clock,
            providers,
            memory: resolve::Memory::default(),
        })
    }

    /// What a user of the configuration file and one of the store both have, a name or an access key: nothing could tell the two apart.
    pub async fn taken_twice(&self) -> Result<Option<String>, IamError> {
        for identity in self.configured.all() {
            let of_account = self.directory.find::<model::User>(&identity.account, &identity.name).await?;
            // Users of the main account go by their bare names, as all users of the configuration do.
            let of_main = self.directory.find::<model::User>(MAIN_ACCOUNT, &identity.name).await?;
            if of_account.or(of_main).is_some() {
                return Ok(Some(format!("the name {}", identity.name)));
            }
            if self.directory.find::<model::AccessKey>("", &identity.access_key).await?.is_some() {
                return Ok(Some(format!("the access key {}", identity.access_key)));
            }
        }
        Ok(None)
    }

    /// Writes down the uses of access keys that were noted so far, as at the end.
    pub async fn write_uses(&self) {
        let uses = self.memory.uses.take();
        if !uses.is_empty()
            && let Err(error) = self.directory.catalog().note_access_key_uses(uses).await
        {
            tracing::warn!(%error, "when access keys were last used could not be written down");
        }
    }

    /// Writes them down every minute until it is aborted.
    pub fn start_background(self: &Arc<Self>) -> JoinHandle<()> {
        let iam = Arc::clone(self);
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(TICK);
            loop {
                ticks.tick().await;
                iam.write_uses().await;
            }
        })
    }
}
