//! What each call of IAM does, by what it is about.

pub(crate) mod absent;
pub(crate) mod account;
pub(crate) mod accounts;
pub(crate) mod described;
pub(crate) mod details;
pub(crate) mod groups;
pub(crate) mod holders;
pub(crate) mod keys;
pub(crate) mod page;
pub(crate) mod policies;
pub(crate) mod providers;
pub(crate) mod roles;
pub(crate) mod service_accounts;
pub(crate) mod shapes;
pub(crate) mod users;
