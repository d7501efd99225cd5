//! What is kept of each entity: documents that are sealed in the catalog.

pub(crate) mod account;
pub(crate) mod group;
mod key;
mod policies;
pub(crate) mod policy;
mod provider;
pub(crate) mod role;
pub(crate) mod secret;
mod tags;
pub(crate) mod user;

pub(crate) use policies::bytes_that_count;

pub use account::Account;
pub use group::Group;
pub use key::{AccessKey, KeyStatus, ServiceAccount};
pub use policies::{Policies, PolicyRef};
pub use policy::{ManagedPolicy, PolicyVersion};
pub use provider::Provider;
pub use role::Role;
pub use tags::{Tag, Tags};
pub use user::User;
