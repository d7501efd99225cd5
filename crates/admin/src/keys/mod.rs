//! The life of keys.

mod change;
mod create;
mod delete;
mod grants;
mod import;
mod list;
mod metadata;
mod owned;
mod policy;
mod usage;

pub(crate) use change::{cancel_deletion, disable, enable, seal, tag, unseal, untag, update_description};
pub(crate) use create::{create, refuse_lost};
pub(crate) use delete::{delete, named_to};
pub(crate) use grants::{create_grant, list_grants, list_retirable_grants, retire_grant, revoke_grant};
pub(crate) use import::import;
pub(crate) use list::{describe, describe_by_query, list};
pub(crate) use metadata::{KeyAnswer, Metadata};
pub(crate) use owned::refuse_owned_default;
pub(crate) use policy::{get_policy, put_policy};
pub(crate) use usage::{BucketUsage, Usage, usage, usage_of};
